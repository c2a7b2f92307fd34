//! Authorization code grant with PKCE (RFC 6749 section 4.1, RFC 7636): goes on from an earlier login while a refresh token
//! lasts; else a code that the user brought, else a person at a browser.

use crate::authorize::{self, AuthorizationResult};
use crate::base::call::CallContext;
use crate::base::error::{Error, Result, Status};
use crate::base::secret::Secret;
use crate::grants::token_request::{self, RetryPolicy, TokenRequest};
use crate::grants::{GrantContext, refresh_token};
use crate::resolve::{AuthorizationRequest, Login, TokenEndpointConfig};
use crate::token::AccessToken;

pub(super) fn fetch(
    exchange: &TokenEndpointConfig,
    login: &Login,
    consent: Option<&AuthorizationRequest>,
    context: &GrantContext<'_>,
) -> Result<AccessToken> {
    let ended = match refresh_token::get_current(exchange, context) {
        Some(token) => match refresh(exchange, &token, context) {
            Err(error) if error.status() == Status::Expired => Some(error),
            outcome => return outcome,
        },
        None => None,
    };
    if let Some(code) = login.code.as_ref().filter(|code| context.login_state.consume_code(code)) {
        return exchange_code(exchange, login, code, None, context);
    }
    match consent.filter(|_| login.may_prompt && context.may_prompt) {
        Some(consent) => {
            context.call.check()?;
            let visit = authorize::authorize_in_browser(
                consent,
                None,
                &context.process.browser,
                &with_consent_timeout(consent, context),
            )?;
            exchange_redirect_code(exchange, login, &visit, context)
        }
        None => Err(ended.unwrap_or_else(|| login_required_error(exchange, login, consent, context))),
    }
}

/// Exchanges the code that a visit brought.
pub(super) fn exchange_redirect_code(
    exchange: &TokenEndpointConfig,
    login: &Login,
    visit: &AuthorizationResult,
    context: &GrantContext<'_>,
) -> Result<AccessToken> {
    let code = visit.code.as_ref().ok_or_else(|| {
        Error::new(Status::Internal, "token", "the browser came back without a code, and nobody noticed")
    })?;
    exchange_code(exchange, login, code, Some(&visit.verifier), context)
}

fn refresh(
    exchange: &TokenEndpointConfig,
    token: &Secret,
    context: &GrantContext<'_>,
) -> Result<AccessToken> {
    token_request::request_token(exchange, context, &|_| Ok(refresh_token::build_request(exchange, token)))
}

fn exchange_code(
    exchange: &TokenEndpointConfig,
    login: &Login,
    code: &Secret,
    verifier: Option<&Secret>,
    context: &GrantContext<'_>,
) -> Result<AccessToken> {
    let attempt = |_| Ok(build_request(exchange, login, code, verifier));
    let token = token_request::request_token(
        exchange,
        &GrantContext { bypass_circuit_breaker: true, ..*context },
        &attempt,
    )
    // The next call does not send this code again.
    .map_err(Error::caller_specific)?;
    context.login_state.mark_logged_in(refresh_token::family_key(exchange, context.process));
    Ok(token)
}

fn build_request<'a>(
    exchange: &'a TokenEndpointConfig,
    login: &'a Login,
    code: &Secret,
    verifier: Option<&Secret>,
) -> TokenRequest<'a> {
    let mut parameters = vec![("grant_type", Secret::from("authorization_code")), ("code", code.clone())];
    parameters.extend(login.redirect_uri.as_deref().map(|uri| ("redirect_uri", Secret::from(uri))));
    parameters.extend(verifier.map(|verifier| ("code_verifier", verifier.clone())));
    let redirect = login.redirect_uri.as_deref().unwrap_or("absent");
    TokenRequest {
        parameters,
        credential_label: "the authorization code",
        describe: Box::new(move || {
            format!("redirect_uri was {redirect}, the token URL {}", exchange.endpoint.without_query())
        }),
        // A code counts once, and a server that sees it twice takes back what the first time gave (section 4.1.2).
        retry_policy: RetryPolicy::Never,
        signed_per_attempt: false,
    }
}

/// A person needs longer than a server: their time is ConsentTimeout, unless the caller's own is shorter.
fn with_consent_timeout(consent: &AuthorizationRequest, context: &GrantContext<'_>) -> CallContext {
    context.call.capped(consent.timeout, "ConsentTimeout")
}

fn login_required_error(
    exchange: &TokenEndpointConfig,
    login: &Login,
    consent: Option<&AuthorizationRequest>,
    context: &GrantContext<'_>,
) -> Error {
    let ways = "call authgrant_authorize, or set EnableLoginPrompt=1 or another OAuthCode";
    if context.login_state.is_logged_in(refresh_token::family_key(exchange, context.process)) {
        let text = format!("the login has ended, and no refresh token came with it; {ways}");
        return Error::new(Status::Expired, "token", text);
    }
    if login.code.is_some() {
        let text = format!("OAuthCode was sent already, and a code counts once; {ways}");
        return Error::new(Status::Expired, "token", text).with_option("OAuthCode");
    }
    let url = consent.map(authorize::build_authorization_url);
    let text = format!("nobody has logged in on this connection; {ways}, or RefreshToken");
    Error::new(Status::ConsentRequired, "token", text).with_consent_url(url)
}
