//! Token cache with single-flight refresh and a negative cache.
//!
//! Keyed by [`CacheKey`]. Concurrent callers with the same key share one in-flight request: its leader makes
//! the request, the others wait for the outcome.
//!
//! Errors of the server, the network and a key are delivered to every waiter. Errors of the server and the
//! network are also cached briefly, with exponential backoff; then one call probes. Errors specific to the
//! leader – timeout, cancel, panic, signer callback failure – are not shared; one of the waiters retries.
//!
//! Shortly before a token expires, one caller refreshes it early, with a short time limit, while all others
//! continue to use the cached token. If the refresh fails, its caller also gets the cached token
//! (stale-if-error, RFC 5861), but never an expired one.

use std::ptr;
use std::sync::Arc;

use crate::base::cache_key::CacheKey;
use crate::base::call::CallContext;
use crate::base::clock::Clock;
use crate::base::error::{ErrorKind, Result};
use crate::base::jitter::Jitter;
use crate::base::stats::{Counter, Stats};
use crate::sys::sync::Mutex;
use crate::token::AccessToken;

mod entry;
mod entry_map;
mod freshness;

use entry::{CacheAction, EntryState, FetchContext, Flight, FlightResult};
use entry_map::EntryMap;
use freshness::{Now, has_lifetime, is_usable};

pub use entry::{FetchKind, SourceVersions};
pub use entry_map::Lease;
pub use freshness::{Requirements, fresh_until, is_fresh_now, is_usable_now, refresh_at};

/// Default limit for the number of tokens that no open connection uses.
pub(crate) const DEFAULT_MAX_TOKENS: usize = 10_000;

/// The token cache of one process.
pub struct TokenCache {
    entries: Arc<Mutex<EntryMap>>,
    jitter: Jitter,
    stats: Arc<Stats>,
}

impl TokenCache {
    /// Creates an empty cache for at most `max_tokens` tokens that no connection uses. `jitter` applies to the
    /// backoff; hits and evictions are counted in `stats`.
    #[must_use]
    pub fn new(max_tokens: usize, jitter: Jitter, stats: Arc<Stats>) -> Self {
        let entries = Arc::new(Mutex::new(EntryMap::new(max_tokens, Arc::clone(&stats))));
        Self { entries, jitter, stats }
    }

    /// Returns a lease for the entry of `key`, which is not evicted before the lease is dropped.
    #[must_use]
    pub fn lease(&self, key: CacheKey) -> Lease {
        Lease::acquire(&self.entries, key)
    }

    /// Returns a token that satisfies `requirements`, from the leased entry or by `fetch`.
    ///
    /// `current_sources` returns the versions of the files that a fetch depends on. If they have changed, a
    /// cached error is discarded.
    ///
    /// # Errors
    /// Those of `fetch`, possibly cached; [`ErrorKind::Timeout`] and [`ErrorKind::Cancelled`] while waiting
    /// for another thread's fetch.
    pub fn get(
        &self,
        lease: &Lease,
        requirements: Requirements,
        clock: &dyn Clock,
        call: &CallContext,
        current_sources: &dyn Fn() -> SourceVersions,
        mut fetch: impl FnMut(FetchKind) -> Result<AccessToken>,
    ) -> Result<Arc<AccessToken>> {
        let entry = &lease.entry;
        loop {
            let remaining = call.deadline.remaining();
            let mut state = entry.lock();
            match state.next_action(requirements, Now::from_clock(clock), remaining) {
                CacheAction::Use(token) => {
                    self.stats.count(Counter::CacheHits);
                    return Ok(token);
                }
                CacheAction::Fetch(flight, kind, fallback_token) => {
                    drop(state);
                    let context = FetchContext {
                        fallback_token,
                        requirements,
                        clock,
                        sources: current_sources(),
                        timeout: requirements.fetch_timeout(kind, remaining),
                        backoff_jitter: self.jitter.sample(),
                        log: call.log.clone(),
                    };
                    match Flight::new(entry, flight).run(context, || fetch(kind)) {
                        // The token expired during the early refresh: retry with the time limit of the call.
                        Err(error)
                            if kind == FetchKind::EarlyRefresh
                                && matches!(error.kind(), ErrorKind::Timeout(_))
                                && !call.deadline.is_past() => {}
                        outcome => return outcome,
                    }
                }
                CacheAction::Fail(error, failed_sources) => {
                    drop(state);
                    if current_sources() == failed_sources {
                        self.stats.count(Counter::NegativeCacheHits);
                        return Err(error);
                    }
                    entry.lock().clear_negative();
                }
                CacheAction::Wait(flight) => {
                    match entry.wait_for_flight(state, flight, call)? {
                        // The token was rejected or expired before this thread woke up.
                        FlightResult::Token(token)
                            if has_lifetime(&token)
                                && !is_usable(&token, requirements, Now::from_clock(clock)) => {}
                        FlightResult::Token(token) => {
                            self.stats.count(Counter::CacheHits);
                            return Ok(token);
                        }
                        FlightResult::Failed(error) => return Err(error),
                        FlightResult::NotShared => {}
                    }
                }
            }
        }
    }

    /// Returns a usable cached token, if any, without fetching or waiting for a fetch.
    pub fn peek(
        &self,
        key: CacheKey,
        requirements: Requirements,
        clock: &dyn Clock,
    ) -> Option<Arc<AccessToken>> {
        let entry = self.entries.lock().get(&key).cloned()?;
        entry.lock().usable_token(requirements, Now::from_clock(clock))
    }

    /// Inserts a configured `token` unless a token is cached or being fetched.
    pub fn insert_if_absent(&self, key: CacheKey, token: AccessToken) {
        self.update(key, |state| {
            if state.token.is_none() && state.has_no_flight() {
                state.store_token(Arc::new(token));
            }
        });
    }

    /// Removes `token` because the API rejected it (HTTP 401), so that the next call fetches a new one. No effect
    /// if it is not the current token of its key; if the entry no longer exists, the token is only
    /// invalidated. Consecutive rejections take effect only at intervals of 1, 2, 4 … 60 s.
    ///
    /// Returns whether the rejection takes effect.
    pub fn reject(&self, token: &AccessToken, clock: &dyn Clock) -> bool {
        let Some(entry) = self.entries.lock().get(&token.cache_key).cloned() else {
            token.invalidate();
            return true;
        };
        let mut state = entry.lock();
        let is_current = state.token.as_ref().is_some_and(|current| ptr::eq(&raw const **current, token));
        is_current && state.reject(clock.boot_time())
    }

    /// Inserts a token that was not obtained by [`Self::get`], such as that of a browser login.
    pub fn insert(&self, token: Arc<AccessToken>) {
        self.update(token.cache_key, |state| state.store_token(token));
    }

    /// Removes the entry of `key` with its cached error, and returns its token, usable or not.
    pub fn remove(&self, key: CacheKey) -> Option<Arc<AccessToken>> {
        let mut entries = self.entries.lock();
        entries.remove(&key)?.lock().take_token()
    }

    /// Discards the cached error of `key`.
    pub fn clear_negative(&self, key: CacheKey) {
        let entry = self.entries.lock().get(&key).cloned();
        if let Some(entry) = entry {
            entry.lock().clear_negative();
        }
    }

    /// Number of entries.
    pub fn entry_count(&self) -> usize {
        self.entries.lock().len()
    }

    /// Removes all entries. Flights in progress complete for their waiters; their tokens are not cached.
    pub fn clear(&self) {
        let entries = self.entries.lock().take_all();
        for entry in entries {
            entry.lock().take_token();
        }
    }

    /// Changes the entry of `key` under the lock of the map, so that a concurrent [`Self::remove`] misses no
    /// token.
    fn update(&self, key: CacheKey, change: impl FnOnce(&mut EntryState)) {
        let mut entries = self.entries.lock();
        let entry = entries.get_or_insert(key);
        change(&mut entry.lock());
        entries.settle(key, &entry);
    }
}

#[cfg(all(test, feature = "model"))]
mod loom_tests;
#[cfg(test)]
mod tests;
