//! RestConfigFile: the driver's `.rest` model, a path in, the settings and headers that bear on tokens out.
//!
//! JSON with `//` comments, in which keys that begin with `#` are directives and all others tables. The older spelling
//! (`#tokenUri`) and the newer one (`#options.tokenURI`) are both read. Client IDs, secrets and key stores are not: they
//! stay in the connection string.

use std::collections::BTreeMap;
use std::fmt;

use serde::Deserialize;
use serde::de::{Deserializer, IgnoredAny, MapAccess, Visitor};
use serde_json::Value as Json;

use super::table::{self, OptionSpec, OptionType};
use super::{OptionLayer, OptionOrigin, OptionValue};
use crate::base::error::{Error, Status};
use crate::base::file::ConfiguredPath;
use crate::base::sanitize;
use crate::base::secret::Secret;
use crate::base::url::{parse_scheme, resolve_reference};
use crate::net::header_value;

/// The options that a model may set.
const MODEL_OPTIONS: [&str; 6] =
    ["AuthenticationMethod", "AuthURI", "TokenURI", "RedirectURI", "LogoffURI", "Scope"];

/// A header and its value.
pub type ModelHeader = (String, Secret);

/// What a model file says; nothing, where none is named.
#[derive(Clone, Debug, Default, Hash)]
pub(super) struct RestModel {
    /// RestConfigFile as typed.
    pub(super) path: String,
    pub(super) headers: Vec<ModelHeader>,
    pub(super) warnings: Vec<Error>,
    pub(super) error: Option<Error>,
    /// The HTTP statuses by which the API says that it wants another token.
    pub(super) reauthenticate_statuses: Vec<u16>,
    /// Whether the file could not be read.
    pub(super) is_unreadable: bool,
}

impl RestModel {
    /// Reads the model and the values that it sets.
    pub(super) fn load(file: &ConfiguredPath) -> (Self, OptionLayer) {
        let path = file.as_configured().to_owned();
        let mut reader = ModelLoader { model: Self { path, ..Self::default() }, values: OptionLayer::new() };
        match file.read() {
            Ok((mut content, _)) => reader.apply_content(&mut content),
            Err(fault) if fault.is_forbidden() => reader.set_error(&fault.to_string()),
            Err(fault) => {
                reader.model.is_unreadable = true;
                let fault = if fault.is_missing() { "is not there".to_owned() } else { fault.to_string() };
                reader.add_warning(&format!("{fault}; it was left out"));
            }
        }
        (reader.model, reader.values)
    }
}

struct ModelLoader {
    model: RestModel,
    values: OptionLayer,
}

impl ModelLoader {
    fn add_warning(&mut self, text: &str) {
        let text = format!("RestConfigFile {} {text}", sanitize::path(&self.model.path));
        self.model.warnings.push(Error::warning("01000", "options", text).with_option("RestConfigFile"));
    }

    fn apply_content(&mut self, content: &mut [u8]) {
        match parse_directives(content) {
            Ok(directives) => self.apply_directives(&directives),
            Err(reason) => self.set_error(&reason),
        }
    }

    fn set_error(&mut self, reason: &str) {
        let text = format!("RestConfigFile {} {reason}", sanitize::path(&self.model.path));
        let fault = Error::new(Status::InvalidOption, "options", text).with_option("RestConfigFile");
        self.model.error = Some(fault);
    }

    fn apply_directives(&mut self, Directives(directives): &Directives) {
        let host = directives.get("#hostname").and_then(|(_, value)| text_or_default_choice(value));
        let newer = directives.get("#options").and_then(|(_, value)| value.as_object());
        for (name, value) in newer.into_iter().flatten() {
            self.apply_option(&format!("#options.{name}"), name, value, host);
        }
        for (name, value) in directives.values() {
            self.apply_option(name, name.trim_start_matches('#'), value, host);
        }
        if let Some((_, headers)) = directives.get("#headers") {
            self.apply_headers(headers);
        }
        let rules = directives.get("#http").and_then(|(_, rules)| rules.as_array());
        self.model.reauthenticate_statuses =
            rules.into_iter().flatten().filter_map(reauthenticate_status).collect();
    }

    fn apply_option(&mut self, spelling: &str, name: &str, value: &Json, host: Option<&str>) {
        let Some(definition) =
            table::find(name).filter(|definition| definition.option_type != OptionType::Passthrough)
        else {
            return;
        };
        if !MODEL_OPTIONS.contains(&definition.name) {
            self.add_warning(&format!("sets {}, which a model does not; it was ignored", definition.name));
            return;
        }
        let Some(text) = text_or_default_choice(value) else {
            self.add_warning(&format!(
                "sets {} to something that is not text; it was ignored",
                definition.name
            ));
            return;
        };
        if !text.is_empty() && !self.values.contains_key(&definition.id) {
            let text = self.resolve_url(definition, text, host);
            if text.reveal().contains('\0') {
                let reason = format!("has a NUL character in {spelling}, which no value may");
                self.set_error(&reason);
                return;
            }
            let place = Some(self.model.path.clone());
            let value = OptionValue {
                text,
                origin: OptionOrigin::Model,
                name_as_written: spelling.to_owned(),
                location: place,
            };
            self.values.insert(definition.id, value);
        }
    }

    /// A relative URI is meant as seen from `#hostname`. Without one it stays as it is, and is found fault with when
    /// it is used.
    fn resolve_url(&mut self, definition: &OptionSpec, text: &str, host: Option<&str>) -> Secret {
        let is_uri = matches!(definition.option_type, OptionType::Url | OptionType::MethodUrl);
        if !is_uri {
            return Secret::from(text);
        }
        let (method, address) = match text.split_once([' ', '\t']) {
            Some((method, address)) => (format!("{method} "), address.trim_start()),
            None => (String::new(), text),
        };
        if parse_scheme(address).is_some() {
            return Secret::from(text);
        }
        let Some(host) = host.map(str::trim).filter(|host| !host.is_empty()) else {
            self.add_warning(&format!(
                "has a relative {}, and no #hostname from which it is meant",
                definition.name
            ));
            return Secret::from(text);
        };
        Secret::new(format!("{method}{}", resolve_reference(host, address)))
    }

    fn apply_headers(&mut self, headers: &Json) {
        let Some(headers) = headers.as_object() else {
            self.add_warning("has #headers that are not an object; they were left out");
            return;
        };
        for (name, value) in headers {
            if let Err(reason) = self.add_header(name, value) {
                self.add_warning(&format!("has a header in #headers that {reason}; it was left out"));
            }
        }
    }

    fn add_header(&mut self, name: &str, value: &Json) -> Result<(), &'static str> {
        header_value::validate_header_name(name)?;
        if name.eq_ignore_ascii_case("authorization") {
            return Err("is Authorization, in which the token goes");
        }
        if self.model.headers.iter().any(|(known, _)| known.eq_ignore_ascii_case(name)) {
            return Err("is there already in other letters");
        }
        let value = value.as_str().ok_or("has a value that is not text")?;
        if !header_value::is_valid_header_value(value) {
            return Err("has a value with a character that no header may carry, such as a line break");
        }
        self.model.headers.push((name.to_owned(), Secret::from(value)));
        Ok(())
    }
}

/// Text, or the default of `{"choices": "A,B", "default": "A"}`; empty where several are left to choose from.
fn text_or_default_choice(value: &Json) -> Option<&str> {
    let Some(object) = value.as_object() else { return value.as_str() };
    let member = |wanted: &str| {
        object.iter().find(|(name, _)| name.eq_ignore_ascii_case(wanted)).map(|(_, value)| value)
    };
    match (member("default"), member("choices")) {
        (Some(chosen), _) => chosen.as_str(),
        (None, Some(choices)) => choices.as_str().map(|all| if all.contains(',') { "" } else { all }),
        (None, None) => None,
    }
}

/// Operations of the driver that are not a plain request to the API.
const NON_REQUEST_OPERATIONS: [&str; 6] = ["LOGIN", "GOODBYE", "NOAUTH", "INSERT", "UPDATE", "DELETE"];

/// The status of a rule of `#http` that says REAUTHENTICATE of plain requests. All other rules are the driver's, and so
/// are those that go by the body.
fn reauthenticate_status(rule: &Json) -> Option<u16> {
    let rule = rule.as_object()?;
    let member = |wanted: &str| {
        rule.iter().find(|(name, _)| name.eq_ignore_ascii_case(wanted)).map(|(_, value)| value)
    };
    let word = |name: &str| member(name).and_then(Json::as_str).unwrap_or_default();
    let other = NON_REQUEST_OPERATIONS.iter().any(|known| known.eq_ignore_ascii_case(word("#operation")));
    if other || member("#match").is_some() || !word("#action").eq_ignore_ascii_case("REAUTHENTICATE") {
        return None;
    }
    let code = member("#code")?;
    let code = code.as_u64().or_else(|| code.as_str()?.trim().parse().ok())?;
    u16::try_from(code).ok().filter(|code| (300..600).contains(code))
}

/// The directives by their name in lower case, with the name as written; tables are read over.
struct Directives(BTreeMap<String, (String, Json)>);

impl<'de> Deserialize<'de> for Directives {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(DirectivesVisitor)
    }
}

struct DirectivesVisitor;

impl<'de> Visitor<'de> for DirectivesVisitor {
    type Value = Directives;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Directives, A::Error> {
        let mut directives = BTreeMap::new();
        while let Some(name) = map.next_key::<String>()? {
            if name.starts_with('#') {
                let value = map.next_value::<Json>()?;
                directives.entry(name.to_lowercase()).or_insert((name, value));
            } else {
                map.next_value::<IgnoredAny>()?;
            }
        }
        Ok(Directives(directives))
    }
}

/// The error is the reason, without any of the content: to be put behind the path.
fn parse_directives(content: &mut [u8]) -> Result<Directives, String> {
    blank_comments(content);
    let content = content.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(content);
    serde_json::from_slice(content).map_err(|error| {
        let what = match error.classify() {
            serde_json::error::Category::Eof => "is not JSON: it ends too early, at",
            serde_json::error::Category::Data => "is not a JSON object, from",
            _ => "is not JSON, from",
        };
        format!("{what} line {}, column {} on", error.line(), error.column())
    })
}

/// Makes blanks of `//` comments, so that lines and columns stay as they are. No text of JSON goes on behind the end of
/// a line, so each line is looked at by itself.
fn blank_comments(content: &mut [u8]) {
    for line in content.split_mut(|byte| *byte == b'\n') {
        if let Some(comment) = find_comment_start(line).and_then(|start| line.get_mut(start..)) {
            comment.fill(b' ');
        }
    }
}

fn find_comment_start(line: &[u8]) -> Option<usize> {
    let (mut in_text, mut escaped, mut slash) = (false, false, false);
    for (index, byte) in line.iter().enumerate() {
        if in_text {
            in_text = escaped || *byte != b'"';
            escaped = !escaped && *byte == b'\\';
        } else if slash && *byte == b'/' {
            return index.checked_sub(1);
        } else {
            slash = *byte == b'/';
            in_text = *byte == b'"';
        }
    }
    None
}
