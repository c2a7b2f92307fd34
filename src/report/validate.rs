//! Validation report: all problems of a connection that can be found without sending or signing anything.
//!
//! Checks options, URLs, key store, signing key, certificates and preset tokens and assertions.

use std::cell::RefCell;

use serde::Serialize;

use super::{CertificateReport, Problem, problems_in_chain, redact_if_url, to_json, value_check};
use crate::base::clock::Clock;
use crate::base::error::{Error, ErrorKind, OAuthReason, OptionError, Result, WarningKind};
use crate::base::url::EndpointUrl;
use crate::connection::{Connection, ConnectionView};
use crate::grants;
use crate::key::{self, ListedKey, SigningKey};
use crate::net::tls::TransportConfig;
use crate::options::{AuthMethod, OptionId, OptionType, Options, table};
use crate::report::test_endpoint::resolve_test_endpoint;
use crate::resolve::{KeyRequirements, PresignedAssertion};
use crate::token::unverified_jwt_exp;

#[derive(Serialize)]
struct ValidationReport {
    valid: bool,
    problems: Vec<Problem>,
    warnings: Vec<Problem>,
    #[serde(skip_serializing_if = "Option::is_none")]
    store: Option<KeyStoreReport>,
}

#[derive(Serialize)]
struct KeyStoreReport {
    option: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    path: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    kind: Option<&'static str>,
    keys: Vec<StoredKeyReport>,
}

#[derive(Serialize)]
struct StoredKeyReport {
    alias: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    certificate_alias: Option<String>,
    #[serde(rename = "type", skip_serializing_if = "Option::is_none")]
    kind: Option<String>,
    algorithms: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    certificate: Option<CertificateReport>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<Problem>,
}

/// The problems and warnings found so far.
#[derive(Default)]
struct Findings {
    problems: Vec<Problem>,
    warnings: Vec<Problem>,
}

impl Findings {
    fn add_error(&mut self, error: &Error) {
        for problem in problems_in_chain(error) {
            if !self.problems.iter().any(|known| known.message == problem.message) {
                self.problems.push(problem);
            }
        }
    }

    fn record_error<T>(&mut self, outcome: Result<T>) -> Option<T> {
        outcome.map_err(|error| self.add_error(&error)).ok()
    }

    fn add_warnings(&mut self, warnings: &[Error]) {
        for warning in warnings.iter().map(Problem::from) {
            // An earlier call may have added it.
            if !self.warnings.contains(&warning) {
                self.warnings.push(warning);
            }
        }
    }

    fn has_problem_with(&self, name: OptionId) -> bool {
        self.problems.iter().any(|problem| problem.option.as_deref() == Some(name.as_str()))
    }

    /// Whether one of these secrets has a problem, so that what it decrypts cannot be checked.
    fn has_problem_with_any(&self, secrets: &[OptionId]) -> bool {
        secrets.iter().any(|name| self.has_problem_with(*name))
    }

    fn add_option_error(&mut self, kind: impl Into<ErrorKind>, name: OptionId, text: &str) {
        let text = format!("{} {text}", name.as_str());
        self.add_error(&Error::new(kind, "options", text).with_option(name.as_str()));
    }
}

/// The validation report of `connection`.
///
/// # Errors
/// Only [`ErrorKind::Internal`]: problems of the connection are in the report.
pub fn validate(connection: &Connection) -> Result<String> {
    let view = connection.view();
    let mut findings = Findings::default();
    if let Err(error) = view.config() {
        findings.add_error(&error);
    }
    let clock = view.process.clock.as_ref();
    findings.check_urls(view.options());
    findings.check_transport(&view);
    findings.check_preset_credential(&view, clock);
    let store = findings.check_key_store(&view);
    findings.add_warnings(&connection.warnings());
    findings.add_warnings(&value_check::check_values(view.options()));
    let Findings { problems, warnings } = findings;
    to_json(&ValidationReport { valid: problems.is_empty(), problems, warnings, store })
}

/// The validation report of a connection string, also of one that cannot be opened: then the reasons are its
/// problems.
///
/// # Errors
/// Only [`ErrorKind::Internal`].
pub fn validate_string(text: &str) -> Result<String> {
    match Connection::open(text) {
        Ok(connection) => validate(&connection),
        Err(error) if *error.kind() == ErrorKind::Internal => Err(error),
        Err(error) => {
            let mut findings = Findings::default();
            findings.add_error(&error);
            let Findings { problems, warnings } = findings;
            to_json(&ValidationReport { valid: false, problems, warnings, store: None })
        }
    }
}

impl Findings {
    /// Checks every URL option, even if no token request uses it.
    fn check_urls(&mut self, options: &Options) {
        for spec in table::TABLE.iter().filter(|spec| spec.option_type == OptionType::Url) {
            let Some(value) = options.get(spec.id).filter(|_| !self.has_problem_with(spec.id)) else {
                continue;
            };
            let parse = match spec.id {
                OptionId::RedirectURI => EndpointUrl::parse_redirect_uri,
                _ => EndpointUrl::parse,
            };
            if let Err(reason) = parse(value.text.reveal()) {
                self.add_option_error(OptionError::Invalid, spec.id, &reason);
            }
        }
        self.check_redirect_port(options);
        self.record_error(resolve_test_endpoint(options));
    }

    /// Warns of a loopback RedirectURI without a port, at which no login can listen.
    fn check_redirect_port(&mut self, options: &Options) {
        let redirect = options.get(OptionId::RedirectURI).map(|value| value.text.reveal());
        let redirect = redirect.and_then(|text| EndpointUrl::parse_redirect_uri(text).ok());
        let has_no_port = |url: &EndpointUrl| !url.is_https() && url.uri().port_u16().is_none();
        if redirect.as_ref().is_some_and(has_no_port) {
            let text = "RedirectURI has no port; set the registered one, such as http://localhost:3000, for a login \
                        or consent in a browser";
            let warning = Error::new(WarningKind::General, "options", text).with_option("RedirectURI");
            self.add_warnings(&[warning]);
        }
    }

    /// Checks TrustStore and KeyStore separately, so that each has its own problem.
    fn check_transport(&mut self, view: &ConnectionView) {
        if self.has_problem_with_any(&[
            OptionId::TrustStorePassword,
            OptionId::KeyStorePassword,
            OptionId::KeyPassword,
        ]) {
            return;
        }
        let configured = &view.resolution().stages.transport;
        let only_client = TransportConfig {
            validate_certificate: false,
            client_key_source: configured.client_key_source.clone(),
            ..TransportConfig::default()
        };
        let parts =
            [TransportConfig { client_key_source: None, ..configured.effective().into_owned() }, only_client];
        for part in parts.iter().filter(|part| part.trust_store.is_some() || part.client_key_source.is_some())
        {
            self.record_error(part.build_client_config(&view.process.key_cache));
        }
        if let Ok(warnings) =
            configured.client_certificate_warnings(&view.process.key_cache, view.process.clock.unix_seconds())
        {
            self.add_warnings(&warnings);
        }
    }

    /// Checks the expiry of a preset token or assertion that the method uses, and a preset `exp`.
    fn check_preset_credential(&mut self, view: &ConnectionView, clock: &dyn Clock) {
        if let Some(signing) = view.config().ok().and_then(grants::assertion_config) {
            self.record_error(grants::check_not_expired(signing, clock.unix_seconds()));
        }
        let stages = &view.resolution().stages;
        let name = match stages.method.map(|method| method.method) {
            Some(AuthMethod::AccessToken) => OptionId::AccessToken,
            Some(AuthMethod::BearerToken) => OptionId::SecurityToken,
            Some(AuthMethod::ClientAssertion) => {
                return self.check_client_assertion(stages.presigned_assertion.as_ref(), clock);
            }
            _ => return,
        };
        let Some(token) = view.options().get(name) else { return };
        let configured = view.config().ok().and_then(|config| config.preset_token.expires_at);
        let expires_at = configured.or_else(|| unverified_jwt_exp(token.text.reveal()));
        let age = expires_at.map(|expires_at| clock.unix_seconds().saturating_sub(expires_at));
        if let Some(age) = age.filter(|age| *age >= 0) {
            let text = format!("expired {age} s ago and cannot be renewed; set a new one");
            self.add_option_error(OAuthReason::Expired, name, &text);
        }
    }

    fn check_client_assertion(&mut self, presigned: Option<&PresignedAssertion>, clock: &dyn Clock) {
        if self.has_problem_with_any(&[OptionId::ClientAssertion, OptionId::ClientAssertionFile]) {
            return;
        }
        let Some(presigned) = presigned else { return };
        let warnings = RefCell::new(Vec::new());
        self.record_error(grants::load_presigned_assertion(presigned, clock, &|warning| {
            warnings.borrow_mut().push(warning)
        }));
        self.add_warnings(&warnings.into_inner());
    }

    /// Reports the key store with its keys. Its errors are problems unless the method is known not to sign.
    fn check_key_store(&mut self, view: &ConnectionView) -> Option<KeyStoreReport> {
        if self.has_problem_with_any(&[
            OptionId::JWTPrivateKey,
            OptionId::JWTSecret,
            OptionId::JWTCertPassword,
            OptionId::JWTCertKeyPassword,
        ]) {
            return None;
        }
        let requirements = view.resolution().stages.key.as_ref()?;
        let source = &requirements.source;
        let listing = key::list(source);
        let signs = view.config().map_or(true, |config| grants::assertion_config(config).is_some());
        if signs {
            self.check_signing_key(view, requirements, listing.as_ref().err());
        }
        let (kind, keys) = match listing {
            Ok(None) => return None,
            Ok(Some(listing)) => {
                (Some(listing.format), listing.keys.into_iter().map(describe_stored_key).collect())
            }
            Err(_) => (None, Vec::new()),
        };
        let path = source.as_configured().map(redact_if_url);
        let option = if path.is_some() { OptionId::JWTCertStore } else { OptionId::JWTPrivateKey };
        Some(KeyStoreReport { option: option.as_str(), path, kind, keys })
    }

    /// Checks that the selected key opens and supports the required algorithm and headers.
    fn check_signing_key(
        &mut self,
        view: &ConnectionView,
        requirements: &KeyRequirements,
        store_error: Option<&Error>,
    ) {
        let KeyRequirements { source, header } = requirements;
        if let Some(error) = store_error {
            self.add_error(error);
            return;
        }
        let Some(key) = self.record_error(view.process.key_cache.get_or_open(source)) else { return };
        self.record_error(key.select_algorithm(header.algorithm));
        for thumbprint in &header.cert_headers {
            self.record_error(key.certificate_header(*thumbprint));
        }
        self.add_warnings(&key.warnings(view.process.clock.unix_seconds()));
    }
}

fn describe_stored_key(listed: ListedKey) -> StoredKeyReport {
    let key = listed.key.as_ref();
    StoredKeyReport {
        alias: listed.alias,
        certificate_alias: listed.certificate_alias,
        kind: key.map(SigningKey::type_and_size).ok(),
        algorithms: key
            .map(SigningKey::algorithms)
            .unwrap_or_default()
            .iter()
            .map(|algorithm| format!("{algorithm:?}"))
            .collect(),
        certificate: key.ok().and_then(SigningKey::certificate_info).cloned().map(CertificateReport::from),
        error: key.err().map(Problem::from),
    }
}
