//! Responses of token endpoints that deviate from RFC 6749: error bodies, encodings, token types, lifetimes.
//!
//! Through the C API, against scripted answers of the mock server.

use authgrant::ffi::status::*;
use mock_server::{Behavior, Config, MockServer};
use serde_json::{Value, json};

use crate::support::c_api::{Failure, Token, get_token};
use crate::support::{minimal_string, start_mock_server};

fn json_response(status: u16, body: Value) -> Behavior {
    Behavior::Json { status, body, headers: Vec::new() }
}

fn header_response(status: u16, name: &str, value: &str) -> Behavior {
    Behavior::Json { status, body: Value::Null, headers: vec![(name.to_owned(), value.to_owned())] }
}

/// The result of a token request to which the server answers `behavior` each time, and the number of requests.
fn request_token(behavior: Behavior, options: &str) -> (Result<Token, Box<Failure>>, usize) {
    let server = start_mock_server(Config::http());
    server.set_default_behavior(behavior);
    let result = get_token(&minimal_string(&server, options));
    let count = server.token_requests().len();
    (result, count)
}

#[track_caller]
fn expect_failure(behavior: Behavior, options: &str) -> Failure {
    match request_token(behavior, options) {
        (Err(failure), _) => *failure,
        (Ok(token), _) => panic!("a token: {token:?}"),
    }
}

#[track_caller]
fn expect_token(body: &str, options: &str) -> Token {
    request_token(Behavior::TokenAnswer(body.to_owned()), options)
        .0
        .unwrap_or_else(|failure| panic!("{body}: {failure:?}"))
}

/// The seconds from now to the expiry.
fn remaining_seconds(token: &Token) -> i64 {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs();
    token.expires_at() - i64::try_from(now).unwrap()
}

fn unix_now() -> i64 {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs();
    i64::try_from(now).unwrap()
}

#[test]
fn error_envelopes_are_denied_with_server_words() {
    for (status, body, error, description, code) in [
        (
            401,
            json!({"errorCode": "invalid_client", "errorSummary": "Bad client", "errorId": "oae1"}),
            Some("invalid_client"),
            "Bad client",
            None,
        ),
        (
            403,
            json!({"error": {"code": 403, "message": "No access", "status": "PERMISSION_DENIED"}}),
            None,
            "No access",
            Some("PERMISSION_DENIED"),
        ),
        (
            400,
            json!({"error": {"message": "Bad token", "type": "OAuthException", "code": 190}}),
            None,
            "Bad token",
            Some("190"),
        ),
        (403, json!({"message": "Forbidden"}), None, "Forbidden", None),
        (403, json!({"Message": "explicit deny"}), None, "explicit deny", None),
        (401, json!({"detail": "No credentials"}), None, "No credentials", None),
        (403, json!({"title": "Blocked", "status": 403}), None, "Blocked", None),
        (400, json!({"errorMessage": "not\r\nallowed\u{202e}"}), None, "not allowed", None),
        (
            401,
            json!({"fault": {"faultstring": "Invalid ApiKey", "detail": {"errorcode": "oauth.v2.InvalidApiKey"}}}),
            None,
            "Invalid ApiKey",
            Some("oauth.v2.InvalidApiKey"),
        ),
        (400, json!([{"errorCode": "UNKNOWN", "message": "unknown"}]), None, "unknown", Some("UNKNOWN")),
        (
            200,
            json!({"error": {"message": "No"}, "access_token": "a", "token_type": "Bearer"}),
            None,
            "No",
            None,
        ),
    ] {
        let failure = expect_failure(json_response(status, body.clone()), "");
        assert_eq!((failure.status, failure.sqlstate.as_str()), (AUTHGRANT_DENIED, "28000"), "{failure:?}");
        assert_eq!(failure.http_status, i32::from(status));
        assert_eq!(failure.oauth_error.as_deref(), error, "{body}");
        assert_eq!(failure.oauth_description.as_deref(), Some(description), "{body}");
        assert_eq!(failure.provider_code.as_deref(), code, "{body}");
        assert!(failure.message.contains(description), "{failure:?}");
    }
}

#[test]
fn blank_error_beside_token_is_no_error() {
    for error in ["null", "\"\"", "false", "0", "[]", "{}"] {
        let body = format!(r#"{{"access_token":"a","token_type":"Bearer","error":{error}}}"#);
        assert_eq!(expect_token(&body, "").value(), "a", "{error}");
    }
}

#[test]
fn challenge_alone_explains_denial() {
    let challenge = "Bearer realm=\"r\", error=\"invalid_token\", error_description=\"expired, \\\"old\\\"\"";
    let failure = expect_failure(header_response(401, "WWW-Authenticate", challenge), "");
    assert_eq!((failure.status, failure.http_status), (AUTHGRANT_DENIED, 401));
    assert_eq!(failure.oauth_error.as_deref(), Some("invalid_token"));
    assert_eq!(failure.oauth_description.as_deref(), Some("expired, \"old\""));
}

#[test]
fn wordless_refusal_is_denied_missing_endpoint_is_not() {
    for (behavior, status, http_status) in [
        (json_response(401, Value::Null), AUTHGRANT_DENIED, 401),
        (json_response(403, Value::Null), AUTHGRANT_DENIED, 403),
        (Behavior::Html { status: 403 }, AUTHGRANT_DENIED, 403),
        (json_response(404, Value::Null), AUTHGRANT_BAD_RESPONSE, 404),
        (json_response(404, json!({"error": "Realm does not exist"})), AUTHGRANT_BAD_RESPONSE, 404),
        (json_response(405, json!({"message": "Method Not Allowed"})), AUTHGRANT_BAD_RESPONSE, 405),
        (Behavior::Html { status: 400 }, AUTHGRANT_BAD_RESPONSE, 400),
    ] {
        let failure = expect_failure(behavior, "");
        assert_eq!((failure.status, failure.http_status), (status, http_status), "{failure:?}");
        let is_about_url = failure.message.contains("TokenURI");
        assert_eq!(is_about_url, status == AUTHGRANT_BAD_RESPONSE, "{}", failure.message);
    }
}

#[test]
fn token_type_may_be_empty_padded_or_word_of_provider() {
    let body = |token_type: &str| format!(r#"{{"access_token":"a","token_type":"{token_type}"}}"#);
    for token_type in ["", " ", " Bearer ", "bearer", "BearerToken"] {
        assert_eq!(expect_token(&body(token_type), "").value(), "a", "{token_type}");
    }
    assert_eq!(expect_token(&body("Application"), "Provider=docusign").value(), "a");
    for token_type in ["Application", "DPoP", "mac"] {
        let failure = expect_failure(Behavior::TokenAnswer(body(token_type)), "");
        assert_eq!(failure.status, AUTHGRANT_BAD_RESPONSE, "{token_type}");
        assert_eq!(failure.message.contains("RFC 9449"), token_type == "DPoP", "{}", failure.message);
    }
}

#[test]
fn token_in_body_that_is_not_utf8_is_used() {
    for (content_type, name, text) in [
        ("application/json", &b"Andr\xe9"[..], "André"),
        ("application/json; charset=utf-8", b"Andr\xe9", "André"),
        ("application/json; charset=ISO-8859-2", b"\xa3\xf3d\xbc", "Łódź"),
        ("application/json; charset=Shift_JIS", b"\x95\x5c", "表"),
    ] {
        let body = [&br#"{"access_token":"a","token_type":"Bearer","name":""#[..], name, b"\"}"].concat();
        let head = format!(
            "HTTP/1.1 200 OK\r\nContent-Type: {content_type}\r\nContent-Length: {}\r\n\r\n",
            body.len()
        );
        let (result, _) = request_token(Behavior::Raw([head.as_bytes(), &body].concat()), "");
        let token = result.unwrap_or_else(|failure| panic!("{content_type}: {failure:?}"));
        assert_eq!((token.value().as_str(), token.field("name").as_deref()), ("a", Some(text)));
    }
}

#[test]
fn secret_that_is_part_of_word_changes_nothing() {
    let with_secret = |secret: &str| format!("ClientID=me;ClientSecret={secret};ClientCredentialsMode=Post");
    let refuse = |status, error: &str| json_response(status, json!({"error": error}));
    for (error, secret, status) in [
        ("consent_required", "required", AUTHGRANT_CONSENT_REQUIRED),
        ("invalid_grant", "grant", AUTHGRANT_DENIED),
        ("server_error", "server", AUTHGRANT_SERVER_ERROR),
    ] {
        let failure = expect_failure(refuse(400, error), &with_secret(secret));
        assert_eq!((failure.status, failure.oauth_error.as_deref()), (status, Some(error)), "{secret}");
    }
    let (result, count) = request_token(refuse(400, "temporarily_unavailable"), &with_secret("unavailable"));
    assert_eq!((result.unwrap_err().status, count), (AUTHGRANT_SERVER_ERROR, 3), "the request is retried");
    let body = json!({"error": "invalid_grant", "error_description": "AADSTS65001: consent"});
    let failure = expect_failure(json_response(400, body), &with_secret("65001"));
    assert_eq!(failure.status, AUTHGRANT_CONSENT_REQUIRED);
    assert!(!failure.message.contains("65001"), "{}", failure.message);
    let refused_code = refuse(400, "invalid_hunter2");
    assert_eq!(
        expect_failure(refused_code, &with_secret("hunter2")).oauth_error.as_deref(),
        Some("invalid_****"),
        "a code that is not registered may be an echo"
    );
}

#[test]
fn expiry_may_be_point_in_time() {
    let at = unix_now() + 1800;
    let date = authgrant::base::clock::format_rfc3339(at).unwrap();
    for (members, options, seconds) in [
        (format!(r#""expires_on":"{at}""#), "", 1800),
        (format!(r#""expires_at":{at}"#), "", 1800),
        (format!(r#""expires_at":"{date}""#), "", 1800),
        (format!(r#""expires_in":{at}"#), "", 1800),
        (format!(r#""expires_in":{at}000"#), "", 1800),
        (format!(r#""expires_in":600,"expires_on":{at}"#), "", 600),
        (r#""expires_in":0"#.to_owned(), "AccessTokenLifetime=900", 900),
        (r#""expires_in":"0""#.to_owned(), "Provider=salesforce", 7200),
        (r#""expires_in":0"#.to_owned(), "", 0),
        (r#""expires_in":60"#.to_owned(), "AccessTokenLifetime=900", 60),
    ] {
        let body = format!(r#"{{"access_token":"a","token_type":"Bearer",{members}}}"#);
        let remaining = remaining_seconds(&expect_token(&body, options));
        assert!((remaining - seconds).abs() <= 5, "{members} {options}: {remaining}");
    }
}

#[test]
fn zero_expiry_with_configured_lifetime_is_cached() {
    let server: MockServer = start_mock_server(Config::http());
    let body = r#"{"access_token":"a","token_type":"Bearer","expires_in":0}"#;
    server.set_default_behavior(Behavior::TokenAnswer(body.to_owned()));
    let string = minimal_string(&server, "AccessTokenLifetime=900");
    for _ in 0..3 {
        get_token(&string).unwrap();
    }
    assert_eq!(server.token_requests().len(), 1);
}

/// Each message names what the server judges, with its value.
#[test]
fn rejection_shows_what_server_judges() {
    let client = "ClientID=driver;ClientSecret=s3cret";
    let refuse = |error: &str| json_response(400, json!({"error": error}));
    for (error, options, values, absent) in [
        ("invalid_scope", "Scope=read write", &["\"read write\""][..], "iss was"),
        (
            "invalid_client",
            &format!("{client};ClientCredentialsMode=Basic"),
            &["driver", "ClientCredentialsMode=Post"],
            "the assertion",
        ),
        (
            "invalid_client",
            &format!("{client};ClientCredentialsMode=Post"),
            &["driver", "ClientCredentialsMode=Basic"],
            "the assertion",
        ),
        (
            "unauthorized_client",
            &format!("{client};ClientCredentialsMode=Post"),
            &["driver"],
            "ClientCredentialsMode=",
        ),
        (
            "invalid_grant",
            "JWTKeyID=kid-7;JWTAlgorithm=RS384",
            &["the assertion", "\"kid-7\"", "RS384"],
            "Scope was",
        ),
        (
            "invalid_client",
            "am=OAuth2-JWTClientAssertion;ClientID=driver;JWTKeyID=kid-8",
            &["the client assertion", "\"kid-8\"", "RS256"],
            "Scope was",
        ),
        (
            "invalid_client",
            "am=53;ClientID=driver;ClientSecret=s3cret",
            &["driver", "ClientCredentialsMode=Post"],
            "the assertion",
        ),
        ("use_dpop_nonce", "", &["RFC 9449"], "TokenURI"),
    ] {
        let failure = expect_failure(refuse(error), options);
        assert_eq!((failure.status, failure.oauth_error.as_deref()), (AUTHGRANT_DENIED, Some(error)));
        for value in values {
            assert!(failure.message.contains(value), "no {value} in {}", failure.message);
        }
        assert!(!failure.message.contains(absent), "{absent} in {}", failure.message);
        assert!(!failure.message.contains("s3cret"), "{}", failure.message);
    }
}

#[test]
fn mark_of_provider_suggests_profile() {
    let entra = json!({"error": "invalid_client", "error_description": "AADSTS700027: No key."});
    let okta = json!({"errorCode": "invalid_client", "errorSummary": "Bad client", "errorId": "oae1"});
    for (body, options, suggestion) in [
        (entra.clone(), "", Some("Provider=entra")),
        (entra.clone(), "Provider=okta", Some("Provider=entra")),
        (entra, "Provider=entra", None),
        (okta.clone(), "", Some("Provider=okta")),
        (okta, "Provider=okta", None),
        (
            json!({"error": "invalid_grant", "error_description": "MP-100 Client not found"}),
            "",
            Some("Provider=maskinporten"),
        ),
        (json!({"error": "invalid_grant", "error_description": "AADSTS is not a code"}), "", None),
        (json!({"error": "invalid_grant", "error_description": "no key"}), "", None),
    ] {
        let message = expect_failure(json_response(400, body), options).message;
        match suggestion {
            Some(suggestion) => assert!(message.contains(suggestion), "{message}"),
            None => assert!(!message.contains("set Provider="), "{message}"),
        }
    }
    let consent = json!({"error": "invalid_grant", "error_description": "AADSTS65001: consent"});
    let failure = expect_failure(json_response(400, consent), "");
    assert_eq!(failure.status, AUTHGRANT_CONSENT_REQUIRED);
    assert!(failure.message.contains("Provider=entra"), "{}", failure.message);
}
