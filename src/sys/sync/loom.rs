//! The same in a model, by loom: each use of one is a point at which loom lets every other thread go first.
//!
//! Time does not pass in a model. A wait that may last for no time at all ends at once; any other ends only when it is
//! woken, and where nobody does that, loom says that all are blocked.
#![allow(missing_docs, reason = "each is what its namesake in `real` is")]

use std::sync::PoisonError;
use std::time::Duration;

use loom::sync::{self, Condvar};

pub use loom::sync::{MutexGuard as MonitorGuard, atomic};

#[derive(Default)]
pub struct Mutex<T>(sync::Mutex<T>);

impl<T> Mutex<T> {
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
        at_most: Option<Duration>,
        mut goes_on: impl FnMut(&mut T) -> bool,
    ) -> MonitorGuard<'a, T> {
        while goes_on(&mut guard) && at_most != Some(Duration::ZERO) {
            guard = self.changed.wait(guard).unwrap_or_else(PoisonError::into_inner);
        }
        guard
    }

    pub fn notify_all(&self) {
        self.changed.notify_all();
    }
}
