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

use crate::base::cache_key::Identity;
use crate::base::call::CallContext;
use crate::base::clock::Clock;
use crate::base::error::{Result, Status};
use crate::base::jitter::Jitter;
use crate::base::stats::{Counter, Stats};
use crate::sys::sync::Mutex;
use crate::sys::sync::atomic::{AtomicU64, Ordering};
use crate::token::Token;

mod backoff;
mod entry;
mod freshness;

use entry::{Conditions, Entry, Flight, State, Step};
use freshness::{Moment, is_usable, lives};

pub(crate) use backoff::Backoff;
pub use entry::{FetchKind, Sources};
pub use freshness::{Want, good_until, renewal_at};

/// Beyond this many identities, the one that nobody has asked for the longest leaves.
const MOST: usize = 10_000;

type Entries = HashMap<Identity, Arc<Entry>>;

/// The tokens of one process.
#[derive(Default)]
pub struct Cache {
    entries: Mutex<Entries>,
    uses: AtomicU64,
    jitter: Jitter,
    stats: Arc<Stats>,
}

impl Cache {
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
        identity: Identity,
        want: Want,
        clock: &dyn Clock,
        call: &CallContext,
        made_from: &dyn Fn() -> Sources,
        mut fetch: impl FnMut(FetchKind) -> Result<Token>,
    ) -> Result<Arc<Token>> {
        let entry = self.entry(identity);
        loop {
            let left = call.deadline.remaining();
            let mut state = entry.lock();
            match state.step(want, Moment::of(clock), left) {
                Step::Take(token) => {
                    self.stats.count(Counter::CacheHits);
                    return Ok(token);
                }
                Step::Lead(flight, kind, spare) => {
                    drop(state);
                    let conditions = Conditions {
                        spare,
                        want,
                        clock,
                        made_from: made_from(),
                        left: want.time_for(kind, left),
                        jitter: self.jitter.sample(),
                        log: call.log.clone(),
                    };
                    match Flight::new(&entry, flight).run(conditions, || fetch(kind)) {
                        // The token expired during the short time that its renewal had: now there is more of it.
                        Err(error)
                            if kind == FetchKind::EarlyRenewal
                                && error.status() == Status::Timeout
                                && !call.deadline.is_past() => {}
                        outcome => return outcome,
                    }
                }
                Step::Refused(error, was_made_from) => {
                    drop(state);
                    if made_from() == was_made_from {
                        self.stats.count(Counter::NegativeCacheHits);
                        return Err(error);
                    }
                    entry.lock().forget_refusal();
                }
                Step::Wait(flight) => {
                    match entry.wait(state, flight, call)? {
                        // Woken late: it was rejected or expired in between.
                        Some(Ok(token)) if lives(&token) && !is_usable(&token, want, Moment::of(clock)) => {}
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
    pub fn peek(&self, identity: Identity, want: Want, clock: &dyn Clock) -> Option<Arc<Token>> {
        let entry = self.entries.lock().get(&identity).cloned()?;
        self.use_now(&entry);
        entry.lock().usable(want, Moment::of(clock))
    }

    /// Puts in `token`, which nobody has fetched, where there is none and none is being fetched.
    pub fn seed(&self, identity: Identity, token: Token) {
        self.change(identity, |state| {
            if state.token.is_none() && state.is_idle() {
                state.keep(Arc::new(token));
            }
        });
    }

    /// The API refused `token`: if it is the current one of its identity, it is dropped, and the next call fetches.
    /// Rejections in a row count only when 1, 2, 4 … 60 s lie between them.
    pub fn reject(&self, token: &Token, clock: &dyn Clock) {
        let Some(entry) = self.entries.lock().get(&token.identity).cloned() else {
            token.retire();
            return;
        };
        let mut state = entry.lock();
        if state.token.as_ref().is_some_and(|current| ptr::eq(&raw const **current, token)) {
            state.reject(clock.boot_time());
        }
    }

    /// Keeps a token that came in another way than by a fetch.
    pub fn put(&self, token: Arc<Token>) {
        self.change(token.identity, |state| state.keep(token));
    }

    /// Takes the token of `identity` away, be it good or not, and what was refused with it.
    pub fn take(&self, identity: Identity) -> Option<Arc<Token>> {
        let mut entries = self.entries.lock();
        entries.remove(&identity)?.lock().drop_token()
    }

    /// Forgets what `identity` was refused.
    pub fn forget_refusal(&self, identity: Identity) {
        let entry = self.entries.lock().get(&identity).cloned();
        if let Some(entry) = entry {
            entry.lock().forget_refusal();
        }
    }

    /// How many identities there are.
    pub fn identities(&self) -> usize {
        self.entries.lock().len()
    }

    /// Forgets everything. Flights end for those who wait for them; what they bring is not kept.
    pub fn clear(&self) {
        let entries = std::mem::take(&mut *self.entries.lock());
        for entry in entries.values() {
            entry.lock().drop_token();
        }
    }

    /// Changes what there is of `identity` while nobody can take it away: what is put is there, or was taken.
    fn change(&self, identity: Identity, change: impl FnOnce(&mut State)) {
        let mut entries = self.entries.lock();
        change(&mut self.entry_in(&mut entries, identity).lock());
    }

    fn entry(&self, identity: Identity) -> Arc<Entry> {
        self.entry_in(&mut self.entries.lock(), identity)
    }

    fn entry_in(&self, entries: &mut Entries, identity: Identity) -> Arc<Entry> {
        if entries.len() >= MOST && !entries.contains_key(&identity) {
            self.make_room(entries);
        }
        let entry = Arc::clone(entries.entry(identity).or_default());
        self.use_now(&entry);
        entry
    }

    /// A stranger's many identities drive out each other before those that are in use.
    fn make_room(&self, entries: &mut Entries) {
        let longest_unused = entries
            .iter()
            .filter(|(_, entry)| entry.lock().is_idle())
            .min_by_key(|(_, entry)| entry.used.load(Ordering::Relaxed))
            .map(|(identity, _)| *identity);
        if let Some(identity) = longest_unused {
            entries.remove(&identity);
            self.stats.count(Counter::CacheEvictions);
        }
    }

    fn use_now(&self, entry: &Entry) {
        entry.used.store(self.uses.fetch_add(1, Ordering::Relaxed), Ordering::Relaxed);
    }
}

#[cfg(all(test, feature = "model"))]
mod loom_tests;
#[cfg(test)]
mod tests;
