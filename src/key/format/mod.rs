//! Readers of key files, one per format.

mod der;
mod java_serialization;
mod jks;
pub(super) mod json;
mod jwk;
pub(super) mod pem;
mod pem_encryption;
mod pkcs12;

use crate::base::error::{ErrorKind, KeyError, Result};
use crate::base::secret::Secret;
use crate::key::crypto::kdf_budget::KdfBudget;
use crate::key::parsed_key::{KeyEntry, ParsedKey};
use crate::key::source::KeySource;

/// Reads the content of a key file within the limits for one file.
type ReadFn<T> = fn(&KeySource, &[u8], &mut KdfBudget) -> Result<T>;

/// Functions of a format; all take the content of a key file.
pub(super) struct KeyFormat {
    detect: fn(&[u8]) -> bool,
    pub(super) name: fn(&[u8]) -> &'static str,
    /// Reads the key that the source selects.
    pub(super) read_key: ReadFn<ParsedKey>,
    pub(super) read_all_keys: ReadFn<Vec<KeyEntry>>,
    /// `None` if the format has none.
    pub(super) read_trusted_certificates: Option<ReadFn<Vec<Vec<u8>>>>,
}

/// All formats in the order of detection: JSON is before PEM, because JSON key files may contain PEM.
static FORMATS: [KeyFormat; 5] = [
    KeyFormat {
        detect: jks::is_java_key_store,
        name: jks::format_name,
        read_key: jks::read_key,
        read_all_keys: jks::read_all_keys,
        read_trusted_certificates: Some(jks::read_trusted_certificates),
    },
    KeyFormat {
        detect: pkcs12::is_pfx,
        name: |_| "PKCS#12",
        read_key: pkcs12::read_key,
        read_all_keys: pkcs12::read_all_keys,
        read_trusted_certificates: Some(pkcs12::read_trusted_certificates),
    },
    KeyFormat {
        detect: json::is_json,
        name: |_| "JSON",
        read_key: json::read_key,
        read_all_keys: json::read_all_keys,
        read_trusted_certificates: None,
    },
    KeyFormat {
        detect: pem::is_pem,
        name: |_| "PEM",
        read_key: pem::read_key,
        read_all_keys: pem::read_all_keys,
        read_trusted_certificates: None,
    },
    KeyFormat {
        detect: der::is_key,
        name: |_| "DER",
        read_key: der::read_key,
        read_all_keys: |source, content, budget| {
            Ok(vec![KeyEntry::new(None, der::read_key(source, content, budget))])
        },
        read_trusted_certificates: None,
    },
];

/// Whether `content` has one of the binary formats.
pub(super) fn is_binary(content: &[u8]) -> bool {
    jks::is_java_key_store(content) || pkcs12::is_pfx(content) || der::is_key(content)
}

/// Returns the format of `content`, which is detected from its beginning or its structure.
pub(super) fn detect(content: &[u8]) -> Option<&'static KeyFormat> {
    FORMATS.iter().find(|format| (format.detect)(content))
}

/// As [`detect`], but an unknown format is an error.
pub(super) fn detect_or_error(source: &KeySource, content: &[u8]) -> Result<&'static KeyFormat> {
    detect(content).ok_or_else(|| source.store_error(source.unrecognized_text()))
}

/// Reads `content` by the function `read` of its format. If the password is wrong and the store opens without
/// one, the error says so.
pub(super) fn read<T>(source: &KeySource, content: &[u8], read: ReadFn<T>) -> Result<T> {
    // One budget for all attempts: it limits the work for a file.
    let mut budget = KdfBudget::new();
    read(source, content, &mut budget).map_err(|error| {
        let is_password_error = *error.kind() == ErrorKind::Key(KeyError::Password);
        if is_password_error && opens_without_password(source, content, read, &mut budget) {
            source.needless_password_error()
        } else {
            error
        }
    })
}

fn opens_without_password<T>(
    source: &KeySource,
    content: &[u8],
    read: ReadFn<T>,
    budget: &mut KdfBudget,
) -> bool {
    if source.single_password().0.is_none_or(str::is_empty) {
        return false;
    }
    let key_password = source.key_password.clone().filter(|_| source.password.is_some());
    let without = KeySource { password: Some(Secret::default()), key_password, ..source.clone() };
    match read(&without, content, budget) {
        Ok(_) => true,
        // The store opens, but not with this alias, or its key is unsuitable.
        Err(error) => matches!(error.kind(), ErrorKind::Key(KeyError::NotFound | KeyError::Unsuitable)),
    }
}
