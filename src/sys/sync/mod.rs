//! Synchronization primitives: a mutex, a monitor (a mutex with a condition variable) and atomics.
//!
//! The token cache and its parts use only these, so that the loom model checker can replace them and test
//! every thread interleaving (`cargo test --features model`).

#[cfg(not(all(test, feature = "model")))]
mod native;
#[cfg(not(all(test, feature = "model")))]
pub use native::{Monitor, MonitorGuard, Mutex, atomic};

#[cfg(all(test, feature = "model"))]
mod loom;
#[cfg(all(test, feature = "model"))]
pub use loom::{Monitor, MonitorGuard, Mutex, atomic};
