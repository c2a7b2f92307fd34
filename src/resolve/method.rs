//! AuthenticationMethod: the vendor's numbers and words, and what holds without one.

use super::Reader;
use crate::base::error::Status;
use crate::base::sanitize;
use crate::options::Name;

/// A way to authenticate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Method {
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
    NotBuiltIn(&'static str),
}

impl Method {
    /// Whether a token endpoint is asked, where one is given.
    pub(super) fn asks_endpoint(self, endpoint_given: bool) -> bool {
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

const BY_DRIVER: &str = "it belongs to each request and so to the driver";

/// AuthenticationMethod's numbers and words, and what they mean.
pub(super) const METHODS: &[(&str, &str, Method)] = &[
    ("24", "OAuth2", Method::Infer),
    ("55", "OAuth2-JWTBearer", Method::JwtBearer),
    ("JWT", "JWT", Method::SignedJwt),
    ("OAuth2-JWTClientAssertion", "OAuth2-JWTClientAssertion", Method::ClientAssertion),
    ("53", "OAuth2-ClientCredentials", Method::ClientCredentials),
    ("52", "OAuth2-Password", Method::Password),
    ("54", "OAuth2-RefreshToken", Method::RefreshToken),
    ("50", "OAuth2-AccessToken", Method::AccessToken),
    ("34", "BearerToken", Method::BearerToken),
    ("25", "HTTPHeader", Method::HeaderToken),
    ("0", "Basic", Method::Basic),
    ("15", "None", Method::None),
    ("51", "OAuth2-AuthorizationCode", Method::AuthorizationCode),
    ("56", "OAuth2-PKCE", Method::AuthorizationCode),
    (
        "14",
        "URLParameter",
        Method::NotBuiltIn("a token in a URL ends up in logs; 25 (HTTPHeader) sends it in a header"),
    ),
    ("29", "Custom", Method::NotBuiltIn(BY_DRIVER)),
    ("30", "Digest", Method::NotBuiltIn(BY_DRIVER)),
    ("43", "AWS", Method::NotBuiltIn(BY_DRIVER)),
];

impl Reader<'_> {
    /// The method that is asked for or can be inferred; otherwise fault has been found.
    pub(super) fn method(&mut self) -> Option<Method> {
        let Some(given) = self.text(Name::AuthenticationMethod) else {
            return self.inferred();
        };
        let known =
            METHODS.iter().find(|(number, word, _)| *number == given || word.eq_ignore_ascii_case(&given));
        match known.map(|(_, _, method)| *method) {
            Some(Method::Infer) => self.inferred(),
            Some(Method::NotBuiltIn(why)) => {
                let text = format!("{given} is known and not built in: {why}");
                self.fault(Status::Unsupported, Name::AuthenticationMethod, &text);
                None
            }
            Some(method) => Some(method),
            None => {
                let given = sanitize::value(&given);
                let text = format!(
                    "is \"{given}\"; expected 55 (OAuth2-JWTBearer) or another of the documented numbers and words, or 24 (OAuth2) to infer it from the other options"
                );
                self.fault(Status::InvalidOption, Name::AuthenticationMethod, &text);
                None
            }
        }
    }

    /// What the options given are good for, the one that says most first.
    fn inferred(&mut self) -> Option<Method> {
        let all = |names: &[Name]| names.iter().all(|name| self.value(*name).is_some());
        let endpoint = all(&[Name::TokenURI]) || all(&[Name::TokenEndpoint]);
        let signs = [Name::JWTCertStore, Name::JWTPrivateKey, Name::JWTSecret, Name::ClaimsIssuer];
        let method = if self.signer.is_some() || signs.iter().any(|name| all(&[*name])) {
            Method::JwtBearer
        } else if all(&[Name::RefreshToken]) {
            Method::RefreshToken
        } else if all(&[Name::AccessToken]) {
            Method::AccessToken
        } else if all(&[Name::OAuthCode]) || all(&[Name::AuthURI]) && self.is(Name::EnableLoginPrompt, "1") {
            Method::AuthorizationCode
        } else if all(&[Name::User, Name::Password]) && endpoint {
            Method::Password
        } else if all(&[Name::ClientID]) && (all(&[Name::ClientSecret]) || all(&[Name::KeyStore])) && endpoint
        {
            Method::ClientCredentials
        } else {
            self.missing.push(Name::AuthenticationMethod);
            return None;
        };
        Some(method)
    }
}
