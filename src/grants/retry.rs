//! What to do after a failure: nothing, the same again a little later, or the same by the server's clock.
//!
//! An attempt that may be repeated is signed anew each time. A wait that cannot end inside the call's deadline is not
//! begun, and the last answer counts.

use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::Duration;

use crate::base::call::{CallContext, Wake, cancelled_error};
use crate::base::error::{Result, Status};
use crate::base::jitter::Jitter;
use crate::grants::error_class::{Sense, sense};
use crate::grants::token_request::{Attempt, Refused, Repeat};
use crate::net::http::{Failure, Reuse};
use crate::process::MAX_SERVER_WAIT;
use crate::provider::Profile;

/// How often one grant is put to a server that is busy.
const MOST: u32 = 3;

/// From this difference on, clocks are held to be the reason of a refusal; within it servers have leeway.
const CLOCKS_DIFFER: i64 = 30;

/// A server that is more than a day off is not believed.
const CLOCK_AT_MOST: i64 = 86_400;

/// What to do next.
pub(super) enum Next {
    /// Ask again, after this long.
    Again(Duration),
    /// The refusal stands.
    Enough,
}

/// The tries of one exchange.
pub(super) struct Tries {
    made: u32,
    stale: bool,
    clock_set: bool,
    renewed: bool,
    clock_ahead: i64,
    profile: Option<&'static Profile>,
    jitter: Jitter,
}

impl Tries {
    /// The first one, by a clock that is known to be `clock_ahead` of ours.
    pub(super) fn new(clock_ahead: i64, profile: Option<&'static Profile>, jitter: Jitter) -> Self {
        Self { made: 0, stale: false, clock_set: false, renewed: false, clock_ahead, profile, jitter }
    }

    /// By how many seconds the server's clock is taken to be ahead of ours.
    pub(super) fn clock_ahead(&self) -> i64 {
        self.clock_ahead
    }

    /// Whether the next request may go out on an idle connection. What must not be sent twice is not: the server may be about
    /// to close it, and nobody could tell whether it has read the request. After one that was dead the others most likely
    /// are, too.
    pub(super) fn reuse(&self, attempt: &Attempt) -> Reuse {
        if attempt.repeat == Repeat::Always && !self.stale { Reuse::Repeatable } else { Reuse::No }
    }

    /// Whether to ask again at once: the server had closed a kept connection before it saw the request.
    pub(super) fn at_once(&mut self, failure: &Failure, attempt: &Attempt) -> bool {
        let again = failure.stale && !self.stale && attempt.repeat == Repeat::Always;
        self.stale |= failure.stale;
        self.made = self.made.saturating_add(u32::from(again));
        again
    }

    /// What to do where there is no answer: a connection that ended before one may have been a server's restart.
    pub(super) fn after(&mut self, failure: &Failure, attempt: &Attempt, call: &CallContext) -> Next {
        if self.at_once(failure, attempt) {
            return Next::Again(Duration::ZERO);
        }
        let ended = failure.answered && failure.error.status() == Status::Network;
        self.made = self.made.saturating_add(1);
        self.again_if(ended && attempt.repeat == Repeat::Always, 0, call)
    }

    /// What to do after a refusal.
    pub(super) fn next(&mut self, refused: &Refused, call: &CallContext) -> Next {
        let asked = Duration::from_secs(u64::from(refused.refusal.retry_after));
        if self.set_clock(refused) || self.renew(refused) {
            let again = asked.is_zero() || !call.single_attempt && fits(asked, call);
            return if again { Next::Again(asked) } else { Next::Enough };
        }
        self.made = self.made.saturating_add(1);
        let busy = matches!(refused.refusal.http_status, 429 | 503);
        let passes = busy
            || matches!(refused.refusal.http_status, 502 | 504)
            || refused.refusal.error.as_deref() == Some("temporarily_unavailable")
            || self.profile.is_some_and(|profile| profile.passing.contains(&refused.refusal.http_status));
        let may_repeat = match refused.attempt.repeat {
            Repeat::Always => passes,
            Repeat::WhenBusy => busy,
            Repeat::Never => false,
        };
        self.again_if(may_repeat, refused.refusal.retry_after, call)
    }

    fn again_if(&self, may_repeat: bool, retry_after: u32, call: &CallContext) -> Next {
        let pause = self.pause(retry_after);
        let again = may_repeat && !call.single_attempt && fits(pause, call) && self.made < MOST;
        if again { Next::Again(pause) } else { Next::Enough }
    }

    /// Whether the assertion is to be made anew, once: the server has seen it before.
    fn renew(&mut self, refused: &Refused) -> bool {
        let replay = sense(&refused.refusal, self.profile) == Some(Sense::Replay);
        let again = replay && refused.attempt.signed && !self.renewed;
        self.renewed |= again;
        again
    }

    /// Whether the clocks are the reason, by the provider's words or because they differ enough, and the server's can
    /// be tried, once.
    fn set_clock(&mut self, refused: &Refused) -> bool {
        let judged = matches!(refused.refusal.error.as_deref(), Some("invalid_grant" | "invalid_client"));
        let Some(ahead) = refused.refusal.server_skew_secs else { return false };
        let off = ahead.saturating_sub(self.clock_ahead).saturating_abs();
        let reason = match sense(&refused.refusal, self.profile) {
            Some(Sense::Clock) => true,
            Some(Sense::Consent) => false,
            _ => judged && off > CLOCKS_DIFFER,
        };
        let can = refused.attempt.signed && !self.clock_set;
        if !can || !reason || ahead.saturating_abs() > CLOCK_AT_MOST {
            return false;
        }
        self.clock_set = true;
        self.clock_ahead = ahead;
        true
    }

    /// Twice as long each time, or what the server says where that is longer; and by chance up to half of the first and a
    /// tenth of the second longer, so that many clients do not come back together.
    fn pause(&self, retry_after: u32) -> Duration {
        let backoff = Duration::from_millis(100_u64.saturating_mul(1 << self.made.min(10)));
        let asked = Duration::from_secs(u64::from(retry_after));
        let (longer, part) = if asked > backoff { (asked, 10) } else { (backoff, 2) };
        let spread = longer.checked_div(part).unwrap_or_default();
        longer.saturating_add(self.jitter.sample().scale_duration(spread))
    }
}

/// Whether a wait can end inside the call.
fn fits(pause: Duration, call: &CallContext) -> bool {
    pause <= MAX_SERVER_WAIT && call.deadline.remaining().is_none_or(|left| pause < left)
}

/// Waits, unless the call is cancelled.
pub(super) fn pause(pause: Duration, call: &CallContext) -> Result<()> {
    let nap = Arc::new(Nap::default());
    call.on_cancel(&nap)?;
    let woken = nap.woken.lock().unwrap_or_else(PoisonError::into_inner);
    let (woken, _) =
        nap.wake.wait_timeout_while(woken, pause, |woken| !*woken).unwrap_or_else(PoisonError::into_inner);
    if *woken { Err(cancelled_error()) } else { Ok(()) }
}

#[derive(Default)]
struct Nap {
    woken: Mutex<bool>,
    wake: Condvar,
}

impl Wake for Nap {
    fn wake(&self) {
        *self.woken.lock().unwrap_or_else(PoisonError::into_inner) = true;
        self.wake.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::error::Error;
    use crate::base::jitter::Fraction;
    use crate::token_response::ErrorResponse;

    fn pauses(numerator: u16, retry_after: u32) -> Vec<u128> {
        let mut tries = Tries::new(0, None, Jitter::pinned(Fraction::new(numerator)));
        let mut pauses = Vec::new();
        for made in 1..=MOST {
            tries.made = made;
            pauses.push(tries.pause(retry_after).as_millis());
        }
        pauses
    }

    #[test]
    fn pause_doubles_and_jitter_adds_up_to_half() {
        assert_eq!(pauses(0, 0), [200, 400, 800]);
        assert_eq!(pauses(1 << 15, 0), [250, 500, 1000]);
        assert_eq!(pauses(u16::MAX, 0), [299, 599, 1199]);
    }

    #[test]
    fn retry_after_is_kept_to_and_jitter_adds_up_to_a_tenth() {
        assert_eq!(pauses(0, 10), [10_000; 3]);
        assert_eq!(pauses(1 << 15, 10), [10_500; 3]);
    }

    #[test]
    fn random_jitter_keeps_retries_of_clients_apart() {
        let pause = || Tries::new(0, None, Jitter::default()).pause(0);
        let first = pause();
        assert!((0..20).any(|_| pause() != first));
    }

    fn ended() -> Failure {
        let error = Error::new(Status::Network, "network", "closed");
        Failure { error, stale: false, answered: true }
    }

    fn attempt(repeat: Repeat) -> Attempt<'static> {
        let sent = Box::new(String::new);
        Attempt { parameters: Vec::new(), what: "the test", sent, repeat, signed: true }
    }

    fn attempts(call: &CallContext, repeat: Repeat) -> u32 {
        let mut tries = Tries::new(0, None, Jitter::pinned(Fraction::new(0)));
        let (attempt, mut made) = (attempt(repeat), 1);
        while made < 100 && matches!(tries.after(&ended(), &attempt, call), Next::Again(_)) {
            made += 1;
        }
        made
    }

    #[test]
    fn connection_that_ends_is_tried_three_times_and_once_by_single_attempt() {
        let single = CallContext { single_attempt: true, ..CallContext::unbounded() };
        assert_eq!(attempts(&CallContext::unbounded(), Repeat::Always), 3);
        assert_eq!(attempts(&single, Repeat::Always), 1);
        for repeat in [Repeat::WhenBusy, Repeat::Never] {
            assert_eq!(attempts(&CallContext::unbounded(), repeat), 1);
        }
        assert_eq!(
            attempts(&CallContext::with_timeout(Duration::from_millis(150), "a test"), Repeat::Always),
            1
        );
    }

    #[test]
    fn request_after_dead_idle_connection_opens_new_one_once() {
        let mut tries = Tries::new(0, None, Jitter::pinned(Fraction::new(0)));
        let (stale, attempt) = (Failure { stale: true, ..ended() }, attempt(Repeat::Always));
        assert_eq!(tries.reuse(&attempt), Reuse::Repeatable);
        assert!(tries.at_once(&stale, &attempt));
        assert_eq!(tries.reuse(&attempt), Reuse::No);
        assert!(!tries.at_once(&stale, &attempt), "once");
    }

    #[test]
    fn request_that_must_not_be_repeated_gets_new_connection() {
        let tries = Tries::new(0, None, Jitter::pinned(Fraction::new(0)));
        for repeat in [Repeat::WhenBusy, Repeat::Never] {
            assert_eq!(tries.reuse(&attempt(repeat)), Reuse::No, "{repeat:?}");
        }
    }

    /// What a server answered to a signed request that may be repeated.
    fn refused(http_status: u16, error: &str, repeat: Repeat) -> Refused<'static> {
        let error = Some(error.to_owned()).filter(|error| !error.is_empty());
        let refusal = ErrorResponse { http_status, error, ..ErrorResponse::default() };
        Refused { refusal, attempt: attempt(repeat) }
    }

    fn tries_at(provider: &str) -> Tries {
        Tries::new(0, crate::provider::by_name(provider), Jitter::pinned(Fraction::new(0)))
    }

    fn repeats(tries: &mut Tries, refused: &Refused<'_>) -> bool {
        matches!(tries.next(refused, &CallContext::unbounded()), Next::Again(_))
    }

    #[test]
    fn only_answers_that_pass_are_followed_by_another_request() {
        use Repeat::{Always, Never, WhenBusy};
        for (status, error, provider, repeated) in [
            (429, "", "", [true, true, false]),
            (503, "", "", [true, true, false]),
            (502, "", "", [true, false, false]),
            (504, "", "", [true, false, false]),
            (400, "temporarily_unavailable", "", [true, false, false]),
            (500, "", "", [false; 3]),
            (500, "", "google", [true, false, false]),
            (408, "", "google", [true, false, false]),
            (408, "", "", [false; 3]),
            (400, "invalid_grant", "", [false; 3]),
            (401, "", "", [false; 3]),
        ] {
            let found = [Always, WhenBusy, Never]
                .map(|repeat| repeats(&mut tries_at(provider), &refused(status, error, repeat)));
            assert_eq!(found, repeated, "{status} {error} {provider}");
        }
    }

    #[test]
    fn transport_error_is_retried_only_after_the_server_had_the_request() {
        let after = |status, answered| {
            let error = Error::new(status, "network", "x");
            let failure = Failure { error, stale: false, answered };
            let next = tries_at("").after(&failure, &attempt(Repeat::Always), &CallContext::unbounded());
            matches!(next, Next::Again(_))
        };
        assert!(after(Status::Network, true));
        assert!(!after(Status::Network, false) && !after(Status::BadResponse, true));
    }

    #[test]
    fn replayed_assertion_is_signed_again_once() {
        let replay = || refused(400, "jti_known", Repeat::Never);
        let mut tries = tries_at("hydra");
        assert!(matches!(tries.next(&replay(), &CallContext::unbounded()), Next::Again(Duration::ZERO)));
        assert!(!repeats(&mut tries, &replay()), "once");
        assert!(!repeats(&mut tries_at(""), &replay()), "another server means something else by it");
        let mut unsigned = replay();
        unsigned.attempt.signed = false;
        assert!(!repeats(&mut tries_at("hydra"), &unsigned));
    }

    /// The skew that is taken over from an answer whose Date was `ahead` of ours, where `known` was known before.
    fn corrected(provider: &str, error: &str, description: &str, known: i64, ahead: i64) -> Option<i64> {
        let mut refused = refused(400, error, Repeat::Never);
        refused.refusal.server_skew_secs = Some(ahead);
        refused.refusal.description = Some(description.to_owned());
        let mut tries = Tries { clock_ahead: known, ..tries_at(provider) };
        let again = repeats(&mut tries, &refused);
        assert!(!repeats(&mut tries, &refused), "once");
        assert_eq!(tries.clock_ahead(), if again { ahead } else { known });
        again.then_some(ahead)
    }

    #[test]
    fn clock_is_corrected_where_skew_explains_the_refusal() {
        for (error, ahead, explains) in [
            ("invalid_grant", 31, true),
            ("invalid_grant", -31, true),
            ("invalid_client", 31, true),
            ("invalid_grant", 30, false),
            ("invalid_scope", 600, false),
            ("invalid_grant", 86_400, true),
            ("invalid_grant", 86_401, false),
            ("invalid_grant", -86_401, false),
        ] {
            assert_eq!(corrected("", error, "", 0, ahead), explains.then_some(ahead), "{error} {ahead}");
        }
        assert_eq!(corrected("", "invalid_grant", "", 600, 600), None, "it was used already");
        assert_eq!(corrected("", "invalid_grant", "", 600, 0), Some(0));
    }

    #[test]
    fn words_of_provider_decide_whether_clock_is_corrected() {
        let exp = "Current date time must be before the expiration date time listed in the 'exp' claim.";
        assert_eq!(corrected("box", "invalid_grant", exp, 0, 5), Some(5), "it says so itself");
        let consent = "AADSTS65001: The user or administrator has not consented";
        assert_eq!(corrected("entra", "invalid_grant", consent, 0, 600), None);
    }

    #[test]
    fn clock_of_request_that_is_not_signed_again_is_not_corrected() {
        let mut refused = refused(400, "invalid_grant", Repeat::Never);
        refused.refusal.server_skew_secs = Some(600);
        refused.attempt.signed = false;
        assert!(!repeats(&mut tries_at(""), &refused));
        refused.attempt.signed = true;
        refused.refusal.server_skew_secs = None;
        assert!(!repeats(&mut tries_at(""), &refused));
    }

    #[test]
    fn correction_waits_for_retry_after_unless_call_makes_single_attempt() {
        let mut refused = refused(400, "invalid_grant", Repeat::Never);
        (refused.refusal.server_skew_secs, refused.refusal.retry_after) = (Some(600), 5);
        let next = tries_at("").next(&refused, &CallContext::unbounded());
        assert!(matches!(next, Next::Again(pause) if pause == Duration::from_secs(5)));
        let single = CallContext { single_attempt: true, ..CallContext::unbounded() };
        assert!(matches!(tries_at("").next(&refused, &single), Next::Enough));
        refused.refusal.retry_after = 0;
        assert!(matches!(tries_at("").next(&refused, &single), Next::Again(Duration::ZERO)));
    }

    #[test]
    fn wait_fits_up_to_a_minute_inside_the_call() {
        let seconds = Duration::from_secs;
        assert!(
            fits(seconds(60), &CallContext::unbounded()) && !fits(seconds(61), &CallContext::unbounded())
        );
        let call = CallContext::with_timeout(seconds(30), "a test");
        assert!(fits(seconds(20), &call) && !fits(seconds(40), &call));
    }
}
