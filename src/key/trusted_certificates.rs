//! Trusted certificates of a store.

use zeroize::Zeroizing;

use crate::base::error::Result;
use crate::key::certificate::chain;
use crate::key::source::KeySource;
use crate::key::{armor, format};

/// Content of a trust store.
pub enum TrustedCertificates {
    /// Those of a JKS, JCEKS or PKCS#12 store, or one certificate in DER.
    Found(Result<Vec<Vec<u8>>>),
    /// Text that may be PEM, without a byte order mark or escaped line breaks.
    Pem(Zeroizing<Vec<u8>>),
}

/// Reads the trusted certificates in the content of a file.
pub fn read_trusted_certificates(source: &KeySource, content: Zeroizing<Vec<u8>>) -> TrustedCertificates {
    let is_binary = |content: &[u8]| format::is_binary(content) || chain::is_certificate(content);
    let content = armor::remove(content, is_binary);
    match format::detect(&content).and_then(|format| format.read_trusted_certificates) {
        Some(read) => TrustedCertificates::Found(format::read(source, &content, read)),
        None if chain::is_certificate(&content) => TrustedCertificates::Found(Ok(vec![content.to_vec()])),
        None => TrustedCertificates::Pem(content),
    }
}

#[cfg(test)]
mod tests {
    use rcgen::{CertificateParams, DnType, KeyPair};

    use super::*;

    #[test]
    fn certificate_in_der_is_read_unchanged() {
        let mut parameters = CertificateParams::new(Vec::new()).unwrap();
        // Its name is not unescaped as PEM would be.
        parameters.distinguished_name.push(DnType::CommonName, r"-----BEGIN X-----\n");
        let certificate = parameters.self_signed(&KeyPair::generate().unwrap()).unwrap();
        let content = Zeroizing::new(certificate.der().to_vec());
        match read_trusted_certificates(&KeySource::inline(""), content) {
            TrustedCertificates::Found(found) => assert_eq!(found.unwrap(), [certificate.der().to_vec()]),
            TrustedCertificates::Pem(_) => panic!("not recognized"),
        }
    }
}
