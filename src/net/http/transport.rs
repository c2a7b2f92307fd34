//! ureq transport over TCP, with or without TLS.
//!
//! Head and body of a request are sent together, and the received bytes are counted against the response
//! limit.

use std::fmt;
use std::io::{self, Read, Write};
use std::sync::Arc;
use std::time::Duration;

use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection, Stream};
use ureq::unversioned::transport::{Buffers, ConnectionDetails, Connector, NextTimeout, Transport};

use crate::base::clock::Clock;
use crate::base::error::{Error, NetworkError};
use crate::net::http::agent_cache::IDLE_TIMEOUT;
use crate::net::http::buffers::ZeroizingBuffers;
use crate::net::http::error::wrap_error;
use crate::net::http::proxy_tunnel;
use crate::net::http::request::ConnectionReuse;
use crate::net::http::request_context::RequestContext;
use crate::net::http::tcp::{TcpConnector, TimedStream};
use crate::net::socket::{self, ConnectionPhase, SharedSocket, SocketContext};
use crate::net::tls::{self, HandshakeStage, TransportConfig};

/// Sizes of the input buffer (for the response's head) and the output buffer (for the longest request line: a
/// query with an assertion, where a URI has at most 64 KiB).
pub(super) const BUFFER_SIZES: (usize, usize) = (40 << 10, 72 << 10);

/// Maximum payload of a TLS record; output is sent when it reaches this length.
const MAX_TLS_RECORD: usize = 16 << 10;

/// Opens connections, with TLS for https URLs.
pub(super) struct TransportConnector {
    pub(super) tcp_connector: TcpConnector,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) transport_config: TransportConfig,
    /// `None` for agents that only use plain HTTP.
    pub(super) tls_config: Option<Arc<ClientConfig>>,
}

impl Connector for TransportConnector {
    type Out = HttpTransport;

    fn connect(
        &self,
        details: &ConnectionDetails,
        _: Option<()>,
    ) -> Result<Option<HttpTransport>, ureq::Error> {
        let context = RequestContext::current()?;
        let mut tcp_stream = TimedStream(self.open_stream(&context).map_err(wrap_error)?);
        let tls = match (&self.tls_config, details.needs_tls()) {
            (_, false) => None,
            (Some(config), true) => Some(self.handshake(Arc::clone(config), &mut tcp_stream, &context)?),
            (None, true) => return Err(ureq::Error::TlsRequired),
        };
        let buffers = ZeroizingBuffers::new(BUFFER_SIZES.0, BUFFER_SIZES.1);
        Ok(Some(HttpTransport {
            stream: tcp_stream,
            tls,
            buffers,
            clock: Arc::clone(&self.clock),
            idle_since: Duration::ZERO,
        }))
    }
}

impl TransportConnector {
    /// Connects to the host of the request, through a tunnel if there is a proxy.
    fn open_stream(&self, context: &RequestContext) -> Result<SharedSocket, Error> {
        let stream = self.tcp_connector.connect(context)?;
        if let Some(proxy) = &context.proxy {
            proxy_tunnel::open_tunnel(proxy, &stream, context)?;
        }
        context.set_phase(ConnectionPhase::Established);
        Ok(stream)
    }

    fn handshake(
        &self,
        config: Arc<ClientConfig>,
        tcp_stream: &mut TimedStream,
        context: &RequestContext,
    ) -> Result<Box<TlsStream>, ureq::Error> {
        context.set_phase(ConnectionPhase::TlsHandshake);
        let name = ServerName::try_from(context.host.clone()).map_err(|_| {
            wrap_error(context.error(NetworkError::Tls, "the host name is not valid in a certificate"))
        })?;
        let mut conn = ClientConnection::new(config, name).map_err(|error| {
            let stage = HandshakeStage::ClientHello;
            wrap_error(self.transport_config.tls_error(&error, &context.host, stage))
        })?;
        if let Err(error) = conn.complete_io(tcp_stream) {
            return Err(self.handshake_error(error, HandshakeStage::from_handshake(&conn), context));
        }
        context.set_phase(ConnectionPhase::Established);
        Ok(Box::new(TlsStream { conn, transport_config: self.transport_config.clone() }))
    }

    fn handshake_error(
        &self,
        error: io::Error,
        stage: HandshakeStage,
        context: &RequestContext,
    ) -> ureq::Error {
        if error.kind() != io::ErrorKind::UnexpectedEof || error.get_ref().is_some() {
            return convert_io_error(error, &self.transport_config, stage);
        }
        let hint = match stage {
            // Windows servers close without an alert if there is no common cipher suite.
            HandshakeStage::ClientHello => {
                "; check that the port uses TLS 1.2 or later, with ECDHE and AES-GCM or ChaCha20-Poly1305"
            }
            HandshakeStage::ServerHello => "",
        };
        let text = format!("the server closed the connection during the TLS handshake{hint}");
        wrap_error(context.error(NetworkError::Tls, &text))
    }
}

/// Converts an `io::Error` returned by rustls. It may contain an error of this crate, of ureq or of rustls.
fn convert_io_error(
    error: io::Error,
    transport_config: &TransportConfig,
    stage: HandshakeStage,
) -> ureq::Error {
    let context = match RequestContext::current() {
        Ok(context) => context,
        Err(error) => return error.into(),
    };
    if let Some(tls_error) = error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>()) {
        return wrap_error(transport_config.tls_error(tls_error, &context.host, stage));
    }
    if error.kind() == io::ErrorKind::UnexpectedEof {
        context.unclean_close.set(true);
    }
    error.into()
}

/// A plain or TLS connection.
pub(super) struct HttpTransport {
    stream: TimedStream,
    tls: Option<Box<TlsStream>>,
    buffers: ZeroizingBuffers,
    clock: Arc<dyn Clock>,
    /// Measured by [`Clock::boot_time`], because ureq uses a clock that stops while the machine is suspended.
    idle_since: Duration,
}

/// The TLS session of a connection.
struct TlsStream {
    conn: ClientConnection,
    transport_config: TransportConfig,
}

impl TlsStream {
    fn send(&mut self, bytes: &[u8], tcp_stream: &mut TimedStream) -> Result<(), ureq::Error> {
        tls::write_all(&mut self.conn, bytes, tcp_stream).map_err(|error| self.write_error(error, tcp_stream))
    }

    /// Returns the TLS alert that the server sent before it closed the connection during a write, if any: in
    /// TLS 1.3, a server rejects a client certificate only after the client has finished the handshake.
    fn write_error(&mut self, error: io::Error, tcp_stream: &mut TimedStream) -> ureq::Error {
        // After any other error the server waits for the rest of the request, and there is nothing to read.
        let was_closed = matches!(error.kind(), io::ErrorKind::BrokenPipe | io::ErrorKind::ConnectionReset);
        while was_closed && self.conn.read_tls(tcp_stream).is_ok_and(|length| length > 0) {
            if let Err(reason) = self.conn.process_new_packets() {
                return self.io_error(io::Error::other(reason));
            }
        }
        self.io_error(error)
    }

    /// Converts an error after the handshake.
    fn io_error(&self, error: io::Error) -> ureq::Error {
        convert_io_error(error, &self.transport_config, HandshakeStage::ServerHello)
    }

    fn receive(&mut self, buffer: &mut [u8], tcp_stream: &mut TimedStream) -> Result<usize, ureq::Error> {
        Stream::new(&mut self.conn, tcp_stream).read(buffer).map_err(|error| self.io_error(error))
    }

    /// Whether all received data was read and the peer has not closed the session.
    fn is_idle(&mut self) -> bool {
        self.conn
            .process_new_packets()
            .is_ok_and(|state| !state.peer_has_closed() && state.plaintext_bytes_to_read() == 0)
    }
}

impl HttpTransport {
    fn send(&mut self) -> Result<(), ureq::Error> {
        let unsent = self.buffers.unsent();
        if !unsent.is_empty() {
            match &mut self.tls {
                Some(tls) => tls.send(unsent, &mut self.stream)?,
                None => self.stream.write_all(unsent)?,
            }
            self.buffers.mark_sent();
        }
        Ok(())
    }

    fn receive(&mut self) -> Result<usize, ureq::Error> {
        let buffer = self.buffers.input_append_buf();
        let amount = match &mut self.tls {
            Some(tls) => tls.receive(buffer, &mut self.stream)?,
            None => self.stream.read(buffer)?,
        };
        self.buffers.input_appended(amount);
        Ok(amount)
    }
}

impl Transport for HttpTransport {
    fn buffers(&mut self) -> &mut dyn Buffers {
        &mut self.buffers
    }

    /// Buffers the output up to a TLS record, so that the server receives a small request in one piece.
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

    /// Called when the connection becomes idle and when it is reused. Only the latter call checks the socket.
    fn is_open(&mut self) -> bool {
        let idle = self.buffers.input().is_empty() && self.tls.as_mut().is_none_or(|tls| tls.is_idle());
        let now = self.clock.boot_time();
        if !self.buffers.is_wiped() {
            self.buffers.wipe_used();
            self.idle_since = now;
            return idle;
        }
        let reusable =
            !RequestContext::current().is_ok_and(|context| context.reuse() == ConnectionReuse::Never);
        idle && reusable
            && now.saturating_sub(self.idle_since) < IDLE_TIMEOUT
            && socket::is_idle(&self.stream.0)
    }

    fn is_tls(&self) -> bool {
        self.tls.is_some()
    }
}

impl fmt::Debug for HttpTransport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.is_tls() { "HttpTransport(TLS)" } else { "HttpTransport(plain)" })
    }
}

impl fmt::Debug for TransportConnector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TransportConnector")
    }
}

#[cfg(test)]
mod tests {
    use std::net::{TcpListener, TcpStream};
    use std::time::Duration;

    use super::*;
    use crate::base::clock::SystemClock;
    use crate::sys::{self, ForkSafe};

    /// Returns a connection that was used for a request, and the server's end of it.
    fn used_transport() -> (HttpTransport, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let stream = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        stream.set_nonblocking(true).unwrap();
        let tcp_stream = TimedStream(Arc::new(ForkSafe::new(stream.into())));
        let clock = Arc::new(SystemClock);
        let mut transport = HttpTransport {
            stream: tcp_stream,
            tls: None,
            buffers: ZeroizingBuffers::new(8, 8),
            clock,
            idle_since: Duration::ZERO,
        };
        transport.buffers.output()[..3].copy_from_slice(b"get");
        transport.buffers.mark_written(3);
        (transport, listener.accept().unwrap().0)
    }

    #[test]
    fn eof_or_data_while_idle_prevents_reuse() {
        for unsolicited in [b"".as_slice(), b"HTTP/1.1 408 Request Timeout\r\n\r\n"] {
            let (mut transport, mut server) = used_transport();
            assert!(transport.is_open(), "becomes idle");
            assert!(transport.is_open(), "is reused");
            server.write_all(unsolicited).unwrap();
            let closed = unsolicited.is_empty().then(|| drop(server));
            assert!(sys::wait_readable(&**transport.stream.0, Duration::from_secs(5)).unwrap());
            assert!(!transport.is_open(), "closed: {closed:?}");
        }
    }

    #[test]
    fn unread_response_bytes_prevent_reuse() {
        let (mut transport, _server) = used_transport();
        transport.buffers.input_append_buf()[..4].copy_from_slice(b"more");
        transport.buffers.input_appended(4);
        assert!(!transport.is_open());
    }
}
