//! Logoff: a token is sent to LogoffURI by `authgrant_logoff` and when its last connection is closed.

#[path = "../support/mod.rs"]
mod support;

use std::ptr::null_mut;
use std::time::{Duration, Instant};

use authgrant::ffi::authorize::authgrant_logoff;
use authgrant::ffi::status::*;
use mock_server::{Behavior, ClientOptions, Config, GrantType, MockServer, RecordedRequest};
use support::c_api::{Connection, Failure, open, take_error_chain};
use support::{minimal_string, start_mock_server};

fn open_with_logoff_uri(server: &MockServer, options: &str) -> Connection {
    let logoff = format!("LogoffURI={};{options}", server.url("/oauth/logoff"));
    open(&minimal_string(server, &logoff)).unwrap()
}

fn log_off(connection: &Connection) -> Result<(), Box<Failure>> {
    let mut error = null_mut();
    let status = authgrant_logoff(connection.handle(), &raw mut error);
    match take_error_chain(error).into_iter().next() {
        None => {
            assert_eq!(status, AUTHGRANT_OK);
            Ok(())
        }
        Some(failure) => Err(Box::new(failure)),
    }
}

fn logoff_requests(server: &MockServer) -> Vec<RecordedRequest> {
    server.requests().into_iter().filter(|request| request.path == "/oauth/logoff").collect()
}

#[test]
fn last_user_of_token_logs_off() {
    let server = start_mock_server(Config::http());
    let (first, second) = (open_with_logoff_uri(&server, ""), open_with_logoff_uri(&server, ""));
    let unused = open_with_logoff_uri(&server, "");
    let token = first.get_token().unwrap().value();
    assert_eq!(second.get_token().unwrap().value(), token);
    drop(first);
    drop(unused);
    assert_eq!(server.logoff_count(), 0);
    drop(second);
    let requests = logoff_requests(&server);
    assert_eq!(requests.len(), 1);
    assert_eq!(requests[0].parameter("token"), Some(token.clone()));
    let bearer = format!("Bearer {token}");
    assert!(
        requests[0]
            .headers
            .iter()
            .any(|(name, value)| name.eq_ignore_ascii_case("authorization") && *value == bearer)
    );
    assert_ne!(
        open_with_logoff_uri(&server, "").get_token().unwrap().value(),
        token,
        "the token was removed from the cache"
    );
}

#[test]
fn logoff_uri_is_in_cache_key() {
    let server = start_mock_server(Config::http());
    let with_uri = open_with_logoff_uri(&server, "");
    let without_uri = open(&minimal_string(&server, "")).unwrap();
    let other_token = without_uri.get_token().unwrap().value();
    assert_ne!(with_uri.get_token().unwrap().value(), other_token);
    drop(with_uri);
    assert_eq!(server.logoff_count(), 1);
    assert_eq!(without_uri.get_token().unwrap().value(), other_token);
}

#[test]
fn logoff_evicts_token_from_cache() {
    let server = start_mock_server(Config::http());
    let connection = open_with_logoff_uri(&server, "");
    log_off(&connection).unwrap();
    assert_eq!(server.logoff_count(), 0, "there was no token yet");
    let token = connection.get_token().unwrap().value();
    log_off(&connection).unwrap();
    log_off(&connection).unwrap();
    assert_eq!(server.logoff_count(), 1);
    assert_ne!(connection.get_token().unwrap().value(), token);
    drop(connection);
    assert_eq!(server.logoff_count(), 2);
}

#[test]
fn failed_logoff_still_evicts_token() {
    let server = start_mock_server(Config::http());
    let connection = open_with_logoff_uri(&server, "");
    let token = connection.get_token().unwrap().value();
    server.reconfigure(|config| config.logoff = Behavior::Html { status: 500 });
    let failure = log_off(&connection).unwrap_err();
    assert_eq!((failure.status, failure.http_status), (AUTHGRANT_BAD_RESPONSE, 500));
    assert_eq!(failure.option.as_deref(), Some("LogoffURI"));
    assert!(!failure.message.contains(&token));
    assert_ne!(connection.get_token().unwrap().value(), token);
}

#[test]
fn close_has_bounded_logoff_timeout() {
    let server = start_mock_server(Config { logoff: Behavior::NeverAnswer, ..Config::http() });
    let connection = open_with_logoff_uri(&server, "LoginTimeout=0");
    connection.get_token().unwrap();
    let start = Instant::now();
    drop(connection);
    assert_eq!(server.logoff_count(), 1);
    assert!(start.elapsed() < Duration::from_secs(20), "5 s, plus tolerance for a busy machine");
}

#[test]
fn logoff_without_uri_sends_nothing() {
    let server = start_mock_server(Config::http());
    let connection = open(&minimal_string(&server, "")).unwrap();
    let token = connection.get_token().unwrap().value();
    log_off(&connection).unwrap();
    assert_eq!(server.logoff_count(), 0);
    assert_ne!(connection.get_token().unwrap().value(), token);
}

/// A server with a client for refresh tokens, and a refresh token of it.
fn start_refresh_server(config: Config) -> (MockServer, String) {
    let server = MockServer::start(config);
    let grant_types = vec![GrantType::AuthorizationCode, GrantType::RefreshToken];
    let options =
        ClientOptions { grant_types, secret: Some("s3cret".to_owned()), ..ClientOptions::default() };
    server.register::<&str>("app", &[], options);
    let token = server.issue_refresh_token("app", "jo", None);
    (server, token)
}

fn open_refresh_connection(server: &MockServer, refresh_token: &str, more: &str) -> Connection {
    let (token, logoff) = (server.url("/oauth/token"), server.url("/oauth/logoff"));
    open(&format!(
        "{more};AuthenticationMethod=54;ClientID=app;ClientSecret=s3cret;RefreshToken={refresh_token};\
         TokenURI=POST {token};LogoffURI={logoff}"
    ))
    .unwrap()
}

/// `token_type_hint` and `token` of each request to LogoffURI.
fn revoked_tokens(server: &MockServer) -> Vec<(String, String)> {
    let value = |request: &RecordedRequest, name: &str| request.parameter(name).unwrap();
    let requests = logoff_requests(server);
    requests.iter().map(|request| (value(request, "token_type_hint"), value(request, "token"))).collect()
}

#[test]
fn refresh_token_is_revoked_before_access_token() {
    for rotate_refresh_tokens in [true, false] {
        let (server, configured) = start_refresh_server(Config { rotate_refresh_tokens, ..Config::http() });
        let connection = open_refresh_connection(&server, &configured, "ClientCredentialsMode=Post");
        let access_token = connection.get_token().unwrap().value();
        let latest = server.refresh_tokens().pop().unwrap();
        assert_eq!(latest != configured, rotate_refresh_tokens);
        log_off(&connection).unwrap();
        let expected = [("refresh_token".to_owned(), latest), ("access_token".to_owned(), access_token)];
        assert_eq!(revoked_tokens(&server), expected);
        for request in logoff_requests(&server) {
            assert_eq!(request.parameter("client_id").as_deref(), Some("app"));
            assert_eq!(request.parameter("client_secret").as_deref(), Some("s3cret"));
            assert_eq!(request.header("authorization"), None);
        }
    }
}

#[test]
fn revocation_uses_basic_authentication_of_client() {
    let (server, configured) = start_refresh_server(Config::http());
    let connection = open_refresh_connection(&server, &configured, "ClientCredentialsMode=Basic");
    log_off(&connection).unwrap();
    assert_eq!(revoked_tokens(&server), [("refresh_token".to_owned(), configured)], "without a request");
    let requests = logoff_requests(&server);
    assert_eq!(requests[0].header("authorization"), Some("Basic YXBwOnMzY3JldA=="));
    assert_eq!(requests[0].parameter("client_secret"), None);
    log_off(&connection).unwrap();
    assert_eq!(server.logoff_count(), 1, "the token is revoked already");
}

#[test]
fn revocation_uses_client_assertion() {
    let server = start_mock_server(Config::http());
    let options =
        ClientOptions { grant_types: vec![GrantType::ClientCredentials], ..ClientOptions::default() };
    server.register("signing", &[support::stores::certificate()], options);
    let connection = open(&format!(
        "AuthenticationMethod=OAuth2-JWTClientAssertion;ClientID=signing;ClaimsIssuer=signing;\
         ClaimsSubject=signing;JWTCertStore={};JWTCertPassword=secret;TokenURI=POST {};LogoffURI={}",
        support::stores::path("keytool.jks"),
        server.url("/oauth/token"),
        server.url("/oauth/logoff")
    ))
    .unwrap();
    let token = connection.get_token().unwrap().value();
    log_off(&connection).unwrap();
    let requests = logoff_requests(&server);
    assert_eq!(revoked_tokens(&server), [("access_token".to_owned(), token)]);
    assert_eq!(requests[0].header("authorization"), None);
    assert_eq!(requests[0].parameter("client_id").as_deref(), Some("signing"));
    let kind = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";
    assert_eq!(requests[0].parameter("client_assertion_type").as_deref(), Some(kind));
    let used = server.token_requests()[0].parameter("client_assertion").unwrap();
    let sent = requests[0].parameter("client_assertion").unwrap();
    assert_eq!(sent.split('.').count(), 3);
    assert_ne!(sent, used, "an assertion is valid once");
}

#[test]
fn one_supported_token_type_is_success() {
    for (unsupported, is_success) in [
        (vec!["access_token"], true),
        (vec!["refresh_token"], true),
        (vec!["access_token", "refresh_token"], false),
    ] {
        let unsupported_revocations = unsupported.iter().map(|hint| (*hint).to_owned()).collect();
        let (server, configured) = start_refresh_server(Config { unsupported_revocations, ..Config::http() });
        let connection = open_refresh_connection(&server, &configured, "");
        connection.get_token().unwrap();
        let outcome = log_off(&connection);
        assert_eq!(server.logoff_count(), 2);
        match outcome {
            Ok(()) => assert!(is_success, "{unsupported:?}"),
            Err(failure) => {
                assert!(!is_success, "{unsupported:?}: {failure:?}");
                assert_eq!(failure.oauth_error.as_deref(), Some("unsupported_token_type"));
            }
        }
    }
}

#[test]
fn response_of_other_endpoint_is_bad_response() {
    let page = |status, content_type: &str, body: &str| {
        let head = format!("HTTP/1.1 {status} X\r\nContent-Type: {content_type}\r\nConnection: close\r\n");
        Behavior::Raw(format!("{head}Content-Length: {}\r\n\r\n{body}", body.len()).into_bytes())
    };
    for behavior in [
        Behavior::Html { status: 200 },
        Behavior::Html { status: 400 },
        Behavior::Redirect { location: "https://login.example/".to_owned() },
        page(200, "application/xhtml+xml", "a page"),
        page(200, "text/plain", " <html></html>"),
        page(404, "text/plain", "none"),
    ] {
        let server = start_mock_server(Config { logoff: behavior.clone(), ..Config::http() });
        let connection = open_with_logoff_uri(&server, "");
        let token = connection.get_token().unwrap().value();
        let failure = log_off(&connection).unwrap_err();
        assert_eq!(
            (failure.status, failure.option.as_deref()),
            (AUTHGRANT_BAD_RESPONSE, Some("LogoffURI")),
            "{behavior:?}"
        );
        assert!(failure.message.contains("revocation endpoint (RFC 7009)"), "{failure:?}");
        assert!(!failure.message.contains(&token), "{failure:?}");
    }
}

#[test]
fn success_without_content_type_is_accepted() {
    for (status, body) in [(200, serde_json::Value::Null), (204, serde_json::Value::Null)] {
        let logoff = Behavior::Json { status, body, headers: Vec::new() };
        let server = start_mock_server(Config { logoff, ..Config::http() });
        let connection = open_with_logoff_uri(&server, "");
        connection.get_token().unwrap();
        log_off(&connection).unwrap();
    }
}

#[test]
fn invalid_token_is_success_unless_unauthorized() {
    for (status, is_success) in [(200, true), (400, true), (401, false)] {
        let body = serde_json::json!({ "error": "invalid_token" });
        let logoff = Behavior::Json { status, body, headers: Vec::new() };
        let server = start_mock_server(Config { logoff, ..Config::http() });
        let connection = open_with_logoff_uri(&server, "");
        connection.get_token().unwrap();
        assert_eq!(log_off(&connection).is_ok(), is_success, "{status}");
    }
}

#[test]
fn refused_client_is_denied_with_server_error() {
    for status in [401, 200] {
        let body = serde_json::json!({ "error": "invalid_client", "error_description": "no such client" });
        let logoff = Behavior::Json { status, body, headers: Vec::new() };
        let server = start_mock_server(Config { logoff, ..Config::http() });
        let connection = open_with_logoff_uri(&server, "");
        connection.get_token().unwrap();
        let failure = log_off(&connection).unwrap_err();
        assert_eq!(
            (failure.status, failure.oauth_error.as_deref(), failure.http_status),
            (AUTHGRANT_DENIED, Some("invalid_client"), i32::from(status))
        );
    }
}

#[test]
fn close_does_not_revoke_given_tokens() {
    let (server, configured) = start_refresh_server(Config::http());
    let connection = open_refresh_connection(&server, &configured, "");
    connection.get_token().unwrap();
    drop(connection);
    let given = format!("am=50;AccessToken=given;LogoffURI={}", server.url("/oauth/logoff"));
    let connection = open(&given).unwrap();
    connection.get_token().unwrap();
    drop(connection);
    assert_eq!(server.logoff_count(), 0);
    let connection = open(&given).unwrap();
    log_off(&connection).unwrap();
    log_off(&connection).unwrap();
    assert_eq!(revoked_tokens(&server), [("access_token".to_owned(), "given".to_owned())]);
    assert_eq!(connection.get_token().unwrap_err().status, AUTHGRANT_TOKEN_EXPIRED, "it is revoked");
}

#[test]
fn close_does_not_revoke_exported_token() {
    let server = start_mock_server(Config::http());
    let (first, second) = (open_with_logoff_uri(&server, ""), open_with_logoff_uri(&server, ""));
    first.get_token().unwrap();
    second.get_token().unwrap();
    first.completed_string(AUTHGRANT_WITH_TOKENS);
    drop((first, second));
    assert_eq!(server.logoff_count(), 0);
    let connection = open_with_logoff_uri(&server, "");
    connection.get_token().unwrap();
    connection.completed_string(AUTHGRANT_WITH_SECRETS);
    drop(connection);
    assert_eq!(server.logoff_count(), 1, "the string had no token");
}

#[cfg(unix)]
#[test]
fn forked_child_does_not_log_off_parent() {
    let server = start_mock_server(Config::http());
    let connection = open_with_logoff_uri(&server, "");
    connection.get_token().unwrap();
    // SAFETY: the child uses only its copy of the connection and exits; malloc may be called after a fork.
    let child = unsafe { libc::fork() };
    if child == 0 {
        let has_token = connection.get_token().is_ok();
        drop(connection);
        // SAFETY: ends the child at once, without the exit handlers of the test program.
        unsafe { libc::_exit(i32::from(!has_token)) };
    }
    let mut status = 0;
    // SAFETY: `child` is a child of this process, and `status` is writable.
    assert_eq!(unsafe { libc::waitpid(child, &raw mut status, 0) }, child);
    assert!(libc::WIFEXITED(status) && libc::WEXITSTATUS(status) == 0);
    assert_eq!((server.token_requests().len(), server.logoff_count()), (2, 0));
    drop(connection);
    assert_eq!(server.logoff_count(), 1);
}
