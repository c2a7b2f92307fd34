//! The entry in its store: reading, writing and leasing it within TokenCacheTimeout, and failures of the store.

use std::cell::Cell;
use std::sync::Arc;
use std::time::Duration;

use super::Identity;
use super::entry::{self, Content, Entry};
use crate::base::call::CallContext;
use crate::base::error::{Error, Result, WarningKind};
use crate::base::log::LogLevel;
use crate::base::stats::Counter;
use crate::process::{Process, random_bytes};
use crate::resolve::SharedCacheConfig;
use crate::token_store::{self, Access, MAX_CHANGE_WAIT, Owner, Put, StoreHandle, TokenStore};

/// What limits one operation of the store.
const TIMEOUT_SOURCE: &str = "TokenCacheTimeout";

/// The entry of one connection in its store, for one call.
pub(super) struct StoredEntry<'a> {
    identity: Identity,
    handle: Arc<StoreHandle>,
    pub(super) settings: &'a SharedCacheConfig,
    pub(super) process: &'a Process,
    warn: &'a dyn Fn(Error),
    /// When an operation began that failed. The store is not asked again in this call.
    failed_at: Cell<Option<Duration>>,
}

/// The lease of an entry that this process holds. Released when dropped, also by a panic: some stores would keep it until the
/// process ends.
pub(super) struct Lease<'e> {
    entry: &'e StoredEntry<'e>,
    owner: Owner,
    /// On the boot-time clock, from before the lease was requested.
    pub(super) ends_at: Duration,
    /// Whether a write has released it.
    is_released: Cell<bool>,
}

impl Drop for Lease<'_> {
    fn drop(&mut self) {
        if self.is_released.get() {
            return;
        }
        let StoredEntry { identity, handle, settings, failed_at, .. } = self.entry;
        let waited = failed_at.get().map(|failed_at| self.entry.now().saturating_sub(failed_at));
        // Also for a call that has ended: the others need not wait for the end of the lease. A store that has failed
        // is given the rest of its time: it may have answered with an error at once.
        let timeout = settings.timeout.saturating_sub(waited.unwrap_or_default());
        let limit = CallContext::with_timeout(timeout, TIMEOUT_SOURCE);
        // Best effort: the lease ends by itself.
        let _ = handle.store().release(&identity.name, &self.owner, &limit);
    }
}

/// The entry in the store.
pub(super) struct Current {
    /// `None` if there is none, or none that can be used.
    pub(super) entry: Option<Entry>,
    /// The generation in the store, authentic or not; 0 for none.
    pub(super) stored_generation: u64,
}

/// A failure of an operation of the store: of the store, or because the call has ended.
pub(super) struct StoreFailure {
    error: Error,
    access: Access,
    /// On the boot-time clock.
    asked_at: Duration,
}

pub(super) type StoreResult<T> = std::result::Result<T, StoreFailure>;

impl<'a> StoredEntry<'a> {
    pub(super) fn new(
        identity: Identity,
        handle: Arc<StoreHandle>,
        settings: &'a SharedCacheConfig,
        process: &'a Process,
        warn: &'a dyn Fn(Error),
    ) -> Self {
        Self { identity, handle, settings, process, warn, failed_at: Cell::new(None) }
    }

    /// The name of the store for messages.
    pub(super) fn store_name(&self) -> &str {
        self.handle.name()
    }

    /// Whether the store failed recently and is not asked.
    pub(super) fn is_paused(&self) -> bool {
        self.handle.is_paused(self.now())
    }

    /// Reads the entry. One that cannot be decrypted, and one that is older than one seen before, are ignored.
    pub(super) fn read(&self, call: &CallContext) -> StoreResult<Current> {
        let name = &self.identity.name;
        let value = self.ask(Access::Read, call, |store, limit| store.get(name, limit))?;
        self.record_success(Access::Read, call);
        let Some(value) = value else { return Ok(Current { entry: None, stored_generation: 0 }) };
        let stored_generation = token_store::generation(&value.bytes).unwrap_or_default();
        let entry = entry::open(&self.identity, &value);
        let seen = self.process.shared_tokens.seen_generation(name);
        let entry = match entry {
            Some(entry) if entry.generation >= seen => Some(entry),
            Some(_) => {
                call.log.log(LogLevel::Info, || {
                    format!("{} has an older entry than before, which is ignored", self.handle.name())
                });
                None
            }
            None => {
                call.log.log(LogLevel::Info, || {
                    format!("an entry of {} cannot be decrypted and is ignored", self.handle.name())
                });
                None
            }
        };
        if let Some(entry) = &entry {
            self.process.shared_tokens.record_generation(name, entry.generation);
        }
        Ok(Current { entry, stored_generation })
    }

    /// Acquires the lease for `duration`, unless another process holds it.
    pub(super) fn try_lease(&self, duration: Duration, call: &CallContext) -> StoreResult<Option<Lease<'_>>> {
        let asked_at = self.now();
        // Released also if it is unknown whether the store has granted it.
        let lease = Lease {
            entry: self,
            owner: Owner(random_bytes()),
            ends_at: asked_at.saturating_add(duration),
            is_released: Cell::new(false),
        };
        let is_granted = self.ask(Access::Write, call, |store, limit| {
            store.lease(&self.identity.name, &lease.owner, duration, limit)
        })?;
        lease.is_released.set(!is_granted);
        Ok(is_granted.then_some(lease))
    }

    /// Waits until the entry may have changed since it was read, or for about `interval`.
    pub(super) fn wait_for_change(
        &self,
        current: &Current,
        interval: Duration,
        call: &CallContext,
    ) -> StoreResult<()> {
        // A store that waits itself has the usual time for its answer after that.
        let timeout = self.settings.timeout.saturating_add(MAX_CHANGE_WAIT);
        self.ask_within(timeout, Access::Read, call, |store, limit| {
            store.wait_for_change(&self.identity.name, current.stored_generation, interval, limit)
        })
    }

    /// Writes an entry. Returns its generation; `None` if the lease was lost, if another process has written, or if
    /// the entry is too long.
    pub(super) fn write(
        &self,
        lease: &Lease<'_>,
        expected_generation: u64,
        content: Content,
        releases_lease: bool,
        call: &CallContext,
    ) -> StoreResult<Option<u64>> {
        let clock = self.process.clock.as_ref();
        let name = &self.identity.name;
        let generation = entry::next_generation(self.process.shared_tokens.seen_generation(name), clock);
        let is_durable = content.refresh_token.is_some();
        let content = Content {
            machine: self.process.shared_tokens.machine().to_owned(),
            written_at: clock.unix_seconds(),
            ..content
        };
        let sealed = entry::seal(&self.identity, generation, content.clone(), clock).or_else(|| {
            call.log.log(LogLevel::Info, || "the token is too long to be shared".to_owned());
            // The refresh token that it came with has replaced that of the entry.
            let without_token = Content { token: None, ..content };
            without_token.refresh_token.as_ref()?;
            entry::seal(&self.identity, generation, without_token, clock)
        });
        let Some(sealed) = sealed else { return Ok(None) };
        let put = Put {
            name,
            owner: &lease.owner,
            expected_generation,
            value: &sealed.bytes,
            ttl: sealed.ttl,
            releases_lease,
            is_durable,
        };
        // A token that was received after the deadline of the call is shared all the same.
        let call = CallContext { log: call.log.clone(), ..CallContext::unbounded() };
        let is_written = self.ask(Access::Write, &call, |store, limit| store.put(&put, limit))?;
        self.record_success(Access::Write, &call);
        if !is_written {
            return Ok(None);
        }
        lease.is_released.set(releases_lease);
        self.process.shared_tokens.record_generation(name, generation);
        Ok(Some(generation))
    }

    /// Runs an operation of the store within TokenCacheTimeout and the time of `call`.
    fn ask<T>(
        &self,
        access: Access,
        call: &CallContext,
        operation: impl FnOnce(&dyn TokenStore, &CallContext) -> Result<T>,
    ) -> StoreResult<T> {
        self.ask_within(self.settings.timeout, access, call, operation)
    }

    fn ask_within<T>(
        &self,
        timeout: Duration,
        access: Access,
        call: &CallContext,
        operation: impl FnOnce(&dyn TokenStore, &CallContext) -> Result<T>,
    ) -> StoreResult<T> {
        let asked_at = self.now();
        operation(self.handle.store(), &call.capped(timeout, TIMEOUT_SOURCE)).map_err(|error| {
            if call.check().is_ok() {
                self.failed_at.set(Some(asked_at));
            }
            StoreFailure { error, access, asked_at }
        })
    }

    fn record_success(&self, access: Access, call: &CallContext) {
        if self.handle.record_success(access) {
            call.log.log(LogLevel::Info, || format!("{} answers again", self.handle.name()));
        }
    }

    /// Gives one warning for a failure of the store, which is then not asked for a while.
    pub(super) fn report_failure(&self, failure: &StoreFailure) {
        if !self.has_failed() {
            return;
        }
        self.process.stats.count(Counter::StoreFailures);
        let StoreFailure { error, access, asked_at } = failure;
        let Some(pause) = self.handle.record_failure(*access, *asked_at, self.now()) else { return };
        let text = format!(
            "{}; tokens are not shared until {} answers; next attempt in {} s",
            error.text(),
            self.handle.name(),
            pause.as_secs()
        );
        let warning = Error::new(WarningKind::General, "token cache", text);
        (self.warn)(warning.with_option(error.option().unwrap_or("TokenCache").to_owned()));
    }

    /// Whether the store has failed in this call.
    pub(super) fn has_failed(&self) -> bool {
        self.failed_at.get().is_some()
    }

    pub(super) fn now(&self) -> Duration {
        self.process.clock.boot_time()
    }
}
