//! Reads options by type and collects what is wrong with them, so that all of it is told at once.

use crate::base::error::{Error, Result, Status};
use crate::base::policy::Policy;
use crate::base::secret::Secret;
use crate::base::url::EndpointUrl;
use crate::key::HostSigner;
use crate::options::{HINTED, Name, Options, Value, table, wrong_value};

/// Reads options and collects what is wrong with them.
pub(super) struct Reader<'a> {
    pub(super) options: &'a Options,
    /// In the order of the table.
    values: Vec<Option<&'a Value>>,
    pub(super) policy: Policy,
    /// What signs in the place of the key that the options name.
    pub(super) signer: Option<&'a HostSigner>,
    pub(super) missing: Vec<Name>,
    pub(super) faults: Vec<Error>,
    pub(super) warnings: Vec<Error>,
}

impl<'a> Reader<'a> {
    pub(super) fn new(options: &'a Options, policy: Policy) -> Self {
        let (faults, values) = (options.faults(), options.in_force());
        Self { options, values, policy, signer: None, missing: Vec::new(), faults, warnings: Vec::new() }
    }

    pub(super) fn signing_by(self, signer: Option<&'a HostSigner>) -> Self {
        Self { signer, ..self }
    }
}

impl<'a> Reader<'a> {
    pub(super) fn value(&self, name: Name) -> Option<&'a Value> {
        self.values.get(name as usize).copied().flatten()
    }

    pub(super) fn text(&self, name: Name) -> Option<String> {
        self.value(name).map(|value| value.text.reveal().to_owned())
    }

    pub(super) fn secret(&self, name: Name) -> Option<Secret> {
        self.value(name).map(|value| value.text.clone())
    }

    pub(super) fn is(&self, name: Name, wanted: &str) -> bool {
        self.value(name).is_some_and(|value| value.text.reveal().eq_ignore_ascii_case(wanted))
    }

    pub(super) fn fault(&mut self, status: Status, name: Name, text: &str) {
        self.faults
            .push(Error::new(status, "options", format!("{} {text}", name.text())).with_option(name.text()));
    }

    pub(super) fn warn(&mut self, name: Name, text: &str) {
        self.warnings.push(
            Error::warning("01000", "options", format!("{} {text}", name.text())).with_option(name.text()),
        );
    }

    pub(super) fn need(&mut self, name: Name) -> Option<String> {
        let value = self.text(name);
        if value.is_none() {
            self.missing.push(name);
        }
        value
    }

    pub(super) fn need_secret(&mut self, name: Name) -> Option<Secret> {
        let value = self.secret(name);
        if value.is_none() {
            self.missing.push(name);
        }
        value
    }

    pub(super) fn has_fault_with(&self, name: Name) -> bool {
        self.faults.iter().any(|fault| fault.option() == Some(name.text()))
    }

    pub(super) fn check_types(&mut self) {
        for (definition, value) in table::TABLE.iter().zip(&self.values) {
            let Some(value) = value else { continue };
            if !definition.kind.accepts(value.text.reveal()) {
                self.faults.push(wrong_value(definition, value));
            }
        }
    }

    pub(super) fn url(&mut self, name: Name) -> Option<EndpointUrl> {
        let text = self.text(name)?;
        self.checked_url(name, &text)
    }

    pub(super) fn need_url(&mut self, name: Name) -> Option<EndpointUrl> {
        let text = self.need(name)?;
        self.checked_url(name, &text)
    }

    pub(super) fn checked_url(&mut self, name: Name, text: &str) -> Option<EndpointUrl> {
        match EndpointUrl::parse(text) {
            Ok(url) => {
                self.refuse_plain_http(name, &url);
                Some(url)
            }
            Err(reason) => {
                self.fault(Status::InvalidOption, name, &reason);
                None
            }
        }
    }

    pub(super) fn number(&self, name: Name) -> Option<i64> {
        self.text(name)?.parse().ok()
    }

    /// What `read` finds, or every fault as one chain.
    pub(super) fn outcome<T>(&mut self, read: impl FnOnce(&mut Self) -> Option<T>) -> Result<T> {
        let found = read(self);
        match (self.all_faults(), found) {
            (None, Some(found)) => Ok(found),
            (Some(faults), _) => Err(faults),
            (None, None) => {
                Err(Error::new(Status::Internal, "options", "the options could not be understood"))
            }
        }
    }

    fn all_faults(&mut self) -> Option<Error> {
        let mut faults = without_repeats(std::mem::take(&mut self.faults));
        let missing = without_repeats(std::mem::take(&mut self.missing));
        if let Some(first) = missing.first() {
            let might_be_there = missing.iter().any(|name| HINTED.contains(name));
            faults.extend(self.options.unread_key_file().filter(|_| might_be_there).cloned());
            let names: Vec<_> = missing.iter().map(|name| name.text()).collect();
            let verb = if names.len() == 1 { "is" } else { "are" };
            let model = if self.options.lacks_model() {
                " (RestConfigFile, which might say more, could not be read)"
            } else {
                ""
            };
            let text = format!("{} {verb} missing{}{model}", names.join(" and "), hint(*first));
            faults.push(Error::new(Status::MissingOption, "options", text).with_option(first.text()));
        }
        Error::combine(faults)
    }
}

/// Each once, where it came first: an option that two things need is read twice.
fn without_repeats<T: PartialEq>(all: Vec<T>) -> Vec<T> {
    let mut first = Vec::with_capacity(all.len());
    for one in all {
        if !first.contains(&one) {
            first.push(one);
        }
    }
    first
}

fn hint(missing: Name) -> &'static str {
    match missing {
        Name::AuthenticationMethod => {
            ", and there is no ClaimsIssuer or JWTCertStore to infer it from; set AuthenticationMethod=55 for the JWT bearer grant"
        }
        Name::ClientSecret => " (a client with a certificate, KeyStore, needs none)",
        Name::SecurityToken => ": AuthHeader names a header that has no value",
        Name::AuthHeader => ": SecurityToken is the value of a header that has no name",
        _ => "",
    }
}
