//! Opens the key of a source and prepares it for signing.

use crate::base::error::Result;
use crate::base::file::FileVersion;
use crate::key::parsed_key::ParsedKey;
use crate::key::signing::{SigningKey, callback};
use crate::key::source::{KeyOrigin, KeySource};
use crate::key::{certificate, content, format, pkcs11};

/// Opens the key and prepares it for signing.
pub fn open(source: &KeySource) -> Result<SigningKey> {
    open_with_versions(source).map(|(key, _)| key)
}

/// As [`open`]; also returns the versions of the files read, by which later changes are detected.
pub(super) fn open_with_versions(source: &KeySource) -> Result<(SigningKey, Vec<FileVersion>)> {
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

fn parse_key(source: &KeySource, content: &[u8]) -> Result<ParsedKey> {
    format::read(source, content, format::detect_or_error(source, content)?.read_key)
}
