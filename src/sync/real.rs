//! The ones that the library runs with.
//!
//! Waiting uses the standard library's locks: they are nothing but their own memory. parking_lot keeps one table for
//! the whole process, which another thread may hold locked at the moment of a fork.

use std::sync::{self, Condvar, PoisonError};
use std::time::Duration;

pub use std::sync::MutexGuard as WaitingGuard;
pub use std::sync::atomic;

pub use parking_lot::Mutex;

/// A value behind a lock, at which threads can wait until it has changed.
///
/// A panic while the lock is held is no reason to refuse it to others: each change must leave the value whole.
#[derive(Default)]
pub struct Waiting<T> {
    value: sync::Mutex<T>,
    changed: Condvar,
}

impl<T> Waiting<T> {
    /// The value, for one thread at a time.
    pub fn lock(&self) -> WaitingGuard<'_, T> {
        self.value.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Sleeps, without the lock, for as long as `goes_on` says so of the value, or for `at_most`.
    pub fn wait_while<'a>(
        &self,
        guard: WaitingGuard<'a, T>,
        at_most: Option<Duration>,
        goes_on: impl FnMut(&mut T) -> bool,
    ) -> WaitingGuard<'a, T> {
        let Some(at_most) = at_most else {
            return self.changed.wait_while(guard, goes_on).unwrap_or_else(PoisonError::into_inner);
        };
        let outcome = self.changed.wait_timeout_while(guard, at_most, goes_on);
        outcome.unwrap_or_else(PoisonError::into_inner).0
    }

    /// Has all who wait look at the value again.
    pub fn wake_all(&self) {
        self.changed.notify_all();
    }
}
