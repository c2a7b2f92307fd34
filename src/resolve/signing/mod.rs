//! What is signed, and with what: the options that make an assertion.

use jsonwebtoken::Algorithm;

use super::OptionResolver;
use crate::base::error::Status;
use crate::base::policy::{Permission, Restriction};
use crate::base::sanitize;
use crate::base::url::EndpointUrl;
use crate::jwt::{JoseHeader, RawObject};
use crate::key::{CertHeader, KeyOrigin, KeySource, Pkcs11Uri, StorePurpose};
use crate::options::{OptionId, OptionOrigin, OptionType};
use crate::provider::{Profile, ScopeLocation};
use crate::resolve::profile_defaults::{IssuerSubject, needs_key_fingerprint};

/// Headers that would have the server look for its rules or its key in the assertion itself.
const FORBIDDEN_HEADERS: [&str; 4] = ["crit", "b64", "jwk", "jku"];

/// Claims that are made from other options, or that bear on the assertion's validity.
const RESERVED_CLAIMS: [&str; 8] = ["iss", "sub", "aud", "exp", "nbf", "iat", "jti", "scope"];

/// What is signed, and with what.
#[derive(Debug, Hash)]
pub struct AssertionConfig {
    /// Where the key is.
    pub key: KeySource,
    /// What stands in front of the claims.
    pub header: JoseHeader,
    /// iss.
    pub issuer: String,
    /// Whether the fingerprint of the key is written behind iss.
    pub append_key_fingerprint: bool,
    /// sub.
    pub subject: Option<String>,
    /// aud; JSON where the user wrote several.
    pub audience: Option<String>,
    /// The scope claim.
    pub scope: Option<String>,
    /// Whether the scope claim is an array.
    pub scope_is_array: bool,
    /// Seconds by which iat lies back, if not as usual.
    pub iat_backdate: Option<u32>,
    /// exp − iat, in seconds.
    pub lifetime: u32,
    /// Claims of the user's own, which win over all of these.
    pub additional_claims: RawObject,
}

impl OptionResolver<'_> {
    /// What is signed: for a user or, as RFC 7523 section 2.2 has it, for the client itself.
    pub(super) fn assertion_config(
        &mut self,
        endpoint: Option<&EndpointUrl>,
        profile: Option<&Profile>,
        as_client: bool,
    ) -> Option<AssertionConfig> {
        let additional = self.additional_claims();
        let IssuerSubject { issuer, subject } = self.issuer_and_subject(&additional, profile, as_client);
        let mut header = self.jose_header();
        self.apply_header_defaults(&mut header, profile);
        let key = self.key_source(&header);
        let scope = self.scope_for(endpoint, profile, ScopeLocation::Claim);
        let has_scope = scope.is_some() || additional.contains_key("scope");
        let audience = additional.get_string("aud").or_else(|| self.text(OptionId::ClaimsAudience));
        let audience = audience.or_else(|| self.default_audience(endpoint, profile, has_scope));
        let lifetime = self.assertion_lifetime(profile);
        self.check_profile_requirements(&header, &additional, profile);
        let issuer = issuer?;
        Some(AssertionConfig {
            key: key?,
            header,
            append_key_fingerprint: needs_key_fingerprint(&issuer, profile)
                && !additional.contains_key("iss"),
            issuer,
            subject,
            audience,
            scope,
            scope_is_array: profile.is_some_and(|profile| profile.scope_is_array),
            iat_backdate: profile.and_then(|profile| profile.iat_backdate_secs),
            lifetime,
            additional_claims: additional,
        })
    }

    pub(super) fn add_conflict(&mut self, one: OptionId, other: OptionId) {
        let text = format!("and {} are both given; give one", other.as_str());
        self.add_error(Status::InvalidOption, one, &text);
    }

    pub(super) fn key_source(&mut self, header: &JoseHeader) -> Option<KeySource> {
        let origin = self.key_origin(header.algorithm)?;
        let certificate = self.configured_path(OptionId::JWTCertificate);
        let alone = KeySource {
            purpose: StorePurpose::Assertion,
            origin,
            password: None,
            key_password: None,
            alias: None,
            certificate: None,
            forbid_weak_encryption: false,
            require_private_file: false,
        };
        Some(match &alone.origin {
            KeyOrigin::HmacSecret(_) => {
                self.check_hmac_secret(header, certificate.is_some());
                alone
            }
            KeyOrigin::Callback(signer) => {
                self.check_signer(header, signer.algorithm());
                KeySource { certificate, ..alone }
            }
            KeyOrigin::File(_) | KeyOrigin::Pkcs11(_) | KeyOrigin::Inline(_) => KeySource {
                password: self.secret(OptionId::JWTCertPassword),
                key_password: self.secret(OptionId::JWTCertKeyPassword),
                alias: self.text(OptionId::JWTCertAlias),
                certificate,
                forbid_weak_encryption: self.policy.forbids(Restriction::WeakStores),
                require_private_file: self.has_value(OptionId::KeyFileCheck, "1"),
                ..alone
            },
        })
    }

    /// The one place where the key is. A signer outranks what the options say of one, as a set option outranks a string.
    fn key_origin(&mut self, algorithm: Option<Algorithm>) -> Option<KeyOrigin> {
        if let Some(signer) = self.signer {
            return Some(KeyOrigin::Callback(signer.clone()));
        }
        let store = match self.text(OptionId::JWTCertStore) {
            Some(typed) => Some(self.key_store_origin(OptionId::JWTCertStore, typed)?),
            None => None,
        };
        let text = self.secret(OptionId::JWTPrivateKey).map(KeyOrigin::Inline);
        let shared = self.secret(OptionId::JWTSecret).map(KeyOrigin::HmacSecret);
        let wants_secret = matches!(algorithm, Some(Algorithm::HS256 | Algorithm::HS384 | Algorithm::HS512));
        if wants_secret && shared.is_none() {
            self.missing.push(OptionId::JWTSecret);
            return None;
        }
        match (store, text, shared) {
            (Some(_), _, Some(_)) => self.add_conflict(OptionId::JWTSecret, OptionId::JWTCertStore),
            (Some(_), Some(_), None) => self.add_conflict(OptionId::JWTPrivateKey, OptionId::JWTCertStore),
            (None, Some(_), Some(_)) => self.add_conflict(OptionId::JWTSecret, OptionId::JWTPrivateKey),
            (None, None, None) => self.missing.push(OptionId::JWTCertStore),
            (origin, None, None) | (None, origin, None) | (None, None, origin) => return origin,
        }
        None
    }

    /// Where a store is: a file, or a key on a token. A module is code, and the text that is given to open may come from a
    /// stranger; so may a FILEDSN and a model file, which it names.
    pub(super) fn key_store_origin(&mut self, name: OptionId, typed: String) -> Option<KeyOrigin> {
        if !Pkcs11Uri::has_scheme(&typed) {
            return self.configured_path(name).map(KeyOrigin::File);
        }
        if !self.check_path(name) {
            return None;
        }
        let uri = Pkcs11Uri::parse(&typed)
            .map_err(|reason| self.add_error(Status::InvalidOption, name, &reason))
            .ok()?;
        for ignored in uri.ignored_attributes() {
            self.add_warning(
                name,
                &format!("has {ignored} behind its ?, which means nothing here and was ignored"),
            );
        }
        let of_host = matches!(self.value(name)?.origin, OptionOrigin::Dsn | OptionOrigin::SetOption);
        if uri.module_path().is_some() && !of_host && !self.policy.allows(Permission::Modules) {
            let text = format!(
                "has a module-path, which the policy of this process does not allow ({}); leave it out or give \
                 module-name, and the module comes from p11-kit's configuration",
                Permission::Modules.name()
            );
            self.add_error(Status::InvalidOption, name, &text);
            return None;
        }
        Some(KeyOrigin::Pkcs11(uri))
    }

    fn check_signer(&mut self, header: &JoseHeader, signs: Algorithm) {
        let Some(other) = header.algorithm.filter(|wanted| *wanted != signs) else { return };
        let given = self.value(OptionId::JWTAlgorithm).is_some();
        let (name, verb) =
            if given { (OptionId::JWTAlgorithm, "is") } else { (OptionId::JWTHeaders, "sets alg to") };
        let text = format!(
            "{verb} {other:?}, and the signer (authgrant_set_signer) signs {signs:?}; say the same or leave it out"
        );
        self.add_error(Status::InvalidOption, name, &text);
    }

    fn check_hmac_secret(&mut self, header: &JoseHeader, has_certificate: bool) {
        let given = [
            (OptionId::JWTThumbprint, !header.cert_headers.is_empty()),
            (OptionId::JWTCertificate, has_certificate),
        ];
        for (name, _) in given.into_iter().filter(|(_, given)| *given) {
            let text = "is for the certificate of a private key, and JWTSecret has none";
            self.add_error(Status::InvalidOption, name, text);
        }
    }

    pub(super) fn jose_header(&mut self) -> JoseHeader {
        let additional = self.json_object(OptionId::JWTHeaders);
        for name in FORBIDDEN_HEADERS.into_iter().filter(|name| additional.contains_key(name)) {
            let text = format!("sets {name}, which no assertion may carry");
            self.add_error(Status::InvalidOption, OptionId::JWTHeaders, &text);
        }
        // What stands beside a key comes with the key, so that the two are never of different times.
        let said = self.value(OptionId::JWTKeyID).filter(|value| value.origin != OptionOrigin::KeyFile);
        let key_id = said.map(|value| value.text.reveal().to_owned());
        let other = additional.get_raw("kid").is_some() && additional.get_string("kid") != key_id;
        if key_id.is_some() && other {
            self.add_error(
                Status::InvalidOption,
                OptionId::JWTHeaders,
                "sets another kid than JWTKeyID; give one of them",
            );
        }
        JoseHeader {
            algorithm: self.algorithm(&additional),
            key_id,
            cert_headers: self.cert_headers(),
            preferred_algorithms: Vec::new(),
            additional: additional.without("alg"),
        }
    }

    /// JWTAlgorithm, or its synonym, the alg of JWTHeaders.
    fn algorithm(&mut self, headers: &RawObject) -> Option<Algorithm> {
        let given = self.text(OptionId::JWTAlgorithm).and_then(|name| parse_algorithm(&name));
        let Some(name) = headers.get_string("alg") else {
            return given;
        };
        let synonym = parse_algorithm(&name);
        match (given, synonym) {
            (_, None) => {
                let text = "sets an alg that is not one of JWTAlgorithm's";
                self.add_error(Status::InvalidOption, OptionId::JWTHeaders, text);
            }
            (Some(given), Some(synonym)) if given != synonym => {
                let text =
                    format!("sets alg to {synonym:?}, and JWTAlgorithm is {given:?}; give one of them");
                self.add_error(Status::InvalidOption, OptionId::JWTHeaders, &text);
            }
            _ => {}
        }
        given.or(synonym)
    }

    fn cert_headers(&mut self) -> Vec<CertHeader> {
        let text = self.text(OptionId::JWTThumbprint).unwrap_or_default();
        let mut wanted = Vec::new();
        for name in text.split(',').map(str::trim).filter(|name| !name.is_empty()) {
            match CertHeader::from_name(name) {
                Some(known) if wanted.contains(&known) => {}
                Some(known) => wanted.push(known),
                None => {
                    let name = sanitize::value(name);
                    let text = format!(
                        "names \"{name}\"; expected any of x5t, x5t#S256 and x5c, separated by commas"
                    );
                    self.add_error(Status::InvalidOption, OptionId::JWTThumbprint, &text);
                }
            }
        }
        wanted
    }

    fn additional_claims(&mut self) -> RawObject {
        let members = self.json_object(OptionId::ClaimsAdditional);
        for name in RESERVED_CLAIMS.into_iter().filter(|name| members.contains_key(name)) {
            if ["exp", "nbf", "iat"].contains(&name) && members.get_timestamp(name).is_none() {
                let text = format!("sets {name} to something that is not a number; it is seconds since 1970");
                self.add_error(Status::InvalidOption, OptionId::ClaimsAdditional, &text);
            }
            let text = format!("sets {name} itself; what the other options say of it does not count");
            self.add_warning(OptionId::ClaimsAdditional, &text);
        }
        members
    }

    /// The JSON object that an option is; empty if there is none or it has been found fault with.
    fn json_object(&mut self, name: OptionId) -> RawObject {
        let Some(value) = self.value(name) else {
            return RawObject::default();
        };
        value.as_json_object().unwrap_or_else(|reason| {
            let text = format!(
                "{reason} (in a connection string: {}={{{{\"name\":\"value\"}}}}}}, every }} doubled)",
                name.as_str()
            );
            self.add_error(Status::InvalidOption, name, &text);
            RawObject::default()
        })
    }
}

/// The algorithm of that name, in any case.
fn parse_algorithm(name: &str) -> Option<Algorithm> {
    let OptionType::Choice(words) = OptionId::JWTAlgorithm.spec()?.option_type else {
        return None;
    };
    words.iter().find(|word| word.eq_ignore_ascii_case(name))?.parse().ok()
}

#[cfg(test)]
mod tests;
