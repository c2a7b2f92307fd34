//! Waiting until a socket can be read or written, for so long and no longer; a signal's EINTR costs no time.

use std::io;
use std::time::Duration;

#[cfg(unix)]
use std::os::fd::AsRawFd;

/// Waits until `socket` can be written to (or has failed): a connect has ended. False when `limit` passed first.
#[cfg(unix)]
pub fn wait_writable<S: AsRawFd>(socket: &S, limit: Duration) -> io::Result<bool> {
    poll(socket.as_raw_fd(), libc::POLLOUT, limit)
}

/// Waits until `socket` has something to read (or has ended or failed). False when `limit` passed first.
#[cfg(unix)]
pub fn wait_readable<S: AsRawFd>(socket: &S, limit: Duration) -> io::Result<bool> {
    poll(socket.as_raw_fd(), libc::POLLIN, limit)
}

#[cfg(unix)]
fn poll(descriptor: i32, events: i16, limit: Duration) -> io::Result<bool> {
    let started = std::time::Instant::now();
    loop {
        let left = limit.saturating_sub(started.elapsed());
        // Rounded up: a wait of 0.4 ms that became 0 would spin.
        let millis = left.as_micros().div_ceil(1000);
        let mut entry = libc::pollfd { fd: descriptor, events, revents: 0 };
        // SAFETY: one entry, on this stack, for the time of the call.
        let ready = unsafe { libc::poll(&raw mut entry, 1, i32::try_from(millis).unwrap_or(i32::MAX)) };
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
fn pause(limit: Duration) -> io::Result<bool> {
    std::thread::sleep(limit.min(Duration::from_millis(5)));
    Ok(true)
}

#[cfg(all(test, unix))]
mod tests {
    use std::io::Write;
    use std::os::unix::net::UnixStream;

    use super::*;

    #[test]
    fn a_socket_is_readable_once_something_was_sent_and_not_before() {
        let (ours, mut other) = UnixStream::pair().unwrap();
        assert!(!wait_readable(&ours, Duration::from_millis(1)).unwrap());
        other.write_all(b"x").unwrap();
        assert!(wait_readable(&ours, Duration::from_secs(5)).unwrap());
    }

    #[test]
    fn a_full_socket_is_not_writable() {
        let (ours, _other) = UnixStream::pair().unwrap();
        assert!(wait_writable(&ours, Duration::ZERO).unwrap());
        ours.set_nonblocking(true).unwrap();
        while (&ours).write(&[0; 4096]).is_ok() {}
        assert!(!wait_writable(&ours, Duration::ZERO).unwrap());
    }
}
