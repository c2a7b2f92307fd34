//! Malformed HTTP: status lines, headers, lengths, chunks, and connections that end at the wrong time.

use authgrant::ffi::status::*;

use crate::case::{Case, Expected, run_all};
use crate::server::{HEALTHY_BODY, Step, healthy_response, response};

const HEALTHY: Expected = Expected::Token("healthy");

fn bad_response(text: &'static str) -> Expected {
    Expected::Failure(AUTHGRANT_BAD_RESPONSE, text)
}

const NETWORK: Expected = Expected::Failure(AUTHGRANT_NETWORK, "127.0.0.1");
const TIMEOUT: Expected = Expected::Failure(AUTHGRANT_TIMEOUT, "127.0.0.1");

/// A time limit that a slow answer makes the call reach.
const SHORT_TIMEOUT_MS: i32 = 500;

/// A token response with this status line.
fn with_status_line(line: &str) -> Vec<u8> {
    response(&format!("{line}\r\nContent-Type: application/json"), HEALTHY_BODY)
}

/// A token response with these header lines, and a Content-Length.
fn with_headers(headers: &str) -> Vec<u8> {
    response(&format!("HTTP/1.1 200 OK\r\n{headers}"), HEALTHY_BODY)
}

/// A token response whose length is given by these header lines alone.
fn with_length(headers: &str) -> Vec<u8> {
    format!("HTTP/1.1 200 OK\r\n{headers}\r\n\r\n{HEALTHY_BODY}").into_bytes()
}

/// A chunked response with this body.
fn chunked(body: &str) -> Vec<u8> {
    format!("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n{body}").into_bytes()
}

/// The chunk of a token response, without the last chunk.
fn healthy_chunk() -> String {
    format!("{:x}\r\n{HEALTHY_BODY}\r\n", HEALTHY_BODY.len())
}

#[test]
fn malformed_status_lines_end_call() {
    let not_http = || bad_response("is not HTTP/1.1");
    let mut cases = Vec::new();
    for (name, bytes) in [
        ("HTTP/0.9", HEALTHY_BODY.as_bytes()),
        ("HTTP/2 preface", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"),
        ("HTTP/2 SETTINGS frame", b"\0\0\x06\x04\0\0\0\0\0\0\x03\0\0\0\x64"),
        ("TLS alert", b"\x15\x03\x01\0\x02\x02\x0a"),
        ("SSH banner", b"SSH-2.0-OpenSSH_9.6\r\n"),
        ("SMTP banner", b"220 mail.example ESMTP\r\n"),
        ("Redis error", b"-ERR wrong number of arguments\r\n"),
        ("PostgreSQL error", b"E\0\0\0\x45SFATAL\0VFATAL\0C0A000\0\0"),
        ("SOCKS5 reply", b"\x05\xff"),
        ("NUL bytes", &[0; 4096]),
        ("0xff bytes", &[0xff; 4096]),
        ("a byte order mark before", b"\xef\xbb\xbfHTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"),
    ] {
        cases.push(Case::sends(name, bytes, not_http()));
    }
    for (line, expected) in [
        ("HTTP/1.0 200 OK", HEALTHY),
        ("HTTP/1.1 200", HEALTHY),
        ("HTTP/1.1 200 ", HEALTHY),
        ("HTTP/1.1 200 \u{e9}\u{4e2d}", HEALTHY),
        ("HTTP/1.1 200 \u{1b}[31mred", not_http()),
        ("HTTP/1.1 200 O\0K", not_http()),
        ("HTTP/2.0 200 OK", not_http()),
        ("HTTP/2 200 OK", not_http()),
        ("HTTP/1.2 200 OK", not_http()),
        ("HTTP/11 200 OK", not_http()),
        ("http/1.1 200 OK", not_http()),
        ("ICY 200 OK", not_http()),
        ("RTSP/1.0 200 OK", not_http()),
        ("HTTP/1.1 20 OK", not_http()),
        ("HTTP/1.1 2000 OK", not_http()),
        ("HTTP/1.1 -200 OK", not_http()),
        ("HTTP/1.1 +20 OK", not_http()),
        ("HTTP/1.1 2e2 OK", not_http()),
        ("HTTP/1.1 OK", not_http()),
        ("HTTP/1.1\t200 OK", not_http()),
        ("HTTP/1.1", not_http()),
        ("HTTP/1.1 000 Nothing", not_http()),
        ("HTTP/1.1 099 Below", not_http()),
        ("HTTP/1.1 600 Above", Expected::Failure(AUTHGRANT_SERVER_ERROR, "HTTP 600")),
        ("HTTP/1.1 999 Above", Expected::Failure(AUTHGRANT_SERVER_ERROR, "HTTP 999")),
    ] {
        cases.push(Case::sends(line, with_status_line(line), expected));
    }
    cases.push(Case::sends("line breaks alone", "\r\n\r\n\r\n\r\n", bad_response("truncated")));
    run_all(&cases);
}

#[test]
fn interim_responses_are_bounded() {
    let after = |interim: &str| [interim.as_bytes(), &healthy_response()].concat();
    run_all(&[
        Case::sends("100 before", after("HTTP/1.1 100 Continue\r\n\r\n"), HEALTHY),
        Case::sends("103 before", after("HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n"), HEALTHY),
        Case::sends("199 before", after("HTTP/1.1 199 What\r\n\r\n"), HEALTHY),
        Case::sends("20 times 102", after(&"HTTP/1.1 102 Processing\r\n\r\n".repeat(20)), HEALTHY),
        Case::sends(
            "101",
            "HTTP/1.1 101 Switching Protocols\r\nUpgrade: h2c\r\n\r\n",
            bad_response("HTTP 101"),
        ),
        Case::sends("100 alone", "HTTP/1.1 100 Continue\r\n\r\n", bad_response("truncated")),
        Case::endless("100 endless", "", "HTTP/1.1 100 Continue\r\n\r\n", bad_response("32 KiB of headers")),
        Case::endless(
            "103 endless",
            "",
            "HTTP/1.1 103 Early Hints\r\nA: b\r\n\r\n",
            bad_response("32 KiB of headers"),
        ),
    ]);
}

#[test]
fn malformed_headers_end_call() {
    let not_http = || bad_response("is not HTTP/1.1");
    let mut cases = Vec::new();
    for (name, headers, expected) in [
        ("no colon", "Nonsense", not_http()),
        ("blank before colon", "Server : x", not_http()),
        ("empty name", ": x", not_http()),
        ("name with blank", "My Header: x", not_http()),
        ("name beyond ASCII", "Sérver: x", not_http()),
        ("value with NUL", "Server: a\0b", not_http()),
        ("value with escape", "Server: a\u{1b}[0mb", not_http()),
        ("value with CR", "Server: a\rb", not_http()),
        ("value in UTF-8", "Server: \u{4e2d}\u{202e}", HEALTHY),
        ("folded value", "Server: a\r\n b", not_http()),
        ("no value", "Server:", HEALTHY),
        ("Connection: everything", "Connection: close, keep-alive, upgrade, \u{1}", not_http()),
        ("Upgrade without 101", "Connection: upgrade\r\nUpgrade: h2c", HEALTHY),
        ("Content-Type with escape", "Content-Type: \u{7f}", not_http()),
    ] {
        cases.push(Case::sends(name, with_headers(headers), expected));
    }
    for (name, line, count, expected) in [
        ("100 cookies", "Set-Cookie: a=b\r\n", 100, HEALTHY),
        ("1000 cookies", "Set-Cookie: a=b\r\n", 1000, bad_response("has more than 128 headers")),
        ("100,000 headers", "A: b\r\n", 100_000, bad_response("headers")),
    ] {
        cases.push(Case::sends(name, with_headers(line.repeat(count).trim_end()), expected));
    }
    let long = "x".repeat(100 << 10);
    for (name, headers) in [
        ("long value", format!("X: {long}")),
        ("long name", format!("{long}: x")),
        ("long cookie", format!("Set-Cookie: a={long}")),
    ] {
        cases.push(Case::sends(name, with_headers(&headers), bad_response("more than 32 KiB of headers")));
    }
    let head = "HTTP/1.1 200 OK\r\n";
    let line_feeds = String::from_utf8(healthy_response()).unwrap().replace("\r\n", "\n");
    cases.extend([
        Case::sends("line feeds alone", line_feeds, HEALTHY),
        Case::sends("head without end", head, bad_response("truncated")),
        Case::endless("status line endless", "HTTP/1.1 200 ", "OK ", bad_response("32 KiB of headers")),
        Case::endless("no line break", "", "x", not_http()),
        Case::endless("headers endless", head, "A: b\r\n", bad_response("headers")),
        Case::endless("name endless", head, "x", bad_response("headers")),
        Case::endless("value endless", format!("{head}X: "), "x", bad_response("headers")),
        Case::endless("line breaks endless", "", "\r\n", bad_response("32 KiB of headers")),
    ]);
    run_all(&cases);
}

#[test]
fn wrong_lengths_end_call() {
    let invalid = || bad_response("invalid Content-Length");
    let length = HEALTHY_BODY.len();
    let mut cases = Vec::new();
    for (name, headers, expected) in [
        ("negative", "Content-Length: -1".to_owned(), invalid()),
        ("signed", format!("Content-Length: +{length}"), invalid()),
        ("hexadecimal", format!("Content-Length: {length:#x}"), invalid()),
        ("fraction", format!("Content-Length: {length}.0"), invalid()),
        ("words", "Content-Length: all of it".to_owned(), invalid()),
        ("empty", "Content-Length: ".to_owned(), invalid()),
        ("above 64 bits", format!("Content-Length: 1{length:0>20}"), invalid()),
        ("2^64 - 1", "Content-Length: 18446744073709551615".to_owned(), bad_response("truncated")),
        ("2^63", "Content-Length: 9223372036854775808".to_owned(), bad_response("truncated")),
        ("one too long", format!("Content-Length: {}", length + 1), bad_response("truncated")),
        ("one too short", format!("Content-Length: {}", length - 1), bad_response("unexpected response")),
        ("zero", "Content-Length: 0".to_owned(), bad_response("unexpected response")),
        ("twice the same", format!("Content-Length: {length}\r\nContent-Length: {length}"), HEALTHY),
        // RFC 9110 section 8.6 allows it.
        ("list of the same", format!("Content-Length: {length}, {length}"), HEALTHY),
        ("two that differ", format!("Content-Length: {length}\r\nContent-Length: 1"), invalid()),
        ("list that differs", format!("Content-Length: {length}, 1"), invalid()),
        (
            "with chunked",
            format!("Content-Length: {length}\r\nTransfer-Encoding: chunked"),
            bad_response("malformed body"),
        ),
        (
            "gzip as Transfer-Encoding",
            "Transfer-Encoding: gzip, chunked".to_owned(),
            bad_response("malformed body"),
        ),
        ("unknown Transfer-Encoding", "Transfer-Encoding: xchunked".to_owned(), HEALTHY),
        ("identity", "Transfer-Encoding: identity".to_owned(), HEALTHY),
        ("until close", "Connection: close".to_owned(), HEALTHY),
    ] {
        cases.push(Case::sends(name, with_length(&headers), expected));
    }
    let announced = |length: u64| format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n");
    cases.extend([
        Case::new(
            "longer than what comes, without close",
            vec![Step::ReadRequest, Step::Send(announced(1 << 40).into()), Step::Hang],
            TIMEOUT,
        )
        .timeout_ms(SHORT_TIMEOUT_MS),
        Case::endless("as long as announced", announced(1 << 40), "{", bad_response("1 MiB")),
        Case::endless("endless until close", "HTTP/1.1 200 OK\r\n\r\n", " ", bad_response("1 MiB")),
        Case::endless("endless error page", "HTTP/1.1 500 No\r\n\r\n", "<p>", bad_response("1 MiB")),
        Case::sends(
            "exactly 1 MiB",
            response("HTTP/1.1 200 OK", vec![b' '; 1 << 20]),
            bad_response("1048576 bytes"),
        ),
        Case::sends(
            "1 MiB and 1",
            response("HTTP/1.1 200 OK", vec![b' '; (1 << 20) + 1]),
            bad_response("1 MiB"),
        ),
    ]);
    run_all(&cases);
}

#[test]
fn malformed_chunks_end_call() {
    let invalid = || bad_response("an invalid chunk length");
    let malformed = || bad_response("a malformed body");
    let chunk = healthy_chunk();
    let size = format!("{:x}", HEALTHY_BODY.len());
    let mut cases = Vec::new();
    for (name, body, expected) in [
        ("correct", format!("{chunk}0\r\n\r\n"), HEALTHY),
        ("upper case", format!("{}\r\n{HEALTHY_BODY}\r\n0\r\n\r\n", size.to_uppercase()), HEALTHY),
        ("leading zeros", format!("000{chunk}0\r\n\r\n"), HEALTHY),
        ("extension", format!("{size};a=\"b\"\r\n{HEALTHY_BODY}\r\n0;c\r\n\r\n"), HEALTHY),
        ("trailer", format!("{chunk}0\r\nX-A: b\r\n\r\n"), HEALTHY),
        ("size of 16 digits", format!("ffffffffffffffff\r\n{HEALTHY_BODY}"), bad_response("truncated")),
        ("size of 17 digits", format!("1{}\r\n{HEALTHY_BODY}", "0".repeat(16)), invalid()),
        ("negative size", format!("-{chunk}0\r\n\r\n"), invalid()),
        // ureq-proto parses sizes as Rust does. It does no harm in a client: no other party reads the same bytes.
        ("signed size", format!("+{chunk}0\r\n\r\n"), HEALTHY),
        ("size with prefix", format!("0x{chunk}0\r\n\r\n"), invalid()),
        ("size that is no number", format!("zz\r\n{HEALTHY_BODY}\r\n0\r\n\r\n"), invalid()),
        ("no size", format!("\r\n{HEALTHY_BODY}\r\n0\r\n\r\n"), invalid()),
        ("size with NUL", format!("\0{chunk}0\r\n\r\n"), invalid()),
        ("size too small", format!("1\r\n{HEALTHY_BODY}\r\n0\r\n\r\n"), invalid()),
        ("no line break after chunk", format!("{}0\r\n\r\n", chunk.trim_end()), invalid()),
        ("no last chunk", chunk.clone(), bad_response("truncated")),
        ("last chunk without line break", format!("{chunk}0"), bad_response("malformed body")),
        ("not chunked", HEALTHY_BODY.to_owned(), malformed()),
        ("last chunk alone", "0\r\n\r\n".to_owned(), bad_response("unexpected response")),
        (
            "extension of 100 KiB",
            format!("{size};a={}\r\n{HEALTHY_BODY}\r\n0\r\n\r\n", "b".repeat(100 << 10)),
            malformed(),
        ),
        ("trailer of 100 KiB", format!("{chunk}0\r\nX-A: {}\r\n\r\n", "b".repeat(100 << 10)), malformed()),
    ] {
        cases.push(Case::sends(format!("chunks: {name}"), chunked(&body), expected));
    }
    for (name, head, piece, expected) in [
        ("chunks", "", "8\r\n        \r\n", bad_response("1 MiB")),
        ("chunk", "fffffffffff\r\n", "        ", bad_response("1 MiB")),
        ("size", "", "0000", malformed()),
        ("extension", "1;a=", "b", malformed()),
        ("extensions", "", "1;aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa=b\r\n \r\n", invalid()),
        ("trailers", "0\r\n", "X-A: b\r\n", bad_response("2 MiB")),
        ("trailer", "0\r\nX-A: ", "b", malformed()),
    ] {
        cases.push(Case::endless(format!("endless {name}"), chunked(head), piece, expected));
    }
    // Transfer-Encoding overrides Content-Length (RFC 9112 section 6.3).
    let both = |length: usize| {
        let head =
            format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\nTransfer-Encoding: chunked\r\n\r\n");
        head + &chunk + "0\r\n\r\n"
    };
    cases.push(Case::sends("chunks and a shorter length", both(1), HEALTHY));
    cases.push(Case::sends("chunks and a longer length", both(1 << 30), HEALTHY));
    run_all(&cases);
}

#[test]
fn broken_connections_end_call() {
    let (answer, head) = (healthy_response(), b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n".to_vec());
    let reset_after = |bytes: &[u8]| vec![Step::ReadRequest, Step::Send(bytes.to_vec()), Step::Reset];
    let other = response("HTTP/1.1 200 OK", HEALTHY_BODY.replace("healthy", "stale"));
    run_all(&[
        Case::new("close at once", vec![Step::Close], NETWORK),
        Case::new("reset at once", vec![Step::Reset], NETWORK),
        Case::new("reset after the first bytes", vec![Step::Read(10), Step::Reset], NETWORK),
        Case::new("close after the request", vec![Step::ReadRequest, Step::Close], NETWORK),
        Case::new("reset after the request", vec![Step::ReadRequest, Step::Reset], NETWORK),
        Case::new("reset in the status line", reset_after(b"HTTP/1"), bad_response("truncated")),
        Case::new(
            "reset in the headers",
            reset_after(b"HTTP/1.1 200 OK\r\nContent-"),
            bad_response("truncated"),
        ),
        Case::new("reset after the headers", reset_after(&head), bad_response("truncated")),
        Case::new(
            "reset in the body",
            reset_after(&[&head, &b"{\"a"[..]].concat()),
            bad_response("truncated"),
        ),
        Case::new(
            "reset in a body until close",
            reset_after(b"HTTP/1.1 200 OK\r\n\r\n{\"a"),
            bad_response("truncated"),
        ),
        Case::sends("close in the body", [&head, &b"{\"a"[..]].concat(), bad_response("truncated")),
        Case::new(
            "answer before the request",
            vec![Step::Send(answer.clone()), Step::ReadRequest, Step::Close],
            HEALTHY,
        ),
        Case::new(
            "answer and end before the request",
            vec![Step::Send(answer.clone()), Step::Close],
            HEALTHY,
        ),
        Case::new(
            "garbage before the request",
            vec![Step::Send(b"garbage".to_vec()), Step::ReadRequest, Step::Send(answer.clone()), Step::Close],
            bad_response("not HTTP"),
        ),
        Case::new(
            "two answers",
            vec![Step::ReadRequest, Step::Send([answer.clone(), other.clone()].concat())],
            HEALTHY,
        ),
        Case::new(
            "answer, pause, another answer",
            vec![
                Step::ReadRequest,
                Step::Send(answer.clone()),
                Step::Drip(other[..2].to_vec()),
                Step::Send(other[2..].to_vec()),
            ],
            HEALTHY,
        ),
        Case::new(
            "answer and garbage",
            vec![Step::ReadRequest, Step::Send([&answer, &b"\0\xff garbage"[..]].concat())],
            HEALTHY,
        ),
        Case::new("answer and reset", reset_after(&answer), HEALTHY),
        Case::new("no answer", vec![Step::ReadRequest, Step::Hang], TIMEOUT).timeout_ms(SHORT_TIMEOUT_MS),
        Case::new("slow answer", vec![Step::ReadRequest, Step::Drip(answer.clone())], TIMEOUT)
            .timeout_ms(SHORT_TIMEOUT_MS),
        Case::new(
            "slow body",
            vec![Step::ReadRequest, Step::Send(head.clone()), Step::Drip(vec![b' '; 100])],
            TIMEOUT,
        )
        .timeout_ms(SHORT_TIMEOUT_MS),
        Case::new(
            "slow chunks",
            vec![Step::ReadRequest, Step::Send(chunked("")), Step::Drip(b"1\r\n \r\n".repeat(20))],
            TIMEOUT,
        )
        .timeout_ms(SHORT_TIMEOUT_MS),
        Case::new(
            "slow interim responses",
            vec![Step::ReadRequest, Step::Drip(b"HTTP/1.1 100 Continue\r\n\r\n".repeat(4))],
            TIMEOUT,
        )
        .timeout_ms(SHORT_TIMEOUT_MS),
        Case::new("idle connection closed", vec![Step::ReadRequest, Step::Close], NETWORK).after_token(),
        Case::new("idle connection reset", vec![Step::ReadRequest, Step::Reset], NETWORK).after_token(),
        Case::new("idle connection is silent", vec![Step::ReadRequest, Step::Hang], TIMEOUT)
            .after_token()
            .timeout_ms(SHORT_TIMEOUT_MS),
        Case::sends("idle connection speaks another protocol", b"+PONG\r\n", bad_response("not HTTP"))
            .after_token(),
    ]);
}
