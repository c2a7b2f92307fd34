//! A value that each process makes for itself: a forked child makes its own and leaves the parent's untouched.

use std::marker::PhantomData;
use std::ptr;
use std::sync::atomic::{AtomicPtr, Ordering};

use super::generation;

/// A cell that is filled on first use, once for each process.
///
/// Reading takes no lock. What a parent had made stays allocated in its child: its locks may have been held by threads
/// that the child does not have.
pub struct PerProcess<T> {
    slot: AtomicPtr<GenerationSlot<T>>,
    owns: PhantomData<Box<T>>,
}

struct GenerationSlot<T> {
    generation: u64,
    value: T,
}

impl<T: Send + Sync> PerProcess<T> {
    /// An empty cell.
    #[must_use]
    pub const fn new() -> Self {
        Self { slot: AtomicPtr::new(ptr::null_mut()), owns: PhantomData }
    }

    /// This process's value, if it has one.
    pub fn get(&self) -> Option<&T> {
        // SAFETY: a slot that was published is freed by our drop alone, which nobody can borrow past.
        let slot = unsafe { self.slot.load(Ordering::Acquire).as_ref() }?;
        (slot.generation == generation()).then_some(&slot.value)
    }

    /// This process's value. Of several threads that come first together, one's `make` is kept.
    pub fn get_or_init(&self, make: impl FnOnce() -> T) -> &T {
        let seen = self.slot.load(Ordering::Acquire);
        if let Some(value) = self.get() {
            return value;
        }
        let fresh = Box::into_raw(Box::new(GenerationSlot { generation: generation(), value: make() }));
        match self.slot.compare_exchange(seen, fresh, Ordering::AcqRel, Ordering::Acquire) {
            // SAFETY: `fresh` is published now, and lives as above.
            Ok(_) => unsafe { &(*fresh).value },
            Err(first) => {
                // SAFETY: `fresh` was not published, and is ours to free.
                drop(unsafe { Box::from_raw(fresh) });
                // SAFETY: `first` is what another thread of this process has published.
                unsafe { &(*first).value }
            }
        }
    }
}

impl<T: Send + Sync> Default for PerProcess<T> {
    fn default() -> Self {
        Self::new()
    }
}

impl<T> Drop for PerProcess<T> {
    fn drop(&mut self) {
        let slot = *self.slot.get_mut();
        if slot.is_null() {
            return;
        }
        // SAFETY: published slots are valid, and `&mut self` says that nobody borrows from it.
        let slot = unsafe { Box::from_raw(slot) };
        if slot.generation != generation() {
            Box::leak(slot);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn get_or_init_keeps_first_value() {
        let cell = PerProcess::new();
        assert_eq!(*cell.get_or_init(|| 1), 1);
        assert_eq!(*cell.get_or_init(|| 2), 1);
    }
    #[test]
    fn concurrent_initializers_get_same_value() {
        struct DropCounter<'a>(&'a std::sync::atomic::AtomicUsize);
        impl Drop for DropCounter<'_> {
            fn drop(&mut self) {
                self.0.fetch_add(1, Ordering::SeqCst);
            }
        }
        let dropped = std::sync::atomic::AtomicUsize::new(0);
        let cell = PerProcess::new();
        let both_make = std::sync::Barrier::new(2);
        let get = || {
            let value = cell.get_or_init(|| {
                both_make.wait();
                DropCounter(&dropped)
            });
            ptr::from_ref(value).addr()
        };
        std::thread::scope(|scope| {
            let (one, other) = (scope.spawn(get), scope.spawn(get));
            assert_eq!(one.join().unwrap(), other.join().unwrap());
        });
        assert_eq!(dropped.load(Ordering::SeqCst), 1, "the other value is let go at once");
        drop(cell);
        assert_eq!(dropped.load(Ordering::SeqCst), 2);
    }

    #[cfg(unix)]
    #[test]
    fn forked_child_initializes_its_own_value() {
        crate::sys::install_fork_handlers();
        let cell = PerProcess::new();
        assert_eq!(*cell.get_or_init(|| 1), 1);
        // SAFETY: the child makes a value and leaves; malloc may be called after a fork.
        let child = unsafe { libc::fork() };
        if child == 0 {
            let made = *cell.get_or_init(|| 2);
            // SAFETY: ends the child at once, without what the test program would do at its end.
            unsafe { libc::_exit(made) };
        }
        let mut status = 0;
        // SAFETY: `child` is ours, and `status` is written to.
        assert_eq!(unsafe { libc::waitpid(child, &raw mut status, 0) }, child);
        assert!(libc::WIFEXITED(status));
        assert_eq!(libc::WEXITSTATUS(status), 2);
        assert_eq!(*cell.get_or_init(|| 3), 1);
    }
}
