//! Logoff of a connection's tokens: on request, and when the last connection that uses a token is closed.

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

/// Limit of all LogoffURI requests when a connection is closed.
const LOGOFF_ON_CLOSE_TIMEOUT: Duration = Duration::from_secs(5);

/// Maximum number of cache keys that a connection tracks. Beyond it, the oldest key is dropped: a shared
/// token is not logged off and expires by itself, a private token is removed from the cache.
const MAX_TRACKED_KEYS: usize = 64;

/// A token that this connection has obtained, with the options that obtained it.
pub(super) struct HeldToken {
    cache_key: CacheKey,
    snapshot: Arc<Snapshot>,
}

impl Connection {
    /// Ends the login of the connection: removes its token from the cache, then sends the token to LogoffURI.
    ///
    /// # Errors
    /// Errors in the options, of the network, and of LogoffURI.
    pub fn log_off(&self) -> Result<()> {
        let snapshot = self.snapshot.load_revalidated();
        let config = snapshot.config()?;
        let call =
            self.begin_call(config, super::CallOptions { no_prompt: true, ..super::CallOptions::default() });
        let cache_key = self.cache_key(&snapshot, config);
        let was_held = self
            .state()
            .held_tokens
            .lock()
            .extract_if(.., |held| held.cache_key == cache_key)
            .next()
            .is_some();
        if was_held {
            self.process().token_users.release(cache_key);
        }
        let token = self.process().cache.remove(cache_key);
        self.clear_cached_handles();
        self.state().login_state.clear_login();
        match token {
            Some(token) if !self.is_expired(&token) => grants::log_off(config, &token, self.process(), &call),
            _ => Ok(()),
        }
    }

    /// Records that this connection uses the token of `cache_key`, if LogoffURI is set.
    pub(super) fn track_for_logoff(&self, cache_key: CacheKey, snapshot: &Arc<Snapshot>, config: &Config) {
        if config.logoff.is_none() {
            return;
        }
        let mut held = self.state().held_tokens.lock();
        if held.iter().any(|held| held.cache_key == cache_key) {
            return;
        }
        self.process().token_users.acquire(cache_key);
        if held.len() >= MAX_TRACKED_KEYS {
            self.process().token_users.release(held.remove(0).cache_key);
        }
        held.push(HeldToken { cache_key, snapshot: Arc::clone(snapshot) });
    }

    /// Records that no other connection can use the token of `cache_key`.
    pub(super) fn track_exclusive_key(&self, cache_key: CacheKey) {
        let mut exclusive_keys = self.state().exclusive_keys.lock();
        if exclusive_keys.contains(&cache_key) {
            return;
        }
        let oldest = (exclusive_keys.len() >= MAX_TRACKED_KEYS).then(|| exclusive_keys.remove(0));
        exclusive_keys.push(cache_key);
        drop(exclusive_keys);
        if let Some(oldest) = oldest {
            self.process().cache.remove(oldest);
        }
    }

    /// Removes the tokens that only this connection could use from the cache. In a forked child these are the
    /// tokens that the child itself obtained.
    fn evict_exclusive_tokens(&self) {
        let exclusive_keys = std::mem::take(&mut *self.state().exclusive_keys.lock());
        for cache_key in exclusive_keys {
            self.process().cache.remove(cache_key);
        }
    }

    fn is_expired(&self, token: &crate::token::AccessToken) -> bool {
        token.expires_at().is_some_and(|expires_at| expires_at <= self.process().clock.unix_seconds())
    }

    /// Logs off the tokens that no other connection uses. Does nothing for a connection inherited by a forked
    /// child: the child must not end the parent's tokens.
    fn log_off_unused_tokens(&self) {
        let held = std::mem::take(&mut *self.state().held_tokens.lock());
        if held.is_empty() || sys::generation() != self.opened_generation {
            return;
        }
        let call = CallContext {
            log: (**self.log.load()).clone(),
            ..CallContext::with_timeout(LOGOFF_ON_CLOSE_TIMEOUT, "closing the connection")
        };
        for HeldToken { cache_key, snapshot } in held {
            if !self.process().token_users.release(cache_key) {
                continue;
            }
            let token = self.process().cache.remove(cache_key).filter(|token| !self.is_expired(token));
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
