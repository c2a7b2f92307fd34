//! Sends application data.

use std::io::{self, Write};

use rustls::ClientConnection;

/// Encrypts and sends all `bytes` on `stream`; the handshake is over.
///
/// `rustls::Stream` would hide a failed send and then repeat it: the request would be sent on a connection that has
/// failed, and its response be taken for a truncated one.
///
/// # Errors
/// Those of `stream`, at the first failed send.
pub fn write_all(
    connection: &mut ClientConnection,
    mut bytes: &[u8],
    stream: &mut dyn Write,
) -> io::Result<()> {
    while !bytes.is_empty() {
        let accepted = connection.writer().write(bytes)?;
        bytes = bytes.get(accepted..).unwrap_or_default();
        while connection.wants_write() {
            if connection.write_tls(stream)? == 0 {
                return Err(io::ErrorKind::WriteZero.into());
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;
    use std::sync::Arc;

    use rustls::client::danger::ServerCertVerifier;
    use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
    use rustls::{ClientConfig, ServerConfig, ServerConnection};

    use super::*;
    use crate::net::tls::provider::fork_safe_provider;
    use crate::net::tls::verifier::AcceptAnyServerCert;

    /// Both ends of a TLS connection after the handshake.
    fn connect() -> (ClientConnection, ServerConnection) {
        let rcgen::CertifiedKey { cert, signing_key } =
            rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(signing_key.serialize_der()));
        let server_config = ServerConfig::builder_with_provider(fork_safe_provider())
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![cert.der().clone()], key)
            .unwrap();
        let verifier: Arc<dyn ServerCertVerifier> = Arc::new(AcceptAnyServerCert(fork_safe_provider()));
        let client_config = ClientConfig::builder_with_provider(fork_safe_provider())
            .with_safe_default_protocol_versions()
            .unwrap()
            .dangerous()
            .with_custom_certificate_verifier(verifier)
            .with_no_client_auth();
        let name = "localhost".try_into().unwrap();
        let mut client = ClientConnection::new(Arc::new(client_config), name).unwrap();
        let mut server = ServerConnection::new(Arc::new(server_config)).unwrap();
        while client.is_handshaking() || server.is_handshaking() || client.wants_write() {
            let mut sent = Vec::new();
            client.write_tls(&mut sent).unwrap();
            server.read_tls(&mut sent.as_slice()).unwrap();
            server.process_new_packets().unwrap();
            sent.clear();
            while server.wants_write() {
                server.write_tls(&mut sent).unwrap();
            }
            client.read_tls(&mut sent.as_slice()).unwrap();
            client.process_new_packets().unwrap();
        }
        (client, server)
    }

    /// Accepts few bytes at a time, and fails once when it has some.
    struct FailingStream {
        sent: Vec<u8>,
        fails_after: Option<usize>,
    }

    impl Write for FailingStream {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            if self.fails_after.is_some_and(|length| self.sent.len() >= length) {
                self.fails_after = None;
                return Err(io::ErrorKind::OutOfMemory.into());
            }
            let length = bytes.len().min(100);
            self.sent.extend_from_slice(&bytes[..length]);
            Ok(length)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn failed_send_is_reported_and_not_repeated() {
        for fails_after in [0, 150] {
            let mut client = connect().0;
            let mut stream = FailingStream { sent: Vec::new(), fails_after: Some(fails_after) };
            let error = write_all(&mut client, &[b'x'; 40_000], &mut stream).unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::OutOfMemory);
            assert!(stream.sent.len() < fails_after + 100, "{} bytes were sent", stream.sent.len());
        }
    }

    #[test]
    fn server_receives_all_bytes() {
        let (mut client, mut server) = connect();
        let mut stream = FailingStream { sent: Vec::new(), fails_after: None };
        let request: Vec<u8> = (0..200_000_u32).map(|number| (number % 251) as u8).collect();
        write_all(&mut client, &request, &mut stream).unwrap();
        let (mut rest, mut received) = (stream.sent.as_slice(), Vec::new());
        while !rest.is_empty() {
            server.read_tls(&mut rest).unwrap();
            server.process_new_packets().unwrap();
            // The end of what has arrived is WouldBlock.
            let _ = server.reader().read_to_end(&mut received);
        }
        assert!(received == request, "{} bytes were received", received.len());
    }
}
