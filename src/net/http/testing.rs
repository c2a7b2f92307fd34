//! Small loopback servers for the tests of this room: plain or TLS, each answer decided by a closure.

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
use crate::net::http::dns::DnsResolver;
use crate::net::tls::TransportConfig;

/// What a server does with a request.
pub(super) enum ServerReply {
    /// Sends this and keeps the connection.
    KeepAlive(Vec<u8>),
    /// Sends this and closes it.
    Close(Vec<u8>),
    /// Says nothing until the client goes away.
    NoResponse,
    /// Sends this, one byte at a time, with a pause behind each.
    Drip(Vec<u8>),
    /// Sends the first, and then the second again and again.
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
    /// Answers by `reply`, which sees the number of the request (from 0) and its text.
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

    /// How many records of application data have come in.
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

/// A socket that counts what comes in, by the kind of record.
struct RecordCountingStream {
    stream: TcpStream,
    app_data_records: Arc<AtomicUsize>,
    /// The record that has begun.
    partial_record: Vec<u8>,
}

impl Read for RecordCountingStream {
    fn read(&mut self, into: &mut [u8]) -> std::io::Result<usize> {
        let come = self.stream.read(into)?;
        for byte in &into[..come] {
            self.partial_record.push(*byte);
            if let [kind, _, _, high, low, content @ ..] = self.partial_record.as_slice()
                && content.len() == usize::from(*high) * 256 + usize::from(*low)
            {
                // RFC 8446 section 5.1
                self.app_data_records.fetch_add(usize::from(*kind == 23), Ordering::SeqCst);
                self.partial_record.clear();
            }
        }
        Ok(come)
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
            let mut seen = requests.lock().unwrap();
            seen.push(text.clone());
            seen.len().saturating_sub(1)
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

/// A whole answer with a length.
pub(super) fn ok_response(body: &str) -> Vec<u8> {
    format!(
        "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    )
    .into_bytes()
}

/// A POST without much in it.
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
    network: &HttpClient,
    url: &EndpointUrl,
    call: &CallContext,
) -> Result<Response, RequestError> {
    network.send(&post_request(url), &TransportConfig::default(), call)
}

/// A call of so many milliseconds.
pub(super) fn call_with_timeout_ms(millis: u64) -> CallContext {
    CallContext::with_timeout(Duration::from_millis(millis), "LoginTimeout")
}

/// A call that is long enough for anything that ends by itself.
pub(super) fn call_with_long_timeout() -> CallContext {
    CallContext::with_timeout(Duration::from_secs(30), "LoginTimeout")
}

/// Runs `work`, which must end within `limit` milliseconds and the slack that the house allows itself.
pub(super) fn assert_completes_within<T>(limit: u64, work: impl FnOnce() -> T) -> T {
    let started = Instant::now();
    let result = work();
    let took = started.elapsed();
    assert!(took <= Duration::from_millis(limit.saturating_add(250)), "took {took:?}");
    result
}

/// A network without connections.
pub(super) fn new_client() -> HttpClient {
    HttpClient::new(new_key_cache(), Arc::new(SystemClock), Arc::default())
}

pub(super) fn new_key_cache() -> Arc<KeyCache> {
    Arc::new(KeyCache::new([7; 32]))
}

/// A network that asks `ask` for its names.
pub(super) fn client_with_resolver(
    ask: impl Fn(&str) -> std::io::Result<Vec<SocketAddr>> + Send + Sync + 'static,
) -> HttpClient {
    HttpClient { dns_resolver: DnsResolver::new(Arc::new(move |host: &str, _| ask(host))), ..new_client() }
}

/// A listener whose queue is full: connects to it are never answered.
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
        let waiting = (0..8)
            .map(|_| {
                let socket = new();
                socket.set_nonblocking(true).unwrap();
                let _ = socket.connect(&address);
                socket
            })
            .collect();
        Self { listener, _pending: waiting }
    }

    pub(super) fn port(&self) -> u16 {
        self.listener.local_addr().unwrap().as_socket().unwrap().port()
    }

    pub(super) fn url(&self) -> EndpointUrl {
        let port = self.port();
        EndpointUrl::parse(&format!("http://127.0.0.1:{port}/token")).unwrap()
    }
}

/// A port at which nobody listens.
pub(super) fn unused_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

/// Collects what the caller's log hears, and tells who waits for a line.
#[derive(Default)]
pub(super) struct LogRecorder(pub(super) Mutex<Vec<String>>, Mutex<Option<std::sync::mpsc::Sender<()>>>);

impl LogRecorder {
    pub(super) fn attach(self: &Arc<Self>, call: &mut CallContext) {
        call.log = Log::new(Arc::clone(self) as Arc<dyn LogSink>, LogLevel::Trace);
    }

    pub(super) fn subscribe(&self) -> std::sync::mpsc::Receiver<()> {
        let (ring, bell) = std::sync::mpsc::channel();
        *self.1.lock().unwrap() = Some(ring);
        bell
    }
}

impl LogSink for LogRecorder {
    fn log(&self, _: LogLevel, message: &str) {
        self.0.lock().unwrap().push(message.to_owned());
        if let Some(ring) = &*self.1.lock().unwrap() {
            let _ = ring.send(());
        }
    }
}

/// Sends on a thread of its own, cancels once `begun` is heard, and gives back what became of it, in time.
pub(super) fn cancel_after(
    begun: &std::sync::mpsc::Receiver<()>,
    network: &HttpClient,
    url: &EndpointUrl,
    call: &CallContext,
) -> RequestError {
    std::thread::scope(|scope| {
        let sender = scope.spawn(|| send_post(network, url, call));
        begun.recv_timeout(Duration::from_secs(20)).unwrap();
        call.cancel.cancel();
        assert_completes_within(0, || sender.join().unwrap()).unwrap_err()
    })
}
