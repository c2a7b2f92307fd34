//! Loom tests of the circuit breaker: loom runs each test in every interleaving of its threads
//! (`cargo test --lib --features model loom_tests`). The time is constant.

use std::sync::atomic::{AtomicUsize, Ordering};

use loom::thread;

use super::*;
use crate::base::error::Status;
use crate::base::jitter::Fraction;

/// A clock with a constant time.
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
    /// A breaker that is blocked until the given second.
    fn blocked(cause: BlockCause, until: u64, probing: bool) -> Arc<Self> {
        let model = Self { breaker: Arc::default(), stats: Stats::default() };
        let error = throttled_error("example.com", 429, 30);
        let (started_at, until) = (Duration::ZERO, Duration::from_secs(until));
        {
            let mut state = model.breaker.state.lock();
            state.block = Some(RequestBlock { cause, error, started_at, until });
            state.probing = probing;
        }
        Arc::new(model)
    }

    fn context<'a>(&'a self, call: &'a CallContext) -> AdmissionContext<'a> {
        let jitter = Jitter::pinned(Fraction::new(0));
        AdmissionContext { call, clock: &FrozenClock, jitter, host: "example.com", stats: &self.stats }
    }
}

#[test]
fn half_open_breaker_admits_one_probe() {
    loom::model(|| {
        let model = BreakerModel::blocked(BlockCause::OpenBreaker, 1000, false);
        let in_flight = Arc::new(AtomicUsize::new(0));
        let probe = move |model: &BreakerModel| {
            let call = CallContext::unbounded();
            let Ok(admission) = model.breaker.admit(model.context(&call)) else { return false };
            assert_eq!(in_flight.fetch_add(1, Ordering::SeqCst), 0, "another probe is in flight");
            thread::yield_now();
            in_flight.fetch_sub(1, Ordering::SeqCst);
            drop(admission);
            true
        };
        let (other_model, other_probe) = (Arc::clone(&model), probe.clone());
        let other = thread::spawn(move || other_probe(&other_model));
        let is_admitted = probe(&model);
        assert!(other.join().unwrap() || is_admitted, "no probe was admitted");
    });
}

#[test]
fn retry_after_waiters_wake_when_probe_ends() {
    for success in [true, false] {
        loom::model(move || {
            let model = BreakerModel::blocked(BlockCause::RetryAfter, 1000, true);
            let waiting = Arc::clone(&model);
            let waiter = thread::spawn(move || {
                let call = CallContext::unbounded();
                waiting.breaker.admit(waiting.context(&call)).map(|admission| admission.is_probe)
            });
            let call = CallContext::unbounded();
            let breaker = Arc::clone(&model.breaker);
            let probe =
                Admission { breaker, context: model.context(&call), is_probe: true, has_outcome: false };
            if success {
                probe.record_response()
            } else {
                drop(probe)
            }
            assert_eq!(
                waiter.join().unwrap().unwrap(),
                !success,
                "the waiter probes if the probe had no outcome"
            );
        });
    }
}

#[test]
fn cancel_ends_retry_after_wait() {
    loom::model(|| {
        let model = BreakerModel::blocked(BlockCause::RetryAfter, 1030, false);
        let call = CallContext::unbounded();
        let cancel = Arc::clone(&call.cancel);
        let waiting = Arc::clone(&model);
        let waiter = thread::spawn(move || {
            waiting.breaker.admit(waiting.context(&call)).err().map(|error| error.status())
        });
        cancel.cancel();
        assert_eq!(waiter.join().unwrap(), Some(Status::Cancelled));
    });
}
