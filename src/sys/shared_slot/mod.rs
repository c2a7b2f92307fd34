//! A value that many threads take shares of again and again, at the price of one addition for each and one for letting
//! go of it.
//!
//! A [`Slot`] is one number: the address of the value, and how many shares have been taken since it was put there. Taking
//! one adds 1 and has read the address by the same step, so that the value cannot go away in between. Who takes the value
//! out of the slot adds what was taken to the value's own count. (An `Arc` in an `ArcSwap` costs two steps more.)

use std::marker::PhantomData;
use std::ops::Deref;
use std::ptr::{self, NonNull};
use std::sync::atomic::AtomicU64 as Statistic;
use std::sync::atomic::Ordering::Relaxed;

use crate::sys::sync::atomic::{AtomicI64, AtomicU64, Ordering, fence};

/// The low bits of a slot's number that count. An address has none of them, as values lie at multiples of 64 and no
/// system gives out addresses of more than 56 bits unasked.
const COUNT_BITS: u32 = 14;
const COUNT_MASK: u64 = (1 << COUNT_BITS) - 1;

/// From here on what was taken is moved to the value's own count. The other half is for threads that come meanwhile.
/// (In a model one is many, since its few threads would never come so far.)
const REBALANCE_AT: u64 = if cfg!(all(test, feature = "model")) { 1 } else { 1 << (COUNT_BITS - 1) };

/// What a slot has in the count of its value: more than shares can be let go of before they are moved there.
const SLOT_BIAS: i64 = 1 << 40;

/// Behind its value, so that a pointer to one is a pointer to the other.
#[repr(C, align(64))]
struct Counted<T> {
    value: T,
    /// The shares that are held, less those that only the number of a slot knows.
    refs: AtomicI64,
}

impl<T> Counted<T> {
    /// Adds `shares`, and frees the value if nobody has one any more.
    ///
    /// # Safety
    /// `counted` is alive; `shares` are the caller's to give away.
    unsafe fn add_refs(counted: NonNull<Self>, shares: i64) {
        // SAFETY: it is alive, as the caller promises.
        let before = unsafe { counted.as_ref() }.refs.fetch_add(shares, Ordering::Release);
        if before.wrapping_add(shares) == 0 {
            // What others did with the value comes before its end.
            fence(Ordering::Acquire);
            // SAFETY: it came from a box, and nobody else can reach it.
            drop(unsafe { Box::from_raw(counted.as_ptr()) });
        }
    }
}

/// A share of a value, which lives as long as there are any.
pub struct SharedRef<T>(NonNull<Counted<T>>);

// SAFETY: it hands out `&T` alone, and whoever lets go last drops the value.
unsafe impl<T: Send + Sync> Send for SharedRef<T> {}
// SAFETY: as above.
unsafe impl<T: Send + Sync> Sync for SharedRef<T> {}

impl<T> SharedRef<T> {
    /// The only share of `value`.
    #[must_use]
    pub fn new(value: T) -> Self {
        let counted = Box::new(Counted { value, refs: AtomicI64::new(1) });
        Self(NonNull::from(Box::leak(counted)))
    }

    /// The share as a pointer, for C; the value is not freed before [`Self::from_raw`] has taken it back.
    #[must_use]
    pub fn into_raw(self) -> *const T {
        let pointer = self.as_ptr();
        std::mem::forget(self);
        pointer
    }

    /// The share that [`Self::into_raw`] gave away.
    ///
    /// # Safety
    /// `pointer` came from `into_raw`, and was not taken back before.
    #[must_use]
    pub unsafe fn from_raw(pointer: *const T) -> Self {
        // SAFETY: it came from a `NonNull`, as the caller promises.
        Self(unsafe { NonNull::new_unchecked(pointer.cast_mut().cast()) })
    }

    /// Where the value is.
    #[must_use]
    pub fn as_ptr(&self) -> *const T {
        self.0.as_ptr().cast_const().cast()
    }
}

impl<T> Deref for SharedRef<T> {
    type Target = T;

    fn deref(&self) -> &T {
        // SAFETY: a share keeps its value alive.
        &unsafe { self.0.as_ref() }.value
    }
}

impl<T> Drop for SharedRef<T> {
    fn drop(&mut self) {
        // SAFETY: the share is ours, and nobody uses it again.
        unsafe { Counted::add_refs(self.0, -1) };
    }
}

/// A place for a value, or for none; alone in its line of the cache, as whoever takes a share writes to it.
#[repr(align(64))]
pub struct Slot<T> {
    packed: AtomicU64,
    /// How many shares have been taken in all, less those that the number counts. A statistic, so no model looks at it.
    acquired: Statistic,
    owns: PhantomData<SharedRef<T>>,
}

impl<T> Slot<T> {
    /// With nothing in it.
    #[must_use]
    pub fn empty() -> Self {
        Self { packed: AtomicU64::new(0), acquired: Statistic::new(0), owns: PhantomData }
    }

    /// A share of what is there.
    #[must_use]
    pub fn acquire(&self) -> Option<SharedRef<T>> {
        // What is added to an empty slot counts nothing, and must not become an address.
        unpack_address::<T>(self.packed.load(Ordering::Relaxed))?;
        let number = self.packed.fetch_add(1, Ordering::Acquire);
        let share = SharedRef(unpack_address(number)?);
        if number & COUNT_MASK >= REBALANCE_AT {
            self.rebalance(&share);
        }
        Some(share)
    }

    /// Puts `value` there, and gives a share of it.
    pub fn store(&self, value: T) -> SharedRef<T> {
        let share = SharedRef::new(value);
        if let Some(number) = pack_address(share.0) {
            // SAFETY: the value is alive.
            unsafe { Counted::add_refs(share.0, SLOT_BIAS) };
            self.swap(number);
        }
        share
    }

    /// How many shares have been taken, but for those of [`Self::discount`].
    #[must_use]
    pub fn acquired_count(&self) -> u64 {
        let number = self.packed.load(Ordering::Relaxed);
        self.acquired.load(Relaxed).wrapping_add(number & COUNT_MASK)
    }

    /// One that was taken does not count: it was of no use.
    #[cold]
    pub fn uncount_acquire(&self) {
        self.acquired.fetch_sub(1, Relaxed);
    }

    /// Takes out what is there.
    pub fn clear(&self) {
        self.swap(0);
    }

    fn swap(&self, number: u64) {
        let before = self.packed.swap(number, Ordering::AcqRel);
        self.acquired.fetch_add(before & COUNT_MASK, Relaxed);
        if let Some(counted) = unpack_address(before) {
            // SAFETY: the slot held it until now, and gives away what it had and what was taken from it.
            unsafe { Counted::<T>::add_refs(counted, unpack_count(before).wrapping_sub(SLOT_BIAS)) };
        }
    }

    /// Moves what was taken to the value's own count, if `share` is still of what is there.
    #[cold]
    fn rebalance(&self, share: &SharedRef<T>) {
        loop {
            let number = self.packed.load(Ordering::Relaxed);
            if unpack_address(number) != Some(share.0) || number & COUNT_MASK < REBALANCE_AT {
                return;
            }
            // Before the exchange: behind it the value's count would be too small for a moment.
            // SAFETY: our share keeps the value alive.
            unsafe { Counted::add_refs(share.0, unpack_count(number)) };
            let settled = number & !COUNT_MASK;
            if self.packed.compare_exchange(number, settled, Ordering::AcqRel, Ordering::Relaxed).is_ok() {
                self.acquired.fetch_add(number & COUNT_MASK, Relaxed);
                return;
            }
            // SAFETY: as above.
            unsafe { Counted::add_refs(share.0, unpack_count(number).wrapping_neg()) };
        }
    }
}

impl<T> Default for Slot<T> {
    fn default() -> Self {
        Self::empty()
    }
}

impl<T> Drop for Slot<T> {
    fn drop(&mut self) {
        self.clear();
    }
}

/// The number of a slot with that in it, of which nothing was taken; nothing if its address has too many bits.
fn pack_address<T>(counted: NonNull<Counted<T>>) -> Option<u64> {
    let address = u64::try_from(counted.as_ptr().expose_provenance()).ok()?;
    let number = address << (COUNT_BITS - 6);
    (number >> (COUNT_BITS - 6) == address).then_some(number)
}

/// What is in a slot of that number.
fn unpack_address<T>(number: u64) -> Option<NonNull<Counted<T>>> {
    let address = usize::try_from((number & !COUNT_MASK) >> (COUNT_BITS - 6)).ok()?;
    NonNull::new(ptr::with_exposed_provenance_mut(address))
}

#[allow(clippy::cast_possible_wrap, reason = "it has 14 bits")]
fn unpack_count(number: u64) -> i64 {
    (number & COUNT_MASK) as i64
}

#[cfg(all(test, feature = "model"))]
mod loom_tests;
#[cfg(test)]
mod tests;
