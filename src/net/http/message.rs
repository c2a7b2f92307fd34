//! Conversion of a [`Request`] to ureq's request, and of ureq's response to a [`Response`].
//!
//! Checks the size of the request's head and the size of the response's body.

use std::io::Read;

use ureq::http::header::{self, HeaderMap, HeaderName, HeaderValue};
use ureq::http::{self, Uri};
use ureq::{Agent, Body};
use zeroize::Zeroizing;

use crate::base::error::{Error, ErrorKind, OptionError, Result};
use crate::base::sanitize;
use crate::net::header_value::is_reserved_header;
use crate::net::http::error::{bad_response_error, convert_ureq_error, truncated_response_error};
use crate::net::http::request::{HttpMethod, Request, Response};
use crate::net::http::request_context::RequestContext;

/// Maximum length of a response body; a token response is much shorter.
const MAX_BODY: usize = 1 << 20;

/// Initial capacity for a body of unknown length: longer than most token responses.
const DEFAULT_BODY_CAPACITY: usize = 4 << 10;

/// Maximum length of URL and headers; servers accept no more. It is less than the output buffer, which also
/// holds separators and the header lines that ureq adds.
const MAX_REQUEST_HEAD: usize = 64 << 10;
const _: () = assert!(MAX_REQUEST_HEAD < crate::net::http::transport::BUFFER_SIZES.1);

/// What to do with a body that is longer than [`MAX_BODY`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum OversizePolicy {
    Reject,
    Truncate,
}

/// Sends the request and reads the response.
pub(super) fn send_and_read(
    agent: &Agent,
    request: &Request<'_>,
    context: &RequestContext,
    oversize: OversizePolicy,
) -> Result<Response> {
    let response = send_request(agent, request, context)?;
    let (head, body) = response.into_parts();
    let text = |name: HeaderName| {
        head.headers.get(name).map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned())
    };
    let (body, truncated) = read_body(body, context, oversize)?;
    Ok(Response {
        status: head.status.as_u16(),
        content_type: text(header::CONTENT_TYPE),
        date: text(header::DATE),
        retry_after: text(header::RETRY_AFTER),
        location: text(header::LOCATION),
        www_authenticate: text(header::WWW_AUTHENTICATE),
        content_coding: find_content_coding(&head.headers),
        body,
        truncated,
        reused: context.is_reused(),
        elapsed: context.started_at.elapsed(),
    })
}

/// The names of content codings (RFC 9110 section 8.4.1).
const CONTENT_CODINGS: [&str; 9] =
    ["gzip", "x-gzip", "deflate", "compress", "x-compress", "br", "zstd", "dcb", "dcz"];

/// Returns the content coding of the body, if any. Other values of Content-Encoding are ignored: some servers
/// send a charset there (`UTF-8`) or `none`.
fn find_content_coding(headers: &HeaderMap) -> Option<&'static str> {
    let values =
        headers.get_all(header::CONTENT_ENCODING).into_iter().filter_map(|value| value.to_str().ok());
    let mut names = values.flat_map(|value| value.split(',')).map(str::trim);
    names.find_map(|name| CONTENT_CODINGS.into_iter().find(|coding| coding.eq_ignore_ascii_case(name)))
}

fn send_request(
    agent: &Agent,
    request: &Request<'_>,
    context: &RequestContext,
) -> Result<http::Response<Body>> {
    let (uri, fields) = (build_uri(request)?, build_headers(request)?);
    check_head_size(&uri, &fields)?;
    let mut head = http::Request::builder().uri(uri);
    if let Some(headers) = head.headers_mut() {
        *headers = fields;
    }
    let form = request.body.as_ref().map_or("", |body| body.reveal()).as_bytes();
    let build_error =
        |_| Error::new(ErrorKind::Internal, "network", "internal error: cannot build the request");
    let result = match request.method {
        HttpMethod::Get => agent.run(head.method(http::Method::GET).body(()).map_err(build_error)?),
        HttpMethod::Post => agent.run(head.method(http::Method::POST).body(form).map_err(build_error)?),
    };
    result.map_err(|error| convert_ureq_error(error, context, None))
}

fn build_uri(request: &Request<'_>) -> Result<Uri> {
    let url = request.url;
    let Some(more) = request.query.as_ref().filter(|query| !query.reveal().is_empty()) else {
        return Ok(url.uri().clone());
    };
    let url_text = url.as_str();
    let separator = match url_text.split_once('?') {
        None => "?",
        Some((_, "")) => "",
        Some(_) => "&",
    };
    let text = Zeroizing::new([url_text, separator, more.reveal()].concat());
    Uri::try_from(text.as_str()).map_err(|_| {
        let text = format!(
            "the query for {} exceeds the 64 KiB limit of a URL or is not percent-encoded; use POST",
            url.host()
        );
        Error::new(OptionError::Invalid, "network", text)
    })
}

/// Rejects a request whose head is too long: ureq would fail in the middle of sending if a line exceeds its
/// buffer.
fn check_head_size(uri: &Uri, fields: &HeaderMap) -> Result<()> {
    let lengths = fields.iter().map(|(name, value)| name.as_str().len().saturating_add(value.len()));
    let path = uri.path_and_query().map_or(0, |path| path.as_str().len());
    let host = uri.authority().map_or("", |authority| authority.as_str());
    let total = lengths.fold(path.saturating_add(host.len()), usize::saturating_add);
    if total <= MAX_REQUEST_HEAD {
        return Ok(());
    }
    let text = format!("URL and headers of the request to {host} are too long ({total} bytes, limit 64 KiB)");
    Err(Error::new(OptionError::Invalid, "network", text))
}

fn build_headers(request: &Request<'_>) -> Result<HeaderMap> {
    let mut headers = HeaderMap::new();
    for (name, value) in &request.headers {
        let (name, value) = parse_header(name, value.reveal())?;
        headers.append(name, value);
    }
    let defaults = [
        (header::ACCEPT, "application/json"),
        // Without the header, the server may use any coding (RFC 9110 section 12.5.3).
        (header::ACCEPT_ENCODING, "identity"),
        (header::USER_AGENT, concat!("authgrant/", env!("CARGO_PKG_VERSION"))),
    ];
    let form = (header::CONTENT_TYPE, "application/x-www-form-urlencoded");
    for (name, value) in defaults.into_iter().chain((request.method == HttpMethod::Post).then_some(form)) {
        headers.entry(name).or_insert(HeaderValue::from_static(value));
    }
    Ok(headers)
}

fn parse_header(name: &str, value: &str) -> Result<(HeaderName, HeaderValue)> {
    let invalid = |reason: &str| {
        Error::new(
            OptionError::Invalid,
            "network",
            format!("header \"{}\" {reason}", sanitize::excerpt(name)),
        )
    };
    let parsed = HeaderName::try_from(name).map_err(|_| invalid("has an invalid name"))?;
    if is_reserved_header(name) {
        return Err(invalid("is reserved and cannot be set"));
    }
    let mut value = HeaderValue::try_from(value)
        .map_err(|_| invalid("has an invalid value: it contains a line break or a control character"))?;
    value.set_sensitive(true);
    Ok((parsed, value))
}

fn read_body(
    body: Body,
    context: &RequestContext,
    oversize: OversizePolicy,
) -> Result<(Zeroizing<Vec<u8>>, bool)> {
    let mut body_buffer = Zeroizing::new(vec![0; body_capacity(body.content_length())]);
    let mut received: usize = 0;
    let mut reader = body.into_reader();
    loop {
        if received == body_buffer.len() {
            body_buffer = grow_zeroizing(&body_buffer);
        }
        let buffer = body_buffer.get_mut(received..).unwrap_or_default();
        let amount =
            reader.read(buffer).map_err(|error| convert_ureq_error(error.into(), context, Some(received)))?;
        received = received.saturating_add(amount);
        if amount == 0 || received > MAX_BODY {
            break;
        }
    }
    let truncated = received > MAX_BODY;
    if truncated && oversize == OversizePolicy::Reject {
        return Err(bad_response_error(context, "exceeds the 1 MiB response limit"));
    }
    if !truncated && context.unclean_close.get() {
        return Err(truncated_response_error(context, Some(received)));
    }
    body_buffer.truncate(received.min(MAX_BODY));
    Ok((body_buffer, truncated))
}

/// Returns the initial capacity for a body of `length` bytes: one byte more, because the end is detected by
/// reading past it. It is capped, because the server could announce a long body and send a short one.
fn body_capacity(length: Option<u64>) -> usize {
    const MAX_INITIAL_CAPACITY: usize = 16 << 10;
    let length = length.and_then(|length| usize::try_from(length).ok()).unwrap_or(DEFAULT_BODY_CAPACITY);
    length.saturating_add(1).min(MAX_INITIAL_CAPACITY)
}

/// Copies the body to a larger buffer. `Vec` would leave the old bytes in freed memory when it grows.
fn grow_zeroizing(body: &[u8]) -> Zeroizing<Vec<u8>> {
    let length = body.len().saturating_mul(2);
    let mut larger = Zeroizing::new(Vec::with_capacity(length));
    larger.extend_from_slice(body);
    larger.resize(length, 0);
    larger
}
