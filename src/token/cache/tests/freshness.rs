//! How long a token is handed out, and what happens towards its end.

use super::*;
use crate::token::cache::freshness::{Life, life};

#[test]
fn a_token_is_kept_until_shortly_before_its_end() {
    let bench = Bench::new();
    bench.get(0, Some(3600));
    bench.clock.turn(3600 - 61);
    bench.get(0, Some(3600));
    assert_eq!(bench.fetches(), 1);
    bench.clock.turn(1);
    bench.get(0, Some(3600));
    assert_eq!(bench.fetches(), 2);
}

#[test]
fn a_short_lived_token_is_kept_for_nine_tenths_of_its_life() {
    let bench = Bench::new();
    bench.get(0, Some(100));
    bench.clock.turn(89);
    bench.get(0, Some(100));
    assert_eq!(bench.fetches(), 1);
    bench.clock.turn(1);
    bench.get(0, Some(100));
    assert_eq!(bench.fetches(), 2);
}

#[test]
fn a_token_that_nobody_gave_an_end_is_taken_to_live_for_five_minutes() {
    let bench = Bench::new();
    bench.get(0, None);
    bench.clock.turn(269);
    bench.get(0, None);
    assert_eq!(bench.fetches(), 1);
    bench.clock.turn(1);
    bench.get(0, None);
    assert_eq!(bench.fetches(), 2);
}

#[test]
fn a_least_life_is_kept_to_as_far_as_tokens_of_that_kind_reach() {
    let bench = Bench::new();
    bench.get(0, Some(3600));
    bench.get(3000, Some(3600));
    assert_eq!(bench.fetches(), 1);
    bench.clock.turn(601);
    bench.get(3000, Some(3600));
    assert_eq!(bench.fetches(), 2, "2999 s are left, and 3000 were asked for");
    bench.get(1_000_000, Some(3600));
    assert_eq!(bench.fetches(), 2, "no token has that long a life: a fresh one must do");
}

#[test]
fn a_seed_is_for_who_has_nothing_and_is_held_to_the_same_life() {
    let bench = Bench::new();
    let seed = |value, life| bench.cache.seed(identity("me"), token(value, Some(life), &bench.clock));
    seed("first", 3600);
    seed("second", 3600);
    let get = |min_life| {
        let fetch = || Ok(token("fetched", Some(7200), &bench.clock));
        bench.ask(want(min_life), fetch).unwrap()
    };
    assert_eq!(get(0).value(), c"first");
    bench.clock.turn(3550);
    assert_eq!(get(0).value(), c"fetched");
}

#[test]
fn what_is_peeked_at_has_the_life_that_was_asked_for() {
    let bench = Bench::new();
    assert!(bench.cache.peek(identity("me"), want(0), &bench.clock).is_none());
    bench.get(0, Some(3600));
    bench.clock.turn(600);
    assert!(bench.cache.peek(identity("me"), want(2999), &bench.clock).is_some());
    assert!(bench.cache.peek(identity("me"), want(3000), &bench.clock).is_none());
}

#[test]
fn a_wall_clock_that_is_set_does_not_prolong_a_token() {
    let bench = Bench::new();
    let fetches = || {
        bench.get(0, Some(3600));
        bench.fetches()
    };
    assert_eq!(fetches(), 1);
    bench.clock.turn(3000);
    bench.clock.set(-3000);
    assert_eq!(fetches(), 1, "600 s are left");
    bench.clock.turn(600);
    assert_eq!(fetches(), 2, "the wall clock says 600 s, and the token is an hour old");
    bench.clock.set(7000);
    assert_eq!(fetches(), 3, "a laptop that slept through the token's life");
}

#[test]
fn inside_the_margin_one_caller_renews_and_a_failure_leaves_the_token_good() {
    let bench = Bench::new();
    let first = bench.get(0, Some(3600));
    bench.clock.turn(3600 - 60);
    for status in [Status::Network, Status::Denied] {
        let failing = refused_as(oauth(status, "invalid_grant"));
        let before = bench.fetches();
        assert!(Arc::ptr_eq(&failing(&bench, want(0)).unwrap(), &first));
        assert!(Arc::ptr_eq(&failing(&bench, want(0)).unwrap(), &first));
        assert_eq!(bench.fetches(), before + 1, "one try, and then a pause");
        bench.clock.turn(10);
    }
    bench.clock.turn(39);
    assert!(
        Arc::ptr_eq(&refused_as(refusal(Status::Network))(&bench, want(0)).unwrap(), &first),
        "1 s is left"
    );
    bench.clock.turn(1);
    refused_as(refusal(Status::Network))(&bench, want(0)).unwrap_err();
}

#[test]
fn inside_the_margin_the_others_go_on_while_one_renews() {
    let bench = Bench::new();
    let first = bench.get(0, Some(3600));
    bench.clock.turn(3600 - 60);
    let fetch = || {
        let other = bench.get(0, Some(3600));
        assert!(Arc::ptr_eq(&other, &first), "nobody waits for a renewal");
        Ok(token("next", Some(3600), &bench.clock))
    };
    let renewed = bench.ask(want(0), fetch).unwrap();
    assert_eq!(renewed.value(), c"next");
    assert!(first.is_retired() && bench.fetches() == 1);
}

#[test]
fn a_margin_of_the_readers_own_is_no_part_of_the_token() {
    let bench = Bench::new();
    let first = bench.get(0, Some(3600));
    bench.clock.turn(3000);
    let get = |margin| {
        let fetch = || {
            bench.fetches.fetch_add(1, Ordering::SeqCst);
            Ok(token("next", Some(3600), &bench.clock))
        };
        let want = Want { margin: Some(margin), ..Want::default() };
        bench.ask(want, fetch).unwrap()
    };
    assert!(Arc::ptr_eq(&get(599), &first));
    assert_eq!((get(601).value(), bench.fetches()), (c"next", 2));
    get(86_400);
    assert_eq!(bench.fetches(), 2, "a margin longer than a life does not make each call renew");
}

/// A token of 10 s with 4 s left, whose renewal takes `takes` s and fails; what a caller has who needs `least` s of it.
fn renewal_fails(takes: i64, least: i64, error: Error) -> Result<Arc<Token>> {
    let bench = Bench::new();
    let margin = |min_life| Want { margin: Some(5), min_life, ..Want::default() };
    let first = bench.ask(margin(0), || Ok(token("first", Some(10), &bench.clock))).unwrap();
    bench.clock.turn(6);
    let fetch = || {
        bench.clock.turn(takes);
        Err(error)
    };
    let outcome = bench.ask(margin(least), fetch);
    assert!(outcome.as_ref().map_or(true, |token| Arc::ptr_eq(token, &first)));
    outcome
}

#[test]
fn token_that_expired_during_failed_renewal_is_not_returned() {
    for status in [Status::Network, Status::Server, Status::Denied] {
        for from_server in [true, false] {
            let error = || if from_server { refusal(status).caused_by_server() } else { refusal(status) };
            assert!(renewal_fails(3, 0, error()).is_ok(), "1 s is left");
            for late in [4, 8, 60] {
                let failed = renewal_fails(late, 0, error()).unwrap_err();
                assert_eq!(failed.status(), status, "{late}");
            }
        }
    }
}

#[test]
fn token_with_less_than_min_validity_after_failed_renewal_is_not_returned() {
    assert!(renewal_fails(0, 3, refusal(Status::Network)).is_ok(), "4 s are left");
    assert!(renewal_fails(1, 3, refusal(Status::Network)).is_err(), "3 s are left, and more were asked for");
}

#[test]
fn token_rejected_during_failed_renewal_is_not_returned() {
    let bench = Bench::new();
    let first = bench.get(0, Some(3600));
    bench.clock.turn(3600 - 60);
    let fetch = || {
        bench.cache.reject(&first, &bench.clock);
        Err(refusal(Status::Network))
    };
    assert_eq!(bench.ask(want(0), fetch).unwrap_err().status(), Status::Network);
}

#[test]
fn token_that_expired_during_its_renewal_is_fetched_with_time_of_whole_call() {
    let bench = Bench::new();
    bench.get(0, Some(10));
    bench.clock.turn(9);
    let call = CallContext::with_timeout(Duration::from_secs(60), "a test");
    let mut kinds = Vec::new();
    let fetch = |kind| {
        kinds.push(kind);
        bench.clock.turn(2);
        match kind {
            FetchKind::EarlyRenewal => Err(refusal(Status::Timeout).caused_by_server()),
            _ => Ok(token("next", Some(10), &bench.clock)),
        }
    };
    let want = Want { renewal_limit: Duration::from_secs(2), ..Want::default() };
    let next = bench.cache.get(identity("me"), want, &bench.clock, &call, &Vec::new, fetch).unwrap();
    assert_eq!(next.value(), c"next");
    assert_eq!(kinds, [FetchKind::EarlyRenewal, FetchKind::Needed]);
}

#[test]
fn failed_early_renewals_back_off() {
    let bench = Bench::new();
    bench.get(0, Some(36_000));
    bench.clock.turn(36_000 - 60);
    let mut renewed = Vec::new();
    for second in 0..60 {
        let fetch = || {
            renewed.push(second);
            Err(refusal(Status::Timeout).caused_by_server())
        };
        assert_eq!(bench.ask(want(0), fetch).unwrap().value(), c"token0");
        bench.clock.turn(1);
    }
    assert_eq!(renewed, [0, 1, 3, 7, 15, 31]);
}

#[test]
fn jitter_starts_renewal_earlier_by_up_to_tenth_of_lifetime_and_minute() {
    let renewed_after = |lifetime: i64, margin, numerator| {
        let clock = Hands::new();
        let token = token("t", Some(lifetime), &clock);
        let want = Want { margin, jitter: Fraction::new(numerator), ..Want::default() };
        let at = renewal_at(&token, want).unwrap() - clock.unix_seconds();
        assert_eq!(good_until(&token, want) - clock.unix_seconds(), at);
        assert_eq!(life(&token, want, Moment::of(&clock)), Life::Good);
        clock.turn(at - 1);
        assert_eq!(life(&token, want, Moment::of(&clock)), Life::Good);
        clock.turn(1);
        assert_eq!(life(&token, want, Moment::of(&clock)), Life::Ending);
        at
    };
    let half = 1 << 15;
    assert_eq!([0, half, u16::MAX].map(|n| renewed_after(36_000, None, n)), [35_940, 35_910, 35_881]);
    assert_eq!([0, half, u16::MAX].map(|n| renewed_after(100, None, n)), [90, 85, 81]);
    assert_eq!([0, half].map(|n| renewed_after(36_000, Some(300), n)), [35_700, 35_670]);
    assert_eq!(renewed_after(100, Some(95), u16::MAX), 10, "nine tenths at most");
    let never = Want { margin: Some(0), jitter: Fraction::new(half), ..Want::default() };
    assert_eq!(good_until(&token("t", Some(100), &Hands::new()), never), 1_000_100);
    assert_eq!(renewal_at(&token("t", None, &Hands::new()), Want::default()), None);
}
