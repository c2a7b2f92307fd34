//! Sanitization of untrusted text in messages, warnings, log lines and reports: it is escaped and truncated,
//! and credentials in URLs are redacted.

use std::ffi::{CString, OsString, c_void};
use std::path::PathBuf;
use std::ptr::null_mut;

use crate::support::c_api::{
    Connection, Failure, LogLines, collect_failures, get_token, open, open_with_environment,
};
use crate::support::{minimal_string, start_mock_server};
use authgrant::base::error::Error;
use authgrant::base::sanitize::is_unsafe;
use authgrant::ffi::policy::authgrant_allow_directory;
use authgrant::ffi::status::*;
use authgrant::options::Environment;
use authgrant::options::table::{OptionSpec, OptionType, TABLE};
use mock_server::{Behavior, Config};
use serde_json::{Value, json};

/// A connection string with a signing key and a token endpoint at which no server listens.
const BASE_STRING: &str = "am=55;ClaimsIssuer=me;JWTAlgorithm=HS256;\
     JWTSecret=0123456789abcdef0123456789abcdef;TokenURI=POST http://127.0.0.1:1/t";

/// Longer than every limit for displayed text.
const LONG_LEN: usize = 12_000;

/// Text with terminal control sequences, bidi controls and invisible characters.
fn unsafe_text() -> String {
    let unit = "a\u{1b}[31m\u{7f}\u{85}\u{202e}\u{2066}\u{2028}\u{2029}\u{200b}\u{feff}é";
    unit.repeat(LONG_LEN / unit.len())
}

struct TestEnvironment {
    folder: tempfile::TempDir,
    proxy: Option<String>,
}

impl Environment for TestEnvironment {
    fn variable(&self, name: &str) -> Option<OsString> {
        self.proxy.as_ref().filter(|_| name == "https_proxy").map(OsString::from)
    }

    fn home(&self) -> Option<PathBuf> {
        Some(self.folder.path().to_owned())
    }

    fn system_folders(&self) -> Vec<PathBuf> {
        Vec::new()
    }
}

impl TestEnvironment {
    fn new() -> Self {
        Self { folder: tempfile::tempdir().unwrap(), proxy: None }
    }

    fn write(&self, name: &str, text: &str) -> String {
        let path = self.folder.path().join(name);
        std::fs::write(&path, text).unwrap();
        path.to_str().unwrap().to_owned()
    }
}

#[derive(Default)]
struct CollectedTexts {
    /// Texts for the user: messages and option names.
    messages: Vec<String>,
    /// Reports in JSON.
    reports: Vec<String>,
}

impl CollectedTexts {
    fn add_failure(&mut self, failure: Failure) {
        let Failure { message, option, oauth_error, oauth_description, provider_code, .. } = failure;
        let getters = [option, oauth_error, oauth_description, provider_code];
        self.messages.extend(getters.into_iter().flatten().chain([message]));
    }

    fn add_error(&mut self, error: &Error) {
        for error in [error].into_iter().chain(error.additional()) {
            self.messages.push(error.message());
            self.messages.extend(error.option().map(str::to_owned));
        }
    }

    fn add_report(&mut self, report: String) {
        self.add_messages(&serde_json::from_str(&report).unwrap());
        self.reports.push(report);
    }

    fn add_messages(&mut self, value: &Value) {
        match value {
            Value::Array(values) => values.iter().for_each(|value| self.add_messages(value)),
            Value::Object(members) => {
                for (name, value) in members {
                    if let Some(text) =
                        value.as_str().filter(|_| matches!(name.as_str(), "message" | "option"))
                    {
                        self.messages.push(text.to_owned());
                    }
                    self.add_messages(value);
                }
            }
            _ => {}
        }
    }

    /// Adds all texts that a connection produces.
    fn add_connection(&mut self, connection: &Connection) {
        let lines: &'static LogLines = Box::leak(Box::default());
        connection.collect_log(lines);
        let outcome = connection.get_token_with(0, 0, AUTHGRANT_NO_NETWORK).map(drop);
        for failure in [outcome, connection.consent_url().map(drop), connection.make_assertion().map(drop)] {
            failure.err().into_iter().for_each(|failure| self.add_failure(*failure));
        }
        self.add_report(connection.validate());
        match connection.explain() {
            Ok(report) => self.add_report(report),
            Err(failure) => self.add_failure(*failure),
        }
        connection.warnings().into_iter().for_each(|warning| self.add_failure(warning));
        self.messages.append(&mut lines.0.lock().unwrap());
    }

    fn add_opened_connection(&mut self, string: &str, environment: &TestEnvironment) {
        match open_with_environment(string, environment) {
            Ok(connection) => self.add_connection(&connection),
            Err(error) => self.add_error(&error),
        }
    }

    #[track_caller]
    fn assert_safe(&self, subject: &str) {
        for text in &self.messages {
            let length = text.chars().count();
            // A part that is not shortened would fill the message up to its own limit, 4096 characters.
            assert!(length < 4000, "{subject}: {length} characters: {text:.300}");
            assert!(!text.contains(is_unsafe), "{subject}: {text:.300}");
        }
        for text in &self.reports {
            assert!(!text.contains(|c| c != '\n' && is_unsafe(c)), "{subject}: {text:.300}");
        }
    }
}

fn option_value(definition: &OptionSpec, value: &str) -> String {
    match definition.option_type {
        OptionType::MethodUrl => format!("POST {value}"),
        _ => value.to_owned(),
    }
}

#[test]
fn value_of_every_option_is_escaped_and_bounded() {
    let hostile = unsafe_text();
    for definition in TABLE {
        let values = [
            hostile.clone(),
            option_value(definition, &format!("https://{hostile}/")),
            format!("https://h/{hostile}"),
            "x".repeat(LONG_LEN),
            option_value(definition, &format!("https://{}.example/t", "x".repeat(LONG_LEN))),
            option_value(definition, &format!("https://h/{}", "x".repeat(LONG_LEN))),
        ];
        for value in values {
            let environment = TestEnvironment::new();
            let name = definition.name;
            let mut texts = CollectedTexts::default();
            texts.add_opened_connection(&format!("{name}={{{value}}};{BASE_STRING}"), &environment);
            let file = environment
                .write("f.dsn", &format!("[ODBC]\n{name}={}\n", value.replace(['\u{85}', '\u{2028}'], "")));
            texts.add_opened_connection(&format!("FILEDSN={file};{BASE_STRING}"), &environment);
            environment.write(".odbc.ini", &format!("[d]\n{name}={value}\n"));
            texts.add_opened_connection(&format!("DSN=d;{BASE_STRING}"), &environment);
            let connection = open(BASE_STRING).unwrap();
            if let Err(failure) = connection.set_option(name, &value) {
                texts.add_failure(*failure);
            }
            texts.add_connection(&connection);
            assert!(!texts.messages.is_empty() || !texts.reports.is_empty());
            texts.assert_safe(name);
        }
    }
}

#[test]
fn names_from_every_source_are_escaped_and_bounded() {
    let hostile = unsafe_text();
    let environment = TestEnvironment::new();
    let file = environment
        .write("f.dsn", &format!("[{hostile}]\nA=b\n[ODBC]\n{hostile}=1\n{hostile}\n[{hostile}\n"));
    environment.write(
        ".odbc.ini",
        &format!("[d]\n{hostile}=1\n{hostile}\n[{hostile}]\nJWTLifetime=x\n[{hostile}\n"),
    );
    let short = "\u{1b}\u{202e}\u{2028}x";
    environment.write("odd\u{1b}\u{202e}\u{200b}.dsn", &format!("[ODBC]\n{short}=1\nJWTLifetime=x\n"));
    let odd_file =
        environment.folder.path().join("odd\u{1b}\u{202e}\u{200b}.dsn").to_str().unwrap().to_owned();
    let model = serde_json::json!({
        "#scope": [1], "#options": { &hostile: 1 }, &hostile: { &hostile: 1 },
        "#headers": { &hostile: "x", "a": &hostile }, "#http": [&hostile], "#tokenUri": &hostile
    });
    let model = environment.write("m.rest", &model.to_string());
    let key = environment.write(
        "k.json",
        &serde_json::json!({ "type": &hostile, "kty": &hostile, "private_key": &hostile }).to_string(),
    );
    let keys =
        environment.write("p.pem", &format!("-----BEGIN {hostile}-----\nAAAA\n-----END {hostile}-----\n"));
    for string in [
        format!("{{{hostile}}}=1;{BASE_STRING}"),
        format!("{hostile}=1;{BASE_STRING}"),
        format!("{short}=1;{BASE_STRING}"),
        hostile.to_string(),
        format!("Scope={{a}}{hostile};{BASE_STRING}"),
        format!("DSN={{{hostile}}};{BASE_STRING}"),
        format!("DSN=d;{BASE_STRING}"),
        format!("FILEDSN={{{hostile}}};{BASE_STRING}"),
        format!("FILEDSN={{/nowhere/{hostile}}};{BASE_STRING}"),
        format!("FILEDSN={{{file}}};{BASE_STRING}"),
        format!("FILEDSN={{{odd_file}}};{BASE_STRING}"),
        format!("RestConfigFile={{{model}}};{BASE_STRING}"),
        format!("RestConfigFile={{/nowhere/{hostile}}};{BASE_STRING}"),
        format!("am=55;ClaimsIssuer=me;JWTCertStore={{{key}}};TokenURI=POST http://127.0.0.1:1/t"),
        format!("am=55;ClaimsIssuer=me;JWTCertStore={{{keys}}};TokenURI=POST http://127.0.0.1:1/t"),
        format!(
            "am=55;ClaimsIssuer=me;JWTCertStore={{pkcs11:{hostile}=1}};TokenURI=POST http://127.0.0.1:1/t"
        ),
        format!(
            "am=55;ClaimsIssuer=me;JWTCertStore={{/nowhere/{hostile}}};TokenURI=POST http://127.0.0.1:1/t"
        ),
        format!("ClaimsAdditional={{{{\"{hostile}\":}}}}}};{BASE_STRING}"),
        format!("JWTHeaders={{{{\"{hostile}\":1}}}}}};{BASE_STRING}"),
        format!("TokenParameters={{{hostile}=1&grant_type={hostile}}};{BASE_STRING}"),
        format!("ClientSecret={{env:{hostile}}};{BASE_STRING}"),
        format!("ClientSecret={{file:/nowhere/{hostile}}};{BASE_STRING}"),
    ] {
        let mut texts = CollectedTexts::default();
        texts.add_opened_connection(&string, &environment);
        texts.assert_safe(&format!("{string:.60}"));
    }
    let connection = open(BASE_STRING).unwrap();
    for (name, value) in [
        (hostile.as_str(), "1"),
        (short, "1"),
        ("ClientSecret", &format!("env:{hostile}")),
        ("ClientSecret", &format!("file:/{hostile}")),
    ] {
        let mut texts = CollectedTexts::default();
        connection.set_option(name, value).err().into_iter().for_each(|failure| texts.add_failure(*failure));
        texts.add_connection(&connection);
        texts.assert_safe(name);
    }
    for proxy in [
        hostile.clone(),
        format!("http://{hostile}"),
        format!("socks5://{hostile}@h"),
        format!("{hostile}://h"),
    ] {
        let mut texts = CollectedTexts::default();
        let environment = TestEnvironment { proxy: Some(proxy), ..TestEnvironment::new() };
        texts.add_opened_connection(
            &BASE_STRING.replace("http://127.0.0.1:1", "https://h.example"),
            &environment,
        );
        texts.assert_safe("https_proxy");
    }
}

#[test]
fn server_text_is_escaped_and_bounded() {
    let (hostile, digits) = (unsafe_text(), "7".repeat(LONG_LEN));
    for (status, body) in [
        (400, json!({"error": hostile})),
        (400, json!({"error": "invalid_grant", "error_description": hostile})),
        (400, json!({"error": "invalid_grant", "error_description": format!("AADSTS{digits}: no")})),
        (401, json!({"code": hostile, "message": hostile})),
        (200, json!({"access_token": "a", "token_type": hostile})),
    ] {
        let subject = format!("{status} {body:.60}");
        let behavior = Behavior::Json { status, body, headers: Vec::new() };
        let server = start_mock_server(Config::default());
        server.set_default_behavior(behavior);
        let mut texts = CollectedTexts::default();
        texts.add_failure(*get_token(&minimal_string(&server, "")).unwrap_err());
        texts.assert_safe(&subject);
    }
}

#[test]
fn api_arguments_are_escaped_and_bounded() {
    extern "C" fn fail(_: *const u8, _: usize, _: *mut u8, _: usize, _: *mut usize, _: *mut c_void) -> i32 {
        1
    }
    let hostile = unsafe_text();
    let mut texts = CollectedTexts::default();
    let connection = open(BASE_STRING).unwrap();
    texts.add_failure(*connection.set_signer(&hostile, Some(fail), null_mut()).unwrap_err());
    let path = CString::new(format!("/{hostile}")).unwrap();
    let failures = collect_failures(|error| authgrant_allow_directory(path.as_ptr(), error));
    failures.into_iter().for_each(|failure| texts.add_failure(failure));
    assert_eq!(texts.messages.len(), 2);
    texts.assert_safe("argument");
}

#[test]
fn url_credentials_are_always_redacted() {
    let mut leaks = Vec::new();
    // Excluded: a name and a path, which are resolved when the connection is opened.
    let sources = ["DSN", "FILEDSN"];
    for definition in TABLE.iter().filter(|definition| {
        definition.option_type != OptionType::Secret && !sources.contains(&definition.name)
    }) {
        for url in [
            "https://jo:hunter2word@h.example/p",
            "http://jo:hunter2word@127.0.0.1:8080/p",
            "socks5://jo:hunter2word@h.example",
            "ftp://jo:hunter2word@h.example/",
            "https://jo:hunter2/w@rd:hunter2word@h.example/p",
            "https://hunter2word@h.example",
            "https://h.example/p?client_secret=hunter2word",
            "https://h.example/p?a=b&api%2dkey=hunter2word&c=d",
        ] {
            let name = definition.name;
            for value in [url.to_owned(), option_value(definition, url)] {
                let connection = match open(&format!("{name}={{{value}}};{BASE_STRING}")) {
                    Ok(connection) => connection,
                    Err(failure) => {
                        let text = format!("{failure:?}");
                        if text.contains("hunter2") {
                            leaks.push(format!("{name} {url}: {text}"));
                        }
                        continue;
                    }
                };
                let mut texts = CollectedTexts::default();
                texts.add_connection(&connection);
                texts.messages.push(connection.completed_string(0));
                let all_texts = [texts.messages, texts.reports].concat();
                for text in all_texts.iter().filter(|text| text.contains("hunter2")) {
                    let position = text.find("hunter2").unwrap();
                    let excerpt: String = text
                        .chars()
                        .skip(text[..position].chars().count().saturating_sub(120))
                        .take(160)
                        .collect();
                    leaks.push(format!("{name} {value}: {excerpt}"));
                }
                if name != "AllowOverride" {
                    let completed = connection.completed_string(AUTHGRANT_WITH_SECRETS);
                    assert!(completed.contains(&value), "{name} {value}: {completed}");
                    assert_eq!(open(&completed).unwrap().completed_string(AUTHGRANT_WITH_SECRETS), completed);
                }
            }
        }
    }
    leaks.sort();
    leaks.dedup_by_key(|leak| leak.split(' ').next().map(str::to_owned));
    assert!(leaks.is_empty(), "{} leaks\n{:.9000}", leaks.len(), leaks.join("\n"));
    // URLs without user and secret are shown in full.
    for (name, value) in [
        ("ProxyHost", "http://h.example:80"),
        ("TokenURI", "POST https://h.example/t?tenant=a"),
        ("HealthURI", "https://h.example/users/@me"),
        ("ClaimsSubject", "jo@h.example"),
    ] {
        let completed = open(&format!("{name}={{{value}}}")).unwrap().completed_string(0);
        assert!(completed.contains(name) && completed.contains(value), "{completed}");
    }
}

#[test]
fn long_value_message_keeps_advice() {
    let failure = open(BASE_STRING).unwrap().set_option("JWTLifetime", &"9".repeat(LONG_LEN)).unwrap_err();
    assert!(failure.message.chars().count() < 400, "{}", failure.message);
    assert!(failure.message.ends_with("expected a whole number from 1 to 315360000"), "{}", failure.message);
    let failure = open(BASE_STRING).unwrap().set_option(&"x".repeat(LONG_LEN), "1").unwrap_err();
    assert!(failure.message.ends_with("\" is not an option"), "{}", failure.message);
    assert!(failure.message.chars().count() < 300, "{}", failure.message);
}
