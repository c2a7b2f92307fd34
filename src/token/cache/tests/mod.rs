//! A cache whose clock a test turns.

use std::collections::BTreeMap;
use std::ffi::CString;
use std::sync::atomic::{AtomicI64, AtomicUsize, Ordering};
use std::time::Duration;

use aws_lc_rs::hmac;
use zeroize::Zeroizing;

use super::*;
use crate::base::error::{Error, Status};
use crate::base::jitter::Fraction;
use crate::base::log::Log;
use crate::token::Kept;

mod eviction;
mod freshness;
mod negative_cache;
mod rejections;
mod single_flight;

/// A clock whose hands a test turns.
struct Hands {
    seconds: AtomicI64,
    /// By how much the wall clock was set forward.
    set: AtomicI64,
}

impl Hands {
    fn new() -> Self {
        Self { seconds: AtomicI64::new(0), set: AtomicI64::new(0) }
    }

    /// Time passes.
    fn turn(&self, seconds: i64) {
        self.seconds.fetch_add(seconds, Ordering::SeqCst);
    }

    /// The wall clock is set forward or back, as daemons, people and a sleep do.
    fn set(&self, seconds: i64) {
        self.set.fetch_add(seconds, Ordering::SeqCst);
    }
}

impl Clock for Hands {
    fn unix_seconds(&self) -> i64 {
        1_000_000 + self.seconds.load(Ordering::SeqCst) + self.set.load(Ordering::SeqCst)
    }

    fn boot_time(&self) -> Duration {
        Duration::from_secs(self.seconds.load(Ordering::SeqCst).unsigned_abs())
    }
}

fn identity(subject: &str) -> Identity {
    Identity::of(&hmac::Key::new(hmac::HMAC_SHA256, b"test"), &subject)
}

fn token(value: &str, life: Option<i64>, clock: &Hands) -> Token {
    Token {
        value: Zeroizing::new(CString::new(value).unwrap()),
        scope: None,
        fields: BTreeMap::new(),
        issued_at: clock.unix_seconds(),
        expires_at: life.map(|life| clock.unix_seconds() + life),
        identity: identity("me"),
        kept: Kept::since(clock.boot_time()),
    }
}

fn want(min_life: i64) -> Want {
    Want { min_life, ..Want::default() }
}

fn refusal(status: Status) -> Error {
    Error::new(status, "token", "no")
}

/// So that seconds are exact.
const NO_JITTER: Jitter = Jitter::pinned(Fraction::new(0));

/// A fetch that happens once, whatever it is for.
fn once(fetch: impl FnOnce() -> Result<Token>) -> impl FnMut(FetchKind) -> Result<Token> {
    let mut fetch = Some(fetch);
    move |_| fetch.take().expect("there is one fetch")()
}

/// What a flight goes by that has no token to fall back to.
fn conditions(clock: &Hands) -> Conditions<'_> {
    Conditions {
        spare: None,
        want: want(0),
        clock,
        made_from: Vec::new(),
        left: None,
        jitter: Fraction::default(),
        log: Log::default(),
    }
}

/// A cache, a clock, and how often it had to fetch.
struct Bench {
    cache: Cache,
    clock: Hands,
    fetches: AtomicUsize,
}

impl Bench {
    fn new() -> Self {
        Self {
            cache: Cache::new(NO_JITTER, Arc::default()),
            clock: Hands::new(),
            fetches: AtomicUsize::new(0),
        }
    }

    fn ask(&self, want: Want, fetch: impl FnOnce() -> Result<Token>) -> Result<Arc<Token>> {
        self.ask_within(want, &CallContext::unbounded(), fetch)
    }

    fn ask_within(
        &self,
        want: Want,
        call: &CallContext,
        fetch: impl FnOnce() -> Result<Token>,
    ) -> Result<Arc<Token>> {
        self.cache.get(identity("me"), want, &self.clock, call, &Vec::new, once(fetch))
    }

    fn get(&self, min_life: i64, life: Option<i64>) -> Arc<Token> {
        let fetch = || {
            let number = self.fetches.fetch_add(1, Ordering::SeqCst);
            Ok(token(&format!("token{number}"), life, &self.clock))
        };
        self.ask(want(min_life), fetch).unwrap()
    }

    fn fetches(&self) -> usize {
        self.fetches.load(Ordering::SeqCst)
    }
}

/// What a failing fetch says.
fn refused_as(error: Error) -> impl Fn(&Bench, Want) -> Result<Arc<Token>> {
    move |bench, want| {
        let fetch = || {
            bench.fetches.fetch_add(1, Ordering::SeqCst);
            Err(error.clone())
        };
        bench.ask(want, fetch)
    }
}

fn oauth(status: Status, error: &str) -> Error {
    refusal(status).with_oauth(Some(error.to_owned()), None).caused_by_server()
}
