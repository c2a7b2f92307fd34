//! A key ready to sign, parsed once: RSA of 2048 to 8192 bits (PSS alone where the key says so), EC on P-256 or P-384,
//! Ed25519, a shared secret, or one that others sign with.
//!
//! `jsonwebtoken::encode` stays out of the path, as it parses the key for each signature.

pub(super) mod callback;
pub(super) mod ecdsa;
pub(super) mod external;
pub(super) mod pss;

use std::fmt;

use aws_lc_rs::digest::{SHA256, digest};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use jsonwebtoken::Algorithm;
use rustls::pki_types::CertificateDer;

use super::{KeyBytes, KeyOrigin, KeySource, ParsedKey};
use crate::base::error::{Error, Result, Status};
use crate::base::file::LoosePermissions;
use crate::key::certificate::cert_header::{CertHeader, CertHeaderValues};
use crate::key::certificate::chain;
use crate::key::certificate::x509::CertificateInfo;
use crate::key::hmac_secret::{self, HmacSecret};
use crate::key::private_key::{self, PrivateKey};
use crate::key::signing::external::ExternalKey;

/// A key, parsed, with the certificates that stood beside it.
pub struct SigningKey {
    /// For messages alone.
    source: KeySource,
    private_key: PrivateKey,
    alias: Option<String>,
    key_id: Option<String>,
    certificates: Vec<CertificateDer<'static>>,
    header_values: Option<CertHeaderValues>,
    certificate_info: Option<CertificateInfo>,
    /// That others may read or write the file that it came from.
    pub(super) loose_permissions: Option<LoosePermissions>,
}

impl SigningKey {
    pub(super) fn new(source: &KeySource, material: ParsedKey) -> Result<Self> {
        let ParsedKey { key, certificates, alias, key_id } = material;
        let pair = match key {
            KeyBytes::Private(der) => private_key::parse(source, &der)?,
            KeyBytes::HmacSecret(secret) => PrivateKey::HmacSecret(HmacSecret::from_bytes(secret)),
        };
        let mut key = Self { alias, key_id, ..Self::without_certificates(source, pair) };
        key.attach_chain(chain::build_for_public_key(key.public_key(), &certificates));
        Ok(key)
    }

    /// The shared secret that is `written`.
    pub(super) fn from_hmac_secret(source: &KeySource, written: &str) -> Result<Self> {
        Ok(Self::without_certificates(source, PrivateKey::HmacSecret(HmacSecret::parse(source, written)?)))
    }

    /// The key that `key` signs with.
    pub(super) fn from_external(source: &KeySource, key: impl ExternalKey + 'static) -> Self {
        Self::without_certificates(source, PrivateKey::External(Box::new(key)))
    }

    /// `pair` without anything beside it.
    fn without_certificates(source: &KeySource, pair: PrivateKey) -> Self {
        Self {
            source: source.without_secrets(),
            private_key: pair,
            alias: None,
            key_id: None,
            certificates: Vec::new(),
            header_values: None,
            certificate_info: None,
            loose_permissions: None,
        }
    }

    /// The same under the name that it has where it is.
    #[cfg(feature = "pkcs11")]
    pub(super) fn with_alias(self, alias: String) -> Self {
        Self { alias: Some(alias), ..self }
    }

    /// Whether the key is no longer where it was, so that it is to be opened anew.
    pub(super) fn is_detached(&self) -> bool {
        matches!(&self.private_key, PrivateKey::External(key) if key.is_detached())
    }

    /// Takes over `chain`, which is this key's, unless one came with the key.
    pub(super) fn attach_chain(&mut self, chain: Vec<CertificateDer<'static>>) {
        if self.certificates.is_empty() {
            self.header_values = CertHeaderValues::from_chain(&chain);
            self.certificate_info = chain.first().and_then(|leaf| CertificateInfo::from_der(leaf));
            self.certificates = chain;
        }
    }

    pub(super) fn public_key(&self) -> &[u8] {
        self.private_key.public_key()
    }

    /// The alias of the key as its store spells it; nothing for PEM.
    #[must_use]
    pub fn alias(&self) -> Option<&str> {
        self.alias.as_deref()
    }

    /// By which the server knows the key, where its file says it: the kid of a JSON Web Key, and what Google's and Box's
    /// files have in its place.
    #[must_use]
    pub fn key_id(&self) -> Option<&str> {
        self.key_id.as_deref()
    }

    /// Its type and size, such as `RSA 2048`.
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

    /// What it can sign by, its own algorithm first.
    #[must_use]
    pub fn algorithms(&self) -> &[Algorithm] {
        self.private_key.algorithms()
    }

    /// What the key's certificate says of itself; nothing if none came with the key.
    #[must_use]
    pub fn certificate_info(&self) -> Option<&CertificateInfo> {
        self.certificate_info.as_ref()
    }

    /// What every connection that uses the key is to be told at `now`, in seconds since 1970: that its certificate does not
    /// hold, that others may read or write its file.
    #[must_use]
    pub fn warnings(&self, now: i64) -> Vec<Error> {
        let dates =
            self.validity_problem(now).map(|text| format!("{text}; servers that look at dates refuse it"));
        let mode =
            self.loose_permissions.map(|exposed| format!("{exposed} (KeyFileCheck=1 makes this an error)"));
        let warning = |text| {
            let text = format!("{} {text}", self.source.display_name());
            Error::warning("01000", "key store", text).with_option(self.source.option())
        };
        dates.into_iter().chain(mode).map(warning).collect()
    }

    fn validity_problem(&self, now: i64) -> Option<String> {
        let CertificateInfo { validity, not_before, not_after, .. } = self.certificate_info()?;
        let (from, to) = *validity;
        if now < from {
            Some(format!("has a certificate that is not valid before {not_before}"))
        } else if now >= to {
            Some(format!("has a certificate that expired on {not_after}"))
        } else {
            None
        }
    }

    /// The key's certificate and those of its issuers, leaf first; empty if none came with the key.
    #[must_use]
    pub fn certificates(&self) -> &[CertificateDer<'static>] {
        &self.certificates
    }

    /// The JSON value by which a header names the key's certificate.
    ///
    /// # Errors
    /// [`Status::MissingOption`] where there is no certificate.
    pub fn certificate_header(&self, wanted: CertHeader) -> Result<&str> {
        self.header_values.as_ref().map(|values| values.json_value(wanted)).ok_or_else(|| {
            let text = format!(
                "holds no certificate of the key, which JWTThumbprint {} needs; set JWTCertificate to its X.509 file",
                wanted.name()
            );
            self.source.error(Status::MissingOption, "JWTCertificate", text)
        })
    }

    /// The algorithm to sign with: `wanted` if the key fits it, the first of the key's own if none is wanted.
    pub fn select_algorithm(&self, wanted: Option<Algorithm>) -> Result<Algorithm> {
        if let PrivateKey::HmacSecret(secret) = &self.private_key {
            self.check_secret_length(secret, wanted)?;
        }
        let fits = self.private_key.algorithms();
        match (wanted, fits) {
            (None, [own, ..]) => Ok(*own),
            (Some(wanted), fits) if fits.contains(&wanted) => Ok(wanted),
            (wanted, fits) => Err(self.algorithm_mismatch_error(wanted.unwrap_or_default(), fits)),
        }
    }

    /// As [`Self::algorithm`]; without a wanted one the first of `preferred` that the key fits, if there is one.
    ///
    /// # Errors
    /// Those of [`Self::algorithm`].
    pub fn select_algorithm_preferring(
        &self,
        wanted: Option<Algorithm>,
        preferred: &[Algorithm],
    ) -> Result<Algorithm> {
        let fits = self.private_key.algorithms();
        self.select_algorithm(wanted.or_else(|| preferred.iter().copied().find(|one| fits.contains(one))))
    }

    /// `SHA256:` and the digest of the public key, as Snowflake names keys.
    ///
    /// # Errors
    /// [`Status::KeyUnsuitable`] for a shared secret, which has no public half; [`Status::MissingOption`] where that of
    /// a signer is not known.
    pub fn fingerprint(&self) -> Result<String> {
        let public = self.private_key.subject_public_key_info();
        public.map(|info| format!("SHA256:{}", STANDARD.encode(digest(&SHA256, &info)))).ok_or_else(|| {
            match self.source.origin {
                KeyOrigin::HmacSecret(_) => self
                    .source
                    .unsuitable_error("is a shared secret; the issuer is to name a key pair by its public half"),
                _ => self.source.error(
                    Status::MissingOption,
                    "JWTCertificate",
                    "does not tell the public half of its key, by which the issuer is to name it; set JWTCertificate \
                     to the key's X.509 file",
                ),
            }
        })
    }

    fn check_secret_length(&self, secret: &HmacSecret, wanted: Option<Algorithm>) -> Result<()> {
        let ((algorithm, least), found) = (hmac_secret::min_bits(wanted), secret.bit_length());
        if found >= least {
            return Ok(());
        }
        Err(self.source.unsuitable_error(format!(
            "has {found} bits; {algorithm:?} wants {least} at least (RFC 7518 section 3.2)"
        )))
    }

    fn algorithm_mismatch_error(&self, wanted: Algorithm, fits: &[Algorithm]) -> Error {
        let needed = match wanted {
            Algorithm::ES256 => "an EC key on P-256",
            Algorithm::ES384 => "an EC key on P-384",
            Algorithm::HS256 | Algorithm::HS384 | Algorithm::HS512 => "a shared secret (JWTSecret)",
            Algorithm::EdDSA => "an Ed25519 key",
            _ => "an RSA key",
        };
        let fits: Vec<_> = fits.iter().map(|fit| format!("{fit:?}")).collect();
        self.source.unsuitable_error(format!(
            "has {}, which signs {}; {wanted:?} needs {needed}",
            self.private_key.description(),
            fits.join(", ")
        ))
    }

    /// The signature of `message` as a JWS has it, by `algorithm`, which is one that [`Self::algorithm`] gave.
    ///
    /// # Errors
    /// Those of whoever signs with the key; [`Status::Internal`] for an algorithm that the key does not fit.
    pub fn sign(&self, algorithm: Algorithm, message: &[u8]) -> Result<Vec<u8>> {
        self.private_key.sign(algorithm, message).unwrap_or_else(|| {
            Err(self.source.error(
                Status::Internal,
                self.source.option(),
                format!("did not sign {algorithm:?}"),
            ))
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
