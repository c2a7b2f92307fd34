//! How many identities there is room for, and who leaves.

use super::*;

#[test]
fn cleared_token_is_fetched_again() {
    let bench = CacheFixture::new();
    bench.get(0, Some(3600));
    bench.cache.clear();
    assert!(bench.cache.peek(cache_key("me"), requirements(0), &bench.clock).is_none());
    assert_eq!(bench.get(0, Some(3600)).value(), c"token1");
}

#[test]
fn inserted_token_is_used_until_removed() {
    let bench = CacheFixture::new();
    let inserted = Arc::new(token("inserted", Some(3600), &bench.clock));
    bench.cache.insert(Arc::clone(&inserted));
    assert!(Arc::ptr_eq(&bench.get(0, Some(3600)), &inserted));
    assert!(Arc::ptr_eq(&bench.cache.remove(cache_key("me")).unwrap(), &inserted));
    assert!(inserted.is_invalidated() && bench.cache.remove(cache_key("me")).is_none());
    assert_eq!(bench.get(0, Some(3600)).value(), c"token0");
}

fn numbered_key(number: usize) -> CacheKey {
    CacheKey::digest(&hmac::Key::new(hmac::HMAC_SHA256, b"test"), &number)
}

/// A cache that is full of tokens, each of which ends a second before the one before it.
fn full_cache() -> CacheFixture {
    let bench = CacheFixture::new();
    for number in 0..MAX_ENTRIES {
        let life = i64::try_from(MAX_ENTRIES - number).unwrap() + 1000;
        let fetch = || Ok(token("t", Some(life), &bench.clock));
        bench.get_with_key(numbered_key(number), fetch).unwrap();
    }
    bench
}

impl CacheFixture {
    fn get_with_key(
        &self,
        identity: CacheKey,
        fetch: impl FnOnce() -> Result<AccessToken>,
    ) -> Result<Arc<AccessToken>> {
        self.cache.get(
            identity,
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
    let bench = full_cache();
    bench.cache.entry(numbered_key(0)).lock().start_flight();
    bench.cache.entry(numbered_key(MAX_ENTRIES));
    assert!(bench.has_entry(0), "somebody waits for it");
    assert!(!bench.has_entry(1) && bench.has_entry(2) && bench.has_entry(MAX_ENTRIES));
}

#[test]
fn known_key_in_full_cache_evicts_nothing() {
    let bench = full_cache();
    bench.cache.entry(numbered_key(MAX_ENTRIES - 1));
    assert!(bench.has_entry(0));
}

#[test]
fn cache_size_is_bounded() {
    let bench = CacheFixture::new();
    for number in 0..MAX_ENTRIES + 10 {
        let fetch = || Ok(token("t", Some(3600), &bench.clock));
        bench.get_with_key(numbered_key(number), fetch).unwrap();
    }
    assert_eq!(bench.cache.entry_count(), MAX_ENTRIES);
    let stats: serde_json::Value = serde_json::from_str(&bench.cache.stats.to_json(&[], &[])).unwrap();
    assert_eq!(stats["authgrant_cache_evictions_total"], 10);
}

#[test]
fn lru_keeps_frequently_used_entry() {
    let bench = CacheFixture::new();
    bench.get(0, Some(3600));
    for number in 0..MAX_ENTRIES + 10 {
        let fetch = || Ok(token("t", Some(300_000_000), &bench.clock));
        bench.get_with_key(numbered_key(number), fetch).unwrap();
        if number % 1000 == 0 {
            bench.get(0, Some(3600));
        }
    }
    bench.get(0, Some(3600));
    assert_eq!(bench.fetches(), 1);
}
