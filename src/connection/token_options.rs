//! The tokens that a connection begins with, and those that it hands on in its completed string.

use super::Connection;
use super::snapshot::Snapshot;
use crate::base::cache_key::CacheKey;
use crate::base::call::CallContext;
use crate::base::clock;
use crate::base::secret::Secret;
use crate::grants::{self, access_token};
use crate::options::{OptionId, OptionOverride, Options};
use crate::resolve::{Config, Flow, Grant};
use crate::token::cache::Requirements;

impl Connection {
    /// Puts the token that was given beside a refresh token where a fetched one would be, once.
    pub(super) fn seed_configured_token(&self, config: &Config, identity: CacheKey) {
        let Some(given) = &config.preset_token.token else { return };
        let process = self.process();
        if self.state().login_state.seed_once(given)
            && let Some(token) =
                access_token::initial_token(&config.preset_token, process.clock.as_ref(), identity)
        {
            process.cache.insert_if_absent(identity, token);
        }
    }

    /// What ODBC 4.0's keywords say of the tokens of now. Nothing is fetched.
    pub(super) fn current_token_options(&self, snapshot: &Snapshot, config: &Config) -> Vec<OptionOverride> {
        let (process, options) = (self.process(), snapshot.options());
        let identity = self.cache_key(snapshot, config);
        self.seed_configured_token(config, identity);
        let token = process.cache.peek(identity, Requirements::default(), process.clock.as_ref());
        let (value, end) = match (&token, &config.flow) {
            (Some(token), _) => (token.value().to_str().ok().map(Secret::from), token.expires_at()),
            (None, Flow::AccessToken(given)) => (Some(given.clone()), config.preset_token.expires_at),
            (None, _) => (None, None),
        };
        let method = value.as_ref().and_then(|_| inferred_method_number(config, options));
        let scope = token.as_ref().and_then(|token| token.scope()?.to_str().ok());
        // A scope that is asked for is what refreshing asks for; what the server chose by itself may be asked for there.
        let scope = scope.filter(|_| config.flow.is_user_bound() && options.get(OptionId::Scope).is_none());
        let instead = |name, spelling, text| OptionOverride { id: name, name_to_write: spelling, text };
        let mut all = vec![
            instead(OptionId::AccessToken, "Auth_AccessToken", value),
            instead(
                OptionId::AccessTokenExpires,
                "Auth_Expires",
                end.and_then(clock::format_rfc3339).map(Secret::new),
            ),
        ];
        all.extend(method.map(|number| {
            instead(OptionId::AuthenticationMethod, "AuthenticationMethod", Some(Secret::from(number)))
        }));
        all.extend(scope.map(|scope| instead(OptionId::Scope, "Auth_Scope", Some(Secret::from(scope)))));
        all.extend(self.latest_refresh_token_option(snapshot, config, "Auth_RefreshToken"));
        all
    }

    /// The refresh token that has taken the place of the option's: that one may be dead.
    pub(super) fn latest_refresh_token_option(
        &self,
        snapshot: &Snapshot,
        config: &Config,
        spelling: &'static str,
    ) -> Option<OptionOverride> {
        let call = CallContext::unbounded();
        let identity = self.cache_key(snapshot, config);
        let newest = self.with_grant_context(identity, &call, false, |context| {
            grants::current_refresh_token(config, context)
        });
        newest.map(|newest| OptionOverride {
            id: OptionId::RefreshToken,
            name_to_write: spelling,
            text: Some(newest),
        })
    }
}

/// The number of a method that was inferred, and would not be beside an access token.
fn inferred_method_number(config: &Config, options: &Options) -> Option<&'static str> {
    let said = options.get(OptionId::AuthenticationMethod).map_or("24", |value| value.text.reveal());
    let Flow::TokenEndpoint(exchange) = &config.flow else { return None };
    let inferred = said == "24" || said.eq_ignore_ascii_case("OAuth2");
    match &exchange.grant {
        Grant::Password { .. } if inferred => Some("52"),
        Grant::ClientCredentials if inferred => Some("53"),
        _ => None,
    }
}
