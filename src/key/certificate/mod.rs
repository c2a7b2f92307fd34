//! JWTCertificate: the X.509 file of a key whose store holds no certificate, PEM or DER by its content.

pub(super) mod cert_header;
pub(super) mod chain;
pub(super) mod x509;

use rustls::pki_types::CertificateDer;

use super::file::NamedFile;
use super::{KeySource, file as store};
use crate::base::error::{Error, Result, Status};
use crate::base::file::FileVersion;
use crate::key::format::pem;

/// The chain that JWTCertificate holds for the key whose public half is `public_key`, and the file's stamp; nothing
/// without JWTCertificate.
///
/// A certificate of another key is refused: it would name a key that did not sign, which servers answer with no more
/// than "not registered".
pub(super) fn read_chain_for(
    source: &KeySource,
    public_key: &[u8],
) -> Result<Option<(Vec<CertificateDer<'static>>, FileVersion)>> {
    let Some(named) = configured_file(source) else {
        return Ok(None);
    };
    let (content, stamp) = store::read_file(&named)?;
    let chain = chain::build_for_public_key(public_key, &parse_certificates(&named, &content)?);
    if chain.is_empty() {
        return Err(key_mismatch_error(source, &named));
    }
    Ok(Some((chain, stamp)))
}

/// The chain that JWTCertificate holds for a key that nobody here sees; empty without JWTCertificate.
pub(super) fn read_unmatched_chain(source: &KeySource) -> Result<Vec<CertificateDer<'static>>> {
    let Some(named) = configured_file(source) else {
        return Ok(Vec::new());
    };
    let (content, _) = store::read_file(&named)?;
    Ok(chain::build_from_leaf(&parse_certificates(&named, &content)?))
}

pub(super) fn configured_file(source: &KeySource) -> Option<NamedFile<'_>> {
    source.certificate.as_ref().map(|file| NamedFile { option: "JWTCertificate", file })
}

fn key_mismatch_error(source: &KeySource, named: &NamedFile<'_>) -> Error {
    let text = format!(
        "{named} is the certificate of another key than that of {}; name the one that was made for this key",
        source.display_name()
    );
    Error::new(Status::KeyUnsuitable, "key store", text).with_option(named.option)
}

fn parse_certificates(named: &NamedFile<'_>, content: &[u8]) -> Result<Vec<Vec<u8>>> {
    let found = if pem::is_pem(content) {
        pem::parse_certificates(content)
            .ok_or_else(|| named.store_error("is PEM that was cut short or damaged"))?
    } else {
        vec![content.to_vec()]
    };
    if found.is_empty() {
        return Err(named.store_error("is PEM without a CERTIFICATE"));
    }
    if !found.iter().all(|certificate| chain::is_certificate(certificate)) {
        return Err(named.store_error("is not an X.509 certificate in PEM or DER, or was damaged"));
    }
    Ok(found)
}
