//! Data sources and model files as origins of options.
//!
//! Through the C API, against the mock server.

#[path = "../support/mod.rs"]
mod support;

use std::path::Path;
use std::process::Command;

use authgrant::ffi::status::*;
use mock_server::{Config, MockServer};
use support::c_api::{Failure, open, open_with_environment};
use support::tempdir::TestDir;
use support::{ISSUER, start_mock_server, stores};

/// Assertions on connection strings that are opened with the data sources of a directory.
trait OpenAssertions {
    fn assert_gets_token(&self, string: &str);
    fn assert_fails(&self, string: &str, status: i32, sqlstate: &str, option: Option<&str>) -> Box<Failure>;
}

impl OpenAssertions for TestDir {
    #[track_caller]
    fn assert_gets_token(&self, string: &str) {
        self.open(string).get_token().unwrap_or_else(|failure| panic!("{string}: {failure:?}"));
    }

    #[track_caller]
    fn assert_fails(&self, string: &str, status: i32, sqlstate: &str, option: Option<&str>) -> Box<Failure> {
        let failure = self.open(string).get_token().err().unwrap_or_else(|| panic!("{string} gets a token"));
        assert_failure(&failure, status, sqlstate, option);
        failure
    }
}

#[track_caller]
fn assert_failure(failure: &Failure, status: i32, sqlstate: &str, option: Option<&str>) {
    let actual = (failure.status, failure.sqlstate.as_str(), failure.option.as_deref());
    assert_eq!(actual, (status, sqlstate, option), "{failure:?}");
}

/// Asserts that the message contains each of these values, such as a path, a position or an option.
#[track_caller]
fn assert_message_contains(failure: &Failure, values: &[&str]) {
    for value in values {
        assert!(failure.message.contains(value), "no {value:?} in {}", failure.message);
    }
}

/// A section with all options to get a token from `server`.
fn dsn_section(name: &str, server: &MockServer) -> String {
    format!(
        "[{name}]\nDriver = /opt/driver.so\nAuthenticationMethod = 55\nClaimsIssuer = '{ISSUER}'\n\
         ClaimsSubject = jsmith@example.com\nJWTCertStore = {}\nJWTCertPassword = secret\n\
         TokenURI = POST {}\n",
        stores::path("keytool.jks"),
        server.url("/oauth/token")
    )
}

/// The odbc.ini of DataDirect's documentation, including its `...` lines.
const DATADIRECT_INI: &str = "Driver=ODBCHOME/lib/ivautorestxx.so;
Description=My Autonomous REST Data Source
...
AuthenticationMethod=55
...
AuthHeader=response_type
...
ClaimsIssuer='1a2b3c4d5e_6f7g8h9g'
...
ClaimsSubject=jsmith@example.com
...
JWTCertStore=jwtcert.jks
...
RedirectUri=http://localhost:3000
...
RestConfigFile=C:/path/to/docusign.rest
...
TokenUri=https://account-d.docusign.com/oauth/token
...
Scope=signature impersonation
...
SecurityToken=code
...
";

#[test]
fn datadirect_odbc_ini_works_with_warnings() {
    let server = start_mock_server(Config::http());
    let section = DATADIRECT_INI
        .replace("jwtcert.jks", &stores::path("keytool.jks"))
        .replace("https://account-d.docusign.com/oauth/token", &server.url("/oauth/token"));
    let dir = TestDir::with_user_ini(&format!("[Sales]\nJWTCertPassword=secret\n{section}"));
    let connection = dir.open("DSN=Sales");
    connection.get_token().unwrap();
    let warnings = connection.warnings();
    let file = dir.0.path().join(".odbc.ini");
    for line in (5..=25).step_by(2) {
        let location = format!("line {line} of {} has no \"=\"", file.display());
        assert!(
            warnings.iter().any(|warning| warning.message.contains(&location)),
            "{location}: {warnings:#?}"
        );
    }
    let headers = connection.get_headers().unwrap();
    assert!(headers.contains(&("response_type".to_owned(), "code".to_owned())), "{headers:?}");
}

/// Run by the test below in a child process, whose environment variables locate the data sources.
#[test]
#[ignore = "the child process of user_ini_section_hides_system_section"]
fn child_opens_configured_string() {
    let string = std::env::var("AUTHGRANT_TEST_STRING").unwrap();
    match open(&string).and_then(|connection| connection.get_token()) {
        Ok(_) => println!("outcome: token"),
        Err(failure) => println!(
            "outcome: {} {} {}",
            failure.sqlstate,
            failure.option.unwrap_or_default(),
            failure.message
        ),
    }
}

fn open_in_child(string: &str, variables: &[(&str, &Path)]) -> String {
    let output = Command::new(std::env::current_exe().unwrap())
        .args(["--ignored", "--exact", "--nocapture", "child_opens_configured_string"])
        .env_remove("ODBCINI")
        .env_remove("ODBCSYSINI")
        .env_remove("SYSODBCINI")
        .env("AUTHGRANT_TEST_STRING", string)
        .envs(variables.iter().copied())
        .output()
        .unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let (_, outcome) = text.split_once("outcome: ").unwrap_or_else(|| panic!("{text}"));
    outcome.lines().next().unwrap().to_owned()
}

#[test]
fn user_ini_section_hides_system_section() {
    let server = start_mock_server(Config::http());
    let dir = TestDir::with_file("home/.odbc.ini", "[Sales]\nScope=of the user\n");
    dir.write("own.ini", "[Sales]\nAuthenticationMethod=55\n");
    dir.write("etc/odbc.ini", format!("{}{}", dsn_section("Sales", &server), dsn_section("Others", &server)));
    let [home, own, etc] = ["home", "own.ini", "etc"].map(|name| dir.0.path().join(name));
    let variables: [(&str, &Path); 2] = [("HOME", &home), ("ODBCSYSINI", &etc)];
    assert_eq!(open_in_child("DSN=others", &variables), "token");
    let hidden = open_in_child("DSN=Sales", &variables);
    assert!(hidden.starts_with("28000 AuthenticationMethod "), "{hidden}");
    let odbcini = open_in_child("DSN=Sales", &[("ODBCINI", &own), ("ODBCSYSINI", &etc)]);
    assert!(odbcini.starts_with("28000 ClaimsIssuer ") && odbcini.contains("JWTCertStore"), "{odbcini}");
    assert_eq!(open_in_child("DSN=Sales", &[("HOME", &etc), ("SYSODBCINI", &etc.join("odbc.ini"))]), "token");
    let missing = open_in_child("DSN=Nobody", &variables);
    assert!(
        missing.starts_with("IM002 DSN ") && missing.contains("home/.odbc.ini (no [Nobody]"),
        "{missing}"
    );
}

#[test]
fn empty_variables_leave_default_directories() {
    let home = TestDir::new();
    let variables = [
        ("HOME", home.0.path()),
        ("ODBCSYSINI", Path::new("")),
        ("FILEDSNPATH", Path::new("")),
        ("ODBCINSTINI", Path::new("/nowhere/none.ini")),
    ];
    let missing = open_in_child("FILEDSN=nobody", &variables);
    assert!(missing.starts_with("IM002 FILEDSN "), "{missing}");
    for folder in ["/etc", "/etc/unixODBC"] {
        let file = format!("{folder}/ODBCDataSources/nobody.dsn (does not exist)");
        assert!(missing.contains(&file), "{missing}");
    }
}

#[test]
fn secret_reference_to_empty_variable_is_error() {
    let dir = TestDir::with_user_ini("[a]\nam=50\nAccessToken=env:AUTHGRANT_TEST_SECRET\n");
    for (value, expected) in [("", "HY024 AccessToken "), ("hunter2", "token")] {
        let variables = [("HOME", dir.0.path()), ("AUTHGRANT_TEST_SECRET", Path::new(value))];
        let outcome = open_in_child("DSN=a", &variables);
        assert!(outcome.starts_with(expected), "{outcome}");
        assert_eq!(outcome.contains("is empty"), value.is_empty(), "{outcome}");
    }
}

#[test]
fn connection_string_overrides_and_unsets_dsn() {
    let server = start_mock_server(Config::http());
    let dir = TestDir::with_user_ini(&dsn_section("Sales", &server).replace("= secret", "= wrong"));
    dir.assert_fails("DSN=Sales", AUTHGRANT_KEY_PASSWORD, "28000", Some("JWTCertPassword"));
    dir.assert_gets_token("DSN=Sales;JWTCertPassword=secret");
    dir.assert_fails("ClaimsIssuer=;DSN=Sales", AUTHGRANT_MISSING_OPTION, "28000", Some("ClaimsIssuer"));
}

#[test]
fn unknown_dsn_uses_default_section() {
    let server = start_mock_server(Config::http());
    let dir = TestDir::with_user_ini(&dsn_section("DEFAULT", &server));
    dir.assert_gets_token("DSN=Unknown");
    let dir = TestDir::with_user_ini(&dsn_section("Sales", &server));
    let error = open_with_environment("DSN=Unknown", &dir).unwrap_err();
    assert_eq!((error.status() as i32, error.sqlstate()), (AUTHGRANT_DATA_SOURCE_NOT_FOUND, "IM002"));
    assert!(error.message().contains(".odbc.ini") && error.message().contains("etc/odbc.ini"), "{error}");
    let failure = open("FILEDSN=/nowhere/at/all.dsn").unwrap_err();
    assert_failure(&failure, AUTHGRANT_DATA_SOURCE_NOT_FOUND, "IM002", Some("FILEDSN"));
    assert_message_contains(&failure, &["/nowhere/at/all.dsn"]);
}

#[test]
fn driver_before_dsn_skips_lookup() {
    let server = start_mock_server(Config::http());
    let dir = TestDir::with_user_ini(&dsn_section("Sales", &server));
    dir.assert_fails(
        "DRIVER={Any};DSN=Sales",
        AUTHGRANT_MISSING_OPTION,
        "28000",
        Some("AuthenticationMethod"),
    );
    dir.assert_fails(
        "DRIVER={Any};DSN=Nobody",
        AUTHGRANT_MISSING_OPTION,
        "28000",
        Some("AuthenticationMethod"),
    );
    dir.assert_gets_token("DSN=Sales;DRIVER={Any}");
}

#[test]
fn file_dsn_path_gets_token() {
    let server = start_mock_server(Config::http());
    let dir = TestDir::with_file("sales.dsn", dsn_section("ODBC", &server));
    let path = dir.0.path().join("sales.dsn");
    open(&format!("FILEDSN={}", path.display())).unwrap().get_token().unwrap();
    let with_dsn = format!("FILEDSN={};DSN=Nobody;", path.display());
    open(&with_dsn).unwrap().get_token().unwrap();
}

#[test]
fn long_secret_is_not_truncated() {
    let server = start_mock_server(Config::http());
    let secret = "0123456789".repeat(500);
    let options = format!("AuthHeader=X-Key\nSecurityToken={secret}\nScope=signature\n");
    let dir = TestDir::with_user_ini(&format!("{}{options}", dsn_section("Sales", &server)));
    let headers = dir.open("DSN=Sales").get_headers().unwrap();
    assert!(headers.contains(&("X-Key".to_owned(), secret)), "{headers:?}");
}

#[test]
fn untrusted_string_cannot_redirect_dsn_assertion() {
    let (server, other_server) = (start_mock_server(Config::http()), start_mock_server(Config::http()));
    let redirect = format!("TokenURI=POST {};", other_server.url("/oauth/token"));
    let section = dsn_section("Sales", &server);
    let dir = TestDir::with_user_ini(&format!(
        "{section}[Others]\nScope=a\n{}AllowOverride=1\n",
        dsn_section("Open", &server)
    ));
    for string in [
        format!("DSN=Sales;{redirect}"),
        format!("{redirect}DSN=Sales;AllowOverride=1"),
        "DSN=Sales;TokenURI=".to_owned(),
        format!("DSN=Sales;TokenURI=;TokenEndpoint={}", other_server.url("/oauth/token")),
    ] {
        let failure = dir.assert_fails(&string, AUTHGRANT_INVALID_OPTION, "HY024", Some("TokenURI"));
        assert_message_contains(&failure, &["TokenURI", "AllowOverride=1"]);
    }
    assert!(other_server.token_requests().is_empty(), "nothing is sent to the other server");
    let connection = dir.open(&format!("DSN=Sales;{redirect}"));
    connection.set_option("TokenURI", &format!("POST {}", server.url("/oauth/token"))).unwrap();
    connection.get_token().expect("the caller may set any option");
    assert!(!server.token_requests().is_empty() && other_server.token_requests().is_empty());
    dir.assert_gets_token(&format!("DSN=Open;{redirect}"));
    assert_eq!(other_server.token_requests().len(), 1, "AllowOverride=1 in the data source");
}

#[test]
fn untrusted_string_cannot_change_dsn_audience() {
    let server = start_mock_server(Config::http());
    let dir = TestDir::with_user_ini(&dsn_section("Sales", &server));
    for (option, string) in [
        ("ClaimsAudience", "DSN=Sales;ClaimsAudience=https://elsewhere.example".to_owned()),
        ("ClaimsAdditional", r#"DSN=Sales;ClaimsAdditional={"aud":"https://elsewhere.example"}"#.to_owned()),
        (
            "ClaimsAdditional",
            r#"DSN=Sales;ClaimsAdditional={{"aud":["https://elsewhere.example"]}}}"#.to_owned(),
        ),
    ] {
        let failure = dir.assert_fails(&string, AUTHGRANT_INVALID_OPTION, "HY024", Some(option));
        assert_message_contains(&failure, &[option, "AllowOverride=1"]);
    }
    dir.assert_gets_token(r#"DSN=Sales;ClaimsAdditional={"tenant":"a"}"#);
}

/// A model with comments and a relative token URI.
fn rest_model(server: &MockServer) -> String {
    format!(
        "{{\n  // made by hand: \"#tokenUri\": \"/wrong\"\n  \"#hostname\": \"{}\", // \"quoted\"\n  \
         \"#options\": {{\"authenticationMethod\": {{\"choices\": \"OAuth2,BearerToken\", \"default\": \"OAuth2\"}},\n    \
         \"tokenURI\": \"POST /oauth/token\", \"scope\": \"signature impersonation\",\n    \
         \"clientSecret\": \"hunter2\"}},\n  \"people\": {{\"#path\": \"/people\"}}\n}}\n",
        server.url("")
    )
}

#[test]
fn model_with_comments_and_relative_uri_works() {
    let server = start_mock_server(Config::http());
    let dir = TestDir::with_file("x.rest", rest_model(&server));
    let path = dir.0.path().join("x.rest");
    let connection = open(&format!(
        "RestConfigFile={};ClaimsIssuer={ISSUER};ClaimsSubject=jsmith@example.com;JWTCertStore={};JWTCertPassword=secret",
        path.display(),
        stores::path("keytool.jks")
    ))
    .unwrap();
    let token = connection.get_token().unwrap();
    assert_eq!(token.scope().as_deref(), Some("signature impersonation"));
    let warnings = connection.warnings();
    assert!(warnings.iter().any(|warning| warning.message.contains("ClientSecret")), "{warnings:?}");
    assert!(!format!("{warnings:?}").contains("hunter2"));
}

#[test]
fn invalid_model_json_fails_on_first_use() {
    let server = start_mock_server(Config::http());
    let dir = TestDir::with_user_ini("");
    let path = dir.write("x.rest", "{\n  \"#hostname\" hunter2\n}");
    let string = support::minimal_string(&server, &format!("RestConfigFile={path}"));
    let connection = open(&string).expect("open does not validate values");
    let failure = connection.get_token().unwrap_err();
    assert_failure(&failure, AUTHGRANT_INVALID_OPTION, "HY024", Some("RestConfigFile"));
    assert_message_contains(&failure, &[&path, "line 2, column 15"]);
    assert!(!failure.message.contains("hunter2"));
    connection.set_option("RestConfigFile", "").unwrap();
    connection.get_token().unwrap();
}

#[test]
fn malformed_ini_section_is_warning_with_line() {
    let server = start_mock_server(Config::http());
    let text = format!("[Bad\nPassword=hunter2\n{}[Worse\nScope=hunter2\n", dsn_section("Good", &server));
    let dir = TestDir::with_user_ini(&text);
    let connection = dir.open("DSN=Good");
    connection.get_token().unwrap();
    let warnings = connection.warnings();
    for line in [1, 11] {
        let location = format!("line {line} of {}", dir.0.path().join(".odbc.ini").display());
        assert!(warnings.iter().any(|warning| warning.message.contains(&location)), "{warnings:#?}");
    }
    let error = open_with_environment("DSN=Bad", &dir).unwrap_err();
    assert!(error.message().contains("line 1 ") && error.message().contains("\"]\""), "{error}");
    assert!(!format!("{warnings:?}{error}").contains("hunter2"));
}

#[test]
fn nul_in_dsn_or_model_names_location() {
    let dir = TestDir::with_user_ini(
        "[a]\nam=50\nAccessToken=a\nScope=b\0c\n[b]\nam=50\nAccessToken=a\n\0Scope=b\n",
    );
    dir.write("etc/ODBCDataSources/c.dsn", "[ODBC]\nam=50\nAccessToken=a\0\n");
    dir.write("model.rest", r##"{"#scope": "a\u0000b", "#headers": {"X-A": "b"}}"##);
    let model = format!("am=50;AccessToken=a;RestConfigFile={}", dir.path("model.rest"));
    for (string, option, location) in [
        ("DSN=a", "DSN", ["line 4 of", ".odbc.ini"]),
        ("DSN=b", "DSN", ["line 8 of", ".odbc.ini"]),
        ("FILEDSN=c", "FILEDSN", ["line 3 of", "c.dsn"]),
        (&model, "RestConfigFile", ["#scope", "model.rest"]),
    ] {
        let failure = dir.assert_fails(string, AUTHGRANT_INVALID_OPTION, "HY024", Some(option));
        assert_message_contains(&failure, &location);
        assert_message_contains(&failure, &["NUL"]);
        let connection = dir.open(string);
        let failure = connection.get_headers().unwrap_err();
        assert_eq!(failure.option.as_deref(), Some(option), "{failure:?}");
        for include in [0, AUTHGRANT_WITH_SECRETS] {
            assert!(!connection.completed_string(include).contains("Scope"), "the line is not used");
        }
    }
    let other = TestDir::with_user_ini("[a]\nam=50\nAccessToken=a\n[b]\nScope=\0\n");
    other.open("DSN=a").get_token().expect("other sections are not checked");
}
