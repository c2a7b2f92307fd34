//! One flight for each identity, and those who wait for it.

use std::sync::mpsc;

use super::*;
use crate::token::cache::entry::Entry;

#[test]
fn sixty_four_callers_make_one_fetch() {
    let bench = Bench::new();
    let (arrived, arrivals) = mpsc::channel();
    std::thread::scope(|scope| {
        for _ in 0..64 {
            let (bench, arrived) = (&bench, arrived.clone());
            scope.spawn(move || {
                arrived.send(()).unwrap();
                bench.get(0, Some(3600));
            });
        }
        arrivals.iter().take(64).count();
    });
    assert_eq!(bench.fetches(), 1);
}

/// Lets `waiter` begin while a leader is in flight that then ends with `outcome`.
fn behind_a_leader(
    outcome: impl FnOnce() -> Result<Token> + Send,
    waiter: impl FnOnce(&Bench) -> Result<Arc<Token>> + Send,
) -> (Result<Arc<Token>>, usize) {
    let bench = Bench::new();
    let (in_flight, leader_is_in_flight) = mpsc::channel();
    let (land, may_land) = mpsc::channel::<()>();
    let result = std::thread::scope(|scope| {
        let bench = &bench;
        scope.spawn(move || {
            let fetch = || {
                in_flight.send(()).unwrap();
                may_land.recv().unwrap();
                outcome()
            };
            let lead = || bench.ask(want(0), fetch);
            let _ = std::panic::catch_unwind(std::panic::AssertUnwindSafe(lead));
        });
        leader_is_in_flight.recv().unwrap();
        let waiting = scope.spawn(move || waiter(bench));
        wait_until_asleep(&bench.cache.entry(identity("me")), 1);
        let _ = land.send(());
        waiting.join().unwrap()
    });
    (result, bench.fetches())
}

/// A waiter lets itself be woken by a cancel, through a weak reference, while it holds the lock; it lets the lock go
/// only to sleep.
fn wait_until_asleep(entry: &Arc<Entry>, waiters: usize) {
    let begin = std::time::Instant::now();
    while Arc::weak_count(entry) < waiters {
        assert!(begin.elapsed() < PATIENCE, "nobody lets itself be woken");
        std::thread::yield_now();
    }
    drop(entry.lock());
}

/// Beyond this a waiter was forgotten.
const PATIENCE: Duration = Duration::from_secs(10);

/// Waits for another's flight; fails where only the deadline ended the wait.
fn wait_for_another(bench: &Bench, call: &CallContext) -> Result<Arc<Token>> {
    let fetch = || panic!("there is a leader");
    let outcome = bench.ask_within(want(0), call, fetch);
    assert!(!call.deadline.is_past(), "nobody woke the waiter");
    outcome
}

fn own_fetch(bench: &Bench) -> Result<Arc<Token>> {
    let call = CallContext::with_timeout(PATIENCE, "a test");
    let fetch =
        || Ok(token(&format!("token{}", bench.fetches.fetch_add(1, Ordering::SeqCst)), None, &bench.clock));
    let outcome = bench.ask_within(want(0), &call, fetch);
    assert!(!call.deadline.is_past(), "nobody woke the waiter");
    outcome
}

#[test]
fn a_refusal_reaches_those_who_waited_for_it() {
    for status in [Status::Denied, Status::KeyPassword, Status::Tls, Status::Network] {
        let waiter = |bench: &Bench| {
            let fetch = || panic!("the refusal should have come");
            bench.ask(want(0), fetch)
        };
        let (result, _) = behind_a_leader(move || Err(refusal(status)), waiter);
        assert_eq!(result.unwrap_err().status(), status);
    }
}

#[test]
fn a_leaders_own_failure_lets_a_waiter_take_over() {
    for status in [Status::Timeout, Status::Cancelled, Status::Internal] {
        let (result, fetches) = behind_a_leader(move || Err(refusal(status)), own_fetch);
        assert_eq!((result.unwrap().value(), fetches), (c"token0", 1));
    }
    let (result, fetches) = behind_a_leader(|| panic!("a bug"), own_fetch);
    assert_eq!((result.unwrap().value(), fetches), (c"token0", 1));
    let by_a_signer = || Err(refusal(Status::KeyStore).caller_specific());
    let (result, fetches) = behind_a_leader(by_a_signer, own_fetch);
    assert_eq!((result.unwrap().value(), fetches), (c"token0", 1));
}

#[test]
fn a_request_that_took_too_long_is_not_sent_again_by_a_waiter() {
    let waiter = |bench: &Bench| {
        let fetch = || panic!("the leader's failure is for all");
        bench.ask(want(0), fetch)
    };
    let late = || Err(refusal(Status::Timeout).with_sqlstate("HYT01"));
    let (result, _) = behind_a_leader(late, waiter);
    assert_eq!(result.unwrap_err().sqlstate(), "HYT01");
}

#[test]
fn a_waiter_ends_at_its_own_deadline() {
    let bench_wait = |bench: &Bench| {
        let call = CallContext::with_timeout(Duration::from_millis(20), "a test");
        bench.ask_within(want(0), &call, || panic!("there is a leader"))
    };
    let bench = Bench::new();
    bench.cache.entry(identity("me")).lock().take_off();
    let error = bench_wait(&bench).unwrap_err();
    assert_eq!(error.status(), Status::Timeout);
    assert!(error.message().contains("another thread"), "{error}");
}

#[test]
fn a_waiter_that_sleeps_is_woken_by_a_cancel() {
    let bench = Bench::new();
    let entry = bench.cache.entry(identity("me"));
    entry.lock().take_off();
    let call = CallContext::with_timeout(PATIENCE, "a test");
    let error = std::thread::scope(|scope| {
        let waiting = scope.spawn(|| wait_for_another(&bench, &call));
        wait_until_asleep(&entry, 1);
        call.cancel.cancel();
        waiting.join().unwrap().unwrap_err()
    });
    assert_eq!(error.status(), Status::Cancelled);
}

#[test]
fn a_call_that_was_cancelled_before_it_could_wait_does_not_wait() {
    let bench = Bench::new();
    bench.cache.entry(identity("me")).lock().take_off();
    let call = CallContext::with_timeout(PATIENCE, "a test");
    call.cancel.cancel();
    assert_eq!(wait_for_another(&bench, &call).unwrap_err().status(), Status::Cancelled);
}

#[test]
fn a_flight_that_lands_wakes_all_who_sleep() {
    let bench = Bench::new();
    let entry = bench.cache.entry(identity("me"));
    let flight = entry.lock().take_off();
    std::thread::scope(|scope| {
        let waiting: Vec<_> = (0..3)
            .map(|_| scope.spawn(|| wait_for_another(&bench, &CallContext::with_timeout(PATIENCE, "a test"))))
            .collect();
        wait_until_asleep(&entry, 3);
        let fetch = || Ok(token("landed", Some(3600), &bench.clock));
        Flight::new(&entry, flight).run(conditions(&bench.clock), fetch).unwrap();
        for waiter in waiting {
            assert_eq!(waiter.join().unwrap().unwrap().value(), c"landed");
        }
    });
}

#[test]
fn a_refusal_of_an_earlier_flight_reaches_nobody_who_waits_for_a_later_one() {
    let bench = Bench::new();
    let entry = bench.cache.entry(identity("me"));
    let refused = || Err(refusal(Status::Denied));
    bench.ask(want(0), refused).unwrap_err();
    let flight = entry.lock().take_off();
    let result = std::thread::scope(|scope| {
        let waiting =
            scope.spawn(|| wait_for_another(&bench, &CallContext::with_timeout(PATIENCE, "a test")));
        wait_until_asleep(&entry, 1);
        let fetch = || Ok(token("later", Some(3600), &bench.clock));
        Flight::new(&entry, flight).run(conditions(&bench.clock), fetch).unwrap();
        waiting.join().unwrap()
    });
    assert_eq!(result.unwrap().value(), c"later");
}

#[test]
fn a_refusal_does_not_outlast_its_flight() {
    let bench = Bench::new();
    let refused = || Err(refusal(Status::Denied));
    bench.ask(want(0), refused).unwrap_err();
    assert_eq!(bench.get(0, Some(3600)).value(), c"token0");
}

#[test]
fn those_who_waited_get_the_token_that_they_waited_for_however_short_its_life() {
    let dead_on_arrival = || Ok(token("dead", Some(0), &Hands::new()));
    let waiter = |bench: &Bench| {
        let fetch = || panic!("there was a token");
        bench.ask(want(0), fetch)
    };
    let (result, _) = behind_a_leader(dead_on_arrival, waiter);
    assert_eq!(result.unwrap().value(), c"dead");
}

#[test]
fn waiter_does_not_get_token_that_was_rejected_or_expired_before_it_woke() {
    let rejected = || {
        let token = token("late", Some(3600), &Hands::new());
        token.retire();
        Ok(token)
    };
    let (result, fetches) = behind_a_leader(rejected, own_fetch);
    assert_eq!((result.unwrap().value(), fetches), (c"token0", 1));
    let expired = || {
        let mut token = token("late", Some(10), &Hands::new());
        token.issued_at -= 20;
        token.expires_at = Some(token.issued_at + 10);
        Ok(token)
    };
    let (result, fetches) = behind_a_leader(expired, own_fetch);
    assert_eq!((result.unwrap().value(), fetches), (c"token0", 1));
}
