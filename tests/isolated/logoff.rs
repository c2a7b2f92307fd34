//! Logoff: a token is sent to LogoffURI by `authgrant_logoff` and when its last connection is closed.

#[path = "../support/mod.rs"]
mod support;

use std::ptr::null_mut;
use std::time::{Duration, Instant};

use authgrant::ffi::authorize::authgrant_logoff;
use authgrant::ffi::status::*;
use mock_server::{Behavior, Config, MockServer, RecordedRequest};
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
