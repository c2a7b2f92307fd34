//! Safe wrappers of the operating system calls that need `unsafe`: fork handlers, poll, signal masks, clocks.
//!
//! Systems without a feature (Windows has no fork, no signal mask and no numeric user ID) get a plain
//! fallback.
#![allow(unsafe_code)]

pub mod sync;

use std::time::{Duration, Instant};

use once_cell::race::OnceBox;

mod directory;
mod environment;
mod file_lock;
mod fork;
mod fork_gate;
mod open_beneath;
mod per_process;
mod poll;
mod random;
mod shared_slot;
mod signals;
mod standard_streams;
mod striped_slots;

#[cfg(all(test, unix))]
pub(crate) use fork::{check_in_child, with_live_child};

pub use directory::Directory;
pub use environment::{env_var, home_dir, host_name, is_secure_execution, program_name};
pub use file_lock::FileLock;
pub use fork::{DescriptorRegistration, ForkSafe, generation, install_fork_handlers, prewarm_before_fork};
pub use fork_gate::with_forks_blocked;
pub use open_beneath::{BeneathError, metadata_beneath, open_beneath, open_nonblocking};
pub use per_process::PerProcess;
pub use poll::{PollFd, wait_any, wait_readable, wait_writable};
pub use random::{check_random, fill_random};
pub use shared_slot::{SharedRef, Slot};
pub use signals::with_signals_blocked;
pub use standard_streams::avoid_standard_streams;
pub use striped_slots::StripedSlots;

/// Unix time in seconds at the last clock tick, at most 10 ms ago. `None` on systems without a coarse clock.
#[must_use]
pub fn coarse_unix_seconds() -> Option<i64> {
    #[cfg(target_os = "linux")]
    {
        let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
        // SAFETY: `time` is a local variable that is valid for writes during the call.
        let failed = unsafe { libc::clock_gettime(libc::CLOCK_REALTIME_COARSE, &raw mut time) } != 0;
        (!failed).then_some(time.tv_sec)
    }
    #[cfg(not(target_os = "linux"))]
    {
        None
    }
}

/// Time since boot, including time in which the machine was suspended.
///
/// `Instant` is CLOCK_MONOTONIC on Linux and CLOCK_UPTIME_RAW on macOS. Both stop while the machine is
/// suspended.
#[must_use]
pub fn boot_time() -> Duration {
    // CLOCK_MONOTONIC has the same origin, so that the time does not jump if a system call filter forbids
    // CLOCK_BOOTTIME from some moment on.
    #[cfg(any(target_os = "linux", target_os = "android"))]
    const CLOCKS: [libc::clockid_t; 2] = [libc::CLOCK_BOOTTIME, libc::CLOCK_MONOTONIC];
    #[cfg(all(unix, not(any(target_os = "linux", target_os = "android"))))]
    const CLOCKS: [libc::clockid_t; 1] = [libc::CLOCK_MONOTONIC];
    #[cfg(unix)]
    if let Some(time) = CLOCKS.into_iter().find_map(read_clock) {
        return time;
    }
    elapsed_since_first_use()
}

#[cfg(unix)]
fn read_clock(clock: libc::clockid_t) -> Option<Duration> {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: `time` is a local variable that is valid for writes during the call.
    let failed = unsafe { libc::clock_gettime(clock, &raw mut time) } != 0;
    if failed {
        return None;
    }
    Some(Duration::new(u64::try_from(time.tv_sec).ok()?, u32::try_from(time.tv_nsec).ok()?))
}

/// Fallback for systems without a boot-time clock. On Windows `Instant` includes suspended time.
fn elapsed_since_first_use() -> Duration {
    static FIRST_USE: OnceBox<Instant> = OnceBox::new();
    FIRST_USE.get_or_init(|| Box::new(Instant::now())).elapsed()
}

/// The effective user ID of the process; 0 on systems without numeric user IDs.
#[must_use]
pub fn effective_user_id() -> u32 {
    #[cfg(unix)]
    {
        // SAFETY: geteuid has no arguments, accesses no memory of the caller and cannot fail.
        unsafe { libc::geteuid() }
    }
    #[cfg(not(unix))]
    {
        0
    }
}

/// For tests: changes the effective user of a forked child. Returns whether it was permitted.
#[cfg(all(test, unix))]
pub(crate) fn set_effective_user_id(user: u32) -> bool {
    // SAFETY: seteuid accesses no memory of the caller.
    unsafe { libc::seteuid(user) == 0 }
}
