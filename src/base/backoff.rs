//! Exponential backoff with jitter: 1, 2, 4 … 60 s between consecutive events.

use std::time::Duration;

use crate::base::jitter::Fraction;

/// The longest delay, in seconds.
const MAX_DELAY_SECS: u64 = 60;

/// The delay after `count` consecutive events without jitter: 1, 2, 4 … 60 s; zero for no event.
pub(crate) fn delay_after(count: u32) -> Duration {
    let Some(doublings) = count.checked_sub(1) else { return Duration::ZERO };
    Duration::from_secs(1_u64.checked_shl(doublings).unwrap_or(MAX_DELAY_SECS).min(MAX_DELAY_SECS))
}

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
        let delay = delay_after(self.consecutive);
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn delay_doubles_up_to_a_minute() {
        let delays = [0, 1, 2, 6, 7, 64, 65, u32::MAX].map(|count| delay_after(count).as_secs());
        assert_eq!(delays, [0, 1, 2, 32, 60, 60, 60, 60]);
    }

    #[test]
    fn backoff_is_jittered_by_up_to_a_quarter() {
        let delays = |numerator| -> Vec<f64> {
            let mut backoff = Backoff::default();
            let mut delay = |second| {
                backoff.record(Duration::from_secs(second), Fraction::new(numerator));
                backoff.delay().as_secs_f64()
            };
            [0, 1, 3, 7, 15, 31, 63, 123].map(&mut delay).into_iter().collect()
        };
        assert_eq!(delays(0), [1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 60.0, 60.0]);
        assert_eq!(delays(1 << 15), [0.875, 1.75, 3.5, 7.0, 14.0, 28.0, 52.5, 52.5]);
    }

    #[test]
    fn backoff_resets_after_twice_its_delay() {
        let accepted = |seconds: &[u64]| -> Vec<bool> {
            let mut backoff = Backoff::default();
            let mut try_record = |now| {
                let ready = backoff.is_ready(now);
                if ready {
                    backoff.record(now, Fraction::default());
                }
                ready
            };
            seconds.iter().map(|second| try_record(Duration::from_secs(*second))).collect()
        };
        assert_eq!(accepted(&[0, 1, 4, 5]), [true, true, true, false], "the delay was 2 s, 3 s elapsed");
        assert_eq!(accepted(&[0, 1, 5, 6]), [true, true, true, true], "the delay was 2 s, 4 s elapsed");
    }
}
