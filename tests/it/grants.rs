//! Grants other than the JWT bearer grant, and methods without a token: through the C API, with the mock
//! server.

use std::ffi::{CStr, c_char, c_void};
use std::fs;
use std::ptr::null_mut;
use std::sync::Mutex;

use crate::support::c_api::{Connection, Failure, c_str_to_string, get_token, open};
use crate::support::stores;
use crate::support::tempdir::TestDir;
use authgrant::ffi::status::*;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use mock_server::{Behavior, ClientAuth, ClientOptions, Config, GrantType, MockServer};
use serde_json::json;

const CLIENT_ID: &str = "the client";
const CLIENT_SECRET: &str = "s p&c%:=";

fn start_server_with_client(options: ClientOptions) -> MockServer {
    let server = MockServer::start(Config::http());
    server.register::<&str>(CLIENT_ID, &[], options);
    server
}

fn with_token_uri(server: &MockServer, more: &str) -> String {
    format!("{more};TokenURI={}", server.url("/oauth/token"))
}

#[test]
fn client_credentials_work_as_basic_and_post() {
    for (mode, basic) in
        [("", true), ("0", true), ("Basic", true), ("2", false), ("3", false), ("Post", false)]
    {
        let client_auth = Some(if basic { ClientAuth::Basic } else { ClientAuth::Post });
        let server = start_server_with_client(ClientOptions {
            secret: Some(CLIENT_SECRET.to_owned()),
            client_auth,
            ..ClientOptions::default()
        });
        let mode = if mode.is_empty() { String::new() } else { format!("ClientCredentialsMode={mode};") };
        let more = format!("am=53;{mode}ClientID={CLIENT_ID};ClientSecret={{{CLIENT_SECRET}}};Scope=a b");
        get_token(&with_token_uri(&server, &more)).unwrap_or_else(|failure| panic!("{mode}: {failure:?}"));
        let request = &server.token_requests()[0];
        assert_eq!((request.method.as_str(), request.parameter("scope").as_deref()), ("POST", Some("a b")));
        let wrong = more.replace(CLIENT_SECRET, "wrong");
        let failure = get_token(&with_token_uri(&server, &wrong)).unwrap_err();
        assert_eq!(
            (failure.status, failure.oauth_error.as_deref()),
            (AUTHGRANT_DENIED, Some("invalid_client"))
        );
        assert!(failure.message.contains(CLIENT_ID), "{failure:?}");
    }
}

fn start_server_with_signing_client() -> MockServer {
    let server = MockServer::start(Config::http());
    let options =
        ClientOptions { grant_types: vec![GrantType::ClientCredentials], ..ClientOptions::default() };
    server.register(CLIENT_ID, &[stores::certificate()], options);
    server
}

const ASSERTION_OPTIONS: &str =
    "am=OAuth2-JWTClientAssertion;ClaimsIssuer=the client;ClaimsSubject=the client";

#[test]
fn client_assertion_is_signed_per_request() {
    let server = start_server_with_signing_client();
    let more =
        format!("{ASSERTION_OPTIONS};ClientID={CLIENT_ID};JWTCertStore={}", stores::path("openssl.pem"));
    get_token(&with_token_uri(&server, &more)).unwrap();
    get_token(&with_token_uri(&server, &format!("{more};Scope=a"))).unwrap();
    assert_eq!(server.issued_tokens().len(), 2);
    let wrong_key = more
        .replace("openssl.pem", "other.pem")
        .replace(&stores::path("openssl.pem"), &stores::path("other.pem"));
    assert_eq!(
        get_token(&with_token_uri(&server, &wrong_key)).unwrap_err().oauth_error.as_deref(),
        Some("invalid_client")
    );
}

#[test]
fn assertion_file_is_reread_per_request() {
    let server = start_server_with_signing_client();
    let signer = open(&with_token_uri(
        &server,
        &format!("{ASSERTION_OPTIONS};JWTCertStore={}", stores::path("openssl.pem")),
    ))
    .unwrap();
    let dir = tempfile::TempDir::new().unwrap();
    let file = dir.path().join("assertion");
    let from_file = |scope: &str| {
        let more = format!("am=OAuth2-JWTClientAssertion;Scope={scope}");
        let connection = open(&with_token_uri(&server, &more)).unwrap();
        connection.set_option("ClientAssertionFile", file.to_str().unwrap()).unwrap();
        connection.get_token()
    };
    for scope in ["a", "b"] {
        fs::write(&file, format!("{}\n", signer.make_assertion().unwrap())).unwrap();
        from_file(scope).unwrap();
    }
    let preset = format!("am=OAuth2-JWTClientAssertion;ClientAssertion={}", signer.make_assertion().unwrap());
    get_token(&with_token_uri(&server, &preset)).unwrap();
    assert_eq!(server.issued_tokens().len(), 3);
    fs::write(&file, "").unwrap();
    let failure = from_file("c").unwrap_err();
    assert_eq!(
        (failure.status, failure.option.as_deref()),
        (AUTHGRANT_KEY_STORE_ERROR, Some("ClientAssertionFile"))
    );
}

/// A connection that signs client assertions for `server`.
fn open_signer(server: &MockServer) -> Connection {
    let options = format!("{ASSERTION_OPTIONS};JWTCertStore={}", stores::path("openssl.pem"));
    open(&with_token_uri(server, &options)).unwrap()
}

/// A connection string with `assertion`.
fn presigned_string(server: &MockServer, assertion: &str, more: &str) -> String {
    with_token_uri(server, &format!("am=OAuth2-JWTClientAssertion;ClientAssertion={assertion};{more}"))
}

#[track_caller]
fn assert_already_sent(failure: &Failure) {
    let actual = (failure.status, failure.sqlstate.as_str(), failure.option.as_deref(), failure.http_status);
    assert_eq!(actual, (AUTHGRANT_TOKEN_EXPIRED, "08006", Some("ClientAssertion"), 0), "{failure:?}");
}

#[test]
fn inline_assertion_is_sent_once_per_process() {
    let server = start_server_with_signing_client();
    let signer = open_signer(&server);
    let assertion = signer.make_assertion().unwrap();
    let first = open(&presigned_string(&server, &assertion, "")).unwrap();
    let equal = open(&presigned_string(&server, &assertion, "LoginTimeout=7")).unwrap();
    let other = open(&presigned_string(&server, &assertion, "Scope=a")).unwrap();
    let token = first.get_token().unwrap();
    assert_eq!(equal.get_token().unwrap().value(), token.value(), "the token is shared");
    assert_already_sent(&other.get_token().map(|_| ()).unwrap_err());
    assert_eq!(first.get_token().unwrap().value(), token.value(), "the token stays cached");
    first.reject(&token);
    for connection in [&first, &equal] {
        assert_already_sent(&connection.get_token().map(|_| ()).unwrap_err());
    }
    assert_eq!(server.token_requests().len(), 1);
    first.set_option("ClientAssertion", &signer.make_assertion().unwrap()).unwrap();
    first.get_token().unwrap();
    assert_eq!(server.token_requests().len(), 2);
}

#[test]
fn rejected_inline_assertion_is_not_sent_again() {
    let server = start_server_with_signing_client();
    let assertion = open_signer(&server).make_assertion().unwrap();
    let connection = open(&presigned_string(&server, &assertion, "ClientID=someone else")).unwrap();
    let failure = connection.get_token().map(|_| ()).unwrap_err();
    assert_eq!(failure.oauth_error.as_deref(), Some("invalid_client"), "{failure:?}");
    assert_already_sent(&get_token(&presigned_string(&server, &assertion, "")).map(|_| ()).unwrap_err());
    assert_eq!(server.token_requests().len(), 1);
}

#[test]
fn unprocessed_inline_assertion_may_be_sent_again() {
    let server = start_server_with_signing_client();
    let assertion = open_signer(&server).make_assertion().unwrap();
    // No server listens there.
    let unreachable =
        format!("am=OAuth2-JWTClientAssertion;ClientAssertion={assertion};TokenURI=https://127.0.0.1:1/t");
    assert_eq!(get_token(&unreachable).map(|_| ()).unwrap_err().status, AUTHGRANT_NETWORK);
    let wrong_url = presigned_string(&server, &assertion, "").replace("/oauth/token", "/nothing");
    assert_eq!(get_token(&wrong_url).map(|_| ()).unwrap_err().http_status, 404);
    let busy = |status| Behavior::Json { status, body: json!(null), headers: Vec::new() };
    let answer = r#"{"access_token":"at","token_type":"Bearer"}"#.to_owned();
    server.set_script(vec![busy(503), busy(429), Behavior::TokenAnswer(answer)]);
    get_token(&presigned_string(&server, &assertion, "")).unwrap();
    assert_eq!(server.token_requests().len(), 3, "the busy server is asked again");
}

#[test]
fn inline_assertion_of_lost_request_is_not_sent_again() {
    let server = start_server_with_signing_client();
    let signer = open_signer(&server);
    for lost in [Behavior::Raw(Vec::new()), Behavior::Reset] {
        let assertion = signer.make_assertion().unwrap();
        let before = server.token_requests().len();
        server.set_script(vec![lost]);
        let failure = get_token(&presigned_string(&server, &assertion, "")).map(|_| ()).unwrap_err();
        assert_eq!(failure.status, AUTHGRANT_NETWORK, "{failure:?}");
        assert_already_sent(
            &get_token(&presigned_string(&server, &assertion, "Scope=a")).map(|_| ()).unwrap_err(),
        );
        assert_eq!(server.token_requests().len(), before + 1);
    }
}

#[test]
fn unchanged_assertion_file_is_sent_again() {
    let server = start_server_with_signing_client();
    let dir = TestDir::with_file("assertion", open_signer(&server).make_assertion().unwrap());
    for scope in ["a", "b"] {
        let answer = format!(r#"{{"access_token":"at-{scope}","token_type":"Bearer"}}"#);
        server.set_script(vec![Behavior::TokenAnswer(answer)]);
        let more = format!("am=OAuth2-JWTClientAssertion;Scope={scope}");
        let connection = open(&with_token_uri(&server, &more)).unwrap();
        connection.set_option("ClientAssertionFile", &dir.path("assertion")).unwrap();
        assert_eq!(connection.get_token().unwrap().value(), format!("at-{scope}"));
    }
    assert_eq!(server.token_requests().len(), 2);
}

#[test]
fn client_assertion_is_signed_without_token_endpoint() {
    let options = format!("{ASSERTION_OPTIONS};JWTCertStore={}", stores::path("openssl.pem"));
    let connection = open(&format!("{options};ClaimsAudience=https://a.example/t")).unwrap();
    let assertion = connection.make_assertion().unwrap();
    let claims = URL_SAFE_NO_PAD.decode(assertion.split('.').nth(1).unwrap()).unwrap();
    let claims: serde_json::Value = serde_json::from_slice(&claims).unwrap();
    assert_eq!(claims["aud"], "https://a.example/t");
    let failure = connection.get_token().unwrap_err();
    assert_eq!((failure.status, failure.option.as_deref()), (AUTHGRANT_MISSING_OPTION, Some("TokenURI")));
    let without_audience = open(&options).unwrap().make_assertion().unwrap_err();
    assert_eq!(without_audience.option.as_deref(), Some("TokenURI"), "{without_audience:?}");
    let invalid = open(&format!("{options};ClaimsAudience=a;LoginTimeout=x")).unwrap();
    assert_eq!(invalid.make_assertion().unwrap_err().status, AUTHGRANT_INVALID_OPTION);
}

#[test]
fn assertion_file_must_be_one_jwt() {
    let dir = TestDir::new();
    let jwt = "e30.e30.c2ln";
    let failure_of = |content: &[u8]| {
        let connection =
            open("am=OAuth2-JWTClientAssertion;ClientID=c;TokenURI=https://127.0.0.1:1/t").unwrap();
        connection.set_option("ClientAssertionFile", &dir.write("assertion", content)).unwrap();
        connection.get_token().map(|_| ()).unwrap_err()
    };
    for (content, fragment) in [
        (json!({ "assertion": jwt }).to_string(), "JSON, not one JWT"),
        (json!([jwt]).to_string(), "JSON, not one JWT"),
        (json!(jwt).to_string(), "text in quotes, not one JWT"),
        (format!("'{jwt}'\n"), "text in quotes, not one JWT"),
        (format!("\u{feff}\"{jwt}\""), "text in quotes, not one JWT"),
        (format!("{jwt}\n{jwt}\n"), "text, not one JWT"),
        (format!("Bearer {jwt}"), "text with the prefix Bearer, not one JWT"),
        ("hunter2".to_owned(), "text, not one JWT"),
        ("e30.hunter2".to_owned(), "text, not one JWT"),
    ] {
        let failure = failure_of(content.as_bytes());
        let actual = (failure.status, failure.option.as_deref());
        assert_eq!(
            actual,
            (AUTHGRANT_KEY_STORE_ERROR, Some("ClientAssertionFile")),
            "{content}: {failure:?}"
        );
        assert!(failure.message.contains(fragment), "{content}: {failure:?}");
        assert!(!failure.message.contains("hunter2") && !failure.message.contains("e30"), "{failure:?}");
    }
    let failure = failure_of(b"hunter2\xFF");
    assert_eq!(failure.status, AUTHGRANT_KEY_STORE_ERROR, "{failure:?}");
    assert!(failure.message.contains("does not contain a single JWT"), "{failure:?}");
    // These are sent: no server listens.
    let marked = format!("\u{feff}{jwt}\r\n");
    let utf16: Vec<_> = marked.encode_utf16().flat_map(u16::to_le_bytes).collect();
    for content in [jwt.as_bytes(), marked.as_bytes(), &utf16] {
        assert_eq!(failure_of(content).status, AUTHGRANT_NETWORK);
    }
}

#[test]
fn inline_assertion_must_be_one_jwt() {
    for (assertion, fragment) in [
        ("'e30.hunter2.c2ln'", "is text in quotes; expected one JWT"),
        ("\"e30.hunter2.c2ln\"", "is text in quotes; expected one JWT"),
        ("Bearer e30.hunter2.c2ln", "is text with the prefix Bearer; expected one JWT"),
        ("bearer e30.hunter2.c2ln", "is text with the prefix Bearer; expected one JWT"),
        ("e30.hunter2", "is text; expected one JWT alone, three parts"),
        ("e30.hunter2.c2l=", "is text; expected one JWT alone, three parts"),
    ] {
        let string = format!(
            "am=OAuth2-JWTClientAssertion;ClientID=c;ClientAssertion={assertion};TokenURI=POST https://127.0.0.1:1/t"
        );
        let connection = open(&string).unwrap();
        let failure = connection.get_token().map(|_| ()).unwrap_err();
        let actual = (failure.status, failure.option.as_deref());
        assert_eq!(actual, (AUTHGRANT_INVALID_OPTION, Some("ClientAssertion")), "{assertion}: {failure:?}");
        assert!(failure.message.contains(fragment), "{assertion}: {failure:?}");
        let report: serde_json::Value = serde_json::from_str(&connection.validate()).unwrap();
        let [problem] = report["problems"].as_array().unwrap().as_slice() else { panic!("{report:#}") };
        assert_eq!(problem["message"], failure.message);
        assert!(!report.to_string().contains("hunter2"), "{report:#}");
    }
}

#[test]
fn expired_preset_assertion_is_not_sent() {
    let server = start_server_with_signing_client();
    // {"exp":1}
    let expired = "am=OAuth2-JWTClientAssertion;ClientAssertion=e30.eyJleHAiOjF9.c2ln";
    let failure = get_token(&with_token_uri(&server, expired)).unwrap_err();
    assert_eq!((failure.status, failure.sqlstate.as_str()), (AUTHGRANT_TOKEN_EXPIRED, "08006"));
    assert!(server.token_requests().is_empty());
}

#[test]
fn password_grant_warns_and_never_retries() {
    let users = [("jo".to_owned(), "pw;1".to_owned())].into();
    let server = start_server_with_client(ClientOptions { users, ..ClientOptions::default() });
    let more = format!("am=52;UID=jo;PWD={{pw;1}};ClientID={CLIENT_ID}");
    let connection = open(&with_token_uri(&server, &more)).unwrap();
    connection.get_token().unwrap();
    let warnings = connection.warnings();
    assert!(
        warnings.iter().any(|warning| {
            (warning.status, warning.sqlstate.as_str(), warning.option.as_deref())
                == (AUTHGRANT_OK, "01000", Some("AuthenticationMethod"))
        }),
        "{warnings:?}"
    );
    server.set_default_behavior(Behavior::Json {
        status: 503,
        body: serde_json::Value::Null,
        headers: Vec::new(),
    });
    let before = server.token_requests().len();
    get_token(&with_token_uri(&server, &format!("{more};Scope=a"))).unwrap_err();
    assert_eq!(server.token_requests().len(), before + 1);
}

static REFRESH_TOKENS: Mutex<Vec<String>> = Mutex::new(Vec::new());

extern "C" fn store_refresh_token(token: *const c_char, _: *mut c_void) {
    // SAFETY: the library hands out NUL-terminated text.
    let token = unsafe { CStr::from_ptr(token) }.to_str().unwrap().to_owned();
    REFRESH_TOKENS.lock().unwrap().push(token);
}

#[test]
fn rotated_refresh_token_is_stored_and_reported() {
    let options = ClientOptions {
        grant_types: vec![GrantType::RefreshToken],
        client_auth: Some(ClientAuth::Public),
        ..ClientOptions::default()
    };
    let server = start_server_with_client(options);
    let first = server.issue_refresh_token(CLIENT_ID, "jo", Some("a"));
    let more = format!("am=54;RefreshToken={first};ClientID={CLIENT_ID}");
    let connection = open(&with_token_uri(&server, &more)).unwrap();
    let status = authgrant::ffi::authorize::authgrant_set_refresh_token_callback(
        connection.handle(),
        Some(store_refresh_token),
        null_mut(),
        null_mut(),
    );
    assert_eq!(status, AUTHGRANT_OK);
    for _ in 0..3 {
        let token = connection.get_token().unwrap();
        connection
            .set_option("Scope", if server.issued_tokens().len().is_multiple_of(2) { "" } else { "a" })
            .unwrap();
        assert!(token.value().starts_with("at-"));
    }
    let reported = REFRESH_TOKENS.lock().unwrap().clone();
    assert_eq!(reported.len(), server.issued_tokens().len());
    assert_eq!(server.token_requests()[1].parameter("refresh_token").as_ref(), reported.first());
    let failure = get_token(&with_token_uri(&server, &more)).unwrap_err();
    assert_eq!(
        (failure.status, failure.sqlstate.as_str()),
        (AUTHGRANT_TOKEN_EXPIRED, "08006"),
        "the first refresh token was rotated"
    );
}

#[test]
fn preset_token_is_used_until_rejected() {
    for more in ["am=50;AccessToken=preset", "am=34;SecurityToken=preset", "AccessToken=preset"] {
        let connection = open(more).unwrap();
        let token = connection.get_token().unwrap();
        assert_eq!((token.value().as_str(), token.expires_at()), ("preset", 0));
        assert_eq!(
            connection.get_headers().unwrap(),
            [("Authorization".to_owned(), "Bearer preset".to_owned())]
        );
        connection.reject(&token);
        let failure = connection.get_token().unwrap_err();
        assert_eq!((failure.status, failure.sqlstate.as_str()), (AUTHGRANT_TOKEN_EXPIRED, "08006"));
    }
    let failure = get_token("am=50;AccessToken=e30.eyJleHAiOjF9.c2ln").unwrap_err();
    assert_eq!(failure.status, AUTHGRANT_TOKEN_EXPIRED, "a JWT contains its expiry");
    let connection = open("am=50;AccessToken=old").unwrap();
    connection.reject(&connection.get_token().unwrap());
    connection.set_option("AccessToken", "new").unwrap();
    assert_eq!(connection.get_token().unwrap().value(), "new");
}

#[test]
fn tokenless_methods_set_headers() {
    for (more, expected) in [
        ("am=0;UID=Aladdin;PWD=open sesame", Some(("Authorization", "Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ=="))),
        ("am=0;UID=a;PWD=b;AuthHeader=X-Auth", Some(("X-Auth", "Basic YTpi"))),
        ("am=25;AuthHeader=X-Api-Key;SecurityToken=k", Some(("X-Api-Key", "k"))),
        ("am=25;SecurityToken=k", Some(("Authorization", "k"))),
        ("am=15", None),
    ] {
        let connection = open(more).unwrap();
        let expected: Vec<_> =
            expected.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        assert_eq!(connection.get_headers().unwrap(), expected, "{more}");
        assert_eq!(connection.get_token().unwrap_err().status, AUTHGRANT_UNSUPPORTED, "{more}");
    }
}

#[test]
fn custom_grant_type_and_parameters_are_sent() {
    let server = crate::support::start_mock_server(Config::http());
    let more = "GrantType=urn:example:other;TokenParameters=resource=https%3A%2F%2Fapi&tenant=1";
    let failure = get_token(&crate::support::minimal_string(&server, more)).unwrap_err();
    assert_eq!(failure.oauth_error.as_deref(), Some("unsupported_grant_type"));
    let request = &server.token_requests()[0];
    assert_eq!(request.parameter("grant_type").as_deref(), Some("urn:example:other"));
    assert_eq!(request.parameter("resource").as_deref(), Some("https://api"));
    assert_eq!(request.parameter("tenant").as_deref(), Some("1"));
}

#[test]
fn consent_url_names_missing_options() {
    let url = |string: &str| {
        let connection = open(string).unwrap();
        let (mut url, mut error) = (null_mut(), null_mut());
        let status = authgrant::ffi::authorize::authgrant_consent_url(
            connection.handle(),
            &raw mut url,
            &raw mut error,
        );
        let found = c_str_to_string(url);
        authgrant::ffi::text::authgrant_string_free(url);
        let failures = crate::support::c_api::take_error_chain(error);
        (status, found, failures.into_iter().next())
    };
    let docusign = "TokenURI=https://account-d.docusign.com/oauth/token;ClaimsIssuer=key";
    let (status, found, _) = url(&format!("{docusign};RedirectURI=http://localhost:3000"));
    assert_eq!(status, AUTHGRANT_OK);
    assert_eq!(
        found.as_deref(),
        Some(
            "https://account-d.docusign.com/oauth/auth?response_type=code&scope=signature%20impersonation\
             &client_id=key&redirect_uri=http%3A%2F%2Flocalhost%3A3000"
        )
    );
    let (status, found, failure) = url("Scope=a");
    assert_eq!((status, found), (AUTHGRANT_MISSING_OPTION, None));
    let failure = failure.unwrap();
    assert_eq!((failure.status, failure.option.as_deref()), (AUTHGRANT_MISSING_OPTION, Some("AuthURI")));
    assert!(failure.message.contains("AuthURI and RedirectURI and ClientID"), "{failure:?}");
}
