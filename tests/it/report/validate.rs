//! Validation report (`authgrant_validate`): problems, warnings and the keys of the key store.

use std::ffi::CString;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::ptr::{null, null_mut};
use std::sync::OnceLock;

use authgrant::ffi::report::authgrant_validate_string;
use authgrant::ffi::status::*;
use authgrant::ffi::text::authgrant_string_free;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};
use tempfile::TempDir;

use super::parse_report;
use crate::support::c_api::{LogLines, c_str_to_string, collect_failures, open, poisoned_ptr};
use crate::support::stores;

/// The report for a connection string; checks its structure.
#[track_caller]
fn validate(string: &str) -> Value {
    let report = parse_report(&open(string).unwrap().validate());
    let problems = report["problems"].as_array().unwrap();
    assert_eq!(report["valid"], problems.is_empty(), "{report}");
    for problem in problems {
        assert!(problem["message"].as_str().unwrap().starts_with("[authgrant]["), "{problem}");
    }
    report
}

/// Status and option of each problem.
fn problem_options(report: &Value) -> Vec<(i32, String)> {
    let problems = report["problems"].as_array().unwrap().iter();
    let option = |problem: &Value| problem["option"].as_str().unwrap_or_default().to_owned();
    problems
        .map(|problem| (i32::try_from(problem["status"].as_i64().unwrap()).unwrap(), option(problem)))
        .collect()
}

/// Alias and type of each key in the store; `encrypted` is the type of a key that could not be decrypted.
fn listed_keys(report: &Value) -> Vec<(Option<&str>, &str)> {
    let keys = report["store"]["keys"].as_array().unwrap().iter();
    let mut keys: Vec<_> =
        keys.map(|key| (key["alias"].as_str(), key["type"].as_str().unwrap_or("encrypted"))).collect();
    keys.sort_unstable();
    keys
}

fn connection_string(store: &str, options: &str) -> String {
    let subject = if options.contains("ClaimsSubject") { "" } else { "ClaimsSubject=me;" };
    format!(
        "{options};{subject}am=55;ClaimsIssuer=me;JWTCertPassword=secret;TokenURI=POST https://login.example/token;JWTCertStore={store}"
    )
}

/// The report of `authgrant_validate_string`; checks its structure.
#[track_caller]
fn validate_string(string: &str) -> Value {
    let string = CString::new(string).unwrap();
    let (mut text, mut error) = (poisoned_ptr(), poisoned_ptr());
    let status = authgrant_validate_string(string.as_ptr(), &raw mut text, &raw mut error);
    assert_eq!((status, error), (AUTHGRANT_OK, null_mut()));
    let report = parse_report(&c_str_to_string(text).unwrap());
    authgrant_string_free(text);
    assert_eq!(report["valid"], report["problems"].as_array().unwrap().is_empty(), "{report}");
    report
}

/// Options of the warnings, each with its message.
fn warnings(report: &Value) -> Vec<(&str, &str)> {
    let warnings = report["warnings"].as_array().unwrap().iter();
    warnings
        .map(|warning| (warning["option"].as_str().unwrap_or("-"), warning["message"].as_str().unwrap()))
        .collect()
}

#[test]
fn string_that_does_not_parse_is_reported_with_offset() {
    for (string, option, offset) in [
        ("Scope=a;Password={{hello}}", json!("Password"), 17),
        ("Scope=a;pwd='se;cret'", json!("Password"), 16),
        ("ClaimsAdditional={\"a\":{\"b\":1},\"c\":2}", json!("ClaimsAdditional"), 29),
        ("\u{e4}\u{20ac}\u{1f511};Scope=a", json!(null), 0),
        ("Unknown={", json!(null), 8),
    ] {
        let report = validate_string(string);
        let [problem] = &report["problems"].as_array().unwrap()[..] else { panic!("{report}") };
        assert_eq!((&problem["option"], &problem["offset"]), (&option, &json!(offset)), "{string}");
        assert_eq!(problem["status"], AUTHGRANT_INVALID_CONNECTION_STRING);
        assert_eq!((&problem["sqlstate"], &report["warnings"]), (&json!("HY000"), &json!([])));
        let message = problem["message"].as_str().unwrap();
        assert!(message.contains(&format!("at offset {offset}: ")), "{message}");
        assert!(!message.contains("hello") && !message.contains("cret"), "{message}");
    }
}

#[test]
fn string_that_cannot_be_opened_is_reported() {
    let report = validate_string("FILEDSN=/nowhere/a.dsn");
    assert_eq!(problem_options(&report), [(AUTHGRANT_DATA_SOURCE_NOT_FOUND, "FILEDSN".to_owned())]);
    assert_eq!(report["problems"][0].get("offset"), None, "{report}");
}

#[test]
fn string_that_opens_has_report_of_connection() {
    for string in ["", "am=99;Zebra=1", &connection_string(&stores::path("two-keys.jks"), "")] {
        assert_eq!(validate_string(string), validate(string), "{string}");
    }
}

#[test]
fn validate_string_rejects_invalid_arguments() {
    let mut text = poisoned_ptr();
    let invalid = c"Scope=\xff";
    for string in [null(), invalid.as_ptr()] {
        let failures = collect_failures(|error| authgrant_validate_string(string, &raw mut text, error));
        assert_eq!(failures[0].status, AUTHGRANT_INVALID_ARGUMENT);
        assert!(text.is_null() && failures[0].message.contains("connection_string"), "{failures:?}");
        text = poisoned_ptr();
    }
    let failures = collect_failures(|error| authgrant_validate_string(c"".as_ptr(), null_mut(), error));
    assert_eq!(failures[0].status, AUTHGRANT_INVALID_ARGUMENT);
    assert!(failures[0].message.contains("report"), "{failures:?}");
}

#[test]
fn unintended_characters_are_warnings() {
    for (option, value, shown) in [
        ("ClaimsSubject", "jsmith\u{200b}@example.com", "U+200B (zero width space) at offset 6"),
        ("Scope", "a\u{a0}b", "U+00A0 (no-break space) at offset 1"),
        ("ClaimsSubject", "\u{201c}me\u{201d}", "U+201C (typographic quotation mark) at offset 0"),
        ("JWTKeyID", "a\u{2013}b", "U+2013 (dash) at offset 1"),
        ("ClientSecret", "hunter\u{200b}2", "contains U+200B (zero width space), which"),
        ("ClientSecret", "'hunter2'", "is enclosed in quotation marks"),
        ("ClaimsSubject", "{me\n}", "begins or ends with whitespace or a line break"),
        ("ClaimsSubject", "<your user>", "contains the placeholder <your user>"),
        ("ClaimsAudience", "https://login.example/{tenant}", "contains the placeholder {tenant}"),
        ("ClientSecret", "<hunter2>", "is a placeholder"),
    ] {
        let options = if option == "ClaimsSubject" { "" } else { "ClaimsSubject=me;" };
        let options = format!("{options}ClientCredentialsMode=3;ClientID=app;ClientSecret=s");
        let path = stores::path("keytool.jks");
        let report = validate(&connection_string(&path, &format!("{option}={value};{options}")));
        assert_eq!(report["valid"], true, "{report:#}");
        let found: Vec<_> =
            warnings(&report).into_iter().filter(|(_, message)| message.contains(shown)).collect();
        assert!(matches!(found[..], [(found, _)] if found == option), "{option} {value}: {report:#}");
        assert!(!report.to_string().contains("hunter"), "{report}");
    }
}

#[test]
fn intended_characters_are_no_warnings() {
    let path = stores::path("keytool.jks");
    for options in [
        "ClaimsAdditional={{\"a\":{\"b\":1}}}}}",
        "ClientCredentialsMode=3;ClientID=app;ClientSecret={<a> {b}} 'c' \"d}",
        "ApplicationName=It\u{2019}s <mine>;Description=\u{201c}a\u{201d}",
        "ClaimsSubject=J\u{fc}rgen O'Neill",
        "JWTKeyID={{a1b2c3d4-0000-0000-0000-00000000000f}}}",
        "Scope=a b",
    ] {
        let report = validate(&connection_string(&path, options));
        assert_eq!((&report["valid"], &report["warnings"]), (&json!(true), &json!([])), "{options}");
    }
}

#[test]
fn invalid_url_problem_shows_character() {
    for (value, shown) in [
        ("https://login.example/<tenant>/auth", "it contains \"<\" at offset 22"),
        ("https://login.exam ple/auth", "it contains U+0020 (space) at offset 18"),
        ("https://login\u{2011}a.example/auth", "it contains U+2011 (dash) at offset 13"),
    ] {
        let report = validate(&format!("am=15;AuthURI={value}"));
        assert_eq!(problem_options(&report), [(AUTHGRANT_INVALID_OPTION, "AuthURI".to_owned())]);
        assert!(report["problems"].to_string().replace("\\\"", "\"").contains(shown), "{report:#}");
    }
}

#[test]
fn valid_connection_lists_key_store() {
    let path = stores::path("keytool.jks");
    let report = validate(&connection_string(&path, ""));
    assert_eq!((&report["valid"], &report["warnings"]), (&json!(true), &json!([])), "{report}");
    let store = &report["store"];
    assert_eq!((&store["path"], &store["kind"]), (&json!(path), &json!("JKS")));
    let key = &store["keys"][0];
    assert_eq!((&key["alias"], &key["type"]), (&json!("signer"), &json!("RSA 2048")));
    assert_eq!(key["algorithms"], json!(["RS256", "RS384", "RS512", "PS256", "PS384", "PS512"]));
    assert_eq!(key["certificate"]["subject"], "CN=signer");
    let (from, to) = (&key["certificate"]["not_before"], &key["certificate"]["not_after"]);
    assert!(from.as_str().unwrap() < to.as_str().unwrap() && to.as_str().unwrap().ends_with('Z'), "{key}");
}

#[test]
fn validate_sends_and_signs_nothing() {
    static LINES: LogLines = LogLines(std::sync::Mutex::new(Vec::new()));
    let server = crate::support::start_mock_server(mock_server::Config::http());
    let connection = open(&crate::support::minimal_string(&server, "")).unwrap();
    connection.collect_log(&LINES);
    assert_eq!(parse_report(&connection.validate())["valid"], true);
    connection.explain().unwrap();
    assert_eq!(server.connection_count(), 0);
    assert!(LINES.0.lock().unwrap().is_empty());
}

#[test]
fn all_problems_are_reported_together() {
    let store = stores::path("p256.p12");
    let report = validate(&format!(
        "am=55;JWTCertStore={store};JWTCertPassword=secret;JWTAlgorithm=RS256;JWTThumbprint=x5t;\
         JWTLifetime=never;TokenURI=ftp://login.example;AuthURI=no url;LogoffURI=http://login.example;RestSamplePath=/me;\
         TrustStore=/nowhere/ca.pem;KeyStore=/nowhere/me.p12;ClaimIssuer=typo"
    ));
    let problems = problem_options(&report);
    for (status, option) in [
        (AUTHGRANT_MISSING_OPTION, "ClaimsIssuer"),
        (AUTHGRANT_INVALID_OPTION, "JWTLifetime"),
        (AUTHGRANT_INVALID_OPTION, "TokenURI"),
        (AUTHGRANT_INVALID_OPTION, "AuthURI"),
        (AUTHGRANT_INVALID_OPTION, "LogoffURI"),
        (AUTHGRANT_MISSING_OPTION, "RestSamplePath"),
        (AUTHGRANT_KEY_UNSUITABLE, "JWTCertStore"),
    ] {
        let count = problems.iter().filter(|problem| **problem == (status, option.to_owned())).count();
        assert_eq!(count, 1, "{option} in {report:#}");
    }
    for name in ["TrustStore", "KeyStore"] {
        assert!(problems.contains(&(AUTHGRANT_KEY_STORE_ERROR, name.to_owned())), "{report:#}");
    }
    assert_eq!(problems.len(), 9, "{report:#}");
    assert!(report["warnings"].to_string().contains("ClaimIssuer"), "{report:#}");
    assert_eq!(listed_keys(&report), [(Some("p256"), "EC P-256")]);
    let key = report["problems"]
        .as_array()
        .unwrap()
        .iter()
        .find(|problem| problem["option"] == "JWTCertStore")
        .unwrap();
    assert_eq!((&key["name"], &key["sqlstate"]), (&json!("AUTHGRANT_KEY_UNSUITABLE"), &json!("28000")));
}

#[test]
fn aliases_are_listed_despite_other_problems() {
    let both_keys = [(Some("p256"), "EC P-256"), (Some("signer"), "RSA 2048")];
    let path = stores::path("two-keys.jks");
    let tied_keys = [(Some("p256"), "EC P-256"), (Some("signer"), "EC P-256")];
    let tied_path = stores::path("tied-keys.jks");
    for (path, options, keys) in [(&tied_path, "", &tied_keys), (&path, "JWTCertAlias=nobody", &both_keys)] {
        let report = validate(&connection_string(path, options));
        assert_eq!(
            problem_options(&report),
            [(AUTHGRANT_KEY_NOT_FOUND, "JWTCertAlias".to_owned())],
            "{options}"
        );
        assert_eq!(listed_keys(&report), *keys);
    }
    let store_only = validate(&format!("JWTCertStore={path};JWTCertPassword=secret"));
    assert_eq!(listed_keys(&store_only), both_keys);
    assert!(
        problem_options(&store_only).contains(&(AUTHGRANT_MISSING_OPTION, "ClaimsIssuer".to_owned())),
        "{store_only:#}"
    );
    assert!(
        !validate(&connection_string(&path, "JWTCertAlias=P256"))["problems"].to_string().contains("Alias")
    );
    let other_method = validate(&format!("am=15;JWTCertStore={path};JWTCertPassword=secret"));
    assert_eq!((&other_method["valid"], listed_keys(&other_method)), (&json!(true), both_keys.to_vec()));
}

#[test]
fn every_store_format_lists_keys() {
    for (file, kind, alias) in [
        ("keytool.jks", "JKS", Some("signer")),
        ("keytool-pkcs12.jks", "PKCS#12", Some("signer")),
        ("openssl.p12", "PKCS#12", Some("signer")),
        ("openssl.pem", "PEM", None),
        ("encrypted.pem", "PEM", None),
        ("with-certificate.jks", "JKS", Some("signer")),
    ] {
        let report = validate(&connection_string(&stores::path(file), ""));
        assert_eq!(report["store"]["kind"], kind, "{file}: {report:#}");
        assert_eq!(listed_keys(&report), [(alias, "RSA 2048")], "{file}");
    }
}

#[test]
fn unopenable_store_is_reported_once() {
    let wrong = connection_string(&stores::path("keytool.jks"), "").replace("=secret", "=wrong");
    let wrong_password_report = validate(&wrong);
    assert_eq!(
        problem_options(&wrong_password_report),
        [(AUTHGRANT_KEY_PASSWORD, "JWTCertPassword".to_owned())]
    );
    assert!(wrong_password_report["store"].get("kind").is_none());
    assert_eq!(wrong_password_report["store"]["keys"], json!([]));
    let missing = validate(&connection_string("/nowhere/a.jks", ""));
    assert_eq!(problem_options(&missing), [(AUTHGRANT_KEY_STORE_ERROR, "JWTCertStore".to_owned())]);
    let short_secret = validate("am=55;ClaimsIssuer=me;JWTSecret=short;JWTAlgorithm=HS256");
    assert_eq!(problem_options(&short_secret), [(AUTHGRANT_KEY_UNSUITABLE, "JWTSecret".to_owned())]);
    assert!(short_secret.get("store").is_none(), "{short_secret:#}");
}

#[test]
fn locked_key_is_listed_with_error() {
    let encrypted = validate(&connection_string(&stores::path("keypass.jks"), ""));
    assert_eq!(listed_keys(&encrypted), [(Some("signer"), "encrypted")]);
    assert_eq!(encrypted["store"]["keys"][0]["error"]["option"], "JWTCertKeyPassword");
    assert_eq!(problem_options(&encrypted), [(AUTHGRANT_KEY_PASSWORD, "JWTCertKeyPassword".to_owned())]);
    let decrypted = validate(&connection_string(&stores::path("keypass.jks"), "JWTCertKeyPassword=another"));
    assert_eq!(
        (listed_keys(&decrypted), problem_options(&decrypted)),
        (vec![(Some("signer"), "RSA 2048")], vec![])
    );
}

#[test]
fn missing_certificate_for_thumbprint_is_problem() {
    let report = validate(&connection_string(&stores::path("encrypted.pem"), "JWTThumbprint=x5t"));
    assert_eq!(problem_options(&report), [(AUTHGRANT_MISSING_OPTION, "JWTCertificate".to_owned())]);
}

/// The path of a store whose certificate has expired, ends within 30 days or is not yet valid.
fn dated_store(name: &str) -> String {
    static FOLDER: OnceLock<TempDir> = OnceLock::new();
    let make = |folder: &Path, name: &str, start: &str| {
        let output = Command::new("keytool")
            .args(["-genkeypair", "-storetype", "JKS", "-alias", "k", "-keyalg", "RSA", "-keysize", "2048"])
            .args(["-dname", "CN=dated", "-storepass", "secret", "-keypass", "secret"])
            .args(["-startdate", start, "-validity", "5", "-keystore", name])
            .current_dir(folder)
            .output()
            .unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
    };
    let folder = FOLDER.get_or_init(|| {
        let folder = TempDir::new().unwrap();
        make(folder.path(), "expired.jks", "-20d");
        make(folder.path(), "ends-soon.jks", "-1d");
        make(folder.path(), "not-yet-valid.jks", "+20d");
        folder
    });
    PathBuf::from(folder.path()).join(name).to_str().unwrap().to_owned()
}

#[test]
fn certificate_validity_warning_names_date() {
    for (file, date) in
        [("expired.jks", "not_after"), ("ends-soon.jks", "not_after"), ("not-yet-valid.jks", "not_before")]
    {
        let report = validate(&connection_string(&dated_store(file), ""));
        assert_eq!(report["valid"], true, "{report:#}");
        let warning = &report["warnings"][0];
        let message = warning["message"].as_str().unwrap();
        let date = report["store"]["keys"][0]["certificate"][date].as_str().unwrap();
        assert!(message.contains(date), "{message}");
        assert_eq!((&warning["sqlstate"], &warning["option"]), (&json!("01000"), &json!("JWTCertStore")));
    }
}

/// A JWT with this `exp` and an invalid signature.
fn unsigned_jwt(exp: i64) -> String {
    format!("e30.{}.c2ln", URL_SAFE_NO_PAD.encode(json!({ "exp": exp }).to_string()))
}

#[test]
fn expired_preset_token_is_problem() {
    let assertion = "am=OAuth2-JWTClientAssertion;TokenURI=https://login.example/t;ClientAssertion";
    for (option, string, without_expiry) in [
        ("AccessToken", "am=50;AccessToken", "opaque"),
        ("SecurityToken", "am=34;st", "opaque"),
        ("ClientAssertion", assertion, "e30.e30.c2ln"),
    ] {
        let expired = validate(&format!("{string}={}", unsigned_jwt(1_000_000_000)));
        assert_eq!(problem_options(&expired), [(AUTHGRANT_TOKEN_EXPIRED, option.to_owned())], "{expired:#}");
        assert_eq!(validate(&format!("{string}={}", unsigned_jwt(4_000_000_000)))["valid"], true);
        assert_eq!(validate(&format!("{string}={without_expiry}"))["valid"], true);
    }
    let expired = validate("am=50;AccessToken=opaque;AccessTokenExpires=2001-09-09T01:46:40Z");
    assert_eq!(
        problem_options(&expired),
        [(AUTHGRANT_TOKEN_EXPIRED, "AccessToken".to_owned())],
        "{expired:#}"
    );
    let unused = validate(&format!("am=25;ah=X-A;st=value;AccessToken={}", unsigned_jwt(1)));
    assert_eq!(unused["valid"], true, "{unused:#}");
}

#[test]
fn unused_redirect_uri_is_reported_but_does_not_fail_calls() {
    let base = "am=JWT;ClaimsIssuer=me;JWTSecret=01234567890123456789012345678901;";
    let warns = |report: &Value| {
        let warnings = report["warnings"].as_array().unwrap();
        warnings.iter().any(|warning| warning["option"] == "RedirectURI")
    };
    let report = validate(&format!("{base}RedirectURI=http://localhost"));
    assert!(problem_options(&report).is_empty() && warns(&report), "{report}");
    for redirect in ["http://localhost:3000", "https://app.example/cb", "http://127.0.0.1:0/"] {
        let report = validate(&format!("{base}RedirectURI={redirect}"));
        assert!(problem_options(&report).is_empty() && !warns(&report), "{report}");
    }
    let elsewhere = format!("{base}RedirectURI=http://app.example/cb");
    let expected = (AUTHGRANT_INVALID_OPTION, "RedirectURI".to_owned());
    assert_eq!(problem_options(&validate(&elsewhere)), [expected]);
    open(&elsewhere).unwrap().get_token().unwrap();
}

#[test]
fn preset_exp_in_the_past_is_a_problem_and_an_error() {
    for method in ["JWT", "55"] {
        let string = format!(
            "am={method};ClaimsIssuer=me;JWTSecret=01234567890123456789012345678901;\
             ClaimsAdditional={{{{\"exp\":5}}}}}}"
        );
        let expected = (AUTHGRANT_TOKEN_EXPIRED, "ClaimsAdditional".to_owned());
        assert_eq!(problem_options(&validate(&string)), [expected], "{method}");
        let failure = open(&string).unwrap().get_token().unwrap_err();
        assert_eq!(failure.status, AUTHGRANT_TOKEN_EXPIRED, "{method}");
        assert!(failure.message.contains("exp to 5"), "{}", failure.message);
        let later = string.replace(":5", ":99999999999");
        assert!(problem_options(&validate(&later)).is_empty());
        assert!(open(&later).unwrap().get_token().is_ok());
    }
}

#[test]
fn assertion_file_content_is_validated() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("assertion");
    let string = "am=OAuth2-JWTClientAssertion;TokenURI=https://login.example/t";
    let report = || -> serde_json::Value {
        let connection = open(string).unwrap();
        connection.set_option("ClientAssertionFile", path.to_str().unwrap()).unwrap();
        serde_json::from_str(&connection.validate()).unwrap()
    };
    let option = || "ClientAssertionFile".to_owned();
    assert_eq!(problem_options(&report()), [(AUTHGRANT_KEY_STORE_ERROR, option())]);
    std::fs::write(&path, unsigned_jwt(1_000_000_000)).unwrap();
    assert_eq!(problem_options(&report()), [(AUTHGRANT_TOKEN_EXPIRED, option())]);
    std::fs::write(&path, unsigned_jwt(4_000_000_000)).unwrap();
    assert_eq!(report()["valid"], true);
}
