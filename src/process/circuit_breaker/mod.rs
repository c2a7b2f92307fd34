//! What the requests of one process to one endpoint have in common while that endpoint throttles or fails: the time for which
//! it asked to be left alone (Retry-After), and a circuit breaker.
//!
//! The breaker is closed, and every request is sent; after several failures in a row, of several cache keys, it opens for 1,
//! 2, 4 … 60 s, and requests fail from memory; then it is half-open, and one request probes. A success closes it.

use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;

use crate::base::bounded_map::BoundedMap;
use crate::base::cache_key::CacheKey;
use crate::base::call::{CallContext, Wake, cancelled_error};
use crate::base::clock::Clock;
use crate::base::error::{Error, Result, Status};
use crate::base::jitter::Jitter;
use crate::base::log::{Log, LogLevel};
use crate::base::stats::{Counter, Stats};
use crate::sys::sync::Monitor;
use crate::token::cache::Backoff;

/// So many endpoints are remembered: a connection string may name any.
const MAX_ENDPOINTS: usize = 1000;

/// So many failures in a row open the breaker,
const MIN_FAILURES: u32 = 5;

/// if they are of so many cache keys: what one key meets may be its own doing.
const MIN_FAILED_KEYS: usize = 3;

/// The longest that a Retry-After is kept to, in seconds.
const MAX_RETRY_AFTER_SECS: u32 = 300;

/// The longest wait for a server inside one call.
pub const MAX_SERVER_WAIT: Duration = Duration::from_secs(60);

/// A request that was given up sooner says nothing about the server.
const MIN_COUNTED_TIMEOUT: Duration = Duration::from_secs(5);

/// The breakers of one process, by a digest of host, port, TLS and proxy settings.
pub struct CircuitBreakers(Mutex<BoundedMap<CacheKey, Arc<CircuitBreaker>>>);

impl Default for CircuitBreakers {
    fn default() -> Self {
        Self(Mutex::new(BoundedMap::with_capacity(MAX_ENDPOINTS)))
    }
}

impl CircuitBreakers {
    /// The one of that endpoint.
    pub fn get(&self, endpoint: CacheKey) -> Arc<CircuitBreaker> {
        Arc::clone(self.0.lock().get_or_insert_with(endpoint, Arc::default))
    }
}

/// The breaker of one endpoint.
#[derive(Default)]
pub struct CircuitBreaker {
    state: Monitor<BreakerState>,
}

#[derive(Default)]
struct BreakerState {
    block: Option<RequestBlock>,
    /// Whether a request that was let through a block is on its way.
    probing: bool,
    consecutive_failures: u32,
    failed_keys: Vec<CacheKey>,
    open_backoff: Backoff,
}

/// Why, and until when, no request is sent.
struct RequestBlock {
    cause: BlockCause,
    error: Error,
    started_at: Duration,
    until: Duration,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum BlockCause {
    /// The server said for how long.
    RetryAfter,
    /// The breaker is open.
    OpenBreaker,
}

impl RequestBlock {
    fn to_error(&self, now: Duration) -> Error {
        let left = self.until.saturating_sub(now).as_secs_f64().ceil().max(1.0);
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "300 s at most")]
        self.error.clone().with_negative_cache_age(now.saturating_sub(self.started_at).as_secs(), left as u32)
    }
}

/// What a request goes by.
#[derive(Clone, Copy)]
pub struct AdmissionContext<'a> {
    /// Its bounds, and its log.
    pub call: &'a CallContext,
    /// The clock of the process.
    pub clock: &'a dyn Clock,
    /// The jitter of the process.
    pub jitter: Jitter,
    /// The host, for messages.
    pub host: &'a str,
    /// What is counted.
    pub stats: &'a Stats,
}

impl AdmissionContext<'_> {
    fn now(&self) -> Duration {
        self.clock.boot_time()
    }

    fn log(&self) -> &Log {
        &self.call.log
    }

    /// Whether it waits so long: not if it makes one attempt alone, or could not end in time.
    fn can_wait(&self, wait: Duration) -> bool {
        !self.call.single_attempt
            && wait <= MAX_SERVER_WAIT
            && self.call.deadline.remaining().is_none_or(|left| wait < left)
    }
}

impl CircuitBreaker {
    /// Lets a request through, at once or after a Retry-After that ends inside its call.
    ///
    /// # Errors
    /// The failure that keeps it back, from memory; [`Status::Cancelled`].
    pub fn admit<'a>(self: &Arc<Self>, requester: AdmissionContext<'a>) -> Result<Admission<'a>> {
        let mut waited = false;
        let mut state = self.state.lock();
        loop {
            let now = requester.now();
            let Some(block) = &state.block else { break };
            let wait = block.until.saturating_sub(now);
            if wait.is_zero() && !state.probing {
                state.probing = true;
                break;
            }
            if block.cause == BlockCause::OpenBreaker || !requester.can_wait(wait) {
                requester.stats.count(Counter::NegativeCacheHits);
                return Err(block.to_error(now));
            }
            if !waited {
                let text = || format!("waiting for {}, which asked for it", requester.host);
                requester.log().log(LogLevel::Debug, text);
            }
            waited = true;
            requester.call.on_cancel(self)?;
            let until = block.until;
            // While a probe is on its way, its end is waited for.
            let at_most = if wait.is_zero() { requester.call.deadline.remaining() } else { Some(wait) };
            state = self.state.wait_while(state, at_most, |state| {
                !requester.call.cancel.is_cancelled()
                    && state.block.as_ref().is_some_and(|block| block.until == until)
                    && (state.probing || requester.now() < until)
            });
            if requester.call.cancel.is_cancelled() {
                return Err(cancelled_error());
            }
        }
        let probes = state.block.is_some();
        drop(state);
        Ok(Admission { breaker: Arc::clone(self), requester, is_probe: probes, has_outcome: false })
    }
}

impl CircuitBreaker {
    /// Lets a request through that cannot be made again later, such as that of a code for which a user has just logged in.
    pub fn admit_always<'a>(self: &Arc<Self>, requester: AdmissionContext<'a>) -> Admission<'a> {
        Admission { breaker: Arc::clone(self), requester, is_probe: false, has_outcome: false }
    }
}

impl Wake for CircuitBreaker {
    fn wake(&self) {
        // Taking the lock first makes sure that a waiter has either seen the cancel or sleeps already.
        drop(self.state.lock());
        self.state.notify_all();
    }
}

/// A fetch that was let through. Dropped without an outcome, as by a cancel, it lets another one probe.
pub struct Admission<'a> {
    breaker: Arc<CircuitBreaker>,
    requester: AdmissionContext<'a>,
    is_probe: bool,
    has_outcome: bool,
}

impl Admission<'_> {
    /// The server asked to wait so many seconds. This request may come back afterwards, as the probe.
    pub fn record_throttled(&mut self, error: Error) {
        self.requester.stats.count(Counter::Throttled);
        let now = self.requester.now();
        let seconds = error.retry_after().min(MAX_RETRY_AFTER_SECS);
        let until = now.saturating_add(Duration::from_secs(u64::from(seconds)));
        let mut state = self.breaker.state.lock();
        if state.block.as_ref().is_some_and(|block| block.until >= until) {
            return;
        }
        // One alone comes back: others that were let through meanwhile give up, or wait for it.
        let comes_back = self.is_probe || !state.probing;
        self.is_probe = comes_back;
        state.probing |= comes_back;
        state.block = Some(RequestBlock { cause: BlockCause::RetryAfter, error, started_at: now, until });
        drop(state);
        self.breaker.state.notify_all();
        self.requester.log().log(LogLevel::Info, || {
            format!("{} is sent no request for {seconds} s, as it asked", self.requester.host)
        });
    }

    /// Before the request is sent again: waits for the end of a Retry-After that another request was given meanwhile.
    ///
    /// # Errors
    /// Those of [`CircuitBreaker::admit`].
    pub fn readmit(&mut self) -> Result<()> {
        if !self.is_probe {
            *self = self.breaker.admit(self.requester)?;
        }
        Ok(())
    }

    /// The endpoint is working: it answered, whatever its answer was.
    pub fn record_response(mut self) {
        self.has_outcome = true;
        let mut state = self.breaker.state.lock();
        let opened = state.block.as_ref().is_some_and(|block| block.cause == BlockCause::OpenBreaker);
        // Who was on the way before a Retry-After came says nothing about its end.
        let unblocked = self.is_probe || opened;
        if unblocked {
            state.block = None;
            state.probing = false;
            state.open_backoff = Backoff::default();
        }
        state.consecutive_failures = 0;
        state.failed_keys.clear();
        drop(state);
        if unblocked {
            self.breaker.state.notify_all();
            self.requester
                .log()
                .log(LogLevel::Info, || format!("{} is sent requests again", self.requester.host));
        }
    }

    /// The request of `key` failed with `error`, after `time`.
    pub fn record_failure(mut self, key: CacheKey, error: &Error, time: Duration) {
        if !is_unhealthy(error, time) {
            if error.is_caused_by_server() && error.http_status() != 0 {
                self.record_response();
            }
            return;
        }
        self.has_outcome = true;
        let now = self.requester.now();
        let mut state = self.breaker.state.lock();
        state.consecutive_failures = state.consecutive_failures.saturating_add(1);
        if !state.failed_keys.contains(&key) && state.failed_keys.len() < MIN_FAILED_KEYS {
            state.failed_keys.push(key);
        }
        let many = state.consecutive_failures >= MIN_FAILURES && state.failed_keys.len() >= MIN_FAILED_KEYS;
        let is_blocked = state.block.as_ref().is_some_and(|block| now < block.until);
        let opens = (self.is_probe || many) && !is_blocked;
        if opens {
            state.open_backoff.record(now, self.requester.jitter.sample());
            let until = now.saturating_add(state.open_backoff.delay());
            let error = shareable_error(error, self.requester.host);
            state.block =
                Some(RequestBlock { cause: BlockCause::OpenBreaker, error, started_at: now, until });
        }
        if self.is_probe {
            state.probing = false;
        }
        let seconds = state.open_backoff.delay().as_secs_f64();
        drop(state);
        self.breaker.state.notify_all();
        if opens {
            self.requester.stats.count(Counter::BreakerOpenings);
            self.requester.log().log(LogLevel::Info, || {
                format!(
                    "{} is sent no request for {seconds:.1} s, as the last ones failed",
                    self.requester.host
                )
            });
        }
    }
}

impl Drop for Admission<'_> {
    fn drop(&mut self) {
        if self.is_probe && !self.has_outcome {
            self.breaker.state.lock().probing = false;
            self.breaker.state.notify_all();
        }
    }
}

/// Whether a failure says that the endpoint cannot serve anybody now.
fn is_unhealthy(error: &Error, time: Duration) -> bool {
    error.is_caused_by_server()
        && match error.status() {
            Status::Network | Status::Server | Status::Throttled => true,
            Status::Timeout => time >= MIN_COUNTED_TIMEOUT,
            _ => false,
        }
}

/// The failure as any other request may hear of it: what the server said may be about one user.
fn shareable_error(error: &Error, host: &str) -> Error {
    let text = match error.http_status() {
        0 => return error.clone(),
        status => format!("{host} answered the last requests with HTTP {status}"),
    };
    Error::new(error.status(), "token", text).with_http(error.http_status(), 0)
}

/// The failure of a server that asks to wait, as any other request may hear of it.
#[must_use]
pub fn throttled_error(host: &str, http_status: u16, retry_after: u32) -> Error {
    let text = format!("{host} asks to wait {retry_after} s before the next request (HTTP {http_status})");
    Error::new(Status::Throttled, "token", text).with_http(http_status, retry_after)
}

#[cfg(all(test, feature = "model"))]
mod loom_tests;
#[cfg(all(test, not(feature = "model")))]
mod tests;
