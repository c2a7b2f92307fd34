use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;

use aws_lc_rs::hmac;

use super::*;
use crate::base::jitter::Fraction;

/// A breaker, and a clock that a test sets.
#[derive(Default)]
struct BreakerFixture {
    breaker: Arc<CircuitBreaker>,
    clock: ManualClock,
    stats: Stats,
}

#[derive(Default)]
struct ManualClock(AtomicU64);

impl Clock for ManualClock {
    fn unix_seconds(&self) -> i64 {
        0
    }

    fn boot_time(&self) -> Duration {
        Duration::from_secs(self.0.load(Ordering::SeqCst))
    }
}

fn cache_key(number: usize) -> CacheKey {
    CacheKey::digest(&hmac::Key::new(hmac::HMAC_SHA256, b"test"), &number)
}

fn call_with_timeout(seconds: u64) -> CallContext {
    CallContext::with_timeout(Duration::from_secs(seconds), "a test")
}

fn unavailable_error() -> Error {
    Error::new(Status::Server, "token", "hunter2").with_http(503, 0).caused_by_server()
}

const QUICK: Duration = Duration::from_millis(1);

impl BreakerFixture {
    fn set_time(&self, second: u64) {
        self.clock.0.store(second, Ordering::SeqCst);
    }

    fn requester<'a>(&'a self, call: &'a CallContext) -> AdmissionContext<'a> {
        let jitter = Jitter::pinned(Fraction::new(0));
        AdmissionContext { call, clock: &self.clock, jitter, host: "example.com", stats: &self.stats }
    }

    fn admit<'a>(&'a self, call: &'a CallContext) -> Result<Admission<'a>> {
        self.breaker.admit(self.requester(call))
    }

    /// Whether a request that does not wait is let through, without an outcome.
    fn is_admitted(&self, call: &CallContext) -> bool {
        self.admit(call).is_ok()
    }

    fn record_failure(&self, number: usize, error: &Error, time: Duration) {
        self.admit(&call_with_timeout(60)).unwrap().record_failure(cache_key(number), error, time);
    }

    fn record_throttled(&self, seconds: u32) {
        self.admit(&call_with_timeout(60)).unwrap().record_throttled(throttled_error(
            "example.com",
            429,
            seconds,
        ));
    }

    fn admission_error(&self) -> Error {
        self.admit(&call_with_timeout(1)).err().expect("it is let through")
    }
}

#[test]
fn several_failures_of_several_keys_open_breaker() {
    let bench = BreakerFixture::default();
    for number in [1, 2, 1, 2, 1, 2, 1, 2] {
        bench.record_failure(number, &unavailable_error(), QUICK);
    }
    assert!(bench.is_admitted(&call_with_timeout(1)), "two keys may both be wrong");
    bench.record_failure(3, &unavailable_error(), QUICK);
    let error = bench.admission_error();
    assert_eq!((error.status(), error.http_status(), error.retry_after()), (Status::Server, 503, 1));
    assert!(!error.is_caused_by_server(), "it says nothing new");
    assert!(!error.message().contains("hunter2"), "what the server said may be about one user: {error}");
    let bench = BreakerFixture::default();
    for number in 0..4 {
        bench.record_failure(number, &unavailable_error(), QUICK);
    }
    assert!(bench.is_admitted(&call_with_timeout(1)), "four are not many");
    bench.record_failure(4, &unavailable_error(), QUICK);
    assert!(!bench.is_admitted(&call_with_timeout(1)));
}

#[test]
fn success_and_refusal_reset_failures() {
    let denied = Error::new(Status::Denied, "token", "no").with_http(400, 0).caused_by_server();
    for refused in [false, true] {
        let bench = BreakerFixture::default();
        for number in 0..20 {
            if number % 4 == 0 {
                let call = call_with_timeout(1);
                let admission = bench.admit(&call).unwrap();
                if refused {
                    admission.record_failure(cache_key(number), &denied, QUICK)
                } else {
                    admission.record_response()
                }
            }
            bench.record_failure(number, &unavailable_error(), QUICK);
        }
        assert!(bench.is_admitted(&call_with_timeout(1)));
    }
}

#[test]
fn only_server_failures_open_breaker() {
    let failure = |status: Status| Error::new(status, "network", "x").caused_by_server();
    let opens = |error: &Error, time| {
        let bench = BreakerFixture::default();
        (0..5).for_each(|number| bench.record_failure(number, error, time));
        !bench.is_admitted(&call_with_timeout(1))
    };
    assert!(opens(&failure(Status::Network), QUICK));
    assert!(opens(&failure(Status::Throttled), QUICK));
    assert!(opens(&failure(Status::Timeout), Duration::from_secs(5)));
    assert!(!opens(&failure(Status::Timeout), Duration::from_secs(4)), "a caller in a hurry");
    assert!(!opens(&failure(Status::Tls), QUICK), "a trust store may be at fault");
    assert!(!opens(&Error::new(Status::Network, "consent", "x"), QUICK), "it is from here");
}

#[test]
fn open_breaker_admits_probes_with_backoff() {
    let bench = BreakerFixture::default();
    (0..5).for_each(|number| bench.record_failure(number, &unavailable_error(), QUICK));
    let mut probed = Vec::new();
    for second in 0..130 {
        bench.set_time(second);
        let call = call_with_timeout(1);
        if let Ok(probe) = bench.admit(&call) {
            assert!(!bench.is_admitted(&call_with_timeout(1)), "one at a time");
            probed.push(second);
            probe.record_failure(cache_key(9), &unavailable_error(), QUICK);
        }
    }
    assert_eq!(probed, [1, 3, 7, 15, 31, 63, 123]);
    let error = bench.admission_error();
    assert!(error.message().contains("that was 6 s ago"), "{error}");
    bench.set_time(183);
    bench.admit(&call_with_timeout(1)).unwrap().record_response();
    assert!(
        bench.is_admitted(&call_with_timeout(1)) && bench.is_admitted(&call_with_timeout(1)),
        "it is closed"
    );
}

#[test]
fn probe_without_outcome_allows_another() {
    let bench = BreakerFixture::default();
    (0..5).for_each(|number| bench.record_failure(number, &unavailable_error(), QUICK));
    bench.set_time(1);
    let call = call_with_timeout(1);
    let probe = bench.admit(&call).unwrap();
    assert!(!bench.is_admitted(&call_with_timeout(1)));
    drop(probe);
    assert!(bench.is_admitted(&call_with_timeout(1)));
}

#[test]
fn retry_after_applies_to_all_with_limit() {
    for (asked, kept) in [(30, 30), (1000, 300)] {
        let bench = BreakerFixture::default();
        bench.record_throttled(asked);
        bench.set_time(kept - 10);
        let error = bench.admission_error();
        assert_eq!((error.status(), error.http_status()), (Status::Throttled, 429));
        assert_eq!(error.retry_after(), 10);
        bench.set_time(kept);
        assert!(bench.is_admitted(&call_with_timeout(1)));
    }
}

#[test]
fn longest_retry_after_wins() {
    let bench = BreakerFixture::default();
    let (one, other) = (call_with_timeout(60), call_with_timeout(60));
    let (mut one, mut other) = (bench.admit(&one).unwrap(), bench.admit(&other).unwrap());
    one.record_throttled(throttled_error("example.com", 503, 30));
    other.record_throttled(throttled_error("example.com", 503, 5));
    drop((one, other));
    assert_eq!(bench.admission_error().retry_after(), 30);
}

#[test]
fn in_flight_success_does_not_end_retry_after() {
    let bench = BreakerFixture::default();
    let call = call_with_timeout(60);
    let under_way = bench.admit(&call).unwrap();
    bench.record_throttled(30);
    under_way.record_response();
    assert!(!bench.is_admitted(&call_with_timeout(1)));
    bench.set_time(30);
    bench.admit(&call_with_timeout(1)).unwrap().record_response();
    assert!(bench.is_admitted(&call_with_timeout(1)));
}

#[test]
fn retry_after_beyond_deadline_is_not_awaited() {
    let bench = BreakerFixture::default();
    bench.record_throttled(30);
    let renewal = CallContext { single_attempt: true, ..call_with_timeout(60) };
    for call in [&call_with_timeout(29), &renewal] {
        assert_eq!(bench.admit(call).err().map(|error| error.status()), Some(Status::Throttled));
    }
    let bench = BreakerFixture::default();
    bench.record_throttled(61);
    assert!(bench.admit(&CallContext::unbounded()).is_err(), "no server is waited for that long");
}

/// Lets `calls` wait for the end of a Retry-After; a request that was throttled is to come back.
fn admit_waiters(
    bench: &BreakerFixture,
    calls: &[CallContext],
    meanwhile: impl FnOnce(Admission<'_>),
) -> Vec<Result<bool>> {
    let own = call_with_timeout(60);
    let mut throttled = bench.admit(&own).unwrap();
    throttled.record_throttled(throttled_error("example.com", 429, 30));
    thread::scope(|scope| {
        let admitted = |call| bench.admit(call).map(|admission| admission.is_probe);
        let threads: Vec<_> = calls.iter().map(|call| scope.spawn(move || admitted(call))).collect();
        while Arc::weak_count(&bench.breaker) < calls.len() {
            thread::yield_now();
        }
        drop(bench.breaker.state.lock());
        meanwhile(throttled);
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    })
}

#[test]
fn retry_after_waiters_proceed_when_probe_succeeds() {
    let bench = BreakerFixture::default();
    let admitted = admit_waiters(&bench, &[call_with_timeout(60), call_with_timeout(60)], |mut throttled| {
        throttled.readmit().unwrap();
        throttled.record_response();
    });
    assert!(admitted.iter().all(|admitted| matches!(admitted, Ok(false))), "{admitted:?}");
}

#[test]
fn cancel_ends_retry_after_wait() {
    let bench = BreakerFixture::default();
    let calls = [call_with_timeout(60)];
    let admitted = admit_waiters(&bench, &calls, |_throttled| {
        calls[0].cancel.cancel();
    });
    assert_eq!(admitted[0].as_ref().unwrap_err().status(), Status::Cancelled);
}

#[test]
fn authorization_code_bypasses_open_breaker() {
    let bench = BreakerFixture::default();
    (0..5).for_each(|number| bench.record_failure(number, &unavailable_error(), QUICK));
    let call = call_with_timeout(1);
    bench.breaker.admit_always(bench.requester(&call)).record_response();
    assert!(bench.is_admitted(&call_with_timeout(1)), "its success closes the breaker");
}

#[test]
fn breakers_are_per_endpoint_and_bounded() {
    let breakers = CircuitBreakers::default();
    let first = breakers.get(cache_key(0));
    assert!(Arc::ptr_eq(&first, &breakers.get(cache_key(0))));
    for number in 1..=MAX_ENDPOINTS {
        assert!(!Arc::ptr_eq(&first, &breakers.get(cache_key(number))));
    }
    assert!(!Arc::ptr_eq(&first, &breakers.get(cache_key(0))));
}
