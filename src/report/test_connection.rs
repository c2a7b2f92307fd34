//! Connection test: gets a token and sends it to the API by a GET of HealthURI or RestSamplePath.
//!
//! If the API rejects the token, the test gets a new one and retries once, as a driver would.

use std::sync::Arc;

use serde::Serialize;

use super::{Problem, to_json, without_query};
use crate::base::call::CallContext;
use crate::base::error::{Error, ErrorKind, OAuthReason, Result};
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

/// Maximum number of characters of a response text in the report.
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

/// The token's origin, scope and expiry.
#[derive(Serialize)]
struct TokenReport {
    from: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    scope: Option<String>,
    /// Seconds since 1970.
    #[serde(skip_serializing_if = "Option::is_none")]
    expires_at: Option<i64>,
    /// Remaining seconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    expires_in: Option<i64>,
    /// The token server's known clock skew in seconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    clock_ahead: Option<i64>,
}

#[derive(Serialize)]
struct ApiRequestReport {
    option: &'static str,
    method: &'static str,
    url: String,
    answers: Vec<ApiResponse>,
    /// Why no new token was obtained after the API rejected the first one.
    #[serde(skip_serializing_if = "Option::is_none")]
    renewal: Option<Problem>,
    /// Why there is no response.
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<Problem>,
}

/// One response of the API.
#[derive(Serialize)]
struct ApiResponse {
    status: u16,
    ms: u64,
    bytes: usize,
    /// Whether the body was truncated.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    cut: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    location: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    www_authenticate: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    body: Option<String>,
}

/// The report of a connection test.
///
/// # Errors
/// Missing or invalid options, errors of getting a token, and [`ErrorKind::Cancelled`]. An unreachable API is
/// not an error, but part of the report, because a token was obtained.
pub fn test_connection(connection: &Connection) -> Result<String> {
    let view = connection.view();
    let config = view.config()?;
    let endpoint = resolve_test_endpoint(view.options())?;
    let test = ApiTest {
        connection,
        view: &view,
        config,
        call: connection.begin_call(config, BYPASS_NEGATIVE_CACHE),
    };
    let cached = test.cached_token();
    let headers = connection.get_headers_with(BYPASS_NEGATIVE_CACHE)?;
    let token = headers.token().map(|handle| test.token_report(handle.token(), cached.as_ref()));
    let names = headers.as_slice().iter().map(|(name, _)| name.to_string_lossy().into_owned()).collect();
    let sample = endpoint.map(|(name, url)| test.test_api(name, &url, headers)).transpose()?;
    let (ok, message) = summarize(sample.as_ref(), token.is_some());
    let message = sanitize::message(&message);
    to_json(&ConnectionTestReport { ok, message, token, headers: names, sample })
}

/// A test must report the current state, not a cached error.
const BYPASS_NEGATIVE_CACHE: CallOptions<'static> = CallOptions {
    timeout: None,
    min_remaining: 0,
    no_network: false,
    no_prompt: false,
    bypass_negative_cache: true,
    cancel: None,
};

struct ApiTest<'a> {
    connection: &'a Connection,
    view: &'a ConnectionView,
    config: &'a Config,
    /// Bounds the requests to the API. Getting a token has its own time limit of the same length.
    call: CallContext,
}

impl ApiTest<'_> {
    fn cached_token(&self) -> Option<Arc<AccessToken>> {
        let cache_only = CallOptions { no_network: true, ..CallOptions::default() };
        matches!(self.config.flow, Flow::TokenEndpoint(_))
            .then(|| self.connection.get_token(cache_only).ok())
            .flatten()
    }

    fn token_report(&self, token: &Arc<AccessToken>, cached: Option<&Arc<AccessToken>>) -> TokenReport {
        let is_cached = cached.is_some_and(|cached| Arc::ptr_eq(cached, token));
        let now = self.view.process.clock.unix_seconds();
        TokenReport {
            from: match &self.config.flow {
                Flow::TokenEndpoint(_) if is_cached => "cache",
                Flow::TokenEndpoint(_) if token.shared_origin().is_some() => "shared cache",
                Flow::TokenEndpoint(_) => "token endpoint",
                Flow::SignedJwt(_) => "signed here",
                Flow::AccessToken(_) | Flow::Headers(_) => "given",
            },
            scope: token.scope().map(|scope| {
                let redactor = Redactor::new(secret_option_values(self.view.options()).iter());
                sanitize_for_display(&redactor.redact(&scope.to_string_lossy()))
            }),
            expires_at: token.expires_at(),
            expires_in: token.expires_at().map(|expires_at| expires_at.saturating_sub(now)),
            clock_ahead: self.config.flow.token_endpoint().and_then(|endpoint_config| {
                let skew_secs = self.view.process.endpoint_memory.skew_secs(&endpoint_config.endpoint);
                Some(skew_secs).filter(|skew_secs| *skew_secs != 0)
            }),
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

    /// Sends a request with the first of `headers`; the others were sent earlier and are needed for
    /// redaction. Returns the HTTP status, or `None` after a network error, which is in the report. A
    /// cancelled call is an error.
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
        // If the server closed an idle connection, the request is retried on a new one.
        let outcome = match send() {
            Err(failure) if failure.stale_connection => send(),
            outcome => outcome,
        };
        match outcome {
            Ok(response) => {
                sample.answers.push(describe_response(&response, &redactor));
                Ok(Some(response.status))
            }
            Err(failure) if matches!(failure.error.kind(), ErrorKind::Cancelled) => Err(failure.error),
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
        let Some(rejected) = headers.token().map(|handle| handle.token()) else { return Ok(()) };
        self.connection.reject_token(rejected);
        let options = CallOptions { timeout: self.call.deadline.remaining(), ..CallOptions::default() };
        match self.connection.get_headers_with(options) {
            Ok(new) if new.token().map(|handle| handle.token().value()) == Some(rejected.value()) => {
                sample.renewal = Some(Problem::from(&same_token_error()));
            }
            Ok(new) => drop(self.send_request(url, &[&new, headers], sample)?),
            Err(error) if matches!(error.kind(), ErrorKind::Cancelled) => return Err(error),
            Err(error) => sample.renewal = Some(Problem::from(&error)),
        }
        Ok(())
    }

    /// Redacts everything that was or will be sent and all secret options of the connection.
    fn redactor(&self, url: &EndpointUrl, headers: &[&ApiHeaders]) -> Redactor {
        let mut secrets = secret_option_values(self.view.options());
        let header_values = headers.iter().flat_map(|headers| headers_with_secret_values(headers));
        secrets.extend(header_values.map(|(_, value)| value));
        secrets.extend(url.as_str().split_once('?').map(|(_, query)| Secret::from(query)));
        Redactor::new(secrets.iter())
    }
}

fn secret_option_values(options: &Options) -> Vec<Secret> {
    let secret = table::TABLE.iter().filter(|spec| spec.is_secret());
    secret.filter_map(|spec| Some(options.get(spec.id)?.text.clone())).collect()
}

fn headers_with_secret_values(headers: &ApiHeaders) -> Vec<(String, Secret)> {
    let text = |(name, value): &(std::ffi::CString, zeroize::Zeroizing<std::ffi::CString>)| {
        (name.to_string_lossy().into_owned(), Secret::new(value.to_string_lossy().into_owned()))
    };
    headers.as_slice().iter().map(text).collect()
}

fn describe_response(response: &Response, redactor: &Redactor) -> ApiResponse {
    let display = |text: &str| {
        sanitize_for_display(&redactor.redact(text)).chars().take(MAX_SHOWN_CHARS).collect::<String>()
    };
    let is_error = response.status >= 400;
    let body = String::from_utf8_lossy(&response.body);
    ApiResponse {
        status: response.status,
        ms: u64::try_from(response.elapsed.as_millis()).unwrap_or(u64::MAX),
        bytes: response.body.len(),
        cut: response.truncated,
        location: response.location.as_deref().map(|location| without_secrets(&display(location))),
        www_authenticate: response.www_authenticate.as_deref().filter(|_| is_error).map(display),
        body: (is_error && response.content_coding.is_none())
            .then(|| display(&body))
            .filter(|body| !body.is_empty()),
    }
}

fn same_token_error() -> Error {
    let text = "the token was rejected again too soon; retry in a minute";
    Error::new(OAuthReason::Denied, "token", text)
}

fn summarize(sample: Option<&ApiRequestReport>, has_token: bool) -> (bool, String) {
    let Some(sample) = sample else {
        let what = if has_token { "obtained a token" } else { "the method provides headers, not a token" };
        return (
            true,
            format!("{what}; no request was sent to the API: neither HealthURI nor RestSamplePath is set"),
        );
    };
    let request = format!("GET {}", sample.url);
    match (&sample.error, sample.answers.last()) {
        (Some(error), _) => (false, format!("{request} failed: {}", error.message)),
        (None, Some(ApiResponse { status: status @ 200..300, .. })) => {
            (true, format!("{request} returned HTTP {status}"))
        }
        (None, Some(ApiResponse { status: status @ 300..400, .. })) => {
            (false, format!("{request} returned HTTP {status}, a redirect, which is not followed"))
        }
        (None, Some(ApiResponse { status, .. })) => (false, format!("{request} returned HTTP {status}")),
        (None, None) => (false, format!("{request} was not sent")),
    }
}
