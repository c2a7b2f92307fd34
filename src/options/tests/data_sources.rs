//! Data sources: which file and section says what, and what a connection string may not say beside them.

use std::path::Path;

use tempfile::TempDir;

use crate::options::environment::testing::FakeEnvironment;
use crate::options::*;

/// A home and a system folder with an odbc.ini each; an empty text is no file.
struct OdbcFixture {
    folder: TempDir,
    environment: FakeEnvironment,
}

impl OdbcFixture {
    fn new(user: &str, system: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let (home, etc) = (folder.path().join("home"), folder.path().join("etc"));
        for (folder, name, text) in [(&home, ".odbc.ini", user), (&etc, "odbc.ini", system)] {
            std::fs::create_dir(folder).unwrap();
            if !text.is_empty() {
                std::fs::write(folder.join(name), text).unwrap();
            }
        }
        let made =
            FakeEnvironment { home: Some(home), system_folders: vec![etc], ..FakeEnvironment::default() };
        Self { folder, environment: made }
    }

    fn write(&self, name: &str, text: &str) -> String {
        let path = self.folder.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, text).unwrap();
        path.to_str().unwrap().to_owned()
    }

    fn open(&self, text: &str) -> Options {
        Options::open(text, &self.environment).unwrap_or_else(|error| panic!("{text}: {error}"))
    }

    fn open_error(&self, text: &str) -> Error {
        let error = Options::open(text, &self.environment).err().unwrap_or_else(|| panic!("{text} opens"));
        assert_eq!((error.status(), error.sqlstate()), (Status::DataSourceNotFound, "IM002"), "{error}");
        error
    }
}

fn scope(options: &Options) -> Option<&str> {
    options.get(OptionId::Scope).map(|value| value.text.reveal())
}

fn messages(options: &Options) -> Vec<String> {
    options.warnings().iter().map(|warning| warning.message().to_owned()).collect()
}

#[track_caller]
fn assert_message_contains(messages: &[String], words: &str) {
    assert!(messages.iter().any(|message| message.contains(words)), "no {words:?} in {messages:#?}");
}

#[test]
fn user_dsn_section_replaces_system_section() {
    let place =
        OdbcFixture::new("[Sales]\nScope=user", "[sales]\nScope=system\ncliss=system\n[Other]\nScope=other");
    let options = place.open("DSN=SALES");
    assert_eq!(scope(&options), Some("user"));
    assert_eq!(options.get(OptionId::ClaimsIssuer), None);
    let value = options.get(OptionId::Scope).unwrap();
    assert_eq!(value.origin, OptionOrigin::Dsn);
    assert!(value.location.as_ref().unwrap().starts_with("line 2 of "), "{value:?}");
    assert_eq!(scope(&place.open("DataSourceName='Other'")), Some("other"));
}

#[test]
fn connection_string_overrides_and_unsets_dsn() {
    let place = OdbcFixture::new("[a]\nScope=dsn\nClaimsIssuer=\ncliss='me'", "");
    assert_eq!(scope(&place.open("DSN=a;Scope=string")), Some("string"));
    assert_eq!(scope(&place.open("Scope=;DSN=a")), None);
    let options = place.open("DSN=a");
    assert_eq!(options.get(OptionId::ClaimsIssuer).unwrap().text.reveal(), "me");
    assert_eq!(messages(&options), [] as [&str; 0]);
}

#[test]
fn default_section_is_used_for_unknown_dsn() {
    let place = OdbcFixture::new("[Default]\nScope=user", "[Known]\nScope=known\n[Default]\nScope=system");
    let options = place.open("DSN=Unknown");
    assert_eq!(scope(&options), Some("user"));
    assert_message_contains(&messages(&options), "DSN \"Unknown\" is not known; [Default] of ");
    assert_eq!(scope(&place.open("DSN=known")), Some("known"));
}

#[test]
fn unknown_dsn_error_lists_searched_files() {
    let place = OdbcFixture::new("", "x=1\n[Sales\nPassword=hunter2\n");
    let error = place.open_error("DSN=Sales");
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
    assert!(place.open_error("DSN=y").message().contains("(no [y] and no [Default])"));
}

#[test]
fn driver_before_dsn_disables_lookup() {
    let place = OdbcFixture::new("[a]\nScope=dsn", "");
    let options = place.open("DRIVER={x};DSN=a");
    assert_eq!(scope(&options), None);
    assert_message_contains(&messages(&options), "DSN was ignored: DRIVER stands in front of it");
    place.open("Driver=x;DSN=unknown");
    assert_eq!(scope(&place.open("DSN=a;DRIVER={x}")), Some("dsn"));
    assert_eq!(scope(&place.open("DRIVER=;DSN=a")), Some("dsn"));
}

#[test]
fn first_of_dsn_and_filedsn_wins() {
    let place = OdbcFixture::new("[a]\nScope=dsn", "");
    let file = place.write("f.dsn", "[ODBC]\nScope=file");
    let first = place.open(&format!("DSN=a;FILEDSN={file}"));
    assert_eq!(scope(&first), Some("dsn"));
    assert_message_contains(&messages(&first), "FILEDSN was ignored");
    let second = place.open(&format!("FILEDSN={file};DSN=unknown"));
    assert_eq!(scope(&second), Some("file"));
    assert_eq!(second.get(OptionId::Scope).unwrap().origin, OptionOrigin::FileDsn);
    assert_eq!(scope(&place.open("DSN=;DSN=a")), None);
    assert_eq!(scope(&place.open(&format!("DSN=;FILEDSN={file}"))), Some("file"));
}

#[test]
fn file_dsn_search_follows_path_environment_odbcinst() {
    let mut place = OdbcFixture::new("", "");
    let file = place.write("files/f.dsn", "[odbc]\nScope=file");
    let without = file.strip_suffix(".dsn").unwrap();
    assert_eq!(scope(&place.open(&format!("FILEDSN={file};Scope=string"))), Some("string"));
    assert_eq!(scope(&place.open(&format!("FILEDSN={without}"))), Some("file"));
    place.write("etc/ODBCDataSources/g.dsn", "[ODBC]\nScope=default");
    assert_eq!(scope(&place.open("FILEDSN=g")), Some("default"));
    let folder = Path::new(&file).parent().unwrap();
    place.write("etc/odbcinst.ini", &format!("[ODBC]\nFileDSNPath = {}\n", folder.display()));
    assert_eq!(scope(&place.open("FILEDSN=f.dsn")), Some("file"));
    place.environment = std::mem::take(&mut place.environment)
        .with_variable("FILEDSNPATH", place.folder.path().join("etc/ODBCDataSources"));
    assert_eq!(scope(&place.open("FILEDSN=g.dsn")), Some("default"));
    assert!(place.open_error("FILEDSN=f").message().contains("ODBCDataSources/f.dsn (is not there)"));
}

#[test]
fn file_dsn_without_section_is_not_found() {
    let place = OdbcFixture::new("", "");
    let file = place.write("f.dsn", "[Sales]\nScope=file");
    assert!(place.open_error(&format!("FILEDSN={file}")).message().contains("(no [ODBC])"));
    let folder = place.folder.path().display().to_string();
    let error = place.open_error(&format!("FILEDSN={folder}"));
    assert!(error.message().contains("is a directory, not a file"), "{error}");
    assert_eq!(error.option(), Some("FILEDSN"));
}

#[test]
fn file_dsn_for_other_driver_is_ignored() {
    let place = OdbcFixture::new("", "");
    let file = place.write("f.dsn", "[ODBC]\nDRIVER=One\nScope=file");
    assert_eq!(scope(&place.open(&format!("DRIVER={{ONE}};FILEDSN={file}"))), Some("file"));
    let other = place.open(&format!("FILEDSN={file};Driver=Two"));
    assert_eq!(scope(&other), None);
    assert_message_contains(&messages(&other), "FILEDSN was ignored: it is for another DRIVER");
}

#[test]
fn odbcini_variable_overrides_home_if_readable() {
    let mut place = OdbcFixture::new("[a]\nScope=home", "");
    let own = place.write("own.ini", "[a]\nScope=own");
    place.environment = std::mem::take(&mut place.environment).with_variable("ODBCINI", &own);
    assert_eq!(scope(&place.open("DSN=a")), Some("own"));
    std::fs::remove_file(&own).unwrap();
    assert_eq!(scope(&place.open("DSN=a")), Some("home"));
    std::fs::create_dir(&own).unwrap();
    let options = place.open("DSN=a");
    assert_eq!(scope(&options), Some("home"));
    assert_message_contains(&messages(&options), "own.ini is a directory, not a file; it was left out");
}

#[test]
fn invalid_dsn_lines_warn_without_content() {
    let text = "[b\nPassword=hunter2\n[a]\nhunter2\nScope=s\nScope=hunter2\nhunter2==\nClaimIssuer=hunter2\n=hunter2\n\
                DSN=hunter2\nLoginTimeout=hunter2\n";
    let place = OdbcFixture::new(text, "");
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
    let definition = OptionId::LoginTimeout.spec().unwrap();
    let wrong = wrong_value_error(definition, options.get(OptionId::LoginTimeout).unwrap());
    assert!(wrong.message().contains("line 11 of "), "{wrong}");
    assert!(!format!("{messages:?}{wrong}{options:?}").contains("hunter2"));
}

#[test]
fn dsn_values_are_verbatim_secrets_keep_quotes() {
    let place =
        OdbcFixture::new("[a]\nScope = {a};b ; c \nJWTCertPassword = 'x;y' \nClaimsSubject=\"me\"\n", "");
    let options = place.open("DSN=a");
    let get = |name| options.get(name).unwrap().text.reveal();
    assert_eq!(get(OptionId::Scope), "{a};b ; c");
    assert_eq!(get(OptionId::JWTCertPassword), "'x;y'");
    assert_eq!(get(OptionId::ClaimsSubject), "me");
}

#[test]
fn dsn_options_cannot_be_set_after_open() {
    let mut options = OdbcFixture::new("[a]\nScope=s", "").open("DSN=a");
    for name in ["DSN", "FileDSN", "DataSourceName"] {
        let error = options.set(&[(name, "b")]).unwrap_err();
        assert_eq!(error.status(), Status::InvalidOption);
        assert!(error.message().contains("connection string alone"), "{error}");
    }
}

const DSN_WITH_KEY_STORE: &str = "[a]\nJWTCertStore=k.jks\nTokenURI=POST https://good.example/t\n";
const REDIRECTED_TOKEN_URI: &str = "TokenURI=POST https://evil.example/t";

fn token_uri(options: &Options) -> Option<&str> {
    options.get(OptionId::TokenURI).map(|value| value.text.reveal())
}

#[track_caller]
fn assert_blocked(options: &Options, name: &str) {
    let faults = options.errors();
    let [fault] = &faults[..] else { panic!("{faults:?}") };
    assert_eq!((fault.status(), fault.option()), (Status::InvalidOption, Some(name)), "{fault}");
    assert!(
        fault.message().contains("AllowOverride=1") && fault.message().contains("DSN \"a\" in "),
        "{fault}"
    );
}

#[test]
fn connection_string_cannot_redirect_data_source_secrets() {
    let place = OdbcFixture::new(DSN_WITH_KEY_STORE, "");
    let options = place.open(&format!("DSN=a;{REDIRECTED_TOKEN_URI}"));
    assert_blocked(&options, "TokenURI");
    assert_eq!(token_uri(&options), Some("POST https://good.example/t"));
    assert_blocked(&place.open("TokenURI=;DSN=a"), "TokenURI");
    for definition in table::TABLE.iter().filter(|definition| definition.controls_destination()) {
        assert_blocked(&place.open(&format!("DSN=a;{}=0", definition.name)), definition.name);
    }
    assert_eq!(
        place.open("DSN=a;Scope=all;LoginTimeout=5;TokenURI=POST https://good.example/t").errors(),
        []
    );
}

#[test]
fn override_guard_applies_only_with_dsn_secrets() {
    for definition in table::TABLE.iter().filter(|definition| definition.is_secret()) {
        let place = OdbcFixture::new(&format!("[a]\n{}=x\n", definition.name), "");
        let steering = if definition.controls_destination() { "TokenURI=x" } else { "TrustStore=x" };
        assert_eq!(place.open(&format!("DSN=a;{steering}")).errors().len(), 1, "{}", definition.name);
    }
    let place = OdbcFixture::new("[a]\nKeyStore=client.p12\n", "");
    assert_blocked(&place.open("DSN=a;ProxyHost=evil.example"), "ProxyHost");
    let place = OdbcFixture::new("[a]\nScope=x\nTokenURI=POST https://good.example/t\n", "");
    let options = place.open(&format!("DSN=a;JWTCertStore=mine.jks;{REDIRECTED_TOKEN_URI}"));
    assert_eq!(options.errors(), []);
    assert_eq!(token_uri(&options), Some("POST https://evil.example/t"));
    let place = OdbcFixture::new(DSN_WITH_KEY_STORE, "");
    assert_eq!(place.open(&format!("DSN=a;JWTCertStore=mine.jks;{REDIRECTED_TOKEN_URI}")).errors(), []);
}

#[test]
fn effective_values_match_get() {
    let place =
        OdbcFixture::new(&format!("{DSN_WITH_KEY_STORE}Scope=x\nClaimsAudience=y\nLoginTimeout=2\n"), "");
    let mut options = place.open(&format!("DSN=a;{REDIRECTED_TOKEN_URI};Scope=;LoginTimeout=3"));
    options.set(&[("ClaimsSubject", "me"), ("LoginTimeout", "4"), ("ClaimsAudience", "")]).unwrap();
    let at_once = options.effective_values();
    for definition in table::TABLE {
        assert_eq!(at_once[definition.id as usize], options.get(definition.id), "{}", definition.name);
    }
    let origins: Vec<_> = at_once.iter().flatten().map(|value| value.origin).collect();
    assert!(
        origins.contains(&OptionOrigin::Dsn) && origins.contains(&OptionOrigin::SetOption),
        "{origins:?}"
    );
}

#[test]
fn only_data_source_or_caller_allows_override() {
    let allowing = OdbcFixture::new(&format!("{DSN_WITH_KEY_STORE}AllowOverride=1\n"), "");
    assert_eq!(
        token_uri(&allowing.open(&format!("DSN=a;{REDIRECTED_TOKEN_URI}"))),
        Some("POST https://evil.example/t")
    );
    assert_eq!(allowing.open(&format!("DSN=a;{REDIRECTED_TOKEN_URI};AllowOverride=0")).errors(), []);
    let place = OdbcFixture::new(DSN_WITH_KEY_STORE, "");
    let mut options = place.open(&format!("AllowOverride=1;DSN=a;{REDIRECTED_TOKEN_URI}"));
    assert_blocked(&options, "TokenURI");
    assert_message_contains(&messages(&options), "AllowOverride was ignored");
    options.set(&[("TokenURI", "POST https://host.example/t")]).unwrap();
    assert_eq!(options.errors(), []);
    assert_eq!(token_uri(&options), Some("POST https://host.example/t"));
    let file = place.write("f.dsn", "[ODBC]\nJWTCertStore=k.jks\n");
    let options = place.open(&format!("FILEDSN={file};{REDIRECTED_TOKEN_URI}"));
    assert!(options.errors()[0].message().contains(&format!("secrets of FILEDSN {file}")));
}

#[test]
fn untrusted_model_cannot_redirect_secrets() {
    let place = OdbcFixture::new("[a]\nJWTCertStore=k.jks\n", "");
    let model = place.write("evil.rest", r##"{"#tokenUri": "POST https://evil.example/t"}"##);
    let mut options = place.open(&format!("DSN=a;RestConfigFile={model}"));
    assert_blocked(&options, "RestConfigFile");
    assert_eq!(token_uri(&options), None);
    options.set(&[("RestConfigFile", &model)]).unwrap();
    assert_eq!(token_uri(&options), Some("POST https://evil.example/t"));
    assert_eq!(options.errors(), []);
}
