//! TCP connect, read and write that end at the call's deadline or when the call is cancelled.
//!
//! Sockets are non-blocking. Every wait is a poll for at most the remaining time of the call, and is
//! registered with the call's cancel hook.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::{Duration, Instant};

use socket2::{Domain, Protocol, SockRef, Type};
use ureq::unversioned::transport::NextTimeout;

use crate::base::error::{Error, Result, io_error_text};
use crate::base::log::LogLevel;
use crate::net::http::dns::DnsResolver;
use crate::net::http::error::wrap_error;
use crate::net::http::request_context::{CANCEL_POLL_INTERVAL, RequestContext, RequestPhase, SharedStream};
use crate::sys::{self, ForkSafe, PollFd};

/// Maximum duration of one poll. It can be long, because the shutdown by the cancel hook ends the poll.
const MAX_POLL: Duration = Duration::from_secs(3600);

/// Time after which the next address is tried while earlier attempts are pending (RFC 8305 section 5,
/// Connection Attempt Delay).
const ATTEMPT_DELAY: Duration = Duration::from_millis(250);

/// Minimum of that time, which applies if the deadline of the call does not allow [`ATTEMPT_DELAY`] for each
/// address. RFC 8305 recommends no less.
const MIN_ATTEMPT_DELAY: Duration = Duration::from_millis(100);

/// Maximum number of addresses that are tried. Each pending attempt has an open socket.
const MAX_ADDRESSES: usize = 32;

/// Maximum time for which sent data may stay unacknowledged (TCP_USER_TIMEOUT, RFC 5482).
#[cfg(any(target_os = "linux", target_os = "android"))]
const MAX_UNACKNOWLEDGED: Duration = Duration::from_secs(10);

/// Why a connect, read or write failed.
pub(super) enum StreamError {
    /// The call ended: its deadline, a cancel or a fork.
    Call(Error),
    /// The socket failed.
    Socket(io::Error),
}

impl From<Error> for StreamError {
    fn from(error: Error) -> Self {
        Self::Call(error)
    }
}

impl From<io::Error> for StreamError {
    fn from(error: io::Error) -> Self {
        Self::Socket(error)
    }
}

/// Opens TCP connections. It resolves host names itself, because ureq calls its resolver even if an idle
/// connection is available.
pub(super) struct TcpConnector(pub(super) DnsResolver);

impl TcpConnector {
    /// Connects to the host of the request, or to its proxy if there is one.
    pub(super) fn connect(&self, context: &RequestContext) -> Result<SharedStream> {
        context.set_phase(RequestPhase::Dns);
        let (host, port) = context.connect_target();
        let addresses = self.0.resolve(host, port, context)?;
        context.set_phase(RequestPhase::Connect);
        let stream = ConnectAttempts::new(&addresses, context).race()?;
        context.mark_connected();
        let stream = Arc::new(stream);
        apply_tcp_user_timeout(&stream);
        Ok(stream)
    }
}

/// The connection attempts to the addresses of one host (RFC 8305, Happy Eyeballs). They overlap, so that an
/// address that does not reply delays the connection by [`ATTEMPT_DELAY`] only.
struct ConnectAttempts<'a> {
    context: &'a RequestContext,
    untried: &'a [SocketAddr],
    pending: Vec<(SocketAddr, ForkSafe<TcpStream>)>,
    /// When to try the next address, unless an attempt fails earlier.
    next_start: Instant,
    failures: Vec<String>,
}

impl<'a> ConnectAttempts<'a> {
    fn new(addresses: &'a [SocketAddr], context: &'a RequestContext) -> Self {
        let untried = addresses.get(..MAX_ADDRESSES).unwrap_or(addresses);
        Self { context, untried, pending: Vec::new(), next_start: Instant::now(), failures: Vec::new() }
    }

    /// Returns the first connection that is established. The other attempts end when `self` is dropped.
    fn race(mut self) -> Result<ForkSafe<TcpStream>> {
        loop {
            self.context.check()?;
            if let Some(stream) = self.take_connected() {
                return Ok(stream);
            }
            match self.time_until_next_start() {
                Some(Duration::ZERO) => self.start_next(),
                None if self.pending.is_empty() => return Err(self.error()),
                limit => self.wait(limit.unwrap_or(CANCEL_POLL_INTERVAL))?,
            }
        }
    }

    /// Removes the failed attempts, and returns the connection of an attempt that succeeded.
    fn take_connected(&mut self) -> Option<ForkSafe<TcpStream>> {
        let mut index = 0;
        while let Some((_, stream)) = self.pending.get(index) {
            match is_connected(stream) {
                Ok(true) => return Some(self.pending.swap_remove(index).1),
                Ok(false) => index = index.saturating_add(1),
                Err(error) => {
                    let (address, _) = self.pending.remove(index);
                    self.add_failure(address, &error);
                }
            }
        }
        None
    }

    /// Records a failed attempt. The next address is tried at once.
    fn add_failure(&mut self, address: SocketAddr, error: &io::Error) {
        self.failures.push(format!("{address}: {}", io_error_text(error)));
        self.next_start = Instant::now();
    }

    /// Returns `None` if all addresses were tried.
    fn time_until_next_start(&self) -> Option<Duration> {
        (!self.untried.is_empty()).then(|| self.next_start.saturating_duration_since(Instant::now()))
    }

    fn start_next(&mut self) {
        let Some((address, untried)) = self.untried.split_first() else { return };
        self.untried = untried;
        let (host, _) = self.context.connect_target();
        self.context.call.log.log(LogLevel::Trace, || format!("connecting to {host} at {address}"));
        match start_connect(*address) {
            Ok(stream) => {
                self.pending.push((*address, stream));
                let now = Instant::now();
                self.next_start = now.checked_add(self.attempt_delay()).unwrap_or(now);
            }
            Err(error) => self.add_failure(*address, &error),
        }
    }

    /// The time for the attempt that was started last: [`ATTEMPT_DELAY`], or less if the call's deadline is
    /// close.
    fn attempt_delay(&self) -> Duration {
        let attempts = u32::try_from(self.untried.len()).unwrap_or(u32::MAX).saturating_add(1);
        let share = self.context.call.deadline.remaining().and_then(|time| time.checked_div(attempts));
        share.map_or(ATTEMPT_DELAY, |share| share.clamp(MIN_ATTEMPT_DELAY, ATTEMPT_DELAY))
    }

    /// Waits until an attempt may have ended, for at most `limit`.
    fn wait(&self, limit: Duration) -> Result<()> {
        let sockets: Vec<_> = self.pending.iter().map(|(_, stream)| PollFd::writable(&**stream)).collect();
        let limit = self.context.remaining(limit.min(CANCEL_POLL_INTERVAL));
        sys::wait_any(&sockets, limit).map_err(|error| {
            self.context.connect_error(&format!("cannot connect: {}", io_error_text(&error)))
        })?;
        Ok(())
    }

    fn error(&self) -> Error {
        self.context.connect_error(&format!("cannot connect: {}", self.failures.join("; ")))
    }
}

/// Limits the time for which sent data may stay unacknowledged; TCP's default is about 15 minutes. Set after
/// the connect, which has timeouts of its own.
fn apply_tcp_user_timeout(stream: &SharedStream) {
    // Best effort: without the option, the default of the operating system applies.
    #[cfg(any(target_os = "linux", target_os = "android"))]
    let _ = SockRef::from(&***stream).set_tcp_user_timeout(Some(MAX_UNACKNOWLEDGED));
    #[cfg(not(any(target_os = "linux", target_os = "android")))]
    let _ = stream;
}

fn start_connect(address: SocketAddr) -> io::Result<ForkSafe<TcpStream>> {
    let socket = socket2::Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_nonblocking(true)?;
    socket.set_tcp_nodelay(true)?;
    // Registered with the fork handler before it connects.
    let stream = ForkSafe::new(TcpStream::from(socket));
    match SockRef::from(&*stream).connect(&address.into()) {
        Err(error) if !is_connect_in_progress(&error) => Err(error),
        _ => Ok(stream),
    }
}

fn is_connect_in_progress(error: &io::Error) -> bool {
    #[cfg(unix)]
    if error.raw_os_error() == Some(libc::EINPROGRESS) {
        return true;
    }
    matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted)
}

/// Whether a connect has completed; an error if it failed.
fn is_connected(stream: &TcpStream) -> io::Result<bool> {
    match stream.take_error()? {
        Some(error) => Err(error),
        None => Ok(stream.peer_addr().is_ok()),
    }
}

/// A stream whose reads and writes observe the deadline and cancel of the current thread's
/// [`RequestContext`]. The crate's own error, such as a timeout, is boxed in the `io::Error`.
pub(super) struct TimedStream(pub(super) SharedStream);

impl TimedStream {
    /// Whether this process owns the socket and there is nothing to read. Unsolicited bytes and an end of the
    /// stream both make an idle connection unusable.
    pub(super) fn is_idle(&self) -> bool {
        self.0.is_current_process()
            && matches!(self.0.peek(&mut [0]), Err(error) if error.kind() == io::ErrorKind::WouldBlock)
    }

    /// Calls `operation` until it returns something other than `WouldBlock`; `wait` polls the socket.
    fn poll_until_ready(
        &self,
        operation: impl FnMut(&TcpStream) -> io::Result<usize>,
        wait: impl Fn(&TcpStream, Duration) -> io::Result<bool>,
    ) -> io::Result<usize> {
        let context = RequestContext::current()?;
        poll_io(&self.0, &context, operation, wait).map_err(|error| match error {
            StreamError::Call(error) => wrap_error(error).into_io(),
            StreamError::Socket(error) => {
                context.unclean_close.set(true);
                error
            }
        })
    }
}

impl Read for TimedStream {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.poll_until_ready(|mut stream| stream.read(buffer), sys::wait_readable)
    }
}

impl Write for TimedStream {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.poll_until_ready(|mut stream| stream.write(bytes), sys::wait_writable)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Like [`TimedStream::poll_until_ready`], with the context as a parameter.
pub(super) fn poll_io(
    stream: &SharedStream,
    context: &RequestContext,
    mut operation: impl FnMut(&TcpStream) -> io::Result<usize>,
    wait: impl Fn(&TcpStream, Duration) -> io::Result<bool>,
) -> std::result::Result<usize, StreamError> {
    loop {
        context.check()?;
        match operation(stream) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                context.with_cancel_hook(stream, || wait(stream, context.remaining(MAX_POLL)))??;
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            outcome => return Ok(outcome?),
        }
    }
}

/// An implementation of ureq's resolver trait that returns no addresses: [`TcpConnector`] resolves host
/// names.
#[derive(Debug)]
pub(super) struct NoResolver;

impl ureq::unversioned::resolver::Resolver for NoResolver {
    fn resolve(
        &self,
        _: &ureq::http::Uri,
        _: &ureq::config::Config,
        _: NextTimeout,
    ) -> std::result::Result<ureq::unversioned::resolver::ResolvedSocketAddrs, ureq::Error> {
        Ok(self.empty())
    }
}
