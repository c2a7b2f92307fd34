//! Percent-encoding of parameters, for URLs and form bodies alike.
//!
//! Only RFC 3986's unreserved characters stay; a blank is `%20`, which both readings of a form understand and which
//! DocuSign's consent page insists on.

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};
use serde_json::Value;

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
        parameters.iter().map(|(name, value)| format!("{}={}", encode(name), encode(value))).collect();
    Secret::new(pairs.join("&"))
}

/// Reads parameters that a user wrote as `a=b&c=d`, percent-encoded, or as a JSON object; values that are not text
/// stay JSON. Nothing if it is neither, or one has no name.
#[must_use]
pub fn parameters(text: &str) -> Option<Vec<(String, Secret)>> {
    if text.trim_start().starts_with('{') {
        let members: serde_json::Map<String, Value> = serde_json::from_str(text).ok()?;
        return Some(members.into_iter().map(|(name, value)| (name, member(value))).collect());
    }
    text.split('&').filter(|pair| !pair.is_empty()).map(pair).collect()
}

fn member(value: Value) -> Secret {
    match value {
        Value::String(text) => Secret::new(text),
        other => Secret::new(other.to_string()),
    }
}

fn pair(pair: &str) -> Option<(String, Secret)> {
    let (name, value) = pair.split_once('=')?;
    let decode =
        |text: &str| Some(percent_decode_str(&text.replace('+', " ")).decode_utf8().ok()?.into_owned());
    let name = decode(name).filter(|name| !name.is_empty())?;
    Some((name, Secret::new(decode(value)?)))
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

    #[test]
    fn parameters_are_read_from_a_form_or_from_json() {
        let read = |text: &str| {
            let parameters = parameters(text)?;
            Some(
                parameters
                    .iter()
                    .map(|(name, value)| format!("{name}:{}", value.reveal()))
                    .collect::<Vec<_>>(),
            )
        };
        assert_eq!(read("resource=https%3A%2F%2Fx&a=b+c&d=").unwrap(), ["resource:https://x", "a:b c", "d:"]);
        assert_eq!(read(r#"{"a":"b","n":1,"o":[true]}"#).unwrap(), ["a:b", "n:1", "o:[true]"]);
        assert_eq!(read(r#"{"a":"#), None);
        assert_eq!((read("a"), read("=b"), read("a=%ff")), (None, None, None));
    }
}
