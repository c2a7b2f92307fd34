//! Refresh tokens: rotation on each use, and revocation of the family on reuse.

use mock_server::{Behavior, ClientOptions, Config, MockServer};
use serde_json::json;

use crate::http_client::{self, Response};

/// `app` and `other` are public clients of the user `jo`.
fn start_server() -> MockServer {
    let server = MockServer::start(Config::http());
    let users = [("jo".to_owned(), "pw".to_owned())].into();
    let options = ClientOptions { users, ..ClientOptions::default() };
    server.register::<&str>("app", &[], options.clone());
    server.register::<&str>("other", &[], options);
    server
}

fn post_token_request(server: &MockServer, body: &str) -> Response {
    http_client::send_request(server, &http_client::build_token_request(server, body))
}

fn use_refresh_token(server: &MockServer, token: &str, extra: &str) -> Response {
    post_token_request(
        server,
        &format!("grant_type=refresh_token&refresh_token={token}&client_id=app{extra}"),
    )
}

fn assert_refused(response: &Response, error: &str, reason: &str) {
    let body = response.json();
    assert_eq!(body["error"], error, "{body}");
    assert!(body["error_description"].as_str().unwrap().contains(reason), "{reason}: {body}");
}

fn whoami_status(server: &MockServer, token: &str) -> u16 {
    let headers = format!("Authorization: Bearer {token}\r\n");
    http_client::send_request(server, &http_client::build_request(server, "GET", "/api/whoami", &headers, ""))
        .status
}

#[test]
fn refresh_token_rotates_on_use() {
    let server = start_server();
    let response =
        post_token_request(&server, "grant_type=password&username=jo&password=pw&client_id=app&scope=a+b");
    let first = response.json()["refresh_token"].as_str().unwrap().to_owned();
    let narrowed = use_refresh_token(&server, &first, "&scope=b").json();
    assert_eq!(narrowed["scope"], "b");
    let second = narrowed["refresh_token"].as_str().unwrap().to_owned();
    assert_ne!(first, second);
    // The narrowed scope applies to the access token only.
    assert_eq!(use_refresh_token(&server, &second, "").json()["scope"], "a b");
    assert_eq!((server.refresh_tokens().len(), server.issued_tokens().len()), (3, 3));
}

#[test]
fn refresh_token_reuse_revokes_family() {
    let server = start_server();
    let unrelated = server.issue_refresh_token("app", "jo", None);
    let first = server.issue_refresh_token("app", "jo", None);
    let response = use_refresh_token(&server, &first, "").json();
    let (second, access) =
        (response["refresh_token"].as_str().unwrap(), response["access_token"].as_str().unwrap());
    assert_eq!(whoami_status(&server, access), 200);
    assert_refused(&use_refresh_token(&server, &first, ""), "invalid_grant", "used before");
    assert_refused(&use_refresh_token(&server, second, ""), "invalid_grant", "was revoked");
    assert_eq!(whoami_status(&server, access), 401);
    assert_eq!(use_refresh_token(&server, &unrelated, "").status, 200);
}

#[test]
fn invalid_refresh_requests_are_refused() {
    let server = start_server();
    let token = server.issue_refresh_token("app", "jo", Some("a b"));
    assert_refused(&use_refresh_token(&server, "rt-unknown", ""), "invalid_grant", "token is unknown");
    assert_refused(&use_refresh_token(&server, &token, "&scope=a+c"), "invalid_scope", "\"c\"");
    let by_other = format!("grant_type=refresh_token&refresh_token={token}&client_id=other");
    assert_refused(&post_token_request(&server, &by_other), "invalid_grant", "another client");
    let without_client = format!("grant_type=refresh_token&refresh_token={token}");
    assert_refused(
        &post_token_request(&server, &without_client),
        "invalid_client",
        "does not identify the client",
    );
    assert_refused(
        &post_token_request(&server, "grant_type=refresh_token&client_id=app"),
        "invalid_request",
        "is missing",
    );
    assert_eq!(use_refresh_token(&server, &token, "").status, 200);
}

#[test]
fn revoked_refresh_token_is_refused() {
    let server = start_server();
    let token = server.issue_refresh_token("app", "jo", None);
    assert!(server.revoke(&token) && !server.revoke("rt-unknown"));
    assert_refused(&use_refresh_token(&server, &token, ""), "invalid_grant", "was revoked");
}

#[test]
fn unrotated_refresh_token_stays_valid() {
    let server = start_server();
    server.reconfigure(|config| config.rotate_refresh_tokens = false);
    let token = server.issue_refresh_token("app", "jo", None);
    for _ in 0..2 {
        let response = use_refresh_token(&server, &token, "");
        assert_eq!((response.status, &response.json()["refresh_token"]), (200, &json!(null)));
    }
}

#[test]
fn gateway_error_keeps_refresh_token_valid() {
    let server = start_server();
    let token = server.issue_refresh_token("app", "jo", None);
    let busy = Behavior::Json { status: 503, body: json!(null), headers: Vec::new() };
    server.set_script(vec![busy, Behavior::Raw(Vec::new())]);
    assert_eq!(use_refresh_token(&server, &token, "").status, 503);
    let body = format!("grant_type=refresh_token&refresh_token={token}&client_id=app");
    let lost = http_client::build_token_request(&server, &body);
    assert!(http_client::try_send_request(&mut http_client::connect(&server), &lost).is_err());
    assert_refused(&use_refresh_token(&server, &token, ""), "invalid_grant", "used before");
}
