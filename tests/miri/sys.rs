//! `src/sys`, as far as it is tested here.

#[path = "../../src/sys/per_process.rs"]
pub mod per_process;
#[path = "../../src/sys/shared_slot/mod.rs"]
pub mod shared_slot;
#[path = "../../src/sys/striped_slots.rs"]
pub mod striped_slots;
#[path = "../../src/sys/sync/mod.rs"]
pub mod sync;

pub use shared_slot::Slot;

/// Miri has no fork, so there is only one generation.
#[must_use]
pub fn generation() -> u64 {
    0
}
