//! DSN and FILEDSN: a name in, what the data source says out, each value with the file and line that said it.
//!
//! A section of the user's odbc.ini hides the whole section of that name in the machine's; `[Default]` stands in for a
//! name that neither has. Values are to the letter but for quotes around the whole of one that is no secret: nothing
//! needs braces here, and JSON has some. An empty value says nothing, since dialogs write down every name they know.

use std::fmt::Write as _;
use std::fs::Metadata;
use std::path::{Path, PathBuf};

use zeroize::Zeroizing;

use super::environment::{self, Environment};
use super::ini::{self, IniError, IniFile, IniSection};
use super::table::{self, OptionId, OptionSpec};
use super::{OptionLayer, OptionOrigin, OptionValue, strip_quotes};
use crate::base::error::{Error, Result, Status};
use crate::base::file::{self, ConfiguredPath};
use crate::base::policy::{Policy, Restriction};
use crate::base::secret::Secret;

/// What a data source says.
pub(super) struct DataSource {
    pub(super) origin: OptionOrigin,
    /// Such as `DSN "Sales" in /etc/odbc.ini`.
    pub(super) label: String,
    pub(super) values: OptionLayer,
    pub(super) warnings: Vec<Error>,
    /// What is wrong with lines that may not be left out.
    pub(super) errors: Vec<Error>,
}

/// The files looked into so far.
#[derive(Default)]
struct FileSearch {
    loaded: Vec<(PathBuf, Zeroizing<Vec<u8>>)>,
    /// What is to be said about each, for the message that nothing was found.
    tried: Vec<String>,
    warnings: Vec<Error>,
}

impl FileSearch {
    /// Reads the first of `files` that can be read.
    fn read_first(&mut self, files: Vec<PathBuf>, option: &str) {
        for path in files {
            let content = file::read_file(&path);
            if self.add_file(path, content, option) {
                return;
            }
        }
    }

    /// As [`Self::read_first`], of paths that a connection string names, below the allowed directories alone.
    fn read_first_allowed(&mut self, files: Vec<PathBuf>) -> Result<()> {
        for path in files {
            let file = ConfiguredPath::confined(path.to_string_lossy().into_owned());
            let content = file.read();
            if let Err(fault) = &content
                && fault.is_forbidden()
            {
                let text = format!("FILEDSN {file} {fault}");
                return Err(Error::new(Status::InvalidOption, "data source", text).with_option("FILEDSN"));
            }
            if self.add_file(path, content, "FILEDSN") {
                break;
            }
        }
        Ok(())
    }

    /// Takes the content of the file at `path`, or what kept it from being read.
    fn add_file(
        &mut self,
        path: PathBuf,
        content: std::result::Result<(Zeroizing<Vec<u8>>, Metadata), file::ReadError>,
        option: &str,
    ) -> bool {
        match content {
            Ok((content, _)) => {
                self.loaded.push((path, content));
                return true;
            }
            Err(fault) if fault.is_missing() => {
                self.tried.push(format!("{} (is not there)", path.display()));
            }
            Err(fault) => {
                self.warnings.push(data_source_warning(
                    option,
                    &format!("{} {fault}; it was left out", path.display()),
                ));
                self.tried.push(format!("{} ({fault})", path.display()));
            }
        }
        false
    }

    fn not_found_error(mut self, option: &str, what: &str, section: &str) -> Error {
        for (path, content) in &self.loaded {
            let ini = IniFile::parse(content);
            let none =
                if ini.has_sections() { format!("no {section}") } else { "no section at all".to_owned() };
            let mut text = format!("{} ({none}", path.display());
            for fault in &ini.errors {
                // Writing to a String cannot fail.
                let _ = write!(text, "; line {} {}", fault.line, fault.message);
            }
            self.tried.push(format!("{text})"));
        }
        let looked = if self.tried.is_empty() { "nowhere to look".to_owned() } else { self.tried.join(", ") };
        let text = format!("{option} {what} was not found. Looked in: {looked}");
        Error::new(Status::DataSourceNotFound, "data source", text).with_option(option)
    }
}

/// What the odbc.ini files say under `name`.
///
/// # Errors
/// [`Status::DataSourceNotFound`] where no file has a section of that name, nor `[Default]`.
pub(super) fn load_dsn(name: &str, environment: &dyn Environment) -> Result<DataSource> {
    let mut search = FileSearch::default();
    search.read_first(environment::user_odbc_ini_paths(environment), "DSN");
    search.read_first(environment::system_odbc_ini_paths(environment), "DSN");
    let files: Vec<_> = search.loaded.iter().map(|(path, content)| (path, IniFile::parse(content))).collect();
    let found = [name, "Default"].into_iter().find_map(|wanted| {
        files.iter().find_map(|(path, ini)| Some((wanted, *path, ini.find_section(wanted)?)))
    });
    let Some((wanted, path, section)) = found else {
        drop(files);
        let section = format!("[{name}] and no [Default]");
        return Err(search.not_found_error("DSN", &format!("\"{name}\""), &section));
    };
    let label = format!("DSN \"{name}\" in {}", path.display());
    let mut source = DataSource::new(OptionOrigin::Dsn, label, Vec::new());
    if wanted != name {
        source.warnings.push(data_source_warning(
            "DSN",
            &format!("\"{name}\" is not known; [Default] of {} was used", path.display()),
        ));
    }
    for (path, ini) in &files {
        source.warn_all(path, &ini.errors);
    }
    source.load_section(path, section);
    source.warnings.append(&mut search.warnings.clone());
    Ok(source)
}

/// What the file of that name or path says.
///
/// # Errors
/// [`Status::DataSourceNotFound`] where it is not there, cannot be read, or has no section `[ODBC]`;
/// [`Status::InvalidOption`] where `policy` forbids its path.
pub(super) fn load_file_dsn(name: &str, environment: &dyn Environment, policy: Policy) -> Result<DataSource> {
    let mut search = FileSearch::default();
    let files = environment::file_dsn_paths(environment, name, || configured_file_dsn_folder(environment));
    if environment::has_folder(Path::new(name)) && policy.forbids(Restriction::FilePaths) {
        search.read_first_allowed(files)?;
    } else {
        search.read_first(files, "FILEDSN");
    }
    let Some((path, content)) = search.loaded.first() else {
        return Err(search.not_found_error("FILEDSN", name, "[ODBC]"));
    };
    let ini = IniFile::parse(content);
    let Some(section) = ini.find_section("ODBC") else {
        drop(ini);
        return Err(search.not_found_error("FILEDSN", name, "[ODBC]"));
    };
    let label = format!("FILEDSN {}", path.display());
    let warnings = search.warnings.clone();
    let mut source = DataSource::new(OptionOrigin::FileDsn, label, warnings);
    source.warn_all(path, &ini.errors);
    source.load_section(path, section);
    Ok(source)
}

/// FileDSNPath of the first odbcinst.ini that has one.
fn configured_file_dsn_folder(environment: &dyn Environment) -> Option<PathBuf> {
    environment::odbcinst_ini_paths(environment).iter().find_map(|path| {
        let (content, _) = file::read_file(path).ok()?;
        let ini = IniFile::parse(&content);
        ini.find_section("ODBC")?.value("FileDSNPath").filter(|folder| !folder.is_empty()).map(PathBuf::from)
    })
}

impl DataSource {
    fn new(origin: OptionOrigin, label: String, warnings: Vec<Error>) -> Self {
        Self { origin, label, values: OptionLayer::new(), warnings, errors: Vec::new() }
    }

    fn option_name(&self) -> &'static str {
        if self.origin == OptionOrigin::Dsn { "DSN" } else { "FILEDSN" }
    }

    fn warn_all(&mut self, path: &Path, faults: &[IniError]) {
        let option = self.option_name();
        self.warnings.extend(faults.iter().map(|fault| {
            let text =
                format!("line {} of {} {}; it was left out", fault.line, path.display(), fault.message);
            Error::warning("01000", "data source", text).with_option(option)
        }));
    }

    fn load_section(&mut self, path: &Path, section: &IniSection<'_>) {
        let (errors, faults): (Vec<IniError>, Vec<IniError>) =
            section.errors.iter().partition(|fault| fault.message == ini::NUL_MESSAGE);
        self.warn_all(path, &faults);
        let option = self.option_name();
        self.errors.extend(errors.iter().map(|fault| {
            let text = format!("line {} of {} {}", fault.line, path.display(), fault.message);
            Error::new(Status::InvalidOption, "data source", text).with_option(option)
        }));
        for entry in &section.entries {
            let place = format!("line {} of {}", entry.line, path.display());
            match table::find(entry.name) {
                None => self.warnings.push(unknown_name_warning(&place, entry.name)),
                Some(definition) => self.add_value(definition, entry.name, entry.value, place),
            }
        }
    }

    fn add_value(&mut self, definition: &OptionSpec, spelling: &str, value: &str, place: String) {
        let text = if definition.is_secret() { value } else { strip_quotes(value) };
        if text.is_empty() {
            return;
        }
        let ignored = if matches!(definition.id, OptionId::DSN | OptionId::FILEDSN) {
            Some("a data source does not lead to another one".to_owned())
        } else {
            self.values
                .get(&definition.id)
                .map(|first| format!("{} stands above it, and the first one counts", first.name_as_written))
        };
        if let Some(why) = ignored {
            let text = format!("{spelling} in {place} was ignored: {why}");
            self.warnings.push(super::option_warning(definition.name, text));
            return;
        }
        let (text, spelling) = (Secret::from(text), spelling.to_owned());
        self.values.insert(
            definition.id,
            OptionValue { text, origin: self.origin, name_as_written: spelling, location: Some(place) },
        );
    }
}

/// A name that is no option is not repeated: it may be a line of a key.
fn unknown_name_warning(place: &str, name: &str) -> Error {
    match table::find_similar(name) {
        Some(near) => super::option_warning(
            near.name,
            format!("{place} names no option; did you mean {}? It was ignored", near.name),
        ),
        None => Error::warning("01S00", "options", format!("{place} names no option. It was ignored")),
    }
}

fn data_source_warning(option: &str, text: &str) -> Error {
    Error::warning("01000", "data source", format!("{option} {text}")).with_option(option)
}
