//! Options that have no effect in the authentication method: a warning for each, so that a credential that is
//! never sent is noticed.

use super::method::{AUTH_METHODS, AuthMethod, ResolvedMethod};
use super::option_resolver::OptionResolver;
use crate::options::{OptionId, OptionOrigin};
use crate::provider::{Audience, Profile};

/// Methods that sign an assertion.
const SIGNING: &[AuthMethod] = &[AuthMethod::JwtBearer, AuthMethod::ClientAssertion, AuthMethod::SignedJwt];

/// Methods that send a token request.
const TOKEN_REQUEST: &[AuthMethod] = &[
    AuthMethod::JwtBearer,
    AuthMethod::ClientAssertion,
    AuthMethod::ClientCredentials,
    AuthMethod::AuthorizationCode,
    AuthMethod::Password,
    AuthMethod::RefreshToken,
];

/// Methods that can authenticate the client with a secret.
const CLIENT_SECRET: &[AuthMethod] = &[
    AuthMethod::JwtBearer,
    AuthMethod::ClientCredentials,
    AuthMethod::AuthorizationCode,
    AuthMethod::Password,
    AuthMethod::RefreshToken,
];

/// The methods that use an option. Options that are not listed have an effect in all of them, or concern
/// neither the token nor its request.
const USED_BY: &[(OptionId, &[&[AuthMethod]])] = &[
    (OptionId::ClaimsIssuer, &[SIGNING, &[AuthMethod::AuthorizationCode]]),
    (OptionId::ClaimsSubject, &[SIGNING]),
    (OptionId::ClaimsAudience, &[SIGNING]),
    (OptionId::JWTCertStore, &[SIGNING]),
    (OptionId::JWTCertPassword, &[SIGNING]),
    (OptionId::JWTCertAlias, &[SIGNING]),
    (OptionId::JWTCertKeyPassword, &[SIGNING]),
    (OptionId::JWTPrivateKey, &[SIGNING]),
    (OptionId::JWTSecret, &[SIGNING]),
    (OptionId::JWTAlgorithm, &[SIGNING]),
    (OptionId::JWTKeyID, &[SIGNING]),
    (OptionId::JWTThumbprint, &[SIGNING]),
    (OptionId::JWTCertificate, &[SIGNING]),
    (OptionId::JWTHeaders, &[SIGNING]),
    (OptionId::ClaimsAdditional, &[SIGNING]),
    (OptionId::JWTLifetime, &[SIGNING]),
    (OptionId::JWTLifetimeMinutes, &[SIGNING]),
    // Without a token endpoint in use, its host still selects the provider profile of a signed JWT.
    (OptionId::TokenURI, &[TOKEN_REQUEST, &[AuthMethod::SignedJwt]]),
    (OptionId::TokenEndpoint, &[TOKEN_REQUEST, &[AuthMethod::SignedJwt]]),
    (OptionId::Scope, &[TOKEN_REQUEST, &[AuthMethod::SignedJwt]]),
    (OptionId::ScopeIn, &[SIGNING]),
    (OptionId::ClientID, &[TOKEN_REQUEST]),
    (OptionId::ClientSecret, &[CLIENT_SECRET]),
    (OptionId::ClientCredentialsMode, &[CLIENT_SECRET]),
    (OptionId::GrantType, &[&[AuthMethod::JwtBearer]]),
    (OptionId::TokenParameters, &[TOKEN_REQUEST]),
    (OptionId::ClientAssertion, &[&[AuthMethod::ClientAssertion]]),
    (OptionId::ClientAssertionFile, &[&[AuthMethod::ClientAssertion]]),
    (OptionId::RefreshToken, &[&[AuthMethod::RefreshToken, AuthMethod::AuthorizationCode]]),
    (OptionId::OAuthCode, &[&[AuthMethod::AuthorizationCode]]),
    (OptionId::EnableLoginPrompt, &[&[AuthMethod::AuthorizationCode]]),
    (
        OptionId::AccessToken,
        &[&[AuthMethod::AccessToken, AuthMethod::RefreshToken, AuthMethod::AuthorizationCode]],
    ),
    (
        OptionId::AccessTokenExpires,
        &[&[
            AuthMethod::AccessToken,
            AuthMethod::BearerToken,
            AuthMethod::RefreshToken,
            AuthMethod::AuthorizationCode,
        ]],
    ),
    (OptionId::User, &[&[AuthMethod::Password, AuthMethod::Basic]]),
    (OptionId::Password, &[&[AuthMethod::Password, AuthMethod::Basic]]),
    (
        OptionId::AuthHeader,
        &[
            TOKEN_REQUEST,
            &[AuthMethod::SignedJwt, AuthMethod::AccessToken, AuthMethod::HeaderToken, AuthMethod::Basic],
        ],
    ),
    (
        OptionId::SecurityToken,
        &[
            TOKEN_REQUEST,
            &[
                AuthMethod::SignedJwt,
                AuthMethod::AccessToken,
                AuthMethod::HeaderToken,
                AuthMethod::BearerToken,
            ],
        ],
    ),
    (OptionId::AccessTokenLifetime, &[TOKEN_REQUEST]),
];

/// Options that are also part of the consent URL, or select it.
const USED_BY_CONSENT: [OptionId; 5] = [
    OptionId::ClientID,
    OptionId::ClaimsIssuer,
    OptionId::Scope,
    OptionId::TokenURI,
    OptionId::TokenEndpoint,
];

/// What determines whether an option has an effect, in addition to the method.
pub(super) struct OptionUses {
    /// The method.
    pub(super) method: ResolvedMethod,
    /// Whether a token endpoint is configured.
    pub(super) has_token_endpoint: bool,
    /// Whether the client assertion is configured and not signed here.
    pub(super) is_presigned: bool,
    /// Whether an administrator's code is exchanged with the client credentials.
    pub(super) exchanges_admin_code: bool,
    /// The provider profile.
    pub(super) profile: Option<&'static Profile>,
}

impl OptionUses {
    /// Whether the signed JWT itself is the token.
    fn is_signed_token(&self) -> bool {
        match self.method.method {
            AuthMethod::SignedJwt => true,
            AuthMethod::JwtBearer => !self.has_token_endpoint,
            _ => false,
        }
    }
}

impl OptionResolver<'_> {
    /// Warns about each option of the caller, the connection string or the data source that has no effect.
    pub(super) fn check_unused_options(&mut self, uses: &OptionUses) {
        for (name, methods) in USED_BY {
            if self.is_set_by_user(*name)
                && !(USED_BY_CONSENT.contains(name) && self.value(OptionId::RedirectURI).is_some())
                && let Some(text) = self.unused_reason(*name, methods, uses)
            {
                self.add_warning(*name, &text);
            }
        }
    }

    /// Whether the option is set to a value other than its default, which dialogs write for every option, and
    /// not by a model or key file, which are made for several methods.
    fn is_set_by_user(&self, name: OptionId) -> bool {
        let is_default = |text: &str| name.spec().is_some_and(|spec| spec.default == text);
        self.value(name).is_some_and(|value| {
            !matches!(value.origin, OptionOrigin::KeyFile | OptionOrigin::Model)
                && !is_default(value.text.reveal())
        })
    }

    fn unused_reason(&self, name: OptionId, methods: &[&[AuthMethod]], uses: &OptionUses) -> Option<String> {
        let (method, label) = (uses.method.method, method_label(uses.method));
        let concerns_signing = methods.first() == Some(&SIGNING) && name != OptionId::ScopeIn;
        if uses.is_presigned && method == AuthMethod::ClientAssertion && concerns_signing {
            let text = "has no effect: the client assertion is configured and is not signed here";
            return Some(text.to_owned());
        }
        let is_client_option = matches!(name, OptionId::ClientID | OptionId::ClientSecret);
        if is_client_option && matches!(method, AuthMethod::JwtBearer | AuthMethod::SignedJwt) {
            return self.client_option_reason(name, uses);
        }
        let method = if uses.is_signed_token() { AuthMethod::SignedJwt } else { method };
        let is_used_by = |method| methods.iter().any(|group| group.contains(&method));
        if is_used_by(method) {
            None
        } else if uses.is_signed_token() && is_used_by(AuthMethod::JwtBearer) {
            Some(format!("has no effect with {label} without a token endpoint; set TokenURI"))
        } else {
            let numbers = method_numbers(methods);
            Some(format!("has no effect with {label}; used by AuthenticationMethod {numbers}"))
        }
    }

    /// Why ClientID or ClientSecret has no effect with a JWT that is not for client authentication.
    fn client_option_reason(&self, name: OptionId, uses: &OptionUses) -> Option<String> {
        if self.uses_client_option(name, uses) {
            return None;
        }
        let advice = if uses.is_signed_token() {
            "there is no token request"
        } else {
            "set ClientCredentialsMode to send the client credentials with the assertion"
        };
        Some(format!("has no effect with {}; {advice}", method_label(uses.method)))
    }

    /// Whether a JWT bearer request or a signed JWT contains ClientID or ClientSecret.
    fn uses_client_option(&self, name: OptionId, uses: &OptionUses) -> bool {
        let rule = uses.profile.and_then(|profile| profile.client);
        let has_mode = self.value(OptionId::ClientCredentialsMode).is_some();
        let sends_client = !uses.is_signed_token()
            && (has_mode
                || rule.is_some_and(|rule| rule.required || self.value(OptionId::ClientSecret).is_some()));
        let is_claim = name == OptionId::ClientID
            && uses.profile.is_some_and(|profile| {
                profile.audience == Audience::ClientId
                    || profile.issuer_is_client_id && self.value(OptionId::ClaimsIssuer).is_none()
            });
        sends_client || is_claim || uses.exchanges_admin_code
    }
}

/// The values of AuthenticationMethod for `methods`, the first one of each.
fn method_numbers(methods: &[&[AuthMethod]]) -> String {
    let rows = methods
        .iter()
        .copied()
        .flatten()
        .filter_map(|method| AUTH_METHODS.iter().find(|(_, _, row_method)| row_method == method));
    rows.map(|(number, ..)| *number).collect::<Vec<_>>().join(", ")
}

/// `AuthenticationMethod 55 (OAuth2-JWTBearer)`.
fn method_label(method: ResolvedMethod) -> String {
    let ResolvedMethod { number, name, is_inferred, .. } = method;
    let name = if number == name { String::new() } else { format!(" ({name})") };
    let inferred = if is_inferred { ", which was inferred from the options" } else { "" };
    format!("AuthenticationMethod {number}{name}{inferred}")
}
