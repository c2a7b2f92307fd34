//! Cancel tokens of single calls: which calls they end, and that other calls on the connection continue.

use std::net::TcpListener;
use std::sync::Barrier;
use std::sync::atomic::{AtomicPtr, Ordering};
use std::time::{Duration, Instant};

use authgrant::ffi::call_options::RawCallOptions;
use authgrant::ffi::status::*;
use mock_server::{Behavior, Config, MockServer};

use crate::support::c_api::{CancelToken, Connection, Failure, call_options, open};
use crate::support::{minimal_string, start_mock_server};

/// The longest time from a cancel to the end of its calls.
const CANCEL_LIMIT: Duration = Duration::from_millis(250);

fn assert_cancelled(failure: &Failure) {
    assert_eq!((failure.status, failure.sqlstate.as_str()), (AUTHGRANT_CANCELLED, "HY008"), "{failure:?}");
}

/// Calls with `token`, which is cancelled while the call runs, and returns after its end.
fn assert_cancel_ends_call(connection: &Connection, token: &CancelToken, is_running: impl FnOnce()) {
    std::thread::scope(|scope| {
        let call = scope.spawn(|| {
            let failure = connection.get_token_cancellable(token).unwrap_err();
            (failure, Instant::now())
        });
        is_running();
        let begin = Instant::now();
        token.cancel();
        let (failure, ended) = call.join().unwrap();
        assert_cancelled(&failure);
        assert!(ended - begin < CANCEL_LIMIT, "{:?}", ended - begin);
    });
}

fn wait_for_requests(server: &MockServer, count: usize) {
    assert!(server.wait_for_token_requests(count, Duration::from_secs(10)));
}

/// A server that does not answer its first token request.
fn start_hanging_server() -> MockServer {
    let server = start_mock_server(Config::http());
    server.set_script(vec![Behavior::NeverAnswer]);
    server
}

#[test]
fn cancelled_token_fails_calls_until_reset() {
    let server = start_mock_server(Config::http());
    let connection = open(&minimal_string(&server, "")).unwrap();
    let token = CancelToken::new();
    token.cancel();
    (0..2).for_each(|_| assert_cancelled(&connection.get_token_cancellable(&token).unwrap_err()));
    assert_eq!(server.token_requests().len(), 0);
    token.reset();
    connection.get_token_cancellable(&token).expect("the token was reset");
    token.cancel();
    assert_cancelled(&connection.get_token_cancellable(&token).unwrap_err());
    connection.get_token().expect("a call without the token gets the cached token");
    connection.get_token_with(0, 1, AUTHGRANT_NO_NETWORK).expect("as above");
}

#[test]
fn cancel_ends_call_to_hanging_server() {
    let server = start_hanging_server();
    let connection = open(&minimal_string(&server, "")).unwrap();
    let token = CancelToken::new();
    assert_cancel_ends_call(&connection, &token, || wait_for_requests(&server, 1));
}

#[test]
fn cancel_ends_tls_handshake() {
    // Connections are accepted by the kernel, and the handshake is not answered.
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let endpoint = format!("TokenEndpoint=https://{}/token", listener.local_addr().unwrap());
    let connection = open(&format!("am=53;ClientID=c;ClientSecret=s;{endpoint}")).unwrap();
    let token = CancelToken::new();
    assert_cancel_ends_call(&connection, &token, || {
        std::mem::forget(listener.accept().unwrap());
    });
}

#[test]
fn waiter_on_same_connection_replaces_cancelled_leader() {
    let server = start_hanging_server();
    let connection = open(&minimal_string(&server, "")).unwrap();
    let token = CancelToken::new();
    std::thread::scope(|scope| {
        let mut waiter = None;
        assert_cancel_ends_call(&connection, &token, || {
            wait_for_requests(&server, 1);
            waiter = Some(scope.spawn(|| connection.get_token().unwrap().value()));
        });
        assert_eq!(waiter.unwrap().join().unwrap(), server.issued_tokens()[0]);
    });
}

#[test]
fn cancelled_waiter_leaves_leader_running() {
    let server = start_mock_server(Config::http());
    server.set_script(vec![Behavior::Gate]);
    let connection = open(&minimal_string(&server, "")).unwrap();
    let token = CancelToken::new();
    let begun = Barrier::new(2);
    std::thread::scope(|scope| {
        let leader = scope.spawn(|| connection.get_token().unwrap().value());
        wait_for_requests(&server, 1);
        let waiter = scope.spawn(|| {
            begun.wait();
            connection.get_token_cancellable(&token).unwrap_err()
        });
        begun.wait();
        token.cancel();
        assert_cancelled(&waiter.join().unwrap());
        server.open_gate();
        assert_eq!(leader.join().unwrap(), server.issued_tokens()[0]);
    });
    assert_eq!(server.token_requests().len(), 1);
}

#[test]
fn reset_after_cancel_does_not_revive_call() {
    let server = start_hanging_server();
    let connection = open(&minimal_string(&server, "")).unwrap();
    let token = CancelToken::new();
    std::thread::scope(|scope| {
        let call = scope.spawn(|| connection.get_token_cancellable(&token).unwrap_err());
        wait_for_requests(&server, 1);
        token.cancel();
        token.reset();
        assert_cancelled(&call.join().unwrap());
    });
    connection.get_token_cancellable(&token).expect("the token was reset");
}

#[test]
fn call_continues_after_its_token_is_freed() {
    let server = start_mock_server(Config::http());
    server.set_script(vec![Behavior::Gate]);
    let connection = open(&minimal_string(&server, "")).unwrap();
    let token = CancelToken::new();
    let handle = AtomicPtr::new(token.handle());
    std::thread::scope(|scope| {
        let call = scope.spawn(|| {
            let cancel_token = handle.load(Ordering::SeqCst);
            let options = RawCallOptions { cancel_token, ..call_options(0, 0, 0) };
            connection.get_token_with_options(&options).unwrap().value()
        });
        wait_for_requests(&server, 1);
        drop(token);
        server.open_gate();
        assert_eq!(call.join().unwrap(), server.issued_tokens()[0]);
    });
}

#[test]
fn token_cancels_calls_of_all_connections() {
    let (first, second) = (start_hanging_server(), start_hanging_server());
    let token = CancelToken::new();
    std::thread::scope(|scope| {
        let calls = [&first, &second].map(|server| {
            let call =
                || open(&minimal_string(server, "")).unwrap().get_token_cancellable(&token).unwrap_err();
            scope.spawn(call)
        });
        wait_for_requests(&first, 1);
        wait_for_requests(&second, 1);
        token.cancel();
        for call in calls {
            assert_cancelled(&call.join().unwrap());
        }
    });
}

#[test]
fn connection_cancel_ends_call_with_token() {
    let server = start_hanging_server();
    let connection = open(&minimal_string(&server, "")).unwrap();
    let token = CancelToken::new();
    std::thread::scope(|scope| {
        let call = scope.spawn(|| connection.get_token_cancellable(&token).unwrap_err());
        wait_for_requests(&server, 1);
        connection.cancel();
        assert_cancelled(&call.join().unwrap());
    });
    connection.get_token_cancellable(&token).expect("the token itself is not cancelled");
}
