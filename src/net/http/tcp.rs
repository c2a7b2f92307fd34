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
use crate::sys::{self, ForkSafeSocket};

/// Maximum duration of one poll. It can be long, because the shutdown by the cancel hook ends the poll.
const MAX_POLL: Duration = Duration::from_secs(3600);

/// Connect timeout for one of several addresses if the call has no deadline.
const PER_ADDRESS_TIMEOUT: Duration = Duration::from_secs(20);

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
        let mut failures = Vec::new();
        let mut untried = addresses.as_slice();
        while let Some((address, remaining_addresses)) = untried.split_first() {
            context.call.log.log(LogLevel::Trace, || format!("connecting to {host} at {address}"));
            match connect_address(*address, address_timeout(context, remaining_addresses.len()), context) {
                Ok(stream) => {
                    context.mark_connected();
                    apply_tcp_user_timeout(&stream);
                    return Ok(stream);
                }
                Err(StreamError::Socket(error)) => {
                    failures.push(format!("{address}: {}", io_error_text(&error)));
                }
                Err(StreamError::Call(error)) => return Err(error),
            }
            untried = remaining_addresses;
        }
        let text = format!("cannot connect: {}", failures.join("; "));
        Err(context.connect_error(&text))
    }
}

/// Returns the timeout for one address: half of the remaining time if other addresses follow, else all of it.
fn address_timeout(context: &RequestContext, remaining_addresses: usize) -> Option<Duration> {
    match (context.call.deadline.remaining(), remaining_addresses) {
        (remaining, 0) => remaining,
        (Some(remaining), _) => remaining.checked_div(2),
        (None, _) => Some(PER_ADDRESS_TIMEOUT),
    }
}

/// Connects to one address.
fn connect_address(
    address: SocketAddr,
    limit: Option<Duration>,
    context: &RequestContext,
) -> std::result::Result<SharedStream, StreamError> {
    let stream = start_connect(address)?;
    let started = Instant::now();
    loop {
        context.check()?;
        if limit.is_some_and(|limit| started.elapsed() >= limit) {
            return Err(io::Error::new(io::ErrorKind::TimedOut, "no reply").into());
        }
        if wait_connected(&stream, context.remaining(CANCEL_POLL_INTERVAL))? {
            return Ok(Arc::new(stream));
        }
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

fn start_connect(address: SocketAddr) -> io::Result<ForkSafeSocket<TcpStream>> {
    let socket = socket2::Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_nonblocking(true)?;
    socket.set_tcp_nodelay(true)?;
    // Registered with the fork handler before it connects.
    let stream = ForkSafeSocket::new(TcpStream::from(socket));
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

fn wait_connected(stream: &ForkSafeSocket<TcpStream>, limit: Duration) -> io::Result<bool> {
    if !sys::wait_writable(&**stream, limit)? {
        return Ok(false);
    }
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
