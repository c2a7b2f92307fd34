//! What a token is good for, and the consent that may stand before it.

use authority::{Authority, Config, ExpiresIn};

use crate::client::{self, Response};

fn whoami(authority: &Authority, token: &str) -> Response {
    let headers = format!("Authorization: Bearer {token}\r\n");
    client::exchange(authority, &client::request(authority, "GET", "/api/whoami", &headers, ""))
}

fn visit(authority: &Authority, scope: &str) -> Response {
    let target = format!(
        "/oauth/auth?response_type=code&scope={scope}&client_id=client-1&redirect_uri=http%3A%2F%2Flocalhost%2F&state=s1"
    );
    client::exchange(authority, &client::request(authority, "GET", &target, "", ""))
}

#[test]
fn a_token_opens_the_api_until_it_is_revoked() {
    let authority = client::started(Config::http());
    client::ask_for_token(&authority);
    let token = authority.issued().remove(0);
    assert_eq!(whoami(&authority, &token).json()["sub"], "user-1");
    assert!(authority.revoke(&token));
    let refused = whoami(&authority, &token);
    assert_eq!(refused.status, 401);
    assert!(refused.header("www-authenticate").unwrap().contains("invalid_token"));
    assert_eq!(whoami(&authority, "at-9-made-up").status, 401);
}

#[test]
fn a_token_ends_when_it_said_it_would() {
    let authority = client::started(Config::http());
    client::ask_for_token(&authority);
    let token = authority.issued().remove(0);
    authority.reconfigure(|config| config.clock_skew = 3599);
    assert_eq!(whoami(&authority, &token).status, 200);
    authority.reconfigure(|config| config.clock_skew = 3700);
    assert_eq!(whoami(&authority, &token).status, 401);
}

#[test]
fn token_is_not_good_in_the_second_of_its_end() {
    let authority = client::started(Config::http());
    authority.reconfigure(|config| config.expires_in = ExpiresIn::Number(0));
    client::ask_for_token(&authority);
    assert_eq!(whoami(&authority, &authority.issued().remove(0)).status, 401);
}

#[test]
fn consent_is_required_until_the_page_was_visited_with_both_scopes() {
    let authority = client::started(Config::http());
    authority.require_consent("user-1");
    assert_eq!(client::ask_for_token(&authority).json()["error"], "consent_required");
    for wrong in ["signature", "signature+impersonation", "signature,impersonation"] {
        assert_eq!(visit(&authority, wrong).status, 400, "{wrong}");
    }
    assert_eq!(client::ask_for_token(&authority).json()["error"], "consent_required");
    let agreed = visit(&authority, "signature%20impersonation");
    assert_eq!(agreed.header("location"), Some("http://localhost/?code=consented&state=s1"));
    assert_eq!(client::ask_for_token(&authority).status, 200);
}
