//! HTTP connections: one thread each, keep-alive until either side closes.

use std::io::{self, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use rustls::{ServerConnection, StreamOwned};
use socket2::SockRef;

use crate::http::{self, Incoming};
use crate::response::Response;
use crate::router::{self, Action};
use crate::shared::SharedState;

type TlsStream = StreamOwned<ServerConnection, TcpStream>;

enum Stream {
    Plain(TcpStream),
    Tls(Box<TlsStream>),
}

/// Accepts connections until the server stops, then joins their threads.
pub(crate) fn accept_connections(listener: &TcpListener, shared: &Arc<SharedState>) {
    let mut threads = Vec::new();
    for socket in listener.incoming() {
        if shared.is_stopped() {
            break;
        }
        let Ok(socket) = socket else { continue };
        let number = next_connection_number(shared);
        let shared_clone = Arc::clone(shared);
        threads.retain(|thread: &thread::JoinHandle<()>| !thread.is_finished());
        threads.push(thread::spawn(move || handle_connection(socket, number, &shared_clone)));
    }
    for thread in threads {
        let _ = thread.join();
    }
}

fn next_connection_number(shared: &SharedState) -> u64 {
    let mut state = shared.state.lock();
    state.connection_count += 1;
    state.connection_count
}

fn handle_connection(socket: TcpStream, number: u64, shared: &SharedState) {
    let _ = socket.set_nodelay(true);
    let Ok(second_handle) = socket.try_clone() else { return };
    if shared.register_connection(number, second_handle) {
        // Errors are ignored: the client disconnected or rejected the certificate, which many tests expect.
        let _ = Stream::new(socket, shared).and_then(|stream| serve_requests(stream, number, shared));
        shared.unregister_connection(number);
    }
}

fn serve_requests(mut stream: Stream, number: u64, shared: &SharedState) -> io::Result<()> {
    let mut buffer = Vec::new();
    loop {
        let (action, close) = match http::read_request(&mut stream, &mut buffer)? {
            Incoming::Closed => return stream.close(),
            Incoming::Malformed(response) => (Action::Respond(response), true),
            Incoming::Request(request) => {
                let close = request.wants_close();
                (router::route(shared, &request, number), close)
            }
        };
        match action {
            Action::Respond(response) => send_response(&mut stream, shared, &response, close)?,
            Action::RespondAndClose(response) => {
                send_response(&mut stream, shared, &response, false)?;
                return stream.close();
            }
            other => return inject_fault(stream, number, shared, other),
        }
        if close {
            return stream.close();
        }
    }
}

fn send_response(
    stream: &mut Stream,
    shared: &SharedState,
    response: &Response,
    close: bool,
) -> io::Result<()> {
    stream.write_all(&response.to_bytes(shared.date_header_time(), close))?;
    stream.flush()
}

fn inject_fault(mut stream: Stream, number: u64, shared: &SharedState, action: Action) -> io::Result<()> {
    match action {
        Action::Raw(bytes) => {
            stream.write_all(&bytes)?;
            stream.close()
        }
        Action::BigBody(size) => {
            send_big_body(&mut stream, size)?;
            stream.close()
        }
        Action::RespondSlowly(response) => {
            send_slowly(&mut stream, shared, &response.to_bytes(shared.date_header_time(), true))?;
            stream.close()
        }
        Action::Hang => {
            wait_for_close(stream.socket(), shared);
            Ok(())
        }
        Action::Reset => {
            // A linger time of zero turns the close into a reset, if this is the last handle.
            SockRef::from(stream.socket()).set_linger(Some(Duration::ZERO))?;
            shared.unregister_connection(number);
            Ok(())
        }
        Action::Respond(_) | Action::RespondAndClose(_) => Ok(()),
    }
}

fn send_slowly(stream: &mut Stream, shared: &SharedState, bytes: &[u8]) -> io::Result<()> {
    for byte in bytes {
        stream.write_all(&[*byte])?;
        stream.flush()?;
        if !shared.sleep(Duration::from_secs(1)) {
            break;
        }
    }
    Ok(())
}

fn send_big_body(stream: &mut Stream, size: usize) -> io::Result<()> {
    let (start, end) = ("{\"access_token\":\"", "\"}");
    let filler = size.saturating_sub(start.len() + end.len());
    let length = start.len() + filler + end.len();
    write!(
        stream,
        "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{start}"
    )?;
    let chunk = [b'a'; 16 * 1024];
    let mut left = filler;
    while left > 0 {
        let count = left.min(chunk.len());
        stream.write_all(&chunk[..count])?;
        left -= count;
    }
    stream.write_all(end.as_bytes())?;
    stream.flush()
}

// Waits until the client closes the connection or the server stops. Data is not read.
fn wait_for_close(socket: &TcpStream, shared: &SharedState) {
    let _ = socket.set_nonblocking(true);
    let mut byte = [0_u8; 1];
    loop {
        match socket.peek(&mut byte) {
            Ok(0) => return,
            Err(error) if error.kind() != io::ErrorKind::WouldBlock => return,
            _ if !shared.sleep(Duration::from_millis(50)) => return,
            _ => {}
        }
    }
}

impl Stream {
    fn new(socket: TcpStream, shared: &SharedState) -> io::Result<Self> {
        let Some(config) = &shared.tls else {
            return Ok(Stream::Plain(socket));
        };
        let session = ServerConnection::new(Arc::clone(config)).map_err(io::Error::other)?;
        Ok(Stream::Tls(Box::new(StreamOwned::new(session, socket))))
    }

    fn socket(&self) -> &TcpStream {
        match self {
            Stream::Plain(socket) => socket,
            Stream::Tls(stream) => &stream.sock,
        }
    }

    fn close(mut self) -> io::Result<()> {
        if let Stream::Tls(stream) = &mut self {
            stream.conn.send_close_notify();
        }
        self.flush()
    }
}

impl Read for Stream {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Stream::Plain(socket) => socket.read(buffer),
            Stream::Tls(stream) => stream.read(buffer),
        }
    }
}

impl Write for Stream {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Stream::Plain(socket) => socket.write(bytes),
            Stream::Tls(stream) => stream.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Stream::Plain(socket) => socket.flush(),
            Stream::Tls(stream) => stream.flush(),
        }
    }
}
