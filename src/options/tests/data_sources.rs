//! Tests of data sources: precedence of files and sections, and the override guard.

use std::path::Path;

use tempfile::TempDir;

use crate::base::error::Status;
use crate::options::environment::testing::FakeEnvironment;
use crate::options::*;

/// A home directory and a system directory, each with an odbc.ini unless its text is empty.
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
        let environment =
            FakeEnvironment { home: Some(home), system_folders: vec![etc], ..FakeEnvironment::default() };
        Self { folder, environment }
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
    options.warnings().iter().map(|warning| warning.message()).collect()
}

#[track_caller]
fn assert_message_contains(messages: &[String], fragment: &str) {
    assert!(messages.iter().any(|message| message.contains(fragment)), "no {fragment:?} in {messages:#?}");
}

#[test]
fn user_dsn_section_replaces_system_section() {
    let fixture =
        OdbcFixture::new("[Sales]\nScope=user", "[sales]\nScope=system\ncliss=system\n[Other]\nScope=other");
    let options = fixture.open("DSN=SALES");
    assert_eq!(scope(&options), Some("user"));
    let file = fixture.folder.path().join("home/.odbc.ini");
    let label = format!("DSN \"SALES\" in {}", file.display());
    assert_eq!(options.data_source_label(), Some(label.as_str()));
    assert_eq!(options.get(OptionId::ClaimsIssuer), None);
    let value = options.get(OptionId::Scope).unwrap();
    assert_eq!(value.origin, OptionOrigin::Dsn);
    assert!(value.location.as_ref().unwrap().starts_with("line 2 of "), "{value:?}");
    assert_eq!(scope(&fixture.open("DataSourceName='Other'")), Some("other"));
}

#[test]
fn connection_string_overrides_and_unsets_dsn() {
    let fixture = OdbcFixture::new("[a]\nScope=dsn\nClaimsIssuer=\ncliss='me'", "");
    assert_eq!(scope(&fixture.open("DSN=a;Scope=string")), Some("string"));
    assert_eq!(scope(&fixture.open("Scope=;DSN=a")), None);
    let options = fixture.open("DSN=a");
    assert_eq!(options.get(OptionId::ClaimsIssuer).unwrap().text.reveal(), "me");
    assert_eq!(messages(&options), [] as [&str; 0]);
}

#[test]
fn default_section_is_used_for_unknown_dsn() {
    let fixture = OdbcFixture::new("[Default]\nScope=user", "[Known]\nScope=known\n[Default]\nScope=system");
    let options = fixture.open("DSN=Unknown");
    assert_eq!(scope(&options), Some("user"));
    assert_message_contains(&messages(&options), "[Default] of ");
    assert_eq!(scope(&fixture.open("DSN=known")), Some("known"));
}

#[test]
fn unknown_dsn_error_lists_searched_files() {
    let fixture = OdbcFixture::new("", "x=1\n[Sales\nPassword=hunter2\n");
    let error = fixture.open_error("DSN=Sales");
    assert_eq!(error.option(), Some("DSN"));
    for fragment in [
        "DSN \"Sales\" was not found",
        "home/.odbc.ini (does not exist)",
        "etc/odbc.ini (no section at all; line 2 ",
    ] {
        assert!(error.message().contains(fragment), "no {fragment} in {error}");
    }
    assert!(!error.message().contains("hunter2"));
    fixture.write("etc/odbc.ini", "[x]");
    assert!(fixture.open_error("DSN=y").message().contains("(no [y] and no [Default])"));
}

#[test]
fn driver_before_dsn_disables_lookup() {
    let fixture = OdbcFixture::new("[a]\nScope=dsn", "");
    let options = fixture.open("DRIVER={x};DSN=a");
    assert_eq!(scope(&options), None);
    assert_message_contains(&messages(&options), "DSN is ignored: DRIVER");
    fixture.open("Driver=x;DSN=unknown");
    assert_eq!(scope(&fixture.open("DSN=a;DRIVER={x}")), Some("dsn"));
    assert_eq!(scope(&fixture.open("DRIVER=;DSN=a")), Some("dsn"));
}

#[test]
fn first_of_dsn_and_filedsn_wins() {
    let fixture = OdbcFixture::new("[a]\nScope=dsn", "");
    let file = fixture.write("f.dsn", "[ODBC]\nScope=file");
    let first = fixture.open(&format!("DSN=a;FILEDSN={file}"));
    assert_eq!(scope(&first), Some("dsn"));
    assert_message_contains(&messages(&first), "FILEDSN is ignored: DSN");
    let second = fixture.open(&format!("FILEDSN={file};DSN=unknown"));
    assert_eq!(scope(&second), Some("file"));
    assert_eq!(second.get(OptionId::Scope).unwrap().origin, OptionOrigin::FileDsn);
    assert_eq!(scope(&fixture.open("DSN=;DSN=a")), None);
    assert_eq!(scope(&fixture.open(&format!("DSN=;FILEDSN={file}"))), Some("file"));
}

#[test]
fn file_dsn_search_follows_path_environment_odbcinst() {
    let mut fixture = OdbcFixture::new("", "");
    let file = fixture.write("files/f.dsn", "[odbc]\nScope=file");
    let without = file.strip_suffix(".dsn").unwrap();
    assert_eq!(scope(&fixture.open(&format!("FILEDSN={file};Scope=string"))), Some("string"));
    assert_eq!(scope(&fixture.open(&format!("FILEDSN={without}"))), Some("file"));
    fixture.write("etc/ODBCDataSources/g.dsn", "[ODBC]\nScope=default");
    assert_eq!(scope(&fixture.open("FILEDSN=g")), Some("default"));
    let folder = Path::new(&file).parent().unwrap();
    fixture.write("etc/odbcinst.ini", &format!("[ODBC]\nFileDSNPath = {}\n", folder.display()));
    assert_eq!(scope(&fixture.open("FILEDSN=f.dsn")), Some("file"));
    fixture.environment = std::mem::take(&mut fixture.environment)
        .with_variable("FILEDSNPATH", fixture.folder.path().join("etc/ODBCDataSources"));
    assert_eq!(scope(&fixture.open("FILEDSN=g.dsn")), Some("default"));
    assert!(fixture.open_error("FILEDSN=f").message().contains("ODBCDataSources/f.dsn (does not exist)"));
}

#[test]
fn file_dsn_without_section_is_not_found() {
    let fixture = OdbcFixture::new("", "");
    let file = fixture.write("f.dsn", "[Sales]\nScope=file");
    assert!(fixture.open_error(&format!("FILEDSN={file}")).message().contains("(no [ODBC])"));
    let folder = fixture.folder.path().display().to_string();
    let error = fixture.open_error(&format!("FILEDSN={folder}"));
    assert!(error.message().contains("is a directory"), "{error}");
    assert_eq!(error.option(), Some("FILEDSN"));
}

#[test]
fn file_dsn_for_other_driver_is_ignored() {
    let fixture = OdbcFixture::new("", "");
    let file = fixture.write("f.dsn", "[ODBC]\nDRIVER=One\nScope=file");
    assert_eq!(scope(&fixture.open(&format!("DRIVER={{ONE}};FILEDSN={file}"))), Some("file"));
    let other = fixture.open(&format!("FILEDSN={file};Driver=Two"));
    assert_eq!(scope(&other), None);
    assert_message_contains(&messages(&other), "FILEDSN is ignored: it is for a different DRIVER");
}

#[test]
fn file_dsn_driver_matches_with_and_without_braces() {
    let fixture = OdbcFixture::new("", "");
    for in_file in ["One Driver", "{One Driver}", "\"One Driver\"", "{ One Driver }"] {
        let file = fixture.write("f.dsn", &format!("[ODBC]\nDRIVER={in_file}\nScope=file"));
        for in_string in ["One Driver", "{One Driver}", "'one driver'"] {
            let options = fixture.open(&format!("DRIVER={in_string};FILEDSN={file}"));
            assert_eq!(
                (scope(&options), messages(&options)),
                (Some("file"), vec![]),
                "{in_file} {in_string}"
            );
        }
        let completed = fixture.open(&format!("FILEDSN={file}")).completed_connection_string(false, &[]);
        assert_eq!(completed.reveal(), "DRIVER={One Driver};Scope=file;");
    }
}

#[test]
fn odbcini_variable_overrides_home_if_readable() {
    let mut fixture = OdbcFixture::new("[a]\nScope=home", "");
    let own = fixture.write("own.ini", "[a]\nScope=own");
    fixture.environment = std::mem::take(&mut fixture.environment).with_variable("ODBCINI", &own);
    assert_eq!(scope(&fixture.open("DSN=a")), Some("own"));
    std::fs::remove_file(&own).unwrap();
    assert_eq!(scope(&fixture.open("DSN=a")), Some("home"));
    std::fs::create_dir(&own).unwrap();
    let options = fixture.open("DSN=a");
    assert_eq!(scope(&options), Some("home"));
    assert_message_contains(&messages(&options), "own.ini is a directory");
}

#[test]
fn unknown_name_in_dsn_is_shown_unless_part_of_key() {
    for (lines, shown) in [
        ("Server=x", Some("Server")),
        ("Default_Schema 2=x", None),
        ("default_schema 2=x", Some("default_schema 2")),
        ("ClaimIssuer=x", Some("ClaimIssuer")),
        ("Server=", None),
        ("Zm9vYmFyCg==", None),
        ("aGVsbG8gd29ybGQ=", None),
        ("MIIEvQIBADANBgkqhkiG9w0BAQEFAASC\nserver=x", None),
        ("abcdefghijklmnopqrstuvwxyzabcdefg=x", None),
        ("abcdefghijklmnopqrstuvwxyzabcdef=x", Some("abcdefghijklmnopqrstuvwxyzabcdef")),
        ("a+b/c=x", None),
        ("a1B=x", None),
    ] {
        let options = OdbcFixture::new(&format!("[a]\n{lines}\n"), "").open("DSN=a");
        let messages = messages(&options);
        let message = messages.last().unwrap();
        let name = lines.lines().last().unwrap().split('=').next().unwrap();
        assert_eq!(message.contains(&format!("\"{name}\" in line ")), shown.is_some(), "{messages:?}");
        let warnings = options.warnings();
        assert_eq!(warnings.last().unwrap().option(), shown, "{messages:?}");
    }
}

#[test]
fn names_of_driver_manager_in_data_source_cause_no_warning() {
    let names =
        "Trace=1\nTRACEFILE=/tmp/t\nUsageCount=1\nDMEnvAttr=SQL_ATTR_UNIXODBC_ENVATTR={}\nIconvEncoding=\n";
    let fixture = OdbcFixture::new(&format!("[a]\n{names}"), "");
    let file = fixture.write("f.dsn", &format!("[ODBC]\n{names}"));
    for string in ["DSN=a", &format!("FILEDSN={file}")] {
        assert_eq!(messages(&fixture.open(string)), [] as [&str; 0]);
    }
}

#[test]
fn invalid_dsn_lines_warn_without_content() {
    let text = "[b\nPassword=hunter2\n[a]\nhunter2\nScope=s\nScope=hunter2\nhunter2==\nClaimIssuer=hunter2\n=hunter2\n\
                DSN=hunter2\nLoginTimeout=hunter2\n";
    let fixture = OdbcFixture::new(text, "");
    let options = fixture.open("DSN=a");
    let messages = messages(&options);
    for (line, fragment) in [
        (1, "no \"]\""),
        (4, "has no \"=\""),
        (6, "duplicate of Scope"),
        (7, "unknown option name"),
        (8, "did you mean ClaimsIssuer?"),
        (9, "no name before \"=\""),
        (10, "DSN in line 10"),
    ] {
        let location = format!("line {line} of {}", fixture.folder.path().join("home/.odbc.ini").display());
        let found = messages.iter().find(|message| message.contains(&location));
        assert!(found.is_some_and(|message| message.contains(fragment)), "line {line}: {messages:#?}");
    }
    assert_eq!(messages.len(), 7, "{messages:#?}");
    let spec = OptionId::LoginTimeout.spec().unwrap();
    let wrong = wrong_value_error(spec, options.get(OptionId::LoginTimeout).unwrap());
    assert!(wrong.message().contains("line 11 of "), "{wrong}");
    assert!(!format!("{messages:?}{wrong}{options:?}").contains("hunter2"));
}

#[test]
fn invalid_line_warning_names_dsn_or_filedsn() {
    let fixture = OdbcFixture::new("[a]\nhunter2\n", "");
    let file = fixture.write("f.dsn", "[ODBC]\nhunter2\n");
    for (string, option) in [("DSN=a", "DSN"), (&format!("FILEDSN={file}"), "FILEDSN")] {
        let warnings = fixture.open(string).warnings();
        let [warning] = &warnings[..] else { panic!("{warnings:?}") };
        assert_eq!((warning.sqlstate(), warning.option()), ("01000", Some(option)), "{warning}");
    }
}

#[test]
fn dsn_values_are_verbatim_secrets_keep_quotes() {
    let fixture =
        OdbcFixture::new("[a]\nScope = {a};b ; c \nJWTCertPassword = 'x;y' \nClaimsSubject=\"me\"\n", "");
    let options = fixture.open("DSN=a");
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
        let option = table::find(name).map(|spec| spec.name);
        assert_eq!(error.option(), option, "{error}");
    }
}

const DSN_WITH_KEY_STORE: &str = "[a]\nJWTCertStore=k.jks\nTokenURI=POST https://good.example/t\n";
const REDIRECTED_TOKEN_URI: &str = "TokenURI=POST https://evil.example/t";

fn token_uri(options: &Options) -> Option<&str> {
    options.get(OptionId::TokenURI).map(|value| value.text.reveal())
}

#[track_caller]
fn assert_blocked(options: &Options, name: &str) {
    let errors = options.errors();
    let [error] = &errors[..] else { panic!("{errors:?}") };
    assert_eq!((error.status(), error.option()), (Status::InvalidOption, Some(name)), "{error}");
    assert!(
        error.message().contains("AllowOverride=1") && error.message().contains("DSN \"a\" in "),
        "{error}"
    );
}

#[test]
fn connection_string_cannot_redirect_data_source_secrets() {
    let fixture = OdbcFixture::new(DSN_WITH_KEY_STORE, "");
    let options = fixture.open(&format!("DSN=a;{REDIRECTED_TOKEN_URI}"));
    assert_blocked(&options, "TokenURI");
    assert_eq!(token_uri(&options), Some("POST https://good.example/t"));
    assert_blocked(&fixture.open("TokenURI=;DSN=a"), "TokenURI");
    for spec in table::TABLE.iter().filter(|spec| spec.controls_destination()) {
        assert_blocked(&fixture.open(&format!("DSN=a;{}=0", spec.name)), spec.name);
    }
    assert_eq!(
        fixture.open("DSN=a;Scope=all;LoginTimeout=5;TokenURI=POST https://good.example/t").errors(),
        []
    );
}

#[test]
fn override_guard_applies_only_with_dsn_secrets() {
    for spec in table::TABLE.iter().filter(|spec| spec.is_secret()) {
        let fixture = OdbcFixture::new(&format!("[a]\n{}=x\n", spec.name), "");
        let override_text = if spec.controls_destination() { "TokenURI=x" } else { "TrustStore=x" };
        assert_eq!(fixture.open(&format!("DSN=a;{override_text}")).errors().len(), 1, "{}", spec.name);
    }
    let fixture = OdbcFixture::new("[a]\nKeyStore=client.p12\n", "");
    assert_blocked(&fixture.open("DSN=a;ProxyHost=evil.example"), "ProxyHost");
    let fixture = OdbcFixture::new("[a]\nScope=x\nTokenURI=POST https://good.example/t\n", "");
    let options = fixture.open(&format!("DSN=a;JWTCertStore=mine.jks;{REDIRECTED_TOKEN_URI}"));
    assert_eq!(options.errors(), []);
    assert_eq!(token_uri(&options), Some("POST https://evil.example/t"));
    let fixture = OdbcFixture::new(DSN_WITH_KEY_STORE, "");
    assert_eq!(fixture.open(&format!("DSN=a;JWTCertStore=mine.jks;{REDIRECTED_TOKEN_URI}")).errors(), []);
}

#[test]
fn effective_values_match_get() {
    let fixture =
        OdbcFixture::new(&format!("{DSN_WITH_KEY_STORE}Scope=x\nClaimsAudience=y\nLoginTimeout=2\n"), "");
    let mut options = fixture.open(&format!("DSN=a;{REDIRECTED_TOKEN_URI};Scope=;LoginTimeout=3"));
    options.set(&[("ClaimsSubject", "me"), ("LoginTimeout", "4"), ("ClaimsAudience", "")]).unwrap();
    let effective = options.effective_values();
    for spec in table::TABLE {
        assert_eq!(effective[spec.id as usize], options.get(spec.id), "{}", spec.name);
    }
    let origins: Vec<_> = effective.iter().flatten().map(|value| value.origin).collect();
    assert!(
        origins.contains(&OptionOrigin::Dsn) && origins.contains(&OptionOrigin::SetOption),
        "{origins:?}"
    );
}

#[test]
fn only_data_source_or_caller_allows_override() {
    let permissive = OdbcFixture::new(&format!("{DSN_WITH_KEY_STORE}AllowOverride=1\n"), "");
    assert_eq!(
        token_uri(&permissive.open(&format!("DSN=a;{REDIRECTED_TOKEN_URI}"))),
        Some("POST https://evil.example/t")
    );
    assert_eq!(permissive.open(&format!("DSN=a;{REDIRECTED_TOKEN_URI};AllowOverride=0")).errors(), []);
    let fixture = OdbcFixture::new(DSN_WITH_KEY_STORE, "");
    let mut options = fixture.open(&format!("AllowOverride=1;DSN=a;{REDIRECTED_TOKEN_URI}"));
    assert_blocked(&options, "TokenURI");
    assert_message_contains(&messages(&options), "AllowOverride is ignored");
    options.set(&[("TokenURI", "POST https://host.example/t")]).unwrap();
    assert_eq!(options.errors(), []);
    assert_eq!(token_uri(&options), Some("POST https://host.example/t"));
    let file = fixture.write("f.dsn", "[ODBC]\nJWTCertStore=k.jks\n");
    let options = fixture.open(&format!("FILEDSN={file};{REDIRECTED_TOKEN_URI}"));
    assert!(options.errors()[0].message().contains(&format!("FILEDSN {file}")));
}

#[test]
fn connection_string_cannot_redirect_headers_of_data_source_model() {
    let fixture = OdbcFixture::new("", "");
    let write_dsn = |name: &str, headers: &str| {
        let model = fixture.write(&format!("{name}.rest"), &format!(r##"{{"#headers": {{{headers}}}}}"##));
        fixture.write("home/.odbc.ini", &format!("[a]\nRestConfigFile={model}\n"));
        model
    };
    let model = write_dsn("secret", r#""Accept": "text/xml", "X-Key": "k""#);
    assert_blocked(&fixture.open(&format!("DSN=a;{REDIRECTED_TOKEN_URI}")), "TokenURI");
    let same_model = format!("DSN=a;RestConfigFile={model};{REDIRECTED_TOKEN_URI}");
    assert_blocked(&fixture.open(&same_model), "TokenURI");
    let other = fixture.write("other.rest", r##"{"#headers": {"X-Key": "own"}}"##);
    let own_model = fixture.open(&format!("DSN=a;RestConfigFile={other};{REDIRECTED_TOKEN_URI}"));
    assert_eq!(own_model.errors(), [], "the headers of the data source are not read");
    assert_eq!(own_model.model_headers()[0].1.reveal(), "own");
    write_dsn("public", r#""Accept": "text/xml""#);
    assert_eq!(fixture.open(&format!("DSN=a;{REDIRECTED_TOKEN_URI}")).errors(), []);
}

#[test]
fn untrusted_model_cannot_redirect_secrets() {
    let fixture = OdbcFixture::new("[a]\nJWTCertStore=k.jks\n", "");
    let model = fixture.write("evil.rest", r##"{"#tokenUri": "POST https://evil.example/t"}"##);
    let mut options = fixture.open(&format!("DSN=a;RestConfigFile={model}"));
    assert_blocked(&options, "RestConfigFile");
    assert_eq!(token_uri(&options), None);
    options.set(&[("RestConfigFile", &model)]).unwrap();
    assert_eq!(token_uri(&options), Some("POST https://evil.example/t"));
    assert_eq!(options.errors(), []);
}
