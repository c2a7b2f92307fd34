//! One request on its way: whose call it is, how far it got, and how a cancel reaches the socket that it blocks on.
//!
//! ureq has no place for a caller's own state and keeps connections from one call to the next, so the exchange is
//! found through a thread-local: all of it blocks on the caller's thread, from [`Entered`] to its drop.

use std::cell::{Cell, RefCell};
use std::io;
use std::mem::ManuallyDrop;
use std::net::{Shutdown, TcpStream};
use std::rc::Rc;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::{ConnectionReuse, Request};
use crate::base::call::{CallContext, Wake, cancelled_error};
use crate::base::error::{Error, Result, Status};
use crate::net::proxy::Proxy;
use crate::sys::{self, ForkSafeSocket};

/// The longest that a wait goes on without asking whether the call was cancelled, where nothing wakes it.
pub(super) const CANCEL_POLL_INTERVAL: Duration = Duration::from_millis(50);

/// The longest that a repeatable request waits for the first byte on an idle connection: longer than token endpoints take, and
/// much shorter than what a path that has died costs (a suspended machine, a forgetful firewall).
const REUSED_FIRST_BYTE_TIMEOUT: Duration = Duration::from_secs(5);

/// The most that is read of one answer: twice what its body may have, for headers and for how the body is cut into chunks.
const MAX_RESPONSE_BYTES: u64 = 2 << 20;

thread_local! {
    /// Without a destructor, so that it can be used in those of other thread-local data, and in atexit handlers. Nothing is
    /// leaked: [`Entered`] leaves nothing in it.
    static CURRENT: ManuallyDrop<RefCell<Option<Rc<RequestContext>>>> =
        const { ManuallyDrop::new(RefCell::new(None)) };
}

/// A connected (or connecting) socket: non-blocking, and closed in a child by the fork handler.
pub(super) type SharedStream = Arc<ForkSafeSocket<TcpStream>>;

/// How far a request is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum RequestPhase {
    /// Other lookups take up all the room for them.
    DnsQueued,
    Dns,
    Connect,
    /// A proxy is to open the way.
    ProxyTunnel,
    TlsHandshake,
    /// The connection stands: the request goes out, the answer comes in.
    Http,
}

/// One request of one call.
pub(super) struct RequestContext {
    pub(super) call: CallContext,
    pub(super) host: String,
    pub(super) port: u16,
    /// Who stands on the way.
    pub(super) proxy: Option<Proxy>,
    pub(super) started_at: Instant,
    generation: u64,
    phase: Cell<RequestPhase>,
    connected_after: Cell<Option<Duration>>,
    sent_at: Cell<Option<Instant>>,
    reuse: ConnectionReuse,
    received_bytes: Cell<u64>,
    /// Whether a connection ended without the other side's word for it: a body that only its end delimits is not whole.
    pub(super) unclean_close: Cell<bool>,
    cancel_hook: Arc<CancelHook>,
}

impl RequestContext {
    /// Fails if the call was cancelled already.
    pub(super) fn new(call: CallContext, request: &Request<'_>, proxy: Option<Proxy>) -> Result<Self> {
        let hook = Arc::default();
        call.on_cancel(&hook)?;
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
            cancel_hook: hook,
        })
    }

    /// The exchange of this thread.
    pub(super) fn current() -> io::Result<Rc<Self>> {
        CURRENT
            .with(|current| current.borrow().clone())
            .ok_or_else(|| io::Error::other("no request is on its way on this thread"))
    }

    /// Makes this the exchange of this thread.
    pub(super) fn enter(self: &Rc<Self>) -> ContextGuard {
        ContextGuard(CURRENT.with(|current| current.replace(Some(Rc::clone(self)))))
    }

    pub(super) fn set_phase(&self, stage: RequestPhase) {
        self.phase.set(stage);
    }

    /// There is a connection to the first stop.
    pub(super) fn mark_connected(&self) {
        self.connected_after.set(Some(self.started_at.elapsed()));
    }

    /// Where the socket leads: to the proxy, or to the host itself.
    pub(super) fn connect_target(&self) -> (&str, u16) {
        match &self.proxy {
            Some(proxy) => (&proxy.host, proxy.port),
            None => (&self.host, self.port),
        }
    }

    /// The request is going out. Noted beforehand: a server may end the connection in the middle of it.
    pub(super) fn mark_sent(&self) {
        self.sent_at.set(self.sent_at.get().or_else(|| Some(Instant::now())));
    }

    /// Whether any of the request went out.
    pub(super) fn has_sent(&self) -> bool {
        self.sent_at.get().is_some()
    }

    pub(super) fn reuse(&self) -> ConnectionReuse {
        self.reuse
    }

    /// Counts what came.
    ///
    /// # Errors
    /// [`Status::BadResponse`] beyond what any answer needs: a body has its own limit, but chunk extensions, trailers and
    /// informational answers have none.
    pub(super) fn add_received(&self, bytes: usize) -> Result<()> {
        let more = u64::try_from(bytes).unwrap_or(u64::MAX);
        let received = self.received_bytes.get().saturating_add(more);
        self.received_bytes.set(received);
        if received > MAX_RESPONSE_BYTES {
            let text = format!("{}: the answer is longer than 2 MiB, with all that belongs to it", self.host);
            return Err(Error::new(Status::BadResponse, "network", text));
        }
        Ok(())
    }

    pub(super) fn received_bytes(&self) -> u64 {
        self.received_bytes.get()
    }

    /// Whether the connection was there before this request: no connector ran.
    pub(super) fn is_reused(&self) -> bool {
        self.connected_after.get().is_none() && self.phase.get() == RequestPhase::Http
    }

    /// Whether a connection was opened for this request.
    pub(super) fn has_opened_connection(&self) -> bool {
        self.connected_after.get().is_some()
    }

    /// How long an idle connection may still stay silent, where that matters: at most half of what the call had left.
    fn remaining_first_byte_timeout(&self) -> Option<Duration> {
        let sent = self.sent_at.get().filter(|_| self.reuse == ConnectionReuse::AllowWithRetry)?;
        if !self.is_reused() || self.received_bytes() > 0 {
            return None;
        }
        let elapsed = sent.elapsed();
        let had = self.call.deadline.remaining().map(|left| left.saturating_add(elapsed));
        let limit = had
            .and_then(|had| had.checked_div(2))
            .map_or(REUSED_FIRST_BYTE_TIMEOUT, |half| REUSED_FIRST_BYTE_TIMEOUT.min(half));
        Some(limit.saturating_sub(elapsed))
    }

    /// Whether this is still the process that began it.
    pub(super) fn is_current_process(&self) -> bool {
        self.generation == sys::generation()
    }

    /// An error once there is no point in going on.
    pub(super) fn check(&self) -> Result<()> {
        if !self.is_current_process() {
            return Err(
                self.error(Status::Network, "this process was forked off in the middle of the request")
            );
        }
        if self.call.cancel.is_cancelled() {
            return Err(cancelled_error());
        }
        if self.call.deadline.is_past() {
            return Err(self.timeout_error());
        }
        if self.remaining_first_byte_timeout() == Some(Duration::ZERO) {
            return Err(self.error(Status::Network, "no answer came on the idle connection that was reused"));
        }
        Ok(())
    }

    /// What is left of the call, at most `limit`; not zero, which would be no wait at all.
    pub(super) fn remaining(&self, limit: Duration) -> Duration {
        let left = self.call.deadline.remaining().unwrap_or(limit);
        left.min(self.remaining_first_byte_timeout().unwrap_or(limit))
            .min(limit)
            .max(Duration::from_millis(1))
    }

    /// Runs `wait`, which blocks on `line`; a cancel of this call ends it by shutting that line down.
    pub(super) fn with_cancel_hook<T>(&self, line: &SharedStream, wait: impl FnOnce() -> T) -> Result<T> {
        self.cancel_hook.attach(line)?;
        let result = wait();
        self.cancel_hook.detach()?;
        Ok(result)
    }

    pub(super) fn error(&self, status: Status, text: &str) -> Error {
        Error::new(status, "network", format!("{}:{}: {text}", self.host, self.port))
    }

    /// The connection to the first stop is at fault.
    pub(super) fn connect_error(&self, text: &str) -> Error {
        match &self.proxy {
            Some(proxy) => Error::new(Status::Network, "network", format!("{proxy}: {text}")),
            None => self.error(Status::Network, text),
        }
    }

    /// The deadline has passed; says how far it got.
    fn timeout_error(&self) -> Error {
        let (host, limit) = (&self.host, &self.call.timeout);
        let (stop, port) = self.connect_target();
        let connected = match self.connected_after.get() {
            Some(after) => format!("connected after {} ms", after.as_millis()),
            None => "on a connection kept from before".to_owned(),
        };
        let text = match self.phase.get() {
            RequestPhase::DnsQueued => format!(
                "looking up {stop} could not begin within {limit}: other lookups of this process, which nobody has \
                 answered yet, are in the way"
            ),
            RequestPhase::Dns => {
                format!("looking up {stop} gave no address within {limit}; check the DNS of this machine")
            }
            RequestPhase::Connect => {
                format!("could not connect to {stop}:{port} within {limit}; nothing answered there")
            }
            RequestPhase::ProxyTunnel => format!(
                "no way to {host} within {limit}; {connected}, then the proxy {stop}:{port} did not open it"
            ),
            RequestPhase::TlsHandshake => {
                format!(
                    "no answer from {host} within {limit}; {connected}, then the TLS handshake did not end"
                )
            }
            RequestPhase::Http if self.received_bytes() == 0 => {
                format!("no answer from {host} within {limit}; {connected}, then nothing was received")
            }
            RequestPhase::Http => format!(
                "no full answer from {host} within {limit}; {connected}, then {} bytes were received",
                self.received_bytes()
            ),
        };
        self.call.timeout_error_with(&text)
    }
}

/// Ends the thread's exchange when dropped; the one around it, if any, is the thread's again.
pub(super) struct ContextGuard(Option<Rc<RequestContext>>);

impl Drop for ContextGuard {
    fn drop(&mut self) {
        let before = self.0.take();
        CURRENT.with(|current| current.replace(before));
    }
}

/// What a cancel pulls at: the line that this call blocks on, and only while it does. A line outlives its call in the
/// pool, and a late cancel must not end the request of another call there.
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

    fn attach(&self, line: &SharedStream) -> Result<()> {
        let mut hooked = self.lock();
        if hooked.cancelled {
            return Err(cancelled_error());
        }
        hooked.stream = Some(Arc::clone(line));
        Ok(())
    }

    fn detach(&self) -> Result<()> {
        let mut hooked = self.lock();
        hooked.stream = None;
        if hooked.cancelled { Err(cancelled_error()) } else { Ok(()) }
    }
}

impl Wake for CancelHook {
    fn wake(&self) {
        let mut hooked = self.lock();
        hooked.cancelled = true;
        if let Some(line) = &hooked.stream {
            // An error means that the connection has ended already.
            let _ = line.shutdown(Shutdown::Both);
        }
    }
}
