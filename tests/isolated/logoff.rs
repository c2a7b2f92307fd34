//! The end of a token before its time: by authgrant_logoff, and when the last connection that uses it is closed.

#[path = "../support/mod.rs"]
mod support;

use std::ptr::null_mut;
use std::time::{Duration, Instant};

use authgrant::ffi::authorize::authgrant_logoff;
use authgrant::ffi::status::*;
use mock_server::{Behavior, Config, MockServer, RecordedRequest};
use support::c_api::{Connection, Failure, open, take_error_chain};
use support::{minimal_string, start_mock_server};

fn open_with_logoff_uri(authority: &MockServer, more: &str) -> Connection {
    let logoff = format!("LogoffURI={};{more}", authority.url("/oauth/logoff"));
    open(&minimal_string(authority, &logoff)).unwrap()
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

fn logoff_requests(authority: &MockServer) -> Vec<RecordedRequest> {
    authority.requests().into_iter().filter(|request| request.path == "/oauth/logoff").collect()
}

#[test]
fn last_user_of_token_logs_off() {
    let authority = start_mock_server(Config::http());
    let (one, other) = (open_with_logoff_uri(&authority, ""), open_with_logoff_uri(&authority, ""));
    let never_asked = open_with_logoff_uri(&authority, "");
    let token = one.get_token().unwrap().value();
    assert_eq!(other.get_token().unwrap().value(), token);
    drop(one);
    drop(never_asked);
    assert_eq!(authority.logoff_count(), 0);
    drop(other);
    let told = logoff_requests(&authority);
    assert_eq!(told.len(), 1);
    assert_eq!(told[0].parameter("token"), Some(token.clone()));
    let bearer = format!("Bearer {token}");
    assert!(
        told[0]
            .headers
            .iter()
            .any(|(name, value)| name.eq_ignore_ascii_case("authorization") && *value == bearer)
    );
    assert_ne!(
        open_with_logoff_uri(&authority, "").get_token().unwrap().value(),
        token,
        "it has left the cache"
    );
}

#[test]
fn logoff_uri_is_in_cache_key() {
    let authority = start_mock_server(Config::http());
    let with = open_with_logoff_uri(&authority, "");
    let without = open(&minimal_string(&authority, "")).unwrap();
    let kept = without.get_token().unwrap().value();
    assert_ne!(with.get_token().unwrap().value(), kept);
    drop(with);
    assert_eq!(authority.logoff_count(), 1);
    assert_eq!(without.get_token().unwrap().value(), kept);
}

#[test]
fn logoff_evicts_token_from_cache() {
    let authority = start_mock_server(Config::http());
    let connection = open_with_logoff_uri(&authority, "");
    log_off(&connection).unwrap();
    assert_eq!(authority.logoff_count(), 0, "there was no token yet");
    let token = connection.get_token().unwrap().value();
    log_off(&connection).unwrap();
    log_off(&connection).unwrap();
    assert_eq!(authority.logoff_count(), 1);
    assert_ne!(connection.get_token().unwrap().value(), token);
    drop(connection);
    assert_eq!(authority.logoff_count(), 2);
}

#[test]
fn failed_logoff_still_evicts_token() {
    let authority = start_mock_server(Config::http());
    let connection = open_with_logoff_uri(&authority, "");
    let token = connection.get_token().unwrap().value();
    authority.reconfigure(|config| config.logoff = Behavior::Html { status: 500 });
    let failure = log_off(&connection).unwrap_err();
    assert_eq!((failure.status, failure.http_status), (AUTHGRANT_BAD_RESPONSE, 500));
    assert_eq!(failure.option.as_deref(), Some("LogoffURI"));
    assert!(!failure.message.contains(&token));
    assert_ne!(connection.get_token().unwrap().value(), token);
}

#[test]
fn close_has_bounded_logoff_timeout() {
    let authority = start_mock_server(Config { logoff: Behavior::NeverAnswer, ..Config::http() });
    let connection = open_with_logoff_uri(&authority, "LoginTimeout=0");
    connection.get_token().unwrap();
    let begun = Instant::now();
    drop(connection);
    assert_eq!(authority.logoff_count(), 1);
    assert!(begun.elapsed() < Duration::from_secs(20), "five seconds, and what a busy machine adds");
}

#[test]
fn logoff_without_uri_sends_nothing() {
    let authority = start_mock_server(Config::http());
    let connection = open(&minimal_string(&authority, "")).unwrap();
    let token = connection.get_token().unwrap().value();
    log_off(&connection).unwrap();
    assert_eq!(authority.logoff_count(), 0);
    assert_ne!(connection.get_token().unwrap().value(), token);
}

#[cfg(unix)]
#[test]
fn forked_child_does_not_log_off_parent() {
    let authority = start_mock_server(Config::http());
    let connection = open_with_logoff_uri(&authority, "");
    connection.get_token().unwrap();
    // SAFETY: the child uses its copy of the connection and leaves; malloc may be called after a fork.
    let child = unsafe { libc::fork() };
    if child == 0 {
        let got = connection.get_token().is_ok();
        drop(connection);
        // SAFETY: ends the child at once, without what the test program would do at its end.
        unsafe { libc::_exit(i32::from(!got)) };
    }
    let mut status = 0;
    // SAFETY: `child` is ours, and `status` is written to.
    assert_eq!(unsafe { libc::waitpid(child, &raw mut status, 0) }, child);
    assert!(libc::WIFEXITED(status) && libc::WEXITSTATUS(status) == 0);
    assert_eq!((authority.token_requests().len(), authority.logoff_count()), (2, 0));
    drop(connection);
    assert_eq!(authority.logoff_count(), 1);
}
