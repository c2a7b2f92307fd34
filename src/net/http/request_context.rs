//! State of a running request: its call, its progress, and the cancel hook that shuts down the socket it
//! blocks on.
//!
//! ureq has no parameter for such state, and its pooled connections are used by several calls. The context is
//! therefore stored in a thread-local while a [`ContextGuard`] exists: a request runs on its caller's thread
//! alone.

use std::cell::{Cell, RefCell};
use std::io;
use std::mem::ManuallyDrop;
use std::net::{Shutdown, TcpStream};
use std::rc::Rc;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::base::call::{CallContext, Wake, cancelled_error};
use crate::base::error::{Error, ErrorKind, NetworkError, Result};
use crate::net::http::request::{ConnectionReuse, Request};
use crate::net::proxy::Proxy;
use crate::sys::{self, ForkSafe};

/// Interval at which a wait that the cancel hook cannot end checks whether the call was cancelled.
pub(super) const CANCEL_POLL_INTERVAL: Duration = Duration::from_millis(50);

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

/// A connected or connecting socket. It is non-blocking, and the fork handler closes it in a child.
pub(super) type SharedStream = Arc<ForkSafe<TcpStream>>;

/// The phase of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum RequestPhase {
    /// Waits for other DNS lookups, because their number is limited.
    DnsQueued,
    Dns,
    Connect,
    /// Waits for the proxy to establish the tunnel.
    ProxyTunnel,
    TlsHandshake,
    /// Connected: sends the request and receives the response.
    Http,
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
    phase: Cell<RequestPhase>,
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
        let cancel_hook = Arc::default();
        call.on_cancel(&cancel_hook)?;
        Ok(Self {
            call,
            host: request.url.host().to_owned(),
            port: request.url.port(),
            proxy,
            started_at: Instant::now(),
            generation: sys::generation(),
            phase: Cell::new(RequestPhase::Http),
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

    pub(super) fn set_phase(&self, phase: RequestPhase) {
        self.phase.set(phase);
    }

    /// Records that the connection to [`Self::connect_target`] is established.
    pub(super) fn mark_connected(&self) {
        self.connected_after.set(Some(self.started_at.elapsed()));
    }

    /// Host and port that the socket connects to: the proxy, or else the host of the request.
    pub(super) fn connect_target(&self) -> (&str, u16) {
        match &self.proxy {
            Some(proxy) => (&proxy.host, proxy.port),
            None => (&self.host, self.port),
        }
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
        self.connected_after.get().is_none() && self.phase.get() == RequestPhase::Http
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

    /// Fails if the request must end: after a fork, a cancel, the deadline or the first-byte timeout.
    pub(super) fn check(&self) -> Result<()> {
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

    /// Returns the remaining time of the call, at most `limit`. Never zero, because a wait of zero would not
    /// block.
    pub(super) fn remaining(&self, limit: Duration) -> Duration {
        let remaining = self.call.deadline.remaining().unwrap_or(limit);
        remaining
            .min(self.remaining_first_byte_timeout().unwrap_or(limit))
            .min(limit)
            .max(Duration::from_millis(1))
    }

    /// Runs `wait`, which blocks on `stream`. A cancel of the call ends the wait by shutting the stream down.
    pub(super) fn with_cancel_hook<T>(&self, stream: &SharedStream, wait: impl FnOnce() -> T) -> Result<T> {
        self.cancel_hook.attach(stream)?;
        let result = wait();
        self.cancel_hook.detach()?;
        Ok(result)
    }

    pub(super) fn error(&self, kind: impl Into<ErrorKind>, text: &str) -> Error {
        Error::new(kind, "network", format!("{}:{}: {text}", self.host, self.port))
    }

    /// Returns the error for a failed connection to [`Self::connect_target`].
    pub(super) fn connect_error(&self, text: &str) -> Error {
        match &self.proxy {
            Some(proxy) => Error::new(NetworkError::Connection, "network", format!("{proxy}: {text}")),
            None => self.error(NetworkError::Connection, text),
        }
    }

    /// Returns the timeout error, which names the phase that the request reached.
    fn timeout_error(&self) -> Error {
        let (host, limit) = (&self.host, &self.call.timeout);
        let (target_host, port) = self.connect_target();
        let connected = match self.connected_after.get() {
            Some(after) => format!("connected after {} ms", after.as_millis()),
            None => "on a reused connection".to_owned(),
        };
        let text = match self.phase.get() {
            RequestPhase::DnsQueued => format!(
                "DNS lookup of {target_host} timed out after {limit} waiting for other pending lookups"
            ),
            RequestPhase::Dns => {
                format!(
                    "DNS lookup of {target_host} timed out after {limit}; check the DNS \
                     configuration of this machine"
                )
            }
            RequestPhase::Connect => {
                format!("connecting to {target_host}:{port} timed out after {limit}; no reply was received")
            }
            RequestPhase::ProxyTunnel => format!(
                "the proxy {target_host}:{port} did not establish a tunnel to {host} within {limit}; \
                 {connected}"
            ),
            RequestPhase::TlsHandshake => {
                format!("the TLS handshake with {host} did not complete within {limit}; {connected}")
            }
            RequestPhase::Http if self.received_bytes() == 0 => {
                format!("no response from {host} within {limit}; {connected}, nothing received")
            }
            RequestPhase::Http => format!(
                "incomplete response from {host} within {limit}; {connected}, {} bytes received",
                self.received_bytes()
            ),
        };
        self.call.timeout_error_with(&text)
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

/// Shuts down the stream that the call blocks on when the call is cancelled. The stream is attached only
/// during a wait: it outlives the call in the pool, and a late cancel must not end another call's request.
#[derive(Default)]
struct CancelHook(Mutex<CancelHookState>);

#[derive(Default)]
struct CancelHookState {
    cancelled: bool,
    stream: Option<SharedStream>,
}

impl CancelHook {
    fn lock(&self) -> MutexGuard<'_, CancelHookState> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn attach(&self, stream: &SharedStream) -> Result<()> {
        let mut state = self.lock();
        if state.cancelled {
            return Err(cancelled_error());
        }
        state.stream = Some(Arc::clone(stream));
        Ok(())
    }

    fn detach(&self) -> Result<()> {
        let mut state = self.lock();
        state.stream = None;
        if state.cancelled { Err(cancelled_error()) } else { Ok(()) }
    }
}

impl Wake for CancelHook {
    fn wake(&self) {
        let mut state = self.lock();
        state.cancelled = true;
        if let Some(stream) = &state.stream {
            // An error means that the connection is already closed.
            let _ = stream.shutdown(Shutdown::Both);
        }
    }
}
