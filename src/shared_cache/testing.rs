//! Simulated processes that share tokens through a store in memory, and the authorization server that they use.
#![cfg_attr(feature = "model", allow(dead_code, reason = "loom tests use a part of it"))]

use std::collections::{BTreeMap, VecDeque};
use std::ffi::CString;
use std::num::NonZeroU16;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use aws_lc_rs::hmac;
use zeroize::Zeroizing;

use super::stored_entry::StoredEntry;
use super::{BeforeRefresh, Identity, Request, SharedEntry, TokenSource, token_digest};
use crate::base::cache_key::CacheKey;
use crate::base::call::CallContext;
use crate::base::clock::Clock;
use crate::base::error::{Cause, Error, OAuthError, OAuthReason, Result};
use crate::base::jitter::{Fraction, Jitter};
use crate::base::secret::Secret;
use crate::process::Process;
use crate::resolve::SharedCacheConfig;
use crate::sys::sync::Mutex;
use crate::token::cache::{FetchKind, Requirements};
use crate::token::{AccessToken, CacheState};
use crate::token_store::testing::{Fault, MemoryClient, MemoryStore, Operation, WorldTime};
use crate::token_store::{EntryName, StoreHandle, StoreLocation};

pub(super) const LIFETIME: Duration = Duration::from_secs(3600);

/// The clocks of one machine. Its wall clock differs from that of others.
pub(super) struct MachineClock {
    time: WorldTime,
    offset_secs: Arc<AtomicI64>,
}

impl Clock for MachineClock {
    fn unix_seconds(&self) -> i64 {
        let elapsed = i64::try_from(self.time.millis() / 1000).unwrap();
        1_700_000_000 + elapsed + self.offset_secs.load(Ordering::SeqCst)
    }

    fn boot_time(&self) -> Duration {
        Duration::from_secs(100_000) + Duration::from_millis(self.time.millis())
    }
}

/// The identity of the entry of user number `user`.
pub(super) fn identity(user: u8) -> Identity {
    Identity { name: EntryName::from_digest([user; 32]), key: Zeroizing::new([user; 32]) }
}

pub(super) fn cache_key() -> CacheKey {
    CacheKey::digest(&hmac::Key::new(hmac::HMAC_SHA256, b"test"), &"user")
}

/// A store, an authorization server and the time.
pub(super) struct World {
    pub(super) time: WorldTime,
    pub(super) store: Arc<MemoryStore>,
    pub(super) server: Arc<AuthServer>,
}

impl World {
    pub(super) fn new() -> Self {
        let time = WorldTime::default();
        Self { store: MemoryStore::new(&time), server: AuthServer::new(&time), time }
    }

    /// A process on a machine of its own.
    pub(super) fn process(&self) -> SimulatedProcess {
        self.process_with(|_, _| None)
    }

    /// A process each of whose operations takes `millis`.
    pub(super) fn slow_process(&self, millis: u64) -> SimulatedProcess {
        let time = self.time.clone();
        self.process_with(move |_, _| {
            time.advance(Duration::from_millis(millis));
            None
        })
    }

    /// A process that runs `hook` before each operation of its store.
    pub(super) fn process_with(
        &self,
        hook: impl Fn(usize, Operation) -> Option<Fault> + Send + Sync + 'static,
    ) -> SimulatedProcess {
        let offset_secs = Arc::new(AtomicI64::new(0));
        let clock = MachineClock { time: self.time.clone(), offset_secs: Arc::clone(&offset_secs) };
        let process = Process::with_jitter(Box::new(clock), Jitter::pinned(Fraction::new(0)));
        let warnings: Arc<Mutex<Vec<Error>>> = Arc::default();
        let client = self.store.client(hook);
        SimulatedProcess {
            source: FakeSource {
                server: Arc::clone(&self.server),
                clock: Arc::clone(&process.clock),
                cache_key: cache_key(),
                refresh_token: Arc::new(Mutex::new(Some(Secret::from("r0")))),
                is_user_bound: false,
                can_log_in: false,
                during_request: Mutex::default(),
            },
            process,
            offset_secs,
            handle: StoreHandle::for_test(client.clone()),
            client,
            settings: SharedCacheConfig {
                location: StoreLocation::Application,
                secret: None,
                timeout: Duration::from_millis(500),
                wait: Duration::from_secs(5),
                prompted_user: None,
            },
            user: 1,
            warn: {
                let warnings = Arc::clone(&warnings);
                Box::new(move |warning| warnings.lock().push(warning))
            },
            warnings,
        }
    }

    /// A process with the login of a user, whose refresh token at first is `r0`.
    pub(super) fn user_process(&self) -> SimulatedProcess {
        self.process().with_login()
    }

    pub(super) fn advance(&self, duration: Duration) {
        self.time.advance(duration);
    }

    /// The content of the entry of user 1.
    pub(super) fn entry(&self) -> Option<super::Entry> {
        let identity = identity(1);
        let (bytes, millis) = self.store.value(&identity.name)?;
        let ttl = Duration::from_millis(millis.unsigned_abs());
        super::entry::open(&identity, &crate::token_store::StoredValue { bytes, ttl })
    }
}

/// One process of a world.
pub(super) struct SimulatedProcess {
    pub(super) process: Process,
    offset_secs: Arc<AtomicI64>,
    pub(super) handle: Arc<StoreHandle>,
    pub(super) client: MemoryClient,
    pub(super) settings: SharedCacheConfig,
    pub(super) user: u8,
    pub(super) source: FakeSource,
    warn: Box<dyn Fn(Error) + Send + Sync>,
    warnings: Arc<Mutex<Vec<Error>>>,
}

impl SimulatedProcess {
    pub(super) fn with_login(mut self) -> Self {
        self.source.is_user_bound = true;
        self
    }

    pub(super) fn with_wait(mut self, wait: Duration) -> Self {
        self.settings.wait = wait;
        self
    }

    /// Sets the wall clock of the machine forward or back.
    pub(super) fn step_clock(&self, seconds: i64) {
        self.offset_secs.fetch_add(seconds, Ordering::SeqCst);
    }

    pub(super) fn entry(&self) -> SharedEntry<'_> {
        let (identity, handle) = (identity(self.user), Arc::clone(&self.handle));
        let stored = StoredEntry::new(identity, handle, &self.settings, &self.process, &*self.warn);
        SharedEntry { stored, poll_intervals: (Duration::ZERO, Duration::ZERO) }
    }

    pub(super) fn request<'a>(&self, call: &'a CallContext) -> Request<'a> {
        Request {
            call,
            kind: FetchKind::Needed,
            requirements: Requirements::default(),
            cache_key: self.source.cache_key,
            is_user_bound: self.source.is_user_bound,
            may_prompt: self.source.can_log_in,
        }
    }

    pub(super) fn get(&self) -> Result<AccessToken> {
        self.get_in(&CallContext::unbounded())
    }

    pub(super) fn get_in(&self, call: &CallContext) -> Result<AccessToken> {
        self.get_for(&self.request(call))
    }

    pub(super) fn get_for(&self, request: &Request<'_>) -> Result<AccessToken> {
        self.entry().get_or_fetch(request, &self.source)
    }

    pub(super) fn refresh_early(&self) -> Result<AccessToken> {
        let call = CallContext::unbounded();
        self.get_for(&Request { kind: FetchKind::EarlyRefresh, may_prompt: false, ..self.request(&call) })
    }

    /// The value of the token, which must be obtained.
    pub(super) fn get_value(&self) -> String {
        value(&self.get().unwrap())
    }

    /// Records that the API rejected a token.
    pub(super) fn reject(&self, token: &AccessToken) {
        self.process.shared_tokens.mark_rejected(token_digest(token.value.to_bytes()));
    }

    pub(super) fn operations(&self) -> Vec<Operation> {
        self.client.take_operations()
    }

    pub(super) fn take_warnings(&self) -> Vec<Error> {
        std::mem::take(&mut *self.warnings.lock())
    }
}

pub(super) fn value(token: &AccessToken) -> String {
    token.value.to_str().unwrap().to_owned()
}

/// An authorization server that rotates refresh tokens: `r0` is followed by `r1`, and so on.
pub(super) struct AuthServer {
    time: WorldTime,
    pub(super) state: Mutex<ServerState>,
}

#[derive(Default)]
pub(super) struct ServerState {
    /// The refresh tokens that were sent, or `None` for requests without one.
    pub(super) requests: Vec<Option<String>>,
    pub(super) current_refresh_token: u64,
    /// How the next requests fail.
    pub(super) refusals: VecDeque<Error>,
    /// Whether a spent refresh token is accepted once more.
    pub(super) accepts_reuse: bool,
    /// When each access token was received, in milliseconds: its lifetime is counted from then.
    pub(super) received_at: Vec<u64>,
    /// The text that is appended to each access token.
    pub(super) padding: String,
}

impl AuthServer {
    pub(super) fn new(time: &WorldTime) -> Arc<Self> {
        Arc::new(Self { time: time.clone(), state: Mutex::default() })
    }

    pub(super) fn request_count(&self) -> usize {
        self.state.lock().requests.len()
    }

    /// The refresh tokens that were sent.
    pub(super) fn sent_refresh_tokens(&self) -> Vec<String> {
        self.state.lock().requests.iter().flatten().cloned().collect()
    }

    /// Lets the next request fail with `error`.
    pub(super) fn refuse_next(&self, error: Error) {
        self.state.lock().refusals.push_back(error);
    }

    /// Issues an access token, and a refresh token if one was sent.
    fn process_request(&self, refresh_token: Option<&str>) -> Result<(String, Option<String>)> {
        let mut state = self.state.lock();
        state.requests.push(refresh_token.map(str::to_owned));
        if let Some(error) = state.refusals.pop_front() {
            return Err(error);
        }
        let mut successor = None;
        if let Some(sent) = refresh_token {
            if sent != format!("r{}", state.current_refresh_token) && !state.accepts_reuse {
                return Err(refusal(OAuthReason::ConsentRequired, "invalid_grant"));
            }
            state.current_refresh_token += 1;
            successor = Some(format!("r{}", state.current_refresh_token));
        }
        Ok((self.issue(&mut state), successor))
    }

    /// Logs the user in: ends the tokens of earlier logins.
    pub(super) fn log_in(&self) -> (String, String) {
        let mut state = self.state.lock();
        state.current_refresh_token += 100;
        (self.issue(&mut state), format!("r{}", state.current_refresh_token))
    }

    fn issue(&self, state: &mut ServerState) -> String {
        state.received_at.push(self.time.millis());
        format!("at{}{}", state.received_at.len(), state.padding)
    }

    fn record_receipt(&self, token: &str) {
        let received_at = &mut self.state.lock().received_at;
        received_at[usize::try_from(number_of(token)).unwrap() - 1] = self.time.millis();
    }

    pub(super) fn advance(&self, duration: Duration) {
        self.time.advance(duration);
    }
}

/// The number in the name of a token, such as 12 of `at12-user1`.
pub(super) fn number_of(token: &str) -> u64 {
    let digits = token.trim_start_matches(|c: char| c.is_ascii_alphabetic());
    digits.chars().take_while(char::is_ascii_digit).collect::<String>().parse().unwrap()
}

/// An error response.
pub(super) fn refusal(reason: OAuthReason, error: &str) -> Error {
    let kind = OAuthError {
        error: Some(error.to_owned()),
        http_status: NonZeroU16::new(400),
        ..OAuthError::from(reason)
    };
    Error::new(kind, "token", "no").with_cause(Cause::Server)
}

/// When a [`FakeSource`] calls its hook.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum RequestPhase {
    /// Before the request is sent; after the announcement of a refresh token.
    Send,
    /// After the server has processed it.
    Receive,
    LogIn,
}

type RequestHook = Box<dyn FnMut(RequestPhase) -> Result<()> + Send>;

/// Requests tokens from an [`AuthServer`] for one connection of a process.
pub(super) struct FakeSource {
    pub(super) server: Arc<AuthServer>,
    clock: Arc<dyn Clock>,
    cache_key: CacheKey,
    pub(super) refresh_token: Arc<Mutex<Option<Secret>>>,
    pub(super) is_user_bound: bool,
    /// Whether a user logs in if the caller permits it.
    pub(super) can_log_in: bool,
    pub(super) during_request: Mutex<Option<RequestHook>>,
}

impl FakeSource {
    /// Runs `hook` in each request.
    pub(super) fn during_request(&self, hook: impl FnMut(RequestPhase) -> Result<()> + Send + 'static) {
        *self.during_request.lock() = Some(Box::new(hook));
    }

    /// Runs `hook` before the next request is sent.
    pub(super) fn before_next_request(&self, hook: impl FnOnce() + Send + 'static) {
        let mut hook = Some(hook);
        self.during_request(move |phase| {
            if phase == RequestPhase::Send
                && let Some(hook) = hook.take()
            {
                hook();
            }
            Ok(())
        });
    }

    fn enter(&self, phase: RequestPhase) -> Result<()> {
        // Without the lock: the hook may run another request.
        let Some(mut hook) = self.during_request.lock().take() else { return Ok(()) };
        let outcome = hook(phase);
        self.during_request.lock().get_or_insert(hook);
        outcome
    }

    fn receive(&self, value: String) -> AccessToken {
        self.server.record_receipt(&value);
        self.token(value)
    }

    pub(super) fn token(&self, value: String) -> AccessToken {
        AccessToken {
            value: Zeroizing::new(CString::new(value).unwrap()),
            scope: Some(CString::from(c"the scope")),
            fields: BTreeMap::new(),
            issued_at: self.clock.unix_seconds(),
            expires_at: Some(self.clock.unix_seconds() + i64::try_from(LIFETIME.as_secs()).unwrap()),
            cache_key: self.cache_key,
            cache_state: CacheState::new(self.clock.boot_time()),
        }
    }

    fn refresh(&self, call: &CallContext, before_refresh: &BeforeRefresh<'_>) -> Result<AccessToken> {
        before_refresh()?;
        let sent = self.refresh_token();
        self.enter(RequestPhase::Send)?;
        call.check()?;
        let (token, successor) = self.server.process_request(sent.as_ref().map(Secret::reveal))?;
        self.enter(RequestPhase::Receive)?;
        *self.refresh_token.lock() = successor.as_deref().map(Secret::from);
        Ok(self.receive(token))
    }
}

impl TokenSource for FakeSource {
    fn fetch(
        &self,
        call: &CallContext,
        may_prompt: bool,
        before_refresh: &BeforeRefresh<'_>,
    ) -> Result<AccessToken> {
        if !self.is_user_bound {
            self.enter(RequestPhase::Send)?;
            call.check()?;
            let (token, _) = self.server.process_request(None)?;
            self.enter(RequestPhase::Receive)?;
            return Ok(self.receive(token));
        }
        let refreshed = match self.refresh_token() {
            Some(_) => self.refresh(call, before_refresh),
            None => Err(Error::new(OAuthReason::ConsentRequired, "token", "no user has logged in")),
        };
        match refreshed {
            Err(error)
                if may_prompt
                    && self.can_log_in
                    && error.oauth_reason() == Some(OAuthReason::ConsentRequired) =>
            {
                self.enter(RequestPhase::LogIn)?;
                let (token, refresh_token) = self.server.log_in();
                *self.refresh_token.lock() = Some(Secret::from(&*refresh_token));
                Ok(self.token(token))
            }
            outcome => outcome,
        }
    }

    fn refresh_token(&self) -> Option<Secret> {
        self.refresh_token.lock().clone()
    }

    fn adopt_refresh_token(&self, token: Secret) {
        *self.refresh_token.lock() = Some(token);
    }
}
