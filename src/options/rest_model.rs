//! REST model file of the driver (`RestConfigFile`, `.rest`): its authentication settings and HTTP headers.
//!
//! JSON with `//` comments. Members whose names begin with `#` are directives, all others are tables. Both
//! the older syntax (`#tokenUri`) and the newer one (`#options.tokenURI`) are supported. Client IDs, secrets
//! and key stores are not read from a model; they must be set in the connection string.

use std::collections::BTreeMap;
use std::fmt;

use serde::Deserialize;
use serde::de::{Deserializer, IgnoredAny, MapAccess, Visitor};
use serde_json::Value as Json;

use super::table::{self, OptionSpec, OptionType};
use super::{OptionLayer, OptionOrigin, OptionValue};
use crate::base::error::{Error, OptionError, WarningKind};
use crate::base::file::ConfiguredPath;
use crate::base::sanitize;
use crate::base::secret::Secret;
use crate::base::text;
use crate::base::url::{parse_scheme, resolve_reference};
use crate::net::header_value;

/// The options that a model may set.
const MODEL_OPTIONS: [&str; 6] =
    ["AuthenticationMethod", "AuthURI", "TokenURI", "RedirectURI", "LogoffURI", "Scope"];

/// The name and value of an HTTP header.
pub type ModelHeader = (String, Secret);

/// The content of a model file; empty if none is set.
#[derive(Clone, Debug, Default, Hash)]
pub(super) struct RestModel {
    /// RestConfigFile as configured.
    pub(super) path: String,
    pub(super) headers: Vec<ModelHeader>,
    pub(super) warnings: Vec<Error>,
    pub(super) error: Option<Error>,
    /// The HTTP statuses by which the API requests a new token.
    pub(super) reauthenticate_statuses: Vec<u16>,
    /// Whether the file could not be read.
    pub(super) is_unreadable: bool,
}

impl RestModel {
    /// Loads the model and the option values that it sets.
    pub(super) fn load(file: &ConfiguredPath) -> (Self, OptionLayer) {
        let path = file.as_configured().to_owned();
        let mut loader = ModelLoader { model: Self { path, ..Self::default() }, values: OptionLayer::new() };
        match file.read() {
            Ok((content, _)) => loader.apply_content(&mut text::to_utf8(content)),
            // An I/O error may pass, and must not decide which method and scope a token has.
            Err(error) if error.is_forbidden() || error.is_io_failure() => {
                loader.set_error(&error.to_string())
            }
            Err(error) => {
                loader.model.is_unreadable = true;
                let reason = if error.is_missing() { "does not exist".to_owned() } else { error.to_string() };
                loader.add_warning(&format!("{reason}; it is ignored"));
            }
        }
        (loader.model, loader.values)
    }
}

struct ModelLoader {
    model: RestModel,
    values: OptionLayer,
}

impl ModelLoader {
    fn add_warning(&mut self, text: &str) {
        let text = format!("RestConfigFile {} {text}", sanitize::path(&self.model.path));
        self.model
            .warnings
            .push(Error::new(WarningKind::General, "options", text).with_option("RestConfigFile"));
    }

    fn apply_content(&mut self, content: &mut [u8]) {
        match parse_directives(content) {
            Ok(directives) => self.apply_directives(&directives),
            Err(reason) => self.set_error(&reason),
        }
    }

    fn set_error(&mut self, reason: &str) {
        let text = format!("RestConfigFile {} {reason}", sanitize::path(&self.model.path));
        let error = Error::new(OptionError::Invalid, "options", text).with_option("RestConfigFile");
        self.model.error = Some(error);
    }

    fn apply_directives(&mut self, Directives(directives): &Directives) {
        let host = directives.get("#hostname").and_then(|(_, value)| text_or_default_choice(value));
        let newer_options = directives.get("#options").and_then(|(_, value)| value.as_object());
        for (name, value) in newer_options.into_iter().flatten() {
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

    fn apply_option(&mut self, directive: &str, name: &str, value: &Json, host: Option<&str>) {
        let Some(spec) = table::find(name).filter(|spec| spec.option_type != OptionType::Passthrough) else {
            return;
        };
        if !MODEL_OPTIONS.contains(&spec.name) {
            self.add_warning(&format!("sets {}, which a model cannot set; it is ignored", spec.name));
            return;
        }
        let Some(text) = text_or_default_choice(value) else {
            self.add_warning(&format!("sets {} to a value that is not a string; it is ignored", spec.name));
            return;
        };
        if !text.is_empty() && !self.values.contains_key(&spec.id) {
            let text = self.resolve_url(spec, text, host);
            if text.reveal().contains('\0') {
                let reason = format!("contains a NUL character in {directive}");
                self.set_error(&reason);
                return;
            }
            let location = Some(self.model.path.clone());
            let value = OptionValue {
                text,
                origin: OptionOrigin::Model,
                name_as_written: directive.to_owned(),
                location,
            };
            self.values.insert(spec.id, value);
        }
    }

    /// Resolves a relative URI against `#hostname`. Without `#hostname` it is left unchanged, which is an
    /// error when it is used.
    fn resolve_url(&mut self, spec: &OptionSpec, text: &str, host: Option<&str>) -> Secret {
        let is_uri = matches!(spec.option_type, OptionType::Url | OptionType::MethodUrl);
        if !is_uri {
            return Secret::from(text);
        }
        let (method, url) = match text.split_once([' ', '\t']) {
            Some((method, url)) => (format!("{method} "), url.trim_start()),
            None => (String::new(), text),
        };
        if parse_scheme(url).is_some() {
            return Secret::from(text);
        }
        let Some(host) = host.map(str::trim).filter(|host| !host.is_empty()) else {
            self.add_warning(&format!("has a relative {} but no #hostname", spec.name));
            return Secret::from(text);
        };
        Secret::new(format!("{method}{}", resolve_reference(host, url)))
    }

    fn apply_headers(&mut self, headers: &Json) {
        let Some(headers) = headers.as_object() else {
            self.add_warning("has #headers that are not an object; they are ignored");
            return;
        };
        for (name, value) in headers {
            if header_value::is_reserved_header(name) && !header_value::is_content_header(name) {
                self.set_error(&format!(
                    "sets the header {name}, which the HTTP client itself sets; remove it"
                ));
            } else if let Err(reason) = self.add_header(name, value) {
                self.add_warning(&format!("has a header in #headers that {reason}; it is ignored"));
            }
        }
    }

    fn add_header(&mut self, name: &str, value: &Json) -> Result<(), &'static str> {
        header_value::validate_header_name(name)?;
        if self.model.headers.iter().any(|(other, _)| other.eq_ignore_ascii_case(name)) {
            return Err("is a duplicate");
        }
        let value = value.as_str().ok_or("has a value that is not a string")?;
        if !header_value::is_valid_header_value(value) {
            return Err("has a value with an invalid character, such as a line break");
        }
        self.model.headers.push((name.to_owned(), Secret::from(value)));
        Ok(())
    }
}

/// A string, or the default of `{"choices": "A,B", "default": "A"}`; empty if there are several choices and
/// no default.
fn text_or_default_choice(value: &Json) -> Option<&str> {
    let Some(object) = value.as_object() else { return value.as_str() };
    let member =
        |key: &str| object.iter().find(|(name, _)| name.eq_ignore_ascii_case(key)).map(|(_, value)| value);
    match (member("default"), member("choices")) {
        (Some(default), _) => default.as_str(),
        (None, Some(choices)) => choices.as_str().map(|all| if all.contains(',') { "" } else { all }),
        (None, None) => None,
    }
}

/// Operations of the driver other than reading from the API.
const NON_REQUEST_OPERATIONS: [&str; 6] = ["LOGIN", "GOODBYE", "NOAUTH", "INSERT", "UPDATE", "DELETE"];

/// The HTTP status of an `#http` rule with the action REAUTHENTICATE for read requests. All other rules are
/// handled by the driver, and so are rules that match the response body.
fn reauthenticate_status(rule: &Json) -> Option<u16> {
    let rule = rule.as_object()?;
    let member =
        |key: &str| rule.iter().find(|(name, _)| name.eq_ignore_ascii_case(key)).map(|(_, value)| value);
    let text = |name: &str| member(name).and_then(Json::as_str).unwrap_or_default();
    let is_excluded =
        NON_REQUEST_OPERATIONS.iter().any(|operation| operation.eq_ignore_ascii_case(text("#operation")));
    if is_excluded || member("#match").is_some() || !text("#action").eq_ignore_ascii_case("REAUTHENTICATE") {
        return None;
    }
    let code = member("#code")?;
    let code = code.as_u64().or_else(|| code.as_str()?.trim().parse().ok())?;
    u16::try_from(code).ok().filter(|code| (300..600).contains(code))
}

/// The directives by name in lower case, with the name as written. Tables are skipped.
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

/// Parses the directives. The error is the reason without any content, to be appended to the path.
fn parse_directives(content: &mut [u8]) -> Result<Directives, String> {
    mask_comments(content);
    serde_json::from_slice(content).map_err(|error| {
        let reason = match error.classify() {
            serde_json::error::Category::Eof => "is not JSON: unexpected end of file at",
            serde_json::error::Category::Data => "is not a JSON object at",
            _ => "is not JSON at",
        };
        format!("{reason} line {}, column {}", error.line(), error.column())
    })
}

/// Replaces `//` comments by spaces, so that line and column numbers do not change. A JSON string cannot span
/// lines, so each line is processed separately.
fn mask_comments(content: &mut [u8]) {
    for line in content.split_mut(|byte| *byte == b'\n') {
        if let Some(comment) = find_comment_start(line).and_then(|start| line.get_mut(start..)) {
            comment.fill(b' ');
        }
    }
}

fn find_comment_start(line: &[u8]) -> Option<usize> {
    let (mut in_string, mut escaped, mut slash) = (false, false, false);
    for (index, byte) in line.iter().enumerate() {
        if in_string {
            in_string = escaped || *byte != b'"';
            escaped = !escaped && *byte == b'\\';
        } else if slash && *byte == b'/' {
            return index.checked_sub(1);
        } else {
            slash = *byte == b'/';
            in_string = *byte == b'"';
        }
    }
    None
}
