//! Provider profiles, against the mock server with the special requirements of each provider.

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

/// Starts a server that behaves like `provider`, with the signer's certificate registered for `me`.
fn start_provider(provider: Provider, options: ClientOptions) -> MockServer {
    let server = MockServer::start(Config::for_provider(provider));
    server.register("me", &[stores::certificate()], options);
    server
}

fn provider_string(server: &MockServer, provider: &str, more: &str) -> String {
    let path = token_endpoint_path(provider);
    format!(
        "{more};Provider={provider};JWTCertStore={};JWTCertPassword=secret;TokenURI={}",
        stores::path("keytool.jks"),
        server.url(path)
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

fn last_request(server: &MockServer) -> RecordedRequest {
    server.token_requests().pop().unwrap()
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
    let server = start_provider(Provider::Docusign, ClientOptions::default());
    let options = "ClaimsIssuer=me;RedirectURI=http://localhost:3000";
    let connection = provider_string(&server, "docusign", &format!("{options};ClaimsSubject={USER_ID}"));
    server.require_consent(USER_ID);
    let failure = expect_failure(&connection);
    assert_eq!(failure.status, AUTHGRANT_CONSENT_REQUIRED);
    let url = failure.consent_url.unwrap();
    assert!(url.contains("/oauth/auth?response_type=code&scope=signature%20impersonation"), "{url}");
    for setting in ["Authorization Code grant, not Implicit", "this Redirect URI"] {
        assert!(failure.message.contains(setting), "{}", failure.message);
    }
    visit_consent_page(&server, &url);
    // The error is cached briefly; setting an option clears it.
    let reopened = open(&connection).unwrap();
    reopened.set_option("ClaimsSubject", USER_ID).unwrap();
    reopened.get_token().unwrap();
    let request = last_request(&server);
    assert_eq!(claim(&request, "scope"), "signature impersonation");
    assert_eq!((claim(&request, "aud"), assertion_lifetime(&request)), (json!("127.0.0.1"), 3600));
    let unknown_user = expect_failure(&provider_string(
        &server,
        "docusign",
        &format!("{options};ClaimsSubject=jo@example.com"),
    ));
    assert_eq!(unknown_user.oauth_description.as_deref(), Some("user_not_found"));
    assert!(unknown_user.message.contains("GUID"), "{}", unknown_user.message);
    let unknown_issuer =
        expect_failure(&provider_string(&server, "docusign", "ClaimsIssuer=other;ClaimsSubject=a"));
    assert_eq!(unknown_issuer.oauth_description.as_deref(), Some("issuer_not_found"));
    assert!(unknown_issuer.message.contains("account-d.docusign.com"), "{}", unknown_issuer.message);
    let body = json!({"error": "invalid_grant", "error_description": "no_valid_keys_or_signatures"});
    server.set_default_behavior(Behavior::Json { status: 400, body, headers: Vec::new() });
    let wrong_key = expect_failure(&format!("AccessTokenLifetime=10;{connection}"));
    assert_eq!(wrong_key.status, AUTHGRANT_DENIED);
    assert!(wrong_key.message.contains("public key"), "{}", wrong_key.message);
}

/// The consent URL of a connection at the token URL, which is not contacted.
fn consent_url(token_url: &str, options: &str) -> String {
    let text = format!("{options};TokenURI=POST {token_url};RedirectURI=http://localhost:3000");
    open(&text).unwrap().consent_url().unwrap_or_else(|failure| panic!("{text}: {failure:?}"))
}

#[test]
fn authorization_endpoint_follows_token_url() {
    let login = "am=51;ClientID=c;Scope=openid";
    for (token_url, options, endpoint) in [
        (
            "https://sso.example/realms/main/protocol/openid-connect/token",
            "Provider=keycloak",
            "https://sso.example/realms/main/protocol/openid-connect/auth",
        ),
        (
            "https://sso.example:8443/auth/realms/a%20b/protocol/openid-connect/token?x=y",
            "Provider=Keycloak",
            "https://sso.example:8443/auth/realms/a%20b/protocol/openid-connect/auth",
        ),
        (
            "https://acme.okta-gov.com/oauth2/default/v1/token",
            "",
            "https://acme.okta-gov.com/oauth2/default/v1/authorize",
        ),
        (
            "https://login.microsoftonline.us/t/oauth2/v2.0/token",
            "",
            "https://login.microsoftonline.us/t/oauth2/v2.0/authorize",
        ),
        (
            "https://sso.example/realms/main/protocol/openid-connect/token",
            "Provider=keycloak;AuthURI=https://login.example/other",
            "https://login.example/other",
        ),
    ] {
        let url = consent_url(token_url, &format!("{options};{login}"));
        assert!(url.starts_with(&format!("{endpoint}?response_type=code")), "{url}");
    }
}

#[test]
fn admin_consent_stays_in_national_cloud() {
    for (host, graph) in [
        ("login.microsoftonline.com", "graph.microsoft.com"),
        ("login.microsoftonline.us", "graph.microsoft.us"),
        ("login.partner.microsoftonline.cn", "microsoftgraph.chinacloudapi.cn"),
    ] {
        let options =
            format!("ClientID=c;JWTCertStore={};JWTCertPassword=secret", stores::path("keytool.jks"));
        let url = consent_url(&format!("https://{host}/contoso/oauth2/v2.0/token"), &options);
        let page =
            format!("https://{host}/contoso/v2.0/adminconsent?scope=https%3A%2F%2F{graph}%2F.default&");
        assert!(url.starts_with(&page), "{url}");
    }
}

/// Opens the consent page, as a browser would.
fn visit_consent_page(server: &MockServer, url: &str) {
    let path = url.strip_prefix(&server.url("")).unwrap();
    let response =
        send_http(server, &format!("GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n"));
    assert!(response.starts_with("HTTP/1.1 302"), "{response}");
}

fn send_http(server: &MockServer, request: &str) -> String {
    let mut stream = TcpStream::connect(("127.0.0.1", server.port())).unwrap();
    stream.write_all(request.as_bytes()).unwrap();
    let mut response = String::new();
    stream.read_to_string(&mut response).unwrap();
    response
}

#[test]
fn salesforce_defaults_lifetime_audience_and_scope() {
    let server = start_provider(Provider::Salesforce, ClientOptions::default());
    let connection =
        provider_string(&server, "salesforce", "ClaimsIssuer=me;ClaimsSubject=jo@example.com;Scope=api");
    let token = expect_token(&connection);
    assert!((token.expires_at() - unix_now() - 7200).abs() <= 5, "the default of two hours");
    assert_eq!(token.field("instance_url"), Some(server.url("")));
    let request = last_request(&server);
    assert_eq!(
        (claim(&request, "aud"), assertion_lifetime(&request)),
        (json!("https://login.salesforce.com"), 180)
    );
    let warnings = open(&connection).unwrap().warnings();
    assert!(warnings.iter().any(|warning| warning.option.as_deref() == Some("Scope")), "{warnings:?}");
    let short = expect_token(&format!("AccessTokenLifetime=900;{connection}"));
    assert!((short.expires_at() - unix_now() - 900).abs() <= 5, "the explicit option overrides the profile");
}

#[test]
fn salesforce_consent_error_needs_administrator() {
    let server = start_provider(Provider::Salesforce, ClientOptions::default());
    let connection = provider_string(&server, "salesforce", "ClaimsIssuer=me;ClaimsSubject=jo@example.com");
    server.require_consent("jo@example.com");
    let failure = expect_failure(&connection);
    assert_eq!(failure.status, AUTHGRANT_CONSENT_REQUIRED);
    assert!(failure.message.contains("pre-authorized"), "{}", failure.message);
    assert_eq!(server.token_requests().len(), 1, "the request is not retried");
}

#[test]
fn salesforce_admin_approval_is_consent() {
    let server = start_provider(Provider::Salesforce, ClientOptions::default());
    let body = json!({
        "error": "invalid_grant",
        "error_description": "user is not admin approved to access this app",
    });
    server.set_default_behavior(Behavior::Json { status: 400, body, headers: Vec::new() });
    let failure = expect_failure(&provider_string(
        &server,
        "salesforce",
        "ClaimsIssuer=me;ClaimsSubject=jo@example.com",
    ));
    assert_eq!(failure.status, AUTHGRANT_CONSENT_REQUIRED);
    assert_eq!(failure.oauth_error.as_deref(), Some("invalid_grant"));
}

#[test]
fn salesforce_ended_session_fetches_new_token() {
    let server = start_provider(Provider::Salesforce, ClientOptions::default());
    let connection = provider_string(&server, "salesforce", "ClaimsIssuer=me;ClaimsSubject=jo@example.com");
    let connection = open(&connection).unwrap();
    let token = connection.get_token().unwrap();
    assert!(server.revoke(&token.value()));
    let request = |token: &Token| {
        format!(
            "GET /api/whoami HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer {}\r\n\
             Connection: close\r\n\r\n",
            token.value()
        )
    };
    assert!(send_http(&server, &request(&token)).contains("INVALID_SESSION_ID"));
    connection.reject(&token);
    let other = connection.get_token().unwrap();
    assert!(send_http(&server, &request(&other)).starts_with("HTTP/1.1 200"));
}

#[test]
fn docusign_environment_follows_token_host() {
    for host in ["account.docusign.com", "account-d.docusign.com"] {
        for (scope, encoded) in [
            ("", "signature%20impersonation"),
            ("Scope=impersonation click.manage", "impersonation%20click.manage"),
        ] {
            let connection = open(&format!(
                "am=55;ClaimsIssuer=key;ClaimsSubject={USER_ID};JWTCertStore={};JWTCertPassword=secret;\
                 TokenURI=https://{host}/oauth/token;RedirectURI=http://localhost:3000;{scope}",
                stores::path("keytool.jks")
            ))
            .unwrap();
            assert_eq!(
                connection.consent_url().unwrap(),
                format!(
                    "https://{host}/oauth/auth?response_type=code&scope={encoded}&client_id=key\
                     &redirect_uri=http%3A%2F%2Flocalhost%3A3000"
                )
            );
            let report: Value = serde_json::from_str(&connection.explain().unwrap()).unwrap();
            let claims = &report["assertion"]["claims"];
            assert_eq!(claims["aud"]["value"], host, "{report:#}");
            assert_eq!(claims["scope"]["value"], encoded.replace("%20", " "), "{report:#}");
            assert_eq!(
                report["request"]["url"]["value"],
                format!("https://{host}/oauth/token"),
                "{report:#}"
            );
        }
    }
}

#[test]
fn entra_needs_ps256_thumbprint_and_parses_errors() {
    let server = start_provider(Provider::Entra, assertion_client());
    let scope = "Scope=https://graph.microsoft.com/.default";
    let connection = provider_string(&server, "entra", &format!("ClientID=me;{scope}"));
    let token = expect_token(&connection);
    assert!(token.field("ext_expires_in").is_some());
    let request = last_request(&server);
    assert_eq!((jwt_header(&request, "alg"), assertion_lifetime(&request)), (json!("PS256"), 600));
    assert!(jwt_header(&request, "x5t#S256").is_string());
    assert_eq!((claim(&request, "iss"), claim(&request, "sub")), (json!("me"), json!("me")));
    assert_eq!(claim(&request, "aud"), server.url("/contoso.onmicrosoft.com/oauth2/v2.0/token").as_str());
    expect_token(&format!("JWTAlgorithm=RS256;JWTThumbprint=x5t;{connection}"));
    let failure = expect_failure(&provider_string(&server, "entra", "ClientID=me;Scope=a b"));
    assert_eq!(failure.provider_code.as_deref(), Some("AADSTS70011"));
    assert!(!failure.message.contains(['\r', '\n']), "{}", failure.message);
    server.require_consent("me");
    let failure = expect_failure(&format!("LoginTimeout=61;ScopeIn=Both;{connection}"));
    assert_eq!(failure.status, AUTHGRANT_DENIED, "the scope claim is not allowed: {failure:?}");
    server.require_consent("me");
    let failure = expect_failure(&format!("AccessTokenLifetime=10;{connection}"));
    assert_eq!(
        (failure.status, failure.provider_code.as_deref()),
        (AUTHGRANT_CONSENT_REQUIRED, Some("AADSTS65001"))
    );
    let redirect = "RedirectURI=http://localhost:3000";
    let failure = expect_failure(&format!("AccessTokenLifetime=11;{redirect};{connection}"));
    let page = server.url(
        "/contoso.onmicrosoft.com/v2.0/adminconsent?\
         scope=https%3A%2F%2Fgraph.microsoft.com%2F.default&client_id=me",
    );
    assert!(failure.consent_url.is_some_and(|url| url.starts_with(&page)), "{}", failure.message);
}

#[test]
fn entra_throttling_and_clock_error_are_retried() {
    let server = start_provider(Provider::Entra, assertion_client());
    let connection =
        provider_string(&server, "entra", "ClientID=me;Scope=https://graph.microsoft.com/.default");
    let headers = vec![("Retry-After".to_owned(), "2".to_owned())];
    let body = json!({"error": "temporarily_unavailable", "error_codes": [90055]});
    server.set_script(vec![Behavior::Json { status: 429, body, headers }]);
    let start = std::time::Instant::now();
    expect_token(&connection);
    assert!(start.elapsed() >= std::time::Duration::from_secs(2));
    // A skew below the 30 s that the Date header must show: only the error number identifies a clock error.
    server.reconfigure(|config| {
        config.clock_skew = 20;
        config.max_age = 10;
    });
    let before = server.token_requests().len();
    expect_token(&format!("AccessTokenLifetime=10;{connection}"));
    assert_eq!(server.token_requests().len(), before + 2);
}

#[test]
fn google_id_token_only_response_is_accepted() {
    let server = start_provider(Provider::Google, ClientOptions::default());
    server.set_script(vec![Behavior::Html { status: 500 }]);
    let token = expect_token(&provider_string(
        &server,
        "google",
        "ClaimsIssuer=me;Scope=https://www.googleapis.com/auth/drive",
    ));
    assert_eq!(server.token_requests().len(), 2, "HTTP 500 is retried");
    assert!((token.expires_at() - unix_now() - 3599).abs() <= 5);
    let request = last_request(&server);
    assert_eq!((claim(&request, "sub"), assertion_lifetime(&request)), (Value::Null, 3600));
    let audience = "ClaimsAdditional={{\"target_audience\":\"https://api.example.com\"}}}";
    let token = expect_token(&provider_string(&server, "google", &format!("ClaimsIssuer=me;{audience}")));
    let value = token.value();
    let claims = URL_SAFE_NO_PAD.decode(value.split('.').nth(1).unwrap()).unwrap();
    let claims: Value = serde_json::from_slice(&claims).unwrap();
    assert_eq!(claims["exp"], token.expires_at(), "an id_token expires at its exp");
    server.set_script(vec![Behavior::TokenAnswer(json!({"id_token": value}).to_string())]);
    let other_provider = provider_string(&server, "okta", "am=55;ClaimsIssuer=me;ClaimsSubject=jo");
    assert_eq!(
        expect_failure(&other_provider).status,
        AUTHGRANT_BAD_RESPONSE,
        "other providers must return an access token"
    );
}

#[test]
fn google_unauthorized_client_means_consent() {
    let server = start_provider(Provider::Google, ClientOptions::default());
    server.require_consent("jo@example.com");
    let connection =
        provider_string(&server, "google", "ClaimsIssuer=me;ClaimsSubject=jo@example.com;Scope=s");
    let failure = expect_failure(&connection);
    assert_eq!(failure.status, AUTHGRANT_CONSENT_REQUIRED);
    assert!(failure.message.contains("domain-wide delegation"), "{}", failure.message);
    let without_profile =
        connection.replace("Provider=google", "ScopeIn=Claim").replace("TokenURI=", "TokenURI=POST ");
    assert_eq!(expect_failure(&without_profile).status, AUTHGRANT_DENIED);
}

#[test]
fn box_clock_skew_correction_uses_new_jti() {
    let kid = Some("key-1".to_owned());
    let server =
        start_provider(Provider::Box, with_secret(ClientOptions { kid, ..ClientOptions::default() }));
    let connection = provider_string(
        &server,
        "box",
        "ClaimsIssuer=me;ClaimsSubject=987;ClientSecret=s3cret;JWTKeyID=key-1;\
         ClaimsAdditional={{\"box_sub_type\":\"enterprise\"}}}",
    );
    let token = expect_token(&connection);
    assert!((token.expires_at() - unix_now() - 4169).abs() <= 5, "the expiry uses the local clock");
    let requests = server.token_requests();
    assert_eq!(requests.len(), 2);
    assert_ne!(claim(&requests[0], "jti"), claim(&requests[1], "jti"));
    let shift = claim(&requests[1], "exp").as_i64().unwrap() - claim(&requests[0], "exp").as_i64().unwrap();
    assert!((295..=310).contains(&shift), "{shift}");
    assert_eq!(assertion_lifetime(&requests[1]), 30);
    assert_eq!(requests[1].parameter("client_id").as_deref(), Some("me"));
    let warnings = open(&connection.replace("JWTKeyID=key-1;", "JWTLifetime=90;")).unwrap().warnings();
    let about = |option: &str| warnings.iter().any(|warning| warning.option.as_deref() == Some(option));
    assert!(about("JWTKeyID") && about("JWTLifetime") && !about("ClaimsAdditional"), "{warnings:?}");
}

#[test]
fn replay_retried_once_undated_clock_error_never() {
    let rejection = |description: &str, date: &str| Behavior::Json {
        status: 400,
        body: json!({"error": "invalid_grant", "error_description": description}),
        headers: vec![("Date".to_owned(), date.to_owned())],
    };
    for (description, requests) in [
        ("Please check the 'jti' claim. A unique 'jti' value is required.", 2),
        ("Please check the 'exp' claim.", 1),
    ] {
        let server = start_provider(Provider::Box, with_secret(ClientOptions::default()));
        server.reconfigure(|config| config.clock_skew = 0);
        server.set_default_behavior(rejection(description, "never"));
        let failure = expect_failure(&provider_string(
            &server,
            "box",
            "ClaimsIssuer=me;ClaimsSubject=987;ClientSecret=s3cret;JWTKeyID=k;\
             ClaimsAdditional={{\"box_sub_type\":\"user\"}}}",
        ));
        assert_eq!(failure.status, AUTHGRANT_DENIED);
        assert_eq!(server.token_requests().len(), requests, "{description}");
    }
}

#[test]
fn okta_uses_client_assertion_and_scope_parameter() {
    let server = start_provider(Provider::Okta, assertion_client());
    expect_token(&provider_string(&server, "okta", "ClientID=me;JWTKeyID=k;Scope=okta.users.read"));
    let request = last_request(&server);
    assert_eq!(request.parameter("grant_type").as_deref(), Some("client_credentials"));
    assert_eq!(request.parameter("scope").as_deref(), Some("okta.users.read"));
    assert_eq!((claim(&request, "sub"), assertion_lifetime(&request)), (json!("me"), 300));
}

#[test]
fn keycloak_needs_secret_and_accepts_long_assertion() {
    let client_id = Some("driver".to_owned());
    let server = start_provider(
        Provider::Keycloak,
        with_secret(ClientOptions { client_id, ..ClientOptions::default() }),
    );
    let options =
        "AuthenticationMethod=55;ClaimsIssuer=me;ClaimsSubject=u;ClientID=driver;ClientSecret=s3cret;Scope=a";
    let token = expect_token(&provider_string(&server, "keycloak", options));
    assert_eq!(token.field("refresh_expires_in").as_deref(), Some("0"));
    assert_eq!(assertion_lifetime(&last_request(&server)), 60);
    let long = provider_string(&server, "keycloak", &format!("JWTLifetime=600;{options}"));
    assert_eq!(open(&long).unwrap().warnings(), [], "Keycloak limits the age of iat, not the lifetime");
    expect_token(&long);
    assert_eq!(assertion_lifetime(&last_request(&server)), 600);
    let without_client =
        expect_failure(&provider_string(&server, "keycloak", "am=55;ClaimsIssuer=me;ClaimsSubject=u"));
    assert_eq!(without_client.status, AUTHGRANT_MISSING_OPTION);
}

/// RFC 8705 section 2: only client_id is sent.
#[test]
fn keycloak_client_authenticates_with_certificate() {
    let client_id = Some("driver".to_owned());
    let server = start_provider(Provider::Keycloak, ClientOptions { client_id, ..ClientOptions::default() });
    let base = "AuthenticationMethod=55;ClaimsIssuer=me;ClaimsSubject=u";
    let store = stores::path("openssl.pem");
    let string = provider_string(&server, "keycloak", &format!("{base};ClientID=driver;KeyStore={store}"));
    expect_token(&string);
    let request = last_request(&server);
    assert_eq!(request.parameter("client_id").as_deref(), Some("driver"));
    assert_eq!((request.parameter("client_secret"), request.header("Authorization")), (None, None));
    let missing = expect_failure(&provider_string(&server, "keycloak", &format!("{base};KeyStore={store}")));
    assert_eq!((missing.status, missing.option.as_deref()), (AUTHGRANT_MISSING_OPTION, Some("ClientID")));
    assert!(!missing.message.contains("KeyStore"), "{}", missing.message);
}

#[test]
fn snowflake_issuer_has_key_fingerprint() {
    let server = MockServer::start(Config::for_provider(Provider::Snowflake));
    server.register("XY12345.ROBOT", &[stores::certificate()], ClientOptions::default());
    let connection = |issuer: &str, store: &str| {
        let store = stores::path(store);
        open(&format!(
            "Provider=snowflake;am=JWT;ClaimsIssuer={issuer};JWTCertStore={store};JWTCertPassword=secret"
        ))
        .unwrap()
    };
    let call_api = |issuer: &str, store: &str| {
        let mut head =
            "POST /api/v2/statements HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n".to_owned();
        for (name, value) in connection(issuer, store).get_headers().unwrap() {
            head.push_str(&format!("{name}: {value}\r\n"));
        }
        send_http(&server, &format!("{head}Content-Length: 0\r\n\r\n"))
    };
    let response = call_api("xy12345.robot", "keytool.jks");
    assert!(response.starts_with("HTTP/1.1 200"), "{response}");
    for (issuer, store) in [("xy12345.other", "keytool.jks"), ("xy12345.robot", "other.pem")] {
        let response = call_api(issuer, store);
        assert!(response.starts_with("HTTP/1.1 401") && response.contains("390144"), "{response}");
    }
    let token = connection("xy12345.robot", "keytool.jks").get_token().unwrap();
    assert!((token.expires_at() - unix_now() - 55).abs() <= 5);
}

#[test]
fn servicenow_audience_is_client_id() {
    let client = ClientOptions {
        audience: Some("me".to_owned()),
        kid: Some("k".to_owned()),
        ..ClientOptions::default()
    };
    let public = start_provider(Provider::Servicenow, client.clone());
    expect_token(&provider_string(&public, "servicenow", "ClaimsIssuer=me;ClaimsSubject=jo;JWTKeyID=k"));
    let server = start_provider(Provider::Servicenow, with_secret(client));
    let options = "ClaimsIssuer=me;ClaimsSubject=jo;JWTKeyID=k;ClientSecret=s3cret";
    assert_eq!(
        expect_token(&provider_string(&server, "servicenow", options)).scope().as_deref(),
        Some("useraccount")
    );
}

#[test]
fn netsuite_needs_scope_array_and_no_rs256() {
    let server =
        start_provider(Provider::Netsuite, ClientOptions { kid: Some("k".to_owned()), ..assertion_client() });
    let connection =
        provider_string(&server, "netsuite", "ClientID=me;JWTKeyID=k;Scope=restlets rest_webservices");
    let token = expect_token(&connection);
    assert!((token.expires_at() - unix_now() - 3600).abs() <= 5, "expires_in is a string");
    let request = last_request(&server);
    assert_eq!(claim(&request, "scope"), json!(["restlets", "rest_webservices"]));
    assert_eq!((jwt_header(&request, "alg"), claim(&request, "sub")), (json!("PS256"), Value::Null));
    expect_failure(&format!("JWTAlgorithm=RS256;{connection}"));
    let Verdict::Refused { description, .. } = last_request(&server).verdict else {
        panic!("the request was accepted")
    };
    assert!(description.contains("RS256"), "{description}");
}

#[test]
fn maskinporten_limits_lifetime_and_jti_reuse() {
    let kid = Some("k".to_owned());
    let server = start_provider(Provider::Maskinporten, ClientOptions { kid, ..ClientOptions::default() });
    let audience = format!("{}/", server.url(""));
    server.reconfigure(|config| config.audience = Some(audience));
    let connection = provider_string(&server, "maskinporten", "ClaimsIssuer=me;JWTKeyID=k;Scope=prefix:api");
    expect_token(&connection);
    assert_eq!(assertion_lifetime(&last_request(&server)), 100);
    let replay = json!({"error": "invalid_grant", "error_description": "MP-012 Grant used before"});
    server.set_script(vec![Behavior::Json { status: 400, body: replay, headers: Vec::new() }]);
    expect_token(&format!("AccessTokenLifetime=10;{connection}"));
    assert_eq!(server.token_requests().len(), 3);
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
        let warnings = resolution.warnings();
        let config = resolution.config.unwrap_or_else(|error| panic!("{example}: {error}"));
        assert!(warnings.is_empty(), "{example}: {warnings:?}");
        let is_signed_jwt = matches!(config.flow, authgrant::resolve::Flow::SignedJwt(_));
        assert_eq!(profile.jwt == JwtUse::AccessToken, is_signed_jwt, "{example}");
        if let authgrant::resolve::Flow::TokenEndpoint(exchange) = &config.flow {
            assert_eq!(exchange.profile.map(|profile| &profile.name), Some(&profile.name), "{example}");
        }
    }
}
