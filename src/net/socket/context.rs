//! For which operation a socket is used, and how far the connection is.

use std::time::Duration;

use super::cancel_hook::CancelHook;
use crate::base::call::{CallContext, Timeout};
use crate::base::error::{Error, Result};

/// Interval at which a wait that the cancel hook cannot end checks whether the call was cancelled.
pub(super) const CANCEL_POLL_INTERVAL: Duration = Duration::from_millis(50);

/// The phase of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ConnectionPhase {
    /// Waits for other DNS lookups, because their number is limited.
    DnsQueued,
    /// Waits for a DNS lookup.
    Dns,
    /// Waits for the TCP connection.
    Connect,
    /// Waits for the proxy to establish the tunnel.
    ProxyTunnel,
    /// Performs the TLS handshake.
    TlsHandshake,
    /// Sends requests and receives responses.
    Established,
}

impl ConnectionPhase {
    /// Describes a timeout of a DNS lookup or of a connect; `None` in a later phase.
    #[must_use]
    pub fn connect_timeout_text(self, (host, port): (&str, u16), limit: &Timeout) -> Option<String> {
        match self {
            Self::DnsQueued => Some(format!(
                "DNS lookup of {host} timed out after {limit} waiting for other pending lookups"
            )),
            Self::Dns => Some(format!(
                "DNS lookup of {host} timed out after {limit}; check the DNS configuration of this machine"
            )),
            Self::Connect => {
                Some(format!("connecting to {host}:{port} timed out after {limit}; no reply was received"))
            }
            Self::ProxyTunnel | Self::TlsHandshake | Self::Established => None,
        }
    }
}

/// The operation for which a socket is used, and its errors. Used by one thread.
pub trait SocketContext {
    /// The call with its log.
    fn call(&self) -> &CallContext;

    /// The cancel hook of the operation.
    fn cancel_hook(&self) -> &CancelHook;

    /// Host and port that a TCP socket connects to.
    fn connect_target(&self) -> (&str, u16);

    /// Records the phase, for the text of a timeout.
    fn set_phase(&self, phase: ConnectionPhase);

    /// Checks whether the operation may go on.
    ///
    /// # Errors
    /// After a fork, a cancel or the deadline.
    fn check(&self) -> Result<()>;

    /// Returns the remaining time, at most `limit`. Never zero, because a wait of zero would not block.
    fn remaining(&self, limit: Duration) -> Duration;

    /// The error of a failed DNS lookup.
    fn resolve_error(&self, text: String) -> Error;

    /// The error of a failed connect.
    fn connect_error(&self, text: &str) -> Error;
}
