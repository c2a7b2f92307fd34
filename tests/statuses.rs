//! Each way in which it can go wrong has its status, its SQLSTATE and a message that names what to mend.
//!
//! Every row goes through the C API: open, then get_token.

mod support;

use std::net::TcpListener;
use std::time::{Duration, Instant};

use authgrant::ffi::status::*;
use authority::{Certificate, Config, Play};
use serde_json::json;
use support::c_api::{Failure, ask, open};
use support::{ISSUER, authority, page_string, short_string, stores};

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
fn fails(string: &str, status: i32, sqlstate: &str, words: &[&str]) -> Box<Failure> {
    let failure = ask(string).err().unwrap_or_else(|| panic!("{string} gets a token"));
    assert_failure(&failure, status, sqlstate, words);
    failure
}

/// A key store row: signing alone, no server.
fn with_store(store: &str, more: &str) -> String {
    format!("AuthenticationMethod=55;ClaimsIssuer=me;JWTCertStore={store};{more}")
}

#[test]
fn options_that_are_missing_or_wrong() {
    fails("", AUTHGRANT_MISSING_OPTION, "28000", &["AuthenticationMethod"]);
    fails("Scope=a", AUTHGRANT_MISSING_OPTION, "28000", &["AuthenticationMethod"]);
    fails("ClaimsIssuer={abc", AUTHGRANT_INVALID_CONNECTION_STRING, "HY000", &["offset 13"]);
    fails("AuthenticationMethod=55", AUTHGRANT_MISSING_OPTION, "28000", &["ClaimsIssuer", "JWTCertStore"]);
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
        let failure = fails(text, AUTHGRANT_INVALID_OPTION, "HY024", &[option]);
        assert_eq!(failure.option.as_deref(), Some(option));
    }
    for text in
        ["am=55;TokenURI=POST http://192.0.2.1/t", "am=55;TokenURI=POST http://localhost.evil.example/t"]
    {
        fails(text, AUTHGRANT_INVALID_OPTION, "HY024", &["https"]);
    }
}

#[test]
fn stores_that_cannot_be_read() {
    let missing = "/nowhere/at all.jks";
    fails(&with_store(missing, ""), AUTHGRANT_KEY_STORE, "28000", &["JWTCertStore", missing]);
    for name in ["directory", "fifo", "large", "empty", "random", "truncated.jks", "truncated.p12"] {
        let store = stores::path(name);
        let failure =
            fails(&with_store(&store, "JWTCertPassword=secret"), AUTHGRANT_KEY_STORE, "28000", &[&store]);
        assert_eq!(failure.option.as_deref(), Some("JWTCertStore"), "{name}");
    }
}

#[test]
fn passwords_that_do_not_open() {
    for name in ["keytool.jks", "keytool-pkcs12.jks", "openssl.p12", "encrypted.pem"] {
        let store = stores::path(name);
        let wrong = with_store(&store, "JWTCertPassword=hunter2");
        let failure = fails(&wrong, AUTHGRANT_KEY_PASSWORD, "28000", &[&store, "JWTCertPassword"]);
        assert!(!failure.message.contains("hunter2"), "{failure:?}");
        fails(&with_store(&store, ""), AUTHGRANT_KEY_PASSWORD, "28000", &[&store]);
    }
    let store = stores::path("keypass.jks");
    let right = with_store(&store, "JWTCertPassword=secret;JWTCertKeyPassword=another");
    ask(&right).expect("a key may have a password of its own");
    fails(
        &with_store(&store, "JWTCertPassword=secret"),
        AUTHGRANT_KEY_PASSWORD,
        "28000",
        &["JWTCertKeyPassword"],
    );
}

#[test]
fn wrong_store_password_misses_cached_key() {
    for name in ["keytool.jks", "openssl.p12", "encrypted.pem"] {
        let store = stores::path(name);
        ask(&with_store(&store, "JWTCertPassword=secret")).unwrap();
        fails(&with_store(&store, "JWTCertPassword=wrong!"), AUTHGRANT_KEY_PASSWORD, "28000", &[&store]);
        fails(&with_store(&store, ""), AUTHGRANT_KEY_PASSWORD, "28000", &[&store]);
    }
}

#[test]
fn keys_that_are_not_there() {
    let password = "JWTCertPassword=secret;";
    let store = stores::path("keytool.jks");
    fails(
        &with_store(&store, &format!("{password}JWTCertAlias=nobody")),
        AUTHGRANT_KEY_NOT_FOUND,
        "28000",
        &["nobody", "\"signer\"", "JWTCertAlias"],
    );
    let store = stores::path("with-certificate.jks");
    fails(
        &with_store(&store, &format!("{password}JWTCertAlias=trusted")),
        AUTHGRANT_KEY_NOT_FOUND,
        "28000",
        &["trusted", "signer"],
    );
    let store = stores::path("two-keys.jks");
    fails(
        &with_store(&store, password),
        AUTHGRANT_KEY_NOT_FOUND,
        "28000",
        &["signer", "p256", "JWTCertAlias"],
    );
    ask(&with_store(&store, &format!("{password}JWTCertAlias=P256"))).expect("an alias in any case");
}

#[test]
fn keys_that_do_not_fit() {
    let store = stores::path("keytool.jks");
    fails(
        &with_store(&store, "JWTCertPassword=secret;JWTAlgorithm=ES256"),
        AUTHGRANT_KEY_UNSUITABLE,
        "28000",
        &["ES256", "RSA"],
    );
    fails(&with_store(&stores::path("rsa512.pem"), ""), AUTHGRANT_KEY_UNSUITABLE, "28000", &["512", "2048"]);
}

/// A port on which nobody listens.
fn closed_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

fn asking(url: &str, more: &str) -> String {
    with_store(&stores::path("keytool.jks"), &format!("JWTCertPassword=secret;TokenURI=POST {url};{more}"))
}

#[test]
fn servers_that_cannot_be_reached() {
    let port = closed_port();
    let words = ["127.0.0.1", &port.to_string()];
    fails(&asking(&format!("http://127.0.0.1:{port}/t"), ""), AUTHGRANT_NETWORK, "08001", &words);
    let host = "no-such-host.invalid";
    fails(&asking(&format!("https://{host}/t"), ""), AUTHGRANT_NETWORK, "08001", &[host]);
}

#[test]
fn certificates_that_are_not_to_be_trusted_each_for_its_own_reason() {
    let mut messages = Vec::new();
    for certificate in [Certificate::UntrustedCa, Certificate::Expired, Certificate::OtherHost] {
        let authority = authority(Config { certificate, ..Config::https() });
        let failure = fails(&short_string(&authority, ""), AUTHGRANT_TLS, "08001", &["127.0.0.1"]);
        assert!(authority.token_requests().is_empty(), "nothing is sent to a server that is not believed");
        messages.push(failure.message.replace(|c: char| c.is_ascii_digit(), ""));
    }
    messages.dedup();
    assert_eq!(messages.len(), 3, "{messages:#?}");
}

#[test]
fn the_deadline_bounds_the_whole_call() {
    for (https, play) in [
        (false, Play::NeverAnswer),
        (true, Play::NeverAnswer),
        (false, Play::OneBytePerSecond),
        (true, Play::OneBytePerSecond),
    ] {
        let authority = authority(if https { Config::https() } else { Config::http() });
        authority.play_always(play);
        let begin = Instant::now();
        fails(
            &short_string(&authority, "LoginTimeout=1"),
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
fn answered(play: Play, status: i32, sqlstate: &str, words: &[&str]) -> Box<Failure> {
    let authority = authority(Config::http());
    authority.play_always(play);
    fails(&short_string(&authority, ""), status, sqlstate, words)
}

fn body(body: &str) -> Play {
    Play::TokenAnswer(body.to_owned())
}

fn error_answer(status: u16, error: &str) -> Play {
    Play::Json { status, body: json!({"error": error, "error_description": "because"}), headers: Vec::new() }
}

#[test]
fn answers_that_are_no_oauth_answers() {
    let cut_off =
        b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 400\r\n\r\n{\"access_token\":";
    for play in [
        Play::Redirect { location: "https://login.example.com/?secret=1".to_owned() },
        Play::Html { status: 200 },
        Play::BigBody(2 << 20),
        Play::Raw(cut_off.to_vec()),
        body(r#"{"access_token":"at""#),
        body("{}"),
        body(r#"{"access_token":"","token_type":"Bearer"}"#),
        body(r#"{"access_token":42,"token_type":"Bearer"}"#),
        body(r#"{"access_token":"a\r\nX-Injected: 1","token_type":"Bearer"}"#),
    ] {
        answered(play, AUTHGRANT_BAD_RESPONSE, "HY000", &["127.0.0.1"]);
    }
}

#[test]
fn refusals_of_the_server() {
    let denied = answered(
        error_answer(400, "invalid_grant"),
        AUTHGRANT_DENIED,
        "28000",
        &["invalid_grant", "because"],
    );
    assert_eq!(denied.oauth_error.as_deref(), Some("invalid_grant"));
    assert_eq!(denied.oauth_description.as_deref(), Some("because"));
    assert_eq!(denied.http_status, 400);
    answered(error_answer(401, "invalid_client"), AUTHGRANT_DENIED, "28000", &["invalid_client"]);
    answered(error_answer(200, "invalid_grant"), AUTHGRANT_DENIED, "28000", &["invalid_grant"]);
    answered(error_answer(400, "consent_required"), AUTHGRANT_CONSENT_REQUIRED, "28000", &["consent"]);
    let wait = vec![("Retry-After".to_owned(), "120".to_owned())];
    let throttled = Play::Json { status: 429, body: json!({}), headers: wait };
    let throttled = answered(throttled, AUTHGRANT_THROTTLED, "08004", &["120 s"]);
    assert_eq!((throttled.retry_after, throttled.http_status), (120, 429));
    answered(
        Play::Json { status: 503, body: json!(null), headers: Vec::new() },
        AUTHGRANT_SERVER,
        "08004",
        &["503"],
    );
    answered(Play::Html { status: 500 }, AUTHGRANT_SERVER, "08004", &["500"]);
}

#[test]
fn a_refused_assertion_is_shown_next_to_the_token_url_and_the_clock() {
    let authority = authority(Config { date_skew: 300, ..Config::http() });
    let string = short_string(&authority, "ClaimsAudience=https://elsewhere.example");
    let words = ["\"https://elsewhere.example\"", &authority.url("/oauth/token"), "ahead of ours", ISSUER];
    fails(&string, AUTHGRANT_DENIED, "28000", &words);
}

#[test]
fn consent_that_is_missing_comes_with_the_url_to_open() {
    let authority = authority(Config { audience: Some("127.0.0.1".to_owned()), ..Config::http() });
    authority.require_consent("jsmith@example.com");
    let string = format!("Provider=docusign;{}", page_string(&stores::path("keytool.jks"), &authority));
    let failure = fails(&string, AUTHGRANT_CONSENT_REQUIRED, "28000", &["open http"]);
    let wanted = format!(
        "{}?response_type=code&scope=signature%20impersonation&client_id={ISSUER}&redirect_uri=http%3A%2F%2Flocalhost%3A3000",
        authority.url("/oauth/auth")
    );
    assert_eq!(failure.consent_url, Some(wanted));
}

#[test]
fn a_foreign_key_and_an_unknown_issuer_are_denied() {
    let authority = authority(Config::http());
    let foreign = format!(
        "am=55;ClaimsIssuer={ISSUER};ClaimsSubject=a;JWTCertStore={};TokenEndpoint={}",
        stores::path("other.pem"),
        authority.url("/oauth/token")
    );
    fails(&foreign, AUTHGRANT_DENIED, "28000", &["invalid_grant"]);
    fails(&foreign.replace(ISSUER, "nobody"), AUTHGRANT_DENIED, "28000", &["\"nobody\""]);
}

#[test]
fn a_method_that_is_not_built_in_is_told_from_a_wrong_one() {
    fails("AuthenticationMethod=30", AUTHGRANT_UNSUPPORTED, "HYC00", &["30"]);
}

#[test]
fn open_fails_for_the_text_alone() {
    for string in ["", "AuthenticationMethod=99;JWTCertStore=/nowhere", "Nonsense=1", "TokenURI=nonsense"] {
        open(string).unwrap_or_else(|failure| panic!("{string}: {failure:?}"));
    }
}

#[test]
fn a_trust_store_that_cannot_be_read_is_named() {
    let authority = authority(Config::https());
    let string = short_string(&authority, "TrustStore=/nowhere/ca.pem");
    let failure = fails(&string, AUTHGRANT_KEY_STORE, "28000", &["TrustStore", "/nowhere/ca.pem"]);
    assert_eq!(failure.option.as_deref(), Some("TrustStore"));
}

#[test]
fn what_may_succeed_with_nothing_changed_is_said_to_be_retryable() {
    let retryable = |play| answered_by(play).retryable == 1;
    assert!(retryable(Play::Html { status: 500 }) && retryable(Play::Reset));
    assert!(retryable(Play::Json { status: 429, body: json!({}), headers: Vec::new() }));
    assert!(!retryable(error_answer(400, "invalid_grant")) && !retryable(body("{}")));
}

/// The failure of a token request that the server answers with `play`.
fn answered_by(play: Play) -> Box<Failure> {
    let authority = authority(Config::http());
    authority.play_always(play);
    ask(&short_string(&authority, "")).unwrap_err()
}

#[test]
fn the_providers_own_code_is_told() {
    let play = Play::Json {
        status: 400,
        body: json!({"error": "invalid_client", "error_description": "AADSTS700027: not registered"}),
        headers: Vec::new(),
    };
    assert_eq!(answered_by(play).provider_code.as_deref(), Some("AADSTS700027"));
    assert_eq!(answered_by(error_answer(400, "invalid_grant")).provider_code, None);
}

#[test]
fn no_consent_url_comes_with_another_refusal() {
    let authority = authority(Config { audience: Some("127.0.0.1".to_owned()), ..Config::http() });
    authority.play_always(error_answer(400, "invalid_grant"));
    let string = format!("Provider=docusign;{}", page_string(&stores::path("keytool.jks"), &authority));
    assert_eq!(fails(&string, AUTHGRANT_DENIED, "28000", &[]).consent_url, None);
}
