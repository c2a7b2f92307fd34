//! Each provider's quirks, played by the strict authority: the library gets through by its profile.

mod support;

use std::io::{Read, Write};
use std::net::TcpStream;

use authgrant::ffi::status::*;
use authgrant::options::Options;
use authgrant::provider::{self, JwtUse};
use authority::{Authority, ClientAuth, ClientOptions, Config, Play, Provider, Recorded, Verdict};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};
use support::c_api::{Failure, Token, ask, open};
use support::stores;

const USER: &str = "464f7988-0000-4000-8000-91d2a53e80e0";

/// An authority that plays `provider` and knows the signer's certificate for `me`.
fn plays(provider: Provider, options: ClientOptions) -> Authority {
    let authority = Authority::start(Config::of(provider));
    authority.register("me", &[stores::certificate()], options);
    authority
}

fn string(authority: &Authority, provider: &str, more: &str) -> String {
    let path = authority_path(provider);
    format!(
        "{more};Provider={provider};JWTCertStore={};JWTCertPassword=secret;TokenURI={}",
        stores::path("keytool.jks"),
        authority.url(path)
    )
}

fn authority_path(provider: &str) -> &'static str {
    match provider {
        "salesforce" => "/services/oauth2/token",
        "entra" => "/contoso.onmicrosoft.com/oauth2/v2.0/token",
        _ => "/oauth/token",
    }
}

#[track_caller]
fn gets(string: &str) -> Token {
    ask(string).unwrap_or_else(|failure| panic!("{string}: {failure:?}"))
}

fn refused(string: &str) -> Box<Failure> {
    ask(string).map(|_| ()).unwrap_err()
}

fn last(authority: &Authority) -> Recorded {
    authority.token_requests().pop().unwrap()
}

fn claim(request: &Recorded, name: &str) -> Value {
    request.claims.as_ref().unwrap().get(name).cloned().unwrap_or_default()
}

fn header(request: &Recorded, name: &str) -> Value {
    request.jwt_header.as_ref().unwrap().get(name).cloned().unwrap_or_default()
}

fn lifetime(request: &Recorded) -> i64 {
    claim(request, "exp").as_i64().unwrap() - claim(request, "iat").as_i64().unwrap()
}

fn now() -> i64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    i64::try_from(since.as_secs()).unwrap()
}

fn with_secret(more: ClientOptions) -> ClientOptions {
    ClientOptions { secret: Some("s3cret".to_owned()), client_auth: Some(ClientAuth::Post), ..more }
}

fn by_assertion() -> ClientOptions {
    let grant_types = vec![authority::GrantType::ClientCredentials];
    ClientOptions { grant_types, client_auth: Some(ClientAuth::Assertion), ..ClientOptions::default() }
}

#[test]
fn docusign_wants_the_bare_host_a_guid_and_consent_and_has_a_usual_scope() {
    let authority = plays(Provider::Docusign, ClientOptions::default());
    let options = "ClaimsIssuer=me;RedirectURI=http://localhost:3000";
    let connection = string(&authority, "docusign", &format!("{options};ClaimsSubject={USER}"));
    authority.require_consent(USER);
    let failure = refused(&connection);
    assert_eq!(failure.status, AUTHGRANT_CONSENT_REQUIRED);
    let url = failure.consent_url.unwrap();
    assert!(url.contains("/oauth/auth?response_type=code&scope=signature%20impersonation"), "{url}");
    for setting in ["Authorization Code grant, not Implicit", "this Redirect URI"] {
        assert!(failure.message.contains(setting), "{}", failure.message);
    }
    visit(&authority, &url);
    // The refusal is remembered for a moment, and forgotten where an option is set.
    let again = open(&connection).unwrap();
    again.set_option("ClaimsSubject", USER).unwrap();
    again.get_token().unwrap();
    let request = last(&authority);
    assert_eq!(claim(&request, "scope"), "signature impersonation");
    assert_eq!((claim(&request, "aud"), lifetime(&request)), (json!("127.0.0.1"), 3600));
    let other = refused(&string(&authority, "docusign", &format!("{options};ClaimsSubject=jo@example.com")));
    assert_eq!(other.oauth_description.as_deref(), Some("user_not_found"));
    let foreign = refused(&string(&authority, "docusign", "ClaimsIssuer=other;ClaimsSubject=a"));
    assert_eq!(foreign.oauth_description.as_deref(), Some("issuer_not_found"));
}

/// What a person's browser does, as far as the authority cares.
fn visit(authority: &Authority, url: &str) {
    let path = url.strip_prefix(&authority.url("")).unwrap();
    let answer =
        talk(authority, &format!("GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n"));
    assert!(answer.starts_with("HTTP/1.1 302"), "{answer}");
}

fn talk(authority: &Authority, request: &str) -> String {
    let mut stream = TcpStream::connect(("127.0.0.1", authority.port())).unwrap();
    stream.write_all(request.as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

#[test]
fn salesforce_says_no_lifetime_and_wants_the_login_host_and_no_scope() {
    let authority = plays(Provider::Salesforce, ClientOptions::default());
    let connection =
        string(&authority, "salesforce", "ClaimsIssuer=me;ClaimsSubject=jo@example.com;Scope=api");
    let token = gets(&connection);
    assert!((token.expires_at() - now() - 7200).abs() <= 5, "two hours, as a rule");
    assert_eq!(token.field("instance_url"), Some(authority.url("")));
    let request = last(&authority);
    assert_eq!((claim(&request, "aud"), lifetime(&request)), (json!("https://login.salesforce.com"), 180));
    let warned = open(&connection).unwrap().warnings();
    assert!(warned.iter().any(|warning| warning.option.as_deref() == Some("Scope")), "{warned:?}");
    let short = gets(&format!("AccessTokenLifetime=900;{connection}"));
    assert!((short.expires_at() - now() - 900).abs() <= 5, "the user's own wins");
}

#[test]
fn salesforce_wants_consent_in_its_own_words_and_an_administrator_gives_it() {
    let authority = plays(Provider::Salesforce, ClientOptions::default());
    let connection = string(&authority, "salesforce", "ClaimsIssuer=me;ClaimsSubject=jo@example.com");
    authority.require_consent("jo@example.com");
    let failure = refused(&connection);
    assert_eq!(failure.status, AUTHGRANT_CONSENT_REQUIRED);
    assert!(failure.message.contains("pre-authorized"), "{}", failure.message);
    assert_eq!(authority.token_requests().len(), 1, "nothing is tried again");
}

#[test]
fn salesforce_ends_a_session_early_and_another_token_is_fetched() {
    let authority = plays(Provider::Salesforce, ClientOptions::default());
    let connection = string(&authority, "salesforce", "ClaimsIssuer=me;ClaimsSubject=jo@example.com");
    let connection = open(&connection).unwrap();
    let token = connection.get_token().unwrap();
    assert!(authority.revoke(&token.value()));
    let request = |token: &Token| {
        format!(
            "GET /api/whoami HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer {}\r\nConnection: close\r\n\r\n",
            token.value()
        )
    };
    assert!(talk(&authority, &request(&token)).contains("INVALID_SESSION_ID"));
    connection.reject(&token);
    let other = connection.get_token().unwrap();
    assert!(talk(&authority, &request(&other)).starts_with("HTTP/1.1 200"));
}

#[test]
fn entra_wants_ps256_with_a_thumbprint_and_its_long_refusals_are_understood() {
    let authority = plays(Provider::Entra, by_assertion());
    let scope = "Scope=https://graph.microsoft.com/.default";
    let connection = string(&authority, "entra", &format!("ClientID=me;{scope}"));
    let token = gets(&connection);
    assert!(token.field("ext_expires_in").is_some());
    let request = last(&authority);
    assert_eq!((header(&request, "alg"), lifetime(&request)), (json!("PS256"), 600));
    assert!(header(&request, "x5t#S256").is_string());
    assert_eq!((claim(&request, "iss"), claim(&request, "sub")), (json!("me"), json!("me")));
    assert_eq!(claim(&request, "aud"), authority.url("/contoso.onmicrosoft.com/oauth2/v2.0/token").as_str());
    gets(&format!("JWTAlgorithm=RS256;JWTThumbprint=x5t;{connection}"));
    let failure = refused(&string(&authority, "entra", "ClientID=me;Scope=a b"));
    assert_eq!(failure.provider_code.as_deref(), Some("AADSTS70011"));
    assert!(!failure.message.contains(['\r', '\n']), "{}", failure.message);
    authority.require_consent("me");
    let failure = refused(&format!("LoginTimeout=61;ScopeIn=Both;{connection}"));
    assert_eq!(failure.status, AUTHGRANT_DENIED, "a claim is too much: {failure:?}");
    authority.require_consent("me");
    let failure = refused(&format!("AccessTokenLifetime=10;{connection}"));
    assert_eq!(
        (failure.status, failure.provider_code.as_deref()),
        (AUTHGRANT_CONSENT_REQUIRED, Some("AADSTS65001"))
    );
    let redirect = "RedirectURI=http://localhost:3000";
    let failure = refused(&format!("AccessTokenLifetime=11;{redirect};{connection}"));
    let page = authority.url("/contoso.onmicrosoft.com/v2.0/adminconsent?scope=https%3A%2F%2Fgraph.microsoft.com%2F.default&client_id=me");
    assert!(failure.consent_url.is_some_and(|url| url.starts_with(&page)), "{}", failure.message);
}

#[test]
fn entra_throttles_and_a_clock_that_is_off_is_told_by_its_number() {
    let authority = plays(Provider::Entra, by_assertion());
    let connection = string(&authority, "entra", "ClientID=me;Scope=https://graph.microsoft.com/.default");
    let headers = vec![("Retry-After".to_owned(), "2".to_owned())];
    let body = json!({"error": "temporarily_unavailable", "error_codes": [90055]});
    authority.play(vec![Play::Json { status: 429, body, headers }]);
    let begin = std::time::Instant::now();
    gets(&connection);
    assert!(begin.elapsed() >= std::time::Duration::from_secs(2));
    // Within the 30 s by which clocks may differ, where only the number tells.
    authority.reconfigure(|config| {
        config.clock_skew = 20;
        config.max_age = 10;
    });
    let before = authority.token_requests().len();
    gets(&format!("AccessTokenLifetime=10;{connection}"));
    assert_eq!(authority.token_requests().len(), before + 2);
}

#[test]
fn google_answers_with_an_id_token_alone_with_text_for_a_number_and_sometimes_not_at_all() {
    let authority = plays(Provider::Google, ClientOptions::default());
    authority.play(vec![Play::Html { status: 500 }]);
    let token =
        gets(&string(&authority, "google", "ClaimsIssuer=me;Scope=https://www.googleapis.com/auth/drive"));
    assert_eq!(authority.token_requests().len(), 2, "500 passes");
    assert!((token.expires_at() - now() - 3599).abs() <= 5);
    let request = last(&authority);
    assert_eq!((claim(&request, "sub"), lifetime(&request)), (Value::Null, 3600));
    let audience = "ClaimsAdditional={{\"target_audience\":\"https://api.example.com\"}}}";
    let token = gets(&string(&authority, "google", &format!("ClaimsIssuer=me;{audience}")));
    let value = token.value();
    let claims = URL_SAFE_NO_PAD.decode(value.split('.').nth(1).unwrap()).unwrap();
    let claims: Value = serde_json::from_slice(&claims).unwrap();
    assert_eq!(claims["exp"], token.expires_at(), "an id token ends by its own exp");
    authority.play(vec![Play::TokenAnswer(json!({"id_token": value}).to_string())]);
    let elsewhere = string(&authority, "okta", "am=55;ClaimsIssuer=me;ClaimsSubject=jo");
    assert_eq!(
        refused(&elsewhere).status,
        AUTHGRANT_BAD_RESPONSE,
        "an id token is no access token elsewhere"
    );
}

#[test]
fn google_means_consent_by_unauthorized_client_and_nobody_else_does() {
    let authority = plays(Provider::Google, ClientOptions::default());
    authority.require_consent("jo@example.com");
    let connection = string(&authority, "google", "ClaimsIssuer=me;ClaimsSubject=jo@example.com;Scope=s");
    let failure = refused(&connection);
    assert_eq!(failure.status, AUTHGRANT_CONSENT_REQUIRED);
    assert!(failure.message.contains("domain-wide delegation"), "{}", failure.message);
    let anybody =
        connection.replace("Provider=google", "ScopeIn=Claim").replace("TokenURI=", "TokenURI=POST ");
    assert_eq!(refused(&anybody).status, AUTHGRANT_DENIED);
}

#[test]
fn box_has_a_clock_of_its_own_and_takes_no_id_twice() {
    let kid = Some("key-1".to_owned());
    let authority = plays(Provider::Box, with_secret(ClientOptions { kid, ..ClientOptions::default() }));
    let connection = string(
        &authority,
        "box",
        "ClaimsIssuer=me;ClaimsSubject=987;ClientSecret=s3cret;JWTKeyID=key-1;ClaimsAdditional={{\"box_sub_type\":\"enterprise\"}}}",
    );
    let token = gets(&connection);
    assert!((token.expires_at() - now() - 4169).abs() <= 5, "a token's end is told by our clock");
    let requests = authority.token_requests();
    assert_eq!(requests.len(), 2);
    assert_ne!(claim(&requests[0], "jti"), claim(&requests[1], "jti"));
    let later = claim(&requests[1], "exp").as_i64().unwrap() - claim(&requests[0], "exp").as_i64().unwrap();
    assert!((295..=310).contains(&later), "{later}");
    assert_eq!(lifetime(&requests[1]), 30);
    assert_eq!(requests[1].parameter("client_id").as_deref(), Some("me"));
    let warned = open(&connection.replace("JWTKeyID=key-1;", "JWTLifetime=90;")).unwrap().warnings();
    let about = |option: &str| warned.iter().any(|warning| warning.option.as_deref() == Some(option));
    assert!(about("JWTKeyID") && about("JWTLifetime") && !about("ClaimsAdditional"), "{warned:?}");
}

#[test]
fn a_replay_is_answered_by_one_new_assertion_and_a_clock_without_a_date_by_none() {
    let refusal = |description: &str, date: &str| Play::Json {
        status: 400,
        body: json!({"error": "invalid_grant", "error_description": description}),
        headers: vec![("Date".to_owned(), date.to_owned())],
    };
    for (description, asked) in [
        ("Please check the 'jti' claim. A unique 'jti' value is required.", 2),
        ("Please check the 'exp' claim.", 1),
    ] {
        let authority = plays(Provider::Box, with_secret(ClientOptions::default()));
        authority.reconfigure(|config| config.clock_skew = 0);
        authority.play_always(refusal(description, "never"));
        let failure = refused(&string(
            &authority,
            "box",
            "ClaimsIssuer=me;ClaimsSubject=987;ClientSecret=s3cret;JWTKeyID=k;ClaimsAdditional={{\"box_sub_type\":\"user\"}}}",
        ));
        assert_eq!(failure.status, AUTHGRANT_DENIED);
        assert_eq!(authority.token_requests().len(), asked, "{description}");
    }
}

#[test]
fn okta_wants_the_client_by_its_assertion_and_the_scope_as_a_parameter() {
    let authority = plays(Provider::Okta, by_assertion());
    gets(&string(&authority, "okta", "ClientID=me;JWTKeyID=k;Scope=okta.users.read"));
    let request = last(&authority);
    assert_eq!(request.parameter("grant_type").as_deref(), Some("client_credentials"));
    assert_eq!(request.parameter("scope").as_deref(), Some("okta.users.read"));
    assert_eq!((claim(&request, "sub"), lifetime(&request)), (json!("me"), 300));
}

#[test]
fn keycloak_wants_a_short_assertion_and_a_confidential_client() {
    let client_id = Some("driver".to_owned());
    let authority =
        plays(Provider::Keycloak, with_secret(ClientOptions { client_id, ..ClientOptions::default() }));
    let options =
        "AuthenticationMethod=55;ClaimsIssuer=me;ClaimsSubject=u;ClientID=driver;ClientSecret=s3cret;Scope=a";
    let token = gets(&string(&authority, "keycloak", options));
    assert_eq!(token.field("refresh_expires_in").as_deref(), Some("0"));
    assert_eq!(lifetime(&last(&authority)), 60);
    let long = string(&authority, "keycloak", &format!("JWTLifetime=600;{options}"));
    let warnings = open(&long).unwrap().warnings();
    let warning = warnings.iter().find(|warning| warning.option.as_deref() == Some("JWTLifetime")).unwrap();
    assert!(warning.sqlstate == "01000" && warning.message.contains("300"), "{warning:?}");
    refused(&long);
    assert_eq!(lifetime(&last(&authority)), 600, "what the user says is sent");
    let without = refused(&string(&authority, "keycloak", "am=55;ClaimsIssuer=me;ClaimsSubject=u"));
    assert_eq!(without.status, AUTHGRANT_MISSING_OPTION);
}

#[test]
fn snowflake_knows_the_key_by_the_fingerprint_in_the_issuer() {
    let authority = Authority::start(Config::of(Provider::Snowflake));
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
        talk(&authority, &format!("{head}Content-Length: 0\r\n\r\n"))
    };
    let answer = asks("xy12345.robot", "keytool.jks");
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    for (issuer, store) in [("xy12345.other", "keytool.jks"), ("xy12345.robot", "other.pem")] {
        let answer = asks(issuer, store);
        assert!(answer.starts_with("HTTP/1.1 401") && answer.contains("390144"), "{answer}");
    }
    let token = connection("xy12345.robot", "keytool.jks").get_token().unwrap();
    assert!((token.expires_at() - now() - 55).abs() <= 5);
}

#[test]
fn servicenow_is_told_the_client_id_as_audience() {
    let known = ClientOptions {
        audience: Some("me".to_owned()),
        kid: Some("k".to_owned()),
        ..ClientOptions::default()
    };
    let public = plays(Provider::Servicenow, known.clone());
    gets(&string(&public, "servicenow", "ClaimsIssuer=me;ClaimsSubject=jo;JWTKeyID=k"));
    let authority = plays(Provider::Servicenow, with_secret(known));
    let options = "ClaimsIssuer=me;ClaimsSubject=jo;JWTKeyID=k;ClientSecret=s3cret";
    assert_eq!(gets(&string(&authority, "servicenow", options)).scope().as_deref(), Some("useraccount"));
}

#[test]
fn netsuite_wants_an_array_of_scopes_and_no_rs256() {
    let authority = plays(Provider::Netsuite, ClientOptions { kid: Some("k".to_owned()), ..by_assertion() });
    let connection = string(&authority, "netsuite", "ClientID=me;JWTKeyID=k;Scope=restlets rest_webservices");
    let token = gets(&connection);
    assert!((token.expires_at() - now() - 3600).abs() <= 5, "text for a number");
    let request = last(&authority);
    assert_eq!(claim(&request, "scope"), json!(["restlets", "rest_webservices"]));
    assert_eq!((header(&request, "alg"), claim(&request, "sub")), (json!("PS256"), Value::Null));
    refused(&format!("JWTAlgorithm=RS256;{connection}"));
    let Verdict::Refused { description, .. } = last(&authority).verdict else { panic!("it was taken") };
    assert!(description.contains("RS256"), "{description}");
}

#[test]
fn maskinporten_takes_two_minutes_at_most_and_each_id_once() {
    let kid = Some("k".to_owned());
    let authority = plays(Provider::Maskinporten, ClientOptions { kid, ..ClientOptions::default() });
    let audience = format!("{}/", authority.url(""));
    authority.reconfigure(|config| config.audience = Some(audience));
    let connection = string(&authority, "maskinporten", "ClaimsIssuer=me;JWTKeyID=k;Scope=prefix:api");
    gets(&connection);
    assert_eq!(lifetime(&last(&authority)), 100);
    let replay = json!({"error": "invalid_grant", "error_description": "MP-012 Grant used before"});
    authority.play(vec![Play::Json { status: 400, body: replay, headers: Vec::new() }]);
    gets(&format!("AccessTokenLifetime=10;{connection}"));
    assert_eq!(authority.token_requests().len(), 3);
    let same = format!("ClaimsAdditional={{{{\"jti\":\"one-and-the-same-id\"}}}}}};{connection}");
    gets(&same);
    let failure = refused(&format!("AccessTokenLifetime=20;{same}"));
    assert_eq!(failure.provider_code.as_deref(), Some("MP-012"));
}

#[test]
fn every_example_is_a_connection_string_without_fault_or_warning() {
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
