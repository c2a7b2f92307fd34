//! Requests that must be accepted: all algorithms, certificates as keys, other audiences, forms of
//! `expires_in`.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use mock_server::{ClientOptions, Config, ExpiresIn, MockServer};
use rcgen::{CertificateParams, KeyPair};
use serde_json::{Value, json};

use crate::http_client::{self, JWT_BEARER_GRANT, Response};
use crate::signer;

fn send_assertion(server: &MockServer, assertion: &str) -> Response {
    let body = format!("{JWT_BEARER_GRANT}&assertion={assertion}");
    http_client::send_request(server, &http_client::build_token_request(server, &body))
}

fn send_claims(server: &MockServer, claims: &Value) -> Response {
    let header = json!({"alg": "RS256", "typ": "JWT"});
    send_assertion(server, &signer::sign_jwt(signer::rsa_key(), &header, claims))
}

#[test]
fn valid_request_gets_token_and_is_recorded() {
    let server = http_client::start_server(Config::http());
    let response = http_client::request_token(&server);
    assert_eq!(response.status, 200, "{}", response.body);
    let body = response.json();
    assert_eq!(body["access_token"], server.issued_tokens()[0]);
    assert_eq!((&body["token_type"], &body["expires_in"]), (&json!("Bearer"), &json!(3600)));
    assert_eq!(body["scope"], "signature impersonation");
    assert_eq!(response.header("cache-control"), Some("no-store"));
    assert!(response.header("date").unwrap().ends_with(" GMT"));
    let requests = server.token_requests();
    assert_eq!(requests[0].claims.as_ref().unwrap()["iss"], "client-1");
    assert_eq!(requests[0].jwt_header.as_ref().unwrap()["alg"], "RS256");
    assert!(requests[0].parameter("grant_type").unwrap().ends_with(":jwt-bearer"));
}

#[test]
fn algorithms_verify_with_matching_key() {
    let server = http_client::start_server(Config::http());
    let (p256, p384, ed25519) = (signer::p256_key(), signer::p384_key(), signer::ed25519_key());
    let rsa = signer::rsa_key();
    let cases: [(&str, &KeyPair); 7] = [
        ("RS256", rsa),
        ("RS512", rsa),
        ("PS256", rsa),
        ("PS384", rsa),
        ("ES256", &p256),
        ("ES384", &p384),
        ("EdDSA", &ed25519),
    ];
    for (algorithm, key) in cases {
        server.register("client-1", &[key.public_key_pem()], ClientOptions::default());
        let claims = signer::valid_claims(&server.url("/oauth/token"));
        let header = json!({"alg": algorithm, "typ": "JWT"});
        let response = send_assertion(&server, &signer::sign_jwt(key, &header, &claims));
        assert_eq!(response.status, 200, "{algorithm}: {}", response.body);
    }
}

#[test]
fn registered_hmac_secret_verifies() {
    let server = http_client::start_server(Config::http());
    let options = ClientOptions { hmac_secret: Some("s".repeat(32)), ..ClientOptions::default() };
    server.register::<&str>("client-1", &[], options);
    let claims = signer::valid_claims(&server.url("/oauth/token"));
    let header = json!({"alg": "HS256", "typ": "JWT"});
    let response =
        send_assertion(&server, &signer::sign_hmac_jwt("s".repeat(32).as_bytes(), &header, &claims));
    assert_eq!(response.status, 200, "{}", response.body);
}

#[test]
fn public_key_is_not_hmac_secret() {
    let server = http_client::start_server(Config::http());
    let public = signer::rsa_key().public_key_pem();
    let algorithms = vec!["RS256".to_owned(), "HS256".to_owned(), "none".to_owned()];
    server.register("client-1", &[&public], ClientOptions { algorithms, ..ClientOptions::default() });
    let claims = signer::valid_claims(&server.url("/oauth/token"));
    let header = json!({"alg": "HS256", "typ": "JWT"});
    let response = send_assertion(&server, &signer::sign_hmac_jwt(public.as_bytes(), &header, &claims));
    assert!(response.body.contains("no registered key"), "{}", response.body);
    let unsigned = signer::signing_input(&json!({"alg": "none", "typ": "JWT"}), &claims);
    assert!(send_assertion(&server, &format!("{unsigned}.")).body.contains("alg is none"));
    assert_eq!(send_claims(&server, &claims).status, 200);
}

#[test]
fn registered_kid_is_required() {
    let server = http_client::start_server(Config::http());
    let options = ClientOptions { kid: Some("k1".to_owned()), ..ClientOptions::default() };
    server.register("client-1", &[signer::rsa_key().public_key_pem()], options);
    for (kid, status) in [(json!("k1"), 200), (json!("k2"), 400), (Value::Null, 400)] {
        let claims = signer::valid_claims(&server.url("/oauth/token"));
        let header = json!({"alg": "RS256", "typ": "JWT", "kid": kid});
        let response = send_assertion(&server, &signer::sign_jwt(signer::rsa_key(), &header, &claims));
        assert_eq!(response.status, status, "{}", response.body);
    }
}

#[test]
fn only_registered_scopes_are_granted() {
    let server = http_client::start_server(Config::http());
    for (scopes, status) in [(vec!["signature", "impersonation"], 200), (vec!["signature"], 400)] {
        let scopes = scopes.into_iter().map(str::to_owned).collect();
        let options = ClientOptions { scopes, ..ClientOptions::default() };
        server.register("client-1", &[signer::rsa_key().public_key_pem()], options);
        assert_eq!(http_client::request_token(&server).status, status);
    }
}

#[test]
fn x5c_must_match_registered_certificate() {
    let server = http_client::start_server(Config::http());
    let certificate =
        CertificateParams::new(vec!["signer".to_owned()]).unwrap().self_signed(signer::rsa_key()).unwrap();
    server.register("client-1", &[certificate.pem()], ClientOptions::default());
    let encoded = STANDARD.encode(certificate.der());
    for (x5c, status) in [(json!([encoded]), 200), (json!(["AAAA"]), 400), (json!(encoded), 400)] {
        let claims = signer::valid_claims(&server.url("/oauth/token"));
        let header = json!({"alg": "RS256", "typ": "JWT", "x5c": x5c});
        let response = send_assertion(&server, &signer::sign_jwt(signer::rsa_key(), &header, &claims));
        assert_eq!(response.status, status, "{}", response.body);
    }
}

#[test]
fn sub_is_optional_unless_required() {
    let server = http_client::start_server(Config::http());
    for (require_sub, subjects, status) in
        [(false, vec![], 200), (true, vec![], 400), (false, vec!["user-1".to_owned()], 400)]
    {
        server.reconfigure(|config| config.require_sub = require_sub);
        let options = ClientOptions { subjects, ..ClientOptions::default() };
        server.register("client-1", &[signer::rsa_key().public_key_pem()], options.clone());
        let mut claims = signer::valid_claims(&server.url("/oauth/token"));
        claims.as_object_mut().unwrap().remove("sub");
        let response = send_claims(&server, &claims);
        assert_eq!(response.status, status, "{require_sub} {options:?}: {}", response.body);
    }
}

#[test]
fn configured_audience_replaces_url() {
    let server =
        http_client::start_server(Config { audience: Some("account.example".to_owned()), ..Config::http() });
    assert_eq!(send_claims(&server, &signer::valid_claims("account.example")).status, 200);
    assert_eq!(http_client::request_token(&server).status, 400);
    let mut claims = signer::valid_claims("");
    claims["aud"] = json!(["account.example"]);
    assert_eq!(send_claims(&server, &claims).status, 200);
}

#[test]
fn endpoint_query_is_part_of_audience() {
    let server = http_client::start_server(Config::http());
    let target = "/tenant-1/oauth/token?api=2";
    let claims = signer::valid_claims(&server.url(target));
    let header = json!({"alg": "RS256", "typ": "JWT"});
    let assertion = signer::sign_jwt(signer::rsa_key(), &header, &claims);
    let headers = format!("Content-Type: {}; charset=UTF-8\r\n", http_client::FORM_CONTENT_TYPE);
    let body = format!("{JWT_BEARER_GRANT}&assertion={assertion}");
    let response = http_client::send_request(
        &server,
        &http_client::build_request(&server, "POST", target, &headers, &body),
    );
    assert_eq!(response.status, 200, "{}", response.body);
}

#[test]
fn expires_in_matches_config() {
    let server = http_client::start_server(Config::http());
    let kinds = [
        (ExpiresIn::Number(60), json!(60)),
        (ExpiresIn::Text("60".to_owned()), json!("60")),
        (ExpiresIn::Absent, Value::Null),
    ];
    for (kind, expected) in kinds {
        server.reconfigure(|config| config.expires_in = kind);
        assert_eq!(http_client::request_token(&server).json()["expires_in"], expected);
    }
}

#[test]
fn clock_skew_affects_checks_and_date() {
    let server = http_client::start_server(Config { clock_skew: 600, ..Config::http() });
    let response = http_client::request_token(&server);
    assert!(response.body.contains("exp is"), "{}", response.body);
    let mut claims = signer::valid_claims(&server.url("/oauth/token"));
    for claim in ["iat", "exp"] {
        claims[claim] = (claims[claim].as_i64().unwrap() + 600).into();
    }
    assert_eq!(send_claims(&server, &claims).status, 200);
}
