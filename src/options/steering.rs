//! A stranger's string must not send a data source's secrets elsewhere.
//!
//! Where a secret or a key store comes from a DSN or a FILEDSN, the options that steer where it goes, or whom it is shown
//! to, are the data source's to give: what the connection string says of them is not in force, and is an error at first
//! use. The same goes for a token endpoint out of a key file that the string names. The data source may waive that with
//! AllowOverride=1. The program that hosts the library may always set them.

use super::{Name, Options, Origin, Value, table};
use crate::error::{Error, Status};

impl Options {
    /// What is wrong with where the values came from: a model file that cannot be understood, a reference that leads nowhere,
    /// options of the connection string that may not be given there.
    #[must_use]
    pub fn faults(&self) -> Vec<Error> {
        let known = if self.source.is_some() { table::TABLE } else { &[] };
        let refused = known.iter().filter(|definition| self.is_refused(definition.id));
        let found = self.model.fault.iter().chain(&self.outside.faults).cloned();
        found.chain(refused.map(|definition| self.refusal(definition))).collect()
    }

    /// What [`Options::get`] finds of each option, in the order of the table: for those who ask for many.
    #[must_use]
    pub fn in_force(&self) -> Vec<Option<&Value>> {
        let mut found = vec![None; table::TABLE.len()];
        for (origin, layer) in &self.layers {
            for (name, value) in layer.iter() {
                let refused = *origin == Origin::ConnectionString && self.is_refused(*name);
                if let Some(place) = found.get_mut(*name as usize).filter(|_| !refused) {
                    *place = Some(value).filter(|value| !value.text.reveal().is_empty());
                }
            }
        }
        found
    }

    /// Whether the connection string says something about that option which is not in force.
    pub(super) fn is_refused(&self, name: Name) -> bool {
        // Asked for each value that is read: what is seldom so comes first.
        self.source.is_some()
            && (name.definition().is_some_and(table::Definition::steers) || self.claims_audience(name))
            && self.would_steer(name)
    }

    /// Whether the connection string says there what ClaimsAudience says.
    fn claims_audience(&self, name: Name) -> bool {
        name == Name::ClaimsAdditional
            && self
                .in_layer(Origin::ConnectionString, name)
                .is_some_and(|said| said.members().is_ok_and(|members| members.have("aud")))
    }

    /// The fault of an option that steers only where it is put to use, as HostName does for authgrant_test: elsewhere it
    /// is the driver's own affair.
    #[must_use]
    pub fn fault_where_used(&self, name: Name) -> Option<Error> {
        name.definition().filter(|_| self.would_steer(name)).map(|definition| self.refusal(definition))
    }

    /// Whether the connection string says something else about it than a data source whose secrets are in use.
    fn would_steer(&self, name: Name) -> bool {
        let Some(said) = self.in_layer(Origin::ConnectionString, name) else {
            return false;
        };
        let set_since = self.in_layer(Origin::SetOption, name).is_some();
        let without = self.topmost(name, |origin| origin < Origin::ConnectionString);
        let text =
            |value: Option<&Value>| value.map_or(String::new(), |value| value.text.reveal().to_owned());
        !set_since && text(Some(said)) != text(without) && self.guards_secrets()
    }

    /// Whether secrets of a data source are in use that may not be led elsewhere.
    pub(super) fn guards_secrets(&self) -> bool {
        self.holds_secrets_of_a_source() && !self.allows_override()
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

    pub(super) fn refusal(&self, definition: &table::Definition) -> Error {
        self.refused(definition, definition.name)
    }

    /// That `option`, being `what`, is refused.
    pub(super) fn refused(&self, option: &table::Definition, what: &str) -> Error {
        let text = format!(
            "{what} in the connection string would change where the secrets of {} are sent, or how they are guarded; take it away, or write \
             AllowOverride=1 into the data source",
            self.source.as_deref().unwrap_or("the data source"),
        );
        Error::new(Status::InvalidOption, "options", text).with_option(option.name)
    }
}
