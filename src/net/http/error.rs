//! Conversion of ureq errors to [`Error`], with the host, the progress of the request and the cause.
//!
//! Errors of this crate (timeout, cancel, TLS handshake) are boxed to pass through ureq and unboxed
//! unchanged. Messages never contain bytes that the server sent, because a response may contain a token.

use std::io;

use crate::base::error::{Error, ErrorKind, NetworkError, io_error_text};
use crate::net::http::request_context::RequestContext;

/// Boxes an error of this crate so that it can pass through ureq.
pub(super) fn wrap_error(error: Error) -> ureq::Error {
    ureq::Error::Other(Box::new(error))
}

/// Converts an error of a request; `body` is the number of bytes received of the response's body.
pub(super) fn convert_ureq_error(error: ureq::Error, context: &RequestContext, body: Option<usize>) -> Error {
    match error {
        ureq::Error::Other(boxed) => match boxed.downcast::<Error>() {
            Ok(own) => *own,
            Err(other) => context.error(ErrorKind::Internal, &other.to_string()),
        },
        ureq::Error::Io(error) => connection_error(&error, context, body),
        ureq::Error::Protocol(error) => bad_response_error(context, describe_protocol_error(&error)),
        ureq::Error::LargeResponseHeader(..) => {
            bad_response_error(context, "has more than 32 KiB of headers")
        }
        ureq::Error::BodyStalled => bad_response_error(context, "has a malformed body"),
        // Never formatted: these errors contain the URL.
        ureq::Error::BadUri(_) | ureq::Error::RequireHttpsOnly(_) => {
            context.error(ErrorKind::Internal, "internal error: invalid request URL")
        }
        other => {
            context.error(ErrorKind::Internal, &format!("internal error: cannot build the request: {other}"))
        }
    }
}

/// Returns the error for an invalid response of the host; `reason` continues the sentence.
pub(super) fn bad_response_error(context: &RequestContext, reason: &str) -> Error {
    Error::new(NetworkError::BadResponse, "network", format!("the response of {} {reason}", context.host))
}

/// Returns the error for a response that ended before it was complete.
pub(super) fn truncated_response_error(context: &RequestContext, body: Option<usize>) -> Error {
    let reason = match body {
        Some(bytes) => format!("is truncated after {bytes} bytes of its body"),
        None => format!("is truncated after {} bytes, in its headers", context.received_bytes()),
    };
    bad_response_error(context, &reason)
}

fn connection_error(error: &io::Error, context: &RequestContext, body: Option<usize>) -> Error {
    if context.received_bytes() > 0 {
        return truncated_response_error(context, body);
    }
    match error.kind() {
        io::ErrorKind::UnexpectedEof => {
            context.error(NetworkError::Connection, "the server closed the connection without a response")
        }
        _ => context
            .error(NetworkError::Connection, &format!("the connection failed: {}", io_error_text(error))),
    }
}

/// Describes a protocol error. The error's own text is not shown, because it may contain bytes that the
/// server sent.
fn describe_protocol_error(error: &impl std::fmt::Display) -> &'static str {
    let text = error.to_string();
    match text.as_str() {
        text if text.contains("too many headers") => "has more than 128 headers",
        text if text.starts_with("http parse") => "is not HTTP/1.1; check the port of the URL",
        text if text.contains("content-length") => "has an invalid Content-Length",
        text if text.starts_with("chunk") => "has an invalid chunk length",
        text if text.contains("version") => "uses an unsupported HTTP version",
        _ => "violates the HTTP protocol",
    }
}
