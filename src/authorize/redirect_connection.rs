//! Non-blocking server side of a connection to the loopback listener: reads a request head, writes the
//! response and drains the socket until the client closes it.

use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::time::{Duration, Instant};

use zeroize::Zeroizing;

use crate::sys::{ForkSafe, PollFd, avoid_standard_streams};

/// Maximum size of a request head; one with an authorization code is less than half as large.
pub(super) const MAX_HEAD: usize = 16 << 10;

/// Time limit for reading the request and, separately, for writing the response.
const IO_TIMEOUT: Duration = Duration::from_secs(5);

/// How long to wait for the client's close after the response: closing earlier could reset the connection
/// before the client has read it.
const LINGER_TIMEOUT: Duration = Duration::from_secs(1);

/// Maximum number of bytes read and discarded after the response.
const MAX_DRAIN: usize = 256 << 10;

pub(super) struct RedirectConnection {
    stream: ForkSafe<TcpStream>,
    /// Start of the current phase.
    phase_started_at: Instant,
    phase: ConnectionPhase,
}

enum ConnectionPhase {
    /// The buffer will hold the authorization code, so it never grows: reallocation would leave an unzeroized
    /// copy.
    Reading(Zeroizing<Box<[u8]>>, usize),
    Writing(Vec<u8>, usize),
    Draining(usize),
    Closed,
}

impl RedirectConnection {
    pub(super) fn new(stream: TcpStream) -> io::Result<Self> {
        let stream = avoid_standard_streams(stream)?;
        stream.set_nonblocking(true)?;
        let buffer = Zeroizing::new(vec![0; MAX_HEAD].into_boxed_slice());
        Ok(Self {
            stream: ForkSafe::new(stream),
            phase_started_at: Instant::now(),
            phase: ConnectionPhase::Reading(buffer, 0),
        })
    }

    pub(super) fn is_closed(&self) -> bool {
        matches!(self.phase, ConnectionPhase::Closed)
    }

    /// Whether the request is still incomplete.
    pub(super) fn is_reading(&self) -> bool {
        matches!(self.phase, ConnectionPhase::Reading(..))
    }

    /// The event to poll for.
    pub(super) fn poll_fd(&self) -> PollFd<'_> {
        match self.phase {
            ConnectionPhase::Writing(..) => PollFd::writable(&*self.stream),
            _ => PollFd::readable(&*self.stream),
        }
    }

    /// Advances as far as possible without blocking. `respond` receives the bytes read so far and returns the
    /// response once the request is complete.
    pub(super) fn drive(&mut self, respond: &mut dyn FnMut(&[u8]) -> Option<Vec<u8>>) {
        if self.phase_started_at.elapsed()
            >= if matches!(self.phase, ConnectionPhase::Draining(_)) { LINGER_TIMEOUT } else { IO_TIMEOUT }
        {
            self.phase = ConnectionPhase::Closed;
        }
        loop {
            match self.advance(respond) {
                Ok(()) if self.is_closed() => return,
                Ok(()) => {}
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return,
                Err(_) => self.phase = ConnectionPhase::Closed,
            }
        }
    }

    fn advance(&mut self, respond: &mut dyn FnMut(&[u8]) -> Option<Vec<u8>>) -> io::Result<()> {
        let next = match &mut self.phase {
            ConnectionPhase::Reading(buffer, filled) => {
                match (&*self.stream).read(buffer.get_mut(*filled..).unwrap_or_default())? {
                    0 => Some(ConnectionPhase::Closed),
                    count => {
                        *filled = filled.saturating_add(count);
                        let response = respond(buffer.get(..*filled).unwrap_or_default());
                        response.map(|bytes| ConnectionPhase::Writing(bytes, 0))
                    }
                }
            }
            ConnectionPhase::Writing(bytes, sent) => match bytes.get(*sent..) {
                Some(rest) if !rest.is_empty() => {
                    *sent = sent.saturating_add((&*self.stream).write(rest)?);
                    None
                }
                _ => {
                    self.stream.shutdown(Shutdown::Write)?;
                    Some(ConnectionPhase::Draining(0))
                }
            },
            ConnectionPhase::Draining(drained) => match (&*self.stream).read(&mut [0; 4096])? {
                0 => Some(ConnectionPhase::Closed),
                count => {
                    *drained = drained.saturating_add(count);
                    (*drained > MAX_DRAIN).then_some(ConnectionPhase::Closed)
                }
            },
            ConnectionPhase::Closed => None,
        };
        if let Some(next) = next {
            self.phase = next;
            self.phase_started_at = Instant::now();
        }
        Ok(())
    }
}
