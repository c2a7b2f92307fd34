//! Override guard: untrusted text must not redirect secrets of a data source or of the caller.
//!
//! If a secret, a key store or a model with HTTP headers comes from a DSN or a FILEDSN, the connection string must not override the
//! options that determine where the secret is sent or which servers are trusted. Such an override has no
//! effect, and it is an error at first use. The same applies to a token endpoint from a key file that the
//! connection string names. The data source can disable the guard with AllowOverride=1. The caller may always
//! set these options.
//!
//! [`Restriction::FilePaths`] declares connection strings untrusted. Then secrets, key stores and the signer
//! that the caller sets are guarded in the same way, also against a FILEDSN that the connection string names
//! by path. The caller disables that by setting AllowOverride=1, if the author of the connection string owns
//! the secrets. Without the policy these secrets are not guarded: otherwise a driver that passes on a user's
//! own connection string and password would fail.

use super::rest_model::ModelHeader;
use super::{OptionId, OptionOrigin, OptionValue, Options, table};
use crate::base::error::{Error, OptionError};
use crate::base::policy::{Policy, Restriction};
use crate::net::header_value;

/// The owner of guarded secrets.
#[derive(Clone, Copy, PartialEq, Eq)]
enum SecretOwner {
    DataSource,
    /// With the option that the caller has set, or `authgrant_set_signer`.
    Caller(&'static str),
}

impl Options {
    /// Enables the guard for secrets of the caller, and for its signer if there is one, as `policy` requires.
    pub(super) fn guard_caller_secrets(&mut self, policy: Policy, has_signer: bool) {
        self.caller_guard_enabled = policy.forbids(Restriction::FilePaths);
        self.has_caller_signer = has_signer;
        // The guard may block RestConfigFile now.
        self.load_model();
    }

    /// Errors about the sources of values: an invalid model file, unresolvable references, blocked overrides.
    #[must_use]
    pub fn errors(&self) -> Vec<Error> {
        let specs = if self.can_block() { table::TABLE } else { &[] };
        let blocked = specs.iter().filter(|spec| {
            [OptionOrigin::ConnectionString, OptionOrigin::FileDsn]
                .iter()
                .any(|origin| self.is_blocked(*origin, spec.id))
        });
        let source_errors = self.rest_model.error.iter().chain(&self.external.errors).cloned();
        source_errors.chain(blocked.map(|spec| self.blocked_error(spec))).collect()
    }

    /// The results of [`Options::get`] for all options in the order of the table, faster than many single
    /// calls.
    #[must_use]
    pub fn effective_values(&self) -> Vec<Option<&OptionValue>> {
        let mut effective = vec![None; table::TABLE.len()];
        for (origin, layer) in &self.layers {
            for (name, value) in layer.iter() {
                let blocked = self.is_blocked(*origin, *name);
                if let Some(slot) = effective.get_mut(*name as usize).filter(|_| !blocked) {
                    *slot = Some(value).filter(|value| !value.text.reveal().is_empty());
                }
            }
        }
        effective
    }

    /// Whether the guard blocks the value of that option from `origin`: the connection string, or a FILEDSN
    /// that it names by path.
    pub(super) fn is_blocked(&self, origin: OptionOrigin, name: OptionId) -> bool {
        // Called for every value that is read: the checks that are most often false come first.
        self.can_block()
            && matches!(origin, OptionOrigin::ConnectionString | OptionOrigin::FileDsn)
            && (name.spec().is_some_and(table::OptionSpec::controls_destination)
                || self.sets_audience_claim(origin, name))
            && self.redirected_owner(origin, name).is_some()
    }

    fn can_block(&self) -> bool {
        self.data_source_label.is_some() || self.caller_guard_enabled
    }

    /// Whether `name` is ClaimsAdditional and its value from `origin` sets the aud claim, like
    /// ClaimsAudience.
    fn sets_audience_claim(&self, origin: OptionOrigin, name: OptionId) -> bool {
        name == OptionId::ClaimsAdditional
            && self
                .layer_value(origin, name)
                .is_some_and(|value| value.as_json_object().is_ok_and(|claims| claims.contains_key("aud")))
    }

    /// The error for an option that redirects secrets only where it is used, such as HostName in
    /// authgrant_test_connection; otherwise it is only relevant to the driver.
    #[must_use]
    pub fn error_when_used(&self, name: OptionId) -> Option<Error> {
        let untrusted = [OptionOrigin::ConnectionString, OptionOrigin::FileDsn];
        let redirects = |_: &&table::OptionSpec| {
            untrusted.iter().any(|origin| self.redirected_owner(*origin, name).is_some())
        };
        name.spec().filter(redirects).map(|spec| self.blocked_error(spec))
    }

    /// The owner of the secrets that the value from `origin` would redirect, compared with the options
    /// without it.
    fn redirected_owner(&self, origin: OptionOrigin, name: OptionId) -> Option<SecretOwner> {
        let value = self.layer_value(origin, name)?;
        if self.layer_value(OptionOrigin::SetOption, name).is_some() {
            return None;
        }
        let text =
            |value: Option<&OptionValue>| value.map_or(String::new(), |value| value.text.reveal().to_owned());
        let differs = |without: Option<&OptionValue>| text(Some(value)) != text(without);
        let from_string = origin == OptionOrigin::ConnectionString;
        if from_string
            && differs(self.highest_ranked(name, |origin| origin < OptionOrigin::ConnectionString))
            && self.protects_data_source()
        {
            return Some(SecretOwner::DataSource);
        }
        if !(from_string || self.is_untrusted_origin(origin))
            || !differs(self.highest_ranked(name, |origin| !self.is_untrusted_origin(origin)))
        {
            return None;
        }
        self.protected_caller_secret().map(SecretOwner::Caller)
    }

    /// Whether there are secrets that a connection string must not redirect.
    pub(super) fn protects_secrets(&self) -> bool {
        self.protects_data_source() || self.protects_caller_secrets()
    }

    /// Whether the caller has set secrets that untrusted text must not redirect.
    pub(super) fn protects_caller_secrets(&self) -> bool {
        self.protected_caller_secret().is_some()
    }

    /// Whether secrets of a data source are used that must not be redirected.
    fn protects_data_source(&self) -> bool {
        self.has_data_source_secrets() && !self.is_override_allowed()
    }

    /// The option of a secret or key store that the caller has set and that untrusted text must not redirect.
    fn protected_caller_secret(&self) -> Option<&'static str> {
        let waived = self.layer_value(OptionOrigin::SetOption, OptionId::AllowOverride);
        if !self.caller_guard_enabled || waived.is_some_and(|value| value.text.reveal() == "1") {
            return None;
        }
        let set_by_caller = table::TABLE.iter().filter(|spec| spec.is_credential()).find(|spec| {
            let value = self.layer_value(OptionOrigin::SetOption, spec.id);
            value.is_some_and(|value| !value.text.reveal().is_empty())
        });
        let signer = self.has_caller_signer.then_some("authgrant_set_signer");
        let has_headers = || self.sets_model_headers(OptionOrigin::SetOption).then_some("RestConfigFile");
        set_by_caller.map(|spec| spec.name).or(signer).or_else(has_headers)
    }

    fn has_data_source_secrets(&self) -> bool {
        let is_of_data_source = |spec: &table::OptionSpec| {
            self.highest_ranked(spec.id, |_| true).is_some_and(|value| value.origin.is_data_source())
        };
        self.data_source_label.is_some()
            && (table::TABLE.iter().filter(|spec| spec.is_credential()).any(is_of_data_source)
                || [OptionOrigin::Dsn, OptionOrigin::FileDsn]
                    .iter()
                    .any(|origin| self.sets_model_headers(*origin)))
    }

    /// Whether `origin` names the loaded model, and the model has headers for the token request, whose values may be
    /// secrets.
    fn sets_model_headers(&self, origin: OptionOrigin) -> bool {
        let is_sent = |(name, _): &ModelHeader| !header_value::is_content_header(name);
        self.rest_model.headers.iter().any(is_sent)
            && self
                .layer_value(origin, OptionId::RestConfigFile)
                .is_some_and(|value| value.text.reveal() == self.rest_model.path)
    }

    /// AllowOverride of the data source or the caller; its value in the connection string is ignored.
    fn is_override_allowed(&self) -> bool {
        let value =
            self.highest_ranked(OptionId::AllowOverride, |origin| origin != OptionOrigin::ConnectionString);
        value.is_some_and(|value| value.text.reveal() == "1")
    }

    /// The owner of the secrets that are guarded against untrusted values of an option, or files named by
    /// them.
    fn secrets_owner(&self, name: OptionId) -> Option<SecretOwner> {
        let untrusted = [OptionOrigin::ConnectionString, OptionOrigin::FileDsn];
        let by_value = untrusted.into_iter().find_map(|origin| self.redirected_owner(origin, name));
        let source = self.protects_data_source().then_some(SecretOwner::DataSource);
        by_value.or(source).or_else(|| self.protected_caller_secret().map(SecretOwner::Caller))
    }

    pub(super) fn blocked_error(&self, spec: &table::OptionSpec) -> Error {
        self.blocked_error_for(spec, spec.name)
    }

    /// The error for a blocked option; `what` describes it in the message.
    pub(super) fn blocked_error_for(&self, option: &table::OptionSpec, what: &str) -> Error {
        if let Some(SecretOwner::Caller(secret)) = self.secrets_owner(option.id) {
            let text = format!(
                "{what} in the connection string must not be combined with secrets of the caller ({secret}), \
                 {}; set it by authgrant_set_option, or set AllowOverride=1 by authgrant_set_option if the \
                 secrets belong to the author of the connection string",
                Restriction::FilePaths.rejection_text(),
            );
            return Error::new(OptionError::Invalid, "options", text).with_option(option.name);
        }
        let text = format!(
            "{what} in the connection string must not override {}, which contains secrets; remove it, or set \
             AllowOverride=1 in the data source",
            self.data_source_label.as_deref().unwrap_or("the data source"),
        );
        Error::new(OptionError::Invalid, "options", text).with_option(option.name)
    }
}
