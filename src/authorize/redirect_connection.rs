//! One connection to the listener: reads a request head, writes an answer, and sees it delivered. Never blocks.

use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::time::{Duration, Instant};

use zeroize::Zeroizing;

use crate::sys::{ForkSafeSocket, PollFd};

/// The longest request head; an authorization code with what surrounds it takes less than half.
pub(super) const HEAD: usize = 16 << 10;

/// How long a visitor may take to speak, and again to take the answer.
const PATIENCE: Duration = Duration::from_secs(5);

/// How long is waited for the visitor's end after the answer, so that no reset overtakes it.
const LINGER: Duration = Duration::from_secs(1);

/// How much of what still comes after the answer is read.
const DRAIN: usize = 256 << 10;

pub(super) struct Visitor {
    line: ForkSafeSocket<TcpStream>,
    /// When the present phase began.
    since: Instant,
    phase: Phase,
}

enum Phase {
    /// Holds the code in the end, so it never grows: a move would leave a copy behind.
    Reading(Zeroizing<Box<[u8]>>, usize),
    Writing(Vec<u8>, usize),
    Draining(usize),
    Gone,
}

impl Visitor {
    pub(super) fn new(line: TcpStream) -> io::Result<Self> {
        line.set_nonblocking(true)?;
        let room = Zeroizing::new(vec![0; HEAD].into_boxed_slice());
        Ok(Self { line: ForkSafeSocket::new(line), since: Instant::now(), phase: Phase::Reading(room, 0) })
    }

    pub(super) fn is_gone(&self) -> bool {
        matches!(self.phase, Phase::Gone)
    }

    /// Whether it has not yet said all that it has to say.
    pub(super) fn is_reading(&self) -> bool {
        matches!(self.phase, Phase::Reading(..))
    }

    /// What is to be waited for.
    pub(super) fn awaited(&self) -> PollFd<'_> {
        match self.phase {
            Phase::Writing(..) => PollFd::writable(&*self.line),
            _ => PollFd::readable(&*self.line),
        }
    }

    /// Goes as far as it can without waiting. `reply` is given what was read so far, and answers once that is enough.
    pub(super) fn step(&mut self, reply: &mut dyn FnMut(&[u8]) -> Option<Vec<u8>>) {
        if self.since.elapsed() >= if matches!(self.phase, Phase::Draining(_)) { LINGER } else { PATIENCE } {
            self.phase = Phase::Gone;
        }
        loop {
            match self.advance(reply) {
                Ok(()) if self.is_gone() => return,
                Ok(()) => {}
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return,
                Err(_) => self.phase = Phase::Gone,
            }
        }
    }

    fn advance(&mut self, reply: &mut dyn FnMut(&[u8]) -> Option<Vec<u8>>) -> io::Result<()> {
        let next = match &mut self.phase {
            Phase::Reading(room, filled) => {
                match (&*self.line).read(room.get_mut(*filled..).unwrap_or_default())? {
                    0 => Some(Phase::Gone),
                    count => {
                        *filled = filled.saturating_add(count);
                        let answer = reply(room.get(..*filled).unwrap_or_default());
                        answer.map(|bytes| Phase::Writing(bytes, 0))
                    }
                }
            }
            Phase::Writing(bytes, sent) => match bytes.get(*sent..) {
                Some(rest) if !rest.is_empty() => {
                    *sent = sent.saturating_add((&*self.line).write(rest)?);
                    None
                }
                _ => {
                    self.line.shutdown(Shutdown::Write)?;
                    Some(Phase::Draining(0))
                }
            },
            Phase::Draining(drained) => match (&*self.line).read(&mut [0; 4096])? {
                0 => Some(Phase::Gone),
                count => {
                    *drained = drained.saturating_add(count);
                    (*drained > DRAIN).then_some(Phase::Gone)
                }
            },
            Phase::Gone => None,
        };
        if let Some(next) = next {
            self.phase = next;
            self.since = Instant::now();
        }
        Ok(())
    }
}
