//! The stages of a resolution after the key file was read.

use std::time::Duration;

use super::grant::GrantInputs;
use super::method::ResolvedMethod;
use super::option_resolver::OptionResolver;
use super::problems::{Part, Problems};
use super::signing::{SigningKey, SigningParts};
use super::unused_options::OptionUses;
use super::{
    AssertionConfig, AssertionSource, AuthorizationRequest, Config, EndpointMethods, Flow, Grant, HttpHeader,
    KeyRequirements, LogoffConfig, PresetToken, PresignedAssertion, TokenEndpointConfig,
};
use crate::base::clock;
use crate::base::error::OptionError;
use crate::base::policy::Restriction;
use crate::base::secret::Secret;
use crate::base::url::EndpointUrl;
use crate::net::tls::TransportConfig;
use crate::options::{AuthMethod, OptionId, OptionOrigin};
use crate::provider::{JwtUse, Profile};

/// The results of the stages of a resolution.
#[derive(Debug)]
pub struct Stages {
    /// The authentication method.
    pub method: Option<ResolvedMethod>,
    /// The provider profile, by name or by the token host.
    pub profile: Option<&'static Profile>,
    /// TLS and proxy settings.
    pub transport: TransportConfig,
    /// The signing key, even if the method does not sign; `None` if there is none or several.
    pub key: Option<KeyRequirements>,
    /// The configured client assertion, even if the method does not use it.
    pub presigned_assertion: Option<PresignedAssertion>,
    /// The client assertion of a configuration that is complete but for the token endpoint: it can be signed, and
    /// not be sent.
    pub assertion_without_endpoint: Option<Box<AssertionConfig>>,
    /// Problems of the token endpoint and of Provider.
    pub(super) target_problems: Problems,
    pub(super) authorization_request: Part<Option<AuthorizationRequest>>,
    /// The token request for the code from an administrator of another organization.
    pub(super) admin_code_exchange: Part<Option<TokenEndpointConfig>>,
}

impl OptionResolver<'_> {
    /// Resolves everything but the method and the signing key.
    pub(super) fn resolve_stages(&mut self, signing: SigningParts) -> (Stages, Option<Config>) {
        self.check_types();
        self.check_policy();
        let method = *self.accept(&signing.method);
        let target = self.part(|part| {
            let endpoint = part.token_endpoint();
            let profile = part.profile(endpoint.as_ref().map(|(url, _)| url));
            (endpoint, profile)
        });
        let (endpoint, profile) = self.accept(&target);
        let (url, profile) = (endpoint.as_ref().map(|(url, _)| url), *profile);
        let transport = self.transport_config();
        let ends_session = self.has_value(OptionId::LogoffMode, "EndSession");
        let logoff = self.url(OptionId::LogoffURI).map(|endpoint| LogoffConfig {
            endpoint,
            ends_session,
            transport: transport.clone(),
        });
        let method = method.map(|method| self.method_for_profile(method, profile));
        let is_login = method.is_some_and(ResolvedMethod::is_login);
        let authorization_request = self.part(|part| part.authorization_request(is_login, url, profile));
        let request = authorization_request.value.as_ref();
        let admin_code_exchange = self.part(|part| {
            let request = request.filter(|request| request.exchanges_code && !is_login)?;
            part.admin_code_exchange(request, endpoint.as_ref(), &transport)
        });
        let mut key = signing.key;
        self.apply_header_defaults(&mut key.value.header, profile);
        if let Some(method) = method {
            self.check_unused_options(&OptionUses {
                method,
                has_token_endpoint: endpoint.is_some() || self.has_error_for(OptionId::TokenURI),
                is_presigned: signing.presigned_assertion.value.is_some(),
                exchanges_admin_code: admin_code_exchange.value.is_some(),
                profile,
            });
            self.check_method_of_profile(method, profile);
        }
        self.check_client_certificate(url);
        let mut assertion_without_endpoint = None;
        let config = method.and_then(|ResolvedMethod { method, .. }| {
            self.accept_authorization_problems(is_login, &authorization_request.problems);
            let header = if method.has_extra_header() { self.extra_header() } else { None };
            let inputs = GrantInputs {
                method,
                endpoint: url,
                profile,
                key: &key,
                presigned_assertion: &signing.presigned_assertion,
                authorization_request: request,
            };
            let flow = self.flow(
                &inputs,
                endpoint.as_ref(),
                header.as_ref(),
                &transport,
                &mut assertion_without_endpoint,
            )?;
            if flow.token_endpoint().is_none() {
                self.warn_about_unsent_authorization(header.as_ref());
            }
            Some(Config {
                preset_token: self.preset_token(&flow),
                headers: self.api_headers(header, &flow, profile),
                flow,
                authorization_request: request.cloned(),
                consent_guidance: self.consent_guidance(method, profile),
                logoff,
                login_timeout: self.timeout(OptionId::LoginTimeout, 60),
                request_timeout: self.timeout(OptionId::WSTimeout, 120),
                refresh_margin: self.number(OptionId::RefreshMargin),
                private_cache: self.has_value(OptionId::CacheScope, "Connection")
                    || self.policy.forbids(Restriction::Sharing),
                shared_cache: self.shared_cache_config(),
                transport: transport.clone(),
            })
        });
        let SigningKey { header, source } = key.value;
        let stages = Stages {
            method,
            profile,
            transport,
            key: source.map(|source| KeyRequirements { source, header }),
            presigned_assertion: signing.presigned_assertion.value,
            assertion_without_endpoint,
            target_problems: target.problems,
            authorization_request,
            admin_code_exchange,
        };
        (stages, config)
    }

    fn flow(
        &mut self,
        inputs: &GrantInputs<'_>,
        endpoint: Option<&(EndpointUrl, EndpointMethods)>,
        header: Option<&HttpHeader>,
        transport: &TransportConfig,
        unsent_assertion: &mut Option<Box<AssertionConfig>>,
    ) -> Option<Flow> {
        if endpoint.is_none() && inputs.method == AuthMethod::JwtBearer {
            self.require_meant_token_endpoint(inputs.profile);
        }
        let has_endpoint = endpoint.is_some() || self.has_error_for(OptionId::TokenURI);
        if !inputs.method.uses_token_endpoint(has_endpoint) {
            return self.flow_without_token_endpoint(inputs);
        }
        let grant = self.grant(inputs);
        if endpoint.is_none() {
            *unsent_assertion = self.complete_assertion(grant.as_ref());
        }
        self.token_endpoint_config(
            inputs.method,
            grant,
            endpoint.cloned(),
            inputs.profile,
            header.cloned(),
            transport.clone(),
        )
        .map(Box::new)
        .map(Flow::TokenEndpoint)
    }

    /// The client assertion of `grant`, if it is signed here, has an audience, and nothing else is wrong.
    fn complete_assertion(&self, grant: Option<&Grant>) -> Option<Box<AssertionConfig>> {
        let is_complete = self.problems.errors.is_empty() && self.problems.missing.is_empty();
        match grant.filter(|_| is_complete)? {
            Grant::ClientAssertion { assertion: AssertionSource::SignedHere(signing), .. }
                if signing.audience.is_some() =>
            {
                Some(signing.clone())
            }
            _ => None,
        }
    }

    /// Records an error if other options, or a model file that was not read, show that a token endpoint is meant.
    /// Without it the signed JWT itself would silently be the token.
    fn require_meant_token_endpoint(&mut self, profile: Option<&'static Profile>) {
        const SIGNS: [OptionId; 6] = [
            OptionId::ClientID,
            OptionId::ClientSecret,
            OptionId::ClientCredentialsMode,
            OptionId::GrantType,
            OptionId::Scope,
            OptionId::TokenParameters,
        ];
        if self.options.has_unreadable_model() && !self.has_error_for(OptionId::TokenURI) {
            self.problems.missing.push(OptionId::TokenURI);
            return;
        }
        // The values of a key file are no sign: a Box file has a client ID, and no token endpoint.
        let is_set =
            |name: &OptionId| self.value(*name).is_some_and(|value| value.origin != OptionOrigin::KeyFile);
        let exchanges_jwt = profile.filter(|profile| profile.jwt != JwtUse::AccessToken);
        let sign = match (exchanges_jwt, SIGNS.iter().find(|name| is_set(name))) {
            (Some(profile), _) => profile.name.as_str(),
            (None, Some(option)) => option.as_str(),
            (None, None) => return,
        };
        if !self.has_error_for(OptionId::TokenURI) {
            let text = format!(
                "is missing: {sign} needs a token endpoint; set TokenURI=POST https://…, or AuthenticationMethod=JWT \
                 if the signed JWT itself is the token"
            );
            self.add_error(OptionError::Missing, OptionId::TokenURI, &text);
        }
    }

    /// The headers of API requests in addition to that of the token.
    fn api_headers(
        &self,
        header: Option<HttpHeader>,
        flow: &Flow,
        profile: Option<&'static Profile>,
    ) -> Vec<HttpHeader> {
        let model = self.options.model_headers().iter();
        let model = model.map(|(name, value)| HttpHeader { name: name.clone(), value: value.clone() });
        // It is for the token endpoint.
        let model = model.filter(|header| !header.is_authorization());
        let of_profile = profile.filter(|_| matches!(flow, Flow::SignedJwt(_)));
        let of_profile = of_profile.into_iter().flat_map(|profile| &profile.api_headers);
        let of_profile = of_profile
            .map(|(name, value)| HttpHeader { name: name.clone(), value: Secret::from(value.as_str()) });
        header.into_iter().chain(model).chain(of_profile).collect()
    }

    /// The rule of ODBC 4.0: an access token is used until it expires, then it is renewed by the other
    /// credentials.
    fn preset_token(&mut self, flow: &Flow) -> PresetToken {
        let is_renewable = matches!(flow, Flow::TokenEndpoint(_)) && flow.is_user_bound();
        let is_used = is_renewable || matches!(flow, Flow::AccessToken(_));
        let expires = self.text(OptionId::AccessTokenExpires).filter(|_| is_used);
        let token = self.secret(OptionId::AccessToken).filter(|_| is_renewable);
        if let Some(token) = &token {
            self.check_header_value(OptionId::AccessToken, token);
        }
        PresetToken { token, expires_at: expires.and_then(|text| clock::parse_rfc3339(&text)) }
    }

    fn timeout(&self, name: OptionId, default: i64) -> Option<Duration> {
        match self.number(name).unwrap_or(default) {
            ..=0 => None,
            seconds => Some(Duration::from_secs(seconds.unsigned_abs())),
        }
    }
}
