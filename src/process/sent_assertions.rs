//! Configured client assertions that were sent, so that none is sent twice.

use parking_lot::Mutex;

use crate::base::bounded_map::BoundedMap;
use crate::base::cache_key::CacheKey;

/// The client assertions that this process has sent, by their digests. Thread-safe.
///
/// A server accepts an assertion once (`jti`, RFC 7523 section 3). The memory is bounded, because untrusted connection
/// strings may contain any number of assertions; a server refuses an assertion that is sent again because it was evicted.
pub struct SentAssertions(Mutex<BoundedMap<CacheKey, i64>>);

impl Default for SentAssertions {
    fn default() -> Self {
        Self(Mutex::new(BoundedMap::with_capacity(Self::MAX_ASSERTIONS)))
    }
}

impl SentAssertions {
    const MAX_ASSERTIONS: usize = 10_000;

    /// The time in seconds for which an assertion is remembered that expires later or never.
    const MAX_MEMORY_SECS: i64 = 86_400;

    /// Adds an assertion that is about to be sent. Returns whether it was absent. `expires_at` and `now` are in seconds
    /// since 1970.
    pub fn insert(&self, assertion: CacheKey, expires_at: Option<i64>, now: i64) -> bool {
        let latest = now.saturating_add(Self::MAX_MEMORY_SECS);
        let until = expires_at.map_or(latest, |expires_at| expires_at.min(latest));
        let mut sent = self.0.lock();
        let is_absent = sent.get(&assertion).is_none_or(|until| *until <= now);
        if is_absent {
            sent.insert(assertion, until);
        }
        is_absent
    }

    /// Removes an assertion that no server has processed.
    pub fn remove(&self, assertion: &CacheKey) {
        self.0.lock().remove(assertion);
    }
}

#[cfg(test)]
mod tests {
    use aws_lc_rs::hmac;

    use super::*;

    const NOW: i64 = 1_000_000;

    fn digest(number: usize) -> CacheKey {
        CacheKey::digest(&hmac::Key::new(hmac::HMAC_SHA256, &[0; 32]), &number)
    }

    #[test]
    fn sent_assertion_is_remembered_until_expiry() {
        let sent = SentAssertions::default();
        assert!(sent.insert(digest(1), Some(NOW + 60), NOW) && sent.insert(digest(2), Some(NOW + 60), NOW));
        assert!(!sent.insert(digest(1), Some(NOW + 60), NOW + 59));
        assert!(sent.insert(digest(1), Some(NOW + 60), NOW + 60));
    }

    #[test]
    fn memory_of_sent_assertion_is_limited() {
        let sent = SentAssertions::default();
        for expires_at in [None, Some(i64::MAX)] {
            assert!(sent.insert(digest(1), expires_at, NOW));
            assert!(!sent.insert(digest(1), expires_at, NOW + SentAssertions::MAX_MEMORY_SECS - 1));
            assert!(sent.insert(digest(1), expires_at, NOW + SentAssertions::MAX_MEMORY_SECS));
            sent.remove(&digest(1));
        }
    }

    #[test]
    fn sent_assertions_are_bounded() {
        let sent = SentAssertions::default();
        for number in 0..=SentAssertions::MAX_ASSERTIONS {
            assert!(sent.insert(digest(number), None, NOW));
        }
        assert!(!sent.insert(digest(1), None, NOW), "only the oldest is evicted");
        assert!(sent.insert(digest(0), None, NOW));
    }
}
