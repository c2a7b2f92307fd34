//! A server whose replies are chosen by a closure.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use parking_lot::Mutex;

use super::RedisStore;
use super::resp::{self, Reply};
use crate::token_store::{EntryName, RedisLocation, StoreLocation};

/// The reaction of the server to a command.
pub(super) enum Action {
    /// Sends the bytes.
    Send(Vec<u8>),
    /// Sends the bytes one by one, with a pause after each.
    Drip(Vec<u8>, Duration),
    /// Sends the bytes and closes the connection.
    Close(Vec<u8>),
    /// Sends the bytes again and again.
    Endless(Vec<u8>),
    /// Sends nothing.
    Hang,
}

pub(super) fn send(text: impl AsRef<[u8]>) -> Action {
    Action::Send(text.as_ref().to_vec())
}

pub(super) fn bulk_string(bytes: &[u8]) -> Vec<u8> {
    [format!("${}\r\n", bytes.len()).as_bytes(), bytes, b"\r\n"].concat()
}

pub(super) const NIL: &str = "$-1\r\n";
pub(super) const OK: &str = "+OK\r\n";

pub(super) struct FakeServer {
    pub(super) port: u16,
    connections: Arc<AtomicUsize>,
    commands: Arc<Mutex<Vec<String>>>,
    /// Receives a message for each command.
    pub(super) received: Receiver<()>,
}

impl FakeServer {
    /// Starts a server that reacts to each command by `script(connection, command)`. Connections are counted from
    /// 0. The first command of each is the empty one, before a byte is received.
    pub(super) fn start(script: impl Fn(usize, &str) -> Action + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let (sender, received) = channel();
        let server = Self { port, connections: Arc::default(), commands: Arc::default(), received };
        let (connections, commands) = (Arc::clone(&server.connections), Arc::clone(&server.commands));
        let script = Arc::new(script);
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let number = connections.fetch_add(1, Ordering::SeqCst);
                let (script, commands, sender) = (Arc::clone(&script), Arc::clone(&commands), sender.clone());
                std::thread::spawn(move || {
                    let mut stream = stream.unwrap();
                    let mut buffer = Vec::new();
                    if !react(&mut stream, script(number, "")) {
                        return;
                    }
                    while let Some(command) = read_command(&mut stream, &mut buffer) {
                        commands.lock().push(command.clone());
                        let action = script(number, &command);
                        let _ = sender.send(());
                        if !react(&mut stream, action) {
                            return;
                        }
                    }
                });
            }
        });
        server
    }

    /// A server that sends `reply` to each command but those of the greeting.
    pub(super) fn with_reply(reply: impl AsRef<[u8]>) -> Self {
        let reply = reply.as_ref().to_vec();
        Self::start(move |_, command| send(if command.is_empty() { &b""[..] } else { &reply }))
    }

    pub(super) fn location(&self) -> RedisLocation {
        location(&format!("redis://127.0.0.1:{}", self.port))
    }

    pub(super) fn store(&self) -> RedisStore {
        RedisStore::new(self.location())
    }

    pub(super) fn connections(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }

    /// The commands since the last call, with `K` for the keys' prefix and name.
    pub(super) fn take_commands(&self) -> Vec<String> {
        let key = format!("authgrant:{{{}}}", name().as_str());
        self.commands.lock().drain(..).map(|command| command.replace(&key, "K")).collect()
    }
}

/// Returns false if the connection is closed.
fn react(stream: &mut TcpStream, action: Action) -> bool {
    match action {
        Action::Send(bytes) => stream.write_all(&bytes).is_ok(),
        Action::Drip(bytes, pause) => {
            stream.set_nodelay(true).unwrap();
            bytes.iter().all(|byte| {
                std::thread::sleep(pause);
                stream.write_all(&[*byte]).is_ok()
            })
        }
        Action::Close(bytes) => {
            let _ = stream.write_all(&bytes);
            let _ = stream.shutdown(Shutdown::Both);
            false
        }
        Action::Endless(bytes) => {
            while stream.write_all(&bytes).is_ok() {}
            false
        }
        Action::Hang => {
            while stream.read(&mut [0; 4096]).is_ok_and(|length| length > 0) {}
            false
        }
    }
}

/// Reads a command, which is an array as in a reply. `None` at the end of the stream.
pub(super) fn read_command(stream: &mut TcpStream, buffer: &mut Vec<u8>) -> Option<String> {
    loop {
        if let Some((Reply::Array(words), length)) = resp::decode_reply(buffer).unwrap() {
            buffer.drain(..length);
            let words: Vec<_> = words
                .iter()
                .map(|word| match word {
                    Reply::BulkString(bytes) => String::from_utf8_lossy(bytes),
                    other => panic!("{other:?}"),
                })
                .collect();
            return Some(words.join(" "));
        }
        let mut chunk = [0; 4096];
        let length = stream.read(&mut chunk).unwrap_or(0);
        if length == 0 {
            return None;
        }
        buffer.extend_from_slice(&chunk[..length]);
    }
}

pub(super) fn location(text: &str) -> RedisLocation {
    match StoreLocation::parse(text) {
        Ok(StoreLocation::Redis(location)) => *location,
        other => panic!("{other:?}"),
    }
}

pub(super) fn name() -> EntryName {
    EntryName::from_digest([7; 32])
}
