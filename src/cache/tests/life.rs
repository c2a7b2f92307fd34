//! How long a token is handed out, and what happens towards its end.

use super::*;

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
