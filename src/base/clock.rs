//! Clocks and deadlines: wall-clock time for timestamps of servers, monotonic time for durations.
//!
//! A [`Deadline`] bounds a whole call. [`Clock`] is a trait, so that tests can set the time.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use der::DateTime;

use crate::sys;

/// A source of time.
pub trait Clock: Send + Sync {
    /// Unix time in seconds by the wall clock (NumericDate in RFC 7519).
    fn unix_seconds(&self) -> i64;
    /// As [`Self::unix_seconds`], at a fraction of the cost and up to 10 ms late.
    fn coarse_unix_seconds(&self) -> i64 {
        self.unix_seconds()
    }
    /// Time since boot: monotonic, including time in which the machine was suspended.
    fn boot_time(&self) -> Duration;
}

/// The clocks of the operating system.
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

/// Formats Unix time as in RFC 3339, such as `2026-08-21T10:00:00Z`. `None` before 1970 and after 9999.
#[must_use]
pub fn format_rfc3339(unix_seconds: i64) -> Option<String> {
    let since = Duration::from_secs(u64::try_from(unix_seconds).ok()?);
    DateTime::from_unix_duration(since).ok().map(|time| time.to_string())
}

/// Formats a time as in RFC 3339 with milliseconds, such as `2026-08-21T10:00:00.042Z`. `None` before 1970 and after
/// 9999.
#[must_use]
pub fn format_rfc3339_millis(time: SystemTime) -> Option<String> {
    let since = time.duration_since(UNIX_EPOCH).ok()?;
    let seconds = format_rfc3339(i64::try_from(since.as_secs()).ok()?)?;
    Some(format!("{}.{:03}Z", seconds.trim_end_matches('Z'), since.subsec_millis()))
}

/// Parses a date and time with a UTC offset (`Z`, `+02:00`) into Unix time in seconds.
#[must_use]
pub fn parse_rfc3339(text: &str) -> Option<i64> {
    let (date, time) = text.trim().split_once(['T', 't', ' '])?;
    let offset = time.find(['Z', 'z', '+', '-'])?;
    let (time, offset) = time.split_at_checked(offset)?;
    let whole_seconds = time.split(['.', ',']).next()?;
    let parsed: DateTime = format!("{date}T{whole_seconds}Z").parse().ok()?;
    i64::try_from(parsed.unix_duration().as_secs()).ok()?.checked_sub(parse_utc_offset(offset)?)
}

/// Parses a UTC offset into seconds east of UTC.
fn parse_utc_offset(offset: &str) -> Option<i64> {
    if offset.eq_ignore_ascii_case("Z") {
        return Some(0);
    }
    let (sign, rest) = offset.split_at_checked(1)?;
    let digits = rest.replace(':', "");
    let (hours, minutes) = digits.split_at_checked(2)?;
    let minutes = if minutes.is_empty() { "0" } else { minutes };
    let number = |text: &str, max: i64| text.parse::<i64>().ok().filter(|number| (0..=max).contains(number));
    let seconds = number(hours, 23)?.checked_mul(3600)?.checked_add(number(minutes, 59)?.checked_mul(60)?)?;
    Some(if sign == "-" { seconds.checked_neg()? } else { seconds })
}

/// The time by which a call must end, or no limit.
#[derive(Clone, Copy, Debug, Default)]
pub struct Deadline(Option<Instant>);

impl Deadline {
    /// `timeout` from now. A timeout that the clock cannot represent is no limit.
    #[must_use]
    pub fn after(timeout: Duration) -> Self {
        Self(Instant::now().checked_add(timeout))
    }

    /// No limit.
    #[must_use]
    pub fn none() -> Self {
        Self(None)
    }

    /// The remaining time: zero once the deadline has passed, `None` without a limit.
    #[must_use]
    pub fn remaining(&self) -> Option<Duration> {
        self.0.map(|end| end.saturating_duration_since(Instant::now()))
    }

    /// Whether the deadline has passed.
    #[must_use]
    pub fn is_past(&self) -> bool {
        self.remaining() == Some(Duration::ZERO)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct FixedClock;

    impl Clock for FixedClock {
        fn unix_seconds(&self) -> i64 {
            1_787_306_400
        }

        fn boot_time(&self) -> Duration {
            Duration::ZERO
        }
    }

    #[test]
    fn system_clock_has_wall_clock_and_boot_time() {
        assert!(SystemClock.unix_seconds() > FixedClock.unix_seconds());
        assert!(SystemClock.boot_time() > Duration::from_secs(1));
    }

    #[test]
    fn deadline_is_past_after_its_timeout() {
        let hour = Duration::from_secs(3600);
        assert!(Deadline::after(Duration::ZERO).is_past());
        let remaining = Deadline::after(hour).remaining().unwrap();
        assert!(remaining <= hour && remaining > hour / 2 && !Deadline::after(hour).is_past());
        for unlimited in [Deadline::none(), Deadline::after(Duration::MAX)] {
            assert!(unlimited.remaining().is_none() && !unlimited.is_past());
        }
    }

    #[test]
    fn coarse_time_is_not_ahead() {
        assert_eq!(FixedClock.coarse_unix_seconds(), FixedClock.unix_seconds());
        let before = SystemClock.unix_seconds();
        let coarse = SystemClock.coarse_unix_seconds();
        assert!((before - 1..=SystemClock.unix_seconds()).contains(&coarse), "{before} {coarse}");
    }

    #[test]
    fn rfc3339_parses_any_offset_and_formats_utc() {
        let ten_oclock = 1_787_306_400;
        assert_eq!(format_rfc3339(ten_oclock).unwrap(), "2026-08-21T10:00:00Z");
        for text in [
            "2026-08-21T10:00:00Z",
            " 2026-08-21T10:00:00.999z ",
            "2026-08-21T12:00:00+02:00",
            "2026-08-21 04:30:00-0530",
            "2026-08-21t11:00:00,5+01",
        ] {
            assert_eq!(parse_rfc3339(text), Some(ten_oclock), "{text}");
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

    #[test]
    fn rfc3339_has_three_digits_of_milliseconds() {
        let ten_oclock = UNIX_EPOCH + Duration::from_secs(1_787_306_400);
        for (nanos, expected) in [
            (0, "2026-08-21T10:00:00.000Z"),
            (42_999_999, "2026-08-21T10:00:00.042Z"),
            (999_999_999, "2026-08-21T10:00:00.999Z"),
        ] {
            let time = ten_oclock + Duration::from_nanos(nanos);
            assert_eq!(format_rfc3339_millis(time).as_deref(), Some(expected));
        }
        assert_eq!(format_rfc3339_millis(UNIX_EPOCH - Duration::from_millis(1)), None);
    }
}
