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
struct Watched(UnsafeCell<u8>);

// SAFETY: whether threads may look at it together is what loom finds out.
unsafe impl Sync for Watched {}

impl Watched {
    fn new(number: u8) -> Self {
        ALIVE.set(ALIVE.get() + 1);
        Self(UnsafeCell::new(number))
    }

    fn look(&self) -> u8 {
        // SAFETY: loom ends the test where somebody writes meanwhile.
        self.0.with(|number| unsafe { *number })
    }
}

impl Drop for Watched {
    fn drop(&mut self) {
        // SAFETY: as above.
        self.0.with_mut(|number| unsafe { *number = 0 });
        ALIVE.set(ALIVE.get() - 1);
    }
}

type Watch = Arc<Slot<Watched>>;

/// Runs `work` of several threads on one slot, in which 1 is, in every order.
fn in_every_order(work: &'static [fn(&Slot<Watched>)]) {
    loom::model(move || {
        let slot: Watch = Arc::new(Slot::empty());
        drop(slot.put(Watched::new(1)));
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

fn take(slot: &Slot<Watched>) {
    if let Some(share) = slot.take() {
        assert_ne!(share.look(), 0);
    }
}

fn take_two(slot: &Slot<Watched>) {
    let shares = [slot.take(), slot.take()];
    assert!(shares.iter().flatten().all(|share| share.look() > 0));
}

fn put(slot: &Slot<Watched>) {
    assert_eq!(slot.put(Watched::new(2)).look(), 2);
}

#[test]
fn what_is_taken_lives_while_another_is_put() {
    in_every_order(&[take, put]);
    in_every_order(&[take_two, put]);
}

#[test]
fn what_is_taken_lives_while_the_slot_is_cleared() {
    in_every_order(&[take_two, Slot::clear]);
    in_every_order(&[put, Slot::clear]);
}

#[test]
fn what_two_take_is_moved_to_the_count_once() {
    in_every_order(&[take_two, take]);
}
