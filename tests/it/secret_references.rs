//! Secret references: secrets in a file or in an environment variable.
//!
//! Through the C API, against the mock server.

use std::fs;
use std::process::Command;

use crate::support::c_api::{Connection, Failure, open};
use crate::support::tempdir::TestDir;
use crate::support::{minimal_string, start_mock_server, stores};
use authgrant::ffi::status::*;
use authgrant::options::table::{OptionId, OptionSpec, TABLE};
use aws_lc_rs::hmac;
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use mock_server::{ClientAuth, ClientOptions, Config, MockServer};

/// A connection whose access token is `reference`, set by the caller.
fn open_with_token_reference(reference: &str) -> Connection {
    let connection = open("AuthenticationMethod=50").unwrap();
    connection.set_option("AccessToken", reference).unwrap();
    connection
}

/// Asserts that getting a token fails because of `option`, and that the message contains all `fragments`.
#[track_caller]
fn assert_option_invalid(connection: &Connection, option: &str, fragments: &[&str]) -> Box<Failure> {
    let failure = connection.get_token().map(|token| token.value()).unwrap_err();
    let actual = (failure.status, failure.sqlstate.as_str(), failure.option.as_deref());
    assert_eq!(actual, (AUTHGRANT_INVALID_OPTION, "HY024", Some(option)), "{failure:?}");
    for fragment in fragments {
        assert!(failure.message.contains(fragment), "no {fragment:?} in {}", failure.message);
    }
    failure
}

#[test]
fn untrusted_references_are_rejected_and_redacted() {
    let server = start_mock_server(Config::http());
    let dir = TestDir::with_file("hunter2", "secret\n");
    let path = dir.path("hunter2");
    for (prefix, rest) in [("file:", path.as_str()), ("env:", "hunter2")] {
        for option in ["JWTCertPassword", "TokenParameters", "SecurityToken", "TrustStorePassword"] {
            let header_option = if option == "SecurityToken" { "AuthHeader=X-Key" } else { "" };
            let options = format!("{option}={prefix}{rest};{header_option}");
            let connection = open(&minimal_string(&server, &options)).expect("open does not validate values");
            let fragments = [prefix, "AUTHGRANT_ALLOW_SECRET_REFERENCES", "literal:", "set_option"];
            let failure = assert_option_invalid(&connection, option, &fragments);
            let report: serde_json::Value = serde_json::from_str(&connection.validate()).unwrap();
            assert_eq!(report["problems"].as_array().unwrap().len(), 1, "{report:#}");
            let all_texts = format!("{failure:?}{:?}{report}", connection.warnings());
            assert!(!all_texts.contains("hunter2"), "{all_texts}");
        }
    }
    assert!(server.requests().is_empty());
}

#[test]
fn untrusted_client_assertion_file_is_not_read() {
    let server = start_mock_server(Config::http());
    let dir = TestDir::with_file("hunter2", "e30.e30.secret-line\n");
    let (path, endpoint) = (dir.path("hunter2"), server.url("/oauth/token"));
    let rest = format!("am=OAuth2-JWTClientAssertion;ClientID=c;TokenEndpoint={endpoint}");
    let string = format!("{rest};ClientAssertionFile={path}");
    let file_dsn = dir.write("a.dsn", format!("[ODBC]\n{}", string.replace(';', "\n")));
    for untrusted in [string, format!("FILEDSN={file_dsn}")] {
        let connection = open(&untrusted).unwrap();
        let fragments = ["AUTHGRANT_ALLOW_SECRET_REFERENCES"];
        assert_option_invalid(&connection, "ClientAssertionFile", &fragments);
        let report: serde_json::Value = serde_json::from_str(&connection.validate()).unwrap();
        assert_eq!(report["problems"].as_array().unwrap().len(), 1, "{report:#}");
    }
    assert!(server.requests().is_empty());
    let connection = open(&rest).unwrap();
    connection.set_option("ClientAssertionFile", &path).unwrap();
    connection.get_token().map(|_| ()).unwrap_err();
    assert_eq!(server.token_requests().len(), 1, "the application may name the file");
}

#[test]
fn application_may_reference_env_and_file() {
    let dir = TestDir::with_file("token", "from the file\n");
    assert_eq!(
        open_with_token_reference(&format!("file:{}", dir.path("token"))).get_token().unwrap().value(),
        "from the file"
    );
    assert_eq!(
        open_with_token_reference("env:PATH").get_token().unwrap().value(),
        std::env::var("PATH").unwrap()
    );
}

/// The password to which `reference` refers, in the header of method 0.
fn referenced_password(reference: &str) -> String {
    let connection = open("AuthenticationMethod=0;User=u").unwrap();
    connection.set_option("Password", reference).unwrap();
    let [(_, header)] = &connection.get_headers().unwrap()[..] else { panic!("one header") };
    let pair = STANDARD.decode(header.strip_prefix("Basic ").unwrap()).unwrap();
    String::from_utf8(pair).unwrap().strip_prefix("u:").unwrap().to_owned()
}

#[test]
fn file_reference_trims_final_newline_without_recursion() {
    let dir = TestDir::new();
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
        let path = dir.write("password", content);
        assert_eq!(referenced_password(&format!("file:{path}")), value, "{content:?}");
    }
    for (text, value) in [("literal:env:PATH", "env:PATH"), ("File:x", "File:x"), (" env:PATH", " env:PATH")]
    {
        assert_eq!(open_with_token_reference(text).get_token().unwrap().value(), value);
        let string = format!("AuthenticationMethod=50;AccessToken={{{text}}}");
        assert_eq!(open(&string).unwrap().get_token().unwrap().value(), value, "in a connection string");
    }
}

#[test]
fn shared_secret_file_is_text_or_bytes() {
    let utf16 = |text: &str| text.encode_utf16().flat_map(u16::to_le_bytes).collect::<Vec<_>>();
    let text = "a text of at least 32 characters";
    let with_bom: Vec<u8> = [vec![0xFF, 0xFE], utf16(text)].concat();
    let like_utf16: Vec<u8> = [vec![0xFF, 0xFE], utf16("\u{4e00}".repeat(20).as_str())].concat();
    let binary: Vec<u8> = (0..=255).rev().collect();
    let with_line_break = [&binary[..], b"\n"].concat();
    let zeros = vec![0; 32];
    for (content, secret) in [
        (text.as_bytes(), text.as_bytes()),
        (format!("{text}\r\n").as_bytes(), text.as_bytes()),
        (&with_bom, text.as_bytes()),
        (b"base64:YSB0ZXh0IG9mIGF0IGxlYXN0IDMyIGNoYXJhY3RlcnM=", text.as_bytes()),
        (&binary, &binary),
        (&with_line_break, &with_line_break),
        (&like_utf16, &like_utf16),
        (&zeros, &zeros),
    ] {
        let dir = TestDir::with_file("secret", content);
        let connection = open("am=55;ClaimsIssuer=me;JWTAlgorithm=HS256;CacheScope=Connection").unwrap();
        connection.set_option("JWTSecret", &format!("file:{}", dir.path("secret"))).unwrap();
        let token = connection.get_token().unwrap().value();
        let (message, signature) = token.rsplit_once('.').unwrap();
        let key = hmac::Key::new(hmac::HMAC_SHA256, secret);
        let signature = URL_SAFE_NO_PAD.decode(signature).unwrap();
        hmac::verify(&key, message.as_bytes(), &signature).unwrap_or_else(|_| panic!("{content:?}"));
    }
}

#[test]
fn reference_error_names_option_and_source() {
    let dir = TestDir::new();
    fs::create_dir(dir.path("folder")).unwrap();
    assert!(Command::new("mkfifo").arg(dir.path("fifo")).status().unwrap().success());
    dir.write("empty", "\n");
    dir.write("binary", b"\xc3(");
    dir.write("nul", b"hunter2\0");
    dir.write("large", "x".repeat(64 * 1024 + 1));
    for (name, reason) in [
        ("missing", "not exist"),
        ("folder", "directory"),
        ("fifo", "FIFO"),
        ("empty", "empty"),
        ("binary", "UTF-8"),
        ("nul", "NUL"),
        ("large", "65537 bytes"),
    ] {
        let reference = format!("file:{}", dir.path(name));
        let failure = assert_option_invalid(
            &open_with_token_reference(&reference),
            "AccessToken",
            &[&reference, reason, "literal:"],
        );
        assert!(!format!("{failure:?}").contains("hunter2"));
    }
    assert_option_invalid(&open_with_token_reference("file:"), "AccessToken", &["file:"]);
    for name in ["AUTHGRANT_TEST_UNSET", "", "A=B"] {
        assert_option_invalid(
            &open_with_token_reference(&format!("env:{name}")),
            "AccessToken",
            &[&format!("env:{name}"), "not set"],
        );
    }
}

fn client_dsn_section(dir: &TestDir, server: &MockServer) -> String {
    format!(
        "AuthenticationMethod=53\nClientID=the client\nClientSecret=file:{}\nTokenURI={}\nScope=a\n",
        dir.path("client secret"),
        server.url("/oauth/token")
    )
}

fn start_server_with_client(secret: &str) -> MockServer {
    let server = MockServer::start(Config::http());
    let options = ClientOptions {
        secret: Some(secret.to_owned()),
        client_auth: Some(ClientAuth::Basic),
        ..ClientOptions::default()
    };
    server.register::<&str>("the client", &[], options);
    server
}

#[test]
fn references_need_machine_data_source() {
    let server = start_server_with_client("s3cret");
    let dir = TestDir::with_file("client secret", "s3cret\n");
    let section = client_dsn_section(&dir, &server);
    dir.write(".odbc.ini", format!("[Sales]\n{section}"));
    dir.write("etc/ODBCDataSources/sales.dsn", format!("[ODBC]\n{section}"));
    let untrusted = dir.write("evil.dsn", format!("[ODBC]\n{section}"));
    dir.open("DSN=Sales").get_token().unwrap();
    dir.open("FILEDSN=sales").get_token().unwrap();
    let failure = assert_option_invalid(
        &dir.open(&format!("FILEDSN={untrusted}")),
        "ClientSecret",
        &["file:", "line 4 of", "FILEDSN"],
    );
    assert!(!failure.message.contains("client secret"), "{failure:?}");
    let connection = dir.open("DSN=Sales");
    let reports = format!("{}{}", connection.explain().unwrap(), connection.validate());
    assert!(reports.contains("\"valid\": true") && !reports.contains("s3cret"), "{reports}");
}

#[test]
fn completed_string_keeps_reference_unresolved() {
    let server = start_server_with_client("s3cret");
    let dir = TestDir::with_file("client secret", "s3cret");
    dir.write(".odbc.ini", format!("[Sales]\n{}", client_dsn_section(&dir, &server)));
    let connection = dir.open("DSN=Sales");
    connection.get_token().unwrap();
    let text = connection.completed_string(AUTHGRANT_WITH_SECRETS);
    let reference = format!("ClientSecret={{file:{}}};", dir.path("client secret"));
    assert!(text.contains(&reference) && !text.contains("s3cret"), "{text}");
    assert!(!connection.completed_string(0).contains("client secret"));
}

#[test]
fn completed_string_escapes_reference_like_token() {
    let dir = TestDir::with_file("token", "file:/etc/passwd");
    let connection = open_with_token_reference(&format!("file:{}", dir.path("token")));
    let text = connection.completed_string(AUTHGRANT_WITH_TOKENS);
    assert!(text.contains("Auth_AccessToken=literal:file:/etc/passwd;"), "{text}");
    assert_eq!(open(&text).unwrap().get_token().unwrap().value(), "file:/etc/passwd");
}

#[test]
fn kept_quotes_of_every_secret_are_warning() {
    let quoted_options = |connection: &Connection| -> Vec<String> {
        let warnings = connection.warnings();
        let report: serde_json::Value = serde_json::from_str(&connection.validate()).unwrap();
        let reported = report["warnings"].as_array().unwrap();
        let is_about_quotes = |message: &str| message.contains("is enclosed in quotation marks");
        let reported = reported.iter().filter(|row| is_about_quotes(row["message"].as_str().unwrap()));
        let warned: Vec<_> = warnings.iter().filter(|warning| is_about_quotes(&warning.message)).collect();
        assert_eq!(reported.count(), warned.len(), "{report:#}");
        assert!(warned.iter().all(|warning| !warning.message.contains("hunter2")), "{warned:?}");
        warned.iter().map(|warning| warning.option.clone().unwrap()).collect()
    };
    let is_checked = |spec: &&OptionSpec| spec.is_secret() && spec.id != OptionId::ClientAssertion;
    for spec in TABLE.iter().filter(is_checked) {
        let name = spec.name;
        for value in ["'hunter2'", "\"hunter2\""] {
            assert_eq!(quoted_options(&open(&format!("am=15;{name}={value}")).unwrap()), [name], "{value}");
        }
        for value in ["hunter2", "'hunter2", "{\"hunter\":\"2\"}", "literal:'hunter2'", "{'hun'ter2'}"] {
            let found = quoted_options(&open(&format!("am=15;{name}={value}")).unwrap());
            assert!(found.is_empty(), "{name}={value}: {found:?}");
        }
    }
    let dir = TestDir::with_file("token", "'hunter2'");
    dir.write(".odbc.ini", "[Sales]\nam=50\nAccessToken='hunter2'\n");
    assert_eq!(quoted_options(&dir.open("DSN=Sales")), ["AccessToken"]);
    let connection = open_with_token_reference(&format!("file:{}", dir.path("token")));
    assert_eq!(quoted_options(&connection), ["AccessToken"]);
}

#[test]
fn missing_reference_file_is_retried_next_call() {
    let dir = TestDir::new();
    let connection = open_with_token_reference(&format!("file:{}", dir.path("token")));
    assert_option_invalid(&connection, "AccessToken", &["not exist"]);
    dir.write("token", "");
    assert_option_invalid(&connection, "AccessToken", &["empty"]);
    dir.write("token", "here");
    assert_eq!(connection.get_token().unwrap().value(), "here");
}

#[test]
fn replaced_secret_file_clears_cached_denial() {
    let server = start_server_with_client("right");
    let dir = TestDir::with_file("client secret", "wrong");
    dir.write(".odbc.ini", format!("[Sales]\n{}", client_dsn_section(&dir, &server)));
    let connection = dir.open("DSN=Sales");
    for _ in 0..2 {
        assert_eq!(connection.get_token().unwrap_err().oauth_error.as_deref(), Some("invalid_client"));
    }
    assert_eq!(server.token_requests().len(), 1, "the second denial is cached");
    // As in a mounted volume of secrets: a new file replaces the old one.
    dir.write("new", "right");
    fs::rename(dir.path("new"), dir.path("client secret")).unwrap();
    connection.get_token().unwrap();
    assert_eq!(server.token_requests().len(), 2);
}

#[test]
fn cached_token_does_not_reread_file() {
    let dir = TestDir::with_file("token", "first");
    let connection = open_with_token_reference(&format!("file:{}", dir.path("token")));
    let first = connection.get_token().unwrap();
    fs::remove_file(dir.path("token")).unwrap();
    assert_eq!(connection.get_token().unwrap().value(), "first");
    assert!(connection.get_headers().is_ok());
    dir.write("token", "second");
    connection.reject(&first);
    assert_eq!(connection.get_token().unwrap().value(), "second");
}

#[test]
fn tokenless_headers_reread_secret_file() {
    let dir = TestDir::new();
    let connection = open("AuthenticationMethod=25;AuthHeader=X-Key").unwrap();
    connection.set_option("SecurityToken", &format!("file:{}", dir.path("key"))).unwrap();
    assert_eq!(connection.get_headers().unwrap_err().status, AUTHGRANT_INVALID_OPTION);
    for value in ["first", "second one"] {
        dir.write("key", value);
        assert!(connection.get_headers().unwrap().contains(&("X-Key".to_owned(), value.to_owned())));
    }
}

#[test]
fn private_key_and_password_may_be_references() {
    let server = start_mock_server(Config::http());
    let dir = TestDir::with_file("password", "secret\n");
    let connection = open(&minimal_string(&server, "").replace("JWTCertPassword=secret", "")).unwrap();
    connection.set_option("JWTCertPassword", &format!("file:{}", dir.path("password"))).unwrap();
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
    let dir = TestDir::with_file("token", "here");
    let set_mode = |mode| fs::set_permissions(dir.path("token"), fs::Permissions::from_mode(mode)).unwrap();
    let connection = open_with_token_reference(&format!("file:{}", dir.path("token")));
    set_mode(0o644);
    connection.get_token().unwrap();
    connection.set_option("KeyFileCheck", "1").unwrap();
    assert_option_invalid(&connection, "AccessToken", &["0644", "KeyFileCheck"]);
    set_mode(0o600);
    connection.get_token().unwrap();
}
