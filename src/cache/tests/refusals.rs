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
        .get(identity("me"), want(0), &bench.clock, &Call::unbounded(), &other_file, fetch)
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
fn retry_after_holds_back_for_five_minutes_at_most() {
    let bench = Bench::new();
    let ask = refused_as(refusal(Status::Throttled).with_http(429, 1000));
    ask(&bench, want(0)).unwrap_err();
    bench.clock.turn(299);
    assert_eq!(ask(&bench, want(0)).unwrap_err().retry_after(), 1);
    bench.clock.turn(1);
    ask(&bench, want(0)).unwrap_err();
    assert_eq!(bench.fetches(), 2);
}

#[test]
fn failures_that_are_nobodys_verdict_are_not_remembered() {
    let bench = Bench::new();
    for status in [Status::Network, Status::Tls, Status::Timeout, Status::Server, Status::KeyPassword] {
        let ask = refused_as(refusal(status));
        ask(&bench, want(0)).unwrap_err();
        ask(&bench, want(0)).unwrap_err();
    }
    assert_eq!(bench.fetches(), 10);
}
