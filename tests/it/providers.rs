//! Each provider's quirks, played by the strict authority: the library gets through by its profile.

use std::io::{Read, Write};
use std::net::TcpStream;

use crate::support::c_api::{Failure, Token, get_token, open};
use crate::support::stores;
use authgrant::ffi::status::*;
use authgrant::options::Options;
use authgrant::provider::{self, JwtUse};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use mock_server::{
    Behavior, ClientAuth, ClientOptions, Config, MockServer, Provider, RecordedRequest, Verdict,
};
use serde_json::{Value, json};

const USER_ID: &str = "464f7988-0000-4000-8000-91d2a53e80e0";

/// An authority that plays `provider` and knows the signer's certificate for `me`.
fn start_provider(provider: Provider, options: ClientOptions) -> MockServer {
    let authority = MockServer::start(Config::for_provider(provider));
    authority.register("me", &[stores::certificate()], options);
    authority
}

fn provider_string(authority: &MockServer, provider: &str, more: &str) -> String {
    let path = token_endpoint_path(provider);
    format!(
        "{more};Provider={provider};JWTCertStore={};JWTCertPassword=secret;TokenURI={}",
        stores::path("keytool.jks"),
        authority.url(path)
    )
}

fn token_endpoint_path(provider: &str) -> &'static str {
    match provider {
        "salesforce" => "/services/oauth2/token",
        "entra" => "/contoso.onmicrosoft.com/oauth2/v2.0/token",
        _ => "/oauth/token",
    }
}

#[track_caller]
fn expect_token(string: &str) -> Token {
    get_token(string).unwrap_or_else(|failure| panic!("{string}: {failure:?}"))
}

fn expect_failure(string: &str) -> Box<Failure> {
    get_token(string).map(|_| ()).unwrap_err()
}

fn last_request(authority: &MockServer) -> RecordedRequest {
    authority.token_requests().pop().unwrap()
}

fn claim(request: &RecordedRequest, name: &str) -> Value {
    request.claims.as_ref().unwrap().get(name).cloned().unwrap_or_default()
}

fn jwt_header(request: &RecordedRequest, name: &str) -> Value {
    request.jwt_header.as_ref().unwrap().get(name).cloned().unwrap_or_default()
}

fn assertion_lifetime(request: &RecordedRequest) -> i64 {
    claim(request, "exp").as_i64().unwrap() - claim(request, "iat").as_i64().unwrap()
}

fn unix_now() -> i64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    i64::try_from(since.as_secs()).unwrap()
}

fn with_secret(more: ClientOptions) -> ClientOptions {
    ClientOptions { secret: Some("s3cret".to_owned()), client_auth: Some(ClientAuth::Post), ..more }
}

fn assertion_client() -> ClientOptions {
    let grant_types = vec![mock_server::GrantType::ClientCredentials];
    ClientOptions { grant_types, client_auth: Some(ClientAuth::Assertion), ..ClientOptions::default() }
}

#[test]
fn docusign_needs_bare_host_guid_and_consent() {
    let authority = start_provider(Provider::Docusign, ClientOptions::default());
    let options = "ClaimsIssuer=me;RedirectURI=http://localhost:3000";
    let connection = provider_string(&authority, "docusign", &format!("{options};ClaimsSubject={USER_ID}"));
    authority.require_consent(USER_ID);
    let failure = expect_failure(&connection);
    assert_eq!(failure.status, AUTHGRANT_CONSENT_REQUIRED);
    let url = failure.consent_url.unwrap();
    assert!(url.contains("/oauth/auth?response_type=code&scope=signature%20impersonation"), "{url}");
    for setting in ["Authorization Code grant, not Implicit", "this Redirect URI"] {
        assert!(failure.message.contains(setting), "{}", failure.message);
    }
    visit_consent_page(&authority, &url);
    // The refusal is remembered for a moment, and forgotten where an option is set.
    let again = open(&connection).unwrap();
    again.set_option("ClaimsSubject", USER_ID).unwrap();
    again.get_token().unwrap();
    let request = last_request(&authority);
    assert_eq!(claim(&request, "scope"), "signature impersonation");
    assert_eq!((claim(&request, "aud"), assertion_lifetime(&request)), (json!("127.0.0.1"), 3600));
    let other = expect_failure(&provider_string(
        &authority,
        "docusign",
        &format!("{options};ClaimsSubject=jo@example.com"),
    ));
    assert_eq!(other.oauth_description.as_deref(), Some("user_not_found"));
    let foreign =
        expect_failure(&provider_string(&authority, "docusign", "ClaimsIssuer=other;ClaimsSubject=a"));
    assert_eq!(foreign.oauth_description.as_deref(), Some("issuer_not_found"));
}

/// What a person's browser does, as far as the authority cares.
fn visit_consent_page(authority: &MockServer, url: &str) {
    let path = url.strip_prefix(&authority.url("")).unwrap();
    let answer =
        send_http(authority, &format!("GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n"));
    assert!(answer.starts_with("HTTP/1.1 302"), "{answer}");
}

fn send_http(authority: &MockServer, request: &str) -> String {
    let mut stream = TcpStream::connect(("127.0.0.1", authority.port())).unwrap();
    stream.write_all(request.as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

#[test]
fn salesforce_defaults_lifetime_audience_and_scope() {
    let authority = start_provider(Provider::Salesforce, ClientOptions::default());
    let connection =
        provider_string(&authority, "salesforce", "ClaimsIssuer=me;ClaimsSubject=jo@example.com;Scope=api");
    let token = expect_token(&connection);
    assert!((token.expires_at() - unix_now() - 7200).abs() <= 5, "two hours, as a rule");
    assert_eq!(token.field("instance_url"), Some(authority.url("")));
    let request = last_request(&authority);
    assert_eq!(
        (claim(&request, "aud"), assertion_lifetime(&request)),
        (json!("https://login.salesforce.com"), 180)
    );
    let warned = open(&connection).unwrap().warnings();
    assert!(warned.iter().any(|warning| warning.option.as_deref() == Some("Scope")), "{warned:?}");
    let short = expect_token(&format!("AccessTokenLifetime=900;{connection}"));
    assert!((short.expires_at() - unix_now() - 900).abs() <= 5, "the user's own wins");
}

#[test]
fn salesforce_consent_error_needs_administrator() {
    let authority = start_provider(Provider::Salesforce, ClientOptions::default());
    let connection =
        provider_string(&authority, "salesforce", "ClaimsIssuer=me;ClaimsSubject=jo@example.com");
    authority.require_consent("jo@example.com");
    let failure = expect_failure(&connection);
    assert_eq!(failure.status, AUTHGRANT_CONSENT_REQUIRED);
    assert!(failure.message.contains("pre-authorized"), "{}", failure.message);
    assert_eq!(authority.token_requests().len(), 1, "nothing is tried again");
}

#[test]
fn salesforce_ended_session_fetches_new_token() {
    let authority = start_provider(Provider::Salesforce, ClientOptions::default());
    let connection =
        provider_string(&authority, "salesforce", "ClaimsIssuer=me;ClaimsSubject=jo@example.com");
    let connection = open(&connection).unwrap();
    let token = connection.get_token().unwrap();
    assert!(authority.revoke(&token.value()));
    let request = |token: &Token| {
        format!(
            "GET /api/whoami HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer {}\r\nConnection: close\r\n\r\n",
            token.value()
        )
    };
    assert!(send_http(&authority, &request(&token)).contains("INVALID_SESSION_ID"));
    connection.reject(&token);
    let other = connection.get_token().unwrap();
    assert!(send_http(&authority, &request(&other)).starts_with("HTTP/1.1 200"));
}

#[test]
fn entra_needs_ps256_thumbprint_and_parses_errors() {
    let authority = start_provider(Provider::Entra, assertion_client());
    let scope = "Scope=https://graph.microsoft.com/.default";
    let connection = provider_string(&authority, "entra", &format!("ClientID=me;{scope}"));
    let token = expect_token(&connection);
    assert!(token.field("ext_expires_in").is_some());
    let request = last_request(&authority);
    assert_eq!((jwt_header(&request, "alg"), assertion_lifetime(&request)), (json!("PS256"), 600));
    assert!(jwt_header(&request, "x5t#S256").is_string());
    assert_eq!((claim(&request, "iss"), claim(&request, "sub")), (json!("me"), json!("me")));
    assert_eq!(claim(&request, "aud"), authority.url("/contoso.onmicrosoft.com/oauth2/v2.0/token").as_str());
    expect_token(&format!("JWTAlgorithm=RS256;JWTThumbprint=x5t;{connection}"));
    let failure = expect_failure(&provider_string(&authority, "entra", "ClientID=me;Scope=a b"));
    assert_eq!(failure.provider_code.as_deref(), Some("AADSTS70011"));
    assert!(!failure.message.contains(['\r', '\n']), "{}", failure.message);
    authority.require_consent("me");
    let failure = expect_failure(&format!("LoginTimeout=61;ScopeIn=Both;{connection}"));
    assert_eq!(failure.status, AUTHGRANT_DENIED, "a claim is too much: {failure:?}");
    authority.require_consent("me");
    let failure = expect_failure(&format!("AccessTokenLifetime=10;{connection}"));
    assert_eq!(
        (failure.status, failure.provider_code.as_deref()),
        (AUTHGRANT_CONSENT_REQUIRED, Some("AADSTS65001"))
    );
    let redirect = "RedirectURI=http://localhost:3000";
    let failure = expect_failure(&format!("AccessTokenLifetime=11;{redirect};{connection}"));
    let page = authority.url("/contoso.onmicrosoft.com/v2.0/adminconsent?scope=https%3A%2F%2Fgraph.microsoft.com%2F.default&client_id=me");
    assert!(failure.consent_url.is_some_and(|url| url.starts_with(&page)), "{}", failure.message);
}

#[test]
fn entra_throttling_and_clock_error_are_retried() {
    let authority = start_provider(Provider::Entra, assertion_client());
    let connection =
        provider_string(&authority, "entra", "ClientID=me;Scope=https://graph.microsoft.com/.default");
    let headers = vec![("Retry-After".to_owned(), "2".to_owned())];
    let body = json!({"error": "temporarily_unavailable", "error_codes": [90055]});
    authority.set_script(vec![Behavior::Json { status: 429, body, headers }]);
    let begin = std::time::Instant::now();
    expect_token(&connection);
    assert!(begin.elapsed() >= std::time::Duration::from_secs(2));
    // Within the 30 s by which clocks may differ, where only the number tells.
    authority.reconfigure(|config| {
        config.clock_skew = 20;
        config.max_age = 10;
    });
    let before = authority.token_requests().len();
    expect_token(&format!("AccessTokenLifetime=10;{connection}"));
    assert_eq!(authority.token_requests().len(), before + 2);
}

#[test]
fn google_id_token_only_response_is_accepted() {
    let authority = start_provider(Provider::Google, ClientOptions::default());
    authority.set_script(vec![Behavior::Html { status: 500 }]);
    let token = expect_token(&provider_string(
        &authority,
        "google",
        "ClaimsIssuer=me;Scope=https://www.googleapis.com/auth/drive",
    ));
    assert_eq!(authority.token_requests().len(), 2, "500 passes");
    assert!((token.expires_at() - unix_now() - 3599).abs() <= 5);
    let request = last_request(&authority);
    assert_eq!((claim(&request, "sub"), assertion_lifetime(&request)), (Value::Null, 3600));
    let audience = "ClaimsAdditional={{\"target_audience\":\"https://api.example.com\"}}}";
    let token = expect_token(&provider_string(&authority, "google", &format!("ClaimsIssuer=me;{audience}")));
    let value = token.value();
    let claims = URL_SAFE_NO_PAD.decode(value.split('.').nth(1).unwrap()).unwrap();
    let claims: Value = serde_json::from_slice(&claims).unwrap();
    assert_eq!(claims["exp"], token.expires_at(), "an id token ends by its own exp");
    authority.set_script(vec![Behavior::TokenAnswer(json!({"id_token": value}).to_string())]);
    let elsewhere = provider_string(&authority, "okta", "am=55;ClaimsIssuer=me;ClaimsSubject=jo");
    assert_eq!(
        expect_failure(&elsewhere).status,
        AUTHGRANT_BAD_RESPONSE,
        "an id token is no access token elsewhere"
    );
}

#[test]
fn google_unauthorized_client_means_consent() {
    let authority = start_provider(Provider::Google, ClientOptions::default());
    authority.require_consent("jo@example.com");
    let connection =
        provider_string(&authority, "google", "ClaimsIssuer=me;ClaimsSubject=jo@example.com;Scope=s");
    let failure = expect_failure(&connection);
    assert_eq!(failure.status, AUTHGRANT_CONSENT_REQUIRED);
    assert!(failure.message.contains("domain-wide delegation"), "{}", failure.message);
    let anybody =
        connection.replace("Provider=google", "ScopeIn=Claim").replace("TokenURI=", "TokenURI=POST ");
    assert_eq!(expect_failure(&anybody).status, AUTHGRANT_DENIED);
}

#[test]
fn box_clock_skew_correction_uses_new_jti() {
    let kid = Some("key-1".to_owned());
    let authority =
        start_provider(Provider::Box, with_secret(ClientOptions { kid, ..ClientOptions::default() }));
    let connection = provider_string(
        &authority,
        "box",
        "ClaimsIssuer=me;ClaimsSubject=987;ClientSecret=s3cret;JWTKeyID=key-1;ClaimsAdditional={{\"box_sub_type\":\"enterprise\"}}}",
    );
    let token = expect_token(&connection);
    assert!((token.expires_at() - unix_now() - 4169).abs() <= 5, "a token's end is told by our clock");
    let requests = authority.token_requests();
    assert_eq!(requests.len(), 2);
    assert_ne!(claim(&requests[0], "jti"), claim(&requests[1], "jti"));
    let later = claim(&requests[1], "exp").as_i64().unwrap() - claim(&requests[0], "exp").as_i64().unwrap();
    assert!((295..=310).contains(&later), "{later}");
    assert_eq!(assertion_lifetime(&requests[1]), 30);
    assert_eq!(requests[1].parameter("client_id").as_deref(), Some("me"));
    let warned = open(&connection.replace("JWTKeyID=key-1;", "JWTLifetime=90;")).unwrap().warnings();
    let about = |option: &str| warned.iter().any(|warning| warning.option.as_deref() == Some(option));
    assert!(about("JWTKeyID") && about("JWTLifetime") && !about("ClaimsAdditional"), "{warned:?}");
}

#[test]
fn replay_retried_once_undated_clock_error_never() {
    let refusal = |description: &str, date: &str| Behavior::Json {
        status: 400,
        body: json!({"error": "invalid_grant", "error_description": description}),
        headers: vec![("Date".to_owned(), date.to_owned())],
    };
    for (description, asked) in [
        ("Please check the 'jti' claim. A unique 'jti' value is required.", 2),
        ("Please check the 'exp' claim.", 1),
    ] {
        let authority = start_provider(Provider::Box, with_secret(ClientOptions::default()));
        authority.reconfigure(|config| config.clock_skew = 0);
        authority.set_default_behavior(refusal(description, "never"));
        let failure = expect_failure(&provider_string(
            &authority,
            "box",
            "ClaimsIssuer=me;ClaimsSubject=987;ClientSecret=s3cret;JWTKeyID=k;ClaimsAdditional={{\"box_sub_type\":\"user\"}}}",
        ));
        assert_eq!(failure.status, AUTHGRANT_DENIED);
        assert_eq!(authority.token_requests().len(), asked, "{description}");
    }
}

#[test]
fn okta_uses_client_assertion_and_scope_parameter() {
    let authority = start_provider(Provider::Okta, assertion_client());
    expect_token(&provider_string(&authority, "okta", "ClientID=me;JWTKeyID=k;Scope=okta.users.read"));
    let request = last_request(&authority);
    assert_eq!(request.parameter("grant_type").as_deref(), Some("client_credentials"));
    assert_eq!(request.parameter("scope").as_deref(), Some("okta.users.read"));
    assert_eq!((claim(&request, "sub"), assertion_lifetime(&request)), (json!("me"), 300));
}

#[test]
fn keycloak_needs_short_assertion_and_secret() {
    let client_id = Some("driver".to_owned());
    let authority = start_provider(
        Provider::Keycloak,
        with_secret(ClientOptions { client_id, ..ClientOptions::default() }),
    );
    let options =
        "AuthenticationMethod=55;ClaimsIssuer=me;ClaimsSubject=u;ClientID=driver;ClientSecret=s3cret;Scope=a";
    let token = expect_token(&provider_string(&authority, "keycloak", options));
    assert_eq!(token.field("refresh_expires_in").as_deref(), Some("0"));
    assert_eq!(assertion_lifetime(&last_request(&authority)), 60);
    let long = provider_string(&authority, "keycloak", &format!("JWTLifetime=600;{options}"));
    let warnings = open(&long).unwrap().warnings();
    let warning = warnings.iter().find(|warning| warning.option.as_deref() == Some("JWTLifetime")).unwrap();
    assert!(warning.sqlstate == "01000" && warning.message.contains("300"), "{warning:?}");
    expect_failure(&long);
    assert_eq!(assertion_lifetime(&last_request(&authority)), 600, "what the user says is sent");
    let without =
        expect_failure(&provider_string(&authority, "keycloak", "am=55;ClaimsIssuer=me;ClaimsSubject=u"));
    assert_eq!(without.status, AUTHGRANT_MISSING_OPTION);
}

#[test]
fn snowflake_issuer_has_key_fingerprint() {
    let authority = MockServer::start(Config::for_provider(Provider::Snowflake));
    authority.register("XY12345.ROBOT", &[stores::certificate()], ClientOptions::default());
    let connection = |issuer: &str, store: &str| {
        let store = stores::path(store);
        open(&format!(
            "Provider=snowflake;am=JWT;ClaimsIssuer={issuer};JWTCertStore={store};JWTCertPassword=secret"
        ))
        .unwrap()
    };
    let asks = |issuer: &str, store: &str| {
        let mut head =
            "POST /api/v2/statements HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n".to_owned();
        for (name, value) in connection(issuer, store).get_headers().unwrap() {
            head.push_str(&format!("{name}: {value}\r\n"));
        }
        send_http(&authority, &format!("{head}Content-Length: 0\r\n\r\n"))
    };
    let answer = asks("xy12345.robot", "keytool.jks");
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    for (issuer, store) in [("xy12345.other", "keytool.jks"), ("xy12345.robot", "other.pem")] {
        let answer = asks(issuer, store);
        assert!(answer.starts_with("HTTP/1.1 401") && answer.contains("390144"), "{answer}");
    }
    let token = connection("xy12345.robot", "keytool.jks").get_token().unwrap();
    assert!((token.expires_at() - unix_now() - 55).abs() <= 5);
}

#[test]
fn servicenow_audience_is_client_id() {
    let known = ClientOptions {
        audience: Some("me".to_owned()),
        kid: Some("k".to_owned()),
        ..ClientOptions::default()
    };
    let public = start_provider(Provider::Servicenow, known.clone());
    expect_token(&provider_string(&public, "servicenow", "ClaimsIssuer=me;ClaimsSubject=jo;JWTKeyID=k"));
    let authority = start_provider(Provider::Servicenow, with_secret(known));
    let options = "ClaimsIssuer=me;ClaimsSubject=jo;JWTKeyID=k;ClientSecret=s3cret";
    assert_eq!(
        expect_token(&provider_string(&authority, "servicenow", options)).scope().as_deref(),
        Some("useraccount")
    );
}

#[test]
fn netsuite_needs_scope_array_and_no_rs256() {
    let authority =
        start_provider(Provider::Netsuite, ClientOptions { kid: Some("k".to_owned()), ..assertion_client() });
    let connection =
        provider_string(&authority, "netsuite", "ClientID=me;JWTKeyID=k;Scope=restlets rest_webservices");
    let token = expect_token(&connection);
    assert!((token.expires_at() - unix_now() - 3600).abs() <= 5, "text for a number");
    let request = last_request(&authority);
    assert_eq!(claim(&request, "scope"), json!(["restlets", "rest_webservices"]));
    assert_eq!((jwt_header(&request, "alg"), claim(&request, "sub")), (json!("PS256"), Value::Null));
    expect_failure(&format!("JWTAlgorithm=RS256;{connection}"));
    let Verdict::Refused { description, .. } = last_request(&authority).verdict else {
        panic!("it was taken")
    };
    assert!(description.contains("RS256"), "{description}");
}

#[test]
fn maskinporten_limits_lifetime_and_jti_reuse() {
    let kid = Some("k".to_owned());
    let authority = start_provider(Provider::Maskinporten, ClientOptions { kid, ..ClientOptions::default() });
    let audience = format!("{}/", authority.url(""));
    authority.reconfigure(|config| config.audience = Some(audience));
    let connection =
        provider_string(&authority, "maskinporten", "ClaimsIssuer=me;JWTKeyID=k;Scope=prefix:api");
    expect_token(&connection);
    assert_eq!(assertion_lifetime(&last_request(&authority)), 100);
    let replay = json!({"error": "invalid_grant", "error_description": "MP-012 Grant used before"});
    authority.set_script(vec![Behavior::Json { status: 400, body: replay, headers: Vec::new() }]);
    expect_token(&format!("AccessTokenLifetime=10;{connection}"));
    assert_eq!(authority.token_requests().len(), 3);
    let same = format!("ClaimsAdditional={{{{\"jti\":\"one-and-the-same-id\"}}}}}};{connection}");
    expect_token(&same);
    let failure = expect_failure(&format!("AccessTokenLifetime=20;{same}"));
    assert_eq!(failure.provider_code.as_deref(), Some("MP-012"));
}

#[test]
fn provider_examples_resolve_without_warnings() {
    assert_eq!(provider::profiles().len(), 24);
    for profile in provider::profiles() {
        let example = profile.example_connection_string();
        let options = Options::parse(&example).unwrap_or_else(|error| panic!("{example}: {error}"));
        let resolution = authgrant::resolve::resolve(&options);
        let config = resolution.config.unwrap_or_else(|error| panic!("{example}: {error}"));
        let warnings = [options.warnings(), resolution.warnings].concat();
        assert!(warnings.is_empty(), "{example}: {warnings:?}");
        let wanted = matches!(config.flow, authgrant::resolve::Flow::SignedJwt(_));
        assert_eq!(profile.jwt == JwtUse::AccessToken, wanted, "{example}");
        if let authgrant::resolve::Flow::TokenEndpoint(exchange) = &config.flow {
            assert_eq!(exchange.profile.map(|known| &known.name), Some(&profile.name), "{example}");
        }
    }
}
