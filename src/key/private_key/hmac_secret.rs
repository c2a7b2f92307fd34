//! JWTSecret: a shared secret as text or `base64:…`, and its minimum length.

use aws_lc_rs::hmac;
use jsonwebtoken::Algorithm;
use zeroize::Zeroizing;

use crate::base::error::{OptionError, Result};
use crate::key::lenient_base64;
use crate::key::private_key::material::KeyMaterial;
use crate::key::source::KeySource;

/// Prefix of a secret that is not text.
const BASE64_PREFIX: &str = "base64:";

/// HMAC algorithms with the bits of their hash.
const HMAC_ALGORITHMS: [(Algorithm, &hmac::Algorithm, usize); 3] = [
    (Algorithm::HS256, &hmac::HMAC_SHA256, 256),
    (Algorithm::HS384, &hmac::HMAC_SHA384, 384),
    (Algorithm::HS512, &hmac::HMAC_SHA512, 512),
];

/// Shared secret.
pub(in crate::key) struct HmacSecret {
    bytes: Zeroizing<Vec<u8>>,
    /// Whether it was given as text, not in base64.
    is_text: bool,
}

impl HmacSecret {
    /// Parses the value of the option.
    pub(in crate::key) fn parse(source: &KeySource, text: &str) -> Result<Self> {
        let Some(encoded) = text.strip_prefix(BASE64_PREFIX) else {
            return Ok(Self { bytes: Zeroizing::new(text.as_bytes().to_vec()), is_text: true });
        };
        lenient_base64::decode(encoded).map(Self::from_bytes).ok_or_else(|| {
            source.error(
                OptionError::Invalid,
                source.option(),
                "begins with \"base64:\", but the rest is empty or not base64",
            )
        })
    }

    /// The secret with these bytes.
    pub(in crate::key) fn from_bytes(secret: Zeroizing<Vec<u8>>) -> Self {
        Self { bytes: secret, is_text: false }
    }

    pub(in crate::key) fn material(&self) -> KeyMaterial {
        KeyMaterial::SharedSecret { bytes: self.bytes.clone(), is_text: self.is_text }
    }

    pub(in crate::key) fn bit_length(&self) -> usize {
        self.bytes.len().saturating_mul(8)
    }

    /// Supported algorithms: a secret must be at least as long as the hash (RFC 7518 section 3.2).
    pub(in crate::key) fn algorithms(&self) -> &'static [Algorithm] {
        match self.bit_length() {
            ..256 => &[],
            256..384 => &[Algorithm::HS256],
            384..512 => &[Algorithm::HS256, Algorithm::HS384],
            _ => &[Algorithm::HS256, Algorithm::HS384, Algorithm::HS512],
        }
    }

    pub(in crate::key) fn sign(&self, algorithm: Algorithm, message: &[u8]) -> Option<Vec<u8>> {
        let (_, hash, bits) = HMAC_ALGORITHMS.iter().find(|(candidate, ..)| *candidate == algorithm)?;
        let long_enough = self.bit_length() >= *bits;
        long_enough.then(|| hmac::sign(&hmac::Key::new(**hash, &self.bytes), message).as_ref().to_vec())
    }
}

/// Whether a shared secret may support `algorithm`.
pub(in crate::key) fn is_hmac(algorithm: Algorithm) -> bool {
    HMAC_ALGORITHMS.iter().any(|(candidate, ..)| *candidate == algorithm)
}

/// The requested algorithm, HS256 by default, and the minimum bits of a secret for it.
pub(in crate::key) fn min_bits(requested: Option<Algorithm>) -> (Algorithm, usize) {
    let found = HMAC_ALGORITHMS.iter().find(|(candidate, ..)| Some(*candidate) == requested);
    found.map_or((Algorithm::HS256, 256), |(algorithm, _, bits)| (*algorithm, *bits))
}
