//! One operation on the server, with its limits and errors.

use std::cell::Cell;
use std::sync::Arc;
use std::time::Duration;

use super::super::{RedisAddress, RedisLocation};
use crate::base::call::{CallContext, cancelled_error};
use crate::base::error::{Error, ErrorKind, NetworkError, Result};
use crate::base::sanitize;
use crate::net::socket::{CancelHook, ConnectionPhase, SocketContext};
use crate::sys;

/// One operation of a call.
pub(super) struct StoreContext<'a> {
    pub(super) call: &'a CallContext,
    pub(super) location: &'a RedisLocation,
    cancel_hook: Arc<CancelHook>,
    phase: Cell<ConnectionPhase>,
    generation: u64,
}

impl<'a> StoreContext<'a> {
    /// Fails if the call is already cancelled.
    pub(super) fn new(call: &'a CallContext, location: &'a RedisLocation) -> Result<Self> {
        Ok(Self {
            call,
            location,
            cancel_hook: CancelHook::register(call)?,
            phase: Cell::new(ConnectionPhase::Established),
            generation: sys::generation(),
        })
    }

    /// Whether this is the process that started the operation, not a forked child.
    pub(super) fn is_current_process(&self) -> bool {
        self.generation == sys::generation()
    }

    /// An error about the server; `text` begins with a verb.
    pub(super) fn error(&self, kind: impl Into<ErrorKind>, text: &str) -> Error {
        Error::new(kind, "token cache", format!("{} {text}", self.address())).with_option("TokenCache")
    }

    /// The address for messages.
    fn address(&self) -> String {
        match &self.location.address {
            RedisAddress::Tcp(host, port) => format!("{host}:{port}"),
            RedisAddress::Unix(path) => sanitize::path(path),
        }
    }

    fn timeout_error(&self) -> Error {
        let (phase, limit) = (self.phase.get(), &self.call.timeout);
        let text = match (&self.location.address, phase) {
            (_, ConnectionPhase::Established) => format!("{} did not reply within {limit}", self.address()),
            (RedisAddress::Tcp(host, port), _) => {
                phase.connect_timeout_text((host, *port), limit).unwrap_or_else(|| {
                    format!(
                        "the TLS handshake with {host} did not complete within {limit}; check that the port \
                         uses TLS"
                    )
                })
            }
            (RedisAddress::Unix(_), _) => {
                format!("{} did not accept the connection within {limit}", self.address())
            }
        };
        Error::new(self.call.timeout_kind, "token cache", text).with_option("TokenCache")
    }
}

impl SocketContext for StoreContext<'_> {
    fn call(&self) -> &CallContext {
        self.call
    }

    fn cancel_hook(&self) -> &CancelHook {
        &self.cancel_hook
    }

    fn connect_target(&self) -> (&str, u16) {
        match &self.location.address {
            RedisAddress::Tcp(host, port) => (host, *port),
            RedisAddress::Unix(_) => ("", 0),
        }
    }

    fn set_phase(&self, phase: ConnectionPhase) {
        self.phase.set(phase);
    }

    fn check(&self) -> Result<()> {
        if !self.is_current_process() {
            return Err(self.error(NetworkError::Connection, "was used when the process forked"));
        }
        if self.call.cancel.is_cancelled() {
            return Err(cancelled_error());
        }
        if self.call.deadline.is_past() {
            return Err(self.timeout_error());
        }
        Ok(())
    }

    fn remaining(&self, limit: Duration) -> Duration {
        let remaining = self.call.deadline.remaining().unwrap_or(limit);
        remaining.min(limit).max(Duration::from_millis(1))
    }

    fn resolve_error(&self, text: String) -> Error {
        Error::new(NetworkError::Connection, "token cache", text).with_option("TokenCache")
    }

    fn connect_error(&self, text: &str) -> Error {
        let text = format!("{}: {text}", self.address());
        Error::new(NetworkError::Connection, "token cache", text).with_option("TokenCache")
    }
}
