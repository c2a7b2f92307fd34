//! Bodies of token responses: JSON that is broken, large, deep or odd, other formats, other encodings, and texts that
//! attack a terminal or a log.

use authgrant::ffi::status::*;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use crate::case::{Case, Expected, run_all};
use crate::server::{HEALTHY_BODY, Step, response};

const HEALTHY: Expected = Expected::Token("healthy");

fn bad_response(text: &'static str) -> Expected {
    Expected::Failure(AUTHGRANT_BAD_RESPONSE, text)
}

fn denied(text: &'static str) -> Expected {
    Expected::Failure(AUTHGRANT_DENIED, text)
}

fn not_json() -> Expected {
    bad_response("unexpected response")
}

/// A successful response with this body.
fn success(name: impl Into<String>, body: impl AsRef<[u8]>, expected: Expected) -> Case {
    Case::sends(name, response("HTTP/1.1 200 OK\r\nContent-Type: application/json", body), expected)
}

/// An error response with this body.
fn error(name: impl Into<String>, body: impl AsRef<[u8]>, expected: Expected) -> Case {
    Case::sends(name, response("HTTP/1.1 400 Bad Request\r\nContent-Type: application/json", body), expected)
}

/// A token response with this value for a member, and correct ones for the others.
fn with_member(member: &str, value: &str) -> String {
    let members = [("access_token", "\"healthy\""), ("token_type", "\"Bearer\""), ("expires_in", "3600")];
    let others = members.iter().filter(|(name, _)| *name != member);
    let others: String = others.map(|(name, value)| format!(",\"{name}\":{value}")).collect();
    format!("{{\"{member}\":{value}{others}}}")
}

#[test]
fn bodies_that_are_no_object_are_bad_responses() {
    let mut cases = Vec::new();
    for body in [
        "",
        " \r\n\t",
        "null",
        "true",
        "42",
        "\"healthy\"",
        "[]",
        "[\"access_token\"]",
        "{}",
        "{",
        "}",
        "{\"access_token\"",
        "{\"access_token\":",
        "{\"access_token\":\"",
        "{'access_token':'healthy'}",
        "{access_token:\"healthy\"}",
        "{\"access_token\":NaN}",
        "{\"access_token\":undefined}",
        "\0",
        "\u{1b}]0;title\u{7}",
        "<html><body>access_token</body></html>",
        "<?xml version=\"1.0\"?><!DOCTYPE a [<!ENTITY b SYSTEM \"file:///etc/passwd\">]><a>&b;</a>",
        "access_token=healthy&token_type=Bearer",
        "eyJhbGciOiJub25lIn0.e30.",
        "healthy",
        "HTTP/1.1 200 OK\r\n\r\n{}",
    ] {
        cases.push(success(format!("body {body:?}"), body, not_json()));
    }
    for (name, body) in [
        ("array of a token", format!("[{HEALTHY_BODY}]")),
        ("two objects", format!("{HEALTHY_BODY}{HEALTHY_BODY}")),
        ("garbage after", format!("{HEALTHY_BODY} x")),
        ("NUL after", format!("{HEALTHY_BODY}\0")),
        ("trailing comma", HEALTHY_BODY.replace('}', ",}")),
        ("comment", HEALTHY_BODY.replace('{', "{/* */")),
        ("JSONP", format!("callback({HEALTHY_BODY})")),
        ("guard against scripts", format!(")]}}',\n{HEALTHY_BODY}")),
        ("event stream", format!("data: {HEALTHY_BODY}\n\n")),
        ("vertical tab", format!("\u{b}{HEALTHY_BODY}")),
        ("two byte order marks", format!("\u{feff}\u{feff}{HEALTHY_BODY}")),
        ("half of it", HEALTHY_BODY[..HEALTHY_BODY.len() / 2].to_owned()),
    ] {
        cases.push(success(name, body, not_json()));
    }
    run_all(&cases);
}

#[test]
fn encodings_are_detected() {
    let utf16 = |text: &str, to_bytes: fn(u16) -> [u8; 2]| -> Vec<u8> {
        text.encode_utf16().flat_map(to_bytes).collect()
    };
    let with_charset = |name: &str, charset: &str, body: &[u8], expected| {
        let head = format!("HTTP/1.1 200 OK\r\nContent-Type: application/json; charset={charset}");
        Case::sends(name, response(&head, body), expected)
    };
    let invalid = |text: &[u8]| [b"{\"x\":\"", text, b"\",", &HEALTHY_BODY.as_bytes()[1..]].concat();
    run_all(&[
        success("byte order mark", format!("\u{feff}{HEALTHY_BODY}"), HEALTHY),
        success("UTF-16LE", utf16(HEALTHY_BODY, u16::to_le_bytes), HEALTHY),
        success("UTF-16BE", utf16(HEALTHY_BODY, u16::to_be_bytes), HEALTHY),
        success("UTF-16 with mark", utf16(&format!("\u{feff}{HEALTHY_BODY}"), u16::to_be_bytes), HEALTHY),
        success(
            "UTF-16, odd length",
            [utf16(HEALTHY_BODY, u16::to_le_bytes), vec![0x7b]].concat(),
            not_json(),
        ),
        success(
            "UTF-16, half a pair",
            utf16(HEALTHY_BODY, u16::to_le_bytes).into_iter().chain([0, 0xd8]).collect::<Vec<_>>(),
            not_json(),
        ),
        success(
            "UTF-32",
            HEALTHY_BODY.chars().flat_map(|c| u32::from(c).to_le_bytes()).collect::<Vec<_>>(),
            not_json(),
        ),
        success("overlong UTF-8", invalid(b"\xc0\xaf"), HEALTHY),
        success("surrogate in UTF-8", invalid(b"\xed\xa0\x80"), HEALTHY),
        success("invalid UTF-8", invalid(b"\xff\xfe\xfd"), HEALTHY),
        success("half an escaped pair", invalid(b"\\ud800"), not_json()),
        success("UTF-16 of 1 MiB", [b"\xff\xfe".as_slice(), &[0x4e; (1 << 20) - 2]].concat(), not_json()),
        with_charset("EBCDIC", "ibm037", &[0xc1; 50], not_json()),
        with_charset("UTF-7", "utf-7", b"+AHsAIg-", not_json()),
        with_charset("unknown charset", "\u{1f600}", HEALTHY_BODY.as_bytes(), HEALTHY),
        with_charset("charset without end", "\"utf-16le", HEALTHY_BODY.as_bytes(), HEALTHY),
        with_charset("replacement", "iso-2022-kr", &[0xff; 1 << 20], not_json()),
        with_charset("ISO-2022-JP escapes", "iso-2022-jp", &b"\x1b$B\x1b(B".repeat(100_000), not_json()),
        with_charset("GB18030", "gb18030", &b"\x81\x30\x81\x30".repeat(250_000), not_json()),
    ]);
}

/// A JWT with more claims than any server sends, as JSON text. A token without `expires_in` is parsed for its `exp`.
fn jwt_bomb() -> String {
    let claims = format!("{{\"exp\":9999999999,\"groups\":[{}0]}}", "{\"\":0},".repeat(60_000));
    format!("\"e30.{}.c2ln\"", URL_SAFE_NO_PAD.encode(claims))
}

#[test]
fn large_and_deep_json_is_bounded() {
    let mib = |prefix: &str, piece: &str, suffix: &str| {
        let count = ((1 << 20) - prefix.len() - suffix.len()) / piece.len();
        format!("{prefix}{}{suffix}", piece.repeat(count))
    };
    let beside_token = |value: &str| with_member("extra", value);
    let nested = |open: &str, close: &str, depth: usize| {
        beside_token(&(open.repeat(depth) + "0" + &close.repeat(depth)))
    };
    let token_end = &format!("0],{}", &HEALTHY_BODY[1..]);
    let mut cases = vec![
        success("100 arrays deep", nested("[", "]", 100), HEALTHY),
        success("1000 arrays deep", nested("[", "]", 1000), not_json()),
        success("1000 objects deep", nested("{\"a\":", "}", 1000), not_json()),
        success("1 MiB of [", mib("", "[", ""), not_json()),
        success("1 MiB of {", mib("", "{\"a\":", ""), not_json()),
        success("1 MiB of [] in an array", mib("[", "[],", "[]]"), not_json()),
        success("1 MiB of objects in an array", mib("[", "{\"\":0},", "0]"), not_json()),
        success("1 MiB of zeros", mib("{\"x\":[", "0,", token_end), not_json()),
        success("1 MiB of objects beside a token", mib("{\"x\":[", "{\"\":0},", token_end), not_json()),
        success(
            "1 MiB of members",
            format!(
                "{{{}{}",
                (0..60_000).map(|n| format!("\"{n}\":0,")).collect::<String>(),
                &HEALTHY_BODY[1..]
            ),
            not_json(),
        ),
        success("1 MiB of the same member", mib("{", "\"a\":0,", &HEALTHY_BODY[1..]), not_json()),
        success("member name of 1 MiB", mib("{\"", "a", &format!("\":0,{}", &HEALTHY_BODY[1..])), HEALTHY),
        success(
            "1 MiB of escapes",
            mib("{\"x\":\"", "\\u0041", &format!("\",{}", &HEALTHY_BODY[1..])),
            HEALTHY,
        ),
        success("1 MiB of blanks before", mib("", " ", HEALTHY_BODY), HEALTHY),
        success("number of 1 MiB", mib("{\"x\":1", "0", &format!(",{}", &HEALTHY_BODY[1..])), not_json()),
        success(
            "token of 1000 KiB",
            with_member("access_token", &format!("\"{}\"", "t".repeat(1000 << 10))),
            Expected::AnyToken,
        ),
        success(
            "JWT with 500 KiB of claims",
            format!("{{\"access_token\":{},\"token_type\":\"Bearer\"}}", jwt_bomb()),
            Expected::AnyToken,
        ),
        success(
            "scope of 1000 KiB",
            with_member("scope", &format!("\"{}\"", "s ".repeat(500 << 10))),
            HEALTHY,
        ),
        success(
            "refresh_token of 1000 KiB",
            with_member("refresh_token", &format!("\"{}\"", "r".repeat(1000 << 10))),
            HEALTHY,
        ),
        success(
            "token_type of 1000 KiB",
            with_member("token_type", &format!("\"{}\"", "x".repeat(1000 << 10))),
            bad_response("token_type"),
        ),
    ];
    for (name, text) in [
        ("letters", "x"),
        ("escapes", "\\u001b"),
        ("the start of the secret", "hunter"),
        ("the secret", "hunter2"),
        ("percent signs", "%25"),
        ("the secret, encoded twice", "%2568unter2"),
        ("base64", "Omh1bnRlcjI"),
        ("direction of text", "\\u202e"),
    ] {
        let body = mib("{\"error\":\"invalid_grant\",\"error_description\":\"", text, "\"}");
        cases.push(error(format!("description of 1 MiB of {name}"), body, denied("invalid_grant")));
        let body = mib("{\"error\":\"", text, "\"}");
        cases.push(error(format!("error of 1 MiB of {name}"), body, denied("HTTP 400")));
    }
    run_all(&cases);
}

#[test]
fn odd_tokens_are_rejected() {
    let not_a_string = || bad_response("an access_token that is not a string");
    let invalid = || bad_response("invalid in a header");
    let mut cases = Vec::new();
    for (value, expected) in [
        ("\"\"", bad_response("an empty access_token")),
        ("null", not_a_string()),
        ("0", not_a_string()),
        ("true", not_a_string()),
        ("[\"healthy\"]", not_a_string()),
        ("{\"a\":\"healthy\"}", not_a_string()),
        (r#""a\r\nX-Injected: b""#, invalid()),
        (r#""a\nb""#, invalid()),
        (r#""a\u0000b""#, invalid()),
        (r#""a\tb""#, invalid()),
        (r#""a\u007fb""#, invalid()),
        ("\"t\u{f6}ken\"", invalid()),
        (r#""\u202etoken""#, invalid()),
        (r#""\ud83d\ude00""#, invalid()),
        ("\"a b\"", Expected::Token("a b")),
        (r#""\u0061""#, Expected::Token("a")),
    ] {
        cases.push(success(format!("access_token {value}"), with_member("access_token", value), expected));
    }
    for (value, expected) in [
        ("null", HEALTHY),
        ("\"\"", HEALTHY),
        ("\"bearer\"", HEALTHY),
        ("\" BEARER \"", HEALTHY),
        ("\"mac\"", bad_response("token_type")),
        ("\"DPoP\"", bad_response("DPoP")),
        ("\"N_A\"", bad_response("token_type")),
        ("\"hunter2\"", bad_response("****")),
        (r#""\u001b[31mBearer""#, bad_response("token_type")),
        (r#""Bearer\u0000""#, bad_response("token_type")),
        ("1", bad_response("not a string")),
        ("[\"Bearer\"]", bad_response("not a string")),
    ] {
        cases.push(success(format!("token_type {value}"), with_member("token_type", value), expected));
    }
    for value in [
        "0",
        "-1",
        "-0",
        "-9223372036854775808",
        "1.5",
        "0.1",
        "1e3",
        "1e18",
        "1e308",
        "-1e308",
        "9223372036854775808",
        "99999999999999999999999999",
        "2147483648",
        "\"3600\"",
        "\"\"",
        "\"soon\"",
        "\"NaN\"",
        "\"inf\"",
        "\"1e400\"",
        "\"-1\"",
        "null",
        "true",
        "[]",
        "[3600]",
        "{}",
    ] {
        cases.push(success(format!("expires_in {value}"), with_member("expires_in", value), HEALTHY));
    }
    for value in ["1e400", "NaN", "Infinity", "0x10", "+1", "01", "1.", ".5", "--1"] {
        cases.push(success(format!("expires_in {value}"), with_member("expires_in", value), not_json()));
    }
    for (name, member, value) in [
        ("expires_on", "expires_on", "-1e300"),
        ("expires_at", "expires_at", "\"99999-99-99T99:99:99Z\""),
        ("expires_at far", "expires_at", "\"9999-12-31T23:59:59Z\""),
        ("scope as number", "scope", "7"),
        ("scope with NUL", "scope", r#""a\u0000b""#),
        ("scope with escape", "scope", r#""\u001b[2J""#),
        ("refresh_token as object", "refresh_token", "{\"a\":[1]}"),
        ("refresh_token with line break", "refresh_token", r#""a\r\nb""#),
        ("id_token that is no JWT", "id_token", "\"...\""),
        ("empty name", "", "\"x\""),
        ("name with NUL", "a\\u0000b", "\"x\""),
        ("error is null", "error", "null"),
        ("error is false", "error", "false"),
        ("error is empty", "error", "[]"),
    ] {
        cases.push(success(name, with_member(member, value), HEALTHY));
    }
    cases.extend([
        success(
            "no access_token",
            r#"{"token_type":"Bearer","expires_in":3600}"#,
            bad_response("without access_token"),
        ),
        success(
            "name in upper case",
            r#"{"ACCESS_TOKEN":"healthy","token_type":"Bearer"}"#,
            bad_response("without access_token"),
        ),
        success(
            "token in a member",
            format!("{{\"data\":{HEALTHY_BODY}}}"),
            bad_response("without access_token"),
        ),
        success(
            "token twice",
            r#"{"access_token":"first","access_token":"healthy","token_type":"Bearer"}"#,
            HEALTHY,
        ),
        success(
            "token_type twice",
            r#"{"access_token":"healthy","token_type":"mac","token_type":"Bearer"}"#,
            HEALTHY,
        ),
        success("token and error", with_member("error", "\"invalid_grant\""), denied("invalid_grant")),
        success("token and error object", with_member("error", "{\"code\":1}"), denied("HTTP 200")),
        Case::sends(
            "token as text/html",
            response("HTTP/1.1 200 OK\r\nContent-Type: text/html", HEALTHY_BODY),
            HEALTHY,
        ),
        Case::sends("token without Content-Type", response("HTTP/1.1 200 OK", HEALTHY_BODY), HEALTHY),
    ]);
    run_all(&cases);
}

#[test]
fn texts_of_errors_are_escaped() {
    let mut cases = Vec::new();
    for (name, text) in [
        ("line break", "a\\r\\n[authgrant] token obtained"),
        ("escape sequence", "\\u001b[2J\\u001b]0;title\\u0007"),
        ("NUL", "a\\u0000b"),
        ("C1 control", "\\u009b31m"),
        ("DEL and backspace", "\\u007f\\b\\b\\b"),
        ("direction of text", "\\u202e\\u2066gpj.exe"),
        ("line separator", "a\\u2028b\\u2029c"),
        ("invisible", "\\u200b\\ufeff\\u00ad\\u2060"),
        ("tags", "\\udb40\\udc41"),
        ("marks that combine", "Z\\u0300\\u0301\\u0302\\u0303\\u0304"),
        ("the secret", "no hunter2 here"),
        ("the secret in capitals", "no HUNTER2 here"),
        ("the secret between marks", "no \\u200bhunter2\\u200b here"),
        ("the secret, encoded", "no %68unter2 here"),
        ("the Basic header", "no Basic Y2xpZW50Omh1bnRlcjI= here"),
        ("format", "%s%n%x {0} ${jndi:ldap://x} $(id) `id`"),
        ("markup", "<script>alert(1)</script>"),
    ] {
        cases.push(error(
            format!("description: {name}"),
            format!(r#"{{"error":"invalid_grant","error_description":"{text}"}}"#),
            denied("invalid_grant"),
        ));
        cases.push(error(format!("error: {name}"), format!(r#"{{"error":"{text}"}}"#), denied("HTTP 400")));
        cases.push(error(
            format!("error_uri: {name}"),
            format!(r#"{{"error":"invalid_scope","error_uri":"{text}"}}"#),
            denied("invalid_scope"),
        ));
        cases.push(error(
            format!("code: {name}"),
            format!(r#"{{"error":{{"code":"{text}","message":"{text}"}}}}"#),
            denied("HTTP 400"),
        ));
    }
    cases.push(Case::new(
        "echo of the request",
        vec![Step::ReadRequest, Step::Echo],
        denied("invalid_grant"),
    ));
    run_all(&cases);
}

#[test]
fn odd_errors_are_denied_or_bad_responses() {
    let mut cases = Vec::new();
    for (body, expected) in [
        ("", bad_response("HTTP 400")),
        ("[]", bad_response("HTTP 400")),
        ("[[]]", bad_response("HTTP 400")),
        ("{}", bad_response("HTTP 400")),
        (r#"{"error":null}"#, bad_response("HTTP 400")),
        (r#"{"error":""}"#, bad_response("HTTP 400")),
        (r#"{"error":[]}"#, bad_response("HTTP 400")),
        (r#"{"error":[[["invalid_grant"]]]}"#, denied("HTTP 400")),
        (r#"{"error":{"error":{"error":{}}}}"#, denied("HTTP 400")),
        (r#"{"error":true}"#, denied("HTTP 400")),
        (r#"{"error":1e308}"#, denied("HTTP 400")),
        (
            r#"{"error":"invalid_grant","error":"server_error"}"#,
            Expected::Failure(AUTHGRANT_SERVER_ERROR, "server_error"),
        ),
        (
            r#"{"error":"temporarily_unavailable"}"#,
            Expected::Failure(AUTHGRANT_SERVER_ERROR, "temporarily_unavailable"),
        ),
        (
            r#"{"error":"consent_required"}"#,
            Expected::Failure(AUTHGRANT_CONSENT_REQUIRED, "consent_required"),
        ),
        (r#"{"error":"use_dpop_nonce"}"#, denied("DPoP")),
        (r#"{"error":"invalid_grant","error_codes":[99999999999999999999]}"#, denied("invalid_grant")),
        (r#"{"error":"invalid_grant","error_codes":"x"}"#, denied("invalid_grant")),
        (r#"{"errors":[{"code":{"code":[]}}]}"#, bad_response("HTTP 400")),
        (r#"[{"error":"invalid_grant"},{"error":"server_error"}]"#, denied("invalid_grant")),
        (r#"{"error":"invalid_grant","error_description":{"a":1}}"#, denied("invalid_grant")),
        (r#"{"error":"INVALID_GRANT"}"#, denied("INVALID_GRANT")),
        ("error=invalid_grant", bad_response("HTTP 400")),
        ("<html><h1>400</h1></html>", bad_response("HTTP 400")),
    ] {
        cases.push(error(format!("error {body}"), body, expected));
    }
    run_all(&cases);
}
