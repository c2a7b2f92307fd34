//! What one process shares, owned in one place: tokens, opened keys, connections, what was learnt of token endpoints.
//!
//! A forked child starts with a fresh one and never touches the parent's: other threads may have held its locks.
//! A test makes its own.

pub mod login_state;

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use aws_lc_rs::hmac;
use parking_lot::Mutex;

use crate::authorize::Browser;
use crate::base::bounded_map::BoundedMap;
use crate::base::cache_key::Identity;
use crate::base::clock::{Clock, SystemClock};
use crate::base::error::{Error, Result, Status};
use crate::base::jitter::Jitter;
use crate::base::stats::{Counter, Stats};
use crate::base::url::Url;
use crate::key::KeyRing;
use crate::net::http::Network;
use crate::sys::{self, Stripes};
use crate::token::Lease;
use crate::token::cache::Cache;

mod circuit_breaker;

pub use circuit_breaker::{Admission, CircuitBreakers, MAX_WAIT, Requester, throttled_error};

/// Everything that outlives a connection.
pub struct Process {
    /// Issued tokens.
    pub cache: Cache,
    /// Opened keys.
    pub keys: Arc<KeyRing>,
    /// Connections to servers.
    pub network: Network,
    /// What was learnt of token endpoints.
    pub learnt: Learnt,
    /// Which endpoints throttle or fail.
    pub breakers: CircuitBreakers,
    /// How many connections have which token.
    pub holders: Holders,
    /// Where connections keep the tokens of late.
    pub shelves: Shelves,
    /// Browsers that were started.
    pub browser: Browser,
    /// What time it is.
    pub clock: Arc<dyn Clock>,
    /// What it has done.
    pub stats: Arc<Stats>,
    /// What keeps its requests apart from those of others.
    pub jitter: Jitter,
    /// The key of all digests of this process.
    pub digest_key: hmac::Key,
    connections: AtomicU64,
}

impl Process {
    /// A fresh one, with `clock`.
    #[must_use]
    pub fn new(clock: Box<dyn Clock>) -> Self {
        Self::with_jitter(clock, Jitter::default())
    }

    /// A fresh one, with `clock` and `jitter`.
    #[must_use]
    pub fn with_jitter(clock: Box<dyn Clock>, jitter: Jitter) -> Self {
        let (clock, stats): (Arc<dyn Clock>, Arc<Stats>) = (Arc::from(clock), Arc::default());
        let keys = Arc::new(KeyRing::new(random()));
        Self {
            cache: Cache::new(jitter, Arc::clone(&stats)),
            network: Network::new(Arc::clone(&keys), Arc::clone(&clock), Arc::clone(&stats)),
            keys,
            learnt: Learnt::default(),
            breakers: CircuitBreakers::default(),
            holders: Holders::default(),
            shelves: Shelves::default(),
            browser: Browser::system(),
            clock,
            stats,
            jitter,
            digest_key: hmac::Key::new(hmac::HMAC_SHA256, &random::<32>()),
            connections: AtomicU64::new(0),
        }
    }

    /// The one of the process that this thread runs in.
    #[must_use]
    pub fn current() -> &'static Self {
        static CURRENT: sys::PerProcess<Process> = sys::PerProcess::new();
        CURRENT.get_or_init(|| Self::new(Box::new(SystemClock)))
    }

    /// Fails where the operating system gives no random numbers: before the first use of a process's own things, and before
    /// each request.
    ///
    /// # Errors
    /// [`Status::Internal`].
    pub fn check_random() -> Result<()> {
        sys::check_random().map_err(|error| {
            let error = error.to_string();
            let reason = error.split(" (os error").next().unwrap_or_default();
            let text = format!(
                "the operating system gives no random numbers (getrandom: {reason}); allow that system call where the \
                 process is sandboxed"
            );
            Error::new(Status::Internal, "random", text)
        })
    }

    /// A number that no other connection of this process has.
    pub fn number_for_a_connection(&self) -> u64 {
        self.connections.fetch_add(1, Ordering::Relaxed)
    }

    /// What the process has done, as JSON, by names that Prometheus takes.
    #[must_use]
    pub fn stats_json(&self) -> String {
        let elsewhere =
            [(Counter::CacheHits, self.shelves.taken()), (Counter::KeysOpened, self.keys.opened())];
        let identities = u64::try_from(self.cache.identities()).unwrap_or(u64::MAX);
        self.stats.to_json(&elsewhere, &[("authgrant_cached_identities", identities)])
    }

    /// Drops and wipes what is cached: tokens, keys, idle connections.
    pub fn clear(&self) {
        self.cache.clear();
        self.shelves.clear();
        self.keys.clear();
        self.network.clear();
    }
}

/// Fresh random bytes, from a generator that notices a fork by itself.
fn random<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    #[allow(
        clippy::expect_used,
        reason = "no key is better than one that can be guessed; the guard catches it"
    )]
    sys::fill_random(&mut bytes).expect("the system's random generator");
    bytes
}

/// How many connections have which token, where somebody is to be told when the last one is closed.
#[derive(Default)]
pub struct Holders(Mutex<HashMap<Identity, usize>>);

impl Holders {
    /// One more connection has it.
    pub fn enter(&self, identity: Identity) {
        let mut holders = self.0.lock();
        let count = holders.entry(identity).or_default();
        *count = count.saturating_add(1);
    }

    /// One connection has it no longer; whether it was the last one.
    pub fn leave(&self, identity: Identity) -> bool {
        let mut holders = self.0.lock();
        let Some(count) = holders.get_mut(&identity) else { return false };
        *count = count.saturating_sub(1);
        let last = *count == 0;
        if last {
            holders.remove(&identity);
        }
        last
    }
}

/// Where connections keep the tokens of late, so that these can be taken from all of them, and are counted.
#[derive(Default)]
pub struct Shelves(Mutex<OpenShelves>);

#[derive(Default)]
struct OpenShelves {
    shelves: HashMap<usize, Stripes<Lease>>,
    /// What was taken from those that are gone.
    taken: u64,
}

impl Shelves {
    /// A new shelf.
    #[must_use]
    pub fn add(&self) -> Stripes<Lease> {
        let shelf = Stripes::empty();
        self.0.lock().shelves.insert(shelf.id(), shelf.clone());
        shelf
    }

    /// Nobody reads there any more.
    pub fn remove(&self, shelf: &Stripes<Lease>) {
        let mut open = self.0.lock();
        if open.shelves.remove(&shelf.id()).is_some() {
            open.taken = open.taken.wrapping_add(shelf.taken());
        }
    }

    /// How many tokens have been taken from all of them.
    #[must_use]
    pub fn taken(&self) -> u64 {
        let open = self.0.lock();
        open.shelves.values().fold(open.taken, |sum, shelf| sum.wrapping_add(shelf.taken()))
    }

    #[cfg(test)]
    pub(crate) fn count(&self) -> usize {
        self.0.lock().shelves.len()
    }

    fn clear(&self) {
        for shelf in self.0.lock().shelves.values() {
            shelf.retain(|_| false);
        }
    }
}

/// What was learnt of token endpoints in this process.
pub struct Learnt {
    endpoints: Mutex<BoundedMap<String, Lesson>>,
}

impl Default for Learnt {
    fn default() -> Self {
        Self { endpoints: Mutex::new(BoundedMap::with_capacity(Self::MOST)) }
    }
}

#[derive(Clone, Copy, Default)]
struct Lesson {
    wants_post: bool,
    clock_ahead: i64,
}

impl Learnt {
    /// A stranger may name many endpoints; what they teach us stays small.
    const MOST: usize = 1000;

    /// Whether POST has worked where GET did not.
    pub fn wants_post(&self, endpoint: &Url) -> bool {
        self.lesson(endpoint).wants_post
    }

    /// Remembers that POST works.
    pub fn post_works(&self, endpoint: &Url) {
        self.learn(endpoint, |lesson| lesson.wants_post = true);
    }

    /// By how many seconds its clock is ahead of ours, as an exchange that succeeded has shown.
    pub fn clock_ahead(&self, endpoint: &Url) -> i64 {
        self.lesson(endpoint).clock_ahead
    }

    /// Remembers by how many seconds its clock is ahead.
    pub fn clock_is_ahead(&self, endpoint: &Url, seconds: i64) {
        self.learn(endpoint, |lesson| lesson.clock_ahead = seconds);
    }

    fn lesson(&self, endpoint: &Url) -> Lesson {
        self.endpoints.lock().get(endpoint.as_written()).copied().unwrap_or_default()
    }

    fn learn(&self, endpoint: &Url, lesson: impl FnOnce(&mut Lesson)) {
        let endpoint = endpoint.as_written().to_owned();
        lesson(self.endpoints.lock().get_or_insert_with(endpoint, Lesson::default));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::cache_key::Identity;
    use crate::key::fixtures::Place;

    fn endpoint(number: usize) -> Url {
        Url::parse(&format!("https://example.com/{number}")).unwrap()
    }

    #[test]
    fn what_is_learnt_is_learnt_of_each_endpoint_alone() {
        let learnt = Learnt::default();
        learnt.post_works(&endpoint(1));
        learnt.post_works(&endpoint(2));
        assert!(learnt.wants_post(&endpoint(1)) && learnt.wants_post(&endpoint(2)));
        assert!(!learnt.wants_post(&endpoint(3)));
    }

    #[test]
    fn what_is_learnt_stays_small() {
        let learnt = Learnt::default();
        for number in 0..=Learnt::MOST {
            learnt.post_works(&endpoint(number));
        }
        assert!(!learnt.wants_post(&endpoint(0)), "the first one is forgotten");
        assert!(learnt.wants_post(&endpoint(1)) && learnt.wants_post(&endpoint(Learnt::MOST)));
    }

    #[test]
    fn no_two_processes_have_the_same_digests() {
        let identity = || Identity::of(&Process::new(Box::new(SystemClock)).digest_key, &"me");
        assert_ne!(identity(), identity());
    }

    #[test]
    fn a_key_that_was_cleared_is_opened_anew() {
        let process = Process::new(Box::new(SystemClock));
        let place = Place::new();
        let source = place.fixture("ec.pem", None);
        let first = process.keys.key(&source).unwrap();
        assert!(Arc::ptr_eq(&first, &process.keys.key(&source).unwrap()));
        process.clear();
        assert!(!Arc::ptr_eq(&first, &process.keys.key(&source).unwrap()));
    }
}
