//! Time, as the rest of the house sees it: the wall clock for what servers mean, a monotonic one for how long.
//!
//! A [`Deadline`] bounds one whole call. The [`Clock`] is a seam: tests turn its hands.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// Where the time comes from.
pub trait Clock: Send + Sync {
    /// Seconds since 1970 by the wall clock (RFC 7519's NumericDate).
    fn unix_seconds(&self) -> i64;
    /// A point on the monotonic clock.
    fn instant(&self) -> Instant;
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

    fn instant(&self) -> Instant {
        Instant::now()
    }
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
    pub fn never() -> Self {
        Self(None)
    }

    /// What is left, zero once it has passed; nothing where there is no end.
    #[must_use]
    pub fn left(&self) -> Option<Duration> {
        self.0.map(|end| end.saturating_duration_since(Instant::now()))
    }

    /// Whether it has passed.
    #[must_use]
    pub fn passed(&self) -> bool {
        self.left() == Some(Duration::ZERO)
    }
}
