//! Certificates that stand with a key, put in order: the key's own first, then each one's issuer.
//!
//! Stores differ in how they tie a certificate to its key (order, key ids, not at all); the public key in the
//! certificate always tells.

use rustls::pki_types::CertificateDer;

use crate::key::asn1::der;

/// The parts of a certificate that a chain is made by (RFC 5280 section 4.1).
struct CertificateFields<'a> {
    issuer: &'a [u8],
    subject: &'a [u8],
    public_key: &'a [u8],
    /// The SubjectPublicKeyInfo, without its own tag and length.
    spki_contents: &'a [u8],
}

fn parse_fields(certificate: &[u8]) -> Option<CertificateFields<'_>> {
    let signed = der::parse_sequence(certificate)?;
    let body = der::sequence_children(signed.first()?)?;
    // The version, tagged [0], is left out in version 1.
    let version = usize::from(der::is_context_specific(body.first()?));
    let field = |place: usize| body.get(version.checked_add(place)?);
    let info = field(5)?;
    let key = der::sequence_children(info)?;
    Some(CertificateFields {
        issuer: field(2)?.value(),
        subject: field(4)?.value(),
        public_key: key.get(1)?.value().get(1..)?,
        spki_contents: info.value(),
    })
}

/// Whether `bytes` have the form of a certificate.
pub(in crate::key) fn is_certificate(bytes: &[u8]) -> bool {
    parse_fields(bytes).is_some()
}

/// The SubjectPublicKeyInfo of a certificate, and the public key in it.
pub(in crate::key) fn extract_public_key(certificate: &[u8]) -> Option<(Vec<u8>, Vec<u8>)> {
    let parts = parse_fields(certificate)?;
    Some((der::encode_element(0x30, &[parts.spki_contents]).to_vec(), parts.public_key.to_vec()))
}

/// The chain of the first certificate that has issued none of the others.
pub(in crate::key) fn build_from_leaf(certificates: &[Vec<u8>]) -> Vec<CertificateDer<'static>> {
    let all: Vec<_> = certificates.iter().filter_map(|certificate| parse_fields(certificate)).collect();
    let issued = |one: &CertificateFields<'_>, other: &CertificateFields<'_>| {
        other.issuer == one.subject && other.subject != one.subject
    };
    let leaf = all.iter().find(|one| !all.iter().any(|other| issued(one, other)));
    leaf.or(all.first()).map(|leaf| build_for_public_key(leaf.public_key, certificates)).unwrap_or_default()
}

/// The chain of the key whose public half is `public_key`; empty if no certificate holds it.
pub(in crate::key) fn build_for_public_key(
    public_key: &[u8],
    certificates: &[Vec<u8>],
) -> Vec<CertificateDer<'static>> {
    let mut left: Vec<_> = certificates
        .iter()
        .filter_map(|certificate| Some((certificate, parse_fields(certificate)?)))
        .collect();
    let mut chain = Vec::new();
    let mut place = left.iter().position(|(_, parts)| parts.public_key == public_key);
    while let Some(found) = place {
        let (certificate, parts) = left.remove(found);
        chain.push(CertificateDer::from(certificate.clone()));
        place =
            left.iter().position(|(_, other)| other.subject == parts.issuer && parts.issuer != parts.subject);
    }
    chain
}
