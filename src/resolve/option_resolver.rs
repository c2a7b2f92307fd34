//! Reads options by type and collects what is wrong with them, so that all of it is told at once.

use crate::base::error::{Error, Result, Status};
use crate::base::policy::Policy;
use crate::base::secret::Secret;
use crate::base::url::EndpointUrl;
use crate::key::CallbackSigner;
use crate::options::{KEY_FILE_OPTIONS, OptionId, OptionValue, Options, table, wrong_value_error};

/// Reads options and collects what is wrong with them.
pub(super) struct OptionResolver<'a> {
    pub(super) options: &'a Options,
    /// In the order of the table.
    values: Vec<Option<&'a OptionValue>>,
    pub(super) policy: Policy,
    /// What signs in the place of the key that the options name.
    pub(super) signer: Option<&'a CallbackSigner>,
    pub(super) missing: Vec<OptionId>,
    pub(super) errors: Vec<Error>,
    pub(super) warnings: Vec<Error>,
}

impl<'a> OptionResolver<'a> {
    pub(super) fn new(options: &'a Options, policy: Policy) -> Self {
        let (faults, values) = (options.errors(), options.effective_values());
        Self {
            options,
            values,
            policy,
            signer: None,
            missing: Vec::new(),
            errors: faults,
            warnings: Vec::new(),
        }
    }

    pub(super) fn with_signer(self, signer: Option<&'a CallbackSigner>) -> Self {
        Self { signer, ..self }
    }
}

impl<'a> OptionResolver<'a> {
    pub(super) fn value(&self, name: OptionId) -> Option<&'a OptionValue> {
        self.values.get(name as usize).copied().flatten()
    }

    pub(super) fn text(&self, name: OptionId) -> Option<String> {
        self.value(name).map(|value| value.text.reveal().to_owned())
    }

    pub(super) fn secret(&self, name: OptionId) -> Option<Secret> {
        self.value(name).map(|value| value.text.clone())
    }

    pub(super) fn has_value(&self, name: OptionId, wanted: &str) -> bool {
        self.value(name).is_some_and(|value| value.text.reveal().eq_ignore_ascii_case(wanted))
    }

    pub(super) fn add_error(&mut self, status: Status, name: OptionId, text: &str) {
        self.errors.push(
            Error::new(status, "options", format!("{} {text}", name.as_str())).with_option(name.as_str()),
        );
    }

    pub(super) fn add_warning(&mut self, name: OptionId, text: &str) {
        self.warnings.push(
            Error::warning("01000", "options", format!("{} {text}", name.as_str()))
                .with_option(name.as_str()),
        );
    }

    pub(super) fn require(&mut self, name: OptionId) -> Option<String> {
        let value = self.text(name);
        if value.is_none() {
            self.missing.push(name);
        }
        value
    }

    pub(super) fn require_secret(&mut self, name: OptionId) -> Option<Secret> {
        let value = self.secret(name);
        if value.is_none() {
            self.missing.push(name);
        }
        value
    }

    pub(super) fn has_error_for(&self, name: OptionId) -> bool {
        self.errors.iter().any(|fault| fault.option() == Some(name.as_str()))
    }

    pub(super) fn check_types(&mut self) {
        for (definition, value) in table::TABLE.iter().zip(&self.values) {
            let Some(value) = value else { continue };
            if !definition.option_type.accepts(value.text.reveal()) {
                self.errors.push(wrong_value_error(definition, value));
            }
        }
    }

    pub(super) fn url(&mut self, name: OptionId) -> Option<EndpointUrl> {
        let text = self.text(name)?;
        self.parse_url(name, &text)
    }

    pub(super) fn require_url(&mut self, name: OptionId) -> Option<EndpointUrl> {
        let text = self.require(name)?;
        self.parse_url(name, &text)
    }

    pub(super) fn parse_url(&mut self, name: OptionId, text: &str) -> Option<EndpointUrl> {
        match EndpointUrl::parse(text) {
            Ok(url) => {
                self.check_plain_http(name, &url);
                Some(url)
            }
            Err(reason) => {
                self.add_error(Status::InvalidOption, name, &reason);
                None
            }
        }
    }

    pub(super) fn number(&self, name: OptionId) -> Option<i64> {
        self.text(name)?.parse().ok()
    }

    /// What `read` finds, or every fault as one chain.
    pub(super) fn finish<T>(&mut self, read: impl FnOnce(&mut Self) -> Option<T>) -> Result<T> {
        let found = read(self);
        match (self.combined_error(), found) {
            (None, Some(found)) => Ok(found),
            (Some(faults), _) => Err(faults),
            (None, None) => {
                Err(Error::new(Status::Internal, "options", "the options could not be understood"))
            }
        }
    }

    fn combined_error(&mut self) -> Option<Error> {
        let mut faults = remove_duplicates(std::mem::take(&mut self.errors));
        let missing = remove_duplicates(std::mem::take(&mut self.missing));
        if let Some(first) = missing.first() {
            let might_be_there = missing.iter().any(|name| KEY_FILE_OPTIONS.contains(name));
            faults.extend(self.options.key_file_error().filter(|_| might_be_there).cloned());
            let names: Vec<_> = missing.iter().map(|name| name.as_str()).collect();
            let verb = if names.len() == 1 { "is" } else { "are" };
            let model = if self.options.has_unreadable_model() {
                " (RestConfigFile, which might say more, could not be read)"
            } else {
                ""
            };
            let text =
                format!("{} {verb} missing{}{model}", names.join(" and "), missing_option_hint(*first));
            faults.push(Error::new(Status::MissingOption, "options", text).with_option(first.as_str()));
        }
        Error::combine(faults)
    }
}

/// Each once, where it came first: an option that two things need is read twice.
fn remove_duplicates<T: PartialEq>(all: Vec<T>) -> Vec<T> {
    let mut first = Vec::with_capacity(all.len());
    for one in all {
        if !first.contains(&one) {
            first.push(one);
        }
    }
    first
}

fn missing_option_hint(missing: OptionId) -> &'static str {
    match missing {
        OptionId::AuthenticationMethod => {
            ", and there is no ClaimsIssuer or JWTCertStore to infer it from; set AuthenticationMethod=55 for the JWT bearer grant"
        }
        OptionId::ClientSecret => " (a client with a certificate, KeyStore, needs none)",
        OptionId::SecurityToken => ": AuthHeader names a header that has no value",
        OptionId::AuthHeader => ": SecurityToken is the value of a header that has no name",
        _ => "",
    }
}
