//! Synchronization primitives: a mutex, a monitor (a mutex with a condition variable) and atomics.
//!
//! Code in which threads wait for each other uses the monitor. The token cache and its parts use no other
//! primitives, so that the loom model checker can replace them and test every thread interleaving
//! (`cargo test --features model`).

#[cfg(not(all(test, feature = "model")))]
mod native;
#[cfg(not(all(test, feature = "model")))]
pub use native::{Monitor, MonitorGuard, Mutex, atomic};

#[cfg(all(test, feature = "model"))]
mod loom;
#[cfg(all(test, feature = "model"))]
pub use loom::{Monitor, MonitorGuard, Mutex, atomic};

impl<T> Monitor<T> {
    /// Releases the lock and blocks until a notification, for at most `timeout`. Returns with the lock held,
    /// possibly without a notification.
    pub fn wait<'a>(
        &self,
        guard: MonitorGuard<'a, T>,
        timeout: Option<std::time::Duration>,
    ) -> MonitorGuard<'a, T> {
        let mut is_notified = false;
        self.wait_while(guard, timeout, |_| !std::mem::replace(&mut is_notified, true))
    }
}
