//! Path policy: confines files and keys that untrusted text names to the allowed directories.
//!
//! The connection string, a FILEDSN that it names by path, and a model file that one of them names are
//! untrusted. Options set by the caller, an odbc.ini and a FILEDSN in the system-wide directory are trusted.

use std::path::Path;

use super::table::{self, OptionId, OptionSpec, OptionType};
use super::{OptionValue, Options, environment};
use crate::base::error::{Error, OptionError};
use crate::base::file::{ConfiguredPath, ReadError};
use crate::base::policy::{Permission, Policy, Restriction};
use crate::base::sanitize;
use crate::key::Pkcs11Uri;

/// Whether `text` is PEM or a JSON key. In place of a path it would appear in messages.
pub(super) fn is_key_text(text: &str) -> bool {
    ["-----BEGIN ", "\"kty\"", "\"private_key\"", "\"privateKey\""].iter().any(|part| text.contains(part))
}

impl Options {
    /// The file at `path`, which comes from `value`; confined to the allowed directories if `policy` requires
    /// it.
    #[must_use]
    pub fn configured_path(&self, path: &str, value: &OptionValue, policy: Policy) -> ConfiguredPath {
        if policy.forbids(Restriction::FilePaths) && self.is_untrusted_value(value) {
            ConfiguredPath::confined(path.to_owned())
        } else {
            ConfiguredPath::new(path.to_owned())
        }
    }

    /// Why `value` cannot be the path of a file, or `policy` forbids the file or the key that it names; to be
    /// appended to the option name. Does not access the file.
    #[must_use]
    pub fn path_rejection(&self, spec: &OptionSpec, value: &OptionValue, policy: Policy) -> Option<String> {
        let text = value.text.reveal();
        let names_file = spec.option_type == OptionType::Path && !text.is_empty();
        if names_file && is_key_text(text) {
            let advice = if spec.id == OptionId::JWTCertStore {
                "set JWTPrivateKey to a private key"
            } else {
                "save it in a file"
            };
            return Some(format!("is the content of a file instead of its path; {advice}"));
        }
        // A file name without a directory is searched in the system-wide directory.
        let in_system_folder =
            spec.id == OptionId::FILEDSN && !environment::has_folder(Path::new(text.trim()));
        if !names_file
            || in_system_folder
            || !policy.forbids(Restriction::FilePaths)
            || !self.is_untrusted_value(value)
        {
            return None;
        }
        if spec.is_key_store() && Pkcs11Uri::has_scheme(text) {
            return Some(format!(
                "names a key on a PKCS#11 token, {}",
                Restriction::FilePaths.rejection_text()
            ));
        }
        let is_allowed = self.configured_path(text, value, policy).is_allowed();
        (!is_allowed).then(|| ReadError::NotAllowed.to_string())
    }

    /// The errors for options in untrusted text that name a file whose content is sent to a server.
    pub(super) fn forbidden_content_errors(&self, policy: Policy) -> Vec<Error> {
        let specs = table::TABLE.iter().filter(|spec| spec.sends_file_content());
        let errors = specs.filter_map(|spec| {
            let value = self.get(spec.id)?;
            let forbidden = self.is_untrusted_value(value) && !policy.allows(Permission::References);
            forbidden.then(|| forbidden_content_error(spec, value))
        });
        errors.collect()
    }
}

fn forbidden_content_error(spec: &OptionSpec, value: &OptionValue) -> Error {
    let location = match &value.location {
        None => "in the connection string".to_owned(),
        Some(location) => {
            let location = sanitize::path(location);
            format!("in {location}, a FILEDSN that the connection string names by path,")
        }
    };
    let text = format!(
        "{} {location} names a file whose content is sent to the token endpoint, which the process policy \
         does not allow; set the option by authgrant_set_option or in odbc.ini, or allow it with {}",
        spec.name,
        Permission::References.name(),
    );
    Error::new(OptionError::Invalid, "options", text).with_option(spec.name)
}
