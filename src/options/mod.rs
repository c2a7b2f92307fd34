//! Text to named values: what the user said, where, and how it was spelled.
//!
//! `grammar` splits a connection string, `data_source` reads what a DSN or FILEDSN stands for, `model` a RestConfigFile;
//! `table` knows the options; here they meet. What the origins say lies in layers, so that a higher one can be taken away
//! again. Values are not judged here but where they are first used, so that a connection can be built up option by option.
//! What they refer to outside, `references` and `key_file` read at that time, into a copy; `seen` tells when it has changed.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::base::error::{Error, Result, Status};
use crate::base::policy::Policy;
use crate::base::sanitize;
use crate::base::secret::Secret;
use crate::jwt::RawObject;
use crate::key::Pkcs11Uri;
use crate::net::proxy::ProxyEnv;

mod completed_string;
pub mod connection_string;
mod data_source;
mod dependencies;
pub mod environment;
mod ini;
mod key_file;
mod override_guard;
mod paths;
mod rest_model;
mod secret_refs;
pub mod table;
#[cfg(test)]
mod tests;

use rest_model::RestModel;

pub use completed_string::OptionOverride;
pub use dependencies::FileDependencies;
pub use environment::{Environment, ProcessEnvironment};
pub use key_file::KEY_FILE_OPTIONS;
pub use table::{OptionId, OptionType};

/// Where a value was said; a later one outranks an earlier one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum OptionOrigin {
    /// Beside the key that signs, in a JSON key file.
    KeyFile,
    /// In the model file that RestConfigFile names.
    Model,
    /// In a section of an odbc.ini.
    Dsn,
    /// In the file that FILEDSN names.
    FileDsn,
    /// In the connection string.
    ConnectionString,
    /// By `authgrant_set_option`.
    SetOption,
}

impl OptionOrigin {
    /// Whether it is a DSN or a FILEDSN.
    #[must_use]
    pub fn is_data_source(self) -> bool {
        matches!(self, Self::Dsn | Self::FileDsn)
    }
}

/// One value as it was said.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct OptionValue {
    /// The value.
    pub text: Secret,
    /// Where it was said.
    pub origin: OptionOrigin,
    /// The name by which it was said, for messages.
    pub name_as_written: String,
    /// The file that said it, with the line where there is one.
    pub location: Option<String>,
}

impl OptionValue {
    /// The JSON object that it is.
    ///
    /// # Errors
    /// What is wrong with it and where, without a word of it.
    pub fn as_json_object(&self) -> std::result::Result<RawObject, String> {
        let text = self.text.reveal();
        let parsed = RawObject::parse(text);
        // A connection string's own braces are the object's, if nobody wrote others: {"a":1} reads as "a":1.
        if self.origin == OptionOrigin::ConnectionString && text.trim_start().starts_with('"') {
            let braced = Secret::new(format!("{{{text}}}"));
            return RawObject::parse(braced.reveal()).or(parsed);
        }
        parsed
    }
}

/// What one origin says.
type OptionLayer = BTreeMap<OptionId, OptionValue>;

/// The options of one connection. An empty value stands for none, as in `Scope=;`, and hides those of lower rank.
#[derive(Clone, Debug, Default, Hash)]
pub struct Options {
    /// Shared with the options of before, of which a change is a copy.
    layers: BTreeMap<OptionOrigin, Arc<OptionLayer>>,
    /// The data source, for messages.
    data_source_label: Option<String>,
    rest_model: RestModel,
    /// What the environment said of proxies when the connection was opened.
    proxy_env: ProxyEnv,
    warnings: Vec<Error>,
    external: ExternalFindings,
    /// Whether the secrets that the application sets may not be sent where the connection string says.
    caller_guard_enabled: bool,
    /// Whether a signer of the application takes the place of the options' key.
    has_caller_signer: bool,
}

/// What was found where options refer to something outside of them.
#[derive(Clone, Debug, Default, Hash)]
struct ExternalFindings {
    errors: Vec<Error>,
    warnings: Vec<Error>,
    /// Why the key file, which might say more, says nothing.
    key_file_error: Option<Error>,
}

impl Options {
    /// Reads a connection string and the data source and model file that it names.
    ///
    /// # Errors
    /// [`Status::InvalidConnectionString`] for a fault in the structure, [`Status::DataSourceNotFound`].
    pub fn open(text: &str, environment: &dyn Environment) -> Result<Self> {
        let pairs = connection_string::parse(text)?;
        let order: Vec<_> =
            pairs.iter().filter_map(|pair| table::find(&pair.name)).map(|found| found.id).collect();
        let mut options = Self::from_pairs(pairs);
        if options.get(OptionId::AllowOverride).is_some() {
            options.warn_ignored(
                Some(OptionId::AllowOverride),
                "it counts in a DSN or FILEDSN, not in a connection string",
            );
        }
        options.proxy_env = environment::read_proxy_env(environment);
        options.load_data_source(&order, environment)?;
        options.guard_caller_secrets(Policy::current(), false);
        Ok(options)
    }

    /// Reads a connection string alone. The first of several values of an option wins; that, and every name that is
    /// not an option, is a warning (SQLSTATE 01S00).
    ///
    /// # Errors
    /// [`Status::InvalidConnectionString`] for a fault in the structure.
    pub fn parse(text: &str) -> Result<Self> {
        connection_string::parse(text).map(Self::from_pairs)
    }

    fn from_pairs(pairs: Vec<connection_string::KeyValue>) -> Self {
        let mut options = Self::default();
        let mut behind_open = None;
        // A token's URI goes on behind a ";", and so does everything in it.
        let mut uri = None;
        for pair in pairs {
            let Some(definition) = table::find(&pair.name) else {
                options.warnings.push(unknown_option_warning(&pair, uri.or(behind_open)));
                let risky = !pair.braced && looks_like_secret(&pair.name);
                behind_open = risky.then_some("the value in front of it");
                continue;
            };
            behind_open = (definition.is_secret() && !pair.braced).then_some(definition.name);
            let bare = pair.value.reveal().trim_start_matches(['\'', '"']);
            uri = (!pair.braced && Pkcs11Uri::has_scheme(bare)).then_some(definition.name);
            options.add_pair(definition, pair);
        }
        options
    }

    fn add_pair(&mut self, definition: &table::OptionSpec, pair: connection_string::KeyValue) {
        if let Some(first) = self.layer_value(OptionOrigin::ConnectionString, definition.id) {
            let text = format!(
                "{} at offset {} was ignored: {} was given before it, and the first one counts",
                pair.name, pair.offset, first.name_as_written
            );
            self.warnings.push(option_warning(definition.name, text));
            return;
        }
        let text = if pair.braced || definition.is_secret() {
            pair.value
        } else {
            Secret::from(strip_quotes(pair.value.reveal()))
        };
        self.set_value(definition.id, text, OptionOrigin::ConnectionString, &pair.name);
    }

    fn set_value(&mut self, name: OptionId, text: Secret, origin: OptionOrigin, spelling: &str) {
        let value = OptionValue { text, origin, name_as_written: spelling.to_owned(), location: None };
        self.layer_mut(origin).insert(name, value);
    }

    /// What one origin says, to say more.
    fn layer_mut(&mut self, origin: OptionOrigin) -> &mut OptionLayer {
        Arc::make_mut(self.layers.entry(origin).or_default())
    }

    /// Finds the data source, by the rules of ODBC's SQLDriverConnect: of DSN and FILEDSN the first counts, and none
    /// of a DSN where DRIVER stands in front of it. `order` is the names in the connection string, in its order.
    fn load_data_source(&mut self, order: &[OptionId], environment: &dyn Environment) -> Result<()> {
        let place = |name| self.get(name).and_then(|_| order.iter().position(|said| *said == name));
        let driver = place(OptionId::Driver);
        let source = match (place(OptionId::DSN), place(OptionId::FILEDSN)) {
            (None, None) => return Ok(()),
            (dsn, Some(file)) if dsn.is_none_or(|dsn| file < dsn) => {
                self.warn_ignored(
                    dsn.map(|_| OptionId::DSN),
                    "FILEDSN was given before it, and the first one counts",
                );
                self.load_file_dsn(environment)?
            }
            (dsn, file) => {
                self.warn_ignored(
                    file.map(|_| OptionId::FILEDSN),
                    "DSN was given before it, and the first one counts",
                );
                if driver.is_some() && driver < dsn {
                    self.warn_ignored(Some(OptionId::DSN), "DRIVER stands in front of it");
                    return Ok(());
                }
                data_source::load_dsn(&self.trimmed_text(OptionId::DSN), environment)?
            }
        };
        self.data_source_label = Some(source.label);
        self.warnings.extend(source.warnings);
        self.external.errors.extend(source.errors);
        self.layers.insert(source.origin, Arc::new(source.values));
        Ok(())
    }

    /// DRIVER and FILEDSN may stand together; a file for another driver says nothing.
    fn load_file_dsn(&mut self, environment: &dyn Environment) -> Result<data_source::DataSource> {
        let mut source = data_source::load_file_dsn(
            &self.trimmed_text(OptionId::FILEDSN),
            environment,
            Policy::current(),
        )?;
        let (ours, its) = (self.trimmed_text(OptionId::Driver), source.values.get(&OptionId::Driver));
        let other = |its: &&OptionValue| !ours.is_empty() && !its.text.reveal().eq_ignore_ascii_case(&ours);
        if its.filter(other).is_some() {
            self.warn_ignored(Some(OptionId::FILEDSN), "it is for another DRIVER");
            source.values.clear();
            source.errors.clear();
        }
        Ok(source)
    }

    fn trimmed_text(&self, name: OptionId) -> String {
        self.get(name).map_or_else(String::new, |value| value.text.reveal().trim().to_owned())
    }

    fn warn_ignored(&mut self, name: Option<OptionId>, why: &str) {
        if let Some(name) = name {
            self.warnings
                .push(option_warning(name.as_str(), format!("{} was ignored: {why}", name.as_str())));
        }
    }

    /// Reads the model file that is in force, unless that was done.
    fn load_model(&mut self) {
        let path = self
            .get(OptionId::RestConfigFile)
            .map_or_else(String::new, |value| value.text.reveal().to_owned());
        if path == self.rest_model.path {
            return;
        }
        let file = self
            .get(OptionId::RestConfigFile)
            .map(|value| self.configured_path(&path, value, Policy::current()));
        let (model, values) = file.map_or_else(Default::default, |file| RestModel::load(&file));
        self.rest_model = model;
        self.layers.insert(OptionOrigin::Model, Arc::new(values));
    }

    /// Sets options by name, to the letter: all of them or, on an error, none. An empty value takes an option away.
    ///
    /// # Errors
    /// [`Status::InvalidOption`] for a name that is not an option or a value of the wrong type; every one is named.
    pub fn set(&mut self, pairs: &[(&str, &str)]) -> Result<()> {
        let mut faults = Vec::new();
        let mut accepted = Vec::new();
        for (name, value) in pairs {
            match table::find(name) {
                None => faults.push(unknown_option_error(name)),
                Some(definition) if matches!(definition.id, OptionId::DSN | OptionId::FILEDSN) => {
                    faults.push(open_only_option_error(definition));
                }
                Some(definition) if !value.is_empty() && !definition.option_type.accepts(value) => {
                    faults.push(wrong_type_error(definition, value));
                }
                Some(definition) => accepted.push((definition.id, name, value)),
            }
        }
        if let Some(error) = Error::combine(faults) {
            return Err(error);
        }
        for (id, name, value) in accepted {
            self.set_value(id, Secret::from(*value), OptionOrigin::SetOption, name);
        }
        self.guard_caller_secrets(Policy::current(), self.has_caller_signer);
        Ok(())
    }

    /// The value of an option, if it has one that is not empty.
    #[must_use]
    pub fn get(&self, name: OptionId) -> Option<&OptionValue> {
        self.highest_ranked(name, |origin| !self.is_blocked(origin, name))
    }

    /// The value of highest rank among those of some origins, if it is not empty.
    fn highest_ranked(&self, name: OptionId, counts: impl Fn(OptionOrigin) -> bool) -> Option<&OptionValue> {
        let mut layers = self.layers.iter().rev().filter(|(origin, _)| counts(**origin));
        layers.find_map(|(_, layer)| layer.get(&name)).filter(|value| !value.text.reveal().is_empty())
    }

    /// What one origin says, be it empty.
    fn layer_value(&self, origin: OptionOrigin, name: OptionId) -> Option<&OptionValue> {
        self.layers.get(&origin)?.get(&name)
    }

    /// What the environment said of proxies when the connection was opened; it counts where no option says.
    #[must_use]
    pub fn proxy_env(&self) -> &ProxyEnv {
        &self.proxy_env
    }

    /// The headers that the model wants on every request to the API; they can be sent as they are.
    #[must_use]
    pub fn model_headers(&self) -> &[rest_model::ModelHeader] {
        &self.rest_model.headers
    }

    /// The HTTP statuses by which, as the model says, the API wants another token.
    #[must_use]
    pub fn reauthenticate_statuses(&self) -> &[u16] {
        &self.rest_model.reauthenticate_statuses
    }

    /// Whether a model file is named that could not be read, and so does not say what it might.
    #[must_use]
    pub fn has_unreadable_model(&self) -> bool {
        self.rest_model.is_unreadable
    }

    /// Why the key file says nothing of what is missing, if it might.
    #[must_use]
    pub fn key_file_error(&self) -> Option<&Error> {
        self.external.key_file_error.as_ref()
    }

    /// What was odd about the text, the data source, the model and the key file.
    #[must_use]
    pub fn warnings(&self) -> Vec<Error> {
        [self.warnings.as_slice(), &self.rest_model.warnings, &self.external.warnings].concat()
    }
}

/// The error of a value that its option's type does not accept. A secret's value is not shown.
#[must_use]
pub fn wrong_type_error(definition: &table::OptionSpec, value: &str) -> Error {
    let found =
        if definition.is_secret() { String::new() } else { format!(" is \"{}\",", sanitize::value(value)) };
    type_error(definition, &found)
}

/// As [`wrong_type`], for a value that somebody said. What a file holds is not shown, but where it stands.
#[must_use]
pub fn wrong_value_error(definition: &table::OptionSpec, value: &OptionValue) -> Error {
    match &value.location {
        None => wrong_type_error(definition, value.text.reveal()),
        Some(place) => type_error(definition, &format!(" in {place} has a wrong value,")),
    }
}

fn type_error(definition: &table::OptionSpec, found: &str) -> Error {
    let text = format!("{}{found} expected {}", definition.name, definition.option_type.expected_text());
    Error::new(Status::InvalidOption, "options", text).with_option(definition.name)
}

fn open_only_option_error(definition: &table::OptionSpec) -> Error {
    let text = format!(
        "{} is looked up when a connection is opened, and counts in the connection string alone",
        definition.name
    );
    Error::new(Status::InvalidOption, "options", text).with_option(definition.name)
}

fn unknown_option_error(name: &str) -> Error {
    let text = format!("\"{}\" is not an option{}", sanitize::excerpt(name), suggestion(name));
    Error::new(Status::InvalidOption, "options", text).with_option(name)
}

fn suggestion(name: &str) -> String {
    if name.len() > MAX_NAME_LEN {
        return String::new();
    }
    table::find_similar(name).map_or_else(String::new, |near| format!("; did you mean {}?", near.name))
}

/// A name that is no option. Behind the unbraced value of a secret, or of a name that nobody knows, it is not
/// repeated: it may be the end of a password that holds a semicolon.
fn unknown_option_warning(pair: &connection_string::KeyValue, behind_open: Option<&str>) -> Error {
    match behind_open {
        Some(before) => option_warning(
            before,
            format!(
                "what stands at offset {} is not an option and was ignored; if {before} holds a \";\", put it in braces: {{…}}",
                pair.offset
            ),
        ),
        None => option_warning(
            truncate_name(&pair.name),
            format!(
                "\"{}\" is not an option{} It was ignored",
                truncate_name(&pair.name),
                match suggestion(&pair.name) {
                    empty if empty.is_empty() => ".".to_owned(),
                    near => near,
                }
            ),
        ),
    }
}

/// Whether a name that only the driver knows may be a secret's.
fn looks_like_secret(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    ["pass", "pwd", "secret", "token", "key", "code", "credential"].iter().any(|word| name.contains(word))
}

/// No option's name is as long.
const MAX_NAME_LEN: usize = 64;

fn truncate_name(name: &str) -> &str {
    name.char_indices().nth(MAX_NAME_LEN).map_or(name, |(end, _)| name.get(..end).unwrap_or_default())
}

fn option_warning(option: &str, text: String) -> Error {
    Error::warning("01S00", "options", text).with_option(option)
}

/// DataDirect's samples write `ClaimsIssuer='…'`: one pair of quotes around a whole value is not part of it.
fn strip_quotes(value: &str) -> &str {
    ['\'', '"'].into_iter().find_map(|quote| value.strip_prefix(quote)?.strip_suffix(quote)).unwrap_or(value)
}
