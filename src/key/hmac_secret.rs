//! JWTSecret: what both sides know, as text or `base64:…`, and how long it must be.

use aws_lc_rs::hmac;
use jsonwebtoken::Algorithm;
use zeroize::Zeroizing;

use super::{KeySource, inline};
use crate::base::error::{Result, Status};

/// Before a secret that is not text.
const BASE64_PREFIX: &str = "base64:";

/// The algorithms of a secret, with the bits of their hash.
const HMAC_ALGORITHMS: [(Algorithm, &hmac::Algorithm, usize); 3] = [
    (Algorithm::HS256, &hmac::HMAC_SHA256, 256),
    (Algorithm::HS384, &hmac::HMAC_SHA384, 384),
    (Algorithm::HS512, &hmac::HMAC_SHA512, 512),
];

/// A shared secret.
pub(super) struct HmacSecret(Zeroizing<Vec<u8>>);

impl HmacSecret {
    /// What `written` stands for.
    pub(super) fn parse(source: &KeySource, written: &str) -> Result<Self> {
        let Some(packed) = written.strip_prefix(BASE64_PREFIX) else {
            return Ok(Self(Zeroizing::new(written.as_bytes().to_vec())));
        };
        inline::decode_base64(packed).map(Self).ok_or_else(|| {
            source.error(
                Status::InvalidOption,
                source.option(),
                "begins with \"base64:\", and what follows is empty or not base64",
            )
        })
    }

    /// Those bytes.
    pub(super) fn from_bytes(secret: Zeroizing<Vec<u8>>) -> Self {
        Self(secret)
    }

    pub(super) fn bit_length(&self) -> usize {
        self.0.len().saturating_mul(8)
    }

    /// What it may sign with: a secret is as long as the hash or longer (RFC 7518 section 3.2).
    pub(super) fn algorithms(&self) -> &'static [Algorithm] {
        match self.bit_length() {
            ..256 => &[],
            256..384 => &[Algorithm::HS256],
            384..512 => &[Algorithm::HS256, Algorithm::HS384],
            _ => &[Algorithm::HS256, Algorithm::HS384, Algorithm::HS512],
        }
    }

    pub(super) fn sign(&self, algorithm: Algorithm, message: &[u8]) -> Option<Vec<u8>> {
        let (_, hash, bits) = HMAC_ALGORITHMS.iter().find(|(known, ..)| *known == algorithm)?;
        let long_enough = self.bit_length() >= *bits;
        long_enough.then(|| hmac::sign(&hmac::Key::new(**hash, &self.0), message).as_ref().to_vec())
    }
}

/// The algorithm of a secret that is meant, HS256 if none is, and the bits that it wants.
pub(super) fn min_bits(wanted: Option<Algorithm>) -> (Algorithm, usize) {
    let known = HMAC_ALGORITHMS.iter().find(|(known, ..)| Some(*known) == wanted);
    known.map_or((Algorithm::HS256, 256), |(known, _, bits)| (*known, *bits))
}
