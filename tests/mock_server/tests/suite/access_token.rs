//! Validity of access tokens, and consent.

use mock_server::{Config, ExpiresIn, MockServer};

use crate::http_client::{self, Response};

fn call_whoami(server: &MockServer, token: &str) -> Response {
    let headers = format!("Authorization: Bearer {token}\r\n");
    http_client::send_request(server, &http_client::build_request(server, "GET", "/api/whoami", &headers, ""))
}

fn open_consent_page(server: &MockServer, scope: &str) -> Response {
    let target = format!(
        "/oauth/auth?response_type=code&scope={scope}&client_id=client-1&redirect_uri=http%3A%2F%2Flocalhost%2F&state=s1"
    );
    http_client::send_request(server, &http_client::build_request(server, "GET", &target, "", ""))
}

#[test]
fn token_is_valid_until_revoked() {
    let server = http_client::start_server(Config::http());
    http_client::request_token(&server);
    let token = server.issued_tokens().remove(0);
    assert_eq!(call_whoami(&server, &token).json()["sub"], "user-1");
    assert!(server.revoke(&token));
    let response = call_whoami(&server, &token);
    assert_eq!(response.status, 401);
    assert!(response.header("www-authenticate").unwrap().contains("invalid_token"));
    assert_eq!(call_whoami(&server, "at-9-unknown").status, 401);
}

#[test]
fn token_expires_after_expires_in() {
    let server = http_client::start_server(Config::http());
    http_client::request_token(&server);
    let token = server.issued_tokens().remove(0);
    server.reconfigure(|config| config.clock_skew = 3599);
    assert_eq!(call_whoami(&server, &token).status, 200);
    server.reconfigure(|config| config.clock_skew = 3700);
    assert_eq!(call_whoami(&server, &token).status, 401);
}

#[test]
fn token_is_invalid_at_expiry_second() {
    let server = http_client::start_server(Config::http());
    server.reconfigure(|config| config.expires_in = ExpiresIn::Number(0));
    http_client::request_token(&server);
    assert_eq!(call_whoami(&server, &server.issued_tokens().remove(0)).status, 401);
}

#[test]
fn consent_requires_both_scopes() {
    let server = http_client::start_server(Config::http());
    server.require_consent("user-1");
    assert_eq!(http_client::request_token(&server).json()["error"], "consent_required");
    for wrong in ["signature", "signature+impersonation", "signature,impersonation"] {
        assert_eq!(open_consent_page(&server, wrong).status, 400, "{wrong}");
    }
    assert_eq!(http_client::request_token(&server).json()["error"], "consent_required");
    let response = open_consent_page(&server, "signature%20impersonation");
    assert_eq!(response.header("location"), Some("http://localhost/?code=consented&state=s1"));
    assert_eq!(http_client::request_token(&server).status, 200);
}
