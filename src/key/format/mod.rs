//! Readers of key files, one per format.

mod der;
mod java_serialization;
mod jks;
pub(super) mod json;
mod jwk;
pub(super) mod pem;
mod pem_encryption;
mod pkcs12;

use crate::base::error::Result;
use crate::key::parsed_key::{EntryResult, ParsedKey};
use crate::key::source::KeySource;

/// Reads the content of a key file.
type ReadFn<T> = fn(&KeySource, &[u8]) -> Result<T>;

/// Functions of a format; all take the content of a key file.
pub(super) struct KeyFormat {
    detect: fn(&[u8]) -> bool,
    pub(super) name: fn(&[u8]) -> &'static str,
    /// Reads the key that the source selects.
    pub(super) read_key: ReadFn<ParsedKey>,
    pub(super) read_all_keys: ReadFn<Vec<EntryResult>>,
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
        read_all_keys: |source, content| Ok(vec![(None, der::read_key(source, content))]),
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
