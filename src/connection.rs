//! The heart of a handle: the options now in force, the cache, else the flow.
//!
//! Options stand in a snapshot that is replaced as a whole, so that a call goes on with those it began with and
//! reading them takes no lock that a fork could leave behind locked.

use std::sync::{Arc, Weak};
use std::time::Duration;

use arc_swap::ArcSwap;
use once_cell::race::OnceBox;
use parking_lot::Mutex;

use crate::call::{Call, Cancel};
use crate::config::{self, Config, Exchange, Flow, Grant, Resolution};
use crate::consent::{self, ShowUrl, Visit};
use crate::error::{Error, Result, Status};
use crate::flow::{self, Context};
use crate::headers::Headers;
use crate::identity::Identity;
use crate::log::{Level, Log};
use crate::options::{Environment, Options, ProcessEnvironment};
use crate::policy::{Forbidden, Policy};
use crate::process::Process;
use crate::secret::Secret;
use crate::session::{OnRefreshToken, Session};
use crate::sys::{self, PerProcess};
use crate::token::Token;

use logoff::Held;

/// How one call differs from the connection's own ways.
#[derive(Clone, Copy, Debug, Default)]
pub struct Wishes {
    /// The limit of the whole call; none is LoginTimeout's.
    pub timeout: Option<Duration>,
    /// Seconds that the token must have left, as far as any of its kind can.
    pub min_life: i64,
    /// Only what is cached or can be signed here.
    pub no_network: bool,
    /// No browser for a person, whatever EnableLoginPrompt says.
    pub no_prompt: bool,
}

/// One connection string with what was set since; in C an `authgrant_connection`, closed with authgrant_close.
pub struct Connection {
    process: Option<&'static Process>,
    snapshot: InForce,
    log: ArcSwap<Log>,
    live: PerProcess<Live>,
    /// The process that opened it, counted by forks.
    opened_in: u64,
}

/// The options, and what they mean once somebody has asked.
struct Snapshot {
    options: Options,
    policy: Policy,
    resolution: OnceBox<Resolution>,
}

/// What happens on a connection; a forked child begins with none of it.
#[derive(Default)]
struct Live {
    number: u64,
    session: Session,
    calls: Mutex<Vec<Weak<Cancel>>>,
    warnings: Mutex<Vec<Error>>,
    held: Mutex<Vec<Held>>,
}

impl Snapshot {
    fn new(options: Options) -> Self {
        Self { options, policy: Policy::current(), resolution: OnceBox::new() }
    }

    /// The same options under the policy of now.
    fn under_policy(self: &Arc<Self>) -> Arc<Self> {
        if self.policy == Policy::current() {
            return Arc::clone(self);
        }
        Arc::new(Self::new(self.options.clone()))
    }

    fn resolution(&self) -> &Resolution {
        self.resolution.get_or_init(|| Box::new(config::resolve_under(&self.options, self.policy)))
    }

    fn config(&self) -> Result<&Config> {
        self.resolution().config.as_ref().map_err(Clone::clone)
    }
}

/// The options of a moment and what they mean.
pub struct View {
    snapshot: Arc<Snapshot>,
    /// What the connection shares with others.
    pub process: &'static Process,
}

impl View {
    /// The options.
    #[must_use]
    pub fn options(&self) -> &Options {
        &self.snapshot.options
    }

    /// What they mean.
    ///
    /// # Errors
    /// Everything that is wrong with them.
    pub fn config(&self) -> Result<&Config> {
        self.snapshot.config()
    }
}

/// The snapshot in force, which a policy that was tightened makes another.
struct InForce(ArcSwap<Snapshot>);

impl InForce {
    fn load_full(&self) -> Arc<Snapshot> {
        let snapshot = self.0.load_full();
        if snapshot.policy == Policy::current() {
            return snapshot;
        }
        self.0.rcu(Snapshot::under_policy);
        self.0.load_full()
    }
}

impl Connection {
    /// Reads a connection string, and the data source and model file that it names; what its values mean is found out
    /// later.
    ///
    /// # Errors
    /// [`Status::InvalidConnectionString`], [`Status::DataSourceNotFound`].
    pub fn open(text: &str) -> Result<Self> {
        Self::open_in(text, &ProcessEnvironment)
    }

    /// As [`Self::open`], in surroundings that say where data sources stand.
    ///
    /// # Errors
    /// Those of [`Self::open`].
    pub fn open_in(text: &str, environment: &dyn Environment) -> Result<Self> {
        sys::watch_forks();
        Policy::freeze();
        let options = Options::open(text, environment)?;
        Ok(Self {
            process: None,
            snapshot: InForce(ArcSwap::from_pointee(Snapshot::new(options))),
            log: ArcSwap::default(),
            live: PerProcess::new(),
            opened_in: sys::generation(),
        })
    }

    /// The same connection with shared things of its own, for tests.
    #[must_use]
    pub fn with_process(mut self, process: &'static Process) -> Self {
        self.process = Some(process);
        self
    }

    /// Sets options, all or none.
    ///
    /// # Errors
    /// [`Status::InvalidOption`] for a bad name or a value of the wrong type.
    pub fn set_options(&self, pairs: &[(&str, &str)]) -> Result<()> {
        let mut outcome = Ok(());
        self.snapshot.0.rcu(|current| {
            let mut options = current.options.clone();
            outcome = options.set(pairs);
            match outcome {
                Ok(()) => Arc::new(Snapshot::new(options)),
                Err(_) => Arc::clone(current),
            }
        });
        outcome
    }

    /// The token to send: the cached one while it is good, else a fetched one.
    ///
    /// # Errors
    /// What is wrong with the options, and those of fetching.
    pub fn get_token(&self, wishes: Wishes) -> Result<Arc<Token>> {
        let snapshot = self.snapshot.load_full();
        let token = self.token(snapshot.config()?, wishes)?;
        self.hold(token.identity, &snapshot, snapshot.config()?);
        Ok(token)
    }

    /// The headers of a request to the API.
    ///
    /// # Errors
    /// Those of [`Self::get_token`].
    pub fn get_headers(&self) -> Result<Headers> {
        self.get_headers_with(Wishes::default())
    }

    /// As [`Self::get_headers`], with wishes.
    ///
    /// # Errors
    /// Those of [`Self::get_token`].
    pub fn get_headers_with(&self, wishes: Wishes) -> Result<Headers> {
        let snapshot = self.snapshot.load_full();
        let config = snapshot.config()?;
        match &config.flow {
            Flow::Headers(headers) => Headers::without_token(headers, &config.headers),
            _ => Headers::new(self.get_token(wishes)?, &config.headers),
        }
    }

    /// The URL that a person opens to give consent.
    ///
    /// # Errors
    /// What the URL lacks.
    pub fn consent_url(&self) -> Result<String> {
        let snapshot = self.snapshot.load_full();
        Ok(consent::url(&config::resolve_consent(&snapshot.options)?))
    }

    /// Lets a person log in or consent in a browser. A login's code is exchanged for the token; where the grant does not
    /// need it, it is thrown away and a token fetched to see that consent has arrived.
    ///
    /// # Errors
    /// What the consent URL or the token request lacks; those of the visit and of fetching.
    pub fn authorize(&self, show: Option<&ShowUrl<'_>>) -> Result<()> {
        if show.is_none() && Policy::current().forbids(Forbidden::Prompt) {
            return Err(no_browser());
        }
        let snapshot = self.snapshot.load_full();
        let authorization = config::resolve_authorization(&snapshot.options)?;
        let (consent, config) = (&authorization.consent, snapshot.config()?);
        let person = self.begin(Call::within(consent.timeout, "ConsentTimeout"));
        let visit = consent::visit(consent, show, &self.process().browser, &person)?;
        if let Some(exchange) = &authorization.exchange {
            self.redeem(exchange, &visit, config)?;
        }
        if config.flow.login().is_none() {
            self.process().cache.forget(self.identity(config));
            self.token(config, Wishes { no_prompt: true, ..Wishes::default() })?;
        }
        Ok(())
    }

    /// Exchanges the code of a visit: for the connection's own token, or to hear who has consented.
    fn redeem(&self, exchange: &Exchange, visit: &Visit, config: &Config) -> Result<()> {
        let Grant::AuthorizationCode(login) = &exchange.grant else { return Ok(()) };
        let call = self.call(config, Wishes::default());
        let token =
            self.with_context(config, &call, false, |context| flow::redeem(exchange, login, visit, context))?;
        if config.flow.login().is_some() {
            self.process().cache.put(Arc::new(token));
        } else {
            self.live().session.set_id_token(token.fields.get("id_token").cloned());
        }
        Ok(())
    }

    /// The signed JWT of the flow, by itself.
    ///
    /// # Errors
    /// The key's; [`Status::Unsupported`] where the flow signs nothing.
    pub fn make_assertion(&self) -> Result<Secret> {
        let snapshot = self.snapshot.load_full();
        let config = snapshot.config()?;
        flow::sign(config, self.process(), &|warning| self.warn(warning))
    }

    /// The options in force as one connection string, with secrets and with the tokens of now where they are wanted.
    #[must_use]
    pub fn completed_string(&self, secrets: bool, tokens: bool) -> Secret {
        let snapshot = self.snapshot.load_full();
        let instead = match snapshot.config() {
            Ok(config) if tokens => self.tokens_of_now(config, &snapshot.options),
            Ok(config) if secrets => self.newest_refresh_token(config, "RefreshToken").into_iter().collect(),
            _ => Vec::new(),
        };
        snapshot.options.completed(secrets, &instead)
    }

    /// Who is told of refresh tokens that take the place of others.
    pub fn set_on_refresh_token(&self, told: Option<OnRefreshToken>) {
        self.live().session.set_on_refresh_token(told);
    }

    /// The API refused this token.
    pub fn reject_token(&self, token: &Token) {
        let process = self.process();
        process.cache.reject(token, process.clock.as_ref());
        let snapshot = self.snapshot.load_full();
        if let Ok(Config { flow: Flow::AccessToken(given), .. }) = snapshot.config()
            && given.reveal().as_bytes() == token.value().to_bytes()
        {
            self.live().session.reject(token.value());
        }
    }

    /// Ends the calls that are inside this connection now.
    pub fn cancel(&self) {
        let calls = std::mem::take(&mut *self.live().calls.lock());
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
        let snapshot = self.snapshot.load_full();
        let told = self.live().warnings.lock().clone();
        [snapshot.options.warnings(), snapshot.resolution().warnings.clone(), told].concat()
    }

    /// What is in force now, for those who look and do not touch.
    #[must_use]
    pub fn view(&self) -> View {
        View { snapshot: self.snapshot.load_full(), process: self.process() }
    }

    fn process(&self) -> &'static Process {
        self.process.unwrap_or_else(Process::current)
    }

    fn live(&self) -> &Live {
        let number = || self.process().number_for_a_connection();
        self.live.get_or_init(|| Live { number: number(), ..Live::default() })
    }

    fn token(&self, config: &Config, wishes: Wishes) -> Result<Arc<Token>> {
        let process = self.process();
        let identity = self.identity(config);
        self.begin_with_given(config, identity);
        if wishes.no_network && flow::needs_network(config) {
            return process
                .cache
                .peek(identity, wishes.min_life, process.clock.as_ref())
                .ok_or_else(not_cached);
        }
        let call = self.call(config, wishes);
        let outcome = self.with_context(config, &call, !wishes.no_prompt, |context| {
            process.cache.get(identity, wishes.min_life, process.clock.as_ref(), &call, || {
                call.log.line(Level::Debug, || "fetching a token".to_owned());
                let token = flow::fetch(config, context)?;
                call.log.line(Level::Info, || fetched(&token, process.clock.unix_seconds()));
                Ok(self.with_id_token(token))
            })
        });
        if let Err(error) = &outcome {
            call.log.line(Level::Error, || error.message().to_owned());
        }
        outcome
    }

    fn with_context<T>(
        &self,
        config: &Config,
        call: &Call,
        may_prompt: bool,
        work: impl FnOnce(&Context<'_>) -> T,
    ) -> T {
        let warn = |warning: Error| {
            call.log.line(Level::Warning, || warning.message().to_owned());
            self.warn(warning);
        };
        let (process, session, identity) = (self.process(), &self.live().session, self.identity(config));
        let consent_way = config.consent_way;
        work(&Context { process, session, call, identity, consent_way, may_prompt, warn: &warn })
    }

    /// What an administrator's consent has told, with each token of this connection.
    fn with_id_token(&self, mut token: Token) -> Token {
        if let Some(id_token) = self.live().session.id_token() {
            token.fields.entry("id_token".to_owned()).or_insert(id_token);
        }
        token
    }

    fn identity(&self, config: &Config) -> Identity {
        // Equal options do not name the person who logged in, whose token was given or who consented for others.
        let session = &self.live().session;
        let personal = config.flow.is_personal() || session.id_token().is_some();
        let alone = (personal || config.alone).then(|| self.live().number);
        // Those who share a token agree on who is told of its end.
        let logoff = config.logoff.as_ref().map(|logoff| logoff.endpoint.as_written());
        let subject = (sys::effective_user_id(), &config.flow, &config.given, logoff, alone);
        Identity::of(&self.process().digest_key, &subject)
    }

    pub(crate) fn call(&self, config: &Config, wishes: Wishes) -> Call {
        let person = config
            .consent
            .as_ref()
            .filter(|_| config.flow.login().is_some_and(|login| login.prompts) && !wishes.no_prompt);
        let call = match (wishes.timeout, config.login_timeout, person) {
            (Some(timeout), ..) => Call::within(timeout, "the call's timeout"),
            (None, Some(timeout), None) => Call::within(timeout, "LoginTimeout"),
            (None, Some(timeout), Some(person)) => {
                let both = timeout.saturating_add(person.timeout);
                Call::within(both, "LoginTimeout and ConsentTimeout")
            }
            (None, None, _) => Call::unbounded(),
        };
        self.begin(Call { request_limit: config.request_timeout, ..call })
    }

    /// Lets `call` be cancelled through this connection, and gives it the connection's log.
    fn begin(&self, call: Call) -> Call {
        let mut calls = self.live().calls.lock();
        calls.retain(|cancel| cancel.strong_count() > 0);
        calls.push(Arc::downgrade(&call.cancel));
        Call { log: Log::clone(&self.log.load()), ..call }
    }

    fn warn(&self, warning: Error) {
        let mut warnings = self.live().warnings.lock();
        if !warnings.contains(&warning) {
            warnings.push(warning);
        }
    }
}

fn no_browser() -> Error {
    let text = format!(
        "opening a browser is something {}; hand authgrant_authorize a function that shows the URL",
        Forbidden::Prompt.said()
    );
    Error::new(Status::Unsupported, "consent", text)
}

fn fetched(token: &Token, now: i64) -> String {
    match token.expires_at() {
        Some(end) => format!("a token was fetched; it ends in {} s", end.saturating_sub(now)),
        None => "a token was fetched; nobody said when it ends".to_owned(),
    }
}

fn not_cached() -> Error {
    Error::new(
        Status::Network,
        "token",
        "no token is cached, and the call forbids the network (AUTHGRANT_NO_NETWORK)",
    )
}

mod logoff;
mod tokens;

#[cfg(test)]
mod tests;
