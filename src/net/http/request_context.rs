//! State of a running request: its call, its progress, and its cancel hook.
//!
//! ureq has no parameter for such state, and its pooled connections are used by several calls. The context is
//! therefore stored in a thread-local while a [`ContextGuard`] exists: a request runs on its caller's thread
//! alone.

use std::cell::{Cell, RefCell};
use std::io;
use std::mem::ManuallyDrop;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::base::call::{CallContext, cancelled_error};
use crate::base::error::{Error, ErrorKind, NetworkError, Result};
use crate::net::http::request::{ConnectionReuse, Request};
use crate::net::proxy::Proxy;
use crate::net::socket::{CancelHook, ConnectionPhase, SocketContext};
use crate::sys;

/// Maximum time that a retryable request waits for the first byte on a reused connection. It is longer than
/// the response time of token endpoints and much shorter than the TCP timeout of a dead connection (after a
/// suspend of the machine, or if a firewall dropped the connection).
const REUSED_FIRST_BYTE_TIMEOUT: Duration = Duration::from_secs(5);

/// Maximum number of bytes read of one response: twice the body limit, to allow for headers and chunked
/// encoding.
const MAX_RESPONSE_BYTES: u64 = 2 << 20;

thread_local! {
    /// Has no destructor, so that it can be used in destructors of other thread-locals and in atexit
    /// handlers. Nothing is leaked, because [`ContextGuard`] resets it.
    static CURRENT: ManuallyDrop<RefCell<Option<Rc<RequestContext>>>> =
        const { ManuallyDrop::new(RefCell::new(None)) };
}

/// The state of one request of a call.
pub(super) struct RequestContext {
    pub(super) call: CallContext,
    pub(super) host: String,
    pub(super) port: u16,
    /// The proxy to connect through, if any.
    pub(super) proxy: Option<Proxy>,
    pub(super) started_at: Instant,
    generation: u64,
    phase: Cell<ConnectionPhase>,
    connected_after: Cell<Option<Duration>>,
    sent_at: Cell<Option<Instant>>,
    reuse: ConnectionReuse,
    received_bytes: Cell<u64>,
    /// Whether the connection ended without a proper close. A body that is delimited by the end of the
    /// connection is then truncated.
    pub(super) unclean_close: Cell<bool>,
    cancel_hook: Arc<CancelHook>,
}

impl RequestContext {
    /// Fails if the call is already cancelled.
    pub(super) fn new(call: CallContext, request: &Request<'_>, proxy: Option<Proxy>) -> Result<Self> {
        let cancel_hook = CancelHook::register(&call)?;
        Ok(Self {
            call,
            host: request.url.host().to_owned(),
            port: request.url.port(),
            proxy,
            started_at: Instant::now(),
            generation: sys::generation(),
            phase: Cell::new(ConnectionPhase::Established),
            connected_after: Cell::new(None),
            sent_at: Cell::new(None),
            reuse: request.reuse,
            received_bytes: Cell::new(0),
            unclean_close: Cell::new(false),
            cancel_hook,
        })
    }

    /// Returns the context of the current thread.
    pub(super) fn current() -> io::Result<Rc<Self>> {
        CURRENT
            .with(|current| current.borrow().clone())
            .ok_or_else(|| io::Error::other("no request context on this thread"))
    }

    /// Makes this the context of the current thread until the guard is dropped.
    pub(super) fn enter(self: &Rc<Self>) -> ContextGuard {
        ContextGuard(CURRENT.with(|current| current.replace(Some(Rc::clone(self)))))
    }

    /// Records that the connection to [`SocketContext::connect_target`] is established.
    pub(super) fn mark_connected(&self) {
        self.connected_after.set(Some(self.started_at.elapsed()));
    }

    /// Records that the request is sent. Called before sending, because the server may close the connection
    /// meanwhile.
    pub(super) fn mark_sent(&self) {
        self.sent_at.set(self.sent_at.get().or_else(|| Some(Instant::now())));
    }

    /// Whether sending the request has begun.
    pub(super) fn has_sent(&self) -> bool {
        self.sent_at.get().is_some()
    }

    pub(super) fn reuse(&self) -> ConnectionReuse {
        self.reuse
    }

    /// Counts received bytes.
    ///
    /// # Errors
    /// [`NetworkError::BadResponse`] above [`MAX_RESPONSE_BYTES`]. The body has a limit of its own, but chunk
    /// extensions, trailers and informational responses do not.
    pub(super) fn add_received(&self, bytes: usize) -> Result<()> {
        let more = u64::try_from(bytes).unwrap_or(u64::MAX);
        let received = self.received_bytes.get().saturating_add(more);
        self.received_bytes.set(received);
        if received > MAX_RESPONSE_BYTES {
            let text =
                format!("{}: the response exceeds the 2 MiB limit, headers and framing included", self.host);
            return Err(Error::new(NetworkError::BadResponse, "network", text));
        }
        Ok(())
    }

    pub(super) fn received_bytes(&self) -> u64 {
        self.received_bytes.get()
    }

    /// Whether the request uses a reused connection: the connector was not called.
    pub(super) fn is_reused(&self) -> bool {
        self.connected_after.get().is_none() && self.phase.get() == ConnectionPhase::Established
    }

    /// Whether a connection was opened for this request.
    pub(super) fn has_opened_connection(&self) -> bool {
        self.connected_after.get().is_some()
    }

    /// Returns the remaining time for the first byte on a reused connection if the request is retryable. The
    /// timeout is at most half of the time that the call had left when the request was sent.
    fn remaining_first_byte_timeout(&self) -> Option<Duration> {
        let sent = self.sent_at.get().filter(|_| self.reuse == ConnectionReuse::AllowWithRetry)?;
        if !self.is_reused() || self.received_bytes() > 0 {
            return None;
        }
        let elapsed = sent.elapsed();
        let initial = self.call.deadline.remaining().map(|remaining| remaining.saturating_add(elapsed));
        let limit = initial
            .and_then(|initial| initial.checked_div(2))
            .map_or(REUSED_FIRST_BYTE_TIMEOUT, |half| REUSED_FIRST_BYTE_TIMEOUT.min(half));
        Some(limit.saturating_sub(elapsed))
    }

    /// Whether this is the process that started the request, not a forked child.
    pub(super) fn is_current_process(&self) -> bool {
        self.generation == sys::generation()
    }

    pub(super) fn error(&self, kind: impl Into<ErrorKind>, text: &str) -> Error {
        Error::new(kind, "network", format!("{}:{}: {text}", self.host, self.port))
    }

    /// Returns the timeout error, which names the phase that the request reached.
    fn timeout_error(&self) -> Error {
        let (host, limit) = (&self.host, &self.call.timeout);
        let target @ (target_host, port) = self.connect_target();
        if let Some(text) = self.phase.get().connect_timeout_text(target, limit) {
            return self.call.timeout_error_with(&text);
        }
        let connected = match self.connected_after.get() {
            Some(after) => format!("connected after {} ms", after.as_millis()),
            None => "on a reused connection".to_owned(),
        };
        let text = match self.phase.get() {
            ConnectionPhase::ProxyTunnel => format!(
                "the proxy {target_host}:{port} did not establish a tunnel to {host} within {limit}; \
                 {connected}"
            ),
            ConnectionPhase::TlsHandshake => {
                format!("the TLS handshake with {host} did not complete within {limit}; {connected}")
            }
            ConnectionPhase::Established if self.received_bytes() == 0 => {
                format!("no response from {host} within {limit}; {connected}, nothing received")
            }
            _ => format!(
                "incomplete response from {host} within {limit}; {connected}, {} bytes received",
                self.received_bytes()
            ),
        };
        self.call.timeout_error_with(&text)
    }
}

impl SocketContext for RequestContext {
    fn call(&self) -> &CallContext {
        &self.call
    }

    fn cancel_hook(&self) -> &CancelHook {
        &self.cancel_hook
    }

    fn set_phase(&self, phase: ConnectionPhase) {
        self.phase.set(phase);
    }

    fn connect_target(&self) -> (&str, u16) {
        match &self.proxy {
            Some(proxy) => (&proxy.host, proxy.port),
            None => (&self.host, self.port),
        }
    }

    fn check(&self) -> Result<()> {
        if !self.is_current_process() {
            return Err(self.error(NetworkError::Connection, "the process forked during the request"));
        }
        if self.call.cancel.is_cancelled() {
            return Err(cancelled_error());
        }
        if self.call.deadline.is_past() {
            return Err(self.timeout_error());
        }
        if self.remaining_first_byte_timeout() == Some(Duration::ZERO) {
            return Err(
                self.error(NetworkError::Connection, "the server did not respond on the reused connection")
            );
        }
        Ok(())
    }

    fn remaining(&self, limit: Duration) -> Duration {
        let remaining = self.call.deadline.remaining().unwrap_or(limit);
        remaining
            .min(self.remaining_first_byte_timeout().unwrap_or(limit))
            .min(limit)
            .max(Duration::from_millis(1))
    }

    fn connect_error(&self, text: &str) -> Error {
        match &self.proxy {
            Some(proxy) => Error::new(NetworkError::Connection, "network", format!("{proxy}: {text}")),
            None => self.error(NetworkError::Connection, text),
        }
    }

    fn resolve_error(&self, text: String) -> Error {
        Error::new(NetworkError::Connection, "network", text)
    }
}

/// Restores the previous context of the thread, if any, when dropped.
pub(super) struct ContextGuard(Option<Rc<RequestContext>>);

impl Drop for ContextGuard {
    fn drop(&mut self) {
        let previous = self.0.take();
        CURRENT.with(|current| current.replace(previous));
    }
}
