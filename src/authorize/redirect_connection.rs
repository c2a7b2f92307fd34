//! One connection to the listener: reads a request head, writes an answer, and sees it delivered. Never blocks.

use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::time::{Duration, Instant};

use zeroize::Zeroizing;

use crate::sys::{ForkSafeSocket, PollFd};

/// The longest request head; an authorization code with what surrounds it takes less than half.
pub(super) const MAX_HEAD: usize = 16 << 10;

/// How long a visitor may take to speak, and again to take the answer.
const IO_TIMEOUT: Duration = Duration::from_secs(5);

/// How long is waited for the visitor's end after the answer, so that no reset overtakes it.
const LINGER_TIMEOUT: Duration = Duration::from_secs(1);

/// How much of what still comes after the answer is read.
const MAX_DRAIN: usize = 256 << 10;

pub(super) struct RedirectConnection {
    stream: ForkSafeSocket<TcpStream>,
    /// When the present phase began.
    phase_started_at: Instant,
    phase: ConnectionPhase,
}

enum ConnectionPhase {
    /// Holds the code in the end, so it never grows: a move would leave a copy behind.
    Reading(Zeroizing<Box<[u8]>>, usize),
    Writing(Vec<u8>, usize),
    Draining(usize),
    Closed,
}

impl RedirectConnection {
    pub(super) fn new(line: TcpStream) -> io::Result<Self> {
        line.set_nonblocking(true)?;
        let room = Zeroizing::new(vec![0; MAX_HEAD].into_boxed_slice());
        Ok(Self {
            stream: ForkSafeSocket::new(line),
            phase_started_at: Instant::now(),
            phase: ConnectionPhase::Reading(room, 0),
        })
    }

    pub(super) fn is_closed(&self) -> bool {
        matches!(self.phase, ConnectionPhase::Closed)
    }

    /// Whether it has not yet said all that it has to say.
    pub(super) fn is_reading(&self) -> bool {
        matches!(self.phase, ConnectionPhase::Reading(..))
    }

    /// What is to be waited for.
    pub(super) fn poll_fd(&self) -> PollFd<'_> {
        match self.phase {
            ConnectionPhase::Writing(..) => PollFd::writable(&*self.stream),
            _ => PollFd::readable(&*self.stream),
        }
    }

    /// Goes as far as it can without waiting. `reply` is given what was read so far, and answers once that is enough.
    pub(super) fn drive(&mut self, reply: &mut dyn FnMut(&[u8]) -> Option<Vec<u8>>) {
        if self.phase_started_at.elapsed()
            >= if matches!(self.phase, ConnectionPhase::Draining(_)) { LINGER_TIMEOUT } else { IO_TIMEOUT }
        {
            self.phase = ConnectionPhase::Closed;
        }
        loop {
            match self.advance(reply) {
                Ok(()) if self.is_closed() => return,
                Ok(()) => {}
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return,
                Err(_) => self.phase = ConnectionPhase::Closed,
            }
        }
    }

    fn advance(&mut self, reply: &mut dyn FnMut(&[u8]) -> Option<Vec<u8>>) -> io::Result<()> {
        let next = match &mut self.phase {
            ConnectionPhase::Reading(room, filled) => {
                match (&*self.stream).read(room.get_mut(*filled..).unwrap_or_default())? {
                    0 => Some(ConnectionPhase::Closed),
                    count => {
                        *filled = filled.saturating_add(count);
                        let answer = reply(room.get(..*filled).unwrap_or_default());
                        answer.map(|bytes| ConnectionPhase::Writing(bytes, 0))
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
