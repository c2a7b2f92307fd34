//! AuthenticationMethod: the vendor's numbers and words, and what holds without one.

use super::Reader;
use crate::error::Status;
use crate::options::Name;

/// AuthenticationMethod's numbers and words, and whether they are built in.
pub(super) const METHODS: &[(&str, &str, Method)] = &[
    ("24", "OAuth2", Method::Infer),
    ("55", "OAuth2-JWTBearer", Method::JwtBearer),
    ("0", "Basic", Method::NotBuiltIn),
    ("14", "URLParameter", Method::NotBuiltIn),
    ("15", "None", Method::NotBuiltIn),
    ("25", "HTTPHeader", Method::NotBuiltIn),
    ("29", "Custom", Method::NotBuiltIn),
    ("30", "Digest", Method::NotBuiltIn),
    ("34", "BearerToken", Method::NotBuiltIn),
    ("43", "AWS", Method::NotBuiltIn),
    ("50", "OAuth2-AccessToken", Method::NotBuiltIn),
    ("51", "OAuth2-AuthorizationCode", Method::NotBuiltIn),
    ("52", "OAuth2-Password", Method::NotBuiltIn),
    ("53", "OAuth2-ClientCredentials", Method::NotBuiltIn),
    ("54", "OAuth2-RefreshToken", Method::NotBuiltIn),
    ("56", "OAuth2-PKCE", Method::NotBuiltIn),
];

#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Method {
    Infer,
    JwtBearer,
    NotBuiltIn,
}

impl Reader<'_> {
    /// Whether the JWT bearer grant is asked for; anything else has been found fault with.
    pub(super) fn is_jwt_bearer(&mut self) -> bool {
        let given = self.text(Name::AuthenticationMethod);
        let method = match &given {
            None => Method::Infer,
            Some(given) => {
                let known = METHODS
                    .iter()
                    .find(|(number, word, _)| number == given || word.eq_ignore_ascii_case(given));
                match known {
                    Some((_, _, method)) => *method,
                    None => {
                        let text = format!(
                            "is \"{given}\"; expected 55 (OAuth2-JWTBearer), or 24 (OAuth2) to infer the grant from the other options"
                        );
                        self.fault(Status::InvalidOption, Name::AuthenticationMethod, &text);
                        return false;
                    }
                }
            }
        };
        match method {
            Method::JwtBearer => true,
            Method::NotBuiltIn => {
                let text = format!(
                    "{} is known and not built into this version; 55 (OAuth2-JWTBearer) is",
                    given.unwrap_or_default()
                );
                self.fault(Status::Unsupported, Name::AuthenticationMethod, &text);
                false
            }
            Method::Infer => {
                let can_be_inferred =
                    self.value(Name::JWTCertStore).is_some() || self.value(Name::ClaimsIssuer).is_some();
                if !can_be_inferred {
                    self.missing.push(Name::AuthenticationMethod);
                }
                can_be_inferred
            }
        }
    }
}
