//! Tokens that this connection shares with other processes (TokenCache).

use super::Connection;
use crate::base::audit::{self, EventKind};
use crate::base::call::CallContext;
use crate::base::error::Result;
use crate::base::secret::Secret;
use crate::grants::{self, GrantContext};
use crate::resolve::Config;
use crate::shared_cache::{BeforeRefresh, Request, SharedEntry, TokenSource};
use crate::token::cache::{FetchKind, Requirements};
use crate::token::{AccessToken, SharedOrigin};

/// Requests tokens with the configuration of a connection.
struct ConnectionSource<'a> {
    connection: &'a Connection,
    config: &'a Config,
    kind: FetchKind,
    context: &'a GrantContext<'a>,
}

impl TokenSource for ConnectionSource<'_> {
    fn fetch(
        &self,
        call: &CallContext,
        may_prompt: bool,
        before_refresh: &BeforeRefresh<'_>,
    ) -> Result<AccessToken> {
        let context = GrantContext { call, may_prompt, before_refresh, ..*self.context };
        self.connection.fetch_token(self.config, self.kind, &context)
    }

    fn refresh_token(&self) -> Option<Secret> {
        grants::current_refresh_token(self.config, self.context)
    }

    fn adopt_refresh_token(&self, token: Secret) {
        grants::adopt_refresh_token(self.config, token, self.context);
    }
}

impl Connection {
    /// Returns the token that another process shares, or else requests one and shares it.
    pub(super) fn share_or_fetch(
        &self,
        config: &Config,
        kind: FetchKind,
        requirements: Requirements,
        context: &GrantContext<'_>,
    ) -> Result<AccessToken> {
        let Some(entry) = self.shared_entry(config, context)? else {
            return self.fetch_token(config, kind, context);
        };
        let source = ConnectionSource { connection: self, config, kind, context };
        let token = entry.get_or_fetch(&request(config, kind, requirements, context), &source)?;
        if let Some(origin) = token.shared_origin() {
            audit_shared_token(&token, origin, config, context);
        }
        Ok(token)
    }

    /// Shares the token of a login.
    pub(super) fn share_login(&self, config: &Config, token: &AccessToken, context: &GrantContext<'_>) {
        if let Ok(Some(entry)) = self.shared_entry(config, context) {
            let refresh_token = grants::current_refresh_token(config, context);
            let request = request(config, FetchKind::Needed, Requirements::default(), context);
            entry.publish(token, refresh_token.as_ref(), &request);
        }
    }

    /// Removes the token from the store, and returns the refresh token that was there.
    pub(super) fn remove_shared(&self, config: &Config, context: &GrantContext<'_>) -> Option<Secret> {
        let entry = self.shared_entry(config, context).ok()??;
        entry.remove(&request(config, FetchKind::Needed, Requirements::default(), context))
    }

    /// The shared entry of the token; `None` if it is not shared, which includes a token with an ID token of this
    /// connection.
    fn shared_entry<'a>(
        &self,
        config: &'a Config,
        context: &GrantContext<'a>,
    ) -> Result<Option<SharedEntry<'a>>> {
        if self.state().login_state.has_id_token() {
            return Ok(None);
        }
        SharedEntry::open(config, context.process, context.warn)
    }
}

/// Records the use of a token that another process requested.
fn audit_shared_token(
    token: &AccessToken,
    origin: &SharedOrigin,
    config: &Config,
    context: &GrantContext<'_>,
) {
    if audit::is_enabled() {
        let now = context.process.clock.unix_seconds();
        let mut event = grants::token_event(EventKind::SharedToken, Some(config), context);
        event.machine = Some(origin.machine.as_str().into());
        event.expires_in = token.expires_at().map(|expires_at| expires_at.saturating_sub(now));
        audit::record(&event);
    }
}

fn request<'a>(
    config: &Config,
    kind: FetchKind,
    requirements: Requirements,
    context: &GrantContext<'a>,
) -> Request<'a> {
    Request {
        call: context.call,
        kind,
        requirements,
        cache_key: context.cache_key,
        is_user_bound: config.flow.is_user_bound(),
        // Only a login in a browser: another request would send the refused refresh token again.
        may_prompt: context.may_prompt && config.flow.login().is_some_and(|login| login.may_prompt),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::connection::CallOptions;
    use crate::connection::tests::{ONE_HOUR_TOKEN_JSON, fixture, start_token_server};

    /// Whether a call of a connection that permits a login may open a browser for it.
    fn may_prompt(options: &str) -> bool {
        let fixture = fixture(&format!("{options};TokenEndpoint=https://as.example/token;ClientID=c"));
        let connection = &fixture.connection;
        let snapshot = connection.snapshot.load();
        let config = snapshot.config().unwrap();
        let cache_key = connection.cache_key(&snapshot, config);
        connection.with_grant_context(cache_key, &CallContext::unbounded(), true, |context| {
            request(config, FetchKind::Needed, Requirements::default(), context).may_prompt
        })
    }

    #[test]
    fn only_connection_with_login_prompt_may_prompt() {
        let login = "am=51;RedirectURI=http://localhost:3000;AuthURI=https://as.example/auth";
        assert!(may_prompt(&format!("{login};EnableLoginPrompt=1")));
        for options in [login, "am=54;RefreshToken=r", "am=55"] {
            assert!(!may_prompt(options), "{options}");
        }
    }

    #[test]
    fn shared_token_is_not_revoked_at_close() {
        for (is_shared, logoffs) in [(false, 1), (true, 0)] {
            let (server, endpoint) = start_token_server(ONE_HOUR_TOKEN_JSON);
            let fixture = fixture(&format!("LogoffURI={};{endpoint}", server.url("/oauth/logoff")));
            let token = fixture.connection.get_token(CallOptions::default()).unwrap();
            if is_shared {
                token.mark_shared(None);
            }
            drop(fixture.connection);
            assert_eq!(server.logoff_count(), logoffs);
        }
    }
}
