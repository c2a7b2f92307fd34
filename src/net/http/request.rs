//! Requests, responses, and the reason why a request has no response.

use std::fmt;
use std::time::Duration;

use zeroize::Zeroizing;

use crate::base::error::Error;
use crate::base::secret::Secret;
use crate::base::url::EndpointUrl;

/// The HTTP method of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HttpMethod {
    /// All parameters are in the query.
    Get,
    /// The parameters are a form in the body.
    Post,
}

impl HttpMethod {
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Get => "GET",
            Self::Post => "POST",
        }
    }
}

/// An HTTP request.
#[derive(Debug)]
pub struct Request<'a> {
    /// The method.
    pub method: HttpMethod,
    /// The target; its query, if any, is sent too.
    pub url: &'a EndpointUrl,
    /// Additional query parameters: percent-encoded pairs, joined by `&`.
    pub query: Option<Secret>,
    /// Additional headers, none of them reserved. One named Accept, Accept-Encoding
    /// or User-Agent replaces the default value.
    pub headers: Vec<(String, Secret)>,
    /// The URL-encoded form of a POST; not sent with a GET.
    pub body: Option<Secret>,
    /// Whether the request may use an idle connection.
    pub reuse: ConnectionReuse,
}

/// Whether a request uses an idle connection. The server, or a firewall on the path, may have dropped it
/// already.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ConnectionReuse {
    /// Uses an idle connection and waits for the response until the call's deadline.
    Allow,
    /// Uses an idle connection and fails after a short timeout for the first byte, with
    /// [`RequestError::stale_connection`] set, because the request may be retried on a new connection.
    AllowWithRetry,
    /// Always opens a new connection.
    Never,
}

/// An HTTP response of any status.
pub struct Response {
    /// The status code: 200, 302, 400, …
    pub status: u16,
    /// The Content-Type header, verbatim.
    pub content_type: Option<String>,
    /// The Date header, verbatim: the server's clock.
    pub date: Option<String>,
    /// The Retry-After header, verbatim.
    pub retry_after: Option<String>,
    /// The Location header, verbatim: the target of a redirect, which is not followed.
    pub location: Option<String>,
    /// The WWW-Authenticate header, verbatim: the challenge of a protected resource.
    pub www_authenticate: Option<String>,
    /// The content coding of the body, such as `gzip`, if any. No coding is requested, and none is decoded.
    pub content_coding: Option<&'static str>,
    /// The body, at most 1 MiB, wiped when dropped; complete unless `truncated`.
    pub body: Zeroizing<Vec<u8>>,
    /// Whether the body was longer than what was read.
    pub truncated: bool,
    /// Whether the request used an idle connection.
    pub reused: bool,
    /// The time from the start of the request to the end of the response.
    pub elapsed: Duration,
}

impl Response {
    /// Whether the response is a page for a browser, by its Content-Type or its content.
    #[must_use]
    pub fn is_html(&self) -> bool {
        let content_type = self.content_type.as_deref().unwrap_or_default().to_ascii_lowercase();
        content_type.contains("html") || self.body.trim_ascii_start().starts_with(b"<")
    }
}

/// Omits values that may be secret: the body contains a token, Location may contain a code.
impl fmt::Debug for Response {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Response")
            .field("status", &self.status)
            .field("body", &format_args!("{} bytes", self.body.len()))
            .field("reused", &self.reused)
            .field("elapsed", &self.elapsed)
            .finish_non_exhaustive()
    }
}

/// The reason why a request has no usable response.
#[derive(Debug)]
pub struct RequestError {
    /// The error to return to the caller if the request is not retried.
    pub error: Error,
    /// A reused connection was closed, or timed out, before the first byte of a response. Most likely it was
    /// closed before the request was sent, so the request may be retried on a new connection (with a new
    /// assertion, in case the server did receive it).
    pub stale_connection: bool,
    /// The server received the request, or at least its beginning, and sent an unusable response
    /// (`NetworkError::BadResponse`) or closed the connection (`NetworkError::Connection`). Another form of the request,
    /// such as POST instead of GET, may succeed. Not set after a failed lookup, connect or handshake, a
    /// timeout or a cancel, because these do not depend on the form of the request.
    pub reached_server: bool,
    /// The request, or its beginning, may have been sent, so that the server may have processed it.
    pub was_sent: bool,
}

impl From<RequestError> for Error {
    fn from(request_error: RequestError) -> Self {
        request_error.error
    }
}

impl From<Error> for RequestError {
    fn from(error: Error) -> Self {
        Self { error, stale_connection: false, reached_server: false, was_sent: false }
    }
}
