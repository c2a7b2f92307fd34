//! The native implementation of the synchronization primitives.
//!
//! Code that blocks uses `std::sync`, whose locks have no state outside their own memory. parking_lot keeps a
//! process-wide parking table that another thread may hold while forking, so it is used only for short
//! critical sections.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{self, Condvar, PoisonError};
use std::time::Duration;

pub use parking_lot::Mutex;
pub use std::sync::{MutexGuard as MonitorGuard, atomic};

/// A mutex with a condition variable: threads can wait until the value satisfies a condition.
///
/// Poisoning is ignored, so every change must leave the value consistent even if it panics.
#[derive(Default)]
pub struct Monitor<T> {
    value: sync::Mutex<T>,
    changed: Condvar,
    /// Number of waiting threads, changed with the lock held. It avoids the system call of a notification
    /// without waiters.
    waiters: AtomicUsize,
}

impl<T> Monitor<T> {
    /// Locks the value.
    pub fn lock(&self) -> MonitorGuard<'_, T> {
        self.value.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Releases the lock and blocks while `condition` returns true, for at most `timeout`. Returns with the
    /// lock held.
    pub fn wait_while<'a>(
        &self,
        guard: MonitorGuard<'a, T>,
        timeout: Option<Duration>,
        condition: impl FnMut(&mut T) -> bool,
    ) -> MonitorGuard<'a, T> {
        self.waiters.fetch_add(1, Ordering::Relaxed);
        let guard = match timeout {
            None => self.changed.wait_while(guard, condition).unwrap_or_else(PoisonError::into_inner),
            Some(timeout) => {
                let outcome = self.changed.wait_timeout_while(guard, timeout, condition);
                outcome.unwrap_or_else(PoisonError::into_inner).0
            }
        };
        self.waiters.fetch_sub(1, Ordering::Relaxed);
        guard
    }

    /// Wakes all waiters to check their condition again. The value must have been changed with the lock held:
    /// a thread that locked it before the change is counted in `waiters`, and a thread that locks it later
    /// sees the change.
    pub fn notify_all(&self) {
        if self.waiters.load(Ordering::Relaxed) > 0 {
            self.changed.notify_all();
        }
    }
}
