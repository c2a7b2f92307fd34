//! Slots side by side, of which threads that run at the same time use different ones, so that what they write does not go
//! back and forth between their processors.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use super::Slot;

/// The most slots side by side. More threads than that share them.
const MOST: usize = 8;

/// From which bit on threads differ: each is known by an address at the end of its stack, and stacks of fewer than 128 KiB are
/// rare.
const STACK_BITS: u32 = 17;

/// As many slots as there are processors; a power of two.
pub struct Stripes<T>(Box<[Slot<T>]>);

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
        self.0.get(spread(thread() >> STACK_BITS) & self.0.len().wrapping_sub(1))
    }

    /// Takes out what is not to be kept.
    pub fn retain(&self, keep: impl Fn(&T) -> bool) {
        for slot in &self.0 {
            if slot.take().is_some_and(|share| !keep(&share)) {
                slot.clear();
            }
        }
    }
}

/// By which the system knows the calling thread. A variable of the thread would take longer to find.
fn thread() -> u64 {
    #[cfg(unix)]
    {
        // SAFETY: pthread_self takes nothing, touches no memory of ours and cannot fail.
        unsafe { libc::pthread_self() as u64 }
    }
    #[cfg(not(unix))]
    {
        0
    }
}

/// Stacks mostly lie at equal distances. Of many factors that were tried, this one keeps neighbours apart at the most of those that
/// are usual; by the golden ratio those at 1 MiB share a slot.
fn spread(stack: u64) -> usize {
    const FACTOR: u64 = 0xa521_dadd_8b03_ee7d;
    let slot = stack.wrapping_mul(FACTOR) >> (u64::BITS.wrapping_sub(MOST.ilog2()));
    usize::try_from(slot).unwrap_or_default()
}

/// How many there are for this process, asked once: the answer is in several files.
fn processors() -> usize {
    static KNOWN: AtomicUsize = AtomicUsize::new(0);
    match KNOWN.load(Ordering::Relaxed) {
        0 => {
            let found = thread::available_parallelism().map_or(1, usize::from);
            KNOWN.store(found, Ordering::Relaxed);
            found
        }
        known => known,
    }
}

#[cfg(test)]
mod tests {
    use std::ptr;

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
    fn a_thread_has_one_slot_however_deep_its_stack_is() {
        fn down(stripes: &Stripes<u8>, slot: *const Slot<u8>, depth: u8) {
            let frame = std::hint::black_box([depth; 16 << 10]);
            assert_eq!(ptr::from_ref(stripes.mine().unwrap()), slot, "{} frames deep", frame[0]);
            if depth < 32 {
                down(stripes, slot, depth + 1);
            }
        }
        let stripes = Stripes((0..MOST).map(|_| Slot::empty()).collect());
        down(&stripes, stripes.mine().unwrap(), 0);
    }

    #[test]
    fn threads_whose_stacks_lie_side_by_side_mostly_have_slots_of_their_own() {
        // 8 MiB are glibc's, 2 MiB those of Rust, 1 MiB Java's, 128 KiB musl's; some with a page between them.
        for distance in [8 << 20, 2 << 20, (2 << 20) + 4096, 1 << 20, (1 << 20) + 4096, (128 << 10) + 8192] {
            for first in [0x7f12_3456_7000_u64, 0x7fff_0000_1234] {
                let slots: Vec<_> =
                    (0..8).map(|number| spread((first - number * distance) >> STACK_BITS)).collect();
                let mut different = slots.clone();
                different.sort_unstable();
                different.dedup();
                assert!(different.len() >= MOST / 2, "{distance}: {slots:?}");
                let parted = slots.windows(2).filter(|pair| pair[0] != pair[1]).count();
                assert!(parted >= 6, "{distance}: {slots:?}");
                assert!(slots.iter().all(|slot| *slot < MOST));
            }
        }
    }
}
