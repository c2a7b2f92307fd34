//! A gate between `fork()` and AWS-LC's random generator: while a thread is in one of its locks, no other thread forks.
//!
//! AWS-LC takes a process-wide lock for an instant at each random number (`ube_lock`, to learn of forks) and at a thread's first
//! (its list of generators). A child that was forked in that instant would find the lock held by a thread that it does not have.
//! The gate is counters alone, so that nothing in it can be held in a child.

use std::cell::Cell;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

#[cfg(unix)]
use std::time::Instant;

/// How many threads are at work inside the gate.
static INSIDE: AtomicUsize = AtomicUsize::new(0);

/// How many threads are about to fork.
static FORKING: AtomicUsize = AtomicUsize::new(0);

thread_local! {
    /// How often this thread is inside.
    static DEPTH: Cell<usize> = const { Cell::new(0) };
    /// How often this thread has closed the gate: each registered handler does.
    static CLOSED: Cell<usize> = const { Cell::new(0) };
}

/// How long either side waits before it looks again. What is done inside takes less.
const PAUSE: Duration = Duration::from_micros(50);

/// The longest that a fork waits: far longer than a signature takes, but no application is to hang for us.
#[cfg(unix)]
const MAX_WAIT: Duration = Duration::from_secs(2);

/// Runs `work`, which uses AWS-LC's random generator and waits for nothing else. A fork by another thread waits for its end.
/// (One from a signal handler of this thread does not: POSIX forbids what its child would do.)
pub fn hold_off_forks<T>(work: impl FnOnce() -> T) -> T {
    if DEPTH.get() > 0 {
        return work();
    }
    let _inside = Inside::enter();
    work()
}

struct Inside;

impl Inside {
    fn enter() -> Self {
        loop {
            INSIDE.fetch_add(1, Ordering::SeqCst);
            if FORKING.load(Ordering::SeqCst) == 0 {
                break;
            }
            INSIDE.fetch_sub(1, Ordering::SeqCst);
            while FORKING.load(Ordering::SeqCst) != 0 {
                std::thread::sleep(PAUSE);
            }
        }
        DEPTH.set(1);
        Self
    }
}

impl Drop for Inside {
    fn drop(&mut self) {
        DEPTH.set(0);
        INSIDE.fetch_sub(1, Ordering::SeqCst);
    }
}

/// Before a fork: lets no thread in, and waits until all are out.
#[cfg(unix)]
pub(super) fn close() {
    CLOSED.set(CLOSED.get().wrapping_add(1));
    FORKING.fetch_add(1, Ordering::SeqCst);
    let started = Instant::now();
    while INSIDE.load(Ordering::SeqCst) > DEPTH.get() && started.elapsed() < MAX_WAIT {
        std::thread::sleep(PAUSE);
    }
}

/// After a fork, in the parent.
#[cfg(unix)]
pub(super) fn open() {
    if CLOSED.get() > 0 {
        CLOSED.set(CLOSED.get().wrapping_sub(1));
        FORKING.fetch_sub(1, Ordering::SeqCst);
    }
}

/// After a fork, in the child, which has this thread alone.
#[cfg(unix)]
pub(super) fn reset() {
    CLOSED.set(0);
    INSIDE.store(DEPTH.get(), Ordering::SeqCst);
    FORKING.store(0, Ordering::SeqCst);
}

#[cfg(all(test, unix))]
mod tests {
    use std::sync::atomic::AtomicBool;
    use std::sync::mpsc;

    use super::*;

    // The gate is the process's own, and other tests fork: each of these leaves it as it was.

    #[test]
    fn fork_waits_until_nobody_is_inside() {
        let (inside, is_inside) = mpsc::channel();
        let (leave, may_leave) = mpsc::channel::<()>();
        let left = AtomicBool::new(false);
        std::thread::scope(|scope| {
            let left = &left;
            scope.spawn(move || {
                hold_off_forks(|| {
                    inside.send(()).unwrap();
                    may_leave.recv().unwrap();
                    left.store(true, Ordering::SeqCst);
                });
            });
            is_inside.recv().unwrap();
            let forks = scope.spawn(move || {
                close();
                let saw = left.load(Ordering::SeqCst);
                open();
                saw
            });
            // It has closed the gate, so it waits from now on.
            while FORKING.load(Ordering::SeqCst) == 0 {
                std::thread::yield_now();
            }
            leave.send(()).unwrap();
            assert!(forks.join().unwrap(), "it did not wait");
        });
    }

    #[test]
    fn nobody_enters_while_thread_forks() {
        close();
        let entered = AtomicBool::new(false);
        std::thread::scope(|scope| {
            let entered = &entered;
            scope.spawn(move || hold_off_forks(|| entered.store(true, Ordering::SeqCst)));
            // It is on its way: it was counted, or counts itself out again.
            std::thread::yield_now();
            assert!(!entered.load(Ordering::SeqCst));
            open();
        });
        assert!(entered.load(Ordering::SeqCst));
    }

    #[test]
    fn thread_that_is_inside_enters_again_and_a_panic_leaves() {
        assert_eq!(hold_off_forks(|| hold_off_forks(|| DEPTH.get())), 1);
        let panics = || hold_off_forks(|| panic!("inside"));
        assert!(std::panic::catch_unwind(panics).is_err());
        assert_eq!(DEPTH.get(), 0);
    }
}
