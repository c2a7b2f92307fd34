//! Tokens by identity, and one flight for each: whoever needs a token that another thread is fetching waits for it.
//!
//! A failure of the server, the network or a key reaches all who waited for that flight. One of the server or the network is
//! answered from memory for a while, with exponential backoff, and then one call probes. A leader's own timeout, cancel or
//! panic, and a failure of the host's signer, ends only its call, and a waiter takes over.
//!
//! Shortly before a token expires one caller renews it early, within a short limit of its own, and the others go on with it;
//! so does that one where the renewal fails (RFC 5861's stale-if-error, but never with an expired token).

use std::collections::HashMap;
use std::ptr;
use std::sync::Arc;

use crate::base::cache_key::CacheKey;
use crate::base::call::CallContext;
use crate::base::clock::Clock;
use crate::base::error::{Result, Status};
use crate::base::jitter::Jitter;
use crate::base::stats::{Counter, Stats};
use crate::sys::sync::Mutex;
use crate::sys::sync::atomic::{AtomicU64, Ordering};
use crate::token::AccessToken;

mod backoff;
mod entry;
mod freshness;

use entry::{CacheAction, CacheEntry, EntryState, FetchContext, Flight};
use freshness::{Now, has_lifetime, is_usable};

pub(crate) use backoff::Backoff;
pub use entry::{FetchKind, SourceVersions};
pub use freshness::{Requirements, fresh_until, refresh_at};

/// Beyond this many identities, the one that nobody has asked for the longest leaves.
const MAX_ENTRIES: usize = 10_000;

type EntryMap = HashMap<CacheKey, Arc<CacheEntry>>;

/// The tokens of one process.
#[derive(Default)]
pub struct TokenCache {
    entries: Mutex<EntryMap>,
    use_counter: AtomicU64,
    jitter: Jitter,
    stats: Arc<Stats>,
}

impl TokenCache {
    /// An empty one, whose backoff has that jitter, and which is counted in `stats`.
    #[must_use]
    pub fn new(jitter: Jitter, stats: Arc<Stats>) -> Self {
        Self { jitter, stats, ..Self::default() }
    }

    /// A token of `identity` as it is wanted, from the cache or by `fetch`. `made_from` looks at the files that a fetch is
    /// made from: where they have changed, nobody is refused for what they were.
    ///
    /// # Errors
    /// Those of `fetch`, perhaps from memory; [`Status::Timeout`] and [`Status::Cancelled`] while waiting for another's.
    pub fn get(
        &self,
        identity: CacheKey,
        want: Requirements,
        clock: &dyn Clock,
        call: &CallContext,
        made_from: &dyn Fn() -> SourceVersions,
        mut fetch: impl FnMut(FetchKind) -> Result<AccessToken>,
    ) -> Result<Arc<AccessToken>> {
        let entry = self.entry(identity);
        loop {
            let left = call.deadline.remaining();
            let mut state = entry.lock();
            match state.next_action(want, Now::from_clock(clock), left) {
                CacheAction::Use(token) => {
                    self.stats.count(Counter::CacheHits);
                    return Ok(token);
                }
                CacheAction::Fetch(flight, kind, spare) => {
                    drop(state);
                    let conditions = FetchContext {
                        fallback_token: spare,
                        requirements: want,
                        clock,
                        sources: made_from(),
                        timeout: want.fetch_timeout(kind, left),
                        backoff_jitter: self.jitter.sample(),
                        log: call.log.clone(),
                    };
                    match Flight::new(&entry, flight).run(conditions, || fetch(kind)) {
                        // The token expired during the short time that its renewal had: now there is more of it.
                        Err(error)
                            if kind == FetchKind::EarlyRefresh
                                && error.status() == Status::Timeout
                                && !call.deadline.is_past() => {}
                        outcome => return outcome,
                    }
                }
                CacheAction::Fail(error, was_made_from) => {
                    drop(state);
                    if made_from() == was_made_from {
                        self.stats.count(Counter::NegativeCacheHits);
                        return Err(error);
                    }
                    entry.lock().clear_negative();
                }
                CacheAction::Wait(flight) => {
                    match entry.wait_for_flight(state, flight, call)? {
                        // Woken late: it was rejected or expired in between.
                        Some(Ok(token))
                            if has_lifetime(&token) && !is_usable(&token, want, Now::from_clock(clock)) => {}
                        Some(outcome) => {
                            if outcome.is_ok() {
                                self.stats.count(Counter::CacheHits);
                            }
                            return outcome;
                        }
                        None => {}
                    }
                }
            }
        }
    }

    /// A usable token, if there is one, without fetching or waiting.
    pub fn peek(
        &self,
        identity: CacheKey,
        want: Requirements,
        clock: &dyn Clock,
    ) -> Option<Arc<AccessToken>> {
        let entry = self.entries.lock().get(&identity).cloned()?;
        self.touch(&entry);
        entry.lock().usable_token(want, Now::from_clock(clock))
    }

    /// Puts in `token`, which nobody has fetched, where there is none and none is being fetched.
    pub fn insert_if_absent(&self, identity: CacheKey, token: AccessToken) {
        self.update(identity, |state| {
            if state.token.is_none() && state.has_no_flight() {
                state.store_token(Arc::new(token));
            }
        });
    }

    /// The API refused `token`: if it is the current one of its identity, it is dropped, and the next call fetches.
    /// Rejections in a row count only when 1, 2, 4 … 60 s lie between them.
    pub fn reject(&self, token: &AccessToken, clock: &dyn Clock) {
        let Some(entry) = self.entries.lock().get(&token.cache_key).cloned() else {
            token.invalidate();
            return;
        };
        let mut state = entry.lock();
        if state.token.as_ref().is_some_and(|current| ptr::eq(&raw const **current, token)) {
            state.reject(clock.boot_time());
        }
    }

    /// Keeps a token that came in another way than by a fetch.
    pub fn insert(&self, token: Arc<AccessToken>) {
        self.update(token.cache_key, |state| state.store_token(token));
    }

    /// Takes the token of `identity` away, be it good or not, and what was refused with it.
    pub fn remove(&self, identity: CacheKey) -> Option<Arc<AccessToken>> {
        let mut entries = self.entries.lock();
        entries.remove(&identity)?.lock().take_token()
    }

    /// Forgets what `identity` was refused.
    pub fn clear_negative(&self, identity: CacheKey) {
        let entry = self.entries.lock().get(&identity).cloned();
        if let Some(entry) = entry {
            entry.lock().clear_negative();
        }
    }

    /// How many identities there are.
    pub fn entry_count(&self) -> usize {
        self.entries.lock().len()
    }

    /// Forgets everything. Flights end for those who wait for them; what they bring is not kept.
    pub fn clear(&self) {
        let entries = std::mem::take(&mut *self.entries.lock());
        for entry in entries.values() {
            entry.lock().take_token();
        }
    }

    /// Changes what there is of `identity` while nobody can take it away: what is put is there, or was taken.
    fn update(&self, identity: CacheKey, change: impl FnOnce(&mut EntryState)) {
        let mut entries = self.entries.lock();
        change(&mut self.get_or_insert_entry(&mut entries, identity).lock());
    }

    fn entry(&self, identity: CacheKey) -> Arc<CacheEntry> {
        self.get_or_insert_entry(&mut self.entries.lock(), identity)
    }

    fn get_or_insert_entry(&self, entries: &mut EntryMap, identity: CacheKey) -> Arc<CacheEntry> {
        if entries.len() >= MAX_ENTRIES && !entries.contains_key(&identity) {
            self.evict_lru(entries);
        }
        let entry = Arc::clone(entries.entry(identity).or_default());
        self.touch(&entry);
        entry
    }

    /// A stranger's many identities drive out each other before those that are in use.
    fn evict_lru(&self, entries: &mut EntryMap) {
        let longest_unused = entries
            .iter()
            .filter(|(_, entry)| entry.lock().has_no_flight())
            .min_by_key(|(_, entry)| entry.last_used.load(Ordering::Relaxed))
            .map(|(identity, _)| *identity);
        if let Some(identity) = longest_unused {
            entries.remove(&identity);
            self.stats.count(Counter::CacheEvictions);
        }
    }

    fn touch(&self, entry: &CacheEntry) {
        entry.last_used.store(self.use_counter.fetch_add(1, Ordering::Relaxed), Ordering::Relaxed);
    }
}

#[cfg(all(test, feature = "model"))]
mod loom_tests;
#[cfg(test)]
mod tests;
