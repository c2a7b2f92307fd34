//! Tests of single-flight requests and their waiters.

use std::sync::mpsc;

use super::*;
use crate::token::cache::entry::CacheEntry;

#[test]
fn concurrent_callers_share_one_fetch() {
    let fixture = CacheFixture::new();
    let (arrived, arrivals) = mpsc::channel();
    std::thread::scope(|scope| {
        for _ in 0..64 {
            let (fixture, arrived) = (&fixture, arrived.clone());
            scope.spawn(move || {
                arrived.send(()).unwrap();
                fixture.get(0, Some(3600));
            });
        }
        arrivals.iter().take(64).count();
    });
    assert_eq!(fixture.fetches(), 1);
}

/// Starts `waiter` while a leader's fetch is in flight, which then ends with `outcome`.
fn run_waiter_during_flight(
    outcome: impl FnOnce() -> Result<AccessToken> + Send,
    waiter: impl FnOnce(&CacheFixture) -> Result<Arc<AccessToken>> + Send,
) -> (Result<Arc<AccessToken>>, usize) {
    let fixture = CacheFixture::new();
    let (in_flight, leader_is_in_flight) = mpsc::channel();
    let (finish, may_finish) = mpsc::channel::<()>();
    let result = std::thread::scope(|scope| {
        let fixture = &fixture;
        scope.spawn(move || {
            let fetch = || {
                in_flight.send(()).unwrap();
                may_finish.recv().unwrap();
                outcome()
            };
            let lead = || fixture.get_with(requirements(0), fetch);
            let _ = std::panic::catch_unwind(std::panic::AssertUnwindSafe(lead));
        });
        leader_is_in_flight.recv().unwrap();
        let waiting = scope.spawn(move || waiter(fixture));
        wait_until_blocked(&fixture.cache.entry(cache_key("me")), 1);
        let _ = finish.send(());
        waiting.join().unwrap()
    });
    (result, fixture.fetches())
}

/// Waits until that many waiters are blocked. A waiter registers itself for cancellation, by a weak
/// reference, while it holds the lock, and releases the lock only to block.
fn wait_until_blocked(entry: &Arc<CacheEntry>, waiters: usize) {
    let start = std::time::Instant::now();
    while Arc::weak_count(entry) < waiters {
        assert!(start.elapsed() < WAIT_TIMEOUT, "no waiter has registered for cancellation");
        std::thread::yield_now();
    }
    drop(entry.lock());
}

/// A waiter that is blocked for longer was not woken.
const WAIT_TIMEOUT: Duration = Duration::from_secs(10);

/// Waits for another thread's flight; panics if only the deadline ended the wait.
fn wait_for_leader(fixture: &CacheFixture, call: &CallContext) -> Result<Arc<AccessToken>> {
    let fetch = || panic!("a waiter must not fetch");
    let outcome = fixture.get_with_call(requirements(0), call, fetch);
    assert!(!call.deadline.is_past(), "the waiter was not woken");
    outcome
}

fn get_with_own_fetch(fixture: &CacheFixture) -> Result<Arc<AccessToken>> {
    let call = CallContext::with_timeout(WAIT_TIMEOUT, "a test");
    let fetch = || {
        Ok(token(&format!("token{}", fixture.fetches.fetch_add(1, Ordering::SeqCst)), None, &fixture.clock))
    };
    let outcome = fixture.get_with_call(requirements(0), &call, fetch);
    assert!(!call.deadline.is_past(), "the waiter was not woken");
    outcome
}

#[test]
fn fetch_error_is_shared_with_waiters() {
    for error in [
        error_of_kind(OAuthReason::Denied),
        error_of_kind(KeyError::Password),
        error_of_kind(NetworkError::Tls),
        error_of_kind(NetworkError::Connection),
    ] {
        let waiter = |fixture: &CacheFixture| {
            let fetch = || panic!("the waiter must receive the leader's error");
            fixture.get_with(requirements(0), fetch)
        };
        let leader_error = error.clone();
        let (result, _) = run_waiter_during_flight(move || Err(leader_error), waiter);
        assert_eq!(result.unwrap_err(), error);
    }
}

#[test]
fn waiter_takes_over_after_leader_specific_failure() {
    for kind in [ErrorKind::Timeout(TimeoutKind::Call), ErrorKind::Cancelled, ErrorKind::Internal] {
        let (result, fetches) =
            run_waiter_during_flight(move || Err(error_of_kind(kind)), get_with_own_fetch);
        assert_eq!((result.unwrap().value(), fetches), (c"token0", 1));
    }
    let (result, fetches) = run_waiter_during_flight(|| panic!("a bug"), get_with_own_fetch);
    assert_eq!((result.unwrap().value(), fetches), (c"token0", 1));
    let signer_error = || Err(error_of_kind(KeyError::Store).with_cause(Cause::Caller));
    let (result, fetches) = run_waiter_during_flight(signer_error, get_with_own_fetch);
    assert_eq!((result.unwrap().value(), fetches), (c"token0", 1));
}

#[test]
fn request_timeout_is_shared_with_waiters() {
    let waiter = |fixture: &CacheFixture| {
        let fetch = || panic!("the waiter must receive the leader's error");
        fixture.get_with(requirements(0), fetch)
    };
    let late = || Err(Error::new(TimeoutKind::Request, "network", "timeout"));
    let (result, _) = run_waiter_during_flight(late, waiter);
    assert_eq!(result.unwrap_err().sqlstate(), "HYT01");
}

#[test]
fn waiter_times_out_at_own_deadline() {
    let fixture = CacheFixture::new();
    let entry = fixture.cache.entry(cache_key("me"));
    entry.lock().start_flight();
    let call = CallContext::with_timeout(Duration::from_millis(20), "a test");
    let fetch = || panic!("a waiter must not fetch");
    let error = fixture.get_with_call(requirements(0), &call, fetch).unwrap_err();
    assert_eq!((error.status(), error.sqlstate()), (Status::Timeout, "HYT00"));
    assert!(call.deadline.is_past() && !entry.lock().has_no_flight());
}

#[test]
fn cancel_wakes_blocked_waiter() {
    let fixture = CacheFixture::new();
    let entry = fixture.cache.entry(cache_key("me"));
    entry.lock().start_flight();
    let call = CallContext::with_timeout(WAIT_TIMEOUT, "a test");
    let error = std::thread::scope(|scope| {
        let waiting = scope.spawn(|| wait_for_leader(&fixture, &call));
        wait_until_blocked(&entry, 1);
        call.cancel.cancel();
        waiting.join().unwrap().unwrap_err()
    });
    assert_eq!(error.status(), Status::Cancelled);
}

#[test]
fn cancelled_call_does_not_wait() {
    let fixture = CacheFixture::new();
    fixture.cache.entry(cache_key("me")).lock().start_flight();
    let call = CallContext::with_timeout(WAIT_TIMEOUT, "a test");
    call.cancel.cancel();
    assert_eq!(wait_for_leader(&fixture, &call).unwrap_err().status(), Status::Cancelled);
}

#[test]
fn completed_flight_wakes_all_waiters() {
    let fixture = CacheFixture::new();
    let entry = fixture.cache.entry(cache_key("me"));
    let flight = entry.lock().start_flight();
    std::thread::scope(|scope| {
        let waiting: Vec<_> = (0..3)
            .map(|_| {
                scope.spawn(|| wait_for_leader(&fixture, &CallContext::with_timeout(WAIT_TIMEOUT, "a test")))
            })
            .collect();
        wait_until_blocked(&entry, 3);
        let fetch = || Ok(token("shared", Some(3600), &fixture.clock));
        Flight::new(&entry, flight).run(fetch_context(&fixture.clock), fetch).unwrap();
        for waiter in waiting {
            assert_eq!(waiter.join().unwrap().unwrap().value(), c"shared");
        }
    });
}

#[test]
fn earlier_error_is_not_shared_with_later_flight() {
    let fixture = CacheFixture::new();
    let entry = fixture.cache.entry(cache_key("me"));
    let denied = || Err(error_of_kind(OAuthReason::Denied));
    fixture.get_with(requirements(0), denied).unwrap_err();
    let flight = entry.lock().start_flight();
    let result = std::thread::scope(|scope| {
        let waiting =
            scope.spawn(|| wait_for_leader(&fixture, &CallContext::with_timeout(WAIT_TIMEOUT, "a test")));
        wait_until_blocked(&entry, 1);
        let fetch = || Ok(token("second", Some(3600), &fixture.clock));
        Flight::new(&entry, flight).run(fetch_context(&fixture.clock), fetch).unwrap();
        waiting.join().unwrap()
    });
    assert_eq!(result.unwrap().value(), c"second");
}

#[test]
fn outcome_of_earlier_flight_is_not_shared() {
    let expired: fn(&CacheTestClock) -> _ = |clock| Ok(token("expired", Some(0), clock));
    let denied: fn(&CacheTestClock) -> _ = |_| Err(error_of_kind(OAuthReason::Denied));
    for earlier in [expired, denied] {
        let fixture = CacheFixture::new();
        let entry = fixture.cache.entry(cache_key("me"));
        let _ = fixture.get_with(requirements(0), || earlier(&fixture.clock));
        let flight = entry.lock().start_flight();
        let result = std::thread::scope(|scope| {
            let waiting = scope.spawn(|| get_with_own_fetch(&fixture));
            wait_until_blocked(&entry, 1);
            let cancelled = || Err(error_of_kind(ErrorKind::Cancelled));
            Flight::new(&entry, flight).run(fetch_context(&fixture.clock), cancelled).unwrap_err();
            waiting.join().unwrap()
        });
        assert_eq!(result.unwrap().value(), c"token0");
    }
}

#[test]
fn local_error_is_not_cached() {
    let fixture = CacheFixture::new();
    let denied = || Err(error_of_kind(OAuthReason::Denied));
    fixture.get_with(requirements(0), denied).unwrap_err();
    assert_eq!(fixture.get(0, Some(3600)).value(), c"token0");
}

#[test]
fn waiters_get_token_with_zero_lifetime() {
    let zero_lifetime = || Ok(token("expired", Some(0), &CacheTestClock::new()));
    let waiter = |fixture: &CacheFixture| {
        let fetch = || panic!("the waiter must receive the leader's token");
        fixture.get_with(requirements(0), fetch)
    };
    let (result, _) = run_waiter_during_flight(zero_lifetime, waiter);
    assert_eq!(result.unwrap().value(), c"expired");
}

#[test]
fn waiter_skips_token_invalidated_before_wakeup() {
    let rejected = || {
        let token = token("late", Some(3600), &CacheTestClock::new());
        token.invalidate();
        Ok(token)
    };
    let (result, fetches) = run_waiter_during_flight(rejected, get_with_own_fetch);
    assert_eq!((result.unwrap().value(), fetches), (c"token0", 1));
    let expired = || {
        let mut token = token("late", Some(10), &CacheTestClock::new());
        token.issued_at -= 20;
        token.expires_at = Some(token.issued_at + 10);
        Ok(token)
    };
    let (result, fetches) = run_waiter_during_flight(expired, get_with_own_fetch);
    assert_eq!((result.unwrap().value(), fetches), (c"token0", 1));
}
