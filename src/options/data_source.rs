//! Data sources: loads the options of a DSN or FILEDSN, each with its file and line number.
//!
//! A section of the user's odbc.ini replaces the whole section of that name in the system-wide one. If
//! neither has the section, `[Default]` is used. Values are verbatim, except that quotes around a whole
//! non-secret value are removed. Braces are not special here: nothing needs them, and JSON contains them; only
//! those around the name of the driver are removed, because driver managers write them. An empty value is
//! ignored, because configuration dialogs write all options that they know.

use std::fmt::Write as _;
use std::fs::Metadata;
use std::path::{Path, PathBuf};

use zeroize::Zeroizing;

use super::driver_keywords::{DriverKeywords, KeywordId};
use super::environment::{self, Environment};
use super::ini::{self, IniEntry, IniError, IniFile, IniSection};
use super::table::{self, OptionId, OptionSpec};
use super::{OptionLayer, OptionOrigin, OptionValue, driver_manager, strip_quotes};
use crate::base::error::{Error, ErrorKind, OptionError, Result, WarningKind};
use crate::base::file::{self, ConfiguredPath};
use crate::base::policy::{Policy, Restriction};
use crate::base::sanitize;
use crate::base::secret::Secret;
use crate::base::text;

/// A loaded data source.
pub(super) struct DataSource {
    pub(super) origin: OptionOrigin,
    /// For messages, such as `DSN "Sales" in /etc/odbc.ini`.
    pub(super) label: String,
    pub(super) values: OptionLayer,
    pub(super) driver_values: Vec<(KeywordId, OptionValue)>,
    pub(super) warnings: Vec<Error>,
    /// Invalid lines that must not be ignored.
    pub(super) errors: Vec<Error>,
}

/// The files searched so far.
#[derive(Default)]
struct FileSearch {
    loaded: Vec<(PathBuf, Zeroizing<Vec<u8>>)>,
    /// The result for each file, for the error if nothing is found.
    tried: Vec<String>,
    warnings: Vec<Error>,
}

impl FileSearch {
    /// Reads the first readable file of `files`.
    fn read_first(&mut self, files: Vec<PathBuf>, option: &'static str) {
        for path in files {
            let content = file::read_file(&path);
            if self.add_file(path, content, option) {
                return;
            }
        }
    }

    /// As [`Self::read_first`], for paths from a connection string, which must be below the allowed
    /// directories.
    fn read_first_allowed(&mut self, files: Vec<PathBuf>) -> Result<()> {
        for path in files {
            let file = ConfiguredPath::confined(path.to_string_lossy().into_owned());
            let content = file.read();
            if let Err(error) = &content
                && error.is_forbidden()
            {
                let text = format!("FILEDSN {file} {error}");
                return Err(Error::new(OptionError::Invalid, "data source", text).with_option("FILEDSN"));
            }
            if self.add_file(path, content, "FILEDSN") {
                break;
            }
        }
        Ok(())
    }

    /// Records the content of the file at `path` or the error. Returns whether it was read.
    fn add_file(
        &mut self,
        path: PathBuf,
        content: std::result::Result<(Zeroizing<Vec<u8>>, Metadata), file::ReadError>,
        option: &'static str,
    ) -> bool {
        match content {
            Ok((content, _)) => {
                self.loaded.push((path, text::to_utf8(content)));
                return true;
            }
            Err(error) if error.is_missing() => {
                self.tried.push(format!("{} (does not exist)", sanitize::path(&path)));
            }
            Err(error) => {
                self.warnings.push(data_source_warning(
                    option,
                    &format!("{} {error}; it is ignored", sanitize::path(&path)),
                ));
                self.tried.push(format!("{} ({error})", sanitize::path(&path)));
            }
        }
        false
    }

    fn not_found_error(mut self, option: &'static str, what: &str, section: &str) -> Error {
        for (path, content) in &self.loaded {
            let ini = IniFile::parse(content);
            let reason =
                if ini.has_sections() { format!("no {section}") } else { "no section at all".to_owned() };
            let mut text = format!("{} ({reason}", sanitize::path(path));
            for error in &ini.errors {
                // Writing to a String cannot fail.
                let _ = write!(text, "; line {} {}", error.line, error.message);
            }
            self.tried.push(format!("{text})"));
        }
        let tried =
            if self.tried.is_empty() { "no files to search".to_owned() } else { self.tried.join(", ") };
        let text = format!("{option} {what} was not found; searched: {tried}");
        Error::new(ErrorKind::DataSourceNotFound, "data source", text).with_option(option)
    }
}

/// Loads the section `name` of the odbc.ini files.
///
/// # Errors
/// [`ErrorKind::DataSourceNotFound`] if no file has a section of that name or `[Default]`.
pub(super) fn load_dsn(
    name: &str,
    keywords: &DriverKeywords,
    environment: &dyn Environment,
) -> Result<DataSource> {
    let mut search = FileSearch::default();
    search.read_first(environment::user_odbc_ini_paths(environment), "DSN");
    search.read_first(environment::system_odbc_ini_paths(environment), "DSN");
    let files: Vec<_> = search.loaded.iter().map(|(path, content)| (path, IniFile::parse(content))).collect();
    let found = [name, "Default"].into_iter().find_map(|section_name| {
        files.iter().find_map(|(path, ini)| Some((section_name, *path, ini.find_section(section_name)?)))
    });
    let shown_name = sanitize::excerpt(name);
    let Some((section_name, path, section)) = found else {
        drop(files);
        let section = format!("[{shown_name}] and no [Default]");
        return Err(search.not_found_error("DSN", &format!("\"{shown_name}\""), &section));
    };
    let label = format!("DSN \"{shown_name}\" in {}", sanitize::path(path));
    let mut source = DataSource::new(OptionOrigin::Dsn, label, Vec::new());
    if section_name != name {
        source.warnings.push(data_source_warning(
            "DSN",
            &format!("\"{shown_name}\" is unknown; [Default] of {} is used", sanitize::path(path)),
        ));
    }
    for (path, ini) in &files {
        source.warn_all(path, &ini.errors);
    }
    source.load_section(path, section, keywords);
    source.warnings.append(&mut search.warnings.clone());
    Ok(source)
}

/// Loads the file DSN with that name or path.
///
/// # Errors
/// [`ErrorKind::DataSourceNotFound`] if it does not exist, cannot be read, or has no section `[ODBC]`;
/// [`OptionError::Invalid`] if `policy` forbids its path.
pub(super) fn load_file_dsn(
    name: &str,
    keywords: &DriverKeywords,
    environment: &dyn Environment,
    policy: Policy,
) -> Result<DataSource> {
    let mut search = FileSearch::default();
    let files = environment::file_dsn_paths(environment, name, || configured_file_dsn_folder(environment));
    if environment::has_folder(Path::new(name)) && policy.forbids(Restriction::FilePaths) {
        search.read_first_allowed(files)?;
    } else {
        search.read_first(files, "FILEDSN");
    }
    let Some((path, content)) = search.loaded.first() else {
        return Err(search.not_found_error("FILEDSN", &sanitize::path(name), "[ODBC]"));
    };
    let ini = IniFile::parse(content);
    let Some(section) = ini.find_section("ODBC") else {
        drop(ini);
        return Err(search.not_found_error("FILEDSN", &sanitize::path(name), "[ODBC]"));
    };
    let label = format!("FILEDSN {}", sanitize::path(path));
    let warnings = search.warnings.clone();
    let mut source = DataSource::new(OptionOrigin::FileDsn, label, warnings);
    source.warn_all(path, &ini.errors);
    source.load_section(path, section, keywords);
    Ok(source)
}

/// FileDSNPath from the first odbcinst.ini that sets it.
fn configured_file_dsn_folder(environment: &dyn Environment) -> Option<PathBuf> {
    environment::odbcinst_ini_paths(environment).iter().find_map(|path| {
        let (content, _) = file::read_file(path).ok()?;
        let content = text::to_utf8(content);
        let ini = IniFile::parse(&content);
        ini.find_section("ODBC")?.value("FileDSNPath").filter(|folder| !folder.is_empty()).map(PathBuf::from)
    })
}

impl DataSource {
    fn new(origin: OptionOrigin, label: String, warnings: Vec<Error>) -> Self {
        let (values, driver_values, errors) = (OptionLayer::new(), Vec::new(), Vec::new());
        Self { origin, label, values, driver_values, warnings, errors }
    }

    fn option_name(&self) -> &'static str {
        if self.origin == OptionOrigin::Dsn { "DSN" } else { "FILEDSN" }
    }

    fn warn_all(&mut self, path: &Path, errors: &[IniError]) {
        let option = self.option_name();
        self.warnings.extend(errors.iter().map(|error| {
            let text =
                format!("line {} of {} {}; it is ignored", error.line, sanitize::path(path), error.message);
            Error::new(WarningKind::General, "data source", text).with_option(option)
        }));
    }

    fn load_section(&mut self, path: &Path, section: &IniSection<'_>, keywords: &DriverKeywords) {
        let (errors, warnings): (Vec<IniError>, Vec<IniError>) =
            section.errors.iter().partition(|error| error.message == ini::NUL_MESSAGE);
        self.warn_all(path, &warnings);
        let option = self.option_name();
        self.errors.extend(errors.iter().map(|error| {
            let text = format!("line {} of {} {}", error.line, sanitize::path(path), error.message);
            Error::new(OptionError::Invalid, "data source", text).with_option(option)
        }));
        for entry in &section.entries {
            let location = format!("line {} of {}", entry.line, sanitize::path(path));
            match table::find(entry.name) {
                None => match keywords.find(entry.name) {
                    Some(id) => self.add_driver_value(id, entry.name, entry.value, location),
                    None if driver_manager::owns(entry.name) => {}
                    None => {
                        let is_key = may_be_part_of_key(entry, section);
                        self.warnings.push(unknown_name_warning(&location, entry.name, is_key));
                    }
                },
                Some(spec) => self.add_value(spec, entry.name, entry.value, location),
            }
        }
    }

    fn add_value(&mut self, spec: &OptionSpec, name: &str, value: &str, location: String) {
        let text = match spec.id {
            OptionId::Driver => strip_braces(strip_quotes(value)),
            _ if spec.is_secret() => value,
            _ => strip_quotes(value),
        };
        if text.is_empty() {
            return;
        }
        let ignored_reason = if matches!(spec.id, OptionId::DSN | OptionId::FILEDSN) {
            Some("a data source cannot refer to another one".to_owned())
        } else {
            self.values.get(&spec.id).map(|first| format!("duplicate of {}", first.name_as_written))
        };
        if let Some(reason) = ignored_reason {
            let text = format!("{name} in {location} is ignored: {reason}");
            self.warnings.push(super::option_warning(spec.name, text));
            return;
        }
        self.values.insert(spec.id, self.located_value(text, name, location));
    }

    fn add_driver_value(&mut self, id: KeywordId, name: &str, value: &str, location: String) {
        if value.is_empty() {
            return;
        }
        if let Some((_, first)) = self.driver_values.iter().find(|(own, _)| *own == id) {
            let text = format!("{name} in {location} is ignored: duplicate of {}", first.name_as_written);
            self.warnings.push(super::option_warning(first.name_as_written.clone(), text));
            return;
        }
        self.driver_values.push((id, self.located_value(value, name, location)));
    }

    fn located_value(&self, text: &str, name: &str, location: String) -> OptionValue {
        OptionValue { location: Some(location), ..OptionValue::new(Secret::from(text), self.origin, name) }
    }
}

/// Removes the braces around the name of a driver.
fn strip_braces(name: &str) -> &str {
    name.strip_prefix('{').and_then(|name| name.strip_suffix('}')).unwrap_or(name).trim()
}

/// Longest name that is shown; lines of a key in base64 have 64 or 76 characters.
const MAX_SHOWN_NAME_LEN: usize = 32;

/// Whether an entry may be a line of an inline key or the rest of a secret with a line break. Of a key, only the last
/// line has "=", as the padding of base64, and it follows lines without.
fn may_be_part_of_key(entry: &IniEntry<'_>, section: &IniSection<'_>) -> bool {
    let name = entry.name;
    let follows_invalid_line = section.errors.iter().any(|error| error.line.saturating_add(1) == entry.line);
    let is_word = name.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | ' '));
    let has = |class: fn(&char) -> bool| name.chars().any(|c| class(&c));
    let is_mixed =
        has(char::is_ascii_digit) && has(char::is_ascii_lowercase) && has(char::is_ascii_uppercase);
    follows_invalid_line
        || matches!(entry.value, "" | "=")
        || name.len() > MAX_SHOWN_NAME_LEN
        || !is_word
        || is_mixed
}

/// The warning for an unknown option name. It is not shown if it may be a line of a key.
fn unknown_name_warning(location: &str, name: &str, may_be_key: bool) -> Error {
    let similar = table::find_similar(name).map(|similar| similar.name);
    let suggestion = similar.map_or_else(String::new, |similar| format!("; did you mean {similar}?"));
    if may_be_key {
        let text = format!("{location} has an unknown option name and is ignored{suggestion}");
        let warning = Error::new(WarningKind::IgnoredAttribute, "options", text);
        return match similar {
            Some(similar) => warning.with_option(similar),
            None => warning,
        };
    }
    let text = format!("\"{name}\" in {location} is not an option and is ignored{suggestion}");
    super::option_warning(name.to_owned(), text)
}

fn data_source_warning(option: &'static str, text: &str) -> Error {
    Error::new(WarningKind::General, "data source", format!("{option} {text}")).with_option(option)
}
