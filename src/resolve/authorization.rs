//! How a person comes to consent or to log in: the parts of the URL that they open, and what is done with the code.

use std::time::Duration;

use super::method::AuthMethod;
use super::{EndpointMethods, Flow, Grant, Login, OptionResolver, TokenEndpointConfig};
use crate::base::error::{Error, Result, Status};
use crate::base::policy::Policy;
use crate::base::url::EndpointUrl;
use crate::key::CallbackSigner;
use crate::options::{OptionId, Options};
use crate::provider::{ConsentProfile, ConsentType, Profile};

/// The parts of a consent URL.
#[derive(Clone, Debug)]
pub struct AuthorizationRequest {
    /// Who consents.
    pub consent_type: ConsentType,
    /// The authorization endpoint, or the page of an administrator's consent.
    pub endpoint: String,
    /// client_id.
    pub client_id: String,
    /// scope; a login may do without.
    pub scope: Option<String>,
    /// admin_consent_scope.
    pub admin_scope: Option<String>,
    /// redirect_uri.
    pub redirect_uri: String,
    /// Whether the code that comes back is exchanged, so that it is worth a proof (RFC 7636).
    pub exchanges_code: bool,
    /// Where an `iss` that comes back may be at home (RFC 9207): the servers that are asked, as `https://host:port`.
    pub allowed_issuers: Vec<String>,
    /// ApplicationName, for the page that the person sees.
    pub application_name: Option<String>,
    /// How long the person has.
    pub timeout: Duration,
}

/// How consent is given, for whoever is told that it is missing.
#[derive(Clone, Copy, Debug)]
pub struct ConsentGuidance {
    /// By whom.
    pub consent_type: ConsentType,
    /// What it takes beside a URL, or instead of one.
    pub help: Option<&'static str>,
}

/// A person's way to consent or to log in, and what is done with the code that it brings.
#[derive(Debug)]
pub struct InteractiveAuthorization {
    /// The way.
    pub request: AuthorizationRequest,
    /// Where the code is exchanged; nothing where it is thrown away.
    pub token_endpoint: Option<Box<TokenEndpointConfig>>,
}

/// Understands of `options` what a consent URL is made of, and nothing else, under the policy of the process.
///
/// # Errors
/// Every fault as one chain; [`Status::Unsupported`] for a consent that has no URL.
pub fn resolve_authorization_request(
    options: &Options,
    signer: Option<&CallbackSigner>,
) -> Result<AuthorizationRequest> {
    OptionResolver::new(options, Policy::current())
        .with_signer(signer)
        .finish(OptionResolver::authorization_request)
}

/// Understands of `options` what a person's consent or login takes, under the policy of the process.
///
/// # Errors
/// Those of [`resolve_consent`], and what the exchange of the code lacks.
pub fn resolve_authorization(
    options: &Options,
    signer: Option<&CallbackSigner>,
) -> Result<InteractiveAuthorization> {
    OptionResolver::new(options, Policy::current())
        .with_signer(signer)
        .finish(OptionResolver::interactive_authorization)
}

impl OptionResolver<'_> {
    fn authorization_request(&mut self) -> Option<AuthorizationRequest> {
        let endpoint = self.token_endpoint().map(|(url, _)| url);
        let profile = self.profile(endpoint.as_ref());
        let logs_in = self.uses_authorization_code();
        self.require_authorization_request(logs_in, endpoint.as_ref(), profile)
    }

    fn interactive_authorization(&mut self) -> Option<InteractiveAuthorization> {
        let consent = self.authorization_request();
        let exchange = if self.uses_authorization_code() {
            // As the flow has it, so that the login's token is the flow's own.
            match self.resolve_config()?.flow {
                Flow::TokenEndpoint(exchange) => Some(exchange),
                _ => None,
            }
        } else if consent.as_ref()?.exchanges_code {
            Some(Box::new(self.admin_consent_token_endpoint(consent.as_ref()?)?))
        } else {
            None
        };
        Some(InteractiveAuthorization { request: consent?, token_endpoint: exchange })
    }

    /// Whether the connection's tokens come from a person's login.
    fn uses_authorization_code(&mut self) -> bool {
        // What is missing or wrong is of interest where a token is wanted; here a consent URL may be enough.
        let (missing, faults, warnings) = (self.missing.len(), self.errors.len(), self.warnings.len());
        let method = self.auth_method();
        self.missing.truncate(missing);
        self.errors.truncate(faults);
        self.warnings.truncate(warnings);
        method == Some(AuthMethod::AuthorizationCode)
    }

    /// The parts of a consent URL; what is missing of them is no fault of a token request.
    pub(super) fn optional_authorization_request(
        &mut self,
        method: AuthMethod,
        endpoint: Option<&EndpointUrl>,
        profile: Option<&Profile>,
    ) -> Option<AuthorizationRequest> {
        let (missing, before) = (self.missing.clone(), self.errors.len());
        let logs_in = method == AuthMethod::AuthorizationCode;
        let consent = self.require_authorization_request(logs_in, endpoint, profile);
        if !(logs_in && self.has_value(OptionId::EnableLoginPrompt, "1")) {
            self.missing = missing;
            let of_consent = self.errors.split_off(before.min(self.errors.len()));
            let wrong = |fault: &Error| fault.status() != Status::Unsupported;
            self.errors.extend(of_consent.into_iter().filter(wrong));
        }
        consent
    }

    pub(super) fn consent_guidance(
        &self,
        method: AuthMethod,
        profile: Option<&'static Profile>,
    ) -> ConsentGuidance {
        let ways = profile.and_then(|profile| profile.consent.as_ref());
        let kind = self.consent_type(method == AuthMethod::AuthorizationCode, ways);
        let help = ways.and_then(|ways| match kind {
            ConsentType::Individual => ways.individual_requirements.as_deref(),
            ConsentType::Admin => ways.admin_steps.as_deref(),
            ConsentType::ExternalAdmin => None,
        });
        ConsentGuidance { consent_type: kind, help }
    }

    fn require_authorization_request(
        &mut self,
        logs_in: bool,
        endpoint: Option<&EndpointUrl>,
        profile: Option<&Profile>,
    ) -> Option<AuthorizationRequest> {
        let ways = profile.and_then(|profile| profile.consent.as_ref());
        let kind = self.consent_type(logs_in, ways);
        let authorization = self.authorization_endpoint(kind, endpoint, ways);
        let redirect = self.require_url(OptionId::RedirectURI);
        let client_id = self.text(OptionId::ClientID).or_else(|| self.text(OptionId::ClaimsIssuer));
        let client_id = client_id.or_else(|| self.require(OptionId::ClientID));
        let scope = self.text(OptionId::Scope).or_else(|| ways?.scope.clone());
        if scope.is_none() && !logs_in {
            self.missing.push(OptionId::Scope);
        }
        let external = kind == ConsentType::ExternalAdmin;
        let admin_scope = if external { self.admin_scope(ways) } else { None };
        let authorization = authorization?;
        Some(AuthorizationRequest {
            consent_type: kind,
            client_id: client_id?,
            scope: if external { Some("openid".to_owned()) } else { scope },
            admin_scope,
            redirect_uri: redirect?.as_str().to_owned(),
            exchanges_code: logs_in || external,
            allowed_issuers: [Some(&authorization), endpoint]
                .into_iter()
                .flatten()
                .map(EndpointUrl::origin)
                .collect(),
            endpoint: authorization.as_str().to_owned(),
            application_name: self.text(OptionId::ApplicationName),
            timeout: Duration::from_secs(self.number(OptionId::ConsentTimeout).unwrap_or(300).unsigned_abs()),
        })
    }

    fn consent_type(&self, logs_in: bool, ways: Option<&ConsentProfile>) -> ConsentType {
        let said = self.value(OptionId::ConsentType).map(|value| value.text.reveal()).and_then(|said| {
            [ConsentType::Individual, ConsentType::Admin, ConsentType::ExternalAdmin]
                .into_iter()
                .find(|kind| format!("{kind:?}").eq_ignore_ascii_case(said))
        });
        let usual = ways.map(|ways| ways.default_type).filter(|_| !logs_in);
        said.or(usual).unwrap_or(ConsentType::Individual)
    }

    /// AuthURI, else the profile's page for that kind of consent.
    fn authorization_endpoint(
        &mut self,
        kind: ConsentType,
        endpoint: Option<&EndpointUrl>,
        ways: Option<&ConsentProfile>,
    ) -> Option<EndpointUrl> {
        if self.value(OptionId::AuthURI).is_some() {
            return self.url(OptionId::AuthURI);
        }
        let page = ways.and_then(|ways| match kind {
            ConsentType::Admin => ways.admin_endpoint.as_deref(),
            ConsentType::ExternalAdmin if !ways.supports_external_admin => None,
            ConsentType::Individual | ConsentType::ExternalAdmin => ways.authorization_endpoint.as_deref(),
        });
        if let Some(known) =
            page.zip(endpoint).and_then(|(page, endpoint)| expand_url_template(page, endpoint))
        {
            return self.parse_url(OptionId::AuthURI, &known);
        }
        if let (ConsentType::Admin, Some(steps)) = (kind, ways.and_then(|ways| ways.admin_steps.as_deref())) {
            let text = format!("is Admin, and an administrator's consent has no URL here: {steps}");
            self.add_error(Status::Unsupported, OptionId::ConsentType, &text);
            return None;
        }
        self.missing.push(OptionId::AuthURI);
        None
    }

    fn admin_scope(&mut self, ways: Option<&ConsentProfile>) -> Option<String> {
        let given = self.text(OptionId::AdminConsentScope).or_else(|| self.text(OptionId::Scope));
        given.or_else(|| ways?.scope.clone()).or_else(|| self.require(OptionId::AdminConsentScope))
    }

    /// The exchange of the code that an administrator of another organisation brings, whose id token tells which it is.
    fn admin_consent_token_endpoint(
        &mut self,
        consent: &AuthorizationRequest,
    ) -> Option<TokenEndpointConfig> {
        let login = Login {
            redirect_uri: Some(consent.redirect_uri.clone()),
            code: None,
            refresh_token: None,
            may_prompt: false,
        };
        let (header, trust) = (self.extra_header(), self.transport_config());
        let endpoint = self.token_endpoint().map(|(url, _)| (url, EndpointMethods::Post));
        let grant = Some(Grant::AuthorizationCode(login));
        self.token_endpoint_config(AuthMethod::AuthorizationCode, grant, endpoint, None, header, trust)
    }
}

/// A URL of a profile at the token endpoint's own server and tenant.
fn expand_url_template(url: &str, endpoint: &EndpointUrl) -> Option<String> {
    let uri = endpoint.uri();
    let tenant = uri.path().split('/').nth(1).unwrap_or_default();
    let server = format!("{}://{}", uri.scheme_str()?, uri.authority()?);
    Some(url.replace("{server}", &server).replace("{tenant}", tenant))
}
