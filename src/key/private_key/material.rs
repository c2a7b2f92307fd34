//! The secret numbers of a key as bytes that do not depend on the format of its file, for the derivation of
//! other keys.

use ::der::asn1::AnyRef;
use aws_lc_rs::encoding::{AsBigEndian as _, AsDer, EcPrivateKeyBin, Pkcs8V1Der};
use aws_lc_rs::signature::{EcdsaKeyPair, Ed25519KeyPair, RsaKeyPair};
use zeroize::Zeroizing;

use crate::key::asn1::der;

/// The secret part of a key, wiped when dropped.
pub enum KeyMaterial {
    /// The numbers of a private key. At least 2^256 keys of its type and size exist.
    PrivateKey(Zeroizing<Vec<u8>>),
    /// A shared secret.
    SharedSecret {
        /// Its bytes.
        bytes: Zeroizing<Vec<u8>>,
        /// Whether it was given as text, not in base64 or as a JSON Web Key.
        is_text: bool,
    },
}

impl KeyMaterial {
    pub(super) fn of_rsa_key(pair: &RsaKeyPair) -> Option<Self> {
        let encoded: Pkcs8V1Der<'_> = pair.as_der().ok()?;
        rsa_numbers(encoded.as_ref()).map(Self::PrivateKey)
    }

    pub(super) fn of_ec_key(pair: &EcdsaKeyPair, curve: &str) -> Option<Self> {
        // As long as the field of the curve, so that a leading zero is kept.
        let scalar: EcPrivateKeyBin<'_> = pair.private_key().as_be_bytes().ok()?;
        Some(Self::PrivateKey(join_numbers(&[curve.as_bytes(), scalar.as_ref()])))
    }

    pub(super) fn of_ed25519_key(pair: &Ed25519KeyPair) -> Option<Self> {
        // `seed` would leave a copy that is not wiped.
        let encoded = AsDer::<Pkcs8V1Der<'_>>::as_der(pair).ok()?;
        let seed = der::parse_octets(pkcs8_key(encoded.as_ref())?)?;
        Some(Self::PrivateKey(join_numbers(&[b"Ed25519", seed])))
    }
}

/// The key inside a PKCS#8 structure (RFC 5958 section 2).
fn pkcs8_key(encoded: &[u8]) -> Option<&[u8]> {
    der::parse_sequence(encoded)?.get(2).map(|key| key.value())
}

/// Modulus, public exponent and the two primes in ascending order. A file may have the primes in either order,
/// and the private exponent modulo either of two numbers.
fn rsa_numbers(pkcs8: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
    let fields = der::parse_sequence(pkcs8_key(pkcs8)?)?;
    // RFC 8017 appendix A.1.2: version, n, e, d, p, q.
    let [_, modulus, exponent, _, first, second, ..] = fields.as_slice() else { return None };
    let (first, second) = (significant(first), significant(second));
    let ascending = (first.len(), first) <= (second.len(), second);
    let (smaller, larger) = if ascending { (first, second) } else { (second, first) };
    Some(join_numbers(&[b"RSA", significant(modulus), significant(exponent), smaller, larger]))
}

/// The bytes of an INTEGER without leading zeros.
fn significant<'a>(integer: &AnyRef<'a>) -> &'a [u8] {
    let bytes = integer.value();
    bytes.get(bytes.iter().take_while(|byte| **byte == 0).count()..).unwrap_or_default()
}

/// Joins numbers, each with its length before it, into a buffer that never grows.
fn join_numbers(numbers: &[&[u8]]) -> Zeroizing<Vec<u8>> {
    let length = |number: &&[u8]| number.len().saturating_add(4);
    let mut joined = Zeroizing::new(Vec::with_capacity(numbers.iter().map(length).sum()));
    for number in numbers {
        joined.extend_from_slice(&u32::try_from(number.len()).unwrap_or(u32::MAX).to_be_bytes());
        joined.extend_from_slice(number);
    }
    joined
}
