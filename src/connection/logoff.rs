//! Logoff of a connection's tokens: on request, and when the last connection that uses a token is closed.

use std::sync::Arc;
use std::time::Duration;

use super::token_uses::{Purpose, TokenUses};
use super::{CallOptions, Connection, ConnectionState};
use crate::base::cache_key::CacheKey;
use crate::base::call::CallContext;
use crate::base::error::Result;
use crate::base::log::LogLevel;
use crate::process::Snapshot;
use crate::resolve::Config;
use crate::{grants, sys};

/// Limit of all LogoffURI requests when a connection is closed.
const LOGOFF_ON_CLOSE_TIMEOUT: Duration = Duration::from_secs(5);

impl Connection {
    /// Ends the login of the connection: removes its token from the cache, then sends the token to LogoffURI.
    ///
    /// # Errors
    /// Errors in the options, of the network, and of LogoffURI.
    pub fn log_off(&self) -> Result<()> {
        let snapshot = self.snapshot.load_revalidated();
        let config = snapshot.config()?;
        let call = self.begin_call(config, CallOptions { no_prompt: true, ..CallOptions::default() });
        let cache_key = self.cache_key(&snapshot, config);
        self.state().token_uses.release(cache_key, self.process());
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
        if config.logoff.is_some() {
            let purpose = Purpose::LogOffWithLast(Arc::clone(snapshot));
            self.state().token_uses.record(cache_key, purpose, self.process());
        }
    }

    /// Records that this connection uses the token of `cache_key`, if no other connection can use it.
    pub(super) fn track_for_removal(&self, cache_key: CacheKey, config: &Config) {
        if self.has_private_tokens(config) {
            self.state().token_uses.record(cache_key, Purpose::RemoveAtClose, self.process());
        }
    }

    fn is_expired(&self, token: &crate::token::AccessToken) -> bool {
        token.expires_at().is_some_and(|expires_at| expires_at <= self.process().clock.unix_seconds())
    }

    /// Logs off the tokens that no other connection uses. Does nothing for a connection inherited by a forked
    /// child: the child must not end the parent's tokens.
    fn log_off_unused_tokens(&self, token_uses: &TokenUses) {
        let unused = token_uses.release_all(self.process());
        if unused.is_empty() || sys::generation() != self.opened_generation {
            return;
        }
        let call = CallContext {
            log: (**self.log.load()).clone(),
            ..CallContext::with_timeout(LOGOFF_ON_CLOSE_TIMEOUT, "closing the connection")
        };
        for (cache_key, snapshot) in unused {
            let token = self.process().cache.remove(cache_key).filter(|token| !self.is_expired(token));
            let snapshot = snapshot.with_current_policy(self.snapshot.process_override());
            let (Some(token), Ok(config)) = (token, snapshot.config()) else { continue };
            if let Err(error) = grants::log_off(config, &token, self.process(), &call) {
                call.log.log(LogLevel::Warning, || error.message());
            }
        }
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.process().slot_registry.unregister(&self.handle_slots);
        if let Some(ConnectionState { token_uses, .. }) = self.state.get() {
            self.log_off_unused_tokens(token_uses);
            token_uses.remove_private_tokens(self.process());
        }
    }
}
