//! Refresh tokens: rotated at each use, and a second use ends all that stems from the same sign-in.

use mock_server::{Behavior, ClientOptions, Config, MockServer};
use serde_json::json;

use crate::http_client::{self, Response};

/// `app` and `other` are public clients of the user `jo`.
fn start_server() -> MockServer {
    let authority = MockServer::start(Config::http());
    let users = [("jo".to_owned(), "pw".to_owned())].into();
    let options = ClientOptions { users, ..ClientOptions::default() };
    authority.register::<&str>("app", &[], options.clone());
    authority.register::<&str>("other", &[], options);
    authority
}

fn post_token_request(authority: &MockServer, body: &str) -> Response {
    http_client::send_request(authority, &http_client::build_token_request(authority, body))
}

fn use_refresh_token(authority: &MockServer, token: &str, more: &str) -> Response {
    post_token_request(
        authority,
        &format!("grant_type=refresh_token&refresh_token={token}&client_id=app{more}"),
    )
}

fn assert_refused(response: &Response, error: &str, reason: &str) {
    let body = response.json();
    assert_eq!(body["error"], error, "{body}");
    assert!(body["error_description"].as_str().unwrap().contains(reason), "{reason}: {body}");
}

fn whoami_status(authority: &MockServer, token: &str) -> u16 {
    let headers = format!("Authorization: Bearer {token}\r\n");
    http_client::send_request(
        authority,
        &http_client::build_request(authority, "GET", "/api/whoami", &headers, ""),
    )
    .status
}

#[test]
fn refresh_token_rotates_on_use() {
    let authority = start_server();
    let signed_in =
        post_token_request(&authority, "grant_type=password&username=jo&password=pw&client_id=app&scope=a+b");
    let first = signed_in.json()["refresh_token"].as_str().unwrap().to_owned();
    let narrowed = use_refresh_token(&authority, &first, "&scope=b").json();
    assert_eq!(narrowed["scope"], "b");
    let second = narrowed["refresh_token"].as_str().unwrap().to_owned();
    assert_ne!(first, second);
    // The narrowing was for the access token only.
    assert_eq!(use_refresh_token(&authority, &second, "").json()["scope"], "a b");
    assert_eq!((authority.refresh_tokens().len(), authority.issued_tokens().len()), (3, 3));
}

#[test]
fn refresh_token_reuse_revokes_family() {
    let authority = start_server();
    let stranger = authority.issue_refresh_token("app", "jo", None);
    let first = authority.issue_refresh_token("app", "jo", None);
    let answer = use_refresh_token(&authority, &first, "").json();
    let (second, access) =
        (answer["refresh_token"].as_str().unwrap(), answer["access_token"].as_str().unwrap());
    assert_eq!(whoami_status(&authority, access), 200);
    assert_refused(&use_refresh_token(&authority, &first, ""), "invalid_grant", "used before");
    assert_refused(&use_refresh_token(&authority, second, ""), "invalid_grant", "was revoked");
    assert_eq!(whoami_status(&authority, access), 401);
    assert_eq!(use_refresh_token(&authority, &stranger, "").status, 200);
}

#[test]
fn invalid_refresh_requests_are_refused() {
    let authority = start_server();
    let token = authority.issue_refresh_token("app", "jo", Some("a b"));
    assert_refused(&use_refresh_token(&authority, "rt-made-up", ""), "invalid_grant", "never given");
    assert_refused(&use_refresh_token(&authority, &token, "&scope=a+c"), "invalid_scope", "\"c\"");
    let by_other = format!("grant_type=refresh_token&refresh_token={token}&client_id=other");
    assert_refused(&post_token_request(&authority, &by_other), "invalid_grant", "another client");
    let by_nobody = format!("grant_type=refresh_token&refresh_token={token}");
    assert_refused(&post_token_request(&authority, &by_nobody), "invalid_client", "does not say who");
    assert_refused(
        &post_token_request(&authority, "grant_type=refresh_token&client_id=app"),
        "invalid_request",
        "is missing",
    );
    assert_eq!(use_refresh_token(&authority, &token, "").status, 200);
}

#[test]
fn revoked_refresh_token_is_refused() {
    let authority = start_server();
    let token = authority.issue_refresh_token("app", "jo", None);
    assert!(authority.revoke(&token) && !authority.revoke("rt-made-up"));
    assert_refused(&use_refresh_token(&authority, &token, ""), "invalid_grant", "was revoked");
}

#[test]
fn unrotated_refresh_token_stays_valid() {
    let authority = start_server();
    authority.reconfigure(|config| config.rotate_refresh_tokens = false);
    let token = authority.issue_refresh_token("app", "jo", None);
    for _ in 0..2 {
        let answer = use_refresh_token(&authority, &token, "");
        assert_eq!((answer.status, &answer.json()["refresh_token"]), (200, &json!(null)));
    }
}

#[test]
fn gateway_error_keeps_refresh_token_valid() {
    let authority = start_server();
    let token = authority.issue_refresh_token("app", "jo", None);
    let busy = Behavior::Json { status: 503, body: json!(null), headers: Vec::new() };
    authority.set_script(vec![busy, Behavior::Raw(Vec::new())]);
    assert_eq!(use_refresh_token(&authority, &token, "").status, 503);
    let body = format!("grant_type=refresh_token&refresh_token={token}&client_id=app");
    let lost = http_client::build_token_request(&authority, &body);
    assert!(http_client::try_send_request(&mut http_client::connect(&authority), &lost).is_err());
    assert_refused(&use_refresh_token(&authority, &token, ""), "invalid_grant", "used before");
}
