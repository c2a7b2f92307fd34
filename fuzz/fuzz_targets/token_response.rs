//! The response of a token endpoint: status, headers, an empty line and the body.

#![no_main]

use std::cell::LazyCell;
use std::time::Duration;

use authgrant::base::clock::Clock;
use authgrant::base::error::Error;
use authgrant::base::redact::Redactor;
use authgrant::base::secret::Secret;
use authgrant::net::http::Response;
use authgrant::token_response::{self, ErrorResponse, ServerText};
use authgrant_fuzz::{CANARY, CANARY_MARK, check_error, check_secrets, check_text, has_canary};
use libfuzzer_sys::fuzz_target;

/// Echoes of the secret in an error response, in different encodings.
const ECHOES: [fn() -> String; 3] = [|| CANARY.to_owned(), percent_encoded, || json_escaped(CANARY)];

fuzz_target!(|bytes: &[u8]| {
    if has_canary(bytes) {
        return;
    }
    check_response(bytes);
    let Ok(text) = str::from_utf8(bytes) else { return };
    if text.contains(CANARY_MARK) {
        ECHOES.iter().for_each(|echo| check_response(text.replace(CANARY_MARK, &echo()).as_bytes()));
    }
    // The tokens of a response that is rejected for another reason.
    if let Some((head, body)) = text.split_once("\n\n")
        && let Some(members) = body.strip_prefix('{')
    {
        let tokens = format!("{{\"access_token\":\"{CANARY}\",\"refresh_token\":\"{CANARY}\",{members}");
        check_response(format!("{head}\n\n{tokens}").as_bytes());
    }
});

fn check_response(bytes: &[u8]) {
    let Some(response) = parse_http(bytes) else { return };
    let secrets = [Secret::from(CANARY)];
    let redactor = LazyCell::new(|| Redactor::new(secrets.iter()));
    match token_response::parse(&response, &ConstantClock, &|word| word == "Application", &redactor) {
        Ok(token) => {
            let value = token.access_token.to_bytes();
            assert!(!value.is_empty() && value.iter().all(|byte| (b' '..=b'~').contains(byte)));
            assert!(
                !token.fields.contains_key("access_token") && !token.fields.contains_key("refresh_token")
            );
        }
        Err(error) => check_rejection(*error),
    }
    if let Some(token) = token_response::parse_id_token_only(&response) {
        assert!(!token.access_token.is_empty());
    }
}

fn check_rejection(error: ErrorResponse) {
    check_text(&error.summary);
    let shown = [&error.error, &error.description, &error.provider_code];
    shown.into_iter().flatten().map(ServerText::shown).for_each(check_text);
    check_secrets(&format!("{:?}", error.member_names));
    let reason = error.reason();
    let text = error.summary.clone();
    check_error(&Error::new(error.into_oauth_error(reason), "token", text));
}

/// Parses a response that is written as in HTTP, with simple line breaks.
fn parse_http(bytes: &[u8]) -> Option<Response> {
    let end = bytes.windows(2).position(|pair| pair == b"\n\n")?;
    let head = str::from_utf8(&bytes[..end]).ok()?;
    let mut lines = head.split('\n');
    let status = lines.next()?.parse().ok().filter(|status| (100..1000).contains(status))?;
    let header = |name: &str| {
        let mut values = head.split('\n').filter_map(|line| line.split_once(": "));
        values.find(|(found, _)| found.eq_ignore_ascii_case(name)).map(|(_, value)| value.to_owned())
    };
    Some(Response {
        status,
        content_type: header("Content-Type"),
        date: header("Date"),
        retry_after: header("Retry-After"),
        location: header("Location"),
        www_authenticate: header("WWW-Authenticate"),
        content_coding: None,
        body: bytes[end + 2..].to_vec().into(),
        truncated: false,
        reused: false,
        elapsed: Duration::ZERO,
    })
}

fn percent_encoded() -> String {
    CANARY.bytes().map(|byte| format!("%{byte:02X}")).collect()
}

fn json_escaped(text: &str) -> String {
    text.encode_utf16().map(|unit| format!("\\u{unit:04x}")).collect()
}

struct ConstantClock;

impl Clock for ConstantClock {
    fn unix_seconds(&self) -> i64 {
        1_800_000_000
    }

    fn boot_time(&self) -> Duration {
        Duration::ZERO
    }
}
