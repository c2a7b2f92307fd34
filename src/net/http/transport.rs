//! A connection as ureq's transport, with TLS on it or without: head and body of a request leave together, and what an
//! answer brought is counted.

use std::fmt;
use std::io::{self, Read, Write};
use std::sync::Arc;
use std::time::Duration;

use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection, Stream};
use ureq::unversioned::transport::{Buffers, ConnectionDetails, Connector, NextTimeout, Transport};

use super::ConnectionReuse;
use super::buffers::ZeroizingBuffers;
use crate::base::clock::Clock;
use crate::base::error::Status;
use crate::net::http::agent_cache::IDLE_TIMEOUT;
use crate::net::http::error::wrap_error;
use crate::net::http::request_context::{RequestContext, RequestPhase};
use crate::net::http::tcp::{TcpConnector, TimedStream};
use crate::net::tls::TransportConfig;

/// Room for the longest request line (a query with an assertion; a URI has at most 64 KiB) and for the answer's head.
pub(super) const BUFFER_SIZES: (usize, usize) = (40 << 10, 72 << 10);

/// What fits into one record of TLS: so much of a request is sent at once.
const MAX_TLS_RECORD: usize = 16 << 10;

/// Opens connections, wrapped in TLS where the URL asks for it.
pub(super) struct TransportConnector {
    pub(super) tcp_connector: TcpConnector,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) transport_config: TransportConfig,
    /// There is none for agents that only speak plain HTTP.
    pub(super) tls_config: Option<Arc<ClientConfig>>,
}

impl Connector for TransportConnector {
    type Out = HttpTransport;

    fn connect(
        &self,
        details: &ConnectionDetails,
        _: Option<()>,
    ) -> Result<Option<HttpTransport>, ureq::Error> {
        let exchange = RequestContext::current()?;
        let mut line = TimedStream(self.tcp_connector.connect(&exchange).map_err(wrap_error)?);
        let tls = match (&self.tls_config, details.needs_tls()) {
            (_, false) => None,
            (Some(config), true) => Some(self.handshake(Arc::clone(config), &mut line, &exchange)?),
            (None, true) => return Err(ureq::Error::TlsRequired),
        };
        let buffers = ZeroizingBuffers::new(BUFFER_SIZES.0, BUFFER_SIZES.1);
        Ok(Some(HttpTransport {
            stream: line,
            tls,
            buffers,
            clock: Arc::clone(&self.clock),
            idle_since: Duration::ZERO,
        }))
    }
}

impl TransportConnector {
    fn handshake(
        &self,
        config: Arc<ClientConfig>,
        line: &mut TimedStream,
        exchange: &RequestContext,
    ) -> Result<Box<TlsStream>, ureq::Error> {
        exchange.set_phase(RequestPhase::TlsHandshake);
        let wrong =
            |error: &rustls::Error| wrap_error(self.transport_config.tls_error(error, &exchange.host));
        let name = ServerName::try_from(exchange.host.clone()).map_err(|_| {
            wrap_error(exchange.error(Status::Tls, "a certificate cannot be for a host of this name"))
        })?;
        let mut conn = ClientConnection::new(config, name).map_err(|error| wrong(&error))?;
        conn.complete_io(line).map_err(|error| {
            if error.kind() == io::ErrorKind::UnexpectedEof && error.get_ref().is_none() {
                return wrap_error(exchange.error(
                    Status::Tls,
                    "the connection was closed in the middle of the TLS handshake; check that the port speaks TLS",
                ));
            }
            convert_io_error(error, &self.transport_config)
        })?;
        exchange.set_phase(RequestPhase::Http);
        Ok(Box::new(TlsStream { conn, transport_config: self.transport_config.clone() }))
    }
}

/// ureq's errors and ours come through rustls in an `io::Error`, and so do rustls's own.
fn convert_io_error(error: io::Error, trust: &TransportConfig) -> ureq::Error {
    let exchange = match RequestContext::current() {
        Ok(exchange) => exchange,
        Err(error) => return error.into(),
    };
    if let Some(wrong) = error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>()) {
        return wrap_error(trust.tls_error(wrong, &exchange.host));
    }
    if error.kind() == io::ErrorKind::UnexpectedEof {
        exchange.unclean_close.set(true);
    }
    error.into()
}

/// A connection.
pub(super) struct HttpTransport {
    stream: TimedStream,
    tls: Option<Box<TlsStream>>,
    buffers: ZeroizingBuffers,
    clock: Arc<dyn Clock>,
    /// By [`Clock::boot_time`]: ureq measures by a clock that stops while the machine is suspended.
    idle_since: Duration,
}

/// What encrypts a connection.
struct TlsStream {
    conn: ClientConnection,
    transport_config: TransportConfig,
}

impl TlsStream {
    fn send(&mut self, text: &[u8], line: &mut TimedStream) -> Result<(), ureq::Error> {
        // Stream swallows the errors of a write for as long as rustls has room; flush does not.
        let mut stream = Stream::new(&mut self.conn, line);
        let sent = stream.write_all(text).and_then(|()| stream.flush());
        sent.map_err(|error| self.write_error(error, line))
    }

    /// A server that ends the connection while we speak may have said why: in TLS 1.3 it does not like a client's
    /// certificate only after the handshake.
    fn write_error(&mut self, error: io::Error, line: &mut TimedStream) -> ureq::Error {
        let is_of_tls = error.get_ref().is_some_and(|inner| inner.is::<rustls::Error>());
        while !is_of_tls && self.conn.read_tls(line).is_ok_and(|come| come > 0) {
            if let Err(reason) = self.conn.process_new_packets() {
                return convert_io_error(io::Error::other(reason), &self.transport_config);
            }
        }
        convert_io_error(error, &self.transport_config)
    }

    fn receive(&mut self, space: &mut [u8], line: &mut TimedStream) -> Result<usize, ureq::Error> {
        Stream::new(&mut self.conn, line)
            .read(space)
            .map_err(|error| convert_io_error(error, &self.transport_config))
    }

    /// Whether nothing that came is still to be read.
    fn is_idle(&mut self) -> bool {
        self.conn
            .process_new_packets()
            .is_ok_and(|state| !state.peer_has_closed() && state.plaintext_bytes_to_read() == 0)
    }
}

impl HttpTransport {
    fn send(&mut self) -> Result<(), ureq::Error> {
        let text = self.buffers.unsent();
        if !text.is_empty() {
            match &mut self.tls {
                Some(tls) => tls.send(text, &mut self.stream)?,
                None => self.stream.write_all(text)?,
            }
            self.buffers.mark_sent();
        }
        Ok(())
    }

    fn receive(&mut self) -> Result<usize, ureq::Error> {
        let space = self.buffers.input_append_buf();
        let amount = match &mut self.tls {
            Some(tls) => tls.receive(space, &mut self.stream)?,
            None => self.stream.read(space)?,
        };
        self.buffers.input_appended(amount);
        Ok(amount)
    }
}

impl Transport for HttpTransport {
    fn buffers(&mut self) -> &mut dyn Buffers {
        &mut self.buffers
    }

    /// Only notes what there is to send, up to a record of it: the server is woken once.
    fn transmit_output(&mut self, amount: usize, _: NextTimeout) -> Result<(), ureq::Error> {
        RequestContext::current()?.mark_sent();
        self.buffers.mark_written(amount);
        if self.buffers.unsent().len() < MAX_TLS_RECORD { Ok(()) } else { self.send() }
    }

    fn await_input(&mut self, _: NextTimeout) -> Result<bool, ureq::Error> {
        self.send()?;
        let amount = self.receive()?;
        RequestContext::current()?.add_received(amount).map_err(wrap_error)?;
        Ok(amount > 0)
    }

    /// Asked when the connection goes to rest and when it is taken up again; the socket only then.
    fn is_open(&mut self) -> bool {
        let quiet = self.buffers.input().is_empty() && self.tls.as_mut().is_none_or(|tls| tls.is_idle());
        let now = self.clock.boot_time();
        if !self.buffers.is_wiped() {
            self.buffers.wipe_used();
            self.idle_since = now;
            return quiet;
        }
        let wanted =
            !RequestContext::current().is_ok_and(|exchange| exchange.reuse() == ConnectionReuse::Never);
        quiet && wanted && now.saturating_sub(self.idle_since) < IDLE_TIMEOUT && self.stream.is_idle()
    }

    fn is_tls(&self) -> bool {
        self.tls.is_some()
    }
}

impl fmt::Debug for HttpTransport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.is_tls() { "Channel(TLS)" } else { "Channel(plain)" })
    }
}

impl fmt::Debug for TransportConnector {
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
    fn used_transport() -> (HttpTransport, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let stream = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        stream.set_nonblocking(true).unwrap();
        let line = TimedStream(Arc::new(ForkSafeSocket::new(stream)));
        let clock = Arc::new(SystemClock);
        let mut channel = HttpTransport {
            stream: line,
            tls: None,
            buffers: ZeroizingBuffers::new(8, 8),
            clock,
            idle_since: Duration::ZERO,
        };
        channel.buffers.output()[..3].copy_from_slice(b"get");
        channel.buffers.mark_written(3);
        (channel, listener.accept().unwrap().0)
    }

    #[test]
    fn eof_or_data_while_idle_prevents_reuse() {
        for unasked in [b"".as_slice(), b"HTTP/1.1 408 Request Timeout\r\n\r\n"] {
            let (mut channel, mut server) = used_transport();
            assert!(channel.is_open(), "it goes to rest");
            assert!(channel.is_open(), "it is taken up again");
            server.write_all(unasked).unwrap();
            let ended = unasked.is_empty().then(|| drop(server));
            assert!(sys::wait_readable(&**channel.stream.0, Duration::from_secs(5)).unwrap());
            assert!(!channel.is_open(), "it ended: {ended:?}");
        }
    }

    #[test]
    fn unread_response_bytes_prevent_reuse() {
        let (mut channel, _server) = used_transport();
        channel.buffers.input_append_buf()[..4].copy_from_slice(b"more");
        channel.buffers.input_appended(4);
        assert!(!channel.is_open());
    }
}
