//! Percent-encoding of parameters, for URLs and form bodies alike.
//!
//! Only RFC 3986's unreserved characters stay; a blank is `%20`, which both readings of a form understand and which
//! DocuSign's consent page insists on.

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use crate::secret::Secret;

const RESERVED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// One value, encoded.
#[must_use]
pub fn encode(value: &str) -> String {
    utf8_percent_encode(value, RESERVED).to_string()
}

/// `a=b&c=d`, in the order given.
#[must_use]
pub fn pairs(parameters: &[(&str, &str)]) -> Secret {
    let pairs: Vec<String> =
        parameters.iter().map(|(name, value)| format!("{name}={}", encode(value))).collect();
    Secret::new(pairs.join("&"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everything_but_unreserved_characters_is_encoded() {
        assert_eq!(encode("a b+c&d=é~-._"), "a%20b%2Bc%26d%3D%C3%A9~-._");
        assert_eq!(
            pairs(&[("grant_type", "urn:x"), ("scope", "a b")]).reveal(),
            "grant_type=urn%3Ax&scope=a%20b"
        );
    }
}
