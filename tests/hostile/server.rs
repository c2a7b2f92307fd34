//! Server that sends bytes as a script says, without any knowledge of HTTP, and counts them.

use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use socket2::SockRef;

/// The body of a correct answer.
pub const HEALTHY_BODY: &str = r#"{"access_token":"healthy","token_type":"Bearer","expires_in":3600}"#;

/// How long the server waits for a client: longer than any call.
const CLIENT_TIMEOUT: Duration = Duration::from_secs(30);

/// The pause between the bytes of [`Step::Drip`].
const DRIP_INTERVAL: Duration = Duration::from_millis(100);

/// What the server does next on a connection. After the last step it waits for another request.
#[derive(Clone, Debug)]
pub enum Step {
    /// Reads a whole HTTP request.
    ReadRequest,
    /// Reads a TLS record, which is the ClientHello.
    ReadRecord,
    /// Reads this number of bytes.
    Read(usize),
    /// Sends these bytes.
    Send(Vec<u8>),
    /// Sends the last request, as a body of JSON: `{"error":"invalid_grant","error_description":…}`.
    Echo,
    /// Sends these bytes slowly.
    Drip(Vec<u8>),
    /// Sends these bytes again and again, until the client closes the connection.
    Endless(Vec<u8>),
    /// Waits until the client closes the connection.
    Hang,
    /// Ends the server's half of the connection, and waits until the client closes the other one.
    Close,
    /// Resets the connection.
    Reset,
}

/// A complete response with a Content-Length. `head` has the status line and other headers.
pub fn response(head: &str, body: impl AsRef<[u8]>) -> Vec<u8> {
    let body = body.as_ref();
    let length = body.len();
    [format!("{head}\r\nContent-Length: {length}\r\n\r\n").as_bytes(), body].concat()
}

pub fn healthy_response() -> Vec<u8> {
    response("HTTP/1.1 200 OK\r\nContent-Type: application/json", HEALTHY_BODY)
}

pub struct Server {
    pub port: u16,
    state: Arc<ServerState>,
}

struct ServerState {
    script: Vec<Step>,
    /// Whether requests get a correct answer.
    healthy: AtomicBool,
    sent: AtomicU64,
    accepted: AtomicUsize,
}

impl Server {
    /// Starts a server that follows `script` on each connection, again after each request. While it is healthy it
    /// sends correct answers instead.
    pub fn start(script: Vec<Step>, healthy: bool) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let state = Arc::new(ServerState {
            script,
            healthy: healthy.into(),
            sent: AtomicU64::new(0),
            accepted: AtomicUsize::new(0),
        });
        let server = Self { port, state: Arc::clone(&state) };
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let state = Arc::clone(&state);
                state.accepted.fetch_add(1, Ordering::SeqCst);
                std::thread::spawn(move || state.serve(stream));
            }
        });
        server
    }

    pub fn start_healthy() -> Self {
        Self::start(Vec::new(), true)
    }

    pub fn set_healthy(&self, healthy: bool) {
        self.state.healthy.store(healthy, Ordering::SeqCst);
    }

    pub fn accepted_connections(&self) -> usize {
        self.state.accepted.load(Ordering::SeqCst)
    }

    /// The bytes sent by the script, including those that the operating system has buffered.
    pub fn sent_bytes(&self) -> u64 {
        self.state.sent.load(Ordering::SeqCst)
    }
}

impl ServerState {
    fn serve(&self, mut stream: TcpStream) {
        stream.set_read_timeout(Some(CLIENT_TIMEOUT)).unwrap();
        stream.set_write_timeout(Some(CLIENT_TIMEOUT)).unwrap();
        stream.set_nodelay(true).unwrap();
        // What is not read by the client remains in buffers of the operating system; keep them small.
        SockRef::from(&stream).set_send_buffer_size(16 << 10).unwrap();
        while let Ok(true) = self.serve_next(&mut stream) {}
    }

    /// Returns whether the connection is still open.
    fn serve_next(&self, stream: &mut TcpStream) -> io::Result<bool> {
        let mut request = Vec::new();
        // A server that does not start with reading decides when the connection opens.
        let reads_first = matches!(self.script.first(), None | Some(Step::ReadRequest));
        if reads_first {
            request = read_request(stream)?;
        }
        if self.healthy.load(Ordering::SeqCst) {
            if !reads_first {
                read_request(stream)?;
            }
            stream.write_all(&healthy_response())?;
            return Ok(true);
        }
        for step in self.script.iter().skip(usize::from(reads_first)) {
            match step {
                Step::ReadRequest => request = read_request(stream)?,
                Step::ReadRecord => read_record(stream)?,
                Step::Read(length) => stream.read_exact(&mut vec![0; *length])?,
                Step::Send(bytes) => self.send(stream, bytes)?,
                Step::Echo => self.send(stream, &echo(&request))?,
                Step::Drip(bytes) => {
                    for byte in bytes {
                        self.send(stream, &[*byte])?;
                        std::thread::sleep(DRIP_INTERVAL);
                    }
                }
                Step::Endless(bytes) => {
                    let many = bytes.repeat((8_usize << 10).div_ceil(bytes.len()));
                    loop {
                        self.send(stream, &many)?;
                    }
                }
                Step::Hang => return wait_for_close(stream),
                Step::Close => {
                    stream.shutdown(Shutdown::Write)?;
                    return wait_for_close(stream);
                }
                Step::Reset => {
                    SockRef::from(&*stream).set_linger(Some(Duration::ZERO))?;
                    return Ok(false);
                }
            }
        }
        Ok(true)
    }

    fn send(&self, stream: &mut TcpStream, bytes: &[u8]) -> io::Result<()> {
        stream.write_all(bytes)?;
        self.sent.fetch_add(bytes.len() as u64, Ordering::SeqCst);
        Ok(())
    }
}

fn wait_for_close(stream: &mut TcpStream) -> io::Result<bool> {
    while stream.read(&mut [0; 4096])? > 0 {}
    Ok(false)
}

fn echo(request: &[u8]) -> Vec<u8> {
    let description = String::from_utf8_lossy(request);
    let body = serde_json::json!({ "error": "invalid_grant", "error_description": description });
    response("HTTP/1.1 400 Bad Request\r\nContent-Type: application/json", body.to_string())
}

fn read_record(stream: &mut TcpStream) -> io::Result<()> {
    let mut head = [0; 5];
    stream.read_exact(&mut head)?;
    stream.read_exact(&mut vec![0; usize::from(u16::from_be_bytes([head[3], head[4]]))])
}

/// Reads head and body of a request.
pub fn read_request(stream: &mut impl Read) -> io::Result<Vec<u8>> {
    let mut request = Vec::new();
    while !request.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        stream.read_exact(&mut byte)?;
        request.push(byte[0]);
    }
    let head = String::from_utf8_lossy(&request).to_ascii_lowercase();
    let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
    let mut body = vec![0; length.map_or(0, |length| length.parse().unwrap())];
    stream.read_exact(&mut body)?;
    request.extend_from_slice(&body);
    Ok(request)
}
