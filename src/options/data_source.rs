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
use super::ini::{self, Fault, Ini, Section};
use super::table::{self, Definition, Name};
use super::{Layer, Origin, Value, without_quotes};
use crate::base::error::{Error, Result, Status};
use crate::base::file::{self, ConfiguredPath};
use crate::base::policy::{Policy, Restriction};
use crate::base::secret::Secret;

/// What a data source says.
pub(super) struct Source {
    pub(super) origin: Origin,
    /// Such as `DSN "Sales" in /etc/odbc.ini`.
    pub(super) label: String,
    pub(super) values: Layer,
    pub(super) warnings: Vec<Error>,
    /// What is wrong with lines that may not be left out.
    pub(super) errors: Vec<Error>,
}

/// The files looked into so far.
#[derive(Default)]
struct Search {
    read: Vec<(PathBuf, Zeroizing<Vec<u8>>)>,
    /// What is to be said about each, for the message that nothing was found.
    looked: Vec<String>,
    warnings: Vec<Error>,
}

impl Search {
    /// Reads the first of `files` that can be read.
    fn read_first(&mut self, files: Vec<PathBuf>, option: &str) {
        for path in files {
            let content = file::read_file(&path);
            if self.add(path, content, option) {
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
            if self.add(path, content, "FILEDSN") {
                break;
            }
        }
        Ok(())
    }

    /// Takes the content of the file at `path`, or what kept it from being read.
    fn add(
        &mut self,
        path: PathBuf,
        content: std::result::Result<(Zeroizing<Vec<u8>>, Metadata), file::ReadError>,
        option: &str,
    ) -> bool {
        match content {
            Ok((content, _)) => {
                self.read.push((path, content));
                return true;
            }
            Err(fault) if fault.is_missing() => {
                self.looked.push(format!("{} (is not there)", path.display()));
            }
            Err(fault) => {
                self.warnings.push(warn(option, &format!("{} {fault}; it was left out", path.display())));
                self.looked.push(format!("{} ({fault})", path.display()));
            }
        }
        false
    }

    fn not_found(mut self, option: &str, what: &str, section: &str) -> Error {
        for (path, content) in &self.read {
            let ini = Ini::parse(content);
            let none =
                if ini.has_sections() { format!("no {section}") } else { "no section at all".to_owned() };
            let mut text = format!("{} ({none}", path.display());
            for fault in &ini.faults {
                // Writing to a String cannot fail.
                let _ = write!(text, "; line {} {}", fault.line, fault.text);
            }
            self.looked.push(format!("{text})"));
        }
        let looked =
            if self.looked.is_empty() { "nowhere to look".to_owned() } else { self.looked.join(", ") };
        let text = format!("{option} {what} was not found. Looked in: {looked}");
        Error::new(Status::DataSourceNotFound, "data source", text).with_option(option)
    }
}

/// What the odbc.ini files say under `name`.
///
/// # Errors
/// [`Status::DataSourceNotFound`] where no file has a section of that name, nor `[Default]`.
pub(super) fn dsn(name: &str, environment: &dyn Environment) -> Result<Source> {
    let mut search = Search::default();
    search.read_first(environment::user_files(environment), "DSN");
    search.read_first(environment::system_files(environment), "DSN");
    let files: Vec<_> = search.read.iter().map(|(path, content)| (path, Ini::parse(content))).collect();
    let found = [name, "Default"]
        .into_iter()
        .find_map(|wanted| files.iter().find_map(|(path, ini)| Some((wanted, *path, ini.find(wanted)?))));
    let Some((wanted, path, section)) = found else {
        drop(files);
        let section = format!("[{name}] and no [Default]");
        return Err(search.not_found("DSN", &format!("\"{name}\""), &section));
    };
    let label = format!("DSN \"{name}\" in {}", path.display());
    let mut source = Source::new(Origin::Dsn, label, Vec::new());
    if wanted != name {
        source
            .warnings
            .push(warn("DSN", &format!("\"{name}\" is not known; [Default] of {} was used", path.display())));
    }
    for (path, ini) in &files {
        source.complain(path, &ini.faults);
    }
    source.take(path, section);
    source.warnings.append(&mut search.warnings.clone());
    Ok(source)
}

/// What the file of that name or path says.
///
/// # Errors
/// [`Status::DataSourceNotFound`] where it is not there, cannot be read, or has no section `[ODBC]`;
/// [`Status::InvalidOption`] where `policy` forbids its path.
pub(super) fn file_dsn(name: &str, environment: &dyn Environment, policy: Policy) -> Result<Source> {
    let mut search = Search::default();
    let files = environment::file_dsns(environment, name, || file_dsn_folder(environment));
    if environment::has_folder(Path::new(name)) && policy.forbids(Restriction::FilePaths) {
        search.read_first_allowed(files)?;
    } else {
        search.read_first(files, "FILEDSN");
    }
    let Some((path, content)) = search.read.first() else {
        return Err(search.not_found("FILEDSN", name, "[ODBC]"));
    };
    let ini = Ini::parse(content);
    let Some(section) = ini.find("ODBC") else {
        drop(ini);
        return Err(search.not_found("FILEDSN", name, "[ODBC]"));
    };
    let label = format!("FILEDSN {}", path.display());
    let warnings = search.warnings.clone();
    let mut source = Source::new(Origin::FileDsn, label, warnings);
    source.complain(path, &ini.faults);
    source.take(path, section);
    Ok(source)
}

/// FileDSNPath of the first odbcinst.ini that has one.
fn file_dsn_folder(environment: &dyn Environment) -> Option<PathBuf> {
    environment::driver_files(environment).iter().find_map(|path| {
        let (content, _) = file::read_file(path).ok()?;
        let ini = Ini::parse(&content);
        ini.find("ODBC")?.value("FileDSNPath").filter(|folder| !folder.is_empty()).map(PathBuf::from)
    })
}

impl Source {
    fn new(origin: Origin, label: String, warnings: Vec<Error>) -> Self {
        Self { origin, label, values: Layer::new(), warnings, errors: Vec::new() }
    }

    fn option(&self) -> &'static str {
        if self.origin == Origin::Dsn { "DSN" } else { "FILEDSN" }
    }

    fn complain(&mut self, path: &Path, faults: &[Fault]) {
        let option = self.option();
        self.warnings.extend(faults.iter().map(|fault| {
            let text = format!("line {} of {} {}; it was left out", fault.line, path.display(), fault.text);
            Error::warning("01000", "data source", text).with_option(option)
        }));
    }

    fn take(&mut self, path: &Path, section: &Section<'_>) {
        let (errors, faults): (Vec<Fault>, Vec<Fault>) =
            section.faults.iter().partition(|fault| fault.text == ini::NUL);
        self.complain(path, &faults);
        let option = self.option();
        self.errors.extend(errors.iter().map(|fault| {
            let text = format!("line {} of {} {}", fault.line, path.display(), fault.text);
            Error::new(Status::InvalidOption, "data source", text).with_option(option)
        }));
        for entry in &section.entries {
            let place = format!("line {} of {}", entry.line, path.display());
            match table::find(entry.name) {
                None => self.warnings.push(unknown(&place, entry.name)),
                Some(definition) => self.add(definition, entry.name, entry.value, place),
            }
        }
    }

    fn add(&mut self, definition: &Definition, spelling: &str, value: &str, place: String) {
        let text = if definition.is_secret() { value } else { without_quotes(value) };
        if text.is_empty() {
            return;
        }
        let ignored = if matches!(definition.id, Name::DSN | Name::FILEDSN) {
            Some("a data source does not lead to another one".to_owned())
        } else {
            self.values
                .get(&definition.id)
                .map(|first| format!("{} stands above it, and the first one counts", first.spelling))
        };
        if let Some(why) = ignored {
            let text = format!("{spelling} in {place} was ignored: {why}");
            self.warnings.push(super::warning(definition.name, text));
            return;
        }
        let (text, spelling) = (Secret::from(text), spelling.to_owned());
        self.values.insert(definition.id, Value { text, origin: self.origin, spelling, place: Some(place) });
    }
}

/// A name that is no option is not repeated: it may be a line of a key.
fn unknown(place: &str, name: &str) -> Error {
    match table::nearest(name) {
        Some(near) => super::warning(
            near.name,
            format!("{place} names no option; did you mean {}? It was ignored", near.name),
        ),
        None => Error::warning("01S00", "options", format!("{place} names no option. It was ignored")),
    }
}

fn warn(option: &str, text: &str) -> Error {
    Error::warning("01000", "data source", format!("{option} {text}")).with_option(option)
}
