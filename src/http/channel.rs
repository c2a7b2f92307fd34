//! TLS over a transport, and what is common to both kinds: the outermost end counts what an answer brought.

use std::fmt;
use std::io::{self, Read, Write};
use std::sync::Arc;

use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection, StreamOwned};
use ureq::unversioned::transport::{
    Buffers, ConnectionDetails, Connector, NextTimeout, Transport, TransportAdapter,
};

use super::buffers::{Unsent, Wiped};
use super::exchange::{Exchange, Stage};
use super::fault::carried;
use super::socket::BUFFERS;
use crate::error::Status;
use crate::tls::Trust;

/// Wraps a connection in TLS where the URL asks for it.
pub(super) struct Wrapper {
    pub(super) trust: Trust,
    /// There is none for agents that only speak plain HTTP.
    pub(super) config: Option<Arc<ClientConfig>>,
}

impl<In: Transport> Connector<In> for Wrapper {
    type Out = Channel<In>;

    fn connect(
        &self,
        details: &ConnectionDetails,
        chained: Option<In>,
    ) -> Result<Option<Channel<In>>, ureq::Error> {
        let Some(transport) = chained else {
            return Err(ureq::Error::ConnectionFailed);
        };
        if !details.needs_tls() {
            return Ok(Some(Channel::Plain(transport)));
        }
        let Some(config) = &self.config else {
            return Err(ureq::Error::TlsRequired);
        };
        let adapter = TransportAdapter::new(transport, Arc::clone(&details.current_time));
        let tls = self.handshake(Arc::clone(config), adapter)?;
        Ok(Some(Channel::Tls(Box::new(tls))))
    }
}

impl Wrapper {
    fn handshake<T: Transport>(
        &self,
        config: Arc<ClientConfig>,
        mut sock: TransportAdapter<T>,
    ) -> Result<Tls<T>, ureq::Error> {
        let exchange = Exchange::current()?;
        exchange.reached(Stage::Handshaking);
        let wrong = |error: &rustls::Error| carried(self.trust.explain(error, &exchange.host));
        let name = ServerName::try_from(exchange.host.clone()).map_err(|_| {
            carried(exchange.error(Status::Tls, "a certificate cannot be for a host of this name"))
        })?;
        let mut conn = ClientConnection::new(config, name).map_err(|error| wrong(&error))?;
        conn.complete_io(&mut sock).map_err(|error| {
            if error.kind() == io::ErrorKind::UnexpectedEof && error.get_ref().is_none() {
                return carried(exchange.error(
                    Status::Tls,
                    "the connection was closed in the middle of the TLS handshake; check that the port speaks TLS",
                ));
            }
            fault(error, &self.trust)
        })?;
        exchange.reached(Stage::Talking);
        Ok(Tls {
            stream: StreamOwned { conn, sock },
            buffers: Wiped::new(BUFFERS.0, BUFFERS.1),
            unsent: Unsent::default(),
            trust: self.trust.clone(),
        })
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

/// A connection, with or without TLS.
pub(super) enum Channel<T: Transport> {
    Plain(T),
    Tls(Box<Tls<T>>),
}

/// A connection that is encrypted.
pub(super) struct Tls<T: Transport> {
    stream: StreamOwned<ClientConnection, TransportAdapter<T>>,
    buffers: Wiped,
    /// Head and body of a request leave together once an answer is awaited: the server is woken once.
    unsent: Unsent,
    trust: Trust,
}

impl<T: Transport> Tls<T> {
    /// Takes what is to be sent, and sends it as soon as there is a record of it.
    fn take(&mut self, amount: usize, timeout: NextTimeout) -> Result<(), ureq::Error> {
        let mut taken = 0;
        loop {
            let rest = self.buffers.written(amount).get(taken..).unwrap_or_default();
            let more = self.unsent.take(rest);
            if more == rest.len() {
                return Ok(());
            }
            taken = taken.saturating_add(more);
            self.send(timeout)?;
        }
    }

    fn send(&mut self, timeout: NextTimeout) -> Result<(), ureq::Error> {
        if self.unsent.text().is_empty() {
            return Ok(());
        }
        self.stream.sock.set_timeout(timeout);
        // StreamOwned swallows the errors of a write for as long as rustls has room; flush does not.
        let sent = self.stream.write_all(self.unsent.text()).and_then(|()| self.stream.flush());
        self.unsent.clear();
        sent.map_err(|error| self.not_sent(error))
    }

    /// A server that ends the connection while we speak may have said why: in TLS 1.3 it does not like a client's
    /// certificate only after the handshake.
    fn not_sent(&mut self, error: io::Error) -> ureq::Error {
        let is_of_tls = error.get_ref().is_some_and(|inner| inner.is::<rustls::Error>());
        while !is_of_tls && self.stream.conn.read_tls(&mut self.stream.sock).is_ok_and(|come| come > 0) {
            if let Err(reason) = self.stream.conn.process_new_packets() {
                return fault(io::Error::other(reason), &self.trust);
            }
        }
        fault(error, &self.trust)
    }

    fn receive(&mut self, timeout: NextTimeout) -> Result<bool, ureq::Error> {
        self.stream.sock.set_timeout(timeout);
        let amount =
            self.stream.read(self.buffers.input_append_buf()).map_err(|error| fault(error, &self.trust))?;
        self.buffers.input_appended(amount);
        Ok(amount > 0)
    }

    fn is_open(&mut self) -> bool {
        let quiet = self
            .stream
            .conn
            .process_new_packets()
            .is_ok_and(|state| !state.peer_has_closed() && state.plaintext_bytes_to_read() == 0);
        if quiet && self.buffers.input().is_empty() {
            self.buffers.rest();
            return self.stream.sock.get_mut().is_open();
        }
        false
    }
}

impl<T: Transport> Transport for Channel<T> {
    fn buffers(&mut self) -> &mut dyn Buffers {
        match self {
            Self::Plain(transport) => transport.buffers(),
            Self::Tls(tls) => &mut tls.buffers,
        }
    }

    fn transmit_output(&mut self, amount: usize, timeout: NextTimeout) -> Result<(), ureq::Error> {
        Exchange::current()?.sending();
        match self {
            Self::Plain(transport) => transport.transmit_output(amount, timeout),
            Self::Tls(tls) => tls.take(amount, timeout),
        }
    }

    fn await_input(&mut self, timeout: NextTimeout) -> Result<bool, ureq::Error> {
        let before = self.buffers().input().len();
        let progress = match self {
            Self::Plain(transport) => transport.await_input(timeout),
            Self::Tls(tls) => tls.send(timeout).and_then(|()| tls.receive(timeout)),
        }?;
        let more = self.buffers().input().len().saturating_sub(before);
        Exchange::current()?.count(more);
        Ok(progress)
    }

    fn is_open(&mut self) -> bool {
        match self {
            Self::Plain(transport) => transport.is_open(),
            Self::Tls(tls) => tls.is_open(),
        }
    }

    fn is_tls(&self) -> bool {
        matches!(self, Self::Tls(_))
    }
}

impl<T: Transport> fmt::Debug for Channel<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.is_tls() { "Channel(TLS)" } else { "Channel(plain)" })
    }
}

impl fmt::Debug for Wrapper {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Wrapper")
    }
}
