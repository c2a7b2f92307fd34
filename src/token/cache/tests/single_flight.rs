//! One flight for each identity, and those who wait for it.

use std::sync::mpsc;

use super::*;
use crate::token::cache::entry::CacheEntry;

#[test]
fn concurrent_callers_share_one_fetch() {
    let bench = CacheFixture::new();
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
fn wait_behind_leader(
    outcome: impl FnOnce() -> Result<AccessToken> + Send,
    waiter: impl FnOnce(&CacheFixture) -> Result<Arc<AccessToken>> + Send,
) -> (Result<Arc<AccessToken>>, usize) {
    let bench = CacheFixture::new();
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
            let lead = || bench.get_with(requirements(0), fetch);
            let _ = std::panic::catch_unwind(std::panic::AssertUnwindSafe(lead));
        });
        leader_is_in_flight.recv().unwrap();
        let waiting = scope.spawn(move || waiter(bench));
        wait_until_blocked(&bench.cache.entry(cache_key("me")), 1);
        let _ = land.send(());
        waiting.join().unwrap()
    });
    (result, bench.fetches())
}

/// A waiter lets itself be woken by a cancel, through a weak reference, while it holds the lock; it lets the lock go
/// only to sleep.
fn wait_until_blocked(entry: &Arc<CacheEntry>, waiters: usize) {
    let begin = std::time::Instant::now();
    while Arc::weak_count(entry) < waiters {
        assert!(begin.elapsed() < WAIT_TIMEOUT, "nobody lets itself be woken");
        std::thread::yield_now();
    }
    drop(entry.lock());
}

/// Beyond this a waiter was forgotten.
const WAIT_TIMEOUT: Duration = Duration::from_secs(10);

/// Waits for another's flight; fails where only the deadline ended the wait.
fn wait_for_leader(bench: &CacheFixture, call: &CallContext) -> Result<Arc<AccessToken>> {
    let fetch = || panic!("there is a leader");
    let outcome = bench.get_with_call(requirements(0), call, fetch);
    assert!(!call.deadline.is_past(), "nobody woke the waiter");
    outcome
}

fn get_with_own_fetch(bench: &CacheFixture) -> Result<Arc<AccessToken>> {
    let call = CallContext::with_timeout(WAIT_TIMEOUT, "a test");
    let fetch =
        || Ok(token(&format!("token{}", bench.fetches.fetch_add(1, Ordering::SeqCst)), None, &bench.clock));
    let outcome = bench.get_with_call(requirements(0), &call, fetch);
    assert!(!call.deadline.is_past(), "nobody woke the waiter");
    outcome
}

#[test]
fn fetch_error_is_shared_with_waiters() {
    for status in [Status::Denied, Status::KeyPassword, Status::Tls, Status::Network] {
        let waiter = |bench: &CacheFixture| {
            let fetch = || panic!("the refusal should have come");
            bench.get_with(requirements(0), fetch)
        };
        let (result, _) = wait_behind_leader(move || Err(error_with_status(status)), waiter);
        assert_eq!(result.unwrap_err().status(), status);
    }
}

#[test]
fn waiter_takes_over_after_leader_specific_failure() {
    for status in [Status::Timeout, Status::Cancelled, Status::Internal] {
        let (result, fetches) =
            wait_behind_leader(move || Err(error_with_status(status)), get_with_own_fetch);
        assert_eq!((result.unwrap().value(), fetches), (c"token0", 1));
    }
    let (result, fetches) = wait_behind_leader(|| panic!("a bug"), get_with_own_fetch);
    assert_eq!((result.unwrap().value(), fetches), (c"token0", 1));
    let by_a_signer = || Err(error_with_status(Status::KeyStore).caller_specific());
    let (result, fetches) = wait_behind_leader(by_a_signer, get_with_own_fetch);
    assert_eq!((result.unwrap().value(), fetches), (c"token0", 1));
}

#[test]
fn request_timeout_is_shared_with_waiters() {
    let waiter = |bench: &CacheFixture| {
        let fetch = || panic!("the leader's failure is for all");
        bench.get_with(requirements(0), fetch)
    };
    let late = || Err(error_with_status(Status::Timeout).with_sqlstate("HYT01"));
    let (result, _) = wait_behind_leader(late, waiter);
    assert_eq!(result.unwrap_err().sqlstate(), "HYT01");
}

#[test]
fn waiter_times_out_at_own_deadline() {
    let bench_wait = |bench: &CacheFixture| {
        let call = CallContext::with_timeout(Duration::from_millis(20), "a test");
        bench.get_with_call(requirements(0), &call, || panic!("there is a leader"))
    };
    let bench = CacheFixture::new();
    bench.cache.entry(cache_key("me")).lock().start_flight();
    let error = bench_wait(&bench).unwrap_err();
    assert_eq!(error.status(), Status::Timeout);
    assert!(error.message().contains("another thread"), "{error}");
}

#[test]
fn cancel_wakes_blocked_waiter() {
    let bench = CacheFixture::new();
    let entry = bench.cache.entry(cache_key("me"));
    entry.lock().start_flight();
    let call = CallContext::with_timeout(WAIT_TIMEOUT, "a test");
    let error = std::thread::scope(|scope| {
        let waiting = scope.spawn(|| wait_for_leader(&bench, &call));
        wait_until_blocked(&entry, 1);
        call.cancel.cancel();
        waiting.join().unwrap().unwrap_err()
    });
    assert_eq!(error.status(), Status::Cancelled);
}

#[test]
fn cancelled_call_does_not_wait() {
    let bench = CacheFixture::new();
    bench.cache.entry(cache_key("me")).lock().start_flight();
    let call = CallContext::with_timeout(WAIT_TIMEOUT, "a test");
    call.cancel.cancel();
    assert_eq!(wait_for_leader(&bench, &call).unwrap_err().status(), Status::Cancelled);
}

#[test]
fn completed_flight_wakes_all_waiters() {
    let bench = CacheFixture::new();
    let entry = bench.cache.entry(cache_key("me"));
    let flight = entry.lock().start_flight();
    std::thread::scope(|scope| {
        let waiting: Vec<_> = (0..3)
            .map(|_| {
                scope.spawn(|| wait_for_leader(&bench, &CallContext::with_timeout(WAIT_TIMEOUT, "a test")))
            })
            .collect();
        wait_until_blocked(&entry, 3);
        let fetch = || Ok(token("landed", Some(3600), &bench.clock));
        Flight::new(&entry, flight).run(fetch_context(&bench.clock), fetch).unwrap();
        for waiter in waiting {
            assert_eq!(waiter.join().unwrap().unwrap().value(), c"landed");
        }
    });
}

#[test]
fn earlier_error_is_not_shared_with_later_flight() {
    let bench = CacheFixture::new();
    let entry = bench.cache.entry(cache_key("me"));
    let refused = || Err(error_with_status(Status::Denied));
    bench.get_with(requirements(0), refused).unwrap_err();
    let flight = entry.lock().start_flight();
    let result = std::thread::scope(|scope| {
        let waiting =
            scope.spawn(|| wait_for_leader(&bench, &CallContext::with_timeout(WAIT_TIMEOUT, "a test")));
        wait_until_blocked(&entry, 1);
        let fetch = || Ok(token("later", Some(3600), &bench.clock));
        Flight::new(&entry, flight).run(fetch_context(&bench.clock), fetch).unwrap();
        waiting.join().unwrap()
    });
    assert_eq!(result.unwrap().value(), c"later");
}

#[test]
fn local_error_is_not_cached() {
    let bench = CacheFixture::new();
    let refused = || Err(error_with_status(Status::Denied));
    bench.get_with(requirements(0), refused).unwrap_err();
    assert_eq!(bench.get(0, Some(3600)).value(), c"token0");
}

#[test]
fn waiters_get_token_with_zero_lifetime() {
    let dead_on_arrival = || Ok(token("dead", Some(0), &CacheTestClock::new()));
    let waiter = |bench: &CacheFixture| {
        let fetch = || panic!("there was a token");
        bench.get_with(requirements(0), fetch)
    };
    let (result, _) = wait_behind_leader(dead_on_arrival, waiter);
    assert_eq!(result.unwrap().value(), c"dead");
}

#[test]
fn waiter_skips_token_invalidated_before_wakeup() {
    let rejected = || {
        let token = token("late", Some(3600), &CacheTestClock::new());
        token.invalidate();
        Ok(token)
    };
    let (result, fetches) = wait_behind_leader(rejected, get_with_own_fetch);
    assert_eq!((result.unwrap().value(), fetches), (c"token0", 1));
    let expired = || {
        let mut token = token("late", Some(10), &CacheTestClock::new());
        token.issued_at -= 20;
        token.expires_at = Some(token.issued_at + 10);
        Ok(token)
    };
    let (result, fetches) = wait_behind_leader(expired, get_with_own_fetch);
    assert_eq!((result.unwrap().value(), fetches), (c"token0", 1));
}
