use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use super::*;

/// A value that counts the live instances.
struct LiveCounter(Arc<AtomicI64>);

impl LiveCounter {
    fn new(alive: &Arc<AtomicI64>) -> Self {
        alive.fetch_add(1, Ordering::SeqCst);
        Self(Arc::clone(alive))
    }
}

impl Drop for LiveCounter {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

fn live_count(count: &Arc<AtomicI64>) -> i64 {
    count.load(Ordering::SeqCst)
}

#[test]
fn value_lives_until_last_ref_dropped() {
    let (slot, count) = (Slot::empty(), Arc::default());
    assert!(slot.acquire().is_none());
    drop(slot.store(LiveCounter::new(&count)));
    let refs = [slot.acquire().unwrap(), slot.acquire().unwrap()];
    assert_eq!(refs[0].as_ptr(), refs[1].as_ptr());
    drop(slot.store(LiveCounter::new(&count)));
    assert_eq!(live_count(&count), 2, "the references keep the first value alive, the slot the second");
    drop(refs);
    assert_eq!(live_count(&count), 1);
    let last = slot.acquire().unwrap();
    slot.clear();
    assert!(slot.acquire().is_none());
    assert_eq!(live_count(&count), 1);
    drop(last);
    assert_eq!(live_count(&count), 0);
    drop(slot.store(LiveCounter::new(&count)));
    drop(slot);
    assert_eq!(live_count(&count), 0, "dropping the slot drops its value");
}

#[test]
fn shared_ref_round_trips_through_raw_pointer() {
    let count = Arc::default();
    let pointer = SharedRef::new(LiveCounter::new(&count)).into_raw();
    assert_eq!(live_count(&count), 1);
    // SAFETY: the pointer came from `into_raw` and is passed to `from_raw` once.
    drop(unsafe { SharedRef::from_raw(pointer) });
    assert_eq!(live_count(&count), 0);
}

#[test]
fn acquires_beyond_slot_count_are_rebalanced() {
    let (slot, count) = (Slot::empty(), Arc::default());
    drop(slot.store(LiveCounter::new(&count)));
    let first = slot.acquire().unwrap();
    let refs: Vec<_> = (0..3 * REBALANCE_AT).map(|_| slot.acquire().unwrap()).collect();
    assert!(refs.iter().all(|value| value.as_ptr() == first.as_ptr()));
    drop((first, refs));
    for _ in 0..3 * REBALANCE_AT {
        drop(slot.acquire());
    }
    assert_eq!(live_count(&count), 1);
    slot.clear();
    assert_eq!(live_count(&count), 0);
}

#[test]
fn oversized_address_is_not_stored() {
    let pack =
        |address| pack_address(NonNull::<Counted<u8>>::new(ptr::without_provenance_mut(address)).unwrap());
    assert_eq!(
        unpack_address::<u8>(pack(0x00ff_ffff_ffff_ffc0).unwrap()).unwrap().as_ptr().addr(),
        0x00ff_ffff_ffff_ffc0
    );
    assert_eq!(pack(0x0100_0000_0000_0000), None);
}

#[test]
fn concurrent_acquire_and_store_leak_nothing() {
    // Miri interprets every access.
    let rounds = if cfg!(miri) { 50 } else { 10_000 };
    let (slot, count, stop) = (Slot::empty(), Arc::default(), AtomicBool::new(false));
    drop(slot.store(LiveCounter::new(&count)));
    let store_and_clear = || {
        for round in 0..rounds {
            if round % 7 == 0 { slot.clear() } else { drop(slot.store(LiveCounter::new(&count))) }
        }
    };
    std::thread::scope(|scope| {
        for _ in 0..3 {
            scope.spawn(|| {
                while !stop.load(Ordering::Relaxed) {
                    let refs: Vec<_> = (0..40).filter_map(|_| slot.acquire()).collect();
                    assert!(refs.iter().all(|value| live_count(&(**value).0) > 0));
                }
            });
        }
        let other = scope.spawn(store_and_clear);
        store_and_clear();
        other.join().unwrap();
        stop.store(true, Ordering::Relaxed);
    });
    slot.clear();
    assert_eq!(live_count(&count), 0);
}

#[test]
fn acquires_are_counted_across_stores_and_rebalancing() {
    let slot = Slot::empty();
    assert!(slot.acquire().is_none());
    let mut expected = 0;
    for acquires in [0, 1, REBALANCE_AT - 1, REBALANCE_AT, 3 * REBALANCE_AT + 5] {
        drop(slot.store(acquires));
        (0..acquires).for_each(|_| drop(slot.acquire().unwrap()));
        expected += acquires;
        assert_eq!(slot.acquired_count(), expected);
    }
    slot.clear();
    assert_eq!(slot.acquired_count(), expected);
    drop(slot.store(1));
    drop(slot.acquire());
    slot.uncount_acquire();
    assert_eq!(slot.acquired_count(), expected);
}
