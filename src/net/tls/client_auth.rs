//! The client's own certificate: the key of KeyStore, which signs in the handshake as it signs assertions, and its chain.

use std::fmt;
use std::sync::Arc;

use jsonwebtoken::Algorithm;
use rustls::client::ResolvesClientCert;
use rustls::sign::{CertifiedKey, Signer, SigningKey, SingleCertAndKey};
use rustls::{OtherError, SignatureAlgorithm, SignatureScheme};

use crate::base::error::{Error, Result, Status};
use crate::key::{self, KeyCache, KeySource};

/// What a key can sign in TLS, by the algorithm of the JWS that is the same signature; the better ones first.
const SIGNATURE_SCHEMES: [(SignatureScheme, Algorithm); 9] = [
    (SignatureScheme::ED25519, Algorithm::EdDSA),
    (SignatureScheme::ECDSA_NISTP256_SHA256, Algorithm::ES256),
    (SignatureScheme::ECDSA_NISTP384_SHA384, Algorithm::ES384),
    (SignatureScheme::RSA_PSS_SHA512, Algorithm::PS512),
    (SignatureScheme::RSA_PSS_SHA384, Algorithm::PS384),
    (SignatureScheme::RSA_PSS_SHA256, Algorithm::PS256),
    (SignatureScheme::RSA_PKCS1_SHA512, Algorithm::RS512),
    (SignatureScheme::RSA_PKCS1_SHA384, Algorithm::RS384),
    (SignatureScheme::RSA_PKCS1_SHA256, Algorithm::RS256),
];

/// The certificate that servers are shown, opened through `keys`.
pub(super) fn build_client_cert_resolver(
    source: &KeySource,
    keys: &KeyCache,
) -> Result<Arc<dyn ResolvesClientCert>> {
    let key = keys.get_or_open(source)?;
    let chain = key.certificates().to_vec();
    if chain.is_empty() {
        return Err(missing_certificate_error(source));
    }
    Ok(Arc::new(SingleCertAndKey::from(CertifiedKey::new(chain, Arc::new(ClientAuthKey(key))))))
}

fn missing_certificate_error(source: &KeySource) -> Error {
    let text = format!(
        "{} holds no certificate of its key, and a server asks for one; put the certificate beside the key",
        source.display_name()
    );
    Error::new(Status::KeyUnsuitable, "tls", text).with_option("KeyStore")
}

struct ClientAuthKey(Arc<key::SigningKey>);

impl SigningKey for ClientAuthKey {
    fn choose_scheme(&self, offered: &[SignatureScheme]) -> Option<Box<dyn Signer>> {
        let fits = |algorithm: Algorithm| self.0.select_algorithm(Some(algorithm)).is_ok();
        let (scheme, algorithm) = SIGNATURE_SCHEMES
            .into_iter()
            .find(|(scheme, algorithm)| offered.contains(scheme) && fits(*algorithm))?;
        Some(Box::new(ClientAuthSigner { key: Arc::clone(&self.0), scheme, algorithm }))
    }

    fn algorithm(&self) -> SignatureAlgorithm {
        match self.0.select_algorithm(None) {
            Ok(Algorithm::EdDSA) => SignatureAlgorithm::ED25519,
            Ok(Algorithm::ES256 | Algorithm::ES384) => SignatureAlgorithm::ECDSA,
            _ => SignatureAlgorithm::RSA,
        }
    }
}

struct ClientAuthSigner {
    key: Arc<key::SigningKey>,
    scheme: SignatureScheme,
    algorithm: Algorithm,
}

impl Signer for ClientAuthSigner {
    fn sign(&self, message: &[u8]) -> std::result::Result<Vec<u8>, rustls::Error> {
        let signature = self.key.sign(self.algorithm, message);
        let signature = signature.map_err(|error| rustls::Error::Other(OtherError(Arc::new(error))))?;
        Ok(match self.algorithm {
            Algorithm::ES256 | Algorithm::ES384 => encode_ecdsa_signature_der(&signature),
            _ => signature,
        })
    }

    fn scheme(&self) -> SignatureScheme {
        self.scheme
    }
}

/// The two numbers of an ECDSA signature, which JWS writes one after the other, as TLS wants them (RFC 3279 section
/// 2.2.3).
fn encode_ecdsa_signature_der(signature: &[u8]) -> Vec<u8> {
    let (r, s) = signature.split_at(signature.len() / 2);
    encode_der_element(0x30, &[encode_der_integer(r), encode_der_integer(s)].concat())
}

fn encode_der_integer(number: &[u8]) -> Vec<u8> {
    let mut digits: Vec<u8> = number.iter().copied().skip_while(|byte| *byte == 0).collect();
    if digits.first().is_none_or(|first| *first >= 0x80) {
        digits.insert(0, 0);
    }
    encode_der_element(0x02, &digits)
}

/// Both curves stay below 256 bytes.
fn encode_der_element(tag: u8, content: &[u8]) -> Vec<u8> {
    let length = u8::try_from(content.len()).unwrap_or(u8::MAX);
    let long = (length >= 0x80).then_some(0x81);
    [tag].into_iter().chain(long).chain([length]).chain(content.iter().copied()).collect()
}

impl fmt::Debug for ClientAuthKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Debug for ClientAuthSigner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ClientSigner({:?})", self.scheme)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ecdsa_signature_is_der_encoded() {
        let mut raw = [0; 64];
        raw[31] = 0x7f;
        raw[63] = 0x80;
        assert_eq!(encode_ecdsa_signature_der(&raw), [0x30, 7, 2, 1, 0x7f, 2, 2, 0, 0x80]);
        assert_eq!(encode_ecdsa_signature_der(&[0; 64]), [0x30, 6, 2, 1, 0, 2, 1, 0]);
        let long = encode_ecdsa_signature_der(&[0xff; 132]);
        assert_eq!(long[..4], [0x30, 0x81, 138, 2]);
        assert_eq!(long.len(), 141);
    }
}
