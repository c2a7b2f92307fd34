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
use crate::base::cache_key::CacheKey;
use crate::base::clock::{Clock, SystemClock};
use crate::base::error::{Error, Result, Status};
use crate::base::jitter::Jitter;
use crate::base::stats::{Counter, Stats};
use crate::base::url::EndpointUrl;
use crate::key::KeyCache;
use crate::net::http::HttpClient;
use crate::sys::{self, StripedSlots};
use crate::token::TokenHandle;
use crate::token::cache::TokenCache;

mod circuit_breaker;

pub use circuit_breaker::{Admission, AdmissionContext, CircuitBreakers, MAX_SERVER_WAIT, throttled_error};

/// Everything that outlives a connection.
pub struct Process {
    /// Issued tokens.
    pub cache: TokenCache,
    /// Opened keys.
    pub key_cache: Arc<KeyCache>,
    /// Connections to servers.
    pub http_client: HttpClient,
    /// What was learnt of token endpoints.
    pub endpoint_memory: EndpointMemory,
    /// Which endpoints throttle or fail.
    pub breakers: CircuitBreakers,
    /// How many connections have which token.
    pub token_users: TokenUsers,
    /// Where connections keep the tokens of late.
    pub slot_registry: SlotRegistry,
    /// Browsers that were started.
    pub browser: Browser,
    /// What time it is.
    pub clock: Arc<dyn Clock>,
    /// What it has done.
    pub stats: Arc<Stats>,
    /// What keeps its requests apart from those of others.
    pub jitter: Jitter,
    /// The key of all digests of this process.
    pub cache_key_secret: hmac::Key,
    connection_ids: AtomicU64,
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
        let keys = Arc::new(KeyCache::new(random_bytes()));
        Self {
            cache: TokenCache::new(jitter, Arc::clone(&stats)),
            http_client: HttpClient::new(Arc::clone(&keys), Arc::clone(&clock), Arc::clone(&stats)),
            key_cache: keys,
            endpoint_memory: EndpointMemory::default(),
            breakers: CircuitBreakers::default(),
            token_users: TokenUsers::default(),
            slot_registry: SlotRegistry::default(),
            browser: Browser::system(),
            clock,
            stats,
            jitter,
            cache_key_secret: hmac::Key::new(hmac::HMAC_SHA256, &random_bytes::<32>()),
            connection_ids: AtomicU64::new(0),
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
    pub fn next_connection_id(&self) -> u64 {
        self.connection_ids.fetch_add(1, Ordering::Relaxed)
    }

    /// What the process has done, as JSON, by names that Prometheus takes.
    #[must_use]
    pub fn stats_json(&self) -> String {
        let elsewhere = [
            (Counter::CacheHits, self.slot_registry.acquired_count()),
            (Counter::KeysOpened, self.key_cache.opened_count()),
        ];
        let identities = u64::try_from(self.cache.entry_count()).unwrap_or(u64::MAX);
        self.stats.to_json(&elsewhere, &[("authgrant_cached_identities", identities)])
    }

    /// Drops and wipes what is cached: tokens, keys, idle connections.
    pub fn clear(&self) {
        self.cache.clear();
        self.slot_registry.clear();
        self.key_cache.clear();
        self.http_client.close_idle_connections();
    }
}

/// Fresh random bytes, from a generator that notices a fork by itself.
fn random_bytes<const N: usize>() -> [u8; N] {
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
pub struct TokenUsers(Mutex<HashMap<CacheKey, usize>>);

impl TokenUsers {
    /// One more connection has it.
    pub fn acquire(&self, identity: CacheKey) {
        let mut holders = self.0.lock();
        let count = holders.entry(identity).or_default();
        *count = count.saturating_add(1);
    }

    /// One connection has it no longer; whether it was the last one.
    pub fn release(&self, identity: CacheKey) -> bool {
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
pub struct SlotRegistry(Mutex<RegisteredSlots>);

#[derive(Default)]
struct RegisteredSlots {
    slots: HashMap<usize, StripedSlots<TokenHandle>>,
    /// What was taken from those that are gone.
    unregistered_acquires: u64,
}

impl SlotRegistry {
    /// A new shelf.
    #[must_use]
    pub fn register(&self) -> StripedSlots<TokenHandle> {
        let shelf = StripedSlots::empty();
        self.0.lock().slots.insert(shelf.id(), shelf.clone());
        shelf
    }

    /// Nobody reads there any more.
    pub fn unregister(&self, shelf: &StripedSlots<TokenHandle>) {
        let mut open = self.0.lock();
        if open.slots.remove(&shelf.id()).is_some() {
            open.unregistered_acquires = open.unregistered_acquires.wrapping_add(shelf.acquired_count());
        }
    }

    /// How many tokens have been taken from all of them.
    #[must_use]
    pub fn acquired_count(&self) -> u64 {
        let open = self.0.lock();
        open.slots
            .values()
            .fold(open.unregistered_acquires, |sum, shelf| sum.wrapping_add(shelf.acquired_count()))
    }

    #[cfg(test)]
    pub(crate) fn registered_count(&self) -> usize {
        self.0.lock().slots.len()
    }

    fn clear(&self) {
        for shelf in self.0.lock().slots.values() {
            shelf.retain(|_| false);
        }
    }
}

/// What was learnt of token endpoints in this process.
pub struct EndpointMemory {
    endpoints: Mutex<BoundedMap<String, EndpointFacts>>,
}

impl Default for EndpointMemory {
    fn default() -> Self {
        Self { endpoints: Mutex::new(BoundedMap::with_capacity(Self::MAX_ENDPOINTS)) }
    }
}

#[derive(Clone, Copy, Default)]
struct EndpointFacts {
    prefers_post: bool,
    skew_secs: i64,
}

impl EndpointMemory {
    /// A stranger may name many endpoints; what they teach us stays small.
    const MAX_ENDPOINTS: usize = 1000;

    /// Whether POST has worked where GET did not.
    pub fn prefers_post(&self, endpoint: &EndpointUrl) -> bool {
        self.facts(endpoint).prefers_post
    }

    /// Remembers that POST works.
    pub fn record_post(&self, endpoint: &EndpointUrl) {
        self.update(endpoint, |lesson| lesson.prefers_post = true);
    }

    /// By how many seconds its clock is ahead of ours, as an exchange that succeeded has shown.
    pub fn skew_secs(&self, endpoint: &EndpointUrl) -> i64 {
        self.facts(endpoint).skew_secs
    }

    /// Remembers by how many seconds its clock is ahead.
    pub fn record_skew(&self, endpoint: &EndpointUrl, seconds: i64) {
        self.update(endpoint, |lesson| lesson.skew_secs = seconds);
    }

    fn facts(&self, endpoint: &EndpointUrl) -> EndpointFacts {
        self.endpoints.lock().get(endpoint.as_str()).copied().unwrap_or_default()
    }

    fn update(&self, endpoint: &EndpointUrl, lesson: impl FnOnce(&mut EndpointFacts)) {
        let endpoint = endpoint.as_str().to_owned();
        lesson(self.endpoints.lock().get_or_insert_with(endpoint, EndpointFacts::default));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::cache_key::CacheKey;
    use crate::key::fixtures::KeyDir;

    fn endpoint(number: usize) -> EndpointUrl {
        EndpointUrl::parse(&format!("https://example.com/{number}")).unwrap()
    }

    #[test]
    fn endpoint_facts_are_per_endpoint() {
        let learnt = EndpointMemory::default();
        learnt.record_post(&endpoint(1));
        learnt.record_post(&endpoint(2));
        assert!(learnt.prefers_post(&endpoint(1)) && learnt.prefers_post(&endpoint(2)));
        assert!(!learnt.prefers_post(&endpoint(3)));
    }

    #[test]
    fn endpoint_memory_is_bounded() {
        let learnt = EndpointMemory::default();
        for number in 0..=EndpointMemory::MAX_ENDPOINTS {
            learnt.record_post(&endpoint(number));
        }
        assert!(!learnt.prefers_post(&endpoint(0)), "the first one is forgotten");
        assert!(
            learnt.prefers_post(&endpoint(1))
                && learnt.prefers_post(&endpoint(EndpointMemory::MAX_ENDPOINTS))
        );
    }

    #[test]
    fn cache_keys_differ_between_processes() {
        let identity = || CacheKey::digest(&Process::new(Box::new(SystemClock)).cache_key_secret, &"me");
        assert_ne!(identity(), identity());
    }

    #[test]
    fn cleared_key_is_opened_again() {
        let process = Process::new(Box::new(SystemClock));
        let place = KeyDir::new();
        let source = place.fixture("ec.pem", None);
        let first = process.key_cache.get_or_open(&source).unwrap();
        assert!(Arc::ptr_eq(&first, &process.key_cache.get_or_open(&source).unwrap()));
        process.clear();
        assert!(!Arc::ptr_eq(&first, &process.key_cache.get_or_open(&source).unwrap()));
    }
}
