//! Allocator that counts what a thread has allocated: a request runs on the thread of its caller, so the peak of
//! that thread is the memory that an answer costs.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

thread_local! {
    /// The bytes that this thread has allocated less those that it has freed, and the largest value of it.
    static USED_AND_PEAK: Cell<(isize, isize)> = const { Cell::new((0, 0)) };
}

pub struct CountingAllocator;

fn count(delta: isize) {
    // No value in the last moments of a thread.
    let _ = USED_AND_PEAK.try_with(|cell| {
        let (used, peak) = cell.get();
        let used = used.wrapping_add(delta);
        cell.set((used, peak.max(used)));
    });
}

// SAFETY: all memory is that of `System`.
unsafe impl GlobalAlloc for CountingAllocator {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count(layout.size().cast_signed());
        // SAFETY: as for the caller.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        count(layout.size().cast_signed().wrapping_neg());
        // SAFETY: as for the caller.
        unsafe { System.dealloc(pointer, layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        count(layout.size().cast_signed());
        // SAFETY: as for the caller.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        count(size.cast_signed().wrapping_sub(layout.size().cast_signed()));
        // SAFETY: as for the caller.
        unsafe { System.realloc(pointer, layout, size) }
    }
}

/// Runs `work` and returns by how many bytes the memory of this thread rose above what it was before.
pub fn measure_peak<T>(work: impl FnOnce() -> T) -> (T, usize) {
    let before = USED_AND_PEAK.with(|cell| {
        let used = cell.get().0;
        cell.set((used, used));
        used
    });
    let result = work();
    let peak = USED_AND_PEAK.with(|cell| cell.get().1);
    (result, usize::try_from(peak - before).unwrap())
}
