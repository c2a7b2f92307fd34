//! What happens towards a token's end and after a refusal.

use std::sync::atomic::{AtomicI64, AtomicUsize, Ordering};
use std::time::Instant;

use super::tests::{Bench, Hands, identity, refusal, token, want};
use super::*;
use crate::call::Call;
use crate::error::{Error, Status};

/// A clock whose wall hands a test turns by themselves, as daemons and people do.
struct Steps {
    hands: Hands,
    wall: AtomicI64,
}

impl Clock for Steps {
    fn unix_seconds(&self) -> i64 {
        self.hands.unix_seconds() + self.wall.load(Ordering::SeqCst)
    }

    fn instant(&self) -> Instant {
        self.hands.instant()
    }
}

#[test]
fn a_wall_clock_that_is_set_does_not_prolong_a_token() {
    let (cache, clock) = (Cache::default(), Steps { hands: Hands::new(), wall: AtomicI64::new(0) });
    let fetches = AtomicUsize::new(0);
    let get = || {
        let fetch = || {
            fetches.fetch_add(1, Ordering::SeqCst);
            let mut token = token("at", None, &clock.hands);
            token.issued_at = clock.unix_seconds();
            token.expires_at = Some(clock.unix_seconds() + 3600);
            Ok(token)
        };
        cache.get(identity("me"), want(0), &clock, &Call::unbounded(), &Vec::new, fetch).unwrap();
        fetches.load(Ordering::SeqCst)
    };
    assert_eq!(get(), 1);
    clock.hands.turn(3000);
    clock.wall.store(-3000, Ordering::SeqCst);
    assert_eq!(get(), 1, "600 s are left");
    clock.hands.turn(600);
    assert_eq!(get(), 2, "the wall clock says 600 s, and the token is an hour old");
    clock.wall.store(4000, Ordering::SeqCst);
    assert_eq!(get(), 3, "a laptop that slept through the token's life");
}

/// What a failing fetch says.
fn refused_as(error: Error) -> impl Fn(&Bench, Want) -> Result<Arc<Token>> {
    move |bench, want| {
        let fetch = || {
            bench.fetches.fetch_add(1, Ordering::SeqCst);
            Err(error.clone())
        };
        bench.cache.get(identity("me"), want, &bench.clock, &Call::unbounded(), &Vec::new, fetch)
    }
}

fn oauth(status: Status, error: &str) -> Error {
    refusal(status).with_oauth(Some(error.to_owned()), None)
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
    let renewed =
        bench.cache.get(identity("me"), want(0), &bench.clock, &Call::unbounded(), &Vec::new, fetch).unwrap();
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
        bench.cache.get(identity("me"), want, &bench.clock, &Call::unbounded(), &Vec::new, fetch).unwrap()
    };
    assert!(Arc::ptr_eq(&get(599), &first));
    assert_eq!((get(601).value(), bench.fetches()), (c"next", 2));
    get(86_400);
    assert_eq!(bench.fetches(), 2, "a margin longer than a life does not make each call renew");
}

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
