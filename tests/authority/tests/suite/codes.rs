//! The authorization page and its codes: PKCE, redirect URIs byte for byte, single use, what goes with the redirect.

use authority::{Authority, Authorize, ClientOptions, Config, GrantType};
use aws_lc_rs::digest;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED, UnparsedPublicKey};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};

use crate::client::{self, Response};
use crate::signer;

const BACK: &str = "http://127.0.0.1:3000/back?a=1";
const BACK_ENCODED: &str = "http%3A%2F%2F127.0.0.1%3A3000%2Fback%3Fa%3D1";
// RFC 7636 appendix B.
const VERIFIER: &str = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
const CHALLENGE: &str = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM";

fn started() -> Authority {
    let authority = Authority::start(Config::http());
    let scopes = ["openid", "read", "signature", "impersonation"].map(str::to_owned).to_vec();
    let redirect_uris = vec![BACK.to_owned(), "http://localhost:3000/back".to_owned()];
    let options = ClientOptions { scopes, redirect_uris, ..ClientOptions::default() };
    authority.register::<&str>("app", &[], options.clone());
    authority.register::<&str>("other", &[], options);
    authority
}

/// The good query, with one parameter replaced; an empty value takes it out.
fn query(name: &str, value: &str) -> String {
    let good = [
        ("response_type", "code"),
        ("client_id", "app"),
        ("redirect_uri", BACK_ENCODED),
        ("scope", "openid%20read"),
        ("state", "s%201"),
        ("nonce", "n1"),
        ("code_challenge", CHALLENGE),
        ("code_challenge_method", "S256"),
    ];
    let changed = good.map(|(one, usual)| (one, if one == name { value } else { usual }));
    let there = changed.iter().filter(|(_, value)| !value.is_empty());
    there.map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>().join("&")
}

fn visit(authority: &Authority, method: &str, query: &str, body: &str) -> Response {
    let target = format!("/oauth/auth?{query}");
    client::exchange(authority, &client::request(authority, method, &target, "", body))
}

fn location(authority: &Authority, query: &str) -> String {
    let response = visit(authority, "GET", query, "");
    assert_eq!(response.status, 302, "{}", response.body);
    response.header("location").unwrap().to_owned()
}

fn code(authority: &Authority) -> String {
    let location = location(authority, &query("", ""));
    let rest = location.strip_prefix(&format!("{BACK}&code=")).unwrap();
    rest.strip_suffix("&state=s%201").unwrap().to_owned()
}

fn exchange(authority: &Authority, code: &str, name: &str, value: &str) -> Response {
    let good = [
        ("grant_type", "authorization_code"),
        ("code", code),
        ("client_id", "app"),
        ("redirect_uri", BACK_ENCODED),
        ("code_verifier", VERIFIER),
    ];
    let changed = good.map(|(one, usual)| (one, if one == name { value } else { usual }));
    let there = changed.iter().filter(|(_, value)| !value.is_empty());
    let body: Vec<String> = there.map(|(name, value)| format!("{name}={value}")).collect();
    client::exchange(authority, &client::token_request(authority, &body.join("&")))
}

fn refused(response: &Response, error: &str, reason: &str) {
    let body = response.json();
    assert_eq!(body["error"], error, "{body}");
    assert!(body["error_description"].as_str().unwrap().contains(reason), "{reason}: {body}");
}

fn part(jwt: &str, index: usize) -> Value {
    let bytes = URL_SAFE_NO_PAD.decode(jwt.split('.').nth(index).unwrap()).unwrap();
    serde_json::from_slice(&bytes).unwrap()
}

#[test]
fn a_code_is_worth_three_tokens() {
    let authority = started();
    let answer = exchange(&authority, &code(&authority), "", "");
    assert_eq!(answer.status, 200, "{}", answer.body);
    let body = answer.json();
    assert_eq!(
        (&body["scope"], &body["access_token"]),
        (&json!("openid read"), &json!(authority.issued()[0]))
    );
    assert_eq!(body["refresh_token"], authority.refresh_tokens()[0]);
    let claims = part(body["id_token"].as_str().unwrap(), 1);
    assert_eq!(
        (&claims["aud"], &claims["sub"], &claims["nonce"]),
        (&json!("app"), &json!("user-1"), &json!("n1"))
    );
    assert_eq!(claims["iss"], authority.url(""));
    let pkce = digest::digest(&digest::SHA256, VERIFIER.as_bytes());
    assert_eq!(CHALLENGE, URL_SAFE_NO_PAD.encode(pkce));
}

#[test]
fn an_id_token_verifies_by_the_published_key_and_comes_only_with_openid() {
    let authority = started();
    let token =
        exchange(&authority, &code(&authority), "", "").json()["id_token"].as_str().unwrap().to_owned();
    let jwks = client::request(&authority, "GET", "/oauth/jwks", "", "");
    let key = client::exchange(&authority, &jwks).json()["keys"][0].take();
    assert_eq!(part(&token, 0)["kid"], key["kid"]);
    let half = |name: &str| URL_SAFE_NO_PAD.decode(key[name].as_str().unwrap()).unwrap();
    let point = [vec![4], half("x"), half("y")].concat();
    let (message, signature) = token.rsplit_once('.').unwrap();
    let signature = URL_SAFE_NO_PAD.decode(signature).unwrap();
    let key = UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, point);
    key.verify(message.as_bytes(), &signature).unwrap();
    let plain = location(&authority, &query("scope", "read"));
    let code = plain.split("code=").nth(1).unwrap().split('&').next().unwrap();
    assert_eq!(exchange(&authority, code, "", "").json()["id_token"], Value::Null);
}

#[test]
fn a_code_is_refused_for_each_single_fault_and_is_good_afterwards() {
    let authority = started();
    let code = code(&authority);
    let long = "x".repeat(129);
    let cases = [
        ("code", "made-up", "invalid_grant", "never given"),
        ("code", "", "invalid_request", "code is missing"),
        ("client_id", "other", "invalid_grant", "another client"),
        ("client_id", "", "invalid_client", "does not say who"),
        ("redirect_uri", "", "invalid_grant", "redirect_uri is None"),
        ("redirect_uri", "http%3A%2F%2Flocalhost%3A3000%2Fback", "invalid_grant", "redirect_uri is"),
        ("code_verifier", "", "invalid_request", "code_verifier is missing"),
        ("code_verifier", CHALLENGE, "invalid_grant", "hashes to"),
        ("code_verifier", "short", "invalid_request", "43 to 128"),
        ("code_verifier", long.as_str(), "invalid_request", "43 to 128"),
    ];
    for (name, value, error, reason) in cases {
        refused(&exchange(&authority, &code, name, value), error, reason);
    }
    assert_eq!(exchange(&authority, &code, "", "").status, 200);
}

#[test]
fn a_code_is_good_once_and_its_second_use_ends_what_it_gave() {
    let authority = started();
    let code = code(&authority);
    let refresh = exchange(&authority, &code, "", "").json()["refresh_token"].as_str().unwrap().to_owned();
    refused(&exchange(&authority, &code, "", ""), "invalid_grant", "used before");
    let body = format!("grant_type=refresh_token&refresh_token={refresh}&client_id=app");
    let answer = client::exchange(&authority, &client::token_request(&authority, &body));
    refused(&answer, "invalid_grant", "was revoked");
}

#[test]
fn a_code_lives_for_a_minute() {
    let authority = started();
    let code = code(&authority);
    authority.reconfigure(|config| config.clock_skew = 61);
    refused(&exchange(&authority, &code, "", ""), "invalid_grant", "the code ended");
}

#[test]
fn nobody_is_sent_to_an_address_that_is_not_registered() {
    let authority = started();
    let cases = [
        ("client_id", "nobody", "not registered"),
        ("client_id", "", "client_id is missing"),
        ("redirect_uri", "", "redirect_uri is missing"),
        ("redirect_uri", "http%3A%2F%2F127.0.0.1%3A3001%2Fback%3Fa%3D1", "expected one of"),
        ("redirect_uri", "HTTP%3A%2F%2F127.0.0.1%3A3000%2Fback%3Fa%3D1", "expected one of"),
        ("state", "1&state=2", "state stands more than once"),
    ];
    for (name, value, reason) in cases {
        let response = visit(&authority, "GET", &query(name, value), "");
        assert_eq!((response.status, response.header("location")), (400, None), "{name}");
        assert!(response.body.contains(reason), "{reason}: {}", response.body);
    }
}

#[test]
fn registered_redirect_uris_bind_consent_visits_too() {
    let authority = started();
    let register = |grant_type, redirect_uris: &[&str]| {
        let redirect_uris = redirect_uris.iter().map(|uri| (*uri).to_owned()).collect();
        let grant_types = vec![grant_type];
        authority.register::<&str>(
            "app",
            &[],
            ClientOptions { grant_types, redirect_uris, ..Default::default() },
        );
    };
    let consent = query("scope", "signature%20impersonation");
    for (grant_type, redirect_uris, status) in [
        (GrantType::JwtBearer, &[][..], 302),
        (GrantType::JwtBearer, &[BACK][..], 302),
        (GrantType::JwtBearer, &["http://localhost:3000/back"][..], 400),
        (GrantType::AuthorizationCode, &[][..], 400),
    ] {
        register(grant_type, redirect_uris);
        let response = visit(&authority, "GET", &consent, "");
        assert_eq!(response.status, status, "{grant_type:?} {redirect_uris:?}: {}", response.body);
    }
}

#[test]
fn no_two_codes_are_alike_and_each_has_128_bits() {
    let authority = started();
    let (one, another) = (code(&authority), code(&authority));
    assert_ne!(one, another);
    for code in [one, another] {
        let digits = code.strip_prefix("code-").unwrap();
        assert!(digits.len() == 32 && digits.bytes().all(|digit| digit.is_ascii_hexdigit()), "{code}");
    }
}

#[test]
fn other_faults_of_a_visit_go_back_with_the_state() {
    let authority = started();
    let cases = [
        ("response_type", "token", "unsupported_response_type", ""),
        ("response_type", "", "invalid_request", "response_type%20is%20missing"),
        ("scope", "all", "invalid_scope", "all"),
        ("code_challenge", "", "invalid_request", "code_challenge%20is%20missing"),
        ("code_challenge", "abc", "invalid_request", "no%20SHA-256"),
        ("code_challenge_method", "plain", "invalid_request", "expected%20S256"),
        ("code_challenge_method", "", "invalid_request", "expected%20S256"),
    ];
    for (name, value, error, reason) in cases {
        let location = location(&authority, &query(name, value));
        assert!(location.starts_with(&format!("{BACK}&error={error}&")), "{location}");
        assert!(location.contains(reason) && location.ends_with("&state=s%201"), "{location}");
    }
}

#[test]
fn pkce_can_be_left_out_where_that_is_configured_and_only_there() {
    let authority = started();
    let visited = query("code_challenge", "").replace("&code_challenge_method=S256", "");
    assert!(location(&authority, &visited).starts_with(&format!("{BACK}&error=invalid_request&")));
    authority.reconfigure(|config| config.require_pkce = false);
    let location = location(&authority, &visited);
    let code = location.split("code=").nth(1).unwrap().split('&').next().unwrap();
    refused(&exchange(&authority, code, "", ""), "invalid_grant", "without a code_challenge");
    assert_eq!(exchange(&authority, code, "code_verifier", "").status, 200);
}

#[test]
fn iss_errors_and_a_wrong_state_are_played_as_configured() {
    let authority = started();
    authority.reconfigure(|config| config.authorization_iss = Some("https://as.example/?x".to_owned()));
    assert!(
        location(&authority, &query("", "")).ends_with("&state=s%201&iss=https%3A%2F%2Fas.example%2F%3Fx")
    );
    authority.reconfigure(|config| config.authorize = Authorize::Error("access_denied".to_owned()));
    assert!(location(&authority, &query("", "")).starts_with(&format!("{BACK}&error=access_denied&state=")));
    authority.reconfigure(|config| config.authorize = Authorize::WrongState);
    assert!(location(&authority, &query("", "")).contains("&state=a-state-nobody-sent"));
    authority.reconfigure(|config| config.authorize = Authorize::Never);
    assert_eq!(visit(&authority, "GET", &query("", ""), "").status, 200);
    assert_eq!(visit(&authority, "POST", &query("", ""), "decision=allow").status, 405);
}

#[test]
fn a_form_asks_and_both_of_its_buttons_work() {
    let authority = started();
    authority.reconfigure(|config| config.authorize = Authorize::Form);
    let page = visit(&authority, "GET", &query("", ""), "");
    assert!(page.header("content-type").unwrap().starts_with("text/html"));
    let action =
        page.body.split("action=\"").nth(1).unwrap().split('"').next().unwrap().replace("&amp;", "&");
    for (decision, outcome) in [("allow", "&code="), ("deny", "&error=access_denied")] {
        let body = format!("decision={decision}");
        let request = client::request(&authority, "POST", &action, "", &body);
        let answer = client::exchange(&authority, &request);
        assert!(answer.header("location").unwrap().contains(outcome), "{decision}");
    }
}

#[test]
fn an_administrator_consents_for_others_by_a_code_visit() {
    let authority = started();
    let options = ClientOptions { subjects: vec!["user-1".to_owned()], ..ClientOptions::default() };
    authority.register("client-1", &[signer::rsa_key().public_key_pem()], options);
    authority.require_consent("user-1");
    let admin = |scope: &str| format!("{}&admin_consent_scope={scope}", query("scope", "openid"));
    location(&authority, &admin("signature"));
    assert_eq!(client::ask_for_token(&authority).json()["error"], "consent_required");
    location(&authority, &admin("signature%20impersonation"));
    assert_eq!(client::ask_for_token(&authority).status, 200);
}

#[test]
fn logoffs_are_counted_and_are_by_post() {
    let authority = started();
    let call =
        |method| client::exchange(&authority, &client::request(&authority, method, "/oauth/logoff", "", ""));
    assert_eq!([call("POST").status, call("GET").status, call("POST").status], [200, 405, 200]);
    assert_eq!(authority.logoffs(), 2);
    authority.reconfigure(|config| config.logoff = authority::Play::Html { status: 500 });
    assert_eq!((call("POST").status, authority.logoffs()), (500, 3));
}
