//! Lazily initialized per-process value: a forked child initializes its own and does not access the parent's.

use std::marker::PhantomData;
use std::ptr;
use std::sync::atomic::{AtomicPtr, Ordering};

use super::generation;

/// A cell that is initialized on first use, once in each process.
///
/// Reads are lock-free. The parent's value is leaked in a child, because threads that do not exist in the
/// child may have held its locks.
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

    /// The value of this process, if it is initialized.
    pub fn get(&self) -> Option<&T> {
        // SAFETY: a published slot is freed only in `drop`, which no borrow can outlive.
        let slot = unsafe { self.slot.load(Ordering::Acquire).as_ref() }?;
        (slot.generation == generation()).then_some(&slot.value)
    }

    /// The value of this process, initialized with `init` if necessary. If several threads initialize it
    /// concurrently, each calls its `init` and one result is kept.
    pub fn get_or_init(&self, init: impl FnOnce() -> T) -> &T {
        let current = self.slot.load(Ordering::Acquire);
        if let Some(value) = self.get() {
            return value;
        }
        let new = Box::into_raw(Box::new(GenerationSlot { generation: generation(), value: init() }));
        match self.slot.compare_exchange(current, new, Ordering::AcqRel, Ordering::Acquire) {
            // SAFETY: `new` is now published, so it is valid as in `get`.
            Ok(_) => unsafe { &(*new).value },
            Err(winner) => {
                // SAFETY: `new` was not published, so this thread owns it.
                drop(unsafe { Box::from_raw(new) });
                // SAFETY: another thread of this process has published `winner`.
                unsafe { &(*winner).value }
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
        // SAFETY: a published slot is valid, and `&mut self` guarantees that there are no borrows of it.
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
        let both_initialize = std::sync::Barrier::new(2);
        let get = || {
            let value = cell.get_or_init(|| {
                both_initialize.wait();
                DropCounter(&dropped)
            });
            ptr::from_ref(value).addr()
        };
        std::thread::scope(|scope| {
            let (one, other) = (scope.spawn(get), scope.spawn(get));
            assert_eq!(one.join().unwrap(), other.join().unwrap());
        });
        assert_eq!(dropped.load(Ordering::SeqCst), 1, "the unused value is dropped immediately");
        drop(cell);
        assert_eq!(dropped.load(Ordering::SeqCst), 2);
    }

    #[cfg(all(unix, not(miri)))]
    #[test]
    fn forked_child_initializes_its_own_value() {
        crate::sys::install_fork_handlers();
        let cell = PerProcess::new();
        assert_eq!(*cell.get_or_init(|| 1), 1);
        // SAFETY: the child only initializes a value and exits; malloc may be called after a fork.
        let child = unsafe { libc::fork() };
        if child == 0 {
            let value = *cell.get_or_init(|| 2);
            // SAFETY: ends the child immediately, without the exit handlers of the test program.
            unsafe { libc::_exit(value) };
        }
        let mut status = 0;
        // SAFETY: `child` is a child of this process, and `status` is valid for writes.
        assert_eq!(unsafe { libc::waitpid(child, &raw mut status, 0) }, child);
        assert!(libc::WIFEXITED(status));
        assert_eq!(libc::WEXITSTATUS(status), 2);
        assert_eq!(*cell.get_or_init(|| 3), 1);
    }
}
