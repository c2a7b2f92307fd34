//! Typed access to options that collects errors, so that all of them are reported together.

use super::problems::{Part, Problems};
use crate::base::error::{Error, ErrorKind, OptionError, WarningKind};
use crate::base::policy::Policy;
use crate::base::secret::Secret;
use crate::base::url::EndpointUrl;
use crate::key::CallbackSigner;
use crate::options::{OptionId, OptionValue, Options, table, wrong_value_error};

/// Reads options, and collects errors, missing options and warnings.
pub(super) struct OptionResolver<'a> {
    pub(super) options: &'a Options,
    /// The effective values, in the order of the table.
    values: Vec<Option<&'a OptionValue>>,
    pub(super) policy: Policy,
    /// The signer that replaces the key in the options.
    pub(super) signer: Option<&'a CallbackSigner>,
    pub(super) problems: Problems,
}

impl<'a> OptionResolver<'a> {
    /// A resolver of `options`; `signer` replaces the key in the options.
    pub(super) fn new(options: &'a Options, signer: Option<&'a CallbackSigner>, policy: Policy) -> Self {
        let problems = Problems { errors: options.errors(), ..Problems::default() };
        Self { options, values: options.effective_values(), policy, signer, problems }
    }

    /// Resolves a part of the options and keeps its problems apart.
    pub(super) fn part<T>(&mut self, resolve: impl FnOnce(&mut Self) -> T) -> Part<T> {
        let counts = self.problems.counts();
        let value = resolve(self);
        Part { value, problems: self.problems.split_off(counts) }
    }

    /// The value of a part that is used, so that its problems are those of the connection.
    pub(super) fn accept<'p, T>(&mut self, part: &'p Part<T>) -> &'p T {
        self.problems.append(&part.problems);
        &part.value
    }

    pub(super) fn value(&self, name: OptionId) -> Option<&'a OptionValue> {
        self.values.get(name as usize).copied().flatten()
    }

    pub(super) fn text(&self, name: OptionId) -> Option<String> {
        self.value(name).map(|value| value.text.reveal().to_owned())
    }

    /// The scopes in the option, separated by one space each (RFC 6749 section 3.3), in their order.
    pub(super) fn scopes(&self, name: OptionId) -> Option<String> {
        let text = self.value(name)?.text.reveal();
        let scopes = text.split_whitespace().collect::<Vec<_>>().join(" ");
        Some(scopes).filter(|scopes| !scopes.is_empty())
    }

    pub(super) fn secret(&self, name: OptionId) -> Option<Secret> {
        self.value(name).map(|value| value.text.clone())
    }

    pub(super) fn has_value(&self, name: OptionId, expected: &str) -> bool {
        self.value(name).is_some_and(|value| table::is_word(value.text.reveal(), expected))
    }

    pub(super) fn add_error(&mut self, kind: impl Into<ErrorKind>, name: OptionId, text: &str) {
        self.problems.errors.push(
            Error::new(kind, "options", format!("{} {text}", name.as_str())).with_option(name.as_str()),
        );
    }

    pub(super) fn add_warning(&mut self, name: OptionId, text: &str) {
        self.problems.warnings.push(
            Error::new(WarningKind::General, "options", format!("{} {text}", name.as_str()))
                .with_option(name.as_str()),
        );
    }

    pub(super) fn require(&mut self, name: OptionId) -> Option<String> {
        let value = self.text(name);
        if value.is_none() {
            self.problems.missing.push(name);
        }
        value
    }

    pub(super) fn require_secret(&mut self, name: OptionId) -> Option<Secret> {
        let value = self.secret(name);
        if value.is_none() {
            self.problems.missing.push(name);
        }
        value
    }

    pub(super) fn has_error_for(&self, name: OptionId) -> bool {
        self.problems.errors.iter().any(|error| error.concerns(name.as_str()))
    }

    pub(super) fn check_types(&mut self) {
        for (spec, value) in table::TABLE.iter().zip(&self.values) {
            let Some(value) = value else { continue };
            if !spec.option_type.accepts(value.text.reveal()) {
                self.problems.errors.push(wrong_value_error(spec, value));
            }
        }
    }

    pub(super) fn url(&mut self, name: OptionId) -> Option<EndpointUrl> {
        let text = self.text(name)?;
        self.parse_url(name, &text)
    }

    pub(super) fn require_redirect_uri(&mut self) -> Option<EndpointUrl> {
        let text = self.require(OptionId::RedirectURI)?;
        self.accept_url(OptionId::RedirectURI, EndpointUrl::parse_redirect_uri(&text))
    }

    pub(super) fn parse_url(&mut self, name: OptionId, text: &str) -> Option<EndpointUrl> {
        self.accept_url(name, EndpointUrl::parse(text))
    }

    fn accept_url(&mut self, name: OptionId, parsed: Result<EndpointUrl, String>) -> Option<EndpointUrl> {
        match parsed {
            Ok(url) => {
                self.check_plain_http(name, &url);
                Some(url)
            }
            Err(reason) => {
                self.add_error(OptionError::Invalid, name, &reason);
                None
            }
        }
    }

    pub(super) fn number(&self, name: OptionId) -> Option<i64> {
        self.text(name)?.parse().ok()
    }
}
