//! The request as ureq wants it, and the answer as the house wants it.

use std::io::Read;

use ureq::http::header::{self, HeaderMap, HeaderName, HeaderValue};
use ureq::http::{self, Uri};
use ureq::{Agent, Body};
use zeroize::Zeroizing;

use super::{HttpMethod, Request, Response};
use crate::base::error::{Error, Result, Status};
use crate::net::http::error::{bad_response_error, convert_ureq_error, truncated_response_error};
use crate::net::http::request_context::RequestContext;

/// No answer of a token endpoint is this long.
const MAX_BODY: usize = 1 << 20;

/// Room for a body whose length is not said: longer than most tokens.
const DEFAULT_BODY_CAPACITY: usize = 4 << 10;

/// No server takes a longer URL and headers. Less than the buffer for what goes out, with room for what HTTP adds.
const MAX_REQUEST_HEAD: usize = 64 << 10;
const _: () = assert!(MAX_REQUEST_HEAD < crate::net::http::transport::BUFFER_SIZES.1);

/// These say where a message ends or what the connection is for: a wrong one lets two messages run into one.
const FRAMING_HEADERS: [HeaderName; 6] = [
    header::CONTENT_LENGTH,
    header::TRANSFER_ENCODING,
    header::CONNECTION,
    header::UPGRADE,
    header::EXPECT,
    header::TE,
];

/// What becomes of a body that is longer than [`MAX_BODY`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum OversizePolicy {
    Reject,
    Truncate,
}

/// Sends the request and reads the answer.
pub(super) fn send_and_read(
    agent: &Agent,
    request: &Request<'_>,
    exchange: &RequestContext,
    longer: OversizePolicy,
) -> Result<Response> {
    let response = send_request(agent, request, exchange)?;
    let (head, body) = response.into_parts();
    let text = |name: HeaderName| {
        head.headers.get(name).map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned())
    };
    if let Some(encoding) =
        text(header::CONTENT_ENCODING).filter(|name| !name.eq_ignore_ascii_case("identity"))
        && !encoding.is_empty()
        && request.headers.iter().all(|(name, _)| !name.eq_ignore_ascii_case("accept-encoding"))
    {
        return Err(bad_response_error(exchange, "is compressed, which was not asked for"));
    }
    let (body, cut) = read_body(body, exchange, longer)?;
    Ok(Response {
        status: head.status.as_u16(),
        content_type: text(header::CONTENT_TYPE),
        date: text(header::DATE),
        retry_after: text(header::RETRY_AFTER),
        location: text(header::LOCATION),
        www_authenticate: text(header::WWW_AUTHENTICATE),
        body,
        truncated: cut,
        reused: exchange.is_reused(),
        elapsed: exchange.started_at.elapsed(),
    })
}

fn send_request(
    agent: &Agent,
    request: &Request<'_>,
    exchange: &RequestContext,
) -> Result<http::Response<Body>> {
    let (uri, fields) = (build_uri(request)?, build_headers(request)?);
    check_head_size(&uri, &fields)?;
    let mut head = http::Request::builder().uri(uri);
    if let Some(headers) = head.headers_mut() {
        *headers = fields;
    }
    let form = request.body.as_ref().map_or("", |body| body.reveal()).as_bytes();
    let made = |_| Error::new(Status::Internal, "network", "the request could not be made");
    let result = match request.method {
        HttpMethod::Get => agent.run(head.method(http::Method::GET).body(()).map_err(made)?),
        HttpMethod::Post => agent.run(head.method(http::Method::POST).body(form).map_err(made)?),
    };
    result.map_err(|error| convert_ureq_error(error, exchange, None))
}

fn build_uri(request: &Request<'_>) -> Result<Uri> {
    let url = request.url;
    let Some(more) = request.query.as_ref().filter(|query| !query.reveal().is_empty()) else {
        return Ok(url.uri().clone());
    };
    let written = url.as_str();
    let joint = match written.split_once('?') {
        None => "?",
        Some((_, "")) => "",
        Some(_) => "&",
    };
    let text = Zeroizing::new([written, joint, more.reveal()].concat());
    Uri::try_from(text.as_str()).map_err(|_| {
        let text = format!(
            "the query for {} is longer than the 64 KiB of a URL, or is not percent-encoded; send it by POST",
            url.host()
        );
        Error::new(Status::InvalidOption, "network", text)
    })
}

/// ureq fails in the middle of sending at a line that its buffer cannot hold.
fn check_head_size(uri: &Uri, fields: &HeaderMap) -> Result<()> {
    let lengths = fields.iter().map(|(name, value)| name.as_str().len().saturating_add(value.len()));
    let path = uri.path_and_query().map_or(0, |path| path.as_str().len());
    let host = uri.authority().map_or("", |authority| authority.as_str());
    let whole = lengths.fold(path.saturating_add(host.len()), usize::saturating_add);
    if whole <= MAX_REQUEST_HEAD {
        return Ok(());
    }
    let text = format!(
        "URL and headers of the request to {host} are {whole} bytes long together; at most 64 KiB can be sent"
    );
    Err(Error::new(Status::InvalidOption, "network", text))
}

fn build_headers(request: &Request<'_>) -> Result<HeaderMap> {
    let mut headers = HeaderMap::new();
    for (name, value) in &request.headers {
        let (name, value) = parse_header(name, value.reveal())?;
        headers.append(name, value);
    }
    let own = [
        (header::ACCEPT, "application/json"),
        (header::USER_AGENT, concat!("authgrant/", env!("CARGO_PKG_VERSION"))),
    ];
    let form = (header::CONTENT_TYPE, "application/x-www-form-urlencoded");
    for (name, value) in own.into_iter().chain((request.method == HttpMethod::Post).then_some(form)) {
        headers.entry(name).or_insert(HeaderValue::from_static(value));
    }
    Ok(headers)
}

fn parse_header(name: &str, value: &str) -> Result<(HeaderName, HeaderValue)> {
    let wrong =
        |why: &str| Error::new(Status::InvalidOption, "network", format!("the header {name:?} {why}"));
    let parsed = HeaderName::try_from(name).map_err(|_| wrong("has no valid name"))?;
    if FRAMING_HEADERS.contains(&parsed) {
        return Err(wrong("belongs to the connection and cannot be set"));
    }
    let mut value = HeaderValue::try_from(value)
        .map_err(|_| wrong("has a value with a line break or a control character"))?;
    value.set_sensitive(true);
    Ok((parsed, value))
}

fn read_body(
    body: Body,
    exchange: &RequestContext,
    longer: OversizePolicy,
) -> Result<(Zeroizing<Vec<u8>>, bool)> {
    let mut whole = Zeroizing::new(vec![0; body_capacity(body.content_length())]);
    let mut come: usize = 0;
    let mut reader = body.into_reader();
    loop {
        if come == whole.len() {
            whole = grow_zeroizing(&whole);
        }
        let space = whole.get_mut(come..).unwrap_or_default();
        let amount =
            reader.read(space).map_err(|error| convert_ureq_error(error.into(), exchange, Some(come)))?;
        come = come.saturating_add(amount);
        if amount == 0 || come > MAX_BODY {
            break;
        }
    }
    let cut = come > MAX_BODY;
    if cut && longer == OversizePolicy::Reject {
        return Err(bad_response_error(
            exchange,
            "is longer than 1 MiB, which no answer of a token endpoint is",
        ));
    }
    if !cut && exchange.unclean_close.get() {
        return Err(truncated_response_error(exchange, Some(come)));
    }
    whole.truncate(come.min(MAX_BODY));
    Ok((whole, cut))
}

/// Room for a body of so many bytes, and for one more, as the end is found by asking for what comes after it. What a
/// server says of a long one is not believed before it comes.
fn body_capacity(length: Option<u64>) -> usize {
    const MAX_INITIAL_CAPACITY: usize = 16 << 10;
    let length = length.and_then(|length| usize::try_from(length).ok()).unwrap_or(DEFAULT_BODY_CAPACITY);
    length.saturating_add(1).min(MAX_INITIAL_CAPACITY)
}

/// A copy with more room; `Vec` would grow by leaving the old bytes in freed memory.
fn grow_zeroizing(whole: &[u8]) -> Zeroizing<Vec<u8>> {
    let length = whole.len().saturating_mul(2);
    let mut larger = Zeroizing::new(Vec::with_capacity(length));
    larger.extend_from_slice(whole);
    larger.resize(length, 0);
    larger
}
