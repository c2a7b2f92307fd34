//! Secrets that stand elsewhere: `env:NAME` is the content of an environment variable, `file:PATH` that of a file, and
//! `literal:TEXT` the text itself, for a secret that begins like one of these. What was read is not looked at again: a file
//! that holds `env:NAME` holds a secret of that form.
//!
//! A stranger who may write a connection string could have any file read so, and sent to a token endpoint of theirs. So
//! the text of a connection string has no references unless the policy allows them. A FILEDSN that the string names by its
//! path is no better than the string: whoever writes one may have written the other. One that it names without a folder
//! stands where the machine keeps such files, and an odbc.ini is the machine's or the user's own. References that these
//! hold are taken, and so are those of `authgrant_set_option`, by which the host program speaks.

use std::path::Path;

use super::table::{self, OptionId, OptionSpec, OptionType};
use super::{FileDependencies, OptionOrigin, OptionValue, Options, environment};
use crate::base::error::{Error, Result, Status};
use crate::base::file::{ConfiguredPath, FileVersion, LoosePermissions, ReadError};
use crate::base::policy::{Permission, Policy};
use crate::base::secret::Secret;
use crate::key::Pkcs11Uri;
use crate::sys;

/// The most bytes of a secret; a key has less, too.
const MAX_SECRET_LEN: u64 = 64 * 1024;

/// What stands in the place of a secret.
enum SecretRef<'a> {
    Variable(&'a str),
    File(&'a str),
    Literal(&'a str),
}

impl<'a> SecretRef<'a> {
    fn parse(text: &'a str) -> Option<Self> {
        let behind = |prefix| text.strip_prefix(prefix);
        behind("env:")
            .map(Self::Variable)
            .or_else(|| behind("file:").map(Self::File))
            .or_else(|| behind("literal:").map(Self::Literal))
    }

    /// What it begins with, and what that stands for.
    fn prefix_and_kind(&self) -> (&'static str, &'static str) {
        match self {
            Self::Variable(_) => ("env:", "an environment variable"),
            Self::File(_) => ("file:", "a file"),
            Self::Literal(_) => ("literal:", "a text"),
        }
    }
}

/// `text`, which somebody else has said, as a value that means nothing but itself: a server may send a refresh token that
/// looks like a reference.
pub(super) fn escape_literal(definition: &OptionSpec, text: &Secret) -> Secret {
    if definition.is_secret() && SecretRef::parse(text.reveal()).is_some() {
        return Secret::new(format!("literal:{}", text.reveal()));
    }
    text.clone()
}

impl Options {
    /// The same options under `policy`, with the secrets themselves where references are; a signer of the application `signs`
    /// in the place of their key. What is wrong with a reference is among the
    /// [`Options::faults`] then, and its option is left as it is.
    #[must_use]
    pub fn resolve_secret_refs(&self, policy: Policy, signs: bool, seen: &mut FileDependencies) -> Self {
        let mut guarded = self.clone();
        guarded.guard_caller_secrets(policy, signs);
        let mut options = guarded.clone();
        options.external.errors.extend(guarded.forbidden_content_errors(policy));
        for (definition, value) in table::TABLE.iter().zip(guarded.effective_values()) {
            let Some(value) = value.filter(|_| definition.is_secret()) else { continue };
            let Some(reference) = SecretRef::parse(value.text.reveal()) else { continue };
            let followed = guarded.resolve_secret_ref(definition, value, &reference, policy, seen);
            match followed {
                Ok(text) => options.replace_value(definition.id, value, text),
                Err(fault) => options.external.errors.push(fault),
            }
        }
        options
    }

    /// Whether what they mean is in them and in files alone, so that it is the same for all who say it: not in the environment,
    /// and not where the process stands when they are understood.
    #[must_use]
    pub fn is_self_contained(&self) -> bool {
        let depends = |(name, value): (&OptionId, &OptionValue)| match name
            .spec()
            .map(|definition| definition.option_type)
        {
            Some(OptionType::Secret) => match SecretRef::parse(value.text.reveal()) {
                Some(SecretRef::Variable(_)) => true,
                Some(SecretRef::File(path)) => Path::new(path).is_relative(),
                Some(SecretRef::Literal(_)) | None => false,
            },
            // These two are read when a connection is opened.
            Some(OptionType::Path) if matches!(name, OptionId::FILEDSN | OptionId::RestConfigFile) => false,
            Some(OptionType::Path) => {
                let text = value.text.reveal();
                !text.is_empty() && !Pkcs11Uri::has_scheme(text) && Path::new(text).is_relative()
            }
            _ => false,
        };
        !self.layers.values().flat_map(|layer| layer.iter()).any(depends)
    }

    fn resolve_secret_ref(
        &self,
        definition: &OptionSpec,
        value: &OptionValue,
        reference: &SecretRef<'_>,
        policy: Policy,
        seen: &mut FileDependencies,
    ) -> Result<Secret> {
        let may = policy.allows(Permission::References) || !self.is_untrusted_value(value);
        let (read, name) = match *reference {
            SecretRef::Literal(text) => return Ok(Secret::from(text)),
            _ if !may => return Err(forbidden_ref_error(definition, value, reference)),
            SecretRef::Variable(name) => (read_variable(name), name),
            SecretRef::File(path) => {
                let file = self.configured_path(path, value, policy);
                (self.read_secret_file(file, seen), path)
            }
        };
        read.map_err(|what| {
            seen.mark_failed();
            self.unreadable_ref_error(definition, value, reference, (&what, name))
        })
    }

    /// The content of a file without the end of its last line; the error is what is wrong, to be put behind its path.
    fn read_secret_file(
        &self,
        file: ConfiguredPath,
        seen: &mut FileDependencies,
    ) -> std::result::Result<Secret, String> {
        let (content, metadata) = file.read_with_limit(MAX_SECRET_LEN).map_err(describe_read_error)?;
        let guarded = self.get(OptionId::KeyFileCheck).is_some_and(|value| value.text.reveal() == "1");
        if let Some(exposed) = LoosePermissions::detect(&metadata).filter(|_| guarded) {
            return Err(format!("{exposed} (KeyFileCheck is 1)"));
        }
        let text = std::str::from_utf8(&content).map_err(|_| "is not text in UTF-8")?;
        let text = text.strip_suffix('\n').map_or(text, |text| text.strip_suffix('\r').unwrap_or(text));
        if text.is_empty() {
            return Err("is empty".to_owned());
        }
        if text.contains('\0') {
            return Err("holds a NUL, which no secret may".to_owned());
        }
        seen.add_file(file, FileVersion::from_metadata(&metadata));
        Ok(Secret::from(text))
    }

    fn replace_value(&mut self, name: table::OptionId, value: &OptionValue, text: Secret) {
        self.layer_mut(value.origin).insert(name, OptionValue { text, ..value.clone() });
    }

    /// Whether somebody said it who may be anybody.
    #[must_use]
    pub fn is_untrusted_value(&self, value: &OptionValue) -> bool {
        self.is_untrusted_origin(value.origin)
    }

    /// Whether the text of `origin` may be anybody's.
    pub(super) fn is_untrusted_origin(&self, origin: OptionOrigin) -> bool {
        match origin {
            OptionOrigin::ConnectionString => true,
            OptionOrigin::FileDsn => {
                let named = self.layer_value(OptionOrigin::ConnectionString, OptionId::FILEDSN);
                named.is_none_or(|named| environment::has_folder(Path::new(named.text.reveal().trim())))
            }
            OptionOrigin::Model => {
                // Whether it is in force or not: that depends on what is asked here.
                let named = self.highest_ranked(OptionId::RestConfigFile, |_| true);
                named.is_none_or(|named| self.is_untrusted_value(named))
            }
            // It says what the file says that the key's option names.
            OptionOrigin::KeyFile => true,
            OptionOrigin::SetOption | OptionOrigin::Dsn => false,
        }
    }

    /// What stands behind the prefix is not repeated where anybody may have written it: it may be the rest of a secret that
    /// begins so by chance.
    fn unreadable_ref_error(
        &self,
        definition: &OptionSpec,
        value: &OptionValue,
        reference: &SecretRef<'_>,
        (what, name): (&str, &str),
    ) -> Error {
        let (prefix, kind) = reference.prefix_and_kind();
        let shown = if self.is_untrusted_value(value) {
            format!("{kind} that {what}")
        } else {
            format!("{prefix}{name}, which {what}")
        };
        let place = value.location.as_ref().map_or(String::new(), |place| format!(" in {place}"));
        let text = format!(
            "{}{place} refers to {shown}; for a secret that itself begins with {prefix}, write literal: in front of it",
            definition.name
        );
        Error::new(Status::InvalidOption, "options", text).with_option(definition.name)
    }
}

fn forbidden_ref_error(definition: &OptionSpec, value: &OptionValue, reference: &SecretRef<'_>) -> Error {
    let (prefix, kind) = reference.prefix_and_kind();
    let place = match &value.location {
        None => "in the connection string".to_owned(),
        Some(place) => format!("in {place}, a FILEDSN that the connection string names by its path,"),
    };
    let text = format!(
        "{} {place} begins with {prefix} and so refers to {kind}, which is not taken from there, since anybody may have \
         written it. Let the host program call authgrant_set_option, or put it into odbc.ini, or allow it by policy \
         ({}); for a secret that itself begins with {prefix}, write literal: in front of it",
        definition.name,
        Permission::References.name(),
    );
    Error::new(Status::InvalidOption, "options", text).with_option(definition.name)
}

/// The content of an environment variable; the error is what is wrong, to be put behind its name.
fn read_variable(name: &str) -> std::result::Result<Secret, String> {
    if sys::is_secure_execution() {
        return Err("is not read, because the process runs with privileges that its caller does not have (set-user-ID, \
                    set-group-ID); refer to a file"
            .to_owned());
    }
    let text = sys::env_var(name).ok_or("is not set; set it before the program starts, or name another")?;
    match text.into_string() {
        Ok(text) if text.is_empty() => Err("is empty".to_owned()),
        Ok(text) => Ok(Secret::new(text)),
        Err(_) => Err("is not UTF-8".to_owned()),
    }
}

fn describe_read_error(fault: ReadError) -> String {
    if fault.is_missing() { "is not there".to_owned() } else { fault.to_string() }
}
