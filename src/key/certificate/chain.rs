//! Certificate chains: the certificates of a store in order, the key's own first, each followed by its
//! issuer's.
//!
//! Stores link a certificate to its key in different ways (by order, by key ID, or not at all), so the public
//! key in the certificate is compared.

use rustls::pki_types::CertificateDer;

use crate::key::asn1::der;

/// Fields of a certificate that determine its chain (RFC 5280 section 4.1).
struct CertificateFields<'a> {
    issuer: &'a [u8],
    subject: &'a [u8],
    public_key: &'a [u8],
    /// SubjectPublicKeyInfo without its tag and length.
    spki_contents: &'a [u8],
}

fn parse_fields(certificate: &[u8]) -> Option<CertificateFields<'_>> {
    let signed = der::parse_sequence(certificate)?;
    let body = der::sequence_children(signed.first()?)?;
    // The version, tagged [0], is absent in version 1.
    let version = usize::from(der::is_context_specific(body.first()?));
    let field = |index: usize| body.get(version.checked_add(index)?);
    let info = field(5)?;
    let key = der::sequence_children(info)?;
    Some(CertificateFields {
        issuer: field(2)?.value(),
        subject: field(4)?.value(),
        public_key: key.get(1)?.value().get(1..)?,
        spki_contents: info.value(),
    })
}

/// Whether `bytes` have the structure of a certificate.
pub(in crate::key) fn is_certificate(bytes: &[u8]) -> bool {
    parse_fields(bytes).is_some()
}

/// Returns the SubjectPublicKeyInfo of a certificate, and the public key in it.
pub(in crate::key) fn extract_public_key(certificate: &[u8]) -> Option<(Vec<u8>, Vec<u8>)> {
    let fields = parse_fields(certificate)?;
    Some((der::encode_sequence(&[fields.spki_contents]).to_vec(), fields.public_key.to_vec()))
}

/// Returns the chain of the first certificate that has issued none of the others.
pub(in crate::key) fn build_from_leaf(certificates: &[Vec<u8>]) -> Vec<CertificateDer<'static>> {
    let all: Vec<_> = certificates.iter().filter_map(|certificate| parse_fields(certificate)).collect();
    let has_issued = |issuer: &CertificateFields<'_>, other: &CertificateFields<'_>| {
        other.issuer == issuer.subject && other.subject != issuer.subject
    };
    let leaf = all.iter().find(|candidate| !all.iter().any(|other| has_issued(candidate, other)));
    leaf.or(all.first()).map(|leaf| build_for_public_key(leaf.public_key, certificates)).unwrap_or_default()
}

/// Returns the chain for `public_key`; empty if no certificate contains it.
pub(in crate::key) fn build_for_public_key(
    public_key: &[u8],
    certificates: &[Vec<u8>],
) -> Vec<CertificateDer<'static>> {
    let mut remaining: Vec<_> = certificates
        .iter()
        .filter_map(|certificate| Some((certificate, parse_fields(certificate)?)))
        .collect();
    let mut chain = Vec::new();
    let mut next = remaining.iter().position(|(_, fields)| fields.public_key == public_key);
    while let Some(index) = next {
        let (certificate, fields) = remaining.remove(index);
        chain.push(CertificateDer::from(certificate.clone()));
        next = remaining
            .iter()
            .position(|(_, other)| other.subject == fields.issuer && fields.issuer != fields.subject);
    }
    chain
}

#[cfg(test)]
mod tests {
    use rcgen::{CertificateParams, CertifiedIssuer, DnType, KeyPair};

    use super::*;

    fn named(name: &str) -> (CertificateParams, KeyPair) {
        let mut parameters = CertificateParams::new(Vec::new()).unwrap();
        parameters.distinguished_name.push(DnType::CommonName, name);
        (parameters, KeyPair::generate().unwrap())
    }

    fn self_signed(name: &str) -> CertifiedIssuer<'static, KeyPair> {
        let (parameters, key) = named(name);
        CertifiedIssuer::self_signed(parameters, key).unwrap()
    }

    fn issued_by(
        issuer: &CertifiedIssuer<'static, KeyPair>,
        name: &str,
    ) -> CertifiedIssuer<'static, KeyPair> {
        let (parameters, key) = named(name);
        CertifiedIssuer::signed_by(parameters, key, issuer).unwrap()
    }

    #[test]
    fn chain_is_built_from_any_order() {
        let root = self_signed("root");
        let intermediate = issued_by(&root, "intermediate");
        let leaf = issued_by(&intermediate, "leaf");
        let chain = [&leaf, &intermediate, &root].map(|certificate| certificate.der().clone());
        for order in [[0, 1, 2], [0, 2, 1], [1, 0, 2], [1, 2, 0], [2, 0, 1], [2, 1, 0]] {
            let certificates: Vec<_> = order.iter().map(|index: &usize| chain[*index].to_vec()).collect();
            assert_eq!(build_from_leaf(&certificates), chain, "{order:?}");
            let public_key = extract_public_key(&chain[1]).unwrap().1;
            assert_eq!(build_for_public_key(&public_key, &certificates), chain[1..], "{order:?}");
        }
    }

    #[test]
    fn certificates_of_others_are_not_in_chain() {
        let (root, other, namesake) = (self_signed("root"), self_signed("other"), self_signed("root"));
        let leaf = issued_by(&root, "leaf");
        let all = [&other, &root, &namesake, &leaf].map(|certificate| certificate.der().to_vec());
        let public_key = |certificate: &[u8]| extract_public_key(certificate).unwrap().1;
        let chain = build_for_public_key(&public_key(leaf.der()), &all);
        assert_eq!(chain, [leaf.der().clone(), root.der().clone()]);
        let alone = build_for_public_key(&public_key(namesake.der()), &all);
        assert_eq!(alone, [namesake.der().clone()]);
    }
}
