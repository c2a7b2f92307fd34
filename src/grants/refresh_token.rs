//! Refresh token grant (RFC 6749 section 6): uses the latest refresh token of the server, or else the
//! configured one.

use crate::base::cache_key::CacheKey;
use crate::base::error::Result;
use crate::base::sanitize;
use crate::base::secret::Secret;
use crate::grants::context::GrantContext;
use crate::grants::retry::RetryPolicy;
use crate::grants::token_client::{self, IssuedToken};
use crate::grants::token_request::{Credential, Parameter, TokenRequest};
use crate::options::OptionId;
use crate::process::Process;
use crate::resolve::{Grant, TokenEndpointConfig};
use crate::token::AccessToken;

/// Requests a token with the latest refresh token, or with `fallback` if there is none.
pub(super) fn fetch(
    endpoint_config: &TokenEndpointConfig,
    fallback: &Secret,
    context: &GrantContext<'_>,
) -> Result<AccessToken> {
    let issued = token_client::request_token(endpoint_config, context, &|_| {
        (context.before_refresh)()?;
        let token = get_current(endpoint_config, context);
        Ok(build_request(endpoint_config, token.as_ref().unwrap_or(fallback)))
    })?;
    Ok(store_refresh_token(endpoint_config, issued, context))
}

/// Returns the refresh token to send, if any.
pub(super) fn get_current(
    endpoint_config: &TokenEndpointConfig,
    context: &GrantContext<'_>,
) -> Option<Secret> {
    let latest = context.login_state.refresh_token(family_key(endpoint_config, context.process));
    latest.or_else(|| configured_token(&endpoint_config.grant).cloned())
}

/// Replaces the refresh token by a newer one, of a response or of another process.
pub(super) fn adopt(endpoint_config: &TokenEndpointConfig, token: Secret, context: &GrantContext<'_>) {
    let previous = get_current(endpoint_config, context);
    let family = family_key(endpoint_config, context.process);
    context.login_state.store_refresh_token(family, previous.as_ref(), token);
}

/// Stores the refresh token of a response, if it has one, and returns the access token.
pub(super) fn store_refresh_token(
    endpoint_config: &TokenEndpointConfig,
    issued: IssuedToken,
    context: &GrantContext<'_>,
) -> AccessToken {
    if let Some(latest) = issued.refresh_token {
        adopt(endpoint_config, latest, context);
    }
    issued.access_token
}

/// Key of a refresh token family: a configured token or a login, and the tokens that replace it, for one endpoint
/// and client.
pub(super) fn family_key(endpoint_config: &TokenEndpointConfig, process: &Process) -> CacheKey {
    let client = endpoint_config.client.as_ref().map(|client| &client.id);
    let configured = configured_token(&endpoint_config.grant);
    let login = match &endpoint_config.grant {
        // A configured token is that of one user and consent, whatever other options say. The server has replaced
        // it, and would end the login if it were sent again (RFC 9700 section 4.14.2).
        Grant::AuthorizationCode(login) if configured.is_none() => Some(&login.subject),
        _ => None,
    };
    let subject = (configured, login, endpoint_config.endpoint.as_str(), client);
    CacheKey::digest(&process.cache_key_secret, &subject)
}

fn configured_token(grant: &Grant) -> Option<&Secret> {
    match grant {
        Grant::RefreshToken(token) => Some(token),
        Grant::AuthorizationCode(login) => login.refresh_token.as_ref(),
        _ => None,
    }
}

pub(super) fn build_request<'a>(
    endpoint_config: &'a TokenEndpointConfig,
    token: &Secret,
) -> TokenRequest<'a> {
    let parameters = vec![
        Parameter::shown("grant_type", "refresh_token", &[]),
        Parameter::hidden("refresh_token", token.clone(), &[OptionId::RefreshToken]),
    ];
    TokenRequest::new(
        endpoint_config,
        parameters,
        Credential::RefreshToken,
        // If the server has processed a request whose response was lost, a second one revokes the whole token
        // family (RFC 9700 section 4.14.2).
        RetryPolicy::OnlyIfUnprocessed,
        || format!("the token URL was {}", sanitize::excerpt(endpoint_config.endpoint.without_query())),
    )
}
