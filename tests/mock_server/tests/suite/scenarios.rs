//! Each play does what it says, and a script is followed once.

use std::io::{ErrorKind, Read, Write};
use std::thread;
use std::time::{Duration, Instant};

use mock_server::{Behavior, Config, MockServer, Verdict};
use serde_json::json;

use crate::http_client::{self, Response};

const WAIT_TIMEOUT: Duration = Duration::from_secs(10);

fn start_with_behavior(play: Behavior) -> MockServer {
    let authority = http_client::start_server(Config::http());
    authority.set_script(vec![play]);
    authority
}

fn response_to(play: Behavior) -> Response {
    http_client::request_token(&start_with_behavior(play))
}

/// All bytes until the connection ends, and how it ended.
fn read_until_close(authority: &MockServer) -> (Vec<u8>, Option<ErrorKind>) {
    let mut stream = http_client::connect(authority);
    stream
        .write_all(
            http_client::build_token_request(authority, &http_client::valid_token_body(authority)).as_bytes(),
        )
        .unwrap();
    let mut bytes = Vec::new();
    let end = stream.read_to_end(&mut bytes).err().map(|error| error.kind());
    (bytes, end)
}

#[test]
fn script_runs_once_then_normal() {
    let authority = http_client::start_server(Config::http());
    let busy = Behavior::Json {
        status: 503,
        body: json!({"error": "temporarily_unavailable"}),
        headers: vec![("Retry-After".to_owned(), "1".to_owned())],
    };
    authority.set_script(vec![busy, Behavior::Html { status: 200 }, Behavior::Normal]);
    let first = http_client::request_token(&authority);
    assert_eq!((first.status, first.header("retry-after")), (503, Some("1")));
    assert!(http_client::request_token(&authority).body.starts_with("<!DOCTYPE html>"));
    assert_eq!(http_client::request_token(&authority).status, 200);
    assert_eq!(http_client::request_token(&authority).status, 200);
    let seen = authority.token_requests();
    assert!(seen.iter().all(|one| one.verdict == Verdict::Granted));
    assert_eq!(
        (seen.iter().filter(|one| one.played.is_some()).count(), authority.issued_tokens().len()),
        (3, 2)
    );
}

#[test]
fn default_behavior_lasts_until_cleared() {
    let authority = http_client::start_server(Config::http());
    authority.set_default_behavior(Behavior::Json { status: 500, body: json!({}), headers: Vec::new() });
    assert_eq!(http_client::request_token(&authority).status, 500);
    assert_eq!(http_client::request_token(&authority).status, 500);
    authority.clear_behaviors();
    assert_eq!(http_client::request_token(&authority).status, 200);
}

#[test]
fn scripted_responses_are_verbatim() {
    let moved = response_to(Behavior::Redirect { location: "https://x.example/t".to_owned() });
    assert_eq!((moved.status, moved.header("location")), (302, Some("https://x.example/t")));
    let verbatim = response_to(Behavior::TokenAnswer("{\"access_token\":\"t\" }".to_owned()));
    assert_eq!((verbatim.status, verbatim.body.as_str()), (200, "{\"access_token\":\"t\" }"));
    let silent = response_to(Behavior::Json { status: 429, body: json!(null), headers: Vec::new() });
    assert_eq!((silent.status, silent.body.as_str()), (429, ""));
    let big = response_to(Behavior::BigBody(100_000));
    assert_eq!(big.body.len(), 100_000);
    assert_eq!(big.json()["access_token"].as_str().unwrap().len(), 100_000 - 19);
}

#[test]
fn raw_bytes_end_connection() {
    let cut = b"HTTP/1.1 200 OK\r\nContent-Length: 999\r\n\r\n{\"acc".to_vec();
    let (bytes, end) = read_until_close(&start_with_behavior(Behavior::Raw(cut.clone())));
    assert_eq!((bytes, end), (cut, None));
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
    let (bytes, end) = read_until_close(&start_with_behavior(Behavior::CloseAfterAnswer));
    let text = String::from_utf8(bytes).unwrap();
    assert!(text.contains("access_token") && !text.contains("Connection:"), "{text}");
    assert_eq!(end, None);
}

#[test]
fn delay_postpones_response() {
    let begun = Instant::now();
    assert_eq!(response_to(Behavior::Delay(300)).status, 200);
    assert!(begun.elapsed() >= Duration::from_millis(300));
}

#[test]
fn slow_and_missing_responses_work() {
    for (play, most) in [(Behavior::OneBytePerSecond, 2), (Behavior::NeverAnswer, 0)] {
        let authority = start_with_behavior(play);
        let mut stream = http_client::connect(&authority);
        stream.set_read_timeout(Some(Duration::from_millis(700))).unwrap();
        stream
            .write_all(
                http_client::build_token_request(&authority, &http_client::valid_token_body(&authority))
                    .as_bytes(),
            )
            .unwrap();
        assert!(authority.wait_for_token_requests(1, WAIT_TIMEOUT));
        let mut bytes = [0_u8; 100];
        let first = stream.read(&mut bytes);
        assert!(first.as_ref().map_or(0, |count| *count) <= most, "{first:?}");
        assert_eq!(first.is_err(), most == 0);
        // Dropping the server with such a request in hand must not wait for the client.
        let begun = Instant::now();
        drop(authority);
        assert!(begun.elapsed() < Duration::from_secs(3));
    }
}

#[test]
fn gate_holds_requests_until_opened() {
    let authority = http_client::start_server(Config::http());
    authority.set_default_behavior(Behavior::Gate);
    thread::scope(|scope| {
        let asking: Vec<_> =
            (0..64).map(|_| scope.spawn(|| http_client::request_token(&authority).status)).collect();
        assert!(authority.wait_for_gate(64, WAIT_TIMEOUT));
        assert_eq!(authority.issued_tokens().len(), 0);
        authority.open_gate();
        assert!(asking.into_iter().all(|one| one.join().unwrap() == 200));
    });
    assert_eq!((authority.issued_tokens().len(), authority.connection_count()), (64, 64));
}

#[test]
fn jti_is_consumed_despite_scripted_failure() {
    let authority = start_with_behavior(Behavior::Json { status: 503, body: json!({}), headers: Vec::new() });
    let request = http_client::build_token_request(&authority, &http_client::valid_token_body(&authority));
    assert_eq!(http_client::send_request(&authority, &request).status, 503);
    assert!(http_client::send_request(&authority, &request).body.contains("was used before"));
}
