//! What the policy of the process forbids a connection string to say.

use super::{EndpointMethods, OptionResolver};
use crate::base::error::Status;
use crate::base::file::ConfiguredPath;
use crate::base::policy::Restriction;
use crate::base::url::EndpointUrl;
use crate::options::{OptionId, OptionType, table};

/// Endpoints that are asked with the token, and read only then.
const TEST_ENDPOINTS: [OptionId; 2] = [OptionId::RestSamplePath, OptionId::HealthURI];

impl OptionResolver<'_> {
    /// What can be seen of an option by itself.
    pub(super) fn check_policy(&mut self) {
        for definition in table::TABLE.iter().filter(|definition| definition.option_type == OptionType::Path)
        {
            self.check_path(definition.id);
        }
        if self.has_value(OptionId::EnableLoginPrompt, "1") {
            self.check_restriction(OptionId::EnableLoginPrompt, "is 1", Restriction::Prompt);
        }
        // A relative one is meant from HostName.
        let host =
            TEST_ENDPOINTS.iter().any(|name| self.value(*name).is_some()).then_some(OptionId::HostName);
        for name in TEST_ENDPOINTS.into_iter().chain(host) {
            let text = self.text(name).unwrap_or_default();
            if let Some(Ok(url)) = text.split_ascii_whitespace().last().map(EndpointUrl::parse) {
                self.check_plain_http(name, &url);
            }
        }
    }

    /// Whether the policy lets `name` name what it names; a fault if not.
    pub(super) fn check_path(&mut self, name: OptionId) -> bool {
        let found = name
            .spec()
            .zip(self.value(name))
            .and_then(|(definition, value)| self.options.path_rejection(definition, value, self.policy));
        if let Some(found) = &found
            && !self.has_error_for(name)
        {
            self.add_error(Status::InvalidOption, name, found);
        }
        found.is_none()
    }

    /// The file that `name` names; nothing, and a fault, where the policy forbids it.
    pub(super) fn configured_path(&mut self, name: OptionId) -> Option<ConfiguredPath> {
        let value = self.value(name).filter(|_| self.check_path(name))?;
        Some(self.options.configured_path(value.text.reveal(), value, self.policy))
    }

    /// A fault where the policy forbids what `name` says; `found` is what that is.
    pub(super) fn check_restriction(&mut self, name: OptionId, found: &str, what: Restriction) {
        if self.policy.forbids(what) && !self.has_error_for(name) {
            self.add_error(Status::InvalidOption, name, &format!("{found}, {}", what.rejection_text()));
        }
    }

    /// The way back from a browser is a matter of this machine alone (RFC 8252 section 7.3).
    pub(super) fn check_plain_http(&mut self, name: OptionId, url: &EndpointUrl) {
        if !url.is_https() && name != OptionId::RedirectURI {
            self.check_restriction(name, "begins with http://", Restriction::LoopbackHttp);
        }
    }

    /// `methods` as far as the policy lets them be; a GET that was written out is a fault.
    pub(super) fn permitted_methods(&mut self, methods: EndpointMethods) -> EndpointMethods {
        if !self.policy.forbids(Restriction::Get) {
            return methods;
        }
        if methods == EndpointMethods::Get {
            self.check_restriction(OptionId::TokenURI, "says GET", Restriction::Get);
        }
        EndpointMethods::Post
    }
}
