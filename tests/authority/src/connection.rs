//! One thread a connection: requests in, answers out, kept alive until either side ends it.

use std::io::{self, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use rustls::{ServerConnection, StreamOwned};
use socket2::SockRef;

use crate::answer::Answer;
use crate::duty::{self, Action};
use crate::http::{self, Incoming};
use crate::shared::Shared;

type TlsStream = StreamOwned<ServerConnection, TcpStream>;

enum Stream {
    Plain(TcpStream),
    Tls(Box<TlsStream>),
}

/// Accepts until the server stops, then waits for the connections' threads.
pub(crate) fn accept_all(listener: &TcpListener, shared: &Arc<Shared>) {
    let mut threads = Vec::new();
    for socket in listener.incoming() {
        if shared.stopped() {
            break;
        }
        let Ok(socket) = socket else { continue };
        let number = count(shared);
        let theirs = Arc::clone(shared);
        threads.retain(|thread: &thread::JoinHandle<()>| !thread.is_finished());
        threads.push(thread::spawn(move || run(socket, number, &theirs)));
    }
    for thread in threads {
        let _ = thread.join();
    }
}

fn count(shared: &Shared) -> u64 {
    let mut state = shared.state.lock();
    state.connections += 1;
    state.connections
}

fn run(socket: TcpStream, number: u64, shared: &Shared) {
    let _ = socket.set_nodelay(true);
    let Ok(second) = socket.try_clone() else { return };
    if shared.opened(number, second) {
        // An error here is a client that went away or that distrusts the certificate: its own affair.
        let _ = Stream::new(socket, shared).and_then(|stream| serve(stream, number, shared));
        shared.closed(number);
    }
}

fn serve(mut stream: Stream, number: u64, shared: &Shared) -> io::Result<()> {
    let mut early = Vec::new();
    loop {
        let (answer, close) = match http::read_request(&mut stream, &mut early)? {
            Incoming::Ended => return stream.end(),
            Incoming::Malformed(answer) => (Action::Answer(answer), true),
            Incoming::Request(request) => {
                let close = request.wants_close();
                (duty::act(shared, &request, number), close)
            }
        };
        match answer {
            Action::Answer(answer) => send(&mut stream, shared, &answer, close)?,
            Action::AnswerAndEnd(answer) => {
                send(&mut stream, shared, &answer, false)?;
                return stream.end();
            }
            other => return misbehave(stream, number, shared, other),
        }
        if close {
            return stream.end();
        }
    }
}

fn send(stream: &mut Stream, shared: &Shared, answer: &Answer, close: bool) -> io::Result<()> {
    stream.write_all(&answer.bytes(shared.date(), close))?;
    stream.flush()
}

fn misbehave(mut stream: Stream, number: u64, shared: &Shared, action: Action) -> io::Result<()> {
    match action {
        Action::Raw(bytes) => {
            stream.write_all(&bytes)?;
            stream.end()
        }
        Action::Big(size) => {
            big_body(&mut stream, size)?;
            stream.end()
        }
        Action::Trickle(answer) => {
            trickle(&mut stream, shared, &answer.bytes(shared.date(), true))?;
            stream.end()
        }
        Action::Hang => {
            hang(stream.socket(), shared);
            Ok(())
        }
        Action::Reset => {
            // With a linger of zero the close is a reset; the close needs this to be the last handle.
            SockRef::from(stream.socket()).set_linger(Some(Duration::ZERO))?;
            shared.closed(number);
            Ok(())
        }
        Action::Answer(_) | Action::AnswerAndEnd(_) => Ok(()),
    }
}

fn trickle(stream: &mut Stream, shared: &Shared, bytes: &[u8]) -> io::Result<()> {
    for byte in bytes {
        stream.write_all(&[*byte])?;
        stream.flush()?;
        if !shared.sleep(Duration::from_secs(1)) {
            break;
        }
    }
    Ok(())
}

fn big_body(stream: &mut Stream, size: usize) -> io::Result<()> {
    let (start, end) = ("{\"access_token\":\"", "\"}");
    let filling = size.saturating_sub(start.len() + end.len());
    let length = start.len() + filling + end.len();
    write!(
        stream,
        "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{start}"
    )?;
    let piece = [b'a'; 16 * 1024];
    let mut left = filling;
    while left > 0 {
        let now = left.min(piece.len());
        stream.write_all(&piece[..now])?;
        left -= now;
    }
    stream.write_all(end.as_bytes())?;
    stream.flush()
}

// Until the client ends the connection or the server stops; what it sends meanwhile is not read.
fn hang(socket: &TcpStream, shared: &Shared) {
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
    fn new(socket: TcpStream, shared: &Shared) -> io::Result<Self> {
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

    fn end(mut self) -> io::Result<()> {
        if let Stream::Tls(stream) = &mut self {
            stream.conn.send_close_notify();
        }
        self.flush()
    }
}

impl Read for Stream {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        match self {
            Stream::Plain(socket) => socket.read(into),
            Stream::Tls(stream) => stream.read(into),
        }
    }
}

impl Write for Stream {
    fn write(&mut self, from: &[u8]) -> io::Result<usize> {
        match self {
            Stream::Plain(socket) => socket.write(from),
            Stream::Tls(stream) => stream.write(from),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Stream::Plain(socket) => socket.flush(),
            Stream::Tls(stream) => stream.flush(),
        }
    }
}
