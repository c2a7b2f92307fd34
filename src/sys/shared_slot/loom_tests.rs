use std::cell::Cell;
use std::sync::Arc;

use loom::cell::UnsafeCell;
use loom::thread;

use super::*;

thread_local! {
    /// How many values have not come to their end; the threads of a model are one thread in truth.
    static ALIVE: Cell<i32> = const { Cell::new(0) };
}

/// A value of which loom says if its end does not come behind every look at it.
struct TrackedValue(UnsafeCell<u8>);

// SAFETY: whether threads may look at it together is what loom finds out.
unsafe impl Sync for TrackedValue {}

impl TrackedValue {
    fn new(number: u8) -> Self {
        ALIVE.set(ALIVE.get() + 1);
        Self(UnsafeCell::new(number))
    }

    fn read(&self) -> u8 {
        // SAFETY: loom ends the test where somebody writes meanwhile.
        self.0.with(|number| unsafe { *number })
    }
}

impl Drop for TrackedValue {
    fn drop(&mut self) {
        // SAFETY: as above.
        self.0.with_mut(|number| unsafe { *number = 0 });
        ALIVE.set(ALIVE.get() - 1);
    }
}

type TrackedSlot = Arc<Slot<TrackedValue>>;

/// Runs `work` of several threads on one slot, in which 1 is, in every order.
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
        assert_eq!(ALIVE.get(), 0, "a value was left behind");
    });
}

fn acquire_one(slot: &Slot<TrackedValue>) {
    if let Some(share) = slot.acquire() {
        assert_ne!(share.read(), 0);
    }
}

fn acquire_two(slot: &Slot<TrackedValue>) {
    let shares = [slot.acquire(), slot.acquire()];
    assert!(shares.iter().flatten().all(|share| share.read() > 0));
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
