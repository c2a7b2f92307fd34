//! Loom tests of the token cache: loom runs each test in every interleaving of its threads at locks, waits
//! and atomics (`cargo test --lib --features model loom_tests`). A lost wakeup shows as a deadlock. The slots
//! from which connections return their cached tokens are tested in src/sys/shared_slot/loom_tests.rs.
//!
//! The tests run the real cache, including blocked calls and the invalidated flag of tokens; only
//! `crate::sys::sync` is replaced by loom. Not modelled: time, so a leader's timeout is an error returned by
//! its fetch; panics, except that unwinding drops the flight; and the counts of `Arc`, which are the standard
//! library's.

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
use crate::base::error::{Cause, Error, ErrorKind, NetworkError, OAuthReason, Status, TimeoutKind};
use crate::base::jitter::Fraction;
use crate::base::log::Log;
use crate::token::CacheState;

/// The cache key of all tokens. Created outside of the models, whose threads have small stacks.
static TEST_KEY: LazyLock<CacheKey> =
    LazyLock::new(|| CacheKey::digest(&hmac::Key::new(hmac::HMAC_SHA256, b"test"), &"me"));

/// A clock with a constant time.
struct LoomClock(Duration);

impl Clock for LoomClock {
    fn unix_seconds(&self) -> i64 {
        1_000_000
    }

    fn boot_time(&self) -> Duration {
        self.0
    }
}

/// A cache with a constant clock and a fetch counter.
struct LoomFixture {
    cache: TokenCache,
    /// As of an open connection. It also keeps the number of interleavings low: other leases are not the last
    /// one.
    _lease: Lease,
    clock: LoomClock,
    fetches: AtomicUsize,
}

type GetResult = Result<Arc<AccessToken>>;

impl LoomFixture {
    fn new() -> Arc<Self> {
        let cache = TokenCache::new(DEFAULT_MAX_TOKENS, Jitter::pinned(Fraction::new(0)), Arc::default());
        Arc::new(Self {
            _lease: cache.lease(*TEST_KEY),
            cache,
            clock: LoomClock(Duration::from_secs(10_000)),
            fetches: AtomicUsize::new(0),
        })
    }

    /// Counts a fetch, and returns the number of earlier fetches.
    fn next_fetch_number(&self) -> usize {
        self.fetches.fetch_add(1, Ordering::SeqCst)
    }

    fn fetches(&self) -> usize {
        self.fetches.load(Ordering::SeqCst)
    }

    /// A token with a lifetime of an hour and the `remaining` seconds until expiry.
    fn token(&self, name: &str, remaining: i64) -> AccessToken {
        AccessToken {
            value: Zeroizing::new(CString::new(name).unwrap()),
            scope: None,
            fields: BTreeMap::new(),
            issued_at: self.clock.unix_seconds() + remaining - 3600,
            expires_at: Some(self.clock.unix_seconds() + remaining),
            cache_key: *TEST_KEY,
            cache_state: CacheState::new(
                self.clock.boot_time() - Duration::from_secs(remaining.abs_diff(3600)),
            ),
        }
    }

    fn get_with(&self, call: &CallContext, fetch: impl Fn() -> Result<AccessToken>) -> GetResult {
        self.cache.get(
            &self.cache.lease(*TEST_KEY),
            Requirements::default(),
            &self.clock,
            call,
            &Vec::new,
            |_| fetch(),
        )
    }

    /// The context of a fetch without a fallback token.
    fn fetch_context(&self) -> FetchContext<'_> {
        FetchContext {
            fallback_token: None,
            requirements: Requirements::default(),
            clock: &self.clock,
            sources: Vec::new(),
            timeout: None,
            backoff_jitter: Fraction::default(),
            log: Log::default(),
        }
    }

    /// Calls `get` with a fetch that returns a token.
    fn get(&self) -> Arc<AccessToken> {
        self.get_with(&CallContext::unbounded(), || {
            Ok(self.token(&format!("fetch {}", self.next_fetch_number()), 3600))
        })
        .unwrap()
    }

    /// Calls `get` with a fetch that returns `error` if it is the first fetch of all, otherwise a token.
    fn get_failing_first(&self, error: &Error) -> GetResult {
        self.get_with(&CallContext::unbounded(), || match self.next_fetch_number() {
            0 => Err(error.clone()),
            _ => Ok(self.token("second", 3600)),
        })
    }

    /// A fixture whose cache contains a token with the `remaining` seconds until expiry.
    fn with_cached_token(remaining: i64) -> (Arc<Self>, Arc<AccessToken>) {
        let fixture = Self::new();
        let token = Arc::new(fixture.token("cached", remaining));
        fixture.cache.insert(Arc::clone(&token));
        (fixture, token)
    }
}

fn error_of_kind(kind: impl Into<ErrorKind>) -> Error {
    Error::new(kind, "token", "no")
}

fn invalid_grant_error() -> Error {
    error_of_kind(OAuthReason::Denied).with_cause(Cause::Server)
}

/// Runs `body` in every interleaving of its threads.
fn explore_interleavings(body: impl Fn() + Send + Sync + 'static) {
    LazyLock::force(&TEST_KEY);
    loom::model(body);
}

fn spawn<T: 'static>(
    fixture: &Arc<LoomFixture>,
    work: impl FnOnce(&LoomFixture) -> T + 'static,
) -> JoinHandle<T> {
    let fixture = Arc::clone(fixture);
    thread::spawn(move || work(&fixture))
}

fn is_same_token(one: &Arc<AccessToken>, other: &Arc<AccessToken>) -> bool {
    Arc::ptr_eq(one, other)
}

#[test]
fn two_callers_share_one_fetch() {
    explore_interleavings(|| {
        let fixture = LoomFixture::new();
        let other = spawn(&fixture, LoomFixture::get);
        let token = fixture.get();
        assert!(is_same_token(&token, &other.join().unwrap()));
        assert_eq!(fixture.fetches(), 1);
    });
}

#[test]
fn three_callers_share_one_fetch() {
    explore_interleavings(|| {
        let fixture = LoomFixture::new();
        let others = [spawn(&fixture, LoomFixture::get), spawn(&fixture, LoomFixture::get)];
        let token = fixture.get();
        assert!(others.into_iter().all(|other| is_same_token(&token, &other.join().unwrap())));
        assert_eq!(fixture.fetches(), 1);
    });
}

#[test]
fn leader_timeout_or_cancel_fails_only_leader() {
    for kind in [ErrorKind::Timeout(TimeoutKind::Call), ErrorKind::Cancelled] {
        explore_interleavings(move || {
            let fixture = LoomFixture::new();
            let error = error_of_kind(kind.clone());
            let get = move |fixture: &LoomFixture| fixture.get_failing_first(&error);
            let other = spawn(&fixture, get.clone());
            let outcomes = [get(&fixture), other.join().unwrap()];
            let failed: Vec<_> = outcomes.iter().filter_map(|outcome| outcome.as_ref().err()).collect();
            assert!(failed.len() == 1 && *failed[0].kind() == kind, "{outcomes:?}");
            assert_eq!(fixture.fetches(), 2);
        });
    }
}

/// Ends a flight by `end` without a shared outcome while two callers arrive: one of them fetches for both.
fn assert_waiter_takes_over(end: impl Fn(Flight<'_>, &LoomFixture) + Send + Sync + 'static) {
    explore_interleavings(move || {
        let fixture = LoomFixture::new();
        let entry = fixture.cache.entry(*TEST_KEY);
        let flight = entry.lock().start_flight();
        let others = [spawn(&fixture, LoomFixture::get), spawn(&fixture, LoomFixture::get)];
        end(Flight::new(&entry, flight), &fixture);
        let [one, other] = others.map(|other| other.join().unwrap());
        assert!(is_same_token(&one, &other) && fixture.fetches() == 1);
    });
}

#[test]
fn waiter_takes_over_after_leader_timeout() {
    assert_waiter_takes_over(|flight, fixture| {
        let failed = flight.run(fixture.fetch_context(), || Err(error_of_kind(TimeoutKind::Call)));
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
        let fixture = LoomFixture::new();
        let get = |fixture: &LoomFixture| fixture.get_failing_first(&invalid_grant_error());
        let others = [spawn(&fixture, get), spawn(&fixture, get)];
        assert_eq!(get(&fixture).unwrap_err().status(), Status::Denied);
        for other in others {
            assert_eq!(other.join().unwrap().unwrap_err().status(), Status::Denied);
        }
        assert_eq!(fixture.fetches(), 1);
    });
}

#[test]
fn network_error_is_shared_with_waiters() {
    let shared_errors = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&shared_errors);
    explore_interleavings(move || {
        let fixture = LoomFixture::new();
        let entry = fixture.cache.entry(*TEST_KEY);
        let flight = entry.lock().start_flight();
        let waiter = spawn(&fixture, |fixture| fixture.get_failing_first(&error_of_kind(NetworkError::Tls)));
        let fetch = || Err(error_of_kind(NetworkError::Connection));
        Flight::new(&entry, flight).run(fixture.fetch_context(), fetch).unwrap_err();
        let status = waiter.join().unwrap().unwrap_err().status();
        // A caller that arrives after the end of the flight makes its own fetch.
        assert_eq!(status, if fixture.fetches() == 0 { Status::Network } else { Status::Tls });
        counter.fetch_add(usize::from(status == Status::Network), Ordering::SeqCst);
    });
    assert!(shared_errors.load(Ordering::SeqCst) > 0, "no interleaving shared the error with the waiter");
}

#[test]
fn token_rejected_twice_is_fetched_once() {
    explore_interleavings(|| {
        let (fixture, cached) = LoomFixture::with_cached_token(3600);
        let rejected = Arc::clone(&cached);
        let other = spawn(&fixture, move |fixture| {
            // Later than the backoff, so that two consecutive rejections would both take effect.
            fixture.cache.reject(&rejected, &LoomClock(fixture.clock.0 + Duration::from_secs(2)));
            fixture.get()
        });
        fixture.cache.reject(&cached, &fixture.clock);
        let token = fixture.get();
        assert!(
            is_same_token(&token, &other.join().unwrap())
                && cached.is_invalidated()
                && !token.is_invalidated()
        );
        assert_eq!(fixture.fetches(), 1);
    });
}

#[test]
fn early_refresh_runs_once_without_waiting() {
    explore_interleavings(|| {
        let (fixture, cached) = LoomFixture::with_cached_token(30);
        let others = [spawn(&fixture, LoomFixture::get), spawn(&fixture, LoomFixture::get)];
        let tokens = [fixture.get()].into_iter().chain(others.map(|other| other.join().unwrap()));
        let refreshed: Vec<_> = tokens.filter(|token| !is_same_token(token, &cached)).collect();
        assert!(!refreshed.is_empty() && refreshed.iter().all(|token| is_same_token(token, &fixture.get())));
        assert!(cached.is_invalidated() && fixture.fetches() == 1);
    });
}

#[test]
fn failed_refresh_runs_once_and_keeps_token() {
    explore_interleavings(|| {
        let (fixture, cached) = LoomFixture::with_cached_token(30);
        let get = |fixture: &LoomFixture| {
            fixture.get_failing_first(&error_of_kind(NetworkError::Connection)).unwrap()
        };
        let others = [spawn(&fixture, get), spawn(&fixture, get)];
        assert!(is_same_token(&get(&fixture), &cached));
        assert!(others.into_iter().all(|other| is_same_token(&other.join().unwrap(), &cached)));
        assert_eq!(fixture.fetches(), 1);
    });
}

#[test]
fn cleared_token_is_never_returned_afterwards() {
    explore_interleavings(|| {
        let (fixture, cached) = LoomFixture::with_cached_token(3600);
        let other = spawn(&fixture, LoomFixture::get);
        fixture.cache.clear();
        assert!(cached.is_invalidated());
        let token = fixture.get();
        assert!(!is_same_token(&token, &cached) && !token.is_invalidated());
        other.join().unwrap();
        assert!(is_same_token(&fixture.get(), &token), "later callers share one token");
    });
}

#[test]
fn clear_leaves_no_caller_waiting() {
    explore_interleavings(|| {
        let fixture = LoomFixture::new();
        let others = [spawn(&fixture, LoomFixture::get), spawn(&fixture, LoomFixture::get)];
        fixture.cache.clear();
        for other in others {
            other.join().unwrap();
        }
        assert!((1..=2).contains(&fixture.fetches()));
    });
}

#[test]
fn cancel_wakes_waiter() {
    explore_interleavings(|| {
        let fixture = LoomFixture::new();
        fixture.cache.entry(*TEST_KEY).lock().start_flight();
        let call = CallContext::unbounded();
        let cancel = Arc::clone(&call.cancel);
        let waiter =
            spawn(&fixture, move |fixture| fixture.get_with(&call, || panic!("a waiter must not fetch")));
        cancel.cancel();
        assert_eq!(waiter.join().unwrap().unwrap_err().status(), Status::Cancelled);
    });
}

#[test]
fn cancel_of_one_caller_spares_others() {
    explore_interleavings(|| {
        let fixture = LoomFixture::new();
        let call = CallContext::unbounded();
        let cancel = Arc::clone(&call.cancel);
        let cancelled = spawn(&fixture, move |fixture| {
            fixture.get_with(&call, || {
                fixture.next_fetch_number();
                call.check()?;
                Ok(fixture.token("own", 3600))
            })
        });
        let other = spawn(&fixture, LoomFixture::get);
        cancel.cancel();
        other.join().unwrap();
        let outcome = cancelled.join().unwrap();
        assert!(outcome.is_ok_and(|token| !token.is_invalidated()) || fixture.fetches() <= 2);
    });
}

#[test]
fn concurrent_insert_and_remove_lose_no_token() {
    explore_interleavings(|| {
        let (fixture, cached) = LoomFixture::with_cached_token(3600);
        let inserted = Arc::new(fixture.token("inserted", 3600));
        let new = Arc::clone(&inserted);
        let inserter = spawn(&fixture, move |fixture| fixture.cache.insert(new));
        let removed = fixture.cache.remove(*TEST_KEY).unwrap();
        inserter.join().unwrap();
        assert!(cached.is_invalidated());
        match fixture.cache.peek(*TEST_KEY, Requirements::default(), &fixture.clock) {
            Some(current) => assert!(is_same_token(&removed, &cached) && is_same_token(&current, &inserted)),
            None => assert!(is_same_token(&removed, &inserted)),
        }
    });
}

#[test]
fn inserted_token_survives_concurrent_denial() {
    explore_interleavings(|| {
        let fixture = LoomFixture::new();
        let denied = spawn(&fixture, |fixture| fixture.get_failing_first(&invalid_grant_error()));
        let clearing = spawn(&fixture, |fixture| fixture.cache.clear_negative(*TEST_KEY));
        let inserted = Arc::new(fixture.token("inserted", 3600));
        fixture.cache.insert(Arc::clone(&inserted));
        let _ = denied.join().unwrap();
        clearing.join().unwrap();
        let before = fixture.fetches();
        assert!(is_same_token(&fixture.get(), &inserted) && fixture.fetches() == before);
    });
}

#[test]
fn cleared_or_removed_entry_is_fetched_again() {
    explore_interleavings(|| {
        let fixture = LoomFixture::new();
        fixture.get_failing_first(&invalid_grant_error()).unwrap_err();
        let remover = spawn(&fixture, |fixture| fixture.cache.remove(*TEST_KEY));
        fixture.cache.clear_negative(*TEST_KEY);
        let token = fixture.get();
        assert!(remover.join().unwrap().is_none_or(|removed| is_same_token(&removed, &token)));
        assert_eq!(fixture.fetches(), 2);
    });
}
