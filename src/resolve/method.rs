//! AuthenticationMethod: the vendor's numbers and names, and inference from other options.

use super::option_resolver::OptionResolver;
use crate::base::error::{ErrorKind, OptionError};
use crate::base::sanitize;
use crate::options::{AUTH_METHODS, AuthMethod, OptionId, table};

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
