//! Access tokens: token requests by connection strings, caching and sharing of tokens, redaction.
//!
//! Through the C API, against the mock server.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use crate::support::c_api::{LogLines, Token, get_token, open};
use crate::support::{ISSUER, datadirect_string, minimal_string, start_mock_server, stores};
use authgrant::ffi::status::*;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use mock_server::{Behavior, ClientOptions, Config, ExpiresIn, GetResponse, MockServer, Verdict};

fn request_methods(server: &MockServer) -> Vec<String> {
    server.token_requests().iter().map(|request| request.method.clone()).collect()
}

#[test]
fn datadirect_string_works_with_every_store() {
    for name in
        ["keytool.jks", "keytool-pkcs12.jks", "openssl.p12", "openssl.pem", "encrypted.pem", "pkcs1.pem"]
    {
        let server = start_mock_server(Config::https());
        let connection = open(&datadirect_string(&stores::path(name), &server)).unwrap();
        let token = connection.get_token().unwrap_or_else(|failure| panic!("{name}: {failure:?}"));
        assert_eq!(server.issued_tokens(), [token.value()]);
        assert_eq!(token.token_type(), "Bearer");
        assert_eq!(request_methods(&server), ["GET", "POST"]);
    }
}

#[test]
fn method_24_with_key_is_jwt_bearer_grant() {
    for more in ["", "ClientID=c;ClientSecret=s;AuthURI=https://account-d.docusign.com/oauth/auth;"] {
        let server = start_mock_server(Config::https());
        let string = datadirect_string(&stores::path("keytool.jks"), &server);
        let string = string.replace("AuthenticationMethod=55", "AuthenticationMethod=24");
        assert!(string.contains("AuthenticationMethod=24"), "{string}");
        let token = get_token(&format!("{more}{string}")).unwrap();
        assert_eq!(server.issued_tokens(), [token.value()]);
        let requests = server.token_requests();
        let request = requests.last().unwrap();
        let grant_type = request.parameter("grant_type");
        assert_eq!(grant_type.as_deref(), Some("urn:ietf:params:oauth:grant-type:jwt-bearer"));
        assert_eq!(request.verdict, Verdict::Granted);
        assert_eq!(request.claims.as_ref().unwrap()["iss"], ISSUER);
    }
}

#[test]
fn vendor_sample_opens_as_printed() {
    // The text of the documentation, with its line breaks and blanks.
    let sample = "DRIVER=DataDirect 8.0 Autonomous REST Connector; \n       \
                  RestConfigFile=C:/path/to/docusign.rest;AuthenticationMethod=55;\n       \
                  ClaimsIssuer='1a2b3c4d5e_6f7g8h9g';ClaimsSubject=jsmith@example.com;\n       \
                  JWTCertStore=jwtcert.jks;JWTCertPassword=secret;\n       \
                  TokenUri=https://account-d.docusign.com/oauth/token;\n       \
                  RedirectUri=http://localhost:3000;AuthHeader=response_type;SecurityToken=code;\n       \
                  Scope=signature impersonation;\n";
    let connection = open(sample).unwrap();
    let report: serde_json::Value = serde_json::from_str(&connection.validate()).unwrap();
    let options = |member: &str| {
        let problems = report[member].as_array().unwrap().iter();
        problems.map(|problem| problem["option"].as_str().unwrap_or("").to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(options("problems"), ["JWTCertStore"], "only the key store is missing: {report:#}");
    assert_eq!(options("warnings"), ["RestConfigFile"], "{report:#}");
    let url = connection.consent_url().unwrap();
    let expected = "https://account-d.docusign.com/oauth/auth?response_type=code&scope=signature%20impersonation\
                    &client_id=1a2b3c4d5e_6f7g8h9g&redirect_uri=http%3A%2F%2Flocalhost%3A3000";
    assert_eq!(url, expected);
}

#[test]
fn scopes_are_sent_together_and_unchanged() {
    let server = start_mock_server(Config::http());
    let scopes = "signature impersonation click.manage https://www.googleapis.com/auth/drive.readonly";
    get_token(&minimal_string(&server, &format!("Scope={scopes}"))).unwrap();
    let requests = server.token_requests();
    let [request] = &requests[..] else { panic!("{requests:?}") };
    assert_eq!(request.claims.as_ref().unwrap()["scope"], scopes);
    assert_eq!(request.parameter("scope").as_deref(), Some(scopes));
    for scope in ["click.manage", "Click.Manage", "a"] {
        get_token(&minimal_string(&server, &format!("Scope={scope}"))).unwrap();
        let request = server.token_requests().pop().unwrap();
        assert_eq!(request.claims.as_ref().unwrap()["scope"], scope);
    }
}

#[test]
fn ec_key_curve_selects_algorithm() {
    for (name, file, algorithm) in
        [("p256", "p256.p12", "ES256"), ("p256", "p256.sec1.pem", "ES256"), ("p384", "p384.p12", "ES384")]
    {
        let server = MockServer::start(Config::http());
        server.register("me", &[stores::certificate_for(name)], ClientOptions::default());
        get_token(&format!(
            "am=55;ClaimsIssuer=me;ClaimsSubject=a;JWTCertStore={};JWTCertPassword=secret;TokenEndpoint={}",
            stores::path(file),
            server.url("/oauth/token")
        ))
        .unwrap_or_else(|failure| panic!("{file}: {failure:?}"));
        assert_eq!(server.token_requests()[0].jwt_header.as_ref().unwrap()["alg"], algorithm);
    }
}

#[test]
fn assertion_claims_match_options() {
    let server = start_mock_server(Config::http());
    get_token(&minimal_string(&server, "Scope=a b;JWTLifetime=120;JWTAlgorithm=ps256")).unwrap();
    let request = &server.token_requests()[0];
    let claims = request.claims.as_ref().unwrap();
    assert_eq!(claims["iss"], ISSUER);
    assert_eq!(claims["sub"], "jsmith@example.com");
    assert_eq!(claims["aud"], server.url("/oauth/token"));
    assert_eq!(claims["scope"], "a b");
    assert_eq!(claims["exp"].as_i64().unwrap() - claims["iat"].as_i64().unwrap(), 120);
    assert_eq!(request.jwt_header.as_ref().unwrap()["alg"], "PS256");
    assert_eq!(request.parameter("scope").as_deref(), Some("a b"));
    assert_eq!(request.header("accept-encoding"), Some("identity"));
}

#[test]
fn token_exposes_response_fields() {
    let server = start_mock_server(Config::http());
    server.set_default_behavior(Behavior::TokenAnswer(
        r#"{"access_token":"at","token_type":"bearer","expires_in":"3599","scope":"x","instance_url":"https://i","n":[1]}"#.to_owned(),
    ));
    let token = get_token(&minimal_string(&server, "")).unwrap();
    assert_eq!((token.value().as_str(), token.token_type().as_str()), ("at", "Bearer"));
    assert_eq!(token.scope().as_deref(), Some("x"));
    assert_eq!(token.field("instance_url").as_deref(), Some("https://i"));
    assert_eq!(token.field("n").as_deref(), Some("[1]"));
    assert_eq!((token.field("access_token"), token.field("nothing")), (None, None));
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs();
    assert!((token.expires_at() - i64::try_from(now).unwrap() - 3599).abs() <= 2);
}

#[test]
fn signed_jwt_is_token_without_endpoint() {
    let string =
        format!("am=55;ClaimsIssuer=me;ClaimsSubject=a;JWTCertStore={}", stores::path("openssl.pem"));
    let connection = open(&string).unwrap();
    let token = connection.get_token().unwrap();
    let value = token.value();
    let parts: Vec<_> = value.split('.').collect();
    assert_eq!(parts.len(), 3);
    let claims: serde_json::Value =
        serde_json::from_slice(&URL_SAFE_NO_PAD.decode(parts[1]).unwrap()).unwrap();
    assert_eq!((&claims["iss"], &claims["sub"]), (&"me".into(), &"a".into()));
    assert_eq!(claims["exp"], token.expires_at());
    let header = ("Authorization".to_owned(), format!("Bearer {value}"));
    assert_eq!(connection.get_headers().unwrap(), [header]);
    assert_eq!(connection.get_token().unwrap().value(), token.value(), "it is cached until it expires");
    assert_eq!(connection.get_token_with(0, 0, AUTHGRANT_NO_NETWORK).unwrap().value(), token.value());
}

#[test]
fn failed_get_falls_back_to_post() {
    for get in [
        GetResponse::MethodNotAllowed,
        GetResponse::NotFound,
        GetResponse::Redirect,
        GetResponse::HtmlOk,
        GetResponse::HtmlForbidden,
        GetResponse::InvalidRequest,
    ] {
        let server = start_mock_server(Config { get, ..Config::http() });
        let string = minimal_string(&server, "").replace("POST ", "");
        get_token(&string).unwrap_or_else(|failure| panic!("{get:?}: {failure:?}"));
        assert_eq!(request_methods(&server), ["GET", "POST"], "{get:?}");
        get_token(&format!("JWTLifetime=60;{string}")).unwrap();
        assert_eq!(request_methods(&server), ["GET", "POST", "POST"], "{get:?}");
        let jti = |index: usize| server.token_requests()[index].claims.as_ref().unwrap()["jti"].clone();
        assert!(jti(0) != jti(1) && jti(1) != jti(2), "each request has a new assertion");
    }
}

#[test]
fn broken_get_response_falls_back_to_post() {
    let truncated = b"HTTP/1.1 200 OK\r\nContent-Length: 400\r\n\r\n{".to_vec();
    for behavior in [Behavior::BigBody(2 << 20), Behavior::Raw(truncated), Behavior::Reset] {
        let server = start_mock_server(Config::http());
        server.set_script(vec![behavior.clone()]);
        let string = minimal_string(&server, "").replace("POST ", "");
        get_token(&string).unwrap_or_else(|failure| panic!("{behavior:?}: {failure:?}"));
        assert_eq!(request_methods(&server), ["GET", "POST"], "{behavior:?}");
    }
}

#[test]
fn successful_get_is_not_repeated_as_post() {
    let server = start_mock_server(Config { get: GetResponse::Token, ..Config::http() });
    let string = minimal_string(&server, "").replace("POST ", "");
    let connection = open(&string).unwrap();
    connection.get_token().unwrap();
    assert_eq!(request_methods(&server), ["GET"]);
    let warnings = connection.warnings();
    assert!(
        warnings.iter().any(|warning| {
            (warning.sqlstate.as_str(), warning.option.as_deref()) == ("01000", Some("TokenURI"))
        }),
        "{warnings:?}"
    );
    for error in
        ["invalid_grant", "invalid_client", "unauthorized_client", "invalid_scope", "consent_required"]
    {
        server.set_script(vec![Behavior::Json {
            status: 400,
            body: serde_json::json!({"error": error}),
            headers: Vec::new(),
        }]);
        let failure = get_token(&format!("Scope={error};{string}")).unwrap_err();
        assert_eq!(failure.oauth_error.as_deref(), Some(error));
    }
    assert!(request_methods(&server).iter().all(|method| method == "GET"));
}

#[test]
fn explicit_get_never_falls_back() {
    let server = start_mock_server(Config { get: GetResponse::NotFound, ..Config::http() });
    let failure = get_token(&minimal_string(&server, "").replace("POST ", "GET ")).unwrap_err();
    assert_eq!(failure.status, AUTHGRANT_BAD_RESPONSE);
    assert!(failure.message.contains("TokenURI=POST"), "{failure:?}");
    assert_eq!(request_methods(&server), ["GET"]);
}

#[test]
fn client_credentials_mode_selects_placement() {
    for mode in ["0", "1", "Basic", "2", "3", "Post"] {
        let server = MockServer::start(Config::http());
        let options = ClientOptions {
            secret: Some("s p&c%".to_owned()),
            client_id: Some("the client".to_owned()),
            ..ClientOptions::default()
        };
        server.register(ISSUER, &[stores::certificate()], options);
        let options = format!("ClientID=the client;ClientSecret=s p&c%;ClientCredentialsMode={mode}");
        get_token(&minimal_string(&server, &options)).unwrap_or_else(|failure| panic!("{mode}: {failure:?}"));
        let request = &server.token_requests()[0];
        let basic = ["0", "1", "Basic"].contains(&mode);
        assert_eq!(request.header("authorization").is_some(), basic, "{mode}");
        assert_eq!(request.parameter("client_secret").is_some(), !basic, "{mode}");
    }
}

#[test]
fn extra_header_goes_to_endpoint_and_api() {
    let server = start_mock_server(Config::http());
    let connection = open(&minimal_string(&server, "AuthHeader=X-Tenant;SecurityToken=42")).unwrap();
    let token = connection.get_token().unwrap();
    assert_eq!(server.token_requests()[0].header("x-tenant"), Some("42"));
    let expected = [
        ("Authorization".to_owned(), format!("Bearer {}", token.value())),
        ("X-Tenant".to_owned(), "42".to_owned()),
    ];
    assert_eq!(connection.get_headers().unwrap(), expected);
}

#[test]
fn model_headers_go_to_endpoint_and_api() {
    let server = start_mock_server(Config::http());
    let dir = tempfile::tempdir().unwrap();
    let model = dir.path().join("m.rest");
    let headers =
        r##"{"#headers": {"X-Tenant": "model-tenant", "X-App": "model-app", "Accept": "text/xml"}}"##;
    std::fs::write(&model, headers).unwrap();
    let extra = format!("RestConfigFile={};AuthHeader=x-tenant;SecurityToken=own-tenant", model.display());
    let connection = open(&minimal_string(&server, &extra)).unwrap();
    let token = connection.get_token().unwrap();
    let request = &server.token_requests()[0];
    assert_eq!(
        ["x-tenant", "x-app", "accept"].map(|name| request.header(name)),
        [Some("own-tenant"), Some("model-app"), Some("application/json")]
    );
    let sent: Vec<(String, String)> = connection.get_headers().unwrap();
    let expected = [
        ("Authorization", format!("Bearer {}", token.value())),
        ("x-tenant", "own-tenant".to_owned()),
        ("Accept", "text/xml".to_owned()),
        ("X-App", "model-app".to_owned()),
    ];
    assert_eq!(sent, expected.map(|(name, value)| (name.to_owned(), value)));
}

#[test]
fn custom_authorization_header_is_endpoint_only() {
    // Basic credentials (RFC 7617) of the issuer and "y".
    const BASIC: &str = "Basic MWEyYjNjNGQ1ZV82ZjdnOGg5Zzp5";
    let server = MockServer::start(Config::http());
    let options = ClientOptions { secret: Some("y".to_owned()), ..ClientOptions::default() };
    server.register(ISSUER, &[stores::certificate()], options);
    let string = minimal_string(&server, &format!("AuthHeader=authorization;SecurityToken={BASIC}"));
    let connection = open(&string).unwrap();
    let headers = connection.get_headers().unwrap();
    assert_eq!(server.token_requests()[0].header("authorization"), Some(BASIC));
    assert_eq!(headers.len(), 1);
    assert!(headers[0].1.starts_with("Bearer at-"), "{headers:?}");
}

#[test]
fn only_equal_options_share_token() {
    let server = start_mock_server(Config::http());
    let string = minimal_string(&server, "");
    let first = get_token(&string).unwrap().value();
    assert_eq!(
        get_token(&string.replace("AuthenticationMethod=55", "am=OAuth2-JWTBearer")).unwrap().value(),
        first
    );
    assert_eq!(
        get_token(&format!("LoginTimeout=7;{string}")).unwrap().value(),
        first,
        "timeouts are not in the cache key"
    );
    for other in [
        string.replace("jsmith", "other"),
        format!("Scope=a;{string}"),
        format!("ClaimsAudience={0};{string}", server.url("/oauth/token?")),
        format!("JWTLifetime=299;{string}"),
        format!("AuthHeader=X;SecurityToken=1;{string}"),
        format!("AuthHeader=X;SecurityToken=2;{string}"),
        format!("JWTAlgorithm=RS512;{string}"),
        format!("ValidateServerCertificate=0;{string}"),
        string.replace("keytool.jks", "openssl.p12"),
    ] {
        match get_token(&other) {
            Ok(token) => assert_ne!(token.value(), first, "{other}"),
            Err(failure) => assert_eq!(failure.status, AUTHGRANT_DENIED, "{other}: {failure:?}"),
        }
    }
    let failure =
        get_token(&string.replace("JWTCertPassword=secret", "JWTCertPassword=secrets")).unwrap_err();
    assert_eq!(failure.status, AUTHGRANT_KEY_PASSWORD, "a wrong password does not find the cached token");
}

#[test]
fn concurrent_calls_make_one_request() {
    let server = start_mock_server(Config::https());
    let connection = open(&minimal_string(&server, "")).unwrap();
    server.set_script(vec![Behavior::Gate]);
    let tokens = run_concurrently(64, |_| connection.get_token().unwrap().value(), || release_gate(&server));
    assert_eq!(server.token_requests().len(), 1);
    assert_eq!(tokens, vec![server.issued_tokens()[0].clone(); 64]);
}

#[test]
fn equal_connections_make_one_request() {
    let server = start_mock_server(Config::https());
    let connections: Vec<_> = (0..64).map(|_| open(&minimal_string(&server, "")).unwrap()).collect();
    server.set_script(vec![Behavior::Gate]);
    let tokens = run_concurrently(
        64,
        |index| connections[index].get_token().unwrap().value(),
        || release_gate(&server),
    );
    assert_eq!(server.token_requests().len(), 1);
    assert_eq!(tokens, vec![server.issued_tokens()[0].clone(); 64]);
}

fn release_gate(server: &MockServer) {
    assert!(server.wait_for_gate(1, Duration::from_secs(10)));
    server.open_gate();
}

/// Runs `work` on `threads` threads, and `after_start` once all of them have started.
fn run_concurrently<T: Send>(
    threads: usize,
    work: impl Fn(usize) -> T + Sync,
    after_start: impl FnOnce(),
) -> Vec<T> {
    let started = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        let running: Vec<_> = (0..threads)
            .map(|index| {
                let (work, started) = (&work, &started);
                scope.spawn(move || {
                    started.fetch_add(1, Ordering::SeqCst);
                    work(index)
                })
            })
            .collect();
        while started.load(Ordering::SeqCst) < threads {
            std::thread::yield_now();
        }
        after_start();
        running.into_iter().map(|thread| thread.join().unwrap()).collect()
    })
}

#[test]
fn leader_timeout_does_not_fail_waiters() {
    let server = start_mock_server(Config::http());
    server.set_script(vec![Behavior::NeverAnswer]);
    let string = minimal_string(&server, "");
    std::thread::scope(|scope| {
        let leader = scope.spawn(|| open(&string).unwrap().get_token_with(600, 0, 0).unwrap_err().status);
        assert!(server.wait_for_token_requests(1, Duration::from_secs(10)));
        let waiter = scope.spawn(|| get_token(&string).unwrap().value());
        assert_eq!(leader.join().unwrap(), AUTHGRANT_TIMEOUT);
        assert_eq!(waiter.join().unwrap(), server.issued_tokens()[0]);
    });
}

#[test]
fn cancel_affects_only_own_connection() {
    let server = start_mock_server(Config::https());
    server.set_script(vec![Behavior::NeverAnswer]);
    let string = minimal_string(&server, "");
    let cancelled = open(&string).unwrap();
    let other = open(&string).unwrap();
    std::thread::scope(|scope| {
        let leader = scope.spawn(|| {
            let failure = cancelled.get_token().unwrap_err();
            (failure, Instant::now())
        });
        assert!(server.wait_for_token_requests(1, Duration::from_secs(10)));
        let waiter = scope.spawn(|| other.get_token().unwrap().value());
        let begin = Instant::now();
        cancelled.cancel();
        let (failure, ended) = leader.join().unwrap();
        assert_eq!((failure.status, failure.sqlstate.as_str()), (AUTHGRANT_CANCELLED, "HY008"));
        assert!(ended - begin < Duration::from_millis(250));
        assert_eq!(waiter.join().unwrap(), server.issued_tokens()[0]);
    });
    cancelled.get_token().expect("later calls are not cancelled");
}

#[test]
fn rejected_token_is_replaced_once() {
    let server = start_mock_server(Config::http());
    let connections: Vec<_> = (0..8).map(|_| open(&minimal_string(&server, "")).unwrap()).collect();
    let old: Vec<Token> = connections.iter().map(|connection| connection.get_token().unwrap()).collect();
    for (connection, token) in connections.iter().zip(&old) {
        connection.reject(token);
        assert_ne!(connection.get_token().unwrap().value(), token.value());
    }
    assert_eq!(server.token_requests().len(), 2);
    let new = connections[0].get_token().unwrap();
    connections[0].reject(&new);
    assert_eq!(
        connections[0].get_token().unwrap().value(),
        new.value(),
        "an API that always responds 401 does not flood the token endpoint"
    );
}

#[test]
fn set_option_applies_to_next_call() {
    let server = start_mock_server(Config::http());
    let connection = open("am=55").unwrap();
    assert_eq!(connection.get_token().unwrap_err().status, AUTHGRANT_MISSING_OPTION);
    for (name, value) in [
        ("ClaimsIssuer", ISSUER),
        ("clsub", "a"),
        ("JWTCertStore", &stores::path("openssl.pem")),
        ("TokenEndpoint", &server.url("/oauth/token")),
    ] {
        connection.set_option(name, value).unwrap();
    }
    connection.get_token().unwrap();
    assert_eq!(connection.set_option("JWTLifetime", "x").unwrap_err().status, AUTHGRANT_INVALID_OPTION);
    connection.set_option("ClaimsSubject", "b").unwrap();
    connection.get_token().unwrap();
    assert_eq!(server.token_requests()[1].claims.as_ref().unwrap()["sub"], "b");
}

#[test]
fn short_or_missing_expiry_is_respected() {
    for (expires_in, requests) in
        [(ExpiresIn::Absent, 1), (ExpiresIn::Number(0), 2), (ExpiresIn::Text("60".into()), 1)]
    {
        let server = start_mock_server(Config { expires_in: expires_in.clone(), ..Config::http() });
        let connection = open(&minimal_string(&server, "")).unwrap();
        let first = connection.get_token().unwrap();
        assert_eq!(first.expires_at() == 0, expires_in == ExpiresIn::Absent);
        connection.get_token().unwrap();
        assert_eq!(server.token_requests().len(), requests, "{expires_in:?}");
    }
}

#[test]
fn no_network_returns_only_cached_token() {
    let server = start_mock_server(Config::http());
    let connection = open(&minimal_string(&server, "")).unwrap();
    let failure = connection.get_token_with(0, 0, AUTHGRANT_NO_NETWORK).unwrap_err();
    assert_eq!((failure.status, failure.sqlstate.as_str()), (AUTHGRANT_NOT_CACHED, "HY000"));
    assert_eq!(failure.retryable, 0);
    assert!(failure.message.contains("AUTHGRANT_NO_NETWORK"), "{failure:?}");
    let token = connection.get_token().unwrap();
    assert_eq!(connection.get_token_with(0, 0, AUTHGRANT_NO_NETWORK).unwrap().value(), token.value());
    assert_eq!(server.token_requests().len(), 1);
}

#[test]
fn keep_alive_connection_close_is_not_error() {
    let server = start_mock_server(Config::https());
    let get = |number: u32| get_token(&minimal_string(&server, &format!("Scope=s{number}"))).unwrap();
    get(0);
    get(1);
    assert_eq!(server.connection_count(), 1);
    server.set_script(vec![Behavior::CloseAfterAnswer]);
    get(2);
    get(3);
    assert_eq!(server.connection_count(), 2);
    let verdicts: Vec<_> = server.token_requests().iter().map(|request| request.verdict.clone()).collect();
    assert_eq!(verdicts, vec![Verdict::Granted; 4]);
}

#[test]
fn copy_token_never_truncates() {
    let server = start_mock_server(Config::http());
    let connection = open(&minimal_string(&server, "")).unwrap();
    let value = connection.get_token().unwrap().value();
    let needed = value.len() + 1;
    assert_eq!(connection.copy_token(0), (AUTHGRANT_OK, needed, vec![]));
    let (status, length, buffer) = connection.copy_token(needed - 1);
    assert_eq!((status, length), (AUTHGRANT_BUFFER_TOO_SMALL, needed));
    assert_eq!(buffer, vec![0xaa; needed - 1]);
    let (status, length, buffer) = connection.copy_token(needed);
    assert_eq!((status, length), (AUTHGRANT_OK, needed));
    assert_eq!(buffer, [value.as_bytes(), b"\0"].concat());
}

/// Responses of a server; one of them echoes what was sent.
fn secret_echoing_behaviors(sent: &str) -> [Behavior; 6] {
    let echo = format!(r#"{{"error":"invalid_grant","error_description":"you sent {sent}"}}"#);
    [
        Behavior::TokenAnswer(r#"{"access_token":"canary-access","token_type":"Bearer"}"#.to_owned()),
        Behavior::TokenAnswer(r#"{"access_token":"canary-access","token_type":"mac"}"#.to_owned()),
        Behavior::TokenAnswer(r#"{"access_token":"canary-access"#.to_owned()),
        Behavior::TokenAnswer(echo),
        Behavior::Html { status: 500 },
        Behavior::Reset,
    ]
}

#[test]
fn messages_and_logs_contain_no_secret() {
    const CANARIES: [&str; 4] = ["canary-password", "canary-token", "canary-secret", "canary-access"];
    const CLIENT: &str = "ClientID=c;ClientSecret=canary-secret;ClientCredentialsMode=3";
    let lines: &'static LogLines = Box::leak(Box::default());
    let mut texts = Vec::new();
    let mut assertions = Vec::new();
    for (method, client, sent) in
        [("POST ", CLIENT, "canary-token and canary-secret"), ("", "", "canary-token")]
    {
        for (number, behavior) in secret_echoing_behaviors(sent).into_iter().enumerate() {
            let server = start_mock_server(Config { get: GetResponse::Token, ..Config::https() });
            server.set_default_behavior(behavior);
            let options = format!("{client};AuthHeader=X;SecurityToken=canary-token;Scope=s{number}");
            let string =
                minimal_string(&server, &options).replace("TokenURI=POST ", &format!("TokenURI={method}"));
            let connection = open(&string).unwrap();
            connection.collect_log(lines);
            match connection.get_token() {
                Ok(token) => assert_eq!(token.value(), "canary-access"),
                Err(failure) => texts.push(format!("{failure:?}")),
            }
            texts.extend(connection.warnings().iter().map(|warning| format!("{warning:?}")));
            for request in server.token_requests() {
                assertions.extend(request.parameter("assertion"));
            }
        }
    }
    texts.push(format!(
        "{:?}",
        get_token(&format!(
            "am=55;ClaimsIssuer=a;JWTCertPassword=canary-password;JWTCertStore={}",
            stores::path("keytool.jks")
        ))
    ));
    let lines = lines.0.lock().unwrap();
    assert!(lines.len() > 10 && !assertions.is_empty(), "{lines:#?}");
    for text in texts.iter().chain(lines.iter()) {
        for canary in CANARIES {
            assert!(!text.contains(canary), "{text}");
        }
        for assertion in &assertions {
            let signature = assertion.rsplit('.').next().unwrap();
            assert!(!text.contains(signature), "{text}");
        }
    }
}

#[test]
fn client_secret_of_basic_header_is_redacted() {
    let server = start_mock_server(Config::http());
    let body = serde_json::json!({"error": "invalid_client", "error_description": "not canary%secret&c"});
    server.set_default_behavior(Behavior::Json { status: 401, body, headers: Vec::new() });
    let url = server.url("/oauth/token");
    let failure =
        get_token(&format!("am=53;ClientID=c;ClientSecret=canary%secret&c;TokenEndpoint={url}")).unwrap_err();
    assert_eq!(failure.oauth_description.as_deref(), Some("not ****"), "{failure:?}");
}

#[test]
fn get_error_is_logged_redacted() {
    let lines: &'static LogLines = Box::leak(Box::default());
    let server = start_mock_server(Config::http());
    let body = serde_json::json!({"error": "you sent canary-token"});
    server.set_script(vec![Behavior::Json { status: 400, body, headers: Vec::new() }]);
    let string = minimal_string(&server, "AuthHeader=X;SecurityToken=canary-token");
    let connection = open(&string.replace("POST ", "")).unwrap();
    connection.collect_log(lines);
    connection.get_token().unwrap();
    let lines = lines.0.lock().unwrap().join("\n");
    let is_fallback = |line: &str| line.contains("you sent ****") && line.contains("POST");
    assert!(lines.lines().any(is_fallback), "{lines}");
    assert!(!lines.contains("canary-token"), "{lines}");
}

#[test]
fn token_outlives_connection() {
    let server = start_mock_server(Config::http());
    let token = Arc::new(get_token(&minimal_string(&server, "")).unwrap());
    assert_eq!(token.value(), server.issued_tokens()[0]);
}

#[test]
fn failed_post_is_not_remembered() {
    let server = start_mock_server(Config { get: GetResponse::NotFound, ..Config::http() });
    let string = minimal_string(&server, "").replace("POST ", "");
    server.set_default_behavior(Behavior::Html { status: 500 });
    assert_eq!(get_token(&string).unwrap_err().status, AUTHGRANT_SERVER_ERROR);
    server.clear_behaviors();
    get_token(&format!("Scope=other;{string}")).unwrap();
    assert_eq!(request_methods(&server), ["GET", "POST", "GET", "POST"]);
}

#[test]
fn token_url_query_is_redacted() {
    let lines: &'static LogLines = Box::leak(Box::default());
    for (get, status) in [(GetResponse::HtmlForbidden, 200), (GetResponse::NotFound, 500)] {
        let server = start_mock_server(Config { get, ..Config::http() });
        server.set_default_behavior(Behavior::Html { status });
        let string = minimal_string(&server, "")
            .replace("POST ", "")
            .replace("/oauth/token", "/oauth/token?key=canary");
        let connection = open(&string).unwrap();
        connection.collect_log(lines);
        let failure = connection.get_token().unwrap_err();
        assert!(!format!("{failure:?}").contains("canary"), "{failure:?}");
    }
    let denied = start_mock_server(Config::http());
    denied.set_default_behavior(Behavior::TokenAnswer(r#"{"error":"invalid_grant"}"#.to_owned()));
    let string =
        minimal_string(&denied, "ClaimsAudience=x").replace("/oauth/token", "/oauth/token?key=canary");
    let failure = get_token(&string).unwrap_err();
    assert!(failure.message.contains("/oauth/token") && !failure.message.contains("canary"), "{failure:?}");
    let lines = lines.0.lock().unwrap();
    let is_fallback = |line: &String| line.contains("GET") && line.contains("POST");
    assert!(lines.iter().any(is_fallback), "{lines:#?}");
    assert!(!lines.iter().any(|line| line.contains("canary")), "{lines:#?}");
}

#[test]
fn echoed_secret_is_redacted_in_oauth_error() {
    let server = start_mock_server(Config::http());
    server.set_default_behavior(Behavior::Json {
        status: 400,
        body: serde_json::json!({"error": "canary-token"}),
        headers: Vec::new(),
    });
    let failure = get_token(&minimal_string(&server, "AuthHeader=X;SecurityToken=canary-token")).unwrap_err();
    assert_eq!(failure.oauth_error.as_deref(), Some("****"));
    assert!(!format!("{failure:?}").contains("canary"), "{failure:?}");
}

#[test]
fn call_timeout_overrides_login_timeout() {
    let server = start_mock_server(Config::http());
    server.set_default_behavior(Behavior::NeverAnswer);
    let connection = open(&minimal_string(&server, "LoginTimeout=30")).unwrap();
    let failure = connection.get_token_with(50, 0, AUTHGRANT_NO_PROMPT).unwrap_err();
    assert_eq!(failure.status, AUTHGRANT_TIMEOUT);
    assert!(failure.message.contains("0.05 s (the call's timeout)"), "{failure:?}");
}

#[test]
fn scope_in_selects_claim_or_parameter() {
    for (scope_in, claim, parameter) in
        [("Claim", true, false), ("Parameter", false, true), ("Both", true, true)]
    {
        let server = start_mock_server(Config::http());
        get_token(&minimal_string(&server, &format!("Scope=a;ScopeIn={scope_in}"))).unwrap();
        let request = &server.token_requests()[0];
        assert_eq!(request.claims.as_ref().unwrap().get("scope").is_some(), claim, "{scope_in}");
        assert_eq!(request.parameter("scope").is_some(), parameter, "{scope_in}");
    }
}
