//! Signing keys, parsed once: RSA of 2048 to 8192 bits (PSS only, if the key is restricted to it), EC on
//! P-256 or P-384, Ed25519, a shared secret, or an external key.
//!
//! `jsonwebtoken::encode` is not used, because it parses the key for each signature.

pub(super) mod callback;
pub(super) mod ecdsa;

use std::fmt;

use aws_lc_rs::digest::{SHA256, digest};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use jsonwebtoken::Algorithm;
use rustls::pki_types::CertificateDer;

use crate::base::error::{Error, ErrorKind, OptionError, Result, WarningKind};
use crate::base::file::LoosePermissions;
use crate::key::certificate::cert_header::{CertHeader, CertHeaderValues};
use crate::key::certificate::chain;
use crate::key::certificate::x509::CertificateInfo;
use crate::key::parsed_key::{KeyBytes, ParsedKey};
use crate::key::private_key::external::ExternalKey;
use crate::key::private_key::hmac_secret::{self, HmacSecret};
use crate::key::private_key::material::KeyMaterial;
use crate::key::private_key::{self, PrivateKey};
use crate::key::source::KeySource;

/// How long before its end a certificate causes a warning, in seconds: 30 days.
const EXPIRY_WARNING_SECS: i64 = 30 * 86_400;

/// A parsed key with the certificates stored alongside it.
pub struct SigningKey {
    /// Only for messages.
    source: KeySource,
    private_key: PrivateKey,
    alias: Option<String>,
    key_id: Option<String>,
    /// The only algorithm, if the file restricts the key to one.
    algorithm: Option<Algorithm>,
    /// Why certificates of the store cannot be read.
    certificate_problem: Option<String>,
    certificates: Vec<CertificateDer<'static>>,
    header_values: Option<CertHeaderValues>,
    certificate_info: Option<CertificateInfo>,
    /// Permissions by which others may read or write the key file.
    pub(super) loose_permissions: Option<LoosePermissions>,
    /// Warning that the key was chosen among several.
    pub(super) choice_warning: Option<Error>,
    /// Unix time at which another key may have to be chosen.
    pub(super) choice_ends_at: Option<i64>,
}

impl SigningKey {
    pub(super) fn new(source: &KeySource, parsed: ParsedKey) -> Result<Self> {
        let ParsedKey { key, certificates, alias, key_id, algorithm, certificate_problem } = parsed;
        let private_key = match key {
            KeyBytes::Private(der) => private_key::parse(source, &der)?,
            KeyBytes::HmacSecret(secret) => PrivateKey::HmacSecret(HmacSecret::from_bytes(secret)),
        };
        let is_damaged = certificates.iter().any(|certificate| !chain::is_certificate(certificate));
        let damaged = is_damaged.then(|| "has damaged certificates".to_owned());
        let certificate_problem = certificate_problem.or(damaged);
        let key = Self::without_certificates(source, private_key);
        let mut key = Self { alias, key_id, algorithm, certificate_problem, ..key };
        key.check_algorithm_restriction()?;
        key.attach_chain(chain::build_for_public_key(key.public_key(), &certificates));
        Ok(key)
    }

    /// The shared secret with the option value `text`.
    pub(super) fn from_hmac_secret(source: &KeySource, text: &str) -> Result<Self> {
        Ok(Self::without_certificates(source, PrivateKey::HmacSecret(HmacSecret::parse(source, text)?)))
    }

    /// A key that delegates signing to `key`.
    pub(super) fn from_external(source: &KeySource, key: impl ExternalKey + 'static) -> Self {
        Self::without_certificates(source, PrivateKey::External(Box::new(key)))
    }

    /// `private_key` without alias, key ID and certificates.
    fn without_certificates(source: &KeySource, private_key: PrivateKey) -> Self {
        Self {
            source: source.without_secrets(),
            private_key,
            alias: None,
            key_id: None,
            algorithm: None,
            certificate_problem: None,
            certificates: Vec::new(),
            header_values: None,
            certificate_info: None,
            loose_permissions: None,
            choice_warning: None,
            choice_ends_at: None,
        }
    }

    /// The same key with `alias`.
    #[cfg(feature = "pkcs11")]
    pub(super) fn with_alias(self, alias: String) -> Self {
        Self { alias: Some(alias), ..self }
    }

    /// Whether the key has become unavailable, so that it must be opened again.
    pub(super) fn is_detached(&self) -> bool {
        matches!(&self.private_key, PrivateKey::External(key) if key.is_detached())
    }

    /// Whether the key was chosen among several, and another one may have to be chosen at `now` (Unix time).
    pub(super) fn is_choice_outdated(&self, now: i64) -> bool {
        self.choice_ends_at.is_some_and(|end| now >= end)
    }

    /// Attaches `chain`, which must belong to this key, unless the key already has certificates.
    pub(super) fn attach_chain(&mut self, chain: Vec<CertificateDer<'static>>) {
        if self.certificates.is_empty() {
            self.header_values = CertHeaderValues::from_chain(&chain);
            self.certificate_info = chain.first().and_then(|leaf| CertificateInfo::from_der(leaf));
            self.certificates = chain;
        }
    }

    /// Whether the key is a shared secret.
    pub(super) fn is_shared_secret(&self) -> bool {
        matches!(self.private_key, PrivateKey::HmacSecret(_))
    }

    pub(super) fn public_key(&self) -> &[u8] {
        self.private_key.public_key()
    }

    /// SubjectPublicKeyInfo of the key (RFC 5280 section 4.1); `None` for a shared secret, and if the public
    /// key of a signer callback is unknown.
    #[must_use]
    pub fn subject_public_key_info(&self) -> Option<Vec<u8>> {
        self.private_key.subject_public_key_info()
    }

    /// The secret numbers of the key, which do not depend on the format of its file; `None` for a key on a
    /// token or of a signer callback.
    #[must_use]
    pub fn material(&self) -> Option<KeyMaterial> {
        self.private_key.material()
    }

    /// Alias of the key as spelled in its store; `None` for PEM.
    #[must_use]
    pub fn alias(&self) -> Option<&str> {
        self.alias.as_deref()
    }

    /// Key ID known to the server, if the file contains it: the kid of a JSON Web Key, or its equivalent in
    /// Google's and Box's files.
    #[must_use]
    pub fn key_id(&self) -> Option<&str> {
        self.key_id.as_deref()
    }

    /// Type and size, such as `RSA 2048`.
    #[must_use]
    pub fn type_and_size(&self) -> String {
        match &self.private_key {
            PrivateKey::Rsa(pair, _) => format!("RSA {}", pair.public_modulus_len().saturating_mul(8)),
            PrivateKey::P256(_) => "EC P-256".to_owned(),
            PrivateKey::P384(_) => "EC P-384".to_owned(),
            PrivateKey::Ed25519(_) => "Ed25519".to_owned(),
            PrivateKey::HmacSecret(secret) => format!("HMAC {}", secret.bit_length()),
            PrivateKey::External(key) => key.type_and_size(),
        }
    }

    /// Supported algorithms, the preferred one first.
    #[must_use]
    pub fn algorithms(&self) -> &[Algorithm] {
        self.algorithm.as_ref().map_or(self.private_key.algorithms(), std::slice::from_ref)
    }

    /// Checks that the key supports the algorithm to which its file restricts it.
    fn check_algorithm_restriction(&self) -> Result<()> {
        let Some(algorithm) = self.algorithm else { return Ok(()) };
        let is_supported = match &self.private_key {
            // Its length is checked when the algorithm is selected.
            PrivateKey::HmacSecret(_) => hmac_secret::is_hmac(algorithm),
            key => key.algorithms().contains(&algorithm),
        };
        if is_supported {
            return Ok(());
        }
        let description = self.private_key.description();
        Err(self
            .source
            .unsuitable_error(format!("has a JSON Web Key with alg {algorithm:?}, but it is {description}")))
    }

    /// Subject and validity of the key's certificate; `None` without a certificate.
    #[must_use]
    pub fn certificate_info(&self) -> Option<&CertificateInfo> {
        self.certificate_info.as_ref()
    }

    /// Warnings for every connection that uses the key at `now` (Unix time): a choice among several keys, a
    /// certificate that is not valid or ends soon, certificates that cannot be read, and loose permissions of
    /// the key file.
    #[must_use]
    pub fn warnings(&self, now: i64) -> Vec<Error> {
        let validity = self.validity_problem(now);
        let certificates = self.certificate_problem.as_ref().map(|text| format!("{text}; they are ignored"));
        let permissions =
            self.loose_permissions.map(|found| format!("{found} (KeyFileCheck=1 makes this an error)"));
        let warning = |text| {
            let text = format!("{} {text}", self.source.display_name());
            Error::new(WarningKind::General, "key store", text).with_option(self.source.option())
        };
        let texts = validity.into_iter().chain(certificates).chain(permissions);
        self.choice_warning.iter().cloned().chain(texts.map(warning)).collect()
    }

    fn validity_problem(&self, now: i64) -> Option<String> {
        let CertificateInfo { validity, not_before, not_after, .. } = self.certificate_info()?;
        let (from, to) = *validity;
        if now < from {
            Some(format!(
                "has a certificate that is not valid before {not_before}; servers that check validity will \
                 reject it"
            ))
        } else if now >= to {
            Some(format!(
                "has a certificate that expired on {not_after}; servers that check validity will reject it"
            ))
        } else if to.saturating_sub(now) <= EXPIRY_WARNING_SECS {
            Some(format!(
                "has a certificate that expires on {not_after}; replace it before, and register the new one \
                 with the server"
            ))
        } else {
            None
        }
    }

    /// Certificate chain of the key, leaf first; empty without a certificate.
    #[must_use]
    pub fn certificates(&self) -> &[CertificateDer<'static>] {
        &self.certificates
    }

    /// JSON value of the JWT header member `header`, which names the key's certificate.
    ///
    /// # Errors
    /// [`OptionError::Missing`] without a certificate.
    pub fn certificate_header(&self, header: CertHeader) -> Result<&str> {
        self.header_values.as_ref().map(|values| values.json_value(header)).ok_or_else(|| {
            let problem = self.certificate_problem.as_ref();
            let problem = problem.map_or_else(String::new, |problem| format!("{problem}; it "));
            let text = format!(
                "{problem}has no certificate of the key, which JWTThumbprint {} requires; set JWTCertificate \
                 to its X.509 file",
                header.name()
            );
            self.source.error(OptionError::Missing, "JWTCertificate", text)
        })
    }

    /// Selects the algorithm to sign with: `requested`, or by default the preferred algorithm of the key.
    ///
    /// # Errors
    /// `KeyError::Unsuitable` if the key does not support it.
    pub fn select_algorithm(&self, requested: Option<Algorithm>) -> Result<Algorithm> {
        if let PrivateKey::HmacSecret(secret) = &self.private_key {
            self.check_secret_length(secret, requested.or(self.algorithm))?;
        }
        let supported = self.algorithms();
        match (requested, supported) {
            (None, [own, ..]) => Ok(*own),
            (Some(requested), supported) if supported.contains(&requested) => Ok(requested),
            (requested, supported) => {
                Err(self.algorithm_mismatch_error(requested.unwrap_or_default(), supported))
            }
        }
    }

    /// As [`Self::select_algorithm`]; the default is the first of `preferred` that the key supports, if any.
    ///
    /// # Errors
    /// Those of [`Self::select_algorithm`].
    pub fn select_algorithm_preferring(
        &self,
        requested: Option<Algorithm>,
        preferred: &[Algorithm],
    ) -> Result<Algorithm> {
        let supported = self.algorithms();
        self.select_algorithm(
            requested.or_else(|| preferred.iter().copied().find(|algorithm| supported.contains(algorithm))),
        )
    }

    /// `SHA256:` and the digest of the public key, Snowflake's format of key fingerprints.
    ///
    /// # Errors
    /// `KeyError::Unsuitable` for a shared secret, which has no public key; [`OptionError::Missing`] if
    /// the public key of a signer callback is unknown.
    pub fn fingerprint(&self) -> Result<String> {
        let public = self.private_key.subject_public_key_info();
        public.map(|info| format!("SHA256:{}", STANDARD.encode(digest(&SHA256, &info)))).ok_or_else(|| {
            match self.private_key {
                PrivateKey::HmacSecret(_) => self
                    .source
                    .unsuitable_error("is a shared secret; the issuer fingerprint requires a key pair"),
                _ => self.source.error(
                    OptionError::Missing,
                    "JWTCertificate",
                    "has an unknown public key, which is needed for the issuer fingerprint; set \
                     JWTCertificate to the key's X.509 file",
                ),
            }
        })
    }

    fn check_secret_length(&self, secret: &HmacSecret, requested: Option<Algorithm>) -> Result<()> {
        let ((algorithm, min_bits), found) = (hmac_secret::min_bits(requested), secret.bit_length());
        if found >= min_bits {
            return Ok(());
        }
        Err(self.source.unsuitable_error(format!(
            "has {found} bits; {algorithm:?} requires at least {min_bits} (RFC 7518 section 3.2)"
        )))
    }

    fn algorithm_mismatch_error(&self, requested: Algorithm, supported: &[Algorithm]) -> Error {
        if let Some(own) = self.algorithm {
            let text = format!("cannot be used with {requested:?}: its alg is {own:?}");
            return self.source.unsuitable_error(text);
        }
        let required = match requested {
            Algorithm::ES256 => "an EC key on P-256",
            Algorithm::ES384 => "an EC key on P-384",
            Algorithm::HS256 | Algorithm::HS384 | Algorithm::HS512 => {
                "a shared secret (JWTSecret, or a JSON Web Key of kty oct in JWTSecret, JWTPrivateKey or \
                 JWTCertStore)"
            }
            Algorithm::EdDSA => "an Ed25519 key",
            _ => "an RSA key",
        };
        let supported: Vec<_> = supported.iter().map(|algorithm| format!("{algorithm:?}")).collect();
        self.source.unsuitable_error(format!(
            "cannot be used with {requested:?}: it is {} ({}); {required} is required",
            self.private_key.description(),
            supported.join(", ")
        ))
    }

    /// Signs `message` by `algorithm`, a result of [`Self::select_algorithm`], and returns the signature in
    /// JWS format.
    ///
    /// # Errors
    /// If a token or a signer callback fails; [`ErrorKind::Internal`] for an algorithm that the key does not
    /// support.
    pub fn sign(&self, algorithm: Algorithm, message: &[u8]) -> Result<Vec<u8>> {
        self.private_key.sign(algorithm, message).unwrap_or_else(|| {
            Err(self.source.error(
                ErrorKind::Internal,
                self.source.option(),
                format!("cannot sign with {algorithm:?}"),
            ))
        })
    }

    /// Like [`Self::sign`], in the format of TLS and X.509: an ECDSA signature is in DER.
    ///
    /// # Errors
    /// As [`Self::sign`].
    pub fn sign_for_tls(&self, algorithm: Algorithm, message: &[u8]) -> Result<Vec<u8>> {
        let signature = self.sign(algorithm, message)?;
        Ok(match algorithm {
            Algorithm::ES256 | Algorithm::ES384 => ecdsa::to_der(&signature),
            _ => signature,
        })
    }
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SigningKey")
            .field("source", &self.source.display_name())
            .field("alias", &self.alias)
            .field("key", &self.private_key.description())
            .finish_non_exhaustive()
    }
}
