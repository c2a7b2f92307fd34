//! What to do after a failure: nothing, the same again a little later, or the same by the server's clock.
//!
//! An attempt that may be repeated is signed anew each time. A wait that cannot end inside the call's deadline is not
//! begun, and the last answer counts.

use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::Duration;

use crate::base::call::{CallContext, Wake, cancelled_error};
use crate::base::error::{Result, Status};
use crate::base::jitter::Jitter;
use crate::grants::error_class::{ErrorClass, classify_error};
use crate::grants::token_request::{RejectedRequest, RetryPolicy, TokenRequest};
use crate::net::http::{ConnectionReuse, RequestError};
use crate::process::MAX_SERVER_WAIT;
use crate::provider::Profile;

/// How often one grant is put to a server that is busy.
const MAX_ATTEMPTS: u32 = 3;

/// From this difference on, clocks are held to be the reason of a refusal; within it servers have leeway.
const MIN_SKEW_SECS: i64 = 30;

/// A server that is more than a day off is not believed.
const MAX_SKEW_SECS: i64 = 86_400;

/// What to do next.
pub(super) enum RetryDecision {
    /// Ask again, after this long.
    RetryAfter(Duration),
    /// The refusal stands.
    GiveUp,
}

/// The tries of one exchange.
pub(super) struct RetryState {
    attempts: u32,
    stale_connection_seen: bool,
    skew_adjusted: bool,
    replay_retried: bool,
    skew_secs: i64,
    profile: Option<&'static Profile>,
    jitter: Jitter,
}

impl RetryState {
    /// The first one, by a clock that is known to be `clock_ahead` of ours.
    pub(super) fn new(clock_ahead: i64, profile: Option<&'static Profile>, jitter: Jitter) -> Self {
        Self {
            attempts: 0,
            stale_connection_seen: false,
            skew_adjusted: false,
            replay_retried: false,
            skew_secs: clock_ahead,
            profile,
            jitter,
        }
    }

    /// By how many seconds the server's clock is taken to be ahead of ours.
    pub(super) fn skew_secs(&self) -> i64 {
        self.skew_secs
    }

    /// Whether the next request may go out on an idle connection. What must not be sent twice is not: the server may be about
    /// to close it, and nobody could tell whether it has read the request. After one that was dead the others most likely
    /// are, too.
    pub(super) fn connection_reuse(&self, attempt: &TokenRequest) -> ConnectionReuse {
        if attempt.retry_policy == RetryPolicy::OnTransientError && !self.stale_connection_seen {
            ConnectionReuse::AllowWithRetry
        } else {
            ConnectionReuse::Never
        }
    }

    /// Whether to ask again at once: the server had closed a kept connection before it saw the request.
    pub(super) fn retry_stale_connection(&mut self, failure: &RequestError, attempt: &TokenRequest) -> bool {
        let again = failure.stale_connection
            && !self.stale_connection_seen
            && attempt.retry_policy == RetryPolicy::OnTransientError;
        self.stale_connection_seen |= failure.stale_connection;
        self.attempts = self.attempts.saturating_add(u32::from(again));
        again
    }

    /// What to do where there is no answer: a connection that ended before one may have been a server's restart.
    pub(super) fn after_transport_error(
        &mut self,
        failure: &RequestError,
        attempt: &TokenRequest,
        call: &CallContext,
    ) -> RetryDecision {
        if self.retry_stale_connection(failure, attempt) {
            return RetryDecision::RetryAfter(Duration::ZERO);
        }
        let ended = failure.reached_server && failure.error.status() == Status::Network;
        self.attempts = self.attempts.saturating_add(1);
        self.retry_if(ended && attempt.retry_policy == RetryPolicy::OnTransientError, 0, call)
    }

    /// What to do after a refusal.
    pub(super) fn after_rejection(&mut self, refused: &RejectedRequest, call: &CallContext) -> RetryDecision {
        let asked = Duration::from_secs(u64::from(refused.response.retry_after));
        if self.adjust_skew(refused) || self.retry_after_replay(refused) {
            let again = asked.is_zero() || !call.single_attempt && fits_deadline(asked, call);
            return if again { RetryDecision::RetryAfter(asked) } else { RetryDecision::GiveUp };
        }
        self.attempts = self.attempts.saturating_add(1);
        let busy = matches!(refused.response.http_status, 429 | 503);
        let passes = busy
            || matches!(refused.response.http_status, 502 | 504)
            || refused.response.error.as_deref() == Some("temporarily_unavailable")
            || self
                .profile
                .is_some_and(|profile| profile.retryable_statuses.contains(&refused.response.http_status));
        let may_repeat = match refused.request.retry_policy {
            RetryPolicy::OnTransientError => passes,
            RetryPolicy::OnlyIfUnprocessed => busy,
            RetryPolicy::Never => false,
        };
        self.retry_if(may_repeat, refused.response.retry_after, call)
    }

    fn retry_if(&self, may_repeat: bool, retry_after: u32, call: &CallContext) -> RetryDecision {
        let pause = self.backoff(retry_after);
        let again =
            may_repeat && !call.single_attempt && fits_deadline(pause, call) && self.attempts < MAX_ATTEMPTS;
        if again { RetryDecision::RetryAfter(pause) } else { RetryDecision::GiveUp }
    }

    /// Whether the assertion is to be made anew, once: the server has seen it before.
    fn retry_after_replay(&mut self, refused: &RejectedRequest) -> bool {
        let replay = classify_error(&refused.response, self.profile) == Some(ErrorClass::Replay);
        let again = replay && refused.request.signed_per_attempt && !self.replay_retried;
        self.replay_retried |= again;
        again
    }

    /// Whether the clocks are the reason, by the provider's words or because they differ enough, and the server's can
    /// be tried, once.
    fn adjust_skew(&mut self, refused: &RejectedRequest) -> bool {
        let judged = matches!(refused.response.error.as_deref(), Some("invalid_grant" | "invalid_client"));
        let Some(ahead) = refused.response.server_skew_secs else { return false };
        let off = ahead.saturating_sub(self.skew_secs).saturating_abs();
        let reason = match classify_error(&refused.response, self.profile) {
            Some(ErrorClass::ClockSkew) => true,
            Some(ErrorClass::ConsentRequired) => false,
            _ => judged && off > MIN_SKEW_SECS,
        };
        let can = refused.request.signed_per_attempt && !self.skew_adjusted;
        if !can || !reason || ahead.saturating_abs() > MAX_SKEW_SECS {
            return false;
        }
        self.skew_adjusted = true;
        self.skew_secs = ahead;
        true
    }

    /// Twice as long each time, or what the server says where that is longer; and by chance up to half of the first and a
    /// tenth of the second longer, so that many clients do not come back together.
    fn backoff(&self, retry_after: u32) -> Duration {
        let backoff = Duration::from_millis(100_u64.saturating_mul(1 << self.attempts.min(10)));
        let asked = Duration::from_secs(u64::from(retry_after));
        let (longer, part) = if asked > backoff { (asked, 10) } else { (backoff, 2) };
        let spread = longer.checked_div(part).unwrap_or_default();
        longer.saturating_add(self.jitter.sample().scale_duration(spread))
    }
}

/// Whether a wait can end inside the call.
fn fits_deadline(pause: Duration, call: &CallContext) -> bool {
    pause <= MAX_SERVER_WAIT && call.deadline.remaining().is_none_or(|left| pause < left)
}

/// Waits, unless the call is cancelled.
pub(super) fn sleep(pause: Duration, call: &CallContext) -> Result<()> {
    let nap = Arc::new(CancellableSleep::default());
    call.on_cancel(&nap)?;
    let woken = nap.cancelled.lock().unwrap_or_else(PoisonError::into_inner);
    let (woken, _) =
        nap.condvar.wait_timeout_while(woken, pause, |woken| !*woken).unwrap_or_else(PoisonError::into_inner);
    if *woken { Err(cancelled_error()) } else { Ok(()) }
}

#[derive(Default)]
struct CancellableSleep {
    cancelled: Mutex<bool>,
    condvar: Condvar,
}

impl Wake for CancellableSleep {
    fn wake(&self) {
        *self.cancelled.lock().unwrap_or_else(PoisonError::into_inner) = true;
        self.condvar.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::error::Error;
    use crate::base::jitter::Fraction;
    use crate::token_response::ErrorResponse;

    fn backoffs_ms(numerator: u16, retry_after: u32) -> Vec<u128> {
        let mut tries = RetryState::new(0, None, Jitter::pinned(Fraction::new(numerator)));
        let mut pauses = Vec::new();
        for made in 1..=MAX_ATTEMPTS {
            tries.attempts = made;
            pauses.push(tries.backoff(retry_after).as_millis());
        }
        pauses
    }

    #[test]
    fn backoff_doubles_with_up_to_half_jitter() {
        assert_eq!(backoffs_ms(0, 0), [200, 400, 800]);
        assert_eq!(backoffs_ms(1 << 15, 0), [250, 500, 1000]);
        assert_eq!(backoffs_ms(u16::MAX, 0), [299, 599, 1199]);
    }

    #[test]
    fn retry_after_is_honored_with_tenth_jitter() {
        assert_eq!(backoffs_ms(0, 10), [10_000; 3]);
        assert_eq!(backoffs_ms(1 << 15, 10), [10_500; 3]);
    }

    #[test]
    fn jitter_spreads_retries_of_clients() {
        let pause = || RetryState::new(0, None, Jitter::default()).backoff(0);
        let first = pause();
        assert!((0..20).any(|_| pause() != first));
    }

    fn connection_closed_error() -> RequestError {
        let error = Error::new(Status::Network, "network", "closed");
        RequestError { error, stale_connection: false, reached_server: true }
    }

    fn request_with_policy(repeat: RetryPolicy) -> TokenRequest<'static> {
        let sent = Box::new(String::new);
        TokenRequest {
            parameters: Vec::new(),
            credential_label: "the test",
            describe: sent,
            retry_policy: repeat,
            signed_per_attempt: true,
        }
    }

    fn count_attempts(call: &CallContext, repeat: RetryPolicy) -> u32 {
        let mut tries = RetryState::new(0, None, Jitter::pinned(Fraction::new(0)));
        let (attempt, mut made) = (request_with_policy(repeat), 1);
        while made < 100
            && matches!(
                tries.after_transport_error(&connection_closed_error(), &attempt, call),
                RetryDecision::RetryAfter(_)
            )
        {
            made += 1;
        }
        made
    }

    #[test]
    fn closed_connection_is_retried_up_to_limit() {
        let single = CallContext { single_attempt: true, ..CallContext::unbounded() };
        assert_eq!(count_attempts(&CallContext::unbounded(), RetryPolicy::OnTransientError), 3);
        assert_eq!(count_attempts(&single, RetryPolicy::OnTransientError), 1);
        for repeat in [RetryPolicy::OnlyIfUnprocessed, RetryPolicy::Never] {
            assert_eq!(count_attempts(&CallContext::unbounded(), repeat), 1);
        }
        assert_eq!(
            count_attempts(
                &CallContext::with_timeout(Duration::from_millis(150), "a test"),
                RetryPolicy::OnTransientError
            ),
            1
        );
    }

    #[test]
    fn stale_connection_is_retried_once() {
        let mut tries = RetryState::new(0, None, Jitter::pinned(Fraction::new(0)));
        let (stale, attempt) = (
            RequestError { stale_connection: true, ..connection_closed_error() },
            request_with_policy(RetryPolicy::OnTransientError),
        );
        assert_eq!(tries.connection_reuse(&attempt), ConnectionReuse::AllowWithRetry);
        assert!(tries.retry_stale_connection(&stale, &attempt));
        assert_eq!(tries.connection_reuse(&attempt), ConnectionReuse::Never);
        assert!(!tries.retry_stale_connection(&stale, &attempt), "once");
    }

    #[test]
    fn non_repeatable_request_uses_new_connection() {
        let tries = RetryState::new(0, None, Jitter::pinned(Fraction::new(0)));
        for repeat in [RetryPolicy::OnlyIfUnprocessed, RetryPolicy::Never] {
            assert_eq!(
                tries.connection_reuse(&request_with_policy(repeat)),
                ConnectionReuse::Never,
                "{repeat:?}"
            );
        }
    }

    /// What a server answered to a signed request that may be repeated.
    fn rejected_request(http_status: u16, error: &str, repeat: RetryPolicy) -> RejectedRequest<'static> {
        let error = Some(error.to_owned()).filter(|error| !error.is_empty());
        let refusal = ErrorResponse { http_status, error, ..ErrorResponse::default() };
        RejectedRequest { response: refusal, request: request_with_policy(repeat) }
    }

    fn retry_state_for(provider: &str) -> RetryState {
        RetryState::new(0, crate::provider::find_by_name(provider), Jitter::pinned(Fraction::new(0)))
    }

    fn is_retried(tries: &mut RetryState, refused: &RejectedRequest<'_>) -> bool {
        matches!(tries.after_rejection(refused, &CallContext::unbounded()), RetryDecision::RetryAfter(_))
    }

    #[test]
    fn only_transient_responses_are_retried() {
        use RetryPolicy::{Never, OnTransientError, OnlyIfUnprocessed};
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
            let found = [OnTransientError, OnlyIfUnprocessed, Never].map(|repeat| {
                is_retried(&mut retry_state_for(provider), &rejected_request(status, error, repeat))
            });
            assert_eq!(found, repeated, "{status} {error} {provider}");
        }
    }

    #[test]
    fn transport_error_retried_only_after_server_reached() {
        let after = |status, answered| {
            let error = Error::new(status, "network", "x");
            let failure = RequestError { error, stale_connection: false, reached_server: answered };
            let next = retry_state_for("").after_transport_error(
                &failure,
                &request_with_policy(RetryPolicy::OnTransientError),
                &CallContext::unbounded(),
            );
            matches!(next, RetryDecision::RetryAfter(_))
        };
        assert!(after(Status::Network, true));
        assert!(!after(Status::Network, false) && !after(Status::BadResponse, true));
    }

    #[test]
    fn replayed_assertion_is_signed_again_once() {
        let replay = || rejected_request(400, "jti_known", RetryPolicy::Never);
        let mut tries = retry_state_for("hydra");
        assert!(matches!(
            tries.after_rejection(&replay(), &CallContext::unbounded()),
            RetryDecision::RetryAfter(Duration::ZERO)
        ));
        assert!(!is_retried(&mut tries, &replay()), "once");
        assert!(
            !is_retried(&mut retry_state_for(""), &replay()),
            "another server means something else by it"
        );
        let mut unsigned = replay();
        unsigned.request.signed_per_attempt = false;
        assert!(!is_retried(&mut retry_state_for("hydra"), &unsigned));
    }

    /// The skew that is taken over from an answer whose Date was `ahead` of ours, where `known` was known before.
    fn adjusted_skew(provider: &str, error: &str, description: &str, known: i64, ahead: i64) -> Option<i64> {
        let mut refused = rejected_request(400, error, RetryPolicy::Never);
        refused.response.server_skew_secs = Some(ahead);
        refused.response.description = Some(description.to_owned());
        let mut tries = RetryState { skew_secs: known, ..retry_state_for(provider) };
        let again = is_retried(&mut tries, &refused);
        assert!(!is_retried(&mut tries, &refused), "once");
        assert_eq!(tries.skew_secs(), if again { ahead } else { known });
        again.then_some(ahead)
    }

    #[test]
    fn skew_is_adjusted_if_it_explains_rejection() {
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
            assert_eq!(adjusted_skew("", error, "", 0, ahead), explains.then_some(ahead), "{error} {ahead}");
        }
        assert_eq!(adjusted_skew("", "invalid_grant", "", 600, 600), None, "it was used already");
        assert_eq!(adjusted_skew("", "invalid_grant", "", 600, 0), Some(0));
    }

    #[test]
    fn provider_error_patterns_decide_skew_adjustment() {
        let exp = "Current date time must be before the expiration date time listed in the 'exp' claim.";
        assert_eq!(adjusted_skew("box", "invalid_grant", exp, 0, 5), Some(5), "it says so itself");
        let consent = "AADSTS65001: The user or administrator has not consented";
        assert_eq!(adjusted_skew("entra", "invalid_grant", consent, 0, 600), None);
    }

    #[test]
    fn skew_of_presigned_request_is_not_adjusted() {
        let mut refused = rejected_request(400, "invalid_grant", RetryPolicy::Never);
        refused.response.server_skew_secs = Some(600);
        refused.request.signed_per_attempt = false;
        assert!(!is_retried(&mut retry_state_for(""), &refused));
        refused.request.signed_per_attempt = true;
        refused.response.server_skew_secs = None;
        assert!(!is_retried(&mut retry_state_for(""), &refused));
    }

    #[test]
    fn skew_adjustment_honors_retry_after() {
        let mut refused = rejected_request(400, "invalid_grant", RetryPolicy::Never);
        (refused.response.server_skew_secs, refused.response.retry_after) = (Some(600), 5);
        let next = retry_state_for("").after_rejection(&refused, &CallContext::unbounded());
        assert!(matches!(next, RetryDecision::RetryAfter(pause) if pause == Duration::from_secs(5)));
        let single = CallContext { single_attempt: true, ..CallContext::unbounded() };
        assert!(matches!(retry_state_for("").after_rejection(&refused, &single), RetryDecision::GiveUp));
        refused.response.retry_after = 0;
        assert!(matches!(
            retry_state_for("").after_rejection(&refused, &single),
            RetryDecision::RetryAfter(Duration::ZERO)
        ));
    }

    #[test]
    fn wait_fits_deadline_up_to_one_minute() {
        let seconds = Duration::from_secs;
        assert!(
            fits_deadline(seconds(60), &CallContext::unbounded())
                && !fits_deadline(seconds(61), &CallContext::unbounded())
        );
        let call = CallContext::with_timeout(seconds(30), "a test");
        assert!(fits_deadline(seconds(20), &call) && !fits_deadline(seconds(40), &call));
    }
}
