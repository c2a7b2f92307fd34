//! JSON object of a response body, whose strings are wiped when dropped: they may be tokens or an echo of the
//! request.

use std::fmt::{self, Write as _};
use std::ops::Deref;

use serde::de::IgnoredAny;
use serde_json::{Map, Value};
use zeroize::Zeroize;

use super::charset;
use crate::base::json::has_too_many_values;
use crate::base::secret::Secret;
use crate::net::http::Response;

/// The members of a JSON object, wiped when dropped.
pub(super) struct JsonObject(Map<String, Value>);

impl JsonObject {
    /// Parses the body of a response, with or without a byte order mark, in any encoding. None if it is not a
    /// JSON object.
    pub(super) fn parse(response: &Response) -> Option<Self> {
        parse_value(response).and_then(Self::from_value)
    }

    /// Like [`Self::parse`], but also returns the first object of an array, in which Salesforce's API sends
    /// errors.
    pub(super) fn parse_error(response: &Response) -> Option<Self> {
        match parse_value(response)? {
            Value::Array(mut values) if !values.is_empty() => {
                let first = values.swap_remove(0);
                zeroize_value(&mut Value::Array(values));
                Self::from_value(first)
            }
            value => Self::from_value(value),
        }
    }

    fn from_value(value: Value) -> Option<Self> {
        match value {
            Value::Object(members) => Some(Self(members)),
            mut other => {
                zeroize_value(&mut other);
                None
            }
        }
    }

    pub(super) fn remove(&mut self, name: &str) -> Option<Value> {
        self.0.remove(name)
    }

    /// Converts all members to text: strings unchanged, other values as JSON.
    pub(super) fn into_strings(mut self) -> impl Iterator<Item = (String, Secret)> {
        std::mem::take(&mut self.0).into_iter().map(|(name, value)| (name, value_to_secret(value)))
    }
}

impl Deref for JsonObject {
    type Target = Map<String, Value>;

    fn deref(&self) -> &Self::Target {
        &self.0
    }
}

impl Drop for JsonObject {
    fn drop(&mut self) {
        zeroize_members(std::mem::take(&mut self.0));
    }
}

/// Parses a body as UTF-8, else in the encoding that it is in.
fn parse_value(response: &Response) -> Option<Value> {
    let as_utf8 = std::str::from_utf8(&response.body).ok().and_then(parse_text);
    as_utf8.or_else(|| {
        let decoded = charset::decode(&response.body, response.content_type.as_deref())?;
        parse_text(&decoded)
    })
}

fn parse_text(text: &str) -> Option<Value> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    if has_too_many_values(text.as_bytes()) {
        return None;
    }
    // Check the syntax first: on an error serde_json drops the values parsed so far without wiping them.
    serde_json::from_str::<IgnoredAny>(text).ok()?;
    serde_json::from_str(text).ok()
}

fn zeroize_members(members: Map<String, Value>) {
    for (mut name, mut value) in members {
        name.zeroize();
        zeroize_value(&mut value);
    }
}

/// Wipes all strings of a value. The recursion is bounded by serde_json's nesting limit.
pub(super) fn zeroize_value(value: &mut Value) {
    match value {
        Value::String(text) => text.zeroize(),
        Value::Array(values) => values.iter_mut().for_each(zeroize_value),
        Value::Object(members) => zeroize_members(std::mem::take(members)),
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

fn value_to_secret(value: Value) -> Secret {
    match value {
        Value::String(text) => Secret::new(text),
        mut other => {
            // Allocate the exact capacity: a reallocation would leave a copy in freed memory.
            let mut counter = ByteCounter(0);
            let _ = write!(counter, "{other}");
            let mut text = String::with_capacity(counter.0);
            let _ = write!(text, "{other}");
            zeroize_value(&mut other);
            Secret::new(text)
        }
    }
}

/// Counts the bytes written to it.
struct ByteCounter(usize);

impl fmt::Write for ByteCounter {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.0 = self.0.saturating_add(text.len());
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::token_response::tests::http_response;

    fn parse(body: &str) -> Option<JsonObject> {
        JsonObject::parse(&http_response(200, body))
    }

    #[test]
    fn strings_are_zeroized_recursively() {
        let mut value: Value =
            serde_json::from_str(r#"["hunter2",{"a":"hunter2","hunter2":[["hunter2"],7,null,true]}]"#)
                .unwrap();
        zeroize_value(&mut value);
        assert_eq!(value.to_string(), r#"["",{}]"#);
    }

    #[test]
    fn non_object_body_is_rejected() {
        for body in ["", "[]", "null", "\"hunter2\"", "{", "[[[", "{}{}"] {
            assert!(parse(body).is_none(), "{body}");
        }
    }

    #[test]
    fn error_may_be_first_object_of_array() {
        for (body, found) in [
            (r#"[{"a":"b"},{"c":"d"}]"#, true),
            (r#"{"a":"b"}"#, true),
            ("[]", false),
            (r#"["a"]"#, false),
            (r#"[[{"a":"b"}]]"#, false),
        ] {
            let object = JsonObject::parse_error(&http_response(400, body));
            assert_eq!(object.is_some_and(|object| object.contains_key("a")), found, "{body}");
        }
    }

    #[test]
    fn members_convert_to_strings() {
        let body = parse(r#"{"a":"b","n":1.5,"o":{"p":["q"]},"z":null}"#).unwrap();
        let texts: Vec<_> =
            body.into_strings().map(|(name, text)| format!("{name}={}", text.reveal())).collect();
        assert_eq!(texts, ["a=b", "n=1.5", r#"o={"p":["q"]}"#, "z=null"]);
    }
}
