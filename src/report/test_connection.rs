//! What the API says to the token of a connection: one GET of HealthURI or RestSamplePath with all its headers.
//!
//! An API that wants another token gets one, once, as a driver would do it.

use std::sync::Arc;

use serde::Serialize;

use super::{Problem, to_json, without_query};
use crate::base::call::CallContext;
use crate::base::error::{Error, Result, Status};
use crate::base::redact::Redactor;
use crate::base::sanitize;
use crate::base::secret::Secret;
use crate::base::url::{EndpointUrl, without_secrets};
use crate::connection::api_headers::ApiHeaders;
use crate::connection::{CallOptions, Connection, ConnectionView};
use crate::net::http::{ConnectionReuse, HttpMethod, Request, Response};
use crate::options::{OptionId, Options, table};
use crate::report::test_endpoint::resolve_test_endpoint;
use crate::resolve::{Config, Flow};
use crate::token::AccessToken;
use crate::token_response::sanitize_for_display;

/// So much of what the API says is shown.
const MAX_SHOWN_CHARS: usize = 500;

#[derive(Serialize)]
struct ConnectionTestReport {
    ok: bool,
    message: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    token: Option<TokenReport>,
    headers: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    sample: Option<ApiRequestReport>,
}

/// Where the token came from.
#[derive(Serialize)]
struct TokenReport {
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
struct ApiRequestReport {
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
pub fn test_connection(connection: &Connection) -> Result<String> {
    let view = connection.view();
    let config = view.config()?;
    let endpoint = resolve_test_endpoint(view.options())?;
    let asking = ApiTest {
        connection,
        view: &view,
        config,
        call: connection.begin_call(config, BYPASS_NEGATIVE_CACHE),
    };
    let cached = asking.cached_token();
    let headers = connection.get_headers_with(BYPASS_NEGATIVE_CACHE)?;
    let token = headers.token().map(|lease| asking.token_report(lease.token(), cached.as_ref()));
    let names = headers.as_slice().iter().map(|(name, _)| name.to_string_lossy().into_owned()).collect();
    let sample = endpoint.map(|(name, url)| asking.test_api(name, &url, headers)).transpose()?;
    let (ok, message) = summarize(sample.as_ref(), token.is_some());
    let message = sanitize::message(&message);
    to_json(&ConnectionTestReport { ok, message, token, headers: names, sample })
}

/// Who tests wants to know how it is now, and not how it was a moment ago.
const BYPASS_NEGATIVE_CACHE: CallOptions = CallOptions {
    timeout: None,
    min_remaining: 0,
    no_network: false,
    no_prompt: false,
    bypass_negative_cache: true,
};

struct ApiTest<'a> {
    connection: &'a Connection,
    view: &'a ConnectionView,
    config: &'a Config,
    /// Bounds the requests to the API, and with them all of it: getting a token has bounds of its own, as long.
    call: CallContext,
}

impl ApiTest<'_> {
    fn cached_token(&self) -> Option<Arc<AccessToken>> {
        let quietly = CallOptions { no_network: true, ..CallOptions::default() };
        matches!(self.config.flow, Flow::TokenEndpoint(_))
            .then(|| self.connection.get_token(quietly).ok())
            .flatten()
    }

    fn token_report(&self, token: &Arc<AccessToken>, cached: Option<&Arc<AccessToken>>) -> TokenReport {
        let was_there = cached.is_some_and(|cached| Arc::ptr_eq(cached, token));
        let now = self.view.process.clock.unix_seconds();
        TokenReport {
            from: match &self.config.flow {
                Flow::TokenEndpoint(_) if was_there => "cache",
                Flow::TokenEndpoint(_) => "token endpoint",
                Flow::SignedJwt(_) => "signed here",
                Flow::AccessToken(_) | Flow::Headers(_) => "given",
            },
            scope: token.scope().map(|scope| {
                let redactor = Redactor::new(secret_option_values(self.view.options()).iter());
                sanitize_for_display(&redactor.redact(&scope.to_string_lossy()))
            }),
            expires_at: token.expires_at(),
            expires_in: token.expires_at().map(|end| end.saturating_sub(now)),
        }
    }

    fn test_api(&self, name: OptionId, url: &EndpointUrl, headers: ApiHeaders) -> Result<ApiRequestReport> {
        let mut sample = ApiRequestReport {
            option: name.as_str(),
            method: "GET",
            url: without_query(url),
            answers: Vec::new(),
            renewal: None,
            error: None,
        };
        match self.send_request(url, &[&headers], &mut sample)? {
            Some(status) if self.is_reauthentication_status(status) => {
                self.retry_with_new_token(url, &headers, &mut sample)?
            }
            _ => {}
        }
        Ok(sample)
    }

    /// Asks with the first of `headers`; those behind it were sent before. The status, unless there was no answer. A
    /// call that was cancelled has nothing to report.
    fn send_request(
        &self,
        url: &EndpointUrl,
        headers: &[&ApiHeaders],
        sample: &mut ApiRequestReport,
    ) -> Result<Option<u16>> {
        let redactor = self.redactor(url, headers);
        let headers = headers.first().map(|headers| headers_with_secret_values(headers)).unwrap_or_default();
        let request = Request {
            method: HttpMethod::Get,
            url,
            query: None,
            headers,
            body: None,
            reuse: ConnectionReuse::Allow,
        };
        let send =
            || self.view.process.http_client.send_truncating(&request, &self.config.transport, &self.call);
        // A connection that the server has closed meanwhile says nothing of the API.
        let outcome = match send() {
            Err(failure) if failure.stale_connection => send(),
            outcome => outcome,
        };
        match outcome {
            Ok(answer) => {
                sample.answers.push(describe_response(&answer, &redactor));
                Ok(Some(answer.status))
            }
            Err(failure) if failure.error.status() == Status::Cancelled => Err(failure.error),
            Err(failure) => {
                sample.error = Some(Problem::from(&failure.error));
                Ok(None)
            }
        }
    }

    fn is_reauthentication_status(&self, status: u16) -> bool {
        status == 401 || self.view.options().reauthenticate_statuses().contains(&status)
    }

    fn retry_with_new_token(
        &self,
        url: &EndpointUrl,
        headers: &ApiHeaders,
        sample: &mut ApiRequestReport,
    ) -> Result<()> {
        let Some(refused) = headers.token().map(|lease| lease.token()) else { return Ok(()) };
        self.connection.reject_token(refused);
        let left = CallOptions { timeout: self.call.deadline.remaining(), ..CallOptions::default() };
        match self.connection.get_headers_with(left) {
            Ok(newer) if newer.token().map(|lease| lease.token().value()) == Some(refused.value()) => {
                sample.renewal = Some(Problem::from(&same_token_error()));
            }
            Ok(newer) => drop(self.send_request(url, &[&newer, headers], sample)?),
            Err(error) if error.status() == Status::Cancelled => return Err(error),
            Err(error) => sample.renewal = Some(Problem::from(&error)),
        }
        Ok(())
    }

    /// Covers what was and is sent, and every secret that the connection has.
    fn redactor(&self, url: &EndpointUrl, headers: &[&ApiHeaders]) -> Redactor {
        let mut secrets = secret_option_values(self.view.options());
        let lines = headers.iter().flat_map(|headers| headers_with_secret_values(headers));
        secrets.extend(lines.map(|(_, value)| value));
        secrets.extend(url.as_str().split_once('?').map(|(_, query)| Secret::from(query)));
        Redactor::new(secrets.iter())
    }
}

fn secret_option_values(options: &Options) -> Vec<Secret> {
    let secret = table::TABLE.iter().filter(|definition| definition.is_secret());
    secret.filter_map(|definition| Some(options.get(definition.id)?.text.clone())).collect()
}

fn headers_with_secret_values(headers: &ApiHeaders) -> Vec<(String, Secret)> {
    let text = |(name, value): &(std::ffi::CString, zeroize::Zeroizing<std::ffi::CString>)| {
        (name.to_string_lossy().into_owned(), Secret::new(value.to_string_lossy().into_owned()))
    };
    headers.as_slice().iter().map(text).collect()
}

fn describe_response(answer: &Response, redactor: &Redactor) -> ApiResponse {
    let words = |text: &str| {
        sanitize_for_display(&redactor.redact(text)).chars().take(MAX_SHOWN_CHARS).collect::<String>()
    };
    let refused = answer.status >= 400;
    let body = String::from_utf8_lossy(&answer.body);
    ApiResponse {
        status: answer.status,
        ms: u64::try_from(answer.elapsed.as_millis()).unwrap_or(u64::MAX),
        bytes: answer.body.len(),
        cut: answer.truncated,
        location: answer.location.as_deref().map(|location| without_secrets(&words(location))),
        www_authenticate: answer.www_authenticate.as_deref().filter(|_| refused).map(words),
        body: refused.then(|| words(&body)).filter(|body| !body.is_empty()),
    }
}

fn same_token_error() -> Error {
    let text = "the token was refused again so soon that no other is fetched yet; wait a minute";
    Error::new(Status::Denied, "token", text)
}

fn summarize(sample: Option<&ApiRequestReport>, has_token: bool) -> (bool, String) {
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
