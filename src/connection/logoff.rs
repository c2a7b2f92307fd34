//! The end of a connection's tokens: by the caller's word, and when the last connection that uses one is closed.

use std::sync::Arc;
use std::time::Duration;

use super::Connection;
use super::snapshot::Snapshot;
use crate::base::cache_key::CacheKey;
use crate::base::call::CallContext;
use crate::base::error::Result;
use crate::base::log::LogLevel;
use crate::resolve::Config;
use crate::{grants, sys};

/// The longest that closing a connection waits for LogoffURI.
const LOGOFF_ON_CLOSE_TIMEOUT: Duration = Duration::from_secs(5);

/// Of a connection that goes through many identities only the last ones are logged off, and have tokens of the connection's
/// own; the others' tokens end by themselves.
const MAX_TRACKED_KEYS: usize = 64;

/// A token that this connection was handed, by the options of then.
pub(super) struct HeldToken {
    cache_key: CacheKey,
    snapshot: Arc<Snapshot>,
}

impl Connection {
    /// Ends the connection's token and its login: the token leaves the cache, then LogoffURI is told.
    ///
    /// # Errors
    /// What is wrong with the options; the network's; LogoffURI's own.
    pub fn log_off(&self) -> Result<()> {
        let snapshot = self.snapshot.load_revalidated();
        let config = snapshot.config()?;
        let call =
            self.begin_call(config, super::CallOptions { no_prompt: true, ..super::CallOptions::default() });
        let identity = self.cache_key(&snapshot, config);
        let held = self
            .state()
            .held_tokens
            .lock()
            .extract_if(.., |held| held.cache_key == identity)
            .next()
            .is_some();
        if held {
            self.process().token_users.release(identity);
        }
        let token = self.process().cache.remove(identity);
        self.clear_cached_handles();
        self.state().login_state.clear_login();
        match token {
            Some(token) if !self.is_expired(&token) => grants::log_off(config, &token, self.process(), &call),
            _ => Ok(()),
        }
    }

    /// Notes that this connection has the token of `identity`, if somebody is to be told of its end.
    pub(super) fn track_for_logoff(&self, identity: CacheKey, snapshot: &Arc<Snapshot>, config: &Config) {
        if config.logoff.is_none() {
            return;
        }
        let mut held = self.state().held_tokens.lock();
        if held.iter().any(|held| held.cache_key == identity) {
            return;
        }
        self.process().token_users.acquire(identity);
        if held.len() >= MAX_TRACKED_KEYS {
            self.process().token_users.release(held.remove(0).cache_key);
        }
        held.push(HeldToken { cache_key: identity, snapshot: Arc::clone(snapshot) });
    }

    /// Notes that nobody but this connection can ask for the token of `identity`.
    pub(super) fn track_exclusive_key(&self, identity: CacheKey) {
        let mut own = self.state().exclusive_keys.lock();
        if own.contains(&identity) {
            return;
        }
        let oldest = (own.len() >= MAX_TRACKED_KEYS).then(|| own.remove(0));
        own.push(identity);
        drop(own);
        if let Some(oldest) = oldest {
            self.process().cache.remove(oldest);
        }
    }

    /// Takes out of the cache what nobody can ask for any more. In a forked child that is what it had got by itself.
    fn evict_exclusive_tokens(&self) {
        let own = std::mem::take(&mut *self.state().exclusive_keys.lock());
        for identity in own {
            self.process().cache.remove(identity);
        }
    }

    fn is_expired(&self, token: &crate::token::AccessToken) -> bool {
        token.expires_at().is_some_and(|end| end <= self.process().clock.unix_seconds())
    }

    /// Logs off the tokens that no other connection holds. An inherited connection holds none: what a parent has, a
    /// forked child must not end.
    fn log_off_unused_tokens(&self) {
        let held = std::mem::take(&mut *self.state().held_tokens.lock());
        if held.is_empty() || sys::generation() != self.opened_generation {
            return;
        }
        let call = CallContext {
            log: (**self.log.load()).clone(),
            ..CallContext::with_timeout(LOGOFF_ON_CLOSE_TIMEOUT, "closing the connection")
        };
        for HeldToken { cache_key: identity, snapshot } in held {
            if !self.process().token_users.release(identity) {
                continue;
            }
            let token = self.process().cache.remove(identity).filter(|token| !self.is_expired(token));
            let snapshot = snapshot.with_current_policy(self.snapshot.process_override());
            let (Some(token), Ok(config)) = (token, snapshot.config()) else { continue };
            if let Err(error) = grants::log_off(config, &token, self.process(), &call) {
                call.log.log(LogLevel::Warning, || error.message().to_owned());
            }
        }
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.process().slot_registry.unregister(&self.handle_slots);
        self.log_off_unused_tokens();
        self.evict_exclusive_tokens();
    }
}
