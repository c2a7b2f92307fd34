//! How a person comes to consent or to log in: the parts of the URL that they open, and what is done with the code.

use std::time::Duration;

use super::method::Method;
use super::{Exchange, Flow, Grant, Login, Methods, Reader};
use crate::base::error::{Error, Result, Status};
use crate::base::policy::Policy;
use crate::base::url::EndpointUrl;
use crate::key::HostSigner;
use crate::options::{Name, Options};
use crate::provider::{ConsentProfile, ConsentType, Profile};

/// The parts of a consent URL.
#[derive(Clone, Debug)]
pub struct Consent {
    /// Who consents.
    pub kind: ConsentType,
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
    pub redeems: bool,
    /// Where an `iss` that comes back may be at home (RFC 9207): the servers that are asked, as `https://host:port`.
    pub issuers: Vec<String>,
    /// ApplicationName, for the page that the person sees.
    pub application: Option<String>,
    /// How long the person has.
    pub timeout: Duration,
}

/// How consent is given, for whoever is told that it is missing.
#[derive(Clone, Copy, Debug)]
pub struct ConsentWay {
    /// By whom.
    pub kind: ConsentType,
    /// What it takes beside a URL, or instead of one.
    pub help: Option<&'static str>,
}

/// A person's way to consent or to log in, and what is done with the code that it brings.
#[derive(Debug)]
pub struct Authorization {
    /// The way.
    pub consent: Consent,
    /// Where the code is exchanged; nothing where it is thrown away.
    pub exchange: Option<Box<Exchange>>,
}

/// Understands of `options` what a consent URL is made of, and nothing else, under the policy of the process.
///
/// # Errors
/// Every fault as one chain; [`Status::Unsupported`] for a consent that has no URL.
pub fn resolve_consent(options: &Options, signer: Option<&HostSigner>) -> Result<Consent> {
    Reader::new(options, Policy::current()).signing_by(signer).outcome(Reader::url_parts)
}

/// Understands of `options` what a person's consent or login takes, under the policy of the process.
///
/// # Errors
/// Those of [`resolve_consent`], and what the exchange of the code lacks.
pub fn resolve_authorization(options: &Options, signer: Option<&HostSigner>) -> Result<Authorization> {
    Reader::new(options, Policy::current()).signing_by(signer).outcome(Reader::authorization)
}

impl Reader<'_> {
    fn url_parts(&mut self) -> Option<Consent> {
        let endpoint = self.endpoint().map(|(url, _)| url);
        let profile = self.profile(endpoint.as_ref());
        let logs_in = self.logs_in();
        self.whole_consent(logs_in, endpoint.as_ref(), profile)
    }

    fn authorization(&mut self) -> Option<Authorization> {
        let consent = self.url_parts();
        let exchange = if self.logs_in() {
            // As the flow has it, so that the login's token is the flow's own.
            match self.config()?.flow {
                Flow::Exchange(exchange) => Some(exchange),
                _ => None,
            }
        } else if consent.as_ref()?.redeems {
            Some(Box::new(self.admin_exchange(consent.as_ref()?)?))
        } else {
            None
        };
        Some(Authorization { consent: consent?, exchange })
    }

    /// Whether the connection's tokens come from a person's login.
    fn logs_in(&mut self) -> bool {
        // What is missing or wrong is of interest where a token is wanted; here a consent URL may be enough.
        let (missing, faults, warnings) = (self.missing.len(), self.faults.len(), self.warnings.len());
        let method = self.method();
        self.missing.truncate(missing);
        self.faults.truncate(faults);
        self.warnings.truncate(warnings);
        method == Some(Method::AuthorizationCode)
    }

    /// The parts of a consent URL; what is missing of them is no fault of a token request.
    pub(super) fn consent(
        &mut self,
        method: Method,
        endpoint: Option<&EndpointUrl>,
        profile: Option<&Profile>,
    ) -> Option<Consent> {
        let (missing, before) = (self.missing.clone(), self.faults.len());
        let logs_in = method == Method::AuthorizationCode;
        let consent = self.whole_consent(logs_in, endpoint, profile);
        if !(logs_in && self.is(Name::EnableLoginPrompt, "1")) {
            self.missing = missing;
            let of_consent = self.faults.split_off(before.min(self.faults.len()));
            let wrong = |fault: &Error| fault.status() != Status::Unsupported;
            self.faults.extend(of_consent.into_iter().filter(wrong));
        }
        consent
    }

    pub(super) fn consent_way(&self, method: Method, profile: Option<&'static Profile>) -> ConsentWay {
        let ways = profile.and_then(|profile| profile.consent.as_ref());
        let kind = self.consent_type(method == Method::AuthorizationCode, ways);
        let help = ways.and_then(|ways| match kind {
            ConsentType::Individual => ways.individual_requirements.as_deref(),
            ConsentType::Admin => ways.admin_steps.as_deref(),
            ConsentType::ExternalAdmin => None,
        });
        ConsentWay { kind, help }
    }

    fn whole_consent(
        &mut self,
        logs_in: bool,
        endpoint: Option<&EndpointUrl>,
        profile: Option<&Profile>,
    ) -> Option<Consent> {
        let ways = profile.and_then(|profile| profile.consent.as_ref());
        let kind = self.consent_type(logs_in, ways);
        let authorization = self.authorization_endpoint(kind, endpoint, ways);
        let redirect = self.need_url(Name::RedirectURI);
        let client_id = self.text(Name::ClientID).or_else(|| self.text(Name::ClaimsIssuer));
        let client_id = client_id.or_else(|| self.need(Name::ClientID));
        let scope = self.text(Name::Scope).or_else(|| ways?.scope.clone());
        if scope.is_none() && !logs_in {
            self.missing.push(Name::Scope);
        }
        let external = kind == ConsentType::ExternalAdmin;
        let admin_scope = if external { self.admin_scope(ways) } else { None };
        let authorization = authorization?;
        Some(Consent {
            kind,
            client_id: client_id?,
            scope: if external { Some("openid".to_owned()) } else { scope },
            admin_scope,
            redirect_uri: redirect?.as_str().to_owned(),
            redeems: logs_in || external,
            issuers: [Some(&authorization), endpoint]
                .into_iter()
                .flatten()
                .map(EndpointUrl::origin)
                .collect(),
            endpoint: authorization.as_str().to_owned(),
            application: self.text(Name::ApplicationName),
            timeout: Duration::from_secs(self.number(Name::ConsentTimeout).unwrap_or(300).unsigned_abs()),
        })
    }

    fn consent_type(&self, logs_in: bool, ways: Option<&ConsentProfile>) -> ConsentType {
        let said = self.value(Name::ConsentType).map(|value| value.text.reveal()).and_then(|said| {
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
        if self.value(Name::AuthURI).is_some() {
            return self.url(Name::AuthURI);
        }
        let page = ways.and_then(|ways| match kind {
            ConsentType::Admin => ways.admin_endpoint.as_deref(),
            ConsentType::ExternalAdmin if !ways.supports_external_admin => None,
            ConsentType::Individual | ConsentType::ExternalAdmin => ways.authorization_endpoint.as_deref(),
        });
        if let Some(known) = page.zip(endpoint).and_then(|(page, endpoint)| at(page, endpoint)) {
            return self.checked_url(Name::AuthURI, &known);
        }
        if let (ConsentType::Admin, Some(steps)) = (kind, ways.and_then(|ways| ways.admin_steps.as_deref())) {
            let text = format!("is Admin, and an administrator's consent has no URL here: {steps}");
            self.fault(Status::Unsupported, Name::ConsentType, &text);
            return None;
        }
        self.missing.push(Name::AuthURI);
        None
    }

    fn admin_scope(&mut self, ways: Option<&ConsentProfile>) -> Option<String> {
        let given = self.text(Name::AdminConsentScope).or_else(|| self.text(Name::Scope));
        given.or_else(|| ways?.scope.clone()).or_else(|| self.need(Name::AdminConsentScope))
    }

    /// The exchange of the code that an administrator of another organisation brings, whose id token tells which it is.
    fn admin_exchange(&mut self, consent: &Consent) -> Option<Exchange> {
        let login = Login {
            redirect_uri: Some(consent.redirect_uri.clone()),
            code: None,
            refresh_token: None,
            prompts: false,
        };
        let (header, trust) = (self.header(), self.trust());
        let endpoint = self.endpoint().map(|(url, _)| (url, Methods::Post));
        let grant = Some(Grant::AuthorizationCode(login));
        self.exchange(Method::AuthorizationCode, grant, endpoint, None, header, trust)
    }
}

/// A URL of a profile at the token endpoint's own server and tenant.
fn at(url: &str, endpoint: &EndpointUrl) -> Option<String> {
    let uri = endpoint.uri();
    let tenant = uri.path().split('/').nth(1).unwrap_or_default();
    let server = format!("{}://{}", uri.scheme_str()?, uri.authority()?);
    Some(url.replace("{server}", &server).replace("{tenant}", tenant))
}
