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
use crate::grants::retry::{self, Next, Tries};
use crate::grants::{Context, refresh_token};
use crate::net::http::{Answer, Failure, Method, Request, Reuse};
use crate::net::urlencoded;
use crate::process::{Admission, AdmissionContext, throttled_error};
use crate::resolve::{Client, Exchange, Methods, Signing};
use crate::sys;
use crate::token::{AccessToken, CacheState, unverified_jwt_exp};
use crate::token_response::{self, ErrorResponse, TokenResponse};

mod error;

/// The errors that judge the grant, and not the way in which it came.
const VERDICTS: [&str; 5] =
    ["invalid_grant", "invalid_client", "unauthorized_client", "invalid_scope", "consent_required"];

/// What of a request nobody else may see.
const SECRET_PARAMETERS: [&str; 6] =
    ["assertion", "client_assertion", "code", "code_verifier", "password", "refresh_token"];

/// One try of a grant.
pub(super) struct Attempt<'a> {
    /// What is sent.
    pub parameters: Vec<(&'static str, Secret)>,
    /// What a server refuses when it refuses it.
    pub what: &'static str,
    /// What of it may be shown, for whoever has to find the mistake.
    pub sent: Box<dyn Fn() -> String + 'a>,
    /// Whether it may be sent again.
    pub repeat: Repeat,
    /// Whether it is signed anew each time, by a clock that can be set right.
    pub signed: bool,
}

impl Attempt<'_> {
    /// Whether it goes on from an earlier login, so that a refusal ends it.
    fn renews(&self) -> bool {
        self.parameters.iter().any(|(name, _)| *name == "refresh_token")
    }
}

/// When a request may be sent again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Repeat {
    /// Whenever it failed for a reason that passes.
    Always,
    /// Only if the server said that it was too busy to look at it.
    WhenBusy,
    /// Never.
    Never,
}

/// A refusal, with the attempt that met it.
pub(super) struct Refused<'a> {
    pub refusal: ErrorResponse,
    pub attempt: Attempt<'a>,
}

/// Makes an attempt, by a clock that is ahead of ours by so many seconds.
pub(super) type MakeAttempt<'m, 'a> = dyn Fn(i64) -> Result<Attempt<'a>> + 'm;

pub(super) fn fetch(
    exchange: &Exchange,
    context: &Context<'_>,
    attempt: &MakeAttempt<'_, '_>,
) -> Result<AccessToken> {
    let learnt = &context.process.endpoint_memory;
    let methods = match exchange.methods {
        Methods::GetThenPost if learnt.prefers_post(&exchange.endpoint) => Methods::Post,
        methods => methods,
    };
    let mut admission = admit(exchange, context)?;
    let started = Instant::now();
    let outcome = Asking { exchange, context, attempt }.ask(methods, &mut admission);
    match &outcome {
        Ok(_) => admission.record_response(),
        Err(error) => admission.record_failure(context.identity, error, started.elapsed()),
    }
    outcome
}

/// Waits for an endpoint that asked for it, and sends nothing to one that fails.
fn admit<'a>(exchange: &'a Exchange, context: &Context<'a>) -> Result<Admission<'a>> {
    let process = context.process;
    let endpoint = &exchange.endpoint;
    let transport = endpoint.is_https().then(|| exchange.trust.in_force());
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
    if context.user_waits { Ok(breaker.admit_always(requester)) } else { breaker.admit(requester) }
}

fn is_verdict(refusal: &ErrorResponse) -> bool {
    refusal.error.as_deref().is_some_and(|error| VERDICTS.contains(&error))
}

struct Asking<'m, 'a> {
    exchange: &'m Exchange,
    context: &'m Context<'m>,
    attempt: &'m MakeAttempt<'m, 'a>,
}

impl<'a> Asking<'_, 'a> {
    fn ask(&self, methods: Methods, admission: &mut Admission<'_>) -> Result<AccessToken> {
        let Self { exchange, context, .. } = self;
        let told = |refused: Refused<'_>| error::error(refused, exchange);
        let method = match methods {
            Methods::Post => Method::Post,
            Methods::Get | Methods::GetThenPost => Method::Get,
        };
        let found = match (self.by(method, admission), methods) {
            (Ok(Err(refused)), Methods::GetThenPost) if !is_verdict(&refused.refusal) => {
                refused.refusal.summary
            }
            (Err(failure), Methods::GetThenPost) if failure.answered => failure.error.message().to_owned(),
            (outcome, _) => return outcome?.map_err(told),
        };
        context.call.log.log(LogLevel::Debug, || {
            format!("{} answered GET with {found}; asking by POST", exchange.endpoint.without_query())
        });
        let token = self.by(Method::Post, admission)?.map_err(told)?;
        context.process.endpoint_memory.record_post(&exchange.endpoint);
        Ok(token)
    }

    /// Asks until there is an answer that counts; the outer error is one of the key, the network or the caller.
    fn by(
        &self,
        method: Method,
        admission: &mut Admission<'_>,
    ) -> std::result::Result<std::result::Result<AccessToken, Refused<'a>>, Failure> {
        let Self { exchange, context, attempt: make } = self;
        let learnt = &context.process.endpoint_memory;
        let known = learnt.skew_secs(&exchange.endpoint);
        let mut tries = Tries::new(known, exchange.profile, context.process.jitter);
        loop {
            let attempt = make(tries.clock_ahead())?;
            let refused = match self.send(method, &attempt, tries.reuse(&attempt)) {
                Ok(answer) => {
                    let redactor = LazyCell::new(|| self.redactor(&attempt));
                    let read = token_response::parse(&answer, context.process.clock.as_ref(), &redactor);
                    match read.or_else(|refusal| self.id_token(&answer).ok_or(refusal)) {
                        Ok(issued) => {
                            if tries.clock_ahead() != known {
                                self.log_skew(tries.clock_ahead());
                                learnt.record_skew(&exchange.endpoint, tries.clock_ahead());
                            }
                            return Ok(Ok(self.token(issued)));
                        }
                        Err(refusal) => Refused { refusal, attempt },
                    }
                }
                // What a GET ends with may be no failure of the network: POST is asked at once.
                Err(failure) if method == Method::Get && exchange.methods == Methods::GetThenPost => {
                    if tries.at_once(&failure, &attempt) {
                        context.process.stats.count(Counter::Retries);
                        continue;
                    }
                    return Err(failure);
                }
                Err(failure) => match tries.after(&failure, &attempt, context.call) {
                    Next::Again(pause) => {
                        self.pause(pause, admission)?;
                        continue;
                    }
                    Next::Enough => return Err(failure),
                },
            };
            self.note_retry_after(&refused.refusal, admission);
            match tries.next(&refused, context.call) {
                Next::Again(pause) => self.pause(pause, admission)?,
                Next::Enough => return Ok(Err(refused)),
            }
        }
    }

    fn log_skew(&self, skew: i64) {
        self.context.call.log.log(LogLevel::Info, || {
            let host = self.exchange.endpoint.host();
            let side = if skew < 0 { "behind" } else { "ahead of" };
            format!(
                "the clock of {host} is {} s {side} this machine's; assertions are dated by it",
                skew.unsigned_abs()
            )
        });
    }

    fn pause(&self, pause: Duration, admission: &mut Admission<'_>) -> Result<()> {
        self.context.call.log.log(LogLevel::Debug, || {
            format!("sending the request to {} again in {pause:.1?}", self.exchange.endpoint.host())
        });
        retry::pause(pause, self.context.call)?;
        self.context.process.stats.count(Counter::Retries);
        admission.readmit()
    }

    /// A server that is busy speaks for all that it is asked (RFC 9110 section 10.2.3, RFC 6585 section 4).
    fn note_retry_after(&self, refusal: &ErrorResponse, admission: &mut Admission<'_>) {
        let busy = matches!(refusal.http_status, 429 | 500..);
        if busy && refusal.retry_after > 0 {
            let host = self.exchange.endpoint.host();
            admission.record_throttled(throttled_error(host, refusal.http_status, refusal.retry_after));
        }
    }

    fn send(
        &self,
        method: Method,
        attempt: &Attempt<'_>,
        reuse: Reuse,
    ) -> std::result::Result<Answer, Failure> {
        let Self { exchange, context, .. } = self;
        self.warn_of_certificate()?;
        let parameters = self.parameters(attempt);
        let (query, body) = match method {
            Method::Get => (Some(parameters), None),
            Method::Post => (None, Some(parameters)),
        };
        let (url, headers) = (&exchange.endpoint, self.headers());
        let request = Request { method, url, query, headers, body, reuse };
        context.process.http_client.send(&request, &exchange.trust, context.call)
    }

    /// The client's certificate is opened by whoever makes the first connection, and matters to all.
    fn warn_of_certificate(&self) -> Result<()> {
        let Self { exchange, context, .. } = self;
        if exchange.endpoint.is_https() {
            let now = context.process.clock.unix_seconds();
            let warnings = exchange.trust.warnings(&context.process.key_cache, now)?;
            warnings.into_iter().for_each(context.warn);
        }
        Ok(())
    }

    fn parameters(&self, attempt: &Attempt<'_>) -> Secret {
        let exchange = self.exchange;
        let mut parameters: Vec<(&str, &str)> =
            attempt.parameters.iter().map(|(name, value)| (*name, value.reveal())).collect();
        parameters.extend(exchange.scope.as_deref().map(|scope| ("scope", scope)));
        if let Some(client) = exchange.client.as_ref().filter(|client| !client.basic) {
            parameters.push(("client_id", &client.id));
            parameters.extend(client.secret.as_ref().map(|secret| ("client_secret", secret.reveal())));
        }
        parameters.extend(exchange.parameters.iter().map(|(name, value)| (name.as_str(), value.reveal())));
        urlencoded::serialize(&parameters)
    }

    /// Everything secret that this attempt sends.
    fn redactor(&self, attempt: &Attempt<'_>) -> Redactor {
        let headers = self.headers();
        let secret = |name: &str| SECRET_PARAMETERS.contains(&name);
        let sent = attempt.parameters.iter().filter(|(name, _)| secret(name)).map(|(_, value)| value);
        let client = self.exchange.client.iter().filter_map(|client| client.secret.as_ref());
        let more = self.exchange.parameters.iter().map(|(_, value)| value);
        Redactor::new(sent.chain(client).chain(more).chain(headers.iter().map(|(_, value)| value)))
    }

    fn headers(&self) -> Vec<(String, Secret)> {
        let own = self.exchange.header.iter().map(|header| (header.name.clone(), header.value.clone()));
        let client = self.exchange.client.as_ref().filter(|client| client.basic);
        own.chain(client.map(|client| ("Authorization".to_owned(), basic(client)))).collect()
    }

    /// An id token where the provider sends nothing else for what was asked.
    fn id_token(&self, answer: &Answer) -> Option<TokenResponse> {
        self.exchange.profile.filter(|profile| profile.id_token_alone)?;
        token_response::parse_id_token_only(answer)
    }

    fn token(&self, issued: TokenResponse) -> AccessToken {
        let Self { exchange, context, .. } = self;
        if issued.token_type_missing {
            let text = format!("{} sent no token_type; Bearer is assumed", exchange.endpoint.host());
            (context.warn)(Error::warning("01000", "token", text));
        }
        if let Some(newest) = issued.refresh_token {
            refresh_token::keep(exchange, newest, context);
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
            cache_key: context.identity,
            cache_state: CacheState::new(context.process.clock.boot_time()),
        }
    }
}

/// What a refused assertion said, next to the URL whose environment it may not have been meant for.
pub(super) fn shown_claims(signing: &Signing, exchange: &Exchange) -> String {
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
pub(super) fn basic(client: &Client) -> Secret {
    let secret = client.secret.as_ref().map_or("", Secret::reveal);
    let pair = urlencoded::basic_credentials(&client.id, secret);
    Secret::new(format!("Basic {}", STANDARD.encode(pair.reveal())))
}
