//! Tests of token lifetimes and of the early refresh.

use super::*;
use crate::token::cache::freshness::{Freshness, freshness};

#[test]
fn token_is_cached_until_refresh_margin() {
    let fixture = CacheFixture::new();
    fixture.get(0, Some(3600));
    fixture.clock.advance(3600 - 61);
    fixture.get(0, Some(3600));
    assert_eq!(fixture.fetches(), 1);
    fixture.clock.advance(1);
    fixture.get(0, Some(3600));
    assert_eq!(fixture.fetches(), 2);
}

#[test]
fn short_token_is_cached_for_nine_tenths() {
    let fixture = CacheFixture::new();
    fixture.get(0, Some(100));
    fixture.clock.advance(89);
    fixture.get(0, Some(100));
    assert_eq!(fixture.fetches(), 1);
    fixture.clock.advance(1);
    fixture.get(0, Some(100));
    assert_eq!(fixture.fetches(), 2);
}

#[test]
fn token_without_expiry_lasts_five_minutes() {
    let fixture = CacheFixture::new();
    fixture.get(0, None);
    fixture.clock.advance(269);
    fixture.get(0, None);
    assert_eq!(fixture.fetches(), 1);
    fixture.clock.advance(1);
    fixture.get(0, None);
    assert_eq!(fixture.fetches(), 2);
}

#[test]
fn min_remaining_is_capped_by_token_lifetime() {
    let fixture = CacheFixture::new();
    fixture.get(0, Some(3600));
    fixture.get(3000, Some(3600));
    assert_eq!(fixture.fetches(), 1);
    fixture.clock.advance(601);
    fixture.get(3000, Some(3600));
    assert_eq!(fixture.fetches(), 2, "2999 s remain, 3000 s are required");
    fixture.get(1_000_000, Some(3600));
    assert_eq!(fixture.fetches(), 2, "the requirement is capped, so a fresh token satisfies it");
}

#[test]
fn insert_if_absent_keeps_first_token() {
    let fixture = CacheFixture::new();
    let seed = |value, lifetime| {
        fixture.cache.insert_if_absent(cache_key("me"), token(value, Some(lifetime), &fixture.clock))
    };
    seed("first", 3600);
    seed("second", 3600);
    let get = |min_remaining| {
        let fetch = || Ok(token("fetched", Some(7200), &fixture.clock));
        fixture.get_with(requirements(min_remaining), fetch).unwrap()
    };
    assert_eq!(get(0).value(), c"first");
    fixture.clock.advance(3550);
    assert_eq!(get(0).value(), c"fetched");
}

#[test]
fn peek_respects_min_remaining() {
    let fixture = CacheFixture::new();
    assert!(fixture.cache.peek(cache_key("me"), requirements(0), &fixture.clock).is_none());
    fixture.get(0, Some(3600));
    fixture.clock.advance(600);
    assert!(fixture.cache.peek(cache_key("me"), requirements(2999), &fixture.clock).is_some());
    assert!(fixture.cache.peek(cache_key("me"), requirements(3000), &fixture.clock).is_none());
}

#[test]
fn wall_clock_change_does_not_prolong_token() {
    let fixture = CacheFixture::new();
    let fetches = || {
        fixture.get(0, Some(3600));
        fixture.fetches()
    };
    assert_eq!(fetches(), 1);
    fixture.clock.advance(3000);
    fixture.clock.adjust_wall_clock(-3000);
    assert_eq!(fetches(), 1, "600 s remain");
    fixture.clock.advance(600);
    assert_eq!(fetches(), 2, "600 s remain by the wall clock, but the token is an hour old");
    fixture.clock.adjust_wall_clock(7000);
    assert_eq!(fetches(), 3, "the wall clock is past the expiry, as after a suspend");
}

#[test]
fn failed_early_refresh_returns_current_token() {
    let fixture = CacheFixture::new();
    let first = fixture.get(0, Some(3600));
    fixture.clock.advance(3600 - 60);
    for reason in [OAuthReason::Server, OAuthReason::Denied] {
        let failing = failing_fetch(oauth_error(reason, "invalid_grant"));
        let before = fixture.fetches();
        assert!(Arc::ptr_eq(&failing(&fixture, requirements(0)).unwrap(), &first));
        assert!(Arc::ptr_eq(&failing(&fixture, requirements(0)).unwrap(), &first));
        assert_eq!(fixture.fetches(), before + 1, "one attempt, then backoff");
        fixture.clock.advance(10);
    }
    fixture.clock.advance(39);
    assert!(
        Arc::ptr_eq(
            &failing_fetch(error_of_kind(NetworkError::Connection))(&fixture, requirements(0)).unwrap(),
            &first
        ),
        "1 s remains"
    );
    fixture.clock.advance(1);
    failing_fetch(error_of_kind(NetworkError::Connection))(&fixture, requirements(0)).unwrap_err();
}

#[test]
fn early_refresh_does_not_block_other_callers() {
    let fixture = CacheFixture::new();
    let first = fixture.get(0, Some(3600));
    fixture.clock.advance(3600 - 60);
    let fetch = || {
        let other = fixture.get(0, Some(3600));
        assert!(Arc::ptr_eq(&other, &first), "other callers do not wait for an early refresh");
        Ok(token("next", Some(3600), &fixture.clock))
    };
    let refreshed = fixture.get_with(requirements(0), fetch).unwrap();
    assert_eq!(refreshed.value(), c"next");
    assert!(first.is_invalidated() && fixture.fetches() == 1);
}

#[test]
fn refresh_margin_applies_per_caller() {
    let fixture = CacheFixture::new();
    let first = fixture.get(0, Some(3600));
    fixture.clock.advance(3000);
    let get = |margin| {
        let fetch = || {
            fixture.fetches.fetch_add(1, Ordering::SeqCst);
            Ok(token("next", Some(3600), &fixture.clock))
        };
        let requirements = Requirements { refresh_margin: Some(margin), ..Requirements::default() };
        fixture.get_with(requirements, fetch).unwrap()
    };
    assert!(Arc::ptr_eq(&get(599), &first));
    assert_eq!((get(601).value(), fixture.fetches()), (c"next", 2));
    get(86_400);
    assert_eq!(fixture.fetches(), 2, "a margin longer than the lifetime does not refresh on every call");
}

/// Requests a token while one with a lifetime of 10 s has 4 s left and its refresh fails with `error` after
/// `refresh_secs`. The caller requires `min_remaining` seconds.
fn get_with_failing_refresh(refresh_secs: i64, min_remaining: i64, error: Error) -> Result<Arc<AccessToken>> {
    let fixture = CacheFixture::new();
    let with_margin =
        |min_remaining| Requirements { refresh_margin: Some(5), min_remaining, ..Requirements::default() };
    let first = fixture.get_with(with_margin(0), || Ok(token("first", Some(10), &fixture.clock))).unwrap();
    fixture.clock.advance(6);
    let fetch = || {
        fixture.clock.advance(refresh_secs);
        Err(error)
    };
    let outcome = fixture.get_with(with_margin(min_remaining), fetch);
    assert!(outcome.as_ref().map_or(true, |token| Arc::ptr_eq(token, &first)));
    outcome
}

#[test]
fn token_expired_during_failed_refresh_is_withheld() {
    for kind in
        [ErrorKind::from(NetworkError::Connection), OAuthReason::Server.into(), OAuthReason::Denied.into()]
    {
        for from_server in [true, false] {
            let error = || {
                if from_server {
                    error_of_kind(kind.clone()).with_cause(Cause::Server)
                } else {
                    error_of_kind(kind.clone())
                }
            };
            assert!(get_with_failing_refresh(3, 0, error()).is_ok(), "1 s remains");
            for refresh_secs in [4, 8, 60] {
                let failed = get_with_failing_refresh(refresh_secs, 0, error()).unwrap_err();
                assert_eq!(*failed.kind(), kind, "{refresh_secs}");
            }
        }
    }
}

#[test]
fn failed_refresh_respects_min_remaining() {
    assert!(get_with_failing_refresh(0, 3, error_of_kind(NetworkError::Connection)).is_ok(), "4 s remain");
    assert!(
        get_with_failing_refresh(1, 3, error_of_kind(NetworkError::Connection)).is_err(),
        "3 s remain, more are required"
    );
}

#[test]
fn token_rejected_during_failed_refresh_is_withheld() {
    let fixture = CacheFixture::new();
    let first = fixture.get(0, Some(3600));
    fixture.clock.advance(3600 - 60);
    let fetch = || {
        fixture.cache.reject(&first, &fixture.clock);
        Err(error_of_kind(NetworkError::Connection))
    };
    assert_eq!(fixture.get_with(requirements(0), fetch).unwrap_err().status(), Status::Network);
}

#[test]
fn timed_out_refresh_retries_with_call_deadline() {
    let fixture = CacheFixture::new();
    fixture.get(0, Some(10));
    fixture.clock.advance(9);
    let call = CallContext::with_timeout(Duration::from_secs(60), "a test");
    let mut kinds = Vec::new();
    let fetch = |kind| {
        kinds.push(kind);
        fixture.clock.advance(2);
        match kind {
            FetchKind::EarlyRefresh => Err(error_of_kind(TimeoutKind::Call).with_cause(Cause::Server)),
            _ => Ok(token("next", Some(10), &fixture.clock)),
        }
    };
    let requirements = Requirements { refresh_timeout: Duration::from_secs(2), ..Requirements::default() };
    let next = fixture
        .cache
        .get(&fixture.cache.lease(cache_key("me")), requirements, &fixture.clock, &call, &Vec::new, fetch)
        .unwrap();
    assert_eq!(next.value(), c"next");
    assert_eq!(kinds, [FetchKind::EarlyRefresh, FetchKind::Needed]);
}

#[test]
fn failed_early_refreshes_back_off() {
    let fixture = CacheFixture::new();
    fixture.get(0, Some(36_000));
    fixture.clock.advance(36_000 - 60);
    let mut attempts = Vec::new();
    for second in 0..60 {
        let fetch = || {
            attempts.push(second);
            Err(error_of_kind(TimeoutKind::Call).with_cause(Cause::Server))
        };
        assert_eq!(fixture.get_with(requirements(0), fetch).unwrap().value(), c"token0");
        fixture.clock.advance(1);
    }
    assert_eq!(attempts, [0, 1, 3, 7, 15, 31]);
}

#[test]
fn jitter_advances_refresh_by_bounded_time() {
    let refreshed_after = |lifetime: i64, margin, numerator| {
        let clock = CacheTestClock::new();
        let token = token("t", Some(lifetime), &clock);
        let requirements = Requirements {
            refresh_margin: margin,
            refresh_jitter: Fraction::new(numerator),
            ..Requirements::default()
        };
        let at = refresh_at(&token, requirements).unwrap() - clock.unix_seconds();
        assert_eq!(fresh_until(&token, requirements) - clock.unix_seconds(), at);
        assert_eq!(freshness(&token, requirements, Now::from_clock(&clock)), Freshness::Fresh);
        clock.advance(at - 1);
        assert_eq!(freshness(&token, requirements, Now::from_clock(&clock)), Freshness::Fresh);
        clock.advance(1);
        assert_eq!(freshness(&token, requirements, Now::from_clock(&clock)), Freshness::RefreshDue);
        at
    };
    let half = 1 << 15;
    assert_eq!([0, half, u16::MAX].map(|n| refreshed_after(36_000, None, n)), [35_940, 35_910, 35_881]);
    assert_eq!([0, half, u16::MAX].map(|n| refreshed_after(100, None, n)), [90, 85, 81]);
    assert_eq!([0, half].map(|n| refreshed_after(36_000, Some(300), n)), [35_700, 35_670]);
    assert_eq!(refreshed_after(100, Some(95), u16::MAX), 10, "nine tenths of the lifetime at most");
    let never = Requirements {
        refresh_margin: Some(0),
        refresh_jitter: Fraction::new(half),
        ..Requirements::default()
    };
    assert_eq!(fresh_until(&token("t", Some(100), &CacheTestClock::new()), never), 1_000_100);
    assert_eq!(refresh_at(&token("t", None, &CacheTestClock::new()), Requirements::default()), None);
}
