//! Waiting until a socket can be read or written, for so long and no longer; a signal's EINTR costs no time.

use std::io;
use std::marker::PhantomData;
use std::time::Duration;

#[cfg(unix)]
use std::os::fd::AsRawFd;

/// Waits until `socket` can be written to (or has failed): a connect has ended. False when `limit` passed first.
#[cfg(unix)]
pub fn wait_writable<S: AsRawFd>(socket: &S, limit: Duration) -> io::Result<bool> {
    poll(&mut [new_pollfd(socket.as_raw_fd(), libc::POLLOUT)], limit)
}

/// Waits until `socket` has something to read (or has ended or failed). False when `limit` passed first.
#[cfg(unix)]
pub fn wait_readable<S: AsRawFd>(socket: &S, limit: Duration) -> io::Result<bool> {
    poll(&mut [new_pollfd(socket.as_raw_fd(), libc::POLLIN)], limit)
}

/// One of several sockets that are waited for together.
#[derive(Clone, Copy)]
pub struct PollFd<'a> {
    #[cfg(unix)]
    pollfd: libc::pollfd,
    socket: PhantomData<&'a ()>,
}

impl<'a> PollFd<'a> {
    /// Until `socket` has something to read, has somebody to accept, has ended or failed.
    #[cfg(unix)]
    pub fn readable<S: AsRawFd>(socket: &'a S) -> Self {
        Self { pollfd: new_pollfd(socket.as_raw_fd(), libc::POLLIN), socket: PhantomData }
    }

    /// Until `socket` can be written to, or has failed.
    #[cfg(unix)]
    pub fn writable<S: AsRawFd>(socket: &'a S) -> Self {
        Self { pollfd: new_pollfd(socket.as_raw_fd(), libc::POLLOUT), socket: PhantomData }
    }

    /// As on unix.
    #[cfg(not(unix))]
    pub fn readable<S>(_: &'a S) -> Self {
        Self { socket: PhantomData }
    }

    /// As on unix.
    #[cfg(not(unix))]
    pub fn writable<S>(_: &'a S) -> Self {
        Self { socket: PhantomData }
    }
}

/// Waits until one of `sockets` is ready. False when `limit` passed first.
#[cfg(unix)]
pub fn wait_any(sockets: &[PollFd<'_>], limit: Duration) -> io::Result<bool> {
    let mut entries: Vec<libc::pollfd> = sockets.iter().map(|socket| socket.pollfd).collect();
    poll(&mut entries, limit)
}

/// As on unix, but may answer yes too early: callers try and come back.
#[cfg(not(unix))]
pub fn wait_any(_: &[Awaited<'_>], limit: Duration) -> io::Result<bool> {
    pause(limit)
}

#[cfg(unix)]
fn new_pollfd(descriptor: i32, events: i16) -> libc::pollfd {
    libc::pollfd { fd: descriptor, events, revents: 0 }
}

#[cfg(unix)]
fn poll(entries: &mut [libc::pollfd], limit: Duration) -> io::Result<bool> {
    let count = libc::nfds_t::try_from(entries.len()).map_err(io::Error::other)?;
    let started = std::time::Instant::now();
    loop {
        let left = limit.saturating_sub(started.elapsed());
        // Rounded up: a wait of 0.4 ms that became 0 would spin.
        let millis = left.as_micros().div_ceil(1000);
        // SAFETY: `count` entries, which are borrowed for the time of the call.
        let ready =
            unsafe { libc::poll(entries.as_mut_ptr(), count, i32::try_from(millis).unwrap_or(i32::MAX)) };
        if ready >= 0 {
            return Ok(ready > 0);
        }
        let error = io::Error::last_os_error();
        if error.kind() != io::ErrorKind::Interrupted {
            return Err(error);
        }
    }
}

/// As on unix, but may answer yes too early: callers try and come back.
#[cfg(not(unix))]
pub fn wait_writable<S>(_: &S, limit: Duration) -> io::Result<bool> {
    pause(limit)
}

/// As on unix, but may answer yes too early: callers try and come back.
#[cfg(not(unix))]
pub fn wait_readable<S>(_: &S, limit: Duration) -> io::Result<bool> {
    pause(limit)
}

#[cfg(not(unix))]
fn sleep_briefly(limit: Duration) -> io::Result<bool> {
    std::thread::sleep(limit.min(Duration::from_millis(5)));
    Ok(true)
}

#[cfg(all(test, unix))]
mod tests {
    use std::io::Write;
    use std::os::unix::net::UnixStream;

    use super::*;

    #[test]
    fn socket_is_readable_only_after_data_arrives() {
        let (ours, mut other) = UnixStream::pair().unwrap();
        assert!(!wait_readable(&ours, Duration::from_millis(1)).unwrap());
        other.write_all(b"x").unwrap();
        assert!(wait_readable(&ours, Duration::from_secs(5)).unwrap());
    }

    #[test]
    fn full_socket_is_not_writable() {
        let (ours, _other) = UnixStream::pair().unwrap();
        assert!(wait_writable(&ours, Duration::ZERO).unwrap());
        ours.set_nonblocking(true).unwrap();
        while (&ours).write(&[0; 4096]).is_ok() {}
        assert!(!wait_writable(&ours, Duration::ZERO).unwrap());
    }

    #[test]
    fn wait_any_returns_when_one_is_ready() {
        let (silent, _other) = UnixStream::pair().unwrap();
        let (heard, mut speaker) = UnixStream::pair().unwrap();
        let both = || [PollFd::readable(&silent), PollFd::readable(&heard)];
        assert!(!wait_any(&both(), Duration::from_millis(1)).unwrap());
        speaker.write_all(b"x").unwrap();
        assert!(wait_any(&both(), Duration::from_secs(5)).unwrap());
        assert!(wait_any(&[PollFd::writable(&silent)], Duration::ZERO).unwrap());
    }
}
