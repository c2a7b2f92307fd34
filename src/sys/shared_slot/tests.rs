use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use super::*;

/// Counts those that are alive.
struct Alive(Arc<AtomicI64>);

impl Alive {
    fn new(alive: &Arc<AtomicI64>) -> Self {
        alive.fetch_add(1, Ordering::SeqCst);
        Self(Arc::clone(alive))
    }
}

impl Drop for Alive {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

fn alive(count: &Arc<AtomicI64>) -> i64 {
    count.load(Ordering::SeqCst)
}

#[test]
fn a_value_lives_as_long_as_the_slot_or_a_share_has_it() {
    let (slot, count) = (Slot::empty(), Arc::default());
    assert!(slot.take().is_none());
    drop(slot.put(Alive::new(&count)));
    let taken = [slot.take().unwrap(), slot.take().unwrap()];
    assert_eq!(taken[0].as_ptr(), taken[1].as_ptr());
    drop(slot.put(Alive::new(&count)));
    assert_eq!(alive(&count), 2, "the shares have the first, the slot the second");
    drop(taken);
    assert_eq!(alive(&count), 1);
    let held = slot.take().unwrap();
    slot.clear();
    assert!(slot.take().is_none());
    assert_eq!(alive(&count), 1);
    drop(held);
    assert_eq!(alive(&count), 0);
    drop(slot.put(Alive::new(&count)));
    drop(slot);
    assert_eq!(alive(&count), 0, "what is in the slot goes with it");
}

#[test]
fn a_share_goes_through_c_and_comes_back() {
    let count = Arc::default();
    let pointer = Share::new(Alive::new(&count)).into_raw();
    assert_eq!(alive(&count), 1);
    // SAFETY: it came from `into_raw`, and is taken back once.
    drop(unsafe { Share::from_raw(pointer) });
    assert_eq!(alive(&count), 0);
}

#[test]
fn more_shares_are_taken_than_the_number_of_a_slot_can_count() {
    let (slot, count) = (Slot::empty(), Arc::default());
    drop(slot.put(Alive::new(&count)));
    let first = slot.take().unwrap();
    let held: Vec<_> = (0..3 * COUNT).map(|_| slot.take().unwrap()).collect();
    assert!(held.iter().all(|share| share.as_ptr() == first.as_ptr()));
    drop((first, held));
    for _ in 0..3 * COUNT {
        drop(slot.take());
    }
    assert_eq!(alive(&count), 1);
    slot.clear();
    assert_eq!(alive(&count), 0);
}

#[test]
fn an_address_with_too_many_bits_is_not_put_into_a_slot() {
    let at = |address| number_of(NonNull::<Counted<u8>>::new(ptr::without_provenance_mut(address)).unwrap());
    assert_eq!(
        address::<u8>(at(0x00ff_ffff_ffff_ffc0).unwrap()).unwrap().as_ptr().addr(),
        0x00ff_ffff_ffff_ffc0
    );
    assert_eq!(at(0x0100_0000_0000_0000), None);
}

#[test]
fn threads_that_take_and_put_at_the_same_time_lose_nothing() {
    let (slot, count, over) = (Slot::empty(), Arc::default(), AtomicBool::new(false));
    drop(slot.put(Alive::new(&count)));
    std::thread::scope(|scope| {
        for _ in 0..3 {
            scope.spawn(|| {
                while !over.load(Ordering::Relaxed) {
                    let shares: Vec<_> = (0..40).filter_map(|_| slot.take()).collect();
                    assert!(shares.iter().all(|share| alive(&(**share).0) > 0));
                }
            });
        }
        for round in 0..20_000 {
            if round % 7 == 0 { slot.clear() } else { drop(slot.put(Alive::new(&count))) }
        }
        over.store(true, Ordering::Relaxed);
    });
    slot.clear();
    assert_eq!(alive(&count), 0);
}

#[test]
fn taken_shares_are_counted_across_values_and_settling() {
    let slot = Slot::empty();
    assert!(slot.take().is_none());
    let mut expected = 0;
    for takes in [0, 1, MANY - 1, MANY, 3 * MANY + 5] {
        drop(slot.put(takes));
        (0..takes).for_each(|_| drop(slot.take().unwrap()));
        expected += takes;
        assert_eq!(slot.taken(), expected);
    }
    slot.clear();
    assert_eq!(slot.taken(), expected);
    drop(slot.put(1));
    drop(slot.take());
    slot.discount();
    assert_eq!(slot.taken(), expected);
}
