//! Tokens that processes and machines share through a store, encrypted: one of them, the leader, requests a token,
//! the others read it.
//!
//! 1. The entry is read. If its token is usable, it is returned.
//! 2. The lease of the entry is acquired. While another process holds it, the entry is read again until it has a
//!    token, the time to wait is over, or the holder died and the lease ended. Then the process requests a token
//!    itself; it does not write it without the lease.
//! 3. The leader reads the entry again, requests a token, and writes it with a greater generation, if it still
//!    holds the lease and nobody else has written. The request ends before the lease does; the lease is at most
//!    15 s and is not renewed.
//!
//! A refresh token may be valid only once. Before it is sent, the leader writes to the entry that it will be spent;
//! the write fails if the lease was lost. A refresh token is therefore never sent without the lease while another
//! process holds it, and once more for each crash of a leader at most.
//!
//! If the store fails, the process goes on as without a store: it does not share, and no token is lost.

mod entry;
#[cfg(fuzzing)]
pub mod fuzzing;
mod identity;
mod leader;
#[cfg(all(test, feature = "model"))]
mod loom_tests;
mod stored_entry;
#[cfg(test)]
mod testing;
#[cfg(all(test, not(feature = "model")))]
mod tests;

use std::time::Duration;

use crate::base::cache_key::CacheKey;
use crate::base::call::CallContext;
use crate::base::error::{Cause, Error, ErrorKind, OAuthReason, Result, TimeoutKind};
use crate::base::log::LogLevel;
use crate::base::secret::Secret;
use crate::base::stats::Counter;
use crate::process::Process;
use crate::resolve::Config;
use crate::token::AccessToken;
use crate::token::cache::{FetchKind, Requirements, is_fresh_now, is_usable_now};

use entry::{Content, Entry, SharedToken};
use stored_entry::{Current, Lease, StoreResult, StoredEntry};

pub(crate) use entry::token_digest;
pub use identity::{Identity, Sharing, identify};

/// The longest duration of a lease: how long a leader that crashed delays the others.
pub(crate) const MAX_LEASE: Duration = Duration::from_secs(15);

/// How long before the end of the lease the request ends, so that the token can be written.
const LEASE_MARGIN: Duration = Duration::from_secs(1);

/// The shortest duration of a lease in which a refresh token is sent: what remains after some operations of the store
/// is at least [`leader::MIN_SPENDING_TIME`].
const MIN_SPENDING_LEASE: Duration = Duration::from_secs(8);

/// The shortest and the longest time between two reads while another process holds the lease.
const POLL_INTERVALS: (Duration, Duration) = (Duration::from_millis(20), Duration::from_millis(50));

/// The number of polls with the shortest time between them.
const SHORT_POLLS: u32 = 8;

/// The time between two attempts to acquire the lease, whose holder may have crashed.
const LEASE_ATTEMPT_INTERVAL: Duration = Duration::from_millis(300);

/// How often a request starts again because the lease was lost or another process has written.
const MAX_ROUNDS: u32 = 8;

/// Where a new token comes from, and the login state of the connection that the shared entry contains, too.
pub trait TokenSource {
    /// Requests a token. Calls `before_refresh` before it sends a refresh token, and does not send it if that
    /// fails.
    ///
    /// # Errors
    /// Those of the request, and of `before_refresh`.
    fn fetch(
        &self,
        call: &CallContext,
        may_prompt: bool,
        before_refresh: &BeforeRefresh<'_>,
    ) -> Result<AccessToken>;

    /// The refresh token that the next request would send.
    fn refresh_token(&self) -> Option<Secret>;

    /// Replaces the refresh token by that of the shared entry, which is newer.
    fn adopt_refresh_token(&self, token: Secret);
}

/// Called before a refresh token is sent.
pub type BeforeRefresh<'a> = dyn Fn() -> Result<()> + 'a;

/// One request of a caller.
#[derive(Clone, Copy)]
pub struct Request<'a> {
    /// Deadline, cancellation and log of the call.
    pub call: &'a CallContext,
    /// Why a token is needed.
    pub kind: FetchKind,
    /// The requirements of the caller.
    pub requirements: Requirements,
    /// The key in the cache of the process.
    pub cache_key: CacheKey,
    /// Whether the token belongs to a user who logged in, so that the entry has the refresh token.
    pub is_user_bound: bool,
    /// Whether a browser may be opened for the user.
    pub may_prompt: bool,
}

/// The shared entry of one connection, for one call.
pub struct SharedEntry<'a> {
    stored: StoredEntry<'a>,
    /// As [`POLL_INTERVALS`]; zero in tests.
    poll_intervals: (Duration, Duration),
}

/// How a round ended.
enum Round {
    /// With this result for the caller.
    Done(Result<AccessToken>),
    /// The entry has changed: the next round begins with it.
    Again,
    /// The caller requests a token without the store.
    Alone,
    /// The user must log in because of this error, and the caller may ask for it.
    Login(Error),
}

/// The outcome of waiting for the lease.
enum Acquired<'e> {
    Lease(Lease<'e>),
    Outcome(Result<AccessToken>),
    /// The time to wait is over.
    TimedOut,
}

impl<'a> SharedEntry<'a> {
    /// The shared entry for the token of `config`; `None` if the token is not shared.
    ///
    /// # Errors
    /// Errors of the signing key; [`OptionError::Invalid`](crate::base::error::OptionError) if TokenCacheSecret is
    /// required or the application has no store.
    pub fn open(config: &'a Config, process: &'a Process, warn: &'a dyn Fn(Error)) -> Result<Option<Self>> {
        let Some(settings) = &config.shared_cache else { return Ok(None) };
        let Sharing::Shared(identity) = identify(config, settings, &process.key_cache)? else {
            return Ok(None);
        };
        let handle = process.token_stores.get(&settings.location)?;
        let stored = StoredEntry::new(identity, handle, settings, process, warn);
        Ok(Some(Self { stored, poll_intervals: POLL_INTERVALS }))
    }

    /// Returns the token of the entry, or else requests one from `source` and shares it.
    ///
    /// # Errors
    /// Those of `source`, also of the request of another process; [`ErrorKind::Cancelled`] and
    /// [`ErrorKind::Timeout`] of the call. Failures of the store are warnings.
    pub fn get_or_fetch(&self, request: &Request<'_>, source: &dyn TokenSource) -> Result<AccessToken> {
        if self.stored.is_paused() {
            let log = &request.call.log;
            log.log(LogLevel::Debug, || {
                format!("{} failed recently and is not asked", self.stored.store_name())
            });
            return self.fetch_alone(request, source);
        }
        for _ in 0..MAX_ROUNDS {
            match self.round(request, source) {
                Ok(Round::Done(result)) => return result,
                Ok(Round::Again) => {}
                Ok(Round::Alone) => return self.fetch_alone(request, source),
                Ok(Round::Login(error)) => return self.log_in(&error, request, source),
                Err(failure) => {
                    request.call.check()?;
                    self.stored.report_failure(&failure);
                    return self.fetch_alone(request, source);
                }
            }
        }
        if request.is_user_bound {
            return Err(contended_error(self.stored.store_name()));
        }
        self.fetch_alone(request, source)
    }

    /// Requests a token without the store.
    fn fetch_alone(&self, request: &Request<'_>, source: &dyn TokenSource) -> Result<AccessToken> {
        self.check_may_fetch_alone(request)?;
        self.fetch(request.call, request.may_prompt, &|| Ok(()), source)
    }

    /// Without the store, other processes may send the same refresh token. A caller that still has a token does not
    /// take that risk.
    fn check_may_fetch_alone(&self, request: &Request<'_>) -> Result<()> {
        if request.is_user_bound && request.kind == FetchKind::EarlyRefresh {
            return Err(not_renewed_error(self.stored.store_name()));
        }
        Ok(())
    }

    /// Lets the user log in because of `error`, without the lease, and shares the token.
    fn log_in(&self, error: &Error, request: &Request<'_>, source: &dyn TokenSource) -> Result<AccessToken> {
        // The refresh token was refused, and is not sent again.
        let token = self.fetch(request.call, request.may_prompt, &|| Err(error.clone()), source)?;
        self.publish(&token, source.refresh_token().as_ref(), request);
        Ok(token)
    }

    /// Requests a token, and remembers a refresh token that was replaced: the entry may still have it if the store
    /// fails.
    fn fetch(
        &self,
        call: &CallContext,
        may_prompt: bool,
        before_refresh: &BeforeRefresh<'_>,
        source: &dyn TokenSource,
    ) -> Result<AccessToken> {
        let previous = source.refresh_token();
        let outcome = source.fetch(call, may_prompt, before_refresh);
        if let Some(previous) = previous.filter(|previous| source.refresh_token().as_ref() != Some(previous))
        {
            self.stored.process.shared_tokens.mark_replaced(token_digest(previous.reveal().as_bytes()));
        }
        outcome
    }

    /// Shares a token that was not requested through [`Self::get_or_fetch`], such as that of a login, unless the entry
    /// has a newer one. Failures are warnings.
    pub fn publish(&self, token: &AccessToken, refresh_token: Option<&Secret>, request: &Request<'_>) {
        let is_changed = self.change(request, |entry| {
            let age = self.stored.now().saturating_sub(token.cache_state.received_at());
            let is_older = entry.and_then(Entry::token_age).is_some_and(|newer| newer < age);
            (!is_older).then(|| self.token_content(token, refresh_token))
        });
        if is_changed {
            token.mark_shared(None);
        }
    }

    /// Removes the token from the entry, because its user logged off, and returns the refresh token of the entry.
    /// Failures are warnings.
    pub fn remove(&self, request: &Request<'_>) -> Option<Secret> {
        let mut refresh_token = None;
        self.change(request, |entry| {
            refresh_token = entry.and_then(Entry::refresh_token);
            Some(Content::default())
        });
        refresh_token
    }

    /// Replaces the content of the entry by `content`, if that is one. Returns whether it was written.
    fn change(&self, request: &Request<'_>, content: impl FnOnce(Option<&Entry>) -> Option<Content>) -> bool {
        if self.stored.is_paused() {
            return false;
        }
        let change = || -> StoreResult<bool> {
            let Some(lease) = self.wait_for_lease(request)? else { return Ok(false) };
            let Current { entry, stored_generation } = self.stored.read(request.call)?;
            let Some(content) = content(entry.as_ref()) else { return Ok(false) };
            Ok(self.stored.write(&lease, stored_generation, content, true, request.call)?.is_some())
        };
        change().unwrap_or_else(|failure| {
            self.stored.report_failure(&failure);
            false
        })
    }

    fn round(&self, request: &Request<'_>, source: &dyn TokenSource) -> StoreResult<Round> {
        let current = self.stored.read(request.call)?;
        if let Some(outcome) = self.outcome(current.entry.as_ref(), request) {
            return Ok(Round::Done(outcome));
        }
        match self.acquire(current, request)? {
            Acquired::Outcome(outcome) => Ok(Round::Done(outcome)),
            Acquired::TimedOut => {
                let waited = self.stored.settings.wait.as_secs_f64();
                request.call.log.log(LogLevel::Info, || {
                    format!(
                        "another process has been requesting this token for {waited} s; requesting one, too"
                    )
                });
                Ok(Round::Alone)
            }
            Acquired::Lease(lease) => self.lead(&lease, request, source),
        }
    }

    /// Returns the token or the refusal of `entry`, if the caller can use it.
    fn outcome(&self, entry: Option<&Entry>, request: &Request<'_>) -> Option<Result<AccessToken>> {
        let entry = entry?;
        if let Some(token) = self.usable_token(entry, request) {
            self.stored.process.stats.count(Counter::SharedCacheHits);
            request.call.log.log(LogLevel::Info, || {
                format!(
                    "using the token that {} shared in {}",
                    entry.content.machine,
                    self.stored.store_name()
                )
            });
            return Some(Ok(token));
        }
        if request.requirements.bypass_negative_cache {
            return None;
        }
        let error = entry.refusal()?;
        let may_log_in = request.may_prompt && error.oauth_reason() == Some(OAuthReason::ConsentRequired);
        (!may_log_in).then_some(Err(error))
    }

    fn usable_token(&self, entry: &Entry, request: &Request<'_>) -> Option<AccessToken> {
        if self.is_rejected(entry) {
            return None;
        }
        let clock = self.stored.process.clock.as_ref();
        let token = entry.token(request.cache_key, clock)?;
        let is_useful = match request.kind {
            FetchKind::EarlyRefresh => is_fresh_now(&token, request.requirements, clock),
            FetchKind::Needed | FetchKind::Probe => is_usable_now(&token, request.requirements, clock),
        };
        is_useful.then_some(token)
    }

    /// Whether the API rejected the token of the entry, and it is time to replace it.
    fn is_rejected(&self, entry: &Entry) -> bool {
        let digest = entry.content.token.as_ref().map(SharedToken::digest);
        digest.is_some_and(|digest| self.stored.process.shared_tokens.is_rejected(&digest))
            && entry.permits_rejection()
    }

    /// Acquires the lease, or waits for the outcome of its holder. `current` is the entry as read before.
    fn acquire(&self, mut current: Current, request: &Request<'_>) -> StoreResult<Acquired<'_>> {
        let started = self.stored.now();
        let limit = self.wait_limit(request);
        let mut next_attempt = started;
        let mut polls: u32 = 0;
        loop {
            let now = self.stored.now();
            if now >= next_attempt {
                if let Some(lease) = self.try_lease(request)? {
                    return Ok(Acquired::Lease(lease));
                }
                next_attempt = now.saturating_add(LEASE_ATTEMPT_INTERVAL);
            }
            if request.kind == FetchKind::EarlyRefresh {
                return Ok(Acquired::Outcome(Err(renewed_elsewhere_error())));
            }
            if let Err(error) = request.call.check() {
                return Ok(Acquired::Outcome(Err(error)));
            }
            if now.saturating_sub(started) >= limit {
                return Ok(if request.is_user_bound {
                    Acquired::Outcome(Err(contended_error(self.stored.store_name())))
                } else {
                    Acquired::TimedOut
                });
            }
            self.stored.wait_for_change(&current, self.poll_interval(polls), request.call)?;
            polls = polls.saturating_add(1);
            current = self.stored.read(request.call)?;
            if let Some(outcome) = self.outcome(current.entry.as_ref(), request) {
                return Ok(Acquired::Outcome(outcome));
            }
        }
    }

    /// How long to wait for another process. It leaves half of the call's time for a request of one's own. A request
    /// that spends a refresh token must not be sent while another process may send it, so it waits for the end of
    /// the lease: of that of a process that crashed, and of that of its successor.
    fn wait_limit(&self, request: &Request<'_>) -> Duration {
        if request.is_user_bound {
            return self.stored.settings.wait.max(MAX_LEASE.saturating_mul(2).saturating_add(LEASE_MARGIN));
        }
        let half = request.call.deadline.remaining().and_then(|remaining| remaining.checked_div(2));
        half.map_or(self.stored.settings.wait, |half| half.min(self.stored.settings.wait))
    }

    /// The first polls follow each other closely, since most requests take a few hundred milliseconds at most.
    fn poll_interval(&self, polls: u32) -> Duration {
        let (min, max) = self.poll_intervals;
        let base = if polls < SHORT_POLLS { min } else { max.checked_div(2).unwrap_or(min) };
        base.saturating_add(self.stored.process.jitter.sample().scale_duration(max.saturating_sub(base)))
    }

    fn wait_for_lease(&self, request: &Request<'_>) -> StoreResult<Option<Lease<'_>>> {
        let started = self.stored.now();
        loop {
            if let Some(lease) = self.try_lease(request)? {
                return Ok(Some(lease));
            }
            let is_over = self.stored.now().saturating_sub(started) >= self.stored.settings.wait;
            if is_over || request.call.check().is_err() || request.call.sleep(self.poll_intervals.1).is_err()
            {
                return Ok(None);
            }
        }
    }

    fn try_lease(&self, request: &Request<'_>) -> StoreResult<Option<Lease<'_>>> {
        let shortest = if request.is_user_bound { MIN_SPENDING_LEASE } else { Duration::ZERO };
        let remaining = request.call.deadline.remaining();
        let needed = remaining.map(|remaining| remaining.saturating_add(LEASE_MARGIN));
        let duration = needed.map_or(MAX_LEASE, |needed| needed.clamp(shortest, MAX_LEASE));
        self.stored.try_lease(duration, request.call)
    }

    fn token_content(&self, token: &AccessToken, refresh_token: Option<&Secret>) -> Content {
        Content {
            token: Some(SharedToken::new(token)),
            refresh_token: refresh_token.map(entry::Text::from),
            ..Content::default()
        }
    }
}

fn renewed_elsewhere_error() -> Error {
    Error::new(ErrorKind::NotCached, "token cache", "another process is renewing the token")
        .with_cause(Cause::Caller)
}

fn not_renewed_error(store: &str) -> Error {
    let text = format!(
        "the login is not renewed before its token expires, because other processes may use its refresh token and \
         {store} failed recently"
    );
    Error::new(ErrorKind::NotCached, "token cache", text).with_cause(Cause::Caller)
}

fn contended_error(store: &str) -> Error {
    let text = format!(
        "another process has been using the refresh token in {store} for a long time; it must not be used twice. \
         Try again later"
    );
    Error::new(ErrorKind::Timeout(TimeoutKind::Call), "token cache", text).with_cause(Cause::Caller)
}
