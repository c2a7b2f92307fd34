//! Striped slots: each thread uses its own slot, so that concurrent threads do not contend for the same cache
//! line.

use std::cell::Cell;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::Slot;

/// Maximum number of slots. More threads than that share slots.
const MAX_STRIPES: usize = 8;

thread_local! {
    /// The index of this thread, or 0 before its first use. Assigned in the order of first use, so that a few
    /// threads that run together have consecutive indexes and distinct slots.
    static THREAD_INDEX: Cell<usize> = const { Cell::new(0) };
}

/// A set of slots: one for each CPU, rounded up to a power of two and limited to `MAX_STRIPES`. Thread-safe.
pub struct StripedSlots<T>(Arc<[Slot<T>]>);

impl<T> Clone for StripedSlots<T> {
    /// A reference to the same slots.
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<T> StripedSlots<T> {
    /// A set of empty slots.
    #[must_use]
    pub fn empty() -> Self {
        Self((0..cpu_count().next_power_of_two().min(MAX_STRIPES)).map(|_| Slot::empty()).collect())
    }

    /// The slot of the calling thread. A thread always gets the same slot.
    #[inline]
    #[must_use]
    pub fn for_current_thread(&self) -> Option<&Slot<T>> {
        self.for_thread(match THREAD_INDEX.get() {
            0 => assign_index(),
            known => known,
        })
    }

    #[inline]
    fn for_thread(&self, index: usize) -> Option<&Slot<T>> {
        self.0.get(index & self.0.len().wrapping_sub(1))
    }

    /// A number that identifies this set of slots among all that exist at the same time.
    #[must_use]
    pub fn id(&self) -> usize {
        self.0.as_ptr().addr()
    }

    /// The number of references acquired from all slots, without those of [`Slot::uncount_acquire`].
    #[must_use]
    pub fn acquired_count(&self) -> u64 {
        self.0.iter().fold(0, |sum, slot| sum.wrapping_add(slot.acquired_count()))
    }

    /// Clears the slots whose value does not satisfy `keep`.
    pub fn retain(&self, keep: impl Fn(&T) -> bool) {
        for slot in &*self.0 {
            let Some(value) = slot.acquire() else { continue };
            slot.uncount_acquire();
            if !keep(&value) {
                slot.clear();
            }
        }
    }
}

/// Assigns an index to the calling thread. It is not 0.
#[cold]
fn assign_index() -> usize {
    static LAST_INDEX: AtomicUsize = AtomicUsize::new(0);
    let index = LAST_INDEX.fetch_add(1, Ordering::Relaxed).wrapping_add(1).max(1);
    THREAD_INDEX.set(index);
    index
}

/// The number of CPUs that this process may use, queried once; `MAX_STRIPES` if the query fails.
fn cpu_count() -> usize {
    static CACHED_COUNT: AtomicUsize = AtomicUsize::new(0);
    match CACHED_COUNT.load(Ordering::Relaxed) {
        0 => {
            let count = query_cpu_count().unwrap_or(MAX_STRIPES).max(1);
            CACHED_COUNT.store(count, Ordering::Relaxed);
            count
        }
        cached => cached,
    }
}

/// Uses the CPU affinity mask and not the standard library, which reads cgroup files first.
#[cfg(target_os = "linux")]
fn query_cpu_count() -> Option<usize> {
    // SAFETY: all-zero bytes are a valid, empty CPU set.
    let mut set: libc::cpu_set_t = unsafe { std::mem::zeroed() };
    // SAFETY: `set` is valid for writes of its size.
    let failed = unsafe { libc::sched_getaffinity(0, size_of_val(&set), &raw mut set) } != 0;
    // SAFETY: CPU_COUNT only reads `set`.
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
        let slots = StripedSlots::empty();
        drop(slots.for_current_thread().unwrap().store(7));
        assert_eq!(slots.for_current_thread().unwrap().acquire().as_deref(), Some(&7));
        slots.retain(|value| *value == 7);
        assert!(slots.for_current_thread().unwrap().acquire().is_some());
        slots.retain(|value| *value != 7);
        assert!(slots.0.iter().all(|slot| slot.acquire().is_none()));
    }

    #[test]
    fn slot_count_matches_cpu_count() {
        let cpus = thread::available_parallelism().unwrap().get();
        assert!(query_cpu_count().unwrap() >= cpus, "cgroups may allow fewer");
        let slots = StripedSlots::<u8>::empty().0.len();
        assert!(slots.is_power_of_two() && slots <= MAX_STRIPES && slots >= cpus.min(MAX_STRIPES));
    }

    #[test]
    fn consecutive_thread_indexes_use_distinct_slots() {
        let slots = StripedSlots((0..4).map(|_| Slot::<u8>::empty()).collect());
        let slot_addr = |index| std::ptr::from_ref(slots.for_thread(index).unwrap()).addr();
        for first in [1, 6, usize::MAX - 3] {
            let distinct: BTreeSet<_> = (first..=first + 3).map(slot_addr).collect();
            assert_eq!(distinct.len(), 4, "{first}");
        }
    }

    #[test]
    fn thread_index_is_stable_and_unique() {
        let slots = StripedSlots::<u8>::empty();
        let thread_index = || {
            let slot = std::ptr::from_ref(slots.for_current_thread().unwrap());
            let index = THREAD_INDEX.get();
            assert!(
                index > 0
                    && std::ptr::eq(slots.for_current_thread().unwrap(), slot)
                    && THREAD_INDEX.get() == index
            );
            index
        };
        let others = [(); 3].map(|()| thread::scope(|scope| scope.spawn(thread_index).join().unwrap()));
        let all = BTreeSet::from([thread_index(), others[0], others[1], others[2]]);
        assert_eq!(all.len(), 4);
    }
}
