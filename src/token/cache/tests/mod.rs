//! Fixture of the token cache tests: a cache with a manual clock.

use std::collections::BTreeMap;
use std::ffi::CString;
use std::sync::atomic::{AtomicI64, AtomicUsize, Ordering};
use std::time::Duration;

use zeroize::Zeroizing;

use super::*;
use crate::base::error::{
    Cause, Error, ErrorKind, KeyError, NetworkError, OAuthError, OAuthReason, Status, TimeoutKind,
};
use crate::base::jitter::Fraction;
use crate::base::log::Log;
use crate::token::CacheState;

mod eviction;
mod freshness;
mod negative_cache;
mod rejections;
mod single_flight;

/// A clock that tests advance manually.
struct CacheTestClock {
    elapsed_secs: AtomicI64,
    /// Seconds by which the wall clock was set forward.
    wall_offset_secs: AtomicI64,
}

impl CacheTestClock {
    fn new() -> Self {
        Self { elapsed_secs: AtomicI64::new(0), wall_offset_secs: AtomicI64::new(0) }
    }

    /// Advances both clocks.
    fn advance(&self, seconds: i64) {
        self.elapsed_secs.fetch_add(seconds, Ordering::SeqCst);
    }

    /// Adjusts only the wall clock, as NTP, a user or a suspend does.
    fn adjust_wall_clock(&self, seconds: i64) {
        self.wall_offset_secs.fetch_add(seconds, Ordering::SeqCst);
    }
}

impl Clock for CacheTestClock {
    fn unix_seconds(&self) -> i64 {
        1_000_000 + self.elapsed_secs.load(Ordering::SeqCst) + self.wall_offset_secs.load(Ordering::SeqCst)
    }

    fn boot_time(&self) -> Duration {
        Duration::from_secs(self.elapsed_secs.load(Ordering::SeqCst).unsigned_abs())
    }
}

fn cache_key(subject: &str) -> CacheKey {
    CacheKey::from_name(subject)
}

fn token(value: &str, lifetime: Option<i64>, clock: &CacheTestClock) -> AccessToken {
    AccessToken {
        value: Zeroizing::new(CString::new(value).unwrap()),
        scope: None,
        fields: BTreeMap::new(),
        issued_at: clock.unix_seconds(),
        expires_at: lifetime.map(|lifetime| clock.unix_seconds() + lifetime),
        cache_key: cache_key("me"),
        cache_state: CacheState::new(clock.boot_time()),
    }
}

fn requirements(min_remaining: i64) -> Requirements {
    Requirements { min_remaining, ..Requirements::default() }
}

fn error_of_kind(kind: impl Into<ErrorKind>) -> Error {
    Error::new(kind, "token", "no")
}

/// The limit of the cache under test.
const MAX_TOKENS: usize = 2000;

/// Makes the delays of the backoff exact.
const NO_JITTER: Jitter = Jitter::pinned(Fraction::new(0));

/// A fetch of any kind that is called at most once.
fn single_fetch(fetch: impl FnOnce() -> Result<AccessToken>) -> impl FnMut(FetchKind) -> Result<AccessToken> {
    let mut fetch = Some(fetch);
    move |_| fetch.take().expect("only one fetch is expected")()
}

/// The context of a fetch without a fallback token.
fn fetch_context(clock: &CacheTestClock) -> FetchContext<'_> {
    FetchContext {
        fallback_token: None,
        requirements: requirements(0),
        clock,
        sources: Vec::new(),
        timeout: None,
        backoff_jitter: Fraction::default(),
        log: Log::default(),
    }
}

impl TokenCache {
    pub(super) fn entry(&self, key: CacheKey) -> Arc<entry::CacheEntry> {
        Arc::clone(&self.lease(key).entry)
    }
}

/// A cache with a manual clock and a fetch counter.
struct CacheFixture {
    cache: TokenCache,
    clock: CacheTestClock,
    fetches: AtomicUsize,
}

impl CacheFixture {
    fn new() -> Self {
        Self {
            cache: TokenCache::new(MAX_TOKENS, NO_JITTER, Arc::default()),
            clock: CacheTestClock::new(),
            fetches: AtomicUsize::new(0),
        }
    }

    fn get_with(
        &self,
        requirements: Requirements,
        fetch: impl FnOnce() -> Result<AccessToken>,
    ) -> Result<Arc<AccessToken>> {
        self.get_with_call(requirements, &CallContext::unbounded(), fetch)
    }

    fn get_with_call(
        &self,
        requirements: Requirements,
        call: &CallContext,
        fetch: impl FnOnce() -> Result<AccessToken>,
    ) -> Result<Arc<AccessToken>> {
        self.cache.get(
            &self.cache.lease(cache_key("me")),
            requirements,
            &self.clock,
            call,
            &Vec::new,
            single_fetch(fetch),
        )
    }

    fn get(&self, min_remaining: i64, lifetime: Option<i64>) -> Arc<AccessToken> {
        let fetch = || {
            let number = self.fetches.fetch_add(1, Ordering::SeqCst);
            Ok(token(&format!("token{number}"), lifetime, &self.clock))
        };
        self.get_with(requirements(min_remaining), fetch).unwrap()
    }

    fn fetches(&self) -> usize {
        self.fetches.load(Ordering::SeqCst)
    }
}

/// Calls `get` with a fetch that returns `error`.
fn failing_fetch(error: Error) -> impl Fn(&CacheFixture, Requirements) -> Result<Arc<AccessToken>> {
    move |fixture, requirements| {
        let fetch = || {
            fixture.fetches.fetch_add(1, Ordering::SeqCst);
            Err(error.clone())
        };
        fixture.get_with(requirements, fetch)
    }
}

fn throttled_error(reason: OAuthReason, retry_after: u32) -> Error {
    error_of_kind(OAuthError { retry_after, ..reason.into() }).with_cause(Cause::Server)
}

fn oauth_error(reason: OAuthReason, error: &str) -> Error {
    let kind = OAuthError { error: Some(error.to_owned()), ..reason.into() };
    error_of_kind(kind).with_cause(Cause::Server)
}
