//! The loom implementation of the synchronization primitives: at each use, loom explores every thread that
//! may run next.
//!
//! Time does not pass in a loom model. A wait with a timeout of zero returns immediately. Any other wait ends
//! only when it is notified; without a notification, loom reports a deadlock.
#![allow(missing_docs, reason = "documented in `native`")]

use std::sync::PoisonError;
use std::time::Duration;

use loom::sync::{self, Condvar};

pub use loom::sync::{MutexGuard as MonitorGuard, atomic};

#[derive(Default)]
pub struct Mutex<T>(sync::Mutex<T>);

impl<T> Mutex<T> {
    pub fn new(value: T) -> Self {
        Self(sync::Mutex::new(value))
    }

    pub fn lock(&self) -> sync::MutexGuard<'_, T> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[derive(Default)]
pub struct Monitor<T> {
    value: sync::Mutex<T>,
    changed: Condvar,
}

impl<T> Monitor<T> {
    pub fn lock(&self) -> MonitorGuard<'_, T> {
        self.value.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn wait_while<'a>(
        &self,
        mut guard: MonitorGuard<'a, T>,
        timeout: Option<Duration>,
        mut condition: impl FnMut(&mut T) -> bool,
    ) -> MonitorGuard<'a, T> {
        while condition(&mut guard) && timeout != Some(Duration::ZERO) {
            guard = self.changed.wait(guard).unwrap_or_else(PoisonError::into_inner);
        }
        guard
    }

    pub fn notify_all(&self) {
        self.changed.notify_all();
    }
}
