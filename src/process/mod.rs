//! Process-wide state: token cache, key cache, HTTP connections, endpoint memory and circuit breakers.
//!
//! A forked child creates a new instance and never accesses the parent's, whose locks may have been held by
//! other threads at the fork. Tests create their own instances.

pub mod login_state;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use aws_lc_rs::hmac;
use parking_lot::Mutex;

use crate::authorize::Browser;
use crate::base::bounded_map::BoundedMap;
use crate::base::clock::{Clock, SystemClock};
use crate::base::error::{Error, ErrorKind, Result, io_error_text};
use crate::base::jitter::Jitter;
use crate::base::stats::{Counter, Stats};
use crate::base::url::EndpointUrl;
use crate::key::KeyCache;
use crate::net::http::HttpClient;
use crate::options::ProcessEnvironment;
use crate::sys;
use crate::token::cache::TokenCache;
use crate::token_store::TokenStores;

mod cache_limit;
mod circuit_breaker;
mod interner;
mod sent_assertions;
mod shared_tokens;
mod slot_registry;
mod snapshot;
mod token_users;

use cache_limit::CacheLimit;

pub use circuit_breaker::{Admission, AdmissionContext, CircuitBreakers, MAX_SERVER_WAIT, throttled_error};
pub use interner::Interner;
pub use sent_assertions::SentAssertions;
pub use shared_tokens::SharedTokens;
pub use slot_registry::SlotRegistry;
pub use snapshot::Snapshot;
pub use token_users::TokenUsers;

/// State that outlives connections. Thread-safe.
pub struct Process {
    /// Cache of access tokens.
    pub cache: TokenCache,
    /// Cache of opened signing keys.
    pub key_cache: Arc<KeyCache>,
    /// HTTP client with its idle connections.
    pub http_client: HttpClient,
    /// Properties of token endpoints.
    pub endpoint_memory: EndpointMemory,
    /// Circuit breakers of endpoints that throttle or fail.
    pub breakers: CircuitBreakers,
    /// Configured client assertions that were sent.
    pub sent_assertions: SentAssertions,
    /// Stores that share tokens with other processes.
    pub token_stores: TokenStores,
    /// What this process remembers of shared tokens.
    pub shared_tokens: SharedTokens,
    /// Number of connections that use each token.
    pub token_users: TokenUsers,
    /// Slots from which connections return recently used tokens.
    pub slot_registry: SlotRegistry,
    /// Snapshots that connections with equal options share.
    pub snapshots: Interner<Snapshot>,
    /// Starts the system's browser.
    pub browser: Browser,
    /// Clock of the process.
    pub clock: Arc<dyn Clock>,
    /// Counters.
    pub stats: Arc<Stats>,
    /// Jitter that keeps this process's requests apart from those of other processes.
    pub jitter: Jitter,
    /// HMAC key for all cache keys of this process.
    pub cache_key_secret: hmac::Key,
    /// Warnings about the settings of the process.
    pub warnings: Vec<Error>,
    connection_ids: AtomicU64,
}

impl Process {
    /// Creates an instance with `clock` and random jitter.
    #[must_use]
    pub fn new(clock: Box<dyn Clock>) -> Self {
        Self::with_jitter(clock, Jitter::default())
    }

    /// Creates an instance with `clock` and `jitter`.
    #[must_use]
    pub fn with_jitter(clock: Box<dyn Clock>, jitter: Jitter) -> Self {
        Self::with_cache_limit(clock, jitter, CacheLimit::default())
    }

    fn with_cache_limit(clock: Box<dyn Clock>, jitter: Jitter, limit: CacheLimit) -> Self {
        let (clock, stats): (Arc<dyn Clock>, Arc<Stats>) = (Arc::from(clock), Arc::default());
        let key_cache = Arc::new(KeyCache::with_clock(random_bytes(), Arc::clone(&clock)));
        Self {
            cache: TokenCache::new(limit.max_tokens, jitter, Arc::clone(&stats)),
            http_client: HttpClient::new(Arc::clone(&key_cache), Arc::clone(&clock), Arc::clone(&stats)),
            key_cache,
            endpoint_memory: EndpointMemory::default(),
            breakers: CircuitBreakers::default(),
            sent_assertions: SentAssertions::default(),
            token_stores: TokenStores::default(),
            shared_tokens: SharedTokens::default(),
            token_users: TokenUsers::default(),
            slot_registry: SlotRegistry::default(),
            snapshots: Interner::default(),
            browser: Browser::system(),
            clock,
            stats,
            jitter,
            cache_key_secret: hmac::Key::new(hmac::HMAC_SHA256, &random_bytes::<32>()),
            warnings: limit.warning.into_iter().collect(),
            connection_ids: AtomicU64::new(0),
        }
    }

    /// The instance of the current process; a forked child gets a new one.
    #[must_use]
    pub fn current() -> &'static Self {
        static CURRENT: sys::PerProcess<Process> = sys::PerProcess::new();
        CURRENT.get_or_init(|| {
            let limit = CacheLimit::from_env(&ProcessEnvironment);
            Self::with_cache_limit(Box::new(SystemClock), Jitter::default(), limit)
        })
    }

    /// `process`, or else the instance of the current process.
    #[must_use]
    pub fn or_current(process: Option<&'static Self>) -> &'static Self {
        process.unwrap_or_else(Self::current)
    }

    /// Checks that the operating system's random number generator works. Called before the first access to
    /// the process-wide state and before each request.
    ///
    /// # Errors
    /// [`ErrorKind::Internal`] if it fails.
    pub fn check_random() -> Result<()> {
        sys::check_random().map_err(|error| {
            let text = format!(
                "the operating system's random number generator failed (getrandom: {}); allow this \
                 system call if the process is sandboxed",
                io_error_text(&error)
            );
            Error::new(ErrorKind::Internal, "random", text)
        })
    }

    /// Returns a connection ID that is unique in this process.
    pub fn next_connection_id(&self) -> u64 {
        self.connection_ids.fetch_add(1, Ordering::Relaxed)
    }

    /// All counters as JSON, with valid Prometheus metric names.
    #[must_use]
    pub fn stats_json(&self) -> String {
        let external_counters = [
            (Counter::CacheHits, self.slot_registry.acquired_count()),
            (Counter::KeysOpened, self.key_cache.opened_count()),
        ];
        let cached_entries = u64::try_from(self.cache.entry_count()).unwrap_or(u64::MAX);
        self.stats.to_json(&external_counters, &[("authgrant_cached_identities", cached_entries)])
    }

    /// Clears all caches: wipes tokens and keys, and closes idle connections. The sent client assertions remain: their
    /// servers remember them, too.
    pub fn clear(&self) {
        self.cache.clear();
        self.slot_registry.clear();
        self.key_cache.clear();
        self.http_client.close_idle_connections();
        self.token_stores.close_idle();
    }
}

/// Returns random bytes from a generator that detects forks.
pub(crate) fn random_bytes<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    #[allow(
        clippy::expect_used,
        reason = "a panic, caught by the FFI guard, is better than a predictable key"
    )]
    sys::fill_random(&mut bytes).expect("random number generator");
    bytes
}

/// Properties of token endpoints, observed in this process: whether POST is needed, and the clock skew.
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
    /// Bounds the memory, since untrusted connection strings may contain any number of endpoints.
    const MAX_ENDPOINTS: usize = 1000;

    /// Whether a POST succeeded after a GET had failed.
    pub fn prefers_post(&self, endpoint: &EndpointUrl) -> bool {
        self.facts(endpoint).prefers_post
    }

    /// Records that a POST succeeded after a GET had failed.
    pub fn record_post(&self, endpoint: &EndpointUrl) {
        self.update(endpoint, |facts| facts.prefers_post = true);
    }

    /// Clock skew: seconds by which the endpoint's clock is ahead of ours, confirmed by a successful request.
    pub fn skew_secs(&self, endpoint: &EndpointUrl) -> i64 {
        self.facts(endpoint).skew_secs
    }

    /// Records the clock skew of an endpoint.
    pub fn record_skew(&self, endpoint: &EndpointUrl, seconds: i64) {
        self.update(endpoint, |facts| facts.skew_secs = seconds);
    }

    fn facts(&self, endpoint: &EndpointUrl) -> EndpointFacts {
        self.endpoints.lock().get(endpoint.as_str()).copied().unwrap_or_default()
    }

    fn update(&self, endpoint: &EndpointUrl, change: impl FnOnce(&mut EndpointFacts)) {
        let endpoint = endpoint.as_str().to_owned();
        change(self.endpoints.lock().get_or_insert_with(endpoint, EndpointFacts::default));
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
        let memory = EndpointMemory::default();
        memory.record_post(&endpoint(1));
        memory.record_post(&endpoint(2));
        assert!(memory.prefers_post(&endpoint(1)) && memory.prefers_post(&endpoint(2)));
        assert!(!memory.prefers_post(&endpoint(3)));
    }

    #[test]
    fn endpoint_memory_is_bounded() {
        let memory = EndpointMemory::default();
        for number in 0..=EndpointMemory::MAX_ENDPOINTS {
            memory.record_post(&endpoint(number));
        }
        assert!(!memory.prefers_post(&endpoint(0)), "the oldest endpoint is evicted");
        assert!(
            memory.prefers_post(&endpoint(1))
                && memory.prefers_post(&endpoint(EndpointMemory::MAX_ENDPOINTS))
        );
    }

    #[test]
    fn cache_keys_differ_between_processes() {
        let digest = || CacheKey::digest(&Process::new(Box::new(SystemClock)).cache_key_secret, &"me");
        assert_ne!(digest(), digest());
    }

    #[test]
    fn cleared_key_is_opened_again() {
        let process = Process::new(Box::new(SystemClock));
        let dir = KeyDir::new();
        let source = dir.fixture("ec.pem", None);
        let first = process.key_cache.get_or_open(&source).unwrap();
        assert!(Arc::ptr_eq(&first, &process.key_cache.get_or_open(&source).unwrap()));
        process.clear();
        assert!(!Arc::ptr_eq(&first, &process.key_cache.get_or_open(&source).unwrap()));
    }
}
