//! The quirks of providers held against hand-made requests: each demand refuses what lacks one thing.

use mock_server::{ClientOptions, Config, MockServer, Provider};
use serde_json::{Value, json};

use crate::http_client::{FORM_CONTENT_TYPE, JWT_BEARER_GRANT, Response, build_request, send_request};
use crate::signer;

fn start_provider(provider: Provider) -> MockServer {
    let authority = MockServer::start(Config::for_provider(provider));
    authority.register("client-1", &[signer::rsa_key().public_key_pem()], ClientOptions::default());
    authority
}

/// A JWT bearer request with these changes to the claims; null takes one away.
fn request_token_with(authority: &MockServer, header: &Value, changes: &Value, more: &str) -> Response {
    let mut claims = signer::valid_claims(&authority.url("/oauth/token"));
    for (name, value) in changes.as_object().unwrap() {
        claims[name] = value.clone();
    }
    claims.as_object_mut().unwrap().retain(|_, value| !value.is_null());
    let assertion = signer::sign_jwt(signer::rsa_key(), header, &claims);
    let body = format!("{JWT_BEARER_GRANT}&assertion={assertion}{more}");
    send_request(
        authority,
        &build_request(
            authority,
            "POST",
            "/oauth/token",
            &format!("Content-Type: {FORM_CONTENT_TYPE}\r\n"),
            &body,
        ),
    )
}

fn rs256_header() -> Value {
    json!({ "alg": "RS256", "typ": "JWT" })
}

#[test]
fn provider_requirements_are_enforced_individually() {
    let guid = "464f7988-0000-4000-8000-91d2a53e80e0";
    let now = signer::unix_now();
    for (provider, good, bad, more) in [
        (
            Provider::Docusign,
            json!({ "sub": guid, "aud": "127.0.0.1" }),
            json!({ "sub": "jo@example.com" }),
            "",
        ),
        (Provider::Google, json!({ "scope": "s" }), json!({ "target_audience": "t" }), ""),
        (Provider::Google, json!({ "scope": "s" }), json!({ "scope": null }), ""),
        (Provider::Google, json!({ "scope": "s" }), json!({}), "&scope=s"),
        (Provider::Servicenow, json!({ "scope": null }), json!({ "scope": "s" }), ""),
        (Provider::Okta, json!({ "scope": null }), json!({ "scope": "s" }), ""),
        (Provider::Keycloak, json!({ "scope": null }), json!({ "iat": now, "exp": now + 301 }), ""),
    ] {
        let authority = start_provider(provider);
        let taken = request_token_with(&authority, &rs256_header(), &good, "");
        assert_eq!(taken.status, 200, "{provider:?} {good}: {}", taken.body);
        let mut both = good.clone();
        both.as_object_mut().unwrap().extend(bad.as_object().unwrap().clone());
        both["jti"] = json!("another-id-of-its-own");
        assert_eq!(
            request_token_with(&authority, &rs256_header(), &both, more).status,
            400,
            "{provider:?} {bad} {more}"
        );
    }
}

#[test]
fn box_consumes_jti_of_refused_assertion() {
    let authority = start_provider(Provider::Box);
    let claims = json!({ "jti": "one-id-for-both-times", "box_sub_type": "user", "scope": null });
    let first = request_token_with(&authority, &rs256_header(), &claims, "");
    assert!(first.body.contains("'exp' claim"), "{}", first.body);
    assert!(first.header("date").is_some());
    let second = request_token_with(&authority, &rs256_header(), &claims, "");
    assert!(second.body.contains("'jti' claim"), "{}", second.body);
    let ahead = signer::unix_now() + 300;
    let times = json!({ "iat": ahead, "exp": ahead + 60, "box_sub_type": "user", "scope": null });
    assert_eq!(request_token_with(&authority, &rs256_header(), &times, "").status, 200);
    let untyped = json!({ "scope": null, "iat": ahead, "exp": ahead + 60, "jti": "another-id-of-its-own" });
    assert_eq!(request_token_with(&authority, &rs256_header(), &untyped, "").status, 400);
}

#[test]
fn maskinporten_needs_kid_or_x5c_array() {
    let authority = start_provider(Provider::Maskinporten);
    let now = signer::unix_now();
    let claims = |id: &str| json!({ "iat": now, "exp": now + 120, "scope": "s", "jti": format!("{id}-and-sixteen-more") });
    let named = json!({ "alg": "RS256", "typ": "JWT", "kid": "k" });
    let with_text = json!({ "alg": "RS256", "typ": "JWT", "x5c": "text" });
    assert_eq!(request_token_with(&authority, &named, &claims("a"), "").status, 200);
    assert!(request_token_with(&authority, &named, &claims("a"), "").body.contains("MP-012"));
    assert_eq!(request_token_with(&authority, &rs256_header(), &claims("b"), "").status, 400);
    assert_eq!(request_token_with(&authority, &with_text, &claims("c"), "").status, 400);
    let old = json!({ "iat": now - 30, "exp": now + 90, "scope": "s" });
    assert!(request_token_with(&authority, &named, &old, "").body.contains("MP-130"));
}
