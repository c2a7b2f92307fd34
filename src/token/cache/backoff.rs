//! Exponential backoff: 1, 2, 4 … 60 s between things that happen in a row.

use std::time::Duration;

use crate::base::jitter::Fraction;

/// The longest delay, in seconds.
const MAX_DELAY_SECS: u64 = 60;

/// How often a thing has happened in a row, and when last.
#[derive(Debug, Default)]
pub(crate) struct Backoff {
    consecutive: u32,
    last: Option<Duration>,
    jitter: Fraction,
}

impl Backoff {
    /// How long the next one has to wait after the last one: jitter takes away up to a quarter.
    pub(crate) fn delay(&self) -> Duration {
        let doubled = 1_u64.checked_shl(self.consecutive.saturating_sub(1)).unwrap_or(MAX_DELAY_SECS);
        let delay = Duration::from_secs(doubled.min(MAX_DELAY_SECS));
        delay.saturating_sub(self.jitter.scale_duration(delay.checked_div(4).unwrap_or_default()))
    }

    /// Whether the next one may happen.
    pub(crate) fn is_ready(&self, now: Duration) -> bool {
        self.last.is_none_or(|last| now.saturating_sub(last) >= self.delay())
    }

    /// It has happened. After twice its delay without another it is the first one again.
    pub(crate) fn record(&mut self, now: Duration, jitter: Fraction) {
        if self.last.is_some_and(|last| now.saturating_sub(last) >= self.delay().saturating_mul(2)) {
            self.consecutive = 0;
        }
        self.consecutive = self.consecutive.saturating_add(1).min(30);
        self.last = Some(now);
        self.jitter = jitter;
    }
}
