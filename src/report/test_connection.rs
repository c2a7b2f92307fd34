//! What the API says to the token of a connection: one GET of HealthURI or RestSamplePath with all its headers.
//!
//! An API that wants another token gets one, once, as a driver would do it.

use std::sync::Arc;

use serde::Serialize;

use super::{Problem, without_query, written};
use crate::base::call::CallContext;
use crate::base::error::{Error, Result, Status};
use crate::base::redact::Redactor;
use crate::base::sanitize;
use crate::base::secret::Secret;
use crate::base::url::{EndpointUrl, without_secrets};
use crate::connection::api_headers::ApiHeaders;
use crate::connection::{CallOptions, Connection, ConnectionView};
use crate::net::http::{Answer, Method, Request, Reuse};
use crate::options::{Name, Options, table};
use crate::report::test_endpoint::target;
use crate::resolve::{Config, Flow};
use crate::token::AccessToken;
use crate::token_response::sanitize_for_display;

/// So much of what the API says is shown.
const SHOWN: usize = 500;

#[derive(Serialize)]
struct Report {
    ok: bool,
    message: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    token: Option<Origin>,
    headers: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    sample: Option<Sample>,
}

/// Where the token came from.
#[derive(Serialize)]
struct Origin {
    from: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    scope: Option<String>,
    /// Seconds since 1970.
    #[serde(skip_serializing_if = "Option::is_none")]
    expires_at: Option<i64>,
    /// Seconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    expires_in: Option<i64>,
}

#[derive(Serialize)]
struct Sample {
    option: &'static str,
    method: &'static str,
    url: String,
    answers: Vec<ApiResponse>,
    /// Why no other token was had when the API wanted one.
    #[serde(skip_serializing_if = "Option::is_none")]
    renewal: Option<Problem>,
    /// Why there is no answer.
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<Problem>,
}

/// One answer.
#[derive(Serialize)]
struct ApiResponse {
    status: u16,
    ms: u64,
    bytes: usize,
    /// Whether there was more that was not read.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    cut: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    location: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    www_authenticate: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    body: Option<String>,
}

/// The report of what the API says to `connection`'s token.
///
/// # Errors
/// What is wrong with the options, those of getting a token, and [`Status::Cancelled`]. That the API cannot be reached is
/// in the report, since the token was had.
pub fn sample(connection: &Connection) -> Result<String> {
    let view = connection.view();
    let config = view.config()?;
    let endpoint = target(view.options())?;
    let asking = Asking { connection, view: &view, config, call: connection.begin_call(config, ANEW) };
    let cached = asking.cached();
    let headers = connection.get_headers_with(ANEW)?;
    let token = headers.token().map(|lease| asking.origin(lease.token(), cached.as_ref()));
    let names = headers.as_slice().iter().map(|(name, _)| name.to_string_lossy().into_owned()).collect();
    let sample = endpoint.map(|(name, url)| asking.sample(name, &url, headers)).transpose()?;
    let (ok, message) = summary(sample.as_ref(), token.is_some());
    let message = sanitize::message(&message);
    written(&Report { ok, message, token, headers: names, sample })
}

/// Who tests wants to know how it is now, and not how it was a moment ago.
const ANEW: CallOptions = CallOptions {
    timeout: None,
    min_remaining: 0,
    no_network: false,
    no_prompt: false,
    bypass_negative_cache: true,
};

struct Asking<'a> {
    connection: &'a Connection,
    view: &'a ConnectionView,
    config: &'a Config,
    /// Bounds the requests to the API, and with them all of it: getting a token has bounds of its own, as long.
    call: CallContext,
}

impl Asking<'_> {
    fn cached(&self) -> Option<Arc<AccessToken>> {
        let quietly = CallOptions { no_network: true, ..CallOptions::default() };
        matches!(self.config.flow, Flow::Exchange(_))
            .then(|| self.connection.get_token(quietly).ok())
            .flatten()
    }

    fn origin(&self, token: &Arc<AccessToken>, cached: Option<&Arc<AccessToken>>) -> Origin {
        let was_there = cached.is_some_and(|cached| Arc::ptr_eq(cached, token));
        let now = self.view.process.clock.unix_seconds();
        Origin {
            from: match &self.config.flow {
                Flow::Exchange(_) if was_there => "cache",
                Flow::Exchange(_) => "token endpoint",
                Flow::SignedJwt(_) => "signed here",
                Flow::AccessToken(_) | Flow::Headers(_) => "given",
            },
            scope: token.scope().map(|scope| {
                let redactor = Redactor::new(secrets(self.view.options()).iter());
                sanitize_for_display(&redactor.redact(&scope.to_string_lossy()))
            }),
            expires_at: token.expires_at(),
            expires_in: token.expires_at().map(|end| end.saturating_sub(now)),
        }
    }

    fn sample(&self, name: Name, url: &EndpointUrl, headers: ApiHeaders) -> Result<Sample> {
        let mut sample = Sample {
            option: name.text(),
            method: "GET",
            url: without_query(url),
            answers: Vec::new(),
            renewal: None,
            error: None,
        };
        match self.ask(url, &[&headers], &mut sample)? {
            Some(status) if self.wants_another_token(status) => self.ask_again(url, &headers, &mut sample)?,
            _ => {}
        }
        Ok(sample)
    }

    /// Asks with the first of `headers`; those behind it were sent before. The status, unless there was no answer. A
    /// call that was cancelled has nothing to report.
    fn ask(&self, url: &EndpointUrl, headers: &[&ApiHeaders], sample: &mut Sample) -> Result<Option<u16>> {
        let redactor = self.redactor(url, headers);
        let headers = headers.first().map(|headers| sent(headers)).unwrap_or_default();
        let request =
            Request { method: Method::Get, url, query: None, headers, body: None, reuse: Reuse::Yes };
        let send = || self.view.process.http_client.sample(&request, &self.config.trust, &self.call);
        // A connection that the server has closed meanwhile says nothing of the API.
        let outcome = match send() {
            Err(failure) if failure.stale => send(),
            outcome => outcome,
        };
        match outcome {
            Ok(answer) => {
                sample.answers.push(said(&answer, &redactor));
                Ok(Some(answer.status))
            }
            Err(failure) if failure.error.status() == Status::Cancelled => Err(failure.error),
            Err(failure) => {
                sample.error = Some(Problem::from(&failure.error));
                Ok(None)
            }
        }
    }

    fn wants_another_token(&self, status: u16) -> bool {
        status == 401 || self.view.options().reauthenticates().contains(&status)
    }

    fn ask_again(&self, url: &EndpointUrl, headers: &ApiHeaders, sample: &mut Sample) -> Result<()> {
        let Some(refused) = headers.token().map(|lease| lease.token()) else { return Ok(()) };
        self.connection.reject_token(refused);
        let left = CallOptions { timeout: self.call.deadline.remaining(), ..CallOptions::default() };
        match self.connection.get_headers_with(left) {
            Ok(newer) if newer.token().map(|lease| lease.token().value()) == Some(refused.value()) => {
                sample.renewal = Some(Problem::from(&same_token()));
            }
            Ok(newer) => drop(self.ask(url, &[&newer, headers], sample)?),
            Err(error) if error.status() == Status::Cancelled => return Err(error),
            Err(error) => sample.renewal = Some(Problem::from(&error)),
        }
        Ok(())
    }

    /// Covers what was and is sent, and every secret that the connection has.
    fn redactor(&self, url: &EndpointUrl, headers: &[&ApiHeaders]) -> Redactor {
        let mut secrets = secrets(self.view.options());
        let lines = headers.iter().flat_map(|headers| sent(headers));
        secrets.extend(lines.map(|(_, value)| value));
        secrets.extend(url.as_str().split_once('?').map(|(_, query)| Secret::from(query)));
        Redactor::new(secrets.iter())
    }
}

fn secrets(options: &Options) -> Vec<Secret> {
    let secret = table::TABLE.iter().filter(|definition| definition.is_secret());
    secret.filter_map(|definition| Some(options.get(definition.id)?.text.clone())).collect()
}

fn sent(headers: &ApiHeaders) -> Vec<(String, Secret)> {
    let text = |(name, value): &(std::ffi::CString, zeroize::Zeroizing<std::ffi::CString>)| {
        (name.to_string_lossy().into_owned(), Secret::new(value.to_string_lossy().into_owned()))
    };
    headers.as_slice().iter().map(text).collect()
}

fn said(answer: &Answer, redactor: &Redactor) -> ApiResponse {
    let words =
        |text: &str| sanitize_for_display(&redactor.redact(text)).chars().take(SHOWN).collect::<String>();
    let refused = answer.status >= 400;
    let body = String::from_utf8_lossy(&answer.body);
    ApiResponse {
        status: answer.status,
        ms: u64::try_from(answer.elapsed.as_millis()).unwrap_or(u64::MAX),
        bytes: answer.body.len(),
        cut: answer.cut,
        location: answer.location.as_deref().map(|location| without_secrets(&words(location))),
        www_authenticate: answer.challenge.as_deref().filter(|_| refused).map(words),
        body: refused.then(|| words(&body)).filter(|body| !body.is_empty()),
    }
}

fn same_token() -> Error {
    let text = "the token was refused again so soon that no other is fetched yet; wait a minute";
    Error::new(Status::Denied, "token", text)
}

fn summary(sample: Option<&Sample>, has_token: bool) -> (bool, String) {
    let Some(sample) = sample else {
        let what = if has_token { "a token was fetched" } else { "the method has headers and no token" };
        return (
            true,
            format!("{what}; the API was not asked: neither HealthURI nor RestSamplePath is given"),
        );
    };
    let asked = format!("GET {}", sample.url);
    match (&sample.error, sample.answers.last()) {
        (Some(error), _) => (false, format!("{asked} had no answer: {}", error.message)),
        (None, Some(ApiResponse { status: status @ 200..300, .. })) => {
            (true, format!("{asked} was answered with {status}"))
        }
        (None, Some(ApiResponse { status: status @ 300..400, .. })) => {
            (false, format!("{asked} was answered with {status}, a redirect, which is not followed"))
        }
        (None, Some(ApiResponse { status, .. })) => (false, format!("{asked} was answered with {status}")),
        (None, None) => (false, format!("{asked} was not sent")),
    }
}
