//! Interactive authorization: consent URL, and logins and consent in a browser.

use std::sync::Arc;

use super::{CallOptions, Connection};
use crate::authorize::{self, AuthorizationResult, ShowUrlFn};
use crate::base::cache_key::CacheKey;
use crate::base::call::CallContext;
use crate::base::error::{Error, ErrorKind, OptionError, Result};
use crate::base::policy::{Policy, Restriction};
use crate::grants;
use crate::process::Snapshot;
use crate::resolve::{Config, Grant, InteractiveAuthorization, TokenEndpointConfig};
use crate::token::AccessToken;

impl Connection {
    /// Returns the URL that the user must open to give consent.
    ///
    /// # Errors
    /// The options that the URL needs and that are missing.
    pub fn consent_url(&self) -> Result<String> {
        let snapshot = self.snapshot.load_revalidated();
        let request = snapshot.resolution().authorization_request()?;
        authorize::consent_url(request).ok_or_else(ephemeral_port_error)
    }

    /// Lets the user log in or consent in a browser. The code of a login is exchanged for the token. If the
    /// grant needs no code, the code is discarded, and a token is requested to verify that consent was given.
    /// The page that the user then sees shows whether that succeeded. A timeout in `call_options` is for all of it.
    ///
    /// # Errors
    /// Missing options of the consent URL or of the token request; errors of the authorization and of the
    /// token request.
    pub fn authorize(&self, call_options: CallOptions<'_>, show_url: Option<&ShowUrlFn<'_>>) -> Result<()> {
        if show_url.is_none() && Policy::current().forbids(Restriction::Prompt) {
            return Err(browser_forbidden_error());
        }
        let snapshot = self.snapshot.load_revalidated();
        let InteractiveAuthorization { request, token_endpoint } =
            snapshot.resolution().interactive_authorization()?;
        let config = snapshot.config()?;
        let call = match call_options.timeout {
            Some(timeout) => CallContext::with_timeout(timeout, "the call's timeout"),
            None => CallContext::with_timeout(request.timeout, "ConsentTimeout"),
        };
        let cancel = call_options.cancel.map(Arc::clone).unwrap_or_default();
        let call = self.register_call(CallContext { cancel, ..call });
        call.check()?;
        authorize::authorize_in_browser(request, show_url, &self.process().browser, &call, &mut |result| {
            let timeout = call_options.timeout.and(call.deadline.remaining());
            let call_options = CallOptions { timeout, no_prompt: true, ..call_options };
            if let Some(endpoint_config) = token_endpoint {
                self.exchange_code(endpoint_config, result, &snapshot, config, call_options)?;
            }
            if config.flow.login().is_none() {
                self.process().cache.remove(self.cache_key(&snapshot, config));
                self.get_or_fetch_token(&snapshot, config, call_options)?;
            }
            Ok(())
        })
    }

    /// Exchanges the authorization code: for the token of this connection, or for the ID token of the user
    /// who consented.
    fn exchange_code(
        &self,
        endpoint_config: &TokenEndpointConfig,
        result: &AuthorizationResult,
        snapshot: &Arc<Snapshot>,
        config: &Config,
        call_options: CallOptions<'_>,
    ) -> Result<()> {
        let Grant::AuthorizationCode(login) = &endpoint_config.grant else { return Ok(()) };
        let call = self.begin_call(config, call_options);
        let cache_key = self.cache_key(snapshot, config);
        let token = self.with_grant_context(cache_key, &call, false, |context| {
            grants::exchange_code(endpoint_config, login, result, context)
        })?;
        if config.flow.login().is_some() {
            self.track_for_removal(cache_key, config);
            self.track_for_logoff(cache_key, snapshot, config);
            self.with_grant_context(cache_key, &call, false, |context| {
                self.share_login(config, &token, context)
            });
            self.process().cache.insert(Arc::new(token));
        } else {
            let id_token = token.fields.get("id_token").cloned();
            self.state().login_state.set_id_token(self.consent_key(config), id_token);
        }
        Ok(())
    }

    /// Adds the ID token of an administrator's consent to a token of this connection.
    pub(super) fn attach_id_token(&self, mut token: AccessToken, config: &Config) -> AccessToken {
        if let Some(id_token) = self.state().login_state.id_token(self.consent_key(config)) {
            token.fields.entry("id_token".to_owned()).or_insert(id_token);
        }
        token
    }

    /// Key of the server and the client of an administrator's consent: after another one is set, the ID token does
    /// not belong to the tokens.
    pub(super) fn consent_key(&self, config: &Config) -> CacheKey {
        let endpoint = config.flow.token_endpoint().map(|endpoint_config| endpoint_config.endpoint.as_str());
        let client = config.authorization_request.as_ref().map(|request| &request.client_id);
        CacheKey::digest(&self.process().cache_key_secret, &(endpoint, client))
    }
}

fn ephemeral_port_error() -> Error {
    let text = "RedirectURI has port 0, so that each login has another redirect URI; call authgrant_authorize, or \
                set a port for a consent URL";
    Error::new(OptionError::Invalid, "consent", text).with_option("RedirectURI")
}

fn browser_forbidden_error() -> Error {
    let text = format!(
        "opening a browser is forbidden by the process policy ({}); pass a callback to authgrant_authorize",
        Restriction::Prompt.name()
    );
    Error::new(ErrorKind::Unsupported, "consent", text)
}

#[cfg(test)]
mod tests {
    use std::ffi::CString;

    use zeroize::Zeroizing;

    use super::super::tests::{ConnectionFixture, ONE_HOUR_TOKEN_JSON, fixture, start_token_server};
    use super::*;
    use crate::base::secret::Secret;

    #[test]
    fn unused_login_token_is_dropped_on_close() {
        let (_server, endpoint) = start_token_server(ONE_HOUR_TOKEN_JSON);
        let login = "am=51;ClientID=c;RedirectURI=http://localhost:3000;AuthURI=https://example.com/auth";
        let ConnectionFixture { connection, process, .. } = fixture(&format!("{login};{endpoint}"));
        let snapshot = connection.snapshot.load();
        let authorization = snapshot.resolution().interactive_authorization().unwrap();
        let result = AuthorizationResult {
            code: Some(Secret::from("code")),
            verifier: Secret::from("v"),
            nonce: None,
            redirect_uri: "http://localhost:3000".to_owned(),
        };
        connection
            .exchange_code(
                authorization.token_endpoint.unwrap(),
                &result,
                &snapshot,
                snapshot.config().unwrap(),
                CallOptions::default(),
            )
            .unwrap();
        assert_eq!(process.cache.entry_count(), 1);
        drop(connection);
        assert_eq!(process.cache.entry_count(), 0);
    }

    #[test]
    fn consent_id_token_is_added_for_same_client() {
        let (server, endpoint) = start_token_server(ONE_HOUR_TOKEN_JSON);
        let consent = "ConsentType=ExternalAdmin;ClientID=c;RedirectURI=http://localhost:3000;Scope=a;\
                       AuthURI=https://example.com/auth";
        let fixture = fixture(&format!("{consent};{endpoint}"));
        let connection = &fixture.connection;
        let snapshot = connection.snapshot.load();
        let consent_key = connection.consent_key(snapshot.config().unwrap());
        let id_token = Some(Zeroizing::new(CString::from(c"id")));
        connection.state().login_state.set_id_token(consent_key, id_token);
        let other_endpoint = server.url("/oauth/token?other");
        for (option, value, is_added) in [
            ("JWTLifetime", "60", true),
            ("ClientID", "d", false),
            ("ClientID", "c", true),
            ("TokenEndpoint", &other_endpoint, false),
        ] {
            connection.set_options(&[(option, value)]).unwrap();
            let token = connection.get_token(CallOptions::default()).unwrap();
            assert_eq!(token.field("id_token").is_some(), is_added, "{option}={value}");
        }
    }
}
