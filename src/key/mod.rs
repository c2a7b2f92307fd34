//! Key material: opens a key file, an inline key, a shared secret, a PKCS#11 key or a signer callback as a
//! [`SigningKey`].
//!
//! The format is detected from the content, never from the file name: since Java 9, keytool writes PKCS#12
//! into files called `.jks`. The structure of a file is checked before its password, so that a truncated file
//! is not reported as a wrong password. Every error names the store as configured.

mod asn1;
mod cache;
mod callback_signer;
mod certificate;
mod content;
mod crypto;
mod file;
mod format;
mod lenient_base64;
mod list;
mod message;
mod metadata;
mod metadata_cache;
mod parsed_key;
mod pkcs11;
mod pkcs11_uri;
mod private_key;
mod select;
mod signing;
mod source;

#[cfg(test)]
pub(crate) mod fixtures;
#[cfg(test)]
mod tests;

use crate::base::error::Result;
use crate::base::file::FileVersion;
use crate::key::certificate::chain;
use crate::key::parsed_key::ParsedKey;
use crate::key::signing::callback;

pub use crate::key::certificate::cert_header::CertHeader;
pub use crate::key::certificate::x509::CertificateInfo;
pub use cache::KeyCache;
pub use callback_signer::{CallbackSigner, SignFn};
pub use list::{ListedKey, StoreContents, list};
pub use metadata::{BoxAppSettings, GoogleServiceAccount, KeyFileMetadata};
pub use metadata_cache::read_metadata;
pub use pkcs11_uri::Pkcs11Uri;
pub use signing::SigningKey;
pub use source::{KeyOrigin, KeySource, StorePurpose};

/// Opens the key and prepares it for signing.
pub fn open(source: &KeySource) -> Result<SigningKey> {
    open_with_versions(source).map(|(key, _)| key)
}

/// As [`open`]; also returns the versions of the files read, by which later changes are detected.
fn open_with_versions(source: &KeySource) -> Result<(SigningKey, Vec<FileVersion>)> {
    let (parsed, mut versions, loose_permissions) = match &source.origin {
        KeyOrigin::File(file) => {
            let (content, version, loose_permissions) = content::read_key_file(source, file)?;
            (parse_key(source, &content)?, vec![version], loose_permissions)
        }
        KeyOrigin::Inline(text) => {
            (parse_key(source, &content::decode_inline(source, text.reveal())?)?, Vec::new(), None)
        }
        KeyOrigin::Pkcs11(uri) => {
            let mut key = pkcs11::open(source, uri)?;
            let versions = attach_certificate(source, &mut key)?;
            return Ok((key, versions));
        }
        KeyOrigin::HmacSecret(text) => {
            return Ok((SigningKey::from_hmac_secret(source, text.reveal())?, Vec::new()));
        }
        KeyOrigin::Callback(signer) => return Ok((callback::open(source, signer)?, Vec::new())),
    };
    let mut key = SigningKey::new(source, parsed)?;
    key.loose_permissions = loose_permissions;
    versions.extend(attach_certificate(source, &mut key)?);
    Ok((key, versions))
}

/// Attaches the chain in JWTCertificate, if set, to the key; returns the version of the file.
fn attach_certificate(source: &KeySource, key: &mut SigningKey) -> Result<Vec<FileVersion>> {
    let Some((chain, version)) = certificate::read_chain_for(source, key.public_key())? else {
        return Ok(Vec::new());
    };
    key.attach_chain(chain);
    Ok(vec![version])
}

/// Returns the trusted certificates of a JKS, JCEKS or PKCS#12 store, or one certificate in DER; `None` if
/// `content` has another format.
pub fn read_trusted_certificates(source: &KeySource, content: &[u8]) -> Option<Result<Vec<Vec<u8>>>> {
    match format::detect(content).and_then(|format| format.read_trusted_certificates) {
        Some(read) => Some(read(source, content)),
        None => chain::is_certificate(content).then(|| Ok(vec![content.to_vec()])),
    }
}

fn parse_key(source: &KeySource, content: &[u8]) -> Result<ParsedKey> {
    (format::detect_or_error(source, content)?.read_key)(source, content)
}
