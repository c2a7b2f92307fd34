//! Scripted behaviors: each has its documented effect, and a script runs once.

use std::io::{ErrorKind, Read, Write};
use std::thread;
use std::time::{Duration, Instant};

use mock_server::{Behavior, Config, MockServer, Verdict};
use serde_json::json;

use crate::http_client::{self, Response};

const WAIT_TIMEOUT: Duration = Duration::from_secs(10);

fn start_with_behavior(behavior: Behavior) -> MockServer {
    let server = http_client::start_server(Config::http());
    server.set_script(vec![behavior]);
    server
}

fn response_to(behavior: Behavior) -> Response {
    http_client::request_token(&start_with_behavior(behavior))
}

/// Reads all bytes until the connection is closed. Returns them and the error, if any.
fn read_until_close(server: &MockServer) -> (Vec<u8>, Option<ErrorKind>) {
    let mut stream = http_client::connect(server);
    stream
        .write_all(
            http_client::build_token_request(server, &http_client::valid_token_body(server)).as_bytes(),
        )
        .unwrap();
    let mut bytes = Vec::new();
    let error = stream.read_to_end(&mut bytes).err().map(|error| error.kind());
    (bytes, error)
}

#[test]
fn script_runs_once_then_normal() {
    let server = http_client::start_server(Config::http());
    let busy = Behavior::Json {
        status: 503,
        body: json!({"error": "temporarily_unavailable"}),
        headers: vec![("Retry-After".to_owned(), "1".to_owned())],
    };
    server.set_script(vec![busy, Behavior::Html { status: 200 }, Behavior::Normal]);
    let first = http_client::request_token(&server);
    assert_eq!((first.status, first.header("retry-after")), (503, Some("1")));
    assert!(http_client::request_token(&server).body.starts_with("<!DOCTYPE html>"));
    assert_eq!(http_client::request_token(&server).status, 200);
    assert_eq!(http_client::request_token(&server).status, 200);
    let requests = server.token_requests();
    assert!(requests.iter().all(|one| one.verdict == Verdict::Granted));
    assert_eq!(
        (requests.iter().filter(|one| one.behavior.is_some()).count(), server.issued_tokens().len()),
        (3, 2)
    );
}

#[test]
fn default_behavior_lasts_until_cleared() {
    let server = http_client::start_server(Config::http());
    server.set_default_behavior(Behavior::Json { status: 500, body: json!({}), headers: Vec::new() });
    assert_eq!(http_client::request_token(&server).status, 500);
    assert_eq!(http_client::request_token(&server).status, 500);
    server.clear_behaviors();
    assert_eq!(http_client::request_token(&server).status, 200);
}

#[test]
fn scripted_responses_are_verbatim() {
    let redirect = response_to(Behavior::Redirect { location: "https://x.example/t".to_owned() });
    assert_eq!((redirect.status, redirect.header("location")), (302, Some("https://x.example/t")));
    let verbatim = response_to(Behavior::TokenAnswer("{\"access_token\":\"t\" }".to_owned()));
    assert_eq!((verbatim.status, verbatim.body.as_str()), (200, "{\"access_token\":\"t\" }"));
    let empty = response_to(Behavior::Json { status: 429, body: json!(null), headers: Vec::new() });
    assert_eq!((empty.status, empty.body.as_str()), (429, ""));
    let big = response_to(Behavior::BigBody(100_000));
    assert_eq!(big.body.len(), 100_000);
    assert_eq!(big.json()["access_token"].as_str().unwrap().len(), 100_000 - 19);
}

#[test]
fn raw_bytes_end_connection() {
    let truncated = b"HTTP/1.1 200 OK\r\nContent-Length: 999\r\n\r\n{\"acc".to_vec();
    let (bytes, error) = read_until_close(&start_with_behavior(Behavior::Raw(truncated.clone())));
    assert_eq!((bytes, error), (truncated, None));
}

#[test]
fn reset_sends_tcp_reset() {
    assert_eq!(
        read_until_close(&start_with_behavior(Behavior::Reset)),
        (Vec::new(), Some(ErrorKind::ConnectionReset))
    );
}

#[test]
fn close_after_answer_is_unannounced() {
    let (bytes, error) = read_until_close(&start_with_behavior(Behavior::CloseAfterAnswer));
    let text = String::from_utf8(bytes).unwrap();
    assert!(text.contains("access_token") && !text.contains("Connection:"), "{text}");
    assert_eq!(error, None);
}

#[test]
fn delay_postpones_response() {
    let started = Instant::now();
    assert_eq!(response_to(Behavior::Delay(300)).status, 200);
    assert!(started.elapsed() >= Duration::from_millis(300));
}

#[test]
fn slow_and_missing_responses_work() {
    for (behavior, max_bytes) in [(Behavior::OneBytePerSecond, 2), (Behavior::NeverAnswer, 0)] {
        let server = start_with_behavior(behavior);
        let mut stream = http_client::connect(&server);
        stream.set_read_timeout(Some(Duration::from_millis(700))).unwrap();
        stream
            .write_all(
                http_client::build_token_request(&server, &http_client::valid_token_body(&server)).as_bytes(),
            )
            .unwrap();
        assert!(server.wait_for_token_requests(1, WAIT_TIMEOUT));
        let mut bytes = [0_u8; 100];
        let first = stream.read(&mut bytes);
        assert!(first.as_ref().map_or(0, |count| *count) <= max_bytes, "{first:?}");
        assert_eq!(first.is_err(), max_bytes == 0);
        // Dropping the server must not wait for the client of an unfinished request.
        let started = Instant::now();
        drop(server);
        assert!(started.elapsed() < Duration::from_secs(3));
    }
}

#[test]
fn gate_holds_requests_until_opened() {
    let server = http_client::start_server(Config::http());
    server.set_default_behavior(Behavior::Gate);
    thread::scope(|scope| {
        let threads: Vec<_> =
            (0..64).map(|_| scope.spawn(|| http_client::request_token(&server).status)).collect();
        assert!(server.wait_for_gate(64, WAIT_TIMEOUT));
        assert_eq!(server.issued_tokens().len(), 0);
        server.open_gate();
        assert!(threads.into_iter().all(|thread| thread.join().unwrap() == 200));
    });
    assert_eq!((server.issued_tokens().len(), server.connection_count()), (64, 64));
}

#[test]
fn jti_is_consumed_despite_scripted_failure() {
    let server = start_with_behavior(Behavior::Json { status: 503, body: json!({}), headers: Vec::new() });
    let request = http_client::build_token_request(&server, &http_client::valid_token_body(&server));
    assert_eq!(http_client::send_request(&server, &request).status, 503);
    assert!(http_client::send_request(&server, &request).body.contains("was used before"));
}
