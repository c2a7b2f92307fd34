//! User-defined JSON object for headers and claims. It preserves the order of the members and the text of
//! their values, so that `1.0` stays `1.0` and a long number loses no digit.

use std::fmt;

use serde::Deserializer as _;
use serde::de::{MapAccess, Visitor};
use serde_json::error::Category;
use serde_json::value::RawValue;
use serde_json::{Deserializer, Value};

use crate::base::secret::Secret;
use crate::jwt::object_writer::ObjectWriter;

/// Members of a JSON object. Debug output shows only the names, because the values may be confidential.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct RawObject(Vec<(String, Secret)>);

impl RawObject {
    /// Parses an object.
    ///
    /// # Errors
    /// The reason and the position, to be appended to the option's name, without any of the text.
    pub fn parse(text: &str) -> std::result::Result<Self, String> {
        // RawValue checks only the structure, and would accept invalid strings, for example an unpaired
        // surrogate.
        match serde_json::from_str(text) {
            Ok(Value::Object(_)) => {}
            Ok(_) => return Err("must be a JSON object in braces {…}".to_owned()),
            Err(error) => return Err(describe_parse_error(&error)),
        }
        let members = Deserializer::from_str(text)
            .deserialize_map(OrderedMembersVisitor)
            .map_err(|error| describe_parse_error(&error))?;
        let has_duplicate = members.iter().enumerate().any(|(index, (name, _))| {
            members.iter().skip(index.saturating_add(1)).any(|(other, _)| other == name)
        });
        if has_duplicate { Err("contains a duplicate member".to_owned()) } else { Ok(Self(members)) }
    }

    /// Whether a member with `name` exists.
    #[must_use]
    pub fn contains_key(&self, name: &str) -> bool {
        self.get_raw(name).is_some()
    }

    /// The JSON text of a member's value, unchanged.
    #[must_use]
    pub fn get_raw(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(member, _)| member == name).map(|(_, value)| value.reveal())
    }

    /// The value of a member that is a string; the JSON text of any other value.
    #[must_use]
    pub fn get_string(&self, name: &str) -> Option<String> {
        let json = self.get_raw(name)?;
        Some(serde_json::from_str(json).unwrap_or_else(|_| json.to_owned()))
    }

    /// A NumericDate in whole seconds (RFC 7519 section 2 allows fractions). None if the value is not a
    /// number.
    #[must_use]
    pub fn get_timestamp(&self, name: &str) -> Option<i64> {
        let number: serde_json::Number = serde_json::from_str(self.get_raw(name)?).ok()?;
        #[allow(clippy::cast_possible_truncation, reason = "saturates at the range of i64")]
        number.as_i64().or_else(|| number.as_f64().map(|seconds| seconds as i64))
    }

    /// Removes the member with `name`.
    #[must_use]
    pub fn without(mut self, name: &str) -> Self {
        self.0.retain(|(member, _)| member != name);
        self
    }

    /// Names of all members.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(|(name, _)| name.as_str())
    }

    /// Number of bytes that the members add to an object, unless a name must be escaped.
    pub(super) fn serialized_len(&self) -> usize {
        let lengths = |(name, value): &(String, Secret)| [name.len(), value.reveal().len(), r#","":"#.len()];
        self.0.iter().flat_map(lengths).sum()
    }

    pub(super) fn write_to(&self, object: &mut ObjectWriter) {
        for (name, value) in &self.0 {
            object.raw_field(name, value.reveal());
        }
    }
}

/// Describes an error by line and column only: serde_json's own message may repeat some of the text.
fn describe_parse_error(error: &serde_json::Error) -> String {
    let what = match error.classify() {
        Category::Eof => "unexpected end",
        _ => "invalid JSON",
    };
    format!("is not a JSON object: {what} at line {}, column {}", error.line(), error.column())
}

struct OrderedMembersVisitor;

impl<'de> Visitor<'de> for OrderedMembersVisitor {
    type Value = Vec<(String, Secret)>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> std::result::Result<Self::Value, A::Error> {
        let mut members = Vec::new();
        while let Some((name, value)) = map.next_entry::<String, Box<RawValue>>()? {
            members.push((name, Secret::new(Box::<str>::from(value).into_string())));
        }
        Ok(members)
    }
}
