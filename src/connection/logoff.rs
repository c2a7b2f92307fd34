//! Logoff of a connection's tokens: on request, and when the last connection that uses a token is closed.

use std::ffi::CString;
use std::sync::Arc;
use std::time::Duration;

use zeroize::Zeroizing;

use super::token_uses::{Purpose, TokenUses};
use super::{CallOptions, Connection, ConnectionState};
use crate::base::cache_key::CacheKey;
use crate::base::call::CallContext;
use crate::base::error::Result;
use crate::base::log::LogLevel;
use crate::base::secret::Secret;
use crate::grants::{self, GrantContext, LogoffTokens};
use crate::process::Snapshot;
use crate::resolve::{Config, Flow};
use crate::sys;
use crate::token::AccessToken;

/// Limit of all LogoffURI requests when a connection is closed.
const LOGOFF_ON_CLOSE_TIMEOUT: Duration = Duration::from_secs(5);

impl Connection {
    /// Ends the login of the connection: removes its token from the cache, then revokes the refresh token and the
    /// access token at LogoffURI, also those that the caller configured, or ends the session there.
    ///
    /// # Errors
    /// Errors in the options, of the network, and of LogoffURI.
    pub fn log_off(&self) -> Result<()> {
        let snapshot = self.snapshot.load_revalidated();
        let config = snapshot.config()?;
        let call = self.begin_call(config, CallOptions { no_prompt: true, ..CallOptions::default() });
        let cache_key = self.cache_key(&snapshot, config);
        self.seed_configured_token(config, cache_key);
        self.state().token_uses.release(cache_key, self.process());
        let cached = self.process().cache.remove(cache_key);
        self.with_grant_context(cache_key, &call, false, |context| {
            let access_token = self.to_revocable(cached.as_deref());
            if let Some(latest) = self.remove_shared(config, context) {
                grants::adopt_refresh_token(config, latest, context);
            }
            let tokens = LogoffTokens {
                refresh_token: current_refresh_token(config, context),
                access_token: access_token.or_else(|| configured_access_token(config, context)),
                id_token: cached.as_deref().and_then(id_token),
            };
            mark_revoked(config, &tokens, context);
            self.clear_cached_handles();
            context.login_state.clear_login();
            grants::log_off(config, &tokens, context)
        })
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

    /// The value of a token that has not expired.
    fn to_revocable(&self, token: Option<&AccessToken>) -> Option<Secret> {
        let now = self.process().clock.unix_seconds();
        let token = token.filter(|token| token.expires_at().is_none_or(|expires_at| expires_at > now));
        token.and_then(|token| token.value().to_str().ok()).map(Secret::from)
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
            let cached = self.process().cache.remove(cache_key);
            let snapshot = snapshot.with_current_policy();
            let Ok(config) = snapshot.config() else { continue };
            let outcome = self.with_grant_context(cache_key, &call, false, |context| {
                grants::log_off(
                    config,
                    &self.tokens_to_end_at_close(config, cached.as_deref(), context),
                    context,
                )
            });
            if let Err(error) = outcome {
                call.log.log(LogLevel::Warning, || error.message());
            }
        }
    }

    /// The tokens that only this connection holds. A server may end the whole login if one of its tokens is revoked
    /// (RFC 7009 section 2.1), so a login of which the caller or another process holds a token is not touched.
    fn tokens_to_end_at_close(
        &self,
        config: &Config,
        cached: Option<&AccessToken>,
        context: &GrantContext<'_>,
    ) -> LogoffTokens {
        // Other applications share the session of the user.
        let ends_session = config.logoff.as_ref().is_some_and(|logoff| logoff.ends_session);
        let is_login_exported = config.flow.is_user_bound() && context.login_state.is_exported();
        if ends_session
            || is_shared_login(config)
            || cached.is_some_and(AccessToken::is_shared)
            || grants::has_given_tokens(config)
            || is_login_exported
            || cached.is_some_and(AccessToken::is_exported)
        {
            return LogoffTokens::default();
        }
        LogoffTokens {
            refresh_token: current_refresh_token(config, context),
            access_token: self.to_revocable(cached),
            id_token: None,
        }
    }
}

/// Whether other processes may use the login of the user.
fn is_shared_login(config: &Config) -> bool {
    config.flow.is_user_bound()
        && config.shared_cache.as_ref().is_some_and(|shared| shared.prompted_user.is_some())
}

/// The ID token of the response with `token`.
fn id_token(token: &AccessToken) -> Option<Secret> {
    token.field("id_token")?.to_str().ok().map(Secret::from)
}

/// The refresh token of the connection, unless it is known to be invalid.
fn current_refresh_token(config: &Config, context: &GrantContext<'_>) -> Option<Secret> {
    grants::current_refresh_token(config, context).filter(|token| !context.login_state.is_revoked(token))
}

/// AccessToken, if it is the token of the connection.
fn configured_access_token(config: &Config, context: &GrantContext<'_>) -> Option<Secret> {
    match &config.flow {
        Flow::AccessToken(token) if !context.login_state.is_rejected(token) => Some(token.clone()),
        _ => None,
    }
}

/// Records that configured tokens are revoked, so that they are not used again.
fn mark_revoked(config: &Config, tokens: &LogoffTokens, context: &GrantContext<'_>) {
    if config.logoff.as_ref().is_none_or(|logoff| logoff.ends_session) {
        return;
    }
    if let Some(token) = &tokens.refresh_token {
        context.login_state.mark_revoked(token.clone());
    }
    if let (Flow::AccessToken(_), Some(token)) = (&config.flow, &tokens.access_token) {
        let token = CString::new(token.reveal()).map(Zeroizing::new);
        token.iter().for_each(|token| context.login_state.mark_rejected(token));
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
