//! What a token is good for, and the consent that may stand before it.

use mock_server::{Config, ExpiresIn, MockServer};

use crate::http_client::{self, Response};

fn call_whoami(authority: &MockServer, token: &str) -> Response {
    let headers = format!("Authorization: Bearer {token}\r\n");
    http_client::send_request(
        authority,
        &http_client::build_request(authority, "GET", "/api/whoami", &headers, ""),
    )
}

fn visit_consent_page(authority: &MockServer, scope: &str) -> Response {
    let target = format!(
        "/oauth/auth?response_type=code&scope={scope}&client_id=client-1&redirect_uri=http%3A%2F%2Flocalhost%2F&state=s1"
    );
    http_client::send_request(authority, &http_client::build_request(authority, "GET", &target, "", ""))
}

#[test]
fn token_is_valid_until_revoked() {
    let authority = http_client::start_server(Config::http());
    http_client::request_token(&authority);
    let token = authority.issued_tokens().remove(0);
    assert_eq!(call_whoami(&authority, &token).json()["sub"], "user-1");
    assert!(authority.revoke(&token));
    let refused = call_whoami(&authority, &token);
    assert_eq!(refused.status, 401);
    assert!(refused.header("www-authenticate").unwrap().contains("invalid_token"));
    assert_eq!(call_whoami(&authority, "at-9-made-up").status, 401);
}

#[test]
fn token_expires_after_expires_in() {
    let authority = http_client::start_server(Config::http());
    http_client::request_token(&authority);
    let token = authority.issued_tokens().remove(0);
    authority.reconfigure(|config| config.clock_skew = 3599);
    assert_eq!(call_whoami(&authority, &token).status, 200);
    authority.reconfigure(|config| config.clock_skew = 3700);
    assert_eq!(call_whoami(&authority, &token).status, 401);
}

#[test]
fn token_is_invalid_at_expiry_second() {
    let authority = http_client::start_server(Config::http());
    authority.reconfigure(|config| config.expires_in = ExpiresIn::Number(0));
    http_client::request_token(&authority);
    assert_eq!(call_whoami(&authority, &authority.issued_tokens().remove(0)).status, 401);
}

#[test]
fn consent_requires_both_scopes() {
    let authority = http_client::start_server(Config::http());
    authority.require_consent("user-1");
    assert_eq!(http_client::request_token(&authority).json()["error"], "consent_required");
    for wrong in ["signature", "signature+impersonation", "signature,impersonation"] {
        assert_eq!(visit_consent_page(&authority, wrong).status, 400, "{wrong}");
    }
    assert_eq!(http_client::request_token(&authority).json()["error"], "consent_required");
    let agreed = visit_consent_page(&authority, "signature%20impersonation");
    assert_eq!(agreed.header("location"), Some("http://localhost/?code=consented&state=s1"));
    assert_eq!(http_client::request_token(&authority).status, 200);
}
