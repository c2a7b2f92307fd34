//! Send and receive within the deadline of a call.

use std::io::{self, Read};
use std::mem::MaybeUninit;
use std::time::Duration;

use socket2::Socket;

use super::cancel_hook::SharedSocket;
use super::context::SocketContext;
use crate::base::error::Error;
use crate::sys;

/// Maximum duration of one poll. It can be long, because the shutdown by the cancel hook ends the poll.
const MAX_POLL: Duration = Duration::from_secs(3600);

/// Why a send or receive failed.
#[derive(Debug)]
pub enum SocketError {
    /// The operation ended: its deadline, a cancel or a fork.
    Call(Error),
    /// The socket failed.
    Socket(io::Error),
}

impl From<Error> for SocketError {
    fn from(error: Error) -> Self {
        Self::Call(error)
    }
}

impl From<io::Error> for SocketError {
    fn from(error: io::Error) -> Self {
        Self::Socket(error)
    }
}

/// Sends a part of `bytes` and returns its length.
///
/// # Errors
/// If the operation must end or the socket fails.
pub fn send(
    socket: &SharedSocket,
    context: &dyn SocketContext,
    bytes: &[u8],
) -> std::result::Result<usize, SocketError> {
    let send = |socket: &Socket| socket.send_with_flags(bytes, send_flags());
    poll_until_ready(socket, context, send, sys::wait_writable)
}

/// Receives at least one byte and returns their number; 0 at the end of the stream.
///
/// # Errors
/// As for [`send`].
pub fn receive(
    socket: &SharedSocket,
    context: &dyn SocketContext,
    buffer: &mut [u8],
) -> std::result::Result<usize, SocketError> {
    poll_until_ready(socket, context, |mut socket| socket.read(buffer), sys::wait_readable)
}

/// The flags with which a write to a closed connection fails instead of raising SIGPIPE. Apple's systems have a
/// socket option for that, which socket2 sets.
fn send_flags() -> i32 {
    #[cfg(all(unix, not(target_vendor = "apple")))]
    return libc::MSG_NOSIGNAL;
    #[cfg(not(all(unix, not(target_vendor = "apple"))))]
    return 0;
}

/// Calls `operation` until it returns something other than `WouldBlock`; `wait` polls the socket.
fn poll_until_ready(
    socket: &SharedSocket,
    context: &dyn SocketContext,
    mut operation: impl FnMut(&Socket) -> io::Result<usize>,
    wait: impl Fn(&Socket, Duration) -> io::Result<bool>,
) -> std::result::Result<usize, SocketError> {
    loop {
        context.check()?;
        match operation(socket) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                let remaining = context.remaining(MAX_POLL);
                context.cancel_hook().watch(socket, || wait(socket, remaining))??;
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            outcome => return Ok(outcome?),
        }
    }
}

/// Whether this process owns the socket and there is nothing to read. Unsolicited bytes and an end of the
/// stream both make an idle connection unusable.
#[must_use]
pub fn is_idle(socket: &SharedSocket) -> bool {
    socket.is_current_process()
        && matches!(socket.peek(&mut [MaybeUninit::uninit()]),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock)
}
