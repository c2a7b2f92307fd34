//! Statuses and headers with a meaning: redirects, challenges, Retry-After and content codings.

use authgrant::ffi::status::*;

use crate::case::{Case, Expected, run_all};
use crate::server::{HEALTHY_BODY, response};

fn failure(status: i32, text: &'static str) -> Expected {
    Expected::Failure(status, text)
}

/// No redirect is followed: the request has the client's secret, which is for this URL only (RFC 9700 section 4.11).
#[test]
fn redirects_are_not_followed() {
    let not_followed = || failure(AUTHGRANT_BAD_RESPONSE, "a redirect, which is not followed");
    let mut cases = Vec::new();
    for status in [300, 301, 302, 303, 305, 306, 307, 308, 399] {
        let head = format!("HTTP/1.1 {status} Moved\r\nLocation: /token");
        cases.push(Case::sends(format!("{status}"), response(&head, ""), not_followed()));
    }
    for (name, location) in [
        ("same URL", "/token"),
        ("http", "http://127.0.0.1:1/token"),
        ("another host", "https://attacker.example/token"),
        ("no scheme", "//attacker.example/token"),
        ("file", "file:///etc/passwd"),
        ("javascript", "javascript:alert(1)"),
        ("data", "data:application/json,{}"),
        ("user and password", "http://user:hunter2@127.0.0.1:1/"),
        ("the secret in the query", "/login?client_secret=hunter2"),
        ("empty", ""),
        ("not a URL", "::::///\\\\ [ %zz"),
        ("port out of range", "http://127.0.0.1:99999/"),
        ("beyond ASCII", "/t\u{f6}ken\u{202e}"),
        ("fragment", "#"),
    ] {
        let head = format!("HTTP/1.1 302 Found\r\nLocation: {location}");
        cases.push(Case::sends(format!("Location: {name}"), response(&head, ""), not_followed()));
    }
    let long = format!("HTTP/1.1 302 Found\r\nLocation: /{}", "x".repeat(30 << 10));
    cases.extend([
        Case::sends("no Location", response("HTTP/1.1 302 Found", ""), not_followed()),
        Case::sends("Location of 30 KiB", response(&long, ""), not_followed()),
        Case::sends(
            "two Locations",
            response("HTTP/1.1 307 Moved\r\nLocation: /a\r\nLocation: http://b.example/", ""),
            not_followed(),
        ),
        Case::sends(
            "token in a redirect",
            response("HTTP/1.1 302 Found\r\nLocation: /", HEALTHY_BODY),
            not_followed(),
        ),
    ]);
    run_all(&cases);
}

#[test]
fn odd_challenges_are_denied_or_bad_responses() {
    let denied = |text| failure(AUTHGRANT_DENIED, text);
    let mut cases = Vec::new();
    for (name, challenge, expected) in [
        ("empty", String::new(), denied("HTTP 401")),
        ("quote without end", "Bearer error=\"unfinished".to_owned(), denied("unfinished")),
        ("escape at the end", "Bearer error=\"a\\".to_owned(), denied("HTTP 401")),
        ("equals signs", "====,,,,====".to_owned(), denied("HTTP 401")),
        ("10,000 quotes", "\"".repeat(10_000), denied("HTTP 401")),
        ("10,000 schemes", "Basic,".repeat(5_000), denied("HTTP 401")),
        ("Negotiate", "Negotiate YII=".to_owned(), denied("HTTP 401")),
        ("DPoP", "DPoP error=\"use_dpop_nonce\"".to_owned(), denied("DPoP")),
        ("the secret", "Bearer error=\"x\", error_description=\"no hunter2\"".to_owned(), denied("****")),
        ("error of 30 KiB", format!("Bearer error=\"{}\"", "x".repeat(30 << 10)), denied("xxx")),
        ("direction of text", "Bearer error=\"a\u{202e}b\"".to_owned(), denied("a b")),
    ] {
        let head = format!("HTTP/1.1 401 Unauthorized\r\nWWW-Authenticate: {challenge}");
        cases.push(Case::sends(format!("challenge: {name}"), response(&head, ""), expected));
    }
    cases.extend([
        Case::sends("401 without challenge", response("HTTP/1.1 401 No", ""), denied("HTTP 401")),
        Case::sends(
            "403 with a page",
            response("HTTP/1.1 403 No\r\nContent-Type: text/html", "<html>"),
            denied("HTTP 403"),
        ),
        Case::sends(
            "407",
            response("HTTP/1.1 407 Proxy\r\nProxy-Authenticate: Basic realm=\"x\"", ""),
            failure(AUTHGRANT_BAD_RESPONSE, "HTTP 407"),
        ),
        Case::sends("402", response("HTTP/1.1 402 Pay", ""), failure(AUTHGRANT_BAD_RESPONSE, "HTTP 402")),
        Case::sends(
            "404",
            response("HTTP/1.1 404 No", ""),
            failure(AUTHGRANT_BAD_RESPONSE, "no token endpoint"),
        ),
        Case::sends(
            "405",
            response("HTTP/1.1 405 No\r\nAllow: \u{1f600}", ""),
            failure(AUTHGRANT_BAD_RESPONSE, "does not accept POST"),
        ),
        Case::sends(
            "410",
            response("HTTP/1.1 410 Gone", ""),
            failure(AUTHGRANT_BAD_RESPONSE, "no token endpoint"),
        ),
        Case::sends("418", response("HTTP/1.1 418 Teapot", ""), failure(AUTHGRANT_BAD_RESPONSE, "HTTP 418")),
        Case::sends(
            "426",
            response("HTTP/1.1 426 Upgrade\r\nUpgrade: TLS/1.3", ""),
            failure(AUTHGRANT_BAD_RESPONSE, "HTTP 426"),
        ),
        Case::sends("204", "HTTP/1.1 204 No Content\r\n\r\n", failure(AUTHGRANT_BAD_RESPONSE, "HTTP 204")),
        Case::sends(
            "204 with a body",
            response("HTTP/1.1 204 No Content", HEALTHY_BODY),
            failure(AUTHGRANT_BAD_RESPONSE, "HTTP 204"),
        ),
        Case::sends(
            "304",
            "HTTP/1.1 304 Not Modified\r\nETag: \"x\"\r\n\r\n",
            failure(AUTHGRANT_BAD_RESPONSE, "HTTP 304"),
        ),
        Case::sends(
            "201 with a token",
            response("HTTP/1.1 201 Created", HEALTHY_BODY),
            Expected::Token("healthy"),
        ),
        Case::sends(
            "206 with a token",
            response("HTTP/1.1 206 Part\r\nContent-Range: bytes 0-1/2", HEALTHY_BODY),
            Expected::Token("healthy"),
        ),
        Case::sends(
            "400 with a token",
            response("HTTP/1.1 400 No", HEALTHY_BODY),
            failure(AUTHGRANT_BAD_RESPONSE, "HTTP 400"),
        ),
        Case::sends(
            "500 with a token",
            response("HTTP/1.1 500 No", HEALTHY_BODY),
            failure(AUTHGRANT_SERVER_ERROR, "HTTP 500"),
        ),
    ]);
    run_all(&cases);
}

/// A Retry-After that is not understood counts as absent; one that is longer than the call ends it at once.
#[test]
fn odd_retry_after_ends_call() {
    let mut cases = Vec::new();
    for (name, value) in [
        ("negative", "-1"),
        ("fraction", "1.5"),
        ("exponent", "1e9"),
        ("words", "tomorrow"),
        ("empty", ""),
        ("zero", "0"),
        ("date of the past", "Thu, 01 Jan 1970 00:00:00 GMT"),
        ("date before 1970", "Mon, 01 Jan 1900 00:00:00 GMT"),
        ("impossible date", "Fri, 31 Feb 2040 25:61:61 GMT"),
        ("above 64 bits", "99999999999999999999999"),
        ("list", "1, 2"),
        ("direction of text", "\u{202e}5"),
        ("huge", "4294967295"),
        ("date in the far future", "Fri, 31 Dec 9999 23:59:59 GMT"),
        ("five minutes", "300"),
    ] {
        let busy = format!("HTTP/1.1 429 Too Many Requests\r\nRetry-After: {value}");
        cases.push(Case::sends(
            format!("429, {name}"),
            response(&busy, ""),
            failure(AUTHGRANT_THROTTLED, "HTTP 429"),
        ));
    }
    cases.extend([
        Case::sends("429", response("HTTP/1.1 429 No", ""), failure(AUTHGRANT_THROTTLED, "HTTP 429")),
        Case::sends("503", response("HTTP/1.1 503 No", ""), failure(AUTHGRANT_SERVER_ERROR, "HTTP 503")),
        Case::sends(
            "503, negative",
            response("HTTP/1.1 503 No\r\nRetry-After: -5", ""),
            failure(AUTHGRANT_SERVER_ERROR, "HTTP 503"),
        ),
        Case::sends(
            "503, huge",
            response("HTTP/1.1 503 No\r\nRetry-After: 4294967295", ""),
            failure(AUTHGRANT_THROTTLED, "HTTP 503"),
        ),
        Case::sends(
            "two values",
            response("HTTP/1.1 429 No\r\nRetry-After: 200\r\nRetry-After: 1", ""),
            failure(AUTHGRANT_THROTTLED, "Retry-After 200 s"),
        ),
        Case::sends(
            "Date of another century",
            response(
                "HTTP/1.1 400 No\r\nDate: Fri, 31 Dec 9999 23:59:59 GMT",
                r#"{"error":"invalid_grant"}"#,
            ),
            failure(AUTHGRANT_DENIED, "invalid_grant"),
        ),
        Case::sends(
            "Date that is none",
            response("HTTP/1.1 200 OK\r\nDate: \u{4e2d}", HEALTHY_BODY),
            Expected::Token("healthy"),
        ),
    ]);
    run_all(&cases);
}

/// Twenty bytes of gzip for each 10 KiB: an empty-looking body that would grow a thousandfold. Its content does not
/// matter, because nothing is decoded.
fn gzip_bomb() -> Vec<u8> {
    [
        b"\x1f\x8b\x08\0\0\0\0\0\0\x03".as_slice(),
        &b"\xed\xc1\x01\x0d\0\0\0\xc2\xa0\xf7Om\x0e7\xa0\0\0\0\0".repeat(5000),
    ]
    .concat()
}

/// `Accept-Encoding: identity` is sent; whatever comes nevertheless is not decoded.
#[test]
fn content_codings_are_not_decoded() {
    let mut cases = Vec::new();
    for coding in ["gzip", "x-gzip", "deflate", "br", "zstd", "compress", "GZIP, identity", "identity, gzip"]
    {
        let head = format!("HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Encoding: {coding}");
        let expected = failure(AUTHGRANT_BAD_RESPONSE, "in the Content-Encoding");
        cases.push(Case::sends(coding, response(&head, gzip_bomb()), expected));
    }
    cases.extend([
        Case::sends(
            "gzip without a header",
            response("HTTP/1.1 200 OK", gzip_bomb()),
            failure(AUTHGRANT_BAD_RESPONSE, "unexpected response"),
        ),
        Case::sends(
            "gzip as error",
            response("HTTP/1.1 400 No\r\nContent-Encoding: gzip", gzip_bomb()),
            failure(AUTHGRANT_BAD_RESPONSE, "Content-Encoding gzip"),
        ),
        Case::sends(
            "header without gzip",
            response("HTTP/1.1 200 OK\r\nContent-Encoding: gzip", HEALTHY_BODY),
            Expected::Token("healthy"),
        ),
        Case::sends(
            "unknown coding",
            response("HTTP/1.1 200 OK\r\nContent-Encoding: \u{202e}aes", HEALTHY_BODY),
            Expected::Token("healthy"),
        ),
    ]);
    run_all(&cases);
}
