//! A stranger's string must not send a data source's secrets elsewhere.
//!
//! Where a secret or a key store comes from a DSN or a FILEDSN, the options that steer where it goes, or whom it is shown
//! to, are the data source's to give: what the connection string says of them is not in force, and is an error at first
//! use. The same goes for a token endpoint out of a key file that the string names. The data source may waive that with
//! AllowOverride=1. The program that hosts the library may always set them.
//!
//! [`Forbidden::FilePaths`] declares connection strings untrusted. Secrets, key stores and the signer that the application sets are
//! then guarded in the same way, also from a FILEDSN that the string names by its path. The application waives that by setting
//! AllowOverride=1, if the secrets are those of the string's author. Without the policy they are not guarded: a driver that passes
//! on a user's own string and password would fail.

use super::{OptionId, OptionOrigin, OptionValue, Options, table};
use crate::base::error::{Error, Status};
use crate::base::policy::{Policy, Restriction};

/// Whose secrets are guarded.
#[derive(Clone, Copy, PartialEq, Eq)]
enum SecretOwner {
    DataSource,
    /// With the option by which it set them, or that of its signer.
    Caller(&'static str),
}

impl Options {
    /// Guards what the application sets, its signer included if it `signs`, as `policy` demands.
    pub(super) fn guard_caller_secrets(&mut self, policy: Policy, signs: bool) {
        self.caller_guard_enabled = policy.forbids(Restriction::FilePaths);
        self.has_caller_signer = signs;
        // The model file may be refused now.
        self.load_model();
    }

    /// What is wrong with where the values came from: a model file that cannot be understood, a reference that leads nowhere,
    /// options of the connection string that may not be given there.
    #[must_use]
    pub fn errors(&self) -> Vec<Error> {
        let known = if self.can_block() { table::TABLE } else { &[] };
        let refused = known.iter().filter(|definition| {
            [OptionOrigin::ConnectionString, OptionOrigin::FileDsn]
                .iter()
                .any(|origin| self.is_blocked(*origin, definition.id))
        });
        let found = self.rest_model.error.iter().chain(&self.external.errors).cloned();
        found.chain(refused.map(|definition| self.blocked_error(definition))).collect()
    }

    /// What [`Options::get`] finds of each option, in the order of the table: for those who ask for many.
    #[must_use]
    pub fn effective_values(&self) -> Vec<Option<&OptionValue>> {
        let mut found = vec![None; table::TABLE.len()];
        for (origin, layer) in &self.layers {
            for (name, value) in layer.iter() {
                let refused = self.is_blocked(*origin, *name);
                if let Some(place) = found.get_mut(*name as usize).filter(|_| !refused) {
                    *place = Some(value).filter(|value| !value.text.reveal().is_empty());
                }
            }
        }
        found
    }

    /// Whether the connection string, or a FILEDSN that it names by its path, says something about that option which is not in
    /// force.
    pub(super) fn is_blocked(&self, origin: OptionOrigin, name: OptionId) -> bool {
        // Asked for each value that is read: what is seldom so comes first.
        self.can_block()
            && matches!(origin, OptionOrigin::ConnectionString | OptionOrigin::FileDsn)
            && (name.spec().is_some_and(table::OptionSpec::controls_destination)
                || self.sets_audience_claim(origin, name))
            && self.redirected_owner(origin, name).is_some()
    }

    fn can_block(&self) -> bool {
        self.data_source_label.is_some() || self.caller_guard_enabled
    }

    /// Whether `origin` says there what ClaimsAudience says.
    fn sets_audience_claim(&self, origin: OptionOrigin, name: OptionId) -> bool {
        name == OptionId::ClaimsAdditional
            && self
                .layer_value(origin, name)
                .is_some_and(|said| said.as_json_object().is_ok_and(|members| members.contains_key("aud")))
    }

    /// The fault of an option that steers only where it is put to use, as HostName does for authgrant_test_connection: elsewhere it
    /// is the driver's own affair.
    #[must_use]
    pub fn error_when_used(&self, name: OptionId) -> Option<Error> {
        let untrusted = [OptionOrigin::ConnectionString, OptionOrigin::FileDsn];
        let steers = |_: &&table::OptionSpec| {
            untrusted.iter().any(|origin| self.redirected_owner(*origin, name).is_some())
        };
        name.spec().filter(steers).map(|definition| self.blocked_error(definition))
    }

    /// Whose secrets would go elsewhere by what `origin` says about it, and not where they would go without.
    fn redirected_owner(&self, origin: OptionOrigin, name: OptionId) -> Option<SecretOwner> {
        let said = self.layer_value(origin, name)?;
        if self.layer_value(OptionOrigin::SetOption, name).is_some() {
            return None;
        }
        let text =
            |value: Option<&OptionValue>| value.map_or(String::new(), |value| value.text.reveal().to_owned());
        let differs = |without: Option<&OptionValue>| text(Some(said)) != text(without);
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

    /// Whether secrets are in use that a connection string may not lead elsewhere.
    pub(super) fn protects_secrets(&self) -> bool {
        self.protects_data_source() || self.protects_caller_secrets()
    }

    /// Whether the application has set secrets that no untrusted text may lead elsewhere.
    pub(super) fn protects_caller_secrets(&self) -> bool {
        self.protected_caller_secret().is_some()
    }

    /// Whether secrets of a data source are in use that may not be led elsewhere.
    fn protects_data_source(&self) -> bool {
        self.has_data_source_secrets() && !self.is_override_allowed()
    }

    /// The option of a secret or a key store that the application has set and that no untrusted text may lead elsewhere.
    fn protected_caller_secret(&self) -> Option<&'static str> {
        let waived = self.layer_value(OptionOrigin::SetOption, OptionId::AllowOverride);
        if !self.caller_guard_enabled || waived.is_some_and(|value| value.text.reveal() == "1") {
            return None;
        }
        let set = table::TABLE.iter().filter(|definition| definition.is_credential()).find(|definition| {
            let value = self.layer_value(OptionOrigin::SetOption, definition.id);
            value.is_some_and(|value| !value.text.reveal().is_empty())
        });
        set.map(|definition| definition.name).or(self.has_caller_signer.then_some("authgrant_set_signer"))
    }

    fn has_data_source_secrets(&self) -> bool {
        self.data_source_label.is_some()
            && table::TABLE.iter().filter(|definition| definition.is_credential()).any(|definition| {
                let value = self.highest_ranked(definition.id, |_| true);
                value.is_some_and(|value| value.origin.is_data_source())
            })
    }

    /// AllowOverride of the data source, or of the host program; the connection string's own word does not count.
    fn is_override_allowed(&self) -> bool {
        let word =
            self.highest_ranked(OptionId::AllowOverride, |origin| origin != OptionOrigin::ConnectionString);
        word.is_some_and(|value| value.text.reveal() == "1")
    }

    /// Whose secrets are guarded from what untrusted text says of an option, or names by it.
    fn secrets_owner(&self, name: OptionId) -> Option<SecretOwner> {
        let untrusted = [OptionOrigin::ConnectionString, OptionOrigin::FileDsn];
        let by_value = untrusted.into_iter().find_map(|origin| self.redirected_owner(origin, name));
        let source = self.protects_data_source().then_some(SecretOwner::DataSource);
        by_value.or(source).or_else(|| self.protected_caller_secret().map(SecretOwner::Caller))
    }

    pub(super) fn blocked_error(&self, definition: &table::OptionSpec) -> Error {
        self.blocked_error_for(definition, definition.name)
    }

    /// That `option`, being `what`, is refused.
    pub(super) fn blocked_error_for(&self, option: &table::OptionSpec, what: &str) -> Error {
        if let Some(SecretOwner::Caller(secret)) = self.secrets_owner(option.id) {
            let text = format!(
                "{what} in the connection string would change where the secrets of the application ({secret}) are sent, or how \
                 they are guarded, {}; set it by authgrant_set_option, or set AllowOverride=1 by it if they are the secrets of \
                 the string's author",
                Restriction::FilePaths.rejection_text(),
            );
            return Error::new(Status::InvalidOption, "options", text).with_option(option.name);
        }
        let text = format!(
            "{what} in the connection string would change where the secrets of {} are sent, or how they are guarded; take it away, or write \
             AllowOverride=1 into the data source",
            self.data_source_label.as_deref().unwrap_or("the data source"),
        );
        Error::new(Status::InvalidOption, "options", text).with_option(option.name)
    }
}
