//! Loopback redirect listener at RedirectURI (RFC 8252 section 7.3): waits for the authorization response.
//!
//! Any local process or web page can connect, so connections are served concurrently with short timeouts, and
//! only a request with the right `state` completes the wait.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener};
use std::time::Duration;

use socket2::{Domain, Protocol, SockRef, Socket, Type};

use super::page::ResultPages;
use crate::authorize::authorization_response::{AuthorizationResponse, ExpectedResponse, RedirectTarget};
use crate::authorize::redirect_connection::RedirectConnection;
use crate::authorize::redirect_handler::{CompleteFn, RedirectHandler};
use crate::base::call::{CallContext, cancelled_error};
use crate::base::error::{Error, NetworkError, OptionError, Result, io_error_text};
use crate::base::log::LogLevel;
use crate::base::sanitize;
use crate::base::url::EndpointUrl;
use crate::sys::{ForkSafe, PollFd, avoid_standard_streams, wait_any};

/// Maximum number of concurrent connections. A browser opens a few, some of them speculatively.
const MAX_CONNECTIONS: usize = 16;

/// Maximum number of free ports that are tried for port 0 until one is free at all addresses.
const MAX_PORT_ATTEMPTS: usize = 16;

/// Maximum time between two checks for cancellation.
const CANCEL_POLL_INTERVAL: Duration = Duration::from_millis(100);

/// Time limit for delivering the result page.
const FLUSH_TIMEOUT: Duration = Duration::from_secs(2);

/// The listening sockets at RedirectURI. They are bound before the browser opens, so that no request is lost,
/// and closed on drop.
#[derive(Debug)]
pub struct LoopbackListener {
    sockets: Vec<ForkSafe<TcpListener>>,
    target: RedirectTarget,
    redirect: EndpointUrl,
}

impl LoopbackListener {
    /// Listens at `redirect`; at port 0, at a free port (RFC 8252 section 7.3). For `localhost` it listens at both 127.0.0.1 and ::1: a browser may choose
    /// either, and another process that held one of them could receive the response.
    ///
    /// # Errors
    /// [`OptionError::Invalid`] if `redirect` is not an http URL with a port, [`NetworkError::Connection`] if
    /// the port cannot be bound.
    pub fn bind(redirect: &EndpointUrl) -> Result<Self> {
        let port = listen_port(redirect)?;
        let mut attempts = if port == 0 { MAX_PORT_ATTEMPTS } else { 1 };
        let sockets = loop {
            attempts = attempts.saturating_sub(1);
            match listen_at_all(redirect.host(), port) {
                Ok(sockets) => break sockets,
                // The free port of the first address is in use at the second one.
                Err((_, error)) if error.kind() == io::ErrorKind::AddrInUse && attempts > 0 => {}
                Err((address, error)) => return Err(bind_error(redirect, address, &error)),
            }
        };
        let redirect = match sockets.first().filter(|_| port == 0) {
            Some(socket) => with_port_of(redirect, socket)?,
            None => redirect.clone(),
        };
        Ok(Self { sockets, target: RedirectTarget::from_url(&redirect), redirect })
    }

    /// The redirect URI, with the port that was chosen for port 0.
    #[must_use]
    pub fn redirect_url(&self) -> &EndpointUrl {
        &self.redirect
    }

    /// Waits for the response that `expected` describes and sends the browser a result page.
    ///
    /// # Errors
    /// The error response of the server; `ErrorKind::Timeout` at the call's deadline;
    /// `ErrorKind::Cancelled`.
    pub fn wait(
        &self,
        expected: &ExpectedResponse,
        pages: &ResultPages,
        call: &CallContext,
    ) -> Result<AuthorizationResponse> {
        self.wait_and_complete(expected, pages, call, &mut || Ok(()), &mut Ok)
    }

    /// As [`wait`](Self::wait), but calls `check` several times a second and stops at its first error; for
    /// [`BrowserProcess::check`](super::BrowserProcess::check). Before the page is sent, `complete` continues
    /// with the response, so that the page shows whether that succeeded. Returns its result.
    ///
    /// # Errors
    /// Those of [`wait`](Self::wait), of `check` and of `complete`.
    pub fn wait_and_complete<T>(
        &self,
        expected: &ExpectedResponse,
        pages: &ResultPages,
        call: &CallContext,
        check: &mut dyn FnMut() -> Result<()>,
        complete: &mut CompleteFn<'_, T>,
    ) -> Result<T> {
        call.log
            .log(LogLevel::Debug, || format!("waiting for the browser at {}", self.redirect.without_query()));
        let mut event_loop = EventLoop {
            handler: RedirectHandler::new(&self.target, expected, pages, call, complete),
            listener: self,
            call,
            connections: Vec::new(),
            at_capacity: false,
        };
        loop {
            if let Some(outcome) = event_loop.poll_outcome() {
                return outcome;
            }
            if call.cancel.is_cancelled() {
                return Err(cancelled_error());
            }
            if !event_loop.handler.is_completed() {
                if call.deadline.is_past() {
                    return Err(event_loop.handler.timeout_error(self.redirect.without_query()));
                }
                check()?;
            }
            event_loop.poll()?;
            event_loop.drive_connections();
            event_loop.accept_connections();
        }
    }
}

/// The port of `redirect`, which must be an http URL with an explicit port.
fn listen_port(redirect: &EndpointUrl) -> Result<u16> {
    let invalid = |text: String| {
        Err(Error::new(
            OptionError::Invalid,
            "consent",
            format!("RedirectURI {} {text}", sanitize::excerpt(redirect.without_query())),
        )
        .with_option("RedirectURI"))
    };
    if redirect.is_https() {
        return invalid(
            "must be an http loopback URL; register one such as http://localhost:3000 or \
             http://127.0.0.1:3000/callback"
                .to_owned(),
        );
    }
    let host = redirect.uri().host().unwrap_or("localhost");
    match redirect.uri().port_u16() {
        Some(port) => Ok(port),
        None => invalid(format!(
            "must include the registered port, such as http://{host}:3000, or port 0 (http://{host}:0) for any \
             free port, if the server allows it"
        )),
    }
}

/// The addresses to listen at and whether each is required; IPv6 is optional.
fn listen_addresses(host: &str) -> Vec<(IpAddr, bool)> {
    match host.parse() {
        Ok(address) => vec![(address, true)],
        Err(_) => vec![(Ipv4Addr::LOCALHOST.into(), true), (Ipv6Addr::LOCALHOST.into(), false)],
    }
}

/// Listens at all addresses of `host`, at the same port: `port`, or that of the first address if it is 0.
fn listen_at_all(
    host: &str,
    mut port: u16,
) -> std::result::Result<Vec<ForkSafe<TcpListener>>, (SocketAddr, io::Error)> {
    let mut sockets = Vec::new();
    for (address, required) in listen_addresses(host) {
        let address = SocketAddr::new(address, port);
        let bound = listen(address).and_then(|socket| Ok((socket.local_addr()?.port(), socket)));
        match bound {
            Ok((bound_port, socket)) => {
                port = bound_port;
                sockets.push(socket);
            }
            Err(error) if !required && is_address_unavailable(&error) => {}
            Err(error) => return Err((address, error)),
        }
    }
    Ok(sockets)
}

/// `redirect` with the port at which `socket` listens.
fn with_port_of(redirect: &EndpointUrl, socket: &TcpListener) -> Result<EndpointUrl> {
    let port = socket.local_addr().map(|address| address.port()).map_err(|error| io_error_text(&error));
    port.and_then(|port| redirect.with_port(port)).map_err(|reason| {
        let text =
            format!("cannot determine the port for RedirectURI {}: {reason}", redirect.without_query());
        Error::new(NetworkError::Connection, "consent", text).with_option("RedirectURI")
    })
}

fn listen(address: SocketAddr) -> io::Result<ForkSafe<TcpListener>> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    let socket = avoid_standard_streams(socket)?;
    // Register with the fork handler before listening: otherwise a forked child would keep the port in use.
    let listener = ForkSafe::new(TcpListener::from(socket));
    let socket = SockRef::from(&*listener);
    // On unix SO_REUSEADDR does not permit a second listener; it permits binding while connections of a
    // previous listener are in TIME_WAIT. On Windows it would permit a second listener.
    #[cfg(unix)]
    socket.set_reuse_address(true)?;
    if address.is_ipv6() {
        socket.set_only_v6(true)?;
    }
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(128)?;
    Ok(listener)
}

/// Whether the machine has no such address, for example no IPv6.
fn is_address_unavailable(error: &io::Error) -> bool {
    #[cfg(unix)]
    if error.raw_os_error() == Some(libc::EAFNOSUPPORT) {
        return true;
    }
    matches!(error.kind(), io::ErrorKind::AddrNotAvailable | io::ErrorKind::Unsupported)
}

fn bind_error(redirect: &EndpointUrl, address: SocketAddr, error: &io::Error) -> Error {
    let reason = match error.kind() {
        io::ErrorKind::AddrInUse => {
            "the port is in use by another program or by another pending login; end that one, or register \
             and set another port"
                .to_owned()
        }
        io::ErrorKind::PermissionDenied => {
            format!("{}; register and set a port above 1023", io_error_text(error))
        }
        _ => io_error_text(error),
    };
    let text = format!(
        "cannot listen at {address} for RedirectURI {}: {reason}",
        sanitize::excerpt(redirect.without_query())
    );
    Error::new(NetworkError::Connection, "consent", text).with_option("RedirectURI")
}

/// Drops the oldest connection without a complete request if the limit is reached. Returns false if the limit
/// is reached and all connections are being answered.
fn evict_oldest_if_full(connections: &mut Vec<RedirectConnection>) -> bool {
    if connections.len() < MAX_CONNECTIONS {
        return true;
    }
    // The connections are in the order of acceptance.
    let oldest = connections.iter().position(RedirectConnection::is_reading);
    oldest.map(|index| connections.remove(index)).is_some()
}

/// Whether an accept error concerns only the one connection.
fn is_transient(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::Interrupted | io::ErrorKind::ConnectionAborted | io::ErrorKind::ConnectionReset
    )
}

/// The poll loop of one wait: open connections and their request handler.
struct EventLoop<'a, T> {
    listener: &'a LoopbackListener,
    call: &'a CallContext,
    handler: RedirectHandler<'a, T>,
    connections: Vec<RedirectConnection>,
    /// No connection can be accepted for now: all are being answered, or the process has no free descriptor.
    at_capacity: bool,
}

impl<T> EventLoop<'_, T> {
    /// The outcome, once there is one and its page has been delivered or the time limit for that has passed.
    fn poll_outcome(&mut self) -> Option<Result<T>> {
        let can_flush =
            self.handler.completed_at()?.elapsed() < FLUSH_TIMEOUT && !self.call.deadline.is_past();
        if can_flush && !self.connections.iter().all(RedirectConnection::is_reading) {
            return None;
        }
        self.handler.take_outcome()
    }

    /// Waits until a socket is ready, for at most [`CANCEL_POLL_INTERVAL`].
    fn poll(&self) -> Result<()> {
        let mut poll_fds: Vec<PollFd<'_>> =
            self.connections.iter().map(RedirectConnection::poll_fd).collect();
        if !self.at_capacity {
            poll_fds.extend(self.listener.sockets.iter().map(|socket| PollFd::readable(&**socket)));
        }
        let remaining = self.call.deadline.remaining().unwrap_or(CANCEL_POLL_INTERVAL);
        wait_any(&poll_fds, remaining.clamp(Duration::from_millis(1), CANCEL_POLL_INTERVAL))
            .map(drop)
            .map_err(|error| {
                let text = format!(
                    "cannot wait for a connection at {}: {}",
                    self.listener.redirect.without_query(),
                    io_error_text(&error)
                );
                Error::new(NetworkError::Connection, "consent", text)
            })
    }

    fn drive_connections(&mut self) {
        for connection in &mut self.connections {
            connection.drive(&mut |received| self.handler.respond(received));
        }
        self.connections.retain(|connection| !connection.is_closed());
    }

    /// Accepts pending connections and drives each immediately, because its request has usually arrived by
    /// then.
    fn accept_connections(&mut self) {
        self.at_capacity = false;
        for socket in &self.listener.sockets {
            for _ in 0..MAX_CONNECTIONS {
                if !evict_oldest_if_full(&mut self.connections) {
                    self.at_capacity = true;
                    return;
                }
                match socket.accept() {
                    Ok((stream, _)) => {
                        let Ok(mut connection) = RedirectConnection::new(stream) else { continue };
                        connection.drive(&mut |received| self.handler.respond(received));
                        self.connections.push(connection);
                    }
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                    Err(error) if is_transient(&error) => {}
                    Err(_) => {
                        self.at_capacity = true;
                        return;
                    }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests;
