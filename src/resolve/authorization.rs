//! Authorization request (RFC 6749 section 4.1.1): components of the URL for consent or login, and the token
//! request for the code.

use std::time::Duration;

use super::option_resolver::OptionResolver;
use super::problems::Problems;
use super::{EndpointMethods, Grant, Login, LoginSubject, TokenEndpointConfig};
use crate::base::error::{Error, ErrorKind};
use crate::base::url::EndpointUrl;
use crate::net::tls::TransportConfig;
use crate::options::{AuthMethod, OptionId, table};
use crate::provider::{ConsentProfile, ConsentType, Profile};

/// The components of a consent URL.
#[derive(Clone, Debug)]
pub struct AuthorizationRequest {
    /// Who gives consent.
    pub consent_type: ConsentType,
    /// The authorization endpoint, or the admin-consent page.
    pub endpoint: String,
    /// client_id.
    pub client_id: String,
    /// scope; optional for a login.
    pub scope: Option<String>,
    /// admin_consent_scope.
    pub admin_scope: Option<String>,
    /// redirect_uri. With port 0, a login replaces the port by that of its listener (RFC 8252 section 7.3).
    pub redirect_uri: String,
    /// Whether the port of `redirect_uri` is 0, so that there is no consent URL to show or share.
    pub has_ephemeral_port: bool,
    /// Whether the returned code is exchanged for a token, so that PKCE (RFC 7636) is used.
    pub exchanges_code: bool,
    /// The allowed origins of a returned `iss` (RFC 9207): those of the authorization and the token endpoint,
    /// as `https://host:port`.
    pub allowed_issuers: Vec<String>,
    /// ApplicationName, for the page that the user sees.
    pub application_name: Option<String>,
    /// The time limit for the user.
    pub timeout: Duration,
}

/// How consent is given, for the error that consent is missing.
#[derive(Clone, Copy, Debug)]
pub struct ConsentGuidance {
    /// Who gives consent.
    pub consent_type: ConsentType,
    /// The steps that are required in addition to a URL or instead of one.
    pub help: Option<&'static str>,
    /// Whether the consent of each user is a way if an administrator cannot give it.
    pub individual_is_possible: bool,
}

/// What to do if an organization lacks the prerequisites for the consent of an administrator.
pub(crate) const INDIVIDUAL_CONSENT_ADVICE: &str =
    "an organization without the prerequisites sets ConsentType=Individual, and each user consents";

/// The settings of an interactive consent or login.
#[derive(Debug)]
pub struct InteractiveAuthorization<'a> {
    /// The authorization request.
    pub request: &'a AuthorizationRequest,
    /// The token request that exchanges the code; `None` if the code is discarded.
    pub token_endpoint: Option<&'a TokenEndpointConfig>,
}

impl OptionResolver<'_> {
    /// Adds the problems of the authorization request to those of the connection: all if it logs in by
    /// itself, otherwise only invalid options, since a token request needs no consent URL. RedirectURI may
    /// then be that of another use of the string, such as a web application's.
    pub(super) fn accept_authorization_problems(&mut self, is_login: bool, problems: &Problems) {
        if is_login && self.has_value(OptionId::EnableLoginPrompt, "1") {
            self.problems.append(problems);
            return;
        }
        let is_used = |error: &&Error| is_login || !error.concerns(OptionId::RedirectURI.as_str());
        let is_invalid = |error: &&Error| !matches!(error.kind(), ErrorKind::Unsupported) && is_used(error);
        self.problems.errors.extend(problems.errors.iter().filter(is_invalid).cloned());
        self.problems.warnings.extend_from_slice(&problems.warnings);
    }

    pub(super) fn consent_guidance(
        &self,
        method: AuthMethod,
        profile: Option<&'static Profile>,
    ) -> ConsentGuidance {
        let consent_profile = profile.and_then(|profile| profile.consent.as_ref());
        let consent_type = self.consent_type(method == AuthMethod::AuthorizationCode, consent_profile);
        let help = consent_profile.and_then(|consent_profile| match consent_type {
            ConsentType::Individual => consent_profile.individual_requirements.as_deref(),
            ConsentType::Admin => consent_profile.admin_steps.as_deref(),
            ConsentType::ExternalAdmin => None,
        });
        let has_individual = consent_profile.is_some_and(|profile| profile.authorization_endpoint.is_some());
        let individual_is_possible = has_individual && consent_type != ConsentType::Individual;
        ConsentGuidance { consent_type, help, individual_is_possible }
    }

    /// The components of the consent URL; records missing options.
    pub(super) fn authorization_request(
        &mut self,
        is_login: bool,
        endpoint: Option<&EndpointUrl>,
        profile: Option<&Profile>,
    ) -> Option<AuthorizationRequest> {
        let consent_profile = profile.and_then(|profile| profile.consent.as_ref());
        let consent_type = self.consent_type(is_login, consent_profile);
        let authorization_endpoint = self.authorization_endpoint(consent_type, endpoint, consent_profile);
        let redirect_uri = self.require_redirect_uri();
        let client_id = self.text(OptionId::ClientID).or_else(|| self.text(OptionId::ClaimsIssuer));
        let client_id = client_id.or_else(|| self.require(OptionId::ClientID));
        let scope = self.consent_scope(endpoint, profile);
        if scope.is_none() && !is_login {
            self.problems.missing.push(OptionId::Scope);
        }
        let is_external = consent_type == ConsentType::ExternalAdmin;
        let admin_scope = if is_external { self.admin_scope(endpoint, profile) } else { None };
        let (authorization_endpoint, redirect_uri) = (authorization_endpoint?, redirect_uri?);
        Some(AuthorizationRequest {
            consent_type,
            client_id: client_id?,
            scope: if is_external { Some("openid".to_owned()) } else { scope },
            admin_scope,
            has_ephemeral_port: redirect_uri.port() == 0,
            redirect_uri: redirect_uri.as_str().to_owned(),
            exchanges_code: is_login || is_external,
            allowed_issuers: [Some(&authorization_endpoint), endpoint]
                .into_iter()
                .flatten()
                .map(EndpointUrl::origin)
                .collect(),
            endpoint: authorization_endpoint.as_str().to_owned(),
            application_name: self.text(OptionId::ApplicationName),
            timeout: Duration::from_secs(self.number(OptionId::ConsentTimeout).unwrap_or(300).unsigned_abs()),
        })
    }

    fn consent_type(&self, is_login: bool, consent_profile: Option<&ConsentProfile>) -> ConsentType {
        let configured =
            self.value(OptionId::ConsentType).map(|value| value.text.reveal()).and_then(|text| {
                [ConsentType::Individual, ConsentType::Admin, ConsentType::ExternalAdmin]
                    .into_iter()
                    .find(|consent_type| table::is_word(text, &format!("{consent_type:?}")))
            });
        let default =
            consent_profile.map(|consent_profile| consent_profile.default_type).filter(|_| !is_login);
        configured.or(default).unwrap_or(ConsentType::Individual)
    }

    /// AuthURI, else the page of the profile for that consent type.
    fn authorization_endpoint(
        &mut self,
        consent_type: ConsentType,
        endpoint: Option<&EndpointUrl>,
        consent_profile: Option<&ConsentProfile>,
    ) -> Option<EndpointUrl> {
        if self.value(OptionId::AuthURI).is_some() {
            return self.url(OptionId::AuthURI);
        }
        let page = consent_profile.and_then(|consent_profile| match consent_type {
            ConsentType::Admin => consent_profile.admin_endpoint.as_deref(),
            ConsentType::ExternalAdmin if !consent_profile.supports_external_admin => None,
            ConsentType::Individual | ConsentType::ExternalAdmin => {
                consent_profile.authorization_endpoint.as_deref()
            }
        });
        if let Some(url) = page.zip(endpoint).and_then(|(page, endpoint)| expand_url_template(page, endpoint))
        {
            return self.parse_url(OptionId::AuthURI, &url);
        }
        if let (ConsentType::Admin, Some(steps)) =
            (consent_type, consent_profile.and_then(|consent_profile| consent_profile.admin_steps.as_deref()))
        {
            let advice = consent_profile.and_then(|consent_profile| {
                consent_profile.authorization_endpoint.as_ref().map(|_| INDIVIDUAL_CONSENT_ADVICE)
            });
            let advice = advice.map_or(String::new(), |advice| format!("; {advice}"));
            let text = format!("is Admin, but the provider has no admin-consent URL: {steps}{advice}");
            self.add_error(ErrorKind::Unsupported, OptionId::ConsentType, &text);
            return None;
        }
        self.problems.missing.push(OptionId::AuthURI);
        None
    }

    /// The scope of the consent URL: the configured one, else that of token requests at this host, else that of
    /// the consent profile.
    fn consent_scope(&self, endpoint: Option<&EndpointUrl>, profile: Option<&Profile>) -> Option<String> {
        let configured = self.scopes(OptionId::Scope);
        configured.or_else(|| {
            let consent_profile = profile?.consent.as_ref()?;
            let scope = self.scope_or_default(endpoint, profile).or_else(|| consent_profile.scope.clone());
            scope.filter(|_| consent_profile.scope.is_some())
        })
    }

    fn admin_scope(&mut self, endpoint: Option<&EndpointUrl>, profile: Option<&Profile>) -> Option<String> {
        let configured = self.scopes(OptionId::AdminConsentScope);
        configured
            .or_else(|| self.consent_scope(endpoint, profile))
            .or_else(|| self.require(OptionId::AdminConsentScope))
    }

    /// The token request for the code from an administrator of another organization; its ID token identifies
    /// the organization.
    pub(super) fn admin_code_exchange(
        &mut self,
        request: &AuthorizationRequest,
        endpoint: Option<&(EndpointUrl, EndpointMethods)>,
        transport: &TransportConfig,
    ) -> Option<TokenEndpointConfig> {
        let login = Login {
            subject: LoginSubject::new(None, Some(request)),
            redirect_uri: Some(request.redirect_uri.clone()),
            code: None,
            refresh_token: None,
            may_prompt: false,
        };
        let header = self.extra_header();
        let endpoint = endpoint.map(|(url, _)| (url.clone(), EndpointMethods::Post));
        let grant = Some(Grant::AuthorizationCode(login));
        self.token_endpoint_config(
            AuthMethod::AuthorizationCode,
            grant,
            endpoint,
            None,
            header,
            transport.clone(),
        )
    }
}

/// Expands `{server}`, `{tenant}` and `{parent}` in a URL of a profile by those of the token endpoint.
fn expand_url_template(template: &str, endpoint: &EndpointUrl) -> Option<String> {
    let uri = endpoint.uri();
    let tenant = uri.path().split('/').nth(1).unwrap_or_default();
    let server = format!("{}://{}", uri.scheme_str()?, uri.authority()?);
    let (folder, _) = uri.path().rsplit_once('/').unwrap_or_default();
    let parent = format!("{server}{folder}");
    let url = template.replace("{server}", &server).replace("{tenant}", tenant);
    Some(url.replace("{parent}", &parent))
}

#[cfg(test)]
mod tests {
    use super::super::{Resolution, resolve};
    use super::*;
    use crate::base::error::Status;
    use crate::options::Options;

    fn resolution(text: &str) -> Resolution {
        let base = "ClientID=c;ClaimsIssuer=c;ClaimsSubject=u;JWTCertStore=k;RedirectURI=http://localhost:3000;\
                    TokenURI=POST https://a.example/tenant/oauth2/token";
        resolve(&Options::parse(&format!("{base};{text}")).unwrap())
    }

    #[test]
    fn consent_guidance_follows_provider_unless_login() {
        for (text, expected) in [
            ("am=55", (ConsentType::Individual, false)),
            ("am=55;Provider=docusign", (ConsentType::Individual, false)),
            ("am=55;Provider=salesforce", (ConsentType::Admin, false)),
            ("am=55;Provider=entra", (ConsentType::Admin, true)),
            ("am=51;Provider=entra", (ConsentType::Individual, false)),
        ] {
            let guidance = resolution(text).config.unwrap().consent_guidance;
            assert_eq!((guidance.consent_type, guidance.individual_is_possible), expected, "{text}");
        }
    }

    #[test]
    fn consent_url_follows_provider_and_consent_type() {
        for (provider, consent_type, expected) in [
            ("docusign", "Individual", Ok("https://a.example/oauth/auth")),
            ("docusign", "ExternalAdmin", Ok("https://a.example/oauth/auth")),
            ("entra", "Individual", Ok("https://a.example/tenant/oauth2/authorize")),
            ("entra", "Admin", Ok("https://a.example/tenant/v2.0/adminconsent")),
            ("entra", "ExternalAdmin", Err((Status::MissingOption, "AuthURI"))),
            ("salesforce", "Individual", Err((Status::MissingOption, "AuthURI"))),
            ("salesforce", "Admin", Err((Status::Unsupported, "ConsentType"))),
        ] {
            let text = format!("am=55;Scope=a;Provider={provider};ConsentType={consent_type}");
            let resolution = resolution(&text);
            let url = match resolution.authorization_request() {
                Ok(request) => Ok(request.endpoint.as_str()),
                Err(error) => Err((error.status(), error.option().unwrap().to_owned())),
            };
            assert_eq!(url, expected.map_err(|(status, option)| (status, option.to_owned())), "{text}");
        }
    }

    #[test]
    fn consent_code_is_exchanged_for_login_or_external_admin() {
        for (text, is_exchanged) in
            [("am=55", false), ("am=55;ConsentType=ExternalAdmin", true), ("am=51", true)]
        {
            let resolution = resolution(&format!("{text};Provider=docusign"));
            let authorization =
                resolution.interactive_authorization().unwrap_or_else(|error| panic!("{text}: {error}"));
            assert_eq!(authorization.request.exchanges_code, is_exchanged, "{text}");
            assert_eq!(authorization.token_endpoint.is_some(), is_exchanged, "{text}");
        }
    }
}
