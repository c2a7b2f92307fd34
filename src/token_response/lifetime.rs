//! Lifetime of a token in a response: `expires_in`, or a point in time instead of it.

use serde_json::{Map, Value};

use crate::base::clock::parse_rfc3339;

/// Ten years. A longer lifetime is shortened, which prevents an overflow of sums.
const MAX_LIFETIME_SECS: i64 = 315_360_000;

const DAY_SECS: i64 = 86_400;

/// Numbers from here on are milliseconds since 1970; as seconds they would be after the year 33,000.
const MIN_MILLISECONDS: f64 = 1e12;

/// The lifetime in seconds at `now`, the server's time. Azure's managed identities send `expires_on`, GitHub
/// `expires_at`. An `expires_in` of zero or less counts only if there is no other member.
pub(super) fn parse(members: &Map<String, Value>, now: i64) -> Option<i64> {
    let expires_in = members.get("expires_in").and_then(|value| parse_expires_in(value, now));
    let at = || ["expires_on", "expires_at"].iter().find_map(|name| parse_time(members.get(*name)?));
    expires_in
        .filter(|seconds| *seconds > 0)
        .or_else(|| at().map(|time| clamp_lifetime(time.saturating_sub(now))))
        .or(expires_in)
}

/// Parses `expires_in`. Servers send `3600`, `"3600"` and `3600.0`. A number that is a time between yesterday
/// and ten years ahead, in seconds or milliseconds since 1970, can only be that: as a lifetime it would be
/// decades.
fn parse_expires_in(value: &Value, now: i64) -> Option<i64> {
    let number = parse_number(value)?;
    let remaining = to_unix_seconds(number).map(|time| time.saturating_sub(now));
    let is_time = |seconds: &i64| (-DAY_SECS..=MAX_LIFETIME_SECS).contains(seconds);
    Some(clamp_lifetime(remaining.filter(is_time).unwrap_or_else(|| to_integer(number))))
}

/// Parses a point in time: seconds or milliseconds since 1970 as a number or text, or a date (RFC 3339).
fn parse_time(value: &Value) -> Option<i64> {
    match parse_number(value) {
        Some(number) => to_unix_seconds(number),
        None => parse_rfc3339(value.as_str()?),
    }
}

fn parse_number(value: &Value) -> Option<f64> {
    let number: f64 = match value {
        Value::Number(number) => number.as_f64()?,
        Value::String(text) => text.trim().parse().ok()?,
        _ => return None,
    };
    number.is_finite().then_some(number)
}

/// Seconds since 1970; `None` for a number that is too small to be a time after 2001.
fn to_unix_seconds(number: f64) -> Option<i64> {
    const MIN_SECONDS: f64 = 1e9;
    let seconds = if number >= MIN_MILLISECONDS { number / 1000.0 } else { number };
    (seconds >= MIN_SECONDS).then(|| to_integer(seconds))
}

fn to_integer(number: f64) -> i64 {
    #[allow(clippy::cast_possible_truncation, reason = "the cast saturates")]
    let integer = number as i64;
    integer
}

fn clamp_lifetime(seconds: i64) -> i64 {
    seconds.clamp(0, MAX_LIFETIME_SECS)
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: i64 = 1_790_000_000;

    fn lifetime(body: &str) -> Option<i64> {
        parse(&serde_json::from_str(body).unwrap(), NOW)
    }

    #[test]
    fn expires_in_accepts_number_or_string() {
        for (text, seconds) in [
            ("3600", Some(3600)),
            ("\"3599\"", Some(3599)),
            ("\" 3599 \"", Some(3599)),
            ("3600.0", Some(3600)),
            ("0", Some(0)),
            ("-5", Some(0)),
            ("1e300", Some(MAX_LIFETIME_SECS)),
            ("2147483647", Some(MAX_LIFETIME_SECS)),
            ("\"soon\"", None),
            ("\"NaN\"", None),
            ("null", None),
            ("[]", None),
        ] {
            assert_eq!(lifetime(&format!(r#"{{"expires_in":{text}}}"#)), seconds, "{text}");
        }
        assert_eq!(lifetime("{}"), None);
    }

    #[test]
    fn expires_in_may_be_point_in_time() {
        for (expires_in, seconds) in [
            (NOW + 3600, 3600),
            ((NOW + 3600) * 1000, 3600),
            (NOW - 60, 0),
            // Not a time of a new token: a lifetime of decades.
            (1_000_000_000, MAX_LIFETIME_SECS),
            (9_999_999_999, MAX_LIFETIME_SECS),
            (MAX_LIFETIME_SECS - 1, MAX_LIFETIME_SECS - 1),
        ] {
            assert_eq!(lifetime(&format!(r#"{{"expires_in":{expires_in}}}"#)), Some(seconds), "{expires_in}");
            assert_eq!(lifetime(&format!(r#"{{"expires_in":"{expires_in}"}}"#)), Some(seconds), "text");
        }
    }

    #[test]
    fn time_of_expiry_replaces_missing_expires_in() {
        let at = NOW + 3600;
        for (body, seconds) in [
            (format!(r#"{{"expires_on":"{at}"}}"#), Some(3600)),
            (format!(r#"{{"expires_on":{at}.5}}"#), Some(3600)),
            (format!(r#"{{"expires_at":{at}000}}"#), Some(3600)),
            (r#"{"expires_at":"2026-09-21T15:13:20Z"}"#.to_owned(), Some(3600)),
            (r#"{"expires_at":"2026-09-21T16:13:20.123+01:00"}"#.to_owned(), Some(3600)),
            (format!(r#"{{"expires_at":{}}}"#, NOW - 1), Some(0)),
            (format!(r#"{{"expires_on":"","expires_at":{at}}}"#), Some(3600)),
            (format!(r#"{{"expires_in":null,"expires_at":{at}}}"#), Some(3600)),
            (format!(r#"{{"expires_in":0,"expires_at":{at}}}"#), Some(3600)),
            (format!(r#"{{"expires_in":60,"expires_at":{at}}}"#), Some(60)),
            (r#"{"expires_at":3600}"#.to_owned(), None),
            (r#"{"expires_in":0,"expires_at":"never"}"#.to_owned(), Some(0)),
        ] {
            assert_eq!(lifetime(&body), seconds, "{body}");
        }
    }
}
