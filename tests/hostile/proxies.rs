//! Proxies: what one may answer to CONNECT and in the SOCKS5 handshake.

use authgrant::ffi::status::*;

use crate::case::{Case, Expected, run_all};
use crate::server::Step;

fn network(text: &'static str) -> Expected {
    Expected::Failure(AUTHGRANT_NETWORK, text)
}

const TIMEOUT: Expected = Expected::Failure(AUTHGRANT_TIMEOUT, "proxy");

/// A case in which the server is the proxy, on the way to a host that does not exist.
fn through_proxy(case: Case, scheme: &str) -> Case {
    case.options(format!(
        "TokenURI=https://login.example/token;ProxyHost={scheme}://127.0.0.1:{{port}};ProxyUser=user;ProxyPassword=swordfish"
    ))
}

fn http_proxy(name: &str, answer: impl Into<Vec<u8>>, expected: Expected) -> Case {
    through_proxy(Case::sends(format!("CONNECT: {name}"), answer, expected), "http")
}

/// A SOCKS5 proxy that sends these bytes, each after a message of the client.
fn socks_proxy(name: &str, answers: &[&[u8]], expected: Expected) -> Case {
    // The greeting for a client with credentials has four bytes; those of the other messages follow from the lengths of
    // user, password and host.
    let lengths = [4, 1 + 1 + 4 + 1 + 9, 4 + 1 + 13 + 2];
    let mut script = Vec::new();
    for (length, answer) in lengths.into_iter().zip(answers) {
        script.extend([Step::Read(length), Step::Send(answer.to_vec())]);
    }
    script.push(Step::Close);
    through_proxy(Case::new(format!("SOCKS5: {name}"), script, expected), "socks5")
}

#[test]
fn hostile_connect_answers_are_network_errors() {
    let not_http = || network("is not HTTP");
    let long = "x".repeat(20 << 10);
    let mut cases = vec![
        http_proxy("nothing", "", network("closed the connection during the handshake")),
        http_proxy("not HTTP", "220 mail.example ESMTP\r\n\r\n", not_http()),
        http_proxy("SOCKS5", b"\x05\xff", not_http()),
        http_proxy("TLS alert", b"\x15\x03\x01\0\x02\x02\x0a", not_http()),
        http_proxy("HTTP/2", "HTTP/2 200 OK\r\n\r\n", not_http()),
        http_proxy("status of two digits", "HTTP/1.1 20 OK\r\n\r\n", network("malformed")),
        http_proxy("status with sign", "HTTP/1.1 -20 OK\r\n\r\n", network("malformed")),
        http_proxy("header without colon", "HTTP/1.1 200 OK\r\nNonsense\r\n\r\n", network("malformed")),
        http_proxy("header with escape", "HTTP/1.1 200 OK\r\nA: \u{1b}\r\n\r\n", network("malformed")),
        http_proxy(
            "65 headers",
            format!("HTTP/1.1 200 OK\r\n{}\r\n", "A: b\r\n".repeat(65)),
            network("malformed"),
        ),
        http_proxy("headers of 20 KiB", format!("HTTP/1.1 200 OK\r\nA: {long}\r\n\r\n"), network("16 KiB")),
        http_proxy("data after the answer", "HTTP/1.1 200 OK\r\n\r\n<html>", network("unexpected data")),
        http_proxy(
            "two answers",
            "HTTP/1.1 200 OK\r\n\r\nHTTP/1.1 200 OK\r\n\r\n",
            network("unexpected data"),
        ),
        http_proxy("101", "HTTP/1.1 101 Switching\r\n\r\n", network("HTTP 101")),
        http_proxy("302", "HTTP/1.1 302 Found\r\nLocation: http://x/\r\n\r\n", network("HTTP 302")),
        http_proxy("403 with a page", "HTTP/1.1 403 No\r\nContent-Length: 3\r\n\r\n<p>", network("HTTP 403")),
        http_proxy(
            "407",
            "HTTP/1.1 407 No\r\nProxy-Authenticate: Basic\r\n\r\n",
            network("rejected ProxyUser"),
        ),
        http_proxy(
            "407 with the secret",
            "HTTP/1.1 407 No\r\nProxy-Authenticate: swordfish\r\n\r\n",
            network("HTTP 407"),
        ),
        http_proxy(
            "407 with the Basic header",
            "HTTP/1.1 407 No\r\nProxy-Authenticate: dXNlcjpzd29yZGZpc2g\r\n\r\n",
            network("HTTP 407"),
        ),
        http_proxy(
            "407 with escape",
            "HTTP/1.1 407 No\r\nProxy-Authenticate: \u{202e}Digest\r\n\r\n",
            network("HTTP 407"),
        ),
        http_proxy(
            "407, 60 schemes",
            format!("HTTP/1.1 407 No\r\n{}\r\n", "Proxy-Authenticate: NTLM\r\n".repeat(60)),
            network("NTLM"),
        ),
        http_proxy("502", "HTTP/1.1 502 No\r\n\r\n", network("HTTP 502")),
        http_proxy("999", "HTTP/1.1 999 No\r\n\r\n", network("HTTP 999")),
        http_proxy(
            "200 and the end",
            "HTTP/1.1 200 OK\r\n\r\n",
            Expected::Failure(AUTHGRANT_TLS, "login.example"),
        ),
    ];
    for (name, head, piece) in [
        ("headers", "HTTP/1.1 200 OK\r\n", "A: b\r\n"),
        ("header", "HTTP/1.1 200 OK\r\nA: ", "b"),
        ("reason", "HTTP/1.1 200 ", "OK "),
        ("interim answers", "", "HTTP/1.1 100 Continue\r\n\r\n"),
    ] {
        let case = Case::endless(format!("CONNECT: endless {name}"), head, piece, network("16 KiB"));
        cases.push(through_proxy(case, "http"));
    }
    for (name, steps) in [
        ("silent", vec![Step::ReadRequest, Step::Hang]),
        ("slow", vec![Step::ReadRequest, Step::Drip(b"HTTP/1.1 200 OK\r\n\r\n".repeat(3))]),
    ] {
        cases.push(
            through_proxy(Case::new(format!("CONNECT: {name}"), steps, TIMEOUT), "http").timeout_ms(500),
        );
    }
    for (name, steps) in [
        ("reset at once", vec![Step::Reset]),
        ("reset after the request", vec![Step::ReadRequest, Step::Reset]),
        ("reset in the answer", vec![Step::ReadRequest, Step::Send(b"HTTP/1.1 2".to_vec()), Step::Reset]),
    ] {
        cases.push(through_proxy(Case::new(format!("CONNECT: {name}"), steps, network("127.0.0.1")), "http"));
    }
    run_all(&cases);
}

#[test]
fn hostile_socks5_answers_are_network_errors() {
    let (accepted, authenticated): (&[u8], &[u8]) = (&[5, 2], &[1, 0]);
    let mut cases = vec![
        socks_proxy("nothing", &[], network("closed the connection")),
        socks_proxy("HTTP", &[b"HTTP/1.1 400 Bad Request\r\n\r\n"], network("not SOCKS5")),
        socks_proxy("SOCKS4", &[&[0, 0x5a, 0, 0, 0, 0, 0, 0]], network("not SOCKS5")),
        socks_proxy("half an answer", &[&[5]], network("closed the connection")),
        socks_proxy("no method", &[&[5, 0xff]], network("authentication method")),
        socks_proxy("method that was not offered", &[&[5, 1]], network("127.0.0.1")),
        socks_proxy("wrong password", &[accepted, &[1, 1]], network("rejected")),
        socks_proxy("half of the second answer", &[accepted, &[1]], network("closed the connection")),
        socks_proxy(
            "wrong version",
            &[accepted, authenticated, &[4, 0, 0, 1, 0, 0, 0, 0, 0, 0]],
            network("malformed"),
        ),
        socks_proxy(
            "refused",
            &[accepted, authenticated, &[5, 2, 0, 1, 0, 0, 0, 0, 0, 0]],
            network("SOCKS5 error 2"),
        ),
        socks_proxy(
            "unknown error",
            &[accepted, authenticated, &[5, 200, 0, 1, 0, 0, 0, 0, 0, 0]],
            network("SOCKS5 error 200"),
        ),
        socks_proxy(
            "unknown address",
            &[accepted, authenticated, &[5, 0, 0, 9, 0, 0, 0, 0, 0, 0]],
            network("unknown address type"),
        ),
        socks_proxy(
            "address without end",
            &[accepted, authenticated, &[5, 0, 0, 3, 255, 65, 65]],
            network("closed the connection"),
        ),
        socks_proxy(
            "name of no length",
            &[accepted, authenticated, &[5, 0, 0, 3, 0, 0, 0]],
            Expected::Failure(AUTHGRANT_TLS, "login.example"),
        ),
    ];
    let silent = Case::new("SOCKS5: silent", vec![Step::Read(4), Step::Hang], TIMEOUT);
    cases.push(through_proxy(silent, "socks5").timeout_ms(500));
    run_all(&cases);
}
