//! Keeps new sockets and files out of the descriptors 0 to 2, the standard streams.
//!
//! A daemon may have closed its standard streams. The system gives the next socket or file the lowest free
//! descriptor, so what the application prints would be sent to the server or written into the file, and
//! an application that opens its standard streams later would close it.

use std::io;

#[cfg(unix)]
use std::os::fd::{AsRawFd, OwnedFd, RawFd};

/// The lowest descriptor that is not a standard stream.
#[cfg(unix)]
const MIN_DESCRIPTOR: RawFd = 3;

/// Returns `object`, with another descriptor if its own is that of a standard stream. The new one is closed on
/// exec, too.
///
/// # Errors
/// If the process has no free descriptor.
#[cfg(unix)]
pub fn avoid_standard_streams<D: From<OwnedFd> + Into<OwnedFd>>(object: D) -> io::Result<D> {
    let descriptor: OwnedFd = object.into();
    if descriptor.as_raw_fd() >= MIN_DESCRIPTOR {
        return Ok(descriptor.into());
    }
    Ok(rustix::io::fcntl_dupfd_cloexec(descriptor, MIN_DESCRIPTOR)?.into())
}

/// Returns `object`: handles of other systems are not numbered like this.
///
/// # Errors
/// None.
#[cfg(not(unix))]
pub fn avoid_standard_streams<D>(object: D) -> io::Result<D> {
    Ok(object)
}

#[cfg(all(test, unix))]
mod tests {
    use std::fs::File;

    use super::*;
    use crate::sys::check_in_child;

    #[test]
    fn closed_standard_stream_stays_closed() {
        assert!(check_in_child(|| {
            // SAFETY: the child prints nothing.
            unsafe { libc::close(1) };
            let file = File::open("/dev/null").unwrap();
            let is_stream = file.as_raw_fd() == 1;
            let moved = avoid_standard_streams(file).unwrap();
            // SAFETY: F_GETFD accepts any number.
            let flags = |descriptor| unsafe { libc::fcntl(descriptor, libc::F_GETFD) };
            is_stream && flags(1) == -1 && flags(moved.as_raw_fd()) == libc::FD_CLOEXEC
        }));
    }

    #[test]
    fn other_descriptor_is_unchanged() {
        let file = File::open("/dev/null").unwrap();
        let descriptor = file.as_raw_fd();
        assert!(descriptor > 2);
        assert_eq!(avoid_standard_streams(file).unwrap().as_raw_fd(), descriptor);
    }
}
