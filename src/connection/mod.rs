//! The heart of a handle: the options now in force, the cache, else the flow.

pub mod api_headers;

use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use parking_lot::Mutex;

use crate::base::cache_key::CacheKey;
use crate::base::call::{CallContext, CancelToken};
use crate::base::error::{Error, Result, Status};
use crate::base::file::FileVersion;
use crate::base::log::{Log, LogLevel};
use crate::base::policy::Policy;
use crate::base::secret::Secret;
use crate::base::stats::Counter;
use crate::connection::api_headers::ApiHeaders;
use crate::grants::{self, GrantContext};
use crate::key::{CallbackSigner, KeyOrigin};
use crate::net::http;
use crate::options::{Environment, Options, ProcessEnvironment};
use crate::process::Process;
use crate::process::login_state::{LoginState, RefreshTokenCallback};
use crate::resolve::{Config, Flow};
use crate::sys::{self, PerProcess, SharedRef, StripedSlots};
use crate::token::cache::{FetchKind, Requirements, SourceVersions};
use crate::token::{AccessToken, TokenHandle};

mod authorize;
mod fast_path;
mod interner;
mod logoff;
mod snapshot;
mod token_options;

use logoff::HeldToken;
use snapshot::{Snapshot, SnapshotCell};

pub use snapshot::ConnectionView;

/// The longest that an early renewal keeps a caller who has a token.
const EARLY_RENEWAL_TIMEOUT: Duration = Duration::from_secs(2);

/// The same where the server may take back the refresh token that it is sent: an answer that nobody waits for would lose the
/// login.
const ROTATING_RENEWAL_TIMEOUT: Duration = Duration::from_secs(10);

/// How one call differs from the connection's own ways.
#[derive(Clone, Copy, Debug, Default)]
pub struct CallOptions {
    /// The limit of the whole call; none is LoginTimeout's.
    pub timeout: Option<Duration>,
    /// Seconds that the token must have left, as far as any of its kind can.
    pub min_remaining: i64,
    /// Only what is cached or can be signed here.
    pub no_network: bool,
    /// No browser for a person, whatever EnableLoginPrompt says.
    pub no_prompt: bool,
    /// The server is asked although it refused a moment ago.
    pub bypass_negative_cache: bool,
}

impl CallOptions {
    fn can_use_fast_path(self) -> bool {
        self.min_remaining == 0 && !self.bypass_negative_cache
    }
}

/// One connection string with what was set since; in C an `authgrant_connection`, closed with authgrant_close.
pub struct Connection {
    snapshot: SnapshotCell,
    handle_slots: StripedSlots<TokenHandle>,
    log: ArcSwap<Log>,
    state: PerProcess<ConnectionState>,
    /// The process that opened it, counted by forks.
    opened_generation: u64,
}

/// What happens on a connection; a forked child begins with none of it.
#[derive(Default)]
struct ConnectionState {
    id: u64,
    login_state: LoginState,
    cancel_tokens: Mutex<Vec<Weak<CancelToken>>>,
    warnings: Mutex<Vec<Error>>,
    held_tokens: Mutex<Vec<HeldToken>>,
    /// Whose tokens nobody but this connection can ask for.
    exclusive_keys: Mutex<Vec<CacheKey>>,
}

impl Connection {
    /// Reads a connection string, and the data source and model file that it names; what its values mean is found out
    /// later.
    ///
    /// # Errors
    /// [`Status::InvalidConnectionString`], [`Status::DataSourceNotFound`]; [`Status::Internal`] where the operating system
    /// gives no random numbers.
    pub fn open(text: &str) -> Result<Self> {
        Self::open_with_environment(text, &ProcessEnvironment)
    }

    /// As [`Self::open`], in surroundings that say where data sources stand.
    ///
    /// # Errors
    /// Those of [`Self::open`].
    pub fn open_with_environment(text: &str, environment: &dyn Environment) -> Result<Self> {
        Self::open_with_process(text, environment, None)
    }

    fn open_with_process(
        text: &str,
        environment: &dyn Environment,
        process: Option<&'static Process>,
    ) -> Result<Self> {
        Process::check_random()?;
        sys::prewarm_before_fork(http::prewarm);
        Policy::freeze();
        let options = Options::open(text, environment)?;
        Ok(Self {
            handle_slots: snapshot::process_or_current(process).slot_registry.register(),
            snapshot: SnapshotCell::new(options, process),
            log: ArcSwap::default(),
            state: PerProcess::new(),
            opened_generation: sys::generation(),
        })
    }

    /// Sets options, all or none.
    ///
    /// # Errors
    /// [`Status::InvalidOption`] for a bad name or a value of the wrong type.
    pub fn set_options(&self, pairs: &[(&str, &str)]) -> Result<()> {
        self.snapshot.update_options(|options| options.set(pairs))?;
        self.clear_negative_entry();
        Ok(())
    }

    /// Signs with `signer` from the next call on; without one with the options' key again.
    pub fn set_signer(&self, signer: Option<&CallbackSigner>) {
        self.snapshot.set_signer(signer);
        self.clear_negative_entry();
    }

    fn clear_negative_entry(&self) {
        let snapshot = self.snapshot.load_revalidated();
        if let Ok(config) = snapshot.config() {
            self.process().cache.clear_negative(self.cache_key(&snapshot, config));
        }
    }

    /// The token to send: the cached one while it is good, else a fetched one.
    ///
    /// # Errors
    /// What is wrong with the options, and those of fetching.
    pub fn get_token_handle(&self, wishes: CallOptions) -> Result<SharedRef<TokenHandle>> {
        if wishes.can_use_fast_path()
            && let Some(lease) = self.get_cached_handle().or_else(|| self.get_shared_handle())
        {
            return Ok(lease);
        }
        Process::check_random()?;
        let version = self.snapshot.version();
        let snapshot = self.snapshot.load_revalidated();
        let config = snapshot.config()?;
        let token = self.get_or_fetch_token(&snapshot, config, wishes)?;
        self.track_for_logoff(token.cache_key, &snapshot, config);
        let want = self.requirements(config, token.cache_key, CallOptions::default());
        Ok(self.publish_token(token, want, version, &snapshot, config))
    }

    /// As [`Self::lease`], the token itself.
    ///
    /// # Errors
    /// Those of [`Self::lease`].
    pub fn get_token(&self, wishes: CallOptions) -> Result<Arc<AccessToken>> {
        self.get_token_handle(wishes).map(|lease| Arc::clone(lease.token()))
    }

    /// The headers of a request to the API.
    ///
    /// # Errors
    /// Those of [`Self::get_token`].
    pub fn get_headers(&self) -> Result<ApiHeaders> {
        self.get_headers_with(CallOptions::default())
    }

    /// As [`Self::get_headers`], with wishes.
    ///
    /// # Errors
    /// Those of [`Self::get_token`].
    pub fn get_headers_with(&self, wishes: CallOptions) -> Result<ApiHeaders> {
        // With a token at hand no file is looked at.
        let snapshot = match self.snapshot.load() {
            seen if seen.has_token_flow() => seen,
            _ => self.snapshot.load_revalidated(),
        };
        let config = snapshot.config()?;
        if let Flow::Headers(headers) = &config.flow {
            return ApiHeaders::without_token(headers, &config.headers);
        }
        let lease = self.get_token_handle(wishes)?;
        ApiHeaders::new(lease, &self.snapshot.load().config()?.headers)
    }

    /// The signed JWT of the flow, by itself.
    ///
    /// # Errors
    /// The key's; [`Status::Unsupported`] where the flow signs nothing.
    pub fn make_assertion(&self) -> Result<Secret> {
        let snapshot = self.snapshot.load_revalidated();
        let config = snapshot.config()?;
        grants::sign_assertion(config, self.process(), &|warning| self.warn(warning))
    }

    /// The options in force as one connection string, with secrets and with the tokens of now where they are wanted.
    #[must_use]
    pub fn completed_string(&self, secrets: bool, tokens: bool) -> Secret {
        let snapshot = self.snapshot.load_revalidated();
        let instead = match snapshot.config() {
            Ok(config) if tokens => self.current_token_options(&snapshot, config),
            Ok(config) if secrets => {
                self.latest_refresh_token_option(&snapshot, config, "RefreshToken").into_iter().collect()
            }
            _ => Vec::new(),
        };
        snapshot.options_as_given.completed_connection_string(secrets, &instead)
    }

    /// Who is told of refresh tokens that take the place of others.
    pub fn set_on_refresh_token(&self, told: Option<RefreshTokenCallback>) {
        self.state().login_state.set_refresh_token_callback(told);
    }

    /// The API refused this token.
    pub fn reject_token(&self, token: &AccessToken) {
        let process = self.process();
        process.cache.reject(token, process.clock.as_ref());
        let snapshot = self.snapshot.load();
        if let Ok(Config { flow: Flow::AccessToken(given), .. }) = snapshot.config()
            && given.reveal().as_bytes() == token.value().to_bytes()
        {
            self.state().login_state.mark_rejected(token.value());
        }
    }

    /// Ends the calls that are inside this connection now.
    pub fn cancel(&self) {
        let calls = std::mem::take(&mut *self.state().cancel_tokens.lock());
        for cancel in calls.iter().filter_map(Weak::upgrade) {
            cancel.cancel();
        }
    }

    /// Sends log lines elsewhere from the next call on.
    pub fn set_log(&self, log: Log) {
        self.log.store(Arc::new(log));
    }

    /// What is allowed and not as it should be: about the text, about its meaning, and from the calls so far.
    #[must_use]
    pub fn warnings(&self) -> Vec<Error> {
        let snapshot = self.snapshot.load_revalidated();
        let told = self.state().warnings.lock().clone();
        [snapshot.warnings(), told].concat()
    }

    /// What is in force now, for those who look and do not touch.
    #[must_use]
    pub fn view(&self) -> ConnectionView {
        ConnectionView { snapshot: self.snapshot.load_revalidated(), process: self.process() }
    }

    fn process(&self) -> &'static Process {
        self.snapshot.process()
    }

    fn state(&self) -> &ConnectionState {
        let number = || self.process().next_connection_id();
        self.state.get_or_init(|| ConnectionState { id: number(), ..ConnectionState::default() })
    }

    fn get_or_fetch_token(
        &self,
        snapshot: &Snapshot,
        config: &Config,
        wishes: CallOptions,
    ) -> Result<Arc<AccessToken>> {
        let process = self.process();
        let identity = self.cache_key(snapshot, config);
        self.seed_configured_token(config, identity);
        let (clock, want) = (process.clock.as_ref(), self.requirements(config, identity, wishes));
        if wishes.no_network && grants::needs_network(config) {
            return process.cache.peek(identity, want, clock).ok_or_else(not_cached_error);
        }
        let call = self.begin_call(config, wishes);
        let outcome = self.with_grant_context(identity, &call, !wishes.no_prompt, |context| {
            process.cache.get(identity, want, clock, &call, &|| read_source_versions(config), |kind| {
                let call = limit_call_for_fetch(kind, &call, want.refresh_timeout);
                let may_prompt = context.may_prompt && kind != FetchKind::EarlyRefresh;
                self.fetch_token(config, kind, &GrantContext { call: &call, may_prompt, ..*context })
            })
        });
        let outcome = outcome.map_err(|error| grants::add_consent_guidance(error, config));
        if let Err(error) = &outcome {
            call.log.log(LogLevel::Error, || error.message().to_owned());
        }
        outcome
    }

    fn fetch_token(
        &self,
        config: &Config,
        kind: FetchKind,
        context: &GrantContext<'_>,
    ) -> Result<AccessToken> {
        let log = &context.call.log;
        log.log(LogLevel::Debug, || format!("requesting a token ({})", fetch_reason(kind)));
        let stats = &context.process.stats;
        let started = Instant::now();
        let outcome = grants::fetch_token(config, context);
        stats.record_fetch_time(started.elapsed());
        match outcome {
            Ok(token) => {
                stats.count(Counter::TokensFetched);
                if kind == FetchKind::EarlyRefresh {
                    stats.count(Counter::EarlyRenewals);
                }
                log.log(LogLevel::Info, || {
                    fetched_message(&token, kind, context.process.clock.unix_seconds())
                });
                Ok(self.attach_id_token(token))
            }
            Err(error) => {
                stats.count_failure(&error);
                // Any other failure is the caller's to hear, and is logged as one.
                if kind == FetchKind::EarlyRefresh {
                    log.log(LogLevel::Info, || format!("the early renewal failed: {}", error.message()));
                }
                Err(error)
            }
        }
    }

    fn with_grant_context<T>(
        &self,
        identity: CacheKey,
        call: &CallContext,
        may_prompt: bool,
        work: impl FnOnce(&GrantContext<'_>) -> T,
    ) -> T {
        let warn = |warning: Error| {
            call.log.log(LogLevel::Warning, || warning.message().to_owned());
            self.warn(warning);
        };
        let (process, session) = (self.process(), &self.state().login_state);
        let user_waits = false;
        work(&GrantContext {
            process,
            login_state: session,
            call,
            cache_key: identity,
            may_prompt,
            bypass_circuit_breaker: user_waits,
            warn: &warn,
        })
    }

    /// What a call wants of the token of `identity`.
    fn requirements(&self, config: &Config, identity: CacheKey, wishes: CallOptions) -> Requirements {
        let process = self.process();
        let rotates = grants::may_rotate_refresh_token(config, &self.state().login_state, process);
        Requirements {
            min_remaining: wishes.min_remaining,
            refresh_margin: config.refresh_margin,
            refresh_jitter: process.jitter.for_key(&identity),
            refresh_timeout: if rotates { ROTATING_RENEWAL_TIMEOUT } else { EARLY_RENEWAL_TIMEOUT },
            bypass_negative_cache: wishes.bypass_negative_cache,
        }
    }

    /// Of what is got by `config`, which is what `snapshot` means.
    fn cache_key(&self, snapshot: &Snapshot, config: &Config) -> CacheKey {
        let user = sys::effective_user_id();
        let digest = |alone: Option<u64>| {
            // Those who share a token agree on who is told of its end.
            let logoff = config.logoff.as_ref().map(|logoff| logoff.endpoint.as_str());
            CacheKey::digest(
                &self.process().cache_key_secret,
                &(user, &config.flow, &config.preset_token, logoff, alone),
            )
        };
        if !self.has_private_cache(config) && !has_callback_signer(config) {
            return snapshot.cache_key(user, || digest(None));
        }
        let identity = digest(self.has_private_cache(config).then(|| self.state().id));
        self.track_exclusive_key(identity);
        identity
    }

    /// Whether what it gets is for no other connection: equal options do not name the person who logged in, whose token was
    /// given or who consented for others.
    fn has_private_cache(&self, config: &Config) -> bool {
        config.private_cache || config.flow.is_user_bound() || self.state().login_state.has_id_token()
    }

    pub(crate) fn begin_call(&self, config: &Config, wishes: CallOptions) -> CallContext {
        let person = config
            .authorization_request
            .as_ref()
            .filter(|_| config.flow.login().is_some_and(|login| login.may_prompt) && !wishes.no_prompt);
        let call = match (wishes.timeout, config.login_timeout, person) {
            (Some(timeout), ..) => CallContext::with_timeout(timeout, "the call's timeout"),
            (None, Some(timeout), None) => CallContext::with_timeout(timeout, "LoginTimeout"),
            (None, Some(timeout), Some(person)) => {
                let both = timeout.saturating_add(person.timeout);
                CallContext::with_timeout(both, "LoginTimeout and ConsentTimeout")
            }
            (None, None, _) => CallContext::unbounded(),
        };
        self.register_call(CallContext { request_timeout: config.request_timeout, ..call })
    }

    /// Lets `call` be cancelled through this connection, and gives it the connection's log.
    fn register_call(&self, call: CallContext) -> CallContext {
        let mut calls = self.state().cancel_tokens.lock();
        calls.retain(|cancel| cancel.strong_count() > 0);
        calls.push(Arc::downgrade(&call.cancel));
        CallContext { log: Log::clone(&self.log.load()), ..call }
    }

    fn warn(&self, warning: Error) {
        let mut warnings = self.state().warnings.lock();
        if !warnings.contains(&warning) {
            warnings.push(warning);
        }
    }
}

/// No other connection has the signer, so none can ask for what it brings.
fn has_callback_signer(config: &Config) -> bool {
    grants::assertion_config(config)
        .is_some_and(|signing| matches!(signing.key.origin, KeyOrigin::Callback(_)))
}

fn read_source_versions(config: &Config) -> SourceVersions {
    grants::source_files(config).into_iter().map(|file| FileVersion::read(file).ok()).collect()
}

/// The call of a fetch: an early renewal is bounded more closely, since its caller has a token.
fn limit_call_for_fetch(kind: FetchKind, call: &CallContext, renewal_limit: Duration) -> CallContext {
    match kind {
        FetchKind::Needed => call.clone(),
        FetchKind::Probe => CallContext { single_attempt: true, ..call.clone() },
        FetchKind::EarlyRefresh => CallContext {
            single_attempt: true,
            ..call.capped(renewal_limit, "the limit of an early renewal")
        },
    }
}

fn fetch_reason(kind: FetchKind) -> &'static str {
    match kind {
        FetchKind::Needed => "none is cached",
        FetchKind::Probe => "the last request failed",
        FetchKind::EarlyRefresh => "early renewal",
    }
}

fn fetched_message(token: &AccessToken, kind: FetchKind, now: i64) -> String {
    let reason = fetch_reason(kind);
    match token.expires_at() {
        Some(end) => format!("fetched a token ({reason}); it expires in {} s", end.saturating_sub(now)),
        None => format!("fetched a token ({reason}); its lifetime is unknown"),
    }
}

fn not_cached_error() -> Error {
    Error::new(
        Status::NotCached,
        "token",
        "no token is cached, and AUTHGRANT_NO_NETWORK forbids to request one; call again without that flag",
    )
}

#[cfg(test)]
mod tests;
