//! What is answered from memory, and for how long.

use super::*;

#[test]
fn denied_grant_is_cached_with_exponential_backoff() {
    let bench = CacheFixture::new();
    let ask = failing_fetch(oauth_error(Status::Denied, "invalid_grant"));
    let mut asked = Vec::new();
    for second in 0..130 {
        let before = bench.fetches();
        let error = ask(&bench, requirements(0)).unwrap_err();
        if bench.fetches() > before {
            asked.push(second);
        } else {
            assert!(error.message().contains("is not asked again"), "{error}");
            assert!(error.retry_after() > 0);
        }
        bench.clock.advance(1);
    }
    assert_eq!(asked, [0, 1, 3, 7, 15, 31, 63, 123]);
}

#[test]
fn negative_entry_is_cleared_or_bypassed() {
    let bench = CacheFixture::new();
    let ask = failing_fetch(oauth_error(Status::Denied, "invalid_client"));
    ask(&bench, requirements(0)).unwrap_err();
    ask(&bench, requirements(0)).unwrap_err();
    assert_eq!(bench.fetches(), 1);
    ask(&bench, Requirements { bypass_negative_cache: true, ..Requirements::default() }).unwrap_err();
    assert_eq!(bench.fetches(), 2);
    bench.cache.clear_negative(cache_key("me"));
    ask(&bench, requirements(0)).unwrap_err();
    assert_eq!(bench.fetches(), 3);
    let other_file = || vec![None];
    let fetch = || Ok(token("mended", Some(3600), &bench.clock));
    let mended = bench
        .cache
        .get(
            cache_key("me"),
            requirements(0),
            &bench.clock,
            &CallContext::unbounded(),
            &other_file,
            single_fetch(fetch),
        )
        .unwrap();
    assert_eq!(mended.value(), c"mended");
}

#[test]
fn consent_required_is_cached_two_seconds() {
    let bench = CacheFixture::new();
    let ask = failing_fetch(oauth_error(Status::ConsentRequired, "consent_required"));
    for _ in 0..5 {
        ask(&bench, requirements(0)).unwrap_err();
        bench.clock.advance(1);
        ask(&bench, requirements(0)).unwrap_err();
        bench.clock.advance(1);
    }
    assert_eq!(bench.fetches(), 5);
}

#[test]
fn retry_after_is_capped_at_five_minutes() {
    let bench = CacheFixture::new();
    let ask = failing_fetch(oauth_error(Status::Denied, "slow_down").with_http(400, 1000));
    ask(&bench, requirements(0)).unwrap_err();
    bench.clock.advance(299);
    assert_eq!(ask(&bench, requirements(0)).unwrap_err().retry_after(), 1);
    bench.clock.advance(1);
    ask(&bench, requirements(0)).unwrap_err();
    assert_eq!(bench.fetches(), 2);
}

/// In which seconds of a minute and a half a server is asked that fails so.
fn fetch_seconds(error: &Error, call: &CallContext) -> Vec<i64> {
    let bench = CacheFixture::new();
    let mut asked = Vec::new();
    for second in 0..90 {
        let fetch = || {
            asked.push(second);
            Err(error.clone())
        };
        let failed = bench.get_with_call(requirements(0), call, fetch).unwrap_err();
        assert_eq!(failed.status(), error.status());
        bench.clock.advance(1);
    }
    asked
}

#[test]
fn server_and_network_failures_back_off() {
    for status in [
        Status::Network,
        Status::Tls,
        Status::Server,
        Status::BadResponse,
        Status::Throttled,
        Status::Denied,
        Status::Expired,
    ] {
        let asked = fetch_seconds(&error_with_status(status).caused_by_server(), &CallContext::unbounded());
        assert_eq!(asked, [0, 1, 3, 7, 15, 31, 63], "{status:?}");
    }
    let one_request = error_with_status(Status::Timeout).with_sqlstate("HYT01").caused_by_server();
    assert_eq!(fetch_seconds(&one_request, &CallContext::unbounded()), [0, 1, 3, 7, 15, 31, 63]);
}

#[test]
fn local_and_throttled_failures_are_not_cached() {
    let every_second: Vec<i64> = (0..90).collect();
    let throttled = error_with_status(Status::Throttled).with_http(429, 30).caused_by_server();
    let of_one_call = error_with_status(Status::Server).caused_by_server().caller_specific();
    let here =
        [Status::Network, Status::Timeout, Status::KeyPassword, Status::ConsentRequired, Status::Expired];
    for error in here.map(error_with_status).into_iter().chain([throttled, of_one_call]) {
        assert_eq!(fetch_seconds(&error, &CallContext::unbounded()), every_second, "{error}");
    }
}

#[test]
fn cached_failure_reports_its_age() {
    let bench = CacheFixture::new();
    let ask = failing_fetch(error_with_status(Status::Server).caused_by_server());
    for wait in [1, 2, 2] {
        ask(&bench, requirements(0)).unwrap_err();
        bench.clock.advance(wait);
    }
    let error = ask(&bench, requirements(0)).unwrap_err();
    assert!(error.message().contains("that was 2 s ago"), "{error}");
    assert_eq!((error.status(), error.retry_after(), bench.fetches()), (Status::Server, 2, 3));
}

#[test]
fn call_timeout_is_cached_for_shorter_calls() {
    let bench = CacheFixture::new();
    let fetched = |seconds| {
        let before = bench.fetches();
        let fetch = || {
            bench.fetches.fetch_add(1, Ordering::SeqCst);
            Err(error_with_status(Status::Timeout).caused_by_server())
        };
        let call = CallContext::with_timeout(Duration::from_secs(seconds), "a test");
        assert_eq!(bench.get_with_call(requirements(0), &call, fetch).unwrap_err().status(), Status::Timeout);
        bench.fetches() > before
    };
    assert!(fetched(100));
    assert!(!fetched(100) && !fetched(10) && !fetched(112), "these would wait in vain");
    assert!(fetched(120), "this one has longer");
    assert!(!fetched(120));
    let unbounded = bench.get_with(requirements(0), || Ok(token("late", Some(3600), &bench.clock))).unwrap();
    assert_eq!(unbounded.value(), c"late");
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
fn fetch_after_failure_is_probe() {
    let bench = CacheFixture::new();
    let kind = |error: Option<Error>| {
        let mut met = None;
        let fetch = |kind| {
            met = Some(kind);
            error.clone().map_or_else(|| Ok(token("t", Some(3600), &bench.clock)), Err)
        };
        let call = CallContext::unbounded();
        let _ = bench.cache.get(cache_key("me"), requirements(0), &bench.clock, &call, &Vec::new, fetch);
        met
    };
    let server = || Some(error_with_status(Status::Server).caused_by_server());
    assert_eq!(kind(server()), Some(FetchKind::Needed));
    assert_eq!(kind(server()), None);
    bench.clock.advance(1);
    assert_eq!(kind(server()), Some(FetchKind::Probe));
    bench.clock.advance(4);
    assert_eq!(
        kind(server()),
        Some(FetchKind::Needed),
        "the backoff is over and its time has passed once more"
    );
    bench.clock.advance(1);
    assert_eq!(kind(None), Some(FetchKind::Probe));
    bench.clock.advance(3590);
    assert_eq!(kind(server()), Some(FetchKind::EarlyRefresh));
}
