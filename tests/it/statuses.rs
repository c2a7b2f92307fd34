//! Error statuses: each kind of failure has its status, SQLSTATE and option, and a message with the values
//! involved.
//!
//! Every case goes through the C API: open, then get_token.

use std::net::TcpListener;
use std::time::{Duration, Instant};

use crate::support::c_api::{Failure, get_token, open};
use crate::support::{ISSUER, datadirect_string, minimal_string, start_mock_server, stores};
use authgrant::ffi::status::*;
use mock_server::{Behavior, Config, ServerCertificate};
use serde_json::json;

/// Asserts that getting a token fails with this status, SQLSTATE and option.
#[track_caller]
fn assert_fails(string: &str, status: i32, sqlstate: &str, option: Option<&str>) -> Box<Failure> {
    let failure = get_token(string).err().unwrap_or_else(|| panic!("{string} gets a token"));
    let actual = (failure.status, failure.sqlstate.as_str(), failure.option.as_deref());
    assert_eq!(actual, (status, sqlstate, option), "{failure:?}");
    assert!(failure.message.starts_with("[authgrant]["), "{failure:?}");
    failure
}

/// Asserts that the message contains each of these values, such as a path, host, alias or number.
#[track_caller]
fn assert_message_contains(failure: &Failure, values: &[&str]) {
    for value in values {
        assert!(failure.message.contains(value), "no {value:?} in {}", failure.message);
    }
}

/// A connection string that signs with `store` and uses no server.
fn store_string(store: &str, options: &str) -> String {
    format!("AuthenticationMethod=55;ClaimsIssuer=me;JWTCertStore={store};{options}")
}

#[test]
fn missing_or_invalid_options_are_errors() {
    for string in ["", "Scope=a"] {
        assert_fails(string, AUTHGRANT_MISSING_OPTION, "28000", Some("AuthenticationMethod"));
    }
    let failure =
        assert_fails("cliss={abc", AUTHGRANT_INVALID_CONNECTION_STRING, "HY000", Some("ClaimsIssuer"));
    assert_message_contains(&failure, &["in the value of cliss, at offset 6", "write cliss={…}"]);
    let failure =
        assert_fails("AuthenticationMethod=55", AUTHGRANT_MISSING_OPTION, "28000", Some("ClaimsIssuer"));
    assert_message_contains(&failure, &["ClaimsIssuer", "JWTCertStore"]);
    for (string, option) in [
        ("AuthenticationMethod=99", "AuthenticationMethod"),
        ("am=55;LoginTimeout=abc", "LoginTimeout"),
        ("am=55;JWTLifetime=0", "JWTLifetime"),
        ("am=55;JWTAlgorithm=none", "JWTAlgorithm"),
        ("am=55;TokenURI=POST http://192.0.2.1/t", "TokenURI"),
        ("am=55;TokenURI=POST http://localhost.evil.example/t", "TokenURI"),
        ("am=55;AuthHeader=X;SecurityToken={a\r\nb}", "SecurityToken"),
        (
            "am=55;ClientID=c;ClientSecret=s;ClientCredentialsMode=3;TokenURI=GET https://example.com/t",
            "TokenURI",
        ),
    ] {
        let failure = assert_fails(string, AUTHGRANT_INVALID_OPTION, "HY024", Some(option));
        assert_message_contains(&failure, &[option]);
        if string.contains("http://") {
            assert_message_contains(&failure, &["https://"]);
        }
    }
}

#[test]
fn unreadable_stores_are_errors() {
    let missing = "/nowhere/at all.jks";
    for (store, options) in [(missing.to_owned(), "")].into_iter().chain(
        ["directory", "fifo", "large", "empty", "random", "truncated.jks", "truncated.p12"]
            .map(|name| (stores::path(name), "JWTCertPassword=secret")),
    ) {
        let string = store_string(&store, options);
        let failure = assert_fails(&string, AUTHGRANT_KEY_STORE_ERROR, "28000", Some("JWTCertStore"));
        assert_message_contains(&failure, &["JWTCertStore", &store]);
    }
}

#[test]
fn wrong_store_passwords_are_errors() {
    for name in ["keytool.jks", "keytool-pkcs12.jks", "openssl.p12", "encrypted.pem"] {
        let store = stores::path(name);
        for password in ["JWTCertPassword=hunter2", ""] {
            let string = store_string(&store, password);
            let failure = assert_fails(&string, AUTHGRANT_KEY_PASSWORD, "28000", Some("JWTCertPassword"));
            assert_message_contains(&failure, &[&store, "JWTCertPassword"]);
            assert!(!failure.message.contains("hunter2"), "{failure:?}");
        }
    }
    let store = stores::path("keypass.jks");
    let right = store_string(&store, "JWTCertPassword=secret;JWTCertKeyPassword=another");
    get_token(&right).expect("a key may have its own password");
    let failure = assert_fails(
        &store_string(&store, "JWTCertPassword=secret"),
        AUTHGRANT_KEY_PASSWORD,
        "28000",
        Some("JWTCertKeyPassword"),
    );
    assert_message_contains(&failure, &["JWTCertKeyPassword"]);
}

#[test]
fn wrong_store_password_misses_cached_key() {
    for name in ["keytool.jks", "openssl.p12", "encrypted.pem"] {
        let store = stores::path(name);
        get_token(&store_string(&store, "JWTCertPassword=secret")).unwrap();
        for password in ["JWTCertPassword=wrong!", ""] {
            let string = store_string(&store, password);
            let failure = assert_fails(&string, AUTHGRANT_KEY_PASSWORD, "28000", Some("JWTCertPassword"));
            assert_message_contains(&failure, &[&store]);
        }
    }
}

#[test]
fn missing_alias_is_key_not_found() {
    for (name, alias, listed) in [
        ("keytool.jks", "JWTCertAlias=nobody", &["\"nobody\"", "\"signer\""]),
        ("with-certificate.jks", "JWTCertAlias=trusted", &["\"trusted\"", "\"signer\""]),
        ("tied-keys.jks", "", &["\"signer\"", "\"p256\""]),
    ] {
        let string = store_string(&stores::path(name), &format!("JWTCertPassword=secret;{alias}"));
        let failure = assert_fails(&string, AUTHGRANT_KEY_NOT_FOUND, "28000", Some("JWTCertAlias"));
        assert_message_contains(&failure, listed);
        assert_message_contains(&failure, &["JWTCertAlias"]);
    }
    let other_case = store_string(&stores::path("two-keys.jks"), "JWTCertPassword=secret;JWTCertAlias=P256");
    get_token(&other_case).expect("aliases are case-insensitive");
}

#[test]
fn unsuitable_keys_are_errors() {
    for (name, options, values) in [
        ("keytool.jks", "JWTCertPassword=secret;JWTAlgorithm=ES256", ["ES256", "RSA"]),
        ("rsa512.pem", "", ["512", "2048"]),
    ] {
        let string = store_string(&stores::path(name), options);
        let failure = assert_fails(&string, AUTHGRANT_KEY_UNSUITABLE, "28000", Some("JWTCertStore"));
        assert_message_contains(&failure, &values);
    }
}

/// A port at which no server listens.
fn closed_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

fn token_request_string(url: &str) -> String {
    store_string(&stores::path("keytool.jks"), &format!("JWTCertPassword=secret;TokenURI=POST {url}"))
}

#[test]
fn unreachable_server_is_network_error() {
    let port = closed_port().to_string();
    let refused = token_request_string(&format!("http://127.0.0.1:{port}/t"));
    let failure = assert_fails(&refused, AUTHGRANT_NETWORK, "08001", None);
    assert_message_contains(&failure, &["127.0.0.1", &port]);
    let host = "no-such-host.invalid";
    let unresolved = token_request_string(&format!("https://{host}/t"));
    let failure = assert_fails(&unresolved, AUTHGRANT_NETWORK, "08001", None);
    assert_message_contains(&failure, &[host]);
}

#[test]
fn untrusted_certificates_have_distinct_messages() {
    let mut messages = Vec::new();
    for certificate in
        [ServerCertificate::UntrustedCa, ServerCertificate::Expired, ServerCertificate::OtherHost]
    {
        let server = start_mock_server(Config { certificate, ..Config::https() });
        let failure = assert_fails(&minimal_string(&server, ""), AUTHGRANT_TLS, "08001", None);
        assert_message_contains(&failure, &["127.0.0.1"]);
        assert!(server.token_requests().is_empty(), "nothing is sent to an untrusted server");
        messages.push(failure.message.replace(|c: char| c.is_ascii_digit(), ""));
    }
    messages.dedup();
    assert_eq!(messages.len(), 3, "{messages:#?}");
}

#[test]
fn login_timeout_bounds_whole_call() {
    for (https, behavior) in [
        (false, Behavior::NeverAnswer),
        (true, Behavior::NeverAnswer),
        (false, Behavior::OneBytePerSecond),
        (true, Behavior::OneBytePerSecond),
    ] {
        let server = start_mock_server(if https { Config::https() } else { Config::http() });
        server.set_default_behavior(behavior);
        let begin = Instant::now();
        let failure =
            assert_fails(&minimal_string(&server, "LoginTimeout=1"), AUTHGRANT_TIMEOUT, "HYT00", None);
        let elapsed = begin.elapsed();
        assert_message_contains(&failure, &["127.0.0.1", "1 s (LoginTimeout)"]);
        assert!(elapsed >= Duration::from_secs(1) && elapsed <= Duration::from_millis(1250), "{elapsed:?}");
    }
}

/// The failure of a token request that the server answers with `behavior`.
fn failure_for_response(behavior: Behavior) -> Box<Failure> {
    let server = start_mock_server(Config::http());
    server.set_default_behavior(behavior);
    get_token(&minimal_string(&server, "")).unwrap_err()
}

/// Asserts status, SQLSTATE and the `error` of the response.
#[track_caller]
fn assert_response_fails(
    behavior: Behavior,
    status: i32,
    sqlstate: &str,
    oauth_error: Option<&str>,
) -> Box<Failure> {
    let failure = failure_for_response(behavior);
    let actual = (failure.status, failure.sqlstate.as_str(), failure.oauth_error.as_deref());
    assert_eq!(actual, (status, sqlstate, oauth_error), "{failure:?}");
    assert!(failure.message.starts_with("[authgrant]["), "{failure:?}");
    failure
}

fn token_response(body: &str) -> Behavior {
    Behavior::TokenAnswer(body.to_owned())
}

fn error_response(status: u16, error: &str) -> Behavior {
    Behavior::Json {
        status,
        body: json!({"error": error, "error_description": "because"}),
        headers: Vec::new(),
    }
}

#[test]
fn invalid_oauth_responses_are_bad_response() {
    let truncated =
        b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 400\r\n\r\n{\"access_token\":";
    for behavior in [
        Behavior::Redirect { location: "https://login.example.com/?secret=1".to_owned() },
        Behavior::Html { status: 200 },
        Behavior::BigBody(2 << 20),
        Behavior::Raw(truncated.to_vec()),
        token_response(r#"{"access_token":"at""#),
        token_response("{}"),
        token_response(r#"{"access_token":"","token_type":"Bearer"}"#),
        token_response(r#"{"access_token":42,"token_type":"Bearer"}"#),
        token_response(r#"{"access_token":"a\r\nX-Injected: 1","token_type":"Bearer"}"#),
    ] {
        let failure = assert_response_fails(behavior, AUTHGRANT_BAD_RESPONSE, "HY000", None);
        assert_message_contains(&failure, &["127.0.0.1"]);
    }
}

#[test]
fn oauth_errors_map_to_statuses() {
    for (http_status, error, status) in [
        (400, "invalid_grant", AUTHGRANT_DENIED),
        (401, "invalid_client", AUTHGRANT_DENIED),
        (200, "invalid_grant", AUTHGRANT_DENIED),
        (400, "consent_required", AUTHGRANT_CONSENT_REQUIRED),
    ] {
        let failure = assert_response_fails(error_response(http_status, error), status, "28000", Some(error));
        assert_eq!(failure.oauth_description.as_deref(), Some("because"));
        assert_eq!(failure.http_status, i32::from(http_status), "{failure:?}");
        assert_message_contains(&failure, &[error, "because"]);
    }
    let headers = vec![("Retry-After".to_owned(), "120".to_owned())];
    let throttled = Behavior::Json { status: 429, body: json!({}), headers };
    let throttled = assert_response_fails(throttled, AUTHGRANT_THROTTLED, "08004", None);
    assert_eq!((throttled.retry_after, throttled.http_status), (120, 429));
    assert_message_contains(&throttled, &["120 s"]);
    for (status, behavior) in [
        (503, Behavior::Json { status: 503, body: json!(null), headers: Vec::new() }),
        (500, Behavior::Html { status: 500 }),
    ] {
        let failure = assert_response_fails(behavior, AUTHGRANT_SERVER_ERROR, "08004", None);
        assert_eq!(failure.http_status, status, "{failure:?}");
        assert_message_contains(&failure, &[&status.to_string()]);
    }
}

#[test]
fn denied_assertion_message_shows_audience_and_clock() {
    let server = start_mock_server(Config { date_skew: 300, ..Config::http() });
    let string = minimal_string(&server, "ClaimsAudience=https://elsewhere.example");
    let failure = assert_fails(&string, AUTHGRANT_DENIED, "28000", None);
    assert_message_contains(
        &failure,
        &["\"https://elsewhere.example\"", &server.url("/oauth/token"), ISSUER, " s ahead of "],
    );
}

#[test]
fn missing_consent_has_consent_url() {
    let server = start_mock_server(Config { audience: Some("127.0.0.1".to_owned()), ..Config::http() });
    server.require_consent("jsmith@example.com");
    let string = format!("Provider=docusign;{}", datadirect_string(&stores::path("keytool.jks"), &server));
    let failure = assert_fails(&string, AUTHGRANT_CONSENT_REQUIRED, "28000", None);
    let expected_url = format!(
        "{}?response_type=code&scope=signature%20impersonation&client_id={ISSUER}&redirect_uri=http%3A%2F%2Flocalhost%3A3000",
        server.url("/oauth/auth")
    );
    assert_message_contains(&failure, &[&server.url("/oauth/auth")]);
    assert_eq!(failure.consent_url, Some(expected_url));
}

#[test]
fn unknown_key_or_issuer_is_denied() {
    let server = start_mock_server(Config::http());
    let unknown_key = format!(
        "am=55;ClaimsIssuer={ISSUER};ClaimsSubject=a;JWTCertStore={};TokenEndpoint={}",
        stores::path("other.pem"),
        server.url("/oauth/token")
    );
    let failure = assert_fails(&unknown_key, AUTHGRANT_DENIED, "28000", None);
    assert_eq!(failure.oauth_error.as_deref(), Some("invalid_grant"));
    let failure = assert_fails(&unknown_key.replace(ISSUER, "nobody"), AUTHGRANT_DENIED, "28000", None);
    assert_message_contains(&failure, &["\"nobody\""]);
}

#[test]
fn unsupported_method_differs_from_invalid() {
    let failure =
        assert_fails("AuthenticationMethod=30", AUTHGRANT_UNSUPPORTED, "HYC00", Some("AuthenticationMethod"));
    assert_message_contains(&failure, &["30"]);
}

#[test]
fn open_validates_syntax_only() {
    for string in ["", "AuthenticationMethod=99;JWTCertStore=/nowhere", "Nonsense=1", "TokenURI=nonsense"] {
        open(string).unwrap_or_else(|failure| panic!("{string}: {failure:?}"));
    }
}

#[test]
fn unreadable_trust_store_names_option() {
    let server = start_mock_server(Config::https());
    let string = minimal_string(&server, "TrustStore=/nowhere/ca.pem");
    let failure = assert_fails(&string, AUTHGRANT_KEY_STORE_ERROR, "28000", Some("TrustStore"));
    assert_message_contains(&failure, &["/nowhere/ca.pem"]);
}

#[test]
fn transient_errors_are_retryable() {
    let retryable = |behavior| failure_for_response(behavior).retryable == 1;
    assert!(retryable(Behavior::Html { status: 500 }) && retryable(Behavior::Reset));
    assert!(retryable(Behavior::Json { status: 429, body: json!({}), headers: Vec::new() }));
    assert!(!retryable(error_response(400, "invalid_grant")) && !retryable(token_response("{}")));
}

#[test]
fn provider_error_code_is_exposed() {
    let behavior = Behavior::Json {
        status: 400,
        body: json!({"error": "invalid_client", "error_description": "AADSTS700027: not registered"}),
        headers: Vec::new(),
    };
    assert_eq!(failure_for_response(behavior).provider_code.as_deref(), Some("AADSTS700027"));
    assert_eq!(failure_for_response(error_response(400, "invalid_grant")).provider_code, None);
}

#[test]
fn other_denials_have_no_consent_url() {
    let server = start_mock_server(Config { audience: Some("127.0.0.1".to_owned()), ..Config::http() });
    server.set_default_behavior(error_response(400, "invalid_grant"));
    let string = format!("Provider=docusign;{}", datadirect_string(&stores::path("keytool.jks"), &server));
    assert_eq!(assert_fails(&string, AUTHGRANT_DENIED, "28000", None).consent_url, None);
}

#[test]
fn quotes_counted_as_part_of_password_are_mentioned() {
    for (file, option, password, mentioned) in [
        ("keytool.jks", "JWTCertPassword", "'secret'", "quotation marks"),
        ("openssl.p12", "JWTCertPassword", "\"secret\"", "quotation marks"),
        ("encrypted.pem", "JWTCertPassword", "'secret'", "quotation marks"),
        ("keypass.jks", "JWTCertKeyPassword", "{'secret'}", "quotation marks"),
        ("openssl.p12", "JWTCertPassword", "{{secret}}}", "braces around the password"),
        ("openssl.p12", "JWTCertPassword", "wrong", ""),
    ] {
        let store_password = if option == "JWTCertPassword" { "" } else { ";JWTCertPassword=secret" };
        let path = stores::path(file);
        let string = format!("am=55;ClaimsIssuer=me;JWTCertStore={path};{option}={password}{store_password}");
        let failure = open(&string).unwrap().get_token().unwrap_err();
        let found = (failure.status, failure.sqlstate.as_str(), failure.option.as_deref());
        assert_eq!(found, (AUTHGRANT_KEY_PASSWORD, "28000", Some(option)));
        let is_mentioned = failure.message.contains("were used as part of it");
        assert_eq!(is_mentioned, !mentioned.is_empty(), "{failure:?}");
        assert!(failure.message.contains(mentioned) && !failure.message.contains("'secret'"), "{failure:?}");
    }
}
