//! Requests with a single error: rejected with the expected error and reason.

use mock_server::{ClientOptions, Config, ErrorWording, GetResponse, MockServer, Verdict};
use serde_json::{Value, json};

use crate::http_client::{self, FORM_CONTENT_TYPE, JWT_BEARER_GRANT};
use crate::signer;

/// The parts of a token request; a test case changes one of them.
struct RequestBuilder {
    method: &'static str,
    target: String,
    headers: String,
    header: Value,
    claims: Value,
    key: &'static rcgen::KeyPair,
    grant: String,
    extra_parameters: String,
    body: Option<String>,
}

impl RequestBuilder {
    fn valid(server: &MockServer) -> Self {
        RequestBuilder {
            method: "POST",
            target: "/oauth/token".to_owned(),
            headers: format!("Content-Type: {FORM_CONTENT_TYPE}\r\n"),
            header: json!({"alg": "RS256", "typ": "JWT"}),
            claims: signer::valid_claims(&server.url("/oauth/token")),
            key: signer::rsa_key(),
            grant: JWT_BEARER_GRANT.to_owned(),
            extra_parameters: String::new(),
            body: None,
        }
    }

    fn assertion(&self) -> String {
        signer::sign_jwt(self.key, &self.header, &self.claims)
    }

    fn build(&self, server: &MockServer) -> String {
        let default_body =
            || format!("{}&assertion={}{}", self.grant, self.assertion(), self.extra_parameters);
        let body = self.body.clone().unwrap_or_else(default_body);
        http_client::build_request(server, self.method, &self.target, &self.headers, &body)
    }

    fn set_assertion(&mut self, assertion: &str) {
        self.body = Some(format!("{JWT_BEARER_GRANT}&assertion={assertion}"));
    }
}

type Change = fn(&mut RequestBuilder);

struct Case(&'static str, Change, u16, &'static str, &'static str);

#[rustfmt::skip]
const ASSERTION_CASES: &[Case] = &[
    Case("wrong key", |a| a.key = signer::other_rsa_key(), 400, "invalid_grant", "no registered key"),
    Case("alg none", set_alg_none, 400, "invalid_grant", "alg is none"),
    Case("HS256 with the public key as secret", sign_hs256_with_public_key, 400, "invalid_grant", "alg is HS256"),
    Case("alg differs from signature", |a| a.header["alg"] = "RS384".into(), 400, "invalid_grant", "RS384 signature"),
    Case("alg of another key type", set_alg_of_other_key_type, 400, "invalid_grant", "alg is ES256"),
    Case("no typ", |a| drop(remove_member(&mut a.header, "typ")), 400, "invalid_grant", "typ is None"),
    Case("crit", |a| a.header["crit"] = json!(["b64"]), 400, "invalid_grant", "crit"),
    Case("altered claims", alter_claims_after_signing, 400, "invalid_grant", "no registered key"),
    Case("two parts", |a| a.set_assertion("e30.e30"), 400, "invalid_grant", "has 2 parts"),
    Case("padding", add_base64_padding, 400, "invalid_grant", "base64url without padding"),
    Case("duplicate member", duplicate_member, 400, "invalid_grant", "duplicate member sub"),
    Case("no iss", |a| drop(remove_member(&mut a.claims, "iss")), 400, "invalid_grant", "iss is missing"),
    Case("unknown iss", |a| a.claims["iss"] = "client-2".into(), 400, "invalid_grant", "which is not registered"),
    Case("no sub", |a| drop(remove_member(&mut a.claims, "sub")), 400, "invalid_grant", "sub is missing"),
    Case("wrong sub", |a| a.claims["sub"] = "user-2".into(), 400, "invalid_grant", "sub is \"user-2\""),
    Case("no aud", |a| drop(remove_member(&mut a.claims, "aud")), 400, "invalid_grant", "aud is missing"),
    Case("wrong aud", |a| a.claims["aud"] = "https://x.example/".into(), 400, "invalid_grant", "expected \"http:"),
    Case("aud with a slash", append_slash_to_aud, 400, "invalid_grant", "/oauth/token/\", expected"),
    Case("two auds", set_two_audiences, 400, "invalid_grant", "aud is ["),
    Case("no exp", |a| drop(remove_member(&mut a.claims, "exp")), 400, "invalid_grant", "exp is missing"),
    Case("exp now", |a| a.claims["exp"] = signer::unix_now().into(), 400, "invalid_grant", "s ago"),
    Case("exp as string", set_exp_as_string, 400, "invalid_grant", "expected an integer"),
    Case("fractional exp", set_fractional_exp, 400, "invalid_grant", "expected an integer"),
    Case("exp too far", |a| a.claims["exp"] = (signer::unix_now() + 3700).into(), 400, "invalid_grant", "s after iat"),
    Case("no iat", |a| drop(remove_member(&mut a.claims, "iat")), 400, "invalid_grant", "iat is missing"),
    Case("iat in the future", |a| a.claims["iat"] = (signer::unix_now() + 30).into(), 400, "invalid_grant", "iat is"),
    Case("old iat", |a| a.claims["iat"] = (signer::unix_now() - 400).into(), 400, "invalid_grant", "the limit is 300 s"),
    Case("nbf in the future", |a| a.claims["nbf"] = (signer::unix_now() + 30).into(), 400, "invalid_grant", "nbf is"),
    Case("no jti", |a| drop(remove_member(&mut a.claims, "jti")), 400, "invalid_grant", "jti is missing"),
    Case("short jti", |a| a.claims["jti"] = "0123456789".into(), 400, "invalid_grant", "16 characters"),
    Case("two scopes", |a| a.extra_parameters = "&scope=other".to_owned(), 400, "invalid_scope", "parameter is \"other\""),
];

#[rustfmt::skip]
const REQUEST_CASES: &[Case] = &[
    Case("wrong grant_type", set_wrong_grant_type, 400, "unsupported_grant_type", "client_credentials"),
    Case("no grant_type", |a| a.grant = "x=y".to_owned(), 400, "invalid_request", "grant_type is missing"),
    Case("no assertion", |a| a.body = Some(JWT_BEARER_GRANT.to_owned()), 400, "invalid_request", "assertion is missing"),
    Case("empty assertion", |a| a.set_assertion(""), 400, "invalid_request", "assertion is empty"),
    Case("duplicate assertion", |a| a.extra_parameters = "&assertion=x".to_owned(), 400, "invalid_request", "more than once"),
    Case("duplicate unknown parameter", |a| a.extra_parameters = "&x=1&x=1".to_owned(), 400, "invalid_request", "x appears more than once"),
    Case("bad escape", |a| a.extra_parameters = "&x=%G1".to_owned(), 400, "invalid_request", "hexadecimal"),
    Case("assertion in query", |a| a.target.push_str("?assertion=x"), 400, "invalid_request", "query of a POST"),
    Case("no content type", |a| a.headers.clear(), 400, "invalid_request", "Content-Type is missing"),
    Case("wrong content type", set_text_content_type, 400, "invalid_request", "Content-Type is text/plain"),
    Case("JSON body", set_json_body, 400, "invalid_request", "Content-Type is application/json"),
    Case("GET", use_get_method, 405, "invalid_request", "method is GET"),
    Case("PUT", |a| a.method = "PUT", 405, "invalid_request", "method is PUT"),
    Case("unexpected secret", add_unregistered_secret, 401, "invalid_client", "the client has none"),
];

#[test]
fn invalid_assertions_are_refused() {
    assert_all_refused(ASSERTION_CASES);
}

#[test]
fn invalid_requests_are_refused() {
    assert_all_refused(REQUEST_CASES);
}

fn assert_all_refused(cases: &[Case]) {
    let server = http_client::start_server(Config::http());
    for Case(name, change, status, error, reason) in cases {
        let mut builder = RequestBuilder::valid(&server);
        change(&mut builder);
        let response = http_client::send_request(&server, &builder.build(&server));
        let body = response.json();
        assert_eq!((response.status, body["error"].as_str()), (*status, Some(*error)), "{name}: {body}");
        let description = body["error_description"].as_str().unwrap_or_default();
        assert!(description.contains(reason), "{name}: {description}");
        assert_eq!(response.header("cache-control"), Some("no-store"), "{name}");
        let last = server.token_requests().pop().unwrap();
        assert!(matches!(last.verdict, Verdict::Refused { .. }), "{name}");
    }
    assert_eq!(server.issued_tokens().len(), 0);
    let valid = RequestBuilder::valid(&server);
    assert_eq!(http_client::send_request(&server, &valid.build(&server)).status, 200);
}

#[test]
fn assertion_replay_is_refused() {
    let server = http_client::start_server(Config::http());
    let request = http_client::build_token_request(&server, &http_client::valid_token_body(&server));
    assert_eq!(http_client::send_request(&server, &request).status, 200);
    let second = http_client::send_request(&server, &request);
    assert_eq!(second.json()["error"], "invalid_grant");
    assert!(second.body.contains("was used before"), "{}", second.body);
}

#[test]
fn get_response_follows_config() {
    let kinds = [
        (GetResponse::MethodNotAllowed, 405, "Allow", "POST"),
        (GetResponse::NotFound, 404, "Content-Type", "text/plain; charset=utf-8"),
        (GetResponse::Redirect, 302, "Location", "/login"),
        (GetResponse::HtmlOk, 200, "Content-Type", "text/html; charset=utf-8"),
        (GetResponse::HtmlForbidden, 403, "Content-Type", "text/html; charset=utf-8"),
        (GetResponse::InvalidRequest, 400, "Content-Type", "application/json"),
        (GetResponse::Token, 200, "Content-Type", "application/json"),
    ];
    let server = http_client::start_server(Config::http());
    for (kind, status, header, value) in kinds {
        server.reconfigure(|config| config.get = kind);
        let target = format!("/oauth/token?{}", http_client::valid_token_body(&server));
        let response =
            http_client::send_request(&server, &http_client::build_request(&server, "GET", &target, "", ""));
        assert_eq!((response.status, response.header(header)), (status, Some(value)), "{kind:?}");
    }
    assert_eq!(server.issued_tokens().len(), 1);
}

#[test]
fn client_secret_must_be_single_and_correct() {
    let server = http_client::start_server(Config::http());
    let options = ClientOptions { secret: Some("p+w %ä".to_owned()), ..ClientOptions::default() };
    server.register("client-1", &[signer::rsa_key().public_key_pem()], options);
    let encoded = format!("Authorization: Basic {}\r\n", encode_basic("client-1:p%2Bw+%25%C3%A4"));
    let raw = format!("Authorization: Basic {}\r\n", encode_basic("client-1:p+w+"));
    let in_body = "&client_id=client-1&client_secret=p%2Bw+%25%C3%A4";
    let cases = [
        ("none", "", "", 401),
        ("by Basic", encoded.as_str(), "", 200),
        ("not encoded", raw.as_str(), "", 401),
        ("in the body", "", in_body, 200),
        ("both", encoded.as_str(), in_body, 400),
        ("wrong", "", "&client_id=client-1&client_secret=x", 401),
        ("wrong id", "", "&client_id=client-9&client_secret=x", 401),
    ];
    for (name, header, extra, status) in cases {
        let mut builder = RequestBuilder::valid(&server);
        builder.headers.push_str(header);
        builder.extra_parameters = extra.to_owned();
        let response = http_client::send_request(&server, &builder.build(&server));
        assert_eq!(response.status, status, "{name}: {}", response.body);
        let challenged = response.header("www-authenticate").is_some();
        assert_eq!(challenged, status == 401 && !header.is_empty(), "{name}");
    }
}

#[test]
fn docusign_wording_matches_docusign() {
    let server = http_client::start_server(Config { wording: ErrorWording::DocuSign, ..Config::http() });
    let cases: [(Change, &str); 4] = [
        (|a| a.claims["iss"] = "x".into(), "issuer_not_found"),
        (|a| a.claims["sub"] = "x".into(), "user_not_found"),
        (|a| a.key = signer::other_rsa_key(), "no_valid_keys_or_signatures"),
        (set_wrong_grant_type, "unsupported_grant_type"),
    ];
    for (change, description) in cases {
        let mut builder = RequestBuilder::valid(&server);
        change(&mut builder);
        let response = http_client::send_request(&server, &builder.build(&server));
        assert_eq!(response.json(), json!({"error": "invalid_grant", "error_description": description}));
    }
}

fn encode_basic(text: &str) -> String {
    use base64::Engine;
    base64::engine::general_purpose::STANDARD.encode(text)
}

fn remove_member(object: &mut Value, name: &str) -> Option<Value> {
    object.as_object_mut().unwrap().remove(name)
}

fn set_alg_none(builder: &mut RequestBuilder) {
    builder.header["alg"] = "none".into();
    let unsigned = signer::signing_input(&builder.header, &builder.claims);
    builder.set_assertion(&format!("{unsigned}."));
}

fn sign_hs256_with_public_key(builder: &mut RequestBuilder) {
    builder.header["alg"] = "HS256".into();
    let secret = signer::rsa_key().public_key_pem();
    let assertion = signer::sign_hmac_jwt(secret.as_bytes(), &builder.header, &builder.claims);
    builder.set_assertion(&assertion);
}

fn set_alg_of_other_key_type(builder: &mut RequestBuilder) {
    let signed = builder.assertion();
    builder.header["alg"] = "ES256".into();
    let signature = signed.rsplit_once('.').unwrap().1;
    let signing_input = signer::signing_input(&builder.header, &builder.claims);
    builder.set_assertion(&format!("{signing_input}.{signature}"));
}

fn alter_claims_after_signing(builder: &mut RequestBuilder) {
    let signed = builder.assertion();
    builder.claims["extra"] = 1.into();
    let signature = signed.rsplit_once('.').unwrap().1;
    let altered = signer::signing_input(&builder.header, &builder.claims);
    builder.set_assertion(&format!("{altered}.{signature}"));
}

fn add_base64_padding(builder: &mut RequestBuilder) {
    let padded = format!("{}%3D%3D", builder.assertion());
    builder.set_assertion(&padded);
}

fn duplicate_member(builder: &mut RequestBuilder) {
    let header = signer::base64url(builder.header.to_string());
    let claims = signer::base64url(builder.claims.to_string().replacen('{', "{\"sub\":\"user-2\",", 1));
    builder.set_assertion(&format!("{header}.{claims}.AAAA"));
}

fn append_slash_to_aud(builder: &mut RequestBuilder) {
    let with_slash = format!("{}/", builder.claims["aud"].as_str().unwrap());
    builder.claims["aud"] = with_slash.into();
}

fn set_two_audiences(builder: &mut RequestBuilder) {
    builder.claims["aud"] = json!([builder.claims["aud"], "https://x.example/"]);
}

fn set_exp_as_string(builder: &mut RequestBuilder) {
    builder.claims["exp"] = builder.claims["exp"].to_string().into();
}

fn set_fractional_exp(builder: &mut RequestBuilder) {
    builder.claims["exp"] = json!(300.5 + builder.claims["iat"].as_f64().unwrap());
}

fn set_wrong_grant_type(builder: &mut RequestBuilder) {
    builder.grant = "grant_type=client_credentials".to_owned();
}

fn set_text_content_type(builder: &mut RequestBuilder) {
    builder.headers = "Content-Type: text/plain\r\n".to_owned();
}

fn set_json_body(builder: &mut RequestBuilder) {
    builder.headers = "Content-Type: application/json\r\n".to_owned();
    builder.body = Some(json!({"assertion": builder.assertion()}).to_string());
}

fn use_get_method(builder: &mut RequestBuilder) {
    builder.method = "GET";
    builder.target = format!("/oauth/token?{JWT_BEARER_GRANT}&assertion={}", builder.assertion());
    builder.headers.clear();
    builder.body = Some(String::new());
}

fn add_unregistered_secret(builder: &mut RequestBuilder) {
    builder.extra_parameters = "&client_id=client-1&client_secret=x".to_owned();
}
