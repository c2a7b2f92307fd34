//! A gate that delays `fork()` while another thread uses AWS-LC's random generator.
//!
//! AWS-LC briefly takes a process-wide lock for each random number (`ube_lock`, for fork detection) and for
//! the first one of a thread (its list of generators). In a child that is forked at that moment, the lock
//! would stay held by a thread that does not exist there. The gate consists of counters only, so that none of
//! its state can be locked in a child.

use std::cell::Cell;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

#[cfg(unix)]
use std::time::Instant;

/// Number of threads inside the gate.
static ACTIVE_THREADS: AtomicUsize = AtomicUsize::new(0);

/// Number of threads that are about to fork.
static PENDING_FORKS: AtomicUsize = AtomicUsize::new(0);

thread_local! {
    /// 1 while this thread is inside the gate. Nested entries are not counted.
    static NESTING_DEPTH: Cell<usize> = const { Cell::new(0) };
    /// How many times this thread has closed the gate: once for each registered handler.
    static CLOSE_COUNT: Cell<usize> = const { Cell::new(0) };
}

/// Interval at which both sides poll. The work inside the gate takes less.
const POLL_INTERVAL: Duration = Duration::from_micros(50);

/// Maximum delay of a fork: far longer than a signature takes, but short enough not to hang the application.
#[cfg(unix)]
const MAX_FORK_DELAY: Duration = Duration::from_secs(2);

/// Runs `work` while forks by other threads are delayed. `work` may use AWS-LC's random generator and must
/// not block otherwise. A fork from a signal handler of this thread is not delayed: POSIX does not allow its
/// child to do such work.
pub fn with_forks_blocked<T>(work: impl FnOnce() -> T) -> T {
    if NESTING_DEPTH.get() > 0 {
        return work();
    }
    let _guard = GateGuard::enter();
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

/// Closes the gate before a fork: no thread can enter. Waits until all threads have left, at most
/// [`MAX_FORK_DELAY`].
#[cfg(unix)]
pub(super) fn close() {
    CLOSE_COUNT.set(CLOSE_COUNT.get().wrapping_add(1));
    PENDING_FORKS.fetch_add(1, Ordering::SeqCst);
    let started = Instant::now();
    while ACTIVE_THREADS.load(Ordering::SeqCst) > NESTING_DEPTH.get() && started.elapsed() < MAX_FORK_DELAY {
        std::thread::sleep(POLL_INTERVAL);
    }
}

/// Opens the gate after a fork, in the parent.
#[cfg(unix)]
pub(super) fn open() {
    if CLOSE_COUNT.get() > 0 {
        CLOSE_COUNT.set(CLOSE_COUNT.get().wrapping_sub(1));
        PENDING_FORKS.fetch_sub(1, Ordering::SeqCst);
    }
}

/// Resets the gate after a fork, in the child, where this thread is the only one.
#[cfg(unix)]
pub(super) fn reset() {
    CLOSE_COUNT.set(0);
    ACTIVE_THREADS.store(NESTING_DEPTH.get(), Ordering::SeqCst);
    PENDING_FORKS.store(0, Ordering::SeqCst);
}

#[cfg(all(test, unix))]
mod tests {
    use std::sync::atomic::AtomicBool;

    use super::*;

    // The gate is process-wide and other tests fork, so each of these tests restores its state.

    #[test]
    fn no_thread_is_inside_closed_gate() {
        const ROUNDS: usize = 30;
        let (inside, entries, stop) = (AtomicUsize::new(0), AtomicUsize::new(0), AtomicBool::new(false));
        let stay_inside = || {
            inside.fetch_add(1, Ordering::SeqCst);
            std::thread::yield_now();
            inside.fetch_sub(1, Ordering::SeqCst);
            entries.fetch_add(1, Ordering::SeqCst);
        };
        let is_entered_while_closed = |round| {
            while entries.load(Ordering::SeqCst) < round {
                std::thread::yield_now();
            }
            close();
            let was_inside = inside.load(Ordering::SeqCst) > 0;
            // The other thread can run now.
            std::thread::yield_now();
            let has_entered = inside.load(Ordering::SeqCst) > 0;
            open();
            was_inside || has_entered
        };
        std::thread::scope(|scope| {
            scope.spawn(|| {
                while !stop.load(Ordering::SeqCst) {
                    with_forks_blocked(stay_inside);
                }
            });
            let failed_round = (0..ROUNDS).find(|round| is_entered_while_closed(*round));
            stop.store(true, Ordering::SeqCst);
            assert_eq!(failed_round, None);
        });
    }

    #[test]
    fn gate_is_reentrant_and_released_on_panic() {
        assert_eq!(with_forks_blocked(|| with_forks_blocked(|| NESTING_DEPTH.get())), 1);
        let panics = || with_forks_blocked(|| panic!("inside"));
        assert!(std::panic::catch_unwind(panics).is_err());
        assert_eq!(NESTING_DEPTH.get(), 0);
    }
}
