//! Jitter: random fractions of a delay, so that many clients do not send requests to a server at the same
//! moment.

use std::time::Duration;

use crate::base::cache_key::CacheKey;
use crate::sys;

/// A fraction in the range 0 ≤ x < 1, in steps of 1/65,536.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Fraction(u16);

impl Fraction {
    /// `numerator` / 65,536.
    #[must_use]
    pub const fn new(numerator: u16) -> Self {
        Self(numerator)
    }

    /// This fraction of `whole`, rounded down to nanoseconds.
    #[must_use]
    pub fn scale_duration(self, whole: Duration) -> Duration {
        let nanos = whole.as_nanos().saturating_mul(u128::from(self.0)) >> u16::BITS;
        Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
    }

    /// This fraction of `whole` seconds, rounded down.
    #[must_use]
    pub fn scale_seconds(self, whole: i64) -> i64 {
        i64::try_from(i128::from(whole).saturating_mul(i128::from(self.0)) >> u16::BITS).unwrap_or(whole)
    }
}

/// A source of fractions. Tests can pin its value.
#[derive(Clone, Copy, Debug, Default)]
pub struct Jitter {
    pinned: Option<Fraction>,
}

impl Jitter {
    /// A source that always returns `fraction`.
    #[must_use]
    pub const fn pinned(fraction: Fraction) -> Self {
        Self { pinned: Some(fraction) }
    }

    /// A new random fraction for each call.
    #[must_use]
    pub fn sample(&self) -> Fraction {
        self.pinned.unwrap_or_else(|| {
            let mut bytes = [0; 2];
            // If the random generator fails, all clients wait equally long, which is harmless.
            let _ = sys::fill_random(&mut bytes);
            Fraction(u16::from_ne_bytes(bytes))
        })
    }

    /// A fraction that is constant for `key` within a process and differs between processes, because a cache
    /// key is a digest under a process-specific HMAC key.
    #[must_use]
    pub fn for_key(&self, key: &CacheKey) -> Fraction {
        self.pinned.unwrap_or_else(|| Fraction(key.leading_bits()))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use aws_lc_rs::hmac;

    use super::*;

    #[test]
    fn scaled_duration_stays_below_whole() {
        let whole = Duration::from_secs(60);
        assert_eq!(Fraction::new(0).scale_duration(whole), Duration::ZERO);
        assert_eq!(Fraction::new(1 << 15).scale_duration(whole), Duration::from_secs(30));
        let largest = Fraction::new(u16::MAX).scale_duration(whole);
        assert!(largest < whole && largest > Duration::from_millis(59_990), "{largest:?}");
        assert!(Fraction::new(u16::MAX).scale_duration(Duration::MAX) < Duration::MAX);
    }

    #[test]
    fn scaled_seconds_are_rounded_down() {
        let of_60_seconds = |numerator| Fraction::new(numerator).scale_seconds(60);
        assert_eq!([0, 1 << 14, 1 << 15, u16::MAX].map(of_60_seconds), [0, 15, 30, 59]);
        assert_eq!(Fraction::new(u16::MAX).scale_seconds(0), 0);
        assert!(Fraction::new(u16::MAX).scale_seconds(i64::MAX) > i64::MAX / 2);
    }

    #[test]
    fn random_jitter_differs_between_calls() {
        let samples: BTreeSet<u16> = (0..100).map(|_| Jitter::default().sample().0).collect();
        assert!(samples.len() > 50, "{samples:?}");
        let bits = samples.iter().fold((0, u16::MAX), |(or, and), sample| (or | sample, and & sample));
        assert_eq!(bits, (u16::MAX, 0), "each bit is random");
    }

    #[test]
    fn jitter_for_key_is_stable_per_process() {
        let fraction = |process: &[u8], subject: u32| {
            let key = CacheKey::digest(&hmac::Key::new(hmac::HMAC_SHA256, process), &subject);
            Jitter::default().for_key(&key).0
        };
        assert_eq!(fraction(b"one", 1), fraction(b"one", 1));
        let keys: BTreeSet<u16> = (0..100).map(|subject| fraction(b"one", subject)).collect();
        let processes: BTreeSet<u16> = (0..100_u8).map(|process| fraction(&[process], 1)).collect();
        assert!(keys.len() > 90 && processes.len() > 90, "{keys:?} {processes:?}");
    }

    #[test]
    fn pinned_jitter_is_constant() {
        let jitter = Jitter::pinned(Fraction::new(7));
        let key = CacheKey::digest(&hmac::Key::new(hmac::HMAC_SHA256, b"test"), &1);
        assert_eq!((jitter.sample(), jitter.for_key(&key)), (Fraction::new(7), Fraction::new(7)));
    }
}
