//! HTTP/1.1 request reader on top of `httparse`: a head, then Content-Length bytes.
//!
//! Bytes that arrive early stay in the buffer for the next request of the connection. A malformed request
//! yields the response to send before closing.

use std::io::{self, Read, Write};

use crate::response::Response;

const MAX_HEAD: usize = 256 * 1024;
const MAX_BODY: usize = 16 * 1024 * 1024;

#[derive(Clone, Debug)]
pub(crate) struct Request {
    pub(crate) method: String,
    pub(crate) target: String,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
}

impl Request {
    /// The value of a header that appears exactly once.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let mut found = self.headers.iter().filter(|(one, _)| one.eq_ignore_ascii_case(name));
        match (found.next(), found.next()) {
            (Some((_, value)), None) => Some(value),
            _ => None,
        }
    }

    pub(crate) fn header_count(&self, name: &str) -> usize {
        self.headers.iter().filter(|(one, _)| one.eq_ignore_ascii_case(name)).count()
    }

    pub(crate) fn path(&self) -> &str {
        self.target.split_once('?').map_or(self.target.as_str(), |(path, _)| path)
    }

    pub(crate) fn query(&self) -> &str {
        self.target.split_once('?').map_or("", |(_, query)| query)
    }

    pub(crate) fn wants_close(&self) -> bool {
        self.header("connection").is_some_and(|value| value.eq_ignore_ascii_case("close"))
    }
}

pub(crate) enum Incoming {
    Request(Request),
    Malformed(Response),
    Closed,
}

/// Reads the next request; `buffer` contains the bytes already read.
pub(crate) fn read_request<S: Read + Write>(stream: &mut S, buffer: &mut Vec<u8>) -> io::Result<Incoming> {
    let (mut request, used) = loop {
        match parse_head(buffer) {
            Ok(Some(parsed)) => break parsed,
            Ok(None) if buffer.len() > MAX_HEAD => {
                return Ok(malformed_request(431, "the head is too large"));
            }
            Ok(None) => {}
            Err(reason) => return Ok(malformed_request(400, &reason)),
        }
        if read_more(stream, buffer)? == 0 {
            return Ok(Incoming::Closed);
        }
    };
    buffer.drain(..used);
    let length = match body_length(&request) {
        Ok(length) => length,
        Err((status, reason)) => return Ok(malformed_request(status, reason)),
    };
    if request.header("expect").is_some_and(|value| value.eq_ignore_ascii_case("100-continue")) {
        stream.write_all(b"HTTP/1.1 100 Continue\r\n\r\n")?;
        stream.flush()?;
    }
    while buffer.len() < length {
        if read_more(stream, buffer)? == 0 {
            return Ok(Incoming::Closed);
        }
    }
    request.body = buffer.drain(..length).collect();
    Ok(Incoming::Request(request))
}

fn read_more<S: Read>(stream: &mut S, buffer: &mut Vec<u8>) -> io::Result<usize> {
    let mut chunk = [0_u8; 16 * 1024];
    let count = stream.read(&mut chunk)?;
    buffer.extend_from_slice(&chunk[..count]);
    Ok(count)
}

fn parse_head(bytes: &[u8]) -> Result<Option<(Request, usize)>, String> {
    let mut slots = [httparse::EMPTY_HEADER; 100];
    let mut head = httparse::Request::new(&mut slots);
    let used = match head.parse(bytes).map_err(|e| e.to_string())? {
        httparse::Status::Partial => return Ok(None),
        httparse::Status::Complete(used) => used,
    };
    if head.version != Some(1) {
        return Err("only HTTP/1.1 is supported".to_owned());
    }
    let headers =
        head.headers.iter().map(|h| (h.name.to_owned(), String::from_utf8_lossy(h.value).into_owned()));
    let request = Request {
        method: head.method.unwrap_or_default().to_owned(),
        target: head.path.unwrap_or_default().to_owned(),
        headers: headers.collect(),
        body: Vec::new(),
    };
    match (request.header_count("host"), request.target.starts_with('/')) {
        (1, true) => Ok(Some((request, used))),
        (1, false) => Err("the request target must be a path".to_owned()),
        _ => Err("exactly one Host header is required (RFC 9112 section 3.2)".to_owned()),
    }
}

fn body_length(request: &Request) -> Result<usize, (u16, &'static str)> {
    if request.header_count("transfer-encoding") > 0 {
        return Err((411, "Content-Length is required; chunked requests are not supported"));
    }
    let length = match (request.header_count("content-length"), request.header("content-length")) {
        (0, _) if request.method == "POST" => return Err((411, "Content-Length is required")),
        (0, _) => return Ok(0),
        (1, Some(text)) if text.bytes().all(|b| b.is_ascii_digit()) => text.parse().ok(),
        _ => None,
    };
    match length {
        Some(length) if length > MAX_BODY => Err((413, "the body is too large")),
        Some(length) => Ok(length),
        None => Err((400, "Content-Length must be a single number")),
    }
}

fn malformed_request(status: u16, reason: &str) -> Incoming {
    Incoming::Malformed(Response::text(status, reason))
}
