//! The loopback listener at RedirectURI (RFC 8252 section 7.3): waits for the one visit that brings the answer.
//!
//! Anybody on this machine, and any page in the browser, can knock; so every visitor is heard at once, none for long,
//! and only the right state ends the wait.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener};
use std::time::Duration;

use socket2::{Domain, Protocol, SockRef, Socket, Type};

use super::page::Pages;
use crate::authorize::authorization_response::{Arrival, Expected, Place};
use crate::authorize::redirect_connection::Visitor;
use crate::authorize::redirect_handler::Desk;
use crate::base::call::{CallContext, cancelled_error};
use crate::base::error::{Error, Result, Status};
use crate::base::log::LogLevel;
use crate::base::url::EndpointUrl;
use crate::sys::{ForkSafeSocket, PollFd, wait_any};

/// Visitors at once. A browser opens a few, some of them only in case.
const CROWD: usize = 16;

/// The longest that a wait goes on without asking whether the call was cancelled.
const SLICE: Duration = Duration::from_millis(100);

/// How long the page of the end may take to get to the person.
const FAREWELL: Duration = Duration::from_secs(2);

/// The sockets at RedirectURI. Bound from the start, so that no visit comes too early; closed when dropped.
#[derive(Debug)]
pub struct Listener {
    sockets: Vec<ForkSafeSocket<TcpListener>>,
    place: Place,
    shown: String,
}

impl Listener {
    /// Listens at `redirect`; for `localhost` at 127.0.0.1 and at ::1, since a browser may choose either and whoever
    /// else held one of them could take the answer.
    ///
    /// # Errors
    /// [`Status::InvalidOption`] for a redirect that cannot be listened at, [`Status::Network`] for one that is taken.
    pub fn bind(redirect: &EndpointUrl) -> Result<Self> {
        let port = listenable(redirect)?;
        let mut sockets = Vec::new();
        for (address, needed) in addresses(redirect.host()) {
            match listen(SocketAddr::new(address, port)) {
                Ok(socket) => sockets.push(socket),
                Err(error) if !needed && is_missing(&error) => {}
                Err(error) => return Err(taken(redirect, SocketAddr::new(address, port), &error)),
            }
        }
        Ok(Self { sockets, place: Place::of(redirect), shown: redirect.without_query().to_owned() })
    }

    /// Waits for the visit that `expected` describes, and shows the person a page.
    ///
    /// # Errors
    /// The server's refusal; [`Status::Timeout`] at the call's deadline, [`Status::Cancelled`].
    pub fn wait(&self, expected: &Expected, pages: &Pages, call: &CallContext) -> Result<Arrival> {
        self.wait_beside(expected, pages, call, &mut || Ok(()))
    }

    /// As [`wait`](Self::wait), asking `beside` several times a second whether there is still a point in it:
    /// [`Opened::check`](super::Opened::check).
    ///
    /// # Errors
    /// Those of [`wait`](Self::wait), and what `beside` says.
    pub fn wait_beside(
        &self,
        expected: &Expected,
        pages: &Pages,
        call: &CallContext,
        beside: &mut dyn FnMut() -> Result<()>,
    ) -> Result<Arrival> {
        call.log.log(LogLevel::Debug, || format!("waiting for the browser at {}", self.shown));
        let mut hall = Hall {
            desk: Desk::new(&self.place, expected, pages, call),
            listener: self,
            call,
            visitors: Vec::new(),
            full: false,
        };
        loop {
            if let Some(outcome) = hall.ended() {
                return outcome;
            }
            if call.cancel.is_cancelled() {
                return Err(cancelled_error());
            }
            if !hall.desk.is_done() {
                if call.deadline.is_past() {
                    return Err(hall.desk.timeout(&self.shown));
                }
                beside()?;
            }
            hall.pause()?;
            hall.serve();
            hall.admit();
        }
    }
}

/// The port, if one can listen at `redirect`.
fn listenable(redirect: &EndpointUrl) -> Result<u16> {
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
fn addresses(host: &str) -> Vec<(IpAddr, bool)> {
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
fn is_missing(error: &io::Error) -> bool {
    #[cfg(unix)]
    if error.raw_os_error() == Some(libc::EAFNOSUPPORT) {
        return true;
    }
    matches!(error.kind(), io::ErrorKind::AddrNotAvailable | io::ErrorKind::Unsupported)
}

fn taken(redirect: &EndpointUrl, address: SocketAddr, error: &io::Error) -> Error {
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
fn make_room(visitors: &mut Vec<Visitor>) -> bool {
    if visitors.len() < CROWD {
        return true;
    }
    // In the order in which they came.
    let silent = visitors.iter().position(Visitor::is_reading);
    silent.map(|longest| visitors.remove(longest)).is_some()
}

/// Whether an accept failed for a reason of that visitor's alone.
fn is_passing(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::Interrupted | io::ErrorKind::ConnectionAborted | io::ErrorKind::ConnectionReset
    )
}

/// Whoever is here, and the desk that they come to.
struct Hall<'a> {
    listener: &'a Listener,
    call: &'a CallContext,
    desk: Desk<'a>,
    visitors: Vec<Visitor>,
    /// Nobody more can be let in for now: all are being answered, or the process has no descriptor left.
    full: bool,
}

impl Hall<'_> {
    /// The outcome, once there is one and the page of it was delivered as well as it can be.
    fn ended(&mut self) -> Option<Result<Arrival>> {
        let in_time = self.desk.done_since()?.elapsed() < FAREWELL && !self.call.deadline.is_past();
        if in_time && !self.visitors.iter().all(Visitor::is_reading) {
            return None;
        }
        self.desk.take_outcome()
    }

    /// Waits until somebody moves, for a slice at most.
    fn pause(&self) -> Result<()> {
        let mut awaited: Vec<PollFd<'_>> = self.visitors.iter().map(Visitor::awaited).collect();
        if !self.full {
            awaited.extend(self.listener.sockets.iter().map(|socket| PollFd::readable(&**socket)));
        }
        let left = self.call.deadline.remaining().unwrap_or(SLICE);
        wait_any(&awaited, left.clamp(Duration::from_millis(1), SLICE)).map(drop).map_err(|error| {
            let text = format!("waiting at {} failed: {error}", self.listener.shown);
            Error::new(Status::Network, "consent", text)
        })
    }

    fn serve(&mut self) {
        for visitor in &mut self.visitors {
            visitor.step(&mut |read| self.desk.reply(read));
        }
        self.visitors.retain(|visitor| !visitor.is_gone());
    }

    /// Lets in who is at the door, and hears each at once: whoever has something to say has mostly said it by then.
    fn admit(&mut self) {
        self.full = false;
        for socket in &self.listener.sockets {
            for _ in 0..CROWD {
                if !make_room(&mut self.visitors) {
                    self.full = true;
                    return;
                }
                match socket.accept() {
                    Ok((line, _)) => {
                        let Ok(mut visitor) = Visitor::new(line) else { continue };
                        visitor.step(&mut |read| self.desk.reply(read));
                        self.visitors.push(visitor);
                    }
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                    Err(error) if is_passing(&error) => {}
                    Err(_) => {
                        self.full = true;
                        return;
                    }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests;
