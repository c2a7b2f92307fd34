//! Tokens by identity, and one flight for each: whoever needs a token that another thread is fetching waits for it.
//!
//! A refusal of the server or of a key reaches
//! all who waited for that flight; a leader's own timeout, cancel or panic ends only its call, and a waiter takes over.
//!
//! Waiting uses the standard library's locks: they are nothing but their own memory. parking_lot keeps one table for
//! the whole process, which another thread may hold locked at the moment of a fork.

use std::collections::HashMap;
use std::ptr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex as WaitMutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use parking_lot::Mutex;

use crate::call::{Call, Interrupt, cancelled};
use crate::clock::Clock;
use crate::error::{Error, Result, Status};
use crate::identity::Identity;
use crate::token::Token;

/// Beyond this many identities, the one that nobody has asked for the longest leaves.
const MOST: usize = 10_000;

/// Seconds that a token is taken to live where nobody said.
const ASSUMED_LIFE: i64 = 300;

/// The tokens of one process.
#[derive(Default)]
pub struct Cache {
    entries: Mutex<HashMap<Identity, Arc<Entry>>>,
    uses: AtomicU64,
}

impl Cache {
    /// A token of `identity` with at least `min_life` seconds left, from the cache or by `fetch`.
    ///
    /// # Errors
    /// Those of `fetch`; [`Status::Timeout`] and [`Status::Cancelled`] while waiting for another's.
    pub fn get(
        &self,
        identity: Identity,
        min_life: i64,
        clock: &dyn Clock,
        call: &Call,
        fetch: impl FnOnce() -> Result<Token>,
    ) -> Result<Arc<Token>> {
        let entry = self.entry(identity);
        loop {
            let mut state = entry.lock();
            if let Some(token) = state.usable(min_life, clock) {
                return Ok(token);
            }
            match state.flight {
                None => {
                    let flight = state.take_off();
                    drop(state);
                    return Flight { entry: &entry, flight, landed: false }.run(fetch);
                }
                Some(flight) => {
                    if let Some(outcome) = entry.wait(state, flight, call)? {
                        return outcome;
                    }
                }
            }
        }
    }

    /// A usable token, if there is one, without fetching or waiting.
    pub fn peek(&self, identity: Identity, min_life: i64, clock: &dyn Clock) -> Option<Arc<Token>> {
        let entry = self.entries.lock().get(&identity).cloned()?;
        self.use_now(&entry);
        entry.lock().usable(min_life, clock)
    }

    /// Puts in `token`, which nobody has fetched, where there is none and none is being fetched.
    pub fn seed(&self, identity: Identity, token: Token) {
        let entry = self.entry(identity);
        let mut state = entry.lock();
        if state.token.is_none() && state.flight.is_none() {
            state.token = Some(Arc::new(token));
        }
    }

    /// The API refused `token`: if it is the current one of its identity, it is dropped, and the next call fetches.
    /// Rejections in a row count only when 1, 2, 4 … 60 s lie between them.
    pub fn reject(&self, token: &Token, clock: &dyn Clock) {
        let Some(entry) = self.entries.lock().get(&token.identity).cloned() else {
            return;
        };
        let mut state = entry.lock();
        if state.token.as_ref().is_some_and(|current| ptr::eq(&raw const **current, token))
            && state.rejections.accept(clock.instant())
        {
            state.token = None;
        }
    }

    /// Keeps a token that came in another way than by a fetch.
    pub fn put(&self, token: Arc<Token>) {
        let entry = self.entry(token.identity);
        entry.lock().token = Some(token);
    }

    /// Takes the token of `identity` away, be it good or not.
    pub fn take(&self, identity: Identity) -> Option<Arc<Token>> {
        let entry = self.entries.lock().remove(&identity)?;
        entry.lock().token.take()
    }

    /// Forgets the token of `identity`.
    pub fn forget(&self, identity: Identity) {
        self.entries.lock().remove(&identity);
    }

    /// Forgets everything. Flights end for those who wait for them; what they bring is not kept.
    pub fn clear(&self) {
        self.entries.lock().clear();
    }

    fn entry(&self, identity: Identity) -> Arc<Entry> {
        let mut entries = self.entries.lock();
        if entries.len() >= MOST && !entries.contains_key(&identity) {
            make_room(&mut entries);
        }
        let entry = Arc::clone(entries.entry(identity).or_default());
        self.use_now(&entry);
        entry
    }

    fn use_now(&self, entry: &Entry) {
        entry.used.store(self.uses.fetch_add(1, Ordering::Relaxed), Ordering::Relaxed);
    }
}

/// A stranger's many identities drive out each other before those that are in use.
fn make_room(entries: &mut HashMap<Identity, Arc<Entry>>) {
    let longest_unused = entries
        .iter()
        .filter(|(_, entry)| entry.lock().flight.is_none())
        .min_by_key(|(_, entry)| entry.used.load(Ordering::Relaxed))
        .map(|(identity, _)| *identity);
    if let Some(identity) = longest_unused {
        entries.remove(&identity);
    }
}

#[derive(Default)]
struct Entry {
    state: WaitMutex<State>,
    landed: Condvar,
    used: AtomicU64,
}

#[derive(Default)]
struct State {
    token: Option<Arc<Token>>,
    flight: Option<u64>,
    flights: u64,
    outcome: Option<(u64, Result<Arc<Token>>)>,
    rejections: Rejections,
}

impl State {
    fn usable(&self, min_life: i64, clock: &dyn Clock) -> Option<Arc<Token>> {
        self.token.as_ref().filter(|token| is_usable(token, min_life, clock.unix_seconds())).cloned()
    }

    fn take_off(&mut self) -> u64 {
        self.flights = self.flights.wrapping_add(1);
        self.flight = Some(self.flights);
        self.flights
    }
}

/// Whether a token may still be handed out: it has more left than a tenth of its life, 60 s at most, and than
/// `min_life` as far as any token of its kind could have that.
fn is_usable(token: &Token, min_life: i64, now: i64) -> bool {
    let end = token.expires_at.unwrap_or(token.issued_at.saturating_add(ASSUMED_LIFE));
    let tenth = end.saturating_sub(token.issued_at).max(0) / 10;
    let needed = tenth.min(60).max(min_life.min(tenth.saturating_mul(9)));
    end.saturating_sub(now) > needed
}

impl Entry {
    /// A panic while the lock is held cannot leave a half-made state: each change is one assignment.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until `flight` has ended; its outcome, if that is one for all.
    fn wait(
        self: &Arc<Self>,
        state: MutexGuard<'_, State>,
        flight: u64,
        call: &Call,
    ) -> Result<Option<Result<Arc<Token>>>> {
        call.on_cancel(self)?;
        let in_flight = |state: &mut State| state.flight == Some(flight) && !call.cancel.is_cancelled();
        let state = match call.deadline.left() {
            None => self.landed.wait_while(state, in_flight).unwrap_or_else(PoisonError::into_inner),
            Some(left) => {
                self.landed
                    .wait_timeout_while(state, left, in_flight)
                    .unwrap_or_else(PoisonError::into_inner)
                    .0
            }
        };
        if call.cancel.is_cancelled() {
            return Err(cancelled());
        }
        if state.flight == Some(flight) {
            return Err(call.timeout("another thread's fetch of the same token did not end"));
        }
        Ok(state.outcome.as_ref().filter(|(number, _)| *number == flight).map(|(_, outcome)| outcome.clone()))
    }
}

impl Interrupt for Entry {
    fn interrupt(&self) {
        // Taking the lock first makes sure that a waiter has either seen the cancel or sleeps already.
        drop(self.lock());
        self.landed.notify_all();
    }
}

/// The flight that this thread leads. Dropped on the way of a panic, it lets a waiter take over.
struct Flight<'a> {
    entry: &'a Entry,
    flight: u64,
    landed: bool,
}

impl Flight<'_> {
    fn run(mut self, fetch: impl FnOnce() -> Result<Token>) -> Result<Arc<Token>> {
        let outcome = fetch().map(Arc::new);
        let mut state = self.entry.lock();
        if let Ok(token) = &outcome {
            state.token = Some(Arc::clone(token));
        }
        if outcome.as_ref().map_or_else(concerns_all, |_| true) {
            state.outcome = Some((self.flight, outcome.clone()));
        }
        state.flight = None;
        self.landed = true;
        drop(state);
        self.entry.landed.notify_all();
        outcome
    }
}

impl Drop for Flight<'_> {
    fn drop(&mut self) {
        if !self.landed {
            self.entry.lock().flight = None;
            self.entry.landed.notify_all();
        }
    }
}

/// Whether a failure says something about the token, and not about the one call that met it. A server that has let one
/// request wait for too long (HYT01) may have used up what it was sent: that is not for a waiter to send again.
fn concerns_all(error: &Error) -> bool {
    error.sqlstate() == "HYT01"
        || !matches!(error.status(), Status::Timeout | Status::Cancelled | Status::Internal)
}

/// Rejections in a row, so that an API that always says 401 storms nobody.
#[derive(Default)]
struct Rejections {
    count: u32,
    last: Option<Instant>,
}

impl Rejections {
    fn accept(&mut self, now: Instant) -> bool {
        if let Some(last) = self.last {
            let since = now.saturating_duration_since(last);
            let spacing =
                Duration::from_secs(1_u64.checked_shl(self.count.saturating_sub(1)).unwrap_or(60).min(60));
            if since < spacing {
                return false;
            }
            if since >= spacing.saturating_mul(2) {
                self.count = 0;
            }
        }
        self.count = self.count.saturating_add(1).min(30);
        self.last = Some(now);
        true
    }
}

#[cfg(test)]
mod tests;
