//! All keys of a store with what each is good for, for a dialog to choose from and for whoever looks for a mistake.
//!
//! A store says what it holds under the same conditions as when one key is asked of it: its password comes first.

use super::{
    EntryResult, KeyFormat, KeyOrigin, KeySource, SigningKey, certificate, detect_format, file, inline,
    pkcs11, read_der,
};
use crate::base::error::Result;
use crate::key::format::{jks, json, pem, pkcs12};

/// What a store holds.
#[derive(Debug)]
pub struct StoreContents {
    /// `JKS`, `JCEKS`, `PKCS#12`, `PKCS#11`, `JSON`, `PEM` or `DER`.
    pub format: &'static str,
    /// Its keys, in its order.
    pub keys: Vec<ListedKey>,
}

/// One key of a store.
#[derive(Debug)]
pub struct ListedKey {
    /// By which JWTCertAlias names it; PEM and DER have none.
    pub alias: Option<String>,
    /// The key, or why it does not open or is of no use.
    pub key: Result<SigningKey>,
}

/// What the store or the text of `source` holds, whatever alias is asked for; nothing for a shared secret or a signer.
///
/// # Errors
/// Those of opening it.
pub fn list(source: &KeySource) -> Result<Option<StoreContents>> {
    let content = match &source.origin {
        KeyOrigin::File(file) => file::read_key_file(source, file)?.0,
        KeyOrigin::Inline(written) => inline::decode_inline(source, written.reveal())?,
        KeyOrigin::Pkcs11(uri) => {
            return Ok(Some(StoreContents { format: "PKCS#11", keys: pkcs11::list(source, uri)? }));
        }
        KeyOrigin::HmacSecret(_) | KeyOrigin::Callback(_) => return Ok(None),
    };
    let (kind, found): (_, Vec<EntryResult>) = match detect_format(source, &content)? {
        KeyFormat::JavaKeyStore => (jks::format_name(&content), jks::read_all_keys(source, &content)?),
        KeyFormat::Pkcs12 => ("PKCS#12", pkcs12::read_all_keys(source, &content)?),
        KeyFormat::Json => ("JSON", json::read_all_keys(source, &content)?),
        KeyFormat::Pem => ("PEM", pem::read_all_keys(source, &content)?),
        KeyFormat::Der => ("DER", vec![(None, read_der(source, &content))]),
    };
    Ok(Some(StoreContents {
        format: kind,
        keys: found.into_iter().map(|candidate| open_listed_key(source, candidate)).collect(),
    }))
}

fn open_listed_key(source: &KeySource, (alias, material): EntryResult) -> ListedKey {
    let key = material.and_then(|material| SigningKey::new(source, material)).map(|mut key| {
        // JWTCertificate belongs to one of the keys; that it is another's is no fault of this one.
        if let Ok(Some((chain, _))) = certificate::read_chain_for(source, key.public_key()) {
            key.attach_chain(chain);
        }
        key
    });
    ListedKey { alias, key }
}
