//! How long a token is handed out, and what happens towards its end.

use super::*;
use crate::token::cache::freshness::{Freshness, freshness};

#[test]
fn token_is_cached_until_refresh_margin() {
    let bench = CacheFixture::new();
    bench.get(0, Some(3600));
    bench.clock.advance(3600 - 61);
    bench.get(0, Some(3600));
    assert_eq!(bench.fetches(), 1);
    bench.clock.advance(1);
    bench.get(0, Some(3600));
    assert_eq!(bench.fetches(), 2);
}

#[test]
fn short_token_is_cached_for_nine_tenths() {
    let bench = CacheFixture::new();
    bench.get(0, Some(100));
    bench.clock.advance(89);
    bench.get(0, Some(100));
    assert_eq!(bench.fetches(), 1);
    bench.clock.advance(1);
    bench.get(0, Some(100));
    assert_eq!(bench.fetches(), 2);
}

#[test]
fn token_without_expiry_lasts_five_minutes() {
    let bench = CacheFixture::new();
    bench.get(0, None);
    bench.clock.advance(269);
    bench.get(0, None);
    assert_eq!(bench.fetches(), 1);
    bench.clock.advance(1);
    bench.get(0, None);
    assert_eq!(bench.fetches(), 2);
}

#[test]
fn min_remaining_is_capped_by_token_lifetime() {
    let bench = CacheFixture::new();
    bench.get(0, Some(3600));
    bench.get(3000, Some(3600));
    assert_eq!(bench.fetches(), 1);
    bench.clock.advance(601);
    bench.get(3000, Some(3600));
    assert_eq!(bench.fetches(), 2, "2999 s are left, and 3000 were asked for");
    bench.get(1_000_000, Some(3600));
    assert_eq!(bench.fetches(), 2, "no token has that long a life: a fresh one must do");
}

#[test]
fn insert_if_absent_keeps_first_token() {
    let bench = CacheFixture::new();
    let seed =
        |value, life| bench.cache.insert_if_absent(cache_key("me"), token(value, Some(life), &bench.clock));
    seed("first", 3600);
    seed("second", 3600);
    let get = |min_life| {
        let fetch = || Ok(token("fetched", Some(7200), &bench.clock));
        bench.get_with(requirements(min_life), fetch).unwrap()
    };
    assert_eq!(get(0).value(), c"first");
    bench.clock.advance(3550);
    assert_eq!(get(0).value(), c"fetched");
}

#[test]
fn peek_respects_min_remaining() {
    let bench = CacheFixture::new();
    assert!(bench.cache.peek(cache_key("me"), requirements(0), &bench.clock).is_none());
    bench.get(0, Some(3600));
    bench.clock.advance(600);
    assert!(bench.cache.peek(cache_key("me"), requirements(2999), &bench.clock).is_some());
    assert!(bench.cache.peek(cache_key("me"), requirements(3000), &bench.clock).is_none());
}

#[test]
fn wall_clock_change_does_not_prolong_token() {
    let bench = CacheFixture::new();
    let fetches = || {
        bench.get(0, Some(3600));
        bench.fetches()
    };
    assert_eq!(fetches(), 1);
    bench.clock.advance(3000);
    bench.clock.adjust_wall_clock(-3000);
    assert_eq!(fetches(), 1, "600 s are left");
    bench.clock.advance(600);
    assert_eq!(fetches(), 2, "the wall clock says 600 s, and the token is an hour old");
    bench.clock.adjust_wall_clock(7000);
    assert_eq!(fetches(), 3, "a laptop that slept through the token's life");
}

#[test]
fn failed_early_refresh_returns_current_token() {
    let bench = CacheFixture::new();
    let first = bench.get(0, Some(3600));
    bench.clock.advance(3600 - 60);
    for status in [Status::Network, Status::Denied] {
        let failing = failing_fetch(oauth_error(status, "invalid_grant"));
        let before = bench.fetches();
        assert!(Arc::ptr_eq(&failing(&bench, requirements(0)).unwrap(), &first));
        assert!(Arc::ptr_eq(&failing(&bench, requirements(0)).unwrap(), &first));
        assert_eq!(bench.fetches(), before + 1, "one try, and then a pause");
        bench.clock.advance(10);
    }
    bench.clock.advance(39);
    assert!(
        Arc::ptr_eq(
            &failing_fetch(error_with_status(Status::Network))(&bench, requirements(0)).unwrap(),
            &first
        ),
        "1 s is left"
    );
    bench.clock.advance(1);
    failing_fetch(error_with_status(Status::Network))(&bench, requirements(0)).unwrap_err();
}

#[test]
fn early_refresh_does_not_block_other_callers() {
    let bench = CacheFixture::new();
    let first = bench.get(0, Some(3600));
    bench.clock.advance(3600 - 60);
    let fetch = || {
        let other = bench.get(0, Some(3600));
        assert!(Arc::ptr_eq(&other, &first), "nobody waits for a renewal");
        Ok(token("next", Some(3600), &bench.clock))
    };
    let renewed = bench.get_with(requirements(0), fetch).unwrap();
    assert_eq!(renewed.value(), c"next");
    assert!(first.is_invalidated() && bench.fetches() == 1);
}

#[test]
fn refresh_margin_applies_per_caller() {
    let bench = CacheFixture::new();
    let first = bench.get(0, Some(3600));
    bench.clock.advance(3000);
    let get = |margin| {
        let fetch = || {
            bench.fetches.fetch_add(1, Ordering::SeqCst);
            Ok(token("next", Some(3600), &bench.clock))
        };
        let want = Requirements { refresh_margin: Some(margin), ..Requirements::default() };
        bench.get_with(want, fetch).unwrap()
    };
    assert!(Arc::ptr_eq(&get(599), &first));
    assert_eq!((get(601).value(), bench.fetches()), (c"next", 2));
    get(86_400);
    assert_eq!(bench.fetches(), 2, "a margin longer than a life does not make each call renew");
}

/// A token of 10 s with 4 s left, whose renewal takes `takes` s and fails; what a caller has who needs `least` s of it.
fn get_with_failing_refresh(takes: i64, least: i64, error: Error) -> Result<Arc<AccessToken>> {
    let bench = CacheFixture::new();
    let margin = |min_life| Requirements {
        refresh_margin: Some(5),
        min_remaining: min_life,
        ..Requirements::default()
    };
    let first = bench.get_with(margin(0), || Ok(token("first", Some(10), &bench.clock))).unwrap();
    bench.clock.advance(6);
    let fetch = || {
        bench.clock.advance(takes);
        Err(error)
    };
    let outcome = bench.get_with(margin(least), fetch);
    assert!(outcome.as_ref().map_or(true, |token| Arc::ptr_eq(token, &first)));
    outcome
}

#[test]
fn token_expired_during_failed_refresh_is_withheld() {
    for status in [Status::Network, Status::Server, Status::Denied] {
        for from_server in [true, false] {
            let error = || {
                if from_server {
                    error_with_status(status).caused_by_server()
                } else {
                    error_with_status(status)
                }
            };
            assert!(get_with_failing_refresh(3, 0, error()).is_ok(), "1 s is left");
            for late in [4, 8, 60] {
                let failed = get_with_failing_refresh(late, 0, error()).unwrap_err();
                assert_eq!(failed.status(), status, "{late}");
            }
        }
    }
}

#[test]
fn failed_refresh_respects_min_remaining() {
    assert!(get_with_failing_refresh(0, 3, error_with_status(Status::Network)).is_ok(), "4 s are left");
    assert!(
        get_with_failing_refresh(1, 3, error_with_status(Status::Network)).is_err(),
        "3 s are left, and more were asked for"
    );
}

#[test]
fn token_rejected_during_failed_refresh_is_withheld() {
    let bench = CacheFixture::new();
    let first = bench.get(0, Some(3600));
    bench.clock.advance(3600 - 60);
    let fetch = || {
        bench.cache.reject(&first, &bench.clock);
        Err(error_with_status(Status::Network))
    };
    assert_eq!(bench.get_with(requirements(0), fetch).unwrap_err().status(), Status::Network);
}

#[test]
fn timed_out_refresh_retries_with_call_deadline() {
    let bench = CacheFixture::new();
    bench.get(0, Some(10));
    bench.clock.advance(9);
    let call = CallContext::with_timeout(Duration::from_secs(60), "a test");
    let mut kinds = Vec::new();
    let fetch = |kind| {
        kinds.push(kind);
        bench.clock.advance(2);
        match kind {
            FetchKind::EarlyRefresh => Err(error_with_status(Status::Timeout).caused_by_server()),
            _ => Ok(token("next", Some(10), &bench.clock)),
        }
    };
    let want = Requirements { refresh_timeout: Duration::from_secs(2), ..Requirements::default() };
    let next = bench.cache.get(cache_key("me"), want, &bench.clock, &call, &Vec::new, fetch).unwrap();
    assert_eq!(next.value(), c"next");
    assert_eq!(kinds, [FetchKind::EarlyRefresh, FetchKind::Needed]);
}

#[test]
fn failed_early_refreshes_back_off() {
    let bench = CacheFixture::new();
    bench.get(0, Some(36_000));
    bench.clock.advance(36_000 - 60);
    let mut renewed = Vec::new();
    for second in 0..60 {
        let fetch = || {
            renewed.push(second);
            Err(error_with_status(Status::Timeout).caused_by_server())
        };
        assert_eq!(bench.get_with(requirements(0), fetch).unwrap().value(), c"token0");
        bench.clock.advance(1);
    }
    assert_eq!(renewed, [0, 1, 3, 7, 15, 31]);
}

#[test]
fn jitter_advances_refresh_by_bounded_time() {
    let renewed_after = |lifetime: i64, margin, numerator| {
        let clock = CacheTestClock::new();
        let token = token("t", Some(lifetime), &clock);
        let want = Requirements {
            refresh_margin: margin,
            refresh_jitter: Fraction::new(numerator),
            ..Requirements::default()
        };
        let at = refresh_at(&token, want).unwrap() - clock.unix_seconds();
        assert_eq!(fresh_until(&token, want) - clock.unix_seconds(), at);
        assert_eq!(freshness(&token, want, Now::from_clock(&clock)), Freshness::Fresh);
        clock.advance(at - 1);
        assert_eq!(freshness(&token, want, Now::from_clock(&clock)), Freshness::Fresh);
        clock.advance(1);
        assert_eq!(freshness(&token, want, Now::from_clock(&clock)), Freshness::RefreshDue);
        at
    };
    let half = 1 << 15;
    assert_eq!([0, half, u16::MAX].map(|n| renewed_after(36_000, None, n)), [35_940, 35_910, 35_881]);
    assert_eq!([0, half, u16::MAX].map(|n| renewed_after(100, None, n)), [90, 85, 81]);
    assert_eq!([0, half].map(|n| renewed_after(36_000, Some(300), n)), [35_700, 35_670]);
    assert_eq!(renewed_after(100, Some(95), u16::MAX), 10, "nine tenths at most");
    let never = Requirements {
        refresh_margin: Some(0),
        refresh_jitter: Fraction::new(half),
        ..Requirements::default()
    };
    assert_eq!(fresh_until(&token("t", Some(100), &CacheTestClock::new()), never), 1_000_100);
    assert_eq!(refresh_at(&token("t", None, &CacheTestClock::new()), Requirements::default()), None);
}
