//! A connection to the server: connect, TLS handshake and authentication; sends commands and receives replies.

use std::io::{self, Read, Write};
use std::sync::Arc;

use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection, Stream};

use super::context::StoreContext;
use super::resp::{self, Command, MAX_REPLIES_LEN, Reply};
use super::server_error::server_error;
use crate::base::error::{Error, NetworkError, Result, io_error_text};
use crate::net::socket::{self, ConnectionPhase, SharedSocket, SocketContext, SocketError};
use crate::net::tls::{self, HandshakeStage};

/// The number of bytes that are received at once.
const CHUNK_LEN: usize = 16 << 10;

/// A connection that is ready for commands, unless one has failed.
pub(super) struct Connection {
    socket: SharedSocket,
    tls: Option<Box<ClientConnection>>,
    received: Vec<u8>,
    /// Whether it was idle, and no reply has been received since.
    is_unproven: bool,
    is_broken: bool,
    /// Whether the server has replicas, once that is known.
    pub(super) has_replicas: Option<bool>,
}

/// Why an operation failed.
#[derive(Debug)]
pub(super) struct Failure {
    pub(super) error: Error,
    /// Whether the connection, which had been idle, failed before any reply: most likely the server had closed it.
    pub(super) is_stale: bool,
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self { error, is_stale: false }
    }
}

impl Connection {
    /// A connection on `socket`, with TLS if there is a configuration.
    pub(super) fn open(
        socket: SharedSocket,
        tls: Option<Arc<ClientConfig>>,
        context: &StoreContext<'_>,
    ) -> Result<Self> {
        let tls = tls.map(|config| handshake(&socket, config, context)).transpose()?;
        context.set_phase(ConnectionPhase::Established);
        let mut connection = Self {
            socket,
            tls,
            received: Vec::new(),
            is_unproven: false,
            is_broken: false,
            has_replicas: None,
        };
        connection.authenticate(context).map_err(|failure| failure.error)?;
        Ok(connection)
    }

    /// Sends AUTH and SELECT, if they are necessary.
    fn authenticate(&mut self, context: &StoreContext<'_>) -> std::result::Result<(), Failure> {
        let location = context.location;
        let password = location.password.as_ref().map(|password| password.reveal().as_bytes());
        let credentials: Vec<_> = location.user.iter().map(|user| user.as_bytes()).chain(password).collect();
        let database = location.database.to_string();
        let database = [database.as_bytes()];
        let mut commands: Vec<Command<'_>> = Vec::new();
        if !credentials.is_empty() {
            commands.push(("AUTH", &credentials));
        }
        if location.database != 0 {
            commands.push(("SELECT", &database));
        }
        if commands.is_empty() {
            return Ok(());
        }
        self.exchange_all(&commands, context).map(drop)
    }

    /// Whether an exchange failed, so that replies may be missing.
    pub(super) fn is_broken(&self) -> bool {
        self.is_broken
    }

    /// Whether the connection can be used again: this process opened it, and the server has neither closed it
    /// nor sent anything.
    pub(super) fn is_idle(&mut self) -> bool {
        let is_tls_idle = self.tls.as_mut().is_none_or(|tls| {
            tls.process_new_packets()
                .is_ok_and(|state| !state.peer_has_closed() && state.plaintext_bytes_to_read() == 0)
        });
        is_tls_idle && socket::is_idle(&self.socket)
    }

    /// Records that the connection is used again.
    pub(super) fn mark_reused(&mut self) {
        self.is_unproven = true;
    }

    /// Sends `commands` together and receives their replies. An error reply is an error.
    pub(super) fn exchange<const N: usize>(
        &mut self,
        commands: [Command<'_>; N],
        context: &StoreContext<'_>,
    ) -> std::result::Result<[Reply; N], Failure> {
        let replies = self.exchange_all(&commands, context)?;
        replies.try_into().map_err(|_| Self::protocol_error("sent too few replies", context))
    }

    fn exchange_all(
        &mut self,
        commands: &[Command<'_>],
        context: &StoreContext<'_>,
    ) -> std::result::Result<Vec<Reply>, Failure> {
        let replies = self.exchange_raw(commands, context)?;
        match replies.iter().find_map(error_text) {
            Some(text) => Err(server_error(text, context).into()),
            None => Ok(replies),
        }
    }

    /// As [`Self::exchange`], but an error reply is returned.
    pub(super) fn exchange_raw(
        &mut self,
        commands: &[Command<'_>],
        context: &StoreContext<'_>,
    ) -> std::result::Result<Vec<Reply>, Failure> {
        let replies = self.send_and_receive(commands, context);
        self.is_broken |= replies.is_err();
        replies
    }

    fn send_and_receive(
        &mut self,
        commands: &[Command<'_>],
        context: &StoreContext<'_>,
    ) -> std::result::Result<Vec<Reply>, Failure> {
        let encoded = resp::encode_commands(commands)?;
        let sent = self.send(&encoded, context);
        self.is_broken |= sent.is_err();
        match sent {
            Err(error) if !is_connection_error(&error) => return Err(self.failure(error, context)),
            _ => {}
        }
        // Before it closes the connection, a server may say why.
        let replies = self.receive_replies(commands.len(), context);
        match (sent, replies) {
            (Err(error), Err(received)) if received.is_closed => Err(self.failure(error, context)),
            (_, replies) => replies.map_err(|received| received.failure),
        }
    }

    fn send(&mut self, bytes: &[u8], context: &StoreContext<'_>) -> io::Result<()> {
        let mut stream = ContextStream { socket: &self.socket, context };
        match &mut self.tls {
            Some(tls) => tls::write_all(tls, bytes, &mut stream),
            None => stream.write_all(bytes),
        }
    }

    fn receive_replies(
        &mut self,
        count: usize,
        context: &StoreContext<'_>,
    ) -> std::result::Result<Vec<Reply>, ReceiveFailure> {
        let mut replies = Vec::with_capacity(count);
        let mut used = 0_usize;
        while replies.len() < count {
            let rest = self.received.get(used..).unwrap_or_default();
            match resp::decode_reply(rest) {
                Ok(Some((reply, length))) => {
                    replies.push(reply);
                    used = used.saturating_add(length);
                }
                Ok(None) => self.receive_more(context).map_err(|failure| {
                    match replies.iter().find_map(error_text) {
                        Some(text) => Failure::from(server_error(text, context)).into(),
                        None => failure,
                    }
                })?,
                Err(resp::MalformedReply) => {
                    let text = "sent a reply that is not that of a Redis server; check the port, and whether it \
                                needs TLS (rediss://)";
                    return Err(Self::protocol_error(text, context).into());
                }
            }
        }
        if used < self.received.len() {
            return Err(Self::protocol_error("sent more replies than commands were sent", context).into());
        }
        self.received.clear();
        self.received.shrink_to(CHUNK_LEN);
        Ok(replies)
    }

    /// Receives at least one byte.
    fn receive_more(&mut self, context: &StoreContext<'_>) -> std::result::Result<(), ReceiveFailure> {
        if self.received.len() >= MAX_REPLIES_LEN {
            return Err(Self::protocol_error("sent a reply of more than 1 MiB", context).into());
        }
        let mut chunk = [0; CHUNK_LEN];
        let mut stream = ContextStream { socket: &self.socket, context };
        let received = match &mut self.tls {
            Some(tls) => Stream::new(&mut **tls, &mut stream).read(&mut chunk),
            None => stream.read(&mut chunk),
        };
        match received {
            Ok(0) => {
                let error = context
                    .error(NetworkError::Connection, "closed the connection; see the log of the server");
                let failure = Failure { error, is_stale: self.is_unproven };
                Err(ReceiveFailure { failure, is_closed: true })
            }
            Ok(length) => {
                self.is_unproven = false;
                self.received.extend_from_slice(chunk.get(..length).unwrap_or_default());
                Ok(())
            }
            Err(error) => {
                let is_closed = is_connection_error(&error);
                Err(ReceiveFailure { failure: self.failure(error, context), is_closed })
            }
        }
    }

    fn failure(&self, error: io::Error, context: &StoreContext<'_>) -> Failure {
        let is_stale = self.is_unproven && is_connection_error(&error);
        Failure { error: convert_io_error(error, HandshakeStage::ServerHello, context), is_stale }
    }

    fn protocol_error(text: &str, context: &StoreContext<'_>) -> Failure {
        context.error(NetworkError::BadResponse, text).into()
    }
}

/// Why a reply was not received.
struct ReceiveFailure {
    failure: Failure,
    /// Whether the connection ended.
    is_closed: bool,
}

impl From<Failure> for ReceiveFailure {
    fn from(failure: Failure) -> Self {
        Self { failure, is_closed: false }
    }
}

/// The text of an error reply. EXEC returns those of its commands in an array.
pub(super) fn error_text(reply: &Reply) -> Option<&str> {
    match reply {
        Reply::Error(text) => Some(text),
        Reply::Array(items) => items.iter().find_map(|item| match item {
            Reply::Error(text) => Some(text.as_str()),
            _ => None,
        }),
        _ => None,
    }
}

fn handshake(
    socket: &SharedSocket,
    config: Arc<ClientConfig>,
    context: &StoreContext<'_>,
) -> Result<Box<ClientConnection>> {
    context.set_phase(ConnectionPhase::TlsHandshake);
    let (host, _) = context.connect_target();
    let name = ServerName::try_from(host.to_owned())
        .map_err(|_| context.error(NetworkError::Tls, "has a name that is not valid in a certificate"))?;
    let mut tls = ClientConnection::new(config, name)
        .map_err(|error| tls_error(&error, HandshakeStage::ClientHello, context))?;
    match tls.complete_io(&mut ContextStream { socket, context }) {
        Ok(_) => Ok(Box::new(tls)),
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof && error.get_ref().is_none() => {
            let text = "closed the connection during the TLS handshake; check that the port uses TLS";
            Err(context.error(NetworkError::Tls, text))
        }
        Err(error) => Err(convert_io_error(error, HandshakeStage::from_handshake(&tls), context)),
    }
}

/// Whether the error is that of a connection that ended, and not of the operation or of TLS.
fn is_connection_error(error: &io::Error) -> bool {
    !error.get_ref().is_some_and(|inner| inner.is::<Error>() || inner.is::<rustls::Error>())
}

/// Converts an error of [`ContextStream`] or of rustls.
fn convert_io_error(error: io::Error, stage: HandshakeStage, context: &StoreContext<'_>) -> Error {
    if let Some(inner) = error.get_ref() {
        if let Some(own) = inner.downcast_ref::<Error>() {
            return own.clone();
        }
        if let Some(error) = inner.downcast_ref::<rustls::Error>() {
            return tls_error(error, stage, context);
        }
    }
    if error.kind() == io::ErrorKind::UnexpectedEof {
        return context.error(NetworkError::Connection, "closed the connection; see the log of the server");
    }
    let text = format!("cannot be reached: the connection failed: {}", io_error_text(&error));
    context.error(NetworkError::Connection, &text)
}

fn tls_error(error: &rustls::Error, stage: HandshakeStage, context: &StoreContext<'_>) -> Error {
    let (host, _) = context.connect_target();
    let Some(config) = &context.location.tls else {
        return context.error(NetworkError::Tls, "failed without TLS");
    };
    let option = match error {
        rustls::Error::InvalidCertificate(_) => "TokenCacheTrustStore",
        _ => "TokenCache",
    };
    config.tls_error(error, host, stage).with_option(option)
}

/// A socket whose reads and writes observe the limits of an operation. The crate's own error, such as a
/// timeout, is boxed in the `io::Error`.
struct ContextStream<'a> {
    socket: &'a SharedSocket,
    context: &'a StoreContext<'a>,
}

impl Read for ContextStream<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        socket::receive(self.socket, self.context, buffer).map_err(to_io_error)
    }
}

impl Write for ContextStream<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        socket::send(self.socket, self.context, bytes).map_err(to_io_error)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn to_io_error(error: SocketError) -> io::Error {
    match error {
        SocketError::Call(error) => io::Error::other(error),
        SocketError::Socket(error) => error,
    }
}
