//! What a profile says of an assertion and of its request where the user says nothing.

use super::method::AuthMethod;
use super::{HttpHeader as Sent, OAuthClient, OptionResolver};
use crate::base::url::EndpointUrl;
use crate::jwt::{JoseHeader, RawObject};
use crate::key::CertHeader;
use crate::options::OptionId;
use crate::provider::{Audience, JwtUse, Profile, ScopeLocation};

/// Seconds from iat to exp where nobody says.
const DEFAULT_ASSERTION_LIFETIME_SECS: u32 = 300;

/// By which header members a key's certificate can be named.
const KEY_ID_HEADERS: [&str; 4] = ["kid", "x5t", "x5t#S256", "x5c"];

/// Whose assertion it is.
pub(super) struct IssuerSubject {
    pub(super) issuer: Option<String>,
    pub(super) subject: Option<String>,
}

impl OptionResolver<'_> {
    /// What a key is good for at a provider whose clients authenticate by it, where the user leaves it open.
    pub(super) fn method_for_profile(&self, method: AuthMethod, profile: Option<&Profile>) -> AuthMethod {
        let open = self.value(OptionId::AuthenticationMethod).is_none()
            || self.has_value(OptionId::AuthenticationMethod, "24")
            || self.has_value(OptionId::AuthenticationMethod, "OAuth2");
        let authenticates = profile.is_some_and(|profile| profile.jwt == JwtUse::ClientAuthentication);
        if open && authenticates && method == AuthMethod::JwtBearer {
            AuthMethod::ClientAssertion
        } else {
            method
        }
    }

    /// iss and sub. A client's own assertion has its id in both (RFC 7523 section 3).
    pub(super) fn issuer_and_subject(
        &mut self,
        own: &RawObject,
        profile: Option<&Profile>,
        as_client: bool,
    ) -> IssuerSubject {
        let by_client_id = as_client || profile.is_some_and(|profile| profile.issuer_is_client_id);
        let given = own.get_string("iss").or_else(|| self.text(OptionId::ClaimsIssuer));
        let issuer = given.or_else(|| self.text(OptionId::ClientID).filter(|_| by_client_id));
        let issuer = issuer.or_else(|| self.require(OptionId::ClaimsIssuer));
        let subject = own.get_string("sub").or_else(|| self.text(OptionId::ClaimsSubject));
        if profile.is_some_and(|profile| profile.issuer_has_fingerprint) && !own.contains_key("iss") {
            let issuer = issuer.map(|issuer| normalize_snowflake_issuer(&issuer));
            let own = issuer.as_deref().map(|issuer| without_fingerprint(issuer).to_owned());
            return IssuerSubject { subject: subject.or(own), issuer };
        }
        let is_issuer = profile.and_then(|profile| profile.subject_is_issuer).unwrap_or(as_client);
        IssuerSubject { subject: subject.or_else(|| issuer.clone().filter(|_| is_issuer)), issuer }
    }

    /// aud where nobody says it.
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
            Audience::OriginAmong(known) => {
                let root = url_origin(endpoint?)?;
                if known.contains(&root) { Some(root) } else { known.first().cloned() }
            }
            Audience::ClientId => self.text(OptionId::ClientID).or_else(|| self.text(OptionId::ClaimsIssuer)),
            Audience::Literal(text) => Some(text.clone()),
            Audience::None => None,
            Audience::ConfiguredUnlessScope if has_scope => None,
            Audience::Configured | Audience::ConfiguredUnlessScope => self.require(OptionId::ClaimsAudience),
        }
    }

    /// The scope, if it goes to `place`.
    pub(super) fn scope_for(
        &self,
        endpoint: Option<&EndpointUrl>,
        profile: Option<&Profile>,
        place: ScopeLocation,
    ) -> Option<String> {
        let wanted = self.scope_location(profile);
        self.scope_or_default(endpoint, profile).filter(|_| wanted == ScopeLocation::Both || wanted == place)
    }

    /// The scope, else what is usual at the provider.
    pub(super) fn scope_or_default(
        &self,
        endpoint: Option<&EndpointUrl>,
        profile: Option<&Profile>,
    ) -> Option<String> {
        let usual = profile.and_then(|profile| {
            let scope = profile.default_scope.as_ref()?;
            let known = endpoint.is_some_and(|url| profile.has_host(url.host()));
            (known || !scope.own_hosts_only).then(|| scope.text.clone())
        });
        self.text(OptionId::Scope).or(usual)
    }

    fn scope_location(&self, profile: Option<&Profile>) -> ScopeLocation {
        let said = [ScopeLocation::Claim, ScopeLocation::Parameter, ScopeLocation::Both]
            .into_iter()
            .find(|place| self.has_value(OptionId::ScopeIn, &format!("{place:?}")));
        said.or(profile.map(|profile| profile.scope_location)).unwrap_or(ScopeLocation::Both)
    }

    /// exp − iat. The user's own counts even where the provider refuses it.
    pub(super) fn assertion_lifetime(&mut self, profile: Option<&Profile>) -> u32 {
        let (seconds, minutes) =
            (self.number(OptionId::JWTLifetime), self.number(OptionId::JWTLifetimeMinutes));
        if seconds.is_some() && minutes.is_some() {
            self.add_conflict(OptionId::JWTLifetimeMinutes, OptionId::JWTLifetime);
        }
        let name = if seconds.is_some() { OptionId::JWTLifetime } else { OptionId::JWTLifetimeMinutes };
        let given = seconds.or(minutes.map(|minutes| minutes.saturating_mul(60)));
        let Some(given) = given.and_then(|seconds| u32::try_from(seconds).ok()) else {
            return profile.and_then(|profile| profile.lifetime).unwrap_or(DEFAULT_ASSERTION_LIFETIME_SECS);
        };
        if let Some((profile, most)) = profile
            .and_then(|profile| Some((profile, profile.max_lifetime?)))
            .filter(|(_, most)| given > *most)
        {
            let text = format!("makes {given} s; {} refuses assertions of more than {most} s", profile.name);
            self.add_warning(name, &text);
        }
        given
    }

    /// What a profile adds to a header: algorithms to choose from, and by what the key's certificate is named unless
    /// the user names it.
    pub(super) fn apply_header_defaults(&self, header: &mut JoseHeader, profile: Option<&Profile>) {
        let Some(profile) = profile else { return };
        if self.signer.is_none() {
            header.preferred_algorithms.clone_from(&profile.algorithms);
        }
        let named = KEY_ID_HEADERS.iter().any(|name| *name != "kid" && header.additional.contains_key(name));
        let shared = self.signer.is_none() && self.value(OptionId::JWTSecret).is_some();
        if header.cert_headers.is_empty() && !named && !shared {
            let wanted = profile.cert_headers.iter().filter_map(|name| CertHeader::from_name(name));
            header.cert_headers.extend(wanted);
        }
    }

    /// Warns of what the provider will miss.
    pub(super) fn check_profile_requirements(
        &mut self,
        header: &JoseHeader,
        own: &RawObject,
        profile: Option<&Profile>,
    ) {
        let Some(profile) = profile else { return };
        let provider = &profile.name;
        let named = self.value(OptionId::JWTKeyID).is_some()
            || !header.cert_headers.is_empty()
            || KEY_ID_HEADERS.iter().any(|name| header.additional.contains_key(name));
        if profile.requires_key_id && !named {
            let text = format!("is not given; {provider} finds the key by it");
            self.add_warning(OptionId::JWTKeyID, &text);
        }
        for claim in profile.required_claims.iter().filter(|claim| !own.contains_key(claim)) {
            let text = format!("has no {claim}, without which {provider} refuses the assertion");
            self.add_warning(OptionId::ClaimsAdditional, &text);
        }
        let scope = self.text(OptionId::Scope);
        let lacks =
            |wanted: &String| scope.as_ref().is_some_and(|scope| !scope.split(' ').any(|one| one == wanted));
        for wanted in profile.required_scopes.iter().filter(|wanted| lacks(wanted)) {
            let text = format!("has no {wanted}, without which {provider} takes no JWT for a user");
            self.add_warning(OptionId::Scope, &text);
        }
        if self.scope_location(Some(profile)) == ScopeLocation::None && self.value(OptionId::Scope).is_some()
        {
            let text = format!("is not sent: {provider} has no place for it; ScopeIn=Parameter sends it");
            self.add_warning(OptionId::Scope, &text);
        }
    }

    /// The client's own credentials beside a JWT bearer assertion, as the provider wants them.
    pub(super) fn client_for_profile(
        &mut self,
        profile: Option<&Profile>,
        header: Option<&Sent>,
    ) -> Option<OAuthClient> {
        let (profile, rule) = profile.and_then(|profile| Some((profile, profile.client?)))?;
        if header.is_some_and(|header| header.name.eq_ignore_ascii_case("authorization")) {
            // The user's own way to authenticate.
            return None;
        }
        let by_issuer = profile.issuer_is_client_id;
        let id = self.text(OptionId::ClientID);
        let id = id.or_else(|| self.text(OptionId::ClaimsIssuer).filter(|_| by_issuer));
        let secret = self.secret(OptionId::ClientSecret);
        if !rule.required && secret.is_none() {
            return None;
        }
        let (id, secret) = (
            id.or_else(|| self.require(OptionId::ClientID)),
            secret.or_else(|| self.require_secret(OptionId::ClientSecret)),
        );
        Some(OAuthClient { id: id?, secret: Some(secret?), uses_basic_auth: rule.basic })
    }

    /// Seconds that a token lives where neither the answer nor the token says.
    pub(super) fn token_lifetime(&self, profile: Option<&Profile>) -> Option<u32> {
        let given =
            self.number(OptionId::AccessTokenLifetime).and_then(|seconds| u32::try_from(seconds).ok());
        given.or(profile.and_then(|profile| profile.token_lifetime))
    }
}

/// Scheme and host, as it was written.
fn url_origin(endpoint: &EndpointUrl) -> Option<String> {
    let uri = endpoint.uri();
    Some(format!("{}://{}", uri.scheme_str()?, uri.authority()?))
}

/// `ACCOUNT.USER` as Snowflake reads it: in capitals, and the account up to its first dot, or where it is a global one
/// to its first hyphen. What has a fingerprint already is left alone.
fn normalize_snowflake_issuer(written: &str) -> String {
    if written.contains(".SHA256:") {
        return written.to_owned();
    }
    let (account, user) = written.split_once('.').unwrap_or((written, ""));
    let (account, user) = match user.get(..7).filter(|start| start.eq_ignore_ascii_case("global.")) {
        Some(_) => (account.split('-').next().unwrap_or(account), user.get(7..).unwrap_or_default()),
        None => (account, user),
    };
    let joint = if user.is_empty() { "" } else { "." };
    format!("{account}{joint}{user}").to_uppercase()
}

/// An issuer without the fingerprint behind it.
fn without_fingerprint(issuer: &str) -> &str {
    issuer.split_once(".SHA256:").map_or(issuer, |(own, _)| own)
}

/// Whether the key's fingerprint is still to be written behind the issuer.
pub(super) fn needs_key_fingerprint(issuer: &str, profile: Option<&Profile>) -> bool {
    profile.is_some_and(|profile| profile.issuer_has_fingerprint) && !issuer.contains("SHA256:")
}

#[cfg(test)]
mod tests;
