//! What the policy of the process forbids a connection string to say.

use super::{Methods, Reader};
use crate::base::error::Status;
use crate::base::file::ConfiguredPath;
use crate::base::policy::Restriction;
use crate::base::url::EndpointUrl;
use crate::options::{Kind, Name, table};

/// Endpoints that are asked with the token, and read only then.
const ASKED_LATER: [Name; 2] = [Name::RestSamplePath, Name::HealthURI];

impl Reader<'_> {
    /// What can be seen of an option by itself.
    pub(super) fn check_policy(&mut self) {
        for definition in table::TABLE.iter().filter(|definition| definition.kind == Kind::Path) {
            self.check_path(definition.id);
        }
        if self.is(Name::EnableLoginPrompt, "1") {
            self.refuse(Name::EnableLoginPrompt, "is 1", Restriction::Prompt);
        }
        // A relative one is meant from HostName.
        let host = ASKED_LATER.iter().any(|name| self.value(*name).is_some()).then_some(Name::HostName);
        for name in ASKED_LATER.into_iter().chain(host) {
            let text = self.text(name).unwrap_or_default();
            if let Some(Ok(url)) = text.split_ascii_whitespace().last().map(EndpointUrl::parse) {
                self.refuse_plain_http(name, &url);
            }
        }
    }

    /// Whether the policy lets `name` name what it names; a fault if not.
    pub(super) fn check_path(&mut self, name: Name) -> bool {
        let found = name
            .definition()
            .zip(self.value(name))
            .and_then(|(definition, value)| self.options.forbidden_path(definition, value, self.policy));
        if let Some(found) = &found
            && !self.has_fault_with(name)
        {
            self.fault(Status::InvalidOption, name, found);
        }
        found.is_none()
    }

    /// The file that `name` names; nothing, and a fault, where the policy forbids it.
    pub(super) fn location(&mut self, name: Name) -> Option<ConfiguredPath> {
        let value = self.value(name).filter(|_| self.check_path(name))?;
        Some(self.options.location(value.text.reveal(), value, self.policy))
    }

    /// A fault where the policy forbids what `name` says; `found` is what that is.
    pub(super) fn refuse(&mut self, name: Name, found: &str, what: Restriction) {
        if self.policy.forbids(what) && !self.has_fault_with(name) {
            self.fault(Status::InvalidOption, name, &format!("{found}, {}", what.rejection_text()));
        }
    }

    /// The way back from a browser is a matter of this machine alone (RFC 8252 section 7.3).
    pub(super) fn refuse_plain_http(&mut self, name: Name, url: &EndpointUrl) {
        if !url.is_https() && name != Name::RedirectURI {
            self.refuse(name, "begins with http://", Restriction::LoopbackHttp);
        }
    }

    /// `methods` as far as the policy lets them be; a GET that was written out is a fault.
    pub(super) fn allowed(&mut self, methods: Methods) -> Methods {
        if !self.policy.forbids(Restriction::Get) {
            return methods;
        }
        if methods == Methods::Get {
            self.refuse(Name::TokenURI, "says GET", Restriction::Get);
        }
        Methods::Post
    }
}
