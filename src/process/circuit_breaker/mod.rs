//! Circuit breaker and Retry-After per endpoint, shared by all requests of the process.
//!
//! While the breaker is closed, every request is sent. After several consecutive failures of several cache
//! keys it opens for 1, 2, 4 … 60 s, and requests fail with the cached error. Then it is half-open, and one
//! request probes. A success closes it.

use std::num::NonZeroU16;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;

use crate::base::backoff::Backoff;
use crate::base::bounded_map::BoundedMap;
use crate::base::cache_key::CacheKey;
use crate::base::call::{CallContext, Wake, cancelled_error};
use crate::base::clock::Clock;
use crate::base::error::{Cause, Error, ErrorKind, NetworkError, OAuthError, OAuthReason, Result};
use crate::base::jitter::Jitter;
use crate::base::log::{Log, LogLevel};
use crate::base::stats::{Counter, Stats};
use crate::sys::sync::Monitor;

/// Maximum number of endpoints, since connection strings may contain any number of them.
const MAX_ENDPOINTS: usize = 1000;

/// Number of consecutive failures that open the breaker, together with [`MIN_FAILED_KEYS`].
const MIN_FAILURES: u32 = 5;

/// Number of cache keys among these failures, since the failures of one key may have a cause of its own.
const MIN_FAILED_KEYS: usize = 3;

/// Upper limit for a server's Retry-After, in seconds.
const MAX_RETRY_AFTER_SECS: u32 = 300;

/// Upper limit for the wait for a server within one call.
pub const MAX_SERVER_WAIT: Duration = Duration::from_secs(60);

/// A request that timed out earlier does not count as a failure of the server.
const MIN_COUNTED_TIMEOUT: Duration = Duration::from_secs(5);

/// Circuit breakers of one process, keyed by a digest of host, port, TLS and proxy settings.
pub struct CircuitBreakers(Mutex<BoundedMap<CacheKey, Arc<CircuitBreaker>>>);

impl Default for CircuitBreakers {
    fn default() -> Self {
        Self(Mutex::new(BoundedMap::with_capacity(MAX_ENDPOINTS)))
    }
}

impl CircuitBreakers {
    /// Returns the breaker of `endpoint`, creating it if needed.
    pub fn get(&self, endpoint: CacheKey) -> Arc<CircuitBreaker> {
        Arc::clone(self.0.lock().get_or_insert_with(endpoint, Arc::default))
    }
}

/// Circuit breaker of one endpoint. Thread-safe.
#[derive(Default)]
pub struct CircuitBreaker {
    state: Monitor<BreakerState>,
}

#[derive(Default)]
struct BreakerState {
    block: Option<RequestBlock>,
    /// Whether a probe is in flight, or a throttled request is to be repeated as the probe.
    probing: bool,
    consecutive_failures: u32,
    failed_keys: Vec<CacheKey>,
    open_backoff: Backoff,
}

/// Reason and duration for which no request is sent.
struct RequestBlock {
    cause: BlockCause,
    error: Error,
    started_at: Duration,
    until: Duration,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum BlockCause {
    /// The server sent a Retry-After.
    RetryAfter,
    /// The breaker is open.
    OpenBreaker,
}

impl RequestBlock {
    fn to_error(&self, now: Duration) -> Error {
        let retry_in = self.until.saturating_sub(now).as_secs_f64().ceil().max(1.0);
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "300 s at most")]
        self.error.clone().with_cause(Cause::NegativeCache {
            age_secs: now.saturating_sub(self.started_at).as_secs(),
            retry_in_secs: retry_in as u32,
        })
    }
}

/// Inputs for the admission of a request.
#[derive(Clone, Copy)]
pub struct AdmissionContext<'a> {
    /// The call with its deadline and its log.
    pub call: &'a CallContext,
    /// The clock of the process.
    pub clock: &'a dyn Clock,
    /// The jitter of the process.
    pub jitter: Jitter,
    /// The host, for messages.
    pub host: &'a str,
    /// Counters of the process.
    pub stats: &'a Stats,
}

impl AdmissionContext<'_> {
    fn now(&self) -> Duration {
        self.clock.boot_time()
    }

    fn log(&self) -> &Log {
        &self.call.log
    }

    /// Whether the request waits for `wait`. False for a call with a single attempt, and if the deadline is
    /// earlier.
    fn can_wait(&self, wait: Duration) -> bool {
        !self.call.single_attempt
            && wait <= MAX_SERVER_WAIT
            && self.call.deadline.remaining().is_none_or(|remaining| wait < remaining)
    }
}

impl CircuitBreaker {
    /// Admits a request, at once or after waiting for the end of a Retry-After within the call's deadline.
    ///
    /// # Errors
    /// The cached error that blocks the endpoint; [`ErrorKind::Cancelled`].
    pub fn admit<'a>(self: &Arc<Self>, context: AdmissionContext<'a>) -> Result<Admission<'a>> {
        let mut waited = false;
        let mut state = self.state.lock();
        loop {
            let now = context.now();
            let Some(block) = &state.block else { break };
            let wait = block.until.saturating_sub(now);
            if wait.is_zero() && !state.probing {
                state.probing = true;
                break;
            }
            if block.cause == BlockCause::OpenBreaker || !context.can_wait(wait) {
                context.stats.count(Counter::NegativeCacheHits);
                return Err(block.to_error(now));
            }
            if !waited {
                let text = || format!("waiting for {} (Retry-After)", context.host);
                context.log().log(LogLevel::Debug, text);
            }
            waited = true;
            context.call.on_cancel(self)?;
            // After the end of the block, wait for the outcome of the probe in flight.
            let timeout = if wait.is_zero() { context.call.deadline.remaining() } else { Some(wait) };
            state = self.state.wait(state, timeout);
            if context.call.cancel.is_cancelled() {
                return Err(cancelled_error());
            }
        }
        let is_probe = state.block.is_some();
        drop(state);
        Ok(Admission { breaker: Arc::clone(self), context, is_probe, has_outcome: false })
    }
}

impl CircuitBreaker {
    /// Admits a request that cannot be repeated later, such as one with the authorization code of a login.
    pub fn admit_always<'a>(self: &Arc<Self>, context: AdmissionContext<'a>) -> Admission<'a> {
        Admission { breaker: Arc::clone(self), context, is_probe: false, has_outcome: false }
    }
}

impl Wake for CircuitBreaker {
    fn wake(&self) {
        // Taking the lock ensures that a waiter has either seen the cancellation or is already blocked.
        drop(self.state.lock());
        self.state.notify_all();
    }
}

/// An admitted request. If a probe is dropped without an outcome (cancellation), another request may probe.
pub struct Admission<'a> {
    breaker: Arc<CircuitBreaker>,
    context: AdmissionContext<'a>,
    is_probe: bool,
    has_outcome: bool,
}

impl Admission<'_> {
    /// Records a Retry-After. This request may be sent again afterwards, as the probe.
    pub fn record_throttled(&mut self, error: Error) {
        self.context.stats.count(Counter::Throttled);
        let now = self.context.now();
        let seconds = error.retry_after().min(MAX_RETRY_AFTER_SECS);
        let until = now.saturating_add(Duration::from_secs(u64::from(seconds)));
        let mut state = self.breaker.state.lock();
        if state.block.as_ref().is_some_and(|block| block.until >= until) {
            return;
        }
        // Only one request becomes the probe; all others that were admitted meanwhile fail or wait for it.
        let becomes_probe = self.is_probe || !state.probing;
        self.is_probe = becomes_probe;
        state.probing |= becomes_probe;
        state.block = Some(RequestBlock { cause: BlockCause::RetryAfter, error, started_at: now, until });
        drop(state);
        self.breaker.state.notify_all();
        self.context.log().log(LogLevel::Info, || {
            format!("no requests to {} for {seconds} s (Retry-After)", self.context.host)
        });
    }

    /// Admits a repetition of the request: waits for the end of a Retry-After that another request received
    /// meanwhile.
    ///
    /// # Errors
    /// Those of `CircuitBreaker::admit`.
    pub fn readmit(&mut self) -> Result<()> {
        if !self.is_probe {
            *self = self.breaker.admit(self.context)?;
        }
        Ok(())
    }

    /// Records that the endpoint responded, successfully or not, and so is healthy.
    pub fn record_response(mut self) {
        self.has_outcome = true;
        let mut state = self.breaker.state.lock();
        let is_open = state.block.as_ref().is_some_and(|block| block.cause == BlockCause::OpenBreaker);
        // The response to a request sent before a Retry-After does not end it.
        let unblocked = self.is_probe || is_open;
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
            self.context.log().log(LogLevel::Info, || format!("requests to {} resume", self.context.host));
        }
    }

    /// Records that the request for `key` failed with `error` after `elapsed`.
    pub fn record_failure(mut self, key: CacheKey, error: &Error, elapsed: Duration) {
        if !is_unhealthy(error, elapsed) {
            if error.cause() == Cause::Server && matches!(error.kind(), ErrorKind::OAuth(_)) {
                self.record_response();
            }
            return;
        }
        self.has_outcome = true;
        let now = self.context.now();
        let mut state = self.breaker.state.lock();
        state.consecutive_failures = state.consecutive_failures.saturating_add(1);
        if !state.failed_keys.contains(&key) && state.failed_keys.len() < MIN_FAILED_KEYS {
            state.failed_keys.push(key);
        }
        let is_threshold_reached =
            state.consecutive_failures >= MIN_FAILURES && state.failed_keys.len() >= MIN_FAILED_KEYS;
        let is_blocked = state.block.as_ref().is_some_and(|block| now < block.until);
        let opens = (self.is_probe || is_threshold_reached) && !is_blocked;
        if opens {
            state.open_backoff.record(now, self.context.jitter.sample());
            let until = now.saturating_add(state.open_backoff.delay());
            let error = shareable_error(error, self.context.host);
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
            self.context.stats.count(Counter::BreakerOpenings);
            self.context.log().log(LogLevel::Info, || {
                format!(
                    "no requests to {} for {seconds:.1} s (circuit breaker open after failures)",
                    self.context.host
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

/// Whether a failure after `elapsed` shows that the endpoint is unavailable for all requests.
fn is_unhealthy(error: &Error, elapsed: Duration) -> bool {
    error.cause() == Cause::Server
        && match error.kind() {
            ErrorKind::Network(error) => *error == NetworkError::Connection,
            ErrorKind::OAuth(error) => matches!(error.reason, OAuthReason::Server | OAuthReason::Throttled),
            ErrorKind::Timeout(_) => elapsed >= MIN_COUNTED_TIMEOUT,
            _ => false,
        }
}

/// The error to return for other requests. It omits the server's text, which may concern one user.
fn shareable_error(error: &Error, host: &str) -> Error {
    let ErrorKind::OAuth(OAuthError { reason, http_status: Some(status), .. }) = error.kind() else {
        return error.clone();
    };
    let text = format!("{host} responded to recent requests with HTTP {status}");
    Error::new(OAuthError { http_status: Some(*status), ..(*reason).into() }, "token", text)
}

/// The error for a Retry-After. It omits the server's text, so it may be returned for other requests.
#[must_use]
pub fn throttled_error(host: &str, http_status: u16, retry_after: u32) -> Error {
    let text = format!("{host} is rate limiting requests (HTTP {http_status}, Retry-After {retry_after} s)");
    let http_status = NonZeroU16::new(http_status);
    Error::new(OAuthError { http_status, retry_after, ..OAuthReason::Throttled.into() }, "token", text)
}

#[cfg(all(test, feature = "model"))]
mod loom_tests;
#[cfg(all(test, not(feature = "model")))]
mod tests;
