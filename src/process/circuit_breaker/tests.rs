//! Tests of the circuit breaker and of Retry-After.

use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;

use aws_lc_rs::hmac;

use super::*;
use crate::base::error::{Status, TimeoutKind};
use crate::base::jitter::Fraction;
use crate::base::log::LogSink;

/// A breaker with a manual clock.
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
    response_error(OAuthReason::Server, 503)
}

fn response_error(reason: OAuthReason, http_status: u16) -> Error {
    let kind = OAuthError { http_status: NonZeroU16::new(http_status), ..reason.into() };
    Error::new(kind, "token", "hunter2").with_cause(Cause::Server)
}

const QUICK: Duration = Duration::from_millis(1);

impl BreakerFixture {
    fn set_time(&self, second: u64) {
        self.clock.0.store(second, Ordering::SeqCst);
    }

    fn context<'a>(&'a self, call: &'a CallContext) -> AdmissionContext<'a> {
        let jitter = Jitter::pinned(Fraction::new(0));
        AdmissionContext { call, clock: &self.clock, jitter, host: "example.com", stats: &self.stats }
    }

    fn admit<'a>(&'a self, call: &'a CallContext) -> Result<Admission<'a>> {
        self.breaker.admit(self.context(call))
    }

    /// Whether a request is admitted; it is dropped without an outcome.
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
        self.admit(&call_with_timeout(1)).err().expect("the request must not be admitted")
    }
}

#[test]
fn several_failures_of_several_keys_open_breaker() {
    let fixture = BreakerFixture::default();
    for number in [1, 2, 1, 2, 1, 2, 1, 2] {
        fixture.record_failure(number, &unavailable_error(), QUICK);
    }
    assert!(fixture.is_admitted(&call_with_timeout(1)), "failures of two keys do not open the breaker");
    fixture.record_failure(3, &unavailable_error(), QUICK);
    let error = fixture.admission_error();
    assert_eq!((error.status(), error.http_status(), error.retry_after()), (Status::Server, 503, 1));
    assert!(
        matches!(error.cause(), Cause::NegativeCache { .. }),
        "a cached error is not a new failure of the server"
    );
    assert!(!error.message().contains("hunter2"), "the server's text may concern one user: {error}");
    let fixture = BreakerFixture::default();
    for number in 0..4 {
        fixture.record_failure(number, &unavailable_error(), QUICK);
    }
    assert!(fixture.is_admitted(&call_with_timeout(1)), "four failures do not open the breaker");
    fixture.record_failure(4, &unavailable_error(), QUICK);
    assert!(!fixture.is_admitted(&call_with_timeout(1)));
}

#[test]
fn success_and_refusal_reset_failures() {
    let denied = response_error(OAuthReason::Denied, 400);
    for is_denied in [false, true] {
        let fixture = BreakerFixture::default();
        for number in 0..20 {
            if number % 4 == 0 {
                let call = call_with_timeout(1);
                let admission = fixture.admit(&call).unwrap();
                if is_denied {
                    admission.record_failure(cache_key(number), &denied, QUICK)
                } else {
                    admission.record_response()
                }
            }
            fixture.record_failure(number, &unavailable_error(), QUICK);
        }
        assert!(fixture.is_admitted(&call_with_timeout(1)));
    }
}

#[test]
fn only_server_failures_open_breaker() {
    let failure = |kind: ErrorKind| Error::new(kind, "network", "x").with_cause(Cause::Server);
    let opens = |error: &Error, time| {
        let fixture = BreakerFixture::default();
        (0..5).for_each(|number| fixture.record_failure(number, error, time));
        !fixture.is_admitted(&call_with_timeout(1))
    };
    assert!(opens(&failure(NetworkError::Connection.into()), QUICK));
    assert!(opens(&failure(OAuthReason::Throttled.into()), QUICK));
    assert!(opens(&failure(TimeoutKind::Call.into()), Duration::from_secs(5)));
    assert!(
        !opens(&failure(TimeoutKind::Call.into()), Duration::from_secs(4)),
        "the call had a short timeout"
    );
    assert!(
        !opens(&failure(NetworkError::Tls.into()), QUICK),
        "the trust store of one connection may be wrong"
    );
    assert!(
        !opens(&Error::new(NetworkError::Connection, "consent", "x"), QUICK),
        "the error has a local cause"
    );
}

#[test]
fn open_breaker_admits_probes_with_backoff() {
    let fixture = BreakerFixture::default();
    (0..5).for_each(|number| fixture.record_failure(number, &unavailable_error(), QUICK));
    let mut probe_seconds = Vec::new();
    for second in 0..130 {
        fixture.set_time(second);
        let call = call_with_timeout(1);
        if let Ok(probe) = fixture.admit(&call) {
            assert!(!fixture.is_admitted(&call_with_timeout(1)), "only one probe at a time");
            probe_seconds.push(second);
            probe.record_failure(cache_key(9), &unavailable_error(), QUICK);
        }
    }
    assert_eq!(probe_seconds, [1, 3, 7, 15, 31, 63, 123]);
    let error = fixture.admission_error();
    assert!(error.message().contains("6 s ago"), "{error}");
    fixture.set_time(183);
    fixture.admit(&call_with_timeout(1)).unwrap().record_response();
    assert!(
        fixture.is_admitted(&call_with_timeout(1)) && fixture.is_admitted(&call_with_timeout(1)),
        "the breaker is closed"
    );
}

#[test]
fn probe_without_outcome_allows_another() {
    let fixture = BreakerFixture::default();
    (0..5).for_each(|number| fixture.record_failure(number, &unavailable_error(), QUICK));
    fixture.set_time(1);
    let call = call_with_timeout(1);
    let probe = fixture.admit(&call).unwrap();
    assert!(!fixture.is_admitted(&call_with_timeout(1)));
    drop(probe);
    assert!(fixture.is_admitted(&call_with_timeout(1)));
}

#[test]
fn failure_of_one_connection_keeps_failures() {
    let fixture = BreakerFixture::default();
    let tls_error = Error::new(NetworkError::Tls, "network", "x").with_cause(Cause::Server);
    (0..4).for_each(|number| fixture.record_failure(number, &unavailable_error(), QUICK));
    fixture.record_failure(0, &tls_error, QUICK);
    fixture.record_failure(4, &unavailable_error(), QUICK);
    assert!(
        !fixture.is_admitted(&call_with_timeout(1)),
        "five failures in a row, but for one that says nothing"
    );
}

#[test]
fn request_without_outcome_does_not_end_probe() {
    let fixture = BreakerFixture::default();
    let call = call_with_timeout(60);
    let in_flight = fixture.admit(&call).unwrap();
    (0..5).for_each(|number| fixture.record_failure(number, &unavailable_error(), QUICK));
    fixture.set_time(1);
    let _probe = fixture.admit(&call).unwrap();
    drop(in_flight);
    assert!(!fixture.is_admitted(&call_with_timeout(1)), "only one probe at a time");
}

#[test]
fn retry_after_applies_to_all_with_limit() {
    for (retry_after, applied) in [(30, 30), (1000, 300)] {
        let fixture = BreakerFixture::default();
        fixture.record_throttled(retry_after);
        fixture.set_time(applied - 10);
        let error = fixture.admission_error();
        assert_eq!((error.status(), error.http_status()), (Status::Throttled, 429));
        assert_eq!(error.retry_after(), 10);
        fixture.set_time(applied);
        assert!(fixture.is_admitted(&call_with_timeout(1)));
    }
}

#[test]
fn longest_retry_after_wins() {
    let fixture = BreakerFixture::default();
    let (one, other) = (call_with_timeout(60), call_with_timeout(60));
    let (mut one, mut other) = (fixture.admit(&one).unwrap(), fixture.admit(&other).unwrap());
    one.record_throttled(throttled_error("example.com", 503, 30));
    other.record_throttled(throttled_error("example.com", 503, 5));
    drop((one, other));
    assert_eq!(fixture.admission_error().retry_after(), 30);
}

#[test]
fn in_flight_success_does_not_end_retry_after() {
    let fixture = BreakerFixture::default();
    let call = call_with_timeout(60);
    let in_flight = fixture.admit(&call).unwrap();
    fixture.record_throttled(30);
    in_flight.record_response();
    assert!(!fixture.is_admitted(&call_with_timeout(1)));
    fixture.set_time(30);
    fixture.admit(&call_with_timeout(1)).unwrap().record_response();
    assert!(fixture.is_admitted(&call_with_timeout(1)));
}

#[test]
fn in_flight_failures_do_not_replace_retry_after() {
    let fixture = BreakerFixture::default();
    let call = call_with_timeout(60);
    let in_flight: Vec<_> = (0..5).map(|_| fixture.admit(&call).unwrap()).collect();
    fixture.record_throttled(30);
    for (number, admission) in in_flight.into_iter().enumerate() {
        admission.record_failure(cache_key(number), &unavailable_error(), QUICK);
    }
    assert_eq!(fixture.admission_error().retry_after(), 30);
}

#[test]
fn repetition_waits_for_retry_after_of_another_request() {
    let fixture = BreakerFixture::default();
    let call = call_with_timeout(10);
    let mut in_flight = fixture.admit(&call).unwrap();
    fixture.record_throttled(30);
    assert_eq!(in_flight.readmit().map_err(|error| error.status()), Err(Status::Throttled));
}

#[test]
fn retry_after_beyond_deadline_is_not_awaited() {
    let fixture = BreakerFixture::default();
    fixture.record_throttled(30);
    let single_attempt = CallContext { single_attempt: true, ..call_with_timeout(60) };
    for call in [&call_with_timeout(29), &single_attempt] {
        assert_eq!(fixture.admit(call).err().map(|error| error.status()), Some(Status::Throttled));
    }
    let fixture = BreakerFixture::default();
    fixture.record_throttled(61);
    assert!(
        fixture.admit(&CallContext::unbounded()).is_err(),
        "a Retry-After above the limit is not awaited"
    );
}

/// Lets `calls` wait for the end of a Retry-After, then runs `meanwhile` with the admission of the throttled
/// request.
fn admit_waiters(
    fixture: &BreakerFixture,
    calls: &[CallContext],
    meanwhile: impl FnOnce(Admission<'_>),
) -> Vec<Result<bool>> {
    let call = call_with_timeout(60);
    let mut throttled = fixture.admit(&call).unwrap();
    throttled.record_throttled(throttled_error("example.com", 429, 30));
    thread::scope(|scope| {
        let admitted = |call| fixture.admit(call).map(|admission| admission.is_probe);
        let threads: Vec<_> = calls.iter().map(|call| scope.spawn(move || admitted(call))).collect();
        // A call that does not wait ends the test at once.
        while Arc::weak_count(&fixture.breaker) < calls.len()
            && !threads.iter().any(thread::ScopedJoinHandle::is_finished)
        {
            thread::yield_now();
        }
        drop(fixture.breaker.state.lock());
        meanwhile(throttled);
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    })
}

#[test]
fn retry_after_waiters_proceed_when_probe_succeeds() {
    let fixture = BreakerFixture::default();
    let admitted =
        admit_waiters(&fixture, &[call_with_timeout(60), call_with_timeout(60)], |mut throttled| {
            throttled.readmit().unwrap();
            throttled.record_response();
        });
    assert!(admitted.iter().all(|admitted| matches!(admitted, Ok(false))), "{admitted:?}");
}

#[test]
fn cancel_ends_retry_after_wait() {
    let fixture = BreakerFixture::default();
    let calls = [call_with_timeout(60)];
    let admitted = admit_waiters(&fixture, &calls, |_throttled| {
        calls[0].cancel.cancel();
    });
    assert_eq!(admitted[0].as_ref().unwrap_err().status(), Status::Cancelled);
}

#[test]
fn cancel_ends_wait_for_probe() {
    let fixture = BreakerFixture::default();
    let throttled_call = call_with_timeout(60);
    let mut probe = fixture.admit(&throttled_call).unwrap();
    probe.record_throttled(throttled_error("example.com", 429, 30));
    fixture.set_time(30);
    let call = CallContext::unbounded();
    let waiter = thread::scope(|scope| {
        let waiter = scope.spawn(|| fixture.admit(&call).map(|admission| admission.is_probe));
        while Arc::weak_count(&fixture.breaker) == 0 && !waiter.is_finished() {
            thread::yield_now();
        }
        // The waiter holds the lock until it waits.
        drop(fixture.breaker.state.lock());
        call.cancel.cancel();
        waiter.join().unwrap()
    });
    assert_eq!(waiter.unwrap_err().status(), Status::Cancelled);
    drop(probe);
}

#[derive(Default)]
struct RecordingSink(Mutex<Vec<String>>);

impl LogSink for RecordingSink {
    fn log(&self, _: LogLevel, message: &str) {
        self.0.lock().push(message.to_owned());
    }
}

#[test]
fn wait_for_retry_after_is_logged() {
    let fixture = BreakerFixture::default();
    let sink = Arc::new(RecordingSink::default());
    let log = Log::new(Arc::clone(&sink) as Arc<dyn LogSink>, LogLevel::Debug);
    let calls = [CallContext { log, ..call_with_timeout(60) }];
    let admitted = admit_waiters(&fixture, &calls, |mut throttled| {
        throttled.readmit().unwrap();
        throttled.record_response();
    });
    assert!(matches!(admitted[0], Ok(false)), "{admitted:?}");
    assert_eq!(*sink.0.lock(), ["waiting for example.com (Retry-After)"]);
}

#[test]
fn authorization_code_bypasses_open_breaker() {
    let fixture = BreakerFixture::default();
    (0..5).for_each(|number| fixture.record_failure(number, &unavailable_error(), QUICK));
    let call = call_with_timeout(1);
    fixture.breaker.admit_always(fixture.context(&call)).record_response();
    assert!(fixture.is_admitted(&call_with_timeout(1)), "a success closes the breaker");
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
