//! Connects to a host (Happy Eyeballs) or to a Unix domain socket.

use std::io;
use std::net::SocketAddr;
#[cfg(unix)]
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use socket2::{Domain, Protocol, SockAddr, Socket, Type};

use super::cancel_hook::SharedSocket;
use super::context::{CANCEL_POLL_INTERVAL, ConnectionPhase, SocketContext};
use super::dns::DnsResolver;
use crate::base::error::{Cause, Error, Result, io_error_text};
use crate::base::log::LogLevel;
use crate::sys::{self, ForkSafe, PollFd};

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

/// Interval at which a connect to a Unix domain socket is repeated while its queue is full: a non-blocking
/// connect does not wait in the queue.
#[cfg(unix)]
const QUEUE_POLL_INTERVAL: Duration = Duration::from_millis(5);

/// Connects to the host and port of `context`.
///
/// # Errors
/// If the host has no address, no address accepts the connection, or the operation must end.
pub fn connect_tcp(resolver: &DnsResolver, context: &dyn SocketContext) -> Result<SharedSocket> {
    context.set_phase(ConnectionPhase::Dns);
    let (host, port) = context.connect_target();
    let addresses = resolver.resolve(host, port, context)?;
    context.set_phase(ConnectionPhase::Connect);
    let socket = ConnectAttempts::new(&addresses, context).race()?;
    apply_tcp_user_timeout(&socket);
    Ok(Arc::new(socket))
}

/// Connects to the Unix domain socket at `path`.
///
/// # Errors
/// If there is no server, or the operation must end.
#[cfg(unix)]
pub fn connect_unix(path: &Path, context: &dyn SocketContext) -> Result<SharedSocket> {
    context.set_phase(ConnectionPhase::Connect);
    let failed =
        |error: &io::Error| context.connect_error(&format!("cannot connect: {}", io_error_text(error)));
    let address = SockAddr::unix(path).map_err(|error| failed(&error))?;
    let socket = new_socket(Domain::UNIX, None).map_err(|error| failed(&error))?;
    loop {
        context.check()?;
        match socket.connect(&address) {
            Ok(()) => return Ok(Arc::new(socket)),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                std::thread::sleep(context.remaining(QUEUE_POLL_INTERVAL));
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(failed(&error)),
        }
    }
}

/// The connection attempts to the addresses of one host (RFC 8305, Happy Eyeballs). They overlap, so that an
/// address that does not reply delays the connection by [`ATTEMPT_DELAY`] only.
struct ConnectAttempts<'a> {
    context: &'a dyn SocketContext,
    untried: &'a [SocketAddr],
    pending: Vec<(SocketAddr, ForkSafe<Socket>)>,
    /// When to try the next address, unless an attempt fails earlier.
    next_start: Instant,
    failures: Vec<String>,
    /// [`Cause::Resources`] if an attempt failed for that reason.
    cause: Cause,
}

impl<'a> ConnectAttempts<'a> {
    fn new(addresses: &'a [SocketAddr], context: &'a dyn SocketContext) -> Self {
        let untried = addresses.get(..MAX_ADDRESSES).unwrap_or(addresses);
        Self {
            context,
            untried,
            pending: Vec::new(),
            next_start: Instant::now(),
            failures: Vec::new(),
            cause: Cause::default(),
        }
    }

    /// Returns the first connection that is established. The other attempts end when `self` is dropped.
    fn race(mut self) -> Result<ForkSafe<Socket>> {
        loop {
            self.context.check()?;
            if let Some(socket) = self.take_connected() {
                return Ok(socket);
            }
            match self.time_until_next_start() {
                Some(Duration::ZERO) => self.start_next(),
                None if self.pending.is_empty() => return Err(self.error()),
                limit => self.wait(limit.unwrap_or(CANCEL_POLL_INTERVAL))?,
            }
        }
    }

    /// Removes the failed attempts, and returns the connection of an attempt that succeeded.
    fn take_connected(&mut self) -> Option<ForkSafe<Socket>> {
        let mut index = 0;
        while let Some((_, socket)) = self.pending.get(index) {
            match is_connected(socket) {
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
        if is_resource_shortage(error) {
            self.cause = Cause::Resources;
        }
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
        self.context.call().log.log(LogLevel::Trace, || format!("connecting to {host} at {address}"));
        match start_connect(*address) {
            Ok(socket) => {
                self.pending.push((*address, socket));
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
        let share = self.context.call().deadline.remaining().and_then(|time| time.checked_div(attempts));
        share.map_or(ATTEMPT_DELAY, |share| share.clamp(MIN_ATTEMPT_DELAY, ATTEMPT_DELAY))
    }

    /// Waits until an attempt may have ended, for at most `limit`.
    fn wait(&self, limit: Duration) -> Result<()> {
        let sockets: Vec<_> = self.pending.iter().map(|(_, socket)| PollFd::writable(&**socket)).collect();
        let limit = self.context.remaining(limit.min(CANCEL_POLL_INTERVAL));
        sys::wait_any(&sockets, limit).map_err(|error| {
            self.context.connect_error(&format!("cannot connect: {}", io_error_text(&error)))
        })?;
        Ok(())
    }

    fn error(&self) -> Error {
        let text = format!("cannot connect: {}", self.failures.join("; "));
        self.context.connect_error(&text).with_cause(self.cause)
    }
}

/// Limits the time for which sent data may stay unacknowledged; TCP's default is about 15 minutes. Set after
/// the connect, which has timeouts of its own.
fn apply_tcp_user_timeout(socket: &Socket) {
    // Best effort: without the option, the default of the operating system applies.
    #[cfg(any(target_os = "linux", target_os = "android"))]
    let _ = socket.set_tcp_user_timeout(Some(MAX_UNACKNOWLEDGED));
    #[cfg(not(any(target_os = "linux", target_os = "android")))]
    let _ = socket;
}

fn start_connect(address: SocketAddr) -> io::Result<ForkSafe<Socket>> {
    let socket = new_socket(Domain::for_address(address), Some(Protocol::TCP))?;
    socket.set_tcp_nodelay(true)?;
    match socket.connect(&SockAddr::from(address)) {
        Err(error) if !is_connect_in_progress(&error) => Err(error),
        _ => Ok(socket),
    }
}

/// A non-blocking socket, which is registered with the fork handler before it connects.
fn new_socket(domain: Domain, protocol: Option<Protocol>) -> io::Result<ForkSafe<Socket>> {
    let socket = sys::avoid_standard_streams(Socket::new(domain, Type::STREAM, protocol)?)?;
    socket.set_nonblocking(true)?;
    Ok(ForkSafe::new(socket))
}

/// Whether this process or this machine has no more descriptors or memory.
fn is_resource_shortage(error: &io::Error) -> bool {
    #[cfg(unix)]
    {
        let errno = error.raw_os_error();
        matches!(errno, Some(libc::EMFILE | libc::ENFILE | libc::ENOBUFS | libc::ENOMEM))
    }
    #[cfg(not(unix))]
    {
        error.kind() == io::ErrorKind::OutOfMemory
    }
}

/// Whether a non-blocking connect goes on. On Unix EAGAIN is a failure, after which no attempt is in progress: poll
/// would report such a socket as writable at once, again and again.
fn is_connect_in_progress(error: &io::Error) -> bool {
    #[cfg(unix)]
    {
        matches!(error.raw_os_error(), Some(libc::EINPROGRESS | libc::EINTR))
    }
    #[cfg(not(unix))]
    {
        error.kind() == io::ErrorKind::WouldBlock
    }
}

/// Whether a connect has completed; an error if it failed.
fn is_connected(socket: &Socket) -> io::Result<bool> {
    match socket.take_error()? {
        Some(error) => Err(error),
        None => match socket.peer_addr() {
            Ok(_) => Ok(true),
            Err(error) if error.kind() == io::ErrorKind::NotConnected => Ok(false),
            Err(error) => Err(error),
        },
    }
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;

    #[test]
    fn connect_continues_only_if_in_progress_or_interrupted() {
        let continues = |errno| is_connect_in_progress(&io::Error::from_raw_os_error(errno));
        assert!(continues(libc::EINPROGRESS) && continues(libc::EINTR));
        assert!(!continues(libc::EAGAIN) && !continues(libc::EADDRNOTAVAIL));
    }
}
