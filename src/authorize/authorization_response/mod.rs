//! Authorization response: parsing and validation of a request to the redirect URI (RFC 6749 section 4.1.2).
//!
//! Only GET and HEAD requests for the redirect's path with the redirect's Host header are accepted, so that a
//! web page cannot reach the listener under another host name (DNS rebinding). The other parameters are used
//! only after `state` has been verified.

use std::collections::BTreeMap;

use aws_lc_rs::constant_time::verify_slices_are_equal;
use percent_encoding::percent_decode_str;
use zeroize::Zeroizing;

use crate::base::error::{Error, OAuthReason};
use crate::base::redact::Redactor;
use crate::base::secret::Secret;
use crate::base::url::EndpointUrl;
use crate::token_response::{ErrorResponse, ServerText, sanitize_for_display};

/// Maximum number of request headers; browsers send fewer.
const MAX_HEADERS: usize = 100;

/// The values that the authorization response must match.
#[derive(Debug)]
pub struct ExpectedResponse {
    /// The `state` of the authorization URL.
    pub state: Secret,
    /// The allowed origins of an `iss` parameter, as returned by [`EndpointUrl::origin`]; empty if any `iss`
    /// is allowed. Origins are compared because the server metadata that names the issuer is not read (RFC
    /// 9207 section 2.4).
    pub issuers: Vec<String>,
    /// The host of the authorization endpoint, for messages.
    pub server_host: String,
    /// Whether the response must contain a code: false only for endpoints for administrator consent.
    pub requires_code: bool,
    /// The authorization URL without the nonce, for a server that refuses it; `None` if there is no nonce.
    pub url_without_nonce: Option<Secret>,
}

/// A successful authorization response.
#[derive(Debug)]
pub struct AuthorizationResponse {
    /// The authorization code, never empty.
    pub code: Option<Secret>,
    /// Whether the server refused the nonce, so that the code belongs to a request without one.
    pub nonce_refused: bool,
}

/// Why a request is rejected.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum RejectReason {
    StateMismatch,
    IssuerMismatch,
    RepeatedParameter,
    WrongPath,
    WrongHost,
    UnsupportedMethod,
    TooLong,
    InvalidHttp,
}

impl RejectReason {
    /// The reason for log records and for counts such as `3 with a wrong state`.
    pub(super) fn log_text(self) -> &'static str {
        match self {
            Self::StateMismatch => "with a wrong state",
            Self::IssuerMismatch => "with a wrong iss",
            Self::RepeatedParameter => "with a repeated parameter",
            Self::WrongPath => "with a wrong path",
            Self::WrongHost => "with a wrong Host",
            Self::UnsupportedMethod => "with a method other than GET",
            Self::TooLong => "with an oversized request head",
            Self::InvalidHttp => "with malformed HTTP",
        }
    }

    /// The HTTP status and the text of the result page.
    pub(super) fn page_text(self) -> (&'static str, &'static str) {
        let text = match self {
            Self::StateMismatch => "The state parameter does not match the pending request.",
            Self::IssuerMismatch => "The iss parameter does not match the requested authorization server.",
            Self::RepeatedParameter => "The request contains a duplicate parameter.",
            Self::WrongPath => "The path does not match the redirect URI.",
            Self::WrongHost => "Unexpected Host header.",
            Self::UnsupportedMethod => "Only GET requests are accepted.",
            Self::TooLong => "The request head is too large.",
            Self::InvalidHttp => "The request is not valid HTTP.",
        };
        let status = match self {
            Self::UnsupportedMethod => "405 Method Not Allowed",
            Self::TooLong => "431 Request Header Fields Too Large",
            _ => "400 Bad Request",
        };
        (status, text)
    }
}

/// The result of evaluating a request.
#[derive(Debug)]
pub(super) enum RedirectOutcome {
    /// A request for the icon, which browsers send automatically.
    Favicon,
    Rejected(RejectReason),
    Authorized(AuthorizationResponse),
    /// An error response: `error` and `error_description`.
    Denied(Box<ErrorResponse>),
    /// The expected state, but neither code nor error.
    Incomplete,
}

/// The parts of a request head that are evaluated.
pub(super) struct RedirectRequest<'a> {
    method: &'a str,
    target: &'a str,
    /// `None` unless there is exactly one Host header.
    host: Option<&'a str>,
}

impl<'a> RedirectRequest<'a> {
    /// `None` while the head is incomplete.
    pub(super) fn parse(bytes: &'a [u8]) -> Result<Option<Self>, RejectReason> {
        let mut headers = [httparse::EMPTY_HEADER; MAX_HEADERS];
        let mut request = httparse::Request::new(&mut headers);
        match request.parse(bytes) {
            Ok(httparse::Status::Partial) => return Ok(None),
            Ok(httparse::Status::Complete(_)) => {}
            Err(httparse::Error::TooManyHeaders) => return Err(RejectReason::TooLong),
            Err(_) => return Err(RejectReason::InvalidHttp),
        }
        let (Some(method), Some(target)) = (request.method, request.path) else {
            return Err(RejectReason::InvalidHttp);
        };
        let mut hosts = request.headers.iter().filter(|header| header.name.eq_ignore_ascii_case("host"));
        let host = match (hosts.next(), hosts.next()) {
            (Some(host), None) => std::str::from_utf8(host.value).ok(),
            _ => None,
        };
        Ok(Some(Self { method, target, host }))
    }

    pub(super) fn is_head(&self) -> bool {
        self.method == "HEAD"
    }

    /// Checks the request against the redirect URI and the expected response.
    pub(super) fn evaluate(&self, target: &RedirectTarget, expected: &ExpectedResponse) -> RedirectOutcome {
        match self.parse_parameters(target) {
            Ok(Some(parameters)) => evaluate_parameters(parameters, expected),
            Ok(None) => RedirectOutcome::Favicon,
            Err(reason) => RedirectOutcome::Rejected(reason),
        }
    }

    fn parse_parameters(
        &self,
        target: &RedirectTarget,
    ) -> Result<Option<BTreeMap<String, Secret>>, RejectReason> {
        if !self.host.is_some_and(|host| target.matches_host(host)) {
            return Err(RejectReason::WrongHost);
        }
        if !matches!(self.method, "GET" | "HEAD") {
            return Err(RejectReason::UnsupportedMethod);
        }
        let (path, query) = self.target.split_once('?').unwrap_or((self.target, ""));
        if !target.matches_path(path) {
            return if path == "/favicon.ico" { Ok(None) } else { Err(RejectReason::WrongPath) };
        }
        parse_query(query).map(Some)
    }
}

/// The Host header values and the path by which a browser addresses the redirect URI.
#[derive(Debug)]
pub(super) struct RedirectTarget {
    hosts: Vec<String>,
    path: String,
}

impl RedirectTarget {
    pub(super) fn from_url(redirect: &EndpointUrl) -> Self {
        let port = redirect.port();
        // Browsers send IP addresses in canonical form and omit the scheme's default port.
        let host = match redirect.host().parse::<std::net::IpAddr>() {
            Ok(std::net::IpAddr::V6(address)) => format!("[{address}]"),
            _ => redirect.host().to_owned(),
        };
        let mut hosts = vec![format!("{host}:{port}")];
        if port == 80 {
            hosts.push(host);
        }
        let path = redirect.uri().path();
        Self { hosts, path: if path.is_empty() { "/" } else { path }.to_owned() }
    }

    fn matches_host(&self, host: &str) -> bool {
        self.hosts.iter().any(|expected| expected.eq_ignore_ascii_case(host.trim()))
    }

    /// Compares decoded paths, because the browser may have percent-encoded the configured one.
    fn matches_path(&self, path: &str) -> bool {
        percent_decode_str(path).eq(percent_decode_str(&self.path))
    }
}

/// Parses the query; each parameter must occur at most once (RFC 6749 section 3.1).
fn parse_query(query: &str) -> Result<BTreeMap<String, Secret>, RejectReason> {
    let mut parameters = BTreeMap::new();
    for pair in query.split('&').filter(|pair| !pair.is_empty()) {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        if parameters.insert(decode_form_value(name).reveal().to_owned(), decode_form_value(value)).is_some()
        {
            return Err(RejectReason::RepeatedParameter);
        }
    }
    Ok(parameters)
}

/// Decodes a form-encoded name or value. Invalid UTF-8, for example in a description, is replaced.
/// Intermediate buffers are zeroized.
fn decode_form_value(text: &str) -> Secret {
    let with_spaces = Zeroizing::new(text.replace('+', " "));
    let bytes: Zeroizing<Vec<u8>> = Zeroizing::new(percent_decode_str(&with_spaces).collect());
    Secret::new(String::from_utf8_lossy(&bytes).into_owned())
}

fn evaluate_parameters(
    mut parameters: BTreeMap<String, Secret>,
    expected: &ExpectedResponse,
) -> RedirectOutcome {
    if !parameters.remove("state").is_some_and(|state| is_expected_state(&state, &expected.state)) {
        return RedirectOutcome::Rejected(RejectReason::StateMismatch);
    }
    if parameters.get("iss").is_some_and(|issuer| !is_expected_issuer(issuer, &expected.issuers)) {
        return RedirectOutcome::Rejected(RejectReason::IssuerMismatch);
    }
    if let Some(error) = non_empty(&parameters, "error") {
        let secrets = std::iter::once(&expected.state).chain(parameters.get("code"));
        let redactor = Redactor::new(secrets);
        let description = non_empty(&parameters, "error_description");
        let to_display = |text: &str| sanitize_for_display(&redactor.redact(text));
        return RedirectOutcome::Denied(Box::new(ErrorResponse::from_redirect(
            error,
            description,
            to_display,
        )));
    }
    match non_empty(&parameters, "code") {
        None if expected.requires_code => RedirectOutcome::Incomplete,
        code => RedirectOutcome::Authorized(AuthorizationResponse { code, nonce_refused: false }),
    }
}

fn is_expected_issuer(issuer: &Secret, origins: &[String]) -> bool {
    origins.is_empty() || EndpointUrl::parse(issuer.reveal()).is_ok_and(|url| origins.contains(&url.origin()))
}

/// Returns a parameter; one without a value is treated as omitted (RFC 6749 section 3.1).
fn non_empty(parameters: &BTreeMap<String, Secret>, name: &str) -> Option<Secret> {
    parameters.get(name).filter(|value| !value.reveal().is_empty()).cloned()
}

/// Compares in constant time. An empty expected state matches nothing.
fn is_expected_state(state: &Secret, expected: &Secret) -> bool {
    let (state, expected) = (state.reveal().as_bytes(), expected.reveal().as_bytes());
    !expected.is_empty() && verify_slices_are_equal(state, expected).is_ok()
}

/// The error of an error response (RFC 6749 section 4.1.2.1).
pub(super) fn denied_error(response: ErrorResponse, expected: &ExpectedResponse) -> Error {
    let [error, description] =
        [&response.error, &response.description].map(|text| text.as_ref().map(ServerText::shown));
    let detail = match (error.unwrap_or_default(), description) {
        (error, Some(description)) => format!("{error}: {description}"),
        (error, None) => error.to_owned(),
    };
    let hint = match (response.unsupported, response.error_code()) {
        (Some(feature), _) => format!("; {}", feature.description()),
        (None, Some("access_denied")) => "; the user declined or is not permitted to consent".to_owned(),
        (None, Some("consent_required")) => "; the user or an administrator must consent first".to_owned(),
        _ => String::new(),
    };
    let text = format!("{} returned the error {detail}{hint}", expected.server_host);
    let reason = response.reason();
    Error::new(response.into_oauth_error(reason), "consent", text)
}

/// The error of a response with neither code nor error.
pub(super) fn incomplete_error(expected: &ExpectedResponse) -> Error {
    let text = format!(
        "{} returned neither a code nor an error; check that AuthURI is an authorization endpoint that \
         supports response_type=code and returns its response in the query",
        expected.server_host
    );
    Error::new(OAuthReason::BadResponse, "consent", text)
}

#[cfg(test)]
mod tests;
