//! Name and key of the shared entry of a connection.
//!
//! The name is a keyed digest of a canonical text of everything that makes a token what it is. It is the same in
//! all processes, on all machines and in all releases with the same version of the text. What is only local is
//! not part of it: time limits, paths of keys, the user of the process, the store itself.
//!
//! The keys of name and content are derived from all secrets of the connection. One of them must have 256 bits
//! of entropy by construction; otherwise somebody who reads the store could guess the secrets offline.

mod canonical_text;
mod key;
mod randomness;
mod request;
mod transport;

use aws_lc_rs::aead::AES_256_GCM;
use aws_lc_rs::hkdf::{HKDF_SHA256, Salt};
use aws_lc_rs::hmac;
use zeroize::Zeroizing;

use self::canonical_text::LabeledValues;
use crate::base::error::{Error, ErrorKind, OptionError, Result};
use crate::base::secret::Secret;
use crate::key::{KeyCache, SharedSecret};
use crate::resolve::{Config, Flow, Grant, LogoffConfig, PresetToken, SharedCacheConfig};
use crate::token_store::EntryName;

/// The first line of the canonical text. A change of the text needs another version: with the same one, different
/// releases would not share tokens.
const TEXT_VERSION: &str = "authgrant token v1";

/// The salt of the key derivation (RFC 5869).
const SALT: &[u8] = b"authgrant shared token cache v1";

/// Name and key of one shared entry.
pub struct Identity {
    /// The name of the entry.
    pub name: EntryName,
    /// The AES-256-GCM key of its content.
    pub key: Zeroizing<[u8; 32]>,
}

/// Whether the token of a connection is shared.
pub enum Sharing {
    /// It is, in this entry.
    Shared(Identity),
    /// It is not, for this reason.
    NotShared(&'static str),
}

/// Returns name and key of the entry for the token of `config`.
///
/// Reads the signing key (through `key_cache`) and the files whose content is part of the identity, TrustStore and
/// ClientAssertionFile, so that a changed file is another entry. A key on a PKCS#11 token is not accessed.
///
/// # Errors
/// Errors of the signing key and of the files; `OptionError::Invalid` if no credential of the connection has 256
/// bits of entropy by construction and TokenCacheSecret is not set.
pub fn identify(config: &Config, shared: &SharedCacheConfig, key_cache: &KeyCache) -> Result<Sharing> {
    if let Some(reason) = reason_not_to_share(config, shared) {
        return Ok(Sharing::NotShared(reason));
    }
    let description = TokenDescription::new(config, shared, key_cache)?;
    description.check_entropy()?;
    let derived = derive(&description.text, &description.key_material);
    derived.map(Sharing::Shared).ok_or_else(|| {
        Error::new(ErrorKind::Internal, "token cache", "the keys of the shared entry cannot be derived")
    })
}

fn reason_not_to_share(config: &Config, shared: &SharedCacheConfig) -> Option<&'static str> {
    match &config.flow {
        Flow::TokenEndpoint(_) => {}
        Flow::SignedJwt(_) => return Some("the token is a JWT that is signed without a request"),
        Flow::AccessToken(_) => return Some("the token is configured"),
        Flow::Headers(_) => return Some("there is no token"),
    }
    if config.private_cache {
        return Some("CacheScope is Connection, or the process policy forbids sharing");
    }
    let is_unidentified = config.flow.is_user_bound() && shared.prompted_user.is_none();
    is_unidentified.then_some("the token belongs to a user who logged in, and TokenCachePrompted is not 1")
}

/// What the token of a connection depends on, and the secrets that can obtain it.
struct TokenDescription<'a> {
    key_cache: &'a KeyCache,
    /// The canonical text. It contains digests of the secrets.
    text: LabeledValues,
    /// The secrets, from which the keys are derived.
    key_material: LabeledValues,
    /// Whether TokenCacheSecret is one of them.
    has_cache_secret: bool,
    /// Whether one of them has 256 bits of entropy by construction.
    has_entropy: bool,
    /// Why no other secret than TokenCacheSecret is enough, even with that entropy.
    requires_cache_secret: Option<&'static str>,
    /// Why each credential does not have that entropy; to be appended to the name of its option.
    insufficient: Vec<(&'static str, &'static str)>,
}

impl<'a> TokenDescription<'a> {
    fn new(config: &Config, shared: &SharedCacheConfig, key_cache: &'a KeyCache) -> Result<Self> {
        let mut description = Self {
            key_cache,
            text: LabeledValues::beginning_with(TEXT_VERSION),
            key_material: LabeledValues::default(),
            has_cache_secret: false,
            has_entropy: false,
            requires_cache_secret: None,
            insufficient: Vec::new(),
        };
        description.add_config(config, shared)?;
        Ok(description)
    }

    fn add_config(&mut self, config: &Config, shared: &SharedCacheConfig) -> Result<()> {
        let Config {
            flow,
            // For API requests.
            headers: _,
            authorization_request,
            consent_guidance: _,
            logoff,
            login_timeout: _,
            request_timeout: _,
            refresh_margin: _,
            preset_token,
            // Such a token is not shared.
            private_cache: _,
            shared_cache: _,
            // For the server of the API; the token request has its own.
            transport: _,
        } = config;
        // The user is that of the configuration.
        let SharedCacheConfig { location: _, secret, timeout: _, wait: _, prompted_user: _ } = shared;
        if let Some(secret) = secret {
            self.add_cache_secret(secret);
        }
        if let Flow::TokenEndpoint(request) = flow {
            self.add_token_request(request)?;
            if matches!(request.grant, Grant::AuthorizationCode(_)) {
                self.add_authorization_request(authorization_request.as_ref());
            }
        }
        let PresetToken { token, expires_at } = preset_token;
        self.add_optional_secret("preset token", token.as_ref());
        self.text.add_optional("preset token expires", expires_at.map(|time| time.to_string()));
        // A logoff ends the token for all who use it, so it must be sent to the endpoint of each.
        let logoff = logoff.as_ref().map(|LogoffConfig { endpoint, ends_session: _, transport: _ }| endpoint);
        self.text.add_optional("logoff endpoint", logoff.map(|endpoint| endpoint.as_str()));
        self.text.add_optional("user", config.prompted_user());
        Ok(())
    }

    /// Adds TokenCacheSecret, which is random by definition of the option.
    fn add_cache_secret(&mut self, secret: &SharedSecret) {
        self.key_material.add("cache secret", secret.reveal());
        self.has_cache_secret = true;
        self.has_entropy = true;
    }

    /// Adds a secret to the key material, and its digest to the text.
    fn add_secret(&mut self, label: &'static str, secret: impl AsRef<[u8]>) {
        self.text.add_digest(label, secret.as_ref());
        self.key_material.add(label, secret);
    }

    fn add_optional_secret(&mut self, label: &'static str, secret: Option<&Secret>) {
        if let Some(secret) = secret {
            self.add_secret(label, secret.reveal());
        }
    }

    /// Records whether the credential in `option` has 256 bits of entropy, and otherwise the reason.
    fn judge(&mut self, option: &'static str, is_enough: bool, reason: &'static str) {
        if is_enough {
            self.has_entropy = true;
        } else {
            self.insufficient.push((option, reason));
        }
    }

    fn check_entropy(&self) -> Result<()> {
        let reason = match self.requires_cache_secret {
            _ if self.has_cache_secret => return Ok(()),
            Some(reason) => reason.to_owned(),
            None if self.has_entropy => return Ok(()),
            None => self.describe_insufficient(),
        };
        let text = format!(
            "TokenCacheSecret is not set, but TokenCache requires it for this connection: {reason}; set it to the \
             same random secret in all processes, from a file (file:PATH) or an environment variable (env:NAME), \
             made for example with: openssl rand -base64 32"
        );
        Err(Error::new(OptionError::Invalid, "token cache", text).with_option("TokenCacheSecret"))
    }

    fn describe_insufficient(&self) -> String {
        if self.insufficient.is_empty() {
            return "it has no secret from which the keys of shared entries can be derived".to_owned();
        }
        let reasons: Vec<_> =
            self.insufficient.iter().map(|(option, reason)| format!("{option} {reason}")).collect();
        reasons.join(", and ")
    }
}

/// Derives name and key: K_name = HKDF(secrets, "name"), name = HMAC(K_name, text), key = HKDF(secrets, "content" ‖
/// name).
fn derive(text: &LabeledValues, key_material: &LabeledValues) -> Option<Identity> {
    let extracted = Salt::new(HKDF_SHA256, SALT).extract(key_material.as_bytes());
    let name_key = hmac::Key::from(extracted.expand(&[b"name"], hmac::HMAC_SHA256).ok()?);
    let tag = hmac::sign(&name_key, text.as_bytes());
    let name = EntryName::from_digest(*tag.as_ref().first_chunk()?);
    let info: [&[u8]; 2] = [b"content", name.as_str().as_bytes()];
    let mut key = Zeroizing::new([0; 32]);
    extracted.expand(&info, &AES_256_GCM).ok()?.fill(&mut *key).ok()?;
    Some(Identity { name, key })
}

#[cfg(test)]
mod tests;
