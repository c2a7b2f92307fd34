//! TLS client authentication with the key and certificate chain of KeyStore.
//!
//! The key signs the handshake through the same interface as assertions, so that keys on a PKCS#11 token work
//! too.

use std::fmt;
use std::sync::Arc;

use jsonwebtoken::Algorithm;
use rustls::client::ResolvesClientCert;
use rustls::sign::{CertifiedKey, Signer, SigningKey, SingleCertAndKey};
use rustls::{OtherError, SignatureAlgorithm, SignatureScheme};

use crate::base::error::{Error, KeyError, Result};
use crate::key::{self, KeyCache, KeySource};

/// TLS signature schemes and the JWS algorithms that create the same signatures, in order of preference.
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

/// Returns the resolver for the client certificate, which is opened through `key_cache`.
pub(super) fn build_client_cert_resolver(
    source: &KeySource,
    key_cache: &KeyCache,
) -> Result<Arc<dyn ResolvesClientCert>> {
    let key = key_cache.get_or_open(source)?;
    let chain = key.certificates().to_vec();
    if chain.is_empty() {
        return Err(missing_certificate_error(source));
    }
    Ok(Arc::new(SingleCertAndKey::from(CertifiedKey::new(chain, Arc::new(ClientAuthKey(key))))))
}

fn missing_certificate_error(source: &KeySource) -> Error {
    let text = format!(
        "{} contains no certificate for its key, but TLS client authentication requires one; \
         add the certificate to it",
        source.display_name()
    );
    Error::new(KeyError::Unsuitable, "tls", text).with_option("KeyStore")
}

struct ClientAuthKey(Arc<key::SigningKey>);

impl SigningKey for ClientAuthKey {
    fn choose_scheme(&self, offered: &[SignatureScheme]) -> Option<Box<dyn Signer>> {
        let is_supported = |algorithm: Algorithm| self.0.select_algorithm(Some(algorithm)).is_ok();
        let (scheme, algorithm) = SIGNATURE_SCHEMES
            .into_iter()
            .find(|(scheme, algorithm)| offered.contains(scheme) && is_supported(*algorithm))?;
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
        let signature = self.key.sign_for_tls(self.algorithm, message);
        signature.map_err(|error| rustls::Error::Other(OtherError(Arc::new(error))))
    }

    fn scheme(&self) -> SignatureScheme {
        self.scheme
    }
}

impl fmt::Debug for ClientAuthKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Debug for ClientAuthSigner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ClientAuthSigner({:?})", self.scheme)
    }
}
