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
use crate::token::Token;
use crate::token::cache::freshness::{Life, Moment, Want, is_usable, life};

/// A user may be consenting in a browser elsewhere.
const CONSENT_RETRY_DELAY: Duration = Duration::from_secs(2);

/// The longest that a server's Retry-After holds an identity back, in seconds.
const MAX_RETRY_AFTER_SECS: u32 = 300;

/// The files that a request is made from, such as a key store, as they were; nothing for one that is not there.
pub type Sources = Vec<Option<FileVersion>>;

#[derive(Default)]
pub(super) struct Entry {
    state: Monitor<State>,
    /// When it was asked for last, counted by all that were asked for.
    pub(super) used: AtomicU64,
}

#[derive(Default)]
pub(super) struct State {
    pub(super) token: Option<Arc<Token>>,
    flight: Option<u64>,
    flights: u64,
    outcome: Option<(u64, Result<Arc<Token>>)>,
    rejections: Backoff,
    renewals: Backoff,
    failures: Backoff,
    negative: Option<NegativeEntry>,
}

/// A failure that is answered from memory for a while.
struct NegativeEntry {
    error: Error,
    at: Duration,
    until: Duration,
    /// How long the call had that timed out. One that has longer than that may do better.
    timeout: Option<Duration>,
    /// What the request was made from.
    made_from: Sources,
}

impl NegativeEntry {
    /// Whether it answers a call that has `left` to wait.
    fn applies(&self, now: Duration, left: Option<Duration>) -> bool {
        let as_long = |timeout: Duration| {
            // An eighth more is not worth another try, and two calls with the same limit differ by microseconds.
            let eighth = timeout.checked_div(8).unwrap_or_default();
            left.is_some_and(|left| left <= timeout.saturating_add(eighth))
        };
        now < self.until && self.timeout.is_none_or(as_long)
    }

    /// Whether the next request is still one after a failure: not after twice the time for which that is answered from
    /// memory, and not for a call that has longer than the one that timed out.
    fn is_recent(&self, now: Duration) -> bool {
        let held = self.until.saturating_sub(self.at);
        self.timeout.is_none() && now.saturating_sub(self.at) < held.saturating_mul(2)
    }

    fn to_error(&self, now: Duration) -> Error {
        let ago = now.saturating_sub(self.at).as_secs();
        let left = self.until.saturating_sub(now).as_secs_f64().ceil();
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
    EarlyRenewal,
}

/// What a caller does next.
pub(super) enum Step {
    /// This is the token.
    Take(Arc<Token>),
    /// It failed a moment ago, a request made from this.
    Refused(Error, Sources),
    /// Fetch it; while that fails, the other one goes on.
    Lead(u64, FetchKind, Option<Arc<Token>>),
    /// Another one fetches it.
    Wait(u64),
}

impl State {
    /// What a caller does that has `left` to wait.
    pub(super) fn step(&mut self, want: Want, now: Moment, left: Option<Duration>) -> Step {
        let ending = match self.token.as_ref().map(|token| (token, life(token, want, now))) {
            Some((token, Life::Good)) => return Step::Take(Arc::clone(token)),
            Some((token, Life::Ending)) => Some(Arc::clone(token)),
            Some((_, Life::Over)) | None => None,
        };
        let negative =
            self.negative.as_ref().filter(|negative| !want.anew && negative.applies(now.boot_time, left));
        if let Some(token) = ending {
            let waits = self.flight.is_some() || negative.is_some() || !self.renewals.is_ready(now.boot_time);
            return if waits {
                Step::Take(token)
            } else {
                Step::Lead(self.take_off(), FetchKind::EarlyRenewal, Some(token))
            };
        }
        if let Some(negative) = negative {
            return Step::Refused(negative.to_error(now.boot_time), negative.made_from.clone());
        }
        if let Some(flight) = self.flight {
            return Step::Wait(flight);
        }
        let failed = self.negative.as_ref().is_some_and(|negative| negative.is_recent(now.boot_time));
        Step::Lead(self.take_off(), if failed { FetchKind::Probe } else { FetchKind::Needed }, None)
    }

    /// The token, if it can be handed out.
    pub(super) fn usable(&self, want: Want, now: Moment) -> Option<Arc<Token>> {
        self.token.as_ref().filter(|token| is_usable(token, want, now)).cloned()
    }

    pub(super) fn is_idle(&self) -> bool {
        self.flight.is_none()
    }

    /// Puts a token in the place of the one that there is.
    pub(super) fn keep(&mut self, token: Arc<Token>) {
        if let Some(before) = self.token.replace(token) {
            before.retire();
        }
        (self.negative, self.failures, self.renewals) = Default::default();
    }

    /// Drops the token because the API refused it, unless it did so a moment ago.
    pub(super) fn reject(&mut self, now: Duration) {
        if self.rejections.is_ready(now) {
            self.rejections.record(now, Fraction::default());
            self.drop_token();
        }
    }

    pub(super) fn drop_token(&mut self) -> Option<Arc<Token>> {
        let token = self.token.take()?;
        token.retire();
        Some(token)
    }

    pub(super) fn forget_refusal(&mut self) {
        (self.negative, self.failures) = Default::default();
    }

    pub(super) fn take_off(&mut self) -> u64 {
        self.flights = self.flights.wrapping_add(1);
        self.flight = Some(self.flights);
        self.flights
    }

    /// Answers `error` from memory for the time that is returned, where it says something about the next request.
    fn record_failure(
        &mut self,
        error: &Error,
        now: Duration,
        conditions: Conditions<'_>,
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
                self.failures.record(now, conditions.jitter);
                self.failures.delay()
            }
        };
        let until = now.saturating_add(delay);
        // One request that took too long is the server's doing, and not the call's that made it.
        let by_call = error.status() == Status::Timeout && error.sqlstate() != ONE_REQUEST;
        let timeout = conditions.left.filter(|_| by_call);
        let made_from = conditions.made_from;
        self.negative = Some(NegativeEntry { error: error.clone(), at: now, until, timeout, made_from });
        Some(delay)
    }
}

impl Entry {
    pub(super) fn lock(&self) -> MonitorGuard<'_, State> {
        self.state.lock()
    }

    /// Waits until `flight` has ended; its outcome, if that is one for all.
    pub(super) fn wait(
        self: &Arc<Self>,
        state: MonitorGuard<'_, State>,
        flight: u64,
        call: &CallContext,
    ) -> Result<Option<Result<Arc<Token>>>> {
        call.on_cancel(self)?;
        let in_flight = |state: &mut State| state.flight == Some(flight) && !call.cancel.is_cancelled();
        let state = self.state.wait_while(state, call.deadline.remaining(), in_flight);
        if call.cancel.is_cancelled() {
            return Err(cancelled_error());
        }
        if state.flight == Some(flight) {
            return Err(call.timeout_error("another thread's fetch of the same token did not end"));
        }
        Ok(state.outcome.as_ref().filter(|(number, _)| *number == flight).map(|(_, outcome)| outcome.clone()))
    }
}

impl Wake for Entry {
    fn wake(&self) {
        // Taking the lock first makes sure that a waiter has either seen the cancel or sleeps already.
        drop(self.lock());
        self.state.notify_all();
    }
}

/// What a flight goes by.
pub(super) struct Conditions<'a> {
    /// The token that is handed out where fetching fails, as long as it satisfies `want`.
    pub(super) spare: Option<Arc<Token>>,
    pub(super) want: Want,
    pub(super) clock: &'a dyn Clock,
    pub(super) made_from: Sources,
    /// How long the fetch may take.
    pub(super) left: Option<Duration>,
    /// Of the backoff after a failure.
    pub(super) jitter: Fraction,
    pub(super) log: Log,
}

/// The flight that this thread leads. Dropped on the way of a panic, it lets a waiter take over.
pub(super) struct Flight<'a> {
    entry: &'a Entry,
    flight: u64,
    landed: bool,
}

impl<'a> Flight<'a> {
    pub(super) fn new(entry: &'a Entry, flight: u64) -> Self {
        Self { entry, flight, landed: false }
    }

    /// Fetches. Where that fails, the spare token is the outcome as long as it satisfies the caller.
    pub(super) fn run(
        mut self,
        conditions: Conditions<'_>,
        fetch: impl FnOnce() -> Result<Token>,
    ) -> Result<Arc<Token>> {
        let outcome = fetch().map(Arc::new);
        let now = Moment::of(conditions.clock);
        let (spare, want, log) = (conditions.spare.clone(), conditions.want, conditions.log.clone());
        let mut state = self.entry.lock();
        let delay = match &outcome {
            Ok(token) => {
                state.keep(Arc::clone(token));
                None
            }
            Err(error) => {
                state.renewals.record(now.boot_time, conditions.jitter);
                state.record_failure(error, now.boot_time, conditions)
            }
        };
        if outcome.as_ref().map_or_else(concerns_all, |_| true) {
            state.outcome = Some((self.flight, outcome.clone()));
        }
        state.flight = None;
        self.landed = true;
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
        if !self.landed {
            self.entry.lock().flight = None;
            self.entry.state.notify_all();
        }
    }
}

/// The SQLSTATE of one request that took longer than WSTimeout.
const ONE_REQUEST: &str = "HYT01";

/// Whether a failure says something about the token, and not about the one call that met it. A server that has let one
/// request wait for too long (HYT01) may have used up what it was sent: that is not for a waiter to send again.
fn concerns_all(error: &Error) -> bool {
    error.sqlstate() == ONE_REQUEST
        || !(error.is_caller_specific()
            || matches!(error.status(), Status::Timeout | Status::Cancelled | Status::Internal))
}
