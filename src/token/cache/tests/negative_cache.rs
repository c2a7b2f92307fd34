//! Tests of the negative cache: which errors are cached, and for how long.

use super::*;

#[test]
fn denied_grant_is_cached_with_exponential_backoff() {
    let fixture = CacheFixture::new();
    let get = failing_fetch(oauth_error(OAuthReason::Denied, "invalid_grant"));
    let mut fetched = Vec::new();
    for second in 0..130 {
        let before = fixture.fetches();
        let error = get(&fixture, requirements(0)).unwrap_err();
        if fixture.fetches() > before {
            fetched.push(second);
        } else {
            assert!(error.retry_after() > 0);
        }
        fixture.clock.advance(1);
    }
    assert_eq!(fetched, [0, 1, 3, 7, 15, 31, 63, 123]);
}

#[test]
fn negative_entry_is_cleared_or_bypassed() {
    let fixture = CacheFixture::new();
    let get = failing_fetch(oauth_error(OAuthReason::Denied, "invalid_client"));
    get(&fixture, requirements(0)).unwrap_err();
    get(&fixture, requirements(0)).unwrap_err();
    assert_eq!(fixture.fetches(), 1);
    get(&fixture, Requirements { bypass_negative_cache: true, ..Requirements::default() }).unwrap_err();
    assert_eq!(fixture.fetches(), 2);
    fixture.cache.clear_negative(cache_key("me"));
    get(&fixture, requirements(0)).unwrap_err();
    assert_eq!(fixture.fetches(), 3);
    let changed_sources = || vec![None];
    let fetch = || Ok(token("repaired", Some(3600), &fixture.clock));
    let repaired = fixture
        .cache
        .get(
            &fixture.cache.lease(cache_key("me")),
            requirements(0),
            &fixture.clock,
            &CallContext::unbounded(),
            &changed_sources,
            single_fetch(fetch),
        )
        .unwrap();
    assert_eq!(repaired.value(), c"repaired");
}

#[test]
fn rejection_of_short_call_applies_to_longer_calls() {
    let fixture = CacheFixture::new();
    let rejected = || {
        fixture.fetches.fetch_add(1, Ordering::SeqCst);
        Err(oauth_error(OAuthReason::Denied, "invalid_grant"))
    };
    let short = CallContext::with_timeout(Duration::from_secs(1), "LoginTimeout");
    fixture.get_with_call(requirements(0), &short, rejected).unwrap_err();
    fixture.get_with_call(requirements(0), &CallContext::unbounded(), rejected).unwrap_err();
    assert_eq!(fixture.fetches(), 1);
}

#[test]
fn consent_required_is_cached_two_seconds() {
    let fixture = CacheFixture::new();
    let get = failing_fetch(oauth_error(OAuthReason::ConsentRequired, "consent_required"));
    for _ in 0..5 {
        get(&fixture, requirements(0)).unwrap_err();
        fixture.clock.advance(1);
        get(&fixture, requirements(0)).unwrap_err();
        fixture.clock.advance(1);
    }
    assert_eq!(fixture.fetches(), 5);
}

#[test]
fn retry_after_is_capped_at_five_minutes() {
    let fixture = CacheFixture::new();
    let get = failing_fetch(throttled_error(OAuthReason::Denied, 1000));
    get(&fixture, requirements(0)).unwrap_err();
    fixture.clock.advance(299);
    assert_eq!(get(&fixture, requirements(0)).unwrap_err().retry_after(), 1);
    fixture.clock.advance(1);
    get(&fixture, requirements(0)).unwrap_err();
    assert_eq!(fixture.fetches(), 2);
}

/// The seconds, of 90, in which a fetch is made that fails with `error`.
fn fetch_seconds(error: &Error, call: &CallContext) -> Vec<i64> {
    let fixture = CacheFixture::new();
    let mut fetched = Vec::new();
    for second in 0..90 {
        let fetch = || {
            fetched.push(second);
            Err(error.clone())
        };
        let failed = fixture.get_with_call(requirements(0), call, fetch).unwrap_err();
        assert_eq!(failed.status(), error.status());
        fixture.clock.advance(1);
    }
    fetched
}

#[test]
fn server_and_network_failures_back_off() {
    for error in [
        error_of_kind(NetworkError::Connection),
        error_of_kind(NetworkError::Tls),
        error_of_kind(NetworkError::BadResponse),
        error_of_kind(OAuthReason::Server),
        error_of_kind(OAuthReason::BadResponse),
        error_of_kind(OAuthReason::Throttled),
        error_of_kind(OAuthReason::Denied),
        error_of_kind(OAuthReason::Expired),
    ] {
        let error = error.with_cause(Cause::Server);
        assert_eq!(fetch_seconds(&error, &CallContext::unbounded()), [0, 1, 3, 7, 15, 31, 63], "{error:?}");
    }
    let request_timeout = Error::new(TimeoutKind::Request, "network", "timeout").with_cause(Cause::Server);
    assert_eq!(fetch_seconds(&request_timeout, &CallContext::unbounded()), [0, 1, 3, 7, 15, 31, 63]);
}

#[test]
fn local_and_throttled_failures_are_not_cached() {
    let every_second: Vec<i64> = (0..90).collect();
    let throttled = throttled_error(OAuthReason::Throttled, 30);
    let caller_specific = error_of_kind(OAuthReason::Server).with_cause(Cause::Caller);
    for error in [
        error_of_kind(NetworkError::Connection),
        error_of_kind(TimeoutKind::Call),
        error_of_kind(KeyError::Password),
        error_of_kind(OAuthReason::ConsentRequired),
        error_of_kind(OAuthReason::Expired),
        throttled,
        caller_specific,
    ] {
        assert_eq!(fetch_seconds(&error, &CallContext::unbounded()), every_second, "{error}");
    }
}

#[test]
fn cached_failure_reports_its_age() {
    let fixture = CacheFixture::new();
    let get = failing_fetch(error_of_kind(OAuthReason::Server).with_cause(Cause::Server));
    for delay in [1, 2, 2] {
        get(&fixture, requirements(0)).unwrap_err();
        fixture.clock.advance(delay);
    }
    let error = get(&fixture, requirements(0)).unwrap_err();
    assert!(error.message().contains("2 s ago"), "{error}");
    assert_eq!((error.status(), error.retry_after(), fixture.fetches()), (Status::Server, 2, 3));
}

#[test]
fn call_timeout_is_cached_for_shorter_calls() {
    let fixture = CacheFixture::new();
    let fetched = |seconds| {
        let before = fixture.fetches();
        let fetch = || {
            fixture.fetches.fetch_add(1, Ordering::SeqCst);
            Err(error_of_kind(TimeoutKind::Call).with_cause(Cause::Server))
        };
        let call = CallContext::with_timeout(Duration::from_secs(seconds), "a test");
        assert_eq!(
            fixture.get_with_call(requirements(0), &call, fetch).unwrap_err().status(),
            Status::Timeout
        );
        fixture.fetches() > before
    };
    assert!(fetched(100));
    assert!(!fetched(100) && !fetched(10) && !fetched(112), "these calls would time out as well");
    assert!(fetched(120), "this call has a longer timeout");
    assert!(!fetched(120));
    let unbounded =
        fixture.get_with(requirements(0), || Ok(token("late", Some(3600), &fixture.clock))).unwrap();
    assert_eq!(unbounded.value(), c"late");
}

#[test]
fn fetch_after_failure_is_probe() {
    let fixture = CacheFixture::new();
    let kind = |error: Option<Error>| {
        let mut fetched = None;
        let fetch = |kind| {
            fetched = Some(kind);
            error.clone().map_or_else(|| Ok(token("t", Some(3600), &fixture.clock)), Err)
        };
        let call = CallContext::unbounded();
        let _ = fixture.cache.get(
            &fixture.cache.lease(cache_key("me")),
            requirements(0),
            &fixture.clock,
            &call,
            &Vec::new,
            fetch,
        );
        fetched
    };
    let server = || Some(error_of_kind(OAuthReason::Server).with_cause(Cause::Server));
    assert_eq!(kind(server()), Some(FetchKind::Needed));
    assert_eq!(kind(server()), None);
    fixture.clock.advance(1);
    assert_eq!(kind(server()), Some(FetchKind::Probe));
    fixture.clock.advance(4);
    assert_eq!(kind(server()), Some(FetchKind::Needed), "twice the backoff delay has elapsed");
    fixture.clock.advance(1);
    assert_eq!(kind(None), Some(FetchKind::Probe));
    fixture.clock.advance(3590);
    assert_eq!(kind(server()), Some(FetchKind::EarlyRefresh));
}
