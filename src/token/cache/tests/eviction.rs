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
    CacheKey::digest(&hmac::Key::new(hmac::HMAC_SHA256, b"test"), &number)
}

/// A full cache, in which each token expires one second before the previous one.
fn full_cache() -> CacheFixture {
    let fixture = CacheFixture::new();
    for number in 0..MAX_ENTRIES {
        let lifetime = i64::try_from(MAX_ENTRIES - number).unwrap() + 1000;
        let fetch = || Ok(token("t", Some(lifetime), &fixture.clock));
        fixture.get_with_key(numbered_key(number), fetch).unwrap();
    }
    fixture
}

impl CacheFixture {
    fn get_with_key(
        &self,
        key: CacheKey,
        fetch: impl FnOnce() -> Result<AccessToken>,
    ) -> Result<Arc<AccessToken>> {
        self.cache.get(
            key,
            requirements(0),
            &self.clock,
            &CallContext::unbounded(),
            &Vec::new,
            single_fetch(fetch),
        )
    }

    fn has_entry(&self, number: usize) -> bool {
        self.cache.entries.lock().contains_key(&numbered_key(number))
    }
}

#[test]
fn lru_evicts_oldest_entry_without_flight() {
    let fixture = full_cache();
    // Not by `entry`, which would make it the most recently used one.
    fixture.cache.entries.lock()[&numbered_key(0)].lock().start_flight();
    fixture.cache.entry(numbered_key(MAX_ENTRIES));
    assert!(fixture.has_entry(0), "an entry with a flight is not evicted");
    assert!(!fixture.has_entry(1) && fixture.has_entry(2) && fixture.has_entry(MAX_ENTRIES));
}

#[test]
fn known_key_in_full_cache_evicts_nothing() {
    let fixture = full_cache();
    fixture.cache.entry(numbered_key(MAX_ENTRIES - 1));
    assert!(fixture.has_entry(0));
}

#[test]
fn cache_size_is_bounded() {
    let fixture = CacheFixture::new();
    for number in 0..MAX_ENTRIES + 10 {
        let fetch = || Ok(token("t", Some(3600), &fixture.clock));
        fixture.get_with_key(numbered_key(number), fetch).unwrap();
    }
    assert_eq!(fixture.cache.entry_count(), MAX_ENTRIES);
    let stats: serde_json::Value = serde_json::from_str(&fixture.cache.stats.to_json(&[], &[])).unwrap();
    assert_eq!(stats["authgrant_cache_evictions_total"], 10);
}

#[test]
fn lru_keeps_frequently_used_entry() {
    let fixture = CacheFixture::new();
    fixture.get(0, Some(3600));
    for number in 0..MAX_ENTRIES + 10 {
        let fetch = || Ok(token("t", Some(300_000_000), &fixture.clock));
        fixture.get_with_key(numbered_key(number), fetch).unwrap();
        if number % 1000 == 0 {
            fixture.get(0, Some(3600));
        }
    }
    fixture.get(0, Some(3600));
    assert_eq!(fixture.fetches(), 1);
}
