//! How many identities there is room for, and who leaves.

use super::*;

#[test]
fn what_was_cleared_is_fetched_anew() {
    let bench = Bench::new();
    bench.get(0, Some(3600));
    bench.cache.clear();
    assert!(bench.cache.peek(identity("me"), want(0), &bench.clock).is_none());
    assert_eq!(bench.get(0, Some(3600)).value(), c"token1");
}

#[test]
fn inserted_token_is_used_until_it_is_taken() {
    let bench = Bench::new();
    let inserted = Arc::new(token("inserted", Some(3600), &bench.clock));
    bench.cache.put(Arc::clone(&inserted));
    assert!(Arc::ptr_eq(&bench.get(0, Some(3600)), &inserted));
    assert!(Arc::ptr_eq(&bench.cache.take(identity("me")).unwrap(), &inserted));
    assert!(inserted.is_retired() && bench.cache.take(identity("me")).is_none());
    assert_eq!(bench.get(0, Some(3600)).value(), c"token0");
}

fn numbered(number: usize) -> Identity {
    Identity::of(&hmac::Key::new(hmac::HMAC_SHA256, b"test"), &number)
}

/// A cache that is full of tokens, each of which ends a second before the one before it.
fn full() -> Bench {
    let bench = Bench::new();
    for number in 0..MOST {
        let life = i64::try_from(MOST - number).unwrap() + 1000;
        let fetch = || Ok(token("t", Some(life), &bench.clock));
        bench.ask_as(numbered(number), fetch).unwrap();
    }
    bench
}

impl Bench {
    fn ask_as(&self, identity: Identity, fetch: impl FnOnce() -> Result<Token>) -> Result<Arc<Token>> {
        self.cache.get(identity, want(0), &self.clock, &CallContext::unbounded(), &Vec::new, once(fetch))
    }

    fn knows(&self, number: usize) -> bool {
        self.cache.entries.lock().contains_key(&numbered(number))
    }
}

#[test]
fn of_a_full_cache_the_one_longest_unused_leaves_unless_it_is_being_fetched() {
    let bench = full();
    bench.cache.entry(numbered(0)).lock().take_off();
    bench.cache.entry(numbered(MOST));
    assert!(bench.knows(0), "somebody waits for it");
    assert!(!bench.knows(1) && bench.knows(2) && bench.knows(MOST));
}

#[test]
fn who_is_known_to_a_full_cache_drives_nobody_out() {
    let bench = full();
    bench.cache.entry(numbered(MOST - 1));
    assert!(bench.knows(0));
}

#[test]
fn the_cache_does_not_grow_beyond_its_bound() {
    let bench = Bench::new();
    for number in 0..MOST + 10 {
        let fetch = || Ok(token("t", Some(3600), &bench.clock));
        bench.ask_as(numbered(number), fetch).unwrap();
    }
    assert_eq!(bench.cache.identities(), MOST);
    let stats: serde_json::Value = serde_json::from_str(&bench.cache.stats.to_json(&[], &[])).unwrap();
    assert_eq!(stats["authgrant_cache_evictions_total"], 10);
}

#[test]
fn one_who_asks_again_and_again_is_not_driven_out_by_many_who_ask_once() {
    let bench = Bench::new();
    bench.get(0, Some(3600));
    for number in 0..MOST + 10 {
        let fetch = || Ok(token("t", Some(300_000_000), &bench.clock));
        bench.ask_as(numbered(number), fetch).unwrap();
        if number % 1000 == 0 {
            bench.get(0, Some(3600));
        }
    }
    bench.get(0, Some(3600));
    assert_eq!(bench.fetches(), 1);
}
