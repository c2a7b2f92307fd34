//! One identity: its token, the one flight that fetches it, and what was refused of late.

use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::life::{Life, Moment, Want, life};
use super::spacing::Spacing;
use crate::call::{Call, Interrupt, cancelled};
use crate::clock::Clock;
use crate::error::{Error, Result, Status};
use crate::file::Stamp;
use crate::token::Token;

/// A person may be consenting in a browser elsewhere.
const UNTIL_CONSENT: Duration = Duration::from_secs(2);

/// The longest that a server's Retry-After holds an identity back, in seconds.
const HELD_BACK_AT_MOST: u32 = 300;

/// The files that a request is made from, such as a key store, as they were; nothing for one that is not there.
pub type Sources = Vec<Option<Stamp>>;

#[derive(Default)]
pub(super) struct Entry {
    state: Mutex<State>,
    landed: Condvar,
    /// When it was asked for last, counted by all that were asked for.
    pub(super) used: AtomicU64,
}

#[derive(Default)]
pub(super) struct State {
    pub(super) token: Option<Arc<Token>>,
    flight: Option<u64>,
    flights: u64,
    outcome: Option<(u64, Result<Arc<Token>>)>,
    rejections: Spacing,
    renewals: Spacing,
    refusals: Spacing,
    refused: Option<Refused>,
}

/// A refusal that is answered from memory for a while.
struct Refused {
    error: Error,
    at: Instant,
    until: Instant,
    /// What the request was made from.
    made_from: Sources,
}

/// What a caller does next.
pub(super) enum Step {
    /// This is the token.
    Take(Arc<Token>),
    /// It was refused a moment ago, a request made from this.
    Refused(Error, Sources),
    /// Fetch it; while that fails, the other one goes on.
    Lead(u64, Option<Arc<Token>>),
    /// Another one fetches it.
    Wait(u64),
}

impl State {
    pub(super) fn step(&mut self, want: Want, now: Moment) -> Step {
        let ending = match self.token.as_ref().map(|token| (token, life(token, want, now))) {
            Some((token, Life::Good)) => return Step::Take(Arc::clone(token)),
            Some((token, Life::Ending)) => Some(Arc::clone(token)),
            Some((_, Life::Over)) | None => None,
        };
        let refused = self.refused.as_ref().filter(|refused| !want.anew && now.instant < refused.until);
        if let Some(token) = ending {
            let waits = self.flight.is_some() || refused.is_some() || !self.renewals.is_over(now.instant);
            return if waits { Step::Take(token) } else { Step::Lead(self.take_off(), Some(token)) };
        }
        if let Some(refused) = refused {
            return Step::Refused(refused.told(now.instant), refused.made_from.clone());
        }
        match self.flight {
            Some(flight) => Step::Wait(flight),
            None => Step::Lead(self.take_off(), None),
        }
    }

    /// The token, if it can be handed out.
    pub(super) fn usable(&self, want: Want, now: Moment) -> Option<Arc<Token>> {
        self.token.as_ref().filter(|token| life(token, want, now) != Life::Over).cloned()
    }

    pub(super) fn is_idle(&self) -> bool {
        self.flight.is_none()
    }

    /// Puts a token in the place of the one that there is.
    pub(super) fn keep(&mut self, token: Arc<Token>) {
        if let Some(before) = self.token.replace(token) {
            before.retire();
        }
        (self.refused, self.refusals, self.renewals) = Default::default();
    }

    /// Drops the token because the API refused it, unless it did so a moment ago.
    pub(super) fn reject(&mut self, now: Instant) {
        if self.rejections.is_over(now) {
            self.rejections.happened(now);
            self.drop_token();
        }
    }

    pub(super) fn drop_token(&mut self) -> Option<Arc<Token>> {
        let token = self.token.take()?;
        token.retire();
        Some(token)
    }

    pub(super) fn forget_refusal(&mut self) {
        (self.refused, self.refusals) = Default::default();
    }

    pub(super) fn take_off(&mut self) -> u64 {
        self.flights = self.flights.wrapping_add(1);
        self.flight = Some(self.flights);
        self.flights
    }

    fn remember(&mut self, error: &Error, now: Instant, made_from: Sources) {
        let hold = match error.status() {
            _ if error.retry_after() > 0 => {
                Duration::from_secs(u64::from(error.retry_after().min(HELD_BACK_AT_MOST)))
            }
            _ if error.oauth_error().is_none() => return,
            Status::ConsentRequired => UNTIL_CONSENT,
            Status::Denied | Status::Expired => {
                self.refusals.happened(now);
                self.refusals.wait()
            }
            _ => return,
        };
        let until = now.checked_add(hold).unwrap_or(now);
        self.refused = Some(Refused { error: error.clone(), at: now, until, made_from });
    }
}

impl Refused {
    fn told(&self, now: Instant) -> Error {
        let ago = now.saturating_duration_since(self.at).as_secs();
        let left = self.until.saturating_duration_since(now).as_secs_f64().ceil();
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "300 s at most")]
        self.error.clone().remembered(ago, left as u32)
    }
}

impl Entry {
    /// A panic while the lock is held cannot leave a half-made state: each change is one assignment.
    pub(super) fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until `flight` has ended; its outcome, if that is one for all.
    pub(super) fn wait(
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
pub(super) struct Flight<'a> {
    entry: &'a Entry,
    flight: u64,
    landed: bool,
}

impl<'a> Flight<'a> {
    pub(super) fn new(entry: &'a Entry, flight: u64) -> Self {
        Self { entry, flight, landed: false }
    }

    /// Fetches; where that fails, `spare` goes on as long as it lasts.
    pub(super) fn run(
        mut self,
        spare: Option<Arc<Token>>,
        clock: &dyn Clock,
        made_from: Sources,
        fetch: impl FnOnce() -> Result<Token>,
    ) -> Result<Arc<Token>> {
        let outcome = fetch().map(Arc::new);
        let mut state = self.entry.lock();
        match &outcome {
            Ok(token) => state.keep(Arc::clone(token)),
            Err(error) => {
                let now = clock.instant();
                state.remember(error, now, made_from);
                state.renewals.happened(now);
            }
        }
        if outcome.as_ref().map_or_else(concerns_all, |_| true) {
            state.outcome = Some((self.flight, outcome.clone()));
        }
        state.flight = None;
        self.landed = true;
        drop(state);
        self.entry.landed.notify_all();
        match (outcome, spare) {
            (Err(error), Some(spare)) if error.status() != Status::Cancelled && !spare.is_retired() => {
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
            self.entry.landed.notify_all();
        }
    }
}

/// Whether a failure says something about the token, and not about the one call that met it. A server that has let one
/// request wait for too long (HYT01) may have used up what it was sent: that is not for a waiter to send again.
fn concerns_all(error: &Error) -> bool {
    error.sqlstate() == "HYT01"
        || !(error.is_of_one_call()
            || matches!(error.status(), Status::Timeout | Status::Cancelled | Status::Internal))
}
