//! Exponential backoff with jitter: 1, 2, 4 … 60 s between consecutive events.

use std::time::Duration;

use crate::base::jitter::Fraction;

/// The longest delay, in seconds.
const MAX_DELAY_SECS: u64 = 60;

/// Number of consecutive events and the time of the last one.
#[derive(Debug, Default)]
pub(crate) struct Backoff {
    consecutive: u32,
    last: Option<Duration>,
    jitter: Fraction,
}

impl Backoff {
    /// Minimum time between the last event and the next one. Jitter shortens it by up to a quarter.
    pub(crate) fn delay(&self) -> Duration {
        let doubled = 1_u64.checked_shl(self.consecutive.saturating_sub(1)).unwrap_or(MAX_DELAY_SECS);
        let delay = Duration::from_secs(doubled.min(MAX_DELAY_SECS));
        delay.saturating_sub(self.jitter.scale_duration(delay.checked_div(4).unwrap_or_default()))
    }

    /// Whether the delay after the last event has elapsed.
    pub(crate) fn is_ready(&self, now: Duration) -> bool {
        self.last.is_none_or(|last| now.saturating_sub(last) >= self.delay())
    }

    /// Records an event. The backoff restarts if more than twice the current delay has elapsed since the last
    /// event.
    pub(crate) fn record(&mut self, now: Duration, jitter: Fraction) {
        if self.last.is_some_and(|last| now.saturating_sub(last) >= self.delay().saturating_mul(2)) {
            self.consecutive = 0;
        }
        self.consecutive = self.consecutive.saturating_add(1).min(30);
        self.last = Some(now);
        self.jitter = jitter;
    }
}
