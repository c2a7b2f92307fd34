//! Cache entry: the token of one cache key, its single in-flight request, and its negative entry (cached
//! error).
//!
//! A *flight* is the in-flight request for a token. The thread that makes the request is its leader; all
//! others wait.

use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::time::Duration;

use crate::base::backoff::Backoff;
use crate::base::call::{CallContext, Wake, cancelled_error};
use crate::base::clock::Clock;
use crate::base::error::{Cause, Error, ErrorKind, OAuthReason, Result, TimeoutKind};
use crate::base::file::FileVersion;
use crate::base::jitter::Fraction;
use crate::base::log::{Log, LogLevel};
use crate::sys::sync::{Monitor, MonitorGuard};
use crate::token::AccessToken;
use crate::token::cache::freshness::{Freshness, Now, Requirements, freshness, is_usable};

/// Short, because the user may be giving consent in a browser at this moment.
const CONSENT_RETRY_DELAY: Duration = Duration::from_secs(2);

/// Upper limit for a server's Retry-After, in seconds.
const MAX_RETRY_AFTER_SECS: u32 = 300;

/// Versions of the files that a request depends on, such as a key store. None for a missing file.
pub type SourceVersions = Vec<Option<FileVersion>>;

#[derive(Default)]
pub(super) struct CacheEntry {
    state: Monitor<EntryState>,
    /// Number of leases; incremented with the lock of the map held. Not an atomic of loom, which would multiply
    /// the interleavings of every test.
    pub(super) leases: AtomicUsize,
}

#[derive(Default)]
pub(super) struct EntryState {
    pub(super) token: Option<Arc<AccessToken>>,
    current_flight: Option<u64>,
    last_flight_id: u64,
    outcome: Option<(u64, Result<Arc<AccessToken>>)>,
    rejection_backoff: Backoff,
    refresh_backoff: Backoff,
    failure_backoff: Backoff,
    negative_entry: Option<NegativeEntry>,
}

/// A cached error, returned until `retry_at` without a new request.
struct NegativeEntry {
    error: Error,
    failed_at: Duration,
    retry_at: Duration,
    /// Timeout of the call, if the call's own deadline caused the error. A call with a longer timeout may
    /// succeed.
    call_timeout: Option<Duration>,
    /// Files that the failed request depended on.
    sources: SourceVersions,
}

impl NegativeEntry {
    /// Whether the error is returned to a call with the `remaining` time.
    fn is_in_effect(&self, now: Duration, remaining: Option<Duration>) -> bool {
        let is_not_longer = |timeout: Duration| {
            // Calls with equal limits differ by microseconds; one eighth more time does not justify a new
            // request.
            let tolerance = timeout.checked_div(8).unwrap_or_default();
            remaining.is_some_and(|remaining| remaining <= timeout.saturating_add(tolerance))
        };
        now < self.retry_at && self.call_timeout.is_none_or(is_not_longer)
    }

    /// Whether the next request is a probe. False after twice the time for which the error is cached, and
    /// false after a call timeout: the next request then has more time than the one that failed.
    fn is_probe_needed(&self, now: Duration) -> bool {
        let cached_for = self.retry_at.saturating_sub(self.failed_at);
        self.call_timeout.is_none() && now.saturating_sub(self.failed_at) < cached_for.saturating_mul(2)
    }

    fn to_error(&self, now: Duration) -> Error {
        let age_secs = now.saturating_sub(self.failed_at).as_secs();
        let retry_in = self.retry_at.saturating_sub(now).as_secs_f64().ceil();
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "300 s at most")]
        self.error.clone().with_cause(Cause::NegativeCache { age_secs, retry_in_secs: retry_in as u32 })
    }
}

/// Reason for a fetch. It determines the time limit and the number of attempts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FetchKind {
    /// No usable token is cached.
    Needed,
    /// No usable token is cached, and the last fetch failed: this one tests whether the failure persists.
    Probe,
    /// A usable token is cached, and is replaced before it expires.
    EarlyRefresh,
}

/// Next step of a caller.
pub(super) enum CacheAction {
    /// Return this token.
    Use(Arc<AccessToken>),
    /// Return this cached error of a request that depended on these files.
    Fail(Error, SourceVersions),
    /// Fetch a token as the leader of this flight. If that fails, return the fallback token, if any.
    Fetch(u64, FetchKind, Option<Arc<AccessToken>>),
    /// Wait for this flight of another thread.
    Wait(u64),
}

impl EntryState {
    /// The next step of a caller with the `remaining` time. `Fetch` has already started the flight.
    pub(super) fn next_action(
        &mut self,
        requirements: Requirements,
        now: Now,
        remaining: Option<Duration>,
    ) -> CacheAction {
        let refresh_due = match self.token.as_ref().map(|token| (token, freshness(token, requirements, now)))
        {
            Some((token, Freshness::Fresh)) => return CacheAction::Use(Arc::clone(token)),
            Some((token, Freshness::RefreshDue)) => Some(Arc::clone(token)),
            Some((_, Freshness::Expired)) | None => None,
        };
        let negative = self.negative_entry.as_ref().filter(|negative| {
            !requirements.bypass_negative_cache && negative.is_in_effect(now.boot_time, remaining)
        });
        if let Some(token) = refresh_due {
            let is_deferred = self.current_flight.is_some()
                || negative.is_some()
                || !self.refresh_backoff.is_ready(now.boot_time);
            return if is_deferred {
                CacheAction::Use(token)
            } else {
                CacheAction::Fetch(self.start_flight(), FetchKind::EarlyRefresh, Some(token))
            };
        }
        if let Some(negative) = negative {
            return CacheAction::Fail(negative.to_error(now.boot_time), negative.sources.clone());
        }
        if let Some(flight) = self.current_flight {
            return CacheAction::Wait(flight);
        }
        let is_probe =
            self.negative_entry.as_ref().is_some_and(|negative| negative.is_probe_needed(now.boot_time));
        CacheAction::Fetch(
            self.start_flight(),
            if is_probe { FetchKind::Probe } else { FetchKind::Needed },
            None,
        )
    }

    /// The cached token, if it is usable.
    pub(super) fn usable_token(&self, requirements: Requirements, now: Now) -> Option<Arc<AccessToken>> {
        self.token.as_ref().filter(|token| is_usable(token, requirements, now)).cloned()
    }

    pub(super) fn has_no_flight(&self) -> bool {
        self.current_flight.is_none()
    }

    /// Stores a token, invalidates the one it replaces and clears cached errors.
    pub(super) fn store_token(&mut self, token: Arc<AccessToken>) {
        if let Some(replaced) = self.token.replace(token) {
            replaced.invalidate();
        }
        (self.negative_entry, self.failure_backoff, self.refresh_backoff) = Default::default();
    }

    /// Removes the token because the API rejected it. Without effect during the backoff after an earlier
    /// rejection. Returns whether it was removed.
    pub(super) fn reject(&mut self, now: Duration) -> bool {
        if !self.rejection_backoff.is_ready(now) {
            return false;
        }
        self.rejection_backoff.record(now, Fraction::default());
        self.take_token().is_some()
    }

    /// Removes the token, and the outcome of the last flight, which refers to it as well: a lease may keep
    /// the entry for long. A waiter that has not read the outcome yet fetches a token itself.
    pub(super) fn take_token(&mut self) -> Option<Arc<AccessToken>> {
        self.outcome = None;
        let token = self.token.take()?;
        token.invalidate();
        Some(token)
    }

    pub(super) fn clear_negative(&mut self) {
        (self.negative_entry, self.failure_backoff) = Default::default();
    }

    pub(super) fn start_flight(&mut self) -> u64 {
        self.last_flight_id = self.last_flight_id.wrapping_add(1);
        self.current_flight = Some(self.last_flight_id);
        self.last_flight_id
    }

    /// Caches `error` if it predicts the outcome of the next request, and returns for how long.
    fn record_failure(
        &mut self,
        error: &Error,
        now: Duration,
        context: FetchContext<'_>,
    ) -> Option<Duration> {
        if error.cause() != Cause::Server {
            return None;
        }
        let delay = match (error.oauth_reason(), error.retry_after()) {
            // The circuit breaker handles it, since it applies to the whole endpoint.
            (Some(OAuthReason::Throttled), 1..) => return None,
            (_, seconds @ 1..) => Duration::from_secs(u64::from(seconds.min(MAX_RETRY_AFTER_SECS))),
            (Some(OAuthReason::ConsentRequired), 0) => CONSENT_RETRY_DELAY,
            _ => {
                self.failure_backoff.record(now, context.backoff_jitter);
                self.failure_backoff.delay()
            }
        };
        // A request timeout (WSTimeout) is caused by the server, not by the deadline of the call.
        let is_call_timeout = matches!(error.kind(), ErrorKind::Timeout(TimeoutKind::Call));
        let call_timeout = context.timeout.filter(|_| is_call_timeout);
        self.negative_entry = Some(NegativeEntry {
            error: error.clone(),
            failed_at: now,
            retry_at: now.saturating_add(delay),
            call_timeout,
            sources: context.sources,
        });
        Some(delay)
    }
}

/// How a flight ended for its waiters.
pub(super) enum FlightResult {
    /// It fetched this token.
    Token(Arc<AccessToken>),
    /// It failed, and so would the fetch of a waiter.
    Failed(Error),
    /// It failed for a reason that concerns only its leader.
    NotShared,
}

impl CacheEntry {
    pub(super) fn lock(&self) -> MonitorGuard<'_, EntryState> {
        self.state.lock()
    }

    /// Waits until `flight` has ended.
    ///
    /// # Errors
    /// [`ErrorKind::Cancelled`] and [`ErrorKind::Timeout`] of `call`.
    pub(super) fn wait_for_flight(
        self: &Arc<Self>,
        state: MonitorGuard<'_, EntryState>,
        flight: u64,
        call: &CallContext,
    ) -> Result<FlightResult> {
        call.on_cancel(self)?;
        let in_flight =
            |state: &mut EntryState| state.current_flight == Some(flight) && !call.cancel.is_cancelled();
        let state = self.state.wait_while(state, call.deadline.remaining(), in_flight);
        if call.cancel.is_cancelled() {
            return Err(cancelled_error());
        }
        if state.current_flight == Some(flight) {
            return Err(call.timeout_error("another thread's request for the same token did not complete"));
        }
        Ok(match &state.outcome {
            Some((id, Ok(token))) if *id == flight => FlightResult::Token(Arc::clone(token)),
            Some((id, Err(error))) if *id == flight => FlightResult::Failed(error.clone()),
            _ => FlightResult::NotShared,
        })
    }
}

impl Wake for CacheEntry {
    fn wake(&self) {
        // Taking the lock ensures that a waiter has either seen the cancellation or is already blocked.
        drop(self.lock());
        self.state.notify_all();
    }
}

/// Inputs of one fetch.
pub(super) struct FetchContext<'a> {
    /// Token to return if the fetch fails, as long as it satisfies `requirements`.
    pub(super) fallback_token: Option<Arc<AccessToken>>,
    pub(super) requirements: Requirements,
    pub(super) clock: &'a dyn Clock,
    pub(super) sources: SourceVersions,
    /// Time limit of the fetch.
    pub(super) timeout: Option<Duration>,
    /// Jitter of the backoff after a failure.
    pub(super) backoff_jitter: Fraction,
    pub(super) log: Log,
}

/// The flight that this thread leads. If it is dropped before completion (panic), a waiter takes over.
pub(super) struct Flight<'a> {
    entry: &'a CacheEntry,
    id: u64,
    completed: bool,
}

impl<'a> Flight<'a> {
    pub(super) fn new(entry: &'a CacheEntry, flight: u64) -> Self {
        Self { entry, id: flight, completed: false }
    }

    /// Calls `fetch` and publishes its outcome. If that is an error, returns the fallback token while it is
    /// usable.
    pub(super) fn run(
        mut self,
        context: FetchContext<'_>,
        fetch: impl FnOnce() -> Result<AccessToken>,
    ) -> Result<Arc<AccessToken>> {
        let outcome = fetch().map(Arc::new);
        let now = Now::from_clock(context.clock);
        let (fallback, requirements, log) =
            (context.fallback_token.clone(), context.requirements, context.log.clone());
        let mut state = self.entry.lock();
        let delay = match &outcome {
            Ok(token) => {
                state.store_token(Arc::clone(token));
                None
            }
            Err(error) => {
                state.refresh_backoff.record(now.boot_time, context.backoff_jitter);
                state.record_failure(error, now.boot_time, context)
            }
        };
        if outcome.as_ref().map_or_else(is_shareable, |_| true) {
            state.outcome = Some((self.id, outcome.clone()));
        }
        state.current_flight = None;
        self.completed = true;
        drop(state);
        self.entry.state.notify_all();
        if let Some(delay) = delay {
            log.log(LogLevel::Info, || {
                format!("this token is not requested again for {:.1} s", delay.as_secs_f64())
            });
        }
        match (outcome, fallback) {
            // The fallback token may have expired during the fetch.
            (Err(error), Some(fallback))
                if !matches!(error.kind(), ErrorKind::Cancelled)
                    && is_usable(&fallback, requirements, now) =>
            {
                Ok(fallback)
            }
            (outcome, _) => outcome,
        }
    }
}

impl Drop for Flight<'_> {
    fn drop(&mut self) {
        if !self.completed {
            self.entry.lock().current_flight = None;
            self.entry.state.notify_all();
        }
    }
}

/// Whether waiters receive this error: true for errors that concern the token, false for those of one call. A
/// request timeout is shared, because the server may have consumed the grant, and a waiter must not
/// send it again.
fn is_shareable(error: &Error) -> bool {
    match error.kind() {
        ErrorKind::Timeout(kind) => *kind == TimeoutKind::Request,
        ErrorKind::Cancelled | ErrorKind::Internal => false,
        _ => error.cause() != Cause::Caller,
    }
}
