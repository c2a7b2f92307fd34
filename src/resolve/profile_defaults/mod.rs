//! Defaults and checks from the provider profile, for options of the assertion and the token request.

use super::method::ResolvedMethod;
use super::option_resolver::OptionResolver;
use super::{AssertionConfig, HttpHeader, OAuthClient};
use crate::base::url::EndpointUrl;
use crate::jwt::{JoseHeader, RawObject};
use crate::key::{CertHeader, KeySource};
use crate::options::{AuthMethod, OptionId};
use crate::provider::{self, Audience, DefaultSubject, JwtUse, Profile, ScopeLocation};

/// The default lifetime of an assertion (iat to exp) in seconds.
const DEFAULT_ASSERTION_LIFETIME_SECS: u32 = 300;

/// A longer lifetime is a warning.
const LONG_ASSERTION_LIFETIME_SECS: u32 = 86_400;

/// The headers that can identify the key or its certificate.
const KEY_ID_HEADERS: [&str; 4] = ["kid", "x5t", "x5t#S256", "x5c"];

/// The iss and sub claims of an assertion.
pub(super) struct IssuerSubject {
    pub(super) issuer: Option<String>,
    pub(super) subject: Option<String>,
}

impl OptionResolver<'_> {
    /// Replaces an inferred JWT bearer grant by a client assertion if the provider uses JWTs for client
    /// authentication.
    pub(super) fn method_for_profile(
        &self,
        method: ResolvedMethod,
        profile: Option<&Profile>,
    ) -> ResolvedMethod {
        let authenticates_client = profile.is_some_and(|profile| profile.jwt == JwtUse::ClientAuthentication);
        if method.is_inferred && authenticates_client && method.method == AuthMethod::JwtBearer {
            ResolvedMethod::inferred(AuthMethod::ClientAssertion)
        } else {
            method
        }
    }

    /// Warns of an explicit JWT bearer grant at a provider that uses signed JWTs for client authentication.
    pub(super) fn check_method_of_profile(&mut self, method: ResolvedMethod, profile: Option<&Profile>) {
        let Some(profile) = profile.filter(|profile| profile.jwt == JwtUse::ClientAuthentication) else {
            return;
        };
        if !method.is_inferred && method.method == AuthMethod::JwtBearer {
            let text = format!(
                "is {} (JWT bearer grant), but {} uses a signed JWT to authenticate the client; set \
                 OAuth2-JWTClientAssertion, or remove AuthenticationMethod",
                method.number, profile.name
            );
            self.add_warning(OptionId::AuthenticationMethod, &text);
        }
    }

    /// Determines iss and sub. In an assertion for client authentication both are the client ID (RFC 7523
    /// section 3).
    pub(super) fn issuer_and_subject(
        &mut self,
        additional: &RawObject,
        profile: Option<&Profile>,
        as_client: bool,
    ) -> IssuerSubject {
        let issuer_is_client = as_client || profile.is_some_and(|profile| profile.issuer_is_client_id);
        let configured = additional.get_string("iss").or_else(|| self.text(OptionId::ClaimsIssuer));
        let issuer = configured.or_else(|| self.text(OptionId::ClientID).filter(|_| issuer_is_client));
        let issuer = issuer.or_else(|| self.require(OptionId::ClaimsIssuer));
        let subject = additional.get_string("sub").or_else(|| self.text(OptionId::ClaimsSubject));
        if profile.is_some_and(|profile| profile.issuer_has_fingerprint) && !additional.contains_key("iss") {
            let issuer = issuer.map(|issuer| normalize_snowflake_issuer(&issuer));
            let bare_issuer = issuer.as_deref().map(|issuer| without_fingerprint(issuer).to_owned());
            return IssuerSubject { subject: subject.or(bare_issuer), issuer };
        }
        if subject.is_some() || additional.contains_key("sub") {
            return IssuerSubject { issuer, subject };
        }
        let subject = match (profile.and_then(|profile| profile.default_subject), as_client) {
            (Some(DefaultSubject::None), _) => None,
            (Some(DefaultSubject::Issuer), _) | (_, true) => issuer.clone(),
            (Some(DefaultSubject::Configured), false) => self.require(OptionId::ClaimsSubject),
            (None, false) => {
                let text = "is not set, so the JWT has no sub claim, which an assertion must have (RFC 7523 section 3); \
                            set it to the user or service for which the token is issued";
                self.add_warning(OptionId::ClaimsSubject, text);
                None
            }
        };
        IssuerSubject { issuer, subject }
    }

    /// Warns of a JWT without aud that itself is the token, unless the provider needs none.
    pub(super) fn check_token_audience(&mut self, jwt: &AssertionConfig, profile: Option<&Profile>) {
        let needs_none = profile.is_some_and(|profile| {
            matches!(profile.audience, Audience::None | Audience::ConfiguredUnlessScope)
        });
        if jwt.audience.is_none() && !jwt.additional_claims.contains_key("aud") && !needs_none {
            let text = "is not set, so the JWT has no aud claim; set it to the API that receives the JWT";
            self.add_warning(OptionId::ClaimsAudience, text);
        }
    }

    /// The default of the aud claim.
    pub(super) fn default_audience(
        &mut self,
        endpoint: Option<&EndpointUrl>,
        profile: Option<&Profile>,
        has_scope: bool,
    ) -> Option<String> {
        let token_url = || endpoint.map(|url| url.as_str().to_owned());
        match profile.map_or(&Audience::TokenUrl, |profile| &profile.audience) {
            Audience::TokenUrl => token_url(),
            Audience::Host => Some(endpoint?.host().to_owned()),
            Audience::Origin => url_origin(endpoint?),
            Audience::OriginWithSlash => Some(format!("{}/", url_origin(endpoint?)?)),
            Audience::ByHost { texts, otherwise } => {
                let audience = provider::text_for_host(texts, endpoint?.host());
                Some(audience.unwrap_or(otherwise).to_owned())
            }
            Audience::ClientId => self.text(OptionId::ClientID).or_else(|| self.text(OptionId::ClaimsIssuer)),
            Audience::Literal(text) => Some(text.clone()),
            Audience::None => None,
            Audience::ConfiguredUnlessScope if has_scope => None,
            Audience::Configured | Audience::ConfiguredUnlessScope => self.require(OptionId::ClaimsAudience),
        }
    }

    /// The scope, if it is sent in `location`.
    pub(super) fn scope_for(
        &self,
        endpoint: Option<&EndpointUrl>,
        profile: Option<&Profile>,
        location: ScopeLocation,
    ) -> Option<String> {
        let configured = self.scope_location(profile);
        self.scope_or_default(endpoint, profile)
            .filter(|_| configured == ScopeLocation::Both || configured == location)
    }

    /// The configured scope, else the default scope of the provider.
    pub(super) fn scope_or_default(
        &self,
        endpoint: Option<&EndpointUrl>,
        profile: Option<&Profile>,
    ) -> Option<String> {
        let default = profile.and_then(|profile| {
            let scope = profile.default_scope.as_ref()?;
            let host = endpoint.map_or("", EndpointUrl::host);
            (profile.has_host(host) || !scope.own_hosts_only).then(|| scope.text_for(host).to_owned())
        });
        self.scopes(OptionId::Scope).or(default)
    }

    fn scope_location(&self, profile: Option<&Profile>) -> ScopeLocation {
        let configured = [ScopeLocation::Claim, ScopeLocation::Parameter, ScopeLocation::Both]
            .into_iter()
            .find(|location| self.has_value(OptionId::ScopeIn, &format!("{location:?}")));
        configured.or(profile.map(|profile| profile.scope_location)).unwrap_or(ScopeLocation::Both)
    }

    /// The lifetime (exp − iat) in seconds. A configured lifetime is used even if it exceeds the provider's
    /// maximum.
    pub(super) fn assertion_lifetime(&mut self, profile: Option<&Profile>) -> u32 {
        let (seconds, minutes) =
            (self.number(OptionId::JWTLifetime), self.number(OptionId::JWTLifetimeMinutes));
        if seconds.is_some() && minutes.is_some() {
            self.add_conflict(OptionId::JWTLifetimeMinutes, OptionId::JWTLifetime);
        }
        let name = if seconds.is_some() { OptionId::JWTLifetime } else { OptionId::JWTLifetimeMinutes };
        let configured = seconds.or(minutes.map(|minutes| minutes.saturating_mul(60)));
        let Some(lifetime) = configured.and_then(|seconds| u32::try_from(seconds).ok()) else {
            return profile.and_then(|profile| profile.lifetime).unwrap_or(DEFAULT_ASSERTION_LIFETIME_SECS);
        };
        if let Some((profile, max)) = profile
            .and_then(|profile| Some((profile, profile.max_lifetime?)))
            .filter(|(_, max)| lifetime > *max)
        {
            let text = format!("is {lifetime} s; {} accepts at most {max} s", profile.name);
            self.add_warning(name, &text);
        } else if lifetime > LONG_ASSERTION_LIFETIME_SECS {
            let text = format!(
                "is {lifetime} s; a JWT that somebody obtains can be used for that long, so use minutes if the \
                 server accepts it"
            );
            self.add_warning(name, &text);
        }
        lifetime
    }

    /// Adds the profile's preferred algorithms to the JOSE header, and its certificate headers unless others
    /// are configured.
    pub(super) fn apply_header_defaults(&self, header: &mut JoseHeader, profile: Option<&Profile>) {
        let Some(profile) = profile else { return };
        if self.signer.is_none() {
            header.preferred_algorithms.clone_from(&profile.algorithms);
        }
        let uses_hmac = self.signer.is_none() && self.value(OptionId::JWTSecret).is_some();
        if header.cert_headers.is_empty() && !sets_cert_header(header) && !uses_hmac {
            let defaults = profile.cert_headers.iter().filter_map(|name| CertHeader::from_name(name));
            header.cert_headers.extend(defaults);
        }
    }

    /// Warns of a JWTCertificate that no header of the assertion identifies. That of a signer verifies its
    /// signatures.
    pub(super) fn check_certificate_use(&mut self, header: &JoseHeader, key: Option<&KeySource>) {
        let has_certificate = key.is_some_and(|key| key.certificate.is_some()) && self.signer.is_none();
        if has_certificate && header.cert_headers.is_empty() && !sets_cert_header(header) {
            let text = "is not used in the assertion: no header identifies it; set JWTThumbprint=x5t (or x5t#S256, \
                        x5c), or remove it";
            self.add_warning(OptionId::JWTCertificate, text);
        }
    }

    /// Warns about unmet requirements of the provider.
    pub(super) fn check_profile_requirements(
        &mut self,
        header: &JoseHeader,
        additional: &RawObject,
        profile: Option<&Profile>,
    ) {
        let Some(profile) = profile else { return };
        let provider = &profile.name;
        let identifies_key = self.value(OptionId::JWTKeyID).is_some()
            || !header.cert_headers.is_empty()
            || KEY_ID_HEADERS.iter().any(|name| header.additional.contains_key(name));
        if profile.requires_key_id && !identifies_key {
            let text = format!("is required: {provider} selects the key by kid");
            self.add_warning(OptionId::JWTKeyID, &text);
        }
        for claim in profile.required_claims.iter().filter(|claim| !additional.contains_key(claim)) {
            let text = format!("must contain the claim {claim}, which {provider} requires");
            self.add_warning(OptionId::ClaimsAdditional, &text);
        }
        let scope = self.scopes(OptionId::Scope);
        let is_missing = |required: &String| {
            scope.as_ref().is_some_and(|scope| !scope.split(' ').any(|item| item == required))
        };
        for required in profile.required_scopes.iter().filter(|required| is_missing(required)) {
            let text = format!("must contain the scope {required}, which {provider} requires");
            self.add_warning(OptionId::Scope, &text);
        }
        if self.scope_location(Some(profile)) == ScopeLocation::None && self.value(OptionId::Scope).is_some()
        {
            let text = format!(
                "is ignored: {provider} does not accept a scope; set ScopeIn=Parameter to send it anyway"
            );
            self.add_warning(OptionId::Scope, &text);
        }
    }

    /// The client credentials in addition to a JWT bearer assertion, as the provider requires.
    pub(super) fn client_for_profile(
        &mut self,
        profile: Option<&Profile>,
        headers: &[HttpHeader],
    ) -> Option<OAuthClient> {
        let (profile, rule) = profile.and_then(|profile| Some((profile, profile.client?)))?;
        if headers.iter().any(HttpHeader::is_authorization) {
            if self.value(OptionId::ClientSecret).is_some() {
                let (option, finding) = self.authorization_header_setter();
                let text = format!("{finding}, by which the client authenticates; ClientSecret is not sent");
                self.add_warning(option, &text);
            }
            return None;
        }
        let issuer_is_client = profile.issuer_is_client_id;
        let id = self.text(OptionId::ClientID);
        let id = id.or_else(|| self.text(OptionId::ClaimsIssuer).filter(|_| issuer_is_client));
        let secret = self.secret(OptionId::ClientSecret);
        if !rule.required && secret.is_none() {
            return None;
        }
        // RFC 8705 section 2: with a client certificate, only client_id is sent.
        if secret.is_none() && self.value(OptionId::KeyStore).is_some() {
            let id = id.or_else(|| self.require(OptionId::ClientID))?;
            return Some(OAuthClient { id, secret: None, uses_basic_auth: false });
        }
        let (id, secret) = (
            id.or_else(|| self.require(OptionId::ClientID)),
            secret.or_else(|| self.require_secret(OptionId::ClientSecret)),
        );
        Some(OAuthClient { id: id?, secret: Some(secret?), uses_basic_auth: rule.basic })
    }

    /// The assumed lifetime of a token in seconds, if neither the response nor the token states one.
    pub(super) fn token_lifetime(&self, profile: Option<&Profile>) -> Option<u32> {
        let configured =
            self.number(OptionId::AccessTokenLifetime).and_then(|seconds| u32::try_from(seconds).ok());
        configured.or(profile.and_then(|profile| profile.token_lifetime))
    }
}

/// Whether JWTHeaders identifies a certificate.
fn sets_cert_header(header: &JoseHeader) -> bool {
    KEY_ID_HEADERS.iter().any(|name| *name != "kid" && header.additional.contains_key(name))
}

/// Scheme and authority of the URL, as configured.
fn url_origin(endpoint: &EndpointUrl) -> Option<String> {
    let uri = endpoint.uri();
    Some(format!("{}://{}", uri.scheme_str()?, uri.authority()?))
}

/// Normalizes `ACCOUNT.USER` as Snowflake does: upper case; the account ends at its first dot, a global
/// account at its first hyphen. An issuer that already has a fingerprint is returned unchanged.
fn normalize_snowflake_issuer(issuer: &str) -> String {
    if issuer.contains(".SHA256:") {
        return issuer.to_owned();
    }
    let (account, user) = issuer.split_once('.').unwrap_or((issuer, ""));
    let (account, user) = match user.get(..7).filter(|start| start.eq_ignore_ascii_case("global.")) {
        Some(_) => (account.split('-').next().unwrap_or(account), user.get(7..).unwrap_or_default()),
        None => (account, user),
    };
    let separator = if user.is_empty() { "" } else { "." };
    format!("{account}{separator}{user}").to_uppercase()
}

/// The issuer without its fingerprint.
fn without_fingerprint(issuer: &str) -> &str {
    issuer.split_once(".SHA256:").map_or(issuer, |(bare, _)| bare)
}

/// Whether the fingerprint of the key must be appended to the issuer.
pub(super) fn needs_key_fingerprint(issuer: &str, profile: Option<&Profile>) -> bool {
    profile.is_some_and(|profile| profile.issuer_has_fingerprint) && !issuer.contains("SHA256:")
}

#[cfg(test)]
mod tests;
