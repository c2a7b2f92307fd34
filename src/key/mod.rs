//! Key material: a file, a text or a shared secret in, a key that signs out.
//!
//! The content decides the format, never the file's name: keytool has written PKCS#12 into files called `.jks`
//! since Java 9. Whether a file is whole is looked at before its password is blamed. Each error names the store as
//! the user typed it.

mod asn1;
mod cache;
mod certificate;
mod crypto;
mod file;
mod format;
mod hmac_secret;
mod inline;
mod list;
mod metadata;
mod metadata_cache;
mod pkcs11;
mod private_key;
mod select;
mod signing;
mod source;

#[cfg(test)]
pub(crate) mod fixtures;
#[cfg(test)]
mod tests;

use zeroize::Zeroizing;

use crate::base::error::Result;
use crate::base::file::FileVersion;
use crate::key::certificate::chain;
use crate::key::crypto::kdf_budget::Budget;
use crate::key::format::{jks, json, pem, pkcs12};
use crate::key::signing::callback;

#[cfg(test)]
use metadata::hints_by;

pub use crate::key::certificate::cert_header::Thumbprint;
pub use crate::key::certificate::x509::Facts;
pub use crate::key::signing::callback::{HostSigner, Sign};
pub use cache::KeyRing;
pub use list::{Listed, Listing, list};
pub use metadata::{BoxHints, GoogleHints, Hints, hints};
pub use pkcs11::Uri;
pub use signing::SigningKey;
pub use source::{KeyOrigin, KeySource, Purpose};

enum Key {
    /// PKCS#8, PKCS#1 or SEC1; the shape tells which.
    Private(Zeroizing<Vec<u8>>),
    /// What both sides know.
    Shared(Zeroizing<Vec<u8>>),
}

/// What a format's reader hands over: one private key, and what stood with it.
struct Material {
    key: Key,
    certificates: Vec<Vec<u8>>,
    alias: Option<String>,
    /// By which the server knows the key, where the file says it.
    key_id: Option<String>,
}

/// A key of a store, by its alias where the format has aliases; or why it does not open.
type Candidate = (Option<String>, Result<Material>);

/// Reads the key from where it is and makes it ready to sign.
pub fn open(source: &KeySource) -> Result<SigningKey> {
    open_with_stamps(source).map(|(key, _)| key)
}

/// The key, and by what to tell that one of its files has changed since.
fn open_with_stamps(source: &KeySource) -> Result<(SigningKey, Vec<FileVersion>)> {
    let (material, mut stamps, exposed) = match &source.origin {
        KeyOrigin::Store(file) => {
            let (content, stamp, exposed) = file::read_key(source, file)?;
            (read(source, &content)?, vec![stamp], exposed)
        }
        KeyOrigin::Text(written) => {
            (read(source, &inline::content(source, written.reveal())?)?, Vec::new(), None)
        }
        KeyOrigin::Pkcs11(uri) => {
            let mut key = pkcs11::open(source, uri)?;
            let stamps = offer_certificate(source, &mut key)?;
            return Ok((key, stamps));
        }
        KeyOrigin::Shared(written) => {
            return Ok((SigningKey::shared(source, written.reveal())?, Vec::new()));
        }
        KeyOrigin::Signer(signer) => return Ok((callback::open(source, signer)?, Vec::new())),
    };
    let mut key = SigningKey::new(source, material)?;
    key.exposed = exposed;
    stamps.extend(offer_certificate(source, &mut key)?);
    Ok((key, stamps))
}

/// Hands the key what JWTCertificate holds, if there is one; the file's stamp.
fn offer_certificate(source: &KeySource, key: &mut SigningKey) -> Result<Vec<FileVersion>> {
    let Some((chain, stamp)) = certificate::read(source, key.public_key())? else {
        return Ok(Vec::new());
    };
    key.offer(chain);
    Ok(vec![stamp])
}

/// The trusted certificates of a store that is JKS, JCEKS or PKCS#12, or one certificate in DER; nothing if `content` is
/// something else.
pub fn trusted_certificates(source: &KeySource, content: &[u8]) -> Option<Result<Vec<Vec<u8>>>> {
    if jks::is_store(content) {
        Some(jks::trusted(source, content))
    } else if pkcs12::is_pfx(content) {
        Some(pkcs12::trusted(source, content))
    } else {
        chain::is_certificate(content).then(|| Ok(vec![content.to_vec()]))
    }
}

fn read(source: &KeySource, content: &[u8]) -> Result<Material> {
    match format(source, content)? {
        Format::Java => jks::read(source, content),
        Format::Pkcs12 => pkcs12::read(source, content),
        Format::Json => json::read(source, content),
        Format::Pem => pem::read(source, content),
        Format::Der => bare(source, content),
    }
}

/// What content may be.
#[derive(Clone, Copy)]
enum Format {
    /// JKS or JCEKS.
    Java,
    Pkcs12,
    Json,
    Pem,
    /// A key, or one that is encrypted, without anything around it.
    Der,
}

fn format(source: &KeySource, content: &[u8]) -> Result<Format> {
    if jks::is_store(content) {
        return Ok(Format::Java);
    }
    if pkcs12::is_pfx(content) {
        return Ok(Format::Pkcs12);
    }
    // Before PEM, which stands in JSON too.
    if json::is_json(content) {
        return Ok(Format::Json);
    }
    if pem::is_pem(content) {
        return Ok(Format::Pem);
    }
    if private_key::is_key(content) || pem::is_encrypted_key(content) {
        return Ok(Format::Der);
    }
    Err(source.broken(source.unknown()))
}

/// DER without anything around it: a key, or one that is encrypted.
fn bare(source: &KeySource, content: &[u8]) -> Result<Material> {
    let der = if private_key::is_key(content) {
        Zeroizing::new(content.to_vec())
    } else {
        pem::decrypt(source, content, &mut Budget::new())?
    };
    Ok(Material { key: Key::Private(der), certificates: Vec::new(), alias: None, key_id: None })
}
