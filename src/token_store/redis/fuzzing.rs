//! What a fuzz target uses of the Redis client.

use super::connection::error_text;
use super::context::StoreContext;
use super::resp;
use super::server_error::server_error;
use crate::base::call::CallContext;
use crate::base::error::Error;
use crate::token_store::RedisLocation;

/// The beginning of received bytes.
#[derive(Debug, PartialEq, Eq)]
pub enum Received {
    /// A reply of this length in bytes, with its error text, if it is an error.
    Reply(usize, Option<String>),
    /// The beginning of a reply.
    Incomplete,
    /// No reply.
    Malformed,
}

/// Decodes the reply at the beginning of `bytes`.
#[must_use]
pub fn decode_redis_reply(bytes: &[u8]) -> Received {
    match resp::decode_reply(bytes) {
        Ok(Some((reply, length))) => Received::Reply(length, error_text(&reply).map(str::to_owned)),
        Ok(None) => Received::Incomplete,
        Err(resp::MalformedReply) => Received::Malformed,
    }
}

/// The error for an error reply of the server at `location`.
pub fn redis_error(text: &str, location: &RedisLocation) -> Option<Error> {
    let call = CallContext::unbounded();
    let context = StoreContext::new(&call, location).ok()?;
    Some(server_error(text, &context))
}
