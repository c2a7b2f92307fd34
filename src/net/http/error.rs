//! ureq's errors in the words of the house: which host, how far it got, whose fault.
//!
//! Errors that are ours from the start (a deadline, a cancel, a handshake) travel through ureq in a box and come out
//! as they were. Nothing of the server's bytes is repeated: an answer may hold a token.

use std::io;

use crate::base::error::{Error, Status};
use crate::net::http::request_context::RequestContext;

/// One of our errors, made fit to travel through ureq.
pub(super) fn wrap_error(error: Error) -> ureq::Error {
    ureq::Error::Other(Box::new(error))
}

/// What `error` means for the request; `body` is how much of an answer's body had come.
pub(super) fn convert_ureq_error(
    error: ureq::Error,
    exchange: &RequestContext,
    body: Option<usize>,
) -> Error {
    match error {
        ureq::Error::Other(boxed) => match boxed.downcast::<Error>() {
            Ok(ours) => *ours,
            Err(other) => exchange.error(Status::Internal, &other.to_string()),
        },
        ureq::Error::Io(error) => connection_error(&error, exchange, body),
        ureq::Error::Protocol(error) => bad_response_error(exchange, describe_protocol_error(&error)),
        ureq::Error::LargeResponseHeader(..) => {
            bad_response_error(exchange, "has more than 32 KiB of headers")
        }
        ureq::Error::BodyStalled => bad_response_error(exchange, "is not HTTP: its body makes no sense"),
        // Never as text: these hold the URL.
        ureq::Error::BadUri(_) | ureq::Error::RequireHttpsOnly(_) => {
            exchange.error(Status::Internal, "the URL of the request is not one")
        }
        other => exchange.error(Status::Internal, &format!("the request could not be made: {other}")),
    }
}

/// The answer of the host is not what it should be.
pub(super) fn bad_response_error(exchange: &RequestContext, what: &str) -> Error {
    Error::new(Status::BadResponse, "network", format!("the answer of {} {what}", exchange.host))
}

/// The answer ended before it was whole.
pub(super) fn truncated_response_error(exchange: &RequestContext, body: Option<usize>) -> Error {
    let after = match body {
        Some(bytes) => format!("was cut off after {bytes} bytes of its body"),
        None => format!("was cut off after {} bytes, within its headers", exchange.received_bytes()),
    };
    bad_response_error(exchange, &after)
}

fn connection_error(error: &io::Error, exchange: &RequestContext, body: Option<usize>) -> Error {
    if exchange.received_bytes() > 0 {
        return truncated_response_error(exchange, body);
    }
    match error.kind() {
        io::ErrorKind::UnexpectedEof => {
            exchange.error(Status::Network, "the connection was closed without an answer")
        }
        _ => exchange.error(Status::Network, &format!("the connection failed: {error}")),
    }
}

/// Some of these repeat what the server sent, so none is shown as it is.
fn describe_protocol_error(error: &impl std::fmt::Display) -> &'static str {
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
