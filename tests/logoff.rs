//! The end of a token before its time: by authgrant_logoff, and when the last connection that uses it is closed.

mod support;

use std::ptr::null_mut;
use std::time::{Duration, Instant};

use authgrant::ffi::authorize::authgrant_logoff;
use authgrant::ffi::status::*;
use authority::{Authority, Config, Play, Recorded};
use support::c_api::{Connection, Failure, chain, open};
use support::{authority, short_string};

fn connection(authority: &Authority, more: &str) -> Connection {
    let logoff = format!("LogoffURI={};{more}", authority.url("/oauth/logoff"));
    open(&short_string(authority, &logoff)).unwrap()
}

fn log_off(connection: &Connection) -> Result<(), Box<Failure>> {
    let mut error = null_mut();
    let status = authgrant_logoff(connection.handle(), &raw mut error);
    match chain(error).into_iter().next() {
        None => {
            assert_eq!(status, AUTHGRANT_OK);
            Ok(())
        }
        Some(failure) => Err(Box::new(failure)),
    }
}

fn logoffs(authority: &Authority) -> Vec<Recorded> {
    authority.requests().into_iter().filter(|request| request.path == "/oauth/logoff").collect()
}

#[test]
fn the_last_connection_that_uses_a_token_logs_it_off() {
    let authority = authority(Config::http());
    let (one, other) = (connection(&authority, ""), connection(&authority, ""));
    let never_asked = connection(&authority, "");
    let token = one.get_token().unwrap().value();
    assert_eq!(other.get_token().unwrap().value(), token);
    drop(one);
    drop(never_asked);
    assert_eq!(authority.logoffs(), 0);
    drop(other);
    let told = logoffs(&authority);
    assert_eq!(told.len(), 1);
    assert_eq!(told[0].parameter("token"), Some(token.clone()));
    let bearer = format!("Bearer {token}");
    assert!(
        told[0]
            .headers
            .iter()
            .any(|(name, value)| name.eq_ignore_ascii_case("authorization") && *value == bearer)
    );
    assert_ne!(connection(&authority, "").get_token().unwrap().value(), token, "it has left the cache");
}

#[test]
fn a_token_that_nobody_logs_off_is_another_one() {
    let authority = authority(Config::http());
    let with = connection(&authority, "");
    let without = open(&short_string(&authority, "")).unwrap();
    let kept = without.get_token().unwrap().value();
    assert_ne!(with.get_token().unwrap().value(), kept);
    drop(with);
    assert_eq!(authority.logoffs(), 1);
    assert_eq!(without.get_token().unwrap().value(), kept);
}

#[test]
fn a_logoff_ends_the_token_at_once_and_the_next_call_fetches_another() {
    let authority = authority(Config::http());
    let connection = connection(&authority, "");
    log_off(&connection).unwrap();
    assert_eq!(authority.logoffs(), 0, "there was no token yet");
    let token = connection.get_token().unwrap().value();
    log_off(&connection).unwrap();
    log_off(&connection).unwrap();
    assert_eq!(authority.logoffs(), 1);
    assert_ne!(connection.get_token().unwrap().value(), token);
    drop(connection);
    assert_eq!(authority.logoffs(), 2);
}

#[test]
fn a_logoff_that_fails_is_told_and_the_token_is_gone_all_the_same() {
    let authority = authority(Config::http());
    let connection = connection(&authority, "");
    let token = connection.get_token().unwrap().value();
    authority.reconfigure(|config| config.logoff = Play::Html { status: 500 });
    let failure = log_off(&connection).unwrap_err();
    assert_eq!((failure.status, failure.http_status), (AUTHGRANT_BAD_RESPONSE, 500));
    assert_eq!(failure.option.as_deref(), Some("LogoffURI"));
    assert!(!failure.message.contains(&token));
    assert_ne!(connection.get_token().unwrap().value(), token);
}

#[test]
fn a_close_does_not_wait_for_ever() {
    let authority = authority(Config { logoff: Play::NeverAnswer, ..Config::http() });
    let connection = connection(&authority, "LoginTimeout=0");
    connection.get_token().unwrap();
    let begun = Instant::now();
    drop(connection);
    assert_eq!(authority.logoffs(), 1);
    assert!(begun.elapsed() < Duration::from_secs(20), "five seconds, and what a busy machine adds");
}

#[test]
fn without_logoff_uri_nothing_is_sent() {
    let authority = authority(Config::http());
    let connection = open(&short_string(&authority, "")).unwrap();
    let token = connection.get_token().unwrap().value();
    log_off(&connection).unwrap();
    assert_eq!(authority.logoffs(), 0);
    assert_ne!(connection.get_token().unwrap().value(), token);
}

#[cfg(unix)]
#[test]
fn a_forked_child_leaves_its_parents_token_alone() {
    let authority = authority(Config::http());
    let connection = connection(&authority, "");
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
    assert_eq!((authority.token_requests().len(), authority.logoffs()), (2, 0));
    drop(connection);
    assert_eq!(authority.logoffs(), 1);
}
