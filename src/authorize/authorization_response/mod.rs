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
const HEADERS: usize = 100;

/// What the visit that is waited for brings back.
#[derive(Debug)]
pub struct Expected {
    /// The state that the URL carried.
    pub state: Secret,
    /// The servers that are asked, as [`Url::origin`] says them: an `iss` that comes along must be at home at one of
    /// them (RFC 9207 section 2.4; its metadata, which would name it, is not read). None is any.
    pub issuers: Vec<String>,
    /// The host that the person was sent to, for messages.
    pub server: String,
    /// Whether there must be a code: true but for endpoints that tell of an administrator's consent alone.
    pub wants_code: bool,
}

/// What the right visit brought.
#[derive(Debug)]
pub struct Arrival {
    /// The authorization code, never empty.
    pub code: Option<Secret>,
}

/// Why a visit is turned away.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Fault {
    State,
    Issuer,
    Repeated,
    Path,
    Host,
    Method,
    TooLong,
    Unreadable,
}

impl Fault {
    /// For `3 with …` in the message at the deadline.
    pub(super) fn counted(self) -> &'static str {
        match self {
            Self::State => "with a wrong state",
            Self::Issuer => "with a wrong iss",
            Self::Repeated => "with a repeated parameter",
            Self::Path => "with a wrong path",
            Self::Host => "with a wrong Host",
            Self::Method => "with a method other than GET",
            Self::TooLong => "with too long a request",
            Self::Unreadable => "that spoke no HTTP",
        }
    }

    /// The HTTP status and the sentence on the page.
    pub(super) fn told(self) -> (&'static str, &'static str) {
        let text = match self {
            Self::State => "It does not belong to the consent that this application is waiting for.",
            Self::Issuer => {
                "It comes from another authorization server than the one that this application asked."
            }
            Self::Repeated => "Its address says the same thing more than once.",
            Self::Path => "This application is not listening at this address.",
            Self::Host => "This application does not go by that host name.",
            Self::Method => "Only a plain visit by a browser is answered here.",
            Self::TooLong => "Its request is too long.",
            Self::Unreadable => "Its request cannot be read.",
        };
        let status = match self {
            Self::Method => "405 Method Not Allowed",
            Self::TooLong => "431 Request Header Fields Too Large",
            _ => "400 Bad Request",
        };
        (status, text)
    }
}

/// What became of a visit.
#[derive(Debug)]
pub(super) enum Verdict {
    /// What browsers ask for by themselves.
    Favicon,
    Away(Fault),
    Arrived(Arrival),
    /// The server's refusal: `error`, and its description.
    Refused(String, Option<String>),
    /// The right state, and neither code nor error.
    Empty,
}

/// A request head as far as it matters; nothing while it is not whole.
pub(super) struct Request<'a> {
    method: &'a str,
    target: &'a str,
    /// None where there is not exactly one.
    host: Option<&'a str>,
}

impl<'a> Request<'a> {
    pub(super) fn read(bytes: &'a [u8]) -> Result<Option<Self>, Fault> {
        let mut headers = [httparse::EMPTY_HEADER; HEADERS];
        let mut request = httparse::Request::new(&mut headers);
        match request.parse(bytes) {
            Ok(httparse::Status::Partial) => return Ok(None),
            Ok(httparse::Status::Complete(_)) => {}
            Err(httparse::Error::TooManyHeaders) => return Err(Fault::TooLong),
            Err(_) => return Err(Fault::Unreadable),
        }
        let (Some(method), Some(target)) = (request.method, request.path) else {
            return Err(Fault::Unreadable);
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
    pub(super) fn judge(&self, place: &Place, expected: &Expected) -> Verdict {
        match self.parameters(place) {
            Ok(Some(parameters)) => answer(parameters, expected),
            Ok(None) => Verdict::Favicon,
            Err(fault) => Verdict::Away(fault),
        }
    }

    fn parameters(&self, place: &Place) -> Result<Option<BTreeMap<String, Secret>>, Fault> {
        if !self.host.is_some_and(|host| place.is_called(host)) {
            return Err(Fault::Host);
        }
        if !matches!(self.method, "GET" | "HEAD") {
            return Err(Fault::Method);
        }
        let (path, query) = self.target.split_once('?').unwrap_or((self.target, ""));
        if !place.is_path(path) {
            return if path == "/favicon.ico" { Ok(None) } else { Err(Fault::Path) };
        }
        parameters(query).map(Some)
    }
}

/// Where the listener is, as a browser names it.
#[derive(Debug)]
pub(super) struct Place {
    hosts: Vec<String>,
    path: String,
}

impl Place {
    pub(super) fn of(redirect: &EndpointUrl) -> Self {
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

    fn is_called(&self, host: &str) -> bool {
        self.hosts.iter().any(|known| known.eq_ignore_ascii_case(host.trim()))
    }

    /// Compared decoded: what the user wrote plainly a browser may have encoded.
    fn is_path(&self, path: &str) -> bool {
        percent_decode_str(path).eq(percent_decode_str(&self.path))
    }
}

/// The query's parameters, each of which may be there once (RFC 6749 section 3.1).
fn parameters(query: &str) -> Result<BTreeMap<String, Secret>, Fault> {
    let mut found = BTreeMap::new();
    for pair in query.split('&').filter(|pair| !pair.is_empty()) {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        if found.insert(decoded(name).reveal().to_owned(), decoded(value)).is_some() {
            return Err(Fault::Repeated);
        }
    }
    Ok(found)
}

/// One name or value of a form; a description that is no UTF-8 is shown as well as it can be. Wiped on the way.
fn decoded(text: &str) -> Secret {
    let spaced = Zeroizing::new(text.replace('+', " "));
    let bytes: Zeroizing<Vec<u8>> = Zeroizing::new(percent_decode_str(&spaced).collect());
    Secret::new(String::from_utf8_lossy(&bytes).into_owned())
}

fn answer(mut parameters: BTreeMap<String, Secret>, expected: &Expected) -> Verdict {
    if !parameters.remove("state").is_some_and(|state| is_same(&state, &expected.state)) {
        return Verdict::Away(Fault::State);
    }
    if parameters.get("iss").is_some_and(|sent| !is_at_home(sent, &expected.issuers)) {
        return Verdict::Away(Fault::Issuer);
    }
    if let Some(error) = given(&parameters, "error") {
        let secrets = std::iter::once(&expected.state).chain(parameters.get("code"));
        let redactor = Redactor::new(secrets);
        let shown = |text: &Secret| sanitize_for_display(&redactor.redact(text.reveal()));
        let description = given(&parameters, "error_description").map(|text| shown(&text));
        return Verdict::Refused(shown(&error), description);
    }
    match given(&parameters, "code") {
        None if expected.wants_code => Verdict::Empty,
        code => Verdict::Arrived(Arrival { code }),
    }
}

fn is_at_home(issuer: &Secret, servers: &[String]) -> bool {
    servers.is_empty() || EndpointUrl::parse(issuer.reveal()).is_ok_and(|url| servers.contains(&url.origin()))
}

/// A parameter without a value counts as one that was not sent (RFC 6749 section 3.1).
fn given(parameters: &BTreeMap<String, Secret>, name: &str) -> Option<Secret> {
    parameters.get(name).filter(|value| !value.reveal().is_empty()).cloned()
}

/// In a time that does not tell how much of it was right. No state is like no other.
fn is_same(state: &Secret, expected: &Secret) -> bool {
    let (state, expected) = (state.reveal().as_bytes(), expected.reveal().as_bytes());
    !expected.is_empty() && verify_slices_are_equal(state, expected).is_ok()
}

/// The error of a server that sent the person back with one.
pub(super) fn refused(error: String, description: Option<String>, expected: &Expected) -> Error {
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
    let text = format!("{} sent the browser back with {said}{advice}", expected.server);
    Error::new(refusal.status(), "consent", text).with_oauth(refusal.error, refusal.description)
}

/// The error of a server that sent the person back with nothing to go on with.
pub(super) fn empty(expected: &Expected) -> Error {
    let text = format!(
        "{} sent the browser back with neither a code nor an error; check that AuthURI is an authorization endpoint \
         that answers response_type=code in the query",
        expected.server
    );
    Error::new(Status::BadResponse, "consent", text)
}

#[cfg(test)]
mod tests;
