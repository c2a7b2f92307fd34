use std::cell::Cell;
use std::sync::Arc;

use loom::cell::UnsafeCell;
use loom::thread;

use super::*;

thread_local! {
    /// Number of live values. A thread-local is enough, because loom runs all threads of a model on one OS
    /// thread.
    static ALIVE: Cell<i32> = const { Cell::new(0) };
}

/// A value for which loom reports a drop that does not happen after every read.
struct TrackedValue(UnsafeCell<u8>);

// SAFETY: loom checks whether threads access the value concurrently.
unsafe impl Sync for TrackedValue {}

impl TrackedValue {
    fn new(value: u8) -> Self {
        ALIVE.set(ALIVE.get() + 1);
        Self(UnsafeCell::new(value))
    }

    fn read(&self) -> u8 {
        // SAFETY: loom fails the test if there is a concurrent write.
        self.0.with(|value| unsafe { *value })
    }
}

impl Drop for TrackedValue {
    fn drop(&mut self) {
        // SAFETY: loom fails the test if there is a concurrent access.
        self.0.with_mut(|value| unsafe { *value = 0 });
        ALIVE.set(ALIVE.get() - 1);
    }
}

type TrackedSlot = Arc<Slot<TrackedValue>>;

/// Runs each function of `work` in its own thread on one slot that contains 1, in every interleaving.
fn explore_interleavings(work: &'static [fn(&Slot<TrackedValue>)]) {
    loom::model(move || {
        let slot: TrackedSlot = Arc::new(Slot::empty());
        drop(slot.store(TrackedValue::new(1)));
        let threads: Vec<_> = work
            .iter()
            .map(|work| {
                let slot = Arc::clone(&slot);
                thread::spawn(move || work(&slot))
            })
            .collect();
        for thread in threads {
            thread.join().unwrap();
        }
        drop(slot);
        assert_eq!(ALIVE.get(), 0, "a value was leaked");
    });
}

fn acquire_one(slot: &Slot<TrackedValue>) {
    if let Some(value) = slot.acquire() {
        assert_ne!(value.read(), 0);
    }
}

fn acquire_two(slot: &Slot<TrackedValue>) {
    let refs = [slot.acquire(), slot.acquire()];
    assert!(refs.iter().flatten().all(|value| value.read() > 0));
}

fn store_one(slot: &Slot<TrackedValue>) {
    assert_eq!(slot.store(TrackedValue::new(2)).read(), 2);
}

#[test]
fn acquired_ref_survives_concurrent_store() {
    explore_interleavings(&[acquire_one, store_one]);
    explore_interleavings(&[acquire_two, store_one]);
}

#[test]
fn acquired_ref_survives_concurrent_clear() {
    explore_interleavings(&[acquire_two, Slot::clear]);
    explore_interleavings(&[store_one, Slot::clear]);
}

#[test]
fn rebalance_counts_concurrent_acquires_once() {
    explore_interleavings(&[acquire_two, acquire_one]);
}
