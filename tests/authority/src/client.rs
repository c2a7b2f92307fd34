//! Registered clients: who may sign assertions, with which keys, for whom and for what.

use serde::Deserialize;

use crate::keys::VerificationKey;

/// What is known of a client beyond its issuer name and keys. Empty lists mean "any".
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ClientOptions {
    /// Subjects it may act for; if there are any, `sub` is required.
    pub subjects: Vec<String>,
    /// Scopes it may ask for; also what it gets when it asks for none.
    pub scopes: Vec<String>,
    /// The `aud` expected of this client instead of the server's.
    pub audience: Option<String>,
    /// The client secret it must present, by Basic or in the body.
    pub secret: Option<String>,
    /// Its client id if not the issuer name.
    pub client_id: Option<String>,
    /// The `alg` values it registered; empty is whatever fits its keys.
    pub algorithms: Vec<String>,
    /// The `kid` its assertions must carry.
    pub kid: Option<String>,
    /// Shared secret of HS256, HS384 and HS512. Without it these are refused.
    pub hmac_secret: Option<String>,
}

pub(crate) struct Client {
    pub(crate) issuer: String,
    pub(crate) keys: Vec<VerificationKey>,
    pub(crate) options: ClientOptions,
}

impl Client {
    pub(crate) fn new<K: AsRef<str>>(
        issuer: &str,
        pems: &[K],
        options: ClientOptions,
    ) -> Result<Self, String> {
        let mut keys = Vec::new();
        for pem in pems {
            keys.push(VerificationKey::from_pem(pem.as_ref())?);
        }
        if let Some(secret) = &options.hmac_secret {
            keys.push(VerificationKey::from_hmac_secret(secret.as_bytes()));
        }
        Ok(Client { issuer: issuer.to_owned(), keys, options })
    }

    pub(crate) fn client_id(&self) -> &str {
        self.options.client_id.as_deref().unwrap_or(&self.issuer)
    }

    pub(crate) fn registered(&self, algorithm: &str) -> bool {
        let listed = &self.options.algorithms;
        if listed.is_empty() {
            return self.keys.iter().any(|key| key.fits(algorithm));
        }
        algorithm != "none" && listed.iter().any(|one| one == algorithm)
    }
}
