//! Waiting for socket readiness with a timeout. After EINTR the wait resumes with the remaining time.

use std::io;
use std::marker::PhantomData;
use std::time::Duration;

#[cfg(unix)]
use std::os::fd::AsRawFd;

/// Waits until `socket` is writable, which includes a completed connect, or has failed. False after
/// `timeout`.
#[cfg(unix)]
pub fn wait_writable<S: AsRawFd>(socket: &S, timeout: Duration) -> io::Result<bool> {
    poll(&mut [new_pollfd(socket.as_raw_fd(), libc::POLLOUT)], timeout)
}

/// Waits until `socket` is readable, at end of file or failed. False after `timeout`.
#[cfg(unix)]
pub fn wait_readable<S: AsRawFd>(socket: &S, timeout: Duration) -> io::Result<bool> {
    poll(&mut [new_pollfd(socket.as_raw_fd(), libc::POLLIN)], timeout)
}

/// A borrowed socket and the event to wait for, for [`wait_any`].
#[derive(Clone, Copy)]
pub struct PollFd<'a> {
    #[cfg(unix)]
    pollfd: libc::pollfd,
    socket: PhantomData<&'a ()>,
}

impl<'a> PollFd<'a> {
    /// Waits until `socket` is readable, has a connection to accept, is at end of file or has failed.
    #[cfg(unix)]
    pub fn readable<S: AsRawFd>(socket: &'a S) -> Self {
        Self { pollfd: new_pollfd(socket.as_raw_fd(), libc::POLLIN), socket: PhantomData }
    }

    /// Waits until `socket` is writable or has failed.
    #[cfg(unix)]
    pub fn writable<S: AsRawFd>(socket: &'a S) -> Self {
        Self { pollfd: new_pollfd(socket.as_raw_fd(), libc::POLLOUT), socket: PhantomData }
    }

    /// As on Unix.
    #[cfg(not(unix))]
    pub fn readable<S>(_: &'a S) -> Self {
        Self { socket: PhantomData }
    }

    /// As on Unix.
    #[cfg(not(unix))]
    pub fn writable<S>(_: &'a S) -> Self {
        Self { socket: PhantomData }
    }
}

/// Waits until one of `sockets` is ready. False after `timeout`.
#[cfg(unix)]
pub fn wait_any(sockets: &[PollFd<'_>], timeout: Duration) -> io::Result<bool> {
    let mut pollfds: Vec<libc::pollfd> = sockets.iter().map(|socket| socket.pollfd).collect();
    poll(&mut pollfds, timeout)
}

/// As on Unix, but may return true too early: callers try and wait again.
#[cfg(not(unix))]
pub fn wait_any(_: &[PollFd<'_>], timeout: Duration) -> io::Result<bool> {
    sleep_briefly(timeout)
}

#[cfg(unix)]
fn new_pollfd(descriptor: i32, events: i16) -> libc::pollfd {
    libc::pollfd { fd: descriptor, events, revents: 0 }
}

#[cfg(unix)]
fn poll(pollfds: &mut [libc::pollfd], timeout: Duration) -> io::Result<bool> {
    let count = libc::nfds_t::try_from(pollfds.len()).map_err(io::Error::other)?;
    let started = std::time::Instant::now();
    loop {
        let remaining = timeout.saturating_sub(started.elapsed());
        // Rounded up: a timeout of 0.4 ms that is rounded to 0 would spin.
        let millis = remaining.as_micros().div_ceil(1000);
        // SAFETY: the array has `count` elements and is borrowed for the duration of the call.
        let ready =
            unsafe { libc::poll(pollfds.as_mut_ptr(), count, i32::try_from(millis).unwrap_or(i32::MAX)) };
        if ready >= 0 {
            return Ok(ready > 0);
        }
        let error = io::Error::last_os_error();
        if error.kind() != io::ErrorKind::Interrupted {
            return Err(error);
        }
    }
}

/// As on Unix, but may return true too early: callers try and wait again.
#[cfg(not(unix))]
pub fn wait_writable<S>(_: &S, timeout: Duration) -> io::Result<bool> {
    sleep_briefly(timeout)
}

/// As on Unix, but may return true too early: callers try and wait again.
#[cfg(not(unix))]
pub fn wait_readable<S>(_: &S, timeout: Duration) -> io::Result<bool> {
    sleep_briefly(timeout)
}

#[cfg(not(unix))]
fn sleep_briefly(timeout: Duration) -> io::Result<bool> {
    std::thread::sleep(timeout.min(Duration::from_millis(5)));
    Ok(true)
}

#[cfg(all(test, unix))]
mod tests {
    use std::io::Write;
    use std::os::unix::net::UnixStream;

    use super::*;

    #[test]
    fn socket_is_readable_only_after_data_arrives() {
        let (socket, mut peer) = UnixStream::pair().unwrap();
        assert!(!wait_readable(&socket, Duration::from_millis(1)).unwrap());
        peer.write_all(b"x").unwrap();
        assert!(wait_readable(&socket, Duration::from_secs(5)).unwrap());
    }

    #[test]
    fn full_socket_is_not_writable() {
        let (socket, _peer) = UnixStream::pair().unwrap();
        assert!(wait_writable(&socket, Duration::ZERO).unwrap());
        socket.set_nonblocking(true).unwrap();
        while (&socket).write(&[0; 4096]).is_ok() {}
        assert!(!wait_writable(&socket, Duration::ZERO).unwrap());
    }

    #[test]
    fn wait_any_returns_when_one_is_ready() {
        let (idle, _idle_peer) = UnixStream::pair().unwrap();
        let (active, mut active_peer) = UnixStream::pair().unwrap();
        let both = || [PollFd::readable(&idle), PollFd::readable(&active)];
        assert!(!wait_any(&both(), Duration::from_millis(1)).unwrap());
        active_peer.write_all(b"x").unwrap();
        assert!(wait_any(&both(), Duration::from_secs(5)).unwrap());
        assert!(wait_any(&[PollFd::writable(&idle)], Duration::ZERO).unwrap());
    }
}
