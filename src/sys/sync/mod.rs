//! What threads meet at: locks, a lock with a wait, counters and flags.
//!
//! The cache and what it is made of use nothing else, so that a model checker can take the place of the real ones
//! (`cargo test --features model`) and try every order in which threads can meet.

#[cfg(not(all(test, feature = "model")))]
mod native;
#[cfg(not(all(test, feature = "model")))]
pub use native::{Monitor, MonitorGuard, Mutex, atomic};

#[cfg(all(test, feature = "model"))]
mod loom;
#[cfg(all(test, feature = "model"))]
pub use loom::{Monitor, MonitorGuard, Mutex, atomic};
