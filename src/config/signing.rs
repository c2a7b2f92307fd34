//! What is signed, and with what: the options that make an assertion.

use std::path::PathBuf;

use jsonwebtoken::Algorithm;

use super::Reader;
use crate::key::KeySource;
use crate::options::Name;
use crate::provider::{Profile, ScopeIn};
use crate::url::Url;

/// What is signed, and with what.
#[derive(Debug, Hash)]
pub struct Signing {
    /// Where the key is.
    pub key: KeySource,
    /// The store's path, absolute: a relative one means another file after a chdir.
    pub path: PathBuf,
    /// The algorithm, if not the key's own.
    pub algorithm: Option<Algorithm>,
    /// iss.
    pub issuer: String,
    /// sub.
    pub subject: Option<String>,
    /// aud.
    pub audience: Option<String>,
    /// The scope claim.
    pub scope: Option<String>,
    /// exp − iat, in seconds.
    pub lifetime: u32,
}

impl Reader<'_> {
    pub(super) fn signing(&mut self, endpoint: Option<&Url>, profile: Option<&Profile>) -> Option<Signing> {
        let (issuer, store) = (self.need(Name::ClaimsIssuer), self.need(Name::JWTCertStore));
        let audience = self.text(Name::ClaimsAudience).or_else(|| default_audience(endpoint?, profile));
        let algorithm = self.text(Name::JWTAlgorithm).and_then(|name| name.to_ascii_uppercase().parse().ok());
        let lifetime = self.number(Name::JWTLifetime).and_then(|seconds| u32::try_from(seconds).ok());
        let store = store?;
        Some(Signing {
            path: absolute(&store),
            key: KeySource {
                store,
                password: self.secret(Name::JWTCertPassword),
                key_password: self.secret(Name::JWTCertKeyPassword),
                alias: self.text(Name::JWTCertAlias),
            },
            algorithm,
            issuer: issuer?,
            subject: self.text(Name::ClaimsSubject),
            audience,
            scope: self.scope(profile, ScopeIn::Claim),
            lifetime: lifetime.unwrap_or(300),
        })
    }
}

fn default_audience(endpoint: &Url, profile: Option<&Profile>) -> Option<String> {
    let bare = profile.is_some_and(|profile| profile.audience_is_host);
    Some(if bare { endpoint.host().to_owned() } else { endpoint.as_written().to_owned() })
}

/// A relative path is meant from where the process stands now.
fn absolute(path: &str) -> PathBuf {
    std::path::absolute(path).unwrap_or_else(|_| PathBuf::from(path))
}
