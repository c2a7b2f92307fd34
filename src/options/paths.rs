//! Files and keys that untrusted text names, which the policy may confine to the allowed directories.
//!
//! Untrusted are the connection string, a FILEDSN that it names by its path and a model file that one of them names; not what
//! the application sets, an odbc.ini or a FILEDSN of the machine's folder.

use std::path::Path;

use super::table::{self, OptionId, OptionSpec, OptionType};
use super::{OptionValue, Options, environment};
use crate::base::error::{Error, Status};
use crate::base::file::{ConfiguredPath, ReadError};
use crate::base::policy::{Permission, Policy, Restriction};
use crate::key::Pkcs11Uri;

impl Options {
    /// The file at `path`, which `value` names, under `policy`.
    #[must_use]
    pub fn configured_path(&self, path: &str, value: &OptionValue, policy: Policy) -> ConfiguredPath {
        if policy.forbids(Restriction::FilePaths) && self.is_untrusted_value(value) {
            ConfiguredPath::confined(path.to_owned())
        } else {
            ConfiguredPath::new(path.to_owned())
        }
    }

    /// What is wrong with the path or the key that `value` names, if `policy` forbids it; to be put behind the option. No
    /// file is looked at.
    #[must_use]
    pub fn path_rejection(
        &self,
        definition: &OptionSpec,
        value: &OptionValue,
        policy: Policy,
    ) -> Option<String> {
        let text = value.text.reveal();
        let names_file = definition.option_type == OptionType::Path && !text.is_empty();
        // Without a folder it is looked for in the machine's own.
        let in_machine_folder =
            definition.id == OptionId::FILEDSN && !environment::has_folder(Path::new(text.trim()));
        if !names_file
            || in_machine_folder
            || !policy.forbids(Restriction::FilePaths)
            || !self.is_untrusted_value(value)
        {
            return None;
        }
        if definition.is_key_store() && Pkcs11Uri::has_scheme(text) {
            return Some(format!("names a key on a token, {}", Restriction::FilePaths.rejection_text()));
        }
        let is_allowed = self.configured_path(text, value, policy).is_allowed();
        (!is_allowed).then(|| ReadError::NotAllowed.to_string())
    }

    /// The errors of options whose files are sent, in text that may not name such files.
    pub(super) fn forbidden_content_errors(&self, policy: Policy) -> Vec<Error> {
        let sent = table::TABLE.iter().filter(|definition| definition.sends_file_content());
        let refused = sent.filter_map(|definition| {
            let value = self.get(definition.id)?;
            let refused = self.is_untrusted_value(value) && !policy.allows(Permission::References);
            refused.then(|| forbidden_content_error(definition, value))
        });
        refused.collect()
    }
}

fn forbidden_content_error(definition: &OptionSpec, value: &OptionValue) -> Error {
    let place = match &value.location {
        None => "in the connection string".to_owned(),
        Some(place) => format!("in {place}, a FILEDSN that the connection string names by its path,"),
    };
    let text = format!(
        "{} {place} names a file whose content is sent to the token endpoint, which the policy of this process does not \
         allow ({}); set it by authgrant_set_option, put it into odbc.ini, or allow it by authgrant_set_policy",
        definition.name,
        Permission::References.name(),
    );
    Error::new(Status::InvalidOption, "options", text).with_option(definition.name)
}
