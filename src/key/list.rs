//! Contents of a key store: all keys with their type, or the error that makes them unusable, for a selection
//! dialog and for diagnostics.
//!
//! The same checks apply as for opening one key: the password is verified before anything is listed.

use crate::base::error::Result;
use crate::key::parsed_key::KeyEntry;
use crate::key::signing::SigningKey;
use crate::key::source::{KeyOrigin, KeySource};
use crate::key::{certificate, content, format, pkcs11};

/// Contents of a store.
#[derive(Debug)]
pub struct StoreContents {
    /// `JKS`, `JCEKS`, `PKCS#12`, `PKCS#11`, `JSON`, `PEM` or `DER`.
    pub format: &'static str,
    /// Keys in the order of the store.
    pub keys: Vec<ListedKey>,
}

/// One key of a store.
#[derive(Debug)]
pub struct ListedKey {
    /// Alias for JWTCertAlias; PEM and DER have none.
    pub alias: Option<String>,
    /// Name of the key's certificate, by which JWTCertAlias finds the key, too; `None` if it is the same.
    pub certificate_alias: Option<String>,
    /// The key, or the error that makes it unusable.
    pub key: Result<SigningKey>,
}

/// Lists the keys of the store or inline text of `source`, regardless of its alias; `None` for a shared
/// secret or a signer callback.
///
/// # Errors
/// If the store cannot be opened.
pub fn list(source: &KeySource) -> Result<Option<StoreContents>> {
    let content = match &source.origin {
        KeyOrigin::File(file) => content::read_key_file(source, file)?.0,
        KeyOrigin::Inline(text) => content::decode_inline(source, text.reveal())?,
        KeyOrigin::Pkcs11(uri) => {
            let keys = pkcs11::list(source, uri)?.into_iter();
            let keys = keys
                .map(|(label, key)| ListedKey { alias: Some(label), certificate_alias: None, key })
                .collect();
            return Ok(Some(StoreContents { format: "PKCS#11", keys }));
        }
        KeyOrigin::HmacSecret(_) | KeyOrigin::Callback(_) => return Ok(None),
    };
    let format = format::detect_or_error(source, &content)?;
    let keys = format::read(source, &content, format.read_all_keys)?.into_iter();
    Ok(Some(StoreContents {
        format: (format.name)(&content),
        keys: keys.map(|entry| open_listed_key(source, entry)).collect(),
    }))
}

fn open_listed_key(source: &KeySource, entry: KeyEntry) -> ListedKey {
    let key = entry.key.and_then(|parsed| SigningKey::new(source, parsed)).map(|mut key| {
        // JWTCertificate belongs to one of the keys; a mismatch with the others is not an error.
        if let Ok(Some((chain, _))) = certificate::read_chain_for(source, key.public_key()) {
            key.attach_chain(chain);
        }
        key
    });
    ListedKey { alias: entry.alias, certificate_alias: entry.certificate_alias, key }
}
