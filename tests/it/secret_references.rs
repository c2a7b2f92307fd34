//! Secrets that stand in a file or in an environment variable: through the C API, against the strict authority.

use std::fs;
use std::process::Command;

use crate::support::c_api::{Connection, Failure, open};
use crate::support::tempdir::TestDir;
use crate::support::{minimal_string, start_mock_server, stores};
use authgrant::ffi::status::*;
use mock_server::{ClientAuth, ClientOptions, Config, MockServer};

/// An access token that is `reference`, set by the host program.
fn open_with_token_reference(reference: &str) -> Connection {
    let connection = open("AuthenticationMethod=50").unwrap();
    connection.set_option("AccessToken", reference).unwrap();
    connection
}

#[track_caller]
fn assert_option_invalid(connection: &Connection, option: &str, words: &[&str]) -> Box<Failure> {
    let failure = connection.get_token().map(|token| token.value()).unwrap_err();
    let seen = (failure.status, failure.sqlstate.as_str(), failure.option.as_deref());
    assert_eq!(seen, (AUTHGRANT_INVALID_OPTION, "HY024", Some(option)), "{failure:?}");
    for word in words {
        assert!(failure.message.contains(word), "no {word:?} in {}", failure.message);
    }
    failure
}

#[test]
fn untrusted_references_are_rejected_and_redacted() {
    let authority = start_mock_server(Config::http());
    let place = TestDir::with_file("hunter2", "secret\n");
    let path = place.path("hunter2");
    for (prefix, rest) in [("file:", path.as_str()), ("env:", "hunter2")] {
        for option in ["JWTCertPassword", "TokenParameters", "SecurityToken", "TrustStorePassword"] {
            let header = if option == "SecurityToken" { "AuthHeader=X-Key" } else { "" };
            let more = format!("{option}={prefix}{rest};{header}");
            let connection = open(&minimal_string(&authority, &more)).expect("open does not judge values");
            let words = [prefix, "AUTHGRANT_ALLOW_SECRET_REFERENCES", "literal:", "set_option"];
            let failure = assert_option_invalid(&connection, option, &words);
            let report: serde_json::Value = serde_json::from_str(&connection.validate()).unwrap();
            assert_eq!(report["problems"].as_array().unwrap().len(), 1, "{report:#}");
            let all = format!("{failure:?}{:?}{report}", connection.warnings());
            assert!(!all.contains("hunter2"), "{all}");
        }
    }
    assert!(authority.requests().is_empty());
}

#[test]
fn untrusted_client_assertion_file_is_not_read() {
    let authority = start_mock_server(Config::http());
    let place = TestDir::with_file("hunter2", "secret-line\n");
    let (path, endpoint) = (place.path("hunter2"), authority.url("/oauth/token"));
    let rest = format!("am=OAuth2-JWTClientAssertion;ClientID=c;TokenEndpoint={endpoint}");
    let string = format!("{rest};ClientAssertionFile={path}");
    let source = place.write("a.dsn", format!("[ODBC]\n{}", string.replace(';', "\n")));
    for untrusted in [string, format!("FILEDSN={source}")] {
        let connection = open(&untrusted).unwrap();
        let words = ["AUTHGRANT_ALLOW_SECRET_REFERENCES", "content is sent"];
        assert_option_invalid(&connection, "ClientAssertionFile", &words);
        let report: serde_json::Value = serde_json::from_str(&connection.validate()).unwrap();
        assert_eq!(report["problems"].as_array().unwrap().len(), 1, "{report:#}");
    }
    assert!(authority.requests().is_empty());
    let connection = open(&rest).unwrap();
    connection.set_option("ClientAssertionFile", &path).unwrap();
    connection.get_token().map(|_| ()).unwrap_err();
    assert_eq!(authority.token_requests().len(), 1, "the application may name the file");
}

#[test]
fn application_may_reference_env_and_file() {
    let place = TestDir::with_file("token", "from the file\n");
    assert_eq!(
        open_with_token_reference(&format!("file:{}", place.path("token"))).get_token().unwrap().value(),
        "from the file"
    );
    assert_eq!(
        open_with_token_reference("env:PATH").get_token().unwrap().value(),
        std::env::var("PATH").unwrap()
    );
}

#[test]
fn file_reference_trims_final_newline_without_recursion() {
    let place = TestDir::new();
    for (content, value) in [
        ("a b", "a b"),
        ("a\n", "a"),
        ("a\r\n", "a"),
        ("a\n\n", "a\n"),
        (" a \r", " a \r"),
        ("env:PATH", "env:PATH"),
        ("literal:a", "literal:a"),
        ("ä", "ä"),
    ] {
        let path = place.write("token", content);
        assert_eq!(
            open_with_token_reference(&format!("file:{path}")).get_token().unwrap().value(),
            value,
            "{content:?}"
        );
    }
    for (text, value) in [("literal:env:PATH", "env:PATH"), ("File:x", "File:x"), (" env:PATH", " env:PATH")]
    {
        assert_eq!(open_with_token_reference(text).get_token().unwrap().value(), value);
        let string = format!("AuthenticationMethod=50;AccessToken={{{text}}}");
        assert_eq!(open(&string).unwrap().get_token().unwrap().value(), value, "in a connection string");
    }
}

#[test]
fn reference_error_names_option_and_source() {
    let place = TestDir::new();
    fs::create_dir(place.path("folder")).unwrap();
    assert!(Command::new("mkfifo").arg(place.path("fifo")).status().unwrap().success());
    place.write("empty", "\n");
    place.write("binary", b"\xff\xfe");
    place.write("nul", b"hunter2\0");
    place.write("large", "x".repeat(64 * 1024 + 1));
    for (name, what) in [
        ("missing", "is not there"),
        ("folder", "is a directory"),
        ("fifo", "is a FIFO"),
        ("empty", "is empty"),
        ("binary", "is not text in UTF-8"),
        ("nul", "holds a NUL"),
        ("large", "has 65537 bytes"),
    ] {
        let reference = format!("file:{}", place.path(name));
        let failure = assert_option_invalid(
            &open_with_token_reference(&reference),
            "AccessToken",
            &[&reference, what, "literal:"],
        );
        assert!(!format!("{failure:?}").contains("hunter2"));
    }
    assert_option_invalid(&open_with_token_reference("file:"), "AccessToken", &["file:"]);
    for name in ["AUTHGRANT_TEST_NOBODY_SETS_THIS", "", "A=B"] {
        assert_option_invalid(
            &open_with_token_reference(&format!("env:{name}")),
            "AccessToken",
            &["env:", "is not set"],
        );
    }
}

fn client_dsn_section(place: &TestDir, authority: &MockServer) -> String {
    format!(
        "AuthenticationMethod=53\nClientID=the client\nClientSecret=file:{}\nTokenURI={}\nScope=a\n",
        place.path("client secret"),
        authority.url("/oauth/token")
    )
}

fn start_server_with_client(secret: &str) -> MockServer {
    let authority = MockServer::start(Config::http());
    let options = ClientOptions {
        secret: Some(secret.to_owned()),
        client_auth: Some(ClientAuth::Basic),
        ..ClientOptions::default()
    };
    authority.register::<&str>("the client", &[], options);
    authority
}

#[test]
fn references_need_machine_data_source() {
    let authority = start_server_with_client("s3cret");
    let place = TestDir::with_file("client secret", "s3cret\n");
    let section = client_dsn_section(&place, &authority);
    place.write(".odbc.ini", format!("[Sales]\n{section}"));
    place.write("etc/ODBCDataSources/sales.dsn", format!("[ODBC]\n{section}"));
    let evil = place.write("evil.dsn", format!("[ODBC]\n{section}"));
    place.open("DSN=Sales").get_token().unwrap();
    place.open("FILEDSN=sales").get_token().unwrap();
    let failure = assert_option_invalid(
        &place.open(&format!("FILEDSN={evil}")),
        "ClientSecret",
        &["file:", "line 4 of", "path"],
    );
    assert!(!failure.message.contains("client secret"), "{failure:?}");
    let connection = place.open("DSN=Sales");
    let reports = format!("{}{}", connection.explain().unwrap(), connection.validate());
    assert!(reports.contains("\"valid\": true") && !reports.contains("s3cret"), "{reports}");
}

#[test]
fn completed_string_keeps_reference_unresolved() {
    let authority = start_server_with_client("s3cret");
    let place = TestDir::with_file("client secret", "s3cret");
    place.write(".odbc.ini", format!("[Sales]\n{}", client_dsn_section(&place, &authority)));
    let connection = place.open("DSN=Sales");
    connection.get_token().unwrap();
    let text = connection.completed_string(AUTHGRANT_WITH_SECRETS);
    let reference = format!("ClientSecret={{file:{}}};", place.path("client secret"));
    assert!(text.contains(&reference) && !text.contains("s3cret"), "{text}");
    assert!(!connection.completed_string(0).contains("client secret"));
}

#[test]
fn completed_string_escapes_reference_like_token() {
    let place = TestDir::with_file("token", "file:/etc/passwd");
    let connection = open_with_token_reference(&format!("file:{}", place.path("token")));
    let text = connection.completed_string(AUTHGRANT_WITH_TOKENS);
    assert!(text.contains("Auth_AccessToken=literal:file:/etc/passwd;"), "{text}");
    assert_eq!(open(&text).unwrap().get_token().unwrap().value(), "file:/etc/passwd");
}

#[test]
fn missing_reference_file_is_retried_next_call() {
    let place = TestDir::new();
    let connection = open_with_token_reference(&format!("file:{}", place.path("token")));
    assert_option_invalid(&connection, "AccessToken", &["is not there"]);
    place.write("token", "");
    assert_option_invalid(&connection, "AccessToken", &["is empty"]);
    place.write("token", "here");
    assert_eq!(connection.get_token().unwrap().value(), "here");
}

#[test]
fn replaced_secret_file_clears_cached_denial() {
    let authority = start_server_with_client("right");
    let place = TestDir::with_file("client secret", "wrong");
    place.write(".odbc.ini", format!("[Sales]\n{}", client_dsn_section(&place, &authority)));
    let connection = place.open("DSN=Sales");
    for _ in 0..2 {
        assert_eq!(connection.get_token().unwrap_err().oauth_error.as_deref(), Some("invalid_client"));
    }
    assert_eq!(authority.token_requests().len(), 1, "the second refusal was remembered");
    // As a volume of secrets does it: another file takes the place of the old one.
    place.write("new", "right");
    fs::rename(place.path("new"), place.path("client secret")).unwrap();
    connection.get_token().unwrap();
    assert_eq!(authority.token_requests().len(), 2);
}

#[test]
fn cached_token_does_not_reread_file() {
    let place = TestDir::with_file("token", "first");
    let connection = open_with_token_reference(&format!("file:{}", place.path("token")));
    let first = connection.get_token().unwrap();
    fs::remove_file(place.path("token")).unwrap();
    assert_eq!(connection.get_token().unwrap().value(), "first");
    assert!(connection.get_headers().is_ok());
    place.write("token", "second");
    connection.reject(&first);
    assert_eq!(connection.get_token().unwrap().value(), "second");
}

#[test]
fn tokenless_headers_reread_secret_file() {
    let place = TestDir::new();
    let connection = open("AuthenticationMethod=25;AuthHeader=X-Key").unwrap();
    connection.set_option("SecurityToken", &format!("file:{}", place.path("key"))).unwrap();
    assert_eq!(connection.get_headers().unwrap_err().status, AUTHGRANT_INVALID_OPTION);
    for value in ["first", "second one"] {
        place.write("key", value);
        assert!(connection.get_headers().unwrap().contains(&("X-Key".to_owned(), value.to_owned())));
    }
}

#[test]
fn private_key_and_password_may_be_references() {
    let authority = start_mock_server(Config::http());
    let place = TestDir::with_file("password", "secret\n");
    let connection = open(&minimal_string(&authority, "").replace("JWTCertPassword=secret", "")).unwrap();
    connection.set_option("JWTCertPassword", &format!("file:{}", place.path("password"))).unwrap();
    connection.get_token().unwrap();
    connection.set_option("JWTCertStore", "").unwrap();
    connection.set_option("JWTCertPassword", "").unwrap();
    connection.set_option("JWTPrivateKey", &format!("file:{}", stores::path("openssl.pem"))).unwrap();
    connection.get_token().unwrap();
}

#[cfg(unix)]
#[test]
fn key_file_check_rejects_world_readable_secret() {
    use std::os::unix::fs::PermissionsExt;
    let place = TestDir::with_file("token", "here");
    let mode = |mode| fs::set_permissions(place.path("token"), fs::Permissions::from_mode(mode)).unwrap();
    let connection = open_with_token_reference(&format!("file:{}", place.path("token")));
    mode(0o644);
    connection.get_token().unwrap();
    connection.set_option("KeyFileCheck", "1").unwrap();
    assert_option_invalid(&connection, "AccessToken", &["mode 0644", "KeyFileCheck is 1"]);
    mode(0o600);
    connection.get_token().unwrap();
}
