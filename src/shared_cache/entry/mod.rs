//! Shared entry: its content, and its encryption with AES-256-GCM.
//!
//! A value is the version and the generation in the clear, a random nonce, and the encrypted JSON of
//! [`Content`]. Name, version and generation are authenticated with it, so that a value cannot be moved to
//! another name, nor be given another generation.
//!
//! Times are relative to the write: the store measures the age of an entry by its own clock, so that the clocks of
//! the machines need not agree.

use std::collections::BTreeMap;
use std::ffi::CString;
use std::num::NonZeroU16;
use std::time::Duration;

use aws_lc_rs::aead::{AES_256_GCM, Aad, NONCE_LEN, Nonce, RandomizedNonceKey};
use aws_lc_rs::digest;
use serde::{Deserialize, Serialize};
use zeroize::{Zeroize, ZeroizeOnDrop, Zeroizing};

use super::Identity;
use crate::base::backoff::delay_after;
use crate::base::cache_key::CacheKey;
use crate::base::clock::Clock;
use crate::base::error::{Cause, Error, ErrorKind, OAuthError, OAuthReason};
use crate::base::secret::Secret;
use crate::sys::with_forks_blocked;
use crate::token::{AccessToken, CacheState, SharedOrigin};
use crate::token_store::{self, EntryName, MAX_VALUE_LEN, StoredValue, VALUE_HEADER_LEN};

/// How long an entry outlives its token. Its generation then remains known although the clocks of the machines
/// differ by up to five minutes, see [`next_generation`].
const LINGER: Duration = Duration::from_secs(600);

/// The lifetime of an entry with a refresh token, which is valid for longer than the access token.
const REFRESH_TOKEN_TTL: Duration = Duration::from_secs(90 * 86_400);

/// The lifetime of a token without an expiry.
const DEFAULT_LIFETIME: Duration = Duration::from_secs(300);

/// How long it remains known that a token was rejected or removed.
pub(super) const TOMBSTONE_LIFETIME: Duration = Duration::from_secs(60);

/// The longest lifetime of a refusal.
const MAX_REFUSAL_LIFETIME: Duration = Duration::from_secs(60);

/// The lifetime of a refusal because of consent, which the user may be giving at this moment.
const CONSENT_REFUSAL_LIFETIME: Duration = Duration::from_secs(2);

/// The content of an entry.
#[derive(Clone, Default, Serialize, Deserialize)]
pub(super) struct Content {
    /// The token, unless it was rejected, refused or logged off.
    pub(super) token: Option<SharedToken>,
    /// The latest refresh token of the login.
    pub(super) refresh_token: Option<Text>,
    /// Whether a request with `refresh_token` was about to be sent when the entry was written. The server may
    /// have processed it although no newer entry exists: then its sender crashed.
    #[serde(default)]
    pub(super) is_spending: bool,
    /// Why the server issued no token.
    pub(super) refusal: Option<Refusal>,
    /// The number of consecutive tokens that replaced a rejected one.
    #[serde(default)]
    pub(super) rejections: u32,
    /// The number of consecutive refusals.
    #[serde(default)]
    pub(super) failures: u32,
    /// The machine that wrote the entry, and when, by its clock in seconds since 1970.
    pub(super) machine: String,
    pub(super) written_at: i64,
    /// The lifetime of the entry in the store, in milliseconds.
    pub(super) ttl_millis: u64,
}

/// Secret text, wiped when dropped.
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize, Zeroize, ZeroizeOnDrop)]
#[serde(transparent)]
pub(super) struct Text(String);

impl Text {
    fn from_bytes(bytes: &[u8]) -> Self {
        Self(String::from_utf8_lossy(bytes).into_owned())
    }

    fn to_c_string(&self) -> Option<Zeroizing<CString>> {
        CString::new(self.0.as_str()).ok().map(Zeroizing::new)
    }

    pub(super) fn to_secret(&self) -> Secret {
        Secret::from(self.0.as_str())
    }
}

impl From<&Secret> for Text {
    fn from(secret: &Secret) -> Self {
        Self(secret.reveal().to_owned())
    }
}

/// An access token with the other members of its response.
#[derive(Clone, Serialize, Deserialize)]
pub(super) struct SharedToken {
    access_token: Text,
    scope: Option<String>,
    fields: BTreeMap<String, Text>,
    /// In seconds; `None` if the expiry is unknown.
    lifetime_secs: Option<i64>,
    /// The age at which the token was written, in milliseconds.
    age_millis: u64,
    /// When the token was received, on the boot-time clock of the process that will write it.
    #[serde(skip)]
    received_at: Duration,
}

impl SharedToken {
    pub(super) fn new(token: &AccessToken) -> Self {
        Self {
            access_token: Text::from_bytes(token.value.to_bytes()),
            scope: token.scope.as_ref().map(|scope| scope.to_string_lossy().into_owned()),
            fields: token
                .fields
                .iter()
                .map(|(name, value)| (name.clone(), Text::from_bytes(value.to_bytes())))
                .collect(),
            lifetime_secs: token.expires_at.map(|expires_at| expires_at.saturating_sub(token.issued_at)),
            age_millis: 0,
            received_at: token.cache_state.received_at(),
        }
    }

    pub(super) fn digest(&self) -> [u8; 32] {
        token_digest(self.access_token.0.as_bytes())
    }

    /// The time until the token expires, at the time of the write.
    fn remaining(&self) -> Duration {
        let lifetime = self.lifetime_secs.map_or(DEFAULT_LIFETIME, |seconds| {
            Duration::from_secs(u64::try_from(seconds).unwrap_or_default())
        });
        lifetime.saturating_sub(Duration::from_millis(self.age_millis))
    }
}

/// SHA-256 of a token.
pub(crate) fn token_digest(token: &[u8]) -> [u8; 32] {
    let mut bytes = [0; 32];
    let digest = digest::digest(&digest::SHA256, token);
    bytes.iter_mut().zip(digest.as_ref()).for_each(|(to, from)| *to = *from);
    bytes
}

/// An error response.
#[derive(Clone, Serialize, Deserialize)]
pub(super) struct Refusal {
    reason: Reason,
    error: Option<String>,
    description: Option<String>,
    provider_code: Option<String>,
    http_status: Option<NonZeroU16>,
    text: String,
    /// How long no token is requested, from the write.
    lifetime_millis: u64,
}

#[derive(Clone, Copy, Serialize, Deserialize)]
enum Reason {
    Denied,
    ConsentRequired,
    Throttled,
    Server,
    BadResponse,
    Expired,
}

impl Refusal {
    /// The refusal in `error`, which is the response to the request after `failures` consecutive refusals; `None`
    /// if the error is not the response of the server.
    pub(super) fn new(error: &Error, failures: u32) -> Option<Self> {
        let ErrorKind::OAuth(oauth) = error.kind() else { return None };
        if error.cause() != Cause::Server {
            return None;
        }
        let lifetime = match (oauth.retry_after, oauth.reason) {
            (seconds @ 1.., _) => Duration::from_secs(u64::from(seconds)).min(MAX_REFUSAL_LIFETIME),
            (0, OAuthReason::ConsentRequired) => CONSENT_REFUSAL_LIFETIME,
            (0, _) => delay_after(failures.saturating_add(1)),
        };
        Some(Self {
            reason: match oauth.reason {
                OAuthReason::Denied => Reason::Denied,
                OAuthReason::ConsentRequired => Reason::ConsentRequired,
                OAuthReason::Throttled => Reason::Throttled,
                OAuthReason::Server => Reason::Server,
                OAuthReason::BadResponse => Reason::BadResponse,
                OAuthReason::Expired => Reason::Expired,
            },
            error: oauth.error.clone(),
            description: oauth.description.clone(),
            provider_code: oauth.provider_code.clone(),
            http_status: oauth.http_status,
            text: error.text().to_owned(),
            lifetime_millis: millis(lifetime),
        })
    }

    fn lifetime(&self) -> Duration {
        Duration::from_millis(self.lifetime_millis)
    }

    fn to_error(&self, age: Duration) -> Error {
        let remaining = self.lifetime().saturating_sub(age);
        let retry_in_secs = u32::try_from(remaining.as_secs().saturating_add(1)).unwrap_or(u32::MAX);
        let kind = OAuthError {
            reason: match self.reason {
                Reason::Denied => OAuthReason::Denied,
                Reason::ConsentRequired => OAuthReason::ConsentRequired,
                Reason::Throttled => OAuthReason::Throttled,
                Reason::Server => OAuthReason::Server,
                Reason::BadResponse => OAuthReason::BadResponse,
                Reason::Expired => OAuthReason::Expired,
            },
            error: self.error.clone(),
            description: self.description.clone(),
            provider_code: self.provider_code.clone(),
            http_status: self.http_status,
            retry_after: 0,
        };
        Error::new(kind, "token", self.text.clone())
            .with_cause(Cause::NegativeCache { age_secs: age.as_secs(), retry_in_secs })
    }
}

/// An entry as read from the store.
pub(super) struct Entry {
    pub(super) generation: u64,
    pub(super) content: Content,
    /// The time since the write, by the clock of the store.
    age: Duration,
}

impl Entry {
    /// The token, with its expiry by the clock of this machine.
    pub(super) fn token(&self, cache_key: CacheKey, clock: &dyn Clock) -> Option<AccessToken> {
        let shared = self.content.token.as_ref()?;
        let age = self.token_age()?;
        let issued_at = clock.unix_seconds().saturating_sub(i64::try_from(age.as_secs()).unwrap_or(i64::MAX));
        let fields = shared.fields.iter().map(|(name, value)| Some((name.clone(), value.to_c_string()?)));
        let token = AccessToken {
            value: shared.access_token.to_c_string()?,
            scope: shared.scope.as_ref().and_then(|scope| CString::new(scope.as_str()).ok()),
            fields: fields.collect::<Option<_>>()?,
            issued_at,
            expires_at: shared.lifetime_secs.map(|lifetime| issued_at.saturating_add(lifetime)),
            cache_key,
            cache_state: CacheState::new(clock.boot_time().saturating_sub(age)),
        };
        token.mark_shared(Some(SharedOrigin {
            machine: self.content.machine.clone(),
            written_at: self.content.written_at,
        }));
        Some(token)
    }

    /// The time since the token was received.
    pub(super) fn token_age(&self) -> Option<Duration> {
        let shared = self.content.token.as_ref()?;
        Some(self.age.saturating_add(Duration::from_millis(shared.age_millis)))
    }

    /// The error of the refusal while it lasts.
    pub(super) fn refusal(&self) -> Option<Error> {
        let refusal = self.content.refusal.as_ref()?;
        (self.age < refusal.lifetime()).then(|| refusal.to_error(self.age))
    }

    /// The refresh token.
    pub(super) fn refresh_token(&self) -> Option<Secret> {
        self.content.refresh_token.as_ref().map(Text::to_secret)
    }

    /// The content for a new entry that replaces this one, which was read at the time of `clock`.
    pub(super) fn carry_over(&self, clock: &dyn Clock) -> Content {
        let mut content = Content { refusal: None, ..self.content.clone() };
        if let (Some(token), Some(age)) = (&mut content.token, self.token_age()) {
            token.received_at = clock.boot_time().saturating_sub(age);
        }
        content
    }

    /// Whether a token that the API rejected may be replaced: rejections of the tokens of an entry take effect at
    /// intervals of 1, 2, 4 … 60 s, since an API may reject every token.
    pub(super) fn permits_rejection(&self) -> bool {
        self.age >= delay_after(self.content.rejections)
    }
}

impl Content {
    /// Removes the token because the API rejected it.
    pub(super) fn reject_token(&mut self) {
        self.token = None;
        self.rejections = self.rejections.saturating_add(1);
    }

    /// The lifetime of the entry in the store.
    fn ttl(&self) -> Duration {
        if self.refresh_token.is_some() {
            return REFRESH_TOKEN_TTL;
        }
        let token = self.token.as_ref().map(SharedToken::remaining);
        let refusal = self.refusal.as_ref().map(Refusal::lifetime);
        token.max(refusal).unwrap_or(TOMBSTONE_LIFETIME).saturating_add(LINGER)
    }
}

/// A value for the store.
pub(super) struct SealedEntry {
    pub(super) bytes: Vec<u8>,
    pub(super) ttl: Duration,
}

/// Encrypts `content`, to be written at the time of `clock`; `None` if it is too long for a store.
pub(super) fn seal(
    identity: &Identity,
    generation: u64,
    mut content: Content,
    clock: &dyn Clock,
) -> Option<SealedEntry> {
    if let Some(token) = &mut content.token {
        token.age_millis = millis(clock.boot_time().saturating_sub(token.received_at));
    }
    let ttl = content.ttl();
    content.ttl_millis = millis(ttl);
    let mut text = Zeroizing::new(serde_json::to_vec(&content).ok()?);
    let header = token_store::header(generation);
    let aad = Aad::from(associated_data(&identity.name, &header));
    let key = RandomizedNonceKey::new(&AES_256_GCM, &*identity.key).ok()?;
    // In place: the plaintext in the buffer is overwritten. AWS-LC chooses the nonce, because NIST approves no other
    // (SP 800-38D section 8.2.2). It is random, so forks are blocked.
    let nonce = with_forks_blocked(|| key.seal_in_place_append_tag(aad, &mut *text)).ok()?;
    let bytes = [&header[..], &nonce.as_ref()[..], &text[..]].concat();
    (bytes.len() <= MAX_VALUE_LEN).then_some(SealedEntry { bytes, ttl })
}

/// Decrypts a value; `None` if it is corrupted, or was written for another name, with another key or in another
/// version.
pub(super) fn open(identity: &Identity, value: &StoredValue) -> Option<Entry> {
    let generation = token_store::generation(&value.bytes)?;
    let (header, rest) = value.bytes.split_at_checked(VALUE_HEADER_LEN)?;
    let (nonce, encrypted) = rest.split_at_checked(NONCE_LEN)?;
    let aad = Aad::from(associated_data(&identity.name, header));
    let mut encrypted = Zeroizing::new(encrypted.to_vec());
    let nonce = Nonce::try_assume_unique_for_key(nonce).ok()?;
    let key = RandomizedNonceKey::new(&AES_256_GCM, &*identity.key).ok()?;
    let text = key.open_in_place(nonce, aad, &mut encrypted).ok()?;
    let content: Content = serde_json::from_slice(text).ok()?;
    // A longer remaining lifetime than was written is due to a step of the clock of the store, or was forged: the
    // age then counts as zero.
    let age = Duration::from_millis(content.ttl_millis).saturating_sub(value.ttl);
    Some(Entry { generation, content, age })
}

fn associated_data(name: &EntryName, header: &[u8]) -> Vec<u8> {
    [name.as_str().as_bytes(), header].concat()
}

/// The generation of the value that this process writes: greater than any that it has `seen`.
///
/// It is at least the time in milliseconds, so that it also exceeds that of an entry that the store has lost or
/// deleted, if the clock of its writer was not ahead by more than the time since.
pub(super) fn next_generation(seen: u64, clock: &dyn Clock) -> u64 {
    let now = u64::try_from(clock.unix_seconds()).unwrap_or_default().saturating_mul(1000);
    seen.saturating_add(1).max(now)
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests;
