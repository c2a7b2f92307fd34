use std::collections::BTreeMap;
use std::ffi::CString;
use std::sync::atomic::{AtomicI64, AtomicUsize, Ordering};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use aws_lc_rs::hmac;
use zeroize::Zeroizing;

use super::entry::Entry;
use super::spacing::Spacing;
use super::*;
use crate::call::Call;
use crate::error::{Error, Status};
use crate::token::Kept;

/// A clock whose hands a test turns; both clocks go together.
pub(super) struct Hands {
    begin: Instant,
    seconds: AtomicI64,
}

impl Hands {
    pub(super) fn new() -> Self {
        Self { begin: Instant::now(), seconds: AtomicI64::new(0) }
    }

    pub(super) fn turn(&self, seconds: i64) {
        self.seconds.fetch_add(seconds, Ordering::SeqCst);
    }
}

impl Clock for Hands {
    fn unix_seconds(&self) -> i64 {
        1_000_000 + self.seconds.load(Ordering::SeqCst)
    }

    fn instant(&self) -> Instant {
        self.begin + Duration::from_secs(self.seconds.load(Ordering::SeqCst).unsigned_abs())
    }
}

pub(super) fn identity(subject: &str) -> Identity {
    Identity::of(&hmac::Key::new(hmac::HMAC_SHA256, b"test"), &subject)
}

pub(super) fn token(value: &str, life: Option<i64>, clock: &Hands) -> Token {
    Token {
        value: Zeroizing::new(CString::new(value).unwrap()),
        scope: None,
        fields: BTreeMap::new(),
        issued_at: clock.unix_seconds(),
        expires_at: life.map(|life| clock.unix_seconds() + life),
        identity: identity("me"),
        kept: Kept::since(clock.instant()),
    }
}

pub(super) fn want(min_life: i64) -> Want {
    Want { min_life, ..Want::default() }
}

pub(super) fn refusal(status: Status) -> Error {
    Error::new(status, "token", "no")
}

/// A cache, a clock, and how often it had to fetch.
pub(super) struct Bench {
    pub(super) cache: Cache,
    pub(super) clock: Hands,
    pub(super) fetches: AtomicUsize,
}

impl Bench {
    pub(super) fn new() -> Self {
        Self { cache: Cache::default(), clock: Hands::new(), fetches: AtomicUsize::new(0) }
    }

    pub(super) fn get(&self, min_life: i64, life: Option<i64>) -> Arc<Token> {
        let fetch = || {
            let number = self.fetches.fetch_add(1, Ordering::SeqCst);
            Ok(token(&format!("token{number}"), life, &self.clock))
        };
        self.cache
            .get(identity("me"), want(min_life), &self.clock, &Call::unbounded(), &Vec::new, fetch)
            .unwrap()
    }

    pub(super) fn fetches(&self) -> usize {
        self.fetches.load(Ordering::SeqCst)
    }
}

#[test]
fn a_token_is_kept_until_shortly_before_its_end() {
    let bench = Bench::new();
    bench.get(0, Some(3600));
    bench.clock.turn(3600 - 61);
    bench.get(0, Some(3600));
    assert_eq!(bench.fetches(), 1);
    bench.clock.turn(1);
    bench.get(0, Some(3600));
    assert_eq!(bench.fetches(), 2);
}

#[test]
fn a_short_lived_token_is_kept_for_nine_tenths_of_its_life() {
    let bench = Bench::new();
    bench.get(0, Some(100));
    bench.clock.turn(89);
    bench.get(0, Some(100));
    assert_eq!(bench.fetches(), 1);
    bench.clock.turn(1);
    bench.get(0, Some(100));
    assert_eq!(bench.fetches(), 2);
}

#[test]
fn a_token_that_nobody_gave_an_end_is_taken_to_live_for_five_minutes() {
    let bench = Bench::new();
    bench.get(0, None);
    bench.clock.turn(269);
    bench.get(0, None);
    assert_eq!(bench.fetches(), 1);
    bench.clock.turn(1);
    bench.get(0, None);
    assert_eq!(bench.fetches(), 2);
}

#[test]
fn a_least_life_is_kept_to_as_far_as_tokens_of_that_kind_reach() {
    let bench = Bench::new();
    bench.get(0, Some(3600));
    bench.get(3000, Some(3600));
    assert_eq!(bench.fetches(), 1);
    bench.clock.turn(601);
    bench.get(3000, Some(3600));
    assert_eq!(bench.fetches(), 2, "2999 s are left, and 3000 were asked for");
    bench.get(1_000_000, Some(3600));
    assert_eq!(bench.fetches(), 2, "no token has that long a life: a fresh one must do");
}

#[test]
fn only_the_current_token_can_be_rejected() {
    let bench = Bench::new();
    let first = bench.get(0, Some(3600));
    bench.cache.reject(&first, &bench.clock);
    let second = bench.get(0, Some(3600));
    bench.cache.reject(&first, &bench.clock);
    bench.get(0, Some(3600));
    assert_eq!(bench.fetches(), 2);
    assert_eq!(second.value(), c"token1");
}

#[test]
fn rejections_in_a_row_are_spaced_ever_more_widely() {
    let bench = Bench::new();
    let mut accepted = Vec::new();
    for second in 0..200 {
        let before = bench.fetches();
        bench.cache.reject(&bench.get(0, Some(100_000)), &bench.clock);
        bench.get(0, Some(100_000));
        if bench.fetches() > before.max(1) {
            accepted.push(second);
        }
        bench.clock.turn(1);
    }
    assert_eq!(accepted, [0, 1, 3, 7, 15, 31, 63, 123, 183]);
}

#[test]
fn after_a_quiet_time_the_first_rejection_counts_at_once() {
    let bench = Bench::new();
    for _ in 0..4 {
        bench.cache.reject(&bench.get(0, Some(100_000)), &bench.clock);
        bench.clock.turn(20);
    }
    bench.get(0, Some(100_000));
    assert_eq!(bench.fetches(), 5);
}

#[test]
fn twice_the_wanted_time_without_a_rejection_is_a_quiet_time() {
    let begin = Instant::now();
    let accepted = |seconds: &[u64]| -> Vec<bool> {
        let mut spacing = Spacing::default();
        let mut accept = |now| {
            let over = spacing.is_over(now);
            if over {
                spacing.happened(now);
            }
            over
        };
        seconds.iter().map(|second| accept(begin + Duration::from_secs(*second))).collect()
    };
    assert_eq!(accepted(&[0, 1, 4, 5]), [true, true, true, false], "2 s were wanted, and 3 s went by");
    assert_eq!(accepted(&[0, 1, 5, 6]), [true, true, true, true], "2 s were wanted, and 4 s went by");
}

#[test]
fn sixty_four_callers_make_one_fetch() {
    let bench = Bench::new();
    let (arrived, arrivals) = mpsc::channel();
    std::thread::scope(|scope| {
        for _ in 0..64 {
            let (bench, arrived) = (&bench, arrived.clone());
            scope.spawn(move || {
                arrived.send(()).unwrap();
                bench.get(0, Some(3600));
            });
        }
        arrivals.iter().take(64).count();
    });
    assert_eq!(bench.fetches(), 1);
}

/// Lets `waiter` begin while a leader is in flight that then ends with `outcome`.
fn behind_a_leader(
    outcome: impl FnOnce() -> Result<Token> + Send,
    waiter: impl FnOnce(&Bench) -> Result<Arc<Token>> + Send,
) -> (Result<Arc<Token>>, usize) {
    let bench = Bench::new();
    let (in_flight, leader_is_in_flight) = mpsc::channel();
    let (land, may_land) = mpsc::channel::<()>();
    let result = std::thread::scope(|scope| {
        let bench = &bench;
        scope.spawn(move || {
            let fetch = || {
                in_flight.send(()).unwrap();
                may_land.recv().unwrap();
                outcome()
            };
            let lead = || {
                bench.cache.get(identity("me"), want(0), &bench.clock, &Call::unbounded(), &Vec::new, fetch)
            };
            let _ = std::panic::catch_unwind(std::panic::AssertUnwindSafe(lead));
        });
        leader_is_in_flight.recv().unwrap();
        let waiting = scope.spawn(move || waiter(bench));
        wait_until_asleep(&bench.cache.entry(identity("me")), 1);
        let _ = land.send(());
        waiting.join().unwrap()
    });
    (result, bench.fetches())
}

/// A waiter lets itself be woken by a cancel, through a weak reference, while it holds the lock; it lets the lock go
/// only to sleep.
fn wait_until_asleep(entry: &Arc<Entry>, waiters: usize) {
    let begin = Instant::now();
    while Arc::weak_count(entry) < waiters {
        assert!(begin.elapsed() < PATIENCE, "nobody lets itself be woken");
        std::thread::yield_now();
    }
    drop(entry.lock());
}

/// Beyond this a waiter was forgotten.
const PATIENCE: Duration = Duration::from_secs(10);

/// Waits for another's flight; fails where only the deadline ended the wait.
fn wait_for_another(bench: &Bench, call: &Call) -> Result<Arc<Token>> {
    let fetch = || panic!("there is a leader");
    let outcome = bench.cache.get(identity("me"), want(0), &bench.clock, call, &Vec::new, fetch);
    assert!(!call.deadline.passed(), "nobody woke the waiter");
    outcome
}

fn own_fetch(bench: &Bench) -> Result<Arc<Token>> {
    let call = Call::within(PATIENCE, "a test");
    let fetch =
        || Ok(token(&format!("token{}", bench.fetches.fetch_add(1, Ordering::SeqCst)), None, &bench.clock));
    let outcome = bench.cache.get(identity("me"), want(0), &bench.clock, &call, &Vec::new, fetch);
    assert!(!call.deadline.passed(), "nobody woke the waiter");
    outcome
}

#[test]
fn a_refusal_reaches_those_who_waited_for_it() {
    for status in [Status::Denied, Status::KeyPassword, Status::Tls, Status::Network] {
        let waiter = |bench: &Bench| {
            let fetch = || panic!("the refusal should have come");
            bench.cache.get(identity("me"), want(0), &bench.clock, &Call::unbounded(), &Vec::new, fetch)
        };
        let (result, _) = behind_a_leader(move || Err(refusal(status)), waiter);
        assert_eq!(result.unwrap_err().status(), status);
    }
}

#[test]
fn a_leaders_own_failure_lets_a_waiter_take_over() {
    for status in [Status::Timeout, Status::Cancelled, Status::Internal] {
        let (result, fetches) = behind_a_leader(move || Err(refusal(status)), own_fetch);
        assert_eq!((result.unwrap().value(), fetches), (c"token0", 1));
    }
    let (result, fetches) = behind_a_leader(|| panic!("a bug"), own_fetch);
    assert_eq!((result.unwrap().value(), fetches), (c"token0", 1));
    let by_a_signer = || Err(refusal(Status::KeyStore).of_one_call());
    let (result, fetches) = behind_a_leader(by_a_signer, own_fetch);
    assert_eq!((result.unwrap().value(), fetches), (c"token0", 1));
}

#[test]
fn a_request_that_took_too_long_is_not_sent_again_by_a_waiter() {
    let waiter = |bench: &Bench| {
        let fetch = || panic!("the leader's failure is for all");
        bench.cache.get(identity("me"), want(0), &bench.clock, &Call::unbounded(), &Vec::new, fetch)
    };
    let late = || Err(refusal(Status::Timeout).with_sqlstate("HYT01"));
    let (result, _) = behind_a_leader(late, waiter);
    assert_eq!(result.unwrap_err().sqlstate(), "HYT01");
}

#[test]
fn a_seed_is_for_who_has_nothing_and_is_held_to_the_same_life() {
    let bench = Bench::new();
    let seed = |value, life| bench.cache.seed(identity("me"), token(value, Some(life), &bench.clock));
    seed("first", 3600);
    seed("second", 3600);
    let get = |min_life| {
        let fetch = || Ok(token("fetched", Some(7200), &bench.clock));
        bench
            .cache
            .get(identity("me"), want(min_life), &bench.clock, &Call::unbounded(), &Vec::new, fetch)
            .unwrap()
    };
    assert_eq!(get(0).value(), c"first");
    bench.clock.turn(3550);
    assert_eq!(get(0).value(), c"fetched");
}

#[test]
fn a_waiter_ends_at_its_own_deadline() {
    let bench_wait = |bench: &Bench| {
        let call = Call::within(Duration::from_millis(20), "a test");
        bench
            .cache
            .get(identity("me"), want(0), &bench.clock, &call, &Vec::new, || panic!("there is a leader"))
    };
    let bench = Bench::new();
    bench.cache.entry(identity("me")).lock().take_off();
    let error = bench_wait(&bench).unwrap_err();
    assert_eq!(error.status(), Status::Timeout);
    assert!(error.message().contains("another thread"), "{error}");
}

#[test]
fn a_waiter_that_sleeps_is_woken_by_a_cancel() {
    let bench = Bench::new();
    let entry = bench.cache.entry(identity("me"));
    entry.lock().take_off();
    let call = Call::within(PATIENCE, "a test");
    let error = std::thread::scope(|scope| {
        let waiting = scope.spawn(|| wait_for_another(&bench, &call));
        wait_until_asleep(&entry, 1);
        call.cancel.cancel();
        waiting.join().unwrap().unwrap_err()
    });
    assert_eq!(error.status(), Status::Cancelled);
}

#[test]
fn a_call_that_was_cancelled_before_it_could_wait_does_not_wait() {
    let bench = Bench::new();
    bench.cache.entry(identity("me")).lock().take_off();
    let call = Call::within(PATIENCE, "a test");
    call.cancel.cancel();
    assert_eq!(wait_for_another(&bench, &call).unwrap_err().status(), Status::Cancelled);
}

#[test]
fn a_flight_that_lands_wakes_all_who_sleep() {
    let bench = Bench::new();
    let entry = bench.cache.entry(identity("me"));
    let flight = entry.lock().take_off();
    std::thread::scope(|scope| {
        let waiting: Vec<_> = (0..3)
            .map(|_| scope.spawn(|| wait_for_another(&bench, &Call::within(PATIENCE, "a test"))))
            .collect();
        wait_until_asleep(&entry, 3);
        let fetch = || Ok(token("landed", Some(3600), &bench.clock));
        Flight::new(&entry, flight).run(None, &bench.clock, Vec::new(), fetch).unwrap();
        for waiter in waiting {
            assert_eq!(waiter.join().unwrap().unwrap().value(), c"landed");
        }
    });
}

#[test]
fn a_refusal_of_an_earlier_flight_reaches_nobody_who_waits_for_a_later_one() {
    let bench = Bench::new();
    let entry = bench.cache.entry(identity("me"));
    let refused = || Err(refusal(Status::Denied));
    bench
        .cache
        .get(identity("me"), want(0), &bench.clock, &Call::unbounded(), &Vec::new, refused)
        .unwrap_err();
    let flight = entry.lock().take_off();
    let result = std::thread::scope(|scope| {
        let waiting = scope.spawn(|| wait_for_another(&bench, &Call::within(PATIENCE, "a test")));
        wait_until_asleep(&entry, 1);
        let fetch = || Ok(token("later", Some(3600), &bench.clock));
        Flight::new(&entry, flight).run(None, &bench.clock, Vec::new(), fetch).unwrap();
        waiting.join().unwrap()
    });
    assert_eq!(result.unwrap().value(), c"later");
}

#[test]
fn a_refusal_does_not_outlast_its_flight() {
    let bench = Bench::new();
    let refused = || Err(refusal(Status::Denied));
    bench
        .cache
        .get(identity("me"), want(0), &bench.clock, &Call::unbounded(), &Vec::new, refused)
        .unwrap_err();
    assert_eq!(bench.get(0, Some(3600)).value(), c"token0");
}

#[test]
fn a_replaced_token_cannot_be_rejected_however_late() {
    let bench = Bench::new();
    let first = bench.get(0, Some(100_000));
    bench.cache.reject(&first, &bench.clock);
    let second = bench.get(0, Some(100_000));
    bench.clock.turn(600);
    bench.cache.reject(&first, &bench.clock);
    assert_eq!(bench.get(0, Some(100_000)).value(), second.value());
}

#[test]
fn what_is_peeked_at_has_the_life_that_was_asked_for() {
    let bench = Bench::new();
    assert!(bench.cache.peek(identity("me"), want(0), &bench.clock).is_none());
    bench.get(0, Some(3600));
    bench.clock.turn(600);
    assert!(bench.cache.peek(identity("me"), want(2999), &bench.clock).is_some());
    assert!(bench.cache.peek(identity("me"), want(3000), &bench.clock).is_none());
}

#[test]
fn what_was_cleared_is_fetched_anew() {
    let bench = Bench::new();
    bench.get(0, Some(3600));
    bench.cache.clear();
    assert!(bench.cache.peek(identity("me"), want(0), &bench.clock).is_none());
    assert_eq!(bench.get(0, Some(3600)).value(), c"token1");
}

fn numbered(number: usize) -> Identity {
    Identity::of(&hmac::Key::new(hmac::HMAC_SHA256, b"test"), &number)
}

/// A cache that is full of tokens, each of which ends a second after the one before it.
fn full() -> Bench {
    let bench = Bench::new();
    for number in 0..MOST {
        let life = i64::try_from(number).unwrap() + 1000;
        let fetch = || Ok(token("t", Some(life), &bench.clock));
        bench
            .cache
            .get(numbered(number), want(0), &bench.clock, &Call::unbounded(), &Vec::new, fetch)
            .unwrap();
    }
    bench
}

impl Bench {
    fn knows(&self, number: usize) -> bool {
        self.cache.entries.lock().contains_key(&numbered(number))
    }
}

#[test]
fn of_a_full_cache_the_token_that_ends_first_leaves_unless_it_is_being_fetched() {
    let bench = full();
    bench.cache.entry(numbered(0)).lock().take_off();
    bench.cache.entry(numbered(MOST));
    assert!(bench.knows(0), "somebody waits for it");
    assert!(!bench.knows(1) && bench.knows(2) && bench.knows(MOST));
}

#[test]
fn who_is_known_to_a_full_cache_drives_nobody_out() {
    let bench = full();
    bench.cache.entry(numbered(MOST - 1));
    assert!(bench.knows(0));
}

#[test]
fn the_cache_does_not_grow_beyond_its_bound() {
    let bench = Bench::new();
    for number in 0..MOST + 10 {
        let identity = Identity::of(&hmac::Key::new(hmac::HMAC_SHA256, b"test"), &number);
        let fetch = || Ok(token("t", Some(3600), &bench.clock));
        bench.cache.get(identity, want(0), &bench.clock, &Call::unbounded(), &Vec::new, fetch).unwrap();
    }
    assert_eq!(bench.cache.entries.lock().len(), MOST);
}

#[test]
fn one_who_asks_again_and_again_is_not_driven_out_by_many_who_ask_once() {
    let bench = Bench::new();
    bench.get(0, Some(3600));
    for number in 0..MOST + 10 {
        let identity = Identity::of(&hmac::Key::new(hmac::HMAC_SHA256, b"test"), &number);
        let fetch = || Ok(token("t", Some(300_000_000), &bench.clock));
        bench.cache.get(identity, want(0), &bench.clock, &Call::unbounded(), &Vec::new, fetch).unwrap();
        if number % 1000 == 0 {
            bench.get(0, Some(3600));
        }
    }
    bench.get(0, Some(3600));
    assert_eq!(bench.fetches(), 1);
}

#[test]
fn those_who_waited_get_the_token_that_they_waited_for_however_short_its_life() {
    let dead_on_arrival = || Ok(token("dead", Some(0), &Hands::new()));
    let waiter = |bench: &Bench| {
        let fetch = || panic!("there was a token");
        bench.cache.get(identity("me"), want(0), &bench.clock, &Call::unbounded(), &Vec::new, fetch)
    };
    let (result, _) = behind_a_leader(dead_on_arrival, waiter);
    assert_eq!(result.unwrap().value(), c"dead");
}
