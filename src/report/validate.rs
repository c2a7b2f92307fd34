//! Everything that is wrong with a connection, found without sending or signing anything: options, key store, key,
//! certificate, ready-made tokens, URLs.

use std::cell::RefCell;

use serde::Serialize;

use super::{CertificateReport, Problem, problems_in_chain, redact_if_url, to_json};
use crate::base::clock::Clock;
use crate::base::error::{Error, Result, Status};
use crate::base::policy::Policy;
use crate::base::url::EndpointUrl;
use crate::connection::{Connection, ConnectionView};
use crate::grants;
use crate::key::{self, ListedKey, SigningKey};
use crate::net::tls::TransportConfig;
use crate::options::{OptionId, OptionType, Options, table};
use crate::report::test_endpoint::resolve_test_endpoint;
use crate::resolve::{self, AssertionSource, KeyRequirements};
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
    #[serde(rename = "type", skip_serializing_if = "Option::is_none")]
    kind: Option<String>,
    algorithms: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    certificate: Option<CertificateReport>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<Problem>,
}

/// What is found.
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
            // A call may have met it before.
            if !self.warnings.contains(&warning) {
                self.warnings.push(warning);
            }
        }
    }

    fn has_problem_with(&self, name: OptionId) -> bool {
        self.problems.iter().any(|problem| problem.option.as_deref() == Some(name.as_str()))
    }

    /// Whether one of these secrets is not known: what is opened by it cannot be looked at.
    fn has_problem_with_any(&self, secrets: &[OptionId]) -> bool {
        secrets.iter().any(|name| self.has_problem_with(*name))
    }

    fn add_option_error(&mut self, status: Status, name: OptionId, text: &str) {
        let text = format!("{} {text}", name.as_str());
        self.add_error(&Error::new(status, "options", text).with_option(name.as_str()));
    }
}

/// The report of what is wrong with `connection`.
///
/// # Errors
/// [`Status::Internal`] alone: an unfavourable report is a report.
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
    let Findings { problems, warnings } = findings;
    to_json(&ValidationReport { valid: problems.is_empty(), problems, warnings, store })
}

impl Findings {
    /// Every URL, whether or not a token request needs it.
    fn check_urls(&mut self, options: &Options) {
        for definition in table::TABLE.iter().filter(|definition| definition.option_type == OptionType::Url) {
            let Some(value) = options.get(definition.id).filter(|_| !self.has_problem_with(definition.id))
            else {
                continue;
            };
            if let Err(reason) = EndpointUrl::parse(value.text.reveal()) {
                self.add_option_error(Status::InvalidOption, definition.id, &reason);
            }
        }
        self.record_error(resolve_test_endpoint(options));
    }

    /// TrustStore and KeyStore, each for itself.
    fn check_transport(&mut self, view: &ConnectionView) {
        if self.has_problem_with_any(&[
            OptionId::TrustStorePassword,
            OptionId::KeyStorePassword,
            OptionId::KeyPassword,
        ]) {
            return;
        }
        let wanted = resolve::resolve_transport(view.options());
        let only_client = TransportConfig {
            validate_certificate: false,
            client_key_source: wanted.client_key_source.clone(),
            ..TransportConfig::default()
        };
        let parts =
            [TransportConfig { client_key_source: None, ..wanted.effective().into_owned() }, only_client];
        for trust in
            parts.iter().filter(|trust| trust.trust_store.is_some() || trust.client_key_source.is_some())
        {
            self.record_error(trust.build_client_config(&view.process.key_cache));
        }
        if let Ok(warnings) =
            wanted.client_certificate_warnings(&view.process.key_cache, view.process.clock.unix_seconds())
        {
            self.add_warnings(&warnings);
        }
    }

    /// A token or an assertion that the user gave, where the method uses it.
    fn check_preset_credential(&mut self, view: &ConnectionView, clock: &dyn Clock) {
        let options = view.options();
        let given = match resolve::resolve_method(options, view.signer()).map(|(_, word)| word) {
            Some("OAuth2-AccessToken") => OptionId::AccessToken,
            Some("BearerToken") => OptionId::SecurityToken,
            Some("OAuth2-JWTClientAssertion") => return self.check_client_assertion(options, clock),
            _ => return,
        };
        let said = view.config().ok().and_then(|config| config.preset_token.expires_at);
        let end = said.or_else(|| unverified_jwt_exp(options.get(given)?.text.reveal()));
        let late = end.map(|end| clock.unix_seconds().saturating_sub(end));
        if let Some(late) = late.filter(|late| *late >= 0) {
            let text = format!("ended {late} s ago, and nothing can renew it; set another");
            self.add_option_error(Status::Expired, given, &text);
        }
    }

    fn check_client_assertion(&mut self, options: &Options, clock: &dyn Clock) {
        if self.has_problem_with_any(&[OptionId::ClientAssertion, OptionId::ClientAssertionFile]) {
            return;
        }
        let given =
            options.get(OptionId::ClientAssertion).map(|given| AssertionSource::Literal(given.text.clone()));
        let file = options.get(OptionId::ClientAssertionFile);
        let guarded = options.get(OptionId::KeyFileCheck).is_some_and(|word| word.text.reveal() == "1");
        let file = file.map(|file| AssertionSource::File {
            file: options.configured_path(file.text.reveal(), file, Policy::current()),
            require_private_file: guarded,
        });
        for source in given.into_iter().chain(file) {
            let warn = RefCell::new(Vec::new());
            self.record_error(grants::load_presigned_assertion(&source, clock, &|warning| {
                warn.borrow_mut().push(warning)
            }));
            self.add_warnings(&warn.into_inner());
        }
    }

    /// The store with its keys. What is wrong with it is a problem if the method signs, as far as that is known.
    fn check_key_store(&mut self, view: &ConnectionView) -> Option<KeyStoreReport> {
        if self.has_problem_with_any(&[
            OptionId::JWTPrivateKey,
            OptionId::JWTSecret,
            OptionId::JWTCertPassword,
            OptionId::JWTCertKeyPassword,
        ]) {
            return None;
        }
        let by_config = view.config().map(grants::assertion_config);
        let KeyRequirements { source, header } = match by_config {
            Ok(Some(signing)) => {
                KeyRequirements { source: signing.key.clone(), header: signing.header.clone() }
            }
            _ => resolve::resolve_key_requirements(view.options(), view.signer())?,
        };
        let listing = key::list(&source);
        if !matches!(by_config, Ok(None)) {
            self.check_signing_key(
                view,
                &KeyRequirements { source: source.clone(), header },
                listing.as_ref().err(),
            );
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

    /// Whether the key that is asked for can do what is asked of it.
    fn check_signing_key(
        &mut self,
        view: &ConnectionView,
        wanted: &KeyRequirements,
        unopened: Option<&Error>,
    ) {
        let KeyRequirements { source, header } = wanted;
        if let Some(error) = unopened {
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
        kind: key.map(SigningKey::type_and_size).ok(),
        algorithms: key
            .map(SigningKey::algorithms)
            .unwrap_or_default()
            .iter()
            .map(|one| format!("{one:?}"))
            .collect(),
        certificate: key.ok().and_then(SigningKey::certificate_info).cloned().map(CertificateReport::from),
        error: key.err().map(Problem::from),
    }
}
