//! Preview of a token request, without a signature and without secrets, for reports.

use super::client_assertion::CLIENT_ASSERTION_TYPE;
use super::jwt_bearer::JWT_BEARER_GRANT_TYPE;
use super::signed_jwt;
use crate::base::error::Result;
use crate::jwt::{self, UnsignedJwt};
use crate::key::SigningKey;
use crate::options::OptionId;
use crate::resolve::{AssertionConfig, Grant, TokenEndpointConfig};

/// Options that name the signing key of an assertion.
const SIGNING_KEY_OPTIONS: &[OptionId] =
    &[OptionId::JWTCertStore, OptionId::JWTPrivateKey, OptionId::JWTSecret];

/// Options that name the source of a client assertion, in order of precedence.
const CLIENT_ASSERTION_OPTIONS: &[OptionId] = &[
    OptionId::ClientAssertion,
    OptionId::ClientAssertionFile,
    OptionId::JWTCertStore,
    OptionId::JWTPrivateKey,
    OptionId::JWTSecret,
];

/// A parameter of a token request.
#[derive(Debug, PartialEq, Eq)]
pub struct RequestParameter {
    /// Name of the parameter.
    pub name: String,
    /// Value of the parameter; `None` if it is secret.
    pub value: Option<String>,
    /// Options that may set the value.
    pub options: &'static [OptionId],
}

/// Client authentication method at the token endpoint (RFC 6749 section 2.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClientAuthMethod {
    /// None; the grant alone is sent.
    None,
    /// Client ID without a secret, in the body.
    ClientIdOnly,
    /// Client ID and secret in an HTTP Basic header.
    ClientSecretBasic,
    /// Client ID and secret in the body.
    ClientSecretPost,
    /// JWT client assertion (RFC 7523 section 2.2).
    ClientAssertion,
}

/// Builds the unsigned JWT with `now` = 0, so that its times are relative to the time of signing.
///
/// # Errors
/// A key that cannot be used with the configuration; no errors without a key.
pub fn preview_jwt(signing: &AssertionConfig, key: Option<&SigningKey>) -> Result<UnsignedJwt> {
    jwt::build_unsigned(&signed_jwt::build_claims(signing, key, 0)?, &signing.header, key)
}

/// Returns the client authentication method.
#[must_use]
pub fn client_auth_method(endpoint_config: &TokenEndpointConfig) -> ClientAuthMethod {
    match (&endpoint_config.grant, &endpoint_config.client) {
        (Grant::ClientAssertion { .. }, _) => ClientAuthMethod::ClientAssertion,
        (_, None) => ClientAuthMethod::None,
        (_, Some(client)) if client.uses_basic_auth => ClientAuthMethod::ClientSecretBasic,
        (_, Some(client)) if client.secret.is_some() => ClientAuthMethod::ClientSecretPost,
        _ => ClientAuthMethod::ClientIdOnly,
    }
}

/// Returns the parameters of the first token request, in sending order.
#[must_use]
pub fn preview_parameters(endpoint_config: &TokenEndpointConfig) -> Vec<RequestParameter> {
    let mut parameters = grant_parameters(&endpoint_config.grant);
    parameters.extend(
        endpoint_config.scope.as_deref().map(|scope| visible_parameter("scope", scope, &[OptionId::Scope])),
    );
    if let Some(client) = endpoint_config.client.as_ref().filter(|client| !client.uses_basic_auth) {
        parameters.push(visible_parameter("client_id", &client.id, &[OptionId::ClientID]));
        parameters.extend(
            client.secret.as_ref().map(|_| secret_parameter("client_secret", &[OptionId::ClientSecret])),
        );
    }
    parameters.extend(
        endpoint_config
            .parameters
            .iter()
            .map(|(name, _)| secret_parameter(name, &[OptionId::TokenParameters])),
    );
    parameters
}

fn grant_parameters(grant: &Grant) -> Vec<RequestParameter> {
    let grant_type = |value: &str| visible_parameter("grant_type", value, &[]);
    match grant {
        Grant::JwtBearer { grant_type, .. } => vec![
            visible_parameter(
                "grant_type",
                grant_type.as_deref().unwrap_or(JWT_BEARER_GRANT_TYPE),
                &[OptionId::GrantType],
            ),
            secret_parameter("assertion", SIGNING_KEY_OPTIONS),
        ],
        Grant::ClientCredentials => vec![grant_type("client_credentials")],
        Grant::ClientAssertion { client_id, .. } => {
            let mut parameters = vec![
                grant_type("client_credentials"),
                visible_parameter("client_assertion_type", CLIENT_ASSERTION_TYPE, &[]),
                secret_parameter("client_assertion", CLIENT_ASSERTION_OPTIONS),
            ];
            parameters.extend(
                client_id.as_deref().map(|id| visible_parameter("client_id", id, &[OptionId::ClientID])),
            );
            parameters
        }
        Grant::Password { user, .. } => vec![
            grant_type("password"),
            visible_parameter("username", user, &[OptionId::User]),
            secret_parameter("password", &[OptionId::Password]),
        ],
        Grant::RefreshToken(_) => refresh_token_parameters(),
        Grant::AuthorizationCode(login) if login.refresh_token.is_some() => refresh_token_parameters(),
        Grant::AuthorizationCode(login) => {
            let mut parameters = vec![
                visible_parameter("grant_type", "authorization_code", &[]),
                secret_parameter("code", &[OptionId::OAuthCode]),
            ];
            let redirect = login.redirect_uri.as_deref();
            parameters
                .extend(redirect.map(|uri| visible_parameter("redirect_uri", uri, &[OptionId::RedirectURI])));
            // A configured code was obtained without a code challenge.
            parameters.extend(login.code.is_none().then(|| secret_parameter("code_verifier", &[])));
            parameters
        }
    }
}

fn refresh_token_parameters() -> Vec<RequestParameter> {
    vec![
        visible_parameter("grant_type", "refresh_token", &[]),
        secret_parameter("refresh_token", &[OptionId::RefreshToken]),
    ]
}

fn visible_parameter(name: &str, value: &str, options: &'static [OptionId]) -> RequestParameter {
    RequestParameter { name: name.to_owned(), value: Some(value.to_owned()), options }
}

fn secret_parameter(name: &str, options: &'static [OptionId]) -> RequestParameter {
    RequestParameter { name: name.to_owned(), value: None, options }
}
