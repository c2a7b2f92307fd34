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
use crate::key::crypto::kdf_budget::KdfBudget;
use crate::key::format::{jks, json, pem, pkcs12};
use crate::key::signing::callback;

#[cfg(test)]
use metadata::read_metadata_with;

pub use crate::key::certificate::cert_header::CertHeader;
pub use crate::key::certificate::x509::CertificateInfo;
pub use crate::key::signing::callback::{CallbackSigner, SignFn};
pub use cache::KeyCache;
pub use list::{ListedKey, StoreContents, list};
pub use metadata::{BoxAppSettings, GoogleServiceAccount, KeyFileMetadata, read_metadata};
pub use pkcs11::Pkcs11Uri;
pub use signing::SigningKey;
pub use source::{KeyOrigin, KeySource, StorePurpose};

enum KeyBytes {
    /// PKCS#8, PKCS#1 or SEC1; the shape tells which.
    Private(Zeroizing<Vec<u8>>),
    /// What both sides know.
    HmacSecret(Zeroizing<Vec<u8>>),
}

/// What a format's reader hands over: one private key, and what stood with it.
struct ParsedKey {
    key: KeyBytes,
    certificates: Vec<Vec<u8>>,
    alias: Option<String>,
    /// By which the server knows the key, where the file says it.
    key_id: Option<String>,
}

/// A key of a store, by its alias where the format has aliases; or why it does not open.
type EntryResult = (Option<String>, Result<ParsedKey>);

/// Reads the key from where it is and makes it ready to sign.
pub fn open(source: &KeySource) -> Result<SigningKey> {
    open_with_versions(source).map(|(key, _)| key)
}

/// The key, and by what to tell that one of its files has changed since.
fn open_with_versions(source: &KeySource) -> Result<(SigningKey, Vec<FileVersion>)> {
    let (material, mut stamps, exposed) = match &source.origin {
        KeyOrigin::File(file) => {
            let (content, stamp, exposed) = file::read_key_file(source, file)?;
            (parse_key(source, &content)?, vec![stamp], exposed)
        }
        KeyOrigin::Inline(written) => {
            (parse_key(source, &inline::decode_inline(source, written.reveal())?)?, Vec::new(), None)
        }
        KeyOrigin::Pkcs11(uri) => {
            let mut key = pkcs11::open(source, uri)?;
            let stamps = attach_certificate(source, &mut key)?;
            return Ok((key, stamps));
        }
        KeyOrigin::HmacSecret(written) => {
            return Ok((SigningKey::from_hmac_secret(source, written.reveal())?, Vec::new()));
        }
        KeyOrigin::Callback(signer) => return Ok((callback::open(source, signer)?, Vec::new())),
    };
    let mut key = SigningKey::new(source, material)?;
    key.loose_permissions = exposed;
    stamps.extend(attach_certificate(source, &mut key)?);
    Ok((key, stamps))
}

/// Hands the key what JWTCertificate holds, if there is one; the file's stamp.
fn attach_certificate(source: &KeySource, key: &mut SigningKey) -> Result<Vec<FileVersion>> {
    let Some((chain, stamp)) = certificate::read_chain_for(source, key.public_key())? else {
        return Ok(Vec::new());
    };
    key.attach_chain(chain);
    Ok(vec![stamp])
}

/// The trusted certificates of a store that is JKS, JCEKS or PKCS#12, or one certificate in DER; nothing if `content` is
/// something else.
pub fn read_trusted_certificates(source: &KeySource, content: &[u8]) -> Option<Result<Vec<Vec<u8>>>> {
    if jks::is_java_key_store(content) {
        Some(jks::read_trusted_certificates(source, content))
    } else if pkcs12::is_pfx(content) {
        Some(pkcs12::read_trusted_certificates(source, content))
    } else {
        chain::is_certificate(content).then(|| Ok(vec![content.to_vec()]))
    }
}

fn parse_key(source: &KeySource, content: &[u8]) -> Result<ParsedKey> {
    match detect_format(source, content)? {
        KeyFormat::JavaKeyStore => jks::read_key(source, content),
        KeyFormat::Pkcs12 => pkcs12::read_key(source, content),
        KeyFormat::Json => json::read_key(source, content),
        KeyFormat::Pem => pem::read_key(source, content),
        KeyFormat::Der => read_der(source, content),
    }
}

/// What content may be.
#[derive(Clone, Copy)]
enum KeyFormat {
    /// JKS or JCEKS.
    JavaKeyStore,
    Pkcs12,
    Json,
    Pem,
    /// A key, or one that is encrypted, without anything around it.
    Der,
}

fn detect_format(source: &KeySource, content: &[u8]) -> Result<KeyFormat> {
    if jks::is_java_key_store(content) {
        return Ok(KeyFormat::JavaKeyStore);
    }
    if pkcs12::is_pfx(content) {
        return Ok(KeyFormat::Pkcs12);
    }
    // Before PEM, which stands in JSON too.
    if json::is_json(content) {
        return Ok(KeyFormat::Json);
    }
    if pem::is_pem(content) {
        return Ok(KeyFormat::Pem);
    }
    if private_key::is_private_key(content) || pem::is_encrypted_pkcs8(content) {
        return Ok(KeyFormat::Der);
    }
    Err(source.store_error(source.unrecognized_text()))
}

/// DER without anything around it: a key, or one that is encrypted.
fn read_der(source: &KeySource, content: &[u8]) -> Result<ParsedKey> {
    let der = if private_key::is_private_key(content) {
        Zeroizing::new(content.to_vec())
    } else {
        pem::decrypt_pkcs8(source, content, &mut KdfBudget::new())?
    };
    Ok(ParsedKey { key: KeyBytes::Private(der), certificates: Vec::new(), alias: None, key_id: None })
}
