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
static ACTIVE_THREADS: AtomicUsize = AtomicUsize::new(0);

/// How many threads are about to fork.
static PENDING_FORKS: AtomicUsize = AtomicUsize::new(0);

thread_local! {
    /// How often this thread is inside.
    static NESTING_DEPTH: Cell<usize> = const { Cell::new(0) };
    /// How often this thread has closed the gate: each registered handler does.
    static CLOSE_COUNT: Cell<usize> = const { Cell::new(0) };
}

/// How long either side waits before it looks again. What is done inside takes less.
const POLL_INTERVAL: Duration = Duration::from_micros(50);

/// The longest that a fork waits: far longer than a signature takes, but no application is to hang for us.
#[cfg(unix)]
const MAX_FORK_DELAY: Duration = Duration::from_secs(2);

/// Runs `work`, which uses AWS-LC's random generator and waits for nothing else. A fork by another thread waits for its end.
/// (One from a signal handler of this thread does not: POSIX forbids what its child would do.)
pub fn with_forks_blocked<T>(work: impl FnOnce() -> T) -> T {
    if NESTING_DEPTH.get() > 0 {
        return work();
    }
    let _inside = GateGuard::enter();
    work()
}

struct GateGuard;

impl GateGuard {
    fn enter() -> Self {
        loop {
            ACTIVE_THREADS.fetch_add(1, Ordering::SeqCst);
            if PENDING_FORKS.load(Ordering::SeqCst) == 0 {
                break;
            }
            ACTIVE_THREADS.fetch_sub(1, Ordering::SeqCst);
            while PENDING_FORKS.load(Ordering::SeqCst) != 0 {
                std::thread::sleep(POLL_INTERVAL);
            }
        }
        NESTING_DEPTH.set(1);
        Self
    }
}

impl Drop for GateGuard {
    fn drop(&mut self) {
        NESTING_DEPTH.set(0);
        ACTIVE_THREADS.fetch_sub(1, Ordering::SeqCst);
    }
}

/// Before a fork: lets no thread in, and waits until all are out.
#[cfg(unix)]
pub(super) fn close() {
    CLOSE_COUNT.set(CLOSE_COUNT.get().wrapping_add(1));
    PENDING_FORKS.fetch_add(1, Ordering::SeqCst);
    let started = Instant::now();
    while ACTIVE_THREADS.load(Ordering::SeqCst) > NESTING_DEPTH.get() && started.elapsed() < MAX_FORK_DELAY {
        std::thread::sleep(POLL_INTERVAL);
    }
}

/// After a fork, in the parent.
#[cfg(unix)]
pub(super) fn open() {
    if CLOSE_COUNT.get() > 0 {
        CLOSE_COUNT.set(CLOSE_COUNT.get().wrapping_sub(1));
        PENDING_FORKS.fetch_sub(1, Ordering::SeqCst);
    }
}

/// After a fork, in the child, which has this thread alone.
#[cfg(unix)]
pub(super) fn reset() {
    CLOSE_COUNT.set(0);
    ACTIVE_THREADS.store(NESTING_DEPTH.get(), Ordering::SeqCst);
    PENDING_FORKS.store(0, Ordering::SeqCst);
}

#[cfg(all(test, unix))]
mod tests {
    use std::sync::atomic::AtomicBool;
    use std::sync::mpsc;

    use super::*;

    // The gate is the process's own, and other tests fork: each of these leaves it as it was.

    #[test]
    fn fork_waits_for_active_threads() {
        let (inside, is_inside) = mpsc::channel();
        let (leave, may_leave) = mpsc::channel::<()>();
        let left = AtomicBool::new(false);
        std::thread::scope(|scope| {
            let left = &left;
            scope.spawn(move || {
                with_forks_blocked(|| {
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
            while PENDING_FORKS.load(Ordering::SeqCst) == 0 {
                std::thread::yield_now();
            }
            leave.send(()).unwrap();
            assert!(forks.join().unwrap(), "it did not wait");
        });
    }

    #[test]
    fn gate_is_closed_during_fork() {
        close();
        let entered = AtomicBool::new(false);
        std::thread::scope(|scope| {
            let entered = &entered;
            scope.spawn(move || with_forks_blocked(|| entered.store(true, Ordering::SeqCst)));
            // It is on its way: it was counted, or counts itself out again.
            std::thread::yield_now();
            assert!(!entered.load(Ordering::SeqCst));
            open();
        });
        assert!(entered.load(Ordering::SeqCst));
    }

    #[test]
    fn gate_is_reentrant_and_released_on_panic() {
        assert_eq!(with_forks_blocked(|| with_forks_blocked(|| NESTING_DEPTH.get())), 1);
        let panics = || with_forks_blocked(|| panic!("inside"));
        assert!(std::panic::catch_unwind(panics).is_err());
        assert_eq!(NESTING_DEPTH.get(), 0);
    }
}
