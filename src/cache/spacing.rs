//! Time between things that happen in a row, so that nobody is stormed: 1, 2, 4 … 60 s.

use std::time::{Duration, Instant};

/// The longest time between two.
const LONGEST: u64 = 60;

/// How often a thing has happened in a row, and when last.
#[derive(Debug, Default)]
pub(super) struct Spacing {
    count: u32,
    last: Option<Instant>,
}

impl Spacing {
    /// How long the next one has to wait after the last one.
    pub(super) fn wait(&self) -> Duration {
        let doubled = 1_u64.checked_shl(self.count.saturating_sub(1)).unwrap_or(LONGEST);
        Duration::from_secs(doubled.min(LONGEST))
    }

    /// Whether the next one may happen.
    pub(super) fn is_over(&self, now: Instant) -> bool {
        self.last.is_none_or(|last| now.saturating_duration_since(last) >= self.wait())
    }

    /// It has happened. After twice the time that it had to wait it is the first one again.
    pub(super) fn happened(&mut self, now: Instant) {
        if self.last.is_some_and(|last| now.saturating_duration_since(last) >= self.wait().saturating_mul(2))
        {
            self.count = 0;
        }
        self.count = self.count.saturating_add(1).min(30);
        self.last = Some(now);
    }
}
