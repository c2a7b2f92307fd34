//! Slots side by side, of which threads that run at the same time use different ones, so that what they write does not go
//! back and forth between their processors.

use std::cell::Cell;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::Slot;

/// The most slots side by side. More threads than that share them.
const MAX_STRIPES: usize = 8;

thread_local! {
    /// Threads are numbered as they come here first, so that a few that run together have numbers that follow each other.
    static THREAD_INDEX: Cell<usize> = const { Cell::new(0) };
}

/// As many slots as there are processors; a power of two.
pub struct StripedSlots<T>(Arc<[Slot<T>]>);

impl<T> Clone for StripedSlots<T> {
    /// The same slots.
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<T> StripedSlots<T> {
    /// With nothing in any of them.
    #[must_use]
    pub fn empty() -> Self {
        Self((0..cpu_count().next_power_of_two().min(MAX_STRIPES)).map(|_| Slot::empty()).collect())
    }

    /// The slot of the calling thread, always the same one.
    #[inline]
    #[must_use]
    pub fn for_current_thread(&self) -> Option<&Slot<T>> {
        self.for_thread(match THREAD_INDEX.get() {
            0 => assign_index(),
            known => known,
        })
    }

    #[inline]
    fn for_thread(&self, number: usize) -> Option<&Slot<T>> {
        self.0.get(number & self.0.len().wrapping_sub(1))
    }

    /// A number that no others have.
    #[must_use]
    pub fn id(&self) -> usize {
        self.0.as_ptr().addr()
    }

    /// How many shares have been taken from all slots, but for those that were discounted.
    #[must_use]
    pub fn acquired_count(&self) -> u64 {
        self.0.iter().fold(0, |sum, slot| sum.wrapping_add(slot.acquired_count()))
    }

    /// Takes out what is not to be kept.
    pub fn retain(&self, keep: impl Fn(&T) -> bool) {
        for slot in &*self.0 {
            let Some(share) = slot.acquire() else { continue };
            slot.uncount_acquire();
            if !keep(&share) {
                slot.clear();
            }
        }
    }
}

/// Gives the calling thread its number, which is not 0.
#[cold]
fn assign_index() -> usize {
    static LAST_INDEX: AtomicUsize = AtomicUsize::new(0);
    let number = LAST_INDEX.fetch_add(1, Ordering::Relaxed).wrapping_add(1).max(1);
    THREAD_INDEX.set(number);
    number
}

/// How many there are for this process, asked once; many, where the system does not say.
fn cpu_count() -> usize {
    static CACHED_COUNT: AtomicUsize = AtomicUsize::new(0);
    match CACHED_COUNT.load(Ordering::Relaxed) {
        0 => {
            let found = query_cpu_count().unwrap_or(MAX_STRIPES).max(1);
            CACHED_COUNT.store(found, Ordering::Relaxed);
            found
        }
        known => known,
    }
}

/// Not by the standard library, which looks through the files of control groups first.
#[cfg(target_os = "linux")]
fn query_cpu_count() -> Option<usize> {
    // SAFETY: zeros are a set with none in it.
    let mut set: libc::cpu_set_t = unsafe { std::mem::zeroed() };
    // SAFETY: no more is written to `set` than it has.
    let failed = unsafe { libc::sched_getaffinity(0, size_of_val(&set), &raw mut set) } != 0;
    // SAFETY: it looks at `set` alone.
    let count = unsafe { libc::CPU_COUNT(&set) };
    usize::try_from(count).ok().filter(|_| !failed)
}

#[cfg(not(target_os = "linux"))]
fn query_cpu_count() -> Option<usize> {
    std::thread::available_parallelism().ok().map(usize::from)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::thread;

    use super::*;

    #[test]
    fn thread_keeps_its_slot_and_retain_filters() {
        let stripes = StripedSlots::empty();
        drop(stripes.for_current_thread().unwrap().store(7));
        assert_eq!(stripes.for_current_thread().unwrap().acquire().as_deref(), Some(&7));
        stripes.retain(|number| *number == 7);
        assert!(stripes.for_current_thread().unwrap().acquire().is_some());
        stripes.retain(|number| *number != 7);
        assert!(stripes.0.iter().all(|slot| slot.acquire().is_none()));
    }

    #[test]
    fn slot_count_matches_cpu_count() {
        let processors = thread::available_parallelism().unwrap().get();
        assert!(query_cpu_count().unwrap() >= processors, "control groups may allow fewer");
        let slots = StripedSlots::<u8>::empty().0.len();
        assert!(slots.is_power_of_two() && slots <= MAX_STRIPES && slots >= processors.min(MAX_STRIPES));
    }

    #[test]
    fn consecutive_thread_indexes_use_distinct_slots() {
        let stripes = StripedSlots((0..4).map(|_| Slot::<u8>::empty()).collect());
        let slot = |number| std::ptr::from_ref(stripes.for_thread(number).unwrap()).addr();
        for first in [1, 6, usize::MAX - 3] {
            let slots: BTreeSet<_> = (first..=first + 3).map(slot).collect();
            assert_eq!(slots.len(), 4, "{first}");
        }
    }

    #[test]
    fn thread_index_is_stable_and_unique() {
        let stripes = StripedSlots::<u8>::empty();
        let number = || {
            let slot = std::ptr::from_ref(stripes.for_current_thread().unwrap());
            let number = THREAD_INDEX.get();
            assert!(
                number > 0
                    && std::ptr::eq(stripes.for_current_thread().unwrap(), slot)
                    && THREAD_INDEX.get() == number
            );
            number
        };
        let others = [(); 3].map(|()| thread::scope(|scope| scope.spawn(number).join().unwrap()));
        let all = BTreeSet::from([number(), others[0], others[1], others[2]]);
        assert_eq!(all.len(), 4);
    }
}
