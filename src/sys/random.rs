//! Random numbers, and whether the operating system gives any.

use std::io;

use aws_lc_rs::error::Unspecified;
use aws_lc_rs::rand;

use super::with_forks_blocked;

/// Fills `bytes` from a generator that notices a fork by itself.
///
/// # Errors
/// Where there are no random numbers.
pub fn fill_random(bytes: &mut [u8]) -> Result<(), Unspecified> {
    with_forks_blocked(|| rand::fill(bytes))
}

/// How often a call that was interrupted is made again.
const MAX_EINTR_RETRIES: usize = 100;

/// Fails where the operating system gives no random numbers, as in a sandbox that forbids the call. AWS-LC ends the process
/// then, when it seeds the generator of a thread or of a forked child.
///
/// # Errors
/// That of getrandom. Without such a call there is /dev/urandom, and AWS-LC reads that.
#[cfg(any(target_os = "linux", target_os = "android"))]
pub fn check_random() -> io::Result<()> {
    let mut byte = [0_u8; 1];
    for _ in 0..MAX_EINTR_RETRIES {
        // SAFETY: one byte may be written to `byte`, which lives longer than the call.
        if unsafe { libc::getrandom(byte.as_mut_ptr().cast(), byte.len(), 0) } == 1 {
            return Ok(());
        }
        let error = io::Error::last_os_error();
        match error.raw_os_error() {
            Some(libc::ENOSYS) => return Ok(()),
            Some(libc::EINTR) => {}
            _ => return Err(error),
        }
    }
    Err(io::ErrorKind::Interrupted.into())
}

/// As on Linux. Other systems' generators do not fail.
#[cfg(not(any(target_os = "linux", target_os = "android")))]
pub fn check_random() -> io::Result<()> {
    Ok(())
}
