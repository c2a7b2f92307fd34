//! Models of the cache: loom runs each in every order in which its threads can meet at locks, waits and counters
//! (`cargo test --lib --features model models`). A thread that nobody wakes is found as a deadlock. What comes before the
//! cache, a connection's slot for its token of late, has models of its own in src/sys/share/models.rs.
//!
//! It is the cache itself that runs, with the calls that wait in it and the flag of a retired token; `crate::sys::sync` alone is
//! loom's. Not modelled are: the passing of time, so a leader's timeout is an error that its fetch brings; a panic, of which
//! only what unwinding does to a flight is here; and the counts in `Arc`, which are the standard library's.

use std::collections::BTreeMap;
use std::ffi::CString;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use aws_lc_rs::hmac;
use loom::thread::{self, JoinHandle};
use zeroize::Zeroizing;

use super::*;
use crate::base::call::CallContext;
use crate::base::error::{Error, Status};
use crate::base::jitter::Fraction;
use crate::base::log::Log;
use crate::token::CacheState;

/// Whose token it is. Made outside of the models, whose threads have small stacks.
static TEST_KEY: LazyLock<CacheKey> =
    LazyLock::new(|| CacheKey::digest(&hmac::Key::new(hmac::HMAC_SHA256, b"test"), &"me"));

/// A clock that stands still.
struct LoomClock(Duration);

impl Clock for LoomClock {
    fn unix_seconds(&self) -> i64 {
        1_000_000
    }

    fn boot_time(&self) -> Duration {
        self.0
    }
}

/// A cache, and how often something was fetched for it.
struct LoomFixture {
    cache: TokenCache,
    clock: LoomClock,
    fetches: AtomicUsize,
}

type GetResult = Result<Arc<AccessToken>>;

impl LoomFixture {
    fn new() -> Arc<Self> {
        Arc::new(Self {
            cache: TokenCache::new(Jitter::pinned(Fraction::new(0)), Arc::default()),
            clock: LoomClock(Duration::from_secs(10_000)),
            fetches: AtomicUsize::new(0),
        })
    }

    /// Tells a fetch from those before it.
    fn next_fetch_number(&self) -> usize {
        self.fetches.fetch_add(1, Ordering::SeqCst)
    }

    fn fetches(&self) -> usize {
        self.fetches.load(Ordering::SeqCst)
    }

    /// One that was issued just now, or an hour ago with so many seconds left.
    fn token(&self, name: &str, left: i64) -> AccessToken {
        AccessToken {
            value: Zeroizing::new(CString::new(name).unwrap()),
            scope: None,
            fields: BTreeMap::new(),
            issued_at: self.clock.unix_seconds() + left - 3600,
            expires_at: Some(self.clock.unix_seconds() + left),
            cache_key: *TEST_KEY,
            cache_state: CacheState::new(self.clock.boot_time() - Duration::from_secs(left.abs_diff(3600))),
        }
    }

    fn get_with(&self, call: &CallContext, fetch: impl Fn() -> Result<AccessToken>) -> GetResult {
        self.cache.get(*TEST_KEY, Requirements::default(), &self.clock, call, &Vec::new, |_| fetch())
    }

    /// What a flight goes by that has no token to fall back to.
    fn fetch_context(&self) -> FetchContext<'_> {
        let (want, jitter) = (Requirements::default(), Fraction::default());
        FetchContext {
            fallback_token: None,
            requirements: want,
            clock: &self.clock,
            sources: Vec::new(),
            timeout: None,
            backoff_jitter: jitter,
            log: Log::default(),
        }
    }

    /// A get whose fetch brings a token.
    fn get(&self) -> Arc<AccessToken> {
        self.get_with(&CallContext::unbounded(), || {
            Ok(self.token(&format!("fetch {}", self.next_fetch_number()), 3600))
        })
        .unwrap()
    }

    /// A get whose fetch fails if it is the first one of all, and else brings a token.
    fn get_failing_first(&self, failure: &Error) -> GetResult {
        self.get_with(&CallContext::unbounded(), || match self.next_fetch_number() {
            0 => Err(failure.clone()),
            _ => Ok(self.token("second", 3600)),
        })
    }

    /// A token of an hour that is there already, with so many seconds left.
    fn with_cached_token(left: i64) -> (Arc<Self>, Arc<AccessToken>) {
        let bench = Self::new();
        let token = Arc::new(bench.token("held", left));
        bench.cache.insert(Arc::clone(&token));
        (bench, token)
    }
}

fn error_with_status(status: Status) -> Error {
    Error::new(status, "token", "no")
}

fn invalid_grant_error() -> Error {
    error_with_status(Status::Denied).with_oauth(Some("invalid_grant".to_owned()), None).caused_by_server()
}

/// Runs `body` in every order of what its threads do.
fn explore_interleavings(body: impl Fn() + Send + Sync + 'static) {
    LazyLock::force(&TEST_KEY);
    loom::model(body);
}

fn spawn<T: 'static>(
    bench: &Arc<LoomFixture>,
    work: impl FnOnce(&LoomFixture) -> T + 'static,
) -> JoinHandle<T> {
    let bench = Arc::clone(bench);
    thread::spawn(move || work(&bench))
}

fn is_same_token(one: &Arc<AccessToken>, other: &Arc<AccessToken>) -> bool {
    Arc::ptr_eq(one, other)
}

#[test]
fn two_callers_share_one_fetch() {
    explore_interleavings(|| {
        let bench = LoomFixture::new();
        let other = spawn(&bench, LoomFixture::get);
        let token = bench.get();
        assert!(is_same_token(&token, &other.join().unwrap()));
        assert_eq!(bench.fetches(), 1);
    });
}

#[test]
fn three_callers_share_one_fetch() {
    explore_interleavings(|| {
        let bench = LoomFixture::new();
        let others = [spawn(&bench, LoomFixture::get), spawn(&bench, LoomFixture::get)];
        let token = bench.get();
        assert!(others.into_iter().all(|other| is_same_token(&token, &other.join().unwrap())));
        assert_eq!(bench.fetches(), 1);
    });
}

#[test]
fn leader_timeout_or_cancel_fails_only_leader() {
    for status in [Status::Timeout, Status::Cancelled] {
        explore_interleavings(move || {
            let bench = LoomFixture::new();
            let ask = move |bench: &LoomFixture| bench.get_failing_first(&error_with_status(status));
            let other = spawn(&bench, ask);
            let outcomes = [ask(&bench), other.join().unwrap()];
            let failed: Vec<_> = outcomes.iter().filter_map(|outcome| outcome.as_ref().err()).collect();
            assert!(failed.len() == 1 && failed[0].status() == status, "{outcomes:?}");
            assert_eq!(bench.fetches(), 2);
        });
    }
}

/// Two who come while a flight ends by `end` without an outcome for all: one of them makes the fetch of both.
fn assert_waiter_takes_over(end: impl Fn(Flight<'_>, &LoomFixture) + Send + Sync + 'static) {
    explore_interleavings(move || {
        let bench = LoomFixture::new();
        let entry = bench.cache.entry(*TEST_KEY);
        let flight = entry.lock().start_flight();
        let others = [spawn(&bench, LoomFixture::get), spawn(&bench, LoomFixture::get)];
        end(Flight::new(&entry, flight), &bench);
        let [one, other] = others.map(|other| other.join().unwrap());
        assert!(is_same_token(&one, &other) && bench.fetches() == 1);
    });
}

#[test]
fn waiter_takes_over_after_leader_timeout() {
    assert_waiter_takes_over(|flight, bench| {
        let failed = flight.run(bench.fetch_context(), || Err(error_with_status(Status::Timeout)));
        assert_eq!(failed.unwrap_err().status(), Status::Timeout);
    });
}

#[test]
fn waiter_takes_over_after_leader_panic() {
    assert_waiter_takes_over(|flight, _| drop(flight));
}

#[test]
fn denied_grant_is_fetched_once_for_all() {
    explore_interleavings(|| {
        let bench = LoomFixture::new();
        let ask = |bench: &LoomFixture| bench.get_failing_first(&invalid_grant_error());
        let others = [spawn(&bench, ask), spawn(&bench, ask)];
        assert_eq!(ask(&bench).unwrap_err().status(), Status::Denied);
        for other in others {
            assert_eq!(other.join().unwrap().unwrap_err().status(), Status::Denied);
        }
        assert_eq!(bench.fetches(), 1);
    });
}

#[test]
fn network_error_is_shared_with_waiters() {
    let waited = Arc::new(AtomicUsize::new(0));
    let heard = Arc::clone(&waited);
    explore_interleavings(move || {
        let bench = LoomFixture::new();
        let entry = bench.cache.entry(*TEST_KEY);
        let flight = entry.lock().start_flight();
        let waiter = spawn(&bench, |bench| bench.get_failing_first(&error_with_status(Status::Tls)));
        let fetch = || Err(error_with_status(Status::Network));
        Flight::new(&entry, flight).run(bench.fetch_context(), fetch).unwrap_err();
        let told = waiter.join().unwrap().unwrap_err().status();
        // Who comes when it is over asks for himself.
        assert_eq!(told, if bench.fetches() == 0 { Status::Network } else { Status::Tls });
        heard.fetch_add(usize::from(told == Status::Network), Ordering::SeqCst);
    });
    assert!(waited.load(Ordering::SeqCst) > 0, "nobody who waited has heard it");
}

#[test]
fn token_rejected_twice_is_fetched_once() {
    explore_interleavings(|| {
        let (bench, held) = LoomFixture::with_cached_token(3600);
        let rejected = Arc::clone(&held);
        let other = spawn(&bench, move |bench| {
            // So late that two rejections in a row would both count.
            bench.cache.reject(&rejected, &LoomClock(bench.clock.0 + Duration::from_secs(2)));
            bench.get()
        });
        bench.cache.reject(&held, &bench.clock);
        let token = bench.get();
        assert!(
            is_same_token(&token, &other.join().unwrap()) && held.is_invalidated() && !token.is_invalidated()
        );
        assert_eq!(bench.fetches(), 1);
    });
}

#[test]
fn early_refresh_runs_once_without_waiting() {
    explore_interleavings(|| {
        let (bench, held) = LoomFixture::with_cached_token(30);
        let others = [spawn(&bench, LoomFixture::get), spawn(&bench, LoomFixture::get)];
        let tokens = [bench.get()].into_iter().chain(others.map(|other| other.join().unwrap()));
        let renewed: Vec<_> = tokens.filter(|token| !is_same_token(token, &held)).collect();
        assert!(!renewed.is_empty() && renewed.iter().all(|token| is_same_token(token, &bench.get())));
        assert!(held.is_invalidated() && bench.fetches() == 1);
    });
}

#[test]
fn failed_refresh_runs_once_and_keeps_token() {
    explore_interleavings(|| {
        let (bench, held) = LoomFixture::with_cached_token(30);
        let ask = |bench: &LoomFixture| bench.get_failing_first(&error_with_status(Status::Network)).unwrap();
        let others = [spawn(&bench, ask), spawn(&bench, ask)];
        assert!(is_same_token(&ask(&bench), &held));
        assert!(others.into_iter().all(|other| is_same_token(&other.join().unwrap(), &held)));
        assert_eq!(bench.fetches(), 1);
    });
}

#[test]
fn cleared_token_is_never_returned_afterwards() {
    explore_interleavings(|| {
        let (bench, held) = LoomFixture::with_cached_token(3600);
        let other = spawn(&bench, LoomFixture::get);
        bench.cache.clear();
        assert!(held.is_invalidated());
        let token = bench.get();
        assert!(!is_same_token(&token, &held) && !token.is_invalidated());
        other.join().unwrap();
        assert!(is_same_token(&bench.get(), &token), "there is one for all who come later");
    });
}

#[test]
fn clear_leaves_no_caller_waiting() {
    explore_interleavings(|| {
        let bench = LoomFixture::new();
        let others = [spawn(&bench, LoomFixture::get), spawn(&bench, LoomFixture::get)];
        bench.cache.clear();
        for other in others {
            other.join().unwrap();
        }
        assert!((1..=2).contains(&bench.fetches()));
    });
}

#[test]
fn cancel_wakes_waiter() {
    explore_interleavings(|| {
        let bench = LoomFixture::new();
        bench.cache.entry(*TEST_KEY).lock().start_flight();
        let call = CallContext::unbounded();
        let cancel = Arc::clone(&call.cancel);
        let waiter = spawn(&bench, move |bench| bench.get_with(&call, || panic!("there is a leader")));
        cancel.cancel();
        assert_eq!(waiter.join().unwrap().unwrap_err().status(), Status::Cancelled);
    });
}

#[test]
fn cancel_of_one_caller_spares_others() {
    explore_interleavings(|| {
        let bench = LoomFixture::new();
        let call = CallContext::unbounded();
        let cancel = Arc::clone(&call.cancel);
        let cancelled = spawn(&bench, move |bench| {
            bench.get_with(&call, || {
                bench.next_fetch_number();
                call.check()?;
                Ok(bench.token("mine", 3600))
            })
        });
        let other = spawn(&bench, LoomFixture::get);
        cancel.cancel();
        other.join().unwrap();
        let outcome = cancelled.join().unwrap();
        assert!(outcome.is_ok_and(|token| !token.is_invalidated()) || bench.fetches() <= 2);
    });
}

#[test]
fn concurrent_insert_and_remove_lose_no_token() {
    explore_interleavings(|| {
        let (bench, held) = LoomFixture::with_cached_token(3600);
        let put = Arc::new(bench.token("put", 3600));
        let new = Arc::clone(&put);
        let putting = spawn(&bench, move |bench| bench.cache.insert(new));
        let taken = bench.cache.remove(*TEST_KEY).unwrap();
        putting.join().unwrap();
        assert!(held.is_invalidated());
        match bench.cache.peek(*TEST_KEY, Requirements::default(), &bench.clock) {
            Some(there) => assert!(is_same_token(&taken, &held) && is_same_token(&there, &put)),
            None => assert!(is_same_token(&taken, &put)),
        }
    });
}

#[test]
fn inserted_token_survives_concurrent_denial() {
    explore_interleavings(|| {
        let bench = LoomFixture::new();
        let refused = spawn(&bench, |bench| bench.get_failing_first(&invalid_grant_error()));
        let forgetting = spawn(&bench, |bench| bench.cache.clear_negative(*TEST_KEY));
        let put = Arc::new(bench.token("put", 3600));
        bench.cache.insert(Arc::clone(&put));
        let _ = refused.join().unwrap();
        forgetting.join().unwrap();
        let before = bench.fetches();
        assert!(is_same_token(&bench.get(), &put) && bench.fetches() == before);
    });
}

#[test]
fn cleared_or_removed_entry_is_fetched_again() {
    explore_interleavings(|| {
        let bench = LoomFixture::new();
        bench.get_failing_first(&invalid_grant_error()).unwrap_err();
        let taking = spawn(&bench, |bench| bench.cache.remove(*TEST_KEY));
        bench.cache.clear_negative(*TEST_KEY);
        let token = bench.get();
        assert!(taking.join().unwrap().is_none_or(|taken| is_same_token(&taken, &token)));
        assert_eq!(bench.fetches(), 2);
    });
}
