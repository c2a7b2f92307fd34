//! Tokens in options: configured tokens that seed the cache, and current tokens in the completed connection
//! string.

use super::Connection;
use crate::base::cache_key::CacheKey;
use crate::base::call::CallContext;
use crate::base::clock;
use crate::base::secret::Secret;
use crate::grants::{self, access_token};
use crate::options::{OptionId, OptionOverride, Options};
use crate::process::Snapshot;
use crate::resolve::{Config, Flow, Grant};
use crate::token::cache::Requirements;

impl Connection {
    /// Inserts the configured access token into the cache once, if a refresh token is configured as well.
    pub(super) fn seed_configured_token(&self, config: &Config, cache_key: CacheKey) {
        let Some(preset) = &config.preset_token.token else { return };
        let process = self.process();
        if self.state().login_state.seed_once(preset)
            && let Some(token) =
                access_token::initial_token(&config.preset_token, process.clock.as_ref(), cache_key)
        {
            self.track_for_removal(cache_key, config);
            process.cache.insert_if_absent(cache_key, token);
        }
    }

    /// Returns the current tokens as options with the keywords of ODBC 4.0. Sends no request.
    pub(super) fn current_token_options(&self, snapshot: &Snapshot, config: &Config) -> Vec<OptionOverride> {
        let (process, options) = (self.process(), &snapshot.resolution().options);
        let cache_key = self.cache_key(snapshot, config);
        self.seed_configured_token(config, cache_key);
        let token = process.cache.peek(cache_key, Requirements::default(), process.clock.as_ref());
        if let Some(token) = &token {
            token.mark_exported();
        }
        let (value, expires_at) = match (&token, &config.flow) {
            (Some(token), _) => (token.value().to_str().ok().map(Secret::from), token.expires_at()),
            (None, Flow::AccessToken(configured)) => {
                (Some(configured.clone()), config.preset_token.expires_at)
            }
            (None, _) => (None, None),
        };
        let method = value.as_ref().and_then(|_| inferred_method_number(config, options));
        let scope = token.as_ref().and_then(|token| token.scope()?.to_str().ok());
        // A configured scope stays unchanged, because a refresh requests it. A scope chosen by the server may
        // be requested by a refresh, so it is written if no scope is configured.
        let scope = scope.filter(|_| config.flow.is_user_bound() && options.get(OptionId::Scope).is_none());
        let option = |id, name_to_write, text| OptionOverride { id, name_to_write, text };
        let mut overrides = vec![
            option(OptionId::AccessToken, "Auth_AccessToken", value),
            option(
                OptionId::AccessTokenExpires,
                "Auth_Expires",
                expires_at.and_then(clock::format_rfc3339).map(Secret::new),
            ),
        ];
        overrides.extend(method.map(|number| {
            option(OptionId::AuthenticationMethod, "AuthenticationMethod", Some(Secret::from(number)))
        }));
        overrides.extend(scope.map(|scope| option(OptionId::Scope, "Auth_Scope", Some(Secret::from(scope)))));
        overrides.extend(self.latest_refresh_token_option(snapshot, config, "Auth_RefreshToken"));
        overrides
    }

    /// Returns the latest refresh token as an option. It replaces the configured one, which the server may
    /// have revoked.
    pub(super) fn latest_refresh_token_option(
        &self,
        snapshot: &Snapshot,
        config: &Config,
        name_to_write: &'static str,
    ) -> Option<OptionOverride> {
        let call = CallContext::unbounded();
        let cache_key = self.cache_key(snapshot, config);
        let latest = self.with_grant_context(cache_key, &call, false, |context| {
            grants::current_refresh_token(config, context)
        });
        if latest.is_some() {
            self.state().login_state.mark_exported();
        }
        latest.map(|token| OptionOverride { id: OptionId::RefreshToken, name_to_write, text: Some(token) })
    }
}

/// Returns the number of an inferred method. It must be written explicitly, because the method cannot be
/// inferred if an access token is present.
fn inferred_method_number(config: &Config, options: &Options) -> Option<&'static str> {
    let configured = options.get(OptionId::AuthenticationMethod).map_or("24", |value| value.text.reveal());
    let Flow::TokenEndpoint(endpoint_config) = &config.flow else { return None };
    let inferred = configured == "24" || configured.eq_ignore_ascii_case("OAuth2");
    match &endpoint_config.grant {
        Grant::Password { .. } if inferred => Some("52"),
        Grant::ClientCredentials if inferred => Some("53"),
        _ => None,
    }
}
