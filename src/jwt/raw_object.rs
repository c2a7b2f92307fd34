//! A JSON object that the user wrote, for headers and claims: its members in the order and the very form in which they
//! were given, so that `1.0` stays `1.0` and a long number loses no digit.

use std::fmt;

use serde::Deserializer as _;
use serde::de::{MapAccess, Visitor};
use serde_json::error::Category;
use serde_json::value::RawValue;
use serde_json::{Deserializer, Value};

use crate::base::secret::Secret;
use crate::jwt::object_writer::ObjectWriter;

/// The members of an object. Debug shows names alone: what an application claims may be nobody else's business.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct RawObject(Vec<(String, Secret)>);

impl RawObject {
    /// Reads an object.
    ///
    /// # Errors
    /// What is wrong with it and where, without a word of it.
    pub fn parse(text: &str) -> std::result::Result<Self, String> {
        // RawValue alone looks at the structure, and would let pass what no JSON reader takes, such as half a surrogate.
        match serde_json::from_str(text) {
            Ok(Value::Object(_)) => {}
            Ok(_) => return Err("is not a JSON object, which stands in braces".to_owned()),
            Err(error) => return Err(describe_parse_error(&error)),
        }
        let members = Deserializer::from_str(text)
            .deserialize_map(OrderedMembersVisitor)
            .map_err(|error| describe_parse_error(&error))?;
        let twice = members.iter().enumerate().any(|(place, (name, _))| {
            members.iter().skip(place.saturating_add(1)).any(|(other, _)| other == name)
        });
        if twice { Err("names a member twice".to_owned()) } else { Ok(Self(members)) }
    }

    /// Whether there is a member of that name.
    #[must_use]
    pub fn contains_key(&self, name: &str) -> bool {
        self.get_raw(name).is_some()
    }

    /// The value of a member as it was written.
    #[must_use]
    pub fn get_raw(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(known, _)| known == name).map(|(_, value)| value.reveal())
    }

    /// The text that a member is; its JSON if it is none.
    #[must_use]
    pub fn get_string(&self, name: &str) -> Option<String> {
        let json = self.get_raw(name)?;
        Some(serde_json::from_str(json).unwrap_or_else(|_| json.to_owned()))
    }

    /// The whole seconds of a member that is a number (RFC 7519 section 2 allows fractions).
    #[must_use]
    pub fn get_timestamp(&self, name: &str) -> Option<i64> {
        let number: serde_json::Number = serde_json::from_str(self.get_raw(name)?).ok()?;
        #[allow(clippy::cast_possible_truncation, reason = "what is beyond the end of time ends there")]
        number.as_i64().or_else(|| number.as_f64().map(|seconds| seconds as i64))
    }

    /// The same without the member of that name.
    #[must_use]
    pub fn without(mut self, name: &str) -> Self {
        self.0.retain(|(known, _)| known != name);
        self
    }

    /// The names.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(|(name, _)| name.as_str())
    }

    /// The bytes that they take, unless a name has to be escaped.
    pub(super) fn serialized_len(&self) -> usize {
        let parts = |(name, value): &(String, Secret)| [name.len(), value.reveal().len(), r#","":"#.len()];
        self.0.iter().flat_map(parts).sum()
    }

    pub(super) fn write_to(&self, object: &mut ObjectWriter) {
        for (name, value) in &self.0 {
            object.raw_field(name, value.reveal());
        }
    }
}

/// Line and column of what serde_json found, whose own words may repeat some of the text.
fn describe_parse_error(error: &serde_json::Error) -> String {
    let what = match error.classify() {
        Category::Eof => "it ends too early",
        _ => "it is not JSON there",
    };
    format!("is not a JSON object: line {}, column {}: {what}", error.line(), error.column())
}

struct OrderedMembersVisitor;

impl<'de> Visitor<'de> for OrderedMembersVisitor {
    type Value = Vec<(String, Secret)>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> std::result::Result<Self::Value, A::Error> {
        let mut members = Vec::new();
        while let Some((name, value)) = map.next_entry::<String, Box<RawValue>>()? {
            members.push((name, Secret::new(Box::<str>::from(value).into_string())));
        }
        Ok(members)
    }
}
