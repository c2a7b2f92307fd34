//! Percent-encoding of parameters for URLs and `application/x-www-form-urlencoded` bodies.
//!
//! All characters except RFC 3986's unreserved ones are encoded. A space becomes `%20`, not `+`: every form
//! parser accepts it, and DocuSign's consent page requires it.

use std::fmt;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};
use serde_json::Value;

use crate::base::secret::Secret;

const ENCODE_SET: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// A value that is percent-encoded when it is formatted, without an intermediate copy.
#[must_use]
pub fn encode(value: &str) -> impl fmt::Display + '_ {
    utf8_percent_encode(value, ENCODE_SET)
}

/// Serializes parameters as `a=b&c=d`, in the given order.
#[must_use]
pub fn serialize(parameters: &[(&str, &str)]) -> Secret {
    Secret::new(join_pairs(parameters))
}

/// Percent-encodes a value that is secret.
#[must_use]
pub fn encode_secret(value: &str) -> Secret {
    let mut text = String::with_capacity(encoded_len(value));
    push_encoded(&mut text, value);
    Secret::new(text)
}

/// Allocates the exact capacity, because a reallocation would leave a copy of an assertion or a client secret
/// in freed memory.
fn join_pairs(parameters: &[(&str, &str)]) -> String {
    let mut text = String::with_capacity(encoded_pairs_len(parameters));
    for (index, (name, value)) in parameters.iter().enumerate() {
        if index > 0 {
            text.push('&');
        }
        push_encoded(&mut text, name);
        text.push('=');
        push_encoded(&mut text, value);
    }
    text
}

fn encoded_pairs_len(parameters: &[(&str, &str)]) -> usize {
    parameters.iter().fold(0, |sum, (name, value)| {
        sum.saturating_add(encoded_len(name)).saturating_add(encoded_len(value)).saturating_add(2)
    })
}

/// Length of `value` after percent-encoding.
fn encoded_len(value: &str) -> usize {
    if has_only_unreserved(value) {
        return value.len();
    }
    let reserved = value.bytes().filter(|byte| !is_unreserved(*byte)).count();
    value.len().saturating_add(reserved.saturating_mul(2))
}

/// Whether percent-encoding leaves `value` unchanged, as it does for a JWT. The loop does not stop early, so
/// that the compiler can vectorize it.
fn has_only_unreserved(value: &str) -> bool {
    value.bytes().fold(true, |unreserved, byte| unreserved & is_unreserved(byte))
}

fn push_encoded(text: &mut String, value: &str) {
    if has_only_unreserved(value) {
        text.push_str(value);
    } else {
        text.extend(utf8_percent_encode(value, ENCODE_SET));
    }
}

fn is_unreserved(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() | matches!(byte, b'-' | b'.' | b'_' | b'~')
}

/// Parses the parameters of an option value, either `a=b&c=d`, percent-encoded, or a JSON object. JSON values
/// that are not strings are kept as JSON text. None if the text has neither format or if a name is empty.
#[must_use]
pub fn parse_parameters(text: &str) -> Option<Vec<(String, Secret)>> {
    if text.trim_start().starts_with('{') {
        let members: serde_json::Map<String, Value> = serde_json::from_str(text).ok()?;
        return Some(members.into_iter().map(|(name, value)| (name, json_value_to_secret(value))).collect());
    }
    text.split('&').filter(|pair| !pair.is_empty()).map(parse_pair).collect()
}

fn json_value_to_secret(value: Value) -> Secret {
    match value {
        Value::String(text) => Secret::new(text),
        other => Secret::new(other.to_string()),
    }
}

fn parse_pair(pair: &str) -> Option<(String, Secret)> {
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
    fn reserved_characters_are_percent_encoded() {
        assert_eq!(encode("a b+c&d=é~-._").to_string(), "a%20b%2Bc%26d%3D%C3%A9~-._");
        assert_eq!(
            serialize(&[("grant_type", "urn:x"), ("scope", "a b")]).reveal(),
            "grant_type=urn%3Ax&scope=a%20b"
        );
    }

    #[test]
    fn ascii_bytes_encode_alike_on_both_paths() {
        for byte in 0..128 {
            let alone = char::from(byte).to_string();
            let with_space = encode(&format!("{alone} ")).to_string();
            assert_eq!(join_pairs(&[("", &alone)]), format!("={}", with_space.strip_suffix("%20").unwrap()));
        }
    }

    #[test]
    fn serialize_allocates_exact_capacity() {
        let long = "é &=".repeat(1000);
        let parameters = [("client_secret", long.as_str()), ("", ""), ("a", "b")];
        let text = join_pairs(&parameters);
        assert_eq!(text.capacity(), encoded_pairs_len(&parameters));
        assert_eq!(encoded_pairs_len(&parameters), text.len().saturating_add(1));
        assert!(text.ends_with("&=&a=b"));
        assert_eq!(encode_secret("c d").reveal(), "c%20d");
    }

    #[test]
    fn parameters_parse_from_form_or_json() {
        let parse = |text: &str| {
            let parameters = parse_parameters(text)?;
            Some(
                parameters
                    .iter()
                    .map(|(name, value)| format!("{name}:{}", value.reveal()))
                    .collect::<Vec<_>>(),
            )
        };
        assert_eq!(
            parse("resource=https%3A%2F%2Fx&a=b+c&d=").unwrap(),
            ["resource:https://x", "a:b c", "d:"]
        );
        assert_eq!(parse(r#"{"a":"b","n":1,"o":[true]}"#).unwrap(), ["a:b", "n:1", "o:[true]"]);
        assert_eq!(parse(r#"{"a":"#), None);
        assert_eq!((parse("a"), parse("=b"), parse("a=%ff")), (None, None, None));
    }
}
