//! Each way in which it can go wrong has its status, its SQLSTATE and a message that names what to mend.
//!
//! Every row goes through the C API: open, then get_token.

use std::net::TcpListener;
use std::time::{Duration, Instant};

use crate::support::c_api::{Failure, get_token, open};
use crate::support::{ISSUER, datadirect_string, minimal_string, start_mock_server, stores};
use authgrant::ffi::status::*;
use mock_server::{Behavior, Config, ServerCertificate};
use serde_json::json;

/// Checks status, SQLSTATE and that the message holds all of `words`.
#[track_caller]
fn assert_failure(failure: &Failure, status: i32, sqlstate: &str, words: &[&str]) {
    assert_eq!((failure.status, failure.sqlstate.as_str()), (status, sqlstate), "{failure:?}");
    assert!(failure.message.starts_with("[authgrant]["), "{failure:?}");
    for word in words {
        assert!(failure.message.contains(word), "no {word:?} in {}", failure.message);
    }
}

#[track_caller]
fn assert_fails(string: &str, status: i32, sqlstate: &str, words: &[&str]) -> Box<Failure> {
    let failure = get_token(string).err().unwrap_or_else(|| panic!("{string} gets a token"));
    assert_failure(&failure, status, sqlstate, words);
    failure
}

/// A key store row: signing alone, no server.
fn store_string(store: &str, more: &str) -> String {
    format!("AuthenticationMethod=55;ClaimsIssuer=me;JWTCertStore={store};{more}")
}

#[test]
fn missing_or_invalid_options_are_errors() {
    assert_fails("", AUTHGRANT_MISSING_OPTION, "28000", &["AuthenticationMethod"]);
    assert_fails("Scope=a", AUTHGRANT_MISSING_OPTION, "28000", &["AuthenticationMethod"]);
    assert_fails("ClaimsIssuer={abc", AUTHGRANT_INVALID_CONNECTION_STRING, "HY000", &["offset 13"]);
    assert_fails(
        "AuthenticationMethod=55",
        AUTHGRANT_MISSING_OPTION,
        "28000",
        &["ClaimsIssuer", "JWTCertStore"],
    );
    for (text, option) in [
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
        let failure = assert_fails(text, AUTHGRANT_INVALID_OPTION, "HY024", &[option]);
        assert_eq!(failure.option.as_deref(), Some(option));
    }
    for text in
        ["am=55;TokenURI=POST http://192.0.2.1/t", "am=55;TokenURI=POST http://localhost.evil.example/t"]
    {
        assert_fails(text, AUTHGRANT_INVALID_OPTION, "HY024", &["https"]);
    }
}

#[test]
fn unreadable_stores_are_errors() {
    let missing = "/nowhere/at all.jks";
    assert_fails(&store_string(missing, ""), AUTHGRANT_KEY_STORE_ERROR, "28000", &["JWTCertStore", missing]);
    for name in ["directory", "fifo", "large", "empty", "random", "truncated.jks", "truncated.p12"] {
        let store = stores::path(name);
        let failure = assert_fails(
            &store_string(&store, "JWTCertPassword=secret"),
            AUTHGRANT_KEY_STORE_ERROR,
            "28000",
            &[&store],
        );
        assert_eq!(failure.option.as_deref(), Some("JWTCertStore"), "{name}");
    }
}

#[test]
fn wrong_store_passwords_are_errors() {
    for name in ["keytool.jks", "keytool-pkcs12.jks", "openssl.p12", "encrypted.pem"] {
        let store = stores::path(name);
        let wrong = store_string(&store, "JWTCertPassword=hunter2");
        let failure = assert_fails(&wrong, AUTHGRANT_KEY_PASSWORD, "28000", &[&store, "JWTCertPassword"]);
        assert!(!failure.message.contains("hunter2"), "{failure:?}");
        assert_fails(&store_string(&store, ""), AUTHGRANT_KEY_PASSWORD, "28000", &[&store]);
    }
    let store = stores::path("keypass.jks");
    let right = store_string(&store, "JWTCertPassword=secret;JWTCertKeyPassword=another");
    get_token(&right).expect("a key may have a password of its own");
    assert_fails(
        &store_string(&store, "JWTCertPassword=secret"),
        AUTHGRANT_KEY_PASSWORD,
        "28000",
        &["JWTCertKeyPassword"],
    );
}

#[test]
fn wrong_store_password_misses_cached_key() {
    for name in ["keytool.jks", "openssl.p12", "encrypted.pem"] {
        let store = stores::path(name);
        get_token(&store_string(&store, "JWTCertPassword=secret")).unwrap();
        assert_fails(
            &store_string(&store, "JWTCertPassword=wrong!"),
            AUTHGRANT_KEY_PASSWORD,
            "28000",
            &[&store],
        );
        assert_fails(&store_string(&store, ""), AUTHGRANT_KEY_PASSWORD, "28000", &[&store]);
    }
}

#[test]
fn missing_alias_is_key_not_found() {
    let password = "JWTCertPassword=secret;";
    let store = stores::path("keytool.jks");
    assert_fails(
        &store_string(&store, &format!("{password}JWTCertAlias=nobody")),
        AUTHGRANT_KEY_NOT_FOUND,
        "28000",
        &["nobody", "\"signer\"", "JWTCertAlias"],
    );
    let store = stores::path("with-certificate.jks");
    assert_fails(
        &store_string(&store, &format!("{password}JWTCertAlias=trusted")),
        AUTHGRANT_KEY_NOT_FOUND,
        "28000",
        &["trusted", "signer"],
    );
    let store = stores::path("two-keys.jks");
    assert_fails(
        &store_string(&store, password),
        AUTHGRANT_KEY_NOT_FOUND,
        "28000",
        &["signer", "p256", "JWTCertAlias"],
    );
    get_token(&store_string(&store, &format!("{password}JWTCertAlias=P256"))).expect("an alias in any case");
}

#[test]
fn unsuitable_keys_are_errors() {
    let store = stores::path("keytool.jks");
    assert_fails(
        &store_string(&store, "JWTCertPassword=secret;JWTAlgorithm=ES256"),
        AUTHGRANT_KEY_UNSUITABLE,
        "28000",
        &["ES256", "RSA"],
    );
    assert_fails(
        &store_string(&stores::path("rsa512.pem"), ""),
        AUTHGRANT_KEY_UNSUITABLE,
        "28000",
        &["512", "2048"],
    );
}

/// A port on which nobody listens.
fn closed_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

fn token_request_string(url: &str, more: &str) -> String {
    store_string(&stores::path("keytool.jks"), &format!("JWTCertPassword=secret;TokenURI=POST {url};{more}"))
}

#[test]
fn unreachable_server_is_network_error() {
    let port = closed_port();
    let words = ["127.0.0.1", &port.to_string()];
    assert_fails(
        &token_request_string(&format!("http://127.0.0.1:{port}/t"), ""),
        AUTHGRANT_NETWORK,
        "08001",
        &words,
    );
    let host = "no-such-host.invalid";
    assert_fails(
        &token_request_string(&format!("https://{host}/t"), ""),
        AUTHGRANT_NETWORK,
        "08001",
        &[host],
    );
}

#[test]
fn untrusted_certificates_have_distinct_messages() {
    let mut messages = Vec::new();
    for certificate in
        [ServerCertificate::UntrustedCa, ServerCertificate::Expired, ServerCertificate::OtherHost]
    {
        let authority = start_mock_server(Config { certificate, ..Config::https() });
        let failure = assert_fails(&minimal_string(&authority, ""), AUTHGRANT_TLS, "08001", &["127.0.0.1"]);
        assert!(authority.token_requests().is_empty(), "nothing is sent to a server that is not believed");
        messages.push(failure.message.replace(|c: char| c.is_ascii_digit(), ""));
    }
    messages.dedup();
    assert_eq!(messages.len(), 3, "{messages:#?}");
}

#[test]
fn login_timeout_bounds_whole_call() {
    for (https, play) in [
        (false, Behavior::NeverAnswer),
        (true, Behavior::NeverAnswer),
        (false, Behavior::OneBytePerSecond),
        (true, Behavior::OneBytePerSecond),
    ] {
        let authority = start_mock_server(if https { Config::https() } else { Config::http() });
        authority.set_default_behavior(play);
        let begin = Instant::now();
        assert_fails(
            &minimal_string(&authority, "LoginTimeout=1"),
            AUTHGRANT_TIMEOUT,
            "HYT00",
            &["127.0.0.1", "1 s (LoginTimeout)"],
        );
        let took = begin.elapsed();
        assert!(took >= Duration::from_secs(1) && took <= Duration::from_millis(1250), "{took:?}");
    }
}

/// The failure of a token request that the server answers with `play`.
#[track_caller]
fn assert_response_fails(play: Behavior, status: i32, sqlstate: &str, words: &[&str]) -> Box<Failure> {
    let authority = start_mock_server(Config::http());
    authority.set_default_behavior(play);
    assert_fails(&minimal_string(&authority, ""), status, sqlstate, words)
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
    let cut_off =
        b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 400\r\n\r\n{\"access_token\":";
    for play in [
        Behavior::Redirect { location: "https://login.example.com/?secret=1".to_owned() },
        Behavior::Html { status: 200 },
        Behavior::BigBody(2 << 20),
        Behavior::Raw(cut_off.to_vec()),
        token_response(r#"{"access_token":"at""#),
        token_response("{}"),
        token_response(r#"{"access_token":"","token_type":"Bearer"}"#),
        token_response(r#"{"access_token":42,"token_type":"Bearer"}"#),
        token_response(r#"{"access_token":"a\r\nX-Injected: 1","token_type":"Bearer"}"#),
    ] {
        assert_response_fails(play, AUTHGRANT_BAD_RESPONSE, "HY000", &["127.0.0.1"]);
    }
}

#[test]
fn oauth_errors_map_to_statuses() {
    let denied = assert_response_fails(
        error_response(400, "invalid_grant"),
        AUTHGRANT_DENIED,
        "28000",
        &["invalid_grant", "because"],
    );
    assert_eq!(denied.oauth_error.as_deref(), Some("invalid_grant"));
    assert_eq!(denied.oauth_description.as_deref(), Some("because"));
    assert_eq!(denied.http_status, 400);
    assert_response_fails(
        error_response(401, "invalid_client"),
        AUTHGRANT_DENIED,
        "28000",
        &["invalid_client"],
    );
    assert_response_fails(
        error_response(200, "invalid_grant"),
        AUTHGRANT_DENIED,
        "28000",
        &["invalid_grant"],
    );
    assert_response_fails(
        error_response(400, "consent_required"),
        AUTHGRANT_CONSENT_REQUIRED,
        "28000",
        &["consent"],
    );
    let wait = vec![("Retry-After".to_owned(), "120".to_owned())];
    let throttled = Behavior::Json { status: 429, body: json!({}), headers: wait };
    let throttled = assert_response_fails(throttled, AUTHGRANT_THROTTLED, "08004", &["120 s"]);
    assert_eq!((throttled.retry_after, throttled.http_status), (120, 429));
    assert_response_fails(
        Behavior::Json { status: 503, body: json!(null), headers: Vec::new() },
        AUTHGRANT_SERVER_ERROR,
        "08004",
        &["503"],
    );
    assert_response_fails(Behavior::Html { status: 500 }, AUTHGRANT_SERVER_ERROR, "08004", &["500"]);
}

#[test]
fn denied_assertion_message_shows_audience_and_clock() {
    let authority = start_mock_server(Config { date_skew: 300, ..Config::http() });
    let string = minimal_string(&authority, "ClaimsAudience=https://elsewhere.example");
    let words = ["\"https://elsewhere.example\"", &authority.url("/oauth/token"), "ahead of ours", ISSUER];
    assert_fails(&string, AUTHGRANT_DENIED, "28000", &words);
}

#[test]
fn missing_consent_has_consent_url() {
    let authority = start_mock_server(Config { audience: Some("127.0.0.1".to_owned()), ..Config::http() });
    authority.require_consent("jsmith@example.com");
    let string = format!("Provider=docusign;{}", datadirect_string(&stores::path("keytool.jks"), &authority));
    let failure = assert_fails(&string, AUTHGRANT_CONSENT_REQUIRED, "28000", &["open http"]);
    let wanted = format!(
        "{}?response_type=code&scope=signature%20impersonation&client_id={ISSUER}&redirect_uri=http%3A%2F%2Flocalhost%3A3000",
        authority.url("/oauth/auth")
    );
    assert_eq!(failure.consent_url, Some(wanted));
}

#[test]
fn unknown_key_or_issuer_is_denied() {
    let authority = start_mock_server(Config::http());
    let foreign = format!(
        "am=55;ClaimsIssuer={ISSUER};ClaimsSubject=a;JWTCertStore={};TokenEndpoint={}",
        stores::path("other.pem"),
        authority.url("/oauth/token")
    );
    assert_fails(&foreign, AUTHGRANT_DENIED, "28000", &["invalid_grant"]);
    assert_fails(&foreign.replace(ISSUER, "nobody"), AUTHGRANT_DENIED, "28000", &["\"nobody\""]);
}

#[test]
fn unsupported_method_differs_from_invalid() {
    assert_fails("AuthenticationMethod=30", AUTHGRANT_UNSUPPORTED, "HYC00", &["30"]);
}

#[test]
fn open_validates_syntax_only() {
    for string in ["", "AuthenticationMethod=99;JWTCertStore=/nowhere", "Nonsense=1", "TokenURI=nonsense"] {
        open(string).unwrap_or_else(|failure| panic!("{string}: {failure:?}"));
    }
}

#[test]
fn unreadable_trust_store_names_option() {
    let authority = start_mock_server(Config::https());
    let string = minimal_string(&authority, "TrustStore=/nowhere/ca.pem");
    let failure =
        assert_fails(&string, AUTHGRANT_KEY_STORE_ERROR, "28000", &["TrustStore", "/nowhere/ca.pem"]);
    assert_eq!(failure.option.as_deref(), Some("TrustStore"));
}

#[test]
fn transient_errors_are_retryable() {
    let retryable = |play| failure_for_response(play).retryable == 1;
    assert!(retryable(Behavior::Html { status: 500 }) && retryable(Behavior::Reset));
    assert!(retryable(Behavior::Json { status: 429, body: json!({}), headers: Vec::new() }));
    assert!(!retryable(error_response(400, "invalid_grant")) && !retryable(token_response("{}")));
}

/// The failure of a token request that the server answers with `play`.
fn failure_for_response(play: Behavior) -> Box<Failure> {
    let authority = start_mock_server(Config::http());
    authority.set_default_behavior(play);
    get_token(&minimal_string(&authority, "")).unwrap_err()
}

#[test]
fn provider_error_code_is_exposed() {
    let play = Behavior::Json {
        status: 400,
        body: json!({"error": "invalid_client", "error_description": "AADSTS700027: not registered"}),
        headers: Vec::new(),
    };
    assert_eq!(failure_for_response(play).provider_code.as_deref(), Some("AADSTS700027"));
    assert_eq!(failure_for_response(error_response(400, "invalid_grant")).provider_code, None);
}

#[test]
fn other_denials_have_no_consent_url() {
    let authority = start_mock_server(Config { audience: Some("127.0.0.1".to_owned()), ..Config::http() });
    authority.set_default_behavior(error_response(400, "invalid_grant"));
    let string = format!("Provider=docusign;{}", datadirect_string(&stores::path("keytool.jks"), &authority));
    assert_eq!(assert_fails(&string, AUTHGRANT_DENIED, "28000", &[]).consent_url, None);
}
