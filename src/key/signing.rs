//! A key ready to sign, parsed once: RSA of 2048 to 8192 bits (PSS alone where the key says so), EC on P-256 or P-384,
//! Ed25519, or a shared secret.
//!
//! `jsonwebtoken::encode` stays out of the path, as it parses the key for each signature; [`KeySigner`] is its
//! `JwtSigner` over the parsed key.

use std::fmt;

use ::der::asn1::{AnyRef, ObjectIdentifier};
use ::der::{Tag, Tagged};
use aws_lc_rs::digest::{SHA256, digest};
use aws_lc_rs::encoding::{AsDer as _, PublicKeyX509Der};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{
    self as aws, EcdsaKeyPair, Ed25519KeyPair, KeyPair as _, RsaEncoding, RsaKeyPair,
};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use jsonwebtoken::Algorithm;
use jsonwebtoken::crypto::JwtSigner;
use rustls::pki_types::CertificateDer;

use super::shared::{self, Shared};
use super::thumbprint::{Thumbprint, Thumbprints};
use super::x509::Facts;
use super::{Key, KeySource, Material, chain, der, oid, pss};
use crate::error::{Error, Result, Status};

const RSA: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.1");
const RSA_PSS: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.10");
const EC: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.2.1");
const ED25519: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.101.112");
const P256: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.3.1.7");
const P384: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.132.0.34");

/// Keys that are met and cannot sign a JWT here, by the number of their kind or curve.
const OTHERS: [(&str, &str); 7] = [
    ("1.2.840.10040.4.1", "a DSA key"),
    ("1.3.101.110", "an X25519 key"),
    ("1.3.101.113", "an Ed448 key"),
    ("1.3.132.0.10", "an EC key on secp256k1"),
    ("1.3.132.0.33", "an EC key on P-224"),
    ("1.3.132.0.35", "an EC key on P-521, for ES512, which is not supported"),
    ("1.2.840.10045.3.1.1", "an EC key on P-192"),
];

/// What an RSA key signs by that does not say otherwise.
const RSA_ALGORITHMS: [Algorithm; 6] = [
    Algorithm::RS256,
    Algorithm::RS384,
    Algorithm::RS512,
    Algorithm::PS256,
    Algorithm::PS384,
    Algorithm::PS512,
];

enum Pair {
    /// And what it may sign by.
    Rsa(Box<RsaKeyPair>, &'static [Algorithm]),
    P256(EcdsaKeyPair),
    P384(EcdsaKeyPair),
    Ed25519(Ed25519KeyPair),
    Shared(Shared),
}

/// A key, parsed, with the certificates that stood beside it.
pub struct SigningKey {
    /// For messages alone.
    source: KeySource,
    pair: Pair,
    alias: Option<String>,
    key_id: Option<String>,
    certificates: Vec<CertificateDer<'static>>,
    thumbprints: Option<Thumbprints>,
}

impl SigningKey {
    pub(super) fn new(source: &KeySource, material: Material) -> Result<Self> {
        let Material { key, certificates, alias, key_id } = material;
        let pair = match key {
            Key::Private(der) => parse(source, &der)?,
            Key::Shared(secret) => Pair::Shared(Shared::of(secret)),
        };
        let certificates = chain::of(pair.public_key(), &certificates);
        let thumbprints = Thumbprints::of(&certificates);
        let source = source.without_secrets();
        Ok(Self { source, pair, alias, key_id, certificates, thumbprints })
    }

    /// The shared secret that is `written`.
    pub(super) fn shared(source: &KeySource, written: &str) -> Result<Self> {
        let pair = Pair::Shared(Shared::new(source, written)?);
        let source = source.without_secrets();
        Ok(Self { source, pair, alias: None, key_id: None, certificates: Vec::new(), thumbprints: None })
    }

    /// Takes over `chain`, which is this key's, unless one came with the key.
    pub(super) fn offer(&mut self, chain: Vec<CertificateDer<'static>>) {
        if self.certificates.is_empty() {
            self.thumbprints = Thumbprints::of(&chain);
            self.certificates = chain;
        }
    }

    pub(super) fn public_key(&self) -> &[u8] {
        self.pair.public_key()
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
    pub fn kind(&self) -> String {
        match &self.pair {
            Pair::Rsa(pair, _) => format!("RSA {}", pair.public_modulus_len().saturating_mul(8)),
            Pair::P256(_) => "EC P-256".to_owned(),
            Pair::P384(_) => "EC P-384".to_owned(),
            Pair::Ed25519(_) => "Ed25519".to_owned(),
            Pair::Shared(secret) => format!("HMAC {}", secret.bits()),
        }
    }

    /// What it can sign by, its own algorithm first.
    #[must_use]
    pub fn algorithms(&self) -> &'static [Algorithm] {
        self.pair.algorithms()
    }

    /// What the key's certificate says of itself; nothing if none came with the key.
    #[must_use]
    pub fn certificate(&self) -> Option<Facts> {
        Facts::of(self.certificates.first()?)
    }

    /// That the key's certificate does not hold at `now`, in seconds since 1970; nothing if it does, or if none came
    /// with the key.
    #[must_use]
    pub fn date_warning(&self, now: i64) -> Option<Error> {
        let Facts { validity: (from, to), not_before, not_after, .. } = self.certificate()?;
        let text = if now < from {
            format!("has a certificate that is not valid before {not_before}")
        } else if now >= to {
            format!("has a certificate that expired on {not_after}")
        } else {
            return None;
        };
        let text = format!("{} {text}; servers that look at dates refuse it", self.source.named());
        Some(Error::warning("01000", "key store", text).with_option(self.source.option()))
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
    pub fn thumbprint(&self, wanted: Thumbprint) -> Result<&str> {
        self.thumbprints.as_ref().map(|values| values.json(wanted)).ok_or_else(|| {
            let text = format!(
                "holds no certificate of the key, which JWTThumbprint {} needs; set JWTCertificate to its X.509 file",
                wanted.name()
            );
            self.source.error(Status::MissingOption, "JWTCertificate", text)
        })
    }

    /// The algorithm to sign with: `wanted` if the key fits it, the first of the key's own if none is wanted.
    pub fn algorithm(&self, wanted: Option<Algorithm>) -> Result<Algorithm> {
        if let Pair::Shared(secret) = &self.pair {
            self.check_length(secret, wanted)?;
        }
        let fits = self.pair.algorithms();
        match (wanted, fits) {
            (None, [own, ..]) => Ok(*own),
            (Some(wanted), fits) if fits.contains(&wanted) => Ok(wanted),
            (wanted, fits) => Err(self.misfit(wanted.unwrap_or_default(), fits)),
        }
    }

    /// As [`Self::algorithm`]; without a wanted one the first of `preferred` that the key fits, if there is one.
    ///
    /// # Errors
    /// Those of [`Self::algorithm`].
    pub fn algorithm_among(&self, wanted: Option<Algorithm>, preferred: &[Algorithm]) -> Result<Algorithm> {
        let fits = self.pair.algorithms();
        self.algorithm(wanted.or_else(|| preferred.iter().copied().find(|one| fits.contains(one))))
    }

    /// `SHA256:` and the digest of the public key, as Snowflake names keys.
    ///
    /// # Errors
    /// [`Status::KeyUnsuitable`] for a shared secret, which has no public half.
    pub fn fingerprint(&self) -> Result<String> {
        let public = self.pair.public_key_info();
        public.map(|info| format!("SHA256:{}", STANDARD.encode(digest(&SHA256, &info)))).ok_or_else(|| {
            self.source.unsuitable("is a shared secret; the issuer is to name a key pair by its public half")
        })
    }

    fn check_length(&self, secret: &Shared, wanted: Option<Algorithm>) -> Result<()> {
        let ((algorithm, least), found) = (shared::least(wanted), secret.bits());
        if found >= least {
            return Ok(());
        }
        Err(self.source.unsuitable(format!(
            "has {found} bits; {algorithm:?} wants {least} at least (RFC 7518 section 3.2)"
        )))
    }

    fn misfit(&self, wanted: Algorithm, fits: &[Algorithm]) -> Error {
        let needed = match wanted {
            Algorithm::ES256 => "an EC key on P-256",
            Algorithm::ES384 => "an EC key on P-384",
            Algorithm::HS256 | Algorithm::HS384 | Algorithm::HS512 => "a shared secret (JWTSecret)",
            Algorithm::EdDSA => "an Ed25519 key",
            _ => "an RSA key",
        };
        let fits: Vec<_> = fits.iter().map(|fit| format!("{fit:?}")).collect();
        self.source.unsuitable(format!(
            "has {}, which signs {}; {wanted:?} needs {needed}",
            self.pair.described(),
            fits.join(", ")
        ))
    }

    /// What signs with this key by `algorithm`, which is one that [`Self::algorithm`] gave.
    #[must_use]
    pub fn signer(&self, algorithm: Algorithm) -> KeySigner<'_> {
        KeySigner { pair: &self.pair, algorithm }
    }
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SigningKey")
            .field("source", &self.source.named())
            .field("alias", &self.alias)
            .field("key", &self.pair.described())
            .finish_non_exhaustive()
    }
}

impl Pair {
    fn algorithms(&self) -> &'static [Algorithm] {
        match self {
            Self::Rsa(_, algorithms) => algorithms,
            Self::P256(_) => &[Algorithm::ES256],
            Self::P384(_) => &[Algorithm::ES384],
            Self::Ed25519(_) => &[Algorithm::EdDSA],
            Self::Shared(secret) => secret.algorithms(),
        }
    }

    fn described(&self) -> String {
        match self {
            Self::Rsa(pair, algorithms) => {
                let only = if algorithms.len() < RSA_ALGORITHMS.len() { " for RSASSA-PSS only" } else { "" };
                format!("an RSA key of {} bits{only}", pair.public_modulus_len().saturating_mul(8))
            }
            Self::P256(_) => "an EC key on P-256".to_owned(),
            Self::P384(_) => "an EC key on P-384".to_owned(),
            Self::Ed25519(_) => "an Ed25519 key".to_owned(),
            Self::Shared(secret) => format!("a shared secret of {} bits", secret.bits()),
        }
    }

    /// The SubjectPublicKeyInfo (RFC 5280 section 4.1); a shared secret has none.
    fn public_key_info(&self) -> Option<Vec<u8>> {
        let info: PublicKeyX509Der<'_> = match self {
            Self::Rsa(pair, _) => pair.public_key().as_der(),
            Self::P256(pair) | Self::P384(pair) => pair.public_key().as_der(),
            Self::Ed25519(pair) => pair.public_key().as_der(),
            Self::Shared(_) => return None,
        }
        .ok()?;
        Some(info.as_ref().to_vec())
    }

    /// As a certificate would hold it; a shared secret has none.
    fn public_key(&self) -> &[u8] {
        match self {
            Self::Rsa(pair, _) => pair.public_key().as_ref(),
            Self::P256(pair) | Self::P384(pair) => pair.public_key().as_ref(),
            Self::Ed25519(pair) => pair.public_key().as_ref(),
            Self::Shared(_) => &[],
        }
    }
}

/// Signs by one algorithm with one parsed key.
pub struct KeySigner<'a> {
    pair: &'a Pair,
    algorithm: Algorithm,
}

impl JwtSigner for KeySigner<'_> {
    fn algorithm(&self) -> Algorithm {
        self.algorithm
    }
}

impl signature::Signer<Vec<u8>> for KeySigner<'_> {
    fn try_sign(&self, message: &[u8]) -> std::result::Result<Vec<u8>, signature::Error> {
        let random = SystemRandom::new();
        let failed = |_| signature::Error::new();
        match (self.pair, self.algorithm) {
            (Pair::Rsa(pair, algorithms), algorithm) if algorithms.contains(&algorithm) => {
                let padding = padding(algorithm).ok_or_else(signature::Error::new)?;
                let mut signature = vec![0; pair.public_modulus_len()];
                pair.sign(padding, &random, message, &mut signature).map_err(failed)?;
                Ok(signature)
            }
            (Pair::P256(pair), Algorithm::ES256) | (Pair::P384(pair), Algorithm::ES384) => {
                Ok(pair.sign(&random, message).map_err(failed)?.as_ref().to_vec())
            }
            (Pair::Ed25519(pair), Algorithm::EdDSA) => {
                Ok(pair.try_sign(message).map_err(failed)?.as_ref().to_vec())
            }
            (Pair::Shared(secret), algorithm) => {
                secret.sign(algorithm, message).ok_or_else(signature::Error::new)
            }
            _ => Err(signature::Error::new()),
        }
    }
}

fn padding(algorithm: Algorithm) -> Option<&'static dyn RsaEncoding> {
    Some(match algorithm {
        Algorithm::RS256 => &aws::RSA_PKCS1_SHA256,
        Algorithm::RS384 => &aws::RSA_PKCS1_SHA384,
        Algorithm::RS512 => &aws::RSA_PKCS1_SHA512,
        Algorithm::PS256 => &aws::RSA_PSS_SHA256,
        Algorithm::PS384 => &aws::RSA_PSS_SHA384,
        Algorithm::PS512 => &aws::RSA_PSS_SHA512,
        _ => return None,
    })
}

/// What the shape of a key's DER tells.
enum Shape<'a> {
    /// PKCS#1, and its modulus.
    Rsa(&'a [u8], &'a [u8]),
    /// The same, and what it may sign by.
    RsaPss(&'a [u8], &'a [u8], &'static [Algorithm]),
    /// PKCS#8 or SEC1, and the curve where it is named.
    Ec(Option<ObjectIdentifier>),
    /// PKCS#8, version 1 or 2 (RFC 8410 section 7).
    Ed25519,
    Other(ObjectIdentifier),
}

fn shape(key: &[u8]) -> Option<Shape<'_>> {
    let fields = der::sequence(key)?;
    let tags: Vec<_> = fields.iter().map(Tagged::tag).take(3).collect();
    match (tags.as_slice(), fields.as_slice()) {
        ([Tag::Integer, Tag::Sequence, Tag::OctetString], [_, algorithm, inner, ..]) => {
            pkcs8_shape(&der::inside(algorithm)?, inner.value())
        }
        ([Tag::Integer, Tag::Integer, Tag::Integer], [_, modulus, ..]) => {
            Some(Shape::Rsa(key, modulus.value()))
        }
        ([Tag::Integer, Tag::OctetString, ..], fields) => {
            let named = fields.iter().filter(|field| der::is_context(field));
            let mut parameters = named.filter_map(|field| der::elements(field.value()));
            Some(Shape::Ec(parameters.find_map(|inside| der::oid(inside.first()?))))
        }
        _ => None,
    }
}

fn pkcs8_shape<'a>(algorithm: &[AnyRef<'_>], inner: &'a [u8]) -> Option<Shape<'a>> {
    let kind = der::oid(algorithm.first()?)?;
    match kind {
        RSA => match shape(inner)? {
            Shape::Rsa(key, modulus) => Some(Shape::Rsa(key, modulus)),
            _ => None,
        },
        RSA_PSS => match shape(inner)? {
            Shape::Rsa(key, modulus) => Some(Shape::RsaPss(key, modulus, pss::algorithms(algorithm.get(1)))),
            _ => None,
        },
        EC => Some(Shape::Ec(algorithm.get(1).and_then(der::oid))),
        ED25519 => Some(Shape::Ed25519),
        _ => Some(Shape::Other(kind)),
    }
}

/// Whether `der` has the form of a private key that is not encrypted.
pub(super) fn is_key(der: &[u8]) -> bool {
    shape(der).is_some()
}

fn parse(source: &KeySource, key: &[u8]) -> Result<Pair> {
    match shape(key) {
        Some(Shape::Rsa(key, modulus)) => rsa(source, key, modulus, &RSA_ALGORITHMS),
        Some(Shape::RsaPss(_, _, [])) => Err(source.unsuitable(
            "has an RSA key for RSASSA-PSS only, with a digest or a salt that no algorithm of JWTs has; PS256, PS384 \
             and PS512 have those of SHA-256, SHA-384 and SHA-512 (RFC 7518 section 3.5)",
        )),
        Some(Shape::RsaPss(key, modulus, algorithms)) => rsa(source, key, modulus, algorithms),
        Some(Shape::Ec(curve)) => ec(source, key, curve),
        Some(Shape::Ed25519) => Ed25519KeyPair::from_pkcs8(key)
            .map(Pair::Ed25519)
            .map_err(|error| damaged(source, "Ed25519", &error)),
        Some(Shape::Other(kind)) => Err(other(source, &kind)),
        None => Err(source.broken("has a private key that is damaged or of no known form")),
    }
}

fn rsa(source: &KeySource, key: &[u8], modulus: &[u8], algorithms: &'static [Algorithm]) -> Result<Pair> {
    let bits = bits(modulus);
    if !(2048..=8192).contains(&bits) {
        return Err(source.unsuitable(format!(
            "has an RSA key of {bits} bits; JWTs are signed with 2048 to 8192 bits (RFC 7518 section 3.3)"
        )));
    }
    let pair = RsaKeyPair::from_der(key).map_err(|error| damaged(source, "RSA", &error))?;
    Ok(Pair::Rsa(Box::new(pair), algorithms))
}

/// The bits of a DER INTEGER, without its leading zeros.
fn bits(integer: &[u8]) -> usize {
    let mut significant = integer.iter().skip_while(|byte| **byte == 0).peekable();
    let zeros = significant.peek().map_or(0, |first| first.leading_zeros());
    let zeros = usize::try_from(zeros).unwrap_or_default();
    significant.count().saturating_mul(8).saturating_sub(zeros)
}

fn ec(source: &KeySource, key: &[u8], curve: Option<ObjectIdentifier>) -> Result<Pair> {
    let p256 =
        || EcdsaKeyPair::from_private_key_der(&aws::ECDSA_P256_SHA256_FIXED_SIGNING, key).map(Pair::P256);
    let p384 =
        || EcdsaKeyPair::from_private_key_der(&aws::ECDSA_P384_SHA384_FIXED_SIGNING, key).map(Pair::P384);
    let parsed = match curve {
        Some(P256) => p256(),
        Some(P384) => p384(),
        Some(curve) => return Err(other(source, &curve)),
        None => p256().or_else(|_| p384()),
    };
    parsed.map_err(|error| damaged(source, "EC", &error))
}

fn damaged(source: &KeySource, kind: &str, error: &aws_lc_rs::error::KeyRejected) -> Error {
    source.broken(format!("has an {kind} key that does not parse ({error}): it was damaged"))
}

fn other(source: &KeySource, kind: &ObjectIdentifier) -> Error {
    let number = kind.to_string();
    let known = OTHERS.iter().find(|(known, _)| *known == number);
    let what = match known {
        Some((_, name)) => format!("{name} ({number})"),
        None => format!("a key of kind {}", oid::name(kind)),
    };
    source.unsuitable(format!("has {what}; JWTs are signed with RSA, EC on P-256 or P-384, or Ed25519"))
}
