//! Warnings for key files that other users may read or write and for expired client certificates.
//! KeyFileCheck=1 makes the permissions an error.
#![cfg(unix)]

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::Command;

use crate::support::c_api::{Connection, Failure, LogLines, get_token, open};
use crate::support::{minimal_string, start_mock_server, stores};
use authgrant::ffi::status::*;
use mock_server::Config;
use serde_json::{Value, json};
use tempfile::TempDir;

/// A copy of a key store in its own temporary directory.
struct KeyStoreCopy {
    dir: TempDir,
    path: PathBuf,
}

impl KeyStoreCopy {
    fn new(name: &str, mode: u32) -> Self {
        let dir = TempDir::new().unwrap();
        let path = dir.path().join(name);
        fs::copy(stores::path(name), &path).unwrap();
        let store = Self { dir, path };
        store.set_mode(mode);
        store
    }

    fn set_mode(&self, mode: u32) {
        fs::set_permissions(&self.path, Permissions::from_mode(mode)).unwrap();
    }

    /// A connection string that only signs, without a server.
    fn connection_string(&self, more: &str) -> String {
        format!("am=55;ClaimsIssuer=me;JWTCertStore={};JWTCertPassword=secret;{more}", self.path.display())
    }
}

fn mode_warnings(connection: &Connection) -> Vec<Failure> {
    let warnings = connection.warnings().into_iter();
    warnings.filter(|warning| warning.message.contains("(mode ")).collect()
}

#[test]
fn world_readable_key_is_warned_and_logged() {
    let store = KeyStoreCopy::new("openssl.p12", 0o644);
    let lines: &LogLines = Box::leak(Box::default());
    for log in [Some(lines), None] {
        let connection = open(&store.connection_string("CacheScope=Connection")).unwrap();
        if let Some(lines) = log {
            connection.collect_log_at_level(2, lines);
        }
        for _ in 0..2 {
            connection.get_token().unwrap();
        }
        let [warning] = &mode_warnings(&connection)[..] else { panic!("{:?}", connection.warnings()) };
        let prefix = format!("[authgrant][key store] JWTCertStore {} is readable by", store.path.display());
        assert!(warning.message.starts_with(&prefix), "{warning:?}");
        assert!(warning.message.contains("(mode 0644); run chmod 600"), "{warning:?}");
        assert_eq!((warning.sqlstate.as_str(), warning.option.as_deref()), ("01000", Some("JWTCertStore")));
    }
    assert!(lines.0.lock().unwrap().iter().any(|line| line.contains("mode 0644")));
}

#[test]
fn mode_warning_names_loose_permissions() {
    let store = KeyStoreCopy::new("openssl.p12", 0o600);
    for (mode, expected) in [
        (0o600, None),
        (0o400, None),
        (0o604, Some("is readable by others (mode 0604)")),
        (0o602, Some("is writable by others (mode 0602)")),
        (0o620, Some("is writable by others (mode 0620)")),
        (0o666, Some("is readable and writable by others (mode 0666)")),
    ] {
        // The key is cached after the first iteration; a new mode invalidates it.
        store.set_mode(mode);
        let connection = open(&store.connection_string("CacheScope=Connection")).unwrap();
        connection.get_token().unwrap();
        let found = mode_warnings(&connection);
        assert_eq!(found.len(), usize::from(expected.is_some()), "{mode:o} {found:?}");
        assert!(found.iter().all(|warning| warning.message.contains(expected.unwrap())), "{found:?}");
        let failure = get_token(&store.connection_string("CacheScope=Connection;KeyFileCheck=1")).err();
        assert_eq!(
            failure.map(|failure| failure.status),
            expected.map(|_| AUTHGRANT_KEY_STORE_ERROR),
            "{mode:o}"
        );
    }
}

#[test]
fn key_file_check_applies_to_cached_key() {
    let store = KeyStoreCopy::new("openssl.p12", 0o644);
    get_token(&store.connection_string("")).unwrap();
    let failure = get_token(&store.connection_string("KeyFileCheck=1")).unwrap_err();
    assert_eq!(
        (failure.status, failure.option.as_deref()),
        (AUTHGRANT_KEY_STORE_ERROR, Some("JWTCertStore")),
        "{failure:?}"
    );
    assert!(failure.message.contains("mode 0644") && failure.message.contains("KeyFileCheck"), "{failure:?}");
    // The mode is checked before the password is tried.
    let wrong = store.connection_string("KeyFileCheck=1").replace("=secret", "=wrong");
    assert_eq!(get_token(&wrong).unwrap_err().status, AUTHGRANT_KEY_STORE_ERROR);
    let connection = open(&store.connection_string("KeyFileCheck=1")).unwrap();
    connection.get_token().unwrap_err();
    store.set_mode(0o600);
    connection.get_token().unwrap();
    assert!(mode_warnings(&connection).is_empty());
}

#[test]
fn untrusted_string_cannot_disable_key_file_check() {
    let store = KeyStoreCopy::new("openssl.p12", 0o644);
    let source = store.dir.path().join("a.dsn");
    let lines = store.connection_string("KeyFileCheck=1").replace(';', "\n");
    fs::write(&source, format!("[ODBC]\n{lines}\n")).unwrap();
    let failure = get_token(&format!("FILEDSN={};KeyFileCheck=0", source.display())).unwrap_err();
    assert_eq!(
        (failure.status, failure.option.as_deref()),
        (AUTHGRANT_INVALID_OPTION, Some("KeyFileCheck")),
        "{failure:?}"
    );
}

#[test]
fn validate_reports_file_mode_once() {
    let store = KeyStoreCopy::new("openssl.pem", 0o646);
    let connection = open(&store.connection_string("")).unwrap();
    for _ in 0..2 {
        assert_eq!(connection.validate().matches("mode 0646").count(), 1, "{}", connection.validate());
        assert!(connection.validate().contains("\"valid\": true"));
        connection.get_token().unwrap();
    }
    let report = open(&store.connection_string("KeyFileCheck=1")).unwrap().validate();
    let report: Value = serde_json::from_str(&report).unwrap();
    let [problem] = &report["problems"].as_array().unwrap()[..] else { panic!("{report:#}") };
    assert_eq!(report["valid"], false, "{report:#}");
    assert_eq!(
        (&problem["status"], &problem["option"]),
        (&json!(AUTHGRANT_KEY_STORE_ERROR), &json!("JWTCertStore")),
        "{report:#}"
    );
}

#[test]
fn assertion_file_is_checked_certificate_is_not() {
    let server = start_mock_server(Config::default());
    let dir = TempDir::new().unwrap();
    let file = dir.path().join("assertion");
    fs::write(&file, "e30.e30.c2ln").unwrap();
    fs::set_permissions(&file, Permissions::from_mode(0o644)).unwrap();
    let open_with = |more: &str| {
        let endpoint = server.url("/oauth/token");
        let connection =
            open(&format!("am=OAuth2-JWTClientAssertion;TokenEndpoint={endpoint};{more}")).unwrap();
        connection.set_option("ClientAssertionFile", file.to_str().unwrap()).unwrap();
        connection
    };
    let connection = open_with("");
    connection.get_token().unwrap_err();
    let [warning] = &mode_warnings(&connection)[..] else { panic!("{:?}", connection.warnings()) };
    assert_eq!(warning.option.as_deref(), Some("ClientAssertionFile"));
    assert!(open_with("").validate().contains("mode 0644"));
    let requests = server.requests().len();
    let failure = open_with("KeyFileCheck=1").get_token().unwrap_err();
    assert_eq!(
        (failure.status, failure.option.as_deref()),
        (AUTHGRANT_KEY_STORE_ERROR, Some("ClientAssertionFile"))
    );
    assert_eq!(server.requests().len(), requests);

    let store = KeyStoreCopy::new("key.pem", 0o600);
    let connection =
        open(&store.connection_string(&format!("JWTCertificate={}", stores::path("certificate.pem"))))
            .unwrap();
    connection.get_token().unwrap();
    assert!(mode_warnings(&connection).is_empty());
}

#[test]
fn expired_client_certificate_and_mode_are_warnings() {
    let server = start_mock_server(Config::https());
    let store = KeyStoreCopy::new("p256.p12", 0o644);
    let command = "keytool -genkeypair -alias a -keyalg EC -groupname secp256r1 -dname CN=late \
                   -startdate -10d -validity 5 -storepass secret -keystore late.p12 && chmod 600 late.p12";
    let output = Command::new("sh").args(["-ec", command]).current_dir(&store.dir).output().unwrap();
    assert!(output.status.success(), "{output:?}");
    let expired = store.dir.path().join("late.p12");
    for _ in 0..2 {
        let keys = format!("CacheScope=Connection;KeyStorePassword=secret;KeyStore={}", expired.display());
        let connection = open(&minimal_string(&server, &keys)).unwrap();
        connection.get_token().unwrap();
        let warnings = connection.warnings();
        let is_about_key_store = |warning: &&Failure| warning.option.as_deref() == Some("KeyStore");
        let warning = warnings.iter().find(is_about_key_store).unwrap();
        assert!(warning.message.contains("expired on 20"), "{warning:?}");
        assert!(warning.message.contains(&format!("KeyStore {}", expired.display())), "{warning:?}");
        assert!(open(&minimal_string(&server, &keys)).unwrap().validate().contains("expired on 20"));
    }
    let readable = format!("CacheScope=Connection;KeyStore={};KeyStorePassword=secret", store.path.display());
    let connection = open(&minimal_string(&server, &readable)).unwrap();
    connection.get_token().unwrap();
    assert!(mode_warnings(&connection).iter().any(|warning| warning.option.as_deref() == Some("KeyStore")));
    let failure = get_token(&minimal_string(&server, &format!("KeyFileCheck=1;{readable}"))).unwrap_err();
    assert_eq!(failure.status, AUTHGRANT_KEY_STORE_ERROR, "{failure:?}");
}
