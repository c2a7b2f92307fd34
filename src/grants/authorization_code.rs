//! Authorization code grant with PKCE (RFC 6749 section 4.1, RFC 7636): uses the refresh token of an earlier
//! login while it is valid, then a configured code, then a login in a browser.

use crate::authorize::{self, AuthorizationResult};
use crate::base::call::CallContext;
use crate::base::error::{Cause, Error, ErrorKind, OAuthReason, Result};
use crate::base::sanitize;
use crate::base::secret::Secret;
use crate::grants::context::GrantContext;
use crate::grants::refresh_token;
use crate::grants::retry::RetryPolicy;
use crate::grants::token_client;
use crate::grants::token_request::{Credential, Parameter, TokenRequest};
use crate::options::OptionId;
use crate::resolve::{AuthorizationRequest, Login, TokenEndpointConfig};
use crate::token::{AccessToken, unverified_jwt_nonce};

pub(super) fn fetch(
    endpoint_config: &TokenEndpointConfig,
    login: &Login,
    authorization_request: Option<&AuthorizationRequest>,
    context: &GrantContext<'_>,
) -> Result<AccessToken> {
    let current = refresh_token::get_current(endpoint_config, context);
    let refresh_error = match current.filter(|token| !context.login_state.is_revoked(token)) {
        Some(token) => match refresh_token::fetch(endpoint_config, &token, context) {
            Err(error) if error.oauth_reason() == Some(OAuthReason::ConsentRequired) => Some(error),
            outcome => return outcome,
        },
        None => None,
    };
    if refresh_error.as_ref().and_then(Error::oauth_error).as_deref() == Some("invalid_grant") {
        mark_current_revoked(endpoint_config, context);
    }
    if let Some(code) = login.code.as_ref().filter(|code| context.login_state.consume_code(code)) {
        return exchange_code(endpoint_config, login, code, None, None, context);
    }
    match authorization_request.filter(|_| login.may_prompt && context.may_prompt) {
        Some(request) => {
            context.call.check()?;
            authorize::authorize_in_browser(
                request,
                None,
                &context.process.browser,
                &with_consent_timeout(request, context),
                &mut |result| exchange_redirect_code(endpoint_config, login, result, context),
            )
        }
        None => Err(refresh_error
            .unwrap_or_else(|| login_required_error(endpoint_config, login, authorization_request, context))),
    }
}

/// Exchanges the code of an authorization in a browser.
pub(super) fn exchange_redirect_code(
    endpoint_config: &TokenEndpointConfig,
    login: &Login,
    result: &AuthorizationResult,
    context: &GrantContext<'_>,
) -> Result<AccessToken> {
    let code = result
        .code
        .as_ref()
        .ok_or_else(|| Error::new(ErrorKind::Internal, "token", "internal error: no authorization code"))?;
    let login = Login { redirect_uri: Some(result.redirect_uri.clone()), ..login.clone() };
    exchange_code(endpoint_config, &login, code, Some(&result.verifier), result.nonce.as_ref(), context)
}

fn exchange_code(
    endpoint_config: &TokenEndpointConfig,
    login: &Login,
    code: &Secret,
    verifier: Option<&Secret>,
    nonce: Option<&Secret>,
    context: &GrantContext<'_>,
) -> Result<AccessToken> {
    let build = |_| Ok(build_request(endpoint_config, login, code, verifier));
    let issued = token_client::request_token(
        endpoint_config,
        &GrantContext { bypass_circuit_breaker: true, ..*context },
        &build,
    )
    // The next call does not send this code again.
    .map_err(|error| error.with_cause(Cause::Caller))?;
    check_nonce(nonce, &issued.access_token, endpoint_config)?;
    let token = refresh_token::store_refresh_token(endpoint_config, issued, context);
    context.login_state.mark_logged_in(refresh_token::family_key(endpoint_config, context.process));
    Ok(token)
}

/// Checks that the ID token of the response, if it has one, is that of this login (OpenID Connect Core section
/// 3.1.3.7). Its signature is not verified, because it comes from the token endpoint itself.
fn check_nonce(
    nonce: Option<&Secret>,
    token: &AccessToken,
    endpoint_config: &TokenEndpointConfig,
) -> Result<()> {
    let (Some(nonce), Some(id_token)) = (nonce, token.field("id_token")) else { return Ok(()) };
    let found = id_token.to_str().ok().and_then(unverified_jwt_nonce);
    if found.as_ref() == Some(nonce) {
        return Ok(());
    }
    let found = if found.is_some() { "the nonce of another login" } else { "no nonce" };
    let text = format!(
        "the ID token from {} has {found}, although the login sent one; the tokens were discarded. Log in again; \
         if the server does not support nonce, remove openid from Scope",
        endpoint_config.endpoint.host()
    );
    Err(Error::new(OAuthReason::BadResponse, "token", text).with_option("Scope"))
}

/// Builds the request that the connection sends first: with the configured refresh token or code, or else
/// with empty values in place of the results of a login.
pub(super) fn build_first_request<'a>(
    endpoint_config: &'a TokenEndpointConfig,
    login: &'a Login,
) -> TokenRequest<'a> {
    match (&login.refresh_token, &login.code) {
        (Some(token), _) => refresh_token::build_request(endpoint_config, token),
        (None, Some(code)) => build_request(endpoint_config, login, code, None),
        (None, None) => {
            let unknown = Secret::default();
            build_request(endpoint_config, login, &unknown, Some(&unknown))
        }
    }
}

/// Builds a request with `code`. A configured code was obtained without a code challenge and so has no
/// `verifier`.
fn build_request<'a>(
    endpoint_config: &'a TokenEndpointConfig,
    login: &'a Login,
    code: &Secret,
    verifier: Option<&Secret>,
) -> TokenRequest<'a> {
    let redirect = login.redirect_uri.as_deref();
    let mut parameters = vec![
        Parameter::shown("grant_type", "authorization_code", &[]),
        Parameter::hidden("code", code.clone(), &[OptionId::OAuthCode]),
    ];
    parameters.extend(redirect.map(|uri| Parameter::shown("redirect_uri", uri, &[OptionId::RedirectURI])));
    parameters.extend(verifier.map(|verifier| Parameter::hidden("code_verifier", verifier.clone(), &[])));
    TokenRequest::new(
        endpoint_config,
        parameters,
        Credential::AuthorizationCode,
        // A code is valid once. A server that receives it twice may revoke the tokens of the first request
        // (RFC 6749 section 4.1.2).
        RetryPolicy::Never,
        move || {
            let redirect = sanitize::value(redirect.unwrap_or("absent"));
            format!(
                "redirect_uri was {redirect}, the token URL {}",
                sanitize::excerpt(endpoint_config.endpoint.without_query())
            )
        },
    )
}

/// Limits the call by ConsentTimeout, which leaves a user more time than a server; a shorter timeout of the
/// call remains.
fn with_consent_timeout(
    authorization_request: &AuthorizationRequest,
    context: &GrantContext<'_>,
) -> CallContext {
    context.call.capped(authorization_request.timeout, "ConsentTimeout")
}

/// Records that the server rejected the current refresh token, so that it is not sent again.
fn mark_current_revoked(endpoint_config: &TokenEndpointConfig, context: &GrantContext<'_>) {
    if let Some(token) = refresh_token::get_current(endpoint_config, context) {
        context.login_state.mark_revoked(token);
    }
}

fn login_required_error(
    endpoint_config: &TokenEndpointConfig,
    login: &Login,
    authorization_request: Option<&AuthorizationRequest>,
    context: &GrantContext<'_>,
) -> Error {
    let advice = "call authgrant_authorize, or set EnableLoginPrompt=1 or a new OAuthCode";
    let url = authorization_request.and_then(authorize::consent_url);
    let is_rejected = refresh_token::get_current(endpoint_config, context).is_some();
    let text = if is_rejected {
        format!("the session has expired and its refresh token was rejected; {advice}")
    } else if context.login_state.is_logged_in(refresh_token::family_key(endpoint_config, context.process)) {
        format!("the session has expired and there is no refresh token; {advice}")
    } else if login.code.is_some() {
        let text = format!("OAuthCode was already used; {advice}");
        return Error::new(OAuthReason::Expired, "token", text)
            .with_option("OAuthCode")
            .with_consent_url(url);
    } else {
        format!("no user has logged in on this connection; {advice}, or RefreshToken")
    };
    Error::new(OAuthReason::ConsentRequired, "token", text).with_consent_url(url)
}
