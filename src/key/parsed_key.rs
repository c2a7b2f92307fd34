//! A key as read from its format, before it is prepared for signing.

use jsonwebtoken::Algorithm;
use zeroize::Zeroizing;

use crate::base::error::Result;

/// Secret part of a key.
pub(super) enum KeyBytes {
    /// PKCS#8, PKCS#1 or SEC1, to be detected from the structure.
    Private(Zeroizing<Vec<u8>>),
    /// Shared secret.
    HmacSecret(Zeroizing<Vec<u8>>),
}

/// One private key as read from its format, with the data stored alongside it.
pub(super) struct ParsedKey {
    pub(super) key: KeyBytes,
    pub(super) certificates: Vec<Vec<u8>>,
    pub(super) alias: Option<String>,
    /// Key ID known to the server, if the file contains it.
    pub(super) key_id: Option<String>,
    /// The only algorithm that the key may be used with, if the file contains one.
    pub(super) algorithm: Option<Algorithm>,
    /// Why the certificates stored alongside the key cannot be read; to be appended to the name of the store.
    pub(super) certificate_problem: Option<String>,
}

impl ParsedKey {
    /// A key without alias, key ID and certificates.
    pub(super) fn new(key: KeyBytes) -> Self {
        Self {
            key,
            certificates: Vec::new(),
            alias: None,
            key_id: None,
            algorithm: None,
            certificate_problem: None,
        }
    }
}

/// Key of a store, or the error that prevents opening it.
pub(super) struct KeyEntry {
    /// Alias, if the format has aliases.
    pub(super) alias: Option<String>,
    /// Name of the key's certificate, if it differs from the alias.
    pub(super) certificate_alias: Option<String>,
    pub(super) key: Result<ParsedKey>,
}

impl KeyEntry {
    pub(super) fn new(alias: Option<String>, key: Result<ParsedKey>) -> Self {
        Self { alias, certificate_alias: None, key }
    }
}
