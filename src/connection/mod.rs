//! Connection: the options, token cache lookups and token requests of one C handle.

pub mod api_headers;

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use parking_lot::Mutex;

use crate::base::audit::{self, EventKind};
use crate::base::cache_key::CacheKey;
use crate::base::call::{CallContext, CallList, CancelToken, cancelled_error};
use crate::base::error::{Error, Result};
use crate::base::log::Log;
use crate::base::policy::Policy;
use crate::base::secret::Secret;
use crate::connection::api_headers::ApiHeaders;
use crate::grants;
use crate::key::{CallbackSigner, KeyOrigin};
use crate::net::http;
use crate::options::{DriverKeywords, Environment, KEY_FILE_OPTIONS, Options, ProcessEnvironment, table};
use crate::process::login_state::{LoginState, RefreshTokenCallback};
use crate::process::{Process, Snapshot};
use crate::resolve::{Config, Flow};
use crate::shared_cache::token_digest;
use crate::sys::{self, PerProcess, SharedRef, StripedSlots};
use crate::token::cache::{Lease, Requirements};
use crate::token::{AccessToken, TokenHandle};

mod authorize;
mod browse;
mod fast_path;
mod fetch;
mod logoff;
mod shared;
mod snapshot_cell;
mod token_options;
mod token_uses;

use snapshot_cell::SnapshotCell;
use token_uses::TokenUses;

pub use snapshot_cell::ConnectionView;

/// Options of a single call; they override those of the connection.
#[derive(Clone, Copy, Default)]
pub struct CallOptions<'a> {
    /// Timeout of the whole call; `None` applies LoginTimeout.
    pub timeout: Option<Duration>,
    /// Minimum remaining lifetime in seconds, capped at 90 % of the token's lifetime.
    pub min_remaining: i64,
    /// Returns a token only if it is cached or can be signed locally.
    pub no_network: bool,
    /// Never opens a browser; overrides EnableLoginPrompt.
    pub no_prompt: bool,
    /// Sends a request even if a recent failure is in the negative cache.
    pub bypass_negative_cache: bool,
    /// Cancels the call; `None` if only the connection does.
    pub cancel: Option<&'a Arc<CancelToken>>,
}

impl CallOptions<'_> {
    fn can_use_fast_path(self) -> bool {
        self.min_remaining == 0 && !self.bypass_negative_cache
    }
}

/// A connection: the parsed connection string plus options set later. Close it with authgrant_close().
pub struct Connection {
    snapshot: SnapshotCell,
    handle_slots: StripedSlots<TokenHandle>,
    log: ArcSwap<Log>,
    state: PerProcess<ConnectionState>,
    /// The DSN or FILEDSN, for audit events.
    data_source: Option<String>,
    /// Fork generation of the process that opened the connection.
    opened_generation: u64,
}

/// State that calls on a connection create; a forked child starts with an empty one.
#[derive(Default)]
struct ConnectionState {
    id: u64,
    login_state: LoginState,
    calls: CallList,
    warnings: Mutex<Vec<Error>>,
    /// Texts of the warnings that were taken.
    taken_warnings: Mutex<HashSet<String>>,
    token_uses: TokenUses,
    /// Keeps the token of the last call in the cache while the connection is open.
    cache_lease: Mutex<Option<Lease>>,
}

impl Connection {
    /// Parses a connection string and reads the data source and the model file that it refers to. The option
    /// values are resolved on first use.
    ///
    /// # Errors
    /// `ErrorKind::ConnectionString`, `ErrorKind::DataSourceNotFound`; `ErrorKind::Internal` if the
    /// operating system provides no random numbers.
    pub fn open(text: &str) -> Result<Self> {
        Self::open_with_keywords(text, &DriverKeywords::default())
    }

    /// Like [`Self::open`], with keywords of the driver.
    ///
    /// # Errors
    /// Those of [`Self::open`].
    pub fn open_with_keywords(text: &str, keywords: &DriverKeywords) -> Result<Self> {
        Self::open_with_process(text, keywords, &ProcessEnvironment, None)
    }

    /// Like [`Self::open`], with an environment that locates data sources.
    ///
    /// # Errors
    /// Those of [`Self::open`].
    pub fn open_with_environment(text: &str, environment: &dyn Environment) -> Result<Self> {
        Self::open_with_process(text, &DriverKeywords::default(), environment, None)
    }

    fn open_with_process(
        text: &str,
        keywords: &DriverKeywords,
        environment: &dyn Environment,
        process: Option<&'static Process>,
    ) -> Result<Self> {
        Process::check_random()?;
        sys::prewarm_before_fork(http::prewarm);
        Policy::freeze();
        let options = Options::open_with(text, keywords, environment)?;
        Ok(Self {
            handle_slots: Process::or_current(process).slot_registry.register(),
            data_source: options.data_source_label().map(str::to_owned),
            snapshot: SnapshotCell::new(options, process),
            log: ArcSwap::default(),
            state: PerProcess::new(),
            opened_generation: sys::generation(),
        })
    }

    /// Sets options atomically: all of them, or none on an error.
    ///
    /// # Errors
    /// `OptionError::Invalid` for an invalid name or a value of the wrong type.
    pub fn set_options(&self, pairs: &[(&str, &str)]) -> Result<()> {
        self.snapshot.update_options(|options| options.set(pairs))?;
        self.clear_negative_entry();
        Ok(())
    }

    /// Returns the value in force of an option or a keyword of the driver, by any of its names and as it was set: secret
    /// references are not resolved. `None` if nothing sets it.
    ///
    /// # Errors
    /// `OptionError::Invalid` for an unknown name.
    pub fn get_option(&self, name: &str) -> Result<Option<Secret>> {
        let snapshot = self.snapshot.load_revalidated();
        let value = snapshot.options_as_given.find_value(name)?;
        // The key file is read only if it may set the option.
        let from_key_file = || {
            let spec = table::find(name).filter(|spec| KEY_FILE_OPTIONS.contains(&spec.id))?;
            snapshot.resolution().options.get(spec.id)
        };
        Ok(value.or_else(from_key_file).map(|value| value.text.clone()))
    }

    /// Sets the signer for subsequent calls; `None` restores the signing key of the options.
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

    /// Returns the access token to send: the cached one while it is fresh, otherwise a newly requested one.
    ///
    /// # Errors
    /// Errors in the options, and those of the token request.
    pub fn get_token_handle(&self, call_options: CallOptions<'_>) -> Result<SharedRef<TokenHandle>> {
        if call_options.cancel.is_some_and(|cancel| cancel.is_cancelled()) {
            return Err(cancelled_error());
        }
        if call_options.can_use_fast_path()
            && let Some(handle) = self.get_cached_handle().or_else(|| self.get_shared_handle())
        {
            return Ok(handle);
        }
        Process::check_random()?;
        let version = self.snapshot.version();
        let snapshot = self.snapshot.load_revalidated();
        let config = snapshot.config()?;
        let token = self.get_or_fetch_token(&snapshot, config, call_options)?;
        self.track_for_logoff(token.cache_key, &snapshot, config);
        let requirements = self.requirements(config, token.cache_key, CallOptions::default());
        Ok(self.publish_token(token, requirements, version, &snapshot, config))
    }

    /// Like [`Self::get_token_handle`], but returns the token itself.
    ///
    /// # Errors
    /// Those of [`Self::get_token_handle`].
    pub fn get_token(&self, call_options: CallOptions<'_>) -> Result<Arc<AccessToken>> {
        self.get_token_handle(call_options).map(|handle| Arc::clone(handle.token()))
    }

    /// Returns the headers to send with an API request.
    ///
    /// # Errors
    /// Those of [`Self::get_token`].
    pub fn get_headers(&self) -> Result<ApiHeaders> {
        self.get_headers_with(CallOptions::default())
    }

    /// Like [`Self::get_headers`], with options for this call.
    ///
    /// # Errors
    /// Those of [`Self::get_token`].
    pub fn get_headers_with(&self, call_options: CallOptions<'_>) -> Result<ApiHeaders> {
        // `get_token_handle` checks the files if necessary, so that the fast path does not.
        let snapshot = match self.snapshot.load() {
            loaded if loaded.has_token_flow() => loaded,
            _ => self.snapshot.load_revalidated(),
        };
        let config = snapshot.config()?;
        if let Flow::Headers(headers) = &config.flow {
            return ApiHeaders::without_token(headers, &config.headers);
        }
        let handle = self.get_token_handle(call_options)?;
        ApiHeaders::new(handle, &self.snapshot.load().config()?.headers)
    }

    /// Signs the JWT of the configured grant and returns it without sending it. A client assertion needs no token
    /// endpoint if its audience is configured.
    ///
    /// # Errors
    /// Errors of the signing key; `ErrorKind::Unsupported` if the grant does not sign a JWT.
    pub fn make_assertion(&self) -> Result<Secret> {
        let snapshot = self.snapshot.load_revalidated();
        let signing = match &snapshot.resolution().stages.assertion_without_endpoint {
            Some(signing) => Some(&**signing),
            None => grants::assertion_config(snapshot.config()?),
        };
        grants::sign_assertion(signing, self.process(), &|warning| self.warn(warning))
    }

    /// Returns the current options as a completed connection string, optionally with secrets and the current
    /// tokens.
    #[must_use]
    pub fn completed_string(&self, secrets: bool, tokens: bool) -> Secret {
        let snapshot = self.snapshot.load_revalidated();
        let overrides = match snapshot.config() {
            Ok(config) if tokens => self.current_token_options(&snapshot, config),
            Ok(config) if secrets => {
                self.latest_refresh_token_option(&snapshot, config, "RefreshToken").into_iter().collect()
            }
            _ => Vec::new(),
        };
        snapshot.options_as_given.completed_connection_string(secrets, &overrides)
    }

    /// Returns the connection string as it was given, with what the caller changed, optionally with the current tokens.
    #[must_use]
    pub fn given_string(&self, tokens: bool) -> Secret {
        let snapshot = self.snapshot.load_revalidated();
        let overrides = match snapshot.config() {
            Ok(config) if tokens => self.current_token_options(&snapshot, config),
            _ => Vec::new(),
        };
        snapshot.options_as_given.given_connection_string(&overrides)
    }

    /// Registers the callback that receives every new or rotated refresh token; `None` unregisters it.
    pub fn set_refresh_token_callback(&self, callback: Option<RefreshTokenCallback>) {
        self.state().login_state.set_refresh_token_callback(callback);
    }

    /// Reports that the API rejected `token` (HTTP 401); if it is still cached, the next call requests a new one.
    pub fn reject_token(&self, token: &AccessToken) {
        let process = self.process();
        self.audit_rejection(token);
        if process.cache.reject(token, process.clock.as_ref()) && token.is_shared() {
            process.shared_tokens.mark_rejected(token_digest(token.value().to_bytes()));
        }
        let snapshot = self.snapshot.load();
        if let Ok(Config { flow: Flow::AccessToken(configured), .. }) = snapshot.config()
            && configured.reveal().as_bytes() == token.value().to_bytes()
        {
            self.state().login_state.mark_rejected(token.value());
        }
    }

    fn audit_rejection(&self, token: &AccessToken) {
        if !audit::is_enabled() {
            return;
        }
        let snapshot = self.snapshot.load();
        self.with_grant_context(token.cache_key, &CallContext::unbounded(), false, |context| {
            audit::record(&grants::token_event(EventKind::Rejection, snapshot.config().ok(), context));
        });
    }

    /// Cancels all calls that are currently running on this connection.
    pub fn cancel(&self) {
        self.state().calls.cancel_all();
    }

    /// Sets the log for subsequent calls.
    pub fn set_log(&self, log: Log) {
        self.log.store(Arc::new(log));
    }

    /// Returns the warnings collected so far: from parsing and resolving the options, and from calls.
    #[must_use]
    pub fn warnings(&self) -> Vec<Error> {
        let snapshot = self.snapshot.load_revalidated();
        let call_warnings = self.state().warnings.lock().clone();
        [self.process().warnings.as_slice(), &snapshot.resolution().warnings(), &call_warnings].concat()
    }

    /// Returns the warnings whose text was not taken before, and marks them as taken.
    #[must_use]
    pub fn take_warnings(&self) -> Vec<Error> {
        let mut warnings = self.warnings();
        let mut taken = self.state().taken_warnings.lock();
        warnings.retain(|warning| taken.insert(warning.text().to_owned()));
        warnings
    }

    /// Returns the usable token in the cache of the process, without a request.
    #[must_use]
    pub fn cached_token(&self) -> Option<Arc<AccessToken>> {
        let snapshot = self.snapshot.load_revalidated();
        let cache_key = self.cache_key(&snapshot, snapshot.config().ok()?);
        let process = self.process();
        process.cache.peek(cache_key, Requirements::default(), process.clock.as_ref())
    }

    /// Returns a read-only view of the current options and the resolved configuration.
    #[must_use]
    pub fn view(&self) -> ConnectionView {
        ConnectionView { snapshot: self.snapshot.load_revalidated(), process: self.process() }
    }

    fn process(&self) -> &'static Process {
        self.snapshot.process()
    }

    fn state(&self) -> &ConnectionState {
        let next_id = || self.process().next_connection_id();
        self.state.get_or_init(|| ConnectionState { id: next_id(), ..ConnectionState::default() })
    }

    /// Cache key of the token that `config`, the resolved configuration of `snapshot`, obtains.
    fn cache_key(&self, snapshot: &Snapshot, config: &Config) -> CacheKey {
        let user = sys::effective_user_id();
        let digest = |connection_id: Option<u64>| {
            // Connections that share a token must log it off at the same endpoint.
            let logoff = config.logoff.as_ref().map(|logoff| logoff.endpoint.as_str());
            let prompted_user = config.prompted_user();
            let consent = self.state().login_state.has_id_token().then(|| self.consent_key(config));
            CacheKey::digest(
                &self.process().cache_key_secret,
                &(user, &config.flow, &config.preset_token, logoff, prompted_user, consent, connection_id),
            )
        };
        if self.has_private_tokens(config) {
            digest(self.has_private_cache(config).then(|| self.state().id))
        } else {
            snapshot.cache_key(user, || digest(None))
        }
    }

    /// Whether no other connection can use the tokens of this one.
    fn has_private_tokens(&self, config: &Config) -> bool {
        self.has_private_cache(config) || has_callback_signer(config)
    }

    /// Whether tokens of this connection must not be shared with other connections: equal options do not
    /// identify the user who logged in, the owner of a configured token, or the administrator who gave
    /// consent.
    fn has_private_cache(&self, config: &Config) -> bool {
        config.private_cache || config.flow.is_user_bound() || self.state().login_state.has_id_token()
    }

    pub(crate) fn begin_call(&self, config: &Config, call_options: CallOptions<'_>) -> CallContext {
        let prompt_request = config
            .authorization_request
            .as_ref()
            .filter(|_| config.flow.login().is_some_and(|login| login.may_prompt) && !call_options.no_prompt);
        let call = match (call_options.timeout, config.login_timeout, prompt_request) {
            (Some(timeout), ..) => CallContext::with_timeout(timeout, "the call's timeout"),
            (None, Some(timeout), None) => CallContext::with_timeout(timeout, "LoginTimeout"),
            (None, Some(timeout), Some(prompt_request)) => {
                let total = timeout.saturating_add(prompt_request.timeout);
                CallContext::with_timeout(total, "LoginTimeout and ConsentTimeout")
            }
            (None, None, _) => CallContext::unbounded(),
        };
        let cancel = call_options.cancel.map(Arc::clone).unwrap_or_default();
        self.register_call(CallContext { request_timeout: config.request_timeout, cancel, ..call })
    }

    /// Registers `call` for cancellation through this connection, and attaches the connection's log.
    fn register_call(&self, call: CallContext) -> CallContext {
        self.state().calls.add(&call.cancel);
        CallContext { log: Log::clone(&self.log.load()), ..call }
    }

    fn warn(&self, warning: Error) {
        let mut warnings = self.state().warnings.lock();
        if !warnings.contains(&warning) {
            warnings.push(warning);
        }
    }
}

/// Whether a callback signs. No other connection has the callback.
fn has_callback_signer(config: &Config) -> bool {
    grants::assertion_config(config)
        .is_some_and(|signing| matches!(signing.key.origin, KeyOrigin::Callback(_)))
}

#[cfg(test)]
mod tests;
