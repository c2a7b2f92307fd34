//! ureq's errors in the words of the house: which host, how far it got, whose fault.
//!
//! Errors that are ours from the start (a deadline, a cancel, a handshake) travel through ureq in a box and come out
//! as they were. Nothing of the server's bytes is repeated: an answer may hold a token.

use std::io;

use crate::base::error::{Error, Status};
use crate::net::http::request_context::Exchange;

/// One of our errors, made fit to travel through ureq.
pub(super) fn carried(error: Error) -> ureq::Error {
    ureq::Error::Other(Box::new(error))
}

/// What `error` means for the request; `body` is how much of an answer's body had come.
pub(super) fn explain(error: ureq::Error, exchange: &Exchange, body: Option<usize>) -> Error {
    match error {
        ureq::Error::Other(boxed) => match boxed.downcast::<Error>() {
            Ok(ours) => *ours,
            Err(other) => exchange.error(Status::Internal, &other.to_string()),
        },
        ureq::Error::Io(error) => connection(&error, exchange, body),
        ureq::Error::Protocol(error) => bad(exchange, protocol(&error)),
        ureq::Error::LargeResponseHeader(..) => bad(exchange, "has more than 32 KiB of headers"),
        ureq::Error::BodyStalled => bad(exchange, "is not HTTP: its body makes no sense"),
        // Never as text: these hold the URL.
        ureq::Error::BadUri(_) | ureq::Error::RequireHttpsOnly(_) => {
            exchange.error(Status::Internal, "the URL of the request is not one")
        }
        other => exchange.error(Status::Internal, &format!("the request could not be made: {other}")),
    }
}

/// The answer of the host is not what it should be.
pub(super) fn bad(exchange: &Exchange, what: &str) -> Error {
    Error::new(Status::BadResponse, "network", format!("the answer of {} {what}", exchange.host))
}

/// The answer ended before it was whole.
pub(super) fn cut_off(exchange: &Exchange, body: Option<usize>) -> Error {
    let after = match body {
        Some(bytes) => format!("was cut off after {bytes} bytes of its body"),
        None => format!("was cut off after {} bytes, within its headers", exchange.received()),
    };
    bad(exchange, &after)
}

fn connection(error: &io::Error, exchange: &Exchange, body: Option<usize>) -> Error {
    if exchange.received() > 0 {
        return cut_off(exchange, body);
    }
    match error.kind() {
        io::ErrorKind::UnexpectedEof => {
            exchange.error(Status::Network, "the connection was closed without an answer")
        }
        _ => exchange.error(Status::Network, &format!("the connection failed: {error}")),
    }
}

/// Some of these repeat what the server sent, so none is shown as it is.
fn protocol(error: &impl std::fmt::Display) -> &'static str {
    let text = error.to_string();
    match text.as_str() {
        text if text.contains("too many headers") => "has more than 128 headers",
        text if text.starts_with("http parse") => "is not HTTP/1.1; check the port of the URL",
        text if text.contains("content-length") => "has a Content-Length that is not one number",
        text if text.starts_with("chunk") => "is not HTTP: a chunk of its body has no proper length",
        text if text.contains("version") => "is of an HTTP version that is not supported",
        _ => "breaks the HTTP protocol",
    }
}
