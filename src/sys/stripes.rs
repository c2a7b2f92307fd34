//! Slots side by side, of which threads that run at the same time use different ones, so that what they write does not go
//! back and forth between their processors.

use std::ptr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use super::Slot;

/// The most slots side by side. More threads than that share them.
const MOST: usize = 8;

/// By how many bits of its address a stack differs from others: the smallest that systems give to threads has 128 KiB.
const STACK_BITS: u32 = 17;

/// As many slots as there are processors; a power of two.
pub struct Stripes<T>(Box<[Slot<T>]>);

impl<T> Stripes<T> {
    /// With nothing in any of them.
    #[must_use]
    pub fn empty() -> Self {
        Self((0..processors().next_power_of_two().min(MOST)).map(|_| Slot::empty()).collect())
    }

    /// The slot of the calling thread, nearly always the same one. It is told by where the stack is, as asking for a
    /// variable of the thread takes longer.
    #[inline]
    #[must_use]
    pub fn mine(&self) -> Option<&Slot<T>> {
        let here = 0_u8;
        let stack = std::hint::black_box(ptr::from_ref(&here)).addr() >> STACK_BITS;
        self.0.get(spread(stack) & self.0.len().wrapping_sub(1))
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

/// Stacks mostly lie at equal distances. Of many factors that were tried, this one keeps neighbours apart at the most of those that
/// are usual; by the golden ratio those at 1 MiB share a slot.
fn spread(stack: usize) -> usize {
    const FACTOR: u64 = 0xa521_dadd_8b03_ee7d;
    let slot = (stack as u64).wrapping_mul(FACTOR) >> (u64::BITS.wrapping_sub(MOST.ilog2()));
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
    fn threads_whose_stacks_lie_side_by_side_mostly_have_slots_of_their_own() {
        // 8 MiB are glibc's, 2 MiB those of Rust, 1 MiB Java's, 128 KiB musl's; some with a page between them.
        for distance in [8 << 20, 2 << 20, (2 << 20) + 4096, 1 << 20, (1 << 20) + 4096, (128 << 10) + 8192] {
            for first in [0x7f12_3456_7000_usize, 0x7fff_0000_1234] {
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
