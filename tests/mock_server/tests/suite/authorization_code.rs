//! Authorization endpoint and codes: PKCE, exact redirect URIs, single use, parameters of the redirect.

use aws_lc_rs::digest;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED, UnparsedPublicKey};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use mock_server::{AuthorizeBehavior, ClientOptions, Config, GrantType, MockServer};
use serde_json::{Value, json};

use crate::http_client::{self, Response};
use crate::signer;

const REDIRECT_URI: &str = "http://127.0.0.1:3000/back?a=1";
const ENCODED_REDIRECT_URI: &str = "http%3A%2F%2F127.0.0.1%3A3000%2Fback%3Fa%3D1";
// RFC 7636 appendix B.
const VERIFIER: &str = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
const CHALLENGE: &str = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM";

fn start_server() -> MockServer {
    let server = MockServer::start(Config::http());
    let scopes = ["openid", "read", "signature", "impersonation"].map(str::to_owned).to_vec();
    let redirect_uris = vec![REDIRECT_URI.to_owned(), "http://localhost:3000/back".to_owned()];
    let options = ClientOptions { scopes, redirect_uris, ..ClientOptions::default() };
    server.register::<&str>("app", &[], options.clone());
    server.register::<&str>("other", &[], options);
    server
}

/// The valid query with one parameter replaced; an empty value removes it.
fn query_with(name: &str, value: &str) -> String {
    let valid = [
        ("response_type", "code"),
        ("client_id", "app"),
        ("redirect_uri", ENCODED_REDIRECT_URI),
        ("scope", "openid%20read"),
        ("state", "s%201"),
        ("nonce", "n1"),
        ("code_challenge", CHALLENGE),
        ("code_challenge_method", "S256"),
    ];
    let changed = valid.map(|(key, default)| (key, if key == name { value } else { default }));
    let present = changed.iter().filter(|(_, value)| !value.is_empty());
    present.map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>().join("&")
}

fn request_page(server: &MockServer, method: &str, query: &str, body: &str) -> Response {
    let target = format!("/oauth/auth?{query}");
    http_client::send_request(server, &http_client::build_request(server, method, &target, "", body))
}

fn redirect_location(server: &MockServer, query: &str) -> String {
    let response = request_page(server, "GET", query, "");
    assert_eq!(response.status, 302, "{}", response.body);
    response.header("location").unwrap().to_owned()
}

fn obtain_code(server: &MockServer) -> String {
    let location = redirect_location(server, &query_with("", ""));
    let rest = location.strip_prefix(&format!("{REDIRECT_URI}&code=")).unwrap();
    rest.strip_suffix("&state=s%201").unwrap().to_owned()
}

fn redeem_code(server: &MockServer, code: &str, name: &str, value: &str) -> Response {
    let valid = [
        ("grant_type", "authorization_code"),
        ("code", code),
        ("client_id", "app"),
        ("redirect_uri", ENCODED_REDIRECT_URI),
        ("code_verifier", VERIFIER),
    ];
    let changed = valid.map(|(key, default)| (key, if key == name { value } else { default }));
    let present = changed.iter().filter(|(_, value)| !value.is_empty());
    let body: Vec<String> = present.map(|(name, value)| format!("{name}={value}")).collect();
    http_client::send_request(server, &http_client::build_token_request(server, &body.join("&")))
}

fn assert_refused(response: &Response, error: &str, reason: &str) {
    let body = response.json();
    assert_eq!(body["error"], error, "{body}");
    assert!(body["error_description"].as_str().unwrap().contains(reason), "{reason}: {body}");
}

fn decode_jwt_part(jwt: &str, index: usize) -> Value {
    let bytes = URL_SAFE_NO_PAD.decode(jwt.split('.').nth(index).unwrap()).unwrap();
    serde_json::from_slice(&bytes).unwrap()
}

#[test]
fn code_yields_access_refresh_and_id_token() {
    let server = start_server();
    let response = redeem_code(&server, &obtain_code(&server), "", "");
    assert_eq!(response.status, 200, "{}", response.body);
    let body = response.json();
    assert_eq!(
        (&body["scope"], &body["access_token"]),
        (&json!("openid read"), &json!(server.issued_tokens()[0]))
    );
    assert_eq!(body["refresh_token"], server.refresh_tokens()[0]);
    let claims = decode_jwt_part(body["id_token"].as_str().unwrap(), 1);
    assert_eq!(
        (&claims["aud"], &claims["sub"], &claims["nonce"]),
        (&json!("app"), &json!("user-1"), &json!("n1"))
    );
    assert_eq!(claims["iss"], server.url(""));
    let pkce = digest::digest(&digest::SHA256, VERIFIER.as_bytes());
    assert_eq!(CHALLENGE, URL_SAFE_NO_PAD.encode(pkce));
}

#[test]
fn id_token_verifies_and_needs_openid_scope() {
    let server = start_server();
    let token =
        redeem_code(&server, &obtain_code(&server), "", "").json()["id_token"].as_str().unwrap().to_owned();
    let jwks = http_client::build_request(&server, "GET", "/oauth/jwks", "", "");
    let key = http_client::send_request(&server, &jwks).json()["keys"][0].take();
    assert_eq!(decode_jwt_part(&token, 0)["kid"], key["kid"]);
    let coordinate = |name: &str| URL_SAFE_NO_PAD.decode(key[name].as_str().unwrap()).unwrap();
    let point = [vec![4], coordinate("x"), coordinate("y")].concat();
    let (message, signature) = token.rsplit_once('.').unwrap();
    let signature = URL_SAFE_NO_PAD.decode(signature).unwrap();
    let key = UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, point);
    key.verify(message.as_bytes(), &signature).unwrap();
    let location = redirect_location(&server, &query_with("scope", "read"));
    let code = location.split("code=").nth(1).unwrap().split('&').next().unwrap();
    assert_eq!(redeem_code(&server, code, "", "").json()["id_token"], Value::Null);
}

#[test]
fn code_survives_refused_requests() {
    let server = start_server();
    let code = obtain_code(&server);
    let long = "x".repeat(129);
    let cases = [
        ("code", "unknown", "invalid_grant", "code is unknown"),
        ("code", "", "invalid_request", "code is missing"),
        ("client_id", "other", "invalid_grant", "another client"),
        ("client_id", "", "invalid_client", "does not identify the client"),
        ("redirect_uri", "", "invalid_grant", "redirect_uri is None"),
        ("redirect_uri", "http%3A%2F%2Flocalhost%3A3000%2Fback", "invalid_grant", "redirect_uri is"),
        ("code_verifier", "", "invalid_request", "code_verifier is missing"),
        ("code_verifier", CHALLENGE, "invalid_grant", "hashes to"),
        ("code_verifier", "short", "invalid_request", "43 to 128"),
        ("code_verifier", long.as_str(), "invalid_request", "43 to 128"),
    ];
    for (name, value, error, reason) in cases {
        assert_refused(&redeem_code(&server, &code, name, value), error, reason);
    }
    assert_eq!(redeem_code(&server, &code, "", "").status, 200);
}

#[test]
fn code_reuse_revokes_issued_tokens() {
    let server = start_server();
    let code = obtain_code(&server);
    let refresh = redeem_code(&server, &code, "", "").json()["refresh_token"].as_str().unwrap().to_owned();
    assert_refused(&redeem_code(&server, &code, "", ""), "invalid_grant", "used before");
    let body = format!("grant_type=refresh_token&refresh_token={refresh}&client_id=app");
    let response = http_client::send_request(&server, &http_client::build_token_request(&server, &body));
    assert_refused(&response, "invalid_grant", "was revoked");
}

#[test]
fn code_expires_after_one_minute() {
    let server = start_server();
    let code = obtain_code(&server);
    server.reconfigure(|config| config.clock_skew = 61);
    assert_refused(&redeem_code(&server, &code, "", ""), "invalid_grant", "expired");
}

#[test]
fn unregistered_redirect_uri_is_not_followed() {
    let server = start_server();
    let cases = [
        ("client_id", "unknown", "not registered"),
        ("client_id", "", "client_id is missing"),
        ("redirect_uri", "", "redirect_uri is missing"),
        ("redirect_uri", "http%3A%2F%2F127.0.0.1%3A3001%2Fback%3Fa%3D1", "expected one of"),
        ("redirect_uri", "HTTP%3A%2F%2F127.0.0.1%3A3000%2Fback%3Fa%3D1", "expected one of"),
        ("state", "1&state=2", "state appears more than once"),
    ];
    for (name, value, reason) in cases {
        let response = request_page(&server, "GET", &query_with(name, value), "");
        assert_eq!((response.status, response.header("location")), (400, None), "{name}");
        assert!(response.body.contains(reason), "{reason}: {}", response.body);
    }
}

#[test]
fn registered_redirect_uris_apply_to_consent() {
    let server = start_server();
    let register = |grant_type, redirect_uris: &[&str]| {
        let redirect_uris = redirect_uris.iter().map(|uri| (*uri).to_owned()).collect();
        let grant_types = vec![grant_type];
        server.register::<&str>(
            "app",
            &[],
            ClientOptions { grant_types, redirect_uris, ..Default::default() },
        );
    };
    let consent = query_with("scope", "signature%20impersonation");
    for (grant_type, redirect_uris, status) in [
        (GrantType::JwtBearer, &[][..], 302),
        (GrantType::JwtBearer, &[REDIRECT_URI][..], 302),
        (GrantType::JwtBearer, &["http://localhost:3000/back"][..], 400),
        (GrantType::AuthorizationCode, &[][..], 400),
    ] {
        register(grant_type, redirect_uris);
        let response = request_page(&server, "GET", &consent, "");
        assert_eq!(response.status, status, "{grant_type:?} {redirect_uris:?}: {}", response.body);
    }
}

#[test]
fn codes_are_unique_with_128_bits() {
    let server = start_server();
    let (first, second) = (obtain_code(&server), obtain_code(&server));
    assert_ne!(first, second);
    for code in [first, second] {
        let digits = code.strip_prefix("code-").unwrap();
        assert!(digits.len() == 32 && digits.bytes().all(|digit| digit.is_ascii_hexdigit()), "{code}");
    }
}

#[test]
fn authorization_errors_redirect_with_state() {
    let server = start_server();
    let cases = [
        ("response_type", "token", "unsupported_response_type", ""),
        ("response_type", "", "invalid_request", "response_type%20is%20missing"),
        ("scope", "all", "invalid_scope", "all"),
        ("code_challenge", "", "invalid_request", "code_challenge%20is%20missing"),
        ("code_challenge", "abc", "invalid_request", "SHA-256"),
        ("code_challenge_method", "plain", "invalid_request", "expected%20S256"),
        ("code_challenge_method", "", "invalid_request", "expected%20S256"),
    ];
    for (name, value, error, reason) in cases {
        let location = redirect_location(&server, &query_with(name, value));
        assert!(location.starts_with(&format!("{REDIRECT_URI}&error={error}&")), "{location}");
        assert!(location.contains(reason) && location.ends_with("&state=s%201"), "{location}");
    }
}

#[test]
fn pkce_is_optional_only_if_configured() {
    let server = start_server();
    let query = query_with("code_challenge", "").replace("&code_challenge_method=S256", "");
    assert!(
        redirect_location(&server, &query).starts_with(&format!("{REDIRECT_URI}&error=invalid_request&"))
    );
    server.reconfigure(|config| config.require_pkce = false);
    let location = redirect_location(&server, &query);
    let code = location.split("code=").nth(1).unwrap().split('&').next().unwrap();
    assert_refused(&redeem_code(&server, code, "", ""), "invalid_grant", "no code_challenge");
    assert_eq!(redeem_code(&server, code, "code_verifier", "").status, 200);
}

#[test]
fn authorize_behaviors_follow_config() {
    let server = start_server();
    server.reconfigure(|config| config.authorization_iss = Some("https://as.example/?x".to_owned()));
    assert!(
        redirect_location(&server, &query_with("", ""))
            .ends_with("&state=s%201&iss=https%3A%2F%2Fas.example%2F%3Fx")
    );
    server.reconfigure(|config| config.authorize = AuthorizeBehavior::Error("access_denied".to_owned()));
    assert!(
        redirect_location(&server, &query_with("", ""))
            .starts_with(&format!("{REDIRECT_URI}&error=access_denied&state="))
    );
    server.reconfigure(|config| config.authorize = AuthorizeBehavior::WrongState);
    assert!(redirect_location(&server, &query_with("", "")).contains("&state=wrong-state"));
    server.reconfigure(|config| config.authorize = AuthorizeBehavior::Never);
    assert_eq!(request_page(&server, "GET", &query_with("", ""), "").status, 200);
    assert_eq!(request_page(&server, "POST", &query_with("", ""), "decision=allow").status, 405);
}

#[test]
fn consent_form_buttons_allow_and_deny() {
    let server = start_server();
    server.reconfigure(|config| config.authorize = AuthorizeBehavior::Form);
    let page = request_page(&server, "GET", &query_with("", ""), "");
    assert!(page.header("content-type").unwrap().starts_with("text/html"));
    let action =
        page.body.split("action=\"").nth(1).unwrap().split('"').next().unwrap().replace("&amp;", "&");
    for (decision, outcome) in [("allow", "&code="), ("deny", "&error=access_denied")] {
        let body = format!("decision={decision}");
        let request = http_client::build_request(&server, "POST", &action, "", &body);
        let response = http_client::send_request(&server, &request);
        assert!(response.header("location").unwrap().contains(outcome), "{decision}");
    }
}

#[test]
fn admin_consent_scope_grants_consent() {
    let server = start_server();
    let options = ClientOptions { subjects: vec!["user-1".to_owned()], ..ClientOptions::default() };
    server.register("client-1", &[signer::rsa_key().public_key_pem()], options);
    server.require_consent("user-1");
    let admin = |scope: &str| format!("{}&admin_consent_scope={scope}", query_with("scope", "openid"));
    redirect_location(&server, &admin("signature"));
    assert_eq!(http_client::request_token(&server).json()["error"], "consent_required");
    redirect_location(&server, &admin("signature%20impersonation"));
    assert_eq!(http_client::request_token(&server).status, 200);
}

#[test]
fn logoff_is_counted_and_needs_post() {
    let server = start_server();
    let send = |method| {
        http_client::send_request(
            &server,
            &http_client::build_request(&server, method, "/oauth/logoff", "", ""),
        )
    };
    assert_eq!([send("POST").status, send("GET").status, send("POST").status], [200, 405, 200]);
    assert_eq!(server.logoff_count(), 2);
    server.reconfigure(|config| config.logoff = mock_server::Behavior::Html { status: 500 });
    assert_eq!((send("POST").status, server.logoff_count()), (500, 3));
}
