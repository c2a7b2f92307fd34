//! Token client: sends a token request to a token endpoint by GET or POST and retries transient failures.
//!
//! DataDirect's TokenURI implies GET unless it begins with POST, and providers answer GET requests in many
//! ways. If GET returns neither a token nor a definitive OAuth error, the request is repeated once by POST
//! with a new assertion.

use std::cell::LazyCell;
use std::time::{Duration, Instant};

use crate::base::cache_key::CacheKey;
use crate::base::error::{Error, Result, WarningKind};
use crate::base::log::LogLevel;
use crate::base::redact::Redactor;
use crate::base::secret::Secret;
use crate::base::stats::Counter;
use crate::grants::audit::RequestEvent;
use crate::grants::context::GrantContext;
use crate::grants::rejection::{self, RejectedRequest};
use crate::grants::retry::{self, RetryDecision, RetryState};
use crate::grants::token_request::{TokenRequest, copy_headers, encode_parameters};
use crate::net::http::{ConnectionReuse, HttpMethod, Request, RequestError, Response};
use crate::process::{Admission, AdmissionContext, throttled_error};
use crate::provider;
use crate::resolve::{EndpointMethods, TokenEndpointConfig};
use crate::sys;
use crate::token::{AccessToken, CacheState, unverified_jwt_exp};
use crate::token_response::{self, ErrorResponse, TokenResponse};

/// Error codes that reject the grant itself, independent of the HTTP method.
const DEFINITIVE_ERRORS: [&str; 5] =
    ["invalid_grant", "invalid_client", "unauthorized_client", "invalid_scope", "consent_required"];

/// A token from the server.
pub(super) struct IssuedToken {
    pub access_token: AccessToken,
    /// The refresh token of the response, if it has one.
    pub refresh_token: Option<Secret>,
}

/// The outcome of a token request.
enum Outcome<'a> {
    /// The server issued a token.
    Token(IssuedToken),
    /// The server responded with an error.
    Rejected(RejectedRequest<'a>),
    /// There is no HTTP response.
    Unreachable(RequestError),
}

impl Outcome<'_> {
    /// Whether no server has processed the request.
    fn is_unprocessed(&self) -> bool {
        match self {
            Self::Token(_) => false,
            Self::Rejected(rejected) => retry::is_unprocessed(&rejected.response),
            Self::Unreachable(failure) => !failure.was_sent,
        }
    }
}

/// Builds a request for a server clock that is ahead of the local clock by the given number of seconds.
type BuildRequest<'m, 'a> = dyn Fn(i64) -> Result<TokenRequest<'a>> + 'm;

pub(super) fn request_token(
    endpoint_config: &TokenEndpointConfig,
    context: &GrantContext<'_>,
    build_request: &BuildRequest<'_, '_>,
) -> Result<IssuedToken> {
    let memory = &context.process.endpoint_memory;
    let methods = match endpoint_config.methods {
        EndpointMethods::GetThenPost if memory.prefers_post(&endpoint_config.endpoint) => {
            EndpointMethods::Post
        }
        methods => methods,
    };
    let mut admission = admit(endpoint_config, context)?;
    let started = Instant::now();
    let outcome = TokenClient { endpoint_config, context, build_request }
        .request_with_method_fallback(methods, &mut admission);
    match &outcome {
        Ok(_) => admission.record_response(),
        Err(error) => admission.record_failure(context.cache_key, error, started.elapsed()),
    }
    outcome
}

/// Waits for the Retry-After of the endpoint, and fails if its circuit breaker is open.
fn admit<'a>(endpoint_config: &'a TokenEndpointConfig, context: &GrantContext<'a>) -> Result<Admission<'a>> {
    let process = context.process;
    let endpoint = &endpoint_config.endpoint;
    let transport = endpoint.is_https().then(|| endpoint_config.transport.effective());
    let host = endpoint.host().to_ascii_lowercase();
    let subject = (host, endpoint.port(), transport, sys::effective_user_id());
    let breaker = process.breakers.get(CacheKey::digest(&process.cache_key_secret, &subject));
    let requester = AdmissionContext {
        call: context.call,
        clock: process.clock.as_ref(),
        jitter: process.jitter,
        host: endpoint.host(),
        stats: &process.stats,
    };
    if context.bypass_circuit_breaker {
        Ok(breaker.admit_always(requester))
    } else {
        breaker.admit(requester)
    }
}

fn is_definitive(response: &ErrorResponse) -> bool {
    response.error_code().is_some_and(|error| DEFINITIVE_ERRORS.contains(&error))
}

struct TokenClient<'m, 'a> {
    endpoint_config: &'m TokenEndpointConfig,
    context: &'m GrantContext<'m>,
    build_request: &'m BuildRequest<'m, 'a>,
}

impl<'a> TokenClient<'_, 'a> {
    fn request_with_method_fallback(
        &self,
        methods: EndpointMethods,
        admission: &mut Admission<'_>,
    ) -> Result<IssuedToken> {
        let Self { endpoint_config, context, .. } = self;
        let method = match methods {
            EndpointMethods::Post => HttpMethod::Post,
            EndpointMethods::Get | EndpointMethods::GetThenPost => HttpMethod::Get,
        };
        let get_answer = match (self.request_with_retries(method, admission)?, methods) {
            (Outcome::Rejected(rejected), EndpointMethods::GetThenPost)
                if !is_definitive(&rejected.response) =>
            {
                rejected.response.summary
            }
            (Outcome::Unreachable(failure), EndpointMethods::GetThenPost) if failure.reached_server => {
                failure.error.message()
            }
            (outcome, _) => return self.to_result(outcome),
        };
        context.call.log.log(LogLevel::Debug, || {
            format!(
                "{} answered GET with {get_answer}; retrying with POST",
                endpoint_config.endpoint.without_query()
            )
        });
        let token = self.to_result(self.request_with_retries(HttpMethod::Post, admission)?)?;
        context.process.endpoint_memory.record_post(&endpoint_config.endpoint);
        Ok(token)
    }

    fn to_result(&self, outcome: Outcome<'_>) -> Result<IssuedToken> {
        match outcome {
            Outcome::Token(token) => Ok(token),
            Outcome::Rejected(rejected) => Err(rejection::rejection_error(rejected, self.endpoint_config)),
            Outcome::Unreachable(failure) => Err(failure.error),
        }
    }

    /// Sends the request until its outcome is final.
    ///
    /// # Errors
    /// Those of the key and of the call.
    fn request_with_retries(&self, method: HttpMethod, admission: &mut Admission<'_>) -> Result<Outcome<'a>> {
        let Self { endpoint_config, context, build_request } = self;
        let memory = &context.process.endpoint_memory;
        let known_skew_secs = memory.skew_secs(&endpoint_config.endpoint);
        let mut retry_state =
            RetryState::new(known_skew_secs, endpoint_config.profile, context.process.jitter);
        loop {
            let request = build_request(retry_state.skew_secs())?;
            let (policy, sent_assertion) = (request.retry_policy, request.sent_assertion);
            let outcome = self.send(method, request, retry_state.connection_reuse(policy));
            if let Some(assertion) = sent_assertion.filter(|_| outcome.is_unprocessed()) {
                context.process.sent_assertions.remove(&assertion);
            }
            let decision = match &outcome {
                Outcome::Token(_) => {
                    if retry_state.skew_secs() != known_skew_secs {
                        self.log_skew(retry_state.skew_secs());
                        memory.record_skew(&endpoint_config.endpoint, retry_state.skew_secs());
                    }
                    RetryDecision::GiveUp
                }
                Outcome::Rejected(rejected) => {
                    self.record_retry_after(&rejected.response, admission);
                    retry_state.after_rejection(&rejected.response, policy, context.call)
                }
                // A transport error of a GET may be caused by the method, so POST is tried immediately.
                Outcome::Unreachable(failure)
                    if method == HttpMethod::Get
                        && endpoint_config.methods == EndpointMethods::GetThenPost =>
                {
                    retry_state.after_stale_connection(failure, policy)
                }
                Outcome::Unreachable(failure) => {
                    retry_state.after_transport_error(failure, policy, context.call)
                }
            };
            match decision {
                RetryDecision::RetryAfter(delay) => self.wait_before_retry(delay, admission)?,
                RetryDecision::GiveUp => return Ok(outcome),
            }
        }
    }

    fn log_skew(&self, skew: i64) {
        self.context.call.log.log(LogLevel::Info, || {
            let host = self.endpoint_config.endpoint.host();
            let side = if skew < 0 { "behind" } else { "ahead of" };
            format!(
                "clock skew: {host} is {} s {side} the local clock; assertions use the server's time",
                skew.unsigned_abs()
            )
        });
    }

    fn wait_before_retry(&self, delay: Duration, admission: &mut Admission<'_>) -> Result<()> {
        self.context.call.log.log(LogLevel::Debug, || {
            format!("retrying the request to {} in {delay:.1?}", self.endpoint_config.endpoint.host())
        });
        self.context.call.sleep(delay)?;
        self.context.process.stats.count(Counter::Retries);
        admission.readmit()
    }

    /// Records the Retry-After of a busy server, which applies to all requests to the endpoint (RFC 9110
    /// section 10.2.3, RFC 6585 section 4).
    fn record_retry_after(&self, response: &ErrorResponse, admission: &mut Admission<'_>) {
        let is_busy = matches!(response.http_status, 429 | 500..);
        if is_busy && response.retry_after > 0 {
            let host = self.endpoint_config.endpoint.host();
            admission.record_throttled(throttled_error(host, response.http_status, response.retry_after));
        }
    }

    fn send(&self, method: HttpMethod, request: TokenRequest<'a>, reuse: ConnectionReuse) -> Outcome<'a> {
        let mut event = self.begin_event(&request);
        let response = self.transmit(method, &request, reuse);
        event.set_response(&response);
        let outcome = match response {
            Ok(response) => self.parse_response(&response, request),
            Err(failure) => Outcome::Unreachable(failure),
        };
        self.finish_event(event, &outcome);
        outcome
    }

    fn begin_event(&self, request: &TokenRequest<'_>) -> RequestEvent {
        let mut event = RequestEvent::token_request(self.endpoint_config, self.context);
        event.describe(|event| event.grant = request.grant_type().map(Into::into));
        if let Some(assertion) = request.assertion() {
            event.set_assertion(assertion.reveal());
        }
        event
    }

    fn finish_event(&self, mut event: RequestEvent, outcome: &Outcome<'_>) {
        event.describe(|event| match outcome {
            Outcome::Token(issued) => {
                let AccessToken { expires_at, issued_at, .. } = issued.access_token;
                event.expires_in = expires_at.map(|expires_at| expires_at.saturating_sub(issued_at));
            }
            Outcome::Rejected(rejected) => {
                event.oauth_error = rejected.response.error.as_ref().map(|error| error.shown().into());
            }
            Outcome::Unreachable(_) => {}
        });
        event.finish(|| match outcome {
            Outcome::Token(_) => None,
            Outcome::Rejected(rejected) => Some(rejected.error_kind(self.endpoint_config)),
            Outcome::Unreachable(failure) => Some(failure.error.kind().clone()),
        });
    }

    fn parse_response(&self, response: &Response, request: TokenRequest<'a>) -> Outcome<'a> {
        let redactor = LazyCell::new(|| self.redactor(&request));
        let is_bearer = |word: &str| provider::is_bearer_type(word, self.endpoint_config.profile);
        let clock = self.context.process.clock.as_ref();
        let parsed = token_response::parse(response, clock, &is_bearer, &redactor);
        match parsed.or_else(|error| self.parse_id_token_only(response).ok_or(error)) {
            Ok(success) => Outcome::Token(self.build_issued_token(success)),
            Err(response) => Outcome::Rejected(RejectedRequest { response: *response, request }),
        }
    }

    fn transmit(
        &self,
        method: HttpMethod,
        token_request: &TokenRequest<'_>,
        reuse: ConnectionReuse,
    ) -> std::result::Result<Response, RequestError> {
        let Self { endpoint_config, context, .. } = self;
        self.warn_about_client_certificate()?;
        let parameters = encode_parameters(&token_request.parameters);
        let (query, body) = match method {
            HttpMethod::Get => (Some(parameters), None),
            HttpMethod::Post => (None, Some(parameters)),
        };
        let (url, headers) = (&endpoint_config.endpoint, copy_headers(&token_request.headers));
        let request = Request { method, url, query, headers, body, reuse };
        context.process.http_client.send(&request, &endpoint_config.transport, context.call)
    }

    /// Warns about the client certificate for each request: only the request that opens a connection loads
    /// it, but the warnings concern all of them.
    fn warn_about_client_certificate(&self) -> Result<()> {
        let Self { endpoint_config, context, .. } = self;
        if endpoint_config.endpoint.is_https() {
            let now = context.process.clock.unix_seconds();
            let warnings =
                endpoint_config.transport.client_certificate_warnings(&context.process.key_cache, now)?;
            warnings.into_iter().for_each(context.warn);
        }
        Ok(())
    }

    /// Redactor for all secrets that `request` sends.
    fn redactor(&self, request: &TokenRequest<'_>) -> Redactor {
        // A Basic header contains the client secret in encoded form, but a server may echo the secret itself.
        let basic_client = self.endpoint_config.client.as_ref().filter(|client| client.uses_basic_auth);
        let secret = basic_client.and_then(|client| client.secret.as_ref());
        Redactor::new(request.hidden_values().chain(secret))
    }

    /// Returns the ID token of the response, if the provider's responses contain nothing else.
    fn parse_id_token_only(&self, response: &Response) -> Option<TokenResponse> {
        self.endpoint_config.profile.filter(|profile| profile.id_token_only)?;
        token_response::parse_id_token_only(response)
    }

    fn build_issued_token(&self, response: TokenResponse) -> IssuedToken {
        let Self { endpoint_config, context, .. } = self;
        if response.token_type_missing {
            let text = format!("{} sent no token_type; Bearer is assumed", endpoint_config.endpoint.host());
            (context.warn)(Error::new(WarningKind::General, "token", text));
        }
        let issued_at = context.process.clock.unix_seconds();
        let after = |seconds| issued_at.saturating_add(seconds);
        // Some servers send 0 for a lifetime that they do not know.
        let (stated, zero) = match response.expires_in {
            Some(0) => (None, Some(0)),
            stated => (stated, None),
        };
        let expires_at = stated
            .map(after)
            .or_else(|| unverified_jwt_exp(response.access_token.to_str().unwrap_or_default()))
            .or_else(|| endpoint_config.token_lifetime.map(i64::from).or(zero).map(after));
        let access_token = AccessToken {
            expires_at,
            value: response.access_token,
            scope: response.scope,
            fields: response.fields,
            issued_at,
            cache_key: context.cache_key,
            cache_state: CacheState::new(context.process.clock.boot_time()),
        };
        IssuedToken { access_token, refresh_token: response.refresh_token }
    }
}
