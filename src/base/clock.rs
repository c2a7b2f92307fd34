//! Time, as the rest of the house sees it: the wall clock for what servers mean, a monotonic one for how long.
//!
//! A [`Deadline`] bounds one whole call. The [`Clock`] is a seam: tests turn its hands.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use der::DateTime;

use crate::sys;

/// Where the time comes from.
pub trait Clock: Send + Sync {
    /// Seconds since 1970 by the wall clock (RFC 7519's NumericDate).
    fn unix_seconds(&self) -> i64;
    /// The same for a fraction of the cost, and up to 10 ms late.
    fn coarse_unix_seconds(&self) -> i64 {
        self.unix_seconds()
    }
    /// Time since the machine started, by a clock that is never set and that goes on while the machine is suspended.
    fn boot_time(&self) -> Duration;
}

/// The machine's own clocks.
#[derive(Debug, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn unix_seconds(&self) -> i64 {
        match SystemTime::now().duration_since(UNIX_EPOCH) {
            Ok(since) => i64::try_from(since.as_secs()).unwrap_or(i64::MAX),
            Err(_) => 0,
        }
    }

    fn coarse_unix_seconds(&self) -> i64 {
        sys::coarse_unix_seconds().unwrap_or_else(|| self.unix_seconds())
    }

    fn boot_time(&self) -> Duration {
        sys::boot_time()
    }
}

/// A time as ISO 8601 writes it, such as `2026-08-21T10:00:00Z`; nothing before 1970 and behind 9999.
#[must_use]
pub fn format_rfc3339(unix_seconds: i64) -> Option<String> {
    let since = Duration::from_secs(u64::try_from(unix_seconds).ok()?);
    DateTime::from_unix_duration(since).ok().map(|time| time.to_string())
}

/// Seconds since 1970 of such a time, which says its zone: `Z`, or the hours and minutes by which its clock is ahead.
#[must_use]
pub fn parse_rfc3339(text: &str) -> Option<i64> {
    let (date, time) = text.trim().split_once(['T', 't', ' '])?;
    let zone = time.find(['Z', 'z', '+', '-'])?;
    let (time, zone) = time.split_at_checked(zone)?;
    let whole = time.split(['.', ',']).next()?;
    let read: DateTime = format!("{date}T{whole}Z").parse().ok()?;
    i64::try_from(read.unix_duration().as_secs()).ok()?.checked_sub(parse_utc_offset(zone)?)
}

/// By how many seconds a clock of that zone is ahead.
fn parse_utc_offset(zone: &str) -> Option<i64> {
    if zone.eq_ignore_ascii_case("Z") {
        return Some(0);
    }
    let (sign, rest) = zone.split_at_checked(1)?;
    let digits = rest.replace(':', "");
    let (hours, minutes) = digits.split_at_checked(2)?;
    let minutes = if minutes.is_empty() { "0" } else { minutes };
    let number =
        |text: &str, most: i64| text.parse::<i64>().ok().filter(|number| (0..=most).contains(number));
    let seconds = number(hours, 23)?.checked_mul(3600)?.checked_add(number(minutes, 59)?.checked_mul(60)?)?;
    Some(if sign == "-" { seconds.checked_neg()? } else { seconds })
}

/// The end of one call; none means that the call may wait for ever.
#[derive(Clone, Copy, Debug, Default)]
pub struct Deadline(Option<Instant>);

impl Deadline {
    /// `limit` from now; a limit beyond what the clock can count is no limit.
    #[must_use]
    pub fn after(limit: Duration) -> Self {
        Self(Instant::now().checked_add(limit))
    }

    /// No end.
    #[must_use]
    pub fn none() -> Self {
        Self(None)
    }

    /// What is left, zero once it has passed; nothing where there is no end.
    #[must_use]
    pub fn remaining(&self) -> Option<Duration> {
        self.0.map(|end| end.saturating_duration_since(Instant::now()))
    }

    /// Whether it has passed.
    #[must_use]
    pub fn is_past(&self) -> bool {
        self.remaining() == Some(Duration::ZERO)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rfc3339_parses_any_offset_and_formats_utc() {
        let ten = 1_787_306_400;
        assert_eq!(format_rfc3339(ten).unwrap(), "2026-08-21T10:00:00Z");
        for text in [
            "2026-08-21T10:00:00Z",
            " 2026-08-21T10:00:00.999z ",
            "2026-08-21T12:00:00+02:00",
            "2026-08-21 04:30:00-0530",
            "2026-08-21t11:00:00,5+01",
        ] {
            assert_eq!(parse_rfc3339(text), Some(ten), "{text}");
        }
        for text in [
            "",
            "soon",
            "1787306400",
            "2026-08-21",
            "2026-08-21T10:00:00",
            "2026-02-30T10:00:00Z",
            "2026-08-21T10:00:00+24:00",
            "2026-08-21T10:00:00+01:60",
            "2026-08-21T10:00:00+1",
            "2026-08-21T10:00:00+-1:00",
            "2026-08-21T10:00:00Zulu",
        ] {
            assert_eq!(parse_rfc3339(text), None, "{text}");
        }
        assert_eq!(format_rfc3339(-1), None);
        assert_eq!(format_rfc3339(i64::MAX), None);
    }
}
