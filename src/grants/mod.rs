//! Grants: one module for each way to obtain a token with a resolved configuration, or an error that a
//! support engineer can act on.

use crate::authorize::{self, AuthorizationResult};
use crate::base::error::{Error, ErrorKind, OAuthError, OAuthReason, Result};
use crate::base::file::ConfiguredPath;
use crate::base::secret::Secret;
use crate::process::Process;
use crate::process::login_state::LoginState;
use crate::provider::ConsentType;
use crate::resolve::{
    AssertionConfig, AssertionSource, AuthorizationRequest, Config, Flow, Grant, INDIVIDUAL_CONSENT_ADVICE,
    Login, PresignedAssertion, TokenEndpointConfig,
};
use crate::token::AccessToken;

pub mod access_token;
mod audit;
mod authorization_code;
mod client_assertion;
mod client_auth;
mod client_credentials;
mod context;
mod error_class;
mod jwt_bearer;
mod local_token;
mod logoff;
mod password;
mod refresh_token;
mod rejection;
mod retry;
mod signed_jwt;
mod token_client;
mod token_request;

pub use audit::token_event;
pub use client_assertion::load_presigned_assertion;
pub use client_auth::{ClientAuthMethod, client_auth_method};
pub use context::GrantContext;
pub use logoff::{LogoffTokens, has_given_tokens, log_off};
pub use signed_jwt::{build_unsigned_jwt, check_not_expired};
pub use token_request::{Parameter, TokenRequest};

/// Requests a token with the flow of `config`. Does not use the token cache.
///
/// # Errors
/// Errors of the key, the network and the server; [`ErrorKind::Unsupported`] for a method without a token.
pub fn fetch_token(config: &Config, context: &GrantContext<'_>) -> Result<AccessToken> {
    match &config.flow {
        Flow::TokenEndpoint(endpoint_config) => {
            request_token_by_grant(endpoint_config, config.authorization_request.as_ref(), context)
        }
        Flow::SignedJwt(signing) => signed_jwt::fetch(signing, context),
        Flow::AccessToken(token) => access_token::fetch(token, config.preset_token.expires_at, context),
        Flow::Headers(_) => Err(no_token_error()),
    }
}

fn request_token_by_grant(
    endpoint_config: &TokenEndpointConfig,
    authorization_request: Option<&AuthorizationRequest>,
    context: &GrantContext<'_>,
) -> Result<AccessToken> {
    match &endpoint_config.grant {
        Grant::JwtBearer { signing, grant_type } => {
            jwt_bearer::fetch(endpoint_config, signing, grant_type.as_deref(), context)
        }
        Grant::ClientAssertion { assertion, client_id } => {
            client_assertion::fetch(endpoint_config, assertion, client_id.as_deref(), context)
        }
        Grant::ClientCredentials => client_credentials::fetch(endpoint_config, context),
        Grant::Password { user, password } => password::fetch(endpoint_config, user, password, context),
        Grant::RefreshToken(configured) => refresh_token::fetch(endpoint_config, configured, context),
        Grant::AuthorizationCode(login) => {
            authorization_code::fetch(endpoint_config, login, authorization_request, context)
        }
    }
}

/// Builds the first token request of a connection without signing an assertion, reading a file or asking the
/// user. A value that exists only when the request is sent is empty and hidden.
#[must_use]
pub fn build_unsigned_request(endpoint_config: &TokenEndpointConfig) -> TokenRequest<'_> {
    match &endpoint_config.grant {
        Grant::JwtBearer { signing, grant_type } => {
            jwt_bearer::build_request(endpoint_config, signing, grant_type.as_deref(), Secret::default())
        }
        Grant::ClientAssertion { assertion, client_id } => {
            let client_id = client_id.as_deref();
            client_assertion::build_request(endpoint_config, assertion, client_id, Secret::default())
        }
        Grant::ClientCredentials => client_credentials::build_request(endpoint_config),
        Grant::Password { user, password } => password::build_request(endpoint_config, user, password),
        Grant::RefreshToken(token) => refresh_token::build_request(endpoint_config, token),
        Grant::AuthorizationCode(login) => authorization_code::build_first_request(endpoint_config, login),
    }
}

/// Exchanges the authorization code of `result` for a token.
///
/// # Errors
/// Errors of the network and the server.
pub fn exchange_code(
    endpoint_config: &TokenEndpointConfig,
    login: &Login,
    result: &AuthorizationResult,
    context: &GrantContext<'_>,
) -> Result<AccessToken> {
    authorization_code::exchange_redirect_code(endpoint_config, login, result, context)
}

/// Returns the refresh token that the next request of a connection with `config` would send, if any.
#[must_use]
pub fn current_refresh_token(config: &Config, context: &GrantContext<'_>) -> Option<Secret> {
    match &config.flow {
        Flow::TokenEndpoint(endpoint_config) if endpoint_config.grant.is_user_bound() => {
            refresh_token::get_current(endpoint_config, context)
        }
        _ => None,
    }
}

/// Replaces the refresh token of a login by a newer one that another process received.
pub fn adopt_refresh_token(config: &Config, token: Secret, context: &GrantContext<'_>) {
    if let Flow::TokenEndpoint(endpoint_config) = &config.flow {
        refresh_token::adopt(endpoint_config, token, context);
    }
}

/// Adds the consent URL of `config` to an error. Errors in the negative cache are shared by connections whose
/// consent URLs may differ, so they do not contain one.
#[must_use]
pub fn add_consent_guidance(error: Error, config: &Config) -> Error {
    // Without an HTTP status no request was sent, and the error already contains the URL.
    let ErrorKind::OAuth(OAuthError { reason: OAuthReason::ConsentRequired, http_status: Some(_), .. }) =
        error.kind()
    else {
        return error;
    };
    let (url, help) = (
        config.authorization_request.as_ref().and_then(authorize::consent_url),
        config.consent_guidance.help,
    );
    let note = help.map_or(String::new(), |help| format!(" ({help})"));
    let guidance = match (&url, help) {
        (Some(url), _) => format!("open {url}{note}"),
        (None, Some(steps)) if config.consent_guidance.consent_type == ConsentType::Admin => steps.to_owned(),
        (None, _) => {
            format!("to get a consent URL, set RedirectURI, and AuthURI if the provider is unknown{note}")
        }
    };
    let guidance = if config.consent_guidance.individual_is_possible {
        format!("{guidance}; {INDIVIDUAL_CONSENT_ADVICE}")
    } else {
        guidance
    };
    error.with_guidance(guidance).with_consent_url(url)
}

/// Whether the server may rotate the refresh token that the next request of a connection with `config` sends.
/// If the response to such a request is abandoned, the login is lost.
#[must_use]
pub fn may_rotate_refresh_token(config: &Config, login_state: &LoginState, process: &Process) -> bool {
    match &config.flow {
        Flow::TokenEndpoint(endpoint_config) if endpoint_config.grant.is_user_bound() => {
            config.preset_token.token.is_some()
                || login_state.refresh_token(refresh_token::family_key(endpoint_config, process)).is_some()
        }
        _ => false,
    }
}

/// Whether tokens of `config` are requested over the network.
#[must_use]
pub fn needs_network(config: &Config) -> bool {
    matches!(config.flow, Flow::TokenEndpoint(_))
}

/// Returns the key or assertion files from which a token of `config` is created.
#[must_use]
pub fn source_files(config: &Config) -> Vec<&ConfiguredPath> {
    if let Flow::TokenEndpoint(endpoint_config) = &config.flow
        && let Grant::ClientAssertion {
            assertion: AssertionSource::Presigned(PresignedAssertion::File { file, .. }),
            ..
        } = &endpoint_config.grant
    {
        return vec![file];
    }
    assertion_config(config).map_or_else(Vec::new, |signing| signing.key.files().collect())
}

/// Signs a new JWT and returns it without sending it. `warn` receives the warnings.
///
/// # Errors
/// Errors of the key; [`ErrorKind::Unsupported`] if there is no assertion to sign.
pub fn sign_assertion(
    signing: Option<&AssertionConfig>,
    process: &Process,
    warn: &dyn Fn(Error),
) -> Result<Secret> {
    let text = "this AuthenticationMethod does not sign a JWT";
    let signing = signing.ok_or_else(|| Error::new(ErrorKind::Unsupported, "assertion", text))?;
    Ok(signed_jwt::sign(signing, 0, process, warn)?.into_text())
}

/// Returns the configuration of the assertion that the flow of `config` signs, if any.
#[must_use]
pub fn assertion_config(config: &Config) -> Option<&AssertionConfig> {
    match &config.flow {
        Flow::SignedJwt(signing) => Some(&**signing),
        Flow::TokenEndpoint(endpoint_config) => match &endpoint_config.grant {
            Grant::JwtBearer { signing, .. } => Some(&**signing),
            Grant::ClientAssertion { assertion: AssertionSource::SignedHere(signing), .. } => {
                Some(&**signing)
            }
            _ => None,
        },
        _ => None,
    }
}

fn no_token_error() -> Error {
    let text = "this AuthenticationMethod provides headers, not a token; use authgrant_get_headers";
    Error::new(ErrorKind::Unsupported, "token", text).with_option("AuthenticationMethod")
}
