use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use super::*;

/// Counts those that are alive.
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
    let taken = [slot.acquire().unwrap(), slot.acquire().unwrap()];
    assert_eq!(taken[0].as_ptr(), taken[1].as_ptr());
    drop(slot.store(LiveCounter::new(&count)));
    assert_eq!(live_count(&count), 2, "the shares have the first, the slot the second");
    drop(taken);
    assert_eq!(live_count(&count), 1);
    let held = slot.acquire().unwrap();
    slot.clear();
    assert!(slot.acquire().is_none());
    assert_eq!(live_count(&count), 1);
    drop(held);
    assert_eq!(live_count(&count), 0);
    drop(slot.store(LiveCounter::new(&count)));
    drop(slot);
    assert_eq!(live_count(&count), 0, "what is in the slot goes with it");
}

#[test]
fn shared_ref_round_trips_through_raw_pointer() {
    let count = Arc::default();
    let pointer = SharedRef::new(LiveCounter::new(&count)).into_raw();
    assert_eq!(live_count(&count), 1);
    // SAFETY: it came from `into_raw`, and is taken back once.
    drop(unsafe { SharedRef::from_raw(pointer) });
    assert_eq!(live_count(&count), 0);
}

#[test]
fn acquires_beyond_slot_count_are_rebalanced() {
    let (slot, count) = (Slot::empty(), Arc::default());
    drop(slot.store(LiveCounter::new(&count)));
    let first = slot.acquire().unwrap();
    let held: Vec<_> = (0..3 * COUNT_MASK).map(|_| slot.acquire().unwrap()).collect();
    assert!(held.iter().all(|share| share.as_ptr() == first.as_ptr()));
    drop((first, held));
    for _ in 0..3 * COUNT_MASK {
        drop(slot.acquire());
    }
    assert_eq!(live_count(&count), 1);
    slot.clear();
    assert_eq!(live_count(&count), 0);
}

#[test]
fn oversized_address_is_not_stored() {
    let at =
        |address| pack_address(NonNull::<Counted<u8>>::new(ptr::without_provenance_mut(address)).unwrap());
    assert_eq!(
        unpack_address::<u8>(at(0x00ff_ffff_ffff_ffc0).unwrap()).unwrap().as_ptr().addr(),
        0x00ff_ffff_ffff_ffc0
    );
    assert_eq!(at(0x0100_0000_0000_0000), None);
}

#[test]
fn concurrent_acquire_and_store_leak_nothing() {
    let (slot, count, over) = (Slot::empty(), Arc::default(), AtomicBool::new(false));
    drop(slot.store(LiveCounter::new(&count)));
    std::thread::scope(|scope| {
        for _ in 0..3 {
            scope.spawn(|| {
                while !over.load(Ordering::Relaxed) {
                    let shares: Vec<_> = (0..40).filter_map(|_| slot.acquire()).collect();
                    assert!(shares.iter().all(|share| live_count(&(**share).0) > 0));
                }
            });
        }
        for round in 0..20_000 {
            if round % 7 == 0 { slot.clear() } else { drop(slot.store(LiveCounter::new(&count))) }
        }
        over.store(true, Ordering::Relaxed);
    });
    slot.clear();
    assert_eq!(live_count(&count), 0);
}

#[test]
fn acquires_are_counted_across_stores_and_rebalancing() {
    let slot = Slot::empty();
    assert!(slot.acquire().is_none());
    let mut expected = 0;
    for takes in [0, 1, REBALANCE_AT - 1, REBALANCE_AT, 3 * REBALANCE_AT + 5] {
        drop(slot.store(takes));
        (0..takes).for_each(|_| drop(slot.acquire().unwrap()));
        expected += takes;
        assert_eq!(slot.acquired_count(), expected);
    }
    slot.clear();
    assert_eq!(slot.acquired_count(), expected);
    drop(slot.store(1));
    drop(slot.acquire());
    slot.uncount_acquire();
    assert_eq!(slot.acquired_count(), expected);
}
