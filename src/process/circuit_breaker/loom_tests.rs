//! Models of the circuit breaker: loom runs each in every order in which its threads can meet
//! (`cargo test --lib --features model models`). Time does not pass in them.

use std::sync::atomic::{AtomicUsize, Ordering};

use loom::thread;

use super::*;
use crate::base::jitter::Fraction;

/// A clock that does not move.
struct FrozenClock;

impl Clock for FrozenClock {
    fn unix_seconds(&self) -> i64 {
        0
    }

    fn boot_time(&self) -> Duration {
        Duration::from_secs(1000)
    }
}

struct BreakerModel {
    breaker: Arc<CircuitBreaker>,
    stats: Stats,
}

impl BreakerModel {
    /// A breaker that is blocked until that second.
    fn blocked(cause: BlockCause, until: u64, probing: bool) -> Arc<Self> {
        let bench = Self { breaker: Arc::default(), stats: Stats::default() };
        let error = throttled_error("example.com", 429, 30);
        let (at, until) = (Duration::ZERO, Duration::from_secs(until));
        {
            let mut state = bench.breaker.state.lock();
            state.block = Some(RequestBlock { cause, error, started_at: at, until });
            state.probing = probing;
        }
        Arc::new(bench)
    }

    fn requester<'a>(&'a self, call: &'a CallContext) -> AdmissionContext<'a> {
        let jitter = Jitter::pinned(Fraction::new(0));
        AdmissionContext { call, clock: &FrozenClock, jitter, host: "example.com", stats: &self.stats }
    }
}

#[test]
fn half_open_breaker_admits_one_probe() {
    loom::model(|| {
        let bench = BreakerModel::blocked(BlockCause::OpenBreaker, 1000, false);
        let under_way = Arc::new(AtomicUsize::new(0));
        let probe = move |bench: &BreakerModel| {
            let call = CallContext::unbounded();
            let Ok(admission) = bench.breaker.admit(bench.requester(&call)) else { return false };
            assert_eq!(under_way.fetch_add(1, Ordering::SeqCst), 0, "another probe is under way");
            thread::yield_now();
            under_way.fetch_sub(1, Ordering::SeqCst);
            drop(admission);
            true
        };
        let (other_bench, other_probe) = (Arc::clone(&bench), probe.clone());
        let other = thread::spawn(move || other_probe(&other_bench));
        let ours = probe(&bench);
        assert!(other.join().unwrap() || ours, "nobody probes");
    });
}

#[test]
fn retry_after_waiters_wake_when_probe_ends() {
    for success in [true, false] {
        loom::model(move || {
            let bench = BreakerModel::blocked(BlockCause::RetryAfter, 1000, true);
            let waiting = Arc::clone(&bench);
            let waiter = thread::spawn(move || {
                let call = CallContext::unbounded();
                waiting.breaker.admit(waiting.requester(&call)).map(|admission| admission.is_probe)
            });
            let call = CallContext::unbounded();
            let breaker = Arc::clone(&bench.breaker);
            let probe =
                Admission { breaker, requester: bench.requester(&call), is_probe: true, has_outcome: false };
            if success {
                probe.record_response()
            } else {
                drop(probe)
            }
            assert_eq!(waiter.join().unwrap().unwrap(), !success, "it probes where nobody has succeeded");
        });
    }
}

#[test]
fn cancel_ends_retry_after_wait() {
    loom::model(|| {
        let bench = BreakerModel::blocked(BlockCause::RetryAfter, 1030, false);
        let call = CallContext::unbounded();
        let cancel = Arc::clone(&call.cancel);
        let waiting = Arc::clone(&bench);
        let waiter = thread::spawn(move || {
            waiting.breaker.admit(waiting.requester(&call)).err().map(|error| error.status())
        });
        cancel.cancel();
        assert_eq!(waiter.join().unwrap(), Some(Status::Cancelled));
    });
}
