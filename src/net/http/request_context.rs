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

use super::{Request, Reuse};
use crate::base::call::{CallContext, Wake, cancelled_error};
use crate::base::error::{Error, Result, Status};
use crate::net::proxy::Proxy;
use crate::sys::{self, ForkSafeSocket};

/// The longest that a wait goes on without asking whether the call was cancelled, where nothing wakes it.
pub(super) const SLICE: Duration = Duration::from_millis(50);

/// The longest that a repeatable request waits for the first byte on an idle connection: longer than token endpoints take, and
/// much shorter than what a path that has died costs (a suspended machine, a forgetful firewall).
const MAX_SILENCE: Duration = Duration::from_secs(5);

/// The most that is read of one answer: twice what its body may have, for headers and for how the body is cut into chunks.
const MAX_RECEIVED: u64 = 2 << 20;

thread_local! {
    /// Without a destructor, so that it can be used in those of other thread-local data, and in atexit handlers. Nothing is
    /// leaked: [`Entered`] leaves nothing in it.
    static CURRENT: ManuallyDrop<RefCell<Option<Rc<Exchange>>>> =
        const { ManuallyDrop::new(RefCell::new(None)) };
}

/// A connected (or connecting) socket: non-blocking, and closed in a child by the fork handler.
pub(super) type Line = Arc<ForkSafeSocket<TcpStream>>;

/// How far a request is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stage {
    /// Other lookups take up all the room for them.
    Queueing,
    LookingUp,
    Connecting,
    /// A proxy is to open the way.
    Tunnelling,
    Handshaking,
    /// The connection stands: the request goes out, the answer comes in.
    Talking,
}

/// One request of one call.
pub(super) struct Exchange {
    pub(super) call: CallContext,
    pub(super) host: String,
    pub(super) port: u16,
    /// Who stands on the way.
    pub(super) proxy: Option<Proxy>,
    pub(super) started: Instant,
    generation: u64,
    stage: Cell<Stage>,
    connected: Cell<Option<Duration>>,
    sent: Cell<Option<Instant>>,
    reuse: Reuse,
    received: Cell<u64>,
    /// Whether a connection ended without the other side's word for it: a body that only its end delimits is not whole.
    pub(super) truncated: Cell<bool>,
    hook: Arc<Hook>,
}

impl Exchange {
    /// Fails if the call was cancelled already.
    pub(super) fn new(call: CallContext, request: &Request<'_>, proxy: Option<Proxy>) -> Result<Self> {
        let hook = Arc::default();
        call.on_cancel(&hook)?;
        Ok(Self {
            call,
            host: request.url.host().to_owned(),
            port: request.url.port(),
            proxy,
            started: Instant::now(),
            generation: sys::generation(),
            stage: Cell::new(Stage::Talking),
            connected: Cell::new(None),
            sent: Cell::new(None),
            reuse: request.reuse,
            received: Cell::new(0),
            truncated: Cell::new(false),
            hook,
        })
    }

    /// The exchange of this thread.
    pub(super) fn current() -> io::Result<Rc<Self>> {
        CURRENT
            .with(|current| current.borrow().clone())
            .ok_or_else(|| io::Error::other("no request is on its way on this thread"))
    }

    /// Makes this the exchange of this thread.
    pub(super) fn enter(self: &Rc<Self>) -> Entered {
        Entered(CURRENT.with(|current| current.replace(Some(Rc::clone(self)))))
    }

    pub(super) fn reached(&self, stage: Stage) {
        self.stage.set(stage);
    }

    /// There is a connection to the first stop.
    pub(super) fn arrived(&self) {
        self.connected.set(Some(self.started.elapsed()));
    }

    /// Where the socket leads: to the proxy, or to the host itself.
    pub(super) fn first_stop(&self) -> (&str, u16) {
        match &self.proxy {
            Some(proxy) => (&proxy.host, proxy.port),
            None => (&self.host, self.port),
        }
    }

    /// The request is going out. Noted beforehand: a server may end the connection in the middle of it.
    pub(super) fn sending(&self) {
        self.sent.set(self.sent.get().or_else(|| Some(Instant::now())));
    }

    /// Whether any of the request went out.
    pub(super) fn sent(&self) -> bool {
        self.sent.get().is_some()
    }

    pub(super) fn reuse(&self) -> Reuse {
        self.reuse
    }

    /// Counts what came.
    ///
    /// # Errors
    /// [`Status::BadResponse`] beyond what any answer needs: a body has its own limit, but chunk extensions, trailers and
    /// informational answers have none.
    pub(super) fn count(&self, bytes: usize) -> Result<()> {
        let more = u64::try_from(bytes).unwrap_or(u64::MAX);
        let received = self.received.get().saturating_add(more);
        self.received.set(received);
        if received > MAX_RECEIVED {
            let text = format!("{}: the answer is longer than 2 MiB, with all that belongs to it", self.host);
            return Err(Error::new(Status::BadResponse, "network", text));
        }
        Ok(())
    }

    pub(super) fn received(&self) -> u64 {
        self.received.get()
    }

    /// Whether the connection was there before this request: no connector ran.
    pub(super) fn kept(&self) -> bool {
        self.connected.get().is_none() && self.stage.get() == Stage::Talking
    }

    /// Whether a connection was opened for this request.
    pub(super) fn is_connected(&self) -> bool {
        self.connected.get().is_some()
    }

    /// How long an idle connection may still stay silent, where that matters: at most half of what the call had left.
    fn silence_left(&self) -> Option<Duration> {
        let sent = self.sent.get().filter(|_| self.reuse == Reuse::Repeatable)?;
        if !self.kept() || self.received() > 0 {
            return None;
        }
        let elapsed = sent.elapsed();
        let had = self.call.deadline.remaining().map(|left| left.saturating_add(elapsed));
        let limit = had.and_then(|had| had.checked_div(2)).map_or(MAX_SILENCE, |half| MAX_SILENCE.min(half));
        Some(limit.saturating_sub(elapsed))
    }

    /// Whether this is still the process that began it.
    pub(super) fn is_ours(&self) -> bool {
        self.generation == sys::generation()
    }

    /// An error once there is no point in going on.
    pub(super) fn check(&self) -> Result<()> {
        if !self.is_ours() {
            return Err(
                self.error(Status::Network, "this process was forked off in the middle of the request")
            );
        }
        if self.call.cancel.is_cancelled() {
            return Err(cancelled_error());
        }
        if self.call.deadline.is_past() {
            return Err(self.timeout());
        }
        if self.silence_left() == Some(Duration::ZERO) {
            return Err(self.error(Status::Network, "no answer came on the idle connection that was reused"));
        }
        Ok(())
    }

    /// What is left of the call, at most `limit`; not zero, which would be no wait at all.
    pub(super) fn left(&self, limit: Duration) -> Duration {
        let left = self.call.deadline.remaining().unwrap_or(limit);
        left.min(self.silence_left().unwrap_or(limit)).min(limit).max(Duration::from_millis(1))
    }

    /// Runs `wait`, which blocks on `line`; a cancel of this call ends it by shutting that line down.
    pub(super) fn blocked_on<T>(&self, line: &Line, wait: impl FnOnce() -> T) -> Result<T> {
        self.hook.attach(line)?;
        let result = wait();
        self.hook.detach()?;
        Ok(result)
    }

    pub(super) fn error(&self, status: Status, text: &str) -> Error {
        Error::new(status, "network", format!("{}:{}: {text}", self.host, self.port))
    }

    /// The connection to the first stop is at fault.
    pub(super) fn error_at_first_stop(&self, text: &str) -> Error {
        match &self.proxy {
            Some(proxy) => Error::new(Status::Network, "network", format!("{proxy}: {text}")),
            None => self.error(Status::Network, text),
        }
    }

    /// The deadline has passed; says how far it got.
    fn timeout(&self) -> Error {
        let (host, limit) = (&self.host, &self.call.timeout);
        let (stop, port) = self.first_stop();
        let connected = match self.connected.get() {
            Some(after) => format!("connected after {} ms", after.as_millis()),
            None => "on a connection kept from before".to_owned(),
        };
        let text = match self.stage.get() {
            Stage::Queueing => format!(
                "looking up {stop} could not begin within {limit}: other lookups of this process, which nobody has \
                 answered yet, are in the way"
            ),
            Stage::LookingUp => {
                format!("looking up {stop} gave no address within {limit}; check the DNS of this machine")
            }
            Stage::Connecting => {
                format!("could not connect to {stop}:{port} within {limit}; nothing answered there")
            }
            Stage::Tunnelling => format!(
                "no way to {host} within {limit}; {connected}, then the proxy {stop}:{port} did not open it"
            ),
            Stage::Handshaking => {
                format!(
                    "no answer from {host} within {limit}; {connected}, then the TLS handshake did not end"
                )
            }
            Stage::Talking if self.received() == 0 => {
                format!("no answer from {host} within {limit}; {connected}, then nothing was received")
            }
            Stage::Talking => format!(
                "no full answer from {host} within {limit}; {connected}, then {} bytes were received",
                self.received()
            ),
        };
        self.call.timeout_error_with(&text)
    }
}

/// Ends the thread's exchange when dropped; the one around it, if any, is the thread's again.
pub(super) struct Entered(Option<Rc<Exchange>>);

impl Drop for Entered {
    fn drop(&mut self) {
        let before = self.0.take();
        CURRENT.with(|current| current.replace(before));
    }
}

/// What a cancel pulls at: the line that this call blocks on, and only while it does. A line outlives its call in the
/// pool, and a late cancel must not end the request of another call there.
#[derive(Default)]
struct Hook(Mutex<Hooked>);

#[derive(Default)]
struct Hooked {
    cancelled: bool,
    line: Option<Line>,
}

impl Hook {
    fn lock(&self) -> MutexGuard<'_, Hooked> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn attach(&self, line: &Line) -> Result<()> {
        let mut hooked = self.lock();
        if hooked.cancelled {
            return Err(cancelled_error());
        }
        hooked.line = Some(Arc::clone(line));
        Ok(())
    }

    fn detach(&self) -> Result<()> {
        let mut hooked = self.lock();
        hooked.line = None;
        if hooked.cancelled { Err(cancelled_error()) } else { Ok(()) }
    }
}

impl Wake for Hook {
    fn wake(&self) {
        let mut hooked = self.lock();
        hooked.cancelled = true;
        if let Some(line) = &hooked.line {
            // An error means that the connection has ended already.
            let _ = line.shutdown(Shutdown::Both);
        }
    }
}
