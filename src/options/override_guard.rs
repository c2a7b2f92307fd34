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

use super::{Name, Options, Origin, Value, table};
use crate::base::error::{Error, Status};
use crate::base::policy::{Policy, Restriction};

/// Whose secrets are guarded.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Owner {
    DataSource,
    /// With the option by which it set them, or that of its signer.
    Application(&'static str),
}

impl Options {
    /// Guards what the application sets, its signer included if it `signs`, as `policy` demands.
    pub(super) fn guard_application(&mut self, policy: Policy, signs: bool) {
        self.guards_application = policy.forbids(Restriction::FilePaths);
        self.application_signs = signs;
        // The model file may be refused now.
        self.read_model();
    }

    /// What is wrong with where the values came from: a model file that cannot be understood, a reference that leads nowhere,
    /// options of the connection string that may not be given there.
    #[must_use]
    pub fn faults(&self) -> Vec<Error> {
        let known = if self.may_refuse() { table::TABLE } else { &[] };
        let refused = known.iter().filter(|definition| {
            [Origin::ConnectionString, Origin::FileDsn]
                .iter()
                .any(|origin| self.is_refused(*origin, definition.id))
        });
        let found = self.model.fault.iter().chain(&self.outside.faults).cloned();
        found.chain(refused.map(|definition| self.refusal(definition))).collect()
    }

    /// What [`Options::get`] finds of each option, in the order of the table: for those who ask for many.
    #[must_use]
    pub fn in_force(&self) -> Vec<Option<&Value>> {
        let mut found = vec![None; table::TABLE.len()];
        for (origin, layer) in &self.layers {
            for (name, value) in layer.iter() {
                let refused = self.is_refused(*origin, *name);
                if let Some(place) = found.get_mut(*name as usize).filter(|_| !refused) {
                    *place = Some(value).filter(|value| !value.text.reveal().is_empty());
                }
            }
        }
        found
    }

    /// Whether the connection string, or a FILEDSN that it names by its path, says something about that option which is not in
    /// force.
    pub(super) fn is_refused(&self, origin: Origin, name: Name) -> bool {
        // Asked for each value that is read: what is seldom so comes first.
        self.may_refuse()
            && matches!(origin, Origin::ConnectionString | Origin::FileDsn)
            && (name.definition().is_some_and(table::Definition::steers)
                || self.claims_audience(origin, name))
            && self.would_steer(origin, name).is_some()
    }

    fn may_refuse(&self) -> bool {
        self.source.is_some() || self.guards_application
    }

    /// Whether `origin` says there what ClaimsAudience says.
    fn claims_audience(&self, origin: Origin, name: Name) -> bool {
        name == Name::ClaimsAdditional
            && self
                .in_layer(origin, name)
                .is_some_and(|said| said.members().is_ok_and(|members| members.contains_key("aud")))
    }

    /// The fault of an option that steers only where it is put to use, as HostName does for authgrant_test: elsewhere it
    /// is the driver's own affair.
    #[must_use]
    pub fn fault_where_used(&self, name: Name) -> Option<Error> {
        let untrusted = [Origin::ConnectionString, Origin::FileDsn];
        let steers =
            |_: &&table::Definition| untrusted.iter().any(|origin| self.would_steer(*origin, name).is_some());
        name.definition().filter(steers).map(|definition| self.refusal(definition))
    }

    /// Whose secrets would go elsewhere by what `origin` says about it, and not where they would go without.
    fn would_steer(&self, origin: Origin, name: Name) -> Option<Owner> {
        let said = self.in_layer(origin, name)?;
        if self.in_layer(Origin::SetOption, name).is_some() {
            return None;
        }
        let text =
            |value: Option<&Value>| value.map_or(String::new(), |value| value.text.reveal().to_owned());
        let differs = |without: Option<&Value>| text(Some(said)) != text(without);
        let from_string = origin == Origin::ConnectionString;
        if from_string
            && differs(self.topmost(name, |origin| origin < Origin::ConnectionString))
            && self.guards_data_source()
        {
            return Some(Owner::DataSource);
        }
        if !(from_string || self.is_untrusted(origin))
            || !differs(self.topmost(name, |origin| !self.is_untrusted(origin)))
        {
            return None;
        }
        self.guarded_application_secret().map(Owner::Application)
    }

    /// Whether secrets are in use that a connection string may not lead elsewhere.
    pub(super) fn guards_secrets(&self) -> bool {
        self.guards_data_source() || self.guards_application_secrets()
    }

    /// Whether the application has set secrets that no untrusted text may lead elsewhere.
    pub(super) fn guards_application_secrets(&self) -> bool {
        self.guarded_application_secret().is_some()
    }

    /// Whether secrets of a data source are in use that may not be led elsewhere.
    fn guards_data_source(&self) -> bool {
        self.holds_secrets_of_a_source() && !self.allows_override()
    }

    /// The option of a secret or a key store that the application has set and that no untrusted text may lead elsewhere.
    fn guarded_application_secret(&self) -> Option<&'static str> {
        let waived = self.in_layer(Origin::SetOption, Name::AllowOverride);
        if !self.guards_application || waived.is_some_and(|value| value.text.reveal() == "1") {
            return None;
        }
        let set = table::TABLE.iter().filter(|definition| definition.leads_to_secrets()).find(|definition| {
            let value = self.in_layer(Origin::SetOption, definition.id);
            value.is_some_and(|value| !value.text.reveal().is_empty())
        });
        set.map(|definition| definition.name).or(self.application_signs.then_some("authgrant_set_signer"))
    }

    fn holds_secrets_of_a_source(&self) -> bool {
        self.source.is_some()
            && table::TABLE.iter().filter(|definition| definition.leads_to_secrets()).any(|definition| {
                let value = self.topmost(definition.id, |_| true);
                value.is_some_and(|value| value.origin.is_data_source())
            })
    }

    /// AllowOverride of the data source, or of the host program; the connection string's own word does not count.
    fn allows_override(&self) -> bool {
        let word = self.topmost(Name::AllowOverride, |origin| origin != Origin::ConnectionString);
        word.is_some_and(|value| value.text.reveal() == "1")
    }

    /// Whose secrets are guarded from what untrusted text says of an option, or names by it.
    fn owner(&self, name: Name) -> Option<Owner> {
        let untrusted = [Origin::ConnectionString, Origin::FileDsn];
        let by_value = untrusted.into_iter().find_map(|origin| self.would_steer(origin, name));
        let source = self.guards_data_source().then_some(Owner::DataSource);
        by_value.or(source).or_else(|| self.guarded_application_secret().map(Owner::Application))
    }

    pub(super) fn refusal(&self, definition: &table::Definition) -> Error {
        self.refused(definition, definition.name)
    }

    /// That `option`, being `what`, is refused.
    pub(super) fn refused(&self, option: &table::Definition, what: &str) -> Error {
        if let Some(Owner::Application(secret)) = self.owner(option.id) {
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
            self.source.as_deref().unwrap_or("the data source"),
        );
        Error::new(Status::InvalidOption, "options", text).with_option(option.name)
    }
}
