//! Typed access to options that collects errors, so that all of them are reported together.

use crate::base::error::{Error, Result, Status};
use crate::base::policy::Policy;
use crate::base::secret::Secret;
use crate::base::url::EndpointUrl;
use crate::key::CallbackSigner;
use crate::options::{KEY_FILE_OPTIONS, OptionId, OptionValue, Options, table, wrong_value_error};

/// Reads options, and collects errors, missing options and warnings.
pub(super) struct OptionResolver<'a> {
    pub(super) options: &'a Options,
    /// The effective values, in the order of the table.
    values: Vec<Option<&'a OptionValue>>,
    pub(super) policy: Policy,
    /// The signer that replaces the key in the options.
    pub(super) signer: Option<&'a CallbackSigner>,
    pub(super) missing: Vec<OptionId>,
    pub(super) errors: Vec<Error>,
    pub(super) warnings: Vec<Error>,
}

impl<'a> OptionResolver<'a> {
    pub(super) fn new(options: &'a Options, policy: Policy) -> Self {
        let (errors, values) = (options.errors(), options.effective_values());
        Self { options, values, policy, signer: None, missing: Vec::new(), errors, warnings: Vec::new() }
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

    pub(super) fn has_value(&self, name: OptionId, expected: &str) -> bool {
        self.value(name).is_some_and(|value| value.text.reveal().eq_ignore_ascii_case(expected))
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
        self.errors.iter().any(|error| error.option() == Some(name.as_str()))
    }

    pub(super) fn check_types(&mut self) {
        for (spec, value) in table::TABLE.iter().zip(&self.values) {
            let Some(value) = value else { continue };
            if !spec.option_type.accepts(value.text.reveal()) {
                self.errors.push(wrong_value_error(spec, value));
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

    /// Runs `resolve` and returns its result, or all collected errors combined into one.
    pub(super) fn finish<T>(&mut self, resolve: impl FnOnce(&mut Self) -> Option<T>) -> Result<T> {
        let resolved = resolve(self);
        match (self.combined_error(), resolved) {
            (None, Some(resolved)) => Ok(resolved),
            (Some(error), _) => Err(error),
            (None, None) => {
                Err(Error::new(Status::Internal, "options", "internal error: no configuration and no error"))
            }
        }
    }

    fn combined_error(&mut self) -> Option<Error> {
        let mut errors = remove_duplicates(std::mem::take(&mut self.errors));
        let missing = remove_duplicates(std::mem::take(&mut self.missing));
        if let Some(first) = missing.first() {
            let may_be_in_key_file = missing.iter().any(|name| KEY_FILE_OPTIONS.contains(name));
            errors.extend(self.options.key_file_error().filter(|_| may_be_in_key_file).cloned());
            let names: Vec<_> = missing.iter().map(|name| name.as_str()).collect();
            let verb = if names.len() == 1 { "is" } else { "are" };
            let model = if self.options.has_unreadable_model() {
                " (RestConfigFile could not be read and may contain it)"
            } else {
                ""
            };
            let text =
                format!("{} {verb} missing{}{model}", names.join(" and "), missing_option_hint(*first));
            errors.push(Error::new(Status::MissingOption, "options", text).with_option(first.as_str()));
        }
        Error::combine(errors)
    }
}

/// Removes duplicates and keeps the order: an option may be read several times.
fn remove_duplicates<T: PartialEq>(all: Vec<T>) -> Vec<T> {
    let mut unique = Vec::with_capacity(all.len());
    for item in all {
        if !unique.contains(&item) {
            unique.push(item);
        }
    }
    unique
}

fn missing_option_hint(missing: OptionId) -> &'static str {
    match missing {
        OptionId::AuthenticationMethod => {
            " and cannot be inferred without ClaimsIssuer or JWTCertStore; set AuthenticationMethod=55 for \
             the JWT bearer grant"
        }
        OptionId::ClientSecret => " (not needed for mutual TLS: set KeyStore)",
        OptionId::SecurityToken => ": AuthHeader is set, but SecurityToken is not",
        OptionId::AuthHeader => ": SecurityToken is set, but AuthHeader is not",
        _ => "",
    }
}
