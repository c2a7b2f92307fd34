//! Grants other than jwt-bearer: valid requests, and requests with a single error.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use mock_server::{Behavior, ClientAuth, ClientOptions, Config, GrantType, MockServer};
use serde_json::{Value, json};

use crate::http_client::{self, FORM_CONTENT_TYPE, Response};
use crate::signer;

const CLIENT_SECRET: &str = "p+w %ä";
const BODY_CREDENTIALS: &str = "&client_id=service&client_secret=p%2Bw+%25%C3%A4";
const BASIC_CREDENTIALS: &str = "service:p%2Bw+%25%C3%A4";
const ASSERTION_TYPE: &str =
    "&client_assertion_type=urn%3Aietf%3Aparams%3Aoauth%3Aclient-assertion-type%3Ajwt-bearer";

fn post_token_request(server: &MockServer, basic: &str, body: &str) -> Response {
    let mut headers = format!("Content-Type: {FORM_CONTENT_TYPE}\r\n");
    if !basic.is_empty() {
        headers.push_str(&format!("Authorization: Basic {}\r\n", STANDARD.encode(basic)));
    }
    http_client::send_request(
        server,
        &http_client::build_request(server, "POST", "/oauth/token", &headers, body),
    )
}

fn assert_refused(response: &Response, status: u16, error: &str, reason: &str) {
    let body = response.json();
    assert_eq!((response.status, body["error"].as_str()), (status, Some(error)), "{reason}: {body}");
    let description = body["error_description"].as_str().unwrap_or_default();
    assert!(description.contains(reason), "{reason}: {description}");
}

/// Registers `service` with a secret, `signer` with a key and `app` with neither; all have the user `jo`.
fn start_server() -> MockServer {
    let server = MockServer::start(Config::http());
    let secret = Some(CLIENT_SECRET.to_owned());
    let scopes = vec!["read".to_owned(), "write".to_owned()];
    let grant_types = vec![GrantType::ClientCredentials, GrantType::Password, GrantType::RefreshToken];
    let users = [("jo".to_owned(), "pw &=".to_owned())].into();
    let options = ClientOptions { scopes, grant_types, users, ..ClientOptions::default() };
    server.register::<&str>("service", &[], ClientOptions { secret, ..options.clone() });
    server.register("signer", &[signer::rsa_key().public_key_pem()], options.clone());
    server.register::<&str>("app", &[], options);
    server
}

#[test]
fn client_credentials_accept_basic_and_body() {
    let server = start_server();
    for (basic, extra) in [
        (BASIC_CREDENTIALS, "&scope=read"),
        (BASIC_CREDENTIALS, "&client_id=service"),
        ("", BODY_CREDENTIALS),
    ] {
        let response = post_token_request(&server, basic, &format!("grant_type=client_credentials{extra}"));
        assert_eq!(response.status, 200, "{}", response.body);
        assert_eq!(response.json()["refresh_token"], Value::Null);
    }
    let requests = server.token_requests();
    assert_eq!(requests[0].parameter("scope").as_deref(), Some("read"));
    assert_eq!(requests[2].parameter("client_secret").as_deref(), Some(CLIENT_SECRET));
}

#[test]
fn invalid_client_credentials_are_refused() {
    let server = start_server();
    let cases = [
        ("", "", 401, "invalid_client", "does not identify the client"),
        ("", "&client_id=service", 401, "invalid_client", "secret is missing"),
        ("", "&client_id=service&client_secret=x", 401, "invalid_client", "the client secret is \"x\""),
        ("", "&client_id=unknown&client_secret=x", 401, "invalid_client", "not registered"),
        ("", "&client_secret=x", 400, "invalid_request", "without client_id"),
        ("service:p+w %", "", 401, "invalid_client", "unescaped"),
        ("service:p+w+", "", 401, "invalid_client", "the client secret is \"p w \""),
        (BASIC_CREDENTIALS, BODY_CREDENTIALS, 400, "invalid_request", "authenticates twice"),
        (BASIC_CREDENTIALS, "&client_id=app", 401, "invalid_client", "by Basic is \"service\""),
        (BASIC_CREDENTIALS, "&scope=other", 400, "invalid_scope", "\"other\""),
        ("", "&client_id=app", 400, "unauthorized_client", "cannot be used by a public client"),
        ("", "&client_id=app&client_secret=x", 401, "invalid_client", "the client has none"),
        ("", "&client_id=signer", 401, "invalid_client", "client_assertion is missing"),
    ];
    for (basic, extra, status, error, reason) in cases {
        let response = post_token_request(&server, basic, &format!("grant_type=client_credentials{extra}"));
        assert_refused(&response, status, error, reason);
        let challenged = response.header("www-authenticate").is_some();
        assert_eq!(challenged, status == 401 && !basic.is_empty(), "{reason}");
    }
    assert_eq!(server.issued_tokens().len(), 0);
}

#[test]
fn client_must_use_registered_auth_method() {
    let server = start_server();
    let secret = Some(CLIENT_SECRET.to_owned());
    for (method, basic_status, body_status) in
        [(ClientAuth::Basic, 200, 401), (ClientAuth::Post, 401, 200), (ClientAuth::Assertion, 401, 401)]
    {
        let options =
            ClientOptions { secret: secret.clone(), client_auth: Some(method), ..ClientOptions::default() };
        server.register::<&str>("service", &[], options);
        assert_eq!(
            post_token_request(&server, BASIC_CREDENTIALS, "grant_type=client_credentials").status,
            basic_status
        );
        let in_body = format!("grant_type=client_credentials{BODY_CREDENTIALS}");
        assert_eq!(post_token_request(&server, "", &in_body).status, body_status, "{method:?}");
    }
}

#[test]
fn grant_requires_registration() {
    let server = MockServer::start(Config::http());
    let secret = Some(CLIENT_SECRET.to_owned());
    server.register::<&str>("service", &[], ClientOptions { secret, ..ClientOptions::default() });
    let password = format!("grant_type=password&username=jo&password=x{BODY_CREDENTIALS}");
    assert_refused(
        &post_token_request(&server, "", &password),
        400,
        "unsupported_grant_type",
        "client_credentials",
    );
    let users = [("jo".to_owned(), "x".to_owned())].into();
    server.register::<&str>("app", &[], ClientOptions { users, ..ClientOptions::default() });
    assert_refused(
        &post_token_request(&server, "", &password),
        400,
        "unauthorized_client",
        "is not registered for",
    );
}

fn valid_client_claims(server: &MockServer) -> Value {
    let mut claims = signer::valid_claims(&server.url("/oauth/token"));
    (claims["iss"], claims["sub"], claims["scope"]) = ("signer".into(), "signer".into(), Value::Null);
    claims
}

fn sign_claims(claims: &Value) -> String {
    signer::sign_jwt(signer::rsa_key(), &json!({"alg": "RS256", "typ": "JWT"}), claims)
}

fn send_client_assertion(server: &MockServer, assertion: &str, extra: &str) -> Response {
    let body = format!("grant_type=client_credentials&client_assertion={assertion}{ASSERTION_TYPE}{extra}");
    post_token_request(server, "", &body)
}

#[test]
fn client_assertion_replay_is_refused() {
    let server = start_server();
    for extra in ["", "&client_id=signer"] {
        let assertion = sign_claims(&valid_client_claims(&server));
        let first = send_client_assertion(&server, &assertion, extra);
        assert_eq!(first.status, 200, "{}", first.body);
        assert_refused(
            &send_client_assertion(&server, &assertion, extra),
            401,
            "invalid_client",
            "was used before",
        );
    }
    assert_eq!(server.token_requests()[0].claims.as_ref().unwrap()["iss"], "signer");
}

#[test]
fn invalid_client_assertions_are_refused() {
    let server = start_server();
    type Change = fn(&mut Value);
    let cases: [(Change, &str); 9] = [
        (|c| c["iss"] = "unknown".into(), "iss is \"unknown\""),
        (|c| c["iss"] = "service".into(), "expected Secret"),
        (|c| c["sub"] = "user-1".into(), "expected the client id"),
        (|c| drop(c.as_object_mut().unwrap().remove("sub")), "sub is missing"),
        (|c| c["aud"] = "https://x.example".into(), "aud is"),
        (|c| c["exp"] = signer::unix_now().into(), "exp is"),
        (|c| drop(c.as_object_mut().unwrap().remove("exp")), "exp is missing"),
        (|c| drop(c.as_object_mut().unwrap().remove("jti")), "jti is missing"),
        (|c| c["iat"] = (signer::unix_now() + 60).into(), "in the future"),
    ];
    for (change, reason) in cases {
        let mut claims = valid_client_claims(&server);
        change(&mut claims);
        assert_refused(
            &send_client_assertion(&server, &sign_claims(&claims), ""),
            401,
            "invalid_client",
            reason,
        );
    }
    let claims = valid_client_claims(&server);
    let header = json!({"alg": "RS256", "typ": "JWT"});
    let forged = signer::sign_jwt(signer::other_rsa_key(), &header, &claims);
    assert_refused(&send_client_assertion(&server, &forged, ""), 401, "invalid_client", "no registered key");
    let untyped = signer::sign_jwt(signer::rsa_key(), &json!({"alg": "RS256"}), &claims);
    assert_refused(&send_client_assertion(&server, &untyped, ""), 401, "invalid_client", "typ is None");
}

#[test]
fn client_assertion_needs_type_and_no_secret() {
    let server = start_server();
    let valid_assertion = || sign_claims(&valid_client_claims(&server));
    let body =
        |extra: &str| format!("grant_type=client_credentials&client_assertion={}{extra}", valid_assertion());
    assert_refused(
        &post_token_request(&server, "", &body("")),
        400,
        "invalid_request",
        "client_assertion_type is missing",
    );
    let saml = "&client_assertion_type=saml";
    assert_refused(
        &post_token_request(&server, "", &body(saml)),
        401,
        "invalid_client",
        "client_assertion_type is \"saml\"",
    );
    let alone = format!("grant_type=client_credentials&client_id=signer{ASSERTION_TYPE}");
    assert_refused(
        &post_token_request(&server, "", &alone),
        400,
        "invalid_request",
        "without client_assertion",
    );
    let twice = send_client_assertion(&server, &valid_assertion(), "&client_id=signer&client_secret=x");
    assert_refused(&twice, 400, "invalid_request", "authenticates twice");
    let both = post_token_request(&server, BASIC_CREDENTIALS, &body(ASSERTION_TYPE));
    assert_refused(&both, 400, "invalid_request", "authenticates twice");
    let other = send_client_assertion(&server, &valid_assertion(), "&client_id=app");
    assert_refused(&other, 401, "invalid_client", "the client ID is \"app\"");
}

#[test]
fn issuer_audience_and_typ_follow_config() {
    let server = start_server();
    let issuer = server.url("");
    let mut claims = valid_client_claims(&server);
    claims["aud"] = issuer.as_str().into();
    let expected = format!("expected \"{issuer}/oauth/token\"");
    assert_refused(
        &send_client_assertion(&server, &sign_claims(&claims), ""),
        401,
        "invalid_client",
        &expected,
    );
    server.reconfigure(|config| config.issuer = Some(issuer));
    assert_eq!(send_client_assertion(&server, &sign_claims(&claims), "").status, 200);
    server.reconfigure(|config| config.client_typ = Some("client-authentication+jwt".to_owned()));
    assert_refused(
        &send_client_assertion(&server, &sign_claims(&valid_client_claims(&server)), ""),
        401,
        "invalid_client",
        "typ is",
    );
}

const PASSWORD_GRANT: &str = "grant_type=password&username=jo&password=pw+%26%3D";

#[test]
fn password_grant_works_for_both_client_types() {
    let server = start_server();
    for client in ["&client_id=app", BODY_CREDENTIALS] {
        let response = post_token_request(&server, "", &format!("{PASSWORD_GRANT}{client}"));
        assert_eq!(response.status, 200, "{}", response.body);
        assert_eq!(response.json()["scope"], "read write");
        assert!(response.json()["refresh_token"].is_string());
    }
}

#[test]
fn invalid_password_requests_are_refused() {
    let server = start_server();
    let grant = "grant_type=password";
    let cases = [
        (format!("{grant}&username=jo&password=x&client_id=app"), 400, "invalid_grant", "password is \"x\""),
        (format!("{grant}&username=al&password=x&client_id=app"), 400, "invalid_grant", "\"al\" is unknown"),
        (format!("{grant}&username=jo&client_id=app"), 400, "invalid_request", "password is missing"),
        (format!("{grant}&password=x&client_id=app"), 400, "invalid_request", "username is missing"),
        (PASSWORD_GRANT.to_owned(), 401, "invalid_client", "does not identify the client"),
        (format!("{PASSWORD_GRANT}&client_id=service"), 401, "invalid_client", "secret is missing"),
        (format!("{PASSWORD_GRANT}&client_id=app&scope=all"), 400, "invalid_scope", "\"all\""),
    ];
    for (body, status, error, reason) in cases {
        assert_refused(&post_token_request(&server, "", &body), status, error, reason);
    }
}

#[test]
fn secrets_in_query_are_refused() {
    let server = start_server();
    server.reconfigure(|config| config.get = mock_server::GetResponse::Token);
    let target = format!("/oauth/token?{PASSWORD_GRANT}&client_id=app");
    let response =
        http_client::send_request(&server, &http_client::build_request(&server, "GET", &target, "", ""));
    assert!(server.issued_tokens().is_empty(), "{}", response.body);
    for name in ["username", "password", "code", "code_verifier", "redirect_uri", "refresh_token"] {
        let target = format!("/oauth/token?{name}=x");
        let headers = format!("Content-Type: {FORM_CONTENT_TYPE}\r\n");
        let request = http_client::build_request(
            &server,
            "POST",
            &target,
            &headers,
            &format!("{PASSWORD_GRANT}&client_id=app"),
        );
        assert_refused(
            &http_client::send_request(&server, &request),
            400,
            "invalid_request",
            "query of a POST",
        );
    }
}

#[test]
fn behaviors_apply_to_all_grants() {
    let server = start_server();
    server.set_script(vec![Behavior::Html { status: 503 }, Behavior::TokenAnswer("{}".to_owned())]);
    assert_eq!(post_token_request(&server, "", &format!("{PASSWORD_GRANT}&client_id=app")).status, 503);
    let response = post_token_request(&server, BASIC_CREDENTIALS, "grant_type=client_credentials");
    assert_eq!((response.status, response.body.as_str()), (200, "{}"));
}
