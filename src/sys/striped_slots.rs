//! Slots side by side, of which threads that run at the same time use different ones, so that what they write does not go
//! back and forth between their processors.

use std::cell::Cell;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::Slot;

/// The most slots side by side. More threads than that share them.
const MOST: usize = 8;

thread_local! {
    /// Threads are numbered as they come here first, so that a few that run together have numbers that follow each other.
    static NUMBER: Cell<usize> = const { Cell::new(0) };
}

/// As many slots as there are processors; a power of two.
pub struct Stripes<T>(Arc<[Slot<T>]>);

impl<T> Clone for Stripes<T> {
    /// The same slots.
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<T> Stripes<T> {
    /// With nothing in any of them.
    #[must_use]
    pub fn empty() -> Self {
        Self((0..processors().next_power_of_two().min(MOST)).map(|_| Slot::empty()).collect())
    }

    /// The slot of the calling thread, always the same one.
    #[inline]
    #[must_use]
    pub fn mine(&self) -> Option<&Slot<T>> {
        self.of_thread(match NUMBER.get() {
            0 => numbered(),
            known => known,
        })
    }

    #[inline]
    fn of_thread(&self, number: usize) -> Option<&Slot<T>> {
        self.0.get(number & self.0.len().wrapping_sub(1))
    }

    /// A number that no others have.
    #[must_use]
    pub fn id(&self) -> usize {
        self.0.as_ptr().addr()
    }

    /// How many shares have been taken from all slots, but for those that were discounted.
    #[must_use]
    pub fn taken(&self) -> u64 {
        self.0.iter().fold(0, |sum, slot| sum.wrapping_add(slot.taken()))
    }

    /// Takes out what is not to be kept.
    pub fn retain(&self, keep: impl Fn(&T) -> bool) {
        for slot in &*self.0 {
            let Some(share) = slot.take() else { continue };
            slot.discount();
            if !keep(&share) {
                slot.clear();
            }
        }
    }
}

/// Gives the calling thread its number, which is not 0.
#[cold]
fn numbered() -> usize {
    static LAST: AtomicUsize = AtomicUsize::new(0);
    let number = LAST.fetch_add(1, Ordering::Relaxed).wrapping_add(1).max(1);
    NUMBER.set(number);
    number
}

/// How many there are for this process, asked once; many, where the system does not say.
fn processors() -> usize {
    static KNOWN: AtomicUsize = AtomicUsize::new(0);
    match KNOWN.load(Ordering::Relaxed) {
        0 => {
            let found = allowed().unwrap_or(MOST).max(1);
            KNOWN.store(found, Ordering::Relaxed);
            found
        }
        known => known,
    }
}

/// Not by the standard library, which looks through the files of control groups first.
#[cfg(target_os = "linux")]
fn allowed() -> Option<usize> {
    // SAFETY: zeros are a set with none in it.
    let mut set: libc::cpu_set_t = unsafe { std::mem::zeroed() };
    // SAFETY: no more is written to `set` than it has.
    let failed = unsafe { libc::sched_getaffinity(0, size_of_val(&set), &raw mut set) } != 0;
    // SAFETY: it looks at `set` alone.
    let count = unsafe { libc::CPU_COUNT(&set) };
    usize::try_from(count).ok().filter(|_| !failed)
}

#[cfg(not(target_os = "linux"))]
fn allowed() -> Option<usize> {
    std::thread::available_parallelism().ok().map(usize::from)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::thread;

    use super::*;

    #[test]
    fn a_thread_finds_its_slot_again_and_takes_out_what_is_not_kept() {
        let stripes = Stripes::empty();
        drop(stripes.mine().unwrap().put(7));
        assert_eq!(stripes.mine().unwrap().take().as_deref(), Some(&7));
        stripes.retain(|number| *number == 7);
        assert!(stripes.mine().unwrap().take().is_some());
        stripes.retain(|number| *number != 7);
        assert!(stripes.0.iter().all(|slot| slot.take().is_none()));
    }

    #[test]
    fn there_are_as_many_slots_as_processors_for_this_process() {
        let processors = thread::available_parallelism().unwrap().get();
        assert!(allowed().unwrap() >= processors, "control groups may allow fewer");
        let slots = Stripes::<u8>::empty().0.len();
        assert!(slots.is_power_of_two() && slots <= MOST && slots >= processors.min(MOST));
    }

    #[test]
    fn as_many_threads_as_there_are_slots_have_one_each() {
        let stripes = Stripes((0..4).map(|_| Slot::<u8>::empty()).collect());
        let slot = |number| std::ptr::from_ref(stripes.of_thread(number).unwrap()).addr();
        for first in [1, 6, usize::MAX - 3] {
            let slots: BTreeSet<_> = (first..=first + 3).map(slot).collect();
            assert_eq!(slots.len(), 4, "{first}");
        }
    }

    #[test]
    fn a_thread_keeps_its_number_and_no_other_has_it() {
        let stripes = Stripes::<u8>::empty();
        let number = || {
            let slot = std::ptr::from_ref(stripes.mine().unwrap());
            let number = NUMBER.get();
            assert!(number > 0 && std::ptr::eq(stripes.mine().unwrap(), slot) && NUMBER.get() == number);
            number
        };
        let others = [(); 3].map(|()| thread::scope(|scope| scope.spawn(number).join().unwrap()));
        let all = BTreeSet::from([number(), others[0], others[1], others[2]]);
        assert_eq!(all.len(), 4);
    }
}
