//! JWTCertificate: the X.509 file for a key whose store has no certificate; PEM or DER, detected from the
//! content.

pub(super) mod cert_header;
pub(super) mod chain;
pub(super) mod x509;

use rustls::pki_types::CertificateDer;
use zeroize::Zeroizing;

use crate::base::error::{Error, KeyError, Result};
use crate::base::file::FileVersion;
use crate::key::armor;
use crate::key::file::{self, NamedFile};
use crate::key::format::pem;
use crate::key::source::KeySource;

/// Returns the chain in JWTCertificate for `public_key`, and the version of the file; `None` without
/// JWTCertificate.
///
/// A certificate of a different key is an error: it would name a key that did not sign, which servers answer
/// with no more than "not registered".
pub(super) fn read_chain_for(
    source: &KeySource,
    public_key: &[u8],
) -> Result<Option<(Vec<CertificateDer<'static>>, FileVersion)>> {
    let Some(file) = configured_file(source) else {
        return Ok(None);
    };
    let (content, version) = file::read_file(&file)?;
    let chain = chain::build_for_public_key(public_key, &parse_certificates(&file, content)?);
    if chain.is_empty() {
        return Err(key_mismatch_error(source, &file));
    }
    Ok(Some((chain, version)))
}

/// Returns the chain in JWTCertificate for a key whose public key is unknown; empty without JWTCertificate.
pub(super) fn read_unmatched_chain(source: &KeySource) -> Result<Vec<CertificateDer<'static>>> {
    let Some(file) = configured_file(source) else {
        return Ok(Vec::new());
    };
    let (content, _) = file::read_file(&file)?;
    Ok(chain::build_from_leaf(&parse_certificates(&file, content)?))
}

pub(super) fn configured_file(source: &KeySource) -> Option<NamedFile<'_>> {
    source.certificate.as_ref().map(|file| NamedFile { option: "JWTCertificate", file })
}

fn key_mismatch_error(source: &KeySource, file: &NamedFile<'_>) -> Error {
    let text = format!(
        "{file} does not match the private key in {}; name the certificate of this key",
        source.display_name()
    );
    Error::new(KeyError::Unsuitable, "key store", text).with_option(file.option)
}

fn parse_certificates(file: &NamedFile<'_>, content: Zeroizing<Vec<u8>>) -> Result<Vec<Vec<u8>>> {
    let content = armor::remove(content, chain::is_certificate);
    let found = if pem::is_pem(&content) {
        pem::parse_certificates(&content).ok_or_else(|| file.store_error("is truncated or damaged PEM"))?
    } else {
        vec![content.to_vec()]
    };
    if found.is_empty() {
        return Err(file.store_error("is PEM without a CERTIFICATE block"));
    }
    if !found.iter().all(|certificate| chain::is_certificate(certificate)) {
        return Err(file.store_error("is not an X.509 certificate in PEM or DER, or is damaged"));
    }
    Ok(found)
}
