//! AuthenticationMethod: the vendor's numbers and names, and inference from other options.

use super::option_resolver::OptionResolver;
use crate::base::error::{ErrorKind, OptionError};
use crate::base::sanitize;
use crate::options::{OptionId, table};

/// An authentication method.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AuthMethod {
    /// Inferred from the other options.
    Infer,
    /// JWT bearer grant (RFC 7523 section 2.1).
    JwtBearer,
    /// The signed JWT itself is the token.
    SignedJwt,
    /// Client credentials grant with a client assertion (RFC 7523 section 2.2).
    ClientAssertion,
    /// Authorization code grant (RFC 6749 section 4.1).
    AuthorizationCode,
    /// Client credentials grant (RFC 6749 section 4.4).
    ClientCredentials,
    /// Password grant (RFC 6749 section 4.3).
    Password,
    /// Refresh token grant (RFC 6749 section 6).
    RefreshToken,
    /// AccessToken is the token.
    AccessToken,
    /// SecurityToken is the token.
    BearerToken,
    /// SecurityToken is the value of a header.
    HeaderToken,
    /// User and Password in a Basic header.
    Basic,
    /// No credential.
    None,
    /// Known but not supported; with the reason and the alternative.
    Unsupported(&'static str),
}

/// The authentication method of a connection.
#[derive(Clone, Copy, Debug)]
pub struct ResolvedMethod {
    /// The method.
    pub method: AuthMethod,
    /// The vendor's number; that in the options if the method has several.
    pub number: &'static str,
    /// The vendor's name.
    pub name: &'static str,
    /// Whether it was inferred from the other options.
    pub is_inferred: bool,
}

impl ResolvedMethod {
    /// An inferred method.
    pub(super) fn inferred(method: AuthMethod) -> Self {
        let row = AUTH_METHODS.iter().find(|(_, _, row_method)| *row_method == method);
        let (number, name) = row.map_or(("", ""), |(number, name, _)| (*number, *name));
        Self { method, number, name, is_inferred: true }
    }

    /// Whether the token comes from a login of the user.
    pub(super) fn is_login(self) -> bool {
        self.method == AuthMethod::AuthorizationCode
    }
}

impl AuthMethod {
    /// Whether the method uses a token endpoint; `has_endpoint` states whether one is configured or meant.
    pub(super) fn uses_token_endpoint(self, has_endpoint: bool) -> bool {
        match self {
            Self::JwtBearer => has_endpoint,
            Self::ClientAssertion
            | Self::AuthorizationCode
            | Self::ClientCredentials
            | Self::Password
            | Self::RefreshToken => true,
            _ => false,
        }
    }

    /// Whether AuthHeader and SecurityToken are an additional header and not the credential itself.
    pub(super) fn has_extra_header(self) -> bool {
        !matches!(self, Self::BearerToken | Self::HeaderToken | Self::Basic | Self::None)
    }
}

const PER_REQUEST_REASON: &str = "it signs each API request and must be implemented by the driver";

/// The numbers and names of AuthenticationMethod.
pub(super) const AUTH_METHODS: &[(&str, &str, AuthMethod)] = &[
    ("24", "OAuth2", AuthMethod::Infer),
    ("55", "OAuth2-JWTBearer", AuthMethod::JwtBearer),
    ("JWT", "JWT", AuthMethod::SignedJwt),
    ("OAuth2-JWTClientAssertion", "OAuth2-JWTClientAssertion", AuthMethod::ClientAssertion),
    ("53", "OAuth2-ClientCredentials", AuthMethod::ClientCredentials),
    ("52", "OAuth2-Password", AuthMethod::Password),
    ("54", "OAuth2-RefreshToken", AuthMethod::RefreshToken),
    ("50", "OAuth2-AccessToken", AuthMethod::AccessToken),
    ("34", "BearerToken", AuthMethod::BearerToken),
    ("25", "HTTPHeader", AuthMethod::HeaderToken),
    ("0", "Basic", AuthMethod::Basic),
    ("15", "None", AuthMethod::None),
    ("51", "OAuth2-AuthorizationCode", AuthMethod::AuthorizationCode),
    ("56", "OAuth2-PKCE", AuthMethod::AuthorizationCode),
    ("14", "URLParameter", AuthMethod::Unsupported("tokens in URLs leak into logs; use 25 (HTTPHeader)")),
    ("29", "Custom", AuthMethod::Unsupported(PER_REQUEST_REASON)),
    ("30", "Digest", AuthMethod::Unsupported(PER_REQUEST_REASON)),
    ("43", "AWS", AuthMethod::Unsupported(PER_REQUEST_REASON)),
];

impl OptionResolver<'_> {
    /// The configured or inferred method; records an error if there is none.
    pub(super) fn auth_method(&mut self) -> Option<ResolvedMethod> {
        let Some(configured) = self.text(OptionId::AuthenticationMethod) else {
            return self.infer_method().map(ResolvedMethod::inferred);
        };
        let row = AUTH_METHODS
            .iter()
            .find(|(number, name, _)| *number == configured || table::is_word(&configured, name));
        match row {
            Some((_, _, AuthMethod::Infer)) => self.infer_method().map(ResolvedMethod::inferred),
            Some((_, _, AuthMethod::Unsupported(reason))) => {
                let text = format!("{configured} is not supported: {reason}");
                self.add_error(ErrorKind::Unsupported, OptionId::AuthenticationMethod, &text);
                None
            }
            Some((number, name, method)) => {
                Some(ResolvedMethod { method: *method, number, name, is_inferred: false })
            }
            None => {
                let configured = sanitize::value(&configured);
                let text = format!(
                    "is \"{configured}\"; expected 55 (OAuth2-JWTBearer) or another documented number or \
                     name, or 24 (OAuth2) to infer it from the other options"
                );
                self.add_error(OptionError::Invalid, OptionId::AuthenticationMethod, &text);
                None
            }
        }
    }

    /// Infers the method from the options that are set, the most specific ones first.
    fn infer_method(&mut self) -> Option<AuthMethod> {
        let has_all = |names: &[OptionId]| names.iter().all(|name| self.value(*name).is_some());
        let has_endpoint = has_all(&[OptionId::TokenURI]) || has_all(&[OptionId::TokenEndpoint]);
        let signing_options =
            [OptionId::JWTCertStore, OptionId::JWTPrivateKey, OptionId::JWTSecret, OptionId::ClaimsIssuer];
        let method = if self.signer.is_some() || signing_options.iter().any(|name| has_all(&[*name])) {
            AuthMethod::JwtBearer
        } else if has_all(&[OptionId::RefreshToken]) {
            AuthMethod::RefreshToken
        } else if has_all(&[OptionId::AccessToken]) {
            AuthMethod::AccessToken
        } else if has_all(&[OptionId::OAuthCode])
            || has_all(&[OptionId::AuthURI]) && self.has_value(OptionId::EnableLoginPrompt, "1")
        {
            AuthMethod::AuthorizationCode
        } else if has_all(&[OptionId::User, OptionId::Password]) && has_endpoint {
            AuthMethod::Password
        } else if has_all(&[OptionId::ClientID])
            && (has_all(&[OptionId::ClientSecret]) || has_all(&[OptionId::KeyStore]))
            && has_endpoint
        {
            AuthMethod::ClientCredentials
        } else {
            self.problems.missing.push(OptionId::AuthenticationMethod);
            return None;
        };
        Some(method)
    }
}
