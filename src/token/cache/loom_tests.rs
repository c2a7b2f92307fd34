//! Models of the cache: loom runs each in every order in which its threads can meet at locks, waits and counters
//! (`cargo test --lib --features model models`). A thread that nobody wakes is found as a deadlock. What comes before the
//! cache, a connection's slot for its token of late, has models of its own in src/sys/share/models.rs.
//!
//! It is the cache itself that runs, with the calls that wait in it and the flag of a retired token; `crate::sys::sync` alone is
//! loom's. Not modelled are: the passing of time, so a leader's timeout is an error that its fetch brings; a panic, of which
//! only what unwinding does to a flight is here; and the counts in `Arc`, which are the standard library's.

use std::collections::BTreeMap;
use std::ffi::CString;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use aws_lc_rs::hmac;
use loom::thread::{self, JoinHandle};
use zeroize::Zeroizing;

use super::*;
use crate::base::call::CallContext;
use crate::base::error::{Error, Status};
use crate::base::jitter::Fraction;
use crate::base::log::Log;
use crate::token::Kept;

/// Whose token it is. Made outside of the models, whose threads have small stacks.
static ME: LazyLock<Identity> =
    LazyLock::new(|| Identity::of(&hmac::Key::new(hmac::HMAC_SHA256, b"test"), &"me"));

/// A clock that stands still.
struct Still(Duration);

impl Clock for Still {
    fn unix_seconds(&self) -> i64 {
        1_000_000
    }

    fn boot_time(&self) -> Duration {
        self.0
    }
}

/// A cache, and how often something was fetched for it.
struct Bench {
    cache: Cache,
    clock: Still,
    fetches: AtomicUsize,
}

type Outcome = Result<Arc<Token>>;

impl Bench {
    fn new() -> Arc<Self> {
        Arc::new(Self {
            cache: Cache::new(Jitter::pinned(Fraction::new(0)), Arc::default()),
            clock: Still(Duration::from_secs(10_000)),
            fetches: AtomicUsize::new(0),
        })
    }

    /// Tells a fetch from those before it.
    fn fetched(&self) -> usize {
        self.fetches.fetch_add(1, Ordering::SeqCst)
    }

    fn fetches(&self) -> usize {
        self.fetches.load(Ordering::SeqCst)
    }

    /// One that was issued just now, or an hour ago with so many seconds left.
    fn token(&self, name: &str, left: i64) -> Token {
        Token {
            value: Zeroizing::new(CString::new(name).unwrap()),
            scope: None,
            fields: BTreeMap::new(),
            issued_at: self.clock.unix_seconds() + left - 3600,
            expires_at: Some(self.clock.unix_seconds() + left),
            identity: *ME,
            kept: Kept::since(self.clock.boot_time() - Duration::from_secs(left.abs_diff(3600))),
        }
    }

    fn get_with(&self, call: &CallContext, fetch: impl Fn() -> Result<Token>) -> Outcome {
        self.cache.get(*ME, Want::default(), &self.clock, call, &Vec::new, |_| fetch())
    }

    /// What a flight goes by that has no token to fall back to.
    fn conditions(&self) -> Conditions<'_> {
        let (want, jitter) = (Want::default(), Fraction::default());
        Conditions {
            spare: None,
            want,
            clock: &self.clock,
            made_from: Vec::new(),
            left: None,
            jitter,
            log: Log::default(),
        }
    }

    /// A get whose fetch brings a token.
    fn get(&self) -> Arc<Token> {
        self.get_with(
            &CallContext::unbounded(),
            || Ok(self.token(&format!("fetch {}", self.fetched()), 3600)),
        )
        .unwrap()
    }

    /// A get whose fetch fails if it is the first one of all, and else brings a token.
    fn get_behind(&self, failure: &Error) -> Outcome {
        self.get_with(&CallContext::unbounded(), || match self.fetched() {
            0 => Err(failure.clone()),
            _ => Ok(self.token("second", 3600)),
        })
    }

    /// A token of an hour that is there already, with so many seconds left.
    fn holding(left: i64) -> (Arc<Self>, Arc<Token>) {
        let bench = Self::new();
        let token = Arc::new(bench.token("held", left));
        bench.cache.put(Arc::clone(&token));
        (bench, token)
    }
}

fn refusal(status: Status) -> Error {
    Error::new(status, "token", "no")
}

fn invalid_grant() -> Error {
    refusal(Status::Denied).with_oauth(Some("invalid_grant".to_owned()), None).caused_by_server()
}

/// Runs `body` in every order of what its threads do.
fn in_every_order(body: impl Fn() + Send + Sync + 'static) {
    LazyLock::force(&ME);
    loom::model(body);
}

fn spawn<T: 'static>(bench: &Arc<Bench>, work: impl FnOnce(&Bench) -> T + 'static) -> JoinHandle<T> {
    let bench = Arc::clone(bench);
    thread::spawn(move || work(&bench))
}

fn same(one: &Arc<Token>, other: &Arc<Token>) -> bool {
    Arc::ptr_eq(one, other)
}

#[test]
fn of_two_who_come_together_one_fetches_and_both_have_its_token() {
    in_every_order(|| {
        let bench = Bench::new();
        let other = spawn(&bench, Bench::get);
        let token = bench.get();
        assert!(same(&token, &other.join().unwrap()));
        assert_eq!(bench.fetches(), 1);
    });
}

#[test]
fn of_three_who_come_together_one_fetches_and_all_have_its_token() {
    in_every_order(|| {
        let bench = Bench::new();
        let others = [spawn(&bench, Bench::get), spawn(&bench, Bench::get)];
        let token = bench.get();
        assert!(others.into_iter().all(|other| same(&token, &other.join().unwrap())));
        assert_eq!(bench.fetches(), 1);
    });
}

#[test]
fn a_leader_that_gives_up_fails_alone() {
    for status in [Status::Timeout, Status::Cancelled] {
        in_every_order(move || {
            let bench = Bench::new();
            let ask = move |bench: &Bench| bench.get_behind(&refusal(status));
            let other = spawn(&bench, ask);
            let outcomes = [ask(&bench), other.join().unwrap()];
            let failed: Vec<_> = outcomes.iter().filter_map(|outcome| outcome.as_ref().err()).collect();
            assert!(failed.len() == 1 && failed[0].status() == status, "{outcomes:?}");
            assert_eq!(bench.fetches(), 2);
        });
    }
}

/// Two who come while a flight ends by `end` without an outcome for all: one of them makes the fetch of both.
fn one_of_two_takes_over(end: impl Fn(Flight<'_>, &Bench) + Send + Sync + 'static) {
    in_every_order(move || {
        let bench = Bench::new();
        let entry = bench.cache.entry(*ME);
        let flight = entry.lock().take_off();
        let others = [spawn(&bench, Bench::get), spawn(&bench, Bench::get)];
        end(Flight::new(&entry, flight), &bench);
        let [one, other] = others.map(|other| other.join().unwrap());
        assert!(same(&one, &other) && bench.fetches() == 1);
    });
}

#[test]
fn one_of_those_who_wait_takes_over_from_a_leader_that_gives_up() {
    one_of_two_takes_over(|flight, bench| {
        let failed = flight.run(bench.conditions(), || Err(refusal(Status::Timeout)));
        assert_eq!(failed.unwrap_err().status(), Status::Timeout);
    });
}

#[test]
fn one_of_those_who_wait_takes_over_from_a_leader_that_panics() {
    one_of_two_takes_over(|flight, _| drop(flight));
}

#[test]
fn a_refused_grant_is_asked_for_once_and_refused_to_all() {
    in_every_order(|| {
        let bench = Bench::new();
        let ask = |bench: &Bench| bench.get_behind(&invalid_grant());
        let others = [spawn(&bench, ask), spawn(&bench, ask)];
        assert_eq!(ask(&bench).unwrap_err().status(), Status::Denied);
        for other in others {
            assert_eq!(other.join().unwrap().unwrap_err().status(), Status::Denied);
        }
        assert_eq!(bench.fetches(), 1);
    });
}

#[test]
fn what_is_wrong_with_the_network_is_heard_by_who_waited_and_not_asked_again_by_them() {
    let waited = Arc::new(AtomicUsize::new(0));
    let heard = Arc::clone(&waited);
    in_every_order(move || {
        let bench = Bench::new();
        let entry = bench.cache.entry(*ME);
        let flight = entry.lock().take_off();
        let waiter = spawn(&bench, |bench| bench.get_behind(&refusal(Status::Tls)));
        let fetch = || Err(refusal(Status::Network));
        Flight::new(&entry, flight).run(bench.conditions(), fetch).unwrap_err();
        let told = waiter.join().unwrap().unwrap_err().status();
        // Who comes when it is over asks for himself.
        assert_eq!(told, if bench.fetches() == 0 { Status::Network } else { Status::Tls });
        heard.fetch_add(usize::from(told == Status::Network), Ordering::SeqCst);
    });
    assert!(waited.load(Ordering::SeqCst) > 0, "nobody who waited has heard it");
}

#[test]
fn a_token_that_two_reject_is_fetched_anew_once() {
    in_every_order(|| {
        let (bench, held) = Bench::holding(3600);
        let rejected = Arc::clone(&held);
        let other = spawn(&bench, move |bench| {
            // So late that two rejections in a row would both count.
            bench.cache.reject(&rejected, &Still(bench.clock.0 + Duration::from_secs(2)));
            bench.get()
        });
        bench.cache.reject(&held, &bench.clock);
        let token = bench.get();
        assert!(same(&token, &other.join().unwrap()) && held.is_retired() && !token.is_retired());
        assert_eq!(bench.fetches(), 1);
    });
}

#[test]
fn a_token_that_ends_soon_is_renewed_by_one_and_nobody_waits() {
    in_every_order(|| {
        let (bench, held) = Bench::holding(30);
        let others = [spawn(&bench, Bench::get), spawn(&bench, Bench::get)];
        let tokens = [bench.get()].into_iter().chain(others.map(|other| other.join().unwrap()));
        let renewed: Vec<_> = tokens.filter(|token| !same(token, &held)).collect();
        assert!(!renewed.is_empty() && renewed.iter().all(|token| same(token, &bench.get())));
        assert!(held.is_retired() && bench.fetches() == 1);
    });
}

#[test]
fn a_renewal_that_fails_is_tried_by_one_and_all_go_on() {
    in_every_order(|| {
        let (bench, held) = Bench::holding(30);
        let ask = |bench: &Bench| bench.get_behind(&refusal(Status::Network)).unwrap();
        let others = [spawn(&bench, ask), spawn(&bench, ask)];
        assert!(same(&ask(&bench), &held));
        assert!(others.into_iter().all(|other| same(&other.join().unwrap(), &held)));
        assert_eq!(bench.fetches(), 1);
    });
}

#[test]
fn who_asks_behind_a_clear_never_has_what_was_cleared() {
    in_every_order(|| {
        let (bench, held) = Bench::holding(3600);
        let other = spawn(&bench, Bench::get);
        bench.cache.clear();
        assert!(held.is_retired());
        let token = bench.get();
        assert!(!same(&token, &held) && !token.is_retired());
        other.join().unwrap();
        assert!(same(&bench.get(), &token), "there is one for all who come later");
    });
}

#[test]
fn a_clear_leaves_nobody_waiting() {
    in_every_order(|| {
        let bench = Bench::new();
        let others = [spawn(&bench, Bench::get), spawn(&bench, Bench::get)];
        bench.cache.clear();
        for other in others {
            other.join().unwrap();
        }
        assert!((1..=2).contains(&bench.fetches()));
    });
}

#[test]
fn one_who_waits_is_woken_by_a_cancel() {
    in_every_order(|| {
        let bench = Bench::new();
        bench.cache.entry(*ME).lock().take_off();
        let call = CallContext::unbounded();
        let cancel = Arc::clone(&call.cancel);
        let waiter = spawn(&bench, move |bench| bench.get_with(&call, || panic!("there is a leader")));
        cancel.cancel();
        assert_eq!(waiter.join().unwrap().unwrap_err().status(), Status::Cancelled);
    });
}

#[test]
fn a_cancel_ends_one_who_waits_and_the_others_have_their_token() {
    in_every_order(|| {
        let bench = Bench::new();
        let call = CallContext::unbounded();
        let cancel = Arc::clone(&call.cancel);
        let cancelled = spawn(&bench, move |bench| {
            bench.get_with(&call, || {
                bench.fetched();
                call.check()?;
                Ok(bench.token("mine", 3600))
            })
        });
        let other = spawn(&bench, Bench::get);
        cancel.cancel();
        other.join().unwrap();
        let outcome = cancelled.join().unwrap();
        assert!(outcome.is_ok_and(|token| !token.is_retired()) || bench.fetches() <= 2);
    });
}

#[test]
fn what_is_put_while_another_takes_is_either_taken_or_there() {
    in_every_order(|| {
        let (bench, held) = Bench::holding(3600);
        let put = Arc::new(bench.token("put", 3600));
        let new = Arc::clone(&put);
        let putting = spawn(&bench, move |bench| bench.cache.put(new));
        let taken = bench.cache.take(*ME).unwrap();
        putting.join().unwrap();
        assert!(held.is_retired());
        match bench.cache.peek(*ME, Want::default(), &bench.clock) {
            Some(there) => assert!(same(&taken, &held) && same(&there, &put)),
            None => assert!(same(&taken, &put)),
        }
    });
}

#[test]
fn what_is_put_is_handed_out_whatever_was_refused_meanwhile() {
    in_every_order(|| {
        let bench = Bench::new();
        let refused = spawn(&bench, |bench| bench.get_behind(&invalid_grant()));
        let forgetting = spawn(&bench, |bench| bench.cache.forget_refusal(*ME));
        let put = Arc::new(bench.token("put", 3600));
        bench.cache.put(Arc::clone(&put));
        let _ = refused.join().unwrap();
        forgetting.join().unwrap();
        let before = bench.fetches();
        assert!(same(&bench.get(), &put) && bench.fetches() == before);
    });
}

#[test]
fn what_was_forgotten_or_taken_is_asked_for_anew() {
    in_every_order(|| {
        let bench = Bench::new();
        bench.get_behind(&invalid_grant()).unwrap_err();
        let taking = spawn(&bench, |bench| bench.cache.take(*ME));
        bench.cache.forget_refusal(*ME);
        let token = bench.get();
        assert!(taking.join().unwrap().is_none_or(|taken| same(&taken, &token)));
        assert_eq!(bench.fetches(), 2);
    });
}
