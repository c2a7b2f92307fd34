//! Retry policy of token requests: after a failure, gives up, retries with back-off, or retries with
//! corrected clock skew.
//!
//! Each retry of a signed request signs a new assertion. If a delay would exceed the call's deadline, there
//! is no retry and the last response is final.

use std::time::Duration;

use crate::base::call::CallContext;
use crate::base::error::{ErrorKind, NetworkError};
use crate::base::jitter::Jitter;
use crate::grants::error_class::{ErrorClass, classify_error};
use crate::net::http::{ConnectionReuse, RequestError};
use crate::process::MAX_SERVER_WAIT;
use crate::provider::Profile;
use crate::token_response::ErrorResponse;

/// Maximum number of attempts of one token request.
const MAX_ATTEMPTS: u32 = 3;

/// Minimum clock skew that is assumed to cause a rejection; servers usually allow a smaller one (leeway).
const MIN_SKEW_SECS: i64 = 30;

/// Maximum clock skew that is corrected; a larger one is not credible.
const MAX_SKEW_SECS: i64 = 86_400;

/// When a token request may be sent again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum RetryPolicy {
    /// After any transient failure, and after clock skew or a replay: each attempt signs a new assertion.
    WithNewAssertion,
    /// After any transient failure.
    OnTransientError,
    /// Only if the server reported that it was too busy to process the request.
    OnlyIfUnprocessed,
    /// Never: a second request would be harmful or useless.
    Never,
}

impl RetryPolicy {
    /// Whether the server may receive the request more than once.
    fn is_repeatable(self) -> bool {
        matches!(self, Self::WithNewAssertion | Self::OnTransientError)
    }
}

/// Decision after a failed attempt.
pub(super) enum RetryDecision {
    /// Send the request again after this delay.
    RetryAfter(Duration),
    /// Return the failure.
    GiveUp,
}

/// State of the attempts of one token request.
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
    /// State before the first attempt. `skew_secs` is the known skew of the server's clock.
    pub(super) fn new(skew_secs: i64, profile: Option<&'static Profile>, jitter: Jitter) -> Self {
        Self {
            attempts: 0,
            stale_connection_seen: false,
            skew_adjusted: false,
            replay_retried: false,
            skew_secs,
            profile,
            jitter,
        }
    }

    /// Assumed clock skew: seconds by which the server's clock is ahead of the local clock.
    pub(super) fn skew_secs(&self) -> i64 {
        self.skew_secs
    }

    /// Whether the next request may use an idle connection. A request that must not be sent twice uses a new
    /// one: the server may be closing an idle connection, and then it is unknown whether it has read the
    /// request. After one stale connection the other idle ones are probably stale as well.
    pub(super) fn connection_reuse(&self, policy: RetryPolicy) -> ConnectionReuse {
        if policy.is_repeatable() && !self.stale_connection_seen {
            ConnectionReuse::AllowWithRetry
        } else {
            ConnectionReuse::Never
        }
    }

    /// Decides after a request without a response that is retried, immediately, only if the server closed a
    /// reused connection before it received the request.
    pub(super) fn after_stale_connection(
        &mut self,
        failure: &RequestError,
        policy: RetryPolicy,
    ) -> RetryDecision {
        let retry = failure.stale_connection && !self.stale_connection_seen && policy.is_repeatable();
        self.stale_connection_seen |= failure.stale_connection;
        self.attempts = self.attempts.saturating_add(u32::from(retry));
        if retry { RetryDecision::RetryAfter(Duration::ZERO) } else { RetryDecision::GiveUp }
    }

    /// Decides after a request without a response. A connection that was closed early may be due to a server
    /// restart.
    pub(super) fn after_transport_error(
        &mut self,
        failure: &RequestError,
        policy: RetryPolicy,
        call: &CallContext,
    ) -> RetryDecision {
        if let RetryDecision::RetryAfter(delay) = self.after_stale_connection(failure, policy) {
            return RetryDecision::RetryAfter(delay);
        }
        let closed_by_server = failure.reached_server
            && matches!(failure.error.kind(), ErrorKind::Network(NetworkError::Connection));
        self.attempts = self.attempts.saturating_add(1);
        self.retry_if(closed_by_server && policy.is_repeatable(), 0, call)
    }

    /// Decides after an error response.
    pub(super) fn after_rejection(
        &mut self,
        response: &ErrorResponse,
        policy: RetryPolicy,
        call: &CallContext,
    ) -> RetryDecision {
        let retry_after = Duration::from_secs(u64::from(response.retry_after));
        if self.adjust_skew(response, policy) || self.retry_after_replay(response, policy) {
            let retry = retry_after.is_zero() || !call.single_attempt && fits_deadline(retry_after, call);
            return if retry { RetryDecision::RetryAfter(retry_after) } else { RetryDecision::GiveUp };
        }
        self.attempts = self.attempts.saturating_add(1);
        let is_transient = is_busy(response)
            || matches!(response.http_status, 502 | 504)
            || response.error_code() == Some("temporarily_unavailable")
            || self.profile.is_some_and(|profile| profile.retryable_statuses.contains(&response.http_status));
        let may_repeat = match policy {
            RetryPolicy::WithNewAssertion | RetryPolicy::OnTransientError => is_transient,
            RetryPolicy::OnlyIfUnprocessed => is_busy(response),
            RetryPolicy::Never => false,
        };
        self.retry_if(may_repeat, response.retry_after, call)
    }

    fn retry_if(&self, may_repeat: bool, retry_after: u32, call: &CallContext) -> RetryDecision {
        let delay = self.backoff(retry_after);
        let retry =
            may_repeat && !call.single_attempt && fits_deadline(delay, call) && self.attempts < MAX_ATTEMPTS;
        if retry { RetryDecision::RetryAfter(delay) } else { RetryDecision::GiveUp }
    }

    /// Whether to sign a new assertion, once, because the server reports a replay (RFC 7519 section 4.1.7:
    /// `jti`).
    fn retry_after_replay(&mut self, response: &ErrorResponse, policy: RetryPolicy) -> bool {
        let is_replay = classify_error(response, self.profile) == Some(ErrorClass::Replay);
        let retry = is_replay && policy == RetryPolicy::WithNewAssertion && !self.replay_retried;
        self.replay_retried |= retry;
        retry
    }

    /// Adopts the server's clock skew and returns true, once, if the skew explains the rejection: a provider
    /// error pattern matches, or the clocks differ enough.
    fn adjust_skew(&mut self, response: &ErrorResponse, policy: RetryPolicy) -> bool {
        let is_assertion_error = matches!(response.error_code(), Some("invalid_grant" | "invalid_client"));
        let Some(server_skew) = response.server_skew_secs else { return false };
        let difference = server_skew.saturating_sub(self.skew_secs).saturating_abs();
        let is_skew_error = match classify_error(response, self.profile) {
            Some(ErrorClass::ClockSkew) => true,
            Some(ErrorClass::ConsentRequired) => false,
            _ => is_assertion_error && difference > MIN_SKEW_SECS,
        };
        let can_adjust = policy == RetryPolicy::WithNewAssertion && !self.skew_adjusted;
        if !can_adjust || !is_skew_error || server_skew.saturating_abs() > MAX_SKEW_SECS {
            return false;
        }
        self.skew_adjusted = true;
        self.skew_secs = server_skew;
        true
    }

    /// Delay before the next attempt: exponential back-off, or Retry-After if that is longer. Random jitter
    /// of up to half of the back-off, or a tenth of Retry-After, spreads the retries of many clients.
    fn backoff(&self, retry_after: u32) -> Duration {
        let backoff = Duration::from_millis(100_u64.saturating_mul(1 << self.attempts.min(10)));
        let retry_after = Duration::from_secs(u64::from(retry_after));
        let (delay, divisor) = if retry_after > backoff { (retry_after, 10) } else { (backoff, 2) };
        let max_jitter = delay.checked_div(divisor).unwrap_or_default();
        delay.saturating_add(self.jitter.sample().scale_duration(max_jitter))
    }
}

/// Whether the server was too busy to process the request.
fn is_busy(response: &ErrorResponse) -> bool {
    matches!(response.http_status, 429 | 503)
}

/// Whether the server did not process the request: it was too busy, or there is no token endpoint at the URL.
pub(super) fn is_unprocessed(response: &ErrorResponse) -> bool {
    let is_elsewhere =
        matches!(response.http_status, 300..=399 | 404 | 405) && response.error_code().is_none();
    is_busy(response) || is_elsewhere
}

/// Whether `delay` is at most [`MAX_SERVER_WAIT`] and ends before the call's deadline.
fn fits_deadline(delay: Duration, call: &CallContext) -> bool {
    delay <= MAX_SERVER_WAIT && call.deadline.remaining().is_none_or(|remaining| delay < remaining)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::error::Error;
    use crate::base::jitter::Fraction;

    fn backoffs_ms(numerator: u16, retry_after: u32) -> Vec<u128> {
        let mut retry_state = RetryState::new(0, None, Jitter::pinned(Fraction::new(numerator)));
        let mut delays = Vec::new();
        for attempts in 1..=MAX_ATTEMPTS {
            retry_state.attempts = attempts;
            delays.push(retry_state.backoff(retry_after).as_millis());
        }
        delays
    }

    fn connection_closed_error() -> RequestError {
        let error = Error::new(NetworkError::Connection, "network", "closed");
        RequestError { error, stale_connection: false, reached_server: true, was_sent: true }
    }

    fn count_attempts(call: &CallContext, policy: RetryPolicy) -> u32 {
        let mut retry_state = RetryState::new(0, None, Jitter::pinned(Fraction::new(0)));
        let mut attempts = 1;
        while attempts < 100
            && matches!(
                retry_state.after_transport_error(&connection_closed_error(), policy, call),
                RetryDecision::RetryAfter(_)
            )
        {
            attempts += 1;
        }
        attempts
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
        let delay = || RetryState::new(0, None, Jitter::default()).backoff(0);
        let first = delay();
        assert!((0..20).any(|_| delay() != first));
    }

    #[test]
    fn closed_connection_is_retried_up_to_limit() {
        let single = CallContext { single_attempt: true, ..CallContext::unbounded() };
        for policy in [RetryPolicy::WithNewAssertion, RetryPolicy::OnTransientError] {
            assert_eq!(count_attempts(&CallContext::unbounded(), policy), 3);
        }
        assert_eq!(count_attempts(&single, RetryPolicy::OnTransientError), 1);
        for policy in [RetryPolicy::OnlyIfUnprocessed, RetryPolicy::Never] {
            assert_eq!(count_attempts(&CallContext::unbounded(), policy), 1);
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
        let mut retry_state = RetryState::new(0, None, Jitter::pinned(Fraction::new(0)));
        let policy = RetryPolicy::OnTransientError;
        let stale = RequestError { stale_connection: true, ..connection_closed_error() };
        assert_eq!(retry_state.connection_reuse(policy), ConnectionReuse::AllowWithRetry);
        let decision = retry_state.after_stale_connection(&stale, policy);
        assert!(matches!(decision, RetryDecision::RetryAfter(Duration::ZERO)));
        assert_eq!(retry_state.connection_reuse(policy), ConnectionReuse::Never);
        let decision = retry_state.after_stale_connection(&stale, policy);
        assert!(matches!(decision, RetryDecision::GiveUp), "once");
    }

    #[test]
    fn non_repeatable_request_uses_new_connection() {
        let retry_state = RetryState::new(0, None, Jitter::pinned(Fraction::new(0)));
        for policy in [RetryPolicy::OnlyIfUnprocessed, RetryPolicy::Never] {
            assert_eq!(retry_state.connection_reuse(policy), ConnectionReuse::Never, "{policy:?}");
        }
    }

    fn error_response(http_status: u16, error: &str) -> ErrorResponse {
        let error = Some(error.into()).filter(|_| !error.is_empty());
        ErrorResponse { http_status, error, ..ErrorResponse::default() }
    }

    fn retry_state_for(provider: &str) -> RetryState {
        RetryState::new(0, crate::provider::find_by_name(provider), Jitter::pinned(Fraction::new(0)))
    }

    fn is_retried(retry_state: &mut RetryState, response: &ErrorResponse, policy: RetryPolicy) -> bool {
        matches!(
            retry_state.after_rejection(response, policy, &CallContext::unbounded()),
            RetryDecision::RetryAfter(_)
        )
    }

    #[test]
    fn only_transient_responses_are_retried() {
        use RetryPolicy::{Never, OnTransientError, OnlyIfUnprocessed, WithNewAssertion};
        for (status, error, provider, expected) in [
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
            let is_retried_with =
                |policy| is_retried(&mut retry_state_for(provider), &error_response(status, error), policy);
            let retried = [OnTransientError, OnlyIfUnprocessed, Never].map(is_retried_with);
            assert_eq!(retried, expected, "{status} {error} {provider}");
            assert_eq!(is_retried_with(WithNewAssertion), retried[0], "{status} {error} {provider}");
        }
    }

    #[test]
    fn busy_server_and_wrong_url_leave_request_unprocessed() {
        for (status, error, expected) in [
            (429, "", true),
            (503, "temporarily_unavailable", true),
            (302, "", true),
            (404, "", true),
            (405, "", true),
            (404, "invalid_client", false),
            (400, "", false),
            (401, "invalid_client", false),
            (500, "", false),
            (502, "", false),
        ] {
            assert_eq!(is_unprocessed(&error_response(status, error)), expected, "{status} {error}");
        }
    }

    #[test]
    fn transport_error_retried_only_after_server_reached() {
        let is_retried_after = |kind, reached_server| {
            let error = Error::new(ErrorKind::Network(kind), "network", "x");
            let failure = RequestError { error, stale_connection: false, reached_server, was_sent: true };
            let decision = retry_state_for("").after_transport_error(
                &failure,
                RetryPolicy::OnTransientError,
                &CallContext::unbounded(),
            );
            matches!(decision, RetryDecision::RetryAfter(_))
        };
        assert!(is_retried_after(NetworkError::Connection, true));
        assert!(
            !is_retried_after(NetworkError::Connection, false)
                && !is_retried_after(NetworkError::BadResponse, true)
        );
    }

    #[test]
    fn replayed_assertion_is_signed_again_once() {
        let (replay, policy) = (error_response(400, "jti_known"), RetryPolicy::WithNewAssertion);
        let mut retry_state = retry_state_for("hydra");
        assert!(matches!(
            retry_state.after_rejection(&replay, policy, &CallContext::unbounded()),
            RetryDecision::RetryAfter(Duration::ZERO)
        ));
        assert!(!is_retried(&mut retry_state, &replay, policy), "once");
        assert!(
            !is_retried(&mut retry_state_for(""), &replay, policy),
            "without a provider the code is unknown"
        );
        assert!(!is_retried(&mut retry_state_for("hydra"), &replay, RetryPolicy::OnTransientError));
    }

    /// Skew that is adopted after a response with the skew `server_skew`, if `known_skew` was assumed before.
    fn adjusted_skew(
        provider: &str,
        error: &str,
        description: &str,
        known_skew: i64,
        server_skew: i64,
    ) -> Option<i64> {
        let policy = RetryPolicy::WithNewAssertion;
        let response = ErrorResponse {
            server_skew_secs: Some(server_skew),
            description: Some(description.into()),
            ..error_response(400, error)
        };
        let mut retry_state = RetryState { skew_secs: known_skew, ..retry_state_for(provider) };
        let retried = is_retried(&mut retry_state, &response, policy);
        assert!(!is_retried(&mut retry_state, &response, policy), "once");
        assert_eq!(retry_state.skew_secs(), if retried { server_skew } else { known_skew });
        retried.then_some(server_skew)
    }

    #[test]
    fn skew_is_adjusted_if_it_explains_rejection() {
        for (error, server_skew, explains) in [
            ("invalid_grant", 31, true),
            ("invalid_grant", -31, true),
            ("invalid_client", 31, true),
            ("invalid_grant", 30, false),
            ("invalid_scope", 600, false),
            ("invalid_grant", 86_400, true),
            ("invalid_grant", 86_401, false),
            ("invalid_grant", -86_401, false),
        ] {
            assert_eq!(
                adjusted_skew("", error, "", 0, server_skew),
                explains.then_some(server_skew),
                "{error} {server_skew}"
            );
        }
        assert_eq!(adjusted_skew("", "invalid_grant", "", 600, 600), None, "the skew was corrected already");
        assert_eq!(adjusted_skew("", "invalid_grant", "", 600, 0), Some(0));
    }

    #[test]
    fn provider_error_patterns_decide_skew_adjustment() {
        let exp = "Current date time must be before the expiration date time listed in the 'exp' claim.";
        assert_eq!(
            adjusted_skew("box", "invalid_grant", exp, 0, 5),
            Some(5),
            "the description names the exp claim"
        );
        let consent = "AADSTS65001: The user or administrator has not consented";
        assert_eq!(adjusted_skew("entra", "invalid_grant", consent, 0, 600), None);
    }

    #[test]
    fn skew_of_presigned_request_is_not_adjusted() {
        let mut response = error_response(400, "invalid_grant");
        response.server_skew_secs = Some(600);
        assert!(!is_retried(&mut retry_state_for(""), &response, RetryPolicy::OnTransientError));
        response.server_skew_secs = None;
        assert!(!is_retried(&mut retry_state_for(""), &response, RetryPolicy::WithNewAssertion));
    }

    #[test]
    fn skew_adjustment_honors_retry_after() {
        let (mut response, policy) = (error_response(400, "invalid_grant"), RetryPolicy::WithNewAssertion);
        (response.server_skew_secs, response.retry_after) = (Some(600), 5);
        let decision = retry_state_for("").after_rejection(&response, policy, &CallContext::unbounded());
        assert!(matches!(decision, RetryDecision::RetryAfter(delay) if delay == Duration::from_secs(5)));
        let single = CallContext { single_attempt: true, ..CallContext::unbounded() };
        assert!(matches!(
            retry_state_for("").after_rejection(&response, policy, &single),
            RetryDecision::GiveUp
        ));
        response.retry_after = 0;
        assert!(matches!(
            retry_state_for("").after_rejection(&response, policy, &single),
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
