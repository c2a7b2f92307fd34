//! TCP: a connect that a deadline and a cancel can end, and reads and writes that they can end too.
//!
//! The socket never blocks by itself; every wait is a poll of what is left of the call, hooked up for its cancel.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::{Duration, Instant};

use socket2::{Domain, Protocol, SockRef, Type};
use ureq::unversioned::transport::NextTimeout;

use crate::base::error::Result;
use crate::base::log::LogLevel;
use crate::net::http::dns::DnsResolver;
use crate::net::http::error::wrap_error;
use crate::net::http::proxy_tunnel;
use crate::net::http::request_context::{CANCEL_POLL_INTERVAL, RequestContext, RequestPhase, SharedStream};
use crate::sys::{self, ForkSafeSocket};

/// A wait that is woken by what it waits for, or by the cancel's shutdown; it needs no short slices.
const MAX_POLL: Duration = Duration::from_secs(3600);

/// How long one of several addresses may take where nothing bounds the call.
const PER_ADDRESS_TIMEOUT: Duration = Duration::from_secs(20);

/// How long what was sent may stay unacknowledged (TCP_USER_TIMEOUT, RFC 5482).
#[cfg(any(target_os = "linux", target_os = "android"))]
const MAX_UNACKNOWLEDGED: Duration = Duration::from_secs(10);

/// Opens connections. The lookup is here and not in ureq's resolver, which is asked even when a kept connection is
/// at hand.
pub(super) struct TcpConnector(pub(super) DnsResolver);

impl TcpConnector {
    /// A line to the exchange's host, through its proxy where there is one.
    pub(super) fn connect(&self, exchange: &RequestContext) -> Result<SharedStream> {
        exchange.set_phase(RequestPhase::Dns);
        let (host, port) = exchange.connect_target();
        let addresses = self.0.resolve(host, port, exchange)?;
        exchange.set_phase(RequestPhase::Connect);
        let mut failures = Vec::new();
        let mut rest = addresses.as_slice();
        while let Some((address, others)) = rest.split_first() {
            exchange.call.log.log(LogLevel::Trace, || format!("connecting to {host} at {address}"));
            match connect_address(*address, address_timeout(exchange, others.len()), exchange)? {
                Ok(line) => {
                    exchange.mark_connected();
                    apply_tcp_user_timeout(&line);
                    if let Some(proxy) = &exchange.proxy {
                        proxy_tunnel::open_tunnel(proxy, &line, exchange)?;
                    }
                    exchange.set_phase(RequestPhase::Http);
                    return Ok(line);
                }
                Err(error) => failures.push(format!("{address}: {error}")),
            }
            rest = others;
        }
        let text = format!("could not connect; {}", failures.join("; "));
        Err(exchange.connect_error(&text))
    }
}

/// Half of what is left for an address that has others behind it, all of it for the last.
fn address_timeout(exchange: &RequestContext, others: usize) -> Option<Duration> {
    match (exchange.call.deadline.remaining(), others) {
        (left, 0) => left,
        (Some(left), _) => left.checked_div(2),
        (None, _) => Some(PER_ADDRESS_TIMEOUT),
    }
}

/// The outer error ends the call, the inner one is this address's own.
fn connect_address(
    address: SocketAddr,
    limit: Option<Duration>,
    exchange: &RequestContext,
) -> Result<io::Result<SharedStream>> {
    let line = match start_connect(address) {
        Ok(line) => line,
        Err(error) => return Ok(Err(error)),
    };
    let started = Instant::now();
    loop {
        exchange.check()?;
        if limit.is_some_and(|limit| started.elapsed() >= limit) {
            return Ok(Err(io::Error::new(io::ErrorKind::TimedOut, "nothing answered")));
        }
        match wait_connected(&line, exchange.remaining(CANCEL_POLL_INTERVAL)) {
            Ok(true) => return Ok(Ok(Arc::new(line))),
            Ok(false) => {}
            Err(error) => return Ok(Err(error)),
        }
    }
}

/// Ends a connection whose other side acknowledges nothing any more; by itself TCP tries for a quarter of an hour. Not while
/// connecting, which has limits of its own.
fn apply_tcp_user_timeout(line: &SharedStream) {
    // A system without it does as it always does.
    #[cfg(any(target_os = "linux", target_os = "android"))]
    let _ = SockRef::from(&***line).set_tcp_user_timeout(Some(MAX_UNACKNOWLEDGED));
    #[cfg(not(any(target_os = "linux", target_os = "android")))]
    let _ = line;
}

fn start_connect(address: SocketAddr) -> io::Result<ForkSafeSocket<TcpStream>> {
    let socket = socket2::Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_nonblocking(true)?;
    socket.set_tcp_nodelay(true)?;
    // On the fork handler's list before it leads anywhere.
    let line = ForkSafeSocket::new(TcpStream::from(socket));
    match SockRef::from(&*line).connect(&address.into()) {
        Err(error) if !is_connect_in_progress(&error) => Err(error),
        _ => Ok(line),
    }
}

fn is_connect_in_progress(error: &io::Error) -> bool {
    #[cfg(unix)]
    if error.raw_os_error() == Some(libc::EINPROGRESS) {
        return true;
    }
    matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted)
}

fn wait_connected(line: &ForkSafeSocket<TcpStream>, limit: Duration) -> io::Result<bool> {
    if !sys::wait_writable(&**line, limit)? {
        return Ok(false);
    }
    match line.take_error()? {
        Some(error) => Err(error),
        None => Ok(line.peer_addr().is_ok()),
    }
}

/// A line to read from and write to: within the bounds of the exchange of this thread, whose end comes out of the
/// `io::Error` as it was.
pub(super) struct TimedStream(pub(super) SharedStream);

impl TimedStream {
    /// Whether the other side has said nothing since and this process may speak. Of a connection at rest both bytes that
    /// nobody asked for and an end are reasons to let it go.
    pub(super) fn is_idle(&self) -> bool {
        self.0.is_current_process()
            && matches!(self.0.peek(&mut [0]), Err(error) if error.kind() == io::ErrorKind::WouldBlock)
    }

    /// Tries `work` until it does not have to wait any more; `wait` is how to wait.
    fn poll_until_ready(
        &self,
        work: impl FnMut(&TcpStream) -> io::Result<usize>,
        wait: impl Fn(&TcpStream, Duration) -> io::Result<bool>,
    ) -> io::Result<usize> {
        let exchange = RequestContext::current()?;
        let outcome = poll_io(&self.0, &exchange, work, wait).map_err(|error| wrap_error(error).into_io())?;
        outcome.inspect_err(|_| exchange.unclean_close.set(true))
    }
}

impl Read for TimedStream {
    fn read(&mut self, space: &mut [u8]) -> io::Result<usize> {
        self.poll_until_ready(|mut stream| stream.read(space), sys::wait_readable)
    }
}

impl Write for TimedStream {
    fn write(&mut self, text: &[u8]) -> io::Result<usize> {
        self.poll_until_ready(|mut stream| stream.write(text), sys::wait_writable)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// As [`Waiting::patiently`]; the outer error ends the call, the inner one is the line's.
pub(super) fn poll_io(
    line: &SharedStream,
    exchange: &RequestContext,
    mut work: impl FnMut(&TcpStream) -> io::Result<usize>,
    wait: impl Fn(&TcpStream, Duration) -> io::Result<bool>,
) -> Result<io::Result<usize>> {
    loop {
        exchange.check()?;
        match work(line) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                if let Err(error) =
                    exchange.with_cancel_hook(line, || wait(line, exchange.remaining(MAX_POLL)))?
                {
                    return Ok(Err(error));
                }
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            outcome => return Ok(outcome),
        }
    }
}

/// For ureq's resolver trait, which has nothing to do here: the lookup is [`Dialer`]'s.
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
