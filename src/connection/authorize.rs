//! What takes a person: consent and logins.

use std::sync::Arc;

use super::snapshot::Snapshot;
use super::{CallOptions, Connection};
use crate::authorize::{self, AuthorizationResult, ShowUrlFn};
use crate::base::call::CallContext;
use crate::base::error::{Error, Result, Status};
use crate::base::policy::{Policy, Restriction};
use crate::grants;
use crate::resolve::{self, Config, Grant, TokenEndpointConfig};
use crate::token::AccessToken;

impl Connection {
    /// The URL that a person opens to give consent.
    ///
    /// # Errors
    /// What the URL lacks.
    pub fn consent_url(&self) -> Result<String> {
        let snapshot = self.snapshot.load_revalidated();
        Ok(authorize::build_authorization_url(&resolve::resolve_authorization_request(
            snapshot.options(),
            snapshot.signer.as_ref(),
        )?))
    }

    /// Lets a person log in or consent in a browser. A login's code is exchanged for the token; where the grant does not
    /// need it, it is thrown away and a token fetched to see that consent has arrived.
    ///
    /// # Errors
    /// What the consent URL or the token request lacks; those of the visit and of fetching.
    pub fn authorize(&self, show: Option<&ShowUrlFn<'_>>) -> Result<()> {
        if show.is_none() && Policy::current().forbids(Restriction::Prompt) {
            return Err(browser_forbidden_error());
        }
        let snapshot = self.snapshot.load_revalidated();
        let authorization = resolve::resolve_authorization(snapshot.options(), snapshot.signer.as_ref())?;
        let (consent, config) = (&authorization.request, snapshot.config()?);
        let person = self.register_call(CallContext::with_timeout(consent.timeout, "ConsentTimeout"));
        let visit = authorize::authorize_in_browser(consent, show, &self.process().browser, &person)?;
        if let Some(exchange) = &authorization.token_endpoint {
            self.exchange_code(exchange, &visit, &snapshot, config)?;
        }
        if config.flow.login().is_none() {
            self.process().cache.remove(self.cache_key(&snapshot, config));
            self.get_or_fetch_token(
                &snapshot,
                config,
                CallOptions { no_prompt: true, ..CallOptions::default() },
            )?;
        }
        Ok(())
    }

    /// Exchanges the code of a visit: for the connection's own token, or to hear who has consented.
    fn exchange_code(
        &self,
        exchange: &TokenEndpointConfig,
        visit: &AuthorizationResult,
        snapshot: &Snapshot,
        config: &Config,
    ) -> Result<()> {
        let Grant::AuthorizationCode(login) = &exchange.grant else { return Ok(()) };
        let call = self.begin_call(config, CallOptions::default());
        let identity = self.cache_key(snapshot, config);
        let token = self.with_grant_context(identity, &call, false, |context| {
            grants::exchange_code(exchange, login, visit, context)
        })?;
        if config.flow.login().is_some() {
            self.process().cache.insert(Arc::new(token));
        } else {
            self.state().login_state.set_id_token(token.fields.get("id_token").cloned());
        }
        Ok(())
    }

    /// What an administrator's consent has told, with each token of this connection.
    pub(super) fn attach_id_token(&self, mut token: AccessToken) -> AccessToken {
        if let Some(id_token) = self.state().login_state.id_token() {
            token.fields.entry("id_token".to_owned()).or_insert(id_token);
        }
        token
    }
}

fn browser_forbidden_error() -> Error {
    let text = format!(
        "opening a browser is something {}; hand authgrant_authorize a function that shows the URL",
        Restriction::Prompt.rejection_text()
    );
    Error::new(Status::Unsupported, "consent", text)
}
