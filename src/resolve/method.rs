//! AuthenticationMethod: the vendor's numbers and words, and what holds without one.

use super::OptionResolver;
use crate::base::error::Status;
use crate::base::sanitize;
use crate::options::OptionId;

/// A way to authenticate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum AuthMethod {
    Infer,
    JwtBearer,
    SignedJwt,
    ClientAssertion,
    AuthorizationCode,
    ClientCredentials,
    Password,
    RefreshToken,
    AccessToken,
    BearerToken,
    HeaderToken,
    Basic,
    None,
    /// Known, and not built in; with what to do instead.
    Unsupported(&'static str),
}

impl AuthMethod {
    /// Whether a token endpoint is asked, where one is given.
    pub(super) fn uses_token_endpoint(self, endpoint_given: bool) -> bool {
        match self {
            Self::JwtBearer => endpoint_given,
            Self::ClientAssertion
            | Self::AuthorizationCode
            | Self::ClientCredentials
            | Self::Password
            | Self::RefreshToken => true,
            _ => false,
        }
    }

    /// Whether AuthHeader and SecurityToken are one header more, and not the credential itself.
    pub(super) fn has_extra_header(self) -> bool {
        !matches!(self, Self::BearerToken | Self::HeaderToken | Self::Basic | Self::None)
    }
}

const PER_REQUEST_REASON: &str = "it belongs to each request and so to the driver";

/// AuthenticationMethod's numbers and words, and what they mean.
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
    (
        "14",
        "URLParameter",
        AuthMethod::Unsupported("a token in a URL ends up in logs; 25 (HTTPHeader) sends it in a header"),
    ),
    ("29", "Custom", AuthMethod::Unsupported(PER_REQUEST_REASON)),
    ("30", "Digest", AuthMethod::Unsupported(PER_REQUEST_REASON)),
    ("43", "AWS", AuthMethod::Unsupported(PER_REQUEST_REASON)),
];

impl OptionResolver<'_> {
    /// The method that is asked for or can be inferred; otherwise fault has been found.
    pub(super) fn auth_method(&mut self) -> Option<AuthMethod> {
        let Some(given) = self.text(OptionId::AuthenticationMethod) else {
            return self.infer_method();
        };
        let known = AUTH_METHODS
            .iter()
            .find(|(number, word, _)| *number == given || word.eq_ignore_ascii_case(&given));
        match known.map(|(_, _, method)| *method) {
            Some(AuthMethod::Infer) => self.infer_method(),
            Some(AuthMethod::Unsupported(why)) => {
                let text = format!("{given} is known and not built in: {why}");
                self.add_error(Status::Unsupported, OptionId::AuthenticationMethod, &text);
                None
            }
            Some(method) => Some(method),
            None => {
                let given = sanitize::value(&given);
                let text = format!(
                    "is \"{given}\"; expected 55 (OAuth2-JWTBearer) or another of the documented numbers and words, or 24 (OAuth2) to infer it from the other options"
                );
                self.add_error(Status::InvalidOption, OptionId::AuthenticationMethod, &text);
                None
            }
        }
    }

    /// What the options given are good for, the one that says most first.
    fn infer_method(&mut self) -> Option<AuthMethod> {
        let all = |names: &[OptionId]| names.iter().all(|name| self.value(*name).is_some());
        let endpoint = all(&[OptionId::TokenURI]) || all(&[OptionId::TokenEndpoint]);
        let signs =
            [OptionId::JWTCertStore, OptionId::JWTPrivateKey, OptionId::JWTSecret, OptionId::ClaimsIssuer];
        let method = if self.signer.is_some() || signs.iter().any(|name| all(&[*name])) {
            AuthMethod::JwtBearer
        } else if all(&[OptionId::RefreshToken]) {
            AuthMethod::RefreshToken
        } else if all(&[OptionId::AccessToken]) {
            AuthMethod::AccessToken
        } else if all(&[OptionId::OAuthCode])
            || all(&[OptionId::AuthURI]) && self.has_value(OptionId::EnableLoginPrompt, "1")
        {
            AuthMethod::AuthorizationCode
        } else if all(&[OptionId::User, OptionId::Password]) && endpoint {
            AuthMethod::Password
        } else if all(&[OptionId::ClientID])
            && (all(&[OptionId::ClientSecret]) || all(&[OptionId::KeyStore]))
            && endpoint
        {
            AuthMethod::ClientCredentials
        } else {
            self.missing.push(OptionId::AuthenticationMethod);
            return None;
        };
        Some(method)
    }
}
