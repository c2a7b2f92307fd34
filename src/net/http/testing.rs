//! Loopback servers and helpers for the HTTP tests: plain or TLS, with responses chosen by a closure.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use rustls::{ServerConfig, ServerConnection, StreamOwned};

use super::{ConnectionReuse, HttpClient, HttpMethod, Request, RequestError, Response};
use crate::base::call::CallContext;
use crate::base::clock::SystemClock;
use crate::base::log::{Log, LogLevel, LogSink};
use crate::base::url::EndpointUrl;
use crate::key::KeyCache;
use crate::net::socket::DnsResolver;
use crate::net::tls::TransportConfig;

/// The reaction of a test server to a request.
pub(super) enum ServerReply {
    /// Sends the bytes and keeps the connection open.
    KeepAlive(Vec<u8>),
    /// Sends the bytes and closes the connection.
    Close(Vec<u8>),
    /// Sends nothing until the client closes the connection.
    NoResponse,
    /// Sends one byte at a time, with a pause after each.
    Drip(Vec<u8>),
    /// Sends the first part once and the second part repeatedly.
    Endless(Vec<u8>, Vec<u8>),
}

pub(super) struct TestServer {
    pub(super) port: u16,
    accepted_connections: Arc<AtomicUsize>,
    requests: Arc<Mutex<Vec<String>>>,
    app_data_records: Arc<AtomicUsize>,
}

trait ReadWrite: Read + Write {}
impl<T: Read + Write> ReadWrite for T {}

impl TestServer {
    /// Starts a server that responds with `reply(number, text)` to each request; numbers start at 0.
    pub(super) fn start_plain(reply: impl Fn(usize, &str) -> ServerReply + Send + Sync + 'static) -> Self {
        Self::start(None, reply)
    }

    pub(super) fn start(
        tls: Option<Arc<ServerConfig>>,
        reply: impl Fn(usize, &str) -> ServerReply + Send + Sync + 'static,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let server = Self {
            port: listener.local_addr().unwrap().port(),
            accepted_connections: Arc::default(),
            requests: Arc::default(),
            app_data_records: Arc::default(),
        };
        let (accepted, requests) = (Arc::clone(&server.accepted_connections), Arc::clone(&server.requests));
        let records = Arc::clone(&server.app_data_records);
        let reply = Arc::new(reply);
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                accepted.fetch_add(1, Ordering::SeqCst);
                let (tls, requests, reply) = (tls.clone(), Arc::clone(&requests), Arc::clone(&reply));
                let records = Arc::clone(&records);
                std::thread::spawn(move || {
                    stream.set_nodelay(true).unwrap();
                    match tls {
                        None => serve_connection(stream, &requests, &*reply),
                        Some(config) => {
                            let conn = ServerConnection::new(config).unwrap();
                            let stream = RecordCountingStream {
                                stream,
                                app_data_records: records,
                                partial_record: Vec::new(),
                            };
                            serve_connection(StreamOwned::new(conn, stream), &requests, &*reply);
                        }
                    }
                });
            }
        });
        server
    }

    pub(super) fn accepted_connections(&self) -> usize {
        self.accepted_connections.load(Ordering::SeqCst)
    }

    /// Number of TLS application data records received.
    pub(super) fn app_data_records(&self) -> usize {
        self.app_data_records.load(Ordering::SeqCst)
    }

    pub(super) fn requests(&self) -> Vec<String> {
        self.requests.lock().unwrap().clone()
    }

    pub(super) fn url(&self) -> EndpointUrl {
        self.url_with_base("http://127.0.0.1", "/token")
    }

    pub(super) fn url_with_base(&self, base: &str, path: &str) -> EndpointUrl {
        EndpointUrl::parse(&format!("{base}:{}{path}", self.port)).unwrap()
    }
}

/// A socket that counts the received TLS application data records.
struct RecordCountingStream {
    stream: TcpStream,
    app_data_records: Arc<AtomicUsize>,
    /// The bytes of the incomplete record.
    partial_record: Vec<u8>,
}

impl Read for RecordCountingStream {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let length = self.stream.read(buffer)?;
        for byte in &buffer[..length] {
            self.partial_record.push(*byte);
            if let [kind, _, _, high, low, content @ ..] = self.partial_record.as_slice()
                && content.len() == usize::from(*high) * 256 + usize::from(*low)
            {
                // RFC 8446 section 5.1
                self.app_data_records.fetch_add(usize::from(*kind == 23), Ordering::SeqCst);
                self.partial_record.clear();
            }
        }
        Ok(length)
    }
}

impl Write for RecordCountingStream {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.stream.write(bytes)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        self.stream.flush()
    }
}

fn serve_connection(
    mut stream: impl ReadWrite,
    requests: &Mutex<Vec<String>>,
    reply: &(impl Fn(usize, &str) -> ServerReply + ?Sized),
) {
    while let Some(text) = read_request(&mut stream) {
        let number = {
            let mut received = requests.lock().unwrap();
            received.push(text.clone());
            received.len().saturating_sub(1)
        };
        match reply(number, &text) {
            ServerReply::KeepAlive(bytes) => {
                if stream.write_all(&bytes).and_then(|()| stream.flush()).is_err() {
                    return;
                }
            }
            ServerReply::Close(bytes) => {
                let _ = stream.write_all(&bytes).and_then(|()| stream.flush());
                return;
            }
            ServerReply::NoResponse => {
                let _ = stream.read(&mut [0]);
                return;
            }
            ServerReply::Endless(head, piece) => {
                let many = piece.repeat(1000);
                let mut sent = stream.write_all(&head);
                while sent.is_ok() {
                    sent = stream.write_all(&many);
                }
                return;
            }
            ServerReply::Drip(bytes) => {
                for byte in bytes {
                    if stream.write_all(&[byte]).and_then(|()| stream.flush()).is_err() {
                        return;
                    }
                    std::thread::sleep(Duration::from_millis(20));
                }
            }
        }
    }
}

fn read_request(stream: &mut impl Read) -> Option<String> {
    let mut bytes = Vec::new();
    let mut byte = [0];
    while !bytes.ends_with(b"\r\n\r\n") {
        if stream.read(&mut byte).ok()? == 0 {
            return None;
        }
        bytes.push(byte[0]);
    }
    let head = String::from_utf8(bytes).unwrap();
    let length = head
        .lines()
        .find_map(|line| line.to_ascii_lowercase().strip_prefix("content-length: ")?.parse().ok())
        .unwrap_or(0);
    let mut body = vec![0; length];
    stream.read_exact(&mut body).ok()?;
    Some(head + &String::from_utf8(body).unwrap())
}

/// A complete response with a Content-Length.
pub(super) fn ok_response(body: &str) -> Vec<u8> {
    format!(
        "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    )
    .into_bytes()
}

/// A minimal POST request.
pub(super) fn post_request(url: &EndpointUrl) -> Request<'_> {
    Request {
        method: HttpMethod::Post,
        url,
        query: None,
        headers: Vec::new(),
        body: Some("grant_type=x".into()),
        reuse: ConnectionReuse::Allow,
    }
}

pub(super) fn send_post(
    client: &HttpClient,
    url: &EndpointUrl,
    call: &CallContext,
) -> Result<Response, RequestError> {
    client.send(&post_request(url), &TransportConfig::default(), call)
}

/// A call with a timeout in milliseconds.
pub(super) fn call_with_timeout_ms(millis: u64) -> CallContext {
    CallContext::with_timeout(Duration::from_millis(millis), "LoginTimeout")
}

/// A call with a timeout that is not reached in a successful test.
pub(super) fn call_with_long_timeout() -> CallContext {
    CallContext::with_timeout(Duration::from_secs(30), "LoginTimeout")
}

/// Runs `work`, which must complete within `limit` milliseconds plus a tolerance of 250 ms.
pub(super) fn assert_completes_within<T>(limit: u64, work: impl FnOnce() -> T) -> T {
    let started = Instant::now();
    let result = work();
    let elapsed = started.elapsed();
    assert!(elapsed <= Duration::from_millis(limit.saturating_add(250)), "took {elapsed:?}");
    result
}

/// A client without connections.
pub(super) fn new_client() -> HttpClient {
    HttpClient::new(new_key_cache(), Arc::new(SystemClock), Arc::default())
}

pub(super) fn new_key_cache() -> Arc<KeyCache> {
    Arc::new(KeyCache::new([7; 32]))
}

/// A client that resolves host names by `resolve_fn`.
pub(super) fn client_with_resolver(
    resolve_fn: impl Fn(&str) -> std::io::Result<Vec<SocketAddr>> + Send + Sync + 'static,
) -> HttpClient {
    HttpClient {
        dns_resolver: DnsResolver::new(Arc::new(move |host: &str, _| resolve_fn(host))),
        ..new_client()
    }
}

/// A listener whose backlog is full, so that connects to it get no reply.
pub(super) struct UnresponsiveListener {
    listener: socket2::Socket,
    _pending: Vec<socket2::Socket>,
}

impl UnresponsiveListener {
    pub(super) fn new() -> Self {
        let new = || socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
        let listener = new();
        let any: SocketAddr = "127.0.0.1:0".parse().unwrap();
        listener.bind(&any.into()).unwrap();
        listener.listen(0).unwrap();
        let address = listener.local_addr().unwrap();
        let pending = (0..8)
            .map(|_| {
                let socket = new();
                socket.set_nonblocking(true).unwrap();
                let _ = socket.connect(&address);
                socket
            })
            .collect();
        Self { listener, _pending: pending }
    }

    /// Accepts connections from now on: the client's operating system repeats its SYN after a second.
    pub(super) fn start_accepting(&self) {
        let listener = self.listener.try_clone().unwrap();
        std::thread::spawn(move || {
            let mut accepted = Vec::new();
            while let Ok(connection) = listener.accept() {
                accepted.push(connection);
            }
        });
    }

    pub(super) fn port(&self) -> u16 {
        self.listener.local_addr().unwrap().as_socket().unwrap().port()
    }

    pub(super) fn url(&self) -> EndpointUrl {
        let port = self.port();
        EndpointUrl::parse(&format!("http://127.0.0.1:{port}/token")).unwrap()
    }
}

/// A port without a listener.
pub(super) fn unused_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

/// Collects the log messages of a call, and notifies a subscriber of each.
#[derive(Default)]
pub(super) struct LogRecorder(pub(super) Mutex<Vec<String>>, Mutex<Option<std::sync::mpsc::Sender<()>>>);

impl LogRecorder {
    pub(super) fn attach(self: &Arc<Self>, call: &mut CallContext) {
        call.log = Log::new(Arc::clone(self) as Arc<dyn LogSink>, LogLevel::Trace);
    }

    pub(super) fn subscribe(&self) -> std::sync::mpsc::Receiver<()> {
        let (sender, receiver) = std::sync::mpsc::channel();
        *self.1.lock().unwrap() = Some(sender);
        receiver
    }
}

impl LogSink for LogRecorder {
    fn log(&self, _: LogLevel, message: &str) {
        self.0.lock().unwrap().push(message.to_owned());
        if let Some(sender) = &*self.1.lock().unwrap() {
            let _ = sender.send(());
        }
    }
}

/// Sends a request on another thread, cancels it when `started` receives a message, and returns its error.
pub(super) fn cancel_after(
    started: &std::sync::mpsc::Receiver<()>,
    client: &HttpClient,
    url: &EndpointUrl,
    call: &CallContext,
) -> RequestError {
    std::thread::scope(|scope| {
        let sender = scope.spawn(|| send_post(client, url, call));
        started.recv_timeout(Duration::from_secs(20)).unwrap();
        call.cancel.cancel();
        assert_completes_within(0, || sender.join().unwrap()).unwrap_err()
    })
}
