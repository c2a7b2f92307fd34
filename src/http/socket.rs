//! TCP: a connect that a deadline and a cancel can end, and ureq's transport over the connected socket.
//!
//! The socket never blocks by itself; every wait is a poll of what is left of the call, hooked up for its cancel.

use std::fmt;
use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::{Duration, Instant};

use socket2::{Domain, Protocol, SockRef, Type};
use ureq::unversioned::transport::{Buffers, ConnectionDetails, Connector, Either, NextTimeout, Transport};

use super::buffers::Wiped;
use super::exchange::{Exchange, Line, SLICE, Stage};
use super::fault::carried;
use super::lookup::Lookups;
use super::tunnel;
use crate::error::Result;
use crate::log::Level;
use crate::sys::{self, Guarded};

/// Room for the longest request line (a query with an assertion; a URI has at most 64 KiB) and for the answer's head.
pub(super) const BUFFERS: (usize, usize) = (40 << 10, 72 << 10);

/// Room for one record of TLS, which is what passes here under it.
const RECORDS: (usize, usize) = (18 << 10, 18 << 10);

/// A wait that is woken by what it waits for, or by the cancel's shutdown; it needs no short slices.
const LONG: Duration = Duration::from_secs(3600);

/// How long one of several addresses may take where nothing bounds the call.
const ADDRESS: Duration = Duration::from_secs(20);

/// Opens connections. The lookup is here and not in ureq's resolver, which is asked even when a kept connection is
/// at hand.
pub(super) struct Dialer(pub(super) Lookups);

impl<In: Transport> Connector<In> for Dialer {
    type Out = Either<In, Socket>;

    fn connect(
        &self,
        details: &ConnectionDetails,
        chained: Option<In>,
    ) -> std::result::Result<Option<Self::Out>, ureq::Error> {
        if let Some(transport) = chained {
            return Ok(Some(Either::A(transport)));
        }
        let exchange = Exchange::current()?;
        let line = self.dial(&exchange).map_err(carried)?;
        let (input, output) = if details.needs_tls() { RECORDS } else { BUFFERS };
        Ok(Some(Either::B(Socket { line, buffers: Wiped::new(input, output) })))
    }
}

impl Dialer {
    fn dial(&self, exchange: &Exchange) -> Result<Line> {
        exchange.reached(Stage::LookingUp);
        let (host, port) = exchange.first_stop();
        let addresses = self.0.addresses(host, port, exchange)?;
        exchange.reached(Stage::Connecting);
        let mut failures = Vec::new();
        let mut rest = addresses.as_slice();
        while let Some((address, others)) = rest.split_first() {
            exchange.call.log.line(Level::Trace, || format!("connecting to {host} at {address}"));
            match connect(*address, share(exchange, others.len()), exchange)? {
                Ok(line) => {
                    exchange.arrived();
                    if let Some(proxy) = &exchange.proxy {
                        tunnel::open(proxy, &line, exchange)?;
                    }
                    exchange.reached(Stage::Talking);
                    return Ok(line);
                }
                Err(error) => failures.push(format!("{address}: {error}")),
            }
            rest = others;
        }
        let text = format!("could not connect; {}", failures.join("; "));
        Err(exchange.error_at_first_stop(&text))
    }
}

/// Half of what is left for an address that has others behind it, all of it for the last.
fn share(exchange: &Exchange, others: usize) -> Option<Duration> {
    match (exchange.call.deadline.left(), others) {
        (left, 0) => left,
        (Some(left), _) => left.checked_div(2),
        (None, _) => Some(ADDRESS),
    }
}

/// The outer error ends the call, the inner one is this address's own.
fn connect(address: SocketAddr, limit: Option<Duration>, exchange: &Exchange) -> Result<io::Result<Line>> {
    let line = match begin(address) {
        Ok(line) => line,
        Err(error) => return Ok(Err(error)),
    };
    let started = Instant::now();
    loop {
        exchange.check()?;
        if limit.is_some_and(|limit| started.elapsed() >= limit) {
            return Ok(Err(io::Error::new(io::ErrorKind::TimedOut, "nothing answered")));
        }
        match is_connected(&line, exchange.left(SLICE)) {
            Ok(true) => return Ok(Ok(Arc::new(line))),
            Ok(false) => {}
            Err(error) => return Ok(Err(error)),
        }
    }
}

fn begin(address: SocketAddr) -> io::Result<Guarded<TcpStream>> {
    let socket = socket2::Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_nonblocking(true)?;
    socket.set_tcp_nodelay(true)?;
    // On the fork handler's list before it leads anywhere.
    let line = Guarded::new(TcpStream::from(socket));
    match SockRef::from(&*line).connect(&address.into()) {
        Err(error) if !in_progress(&error) => Err(error),
        _ => Ok(line),
    }
}

fn in_progress(error: &io::Error) -> bool {
    #[cfg(unix)]
    if error.raw_os_error() == Some(libc::EINPROGRESS) {
        return true;
    }
    matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted)
}

fn is_connected(line: &Guarded<TcpStream>, limit: Duration) -> io::Result<bool> {
    if !sys::wait_writable(&**line, limit)? {
        return Ok(false);
    }
    match line.take_error()? {
        Some(error) => Err(error),
        None => Ok(line.peer_addr().is_ok()),
    }
}

/// A connected socket as ureq's transport.
pub(super) struct Socket {
    line: Line,
    buffers: Wiped,
}

/// Tries `work` until it does not have to wait any more; `wait` is how to wait.
fn patiently(
    line: &Line,
    mut work: impl FnMut(&TcpStream) -> io::Result<usize>,
    wait: impl Fn(&TcpStream, Duration) -> io::Result<bool>,
) -> std::result::Result<usize, ureq::Error> {
    let exchange = Exchange::current()?;
    let outcome = attempt(line, &exchange, &mut work, wait).map_err(carried)?;
    outcome.map_err(|error| {
        exchange.truncated.set(true);
        error.into()
    })
}

/// As [`patiently`]; the outer error ends the call, the inner one is the line's.
pub(super) fn attempt(
    line: &Line,
    exchange: &Exchange,
    mut work: impl FnMut(&TcpStream) -> io::Result<usize>,
    wait: impl Fn(&TcpStream, Duration) -> io::Result<bool>,
) -> Result<io::Result<usize>> {
    loop {
        exchange.check()?;
        match work(line) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                if let Err(error) = exchange.blocked_on(line, || wait(line, exchange.left(LONG)))? {
                    return Ok(Err(error));
                }
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            outcome => return Ok(outcome),
        }
    }
}

impl Transport for Socket {
    fn buffers(&mut self) -> &mut dyn Buffers {
        &mut self.buffers
    }

    fn transmit_output(&mut self, amount: usize, _: NextTimeout) -> std::result::Result<(), ureq::Error> {
        let mut rest = self.buffers.written(amount);
        while !rest.is_empty() {
            let written = patiently(&self.line, |mut stream| stream.write(rest), sys::wait_writable)?;
            if written == 0 {
                return Err(io::Error::from(io::ErrorKind::WriteZero).into());
            }
            rest = rest.get(written..).unwrap_or_default();
        }
        Ok(())
    }

    fn await_input(&mut self, _: NextTimeout) -> std::result::Result<bool, ureq::Error> {
        let space = self.buffers.input_append_buf();
        let amount = patiently(&self.line, |mut stream| stream.read(space), sys::wait_readable)?;
        self.buffers.input_appended(amount);
        Ok(amount > 0)
    }

    /// Asked when the connection goes to rest and when it is taken up again.
    fn is_open(&mut self) -> bool {
        if !self.line.is_ours() || !self.buffers.input().is_empty() {
            return false;
        }
        self.buffers.rest();
        // At rest there is nothing to read: bytes that nobody asked for and an end are both reasons to let it go.
        matches!(self.line.peek(&mut [0]), Err(error) if error.kind() == io::ErrorKind::WouldBlock)
    }
}

impl fmt::Debug for Socket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Socket")
    }
}

impl fmt::Debug for Dialer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Dialer")
    }
}

/// For ureq's resolver trait, which has nothing to do here: see [`Dialer`].
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
