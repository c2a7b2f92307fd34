//! Tests of removal, and of the bounded cache size with LRU eviction.

use super::*;

#[test]
fn cleared_token_is_fetched_again() {
    let fixture = CacheFixture::new();
    fixture.get(0, Some(3600));
    fixture.cache.clear();
    assert!(fixture.cache.peek(cache_key("me"), requirements(0), &fixture.clock).is_none());
    assert_eq!(fixture.get(0, Some(3600)).value(), c"token1");
}

#[test]
fn inserted_token_is_used_until_removed() {
    let fixture = CacheFixture::new();
    let inserted = Arc::new(token("inserted", Some(3600), &fixture.clock));
    fixture.cache.insert(Arc::clone(&inserted));
    assert!(Arc::ptr_eq(&fixture.get(0, Some(3600)), &inserted));
    assert!(Arc::ptr_eq(&fixture.cache.remove(cache_key("me")).unwrap(), &inserted));
    assert!(inserted.is_invalidated() && fixture.cache.remove(cache_key("me")).is_none());
    assert_eq!(fixture.get(0, Some(3600)).value(), c"token0");
}

fn numbered_key(number: usize) -> CacheKey {
    cache_key(&number.to_string())
}

impl CacheFixture {
    fn get_with_key(
        &self,
        key: CacheKey,
        fetch: impl FnOnce() -> Result<AccessToken>,
    ) -> Result<Arc<AccessToken>> {
        self.cache.get(
            &self.cache.lease(key),
            requirements(0),
            &self.clock,
            &CallContext::unbounded(),
            &Vec::new,
            single_fetch(fetch),
        )
    }

    /// Obtains tokens for these keys, each of which expires one second before the previous one.
    fn obtain_tokens(&self, numbers: std::ops::Range<usize>) {
        for number in numbers {
            let lifetime = 300_000_000 - i64::try_from(number).unwrap();
            let fetch = || Ok(token("t", Some(lifetime), &self.clock));
            self.get_with_key(numbered_key(number), fetch).unwrap();
        }
    }

    /// Fails to obtain tokens for these keys.
    fn fail(&self, numbers: std::ops::Range<usize>) {
        for number in numbers {
            let fetch = || Err(error_of_kind(OAuthReason::Denied).with_cause(Cause::Server));
            self.get_with_key(numbered_key(number), fetch).unwrap_err();
        }
    }

    fn has_token(&self, number: usize) -> bool {
        self.cache.peek(numbered_key(number), requirements(0), &self.clock).is_some()
    }
}

#[test]
fn full_cache_evicts_least_recently_used_token() {
    let fixture = CacheFixture::new();
    fixture.obtain_tokens(0..MAX_TOKENS);
    assert!(fixture.has_token(0), "it is the most recently used one now");
    fixture.obtain_tokens(MAX_TOKENS..MAX_TOKENS + 1);
    assert!(!fixture.has_token(1) && fixture.has_token(2) && fixture.has_token(0));
    assert!(fixture.has_token(MAX_TOKENS));
    fixture.obtain_tokens(MAX_TOKENS + 1..MAX_TOKENS + 10);
    assert_eq!(fixture.cache.entry_count(), MAX_TOKENS);
    let stats: serde_json::Value = serde_json::from_str(&fixture.cache.stats.to_json(&[], &[])).unwrap();
    assert_eq!(stats["authgrant_cache_evictions_total"], 10);
}

#[test]
fn leased_tokens_are_not_evicted() {
    let fixture = CacheFixture::new();
    let count = 2 * MAX_TOKENS;
    let mut leases: Vec<_> = (0..count).map(|number| fixture.cache.lease(numbered_key(number))).collect();
    fixture.obtain_tokens(0..count);
    fixture.obtain_tokens(count..count + 10);
    assert!((0..count).all(|number| fixture.has_token(number)));
    // The last uses are those of the assertion above.
    leases.drain(..MAX_TOKENS);
    fixture.obtain_tokens(count + 10..count + 20);
    assert!((MAX_TOKENS..count).all(|number| fixture.has_token(number)));
    drop(leases);
    assert_eq!(fixture.cache.entry_count(), MAX_TOKENS);
}

#[test]
fn failed_requests_evict_no_token() {
    let fixture = CacheFixture::new();
    fixture.obtain_tokens(0..MAX_TOKENS);
    fixture.fail(MAX_TOKENS..3 * MAX_TOKENS);
    assert!((0..MAX_TOKENS).all(|number| fixture.has_token(number)));
    assert_eq!(fixture.cache.entry_count(), MAX_TOKENS + 1000);
}

#[test]
fn error_stays_cached_when_lease_ends() {
    let fixture = CacheFixture::new();
    let lease = fixture.cache.lease(numbered_key(0));
    // More entries without a token than the limit.
    fixture.fail(0..1100);
    drop(lease);
    let cached = fixture.get_with_key(numbered_key(0), || panic!("the error is cached"));
    assert!(matches!(cached.unwrap_err().cause(), Cause::NegativeCache { .. }));
    fixture.fail(1100..2200);
    assert_eq!(fixture.cache.entry_count(), 1000);
}

#[test]
fn entry_with_flight_is_not_evicted() {
    let fixture = CacheFixture::new();
    let obtained = fixture.get_with_key(numbered_key(0), || {
        fixture.fail(1..2 * MAX_TOKENS);
        Ok(token("t", Some(3600), &fixture.clock))
    });
    obtained.unwrap();
    assert!(fixture.has_token(0));
}

#[test]
fn entry_removed_during_fetch_is_not_reinserted() {
    let fixture = CacheFixture::new();
    let obtained = fixture.get_with_key(numbered_key(0), || {
        fixture.cache.clear();
        Ok(token("t", Some(3600), &fixture.clock))
    });
    obtained.unwrap();
    assert_eq!(fixture.cache.entry_count(), 0);
}
