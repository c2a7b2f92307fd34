//! The few calls to the operating system that need `unsafe`, behind safe functions: fork, poll, signal masks.
//!
//! Where there is no such thing (Windows has no fork, no signal mask and no user number) a plain fallback answers.
#![allow(unsafe_code)]

mod fork;
mod per_process;
mod signals;
mod wait;

#[cfg(all(test, unix))]
pub(crate) use fork::beside_a_child;
pub use fork::{Guarded, Inherited, generation, watch_forks};
pub use per_process::PerProcess;
pub use signals::with_signals_blocked;
pub use wait::{Awaited, wait_any, wait_readable, wait_writable};

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
