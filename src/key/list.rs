//! All keys of a store with what each is good for, for a dialog to choose from and for whoever looks for a mistake.
//!
//! A store says what it holds under the same conditions as when one key is asked of it: its password comes first.

use super::{
    Candidate, Format, KeyOrigin, KeySource, SigningKey, bare, certificate, file, format, inline, pkcs11,
};
use crate::base::error::Result;
use crate::key::format::{jks, json, pem, pkcs12};

/// What a store holds.
#[derive(Debug)]
pub struct Listing {
    /// `JKS`, `JCEKS`, `PKCS#12`, `PKCS#11`, `JSON`, `PEM` or `DER`.
    pub kind: &'static str,
    /// Its keys, in its order.
    pub keys: Vec<Listed>,
}

/// One key of a store.
#[derive(Debug)]
pub struct Listed {
    /// By which JWTCertAlias names it; PEM and DER have none.
    pub alias: Option<String>,
    /// The key, or why it does not open or is of no use.
    pub key: Result<SigningKey>,
}

/// What the store or the text of `source` holds, whatever alias is asked for; nothing for a shared secret or a signer.
///
/// # Errors
/// Those of opening it.
pub fn list(source: &KeySource) -> Result<Option<Listing>> {
    let content = match &source.origin {
        KeyOrigin::Store(file) => file::read_key(source, file)?.0,
        KeyOrigin::Text(written) => inline::content(source, written.reveal())?,
        KeyOrigin::Pkcs11(uri) => {
            return Ok(Some(Listing { kind: "PKCS#11", keys: pkcs11::list(source, uri)? }));
        }
        KeyOrigin::Shared(_) | KeyOrigin::Signer(_) => return Ok(None),
    };
    let (kind, found): (_, Vec<Candidate>) = match format(source, &content)? {
        Format::Java => (jks::name(&content), jks::all(source, &content)?),
        Format::Pkcs12 => ("PKCS#12", pkcs12::all(source, &content)?),
        Format::Json => ("JSON", json::all(source, &content)?),
        Format::Pem => ("PEM", pem::all(source, &content)?),
        Format::Der => ("DER", vec![(None, bare(source, &content))]),
    };
    Ok(Some(Listing { kind, keys: found.into_iter().map(|candidate| listed(source, candidate)).collect() }))
}

fn listed(source: &KeySource, (alias, material): Candidate) -> Listed {
    let key = material.and_then(|material| SigningKey::new(source, material)).map(|mut key| {
        // JWTCertificate belongs to one of the keys; that it is another's is no fault of this one.
        if let Ok(Some((chain, _))) = certificate::read(source, key.public_key()) {
            key.offer(chain);
        }
        key
    });
    Listed { alias, key }
}
