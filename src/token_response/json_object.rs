//! JSON object of a response body, whose strings are wiped when dropped: they may be tokens or an echo of the
//! request.

use std::fmt::{self, Write as _};
use std::ops::Deref;

use serde::de::IgnoredAny;
use serde_json::{Map, Value};
use zeroize::Zeroize;

use crate::base::secret::Secret;

/// The members of a JSON object, wiped when dropped.
pub(super) struct JsonObject(Map<String, Value>);

impl JsonObject {
    /// Parses a body, with or without a byte order mark. None if it is not a JSON object.
    pub(super) fn parse(body: &[u8]) -> Option<Self> {
        let body = body.strip_prefix(b"\xef\xbb\xbf").unwrap_or(body);
        // Check the syntax first: on an error serde_json drops the values parsed so far without wiping them.
        serde_json::from_slice::<IgnoredAny>(body).ok()?;
        match serde_json::from_slice(body).ok()? {
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
            assert!(JsonObject::parse(body.as_bytes()).is_none(), "{body}");
        }
    }

    #[test]
    fn members_convert_to_strings() {
        let body = JsonObject::parse(br#"{"a":"b","n":1.5,"o":{"p":["q"]},"z":null}"#).unwrap();
        let texts: Vec<_> =
            body.into_strings().map(|(name, text)| format!("{name}={}", text.reveal())).collect();
        assert_eq!(texts, ["a=b", "n=1.5", r#"o={"p":["q"]}"#, "z=null"]);
    }
}
