use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;

use aws_lc_rs::hmac;

use super::*;
use crate::base::jitter::Fraction;

/// A breaker, and a clock that a test sets.
#[derive(Default)]
struct Bench {
    breaker: Arc<CircuitBreaker>,
    clock: TestClock,
    stats: Stats,
}

#[derive(Default)]
struct TestClock(AtomicU64);

impl Clock for TestClock {
    fn unix_seconds(&self) -> i64 {
        0
    }

    fn boot_time(&self) -> Duration {
        Duration::from_secs(self.0.load(Ordering::SeqCst))
    }
}

fn key(number: usize) -> Identity {
    Identity::of(&hmac::Key::new(hmac::HMAC_SHA256, b"test"), &number)
}

fn within(seconds: u64) -> Call {
    Call::within(Duration::from_secs(seconds), "a test")
}

fn unavailable() -> Error {
    Error::new(Status::Server, "token", "hunter2").with_http(503, 0).from_server()
}

const QUICK: Duration = Duration::from_millis(1);

impl Bench {
    fn at(&self, second: u64) {
        self.clock.0.store(second, Ordering::SeqCst);
    }

    fn requester<'a>(&'a self, call: &'a Call) -> Requester<'a> {
        let jitter = Jitter::pinned(Fraction::new(0));
        Requester { call, clock: &self.clock, jitter, host: "example.com", stats: &self.stats }
    }

    fn admit<'a>(&'a self, call: &'a Call) -> Result<Admission<'a>> {
        self.breaker.admit(self.requester(call))
    }

    /// Whether a request that does not wait is let through, without an outcome.
    fn is_open_to(&self, call: &Call) -> bool {
        self.admit(call).is_ok()
    }

    fn fails(&self, number: usize, error: &Error, time: Duration) {
        self.admit(&within(60)).unwrap().failed(key(number), error, time);
    }

    fn throttle(&self, seconds: u32) {
        self.admit(&within(60)).unwrap().throttled(throttled_error("example.com", 429, seconds));
    }

    fn refused(&self) -> Error {
        self.admit(&within(1)).err().expect("it is let through")
    }
}

#[test]
fn several_failures_of_several_keys_open_breaker() {
    let bench = Bench::default();
    for number in [1, 2, 1, 2, 1, 2, 1, 2] {
        bench.fails(number, &unavailable(), QUICK);
    }
    assert!(bench.is_open_to(&within(1)), "two keys may both be wrong");
    bench.fails(3, &unavailable(), QUICK);
    let error = bench.refused();
    assert_eq!((error.status(), error.http_status(), error.retry_after()), (Status::Server, 503, 1));
    assert!(!error.is_from_server(), "it says nothing new");
    assert!(!error.message().contains("hunter2"), "what the server said may be about one user: {error}");
    let bench = Bench::default();
    for number in 0..4 {
        bench.fails(number, &unavailable(), QUICK);
    }
    assert!(bench.is_open_to(&within(1)), "four are not many");
    bench.fails(4, &unavailable(), QUICK);
    assert!(!bench.is_open_to(&within(1)));
}

#[test]
fn success_and_refusal_reset_failures() {
    let denied = Error::new(Status::Denied, "token", "no").with_http(400, 0).from_server();
    for refused in [false, true] {
        let bench = Bench::default();
        for number in 0..20 {
            if number % 4 == 0 {
                let call = within(1);
                let admission = bench.admit(&call).unwrap();
                if refused { admission.failed(key(number), &denied, QUICK) } else { admission.answered() }
            }
            bench.fails(number, &unavailable(), QUICK);
        }
        assert!(bench.is_open_to(&within(1)));
    }
}

#[test]
fn only_failures_of_server_count() {
    let failure = |status: Status| Error::new(status, "network", "x").from_server();
    let opens = |error: &Error, time| {
        let bench = Bench::default();
        (0..5).for_each(|number| bench.fails(number, error, time));
        !bench.is_open_to(&within(1))
    };
    assert!(opens(&failure(Status::Network), QUICK));
    assert!(opens(&failure(Status::Throttled), QUICK));
    assert!(opens(&failure(Status::Timeout), Duration::from_secs(5)));
    assert!(!opens(&failure(Status::Timeout), Duration::from_secs(4)), "a caller in a hurry");
    assert!(!opens(&failure(Status::Tls), QUICK), "a trust store may be at fault");
    assert!(!opens(&Error::new(Status::Network, "consent", "x"), QUICK), "it is from here");
}

#[test]
fn open_breaker_lets_one_probe_through_at_growing_distances() {
    let bench = Bench::default();
    (0..5).for_each(|number| bench.fails(number, &unavailable(), QUICK));
    let mut probed = Vec::new();
    for second in 0..130 {
        bench.at(second);
        let call = within(1);
        if let Ok(probe) = bench.admit(&call) {
            assert!(!bench.is_open_to(&within(1)), "one at a time");
            probed.push(second);
            probe.failed(key(9), &unavailable(), QUICK);
        }
    }
    assert_eq!(probed, [1, 3, 7, 15, 31, 63, 123]);
    let error = bench.refused();
    assert!(error.message().contains("that was 6 s ago"), "{error}");
    bench.at(183);
    bench.admit(&within(1)).unwrap().answered();
    assert!(bench.is_open_to(&within(1)) && bench.is_open_to(&within(1)), "it is closed");
}

#[test]
fn probe_without_outcome_leaves_room_for_another() {
    let bench = Bench::default();
    (0..5).for_each(|number| bench.fails(number, &unavailable(), QUICK));
    bench.at(1);
    let call = within(1);
    let probe = bench.admit(&call).unwrap();
    assert!(!bench.is_open_to(&within(1)));
    drop(probe);
    assert!(bench.is_open_to(&within(1)));
}

#[test]
fn retry_after_holds_for_all_up_to_five_minutes() {
    for (asked, kept) in [(30, 30), (1000, 300)] {
        let bench = Bench::default();
        bench.throttle(asked);
        bench.at(kept - 10);
        let error = bench.refused();
        assert_eq!((error.status(), error.http_status()), (Status::Throttled, 429));
        assert_eq!(error.retry_after(), 10);
        bench.at(kept);
        assert!(bench.is_open_to(&within(1)));
    }
}

#[test]
fn longest_retry_after_counts() {
    let bench = Bench::default();
    let (one, other) = (within(60), within(60));
    let (mut one, mut other) = (bench.admit(&one).unwrap(), bench.admit(&other).unwrap());
    one.throttled(throttled_error("example.com", 503, 30));
    other.throttled(throttled_error("example.com", 503, 5));
    drop((one, other));
    assert_eq!(bench.refused().retry_after(), 30);
}

#[test]
fn success_that_was_under_way_does_not_end_retry_after() {
    let bench = Bench::default();
    let call = within(60);
    let under_way = bench.admit(&call).unwrap();
    bench.throttle(30);
    under_way.answered();
    assert!(!bench.is_open_to(&within(1)));
    bench.at(30);
    bench.admit(&within(1)).unwrap().answered();
    assert!(bench.is_open_to(&within(1)));
}

#[test]
fn retry_after_beyond_call_is_not_waited_for() {
    let bench = Bench::default();
    bench.throttle(30);
    let renewal = Call { single_attempt: true, ..within(60) };
    for call in [&within(29), &renewal] {
        assert_eq!(bench.admit(call).err().map(|error| error.status()), Some(Status::Throttled));
    }
    let bench = Bench::default();
    bench.throttle(61);
    assert!(bench.admit(&Call::unbounded()).is_err(), "no server is waited for that long");
}

/// Lets `calls` wait for the end of a Retry-After; a request that was throttled is to come back.
fn waiting(bench: &Bench, calls: &[Call], meanwhile: impl FnOnce(Admission<'_>)) -> Vec<Result<bool>> {
    let own = within(60);
    let mut throttled = bench.admit(&own).unwrap();
    throttled.throttled(throttled_error("example.com", 429, 30));
    thread::scope(|scope| {
        let admitted = |call| bench.admit(call).map(|admission| admission.probes);
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
fn those_who_wait_for_retry_after_go_on_when_probe_succeeds() {
    let bench = Bench::default();
    let admitted = waiting(&bench, &[within(60), within(60)], |mut throttled| {
        throttled.readmit().unwrap();
        throttled.answered();
    });
    assert!(admitted.iter().all(|admitted| matches!(admitted, Ok(false))), "{admitted:?}");
}

#[test]
fn wait_for_retry_after_is_ended_by_cancel() {
    let bench = Bench::default();
    let calls = [within(60)];
    let admitted = waiting(&bench, &calls, |_throttled| {
        calls[0].cancel.cancel();
    });
    assert_eq!(admitted[0].as_ref().unwrap_err().status(), Status::Cancelled);
}

#[test]
fn code_of_user_is_sent_whatever_others_met() {
    let bench = Bench::default();
    (0..5).for_each(|number| bench.fails(number, &unavailable(), QUICK));
    let call = within(1);
    bench.breaker.admit_always(bench.requester(&call)).answered();
    assert!(bench.is_open_to(&within(1)), "its success closes the breaker");
}

#[test]
fn each_endpoint_has_its_own_breaker_and_old_ones_are_forgotten() {
    let breakers = CircuitBreakers::default();
    let first = breakers.get(key(0));
    assert!(Arc::ptr_eq(&first, &breakers.get(key(0))));
    for number in 1..=MAX_ENDPOINTS {
        assert!(!Arc::ptr_eq(&first, &breakers.get(key(number))));
    }
    assert!(!Arc::ptr_eq(&first, &breakers.get(key(0))));
}
