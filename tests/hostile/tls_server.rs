//! TLS server on rustls with any certificate, which may alter what it sends; and the checks of a TLS case.

use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::path::PathBuf;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use authgrant::ffi::status::AUTHGRANT_TLS;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::server::{ClientHello, ResolvesServerCert, WebPkiClientVerifier};
use rustls::sign::CertifiedKey;
use rustls::{RootCertStore, ServerConfig, ServerConnection, StreamOwned, SupportedProtocolVersion, version};
use tempfile::TempDir;

use crate::case::{
    Expected, LONG_TIMEOUT_MS, check_call, check_sent, expect_healthy_token, run_each, set_option,
};
use crate::server::{Server, Step, healthy_response, read_request};
use crate::support::c_api::open;
use crate::support::servers::ServerProcess;

pub fn tls_failure(text: &'static str) -> Expected {
    Expected::Failure(AUTHGRANT_TLS, text)
}

/// A certificate chain, the server's own first, with the key that the server uses.
#[derive(Clone)]
pub struct Chain {
    pub certificates: Vec<CertificateDer<'static>>,
    pub key: Arc<KeyPair>,
}

/// A CA that the connections trust, with its certificate in a file.
pub struct TestCa {
    pub issuer: CertifiedIssuer<'static, KeyPair>,
    directory: TempDir,
}

pub fn ca_params(name: &str) -> CertificateParams {
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.distinguished_name.push(DnType::CommonName, name);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params
}

impl TestCa {
    pub fn new(name: &str) -> Self {
        let issuer = CertifiedIssuer::self_signed(ca_params(name), KeyPair::generate().unwrap()).unwrap();
        let ca = Self { issuer, directory: TempDir::new().unwrap() };
        std::fs::write(ca.path(), ca.issuer.pem()).unwrap();
        ca
    }

    pub fn path(&self) -> PathBuf {
        self.directory.path().join("ca.pem")
    }

    /// Writes a file next to the certificate.
    pub fn write(&self, name: &str, content: &str) -> PathBuf {
        let path = self.directory.path().join(name);
        std::fs::write(&path, content).unwrap();
        path
    }

    /// A server certificate for localhost that `customize` alters.
    pub fn issue(&self, customize: impl FnOnce(&mut CertificateParams)) -> Chain {
        let mut params = CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
        customize(&mut params);
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        Chain { certificates: vec![certificate.der().clone()], key: Arc::new(key) }
    }
}

/// The CA of all cases.
pub fn test_ca() -> &'static TestCa {
    static CA: OnceLock<TestCa> = OnceLock::new();
    CA.get_or_init(|| TestCa::new("hostile test CA"))
}

/// What the server does to the bytes that it sends. Positions count from the first byte of the connection.
#[derive(Clone, Copy, Debug)]
pub enum Tamper {
    Nothing,
    /// Closes the connection instead of sending the byte at this position.
    CloseAt(usize),
    /// Sends nothing from this position on.
    SilentAt(usize),
    /// Inverts a bit of the byte at this position.
    FlipAt(usize),
    /// Sends one byte each 100 ms.
    Slow,
}

/// What the server sends after the handshake, and a request.
#[derive(Clone, Debug)]
pub enum Reply {
    /// A correct answer; then it waits for another request.
    Healthy,
    /// These bytes inside of TLS; then it closes the connection without close_notify.
    Truncated(Vec<u8>),
    /// These bytes inside of TLS, and a close_notify.
    Complete(Vec<u8>),
    /// A part of a correct answer, and these bytes outside of TLS.
    Plain(Vec<u8>),
    /// These bytes outside of TLS, again and again.
    EndlessPlain(Vec<u8>),
    /// Messages that ask for new keys, again and again.
    EndlessKeyUpdates,
    /// These bytes inside of TLS, again and again.
    Endless(Vec<u8>),
}

/// A TLS server.
#[derive(Clone)]
pub struct TlsServer {
    pub config: Arc<ServerConfig>,
    pub tamper: Tamper,
    pub reply: Reply,
}

/// Presents a certificate whether or not it is usable with the key.
#[derive(Debug)]
struct AnyCertificate(Arc<CertifiedKey>);

impl ResolvesServerCert for AnyCertificate {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(Arc::clone(&self.0))
    }
}

/// Whether the server requests a client certificate.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum ClientCertificate {
    NotRequested,
    Optional,
    Required,
}

impl TlsServer {
    pub fn new(chain: &Chain) -> Self {
        Self::with(chain, &[&version::TLS13, &version::TLS12], ClientCertificate::NotRequested, |_| {})
    }

    pub fn with(
        chain: &Chain,
        versions: &[&'static SupportedProtocolVersion],
        client: ClientCertificate,
        customize: impl FnOnce(&mut ServerConfig),
    ) -> Self {
        let provider = Arc::new(aws_lc_rs::default_provider());
        let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(chain.key.serialize_der()));
        let key = aws_lc_rs::sign::any_supported_type(&key).unwrap();
        let resolver = AnyCertificate(Arc::new(CertifiedKey::new(chain.certificates.clone(), key)));
        let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
            .with_protocol_versions(versions)
            .unwrap();
        let builder = if client == ClientCertificate::NotRequested {
            builder.with_no_client_auth()
        } else {
            let mut roots = RootCertStore::empty();
            roots.add(test_ca().issuer.der().clone()).unwrap();
            let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider);
            let verifier = match client {
                ClientCertificate::Optional => verifier.allow_unauthenticated(),
                _ => verifier,
            };
            builder.with_client_cert_verifier(verifier.build().unwrap())
        };
        let mut config = builder.with_cert_resolver(Arc::new(resolver));
        customize(&mut config);
        Self { config: Arc::new(config), tamper: Tamper::Nothing, reply: Reply::Healthy }
    }

    /// Starts the server and returns its port. It ends with the process.
    pub fn start(&self) -> u16 {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let server = self.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let server = server.clone();
                std::thread::spawn(move || server.serve(stream));
            }
        });
        port
    }

    fn serve(&self, stream: TcpStream) -> io::Result<()> {
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(Duration::from_secs(30)))?;
        stream.set_write_timeout(Some(Duration::from_secs(30)))?;
        let stream = TamperedStream { stream, tamper: self.tamper, sent: 0 };
        let connection = ServerConnection::new(Arc::clone(&self.config)).unwrap();
        let mut tls = StreamOwned::new(connection, stream);
        let result = self.answer(&mut tls);
        // Sends the alert that explains a failed handshake.
        let _ = tls.conn.write_tls(&mut tls.sock);
        let _ = tls.sock.stream.shutdown(Shutdown::Write);
        while tls.sock.stream.read(&mut [0; 4096])? > 0 {}
        result
    }

    fn answer(&self, tls: &mut StreamOwned<ServerConnection, TamperedStream>) -> io::Result<()> {
        loop {
            read_request(tls)?;
            match &self.reply {
                Reply::Healthy => {
                    tls.write_all(&healthy_response())?;
                    tls.flush()?;
                    continue;
                }
                Reply::Truncated(bytes) => {
                    tls.write_all(bytes)?;
                    tls.flush()?;
                }
                Reply::Complete(bytes) => {
                    tls.write_all(bytes)?;
                    tls.conn.send_close_notify();
                    tls.flush()?;
                }
                Reply::Plain(bytes) => {
                    tls.write_all(&healthy_response()[..20])?;
                    tls.flush()?;
                    tls.sock.write_all(bytes)?;
                }
                Reply::EndlessPlain(bytes) => loop {
                    tls.sock.write_all(bytes)?;
                },
                Reply::EndlessKeyUpdates => loop {
                    tls.conn.refresh_traffic_keys().map_err(io::Error::other)?;
                    tls.flush()?;
                },
                Reply::Endless(bytes) => loop {
                    tls.write_all(bytes)?;
                },
            }
            return Ok(());
        }
    }
}

/// A socket that alters what is written.
struct TamperedStream {
    stream: TcpStream,
    tamper: Tamper,
    sent: usize,
}

impl Read for TamperedStream {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.stream.read(buffer)
    }
}

impl Write for TamperedStream {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let start = self.sent;
        let offset_in = |position: usize| position.checked_sub(start).filter(|offset| *offset < bytes.len());
        self.sent += bytes.len();
        match self.tamper {
            Tamper::Nothing => self.stream.write_all(bytes)?,
            Tamper::FlipAt(position) => {
                let mut bytes = bytes.to_vec();
                if let Some(offset) = offset_in(position) {
                    bytes[offset] ^= 1;
                }
                self.stream.write_all(&bytes)?;
            }
            Tamper::CloseAt(position) if start + bytes.len() > position => {
                self.stream.write_all(&bytes[..position.saturating_sub(start)])?;
                self.stream.shutdown(Shutdown::Write)?;
                return Err(io::Error::other("closed"));
            }
            Tamper::SilentAt(position) if start + bytes.len() > position => {
                self.stream.write_all(&bytes[..position.saturating_sub(start)])?;
            }
            Tamper::CloseAt(_) | Tamper::SilentAt(_) => self.stream.write_all(bytes)?,
            Tamper::Slow => {
                for byte in bytes {
                    self.stream.write_all(&[*byte])?;
                    std::thread::sleep(Duration::from_millis(100));
                }
            }
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// The server of a case.
pub enum Peer {
    Tls(TlsServer),
    /// Steps that begin with reading the ClientHello.
    Raw(Vec<Step>),
    /// `openssl s_server`, which has a different TLS stack and old algorithms.
    OpenSsl(ServerProcess),
}

/// A TLS server, and what the library makes of it.
pub struct TlsCase {
    pub name: String,
    peer: Peer,
    host: &'static str,
    options: String,
    expected: Expected,
    timeout_ms: i32,
}

impl TlsCase {
    pub fn new(name: impl Into<String>, peer: Peer, expected: Expected) -> Self {
        let options = String::new();
        Self { name: name.into(), peer, host: "localhost", options, expected, timeout_ms: LONG_TIMEOUT_MS }
    }

    /// A server with this chain, which the library judges.
    pub fn presents(name: impl Into<String>, chain: &Chain, expected: Expected) -> Self {
        Self::new(name, Peer::Tls(TlsServer::new(chain)), expected)
    }

    /// A server that reads the ClientHello, sends `bytes` and closes the connection.
    pub fn sends(name: impl Into<String>, bytes: impl Into<Vec<u8>>, expected: Expected) -> Self {
        Self::new(name, Peer::Raw(vec![Step::ReadRecord, Step::Send(bytes.into()), Step::Close]), expected)
    }

    /// The connection string has these options; they replace TrustStore, too.
    pub fn options(mut self, options: impl Into<String>) -> Self {
        self.options = options.into();
        self
    }

    /// The host of the URL is this one instead of localhost.
    pub fn host(mut self, host: &'static str) -> Self {
        self.host = host;
        self
    }

    /// The call has this time limit, which the server makes it reach.
    pub fn timeout_ms(mut self, timeout_ms: i32) -> Self {
        self.timeout_ms = timeout_ms;
        self
    }

    fn run(&self, healthy_port: u16) -> Result<(), String> {
        let raw = match &self.peer {
            Peer::Raw(steps) => Some(Server::start(steps.clone(), false)),
            Peer::Tls(_) | Peer::OpenSsl(_) => None,
        };
        let port = match (&self.peer, &raw) {
            (Peer::Tls(server), _) => server.start(),
            (Peer::OpenSsl(server), _) => server.port,
            (Peer::Raw(_), server) => server.as_ref().unwrap().port,
        };
        let connection = open(&format!(
            "{};AuthenticationMethod=53;ClientID=client;ClientSecret=hunter2;CacheScope=Connection;\
             TokenURI=https://{}:{port}/token;TrustStore={}",
            self.options,
            self.host,
            test_ca().path().display(),
        ))
        .map_err(|failure| failure.message)?;
        check_call(&connection, self.timeout_ms, &self.expected)?;
        raw.as_ref().map_or(Ok(()), check_sent)?;
        for (name, value) in [
            ("TokenURI", format!("https://localhost:{healthy_port}/token")),
            ("TrustStore", test_ca().path().display().to_string()),
            ("HostNameInCertificate", "localhost".to_owned()),
        ] {
            set_option(&connection, name, &value)?;
        }
        expect_healthy_token(&connection)
    }
}

/// Runs all cases, a few at a time, and fails with the list of those that failed.
#[track_caller]
pub fn run_tls(cases: &[TlsCase]) {
    let healthy_port = TlsServer::new(&test_ca().issue(|_| {})).start();
    run_each(cases, |case| &case.name, |case| case.run(healthy_port));
}
