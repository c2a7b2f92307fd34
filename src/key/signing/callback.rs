//! A signer of the host program: what is to be signed goes to a function of the host's, and a signature comes back. Where the
//! key is, in a module or at a service, and how it is asked is the host's own matter.
//!
//! JWTCertificate may name the key's certificate. What comes back is verified with it: a header that names another key than
//! the one that signed is answered by servers with no more than "not registered".

use std::hash::{Hash, Hasher};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::{fmt, slice};

use aws_lc_rs::signature::{self as aws, UnparsedPublicKey, VerificationAlgorithm};
use jsonwebtoken::Algorithm;
use zeroize::Zeroizing;

use super::ecdsa;
use crate::base::error::{Error, Result, Status};
use crate::key::certificate::{self, chain};
use crate::key::signing::external::ExternalKey;
use crate::key::{KeySource, SigningKey, private_key};

/// How messages call it.
pub(in crate::key) const DISPLAY_NAME: &str = "the signer (authgrant_set_signer)";

/// The part of messages that are about it.
pub(in crate::key) const COMPONENT: &str = "signer";

/// The longest signature, that of an RSA key of 8192 bits.
const MAX_SIGNATURE_LEN: usize = 1024;

/// The shortest one of RSA, by a key of 2048 bits (RFC 7518 section 3.3).
const MIN_RSA_SIGNATURE_LEN: usize = 256;

/// Writes the signature of the message into the buffer and gives back its length, or a number that says why there is none.
pub type SignFn = dyn Fn(&[u8], &mut [u8]) -> std::result::Result<usize, i32> + Send + Sync;

/// A signer of the host's, with the algorithm that it signs by.
///
/// No two are equal: the same function may sign with another key.
#[derive(Clone)]
pub struct CallbackSigner(Arc<CallbackSignerInner>);

struct CallbackSignerInner {
    id: u64,
    algorithm: Algorithm,
    sign: Box<SignFn>,
}

impl CallbackSigner {
    /// One that signs by `algorithm`.
    #[must_use]
    pub fn new(algorithm: Algorithm, sign: Box<SignFn>) -> Self {
        static NEXT_ID: AtomicU64 = AtomicU64::new(0);
        let number = NEXT_ID.fetch_add(1, Ordering::Relaxed);
        Self(Arc::new(CallbackSignerInner { id: number, algorithm, sign }))
    }

    /// What it signs by.
    #[must_use]
    pub fn algorithm(&self) -> Algorithm {
        self.0.algorithm
    }

    /// The signature of `message` as a JWS has it.
    fn sign(&self, message: &[u8]) -> Result<Vec<u8>> {
        let mut buffer = Zeroizing::new([0; MAX_SIGNATURE_LEN]);
        let length = (self.0.sign)(message, &mut *buffer)
            .map_err(|number| signer_error(Status::KeyStore, format!("failed with the number {number}")))?;
        let signature = buffer.get(..length).filter(|signature| !signature.is_empty()).ok_or_else(|| {
            let text = format!(
                "said that its signature has {length} bytes; there is room for 1 to {MAX_SIGNATURE_LEN}"
            );
            signer_error(Status::KeyStore, text)
        })?;
        to_jws_signature(self.algorithm(), signature).map_err(|expected| {
            let algorithm = self.algorithm();
            let text = format!("gave {length} bytes, which are no signature by {algorithm:?}: {expected}");
            signer_error(Status::KeyUnsuitable, text)
        })
    }
}

impl PartialEq for CallbackSigner {
    fn eq(&self, other: &Self) -> bool {
        self.0.id == other.0.id
    }
}

impl Eq for CallbackSigner {}

impl Hash for CallbackSigner {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.0.id.hash(state);
    }
}

impl fmt::Debug for CallbackSigner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HostSigner")
            .field("number", &self.0.id)
            .field("algorithm", &self.0.algorithm)
            .finish_non_exhaustive()
    }
}

/// What went wrong inside the signer says nothing about the next call.
fn signer_error(status: Status, text: impl AsRef<str>) -> Error {
    Error::new(status, COMPONENT, format!("{DISPLAY_NAME} {}", text.as_ref())).caller_specific()
}

/// The signature in the form of a JWS, or what was expected.
fn to_jws_signature(algorithm: Algorithm, signature: &[u8]) -> std::result::Result<Vec<u8>, &'static str> {
    let whole = |fits: bool| fits.then(|| signature.to_vec());
    match algorithm {
        Algorithm::ES256 => {
            ecdsa::to_fixed(signature, 32).ok_or("expected 64 bytes, two numbers side by side, or their DER")
        }
        Algorithm::ES384 => {
            ecdsa::to_fixed(signature, 48).ok_or("expected 96 bytes, two numbers side by side, or their DER")
        }
        Algorithm::EdDSA => whole(signature.len() == 64).ok_or("expected 64 bytes"),
        _ => whole(signature.len() >= MIN_RSA_SIGNATURE_LEN)
            .ok_or("expected 256 to 1024, those of an RSA key of 2048 to 8192 bits"),
    }
}

/// The signer's key, as far as it is known here. Nothing is signed.
pub(in crate::key) fn open(source: &KeySource, signer: &CallbackSigner) -> Result<SigningKey> {
    let chain = certificate::read_unmatched_chain(source)?;
    let certified = match chain.first().zip(certificate::configured_file(source)) {
        Some((leaf, named)) => Some(CertifiedPublicKey::from_leaf(leaf, named.to_string(), signer)?),
        None => None,
    };
    let mut key = SigningKey::from_external(source, CallbackKey { signer: signer.clone(), certified });
    key.attach_chain(chain);
    Ok(key)
}

struct CallbackKey {
    signer: CallbackSigner,
    certified: Option<CertifiedPublicKey>,
}

/// The public half, where JWTCertificate holds it.
struct CertifiedPublicKey {
    /// The option and its file.
    source_name: String,
    /// The SubjectPublicKeyInfo.
    subject_public_key_info: Vec<u8>,
    public_key: Vec<u8>,
}

impl CertifiedPublicKey {
    /// That of `leaf`, if the signer's algorithm is one of its key.
    fn from_leaf(leaf: &[u8], named: String, signer: &CallbackSigner) -> Result<Self> {
        let unsuitable =
            |text: String| Error::new(Status::KeyUnsuitable, "key store", text).with_option("JWTCertificate");
        let (info, key) = chain::extract_public_key(leaf)
            .ok_or_else(|| unsuitable(format!("{named} holds no public key")))?;
        let (fits, signs) = (private_key::algorithms_for_spki(&info).unwrap_or_default(), signer.algorithm());
        if fits.contains(&signs) {
            return Ok(Self { source_name: named, subject_public_key_info: info, public_key: key });
        }
        let fits: Vec<_> = fits.iter().map(|fit| format!("{fit:?}")).collect();
        let fits = if fits.is_empty() { "nothing that is built in".to_owned() } else { fits.join(", ") };
        Err(unsuitable(format!(
            "{named} is the certificate of a key that signs {fits}, and {DISPLAY_NAME} signs {signs:?}; name the one of the \
             signer's key"
        )))
    }

    fn verify(&self, algorithm: Algorithm, message: &[u8], signature: &[u8]) -> Result<()> {
        let verified = verification_algorithm(algorithm)
            .map(|by| UnparsedPublicKey::new(by, &self.public_key).verify(message, signature).is_ok());
        if verified == Some(true) {
            return Ok(());
        }
        let text = format!("gave what is no signature by {algorithm:?} with the key of {}", self.source_name);
        Err(signer_error(Status::KeyUnsuitable, text).with_option("JWTCertificate"))
    }
}

fn verification_algorithm(algorithm: Algorithm) -> Option<&'static dyn VerificationAlgorithm> {
    Some(match algorithm {
        Algorithm::RS256 => &aws::RSA_PKCS1_2048_8192_SHA256,
        Algorithm::RS384 => &aws::RSA_PKCS1_2048_8192_SHA384,
        Algorithm::RS512 => &aws::RSA_PKCS1_2048_8192_SHA512,
        Algorithm::PS256 => &aws::RSA_PSS_2048_8192_SHA256,
        Algorithm::PS384 => &aws::RSA_PSS_2048_8192_SHA384,
        Algorithm::PS512 => &aws::RSA_PSS_2048_8192_SHA512,
        Algorithm::ES256 => &aws::ECDSA_P256_SHA256_FIXED,
        Algorithm::ES384 => &aws::ECDSA_P384_SHA384_FIXED,
        Algorithm::EdDSA => &aws::ED25519,
        _ => return None,
    })
}

impl ExternalKey for CallbackKey {
    fn algorithms(&self) -> &[Algorithm] {
        slice::from_ref(&self.signer.0.algorithm)
    }

    fn sign(&self, algorithm: Algorithm, message: &[u8]) -> Result<Vec<u8>> {
        let signature = self.signer.sign(message)?;
        if let Some(certified) = &self.certified {
            certified.verify(algorithm, message, &signature)?;
        }
        Ok(signature)
    }

    fn description(&self) -> String {
        format!("a key of the host program's for {:?}", self.signer.algorithm())
    }

    fn type_and_size(&self) -> String {
        match self.signer.algorithm() {
            Algorithm::ES256 => "EC P-256",
            Algorithm::ES384 => "EC P-384",
            Algorithm::EdDSA => "Ed25519",
            _ => "RSA",
        }
        .to_owned()
    }

    fn public_key(&self) -> &[u8] {
        self.certified.as_ref().map_or(&[], |certified| &certified.public_key)
    }

    fn subject_public_key_info(&self) -> Option<Vec<u8>> {
        self.certified.as_ref().map(|certified| certified.subject_public_key_info.clone())
    }
}

#[cfg(test)]
mod tests {
    use aws_lc_rs::rand::SystemRandom;
    use aws_lc_rs::signature::{RSA_PKCS1_SHA256, RsaKeyPair};

    use super::*;
    use crate::base::file::ConfiguredPath;
    use crate::key::fixtures::{KeyDir, fixture_bytes};
    use crate::key::{CertHeader, KeyCache, KeyOrigin, open};

    /// A source whose key is `signer`'s, with the certificates of these fixtures.
    fn callback_source(place: &KeyDir, signer: &CallbackSigner, certificates: &[&str]) -> KeySource {
        let text: Vec<_> = certificates.iter().flat_map(|name| fixture_bytes(name)).copied().collect();
        let file = place.file_path("signer.crt");
        std::fs::write(&file, text).unwrap();
        KeySource {
            origin: KeyOrigin::Callback(signer.clone()),
            certificate: Some(ConfiguredPath::new(file.to_str().unwrap().to_owned())),
            ..KeySource::hmac_secret("")
        }
    }

    /// A signer by the RSA key of a fixture.
    fn rsa_signer(name: &str) -> CallbackSigner {
        let pem = pkcs8_der(name);
        let key = RsaKeyPair::from_pkcs8(&pem).unwrap();
        let sign = move |message: &[u8], signature: &mut [u8]| {
            let length = key.public_modulus_len();
            key.sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), message, &mut signature[..length]).unwrap();
            Ok(length)
        };
        CallbackSigner::new(Algorithm::RS256, Box::new(sign))
    }

    fn pkcs8_der(name: &str) -> Vec<u8> {
        use rustls::pki_types::PrivatePkcs8KeyDer;
        use rustls::pki_types::pem::PemObject as _;
        PrivatePkcs8KeyDer::from_pem_slice(fixture_bytes(name)).unwrap().secret_pkcs8_der().to_vec()
    }

    fn certificate_mismatch(source: &KeySource) -> Error {
        let error = open(source).map(|_| ()).unwrap_err();
        assert_eq!((error.status(), error.option()), (Status::KeyUnsuitable, Some("JWTCertificate")));
        error
    }

    #[test]
    fn signer_certificate_is_leaf_in_any_order() {
        let place = KeyDir::new();
        let signer = rsa_signer("leaf.key");
        for order in [["ca.pem", "leaf.crt"], ["leaf.crt", "ca.pem"]] {
            let key = open(&callback_source(&place, &signer, &order)).unwrap();
            assert_eq!(key.certificate_info().unwrap().subject.as_deref(), Some("CN=leaf"));
            assert_eq!(key.certificates().len(), 2);
            assert!(key.certificate_header(CertHeader::X5c).is_ok());
            key.sign(Algorithm::RS256, b"to be signed").unwrap();
        }
    }

    #[test]
    fn certificate_of_other_key_type_is_rejected() {
        let place = KeyDir::new();
        let never = |algorithm| CallbackSigner::new(algorithm, Box::new(|_, _| panic!("it was called")));
        for (certificate, fits, algorithm) in [
            ("ca.pem", "RS256, RS384, RS512, PS256, PS384, PS512", Algorithm::ES256),
            ("ec.crt", "ES256", Algorithm::ES384),
            ("ec.crt", "ES256", Algorithm::RS256),
            ("ed25519.crt", "EdDSA", Algorithm::PS256),
        ] {
            let error = certificate_mismatch(&callback_source(&place, &never(algorithm), &[certificate]));
            let said =
                format!("a key that signs {fits}, and the signer (authgrant_set_signer) signs {algorithm:?}");
            assert!(error.message().contains(&said), "{error}");
        }
    }

    #[test]
    fn signature_not_matching_certificate_is_rejected() {
        let place = KeyDir::new();
        let key = open(&callback_source(&place, &rsa_signer("rsa.pem"), &["leaf.crt"])).unwrap();
        let error = key.sign(Algorithm::RS256, b"to be signed").unwrap_err();
        assert_eq!((error.status(), error.option()), (Status::KeyUnsuitable, Some("JWTCertificate")));
        assert!(error.message().contains("signer.crt") && error.is_caller_specific(), "{error}");
        let key = open(&callback_source(&place, &rsa_signer("leaf.key"), &["leaf.crt"])).unwrap();
        key.sign(Algorithm::RS256, b"to be signed").unwrap();
    }

    #[test]
    fn fingerprint_is_of_certificate_public_key() {
        let place = KeyDir::new();
        let here = place.fixture("rsa.pem", None);
        let signer = rsa_signer("rsa.pem");
        let certified = open(&callback_source(&place, &signer, &["ca.pem"])).unwrap();
        assert_eq!(certified.fingerprint().unwrap(), open(&here).unwrap().fingerprint().unwrap());
        let alone = KeySource { certificate: None, ..callback_source(&place, &signer, &[]) };
        let error = open(&alone).unwrap().fingerprint().unwrap_err();
        assert_eq!((error.status(), error.option()), (Status::MissingOption, Some("JWTCertificate")));
    }

    #[test]
    fn callback_signer_is_not_retained_by_cache() {
        let place = KeyDir::new();
        let (ring, signer) = (KeyCache::new([7; 32]), rsa_signer("rsa.pem"));
        let source = KeySource { certificate: None, ..callback_source(&place, &signer, &[]) };
        let users = Arc::strong_count(&signer.0);
        let key = ring.get_or_open(&source).unwrap();
        assert!(Arc::strong_count(&signer.0) > users);
        drop(key);
        assert_eq!(Arc::strong_count(&signer.0), users);
    }

    #[test]
    fn signer_failure_is_caller_specific() {
        let place = KeyDir::new();
        for answer in [Err(1), Ok(0), Ok(1025), Ok(1)] {
            let signer = CallbackSigner::new(Algorithm::RS256, Box::new(move |_, _| answer));
            let source = KeySource { certificate: None, ..callback_source(&place, &signer, &[]) };
            let error = open(&source).unwrap().sign(Algorithm::RS256, b"to be signed").unwrap_err();
            assert!(error.is_caller_specific(), "{error}");
        }
    }

    #[test]
    fn callback_signer_equals_only_its_clones() {
        let (one, other) = (rsa_signer("rsa.pem"), rsa_signer("rsa.pem"));
        assert_eq!(one, one.clone());
        assert_ne!(one, other);
    }
}
