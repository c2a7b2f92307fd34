//! Data sources: which file and section says what, and what a connection string may not say beside them.

use std::path::Path;

use tempfile::TempDir;

use crate::options::environment::testing::Made;
use crate::options::*;

/// A home and a system folder with an odbc.ini each; an empty text is no file.
struct Place {
    folder: TempDir,
    made: Made,
}

impl Place {
    fn new(user: &str, system: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let (home, etc) = (folder.path().join("home"), folder.path().join("etc"));
        for (folder, name, text) in [(&home, ".odbc.ini", user), (&etc, "odbc.ini", system)] {
            std::fs::create_dir(folder).unwrap();
            if !text.is_empty() {
                std::fs::write(folder.join(name), text).unwrap();
            }
        }
        let made = Made { home: Some(home), system: vec![etc], ..Made::default() };
        Self { folder, made }
    }

    fn write(&self, name: &str, text: &str) -> String {
        let path = self.folder.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, text).unwrap();
        path.to_str().unwrap().to_owned()
    }

    fn open(&self, text: &str) -> Options {
        Options::open(text, &self.made).unwrap_or_else(|error| panic!("{text}: {error}"))
    }

    fn fault(&self, text: &str) -> Error {
        let error = Options::open(text, &self.made).err().unwrap_or_else(|| panic!("{text} opens"));
        assert_eq!((error.status(), error.sqlstate()), (Status::DataSourceNotFound, "IM002"), "{error}");
        error
    }
}

fn scope(options: &Options) -> Option<&str> {
    options.get(Name::Scope).map(|value| value.text.reveal())
}

fn messages(options: &Options) -> Vec<String> {
    options.warnings().iter().map(|warning| warning.message().to_owned()).collect()
}

#[track_caller]
fn says(messages: &[String], words: &str) {
    assert!(messages.iter().any(|message| message.contains(words)), "no {words:?} in {messages:#?}");
}

#[test]
fn a_section_of_the_users_file_hides_the_systems_of_the_same_name_as_a_whole() {
    let place =
        Place::new("[Sales]\nScope=user", "[sales]\nScope=system\ncliss=system\n[Other]\nScope=other");
    let options = place.open("DSN=SALES");
    assert_eq!(scope(&options), Some("user"));
    assert_eq!(options.get(Name::ClaimsIssuer), None);
    let value = options.get(Name::Scope).unwrap();
    assert_eq!(value.origin, Origin::Dsn);
    assert!(value.place.as_ref().unwrap().starts_with("line 2 of "), "{value:?}");
    assert_eq!(scope(&place.open("DataSourceName='Other'")), Some("other"));
}

#[test]
fn the_connection_string_wins_and_its_empty_value_unsets_while_an_empty_one_of_the_dsn_says_nothing() {
    let place = Place::new("[a]\nScope=dsn\nClaimsIssuer=\ncliss='me'", "");
    assert_eq!(scope(&place.open("DSN=a;Scope=string")), Some("string"));
    assert_eq!(scope(&place.open("Scope=;DSN=a")), None);
    let options = place.open("DSN=a");
    assert_eq!(options.get(Name::ClaimsIssuer).unwrap().text.reveal(), "me");
    assert_eq!(messages(&options), [] as [&str; 0]);
}

#[test]
fn default_stands_in_for_a_name_that_neither_file_has() {
    let place = Place::new("[Default]\nScope=user", "[Known]\nScope=known\n[Default]\nScope=system");
    let options = place.open("DSN=Unknown");
    assert_eq!(scope(&options), Some("user"));
    says(&messages(&options), "DSN \"Unknown\" is not known; [Default] of ");
    assert_eq!(scope(&place.open("DSN=known")), Some("known"));
}

#[test]
fn an_unknown_dsn_is_an_error_that_names_the_files_looked_in_and_their_bad_sections() {
    let place = Place::new("", "x=1\n[Sales\nPassword=hunter2\n");
    let error = place.fault("DSN=Sales");
    assert_eq!(error.option(), Some("DSN"));
    for words in [
        "DSN \"Sales\" was not found",
        "home/.odbc.ini (is not there)",
        "etc/odbc.ini (no section at all; line 2 begins a section with \"[\" and has no \"]\")",
    ] {
        assert!(error.message().contains(words), "no {words} in {error}");
    }
    assert!(!error.message().contains("hunter2"));
    place.write("etc/odbc.ini", "[x]");
    assert!(place.fault("DSN=y").message().contains("(no [y] and no [Default])"));
}

#[test]
fn driver_in_front_of_dsn_means_no_lookup_and_behind_it_it_does_not() {
    let place = Place::new("[a]\nScope=dsn", "");
    let options = place.open("DRIVER={x};DSN=a");
    assert_eq!(scope(&options), None);
    says(&messages(&options), "DSN was ignored: DRIVER stands in front of it");
    place.open("Driver=x;DSN=unknown");
    assert_eq!(scope(&place.open("DSN=a;DRIVER={x}")), Some("dsn"));
    assert_eq!(scope(&place.open("DRIVER=;DSN=a")), Some("dsn"));
}

#[test]
fn of_dsn_and_filedsn_the_first_counts() {
    let place = Place::new("[a]\nScope=dsn", "");
    let file = place.write("f.dsn", "[ODBC]\nScope=file");
    let first = place.open(&format!("DSN=a;FILEDSN={file}"));
    assert_eq!(scope(&first), Some("dsn"));
    says(&messages(&first), "FILEDSN was ignored");
    let second = place.open(&format!("FILEDSN={file};DSN=unknown"));
    assert_eq!(scope(&second), Some("file"));
    assert_eq!(second.get(Name::Scope).unwrap().origin, Origin::FileDsn);
    assert_eq!(scope(&place.open("DSN=;DSN=a")), None);
    assert_eq!(scope(&place.open(&format!("DSN=;FILEDSN={file}"))), Some("file"));
}

#[test]
fn a_file_dsn_is_found_by_path_by_filedsnpath_and_where_odbcinst_ini_says() {
    let mut place = Place::new("", "");
    let file = place.write("files/f.dsn", "[odbc]\nScope=file");
    let without = file.strip_suffix(".dsn").unwrap();
    assert_eq!(scope(&place.open(&format!("FILEDSN={file};Scope=string"))), Some("string"));
    assert_eq!(scope(&place.open(&format!("FILEDSN={without}"))), Some("file"));
    place.write("etc/ODBCDataSources/g.dsn", "[ODBC]\nScope=default");
    assert_eq!(scope(&place.open("FILEDSN=g")), Some("default"));
    let folder = Path::new(&file).parent().unwrap();
    place.write("etc/odbcinst.ini", &format!("[ODBC]\nFileDSNPath = {}\n", folder.display()));
    assert_eq!(scope(&place.open("FILEDSN=f.dsn")), Some("file"));
    place.made =
        std::mem::take(&mut place.made).with("FILEDSNPATH", place.folder.path().join("etc/ODBCDataSources"));
    assert_eq!(scope(&place.open("FILEDSN=g.dsn")), Some("default"));
    assert!(place.fault("FILEDSN=f").message().contains("ODBCDataSources/f.dsn (is not there)"));
}

#[test]
fn a_file_dsn_without_its_section_or_that_is_no_file_is_not_found() {
    let place = Place::new("", "");
    let file = place.write("f.dsn", "[Sales]\nScope=file");
    assert!(place.fault(&format!("FILEDSN={file}")).message().contains("(no [ODBC])"));
    let folder = place.folder.path().display().to_string();
    let error = place.fault(&format!("FILEDSN={folder}"));
    assert!(error.message().contains("is a directory, not a file"), "{error}");
    assert_eq!(error.option(), Some("FILEDSN"));
}

#[test]
fn a_file_dsn_for_another_driver_says_nothing() {
    let place = Place::new("", "");
    let file = place.write("f.dsn", "[ODBC]\nDRIVER=One\nScope=file");
    assert_eq!(scope(&place.open(&format!("DRIVER={{ONE}};FILEDSN={file}"))), Some("file"));
    let other = place.open(&format!("FILEDSN={file};Driver=Two"));
    assert_eq!(scope(&other), None);
    says(&messages(&other), "FILEDSN was ignored: it is for another DRIVER");
}

#[test]
fn odbcini_names_the_users_file_if_it_can_be_read() {
    let mut place = Place::new("[a]\nScope=home", "");
    let own = place.write("own.ini", "[a]\nScope=own");
    place.made = std::mem::take(&mut place.made).with("ODBCINI", &own);
    assert_eq!(scope(&place.open("DSN=a")), Some("own"));
    std::fs::remove_file(&own).unwrap();
    assert_eq!(scope(&place.open("DSN=a")), Some("home"));
    std::fs::create_dir(&own).unwrap();
    let options = place.open("DSN=a");
    assert_eq!(scope(&options), Some("home"));
    says(&messages(&options), "own.ini is a directory, not a file; it was left out");
}

#[test]
fn odd_lines_are_warnings_with_file_and_line_and_never_what_they_hold() {
    let text = "[b\nPassword=hunter2\n[a]\nhunter2\nScope=s\nScope=hunter2\nhunter2==\nClaimIssuer=hunter2\n=hunter2\n\
                DSN=hunter2\nLoginTimeout=hunter2\n";
    let place = Place::new(text, "");
    let options = place.open("DSN=a");
    let messages = messages(&options);
    for (line, words) in [
        (1, "has no \"]\""),
        (4, "has no \"=\""),
        (6, "Scope stands above it"),
        (7, "names no option. It was ignored"),
        (8, "did you mean ClaimsIssuer?"),
        (9, "no name in front of \"=\""),
        (10, "does not lead to another one"),
    ] {
        let place = format!("line {line} of {}", place.folder.path().join("home/.odbc.ini").display());
        let about = messages.iter().find(|message| message.contains(&place));
        assert!(about.is_some_and(|message| message.contains(words)), "line {line}: {messages:#?}");
    }
    assert_eq!(messages.len(), 7, "{messages:#?}");
    let definition = Name::LoginTimeout.definition().unwrap();
    let wrong = wrong_value(definition, options.get(Name::LoginTimeout).unwrap());
    assert!(wrong.message().contains("line 11 of "), "{wrong}");
    assert!(!format!("{messages:?}{wrong}{options:?}").contains("hunter2"));
}

#[test]
fn values_keep_braces_blanks_and_semicolons_and_secrets_their_quotes() {
    let place = Place::new("[a]\nScope = {a};b ; c \nJWTCertPassword = 'x;y' \nClaimsSubject=\"me\"\n", "");
    let options = place.open("DSN=a");
    let get = |name| options.get(name).unwrap().text.reveal();
    assert_eq!(get(Name::Scope), "{a};b ; c");
    assert_eq!(get(Name::JWTCertPassword), "'x;y'");
    assert_eq!(get(Name::ClaimsSubject), "me");
}

#[test]
fn dsn_and_filedsn_cannot_be_set_later() {
    let mut options = Place::new("[a]\nScope=s", "").open("DSN=a");
    for name in ["DSN", "FileDSN", "DataSourceName"] {
        let error = options.set(&[(name, "b")]).unwrap_err();
        assert_eq!(error.status(), Status::InvalidOption);
        assert!(error.message().contains("connection string alone"), "{error}");
    }
}

const STORE: &str = "[a]\nJWTCertStore=k.jks\nTokenURI=POST https://good.example/t\n";
const EVIL: &str = "TokenURI=POST https://evil.example/t";

fn token_uri(options: &Options) -> Option<&str> {
    options.get(Name::TokenURI).map(|value| value.text.reveal())
}

#[track_caller]
fn refused(options: &Options, name: &str) {
    let faults = options.faults();
    let [fault] = &faults[..] else { panic!("{faults:?}") };
    assert_eq!((fault.status(), fault.option()), (Status::InvalidOption, Some(name)), "{fault}");
    assert!(
        fault.message().contains("AllowOverride=1") && fault.message().contains("DSN \"a\" in "),
        "{fault}"
    );
}

#[test]
fn a_string_cannot_steer_the_secrets_of_a_data_source() {
    let place = Place::new(STORE, "");
    let options = place.open(&format!("DSN=a;{EVIL}"));
    refused(&options, "TokenURI");
    assert_eq!(token_uri(&options), Some("POST https://good.example/t"));
    refused(&place.open("TokenURI=;DSN=a"), "TokenURI");
    for definition in table::TABLE.iter().filter(|definition| definition.steers()) {
        refused(&place.open(&format!("DSN=a;{}=0", definition.name)), definition.name);
    }
    assert_eq!(
        place.open("DSN=a;Scope=all;LoginTimeout=5;TokenURI=POST https://good.example/t").faults(),
        []
    );
}

#[test]
fn every_secret_of_a_data_source_is_guarded_and_a_source_without_one_is_not() {
    for definition in table::TABLE.iter().filter(|definition| definition.is_secret()) {
        let place = Place::new(&format!("[a]\n{}=x\n", definition.name), "");
        let steering = if definition.steers() { "TokenURI=x" } else { "TrustStore=x" };
        assert_eq!(place.open(&format!("DSN=a;{steering}")).faults().len(), 1, "{}", definition.name);
    }
    let place = Place::new("[a]\nKeyStore=client.p12\n", "");
    refused(&place.open("DSN=a;ProxyHost=evil.example"), "ProxyHost");
    let place = Place::new("[a]\nScope=x\nTokenURI=POST https://good.example/t\n", "");
    let options = place.open(&format!("DSN=a;JWTCertStore=mine.jks;{EVIL}"));
    assert_eq!(options.faults(), []);
    assert_eq!(token_uri(&options), Some("POST https://evil.example/t"));
    let place = Place::new(STORE, "");
    assert_eq!(place.open(&format!("DSN=a;JWTCertStore=mine.jks;{EVIL}")).faults(), []);
}

#[test]
fn all_values_at_once_are_those_that_are_found_one_by_one() {
    let place = Place::new(&format!("{STORE}Scope=x\nClaimsAudience=y\nLoginTimeout=2\n"), "");
    let mut options = place.open(&format!("DSN=a;{EVIL};Scope=;LoginTimeout=3"));
    options.set(&[("ClaimsSubject", "me"), ("LoginTimeout", "4"), ("ClaimsAudience", "")]).unwrap();
    let at_once = options.in_force();
    for definition in table::TABLE {
        assert_eq!(at_once[definition.id as usize], options.get(definition.id), "{}", definition.name);
    }
    let origins: Vec<_> = at_once.iter().flatten().map(|value| value.origin).collect();
    assert!(origins.contains(&Origin::Dsn) && origins.contains(&Origin::SetOption), "{origins:?}");
}

#[test]
fn only_the_data_source_itself_or_the_host_program_may_allow_it() {
    let allowing = Place::new(&format!("{STORE}AllowOverride=1\n"), "");
    assert_eq!(token_uri(&allowing.open(&format!("DSN=a;{EVIL}"))), Some("POST https://evil.example/t"));
    assert_eq!(allowing.open(&format!("DSN=a;{EVIL};AllowOverride=0")).faults(), []);
    let place = Place::new(STORE, "");
    let mut options = place.open(&format!("AllowOverride=1;DSN=a;{EVIL}"));
    refused(&options, "TokenURI");
    says(&messages(&options), "AllowOverride was ignored");
    options.set(&[("TokenURI", "POST https://host.example/t")]).unwrap();
    assert_eq!(options.faults(), []);
    assert_eq!(token_uri(&options), Some("POST https://host.example/t"));
    let file = place.write("f.dsn", "[ODBC]\nJWTCertStore=k.jks\n");
    let options = place.open(&format!("FILEDSN={file};{EVIL}"));
    assert!(options.faults()[0].message().contains(&format!("secrets of FILEDSN {file}")));
}

#[test]
fn a_model_that_the_string_names_cannot_steer_either() {
    let place = Place::new("[a]\nJWTCertStore=k.jks\n", "");
    let model = place.write("evil.rest", r##"{"#tokenUri": "POST https://evil.example/t"}"##);
    let mut options = place.open(&format!("DSN=a;RestConfigFile={model}"));
    refused(&options, "RestConfigFile");
    assert_eq!(token_uri(&options), None);
    options.set(&[("RestConfigFile", &model)]).unwrap();
    assert_eq!(token_uri(&options), Some("POST https://evil.example/t"));
    assert_eq!(options.faults(), []);
}
