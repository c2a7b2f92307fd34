//! One file a grant: from a checked config to a token, or to what a support engineer needs to know.

use std::collections::BTreeMap;
use std::ffi::CString;

use zeroize::Zeroizing;

use crate::authorize::{self, AuthorizationResult};
use crate::base::cache_key::CacheKey;
use crate::base::call::CallContext;
use crate::base::clock::Clock;
use crate::base::error::{Error, Result, Status};
use crate::base::file::ConfiguredPath;
use crate::base::secret::Secret;
use crate::process::Process;
use crate::process::login_state::LoginState;
use crate::provider::ConsentType;
use crate::resolve::{
    AssertionConfig, AssertionSource, AuthorizationRequest, Config, Flow, Grant, Login, TokenEndpointConfig,
};
use crate::token::{AccessToken, CacheState};

pub mod access_token;
mod authorization_code;
mod client_assertion;
mod client_credentials;
mod error_class;
mod jwt_bearer;
mod logoff;
mod password;
mod preview;
mod refresh_token;
mod retry;
mod signed_jwt;
mod token_request;

pub use logoff::log_off;
pub use preview::{ClientAuthMethod, RequestParameter, client_auth_method, preview_jwt, preview_parameters};

/// What a flow works with besides its own options.
#[derive(Clone, Copy)]
pub struct GrantContext<'a> {
    /// Shared things and seams.
    pub process: &'a Process,
    /// What the connection remembers.
    pub login_state: &'a LoginState,
    /// The caller's bounds.
    pub call: &'a CallContext,
    /// For whom the token is.
    pub cache_key: CacheKey,
    /// Whether a browser may be opened for the person.
    pub may_prompt: bool,
    /// Whether a user has just logged in for this request, so that a failing server is asked all the same.
    pub bypass_circuit_breaker: bool,
    /// Where to leave what the caller should know although it worked.
    pub warn: &'a dyn Fn(Error),
}

/// Fetches a token by the flow of `config`, whatever is cached.
///
/// # Errors
/// A key's, the network's, the server's; [`Status::Unsupported`] for a method that has no token.
pub fn fetch_token(config: &Config, context: &GrantContext<'_>) -> Result<AccessToken> {
    match &config.flow {
        Flow::TokenEndpoint(exchange) => {
            request_token_by_grant(exchange, config.authorization_request.as_ref(), context)
        }
        Flow::SignedJwt(signing) => signed_jwt::fetch(signing, context),
        Flow::AccessToken(token) => access_token::fetch(token, config.preset_token.expires_at, context),
        Flow::Headers(_) => Err(no_token_error()),
    }
}

fn request_token_by_grant(
    exchange: &TokenEndpointConfig,
    consent: Option<&AuthorizationRequest>,
    context: &GrantContext<'_>,
) -> Result<AccessToken> {
    let fetch = |attempt: &token_request::BuildRequest<'_, '_>| {
        token_request::request_token(exchange, context, attempt)
    };
    match &exchange.grant {
        Grant::JwtBearer { signing, grant_type } => {
            let kind = grant_type.as_deref();
            fetch(&|ahead| jwt_bearer::build_request(exchange, signing, kind, ahead, context))
        }
        Grant::ClientAssertion { assertion, client_id } => {
            let id = client_id.as_deref();
            fetch(&|ahead| client_assertion::build_request(exchange, assertion, id, ahead, context))
        }
        Grant::ClientCredentials => fetch(&|_| Ok(client_credentials::build_request(exchange))),
        Grant::Password { user, password } => {
            fetch(&|_| Ok(password::build_request(exchange, user, password)))
        }
        Grant::RefreshToken(configured) => fetch(&|_| {
            let token = refresh_token::get_current(exchange, context);
            Ok(refresh_token::build_request(exchange, token.as_ref().unwrap_or(configured)))
        }),
        Grant::AuthorizationCode(login) => authorization_code::fetch(exchange, login, consent, context),
    }
}

/// The token for the code that a person's visit brought.
///
/// # Errors
/// The network's, the server's.
pub fn exchange_code(
    exchange: &TokenEndpointConfig,
    login: &Login,
    visit: &AuthorizationResult,
    context: &GrantContext<'_>,
) -> Result<AccessToken> {
    authorization_code::exchange_redirect_code(exchange, login, visit, context)
}

/// The refresh token that `config`'s connection would go on with, if there is one.
#[must_use]
pub fn current_refresh_token(config: &Config, context: &GrantContext<'_>) -> Option<Secret> {
    match &config.flow {
        Flow::TokenEndpoint(exchange) if exchange.grant.is_user_bound() => {
            refresh_token::get_current(exchange, context)
        }
        _ => None,
    }
}

/// What a connection of `config` adds to an error that others share: the URL that its user opens to consent.
#[must_use]
pub fn add_consent_guidance(error: Error, config: &Config) -> Error {
    // Without an HTTP status nobody was asked yet, and the URL is there already.
    if error.status() != Status::ConsentRequired || error.http_status() == 0 {
        return error;
    }
    let (url, help) = (
        config.authorization_request.as_ref().map(authorize::build_authorization_url),
        config.consent_guidance.help,
    );
    let needs = help.map_or(String::new(), |needs| format!(" ({needs})"));
    let guidance = match (&url, help) {
        (Some(url), _) => format!("open {url}{needs}"),
        (None, Some(steps)) if config.consent_guidance.consent_type == ConsentType::Admin => steps.to_owned(),
        (None, _) => {
            format!("for a URL to open set RedirectURI, and AuthURI if the provider is not known{needs}")
        }
    };
    error.with_guidance(&guidance).with_consent_url(url)
}

/// Whether the server may take back the refresh token that `config`'s connection sends next, and send another one: if its
/// answer is not waited for, the login is lost.
#[must_use]
pub fn may_rotate_refresh_token(config: &Config, session: &LoginState, process: &Process) -> bool {
    match &config.flow {
        Flow::TokenEndpoint(exchange) if exchange.grant.is_user_bound() => {
            config.preset_token.token.is_some()
                || session.refresh_token(refresh_token::family_key(exchange, process)).is_some()
        }
        _ => false,
    }
}

/// Whether `config`'s tokens come over the network.
#[must_use]
pub fn needs_network(config: &Config) -> bool {
    matches!(config.flow, Flow::TokenEndpoint(_))
}

/// The files that a token of `config` is made from.
#[must_use]
pub fn source_files(config: &Config) -> Vec<&ConfiguredPath> {
    if let Flow::TokenEndpoint(exchange) = &config.flow
        && let Grant::ClientAssertion { assertion: AssertionSource::File { file, .. }, .. } = &exchange.grant
    {
        return vec![file];
    }
    assertion_config(config).map_or_else(Vec::new, |signing| signing.key.files().collect())
}

/// The JWT that `config`'s flow signs, made anew and sent nowhere. `warn` is told what the caller should know although
/// it worked.
///
/// # Errors
/// The key's; [`Status::Unsupported`] where the flow signs nothing.
pub fn sign_assertion(config: &Config, process: &Process, warn: &dyn Fn(Error)) -> Result<Secret> {
    let text = "this AuthenticationMethod signs no JWT";
    let signing =
        assertion_config(config).ok_or_else(|| Error::new(Status::Unsupported, "assertion", text))?;
    Ok(signed_jwt::sign(signing, 0, process, warn)?.into_text())
}

/// The ready-made assertion of `source`, unless it is past its end; nothing where the assertion is signed here. What is to
/// be said of its file goes to `warn`.
///
/// # Errors
/// [`Status::Expired`]; [`Status::KeyStore`] for a file that does not hold one.
pub fn load_presigned_assertion(
    source: &AssertionSource,
    clock: &dyn Clock,
    warn: &dyn Fn(Error),
) -> Result<Option<Secret>> {
    client_assertion::load_presigned_assertion(source, clock, warn)
}

/// What `config`'s flow signs, if it signs.
#[must_use]
pub fn assertion_config(config: &Config) -> Option<&AssertionConfig> {
    match &config.flow {
        Flow::SignedJwt(signing) => Some(&**signing),
        Flow::TokenEndpoint(exchange) => match &exchange.grant {
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
    let text = "this AuthenticationMethod has headers and no token; call authgrant_get_headers";
    Error::new(Status::Unsupported, "token", text).with_option("AuthenticationMethod")
}

/// A token that no server has sent.
fn build_local_token(
    value: &str,
    expires_at: Option<i64>,
    clock: &dyn Clock,
    identity: CacheKey,
) -> Result<AccessToken> {
    let value = CString::new(value)
        .map_err(|_| Error::new(Status::InvalidOption, "token", "the access token holds a NUL"))?;
    Ok(AccessToken {
        value: Zeroizing::new(value),
        scope: None,
        fields: BTreeMap::new(),
        issued_at: clock.unix_seconds(),
        expires_at,
        cache_key: identity,
        cache_state: CacheState::new(clock.boot_time()),
    })
}
