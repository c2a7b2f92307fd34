//! One identity: its token, the one flight that fetches it, and the failure that is answered from memory.

use std::sync::Arc;
use std::time::Duration;

use super::backoff::Backoff;
use crate::base::call::{CallContext, Wake, cancelled_error};
use crate::base::clock::Clock;
use crate::base::error::{Error, Result, Status};
use crate::base::file::FileVersion;
use crate::base::jitter::Fraction;
use crate::base::log::{Log, LogLevel};
use crate::sys::sync::atomic::AtomicU64;
use crate::sys::sync::{Monitor, MonitorGuard};
use crate::token::AccessToken;
use crate::token::cache::freshness::{Freshness, Now, Requirements, freshness, is_usable};

/// A user may be consenting in a browser elsewhere.
const CONSENT_RETRY_DELAY: Duration = Duration::from_secs(2);

/// The longest that a server's Retry-After holds an identity back, in seconds.
const MAX_RETRY_AFTER_SECS: u32 = 300;

/// The files that a request is made from, such as a key store, as they were; nothing for one that is not there.
pub type SourceVersions = Vec<Option<FileVersion>>;

#[derive(Default)]
pub(super) struct CacheEntry {
    state: Monitor<EntryState>,
    /// When it was asked for last, counted by all that were asked for.
    pub(super) last_used: AtomicU64,
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

/// A failure that is answered from memory for a while.
struct NegativeEntry {
    error: Error,
    failed_at: Duration,
    retry_at: Duration,
    /// How long the call had that timed out. One that has longer than that may do better.
    call_timeout: Option<Duration>,
    /// What the request was made from.
    sources: SourceVersions,
}

impl NegativeEntry {
    /// Whether it answers a call that has `left` to wait.
    fn is_in_effect(&self, now: Duration, left: Option<Duration>) -> bool {
        let as_long = |timeout: Duration| {
            // An eighth more is not worth another try, and two calls with the same limit differ by microseconds.
            let eighth = timeout.checked_div(8).unwrap_or_default();
            left.is_some_and(|left| left <= timeout.saturating_add(eighth))
        };
        now < self.retry_at && self.call_timeout.is_none_or(as_long)
    }

    /// Whether the next request is still one after a failure: not after twice the time for which that is answered from
    /// memory, and not for a call that has longer than the one that timed out.
    fn is_probe_needed(&self, now: Duration) -> bool {
        let held = self.retry_at.saturating_sub(self.failed_at);
        self.call_timeout.is_none() && now.saturating_sub(self.failed_at) < held.saturating_mul(2)
    }

    fn to_error(&self, now: Duration) -> Error {
        let ago = now.saturating_sub(self.failed_at).as_secs();
        let left = self.retry_at.saturating_sub(now).as_secs_f64().ceil();
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "300 s at most")]
        self.error.clone().with_negative_cache_age(ago, left as u32)
    }
}

/// Why a token is fetched, which bounds what that may cost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FetchKind {
    /// There is no token that can be handed out.
    Needed,
    /// There is none, and the last try failed: this one finds out whether that is over.
    Probe,
    /// There is one, and it is to be replaced before it expires.
    EarlyRefresh,
}

/// What a caller does next.
pub(super) enum CacheAction {
    /// This is the token.
    Use(Arc<AccessToken>),
    /// It failed a moment ago, a request made from this.
    Fail(Error, SourceVersions),
    /// Fetch it; while that fails, the other one goes on.
    Fetch(u64, FetchKind, Option<Arc<AccessToken>>),
    /// Another one fetches it.
    Wait(u64),
}

impl EntryState {
    /// What a caller does that has `left` to wait.
    pub(super) fn next_action(
        &mut self,
        want: Requirements,
        now: Now,
        left: Option<Duration>,
    ) -> CacheAction {
        let ending = match self.token.as_ref().map(|token| (token, freshness(token, want, now))) {
            Some((token, Freshness::Fresh)) => return CacheAction::Use(Arc::clone(token)),
            Some((token, Freshness::RefreshDue)) => Some(Arc::clone(token)),
            Some((_, Freshness::Expired)) | None => None,
        };
        let negative = self
            .negative_entry
            .as_ref()
            .filter(|negative| !want.bypass_negative_cache && negative.is_in_effect(now.boot_time, left));
        if let Some(token) = ending {
            let waits = self.current_flight.is_some()
                || negative.is_some()
                || !self.refresh_backoff.is_ready(now.boot_time);
            return if waits {
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
        let failed =
            self.negative_entry.as_ref().is_some_and(|negative| negative.is_probe_needed(now.boot_time));
        CacheAction::Fetch(
            self.start_flight(),
            if failed { FetchKind::Probe } else { FetchKind::Needed },
            None,
        )
    }

    /// The token, if it can be handed out.
    pub(super) fn usable_token(&self, want: Requirements, now: Now) -> Option<Arc<AccessToken>> {
        self.token.as_ref().filter(|token| is_usable(token, want, now)).cloned()
    }

    pub(super) fn has_no_flight(&self) -> bool {
        self.current_flight.is_none()
    }

    /// Puts a token in the place of the one that there is.
    pub(super) fn store_token(&mut self, token: Arc<AccessToken>) {
        if let Some(before) = self.token.replace(token) {
            before.invalidate();
        }
        (self.negative_entry, self.failure_backoff, self.refresh_backoff) = Default::default();
    }

    /// Drops the token because the API refused it, unless it did so a moment ago.
    pub(super) fn reject(&mut self, now: Duration) {
        if self.rejection_backoff.is_ready(now) {
            self.rejection_backoff.record(now, Fraction::default());
            self.take_token();
        }
    }

    pub(super) fn take_token(&mut self) -> Option<Arc<AccessToken>> {
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

    /// Answers `error` from memory for the time that is returned, where it says something about the next request.
    fn record_failure(
        &mut self,
        error: &Error,
        now: Duration,
        conditions: FetchContext<'_>,
    ) -> Option<Duration> {
        let delay = match error.status() {
            _ if !error.is_caused_by_server() || error.is_caller_specific() => return None,
            // It holds for the whole endpoint.
            Status::Throttled if error.retry_after() > 0 => return None,
            _ if error.retry_after() > 0 => {
                Duration::from_secs(u64::from(error.retry_after().min(MAX_RETRY_AFTER_SECS)))
            }
            Status::ConsentRequired => CONSENT_RETRY_DELAY,
            _ => {
                self.failure_backoff.record(now, conditions.backoff_jitter);
                self.failure_backoff.delay()
            }
        };
        let until = now.saturating_add(delay);
        // One request that took too long is the server's doing, and not the call's that made it.
        let by_call = error.status() == Status::Timeout && error.sqlstate() != REQUEST_TIMEOUT_SQLSTATE;
        let timeout = conditions.timeout.filter(|_| by_call);
        let made_from = conditions.sources;
        self.negative_entry = Some(NegativeEntry {
            error: error.clone(),
            failed_at: now,
            retry_at: until,
            call_timeout: timeout,
            sources: made_from,
        });
        Some(delay)
    }
}

impl CacheEntry {
    pub(super) fn lock(&self) -> MonitorGuard<'_, EntryState> {
        self.state.lock()
    }

    /// Waits until `flight` has ended; its outcome, if that is one for all.
    pub(super) fn wait_for_flight(
        self: &Arc<Self>,
        state: MonitorGuard<'_, EntryState>,
        flight: u64,
        call: &CallContext,
    ) -> Result<Option<Result<Arc<AccessToken>>>> {
        call.on_cancel(self)?;
        let in_flight =
            |state: &mut EntryState| state.current_flight == Some(flight) && !call.cancel.is_cancelled();
        let state = self.state.wait_while(state, call.deadline.remaining(), in_flight);
        if call.cancel.is_cancelled() {
            return Err(cancelled_error());
        }
        if state.current_flight == Some(flight) {
            return Err(call.timeout_error("another thread's fetch of the same token did not end"));
        }
        Ok(state.outcome.as_ref().filter(|(number, _)| *number == flight).map(|(_, outcome)| outcome.clone()))
    }
}

impl Wake for CacheEntry {
    fn wake(&self) {
        // Taking the lock first makes sure that a waiter has either seen the cancel or sleeps already.
        drop(self.lock());
        self.state.notify_all();
    }
}

/// What a flight goes by.
pub(super) struct FetchContext<'a> {
    /// The token that is handed out where fetching fails, as long as it satisfies `want`.
    pub(super) fallback_token: Option<Arc<AccessToken>>,
    pub(super) requirements: Requirements,
    pub(super) clock: &'a dyn Clock,
    pub(super) sources: SourceVersions,
    /// How long the fetch may take.
    pub(super) timeout: Option<Duration>,
    /// Of the backoff after a failure.
    pub(super) backoff_jitter: Fraction,
    pub(super) log: Log,
}

/// The flight that this thread leads. Dropped on the way of a panic, it lets a waiter take over.
pub(super) struct Flight<'a> {
    entry: &'a CacheEntry,
    id: u64,
    completed: bool,
}

impl<'a> Flight<'a> {
    pub(super) fn new(entry: &'a CacheEntry, flight: u64) -> Self {
        Self { entry, id: flight, completed: false }
    }

    /// Fetches. Where that fails, the spare token is the outcome as long as it satisfies the caller.
    pub(super) fn run(
        mut self,
        conditions: FetchContext<'_>,
        fetch: impl FnOnce() -> Result<AccessToken>,
    ) -> Result<Arc<AccessToken>> {
        let outcome = fetch().map(Arc::new);
        let now = Now::from_clock(conditions.clock);
        let (spare, want, log) =
            (conditions.fallback_token.clone(), conditions.requirements, conditions.log.clone());
        let mut state = self.entry.lock();
        let delay = match &outcome {
            Ok(token) => {
                state.store_token(Arc::clone(token));
                None
            }
            Err(error) => {
                state.refresh_backoff.record(now.boot_time, conditions.backoff_jitter);
                state.record_failure(error, now.boot_time, conditions)
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
        match (outcome, spare) {
            // The fetch may have taken longer than the token had left.
            (Err(error), Some(spare))
                if error.status() != Status::Cancelled && is_usable(&spare, want, now) =>
            {
                Ok(spare)
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

/// The SQLSTATE of one request that took longer than WSTimeout.
const REQUEST_TIMEOUT_SQLSTATE: &str = "HYT01";

/// Whether a failure says something about the token, and not about the one call that met it. A server that has let one
/// request wait for too long (HYT01) may have used up what it was sent: that is not for a waiter to send again.
fn is_shareable(error: &Error) -> bool {
    error.sqlstate() == REQUEST_TIMEOUT_SQLSTATE
        || !(error.is_caller_specific()
            || matches!(error.status(), Status::Timeout | Status::Cancelled | Status::Internal))
}
