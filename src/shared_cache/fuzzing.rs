//! What a fuzz target uses of shared entries.

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use aws_lc_rs::hmac;
use zeroize::Zeroizing;

use super::Identity;
use super::entry;
use crate::base::cache_key::CacheKey;
use crate::base::clock::Clock;
use crate::base::error::Error;
use crate::base::secret::Secret;
use crate::token::AccessToken;
use crate::token_store::{EntryName, StoredValue, header};

/// An identity with a constant name and key.
#[must_use]
pub fn constant_identity() -> Identity {
    Identity { name: EntryName::from_digest([2; 32]), key: Zeroizing::new([1; 32]) }
}

/// Encrypts `text`, which need not be the content of an entry, with a constant nonce.
pub fn encrypt(identity: &Identity, generation: u64, text: &[u8]) -> Option<Vec<u8>> {
    let header = header(generation);
    let aad = Aad::from([identity.name.as_str().as_bytes(), &header].concat());
    let mut text = text.to_vec();
    let nonce = [3; NONCE_LEN];
    let key = LessSafeKey::new(UnboundKey::new(&AES_256_GCM, &*identity.key).ok()?);
    key.seal_in_place_append_tag(Nonce::assume_unique_for_key(nonce), aad, &mut text).ok()?;
    Some([&header[..], &nonce, &text].concat())
}

/// An entry as read from a store.
pub struct Entry(entry::Entry);

impl Entry {
    /// Decrypts and parses a value.
    #[must_use]
    pub fn open(identity: &Identity, value: &StoredValue) -> Option<Self> {
        entry::open(identity, value).map(Self)
    }

    /// Encrypts the content for the store, at the time of `clock`.
    #[must_use]
    pub fn seal(&self, identity: &Identity, clock: &dyn Clock) -> Option<StoredValue> {
        let sealed = entry::seal(identity, self.0.generation, self.0.content.clone(), clock)?;
        Some(StoredValue { bytes: sealed.bytes, ttl: sealed.ttl })
    }

    /// The generation.
    #[must_use]
    pub fn generation(&self) -> u64 {
        self.0.generation
    }

    /// The content as JSON.
    #[must_use]
    pub fn to_json(&self) -> Option<String> {
        serde_json::to_string(&self.0.content).ok()
    }

    /// The access token.
    #[must_use]
    pub fn token(&self, clock: &dyn Clock) -> Option<AccessToken> {
        let key = hmac::Key::new(hmac::HMAC_SHA256, &[4; 32]);
        self.0.token(CacheKey::digest(&key, &0), clock)
    }

    /// The refresh token.
    #[must_use]
    pub fn refresh_token(&self) -> Option<Secret> {
        self.0.refresh_token()
    }

    /// The error of a refusal.
    #[must_use]
    pub fn refusal(&self) -> Option<Error> {
        self.0.refusal()
    }
}
