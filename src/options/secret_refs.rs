//! Secret references: `env:NAME` is the value of an environment variable, `file:PATH` the content of a file,
//! and `literal:TEXT` the text itself, for a secret that begins with one of these prefixes. References are
//! not resolved recursively: a file that contains `env:NAME` contains a secret of that form.
//!
//! The author of an untrusted connection string could otherwise have any file sent to their own token
//! endpoint. So `env:` and `file:` are forbidden in the connection string unless the policy allows them. A
//! FILEDSN that the connection string names by path is equally untrusted: both may have the same author. A
//! FILEDSN named without a directory is in a system-wide directory, and an odbc.ini belongs to the system or
//! the user. References in these and those set by `authgrant_set_option`, that is by the caller, are allowed.

use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use zeroize::Zeroizing;

use super::messages::quoted_secret_warning;
use super::table::{self, OptionId, OptionSpec, OptionType};
use super::{FileDependencies, OptionOrigin, OptionValue, Options, environment};
use crate::base::error::{Error, OptionError, Result};
use crate::base::file::{ConfiguredPath, FileVersion, LoosePermissions, ReadError};
use crate::base::policy::{Permission, Policy};
use crate::base::sanitize;
use crate::base::secret::Secret;
use crate::base::text;
use crate::key::Pkcs11Uri;
use crate::sys;

/// The maximum size of a secret file in bytes; keys are smaller, too.
const MAX_SECRET_LEN: u64 = 64 * 1024;

/// Prefix of a shared secret in base64.
const BASE64_PREFIX: &str = "base64:";

/// A reference in place of a secret.
enum SecretRef<'a> {
    Variable(&'a str),
    File(&'a str),
    Literal(&'a str),
}

impl<'a> SecretRef<'a> {
    fn parse(text: &'a str) -> Option<Self> {
        let after = |prefix| text.strip_prefix(prefix);
        after("env:")
            .map(Self::Variable)
            .or_else(|| after("file:").map(Self::File))
            .or_else(|| after("literal:").map(Self::Literal))
    }

    /// Its prefix and a description of its target.
    fn prefix_and_kind(&self) -> (&'static str, &'static str) {
        match self {
            Self::Variable(_) => ("env:", "an environment variable"),
            Self::File(_) => ("file:", "a file"),
            Self::Literal(_) => ("literal:", "a text"),
        }
    }
}

/// Escapes `text` if it looks like a reference, so that it is read back verbatim. A server may send such a
/// refresh token.
pub(super) fn escape_literal(spec: &OptionSpec, text: &Secret) -> Secret {
    if spec.is_secret() && SecretRef::parse(text.reveal()).is_some() {
        return Secret::new(format!("literal:{}", text.reveal()));
    }
    text.clone()
}

impl Options {
    /// Returns a copy with `policy` applied and references replaced by the secrets. `has_signer` states
    /// whether a signer callback replaces the key of the options. If a reference cannot be resolved, the copy
    /// has an error in [`Options::errors`] and the option is unchanged. Files that were read are added to
    /// `dependencies`.
    #[must_use]
    pub fn resolve_secret_refs(
        &self,
        policy: Policy,
        has_signer: bool,
        dependencies: &mut FileDependencies,
    ) -> Self {
        let mut guarded = self.clone();
        guarded.guard_caller_secrets(policy, has_signer);
        let mut options = guarded.clone();
        options.external.errors.extend(guarded.forbidden_content_errors(policy));
        for (spec, value) in table::TABLE.iter().zip(guarded.effective_values()) {
            let Some(value) = value.filter(|_| spec.is_secret()) else { continue };
            let Some(reference) = SecretRef::parse(value.text.reveal()) else {
                options.external.warnings.extend(quoted_secret_warning(spec, value.text.reveal()));
                continue;
            };
            let resolved = guarded.resolve_secret_ref(spec, value, &reference, policy, dependencies);
            match resolved {
                Ok(text) => {
                    if !matches!(reference, SecretRef::Literal(_)) {
                        options.external.warnings.extend(quoted_secret_warning(spec, text.reveal()));
                    }
                    options.replace_value(spec.id, value, text);
                }
                Err(error) => options.external.errors.push(error),
            }
        }
        options
    }

    /// Whether the options depend only on themselves and on files with absolute paths, so that equal options
    /// always have the same meaning: not on environment variables and not on the current directory.
    #[must_use]
    pub fn is_self_contained(&self) -> bool {
        let depends = |(name, value): (&OptionId, &OptionValue)| match name
            .spec()
            .map(|spec| spec.option_type)
        {
            Some(OptionType::Secret) => match SecretRef::parse(value.text.reveal()) {
                Some(SecretRef::Variable(_)) => true,
                Some(SecretRef::File(path)) => Path::new(path).is_relative(),
                Some(SecretRef::Literal(_)) | None => false,
            },
            // These two files are read when a connection is opened.
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
        spec: &OptionSpec,
        value: &OptionValue,
        reference: &SecretRef<'_>,
        policy: Policy,
        dependencies: &mut FileDependencies,
    ) -> Result<Secret> {
        let is_allowed = policy.allows(Permission::References) || !self.is_untrusted_value(value);
        let (result, name) = match *reference {
            SecretRef::Literal(text) => return Ok(Secret::from(text)),
            _ if !is_allowed => return Err(forbidden_ref_error(spec, value, reference)),
            SecretRef::Variable(name) => (read_variable(name), name),
            SecretRef::File(path) => {
                let file = self.configured_path(path, value, policy);
                (self.read_secret_file(spec, file, dependencies), path)
            }
        };
        result.map_err(|reason| {
            dependencies.mark_failed();
            self.unreadable_ref_error(spec, value, reference, (&reason, name))
        })
    }

    /// Reads the secret in a file. The error is the reason, to be appended to the path.
    fn read_secret_file(
        &self,
        spec: &OptionSpec,
        file: ConfiguredPath,
        dependencies: &mut FileDependencies,
    ) -> std::result::Result<Secret, String> {
        let (content, metadata) = file.read_with_limit(MAX_SECRET_LEN).map_err(describe_read_error)?;
        let require_private =
            self.get(OptionId::KeyFileCheck).is_some_and(|value| value.text.reveal() == "1");
        if let Some(permissions) = LoosePermissions::detect(&metadata).filter(|_| require_private) {
            return Err(format!("{permissions} (KeyFileCheck is 1)"));
        }
        let is_binary = spec.id == OptionId::JWTSecret && is_binary_secret(&content);
        let secret = if is_binary { encode_binary_secret(&content) } else { parse_text_secret(content)? };
        dependencies.add_file(file, FileVersion::from_metadata(&metadata));
        Ok(secret)
    }

    fn replace_value(&mut self, name: table::OptionId, value: &OptionValue, text: Secret) {
        self.layer_mut(value.origin).insert(name, OptionValue { text, ..value.clone() });
    }

    /// Whether the value comes from an untrusted origin.
    #[must_use]
    pub fn is_untrusted_value(&self, value: &OptionValue) -> bool {
        self.is_untrusted_origin(value.origin)
    }

    /// Whether values from `origin` are untrusted.
    pub(super) fn is_untrusted_origin(&self, origin: OptionOrigin) -> bool {
        match origin {
            OptionOrigin::ConnectionString => true,
            OptionOrigin::FileDsn => {
                let file_dsn = self.layer_value(OptionOrigin::ConnectionString, OptionId::FILEDSN);
                file_dsn.is_none_or(|value| environment::has_folder(Path::new(value.text.reveal().trim())))
            }
            OptionOrigin::Model => {
                // Without the override guard: the guard itself depends on this function.
                let model = self.highest_ranked(OptionId::RestConfigFile, |_| true);
                model.is_none_or(|value| self.is_untrusted_value(value))
            }
            // Untrusted text may name the key file.
            OptionOrigin::KeyFile => true,
            OptionOrigin::SetOption | OptionOrigin::Dsn => false,
        }
    }

    /// If the value is untrusted, the text after the prefix is not shown: it may be the rest of a secret that
    /// happens to begin with the prefix.
    fn unreadable_ref_error(
        &self,
        spec: &OptionSpec,
        value: &OptionValue,
        reference: &SecretRef<'_>,
        (reason, name): (&str, &str),
    ) -> Error {
        let (prefix, kind) = reference.prefix_and_kind();
        let shown = if self.is_untrusted_value(value) {
            format!("{kind} that {reason}")
        } else {
            format!("{prefix}{}, which {reason}", sanitize::path(name))
        };
        let location = value.location.as_deref();
        let location = location.map_or(String::new(), |location| format!(" in {}", sanitize::path(location)));
        let text = format!(
            "{}{location} refers to {shown}; if the secret itself begins with {prefix}, prepend literal:",
            spec.name
        );
        Error::new(OptionError::Invalid, "options", text).with_option(spec.name)
    }
}

fn forbidden_ref_error(spec: &OptionSpec, value: &OptionValue, reference: &SecretRef<'_>) -> Error {
    let (prefix, kind) = reference.prefix_and_kind();
    let location = match &value.location {
        None => "in the connection string".to_owned(),
        Some(location) => {
            let location = sanitize::path(location);
            format!("in {location}, a FILEDSN that the connection string names by path,")
        }
    };
    let text = format!(
        "{} {location} must not be a reference to {kind} ({prefix}), because the text may be untrusted; set \
         the option by authgrant_set_option or in odbc.ini, or allow references with {}; if the secret \
         itself begins with {prefix}, prepend literal:",
        spec.name,
        Permission::References.name(),
    );
    Error::new(OptionError::Invalid, "options", text).with_option(spec.name)
}

/// Whether the shared secret `content` is to be used byte by byte: it is neither UTF-8 nor ASCII in UTF-16.
/// Random bytes may begin like a UTF-16 text, but do not continue in ASCII.
fn is_binary_secret(content: &Zeroizing<Vec<u8>>) -> bool {
    let has_nul = |bytes: &[u8]| bytes.contains(&0);
    let is_utf8 = std::str::from_utf8(content).is_ok() && !has_nul(content);
    let decoded = text::to_utf8(content.clone());
    !is_utf8 && (!decoded.is_ascii() || has_nul(&decoded))
}

/// The value of JWTSecret for the bytes `content`.
fn encode_binary_secret(content: &[u8]) -> Secret {
    let length = base64::encoded_len(content.len(), true).unwrap_or_default();
    let mut text = String::with_capacity(BASE64_PREFIX.len().saturating_add(length));
    text.push_str(BASE64_PREFIX);
    STANDARD.encode_string(content, &mut text);
    Secret::new(text)
}

/// The secret in a text file, without its last line break.
fn parse_text_secret(content: Zeroizing<Vec<u8>>) -> std::result::Result<Secret, String> {
    let content = text::to_utf8(content);
    let text = std::str::from_utf8(&content).map_err(|_| "is not text in UTF-8")?;
    let text = text.strip_suffix('\n').map_or(text, |text| text.strip_suffix('\r').unwrap_or(text));
    if text.is_empty() {
        return Err("is empty".to_owned());
    }
    if text.contains('\0') {
        return Err("contains a NUL character".to_owned());
    }
    Ok(Secret::from(text))
}

/// Reads an environment variable. The error is the reason, to be appended to its name.
fn read_variable(name: &str) -> std::result::Result<Secret, String> {
    if sys::is_secure_execution() {
        return Err("is not read, because the process has more privileges than its caller (set-user-ID, \
                    set-group-ID); use a file reference"
            .to_owned());
    }
    let text = sys::env_var(name).ok_or("is not set")?;
    match text.into_string() {
        Ok(text) if text.is_empty() => Err("is empty".to_owned()),
        Ok(text) => Ok(Secret::new(text)),
        Err(_) => Err("is not UTF-8".to_owned()),
    }
}

fn describe_read_error(error: ReadError) -> String {
    if error.is_missing() { "does not exist".to_owned() } else { error.to_string() }
}
