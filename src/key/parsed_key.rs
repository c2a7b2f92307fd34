//! A key as read from its format, before it is prepared for signing.

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
}

/// Key of a store with its alias, if the format has aliases, or the error that prevents opening it.
pub(super) type EntryResult = (Option<String>, Result<ParsedKey>);
