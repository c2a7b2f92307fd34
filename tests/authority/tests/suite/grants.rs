//! The grants beside jwt-bearer: each good request, and each single fault refused for itself.

use authority::{Authority, ClientAuth, ClientOptions, Config, GrantType, Play};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use crate::client::{self, FORM, Response};
use crate::signer;

const SECRET: &str = "p+w %ä";
const BY_BODY: &str = "&client_id=service&client_secret=p%2Bw+%25%C3%A4";
const BY_BASIC: &str = "service:p%2Bw+%25%C3%A4";
const ASSERTION_TYPE: &str =
    "&client_assertion_type=urn%3Aietf%3Aparams%3Aoauth%3Aclient-assertion-type%3Ajwt-bearer";

fn post(authority: &Authority, basic: &str, body: &str) -> Response {
    let mut headers = format!("Content-Type: {FORM}\r\n");
    if !basic.is_empty() {
        headers.push_str(&format!("Authorization: Basic {}\r\n", STANDARD.encode(basic)));
    }
    client::exchange(authority, &client::request(authority, "POST", "/oauth/token", &headers, body))
}

fn refused(response: &Response, status: u16, error: &str, reason: &str) {
    let body = response.json();
    assert_eq!((response.status, body["error"].as_str()), (status, Some(error)), "{reason}: {body}");
    let description = body["error_description"].as_str().unwrap_or_default();
    assert!(description.contains(reason), "{reason}: {description}");
}

/// `service` has a secret, `signer` a key, `app` neither; a user of all is `jo`.
fn started() -> Authority {
    let authority = Authority::start(Config::http());
    let secret = Some(SECRET.to_owned());
    let scopes = vec!["read".to_owned(), "write".to_owned()];
    let grant_types = vec![GrantType::ClientCredentials, GrantType::Password, GrantType::RefreshToken];
    let users = [("jo".to_owned(), "pw &=".to_owned())].into();
    let all = ClientOptions { scopes, grant_types, users, ..ClientOptions::default() };
    authority.register::<&str>("service", &[], ClientOptions { secret, ..all.clone() });
    authority.register("signer", &[signer::rsa_key().public_key_pem()], all.clone());
    authority.register::<&str>("app", &[], all);
    authority
}

#[test]
fn client_credentials_take_the_secret_in_either_place_and_give_no_refresh_token() {
    let authority = started();
    for (basic, more) in [(BY_BASIC, "&scope=read"), (BY_BASIC, "&client_id=service"), ("", BY_BODY)] {
        let response = post(&authority, basic, &format!("grant_type=client_credentials{more}"));
        assert_eq!(response.status, 200, "{}", response.body);
        assert_eq!(response.json()["refresh_token"], Value::Null);
    }
    let seen = authority.token_requests();
    assert_eq!(seen[0].parameter("scope").as_deref(), Some("read"));
    assert_eq!(seen[2].parameter("client_secret").as_deref(), Some(SECRET));
}

#[test]
fn client_credentials_are_refused_for_each_single_fault() {
    let authority = started();
    let cases = [
        ("", "", 401, "invalid_client", "does not say who"),
        ("", "&client_id=service", 401, "invalid_client", "secret is missing"),
        ("", "&client_id=service&client_secret=x", 401, "invalid_client", "the client secret is \"x\""),
        ("", "&client_id=nobody&client_secret=x", 401, "invalid_client", "not registered"),
        ("", "&client_secret=x", 400, "invalid_request", "without client_id"),
        ("service:p+w %", "", 401, "invalid_client", "unescaped"),
        ("service:p+w+", "", 401, "invalid_client", "the client secret is \"p w \""),
        (BY_BASIC, BY_BODY, 400, "invalid_request", "authenticates twice"),
        (BY_BASIC, "&client_id=app", 401, "invalid_client", "but \"service\" by Basic"),
        (BY_BASIC, "&scope=other", 400, "invalid_scope", "\"other\""),
        ("", "&client_id=app", 400, "unauthorized_client", "not for a public client"),
        ("", "&client_id=app&client_secret=x", 401, "invalid_client", "that has none"),
        ("", "&client_id=signer", 401, "invalid_client", "client_assertion is missing"),
    ];
    for (basic, more, status, error, reason) in cases {
        let response = post(&authority, basic, &format!("grant_type=client_credentials{more}"));
        refused(&response, status, error, reason);
        let challenged = response.header("www-authenticate").is_some();
        assert_eq!(challenged, status == 401 && !basic.is_empty(), "{reason}");
    }
    assert_eq!(authority.issued().len(), 0);
}

#[test]
fn a_client_may_authenticate_only_as_it_registered() {
    let authority = started();
    let secret = Some(SECRET.to_owned());
    for (way, status_of_basic, status_of_body) in
        [(ClientAuth::Basic, 200, 401), (ClientAuth::Post, 401, 200), (ClientAuth::Assertion, 401, 401)]
    {
        let options =
            ClientOptions { secret: secret.clone(), client_auth: Some(way), ..ClientOptions::default() };
        authority.register::<&str>("service", &[], options);
        assert_eq!(post(&authority, BY_BASIC, "grant_type=client_credentials").status, status_of_basic);
        let in_body = format!("grant_type=client_credentials{BY_BODY}");
        assert_eq!(post(&authority, "", &in_body).status, status_of_body, "{way:?}");
    }
}

#[test]
fn a_grant_is_for_those_who_registered_it() {
    let authority = Authority::start(Config::http());
    let secret = Some(SECRET.to_owned());
    authority.register::<&str>("service", &[], ClientOptions { secret, ..ClientOptions::default() });
    let password = format!("grant_type=password&username=jo&password=x{BY_BODY}");
    refused(&post(&authority, "", &password), 400, "unsupported_grant_type", "client_credentials");
    let users = [("jo".to_owned(), "x".to_owned())].into();
    authority.register::<&str>("app", &[], ClientOptions { users, ..ClientOptions::default() });
    refused(&post(&authority, "", &password), 400, "unauthorized_client", "did not register");
}

fn client_claims(authority: &Authority) -> Value {
    let mut claims = signer::good_claims(&authority.url("/oauth/token"));
    (claims["iss"], claims["sub"], claims["scope"]) = ("signer".into(), "signer".into(), Value::Null);
    claims
}

fn sign(claims: &Value) -> String {
    signer::sign(signer::rsa_key(), &json!({"alg": "RS256", "typ": "JWT"}), claims)
}

fn with_assertion(authority: &Authority, assertion: &str, more: &str) -> Response {
    let body = format!("grant_type=client_credentials&client_assertion={assertion}{ASSERTION_TYPE}{more}");
    post(authority, "", &body)
}

#[test]
fn a_client_assertion_is_good_once() {
    let authority = started();
    for more in ["", "&client_id=signer"] {
        let assertion = sign(&client_claims(&authority));
        let first = with_assertion(&authority, &assertion, more);
        assert_eq!(first.status, 200, "{}", first.body);
        refused(&with_assertion(&authority, &assertion, more), 401, "invalid_client", "was used before");
    }
    assert_eq!(authority.token_requests()[0].claims.as_ref().unwrap()["iss"], "signer");
}

#[test]
fn a_client_assertion_is_refused_for_each_single_fault() {
    let authority = started();
    type Change = fn(&mut Value);
    let cases: [(Change, &str); 9] = [
        (|c| c["iss"] = "nobody".into(), "iss is \"nobody\""),
        (|c| c["iss"] = "service".into(), "registered is Secret"),
        (|c| c["sub"] = "user-1".into(), "expected the client id"),
        (|c| drop(c.as_object_mut().unwrap().remove("sub")), "sub is missing"),
        (|c| c["aud"] = "https://x.example".into(), "aud is"),
        (|c| c["exp"] = signer::now().into(), "exp is"),
        (|c| drop(c.as_object_mut().unwrap().remove("exp")), "exp is missing"),
        (|c| drop(c.as_object_mut().unwrap().remove("jti")), "jti is missing"),
        (|c| c["iat"] = (signer::now() + 60).into(), "in the future"),
    ];
    for (change, reason) in cases {
        let mut claims = client_claims(&authority);
        change(&mut claims);
        refused(&with_assertion(&authority, &sign(&claims), ""), 401, "invalid_client", reason);
    }
    let claims = client_claims(&authority);
    let header = json!({"alg": "RS256", "typ": "JWT"});
    let forged = signer::sign(signer::other_rsa_key(), &header, &claims);
    refused(&with_assertion(&authority, &forged, ""), 401, "invalid_client", "not by a key");
    let untyped = signer::sign(signer::rsa_key(), &json!({"alg": "RS256"}), &claims);
    refused(&with_assertion(&authority, &untyped, ""), 401, "invalid_client", "typ is None");
}

#[test]
fn a_client_assertion_comes_alone_and_with_its_type() {
    let authority = started();
    let good = || sign(&client_claims(&authority));
    let body = |more: &str| format!("grant_type=client_credentials&client_assertion={}{more}", good());
    refused(&post(&authority, "", &body("")), 400, "invalid_request", "client_assertion_type is missing");
    let saml = "&client_assertion_type=saml";
    refused(&post(&authority, "", &body(saml)), 401, "invalid_client", "client_assertion_type is \"saml\"");
    let alone = format!("grant_type=client_credentials&client_id=signer{ASSERTION_TYPE}");
    refused(&post(&authority, "", &alone), 400, "invalid_request", "without client_assertion");
    let twice = with_assertion(&authority, &good(), "&client_id=signer&client_secret=x");
    refused(&twice, 400, "invalid_request", "authenticates twice");
    let both = post(&authority, BY_BASIC, &body(ASSERTION_TYPE));
    refused(&both, 400, "invalid_request", "authenticates twice");
    let other = with_assertion(&authority, &good(), "&client_id=app");
    refused(&other, 401, "invalid_client", "the client id is \"app\"");
}

#[test]
fn the_issuer_is_an_audience_where_configured_and_typ_is_as_configured() {
    let authority = started();
    let issuer = authority.url("");
    let mut claims = client_claims(&authority);
    claims["aud"] = issuer.as_str().into();
    let expected = format!("expected \"{issuer}/oauth/token\"");
    refused(&with_assertion(&authority, &sign(&claims), ""), 401, "invalid_client", &expected);
    authority.reconfigure(|config| config.issuer = Some(issuer));
    assert_eq!(with_assertion(&authority, &sign(&claims), "").status, 200);
    authority.reconfigure(|config| config.client_typ = Some("client-authentication+jwt".to_owned()));
    refused(
        &with_assertion(&authority, &sign(&client_claims(&authority)), ""),
        401,
        "invalid_client",
        "typ is",
    );
}

const JO: &str = "grant_type=password&username=jo&password=pw+%26%3D";

#[test]
fn a_password_gives_tokens_to_a_public_and_to_a_confidential_client() {
    let authority = started();
    for client in ["&client_id=app", BY_BODY] {
        let response = post(&authority, "", &format!("{JO}{client}"));
        assert_eq!(response.status, 200, "{}", response.body);
        assert_eq!(response.json()["scope"], "read write");
        assert!(response.json()["refresh_token"].is_string());
    }
}

#[test]
fn a_password_is_refused_for_each_single_fault() {
    let authority = started();
    let grant = "grant_type=password";
    let cases = [
        (format!("{grant}&username=jo&password=x&client_id=app"), 400, "invalid_grant", "password is \"x\""),
        (
            format!("{grant}&username=al&password=x&client_id=app"),
            400,
            "invalid_grant",
            "\"al\" is not known",
        ),
        (format!("{grant}&username=jo&client_id=app"), 400, "invalid_request", "password is missing"),
        (format!("{grant}&password=x&client_id=app"), 400, "invalid_request", "username is missing"),
        (JO.to_owned(), 401, "invalid_client", "does not say who"),
        (format!("{JO}&client_id=service"), 401, "invalid_client", "secret is missing"),
        (format!("{JO}&client_id=app&scope=all"), 400, "invalid_scope", "\"all\""),
    ];
    for (body, status, error, reason) in cases {
        refused(&post(&authority, "", &body), status, error, reason);
    }
}

#[test]
fn a_get_carries_no_secret() {
    let authority = started();
    authority.reconfigure(|config| config.get = authority::GetAnswer::Token);
    let target = format!("/oauth/token?{JO}&client_id=app");
    let response = client::exchange(&authority, &client::request(&authority, "GET", &target, "", ""));
    assert!(authority.issued().is_empty(), "{}", response.body);
    for name in ["username", "password", "code", "code_verifier", "redirect_uri", "refresh_token"] {
        let target = format!("/oauth/token?{name}=x");
        let headers = format!("Content-Type: {FORM}\r\n");
        let request = client::request(&authority, "POST", &target, &headers, &format!("{JO}&client_id=app"));
        refused(&client::exchange(&authority, &request), 400, "invalid_request", "query of a POST");
    }
}

#[test]
fn plays_are_for_all_grants() {
    let authority = started();
    authority.play(vec![Play::Html { status: 503 }, Play::TokenAnswer("{}".to_owned())]);
    assert_eq!(post(&authority, "", &format!("{JO}&client_id=app")).status, 503);
    let verbatim = post(&authority, BY_BASIC, "grant_type=client_credentials");
    assert_eq!((verbatim.status, verbatim.body.as_str()), (200, "{}"));
}
