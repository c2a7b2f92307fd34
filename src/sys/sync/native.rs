//! The ones that the library runs with.
//!
//! Waiting uses the standard library's locks: they are nothing but their own memory. parking_lot keeps one table for
//! the whole process, which another thread may hold locked at the moment of a fork.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{self, Condvar, PoisonError};
use std::time::Duration;

pub use parking_lot::Mutex;
pub use std::sync::{MutexGuard as MonitorGuard, atomic};

/// A value behind a lock, at which threads can wait until it has changed.
///
/// A panic while the lock is held is no reason to refuse it to others: each change must leave the value whole.
#[derive(Default)]
pub struct Monitor<T> {
    value: sync::Mutex<T>,
    changed: Condvar,
    /// How many wait, changed with the lock held: waking nobody is a call to the operating system too.
    waiters: AtomicUsize,
}

impl<T> Monitor<T> {
    /// The value, for one thread at a time.
    pub fn lock(&self) -> MonitorGuard<'_, T> {
        self.value.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Sleeps, without the lock, for as long as `goes_on` says so of the value, or for `at_most`.
    pub fn wait_while<'a>(
        &self,
        guard: MonitorGuard<'a, T>,
        at_most: Option<Duration>,
        goes_on: impl FnMut(&mut T) -> bool,
    ) -> MonitorGuard<'a, T> {
        self.waiters.fetch_add(1, Ordering::Relaxed);
        let guard = match at_most {
            None => self.changed.wait_while(guard, goes_on).unwrap_or_else(PoisonError::into_inner),
            Some(at_most) => {
                let outcome = self.changed.wait_timeout_while(guard, at_most, goes_on);
                outcome.unwrap_or_else(PoisonError::into_inner).0
            }
        };
        self.waiters.fetch_sub(1, Ordering::Relaxed);
        guard
    }

    /// Has all who wait look at the value again, which was changed with the lock held: who took the lock before that
    /// is counted here, and who takes it after that sees the change.
    pub fn notify_all(&self) {
        if self.waiters.load(Ordering::Relaxed) > 0 {
            self.changed.notify_all();
        }
    }
}
