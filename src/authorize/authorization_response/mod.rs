//! One visit, read and judged: whether it is the answer that is waited for, and what it says.
//!
//! Only a GET (or HEAD) of the redirect's own path at the redirect's own host is looked at further, so that no page
//! that a browser happens to show can speak to us under another name (DNS rebinding). Nothing is believed before the
//! state was found right.

use std::collections::BTreeMap;

use aws_lc_rs::constant_time::verify_slices_are_equal;
use percent_encoding::percent_decode_str;
use zeroize::Zeroizing;

use crate::base::error::{Error, Status};
use crate::base::redact::Redactor;
use crate::base::secret::Secret;
use crate::base::url::EndpointUrl;
use crate::token_response::{ErrorResponse, sanitize_for_display};

/// More than any browser sends.
const MAX_HEADERS: usize = 100;

/// What the visit that is waited for brings back.
#[derive(Debug)]
pub struct ExpectedResponse {
    /// The state that the URL carried.
    pub state: Secret,
    /// The servers that are asked, as [`Url::origin`] says them: an `iss` that comes along must be at home at one of
    /// them (RFC 9207 section 2.4; its metadata, which would name it, is not read). None is any.
    pub issuers: Vec<String>,
    /// The host that the person was sent to, for messages.
    pub server_host: String,
    /// Whether there must be a code: true but for endpoints that tell of an administrator's consent alone.
    pub requires_code: bool,
}

/// What the right visit brought.
#[derive(Debug)]
pub struct AuthorizationResponse {
    /// The authorization code, never empty.
    pub code: Option<Secret>,
}

/// Why a visit is turned away.
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
    /// For `3 with …` in the message at the deadline.
    pub(super) fn log_text(self) -> &'static str {
        match self {
            Self::StateMismatch => "with a wrong state",
            Self::IssuerMismatch => "with a wrong iss",
            Self::RepeatedParameter => "with a repeated parameter",
            Self::WrongPath => "with a wrong path",
            Self::WrongHost => "with a wrong Host",
            Self::UnsupportedMethod => "with a method other than GET",
            Self::TooLong => "with too long a request",
            Self::InvalidHttp => "that spoke no HTTP",
        }
    }

    /// The HTTP status and the sentence on the page.
    pub(super) fn page_text(self) -> (&'static str, &'static str) {
        let text = match self {
            Self::StateMismatch => "It does not belong to the consent that this application is waiting for.",
            Self::IssuerMismatch => {
                "It comes from another authorization server than the one that this application asked."
            }
            Self::RepeatedParameter => "Its address says the same thing more than once.",
            Self::WrongPath => "This application is not listening at this address.",
            Self::WrongHost => "This application does not go by that host name.",
            Self::UnsupportedMethod => "Only a plain visit by a browser is answered here.",
            Self::TooLong => "Its request is too long.",
            Self::InvalidHttp => "Its request cannot be read.",
        };
        let status = match self {
            Self::UnsupportedMethod => "405 Method Not Allowed",
            Self::TooLong => "431 Request Header Fields Too Large",
            _ => "400 Bad Request",
        };
        (status, text)
    }
}

/// What became of a visit.
#[derive(Debug)]
pub(super) enum RedirectOutcome {
    /// What browsers ask for by themselves.
    Favicon,
    Rejected(RejectReason),
    Authorized(AuthorizationResponse),
    /// The server's refusal: `error`, and its description.
    Denied(String, Option<String>),
    /// The right state, and neither code nor error.
    Incomplete,
}

/// A request head as far as it matters; nothing while it is not whole.
pub(super) struct RedirectRequest<'a> {
    method: &'a str,
    target: &'a str,
    /// None where there is not exactly one.
    host: Option<&'a str>,
}

impl<'a> RedirectRequest<'a> {
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

    /// What this visit is, to whoever waits at `place` for `expected`.
    pub(super) fn evaluate(&self, place: &RedirectTarget, expected: &ExpectedResponse) -> RedirectOutcome {
        match self.parse_parameters(place) {
            Ok(Some(parameters)) => evaluate_parameters(parameters, expected),
            Ok(None) => RedirectOutcome::Favicon,
            Err(fault) => RedirectOutcome::Rejected(fault),
        }
    }

    fn parse_parameters(
        &self,
        place: &RedirectTarget,
    ) -> Result<Option<BTreeMap<String, Secret>>, RejectReason> {
        if !self.host.is_some_and(|host| place.matches_host(host)) {
            return Err(RejectReason::WrongHost);
        }
        if !matches!(self.method, "GET" | "HEAD") {
            return Err(RejectReason::UnsupportedMethod);
        }
        let (path, query) = self.target.split_once('?').unwrap_or((self.target, ""));
        if !place.matches_path(path) {
            return if path == "/favicon.ico" { Ok(None) } else { Err(RejectReason::WrongPath) };
        }
        parse_query(query).map(Some)
    }
}

/// Where the listener is, as a browser names it.
#[derive(Debug)]
pub(super) struct RedirectTarget {
    hosts: Vec<String>,
    path: String,
}

impl RedirectTarget {
    pub(super) fn from_url(redirect: &EndpointUrl) -> Self {
        let port = redirect.port();
        // A browser writes an address in its one canonical form, and leaves the scheme's own port away.
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
        self.hosts.iter().any(|known| known.eq_ignore_ascii_case(host.trim()))
    }

    /// Compared decoded: what the user wrote plainly a browser may have encoded.
    fn matches_path(&self, path: &str) -> bool {
        percent_decode_str(path).eq(percent_decode_str(&self.path))
    }
}

/// The query's parameters, each of which may be there once (RFC 6749 section 3.1).
fn parse_query(query: &str) -> Result<BTreeMap<String, Secret>, RejectReason> {
    let mut found = BTreeMap::new();
    for pair in query.split('&').filter(|pair| !pair.is_empty()) {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        if found.insert(decode_form_value(name).reveal().to_owned(), decode_form_value(value)).is_some() {
            return Err(RejectReason::RepeatedParameter);
        }
    }
    Ok(found)
}

/// One name or value of a form; a description that is no UTF-8 is shown as well as it can be. Wiped on the way.
fn decode_form_value(text: &str) -> Secret {
    let spaced = Zeroizing::new(text.replace('+', " "));
    let bytes: Zeroizing<Vec<u8>> = Zeroizing::new(percent_decode_str(&spaced).collect());
    Secret::new(String::from_utf8_lossy(&bytes).into_owned())
}

fn evaluate_parameters(
    mut parameters: BTreeMap<String, Secret>,
    expected: &ExpectedResponse,
) -> RedirectOutcome {
    if !parameters.remove("state").is_some_and(|state| is_expected_state(&state, &expected.state)) {
        return RedirectOutcome::Rejected(RejectReason::StateMismatch);
    }
    if parameters.get("iss").is_some_and(|sent| !is_expected_issuer(sent, &expected.issuers)) {
        return RedirectOutcome::Rejected(RejectReason::IssuerMismatch);
    }
    if let Some(error) = non_empty(&parameters, "error") {
        let secrets = std::iter::once(&expected.state).chain(parameters.get("code"));
        let redactor = Redactor::new(secrets);
        let shown = |text: &Secret| sanitize_for_display(&redactor.redact(text.reveal()));
        let description = non_empty(&parameters, "error_description").map(|text| shown(&text));
        return RedirectOutcome::Denied(shown(&error), description);
    }
    match non_empty(&parameters, "code") {
        None if expected.requires_code => RedirectOutcome::Incomplete,
        code => RedirectOutcome::Authorized(AuthorizationResponse { code }),
    }
}

fn is_expected_issuer(issuer: &Secret, servers: &[String]) -> bool {
    servers.is_empty() || EndpointUrl::parse(issuer.reveal()).is_ok_and(|url| servers.contains(&url.origin()))
}

/// A parameter without a value counts as one that was not sent (RFC 6749 section 3.1).
fn non_empty(parameters: &BTreeMap<String, Secret>, name: &str) -> Option<Secret> {
    parameters.get(name).filter(|value| !value.reveal().is_empty()).cloned()
}

/// In a time that does not tell how much of it was right. No state is like no other.
fn is_expected_state(state: &Secret, expected: &Secret) -> bool {
    let (state, expected) = (state.reveal().as_bytes(), expected.reveal().as_bytes());
    !expected.is_empty() && verify_slices_are_equal(state, expected).is_ok()
}

/// The error of a server that sent the person back with one.
pub(super) fn denied_error(error: String, description: Option<String>, expected: &ExpectedResponse) -> Error {
    let refusal = ErrorResponse { error: Some(error), description, ..ErrorResponse::default() };
    let said = match (&refusal.error, &refusal.description) {
        (Some(error), Some(description)) => format!("{error}: {description}"),
        (error, _) => error.clone().unwrap_or_default(),
    };
    let advice = match refusal.error.as_deref() {
        Some("access_denied") => "; the person declined, or may not give this consent",
        Some("consent_required") => "; an administrator or the person must consent first",
        _ => "",
    };
    let text = format!("{} sent the browser back with {said}{advice}", expected.server_host);
    Error::new(refusal.status(), "consent", text).with_oauth(refusal.error, refusal.description)
}

/// The error of a server that sent the person back with nothing to go on with.
pub(super) fn incomplete_error(expected: &ExpectedResponse) -> Error {
    let text = format!(
        "{} sent the browser back with neither a code nor an error; check that AuthURI is an authorization endpoint \
         that answers response_type=code in the query",
        expected.server_host
    );
    Error::new(Status::BadResponse, "consent", text)
}

#[cfg(test)]
mod tests;
