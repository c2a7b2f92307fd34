//! Where options come from: data sources and model files, through the C API, against the strict authority.

#[path = "../support/mod.rs"]
mod support;

use std::path::Path;
use std::process::Command;

use authgrant::ffi::status::*;
use mock_server::{Config, MockServer};
use support::c_api::{Failure, open, open_with_environment};
use support::tempdir::TestDir;
use support::{ISSUER, start_mock_server, stores};

/// What a string that is opened in these surroundings comes to.
trait OpenAssertions {
    fn assert_gets_token(&self, string: &str);
    fn assert_fails(&self, string: &str, status: i32, sqlstate: &str, words: &[&str]);
}

impl OpenAssertions for TestDir {
    #[track_caller]
    fn assert_gets_token(&self, string: &str) {
        self.open(string).get_token().unwrap_or_else(|failure| panic!("{string}: {failure:?}"));
    }

    #[track_caller]
    fn assert_fails(&self, string: &str, status: i32, sqlstate: &str, words: &[&str]) {
        let failure = self.open(string).get_token().err().unwrap_or_else(|| panic!("{string} gets a token"));
        assert_failure(&failure, status, sqlstate, words);
    }
}

#[track_caller]
fn assert_failure(failure: &Failure, status: i32, sqlstate: &str, words: &[&str]) {
    assert_eq!((failure.status, failure.sqlstate.as_str()), (status, sqlstate), "{failure:?}");
    for word in words {
        assert!(failure.message.contains(word), "no {word:?} in {}", failure.message);
    }
}

/// A section with everything that gets a token from `authority`.
fn dsn_section(name: &str, authority: &MockServer) -> String {
    format!(
        "[{name}]\nDriver = /opt/driver.so\nAuthenticationMethod = 55\nClaimsIssuer = '{ISSUER}'\n\
         ClaimsSubject = jsmith@example.com\nJWTCertStore = {}\nJWTCertPassword = secret\n\
         TokenURI = POST {}\n",
        stores::path("keytool.jks"),
        authority.url("/oauth/token")
    )
}

/// The odbc.ini of DataDirect's page, its `...` lines included.
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
    let authority = start_mock_server(Config::http());
    let page = DATADIRECT_INI
        .replace("jwtcert.jks", &stores::path("keytool.jks"))
        .replace("https://account-d.docusign.com/oauth/token", &authority.url("/oauth/token"));
    let place = TestDir::with_user_ini(&format!("[Sales]\nJWTCertPassword=secret\n{page}"));
    let connection = place.open("DSN=Sales");
    connection.get_token().unwrap();
    let warnings = connection.warnings();
    let file = place.0.path().join(".odbc.ini");
    for line in (5..=25).step_by(2) {
        let place = format!("line {line} of {} has no \"=\"", file.display());
        assert!(warnings.iter().any(|warning| warning.message.contains(&place)), "{place}: {warnings:#?}");
    }
    let headers = connection.get_headers().unwrap();
    assert!(headers.contains(&("response_type".to_owned(), "code".to_owned())), "{headers:?}");
}

/// Run by the test below as a program of its own, whose variables say where the data sources stand.
#[test]
#[ignore = "a part of the_processs_own_variables_are_read"]
fn child_opens_configured_string() {
    let string = std::env::var("AUTHGRANT_TEST_STRING").unwrap();
    match open(&string).and_then(|connection| connection.get_token()) {
        Ok(_) => println!("outcome: token"),
        Err(failure) => println!("outcome: {} {}", failure.sqlstate, failure.message),
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
    let authority = start_mock_server(Config::http());
    let place = TestDir::with_file("home/.odbc.ini", "[Sales]\nScope=of the user\n");
    place.write("own.ini", "[Sales]\nAuthenticationMethod=55\n");
    place.write(
        "etc/odbc.ini",
        format!("{}{}", dsn_section("Sales", &authority), dsn_section("Others", &authority)),
    );
    let [home, own, etc] = ["home", "own.ini", "etc"].map(|name| place.0.path().join(name));
    let both: [(&str, &Path); 2] = [("HOME", &home), ("ODBCSYSINI", &etc)];
    assert_eq!(open_in_child("DSN=others", &both), "token");
    let hidden = open_in_child("DSN=Sales", &both);
    assert!(hidden.starts_with("28000 ") && hidden.contains("AuthenticationMethod is missing"), "{hidden}");
    let named = open_in_child("DSN=Sales", &[("ODBCINI", &own), ("ODBCSYSINI", &etc)]);
    assert!(named.contains("ClaimsIssuer and JWTCertStore are missing"), "{named}");
    assert_eq!(open_in_child("DSN=Sales", &[("HOME", &etc), ("SYSODBCINI", &etc.join("odbc.ini"))]), "token");
    let nowhere = open_in_child("DSN=Nobody", &both);
    assert!(nowhere.starts_with("IM002 ") && nowhere.contains("home/.odbc.ini (no [Nobody]"), "{nowhere}");
}

#[test]
fn connection_string_overrides_and_unsets_dsn() {
    let authority = start_mock_server(Config::http());
    let place = TestDir::with_user_ini(&dsn_section("Sales", &authority).replace("= secret", "= wrong"));
    place.assert_fails("DSN=Sales", AUTHGRANT_KEY_PASSWORD, "28000", &["JWTCertPassword"]);
    place.assert_gets_token("DSN=Sales;JWTCertPassword=secret");
    place.assert_fails(
        "ClaimsIssuer=;DSN=Sales",
        AUTHGRANT_MISSING_OPTION,
        "28000",
        &["ClaimsIssuer is missing"],
    );
}

#[test]
fn unknown_dsn_uses_default_section() {
    let authority = start_mock_server(Config::http());
    let place = TestDir::with_user_ini(&dsn_section("DEFAULT", &authority));
    place.assert_gets_token("DSN=Unknown");
    let place = TestDir::with_user_ini(&dsn_section("Sales", &authority));
    let error = open_with_environment("DSN=Unknown", &place).unwrap_err();
    assert_eq!((error.status() as i32, error.sqlstate()), (AUTHGRANT_DATA_SOURCE_NOT_FOUND, "IM002"));
    assert!(error.message().contains(".odbc.ini") && error.message().contains("etc/odbc.ini"), "{error}");
    let failure = open("FILEDSN=/nowhere/at/all.dsn").unwrap_err();
    let words = ["FILEDSN /nowhere/at/all.dsn was not found", "is not there"];
    assert_failure(&failure, AUTHGRANT_DATA_SOURCE_NOT_FOUND, "IM002", &words);
}

#[test]
fn driver_before_dsn_skips_lookup() {
    let authority = start_mock_server(Config::http());
    let place = TestDir::with_user_ini(&dsn_section("Sales", &authority));
    place.assert_fails(
        "DRIVER={Any};DSN=Sales",
        AUTHGRANT_MISSING_OPTION,
        "28000",
        &["AuthenticationMethod"],
    );
    place.assert_fails(
        "DRIVER={Any};DSN=Nobody",
        AUTHGRANT_MISSING_OPTION,
        "28000",
        &["AuthenticationMethod"],
    );
    place.assert_gets_token("DSN=Sales;DRIVER={Any}");
}

#[test]
fn file_dsn_path_gets_token() {
    let authority = start_mock_server(Config::http());
    let place = TestDir::with_file("sales.dsn", dsn_section("ODBC", &authority));
    let path = place.0.path().join("sales.dsn");
    open(&format!("FILEDSN={}", path.display())).unwrap().get_token().unwrap();
    let both = format!("FILEDSN={};DSN=Nobody;", path.display());
    open(&both).unwrap().get_token().unwrap();
}

#[test]
fn long_secret_is_not_truncated() {
    let authority = start_mock_server(Config::http());
    let secret = "0123456789".repeat(500);
    let more = format!("AuthHeader=X-Key\nSecurityToken={secret}\nScope=signature\n");
    let place = TestDir::with_user_ini(&format!("{}{more}", dsn_section("Sales", &authority)));
    let headers = place.open("DSN=Sales").get_headers().unwrap();
    assert!(headers.contains(&("X-Key".to_owned(), secret)), "{headers:?}");
}

#[test]
fn untrusted_string_cannot_redirect_dsn_assertion() {
    let (authority, evil) = (start_mock_server(Config::http()), start_mock_server(Config::http()));
    let elsewhere = format!("TokenURI=POST {};", evil.url("/oauth/token"));
    let own = dsn_section("Sales", &authority);
    let place = TestDir::with_user_ini(&format!(
        "{own}[Others]\nScope=a\n{}AllowOverride=1\n",
        dsn_section("Open", &authority)
    ));
    for string in [
        format!("DSN=Sales;{elsewhere}"),
        format!("{elsewhere}DSN=Sales;AllowOverride=1"),
        "DSN=Sales;TokenURI=".to_owned(),
        format!("DSN=Sales;TokenURI=;TokenEndpoint={}", evil.url("/oauth/token")),
    ] {
        place.assert_fails(
            &string,
            AUTHGRANT_INVALID_OPTION,
            "HY024",
            &["TokenURI in the connection", "AllowOverride=1"],
        );
    }
    assert!(evil.token_requests().is_empty(), "nothing went to the stranger's server");
    let connection = place.open(&format!("DSN=Sales;{elsewhere}"));
    connection.set_option("TokenURI", &format!("POST {}", authority.url("/oauth/token"))).unwrap();
    connection.get_token().expect("the host program may set what it likes");
    assert!(!authority.token_requests().is_empty() && evil.token_requests().is_empty());
    place.assert_gets_token(&format!("DSN=Open;{elsewhere}"));
    assert_eq!(evil.token_requests().len(), 1, "AllowOverride=1 in the data source");
}

#[test]
fn untrusted_string_cannot_change_dsn_audience() {
    let authority = start_mock_server(Config::http());
    let place = TestDir::with_user_ini(&dsn_section("Sales", &authority));
    for (option, string) in [
        ("ClaimsAudience", "DSN=Sales;ClaimsAudience=https://elsewhere.example".to_owned()),
        ("ClaimsAdditional", r#"DSN=Sales;ClaimsAdditional={"aud":"https://elsewhere.example"}"#.to_owned()),
        (
            "ClaimsAdditional",
            r#"DSN=Sales;ClaimsAdditional={{"aud":["https://elsewhere.example"]}}}"#.to_owned(),
        ),
    ] {
        let said = format!("{option} in the connection string");
        place.assert_fails(&string, AUTHGRANT_INVALID_OPTION, "HY024", &[&said, "AllowOverride=1"]);
    }
    place.assert_gets_token(r#"DSN=Sales;ClaimsAdditional={"tenant":"a"}"#);
}

/// A model with comments, whose token URI is relative.
fn rest_model(authority: &MockServer) -> String {
    format!(
        "{{\n  // made by hand: \"#tokenUri\": \"/wrong\"\n  \"#hostname\": \"{}\", // \"quoted\"\n  \
         \"#options\": {{\"authenticationMethod\": {{\"choices\": \"OAuth2,BearerToken\", \"default\": \"OAuth2\"}},\n    \
         \"tokenURI\": \"POST /oauth/token\", \"scope\": \"signature impersonation\",\n    \
         \"clientSecret\": \"hunter2\"}},\n  \"people\": {{\"#path\": \"/people\"}}\n}}\n",
        authority.url("")
    )
}

#[test]
fn model_with_comments_and_relative_uri_works() {
    let authority = start_mock_server(Config::http());
    let place = TestDir::with_file("x.rest", rest_model(&authority));
    let path = place.0.path().join("x.rest");
    let connection = open(&format!(
        "RestConfigFile={};ClaimsIssuer={ISSUER};ClaimsSubject=jsmith@example.com;JWTCertStore={};JWTCertPassword=secret",
        path.display(),
        stores::path("keytool.jks")
    ))
    .unwrap();
    let token = connection.get_token().unwrap();
    assert_eq!(token.scope().as_deref(), Some("signature impersonation"));
    let warnings = connection.warnings();
    assert!(warnings.iter().any(|warning| warning.message.contains("sets ClientSecret")), "{warnings:?}");
    assert!(!format!("{warnings:?}").contains("hunter2"));
}

#[test]
fn invalid_model_json_fails_on_first_use() {
    let authority = start_mock_server(Config::http());
    let place = TestDir::with_user_ini("");
    let path = place.write("x.rest", "{\n  \"#hostname\" hunter2\n}");
    let string = support::minimal_string(&authority, &format!("RestConfigFile={path}"));
    let connection = open(&string).expect("open does not judge values");
    let failure = connection.get_token().unwrap_err();
    assert_failure(&failure, AUTHGRANT_INVALID_OPTION, "HY024", &[&path, "not JSON", "line 2, column 15"]);
    assert_eq!(failure.option.as_deref(), Some("RestConfigFile"));
    assert!(!failure.message.contains("hunter2"));
    connection.set_option("RestConfigFile", "").unwrap();
    connection.get_token().unwrap();
}

#[test]
fn malformed_ini_section_is_warning_with_line() {
    let authority = start_mock_server(Config::http());
    let text = format!("[Bad\nPassword=hunter2\n{}[Worse\nScope=hunter2\n", dsn_section("Good", &authority));
    let place = TestDir::with_user_ini(&text);
    let connection = place.open("DSN=Good");
    connection.get_token().unwrap();
    let warnings = connection.warnings();
    for line in [1, 11] {
        let words = format!("line {line} of {}", place.0.path().join(".odbc.ini").display());
        assert!(warnings.iter().any(|warning| warning.message.contains(&words)), "{warnings:#?}");
    }
    let error = open_with_environment("DSN=Bad", &place).unwrap_err();
    assert!(error.message().contains("line 1 begins a section with \"[\" and has no \"]\""), "{error}");
    assert!(!format!("{warnings:?}{error}").contains("hunter2"));
}

#[test]
fn nul_in_dsn_or_model_names_location() {
    let place = TestDir::with_user_ini(
        "[a]\nam=50\nAccessToken=a\nScope=b\0c\n[b]\nam=50\nAccessToken=a\n\0Scope=b\n",
    );
    place.write("etc/ODBCDataSources/c.dsn", "[ODBC]\nam=50\nAccessToken=a\0\n");
    place.write("model.rest", r##"{"#scope": "a\u0000b", "#headers": {"X-A": "b"}}"##);
    let model = format!("am=50;AccessToken=a;RestConfigFile={}", place.path("model.rest"));
    for (string, option, words) in [
        ("DSN=a", "DSN", ["line 4 of", ".odbc.ini", "NUL character"]),
        ("DSN=b", "DSN", ["line 8 of", ".odbc.ini", "NUL character"]),
        ("FILEDSN=c", "FILEDSN", ["line 3 of", "c.dsn", "NUL character"]),
        (&model, "RestConfigFile", ["#scope", "model.rest", "NUL character"]),
    ] {
        place.assert_fails(string, AUTHGRANT_INVALID_OPTION, "HY024", &words);
        let connection = place.open(string);
        let failure = connection.get_headers().unwrap_err();
        assert_eq!(failure.option.as_deref(), Some(option), "{failure:?}");
        for include in [0, AUTHGRANT_WITH_SECRETS] {
            assert!(!connection.completed_string(include).contains("Scope"), "the line is not in force");
        }
    }
    let other = TestDir::with_user_ini("[a]\nam=50\nAccessToken=a\n[b]\nScope=\0\n");
    other.open("DSN=a").get_token().expect("another section is not in use");
}
