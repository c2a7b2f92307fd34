//! One grant put to a token endpoint: by GET or POST, again where that helps, until there is a token or a reason.
//!
//! DataDirect's TokenURI is asked by GET unless POST stands in front, and providers answer a GET in many ways: what is
//! neither a token nor a verdict on the assertion is followed by one POST with a fresh one.

use std::cell::LazyCell;
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::base::cache_key::CacheKey;
use crate::base::error::{Error, Result};
use crate::base::log::LogLevel;
use crate::base::redact::Redactor;
use crate::base::sanitize;
use crate::base::secret::Secret;
use crate::base::stats::Counter;
use crate::grants::retry::{self, RetryDecision, RetryState};
use crate::grants::{GrantContext, refresh_token};
use crate::net::http::{ConnectionReuse, HttpMethod, Request, RequestError, Response};
use crate::net::urlencoded;
use crate::process::{Admission, AdmissionContext, throttled_error};
use crate::resolve::{AssertionConfig, EndpointMethods, OAuthClient, TokenEndpointConfig};
use crate::sys;
use crate::token::{AccessToken, CacheState, unverified_jwt_exp};
use crate::token_response::{self, ErrorResponse, TokenResponse};

mod error;

/// The errors that judge the grant, and not the way in which it came.
const DEFINITIVE_ERRORS: [&str; 5] =
    ["invalid_grant", "invalid_client", "unauthorized_client", "invalid_scope", "consent_required"];

/// What of a request nobody else may see.
const SECRET_PARAMETERS: [&str; 6] =
    ["assertion", "client_assertion", "code", "code_verifier", "password", "refresh_token"];

/// One try of a grant.
pub(super) struct TokenRequest<'a> {
    /// What is sent.
    pub parameters: Vec<(&'static str, Secret)>,
    /// What a server refuses when it refuses it.
    pub credential_label: &'static str,
    /// What of it may be shown, for whoever has to find the mistake.
    pub describe: Box<dyn Fn() -> String + 'a>,
    /// Whether it may be sent again.
    pub retry_policy: RetryPolicy,
    /// Whether it is signed anew each time, by a clock that can be set right.
    pub signed_per_attempt: bool,
}

impl TokenRequest<'_> {
    /// Whether it goes on from an earlier login, so that a refusal ends it.
    fn is_refresh(&self) -> bool {
        self.parameters.iter().any(|(name, _)| *name == "refresh_token")
    }
}

/// When a request may be sent again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum RetryPolicy {
    /// Whenever it failed for a reason that passes.
    OnTransientError,
    /// Only if the server said that it was too busy to look at it.
    OnlyIfUnprocessed,
    /// Never.
    Never,
}

/// A refusal, with the attempt that met it.
pub(super) struct RejectedRequest<'a> {
    pub response: ErrorResponse,
    pub request: TokenRequest<'a>,
}

/// Makes an attempt, by a clock that is ahead of ours by so many seconds.
pub(super) type BuildRequest<'m, 'a> = dyn Fn(i64) -> Result<TokenRequest<'a>> + 'm;

pub(super) fn request_token(
    exchange: &TokenEndpointConfig,
    context: &GrantContext<'_>,
    attempt: &BuildRequest<'_, '_>,
) -> Result<AccessToken> {
    let learnt = &context.process.endpoint_memory;
    let methods = match exchange.methods {
        EndpointMethods::GetThenPost if learnt.prefers_post(&exchange.endpoint) => EndpointMethods::Post,
        methods => methods,
    };
    let mut admission = admit(exchange, context)?;
    let started = Instant::now();
    let outcome = TokenClient { endpoint_config: exchange, context, build_request: attempt }
        .request_with_method_fallback(methods, &mut admission);
    match &outcome {
        Ok(_) => admission.record_response(),
        Err(error) => admission.record_failure(context.cache_key, error, started.elapsed()),
    }
    outcome
}

/// Waits for an endpoint that asked for it, and sends nothing to one that fails.
fn admit<'a>(exchange: &'a TokenEndpointConfig, context: &GrantContext<'a>) -> Result<Admission<'a>> {
    let process = context.process;
    let endpoint = &exchange.endpoint;
    let transport = endpoint.is_https().then(|| exchange.transport.effective());
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

fn is_definitive(refusal: &ErrorResponse) -> bool {
    refusal.error.as_deref().is_some_and(|error| DEFINITIVE_ERRORS.contains(&error))
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
    ) -> Result<AccessToken> {
        let Self { endpoint_config: exchange, context, .. } = self;
        let told = |refused: RejectedRequest<'_>| error::rejection_error(refused, exchange);
        let method = match methods {
            EndpointMethods::Post => HttpMethod::Post,
            EndpointMethods::Get | EndpointMethods::GetThenPost => HttpMethod::Get,
        };
        let found = match (self.request_with_retries(method, admission), methods) {
            (Ok(Err(refused)), EndpointMethods::GetThenPost) if !is_definitive(&refused.response) => {
                refused.response.summary
            }
            (Err(failure), EndpointMethods::GetThenPost) if failure.reached_server => {
                failure.error.message().to_owned()
            }
            (outcome, _) => return outcome?.map_err(told),
        };
        context.call.log.log(LogLevel::Debug, || {
            format!("{} answered GET with {found}; asking by POST", exchange.endpoint.without_query())
        });
        let token = self.request_with_retries(HttpMethod::Post, admission)?.map_err(told)?;
        context.process.endpoint_memory.record_post(&exchange.endpoint);
        Ok(token)
    }

    /// Asks until there is an answer that counts; the outer error is one of the key, the network or the caller.
    fn request_with_retries(
        &self,
        method: HttpMethod,
        admission: &mut Admission<'_>,
    ) -> std::result::Result<std::result::Result<AccessToken, RejectedRequest<'a>>, RequestError> {
        let Self { endpoint_config: exchange, context, build_request: make } = self;
        let learnt = &context.process.endpoint_memory;
        let known = learnt.skew_secs(&exchange.endpoint);
        let mut tries = RetryState::new(known, exchange.profile, context.process.jitter);
        loop {
            let attempt = make(tries.skew_secs())?;
            let refused = match self.send(method, &attempt, tries.connection_reuse(&attempt)) {
                Ok(answer) => {
                    let redactor = LazyCell::new(|| self.redactor(&attempt));
                    let read = token_response::parse(&answer, context.process.clock.as_ref(), &redactor);
                    match read.or_else(|refusal| self.parse_id_token_only(&answer).ok_or(refusal)) {
                        Ok(issued) => {
                            if tries.skew_secs() != known {
                                self.log_skew(tries.skew_secs());
                                learnt.record_skew(&exchange.endpoint, tries.skew_secs());
                            }
                            return Ok(Ok(self.build_token(issued)));
                        }
                        Err(refusal) => RejectedRequest { response: refusal, request: attempt },
                    }
                }
                // What a GET ends with may be no failure of the network: POST is asked at once.
                Err(failure)
                    if method == HttpMethod::Get && exchange.methods == EndpointMethods::GetThenPost =>
                {
                    if tries.retry_stale_connection(&failure, &attempt) {
                        context.process.stats.count(Counter::Retries);
                        continue;
                    }
                    return Err(failure);
                }
                Err(failure) => match tries.after_transport_error(&failure, &attempt, context.call) {
                    RetryDecision::RetryAfter(pause) => {
                        self.wait_before_retry(pause, admission)?;
                        continue;
                    }
                    RetryDecision::GiveUp => return Err(failure),
                },
            };
            self.record_retry_after(&refused.response, admission);
            match tries.after_rejection(&refused, context.call) {
                RetryDecision::RetryAfter(pause) => self.wait_before_retry(pause, admission)?,
                RetryDecision::GiveUp => return Ok(Err(refused)),
            }
        }
    }

    fn log_skew(&self, skew: i64) {
        self.context.call.log.log(LogLevel::Info, || {
            let host = self.endpoint_config.endpoint.host();
            let side = if skew < 0 { "behind" } else { "ahead of" };
            format!(
                "the clock of {host} is {} s {side} this machine's; assertions are dated by it",
                skew.unsigned_abs()
            )
        });
    }

    fn wait_before_retry(&self, pause: Duration, admission: &mut Admission<'_>) -> Result<()> {
        self.context.call.log.log(LogLevel::Debug, || {
            format!("sending the request to {} again in {pause:.1?}", self.endpoint_config.endpoint.host())
        });
        retry::sleep(pause, self.context.call)?;
        self.context.process.stats.count(Counter::Retries);
        admission.readmit()
    }

    /// A server that is busy speaks for all that it is asked (RFC 9110 section 10.2.3, RFC 6585 section 4).
    fn record_retry_after(&self, refusal: &ErrorResponse, admission: &mut Admission<'_>) {
        let busy = matches!(refusal.http_status, 429 | 500..);
        if busy && refusal.retry_after > 0 {
            let host = self.endpoint_config.endpoint.host();
            admission.record_throttled(throttled_error(host, refusal.http_status, refusal.retry_after));
        }
    }

    fn send(
        &self,
        method: HttpMethod,
        attempt: &TokenRequest<'_>,
        reuse: ConnectionReuse,
    ) -> std::result::Result<Response, RequestError> {
        let Self { endpoint_config: exchange, context, .. } = self;
        self.warn_about_client_certificate()?;
        let parameters = self.encode_parameters(attempt);
        let (query, body) = match method {
            HttpMethod::Get => (Some(parameters), None),
            HttpMethod::Post => (None, Some(parameters)),
        };
        let (url, headers) = (&exchange.endpoint, self.request_headers());
        let request = Request { method, url, query, headers, body, reuse };
        context.process.http_client.send(&request, &exchange.transport, context.call)
    }

    /// The client's certificate is opened by whoever makes the first connection, and matters to all.
    fn warn_about_client_certificate(&self) -> Result<()> {
        let Self { endpoint_config: exchange, context, .. } = self;
        if exchange.endpoint.is_https() {
            let now = context.process.clock.unix_seconds();
            let warnings = exchange.transport.client_certificate_warnings(&context.process.key_cache, now)?;
            warnings.into_iter().for_each(context.warn);
        }
        Ok(())
    }

    fn encode_parameters(&self, attempt: &TokenRequest<'_>) -> Secret {
        let exchange = self.endpoint_config;
        let mut parameters: Vec<(&str, &str)> =
            attempt.parameters.iter().map(|(name, value)| (*name, value.reveal())).collect();
        parameters.extend(exchange.scope.as_deref().map(|scope| ("scope", scope)));
        if let Some(client) = exchange.client.as_ref().filter(|client| !client.uses_basic_auth) {
            parameters.push(("client_id", &client.id));
            parameters.extend(client.secret.as_ref().map(|secret| ("client_secret", secret.reveal())));
        }
        parameters.extend(exchange.parameters.iter().map(|(name, value)| (name.as_str(), value.reveal())));
        urlencoded::serialize(&parameters)
    }

    /// Everything secret that this attempt sends.
    fn redactor(&self, attempt: &TokenRequest<'_>) -> Redactor {
        let headers = self.request_headers();
        let secret = |name: &str| SECRET_PARAMETERS.contains(&name);
        let sent = attempt.parameters.iter().filter(|(name, _)| secret(name)).map(|(_, value)| value);
        let client = self.endpoint_config.client.iter().filter_map(|client| client.secret.as_ref());
        let more = self.endpoint_config.parameters.iter().map(|(_, value)| value);
        Redactor::new(sent.chain(client).chain(more).chain(headers.iter().map(|(_, value)| value)))
    }

    fn request_headers(&self) -> Vec<(String, Secret)> {
        let own = self
            .endpoint_config
            .extra_header
            .iter()
            .map(|header| (header.name.clone(), header.value.clone()));
        let client = self.endpoint_config.client.as_ref().filter(|client| client.uses_basic_auth);
        own.chain(client.map(|client| ("Authorization".to_owned(), basic_authorization(client)))).collect()
    }

    /// An id token where the provider sends nothing else for what was asked.
    fn parse_id_token_only(&self, answer: &Response) -> Option<TokenResponse> {
        self.endpoint_config.profile.filter(|profile| profile.id_token_only)?;
        token_response::parse_id_token_only(answer)
    }

    fn build_token(&self, issued: TokenResponse) -> AccessToken {
        let Self { endpoint_config: exchange, context, .. } = self;
        if issued.token_type_missing {
            let text = format!("{} sent no token_type; Bearer is assumed", exchange.endpoint.host());
            (context.warn)(Error::warning("01000", "token", text));
        }
        if let Some(newest) = issued.refresh_token {
            refresh_token::store(exchange, newest, context);
        }
        let issued_at = context.process.clock.unix_seconds();
        let after = |seconds| issued_at.saturating_add(seconds);
        let end = issued.expires_in.map(after);
        let end = end.or_else(|| unverified_jwt_exp(issued.access_token.to_str().unwrap_or_default()));
        AccessToken {
            expires_at: end.or_else(|| exchange.token_lifetime.map(i64::from).map(after)),
            value: issued.access_token,
            scope: issued.scope,
            fields: issued.fields,
            issued_at,
            cache_key: context.cache_key,
            cache_state: CacheState::new(context.process.clock.boot_time()),
        }
    }
}

/// What a refused assertion said, next to the URL whose environment it may not have been meant for.
pub(super) fn describe_claims(signing: &AssertionConfig, exchange: &TokenEndpointConfig) -> String {
    // An audience is often the token URL, whose query nobody else may see.
    let without_query = |text: &str| sanitize::value(text.split('?').next().unwrap_or_default());
    let shown = |claim: &Option<String>| {
        claim.as_ref().map_or("absent".to_owned(), |text| format!("\"{}\"", without_query(text)))
    };
    format!(
        "iss was \"{}\", sub {}, aud {}, the token URL {}",
        sanitize::value(&signing.issuer),
        shown(&signing.subject),
        shown(&signing.audience),
        sanitize::excerpt(exchange.endpoint.without_query()),
    )
}

/// RFC 6749 section 2.3.1: both are form-encoded before they are joined.
pub(super) fn basic_authorization(client: &OAuthClient) -> Secret {
    let secret = client.secret.as_ref().map_or("", Secret::reveal);
    let pair = urlencoded::basic_credentials(&client.id, secret);
    Secret::new(format!("Basic {}", STANDARD.encode(pair.reveal())))
}
