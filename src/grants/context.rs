//! Context of a grant: state of the process and of the connection, and the call that needs a token.

use crate::base::cache_key::CacheKey;
use crate::base::call::CallContext;
use crate::base::error::{Error, Result};
use crate::process::Process;
use crate::process::login_state::LoginState;

/// Everything besides the configuration that a token request needs.
#[derive(Clone, Copy)]
pub struct GrantContext<'a> {
    /// Process-wide state and injection points for tests.
    pub process: &'a Process,
    /// Login state of the connection.
    pub login_state: &'a LoginState,
    /// Deadline, cancellation and log of the call.
    pub call: &'a CallContext,
    /// The DSN or FILEDSN of the connection, for audit events.
    pub data_source: Option<&'a str>,
    /// Cache key of the token.
    pub cache_key: CacheKey,
    /// Whether a browser may be opened for the user.
    pub may_prompt: bool,
    /// Whether to send the request although the circuit breaker is open: the user has just logged in for it.
    pub bypass_circuit_breaker: bool,
    /// Called before a refresh token is sent, which is not sent if that fails.
    pub before_refresh: &'a dyn Fn() -> Result<()>,
    /// Receives warnings of a successful request.
    pub warn: &'a dyn Fn(Error),
}
