//! A random secret that several processes share, as text or `base64:…`.

use std::fmt;

use zeroize::Zeroizing;

use crate::key::lenient_base64;

/// Prefix of a secret that is not text.
const BASE64_PREFIX: &str = "base64:";

/// A secret of at least 32 bytes, wiped when dropped.
#[derive(Clone, PartialEq, Eq)]
pub struct SharedSecret(Zeroizing<Vec<u8>>);

impl SharedSecret {
    /// The minimum length in bytes: 256 bits, the security of the keys that are derived from it.
    pub(crate) const MIN_LEN: usize = 32;

    /// Parses the value of an option; `None` if it is too short or not base64.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let bytes = match text.strip_prefix(BASE64_PREFIX) {
            Some(encoded) => lenient_base64::decode(encoded)?,
            None => Zeroizing::new(text.as_bytes().to_vec()),
        };
        (bytes.len() >= Self::MIN_LEN).then_some(Self(bytes))
    }

    /// The bytes of the secret.
    #[must_use]
    pub fn reveal(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for SharedSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("****")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shared_secret_has_at_least_32_bytes() {
        let bytes = |text: &str| SharedSecret::parse(text).map(|secret| secret.reveal().to_vec());
        assert_eq!(bytes(&"x".repeat(32)), Some(vec![b'x'; 32]));
        assert_eq!(bytes(&"x".repeat(31)), None);
        assert_eq!(bytes(&format!("base64:{}=", "A".repeat(43))), Some(vec![0; 32]));
        assert_eq!(bytes(&format!("base64:{}", "A".repeat(42))), None, "31 bytes");
        assert_eq!(bytes(&format!("base64:{}!", "A".repeat(60))), None, "not base64");
        assert_eq!(format!("{:?}", SharedSecret::parse(&"x".repeat(32)).unwrap()), "****");
    }
}
