//! Random numbers, and a check of the operating system's random generator.

use std::io;

use aws_lc_rs::error::Unspecified;
use aws_lc_rs::rand;

use super::with_forks_blocked;

/// Fills `bytes` with random numbers. The generator of AWS-LC detects forks itself.
///
/// # Errors
/// If the generator fails.
pub fn fill_random(bytes: &mut [u8]) -> Result<(), Unspecified> {
    with_forks_blocked(|| rand::fill(bytes))
}

/// Maximum number of attempts if the call is interrupted by signals.
const MAX_EINTR_RETRIES: usize = 100;

/// Checks that the operating system provides random numbers. A sandbox may forbid the call; AWS-LC then
/// aborts the process when it seeds the generator of a thread or of a forked child.
///
/// # Errors
/// The error of getrandom, except ENOSYS: AWS-LC then reads /dev/urandom.
#[cfg(any(target_os = "linux", target_os = "android"))]
pub fn check_random() -> io::Result<()> {
    let mut byte = [0_u8; 1];
    for _ in 0..MAX_EINTR_RETRIES {
        // SAFETY: `byte` is valid for writes of one byte during the call.
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

/// As on Linux. The generators of other systems do not fail.
#[cfg(not(any(target_os = "linux", target_os = "android")))]
pub fn check_random() -> io::Result<()> {
    Ok(())
}
