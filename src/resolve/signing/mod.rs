//! Assertion options: the signing key, the JOSE header and the claims.

use jsonwebtoken::Algorithm;

use super::PresignedAssertion;
use super::grant::GrantInputs;
use super::method::ResolvedMethod;
use super::option_resolver::OptionResolver;
use super::problems::Part;
use crate::base::error::OptionError;
use crate::base::policy::{Permission, Restriction};
use crate::base::sanitize;
use crate::jwt::{JoseHeader, RawObject};
use crate::key::{CertHeader, KeyOrigin, KeySource, Pkcs11Uri, StorePurpose};
use crate::options::{AuthMethod, OptionId, OptionOrigin, OptionType, table};
use crate::provider::ScopeLocation;
use crate::resolve::profile_defaults::{IssuerSubject, needs_key_fingerprint};

/// Headers by which the assertion itself would tell the server the processing rules or the verification key.
const FORBIDDEN_HEADERS: [&str; 4] = ["crit", "b64", "jwk", "jku"];

/// Header members whose value is a string (RFC 7515 sections 4.1.1 to 4.1.10), and `x5c`, an array of strings.
const STRING_HEADERS: [&str; 7] = ["alg", "kid", "typ", "cty", "x5u", "x5t", "x5t#S256"];

/// Claims that are set from options, or by the library at each signature (`None`).
const RESERVED_CLAIMS: [(&str, Option<OptionId>); 8] = [
    ("iss", Some(OptionId::ClaimsIssuer)),
    ("sub", Some(OptionId::ClaimsSubject)),
    ("aud", Some(OptionId::ClaimsAudience)),
    ("scope", Some(OptionId::Scope)),
    ("exp", None),
    ("nbf", None),
    ("iat", None),
    ("jti", None),
];

/// The settings of a signed assertion.
#[derive(Clone, Debug, Hash)]
pub struct AssertionConfig {
    /// The signing key.
    pub key: KeySource,
    /// The JOSE header.
    pub header: JoseHeader,
    /// iss.
    pub issuer: String,
    /// Whether the fingerprint of the key is appended to iss.
    pub append_key_fingerprint: bool,
    /// sub.
    pub subject: Option<String>,
    /// aud; a JSON array if several values are configured.
    pub audience: Option<String>,
    /// The scope claim.
    pub scope: Option<String>,
    /// Whether the scope claim is an array.
    pub scope_is_array: bool,
    /// How many seconds iat is backdated, if it differs from the default.
    pub iat_backdate: Option<u32>,
    /// exp − iat, in seconds.
    pub lifetime: u32,
    /// ClaimsAdditional, which overrides all of these.
    pub additional_claims: RawObject,
}

/// A signing key with its requirements.
#[derive(Debug)]
pub struct KeyRequirements {
    /// The key.
    pub source: KeySource,
    /// The JOSE header, with the algorithm and the certificate headers that the key must support.
    pub header: JoseHeader,
}

/// The signing key, as far as it can be resolved.
#[derive(Debug)]
pub(super) struct SigningKey {
    pub(super) header: JoseHeader,
    pub(super) source: Option<KeySource>,
}

/// What the metadata of a key file cannot change: the method, and the key itself.
#[derive(Debug)]
pub(super) struct SigningParts {
    pub(super) method: Part<Option<ResolvedMethod>>,
    pub(super) key: Part<SigningKey>,
    pub(super) presigned_assertion: Part<Option<PresignedAssertion>>,
}

impl SigningParts {
    /// The key if the method signs with it, and whether the assertion is sent to a token endpoint, if there
    /// is one.
    pub(super) fn key_file(&self) -> Option<(&KeySource, bool)> {
        let uses_token_endpoint = match self.method.value?.method {
            AuthMethod::JwtBearer => true,
            AuthMethod::ClientAssertion if self.presigned_assertion.value.is_none() => true,
            AuthMethod::SignedJwt => false,
            _ => return None,
        };
        Some((self.key.value.source.as_ref()?, uses_token_endpoint))
    }
}

impl OptionResolver<'_> {
    pub(super) fn signing_parts(&mut self) -> SigningParts {
        SigningParts {
            method: self.part(Self::auth_method),
            key: self.part(|part| {
                let header = part.jose_header();
                SigningKey { source: part.key_source(&header), header }
            }),
            presigned_assertion: self.part(Self::presigned_assertion),
        }
    }

    /// The settings of an assertion for a user or, with `as_client`, for client authentication (RFC 7523
    /// section 2.2).
    pub(super) fn assertion_config(
        &mut self,
        inputs: &GrantInputs<'_>,
        as_client: bool,
    ) -> Option<AssertionConfig> {
        let GrantInputs { endpoint, profile, .. } = *inputs;
        let additional = self.additional_claims();
        let IssuerSubject { issuer, subject } = self.issuer_and_subject(&additional, profile, as_client);
        let SigningKey { header, source } = self.accept(inputs.key);
        let scope = self.scope_for(endpoint, profile, ScopeLocation::Claim);
        let has_scope = scope.is_some() || additional.contains_key("scope");
        let audience = additional.get_string("aud").or_else(|| self.text(OptionId::ClaimsAudience));
        let audience = audience.or_else(|| self.default_audience(endpoint, profile, has_scope));
        let lifetime = self.assertion_lifetime(profile);
        self.check_profile_requirements(header, &additional, profile);
        self.check_certificate_use(header, source.as_ref());
        let issuer = issuer?;
        Some(AssertionConfig {
            key: source.clone()?,
            header: header.clone(),
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

    pub(super) fn add_conflict(&mut self, option: OptionId, other: OptionId) {
        let text = format!("and {} are mutually exclusive", other.as_str());
        self.add_error(OptionError::Invalid, option, &text);
    }

    fn key_source(&mut self, header: &JoseHeader) -> Option<KeySource> {
        let origin = self.key_origin(header.algorithm)?;
        let certificate = self.configured_path(OptionId::JWTCertificate);
        let base = KeySource {
            purpose: StorePurpose::Assertion,
            origin,
            password: None,
            key_password: None,
            alias: None,
            key_id: None,
            algorithm: None,
            certificate: None,
            forbid_weak_encryption: false,
            require_private_file: false,
        };
        Some(match &base.origin {
            KeyOrigin::HmacSecret(_) => {
                self.check_hmac_secret(header, certificate.is_some());
                base
            }
            KeyOrigin::Callback(signer) => {
                self.check_signer(header, signer.algorithm());
                KeySource { certificate, ..base }
            }
            KeyOrigin::File(_) | KeyOrigin::Pkcs11(_) | KeyOrigin::Inline(_) => KeySource {
                password: self.secret(OptionId::JWTCertPassword),
                key_password: self.secret(OptionId::JWTCertKeyPassword),
                alias: self.text(OptionId::JWTCertAlias),
                key_id: header.key_id.clone().or_else(|| header.additional.get_string("kid")),
                algorithm: header.algorithm,
                certificate,
                forbid_weak_encryption: self.policy.forbids(Restriction::WeakStores),
                require_private_file: self.has_value(OptionId::KeyFileCheck, "1"),
                ..base
            },
        })
    }

    /// The only source of the key. A signer outranks the options, as an option set by the caller outranks the
    /// connection string.
    fn key_origin(&mut self, algorithm: Option<Algorithm>) -> Option<KeyOrigin> {
        if let Some(signer) = self.signer {
            return Some(KeyOrigin::Callback(signer.clone()));
        }
        let store = match self.text(OptionId::JWTCertStore) {
            Some(store) => Some(self.key_store_origin(OptionId::JWTCertStore, store)?),
            None => None,
        };
        let inline = self.secret(OptionId::JWTPrivateKey).map(KeyOrigin::Inline);
        let hmac_secret = self.secret(OptionId::JWTSecret).map(KeyOrigin::HmacSecret);
        let requires_secret =
            matches!(algorithm, Some(Algorithm::HS256 | Algorithm::HS384 | Algorithm::HS512));
        // A JSON Web Key in the other options may be a shared secret, too.
        if requires_secret && (&store, &inline, &hmac_secret) == (&None, &None, &None) {
            self.problems.missing.push(OptionId::JWTSecret);
            return None;
        }
        match (store, inline, hmac_secret) {
            (Some(_), _, Some(_)) => self.add_conflict(OptionId::JWTSecret, OptionId::JWTCertStore),
            (Some(_), Some(_), None) => self.add_conflict(OptionId::JWTPrivateKey, OptionId::JWTCertStore),
            (None, Some(_), Some(_)) => self.add_conflict(OptionId::JWTSecret, OptionId::JWTPrivateKey),
            (None, None, None) => self.problems.missing.push(OptionId::JWTCertStore),
            (origin, None, None) | (None, origin, None) | (None, None, origin) => return origin,
        }
        None
    }

    /// The key store: a file, or a key on a PKCS#11 token. A PKCS#11 module is executable code, and the
    /// connection string and the FILEDSN and model file that it names may be untrusted, so that they must not
    /// set a module path.
    pub(super) fn key_store_origin(&mut self, name: OptionId, text: String) -> Option<KeyOrigin> {
        if !Pkcs11Uri::has_scheme(&text) {
            return self.configured_path(name).map(KeyOrigin::File);
        }
        if !self.check_path(name) {
            return None;
        }
        let uri = Pkcs11Uri::parse(&text)
            .map_err(|reason| self.add_error(OptionError::Invalid, name, &reason))
            .ok()?;
        for ignored in uri.ignored_attributes() {
            self.add_warning(name, &format!("has the unsupported query attribute {ignored}; it is ignored"));
        }
        let is_trusted = matches!(self.value(name)?.origin, OptionOrigin::Dsn | OptionOrigin::SetOption);
        if uri.module_path().is_some() && !is_trusted && !self.policy.allows(Permission::Modules) {
            let text = format!(
                "has a module-path, which the process policy does not allow ({}); remove it, or use \
                 module-name to select a module of the p11-kit configuration",
                Permission::Modules.name()
            );
            self.add_error(OptionError::Invalid, name, &text);
            return None;
        }
        Some(KeyOrigin::Pkcs11(uri))
    }

    fn check_signer(&mut self, header: &JoseHeader, signer_algorithm: Algorithm) {
        let Some(algorithm) = header.algorithm.filter(|algorithm| *algorithm != signer_algorithm) else {
            return;
        };
        let is_set = self.value(OptionId::JWTAlgorithm).is_some();
        let (name, verb) =
            if is_set { (OptionId::JWTAlgorithm, "is") } else { (OptionId::JWTHeaders, "sets alg to") };
        let text = format!(
            "{verb} {algorithm:?}, but the signer (authgrant_set_signer) uses {signer_algorithm:?}; set the \
             same algorithm, or none"
        );
        self.add_error(OptionError::Invalid, name, &text);
    }

    fn check_hmac_secret(&mut self, header: &JoseHeader, has_certificate: bool) {
        let options = [
            (OptionId::JWTThumbprint, !header.cert_headers.is_empty()),
            (OptionId::JWTCertificate, has_certificate),
        ];
        for (name, _) in options.into_iter().filter(|(_, is_set)| *is_set) {
            let text = "requires a private key with a certificate and cannot be used with JWTSecret";
            self.add_error(OptionError::Invalid, name, text);
        }
    }

    fn jose_header(&mut self) -> JoseHeader {
        let additional = self.json_object(OptionId::JWTHeaders);
        for name in FORBIDDEN_HEADERS.into_iter().filter(|name| additional.contains_key(name)) {
            let text = format!("must not set {name}");
            self.add_error(OptionError::Invalid, OptionId::JWTHeaders, &text);
        }
        self.check_header_types(&additional);
        // The key ID in a key file is read together with the key, so that both are always from the same
        // version.
        let configured = self.value(OptionId::JWTKeyID).filter(|value| value.origin != OptionOrigin::KeyFile);
        let key_id = configured.map(|value| value.text.reveal().to_owned());
        let differs = additional.get_raw("kid").is_some() && additional.get_string("kid") != key_id;
        if key_id.is_some() && differs {
            self.add_error(OptionError::Invalid, OptionId::JWTHeaders, "sets a kid different from JWTKeyID");
        }
        JoseHeader {
            algorithm: self.algorithm(&additional),
            key_id,
            cert_headers: self.cert_headers(),
            preferred_algorithms: Vec::new(),
            additional: additional.without("alg"),
        }
    }

    fn check_header_types(&mut self, headers: &RawObject) {
        let is_text = |json: &str| serde_json::from_str::<String>(json).is_ok();
        let is_list = |json: &str| serde_json::from_str::<Vec<String>>(json).is_ok();
        for name in
            STRING_HEADERS.iter().filter(|name| headers.get_raw(name).is_some_and(|json| !is_text(json)))
        {
            let text = format!("must set {name} to a string (RFC 7515 section 4.1)");
            self.add_error(OptionError::Invalid, OptionId::JWTHeaders, &text);
        }
        if headers.get_raw("x5c").is_some_and(|json| !is_list(json)) {
            let text = "must set x5c to an array of strings (RFC 7515 section 4.1.6)";
            self.add_error(OptionError::Invalid, OptionId::JWTHeaders, text);
        }
    }

    /// JWTAlgorithm, or the equivalent alg of JWTHeaders.
    fn algorithm(&mut self, headers: &RawObject) -> Option<Algorithm> {
        let configured = self.text(OptionId::JWTAlgorithm).and_then(|name| parse_algorithm(&name));
        let Some(name) = headers.get_string("alg") else {
            return configured;
        };
        let from_header = parse_algorithm(&name);
        match (configured, from_header) {
            (_, None) => {
                let text = "sets an unsupported alg; expected a value of JWTAlgorithm";
                self.add_error(OptionError::Invalid, OptionId::JWTHeaders, text);
            }
            (Some(configured), Some(from_header)) if configured != from_header => {
                let text = format!(
                    "sets alg to {from_header:?}, which is different from JWTAlgorithm={configured:?}"
                );
                self.add_error(OptionError::Invalid, OptionId::JWTHeaders, &text);
            }
            _ => {}
        }
        configured.or(from_header)
    }

    fn cert_headers(&mut self) -> Vec<CertHeader> {
        let text = self.text(OptionId::JWTThumbprint).unwrap_or_default();
        let mut headers = Vec::new();
        for name in text.split(',').map(str::trim).filter(|name| !name.is_empty()) {
            match CertHeader::from_name(name) {
                Some(header) if headers.contains(&header) => {}
                Some(header) => headers.push(header),
                None => {
                    let name = sanitize::value(name);
                    let text = format!(
                        "contains \"{name}\"; expected any of x5t, x5t#S256 and x5c, separated by commas"
                    );
                    self.add_error(OptionError::Invalid, OptionId::JWTThumbprint, &text);
                }
            }
        }
        headers
    }

    fn additional_claims(&mut self) -> RawObject {
        let claims = self.json_object(OptionId::ClaimsAdditional);
        for (name, option) in RESERVED_CLAIMS.into_iter().filter(|(name, _)| claims.contains_key(name)) {
            if ["exp", "nbf", "iat"].contains(&name) && claims.get_timestamp(name).is_none() {
                let text = format!("must set {name} to a number (seconds since 1970)");
                self.add_error(OptionError::Invalid, OptionId::ClaimsAdditional, &text);
            }
            let text = match option {
                Some(option) if self.value(option).is_some() => {
                    format!("sets {name}; it overrides {}", option.as_str())
                }
                Some(_) => continue,
                None => format!("sets {name}, which is then the same in each JWT"),
            };
            self.add_warning(OptionId::ClaimsAdditional, &text);
        }
        claims
    }

    /// The JSON object in an option; empty if the option is unset or invalid.
    fn json_object(&mut self, name: OptionId) -> RawObject {
        let Some(value) = self.value(name) else {
            return RawObject::default();
        };
        value.as_json_object().unwrap_or_else(|reason| {
            let text = format!(
                "{reason} (in a connection string: {}={{{{\"name\":\"value\"}}}}}}, every }} doubled)",
                name.as_str()
            );
            self.add_error(OptionError::Invalid, name, &text);
            RawObject::default()
        })
    }
}

/// Finds an algorithm by name, case-insensitive.
fn parse_algorithm(name: &str) -> Option<Algorithm> {
    let OptionType::Choice(choices) = OptionId::JWTAlgorithm.spec()?.option_type else {
        return None;
    };
    choices.iter().find(|choice| table::is_word(name, choice))?.parse().ok()
}

#[cfg(test)]
mod tests;
