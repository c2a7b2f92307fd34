//! What is signed, and with what: the options that make an assertion.

use jsonwebtoken::Algorithm;

use super::Reader;
use crate::base::error::Status;
use crate::base::policy::{Permission, Restriction};
use crate::base::sanitize;
use crate::base::url::EndpointUrl;
use crate::jwt::{JoseHeader, RawObject};
use crate::key::{KeyOrigin, KeySource, Purpose, Thumbprint, Uri};
use crate::options::{Kind, Name, Origin};
use crate::provider::{Profile, ScopeLocation};
use crate::resolve::profile_defaults::{Parties, lacks_fingerprint};

/// Headers that would have the server look for its rules or its key in the assertion itself.
const FORBIDDEN: [&str; 4] = ["crit", "b64", "jwk", "jku"];

/// Claims that are made from other options, or that bear on the assertion's validity.
const RESERVED: [&str; 8] = ["iss", "sub", "aud", "exp", "nbf", "iat", "jti", "scope"];

/// What is signed, and with what.
#[derive(Debug, Hash)]
pub struct Signing {
    /// Where the key is.
    pub key: KeySource,
    /// What stands in front of the claims.
    pub header: JoseHeader,
    /// iss.
    pub issuer: String,
    /// Whether the fingerprint of the key is written behind iss.
    pub keyed_issuer: bool,
    /// sub.
    pub subject: Option<String>,
    /// aud; JSON where the user wrote several.
    pub audience: Option<String>,
    /// The scope claim.
    pub scope: Option<String>,
    /// Whether the scope claim is an array.
    pub scope_is_array: bool,
    /// Seconds by which iat lies back, if not as usual.
    pub backdated: Option<u32>,
    /// exp − iat, in seconds.
    pub lifetime: u32,
    /// Claims of the user's own, which win over all of these.
    pub additional: RawObject,
}

impl Reader<'_> {
    /// What is signed: for a user or, as RFC 7523 section 2.2 has it, for the client itself.
    pub(super) fn signing(
        &mut self,
        endpoint: Option<&EndpointUrl>,
        profile: Option<&Profile>,
        as_client: bool,
    ) -> Option<Signing> {
        let additional = self.additional_claims();
        let Parties { issuer, subject } = self.parties(&additional, profile, as_client);
        let mut header = self.assertion_header();
        self.complete(&mut header, profile);
        let key = self.key_source(&header);
        let scope = self.scope(endpoint, profile, ScopeLocation::Claim);
        let has_scope = scope.is_some() || additional.contains_key("scope");
        let audience = additional.get_string("aud").or_else(|| self.text(Name::ClaimsAudience));
        let audience = audience.or_else(|| self.default_audience(endpoint, profile, has_scope));
        let lifetime = self.lifetime(profile);
        self.check_needs(&header, &additional, profile);
        let issuer = issuer?;
        Some(Signing {
            key: key?,
            header,
            keyed_issuer: lacks_fingerprint(&issuer, profile) && !additional.contains_key("iss"),
            issuer,
            subject,
            audience,
            scope,
            scope_is_array: profile.is_some_and(|profile| profile.scope_is_array),
            backdated: profile.and_then(|profile| profile.iat_backdate_secs),
            lifetime,
            additional,
        })
    }

    pub(super) fn both(&mut self, one: Name, other: Name) {
        let text = format!("and {} are both given; give one", other.text());
        self.fault(Status::InvalidOption, one, &text);
    }

    pub(super) fn key_source(&mut self, header: &JoseHeader) -> Option<KeySource> {
        let origin = self.key_origin(header.algorithm)?;
        let certificate = self.location(Name::JWTCertificate);
        let alone = KeySource {
            purpose: Purpose::Assertion,
            origin,
            password: None,
            key_password: None,
            alias: None,
            certificate: None,
            strong: false,
            guarded: false,
        };
        Some(match &alone.origin {
            KeyOrigin::Shared(_) => {
                self.check_shared(header, certificate.is_some());
                alone
            }
            KeyOrigin::Signer(signer) => {
                self.check_signer(header, signer.algorithm());
                KeySource { certificate, ..alone }
            }
            KeyOrigin::Store(_) | KeyOrigin::Pkcs11(_) | KeyOrigin::Text(_) => KeySource {
                password: self.secret(Name::JWTCertPassword),
                key_password: self.secret(Name::JWTCertKeyPassword),
                alias: self.text(Name::JWTCertAlias),
                certificate,
                strong: self.policy.forbids(Restriction::WeakStores),
                guarded: self.is(Name::KeyFileCheck, "1"),
                ..alone
            },
        })
    }

    /// The one place where the key is. A signer outranks what the options say of one, as a set option outranks a string.
    fn key_origin(&mut self, algorithm: Option<Algorithm>) -> Option<KeyOrigin> {
        if let Some(signer) = self.signer {
            return Some(KeyOrigin::Signer(signer.clone()));
        }
        let store = match self.text(Name::JWTCertStore) {
            Some(typed) => Some(self.store(Name::JWTCertStore, typed)?),
            None => None,
        };
        let text = self.secret(Name::JWTPrivateKey).map(KeyOrigin::Text);
        let shared = self.secret(Name::JWTSecret).map(KeyOrigin::Shared);
        let wants_secret = matches!(algorithm, Some(Algorithm::HS256 | Algorithm::HS384 | Algorithm::HS512));
        if wants_secret && shared.is_none() {
            self.missing.push(Name::JWTSecret);
            return None;
        }
        match (store, text, shared) {
            (Some(_), _, Some(_)) => self.both(Name::JWTSecret, Name::JWTCertStore),
            (Some(_), Some(_), None) => self.both(Name::JWTPrivateKey, Name::JWTCertStore),
            (None, Some(_), Some(_)) => self.both(Name::JWTSecret, Name::JWTPrivateKey),
            (None, None, None) => self.missing.push(Name::JWTCertStore),
            (origin, None, None) | (None, origin, None) | (None, None, origin) => return origin,
        }
        None
    }

    /// Where a store is: a file, or a key on a token. A module is code, and the text that is given to open may come from a
    /// stranger; so may a FILEDSN and a model file, which it names.
    pub(super) fn store(&mut self, name: Name, typed: String) -> Option<KeyOrigin> {
        if !Uri::is(&typed) {
            return self.location(name).map(KeyOrigin::Store);
        }
        if !self.check_path(name) {
            return None;
        }
        let uri =
            Uri::parse(&typed).map_err(|reason| self.fault(Status::InvalidOption, name, &reason)).ok()?;
        for ignored in uri.ignored() {
            self.warn(name, &format!("has {ignored} behind its ?, which means nothing here and was ignored"));
        }
        let of_host = matches!(self.value(name)?.origin, Origin::Dsn | Origin::SetOption);
        if uri.module_path().is_some() && !of_host && !self.policy.allows(Permission::Modules) {
            let text = format!(
                "has a module-path, which the policy of this process does not allow ({}); leave it out or give \
                 module-name, and the module comes from p11-kit's configuration",
                Permission::Modules.name()
            );
            self.fault(Status::InvalidOption, name, &text);
            return None;
        }
        Some(KeyOrigin::Pkcs11(uri))
    }

    fn check_signer(&mut self, header: &JoseHeader, signs: Algorithm) {
        let Some(other) = header.algorithm.filter(|wanted| *wanted != signs) else { return };
        let given = self.value(Name::JWTAlgorithm).is_some();
        let (name, verb) = if given { (Name::JWTAlgorithm, "is") } else { (Name::JWTHeaders, "sets alg to") };
        let text = format!(
            "{verb} {other:?}, and the signer (authgrant_set_signer) signs {signs:?}; say the same or leave it out"
        );
        self.fault(Status::InvalidOption, name, &text);
    }

    fn check_shared(&mut self, header: &JoseHeader, has_certificate: bool) {
        let given =
            [(Name::JWTThumbprint, !header.cert_headers.is_empty()), (Name::JWTCertificate, has_certificate)];
        for (name, _) in given.into_iter().filter(|(_, given)| *given) {
            let text = "is for the certificate of a private key, and JWTSecret has none";
            self.fault(Status::InvalidOption, name, text);
        }
    }

    pub(super) fn assertion_header(&mut self) -> JoseHeader {
        let additional = self.members(Name::JWTHeaders);
        for name in FORBIDDEN.into_iter().filter(|name| additional.contains_key(name)) {
            let text = format!("sets {name}, which no assertion may carry");
            self.fault(Status::InvalidOption, Name::JWTHeaders, &text);
        }
        // What stands beside a key comes with the key, so that the two are never of different times.
        let said = self.value(Name::JWTKeyID).filter(|value| value.origin != Origin::KeyFile);
        let key_id = said.map(|value| value.text.reveal().to_owned());
        let other = additional.get_raw("kid").is_some() && additional.get_string("kid") != key_id;
        if key_id.is_some() && other {
            self.fault(
                Status::InvalidOption,
                Name::JWTHeaders,
                "sets another kid than JWTKeyID; give one of them",
            );
        }
        JoseHeader {
            algorithm: self.algorithm(&additional),
            key_id,
            cert_headers: self.thumbprints(),
            preferred_algorithms: Vec::new(),
            additional: additional.without("alg"),
        }
    }

    /// JWTAlgorithm, or its synonym, the alg of JWTHeaders.
    fn algorithm(&mut self, headers: &RawObject) -> Option<Algorithm> {
        let given = self.text(Name::JWTAlgorithm).and_then(|name| algorithm_called(&name));
        let Some(name) = headers.get_string("alg") else {
            return given;
        };
        let synonym = algorithm_called(&name);
        match (given, synonym) {
            (_, None) => {
                let text = "sets an alg that is not one of JWTAlgorithm's";
                self.fault(Status::InvalidOption, Name::JWTHeaders, text);
            }
            (Some(given), Some(synonym)) if given != synonym => {
                let text =
                    format!("sets alg to {synonym:?}, and JWTAlgorithm is {given:?}; give one of them");
                self.fault(Status::InvalidOption, Name::JWTHeaders, &text);
            }
            _ => {}
        }
        given.or(synonym)
    }

    fn thumbprints(&mut self) -> Vec<Thumbprint> {
        let text = self.text(Name::JWTThumbprint).unwrap_or_default();
        let mut wanted = Vec::new();
        for name in text.split(',').map(str::trim).filter(|name| !name.is_empty()) {
            match Thumbprint::called(name) {
                Some(known) if wanted.contains(&known) => {}
                Some(known) => wanted.push(known),
                None => {
                    let name = sanitize::value(name);
                    let text = format!(
                        "names \"{name}\"; expected any of x5t, x5t#S256 and x5c, separated by commas"
                    );
                    self.fault(Status::InvalidOption, Name::JWTThumbprint, &text);
                }
            }
        }
        wanted
    }

    fn additional_claims(&mut self) -> RawObject {
        let members = self.members(Name::ClaimsAdditional);
        for name in RESERVED.into_iter().filter(|name| members.contains_key(name)) {
            if ["exp", "nbf", "iat"].contains(&name) && members.get_timestamp(name).is_none() {
                let text = format!("sets {name} to something that is not a number; it is seconds since 1970");
                self.fault(Status::InvalidOption, Name::ClaimsAdditional, &text);
            }
            let text = format!("sets {name} itself; what the other options say of it does not count");
            self.warn(Name::ClaimsAdditional, &text);
        }
        members
    }

    /// The JSON object that an option is; empty if there is none or it has been found fault with.
    fn members(&mut self, name: Name) -> RawObject {
        let Some(value) = self.value(name) else {
            return RawObject::default();
        };
        value.members().unwrap_or_else(|reason| {
            let text = format!(
                "{reason} (in a connection string: {}={{{{\"name\":\"value\"}}}}}}, every }} doubled)",
                name.text()
            );
            self.fault(Status::InvalidOption, name, &text);
            RawObject::default()
        })
    }
}

/// The algorithm of that name, in any case.
fn algorithm_called(name: &str) -> Option<Algorithm> {
    let Kind::Choice(words) = Name::JWTAlgorithm.definition()?.kind else {
        return None;
    };
    words.iter().find(|word| word.eq_ignore_ascii_case(name))?.parse().ok()
}

#[cfg(test)]
mod tests;
