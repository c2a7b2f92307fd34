//! Private keys in DER: detection of the encoding, parsing, and errors for keys that cannot sign a JWT.

pub(super) mod external;
pub(super) mod hmac_secret;
pub(super) mod material;
mod pss;

use ::der::asn1::{AnyRef, ObjectIdentifier};
use ::der::{Tag, Tagged};
use aws_lc_rs::encoding::{AsDer as _, PublicKeyX509Der};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{
    self as aws, EcdsaKeyPair, Ed25519KeyPair, KeyPair as _, RsaEncoding, RsaKeyPair,
};
use jsonwebtoken::Algorithm;

use crate::base::error::{Error, Result};
use crate::key::asn1::der;
use crate::key::crypto::algorithm;
use crate::key::private_key::external::ExternalKey;
use crate::key::private_key::hmac_secret::HmacSecret;
use crate::key::private_key::material::KeyMaterial;
use crate::key::source::KeySource;
use crate::sys::with_forks_blocked;

pub(super) const RSA: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.1");
const RSA_PSS: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.10");
pub(super) const EC: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.2.1");
pub(super) const ED25519: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.101.112");
pub(super) const P256: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.3.1.7");
pub(super) const P384: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.132.0.34");

/// Known keys that cannot sign a JWT here, by the OID of their type or curve.
const UNSUPPORTED_KEYS: [(&str, &str); 7] = [
    ("1.2.840.10040.4.1", "a DSA key"),
    ("1.3.101.110", "an X25519 key"),
    ("1.3.101.113", "an Ed448 key"),
    ("1.3.132.0.10", "an EC key on secp256k1"),
    ("1.3.132.0.33", "an EC key on P-224"),
    ("1.3.132.0.35", "an EC key on P-521 (ES512 is not supported)"),
    ("1.2.840.10045.3.1.1", "an EC key on P-192"),
];

/// Algorithms of an RSA key without restrictions.
pub(super) const RSA_ALGORITHMS: [Algorithm; 6] = [
    Algorithm::RS256,
    Algorithm::RS384,
    Algorithm::RS512,
    Algorithm::PS256,
    Algorithm::PS384,
    Algorithm::PS512,
];

/// Parsed private key.
pub(super) enum PrivateKey {
    /// With its permitted algorithms.
    Rsa(Box<RsaKeyPair>, &'static [Algorithm]),
    P256(EcdsaKeyPair),
    P384(EcdsaKeyPair),
    Ed25519(Ed25519KeyPair),
    HmacSecret(HmacSecret),
    External(Box<dyn ExternalKey>),
}

impl PrivateKey {
    pub(super) fn algorithms(&self) -> &[Algorithm] {
        match self {
            Self::Rsa(_, algorithms) => algorithms,
            Self::P256(_) => &[Algorithm::ES256],
            Self::P384(_) => &[Algorithm::ES384],
            Self::Ed25519(_) => &[Algorithm::EdDSA],
            Self::HmacSecret(secret) => secret.algorithms(),
            Self::External(key) => key.algorithms(),
        }
    }

    pub(super) fn description(&self) -> String {
        match self {
            Self::Rsa(pair, algorithms) => {
                let only = if algorithms.len() < RSA_ALGORITHMS.len() { " for RSASSA-PSS only" } else { "" };
                format!("an RSA key of {} bits{only}", pair.public_modulus_len().saturating_mul(8))
            }
            Self::P256(_) => "an EC key on P-256".to_owned(),
            Self::P384(_) => "an EC key on P-384".to_owned(),
            Self::Ed25519(_) => "an Ed25519 key".to_owned(),
            Self::HmacSecret(secret) => format!("a shared secret of {} bits", secret.bit_length()),
            Self::External(key) => key.description(),
        }
    }

    /// SubjectPublicKeyInfo (RFC 5280 section 4.1); `None` for a shared secret.
    pub(super) fn subject_public_key_info(&self) -> Option<Vec<u8>> {
        let info: PublicKeyX509Der<'_> = match self {
            Self::Rsa(pair, _) => pair.public_key().as_der(),
            Self::P256(pair) | Self::P384(pair) => pair.public_key().as_der(),
            Self::Ed25519(pair) => pair.public_key().as_der(),
            Self::HmacSecret(_) => return None,
            Self::External(key) => return key.subject_public_key_info(),
        }
        .ok()?;
        Some(info.as_ref().to_vec())
    }

    /// The secret numbers; `None` for an external key.
    pub(super) fn material(&self) -> Option<KeyMaterial> {
        match self {
            Self::Rsa(pair, _) => KeyMaterial::of_rsa_key(pair),
            Self::P256(pair) => KeyMaterial::of_ec_key(pair, "P-256"),
            Self::P384(pair) => KeyMaterial::of_ec_key(pair, "P-384"),
            Self::Ed25519(pair) => KeyMaterial::of_ed25519_key(pair),
            Self::HmacSecret(secret) => Some(secret.material()),
            Self::External(_) => None,
        }
    }

    /// Public key in the encoding of a certificate; empty for a shared secret.
    pub(super) fn public_key(&self) -> &[u8] {
        match self {
            Self::Rsa(pair, _) => pair.public_key().as_ref(),
            Self::P256(pair) | Self::P384(pair) => pair.public_key().as_ref(),
            Self::Ed25519(pair) => pair.public_key().as_ref(),
            Self::HmacSecret(_) => &[],
            Self::External(key) => key.public_key(),
        }
    }

    /// Signs `message`; `None` if the key does not support `algorithm`.
    pub(super) fn sign(&self, algorithm: Algorithm, message: &[u8]) -> Option<Result<Vec<u8>>> {
        let random = SystemRandom::new();
        let signature = match (self, algorithm) {
            (Self::Rsa(pair, algorithms), algorithm) if algorithms.contains(&algorithm) => {
                let mut signature = vec![0; pair.public_modulus_len()];
                let padding = rsa_padding(algorithm)?;
                with_forks_blocked(|| pair.sign(padding, &random, message, &mut signature)).ok()?;
                signature
            }
            (Self::P256(pair), Algorithm::ES256) | (Self::P384(pair), Algorithm::ES384) => {
                with_forks_blocked(|| pair.sign(&random, message)).ok()?.as_ref().to_vec()
            }
            (Self::Ed25519(pair), Algorithm::EdDSA) => pair.try_sign(message).ok()?.as_ref().to_vec(),
            (Self::HmacSecret(secret), algorithm) => secret.sign(algorithm, message)?,
            (Self::External(key), algorithm) if key.algorithms().contains(&algorithm) => {
                return Some(key.sign(algorithm, message));
            }
            _ => return None,
        };
        Some(Ok(signature))
    }
}

fn rsa_padding(algorithm: Algorithm) -> Option<&'static dyn RsaEncoding> {
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

/// Encoding of a private key, as detected from the structure of its DER.
enum KeyEncoding<'a> {
    /// PKCS#1, and the modulus.
    Rsa(&'a [u8], &'a [u8]),
    /// PKCS#1, the modulus, and the permitted algorithms.
    RsaPss(&'a [u8], &'a [u8], &'static [Algorithm]),
    /// PKCS#8 or SEC1, and the curve if it is named.
    Ec(Option<ObjectIdentifier>),
    /// PKCS#8, version 1 or 2 (RFC 8410 section 7).
    Ed25519,
    Unsupported(ObjectIdentifier),
}

fn detect_encoding(key: &[u8]) -> Option<KeyEncoding<'_>> {
    let fields = der::parse_sequence(key)?;
    let tags: Vec<_> = fields.iter().map(Tagged::tag).take(3).collect();
    match (tags.as_slice(), fields.as_slice()) {
        ([Tag::Integer, Tag::Sequence, Tag::OctetString], [_, algorithm, inner, ..]) => {
            detect_pkcs8_encoding(&der::sequence_children(algorithm)?, inner.value())
        }
        ([Tag::Integer, Tag::OctetString, ..], fields) => {
            let tagged = fields.iter().filter(|field| der::is_context_specific(field));
            let mut parameters = tagged.filter_map(|field| der::parse_elements(field.value()));
            Some(KeyEncoding::Ec(parameters.find_map(|inside| der::parse_oid(inside.first()?))))
        }
        _ => Some(KeyEncoding::Rsa(key, read_pkcs1_modulus(key)?)),
    }
}

/// The modulus of an RSAPrivateKey (RFC 8017 appendix A.1.2).
fn read_pkcs1_modulus(key: &[u8]) -> Option<&[u8]> {
    let fields = der::parse_sequence(key)?;
    let is_pkcs1 = fields.len() >= 3 && fields.iter().take(3).all(|field| field.tag() == Tag::Integer);
    fields.get(1).filter(|_| is_pkcs1).map(|modulus| modulus.value())
}

fn detect_pkcs8_encoding<'a>(algorithm: &[AnyRef<'_>], inner: &'a [u8]) -> Option<KeyEncoding<'a>> {
    let kind = der::parse_oid(algorithm.first()?)?;
    match kind {
        // Not detect_encoding: a hostile file would nest PKCS#8 until the stack is exhausted.
        RSA => Some(KeyEncoding::Rsa(inner, read_pkcs1_modulus(inner)?)),
        RSA_PSS => Some(KeyEncoding::RsaPss(
            inner,
            read_pkcs1_modulus(inner)?,
            pss::permitted_algorithms(algorithm.get(1)),
        )),
        EC => Some(KeyEncoding::Ec(algorithm.get(1).and_then(der::parse_oid))),
        ED25519 => Some(KeyEncoding::Ed25519),
        _ => Some(KeyEncoding::Unsupported(kind)),
    }
}

/// Algorithms of the key in a SubjectPublicKeyInfo.
pub(super) fn algorithms_for_spki(info: &[u8]) -> Option<&'static [Algorithm]> {
    let fields = der::parse_sequence(info)?;
    let algorithm = der::sequence_children(fields.first()?)?;
    let parameters = algorithm.get(1);
    Some(match (der::parse_oid(algorithm.first()?)?, parameters.and_then(der::parse_oid)) {
        (RSA, _) => &RSA_ALGORITHMS,
        (RSA_PSS, _) => pss::permitted_algorithms(parameters),
        (EC, Some(P256)) => &[Algorithm::ES256],
        (EC, Some(P384)) => &[Algorithm::ES384],
        (ED25519, _) => &[Algorithm::EdDSA],
        _ => &[],
    })
}

/// Whether `der` has the structure of an unencrypted private key.
pub(super) fn is_private_key(der: &[u8]) -> bool {
    detect_encoding(der).is_some()
}

/// Parses a private key in DER, if it can sign a JWT.
pub(super) fn parse(source: &KeySource, key: &[u8]) -> Result<PrivateKey> {
    match detect_encoding(key) {
        Some(KeyEncoding::Rsa(key, modulus)) => parse_rsa(source, key, modulus, &RSA_ALGORITHMS),
        Some(KeyEncoding::RsaPss(_, _, [])) => Err(source.unsuitable_error(
            "has an RSA key for RSASSA-PSS only, whose digest or salt length no JWT algorithm uses; PS256, \
             PS384 and PS512 use those of SHA-256, SHA-384 and SHA-512 (RFC 7518 section 3.5)",
        )),
        Some(KeyEncoding::RsaPss(key, modulus, algorithms)) => parse_rsa(source, key, modulus, algorithms),
        Some(KeyEncoding::Ec(curve)) => parse_ec(source, key, curve),
        Some(KeyEncoding::Ed25519) => Ed25519KeyPair::from_pkcs8(key)
            .map(PrivateKey::Ed25519)
            .map_err(|error| damaged_key_error(source, "Ed25519", &error)),
        Some(KeyEncoding::Unsupported(kind)) => Err(unsupported_key_error(source, &kind)),
        None => Err(source.store_error("contains a corrupt or unsupported private key")),
    }
}

fn parse_rsa(
    source: &KeySource,
    key: &[u8],
    modulus: &[u8],
    algorithms: &'static [Algorithm],
) -> Result<PrivateKey> {
    check_rsa_size(source, modulus)?;
    let pair = RsaKeyPair::from_der(key).map_err(|error| damaged_key_error(source, "RSA", &error))?;
    Ok(PrivateKey::Rsa(Box::new(pair), algorithms))
}

/// Returns the bits of the modulus, if the size is permitted.
pub(super) fn check_rsa_size(source: &KeySource, modulus: &[u8]) -> Result<usize> {
    let bits = bit_length(modulus);
    if (2048..=8192).contains(&bits) {
        return Ok(bits);
    }
    Err(source.unsuitable_error(format!(
        "has an RSA key of {bits} bits; {} 2048 to 8192 bits (RFC 7518 section 3.3)",
        source.supported_keys_prefix()
    )))
}

/// Bit length of a DER INTEGER, without leading zeros.
fn bit_length(integer: &[u8]) -> usize {
    let mut significant = integer.iter().skip_while(|byte| **byte == 0).peekable();
    let zeros = significant.peek().map_or(0, |first| first.leading_zeros());
    let zeros = usize::try_from(zeros).unwrap_or_default();
    significant.count().saturating_mul(8).saturating_sub(zeros)
}

fn parse_ec(source: &KeySource, key: &[u8], curve: Option<ObjectIdentifier>) -> Result<PrivateKey> {
    let p256 = || {
        EcdsaKeyPair::from_private_key_der(&aws::ECDSA_P256_SHA256_FIXED_SIGNING, key).map(PrivateKey::P256)
    };
    let p384 = || {
        EcdsaKeyPair::from_private_key_der(&aws::ECDSA_P384_SHA384_FIXED_SIGNING, key).map(PrivateKey::P384)
    };
    let parsed = match curve {
        Some(P256) => p256(),
        Some(P384) => p384(),
        Some(curve) => return Err(unsupported_key_error(source, &curve)),
        None => p256().or_else(|_| p384()),
    };
    parsed.map_err(|error| damaged_key_error(source, "EC", &error))
}

fn damaged_key_error(source: &KeySource, kind: &str, error: &aws_lc_rs::error::KeyRejected) -> Error {
    source.store_error(format!("contains a corrupt {kind} key ({error})"))
}

/// Error for a key type or curve that cannot sign a JWT here.
pub(super) fn unsupported_key_error(source: &KeySource, kind: &ObjectIdentifier) -> Error {
    let oid_text = kind.to_string();
    let known = UNSUPPORTED_KEYS.iter().find(|(oid, _)| *oid == oid_text);
    let what = match known {
        Some((_, name)) => format!("{name} ({oid_text})"),
        None => format!("a key of type {}", algorithm::display_name(kind)),
    };
    let prefix = source.supported_keys_prefix();
    source.unsuitable_error(format!("has {what}; {prefix} RSA, EC on P-256 or P-384, or Ed25519"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::error::Status;
    use crate::key::asn1::tag::{INTEGER, OCTET_STRING, OID, SEQUENCE};

    fn header(tag: u8, length: usize) -> Vec<u8> {
        let octets: Vec<_> = length.to_be_bytes().into_iter().skip_while(|octet| *octet == 0).collect();
        match length {
            ..0x80 => vec![tag, u8::try_from(length).unwrap()],
            _ => [&[tag, 0x80 | u8::try_from(octets.len()).unwrap()], &*octets].concat(),
        }
    }

    /// PKCS#8 that contains PKCS#8, `levels` times, and then PKCS#1.
    fn nested_pkcs8(levels: usize) -> Vec<u8> {
        let algorithm = der::encode_sequence(&[&der::encode_element(OID, &[RSA.as_bytes()]), &[5, 0]]);
        let start = [&[INTEGER, 1, 0], &**algorithm].concat();
        let mut parts = vec![der::encode_sequence(&[&[INTEGER, 1, 3].repeat(3)]).to_vec()];
        let mut length = parts[0].len();
        for _ in 0..levels {
            let fields = [&*start, &header(OCTET_STRING, length)].concat();
            let part = [header(SEQUENCE, fields.len() + length), fields].concat();
            length += part.len();
            parts.push(part);
        }
        parts.reverse();
        parts.concat()
    }

    /// A file of 16 MiB has room for half a million levels, each of which would need a part of the stack.
    #[test]
    fn pkcs8_in_pkcs8_is_no_key() {
        assert!(is_private_key(&nested_pkcs8(1)));
        for levels in [2, 20_000] {
            assert!(!is_private_key(&nested_pkcs8(levels)), "{levels}");
        }
    }

    #[test]
    fn rsa_key_has_2048_to_8192_bits() {
        let source = KeySource::inline("");
        let modulus = |start: &[u8], length: usize| [start, &vec![0; length - start.len()]].concat();
        for (modulus, bits) in [
            (modulus(&[0x80], 256), 2048),
            (modulus(&[0, 0x80], 257), 2048),
            (modulus(&[0, 0, 0xFF], 259), 2056),
            (modulus(&[0x80], 1024), 8192),
        ] {
            assert_eq!(check_rsa_size(&source, &modulus).unwrap(), bits);
        }
        for (modulus, bits) in [
            (vec![], 0),
            (modulus(&[0x7F], 256), 2047),
            (modulus(&[0, 0x40], 257), 2047),
            (modulus(&[0x01], 1025), 8193),
        ] {
            let error = check_rsa_size(&source, &modulus).unwrap_err();
            assert_eq!(error.status(), Status::KeyUnsuitable);
            assert!(error.message().contains(&format!("an RSA key of {bits} bits")), "{error}");
        }
    }

    #[test]
    fn algorithms_follow_from_type_and_curve() {
        let secp256k1 = ObjectIdentifier::new_unwrap("1.3.132.0.10");
        let pss = [Algorithm::PS256, Algorithm::PS384, Algorithm::PS512];
        for (key_type, curve, expected) in [
            (RSA, None, RSA_ALGORITHMS.as_slice()),
            (RSA_PSS, None, &pss),
            (EC, Some(P256), &[Algorithm::ES256]),
            (EC, Some(P384), &[Algorithm::ES384]),
            (EC, Some(secp256k1), &[]),
            (EC, None, &[]),
            (ED25519, None, &[Algorithm::EdDSA]),
            (secp256k1, None, &[]),
        ] {
            let encode_oid = |oid: ObjectIdentifier| der::encode_element(OID, &[oid.as_bytes()]);
            let curve = curve.map_or_else(Default::default, encode_oid);
            let info = der::encode_sequence(&[&der::encode_sequence(&[&encode_oid(key_type), &curve])]);
            assert_eq!(algorithms_for_spki(&info).unwrap(), expected, "{key_type} {curve:?}");
        }
    }
}
