//! Emulated providers: each requirement rejects a request that violates only it.

use mock_server::{ClientOptions, Config, MockServer, Provider};
use serde_json::{Value, json};

use crate::http_client::{FORM_CONTENT_TYPE, JWT_BEARER_GRANT, Response, build_request, send_request};
use crate::signer;

fn start_provider(provider: Provider) -> MockServer {
    let server = MockServer::start(Config::for_provider(provider));
    server.register("client-1", &[signer::rsa_key().public_key_pem()], ClientOptions::default());
    server
}

/// Sends a jwt-bearer request with changed claims; null removes a claim.
fn request_token_with(server: &MockServer, header: &Value, changes: &Value, extra: &str) -> Response {
    let mut claims = signer::valid_claims(&server.url("/oauth/token"));
    for (name, value) in changes.as_object().unwrap() {
        claims[name] = value.clone();
    }
    claims.as_object_mut().unwrap().retain(|_, value| !value.is_null());
    let assertion = signer::sign_jwt(signer::rsa_key(), header, &claims);
    let body = format!("{JWT_BEARER_GRANT}&assertion={assertion}{extra}");
    send_request(
        server,
        &build_request(
            server,
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
    for (provider, valid, invalid, extra) in [
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
        (Provider::Keycloak, json!({ "scope": null }), json!({ "iat": now - 310, "exp": now + 60 }), ""),
    ] {
        let server = start_provider(provider);
        let response = request_token_with(&server, &rs256_header(), &valid, "");
        assert_eq!(response.status, 200, "{provider:?} {valid}: {}", response.body);
        let mut claims = valid.clone();
        claims.as_object_mut().unwrap().extend(invalid.as_object().unwrap().clone());
        claims["jti"] = json!("another-unique-id");
        assert_eq!(
            request_token_with(&server, &rs256_header(), &claims, extra).status,
            400,
            "{provider:?} {invalid} {extra}"
        );
    }
}

#[test]
fn box_consumes_jti_of_refused_assertion() {
    let server = start_provider(Provider::Box);
    let claims = json!({ "jti": "same-id-for-both-requests", "box_sub_type": "user", "scope": null });
    let first = request_token_with(&server, &rs256_header(), &claims, "");
    assert!(first.body.contains("'exp' claim"), "{}", first.body);
    assert!(first.header("date").is_some());
    let second = request_token_with(&server, &rs256_header(), &claims, "");
    assert!(second.body.contains("'jti' claim"), "{}", second.body);
    let skewed_now = signer::unix_now() + 300;
    let times = json!({ "iat": skewed_now, "exp": skewed_now + 60, "box_sub_type": "user", "scope": null });
    assert_eq!(request_token_with(&server, &rs256_header(), &times, "").status, 200);
    let untyped =
        json!({ "scope": null, "iat": skewed_now, "exp": skewed_now + 60, "jti": "another-unique-id" });
    assert_eq!(request_token_with(&server, &rs256_header(), &untyped, "").status, 400);
}

#[test]
fn maskinporten_needs_kid_or_x5c_array() {
    let server = start_provider(Provider::Maskinporten);
    let now = signer::unix_now();
    let claims = |id: &str| json!({ "iat": now, "exp": now + 120, "scope": "s", "jti": format!("{id}-with-sixteen-chars") });
    let with_kid = json!({ "alg": "RS256", "typ": "JWT", "kid": "k" });
    let with_text = json!({ "alg": "RS256", "typ": "JWT", "x5c": "text" });
    assert_eq!(request_token_with(&server, &with_kid, &claims("a"), "").status, 200);
    assert!(request_token_with(&server, &with_kid, &claims("a"), "").body.contains("MP-012"));
    assert_eq!(request_token_with(&server, &rs256_header(), &claims("b"), "").status, 400);
    assert_eq!(request_token_with(&server, &with_text, &claims("c"), "").status, 400);
    let old = json!({ "iat": now - 30, "exp": now + 90, "scope": "s" });
    assert!(request_token_with(&server, &with_kid, &old, "").body.contains("MP-130"));
}
