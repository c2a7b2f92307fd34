//! One thing wrong, everything else good: refused with the right error, and for that thing.

use authority::{Authority, ClientOptions, Config, GetAnswer, Verdict, Wording};
use serde_json::{Value, json};

use crate::client::{self, FORM, GRANT};
use crate::signer;

/// A token request taken apart, for a case to change one part of.
struct Attempt {
    method: &'static str,
    target: String,
    headers: String,
    header: Value,
    claims: Value,
    key: &'static rcgen::KeyPair,
    grant: String,
    after: String,
    body: Option<String>,
}

impl Attempt {
    fn good(authority: &Authority) -> Self {
        Attempt {
            method: "POST",
            target: "/oauth/token".to_owned(),
            headers: format!("Content-Type: {FORM}\r\n"),
            header: json!({"alg": "RS256", "typ": "JWT"}),
            claims: signer::good_claims(&authority.url("/oauth/token")),
            key: signer::rsa_key(),
            grant: GRANT.to_owned(),
            after: String::new(),
            body: None,
        }
    }

    fn assertion(&self) -> String {
        signer::sign(self.key, &self.header, &self.claims)
    }

    fn text(&self, authority: &Authority) -> String {
        let usual = || format!("{}&assertion={}{}", self.grant, self.assertion(), self.after);
        let body = self.body.clone().unwrap_or_else(usual);
        client::request(authority, self.method, &self.target, &self.headers, &body)
    }

    fn with_assertion(&mut self, assertion: &str) {
        self.body = Some(format!("{GRANT}&assertion={assertion}"));
    }
}

type Change = fn(&mut Attempt);

struct Case(&'static str, Change, u16, &'static str, &'static str);

#[rustfmt::skip]
const ASSERTIONS: &[Case] = &[
    Case("another key", |a| a.key = signer::other_rsa_key(), 400, "invalid_grant", "signature is not by a key"),
    Case("alg none", alg_none, 400, "invalid_grant", "alg is none"),
    Case("HS256 by the public key", hs256_by_public_key, 400, "invalid_grant", "alg is HS256"),
    Case("another alg than signed", |a| a.header["alg"] = "RS384".into(), 400, "invalid_grant", "RS384 signature"),
    Case("alg of another key type", alg_of_another_key_type, 400, "invalid_grant", "alg is ES256"),
    Case("no typ", |a| drop(remove(&mut a.header, "typ")), 400, "invalid_grant", "typ is None"),
    Case("crit", |a| a.header["crit"] = json!(["b64"]), 400, "invalid_grant", "crit is in the header"),
    Case("altered claims", altered_claims, 400, "invalid_grant", "signature is not by a key"),
    Case("two parts", |a| a.with_assertion("e30.e30"), 400, "invalid_grant", "has 2 parts"),
    Case("padding", padded, 400, "invalid_grant", "base64url without padding"),
    Case("a member twice", member_twice, 400, "invalid_grant", "sub stands twice"),
    Case("no iss", |a| drop(remove(&mut a.claims, "iss")), 400, "invalid_grant", "iss is missing"),
    Case("unknown iss", |a| a.claims["iss"] = "client-2".into(), 400, "invalid_grant", "which is not registered"),
    Case("no sub", |a| drop(remove(&mut a.claims, "sub")), 400, "invalid_grant", "sub is missing"),
    Case("another sub", |a| a.claims["sub"] = "user-2".into(), 400, "invalid_grant", "sub is \"user-2\""),
    Case("no aud", |a| drop(remove(&mut a.claims, "aud")), 400, "invalid_grant", "aud is missing"),
    Case("another aud", |a| a.claims["aud"] = "https://x.example/".into(), 400, "invalid_grant", "expected \"http:"),
    Case("aud with a slash", aud_with_slash, 400, "invalid_grant", "/oauth/token/\", expected"),
    Case("two auds", two_audiences, 400, "invalid_grant", "aud is ["),
    Case("no exp", |a| drop(remove(&mut a.claims, "exp")), 400, "invalid_grant", "exp is missing"),
    Case("exp now", |a| a.claims["exp"] = signer::now().into(), 400, "invalid_grant", "s ago"),
    Case("exp as string", exp_as_string, 400, "invalid_grant", "expected an integer"),
    Case("fractional exp", exp_fractional, 400, "invalid_grant", "expected an integer"),
    Case("exp too far", |a| a.claims["exp"] = (signer::now() + 3700).into(), 400, "invalid_grant", "s after iat"),
    Case("no iat", |a| drop(remove(&mut a.claims, "iat")), 400, "invalid_grant", "iat is missing"),
    Case("iat to come", |a| a.claims["iat"] = (signer::now() + 30).into(), 400, "invalid_grant", "iat is"),
    Case("iat long ago", |a| a.claims["iat"] = (signer::now() - 400).into(), 400, "invalid_grant", "at most 300 s"),
    Case("nbf to come", |a| a.claims["nbf"] = (signer::now() + 30).into(), 400, "invalid_grant", "nbf is"),
    Case("no jti", |a| drop(remove(&mut a.claims, "jti")), 400, "invalid_grant", "jti is missing"),
    Case("short jti", |a| a.claims["jti"] = "0123456789".into(), 400, "invalid_grant", "16 characters"),
    Case("two scopes", |a| a.after = "&scope=other".to_owned(), 400, "invalid_scope", "scope parameter \"other\""),
];

#[rustfmt::skip]
const REQUESTS: &[Case] = &[
    Case("wrong grant_type", wrong_grant_type, 400, "unsupported_grant_type", "client_credentials"),
    Case("no grant_type", |a| a.grant = "x=y".to_owned(), 400, "invalid_request", "grant_type is missing"),
    Case("no assertion", |a| a.body = Some(GRANT.to_owned()), 400, "invalid_request", "assertion is missing"),
    Case("empty assertion", |a| a.with_assertion(""), 400, "invalid_request", "assertion is empty"),
    Case("assertion twice", |a| a.after = "&assertion=x".to_owned(), 400, "invalid_request", "more than once"),
    Case("unknown twice", |a| a.after = "&x=1&x=1".to_owned(), 400, "invalid_request", "x stands more than once"),
    Case("bad escape", |a| a.after = "&x=%G1".to_owned(), 400, "invalid_request", "hexadecimal"),
    Case("in the query too", |a| a.target.push_str("?assertion=x"), 400, "invalid_request", "query of a POST"),
    Case("no content type", |a| a.headers.clear(), 400, "invalid_request", "Content-Type is missing"),
    Case("wrong content type", text_plain, 400, "invalid_request", "Content-Type is text/plain"),
    Case("a JSON body", json_body, 400, "invalid_request", "Content-Type is application/json"),
    Case("GET", get, 405, "invalid_request", "method is GET"),
    Case("PUT", |a| a.method = "PUT", 405, "invalid_request", "method is PUT"),
    Case("a secret without need", unasked_secret, 401, "invalid_client", "that has none"),
];

#[test]
fn each_single_fault_of_the_assertion_is_refused_for_itself() {
    refuse_all(ASSERTIONS);
}

#[test]
fn each_single_fault_of_the_request_is_refused_for_itself() {
    refuse_all(REQUESTS);
}

fn refuse_all(cases: &[Case]) {
    let authority = client::started(Config::http());
    for Case(name, change, status, error, reason) in cases {
        let mut attempt = Attempt::good(&authority);
        change(&mut attempt);
        let response = client::exchange(&authority, &attempt.text(&authority));
        let body = response.json();
        assert_eq!((response.status, body["error"].as_str()), (*status, Some(*error)), "{name}: {body}");
        let description = body["error_description"].as_str().unwrap_or_default();
        assert!(description.contains(reason), "{name}: {description}");
        assert_eq!(response.header("cache-control"), Some("no-store"), "{name}");
        let last = authority.token_requests().pop().unwrap();
        assert!(matches!(last.verdict, Verdict::Refused { .. }), "{name}");
    }
    assert_eq!(authority.issued().len(), 0);
    let good = Attempt::good(&authority);
    assert_eq!(client::exchange(&authority, &good.text(&authority)).status, 200);
}

#[test]
fn an_assertion_is_good_once() {
    let authority = client::started(Config::http());
    let request = client::token_request(&authority, &client::good_body(&authority));
    assert_eq!(client::exchange(&authority, &request).status, 200);
    let second = client::exchange(&authority, &request);
    assert_eq!(second.json()["error"], "invalid_grant");
    assert!(second.body.contains("was used before"), "{}", second.body);
}

#[test]
fn a_get_has_the_answer_that_was_chosen() {
    let kinds = [
        (GetAnswer::MethodNotAllowed, 405, "Allow", "POST"),
        (GetAnswer::NotFound, 404, "Content-Type", "text/plain; charset=utf-8"),
        (GetAnswer::Redirect, 302, "Location", "/login"),
        (GetAnswer::HtmlOk, 200, "Content-Type", "text/html; charset=utf-8"),
        (GetAnswer::HtmlForbidden, 403, "Content-Type", "text/html; charset=utf-8"),
        (GetAnswer::InvalidRequest, 400, "Content-Type", "application/json"),
        (GetAnswer::Token, 200, "Content-Type", "application/json"),
    ];
    let authority = client::started(Config::http());
    for (kind, status, header, value) in kinds {
        authority.reconfigure(|config| config.get = kind);
        let target = format!("/oauth/token?{}", client::good_body(&authority));
        let response = client::exchange(&authority, &client::request(&authority, "GET", &target, "", ""));
        assert_eq!((response.status, response.header(header)), (status, Some(value)), "{kind:?}");
    }
    assert_eq!(authority.issued().len(), 1);
}

#[test]
fn a_secret_must_come_once_and_be_right() {
    let authority = client::started(Config::http());
    let options = ClientOptions { secret: Some("p+w %ä".to_owned()), ..ClientOptions::default() };
    authority.register("client-1", &[signer::rsa_key().public_key_pem()], options);
    let right = format!("Authorization: Basic {}\r\n", basic("client-1:p%2Bw+%25%C3%A4"));
    let raw = format!("Authorization: Basic {}\r\n", basic("client-1:p+w+"));
    let in_body = "&client_id=client-1&client_secret=p%2Bw+%25%C3%A4";
    let cases = [
        ("none", "", "", 401),
        ("by Basic", right.as_str(), "", 200),
        ("not encoded", raw.as_str(), "", 401),
        ("in the body", "", in_body, 200),
        ("both", right.as_str(), in_body, 400),
        ("wrong", "", "&client_id=client-1&client_secret=x", 401),
        ("wrong id", "", "&client_id=client-9&client_secret=x", 401),
    ];
    for (name, header, after, status) in cases {
        let mut attempt = Attempt::good(&authority);
        attempt.headers.push_str(header);
        attempt.after = after.to_owned();
        let response = client::exchange(&authority, &attempt.text(&authority));
        assert_eq!(response.status, status, "{name}: {}", response.body);
        let challenged = response.header("www-authenticate").is_some();
        assert_eq!(challenged, status == 401 && !header.is_empty(), "{name}");
    }
}

#[test]
fn docusign_words_say_no_more_than_docusign_does() {
    let authority = client::started(Config { wording: Wording::DocuSign, ..Config::http() });
    let cases: [(Change, &str); 4] = [
        (|a| a.claims["iss"] = "x".into(), "issuer_not_found"),
        (|a| a.claims["sub"] = "x".into(), "user_not_found"),
        (|a| a.key = signer::other_rsa_key(), "no_valid_keys_or_signatures"),
        (wrong_grant_type, "unsupported_grant_type"),
    ];
    for (change, words) in cases {
        let mut attempt = Attempt::good(&authority);
        change(&mut attempt);
        let response = client::exchange(&authority, &attempt.text(&authority));
        assert_eq!(response.json(), json!({"error": "invalid_grant", "error_description": words}));
    }
}

fn basic(text: &str) -> String {
    use base64::Engine;
    base64::engine::general_purpose::STANDARD.encode(text)
}

fn remove(object: &mut Value, name: &str) -> Option<Value> {
    object.as_object_mut().unwrap().remove(name)
}

fn alg_none(attempt: &mut Attempt) {
    attempt.header["alg"] = "none".into();
    let unsigned = signer::signed_part(&attempt.header, &attempt.claims);
    attempt.with_assertion(&format!("{unsigned}."));
}

fn hs256_by_public_key(attempt: &mut Attempt) {
    attempt.header["alg"] = "HS256".into();
    let secret = signer::rsa_key().public_key_pem();
    let assertion = signer::sign_hmac(secret.as_bytes(), &attempt.header, &attempt.claims);
    attempt.with_assertion(&assertion);
}

fn alg_of_another_key_type(attempt: &mut Attempt) {
    let by_rsa = attempt.assertion();
    attempt.header["alg"] = "ES256".into();
    let signature = by_rsa.rsplit_once('.').unwrap().1;
    let renamed = signer::signed_part(&attempt.header, &attempt.claims);
    attempt.with_assertion(&format!("{renamed}.{signature}"));
}

fn altered_claims(attempt: &mut Attempt) {
    let signed = attempt.assertion();
    attempt.claims["extra"] = 1.into();
    let signature = signed.rsplit_once('.').unwrap().1;
    let altered = signer::signed_part(&attempt.header, &attempt.claims);
    attempt.with_assertion(&format!("{altered}.{signature}"));
}

fn padded(attempt: &mut Attempt) {
    let padded = format!("{}%3D%3D", attempt.assertion());
    attempt.with_assertion(&padded);
}

fn member_twice(attempt: &mut Attempt) {
    let header = signer::encoded(attempt.header.to_string());
    let twice = signer::encoded(attempt.claims.to_string().replacen('{', "{\"sub\":\"user-2\",", 1));
    attempt.with_assertion(&format!("{header}.{twice}.AAAA"));
}

fn aud_with_slash(attempt: &mut Attempt) {
    let with_slash = format!("{}/", attempt.claims["aud"].as_str().unwrap());
    attempt.claims["aud"] = with_slash.into();
}

fn two_audiences(attempt: &mut Attempt) {
    attempt.claims["aud"] = json!([attempt.claims["aud"], "https://x.example/"]);
}

fn exp_as_string(attempt: &mut Attempt) {
    attempt.claims["exp"] = attempt.claims["exp"].to_string().into();
}

fn exp_fractional(attempt: &mut Attempt) {
    attempt.claims["exp"] = json!(300.5 + attempt.claims["iat"].as_f64().unwrap());
}

fn wrong_grant_type(attempt: &mut Attempt) {
    attempt.grant = "grant_type=client_credentials".to_owned();
}

fn text_plain(attempt: &mut Attempt) {
    attempt.headers = "Content-Type: text/plain\r\n".to_owned();
}

fn json_body(attempt: &mut Attempt) {
    attempt.headers = "Content-Type: application/json\r\n".to_owned();
    attempt.body = Some(json!({"assertion": attempt.assertion()}).to_string());
}

fn get(attempt: &mut Attempt) {
    attempt.method = "GET";
    attempt.target = format!("/oauth/token?{GRANT}&assertion={}", attempt.assertion());
    attempt.headers.clear();
    attempt.body = Some(String::new());
}

fn unasked_secret(attempt: &mut Attempt) {
    attempt.after = "&client_id=client-1&client_secret=x".to_owned();
}
