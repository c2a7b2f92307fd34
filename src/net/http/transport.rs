//! A connection as ureq's transport, with TLS on it or without: head and body of a request leave together, and what an
//! answer brought is counted.

use std::fmt;
use std::io::{self, Read, Write};
use std::sync::Arc;
use std::time::Duration;

use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection, Stream};
use ureq::unversioned::transport::{Buffers, ConnectionDetails, Connector, NextTimeout, Transport};

use super::Reuse;
use super::buffers::Wiped;
use crate::base::clock::Clock;
use crate::base::error::Status;
use crate::net::http::agent_cache::MAX_IDLE;
use crate::net::http::error::carried;
use crate::net::http::request_context::{Exchange, Stage};
use crate::net::http::tcp::{Dialer, Waiting};
use crate::net::tls::Trust;

/// Room for the longest request line (a query with an assertion; a URI has at most 64 KiB) and for the answer's head.
pub(super) const BUFFERS: (usize, usize) = (40 << 10, 72 << 10);

/// What fits into one record of TLS: so much of a request is sent at once.
const RECORD: usize = 16 << 10;

/// Opens connections, wrapped in TLS where the URL asks for it.
pub(super) struct Opener {
    pub(super) dialer: Dialer,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) trust: Trust,
    /// There is none for agents that only speak plain HTTP.
    pub(super) config: Option<Arc<ClientConfig>>,
}

impl Connector for Opener {
    type Out = Channel;

    fn connect(&self, details: &ConnectionDetails, _: Option<()>) -> Result<Option<Channel>, ureq::Error> {
        let exchange = Exchange::current()?;
        let mut line = Waiting(self.dialer.dial(&exchange).map_err(carried)?);
        let tls = match (&self.config, details.needs_tls()) {
            (_, false) => None,
            (Some(config), true) => Some(self.handshake(Arc::clone(config), &mut line, &exchange)?),
            (None, true) => return Err(ureq::Error::TlsRequired),
        };
        let buffers = Wiped::new(BUFFERS.0, BUFFERS.1);
        Ok(Some(Channel { line, tls, buffers, clock: Arc::clone(&self.clock), idle_since: Duration::ZERO }))
    }
}

impl Opener {
    fn handshake(
        &self,
        config: Arc<ClientConfig>,
        line: &mut Waiting,
        exchange: &Exchange,
    ) -> Result<Box<Tls>, ureq::Error> {
        exchange.reached(Stage::Handshaking);
        let wrong = |error: &rustls::Error| carried(self.trust.explain(error, &exchange.host));
        let name = ServerName::try_from(exchange.host.clone()).map_err(|_| {
            carried(exchange.error(Status::Tls, "a certificate cannot be for a host of this name"))
        })?;
        let mut conn = ClientConnection::new(config, name).map_err(|error| wrong(&error))?;
        conn.complete_io(line).map_err(|error| {
            if error.kind() == io::ErrorKind::UnexpectedEof && error.get_ref().is_none() {
                return carried(exchange.error(
                    Status::Tls,
                    "the connection was closed in the middle of the TLS handshake; check that the port speaks TLS",
                ));
            }
            fault(error, &self.trust)
        })?;
        exchange.reached(Stage::Talking);
        Ok(Box::new(Tls { conn, trust: self.trust.clone() }))
    }
}

/// ureq's errors and ours come through rustls in an `io::Error`, and so do rustls's own.
fn fault(error: io::Error, trust: &Trust) -> ureq::Error {
    let exchange = match Exchange::current() {
        Ok(exchange) => exchange,
        Err(error) => return error.into(),
    };
    if let Some(wrong) = error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>()) {
        return carried(trust.explain(wrong, &exchange.host));
    }
    if error.kind() == io::ErrorKind::UnexpectedEof {
        exchange.truncated.set(true);
    }
    error.into()
}

/// A connection.
pub(super) struct Channel {
    line: Waiting,
    tls: Option<Box<Tls>>,
    buffers: Wiped,
    clock: Arc<dyn Clock>,
    /// By [`Clock::boot_time`]: ureq measures by a clock that stops while the machine is suspended.
    idle_since: Duration,
}

/// What encrypts a connection.
struct Tls {
    conn: ClientConnection,
    trust: Trust,
}

impl Tls {
    fn send(&mut self, text: &[u8], line: &mut Waiting) -> Result<(), ureq::Error> {
        // Stream swallows the errors of a write for as long as rustls has room; flush does not.
        let mut stream = Stream::new(&mut self.conn, line);
        let sent = stream.write_all(text).and_then(|()| stream.flush());
        sent.map_err(|error| self.not_sent(error, line))
    }

    /// A server that ends the connection while we speak may have said why: in TLS 1.3 it does not like a client's
    /// certificate only after the handshake.
    fn not_sent(&mut self, error: io::Error, line: &mut Waiting) -> ureq::Error {
        let is_of_tls = error.get_ref().is_some_and(|inner| inner.is::<rustls::Error>());
        while !is_of_tls && self.conn.read_tls(line).is_ok_and(|come| come > 0) {
            if let Err(reason) = self.conn.process_new_packets() {
                return fault(io::Error::other(reason), &self.trust);
            }
        }
        fault(error, &self.trust)
    }

    fn receive(&mut self, space: &mut [u8], line: &mut Waiting) -> Result<usize, ureq::Error> {
        Stream::new(&mut self.conn, line).read(space).map_err(|error| fault(error, &self.trust))
    }

    /// Whether nothing that came is still to be read.
    fn is_quiet(&mut self) -> bool {
        self.conn
            .process_new_packets()
            .is_ok_and(|state| !state.peer_has_closed() && state.plaintext_bytes_to_read() == 0)
    }
}

impl Channel {
    fn send(&mut self) -> Result<(), ureq::Error> {
        let text = self.buffers.unsent();
        if !text.is_empty() {
            match &mut self.tls {
                Some(tls) => tls.send(text, &mut self.line)?,
                None => self.line.write_all(text)?,
            }
            self.buffers.sent();
        }
        Ok(())
    }

    fn receive(&mut self) -> Result<usize, ureq::Error> {
        let space = self.buffers.input_append_buf();
        let amount = match &mut self.tls {
            Some(tls) => tls.receive(space, &mut self.line)?,
            None => self.line.read(space)?,
        };
        self.buffers.input_appended(amount);
        Ok(amount)
    }
}

impl Transport for Channel {
    fn buffers(&mut self) -> &mut dyn Buffers {
        &mut self.buffers
    }

    /// Only notes what there is to send, up to a record of it: the server is woken once.
    fn transmit_output(&mut self, amount: usize, _: NextTimeout) -> Result<(), ureq::Error> {
        Exchange::current()?.sending();
        self.buffers.written(amount);
        if self.buffers.unsent().len() < RECORD { Ok(()) } else { self.send() }
    }

    fn await_input(&mut self, _: NextTimeout) -> Result<bool, ureq::Error> {
        self.send()?;
        let amount = self.receive()?;
        Exchange::current()?.count(amount).map_err(carried)?;
        Ok(amount > 0)
    }

    /// Asked when the connection goes to rest and when it is taken up again; the socket only then.
    fn is_open(&mut self) -> bool {
        let quiet = self.buffers.input().is_empty() && self.tls.as_mut().is_none_or(|tls| tls.is_quiet());
        let now = self.clock.boot_time();
        if !self.buffers.are_wiped() {
            self.buffers.rest();
            self.idle_since = now;
            return quiet;
        }
        let wanted = !Exchange::current().is_ok_and(|exchange| exchange.reuse() == Reuse::No);
        quiet && wanted && now.saturating_sub(self.idle_since) < MAX_IDLE && self.line.is_quiet()
    }

    fn is_tls(&self) -> bool {
        self.tls.is_some()
    }
}

impl fmt::Debug for Channel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.is_tls() { "Channel(TLS)" } else { "Channel(plain)" })
    }
}

impl fmt::Debug for Opener {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Opener")
    }
}

#[cfg(test)]
mod tests {
    use std::net::{TcpListener, TcpStream};
    use std::time::Duration;

    use super::*;
    use crate::base::clock::SystemClock;
    use crate::sys::{self, ForkSafeSocket};

    /// A connection that has had a request, and the server's end of it.
    fn used() -> (Channel, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let stream = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        stream.set_nonblocking(true).unwrap();
        let line = Waiting(Arc::new(ForkSafeSocket::new(stream)));
        let clock = Arc::new(SystemClock);
        let mut channel =
            Channel { line, tls: None, buffers: Wiped::new(8, 8), clock, idle_since: Duration::ZERO };
        channel.buffers.output()[..3].copy_from_slice(b"get");
        channel.buffers.written(3);
        (channel, listener.accept().unwrap().0)
    }

    #[test]
    fn a_connection_that_ended_or_spoke_at_rest_is_not_taken_up_again() {
        for unasked in [b"".as_slice(), b"HTTP/1.1 408 Request Timeout\r\n\r\n"] {
            let (mut channel, mut server) = used();
            assert!(channel.is_open(), "it goes to rest");
            assert!(channel.is_open(), "it is taken up again");
            server.write_all(unasked).unwrap();
            let ended = unasked.is_empty().then(|| drop(server));
            assert!(sys::wait_readable(&**channel.line.0, Duration::from_secs(5)).unwrap());
            assert!(!channel.is_open(), "it ended: {ended:?}");
        }
    }

    #[test]
    fn an_answer_that_was_not_read_to_its_end_leaves_no_connection_to_rest() {
        let (mut channel, _server) = used();
        channel.buffers.input_append_buf()[..4].copy_from_slice(b"more");
        channel.buffers.input_appended(4);
        assert!(!channel.is_open());
    }
}
