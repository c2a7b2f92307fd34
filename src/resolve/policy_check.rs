//! Checks of options against the process policy.

use super::EndpointMethods;
use super::option_resolver::OptionResolver;
use crate::base::error::OptionError;
use crate::base::file::ConfiguredPath;
use crate::base::policy::Restriction;
use crate::base::url::EndpointUrl;
use crate::net::tls::TlsVersions;
use crate::options::{OptionId, OptionType, table};

/// Endpoints for authgrant_test_connection, which are otherwise not read.
const TEST_ENDPOINTS: [OptionId; 2] = [OptionId::RestSamplePath, OptionId::HealthURI];

impl OptionResolver<'_> {
    /// Checks options that can be checked individually.
    pub(super) fn check_policy(&mut self) {
        for spec in table::TABLE.iter().filter(|spec| spec.option_type == OptionType::Path) {
            self.check_path(spec.id);
        }
        if self.has_value(OptionId::EnableLoginPrompt, "1") {
            self.check_restriction(OptionId::EnableLoginPrompt, "is 1", Restriction::Prompt);
        }
        // A relative endpoint is resolved against HostName.
        let host =
            TEST_ENDPOINTS.iter().any(|name| self.value(*name).is_some()).then_some(OptionId::HostName);
        for name in TEST_ENDPOINTS.into_iter().chain(host) {
            let text = self.text(name).unwrap_or_default();
            if let Some(Ok(url)) = text.split_ascii_whitespace().last().map(EndpointUrl::parse) {
                self.check_plain_http(name, &url);
            }
        }
    }

    /// Whether the policy allows the file or key that the option names; records an error if not.
    pub(super) fn check_path(&mut self, name: OptionId) -> bool {
        let rejection = name
            .spec()
            .zip(self.value(name))
            .and_then(|(spec, value)| self.options.path_rejection(spec, value, self.policy));
        if let Some(reason) = &rejection
            && !self.has_error_for(name)
        {
            self.add_error(OptionError::Invalid, name, reason);
        }
        rejection.is_none()
    }

    /// The file that the option names; records an error if the policy forbids it.
    pub(super) fn configured_path(&mut self, name: OptionId) -> Option<ConfiguredPath> {
        let value = self.value(name).filter(|_| self.check_path(name))?;
        Some(self.options.configured_path(value.text.reveal(), value, self.policy))
    }

    /// Records an error if the policy has `restriction`; `finding` describes the value of the option.
    pub(super) fn check_restriction(&mut self, name: OptionId, finding: &str, restriction: Restriction) {
        if self.policy.forbids(restriction) && !self.has_error_for(name) {
            self.add_error(
                OptionError::Invalid,
                name,
                &format!("{finding}, {}", restriction.rejection_text()),
            );
        }
    }

    /// Checks the restriction of http://. RedirectURI is exempt: it is used only on this machine (RFC 8252
    /// section 7.3).
    pub(super) fn check_plain_http(&mut self, name: OptionId, url: &EndpointUrl) {
        if !url.is_https() && name != OptionId::RedirectURI {
            self.check_restriction(name, "begins with http://", Restriction::LoopbackHttp);
        }
    }

    /// The subset of `methods` that the policy allows; records an error for an explicit GET.
    pub(super) fn permitted_methods(&mut self, methods: EndpointMethods) -> EndpointMethods {
        if !self.policy.forbids(Restriction::Get) {
            return methods;
        }
        if methods == EndpointMethods::Get {
            self.check_restriction(OptionId::TokenURI, "requests GET", Restriction::Get);
        }
        EndpointMethods::Post
    }

    /// The subset of `versions` that the policy allows; records an error if that is none.
    pub(super) fn permitted_tls_versions(&mut self, versions: TlsVersions) -> TlsVersions {
        if !self.policy.forbids(Restriction::Tls12) {
            return versions;
        }
        if versions == TlsVersions::Tls12 {
            let finding = "permits only TLSv1.2";
            self.check_restriction(OptionId::CryptoProtocolVersion, finding, Restriction::Tls12);
        }
        TlsVersions::Tls13ByPolicy
    }
}
