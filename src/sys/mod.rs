//! The few calls to the operating system that need `unsafe`, behind safe functions: fork, poll, signal masks.
//!
//! Where there is no such thing (Windows has no fork, no signal mask and no user number) a plain fallback answers.
#![allow(unsafe_code)]

pub mod sync;

use std::time::{Duration, Instant};

use once_cell::race::OnceBox;

mod environment;
mod fork;
mod fork_gate;
mod open_beneath;
mod per_process;
mod poll;
mod random;
mod shared_slot;
mod signals;
mod striped_slots;

#[cfg(all(test, unix))]
pub(crate) use fork::with_live_child;

pub use environment::{env_var, home_dir, is_secure_execution, program_name};
pub use fork::{ForkSafeSocket, SocketRegistration, generation, install_fork_handlers, prewarm_before_fork};
pub use fork_gate::with_forks_blocked;
pub use open_beneath::{BeneathError, metadata_beneath, open_beneath};
pub use per_process::PerProcess;
pub use poll::{PollFd, wait_any, wait_readable, wait_writable};
pub use random::{check_random, fill_random};
pub use shared_slot::{SharedRef, Slot};
pub use signals::with_signals_blocked;
pub use striped_slots::StripedSlots;

/// Seconds since 1970 by the clock's last tick, at most 10 ms ago; nothing where there is no such clock.
#[must_use]
pub fn coarse_unix_seconds() -> Option<i64> {
    #[cfg(target_os = "linux")]
    {
        let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
        // SAFETY: `time` is ours, and is written to before the call returns.
        let failed = unsafe { libc::clock_gettime(libc::CLOCK_REALTIME_COARSE, &raw mut time) } != 0;
        (!failed).then_some(time.tv_sec)
    }
    #[cfg(not(target_os = "linux"))]
    {
        None
    }
}

/// Time since the machine started, suspended time included.
///
/// `Instant` is CLOCK_MONOTONIC on Linux and CLOCK_UPTIME_RAW on macOS, which both stop while the machine is suspended.
#[must_use]
pub fn boot_time() -> Duration {
    #[cfg(any(target_os = "linux", target_os = "android"))]
    const CLOCK: libc::clockid_t = libc::CLOCK_BOOTTIME;
    #[cfg(all(unix, not(any(target_os = "linux", target_os = "android"))))]
    const CLOCK: libc::clockid_t = libc::CLOCK_MONOTONIC;
    #[cfg(unix)]
    {
        let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
        // SAFETY: `time` is ours, and is written to before the call returns.
        let failed = unsafe { libc::clock_gettime(CLOCK, &raw mut time) } != 0;
        let (seconds, nanos) = (u64::try_from(time.tv_sec), u32::try_from(time.tv_nsec));
        if let (false, Ok(seconds), Ok(nanos)) = (failed, seconds, nanos) {
            return Duration::new(seconds, nanos);
        }
    }
    elapsed_since_first_use()
}

/// For systems without such a clock. On Windows `Instant` counts suspended time.
fn elapsed_since_first_use() -> Duration {
    static FIRST_USE: OnceBox<Instant> = OnceBox::new();
    FIRST_USE.get_or_init(|| Box::new(Instant::now())).elapsed()
}

/// The user in whose name this process acts; 0 where users have no numbers.
#[must_use]
pub fn effective_user_id() -> u32 {
    #[cfg(unix)]
    {
        // SAFETY: geteuid takes nothing, touches no memory of ours and cannot fail.
        unsafe { libc::geteuid() }
    }
    #[cfg(not(unix))]
    {
        0
    }
}
