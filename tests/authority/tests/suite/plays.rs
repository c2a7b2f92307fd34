//! Each play does what it says, and a script is followed once.

use std::io::{ErrorKind, Read, Write};
use std::thread;
use std::time::{Duration, Instant};

use authority::{Authority, Config, Play, Verdict};
use serde_json::json;

use crate::client::{self, Response};

const LONG: Duration = Duration::from_secs(10);

fn playing(play: Play) -> Authority {
    let authority = client::started(Config::http());
    authority.play(vec![play]);
    authority
}

fn answer_to(play: Play) -> Response {
    client::ask_for_token(&playing(play))
}

/// All bytes until the connection ends, and how it ended.
fn bytes_of(authority: &Authority) -> (Vec<u8>, Option<ErrorKind>) {
    let mut stream = client::connect(authority);
    stream.write_all(client::token_request(authority, &client::good_body(authority)).as_bytes()).unwrap();
    let mut bytes = Vec::new();
    let end = stream.read_to_end(&mut bytes).err().map(|error| error.kind());
    (bytes, end)
}

#[test]
fn a_script_is_followed_once_and_then_comes_duty() {
    let authority = client::started(Config::http());
    let busy = Play::Json {
        status: 503,
        body: json!({"error": "temporarily_unavailable"}),
        headers: vec![("Retry-After".to_owned(), "1".to_owned())],
    };
    authority.play(vec![busy, Play::Html { status: 200 }, Play::Normal]);
    let first = client::ask_for_token(&authority);
    assert_eq!((first.status, first.header("retry-after")), (503, Some("1")));
    assert!(client::ask_for_token(&authority).body.starts_with("<!DOCTYPE html>"));
    assert_eq!(client::ask_for_token(&authority).status, 200);
    assert_eq!(client::ask_for_token(&authority).status, 200);
    let seen = authority.token_requests();
    assert!(seen.iter().all(|one| one.verdict == Verdict::Granted));
    assert_eq!((seen.iter().filter(|one| one.played.is_some()).count(), authority.issued().len()), (3, 2));
}

#[test]
fn always_lasts_until_nothing_is_played() {
    let authority = client::started(Config::http());
    authority.play_always(Play::Json { status: 500, body: json!({}), headers: Vec::new() });
    assert_eq!(client::ask_for_token(&authority).status, 500);
    assert_eq!(client::ask_for_token(&authority).status, 500);
    authority.play_nothing();
    assert_eq!(client::ask_for_token(&authority).status, 200);
}

#[test]
fn answers_are_played_as_given() {
    let moved = answer_to(Play::Redirect { location: "https://x.example/t".to_owned() });
    assert_eq!((moved.status, moved.header("location")), (302, Some("https://x.example/t")));
    let verbatim = answer_to(Play::TokenAnswer("{\"access_token\":\"t\" }".to_owned()));
    assert_eq!((verbatim.status, verbatim.body.as_str()), (200, "{\"access_token\":\"t\" }"));
    let silent = answer_to(Play::Json { status: 429, body: json!(null), headers: Vec::new() });
    assert_eq!((silent.status, silent.body.as_str()), (429, ""));
    let big = answer_to(Play::BigBody(100_000));
    assert_eq!(big.body.len(), 100_000);
    assert_eq!(big.json()["access_token"].as_str().unwrap().len(), 100_000 - 19);
}

#[test]
fn raw_bytes_are_all_that_comes() {
    let cut = b"HTTP/1.1 200 OK\r\nContent-Length: 999\r\n\r\n{\"acc".to_vec();
    let (bytes, end) = bytes_of(&playing(Play::Raw(cut.clone())));
    assert_eq!((bytes, end), (cut, None));
}

#[test]
fn a_reset_is_a_reset() {
    assert_eq!(bytes_of(&playing(Play::Reset)), (Vec::new(), Some(ErrorKind::ConnectionReset)));
}

#[test]
fn the_connection_ends_after_an_answer_that_did_not_say_so() {
    let (bytes, end) = bytes_of(&playing(Play::CloseAfterAnswer));
    let text = String::from_utf8(bytes).unwrap();
    assert!(text.contains("access_token") && !text.contains("Connection:"), "{text}");
    assert_eq!(end, None);
}

#[test]
fn a_delay_delays() {
    let begun = Instant::now();
    assert_eq!(answer_to(Play::Delay(300)).status, 200);
    assert!(begun.elapsed() >= Duration::from_millis(300));
}

#[test]
fn one_byte_a_second_is_slow_and_no_answer_is_none() {
    for (play, most) in [(Play::OneBytePerSecond, 2), (Play::NeverAnswer, 0)] {
        let authority = playing(play);
        let mut stream = client::connect(&authority);
        stream.set_read_timeout(Some(Duration::from_millis(700))).unwrap();
        stream
            .write_all(client::token_request(&authority, &client::good_body(&authority)).as_bytes())
            .unwrap();
        assert!(authority.wait_for_token_requests(1, LONG));
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
fn a_gate_holds_all_threads_until_released() {
    let authority = client::started(Config::http());
    authority.play_always(Play::Gate);
    thread::scope(|scope| {
        let asking: Vec<_> =
            (0..64).map(|_| scope.spawn(|| client::ask_for_token(&authority).status)).collect();
        assert!(authority.wait_for_gate(64, LONG));
        assert_eq!(authority.issued().len(), 0);
        authority.release();
        assert!(asking.into_iter().all(|one| one.join().unwrap() == 200));
    });
    assert_eq!((authority.issued().len(), authority.connections()), (64, 64));
}

#[test]
fn a_jti_counts_as_used_even_if_a_failure_was_played() {
    let authority = playing(Play::Json { status: 503, body: json!({}), headers: Vec::new() });
    let request = client::token_request(&authority, &client::good_body(&authority));
    assert_eq!(client::exchange(&authority, &request).status, 503);
    assert!(client::exchange(&authority, &request).body.contains("was used before"));
}
