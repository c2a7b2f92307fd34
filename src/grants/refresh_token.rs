//! Refresh token grant (RFC 6749 section 6): the newest one that the server sent, else the user's.

use crate::base::cache_key::CacheKey;
use crate::base::secret::Secret;
use crate::grants::GrantContext;
use crate::grants::token_request::{RetryPolicy, TokenRequest};
use crate::process::Process;
use crate::resolve::{Grant, TokenEndpointConfig};

/// The refresh token to go on with, if there is one.
pub(super) fn get_current(exchange: &TokenEndpointConfig, context: &GrantContext<'_>) -> Option<Secret> {
    let newest = context.login_state.refresh_token(family_key(exchange, context.process));
    newest.or_else(|| configured_token(&exchange.grant).cloned())
}

/// Remembers the one that came with a token, where tokens belong to a person.
pub(super) fn store(exchange: &TokenEndpointConfig, newest: Secret, context: &GrantContext<'_>) {
    if exchange.grant.is_user_bound() {
        let before = get_current(exchange, context);
        context.login_state.store_refresh_token(
            family_key(exchange, context.process),
            before.as_ref(),
            newest,
        );
    }
}

/// Refresh tokens that take the place of each other: one server's for one client, from the user's own on.
pub(super) fn family_key(exchange: &TokenEndpointConfig, process: &Process) -> CacheKey {
    let client = exchange.client.as_ref().map(|client| &client.id);
    let subject = (configured_token(&exchange.grant), exchange.endpoint.as_str(), client);
    CacheKey::digest(&process.cache_key_secret, &subject)
}

fn configured_token(grant: &Grant) -> Option<&Secret> {
    match grant {
        Grant::RefreshToken(token) => Some(token),
        Grant::AuthorizationCode(login) => login.refresh_token.as_ref(),
        _ => None,
    }
}

pub(super) fn build_request<'a>(exchange: &'a TokenEndpointConfig, token: &Secret) -> TokenRequest<'a> {
    TokenRequest {
        parameters: vec![("grant_type", Secret::from("refresh_token")), ("refresh_token", token.clone())],
        credential_label: "the refresh token",
        describe: Box::new(|| format!("the token URL was {}", exchange.endpoint.without_query())),
        // Where the server has taken it although no answer came, a second try revokes the whole family.
        retry_policy: RetryPolicy::OnlyIfUnprocessed,
        signed_per_attempt: false,
    }
}
