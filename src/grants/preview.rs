//! What a flow would send, without a signature and without secrets: for those who want to see it beforehand.

use super::client_assertion::ASSERTION_TYPE;
use super::jwt_bearer::GRANT_TYPE;
use super::signed_jwt;
use crate::base::error::Result;
use crate::jwt::{self, UnsignedJwt};
use crate::key::SigningKey;
use crate::options::Name;
use crate::resolve::{Exchange, Grant, Signing};

/// The options that say with what an assertion is signed.
const KEY: &[Name] = &[Name::JWTCertStore, Name::JWTPrivateKey, Name::JWTSecret];

/// The options that say where a client assertion comes from, the one that counts first.
const ASSERTION: &[Name] = &[
    Name::ClientAssertion,
    Name::ClientAssertionFile,
    Name::JWTCertStore,
    Name::JWTPrivateKey,
    Name::JWTSecret,
];

/// A parameter of a token request.
#[derive(Debug, PartialEq, Eq)]
pub struct Parameter {
    /// Its name.
    pub name: String,
    /// Its value; nothing where it is secret.
    pub value: Option<String>,
    /// The options that may say it.
    pub options: &'static [Name],
}

/// How the client shows who it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// Not at all, beside the grant.
    None,
    /// By its ID alone, in the body.
    IdAlone,
    /// By a Basic header.
    Basic,
    /// By ID and secret in the body.
    Body,
    /// By an assertion.
    Assertion,
}

/// The JWT that would be signed at the time 0, so that its times are those that lie between it and now.
///
/// # Errors
/// Those of a key that does not fit; none without a key.
pub fn unsigned(signing: &Signing, key: Option<&SigningKey>) -> Result<UnsignedJwt> {
    jwt::build_unsigned(&signed_jwt::claims(signing, key, 0)?, &signing.header, key)
}

/// The way of the client's authentication.
#[must_use]
pub fn way(exchange: &Exchange) -> Way {
    match (&exchange.grant, &exchange.client) {
        (Grant::ClientAssertion { .. }, _) => Way::Assertion,
        (_, None) => Way::None,
        (_, Some(client)) if client.basic => Way::Basic,
        (_, Some(client)) if client.secret.is_some() => Way::Body,
        _ => Way::IdAlone,
    }
}

/// The parameters of the first token request, in the order in which they are sent.
#[must_use]
pub fn parameters(exchange: &Exchange) -> Vec<Parameter> {
    let mut parameters = of_grant(&exchange.grant);
    parameters.extend(exchange.scope.as_deref().map(|scope| open("scope", scope, &[Name::Scope])));
    if let Some(client) = exchange.client.as_ref().filter(|client| !client.basic) {
        parameters.push(open("client_id", &client.id, &[Name::ClientID]));
        parameters.extend(client.secret.as_ref().map(|_| hidden("client_secret", &[Name::ClientSecret])));
    }
    parameters.extend(exchange.parameters.iter().map(|(name, _)| hidden(name, &[Name::TokenParameters])));
    parameters
}

fn of_grant(grant: &Grant) -> Vec<Parameter> {
    let grant_type = |value: &str| open("grant_type", value, &[]);
    match grant {
        Grant::JwtBearer { grant_type, .. } => vec![
            open("grant_type", grant_type.as_deref().unwrap_or(GRANT_TYPE), &[Name::GrantType]),
            hidden("assertion", KEY),
        ],
        Grant::ClientCredentials => vec![grant_type("client_credentials")],
        Grant::ClientAssertion { client_id, .. } => {
            let mut parameters = vec![
                grant_type("client_credentials"),
                open("client_assertion_type", ASSERTION_TYPE, &[]),
                hidden("client_assertion", ASSERTION),
            ];
            parameters.extend(client_id.as_deref().map(|id| open("client_id", id, &[Name::ClientID])));
            parameters
        }
        Grant::Password { user, .. } => vec![
            grant_type("password"),
            open("username", user, &[Name::User]),
            hidden("password", &[Name::Password]),
        ],
        Grant::RefreshToken(_) => refresh_token(),
        Grant::AuthorizationCode(login) if login.refresh_token.is_some() => refresh_token(),
        Grant::AuthorizationCode(login) => {
            let mut parameters =
                vec![open("grant_type", "authorization_code", &[]), hidden("code", &[Name::OAuthCode])];
            let redirect = login.redirect_uri.as_deref();
            parameters.extend(redirect.map(|uri| open("redirect_uri", uri, &[Name::RedirectURI])));
            // A code that the user brought was asked for without a challenge.
            parameters.extend(login.code.is_none().then(|| hidden("code_verifier", &[])));
            parameters
        }
    }
}

fn refresh_token() -> Vec<Parameter> {
    vec![open("grant_type", "refresh_token", &[]), hidden("refresh_token", &[Name::RefreshToken])]
}

fn open(name: &str, value: &str, options: &'static [Name]) -> Parameter {
    Parameter { name: name.to_owned(), value: Some(value.to_owned()), options }
}

fn hidden(name: &str, options: &'static [Name]) -> Parameter {
    Parameter { name: name.to_owned(), value: None, options }
}
