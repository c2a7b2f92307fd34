//! What is answered from memory, and for how long.

use super::*;

#[test]
fn a_refused_grant_is_answered_from_memory_for_a_growing_time() {
    let bench = Bench::new();
    let ask = refused_as(oauth(Status::Denied, "invalid_grant"));
    let mut asked = Vec::new();
    for second in 0..130 {
        let before = bench.fetches();
        let error = ask(&bench, want(0)).unwrap_err();
        if bench.fetches() > before {
            asked.push(second);
        } else {
            assert!(error.message().contains("is not asked again"), "{error}");
            assert!(error.retry_after() > 0);
        }
        bench.clock.turn(1);
    }
    assert_eq!(asked, [0, 1, 3, 7, 15, 31, 63, 123]);
}

#[test]
fn what_is_remembered_is_forgotten_by_success_by_word_by_changed_files_and_for_who_asks_anew() {
    let bench = Bench::new();
    let ask = refused_as(oauth(Status::Denied, "invalid_client"));
    ask(&bench, want(0)).unwrap_err();
    ask(&bench, want(0)).unwrap_err();
    assert_eq!(bench.fetches(), 1);
    ask(&bench, Want { anew: true, ..Want::default() }).unwrap_err();
    assert_eq!(bench.fetches(), 2);
    bench.cache.forget_refusal(identity("me"));
    ask(&bench, want(0)).unwrap_err();
    assert_eq!(bench.fetches(), 3);
    let other_file = || vec![None];
    let fetch = || Ok(token("mended", Some(3600), &bench.clock));
    let mended = bench
        .cache
        .get(identity("me"), want(0), &bench.clock, &CallContext::unbounded(), &other_file, once(fetch))
        .unwrap();
    assert_eq!(mended.value(), c"mended");
}

#[test]
fn a_person_may_be_consenting_so_that_refusal_is_short() {
    let bench = Bench::new();
    let ask = refused_as(oauth(Status::ConsentRequired, "consent_required"));
    for _ in 0..5 {
        ask(&bench, want(0)).unwrap_err();
        bench.clock.turn(1);
        ask(&bench, want(0)).unwrap_err();
        bench.clock.turn(1);
    }
    assert_eq!(bench.fetches(), 5);
}

#[test]
fn retry_after_of_refusal_holds_back_for_five_minutes_at_most() {
    let bench = Bench::new();
    let ask = refused_as(oauth(Status::Denied, "slow_down").with_http(400, 1000));
    ask(&bench, want(0)).unwrap_err();
    bench.clock.turn(299);
    assert_eq!(ask(&bench, want(0)).unwrap_err().retry_after(), 1);
    bench.clock.turn(1);
    ask(&bench, want(0)).unwrap_err();
    assert_eq!(bench.fetches(), 2);
}

/// In which seconds of a minute and a half a server is asked that fails so.
fn asked_at(error: &Error, call: &CallContext) -> Vec<i64> {
    let bench = Bench::new();
    let mut asked = Vec::new();
    for second in 0..90 {
        let fetch = || {
            asked.push(second);
            Err(error.clone())
        };
        let failed = bench.ask_within(want(0), call, fetch).unwrap_err();
        assert_eq!(failed.status(), error.status());
        bench.clock.turn(1);
    }
    asked
}

#[test]
fn every_failure_of_server_or_network_backs_off() {
    for status in [
        Status::Network,
        Status::Tls,
        Status::Server,
        Status::BadResponse,
        Status::Throttled,
        Status::Denied,
        Status::Expired,
    ] {
        let asked = asked_at(&refusal(status).caused_by_server(), &CallContext::unbounded());
        assert_eq!(asked, [0, 1, 3, 7, 15, 31, 63], "{status:?}");
    }
    let one_request = refusal(Status::Timeout).with_sqlstate("HYT01").caused_by_server();
    assert_eq!(asked_at(&one_request, &CallContext::unbounded()), [0, 1, 3, 7, 15, 31, 63]);
}

#[test]
fn local_failures_and_retry_after_of_endpoint_are_not_remembered() {
    let every_second: Vec<i64> = (0..90).collect();
    let throttled = refusal(Status::Throttled).with_http(429, 30).caused_by_server();
    let of_one_call = refusal(Status::Server).caused_by_server().caller_specific();
    let here =
        [Status::Network, Status::Timeout, Status::KeyPassword, Status::ConsentRequired, Status::Expired];
    for error in here.map(refusal).into_iter().chain([throttled, of_one_call]) {
        assert_eq!(asked_at(&error, &CallContext::unbounded()), every_second, "{error}");
    }
}

#[test]
fn remembered_failure_says_its_age() {
    let bench = Bench::new();
    let ask = refused_as(refusal(Status::Server).caused_by_server());
    for wait in [1, 2, 2] {
        ask(&bench, want(0)).unwrap_err();
        bench.clock.turn(wait);
    }
    let error = ask(&bench, want(0)).unwrap_err();
    assert!(error.message().contains("that was 2 s ago"), "{error}");
    assert_eq!((error.status(), error.retry_after(), bench.fetches()), (Status::Server, 2, 3));
}

#[test]
fn timeout_of_call_is_answered_from_memory_to_calls_with_no_more_time() {
    let bench = Bench::new();
    let fetched = |seconds| {
        let before = bench.fetches();
        let fetch = || {
            bench.fetches.fetch_add(1, Ordering::SeqCst);
            Err(refusal(Status::Timeout).caused_by_server())
        };
        let call = CallContext::with_timeout(Duration::from_secs(seconds), "a test");
        assert_eq!(bench.ask_within(want(0), &call, fetch).unwrap_err().status(), Status::Timeout);
        bench.fetches() > before
    };
    assert!(fetched(100));
    assert!(!fetched(100) && !fetched(10) && !fetched(112), "these would wait in vain");
    assert!(fetched(120), "this one has longer");
    assert!(!fetched(120));
    let unbounded = bench.ask(want(0), || Ok(token("late", Some(3600), &bench.clock))).unwrap();
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
fn fetch_after_failure_is_probe_until_backoff_is_over() {
    let bench = Bench::new();
    let kind = |error: Option<Error>| {
        let mut met = None;
        let fetch = |kind| {
            met = Some(kind);
            error.clone().map_or_else(|| Ok(token("t", Some(3600), &bench.clock)), Err)
        };
        let call = CallContext::unbounded();
        let _ = bench.cache.get(identity("me"), want(0), &bench.clock, &call, &Vec::new, fetch);
        met
    };
    let server = || Some(refusal(Status::Server).caused_by_server());
    assert_eq!(kind(server()), Some(FetchKind::Needed));
    assert_eq!(kind(server()), None);
    bench.clock.turn(1);
    assert_eq!(kind(server()), Some(FetchKind::Probe));
    bench.clock.turn(4);
    assert_eq!(
        kind(server()),
        Some(FetchKind::Needed),
        "the backoff is over and its time has passed once more"
    );
    bench.clock.turn(1);
    assert_eq!(kind(None), Some(FetchKind::Probe));
    bench.clock.turn(3590);
    assert_eq!(kind(server()), Some(FetchKind::EarlyRenewal));
}
