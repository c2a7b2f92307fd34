//! Tokens by identity, and one flight for each: whoever needs a token that another thread is fetching waits for it.
//!
//! A refusal of the server or of a key reaches all who waited for that flight, and is answered from memory for a while; a
//! leader's own timeout, cancel or panic, and a failure of the host's signer, ends only its call, and a waiter takes over. Shortly before a token ends one caller
//! fetches the next one, and the others go on with it; so does that one while fetching fails.
//!
//! Waiting uses the standard library's locks: they are nothing but their own memory. parking_lot keeps one table for
//! the whole process, which another thread may hold locked at the moment of a fork.

use std::collections::HashMap;
use std::ptr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::Mutex;

use crate::call::Call;
use crate::clock::Clock;
use crate::error::Result;
use crate::identity::Identity;
use crate::token::Token;

mod entry;
mod life;
mod spacing;

pub use entry::Sources;
use entry::{Entry, Flight, Step};
use life::Moment;
pub use life::{Want, good_until};

/// Beyond this many identities, the one that nobody has asked for the longest leaves.
const MOST: usize = 10_000;

/// The tokens of one process.
#[derive(Default)]
pub struct Cache {
    entries: Mutex<HashMap<Identity, Arc<Entry>>>,
    uses: AtomicU64,
}

impl Cache {
    /// A token of `identity` as it is wanted, from the cache or by `fetch`. `made_from` looks at the files that a fetch is
    /// made from: where they have changed, nobody is refused for what they were.
    ///
    /// # Errors
    /// Those of `fetch`, perhaps from memory; [`Status::Timeout`](crate::error::Status::Timeout) and
    /// [`Status::Cancelled`](crate::error::Status::Cancelled) while waiting for another's.
    pub fn get(
        &self,
        identity: Identity,
        want: Want,
        clock: &dyn Clock,
        call: &Call,
        made_from: &dyn Fn() -> Sources,
        fetch: impl FnOnce() -> Result<Token>,
    ) -> Result<Arc<Token>> {
        let entry = self.entry(identity);
        loop {
            let mut state = entry.lock();
            match state.step(want, Moment::of(clock)) {
                Step::Take(token) => return Ok(token),
                Step::Lead(flight, spare) => {
                    drop(state);
                    let flight = Flight::new(&entry, flight);
                    return flight.run(spare, clock, made_from(), fetch);
                }
                Step::Refused(error, was_made_from) => {
                    drop(state);
                    if made_from() == was_made_from {
                        return Err(error);
                    }
                    entry.lock().forget_refusal();
                }
                Step::Wait(flight) => {
                    if let Some(outcome) = entry.wait(state, flight, call)? {
                        return outcome;
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
        let entry = self.entry(identity);
        let mut state = entry.lock();
        if state.token.is_none() && state.is_idle() {
            state.keep(Arc::new(token));
        }
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
            state.reject(clock.instant());
        }
    }

    /// Keeps a token that came in another way than by a fetch.
    pub fn put(&self, token: Arc<Token>) {
        let entry = self.entry(token.identity);
        entry.lock().keep(token);
    }

    /// Takes the token of `identity` away, be it good or not, and what was refused with it.
    pub fn take(&self, identity: Identity) -> Option<Arc<Token>> {
        let entry = self.entries.lock().remove(&identity)?;
        entry.lock().drop_token()
    }

    /// Forgets what `identity` was refused.
    pub fn forget_refusal(&self, identity: Identity) {
        let entry = self.entries.lock().get(&identity).cloned();
        if let Some(entry) = entry {
            entry.lock().forget_refusal();
        }
    }

    /// Forgets everything. Flights end for those who wait for them; what they bring is not kept.
    pub fn clear(&self) {
        let entries = std::mem::take(&mut *self.entries.lock());
        for entry in entries.values() {
            entry.lock().drop_token();
        }
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
        .filter(|(_, entry)| entry.lock().is_idle())
        .min_by_key(|(_, entry)| entry.used.load(Ordering::Relaxed))
        .map(|(identity, _)| *identity);
    if let Some(identity) = longest_unused {
        entries.remove(&identity);
    }
}

#[cfg(test)]
mod renewal_tests;
#[cfg(test)]
mod tests;
