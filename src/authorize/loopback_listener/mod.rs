//! The loopback listener at RedirectURI (RFC 8252 section 7.3): waits for the one visit that brings the answer.
//!
//! Anybody on this machine, and any page in the browser, can knock; so every visitor is heard at once, none for long,
//! and only the right state ends the wait.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener};
use std::time::Duration;

use socket2::{Domain, Protocol, SockRef, Socket, Type};

use super::page::ResultPages;
use crate::authorize::authorization_response::{AuthorizationResponse, ExpectedResponse, RedirectTarget};
use crate::authorize::redirect_connection::RedirectConnection;
use crate::authorize::redirect_handler::RedirectHandler;
use crate::base::call::{CallContext, cancelled_error};
use crate::base::error::{Error, Result, Status};
use crate::base::log::LogLevel;
use crate::base::url::EndpointUrl;
use crate::sys::{ForkSafeSocket, PollFd, wait_any};

/// Visitors at once. A browser opens a few, some of them only in case.
const MAX_CONNECTIONS: usize = 16;

/// The longest that a wait goes on without asking whether the call was cancelled.
const CANCEL_POLL_INTERVAL: Duration = Duration::from_millis(100);

/// How long the page of the end may take to get to the person.
const FLUSH_TIMEOUT: Duration = Duration::from_secs(2);

/// The sockets at RedirectURI. Bound from the start, so that no visit comes too early; closed when dropped.
#[derive(Debug)]
pub struct LoopbackListener {
    sockets: Vec<ForkSafeSocket<TcpListener>>,
    target: RedirectTarget,
    redirect_uri: String,
}

impl LoopbackListener {
    /// Listens at `redirect`; for `localhost` at 127.0.0.1 and at ::1, since a browser may choose either and whoever
    /// else held one of them could take the answer.
    ///
    /// # Errors
    /// [`Status::InvalidOption`] for a redirect that cannot be listened at, [`Status::Network`] for one that is taken.
    pub fn bind(redirect: &EndpointUrl) -> Result<Self> {
        let port = listen_port(redirect)?;
        let mut sockets = Vec::new();
        for (address, needed) in listen_addresses(redirect.host()) {
            match listen(SocketAddr::new(address, port)) {
                Ok(socket) => sockets.push(socket),
                Err(error) if !needed && is_address_unavailable(&error) => {}
                Err(error) => return Err(bind_error(redirect, SocketAddr::new(address, port), &error)),
            }
        }
        Ok(Self {
            sockets,
            target: RedirectTarget::from_url(redirect),
            redirect_uri: redirect.without_query().to_owned(),
        })
    }

    /// Waits for the visit that `expected` describes, and shows the person a page.
    ///
    /// # Errors
    /// The server's refusal; [`Status::Timeout`] at the call's deadline, [`Status::Cancelled`].
    pub fn wait(
        &self,
        expected: &ExpectedResponse,
        pages: &ResultPages,
        call: &CallContext,
    ) -> Result<AuthorizationResponse> {
        self.wait_with_check(expected, pages, call, &mut || Ok(()))
    }

    /// As [`wait`](Self::wait), asking `beside` several times a second whether there is still a point in it:
    /// [`Opened::check`](super::Opened::check).
    ///
    /// # Errors
    /// Those of [`wait`](Self::wait), and what `beside` says.
    pub fn wait_with_check(
        &self,
        expected: &ExpectedResponse,
        pages: &ResultPages,
        call: &CallContext,
        beside: &mut dyn FnMut() -> Result<()>,
    ) -> Result<AuthorizationResponse> {
        call.log.log(LogLevel::Debug, || format!("waiting for the browser at {}", self.redirect_uri));
        let mut hall = EventLoop {
            handler: RedirectHandler::new(&self.target, expected, pages, call),
            listener: self,
            call,
            connections: Vec::new(),
            at_capacity: false,
        };
        loop {
            if let Some(outcome) = hall.poll_outcome() {
                return outcome;
            }
            if call.cancel.is_cancelled() {
                return Err(cancelled_error());
            }
            if !hall.handler.is_completed() {
                if call.deadline.is_past() {
                    return Err(hall.handler.timeout_error(&self.redirect_uri));
                }
                beside()?;
            }
            hall.poll()?;
            hall.drive_connections();
            hall.accept_connections();
        }
    }
}

/// The port, if one can listen at `redirect`.
fn listen_port(redirect: &EndpointUrl) -> Result<u16> {
    let wrong = |text: String| {
        Err(Error::new(
            Status::InvalidOption,
            "consent",
            format!("RedirectURI {} {text}", redirect.without_query()),
        )
        .with_option("RedirectURI"))
    };
    if redirect.is_https() {
        return wrong(
            "is https, where nothing of this machine's can listen for the browser; register and set a loopback \
             address such as http://localhost:3000 or http://127.0.0.1:3000/callback"
                .to_owned(),
        );
    }
    match redirect.uri().port_u16() {
        Some(port) => Ok(port),
        None => wrong(format!(
            "has no port; write the one that is registered, such as http://{}:3000",
            redirect.uri().host().unwrap_or("localhost")
        )),
    }
}

/// Where to listen, and whether each is needed: a machine may have no IPv6.
fn listen_addresses(host: &str) -> Vec<(IpAddr, bool)> {
    match host.parse() {
        Ok(address) => vec![(address, true)],
        Err(_) => vec![(Ipv4Addr::LOCALHOST.into(), true), (Ipv6Addr::LOCALHOST.into(), false)],
    }
}

fn listen(address: SocketAddr) -> io::Result<ForkSafeSocket<TcpListener>> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    // On the fork handler's list before it listens: a child would hold the port.
    let listener = ForkSafeSocket::new(TcpListener::from(socket));
    let socket = SockRef::from(&*listener);
    // On unix this allows no second listener, only one after a listener whose last connections are not yet forgotten;
    // on Windows it would allow a second.
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

/// Whether the machine has no such address.
fn is_address_unavailable(error: &io::Error) -> bool {
    #[cfg(unix)]
    if error.raw_os_error() == Some(libc::EAFNOSUPPORT) {
        return true;
    }
    matches!(error.kind(), io::ErrorKind::AddrNotAvailable | io::ErrorKind::Unsupported)
}

fn bind_error(redirect: &EndpointUrl, address: SocketAddr, error: &io::Error) -> Error {
    let why = match error.kind() {
        io::ErrorKind::AddrInUse => {
            "the port is taken by another program, or by another login that is still waiting; end that one, or \
             register and set another port"
                .to_owned()
        }
        io::ErrorKind::PermissionDenied => {
            format!("{error}; register and set a port above 1023")
        }
        _ => error.to_string(),
    };
    let text = format!("cannot listen at {address} for RedirectURI {}: {why}", redirect.without_query());
    Error::new(Status::Network, "consent", text).with_option("RedirectURI")
}

/// Makes room for one more, at the cost of whoever has been silent for longest.
fn evict_oldest_if_full(visitors: &mut Vec<RedirectConnection>) -> bool {
    if visitors.len() < MAX_CONNECTIONS {
        return true;
    }
    // In the order in which they came.
    let silent = visitors.iter().position(RedirectConnection::is_reading);
    silent.map(|longest| visitors.remove(longest)).is_some()
}

/// Whether an accept failed for a reason of that visitor's alone.
fn is_transient(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::Interrupted | io::ErrorKind::ConnectionAborted | io::ErrorKind::ConnectionReset
    )
}

/// Whoever is here, and the desk that they come to.
struct EventLoop<'a> {
    listener: &'a LoopbackListener,
    call: &'a CallContext,
    handler: RedirectHandler<'a>,
    connections: Vec<RedirectConnection>,
    /// Nobody more can be let in for now: all are being answered, or the process has no descriptor left.
    at_capacity: bool,
}

impl EventLoop<'_> {
    /// The outcome, once there is one and the page of it was delivered as well as it can be.
    fn poll_outcome(&mut self) -> Option<Result<AuthorizationResponse>> {
        let in_time = self.handler.completed_at()?.elapsed() < FLUSH_TIMEOUT && !self.call.deadline.is_past();
        if in_time && !self.connections.iter().all(RedirectConnection::is_reading) {
            return None;
        }
        self.handler.take_outcome()
    }

    /// Waits until somebody moves, for a slice at most.
    fn poll(&self) -> Result<()> {
        let mut awaited: Vec<PollFd<'_>> = self.connections.iter().map(RedirectConnection::poll_fd).collect();
        if !self.at_capacity {
            awaited.extend(self.listener.sockets.iter().map(|socket| PollFd::readable(&**socket)));
        }
        let left = self.call.deadline.remaining().unwrap_or(CANCEL_POLL_INTERVAL);
        wait_any(&awaited, left.clamp(Duration::from_millis(1), CANCEL_POLL_INTERVAL)).map(drop).map_err(
            |error| {
                let text = format!("waiting at {} failed: {error}", self.listener.redirect_uri);
                Error::new(Status::Network, "consent", text)
            },
        )
    }

    fn drive_connections(&mut self) {
        for visitor in &mut self.connections {
            visitor.drive(&mut |read| self.handler.respond(read));
        }
        self.connections.retain(|visitor| !visitor.is_closed());
    }

    /// Lets in who is at the door, and hears each at once: whoever has something to say has mostly said it by then.
    fn accept_connections(&mut self) {
        self.at_capacity = false;
        for socket in &self.listener.sockets {
            for _ in 0..MAX_CONNECTIONS {
                if !evict_oldest_if_full(&mut self.connections) {
                    self.at_capacity = true;
                    return;
                }
                match socket.accept() {
                    Ok((line, _)) => {
                        let Ok(mut visitor) = RedirectConnection::new(line) else { continue };
                        visitor.drive(&mut |read| self.handler.respond(read));
                        self.connections.push(visitor);
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
