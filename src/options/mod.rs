//! Connection options: values from the connection string, data sources, files and the API, with their origin
//! and name.
//!
//! `connection_string` parses the text, `data_source` loads a DSN or FILEDSN, `rest_model` a RestConfigFile;
//! `table` defines the options. Each origin has its own layer, so that the values of a higher layer can be
//! removed again. Values are validated when they are first used (`resolve`), so that a connection can be
//! configured option by option. At that time `secret_refs` and `key_file` read external files and variables
//! into a copy of the options, and `dependencies` detects later changes of those files.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::base::error::{Error, Result};
use crate::base::policy::Policy;
use crate::base::secret::Secret;
use crate::jwt::RawObject;
use crate::key::Pkcs11Uri;
use crate::net::proxy::ProxyEnv;

mod completed_string;
pub mod connection_string;
mod data_source;
mod dependencies;
mod driver_keywords;
mod driver_manager;
mod effect;
pub mod environment;
mod given_string;
mod ini;
mod key_file;
mod messages;
mod override_guard;
mod paths;
mod rest_model;
mod secret_refs;
mod syntax_error;
pub mod table;
#[cfg(test)]
mod tests;

use driver_keywords::{DriverOptions, KeywordId};
use given_string::GivenName;
use messages::{
    delimiter_warning, duplicate_warning, looks_like_secret, open_only_option_error, option_warning,
    unknown_option_error, unknown_option_warning,
};
use rest_model::RestModel;

pub use completed_string::OptionOverride;
pub use dependencies::FileDependencies;
pub use driver_keywords::DriverKeywords;
#[cfg(test)]
pub(crate) use effect::ALL;
pub(crate) use effect::{AUTH_METHODS, SIGNING, method_numbers};
pub use effect::{AuthMethod, EffectKind, Methods, OptionEffect};
pub use environment::{Environment, ProcessEnvironment};
pub use key_file::KEY_FILE_OPTIONS;
pub use messages::{wrong_type_error, wrong_value_error};
pub use table::{OptionId, OptionType, SIGNING_KEY_OPTIONS};

/// Where a value comes from; a later variant outranks an earlier one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum OptionOrigin {
    /// Metadata of the JSON key file with the signing key.
    KeyFile,
    /// The model file named by RestConfigFile.
    Model,
    /// A section of an odbc.ini.
    Dsn,
    /// The file named by FILEDSN.
    FileDsn,
    /// The connection string.
    ConnectionString,
    /// `authgrant_set_option`.
    SetOption,
}

impl OptionOrigin {
    /// Whether it is a DSN or a FILEDSN.
    #[must_use]
    pub fn is_data_source(self) -> bool {
        matches!(self, Self::Dsn | Self::FileDsn)
    }
}

/// The value of an option with its origin.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct OptionValue {
    /// The value.
    pub text: Secret,
    /// Where it comes from.
    pub origin: OptionOrigin,
    /// The option name as written by the user, for messages.
    pub name_as_written: String,
    /// The file that contains it, with the line number if known.
    pub location: Option<String>,
}

impl OptionValue {
    fn new(text: Secret, origin: OptionOrigin, name_as_written: &str) -> Self {
        Self { text, origin, name_as_written: name_as_written.to_owned(), location: None }
    }

    /// Parses the value as a JSON object.
    ///
    /// # Errors
    /// The reason and the position, without any content.
    pub fn as_json_object(&self) -> std::result::Result<RawObject, String> {
        let text = self.text.reveal();
        let parsed = RawObject::parse(text);
        // Without extra braces, the parser takes the braces of the object as those of the value: {"a":1}
        // becomes "a":1.
        if self.origin == OptionOrigin::ConnectionString && text.trim_start().starts_with('"') {
            let braced = Secret::new(format!("{{{text}}}"));
            return RawObject::parse(braced.reveal()).or(parsed);
        }
        parsed
    }
}

/// The values from one origin.
type OptionLayer = BTreeMap<OptionId, OptionValue>;

/// The options of one connection. An empty value, as in `Scope=;`, unsets the option and hides lower-ranked
/// values.
#[derive(Clone, Debug, Default, Hash)]
pub struct Options {
    /// Copy on write: layers are shared with earlier versions of the options.
    layers: BTreeMap<OptionOrigin, Arc<OptionLayer>>,
    /// Keywords of the driver.
    driver: DriverOptions,
    /// What the connection string contains, in its order.
    given: Arc<Vec<GivenName>>,
    /// The name of the data source, for messages.
    data_source_label: Option<String>,
    rest_model: RestModel,
    /// The proxy environment variables when the connection was opened.
    proxy_env: ProxyEnv,
    warnings: Vec<Error>,
    external: ExternalFindings,
    /// Whether untrusted text is prevented from redirecting secrets that the caller has set.
    caller_guard_enabled: bool,
    /// Whether a signer callback replaces the key of the options.
    has_caller_signer: bool,
}

/// Errors and warnings about external files and variables to which options refer.
#[derive(Clone, Debug, Default, Hash)]
struct ExternalFindings {
    errors: Vec<Error>,
    warnings: Vec<Error>,
    /// Why the metadata of the key file could not be read.
    key_file_error: Option<Error>,
}

impl Options {
    /// Parses a connection string and loads the data source and model file that it names.
    ///
    /// # Errors
    /// `ErrorKind::ConnectionString` for a syntax error, `ErrorKind::DataSourceNotFound`.
    pub fn open(text: &str, environment: &dyn Environment) -> Result<Self> {
        Self::open_with(text, &DriverKeywords::default(), environment)
    }

    /// Like [`Self::open`], with keywords of the driver.
    ///
    /// # Errors
    /// Those of [`Self::open`].
    pub fn open_with(text: &str, keywords: &DriverKeywords, environment: &dyn Environment) -> Result<Self> {
        let pairs = connection_string::parse(text)?;
        let mut options = Self::from_pairs(pairs, keywords);
        if options.get(OptionId::AllowOverride).is_some() {
            options.warn_ignored(
                Some(OptionId::AllowOverride),
                "it has no effect in a connection string; set it in the DSN or FILEDSN",
            );
        }
        options.proxy_env = environment::read_proxy_env(environment);
        options.load_data_source(environment)?;
        options.guard_caller_secrets(Policy::current(), false);
        Ok(options)
    }

    /// Parses a connection string without loading files. If an option occurs several times, the first value
    /// wins. Duplicates and unknown names are warnings (SQLSTATE 01S00).
    ///
    /// # Errors
    /// `ErrorKind::ConnectionString` for a syntax error.
    pub fn parse(text: &str) -> Result<Self> {
        Ok(Self::from_pairs(connection_string::parse(text)?, &DriverKeywords::default()))
    }

    fn from_pairs(pairs: Vec<connection_string::KeyValue>, keywords: &DriverKeywords) -> Self {
        let mut options = Self { driver: DriverOptions::new(keywords.clone()), ..Self::default() };
        let mut unbraced_secret = None;
        // An unbraced pkcs11 URI is cut at the first ";": the pairs after it may be the rest of the URI.
        let mut unbraced_uri = None;
        for pair in pairs {
            let Some(spec) = table::find(&pair.name) else {
                let is_unbraced = !pair.braced && looks_like_secret(&pair.name);
                match keywords.find(&pair.name) {
                    Some(id) => options.add_driver_pair(id, pair),
                    None if driver_manager::owns(&pair.name) => {}
                    None => {
                        options.warnings.push(unknown_option_warning(&pair, unbraced_uri.or(unbraced_secret)))
                    }
                }
                unbraced_secret = is_unbraced.then_some("the preceding value");
                continue;
            };
            unbraced_secret = (spec.is_secret() && !pair.braced).then_some(spec.name);
            options.warnings.extend(delimiter_warning(spec, &pair));
            let unquoted = pair.value.reveal().trim_start_matches(['\'', '"']);
            unbraced_uri = (!pair.braced && Pkcs11Uri::has_scheme(unquoted)).then_some(spec.name);
            options.add_pair(spec, pair);
        }
        options
    }

    fn add_pair(&mut self, spec: &table::OptionSpec, pair: connection_string::KeyValue) {
        if let Some(first) = self.layer_value(OptionOrigin::ConnectionString, spec.id) {
            let warning = duplicate_warning(spec.name, &pair, first);
            self.warnings.push(warning);
            return;
        }
        let text = if pair.braced || spec.is_secret() {
            pair.value
        } else {
            Secret::from(strip_quotes(pair.value.reveal()))
        };
        self.set_value(spec.id, text, OptionOrigin::ConnectionString, &pair.name);
        Arc::make_mut(&mut self.given).push(GivenName::Option(spec.id));
    }

    fn add_driver_pair(&mut self, id: KeywordId, pair: connection_string::KeyValue) {
        if let Some(first) = self.driver.value_from(id, OptionOrigin::ConnectionString) {
            let warning = duplicate_warning(first.name_as_written.clone(), &pair, first);
            self.warnings.push(warning);
            return;
        }
        self.driver.set(id, OptionValue::new(pair.value, OptionOrigin::ConnectionString, &pair.name));
        Arc::make_mut(&mut self.given).push(GivenName::Keyword(id));
    }

    fn set_value(&mut self, name: OptionId, text: Secret, origin: OptionOrigin, name_as_written: &str) {
        self.layer_mut(origin).insert(name, OptionValue::new(text, origin, name_as_written));
    }

    /// The values from `origin`, for modification.
    fn layer_mut(&mut self, origin: OptionOrigin) -> &mut OptionLayer {
        Arc::make_mut(self.layers.entry(origin).or_default())
    }

    /// Loads the data source, by the rules of ODBC's SQLDriverConnect: of DSN and FILEDSN the first one is
    /// used, and a DSN after DRIVER is ignored.
    fn load_data_source(&mut self, environment: &dyn Environment) -> Result<()> {
        let locates = |id: &OptionId| {
            matches!(id, OptionId::Driver | OptionId::DSN | OptionId::FILEDSN) && self.get(*id).is_some()
        };
        let given = self.given.iter().filter_map(|name| match name {
            GivenName::Option(id) => Some(*id),
            GivenName::Keyword(_) => None,
        });
        let order: Vec<_> = given.filter(locates).collect();
        let mut sources = order.iter().copied().filter(|id| *id != OptionId::Driver);
        let Some(first) = sources.next() else { return Ok(()) };
        let source = if first == OptionId::FILEDSN {
            self.warn_ignored(sources.next(), "FILEDSN precedes it");
            self.load_file_dsn(environment)?
        } else {
            self.warn_ignored(sources.next(), "DSN precedes it");
            if order.first() == Some(&OptionId::Driver) {
                self.warn_ignored(Some(OptionId::DSN), "DRIVER precedes it");
                return Ok(());
            }
            let name = self.trimmed_text(OptionId::DSN);
            data_source::load_dsn(&name, &self.driver.keywords, environment)?
        };
        self.data_source_label = Some(source.label);
        self.warnings.extend(source.warnings);
        self.external.errors.extend(source.errors);
        for (id, value) in source.driver_values {
            self.driver.set(id, value);
        }
        self.layers.insert(source.origin, Arc::new(source.values));
        Ok(())
    }

    /// The DSN or FILEDSN with its file, if one was loaded.
    #[must_use]
    pub fn data_source_label(&self) -> Option<&str> {
        self.data_source_label.as_deref()
    }

    /// Loads the FILEDSN. It may be combined with DRIVER; a file for another driver is ignored.
    fn load_file_dsn(&mut self, environment: &dyn Environment) -> Result<data_source::DataSource> {
        let mut source = data_source::load_file_dsn(
            &self.trimmed_text(OptionId::FILEDSN),
            &self.driver.keywords,
            environment,
            Policy::current(),
        )?;
        let (driver, file_driver) =
            (self.trimmed_text(OptionId::Driver), source.values.get(&OptionId::Driver));
        let differs =
            |value: &&OptionValue| !driver.is_empty() && !value.text.reveal().eq_ignore_ascii_case(&driver);
        if file_driver.filter(differs).is_some() {
            self.warn_ignored(Some(OptionId::FILEDSN), "it is for a different DRIVER");
            source.values.clear();
            source.driver_values.clear();
            source.errors.clear();
        }
        Ok(source)
    }

    fn trimmed_text(&self, name: OptionId) -> String {
        self.get(name).map_or_else(String::new, |value| value.text.reveal().trim().to_owned())
    }

    fn warn_ignored(&mut self, name: Option<OptionId>, reason: &str) {
        if let Some(name) = name {
            self.warnings
                .push(option_warning(name.as_str(), format!("{} is ignored: {reason}", name.as_str())));
        }
    }

    /// Loads the effective model file, unless it is already loaded.
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

    /// Sets options by name, verbatim: all of them or, on an error, none. An empty value unsets an option.
    ///
    /// # Errors
    /// `OptionError::Invalid` for unknown names and for values of the wrong type; all of them are
    /// reported.
    pub fn set(&mut self, pairs: &[(&str, &str)]) -> Result<()> {
        let mut errors = Vec::new();
        let mut accepted = Vec::new();
        let mut accepted_keywords = Vec::new();
        for (name, value) in pairs {
            match table::find(name) {
                None => match self.driver.keywords.find(name) {
                    Some(id) => accepted_keywords.push((id, name, value)),
                    None => errors.push(unknown_option_error(name)),
                },
                Some(spec) if matches!(spec.id, OptionId::DSN | OptionId::FILEDSN) => {
                    errors.push(open_only_option_error(spec));
                }
                Some(spec) if !value.is_empty() && !spec.option_type.accepts(value) => {
                    errors.push(wrong_type_error(spec, value));
                }
                Some(spec) => accepted.push((spec.id, name, value)),
            }
        }
        if let Some(error) = Error::combine(errors) {
            return Err(error);
        }
        for (id, name, value) in accepted {
            self.set_value(id, Secret::from(*value), OptionOrigin::SetOption, name);
        }
        for (id, name, value) in accepted_keywords {
            self.driver.set(id, OptionValue::new(Secret::from(*value), OptionOrigin::SetOption, name));
        }
        self.guard_caller_secrets(Policy::current(), self.has_caller_signer);
        Ok(())
    }

    /// The effective value of an option, if it is not empty.
    #[must_use]
    pub fn get(&self, name: OptionId) -> Option<&OptionValue> {
        self.highest_ranked(name, |origin| !self.is_blocked(origin, name))
    }

    /// The value in force of the option or keyword of the driver that has this name; `None` if nothing sets it.
    ///
    /// # Errors
    /// `OptionError::Invalid` for an unknown name.
    pub fn find_value(&self, name: &str) -> Result<Option<&OptionValue>> {
        match (table::find(name), self.driver.keywords.find(name)) {
            (Some(spec), _) => Ok(self.get(spec.id)),
            (None, Some(id)) => Ok(self.driver.get(id)),
            (None, None) => Err(unknown_option_error(name)),
        }
    }

    /// The highest-ranked value among the origins that `includes` accepts, if it is not empty.
    fn highest_ranked(
        &self,
        name: OptionId,
        includes: impl Fn(OptionOrigin) -> bool,
    ) -> Option<&OptionValue> {
        let mut layers = self.layers.iter().rev().filter(|(origin, _)| includes(**origin));
        layers.find_map(|(_, layer)| layer.get(&name)).filter(|value| !value.text.reveal().is_empty())
    }

    /// The value from `origin`, even if it is empty or overridden.
    fn layer_value(&self, origin: OptionOrigin, name: OptionId) -> Option<&OptionValue> {
        self.layers.get(&origin)?.get(&name)
    }

    /// The proxy environment variables when the connection was opened, used if no option sets a proxy.
    #[must_use]
    pub fn proxy_env(&self) -> &ProxyEnv {
        &self.proxy_env
    }

    /// The validated headers of the model, for the token request and for every API request.
    #[must_use]
    pub fn model_headers(&self) -> &[rest_model::ModelHeader] {
        &self.rest_model.headers
    }

    /// The HTTP statuses by which the API requests a new token, according to the model.
    #[must_use]
    pub fn reauthenticate_statuses(&self) -> &[u16] {
        &self.rest_model.reauthenticate_statuses
    }

    /// Whether a model file is set but could not be read, so that options may be missing.
    #[must_use]
    pub fn has_unreadable_model(&self) -> bool {
        self.rest_model.is_unreadable
    }

    /// Why the metadata of the key file could not be read, which may be the reason for missing options.
    #[must_use]
    pub fn key_file_error(&self) -> Option<&Error> {
        self.external.key_file_error.as_ref()
    }

    /// The warnings about the connection string, the data source, the model and the key file.
    #[must_use]
    pub fn warnings(&self) -> Vec<Error> {
        [self.warnings.as_slice(), &self.rest_model.warnings, &self.external.warnings].concat()
    }
}

/// Removes one pair of quotes that encloses the whole value, as in DataDirect's samples (`ClaimsIssuer='…'`).
fn strip_quotes(value: &str) -> &str {
    ['\'', '"'].into_iter().find_map(|quote| value.strip_prefix(quote)?.strip_suffix(quote)).unwrap_or(value)
}
