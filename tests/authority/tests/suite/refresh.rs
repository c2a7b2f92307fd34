//! Refresh tokens: rotated at each use, and a second use ends all that stems from the same sign-in.

use authority::{Authority, ClientOptions, Config, Play};
use serde_json::json;

use crate::client::{self, Response};

/// `app` and `other` are public clients of the user `jo`.
fn started() -> Authority {
    let authority = Authority::start(Config::http());
    let users = [("jo".to_owned(), "pw".to_owned())].into();
    let options = ClientOptions { users, ..ClientOptions::default() };
    authority.register::<&str>("app", &[], options.clone());
    authority.register::<&str>("other", &[], options);
    authority
}

fn post(authority: &Authority, body: &str) -> Response {
    client::exchange(authority, &client::token_request(authority, body))
}

fn refresh(authority: &Authority, token: &str, more: &str) -> Response {
    post(authority, &format!("grant_type=refresh_token&refresh_token={token}&client_id=app{more}"))
}

fn refused(response: &Response, error: &str, reason: &str) {
    let body = response.json();
    assert_eq!(body["error"], error, "{body}");
    assert!(body["error_description"].as_str().unwrap().contains(reason), "{reason}: {body}");
}

fn whoami(authority: &Authority, token: &str) -> u16 {
    let headers = format!("Authorization: Bearer {token}\r\n");
    client::exchange(authority, &client::request(authority, "GET", "/api/whoami", &headers, "")).status
}

#[test]
fn each_use_gives_a_new_one_and_ends_the_old() {
    let authority = started();
    let signed_in = post(&authority, "grant_type=password&username=jo&password=pw&client_id=app&scope=a+b");
    let first = signed_in.json()["refresh_token"].as_str().unwrap().to_owned();
    let narrowed = refresh(&authority, &first, "&scope=b").json();
    assert_eq!(narrowed["scope"], "b");
    let second = narrowed["refresh_token"].as_str().unwrap().to_owned();
    assert_ne!(first, second);
    // The narrowing was for the access token only.
    assert_eq!(refresh(&authority, &second, "").json()["scope"], "a b");
    assert_eq!((authority.refresh_tokens().len(), authority.issued().len()), (3, 3));
}

#[test]
fn a_second_use_ends_the_family_and_no_other() {
    let authority = started();
    let stranger = authority.issue_refresh_token("app", "jo", None);
    let first = authority.issue_refresh_token("app", "jo", None);
    let answer = refresh(&authority, &first, "").json();
    let (second, access) =
        (answer["refresh_token"].as_str().unwrap(), answer["access_token"].as_str().unwrap());
    assert_eq!(whoami(&authority, access), 200);
    refused(&refresh(&authority, &first, ""), "invalid_grant", "used before");
    refused(&refresh(&authority, second, ""), "invalid_grant", "was revoked");
    assert_eq!(whoami(&authority, access), 401);
    assert_eq!(refresh(&authority, &stranger, "").status, 200);
}

#[test]
fn a_refresh_token_is_refused_for_each_single_fault() {
    let authority = started();
    let token = authority.issue_refresh_token("app", "jo", Some("a b"));
    refused(&refresh(&authority, "rt-made-up", ""), "invalid_grant", "never given");
    refused(&refresh(&authority, &token, "&scope=a+c"), "invalid_scope", "\"c\"");
    let by_other = format!("grant_type=refresh_token&refresh_token={token}&client_id=other");
    refused(&post(&authority, &by_other), "invalid_grant", "another client");
    let by_nobody = format!("grant_type=refresh_token&refresh_token={token}");
    refused(&post(&authority, &by_nobody), "invalid_client", "does not say who");
    refused(&post(&authority, "grant_type=refresh_token&client_id=app"), "invalid_request", "is missing");
    assert_eq!(refresh(&authority, &token, "").status, 200);
}

#[test]
fn a_revoked_refresh_token_is_worthless() {
    let authority = started();
    let token = authority.issue_refresh_token("app", "jo", None);
    assert!(authority.revoke(&token) && !authority.revoke("rt-made-up"));
    refused(&refresh(&authority, &token, ""), "invalid_grant", "was revoked");
}

#[test]
fn without_rotation_the_old_one_stays_and_none_is_sent() {
    let authority = started();
    authority.reconfigure(|config| config.rotate_refresh_tokens = false);
    let token = authority.issue_refresh_token("app", "jo", None);
    for _ in 0..2 {
        let answer = refresh(&authority, &token, "");
        assert_eq!((answer.status, &answer.json()["refresh_token"]), (200, &json!(null)));
    }
}

#[test]
fn a_gateway_s_answer_leaves_the_token_good_and_a_lost_answer_does_not() {
    let authority = started();
    let token = authority.issue_refresh_token("app", "jo", None);
    let busy = Play::Json { status: 503, body: json!(null), headers: Vec::new() };
    authority.play(vec![busy, Play::Raw(Vec::new())]);
    assert_eq!(refresh(&authority, &token, "").status, 503);
    let body = format!("grant_type=refresh_token&refresh_token={token}&client_id=app");
    let lost = client::token_request(&authority, &body);
    assert!(client::try_exchange(&mut client::connect(&authority), &lost).is_err());
    refused(&refresh(&authority, &token, ""), "invalid_grant", "used before");
}
