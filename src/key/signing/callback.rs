//! Signer callback: a function of the caller that signs JWTs with a key that this library has no access to,
//! such as a key in a hardware module or at a signing service.
//!
//! JWTCertificate may name the certificate of the key. Each signature is then verified with it, because
//! servers answer a header that names a different key with no more than "not registered".

use aws_lc_rs::signature::{self as aws, UnparsedPublicKey, VerificationAlgorithm};
use jsonwebtoken::Algorithm;
use zeroize::Zeroizing;

use super::{SigningKey, ecdsa};
use crate::base::error::{Cause, Error, ErrorKind, KeyError, Result};
use crate::key::callback_signer::{COMPONENT, CallbackSigner, DISPLAY_NAME};
use crate::key::certificate::{self, chain};
use crate::key::private_key;
use crate::key::private_key::external::ExternalKey;
use crate::key::source::KeySource;

/// Maximum length of a signature, that of an RSA key of 8192 bits.
const MAX_SIGNATURE_LEN: usize = 1024;

/// Minimum length of an RSA signature, that of a key of 2048 bits (RFC 7518 section 3.3).
const MIN_RSA_SIGNATURE_LEN: usize = 256;

/// An error of the signer is specific to one call: the next call may succeed.
fn signer_error(kind: impl Into<ErrorKind>, text: impl AsRef<str>) -> Error {
    Error::new(kind, COMPONENT, format!("{DISPLAY_NAME} {}", text.as_ref())).with_cause(Cause::Caller)
}

/// Signs `message` with `signer` and returns the signature in JWS format.
fn sign_with(signer: &CallbackSigner, message: &[u8]) -> Result<Vec<u8>> {
    let mut buffer = Zeroizing::new([0; MAX_SIGNATURE_LEN]);
    let length = signer
        .call(message, &mut *buffer)
        .map_err(|number| signer_error(KeyError::Store, format!("failed with error number {number}")))?;
    let signature = buffer.get(..length).filter(|signature| !signature.is_empty()).ok_or_else(|| {
        let text = format!(
            "returned an invalid signature length: {length} bytes (expected 1 to {MAX_SIGNATURE_LEN})"
        );
        signer_error(KeyError::Store, text)
    })?;
    to_jws_signature(signer.algorithm(), signature).map_err(|expected| {
        let algorithm = signer.algorithm();
        let text = format!("returned an invalid {algorithm:?} signature of {length} bytes: {expected}");
        signer_error(KeyError::Unsuitable, text)
    })
}

/// Converts a signature to JWS format; the error says what was expected.
fn to_jws_signature(algorithm: Algorithm, signature: &[u8]) -> std::result::Result<Vec<u8>, &'static str> {
    let copy_if = |is_valid: bool| is_valid.then(|| signature.to_vec());
    match algorithm {
        Algorithm::ES256 => {
            ecdsa::to_fixed(signature, 32).ok_or("expected 64 bytes (r and s concatenated) or DER")
        }
        Algorithm::ES384 => {
            ecdsa::to_fixed(signature, 48).ok_or("expected 96 bytes (r and s concatenated) or DER")
        }
        Algorithm::EdDSA => copy_if(signature.len() == 64).ok_or("expected 64 bytes"),
        _ => copy_if(signature.len() >= MIN_RSA_SIGNATURE_LEN)
            .ok_or("expected 256 to 1024 bytes (RSA keys of 2048 to 8192 bits)"),
    }
}

/// Opens the signer's key, as far as it is known here, without calling the signer.
pub(in crate::key) fn open(source: &KeySource, signer: &CallbackSigner) -> Result<SigningKey> {
    let chain = certificate::read_unmatched_chain(source)?;
    let certified = match chain.first().zip(certificate::configured_file(source)) {
        Some((leaf, file_name)) => Some(CertifiedPublicKey::from_leaf(leaf, file_name.to_string(), signer)?),
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

/// Public key from JWTCertificate.
struct CertifiedPublicKey {
    /// The option and its file, for messages.
    source_name: String,
    subject_public_key_info: Vec<u8>,
    public_key: Vec<u8>,
}

impl CertifiedPublicKey {
    /// Takes the public key of `leaf`, if it supports the signer's algorithm.
    fn from_leaf(leaf: &[u8], file_name: String, signer: &CallbackSigner) -> Result<Self> {
        let unsuitable =
            |text: String| Error::new(KeyError::Unsuitable, "key store", text).with_option("JWTCertificate");
        let (info, key) = chain::extract_public_key(leaf)
            .ok_or_else(|| unsuitable(format!("{file_name} contains no public key")))?;
        let (supported, algorithm) =
            (private_key::algorithms_for_spki(&info).unwrap_or_default(), signer.algorithm());
        if supported.contains(&algorithm) {
            return Ok(Self { source_name: file_name, subject_public_key_info: info, public_key: key });
        }
        let supported: Vec<_> = supported.iter().map(|algorithm| format!("{algorithm:?}")).collect();
        let supported =
            if supported.is_empty() { "no supported algorithm".to_owned() } else { supported.join(", ") };
        Err(unsuitable(format!(
            "{file_name} is the certificate of a key that signs {supported}, but {DISPLAY_NAME} signs \
             {algorithm:?}; name the certificate of the signer's key"
        )))
    }

    fn verify(&self, algorithm: Algorithm, message: &[u8], signature: &[u8]) -> Result<()> {
        let verified = verification_algorithm(algorithm).map(|algorithm| {
            UnparsedPublicKey::new(algorithm, &self.public_key).verify(message, signature).is_ok()
        });
        if verified == Some(true) {
            return Ok(());
        }
        let text =
            format!("returned an invalid {algorithm:?} signature: it does not match {}", self.source_name);
        Err(signer_error(KeyError::Unsuitable, text).with_option("JWTCertificate"))
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
        self.signer.algorithms()
    }

    fn sign(&self, algorithm: Algorithm, message: &[u8]) -> Result<Vec<u8>> {
        let signature = sign_with(&self.signer, message)?;
        if let Some(certified) = &self.certified {
            certified.verify(algorithm, message, &signature)?;
        }
        Ok(signature)
    }

    fn description(&self) -> String {
        format!("a signer callback for {:?}", self.signer.algorithm())
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

    fn is_detached(&self) -> bool {
        false
    }
}

#[cfg(test)]
mod tests {
    use aws_lc_rs::rand::SystemRandom;
    use aws_lc_rs::signature::RsaKeyPair;

    use super::*;
    use crate::base::error::Status;
    use crate::base::file::ConfiguredPath;
    use crate::key::fixtures::{KeyDir, fixture_bytes, run_shell};
    use crate::key::{CertHeader, KeyCache, KeyOrigin, open};

    /// A source for `signer` with the certificates of these fixtures.
    fn callback_source(dir: &KeyDir, signer: &CallbackSigner, certificates: &[&str]) -> KeySource {
        let text: Vec<_> = certificates.iter().flat_map(|name| fixture_bytes(name)).copied().collect();
        let file = dir.file_path("signer.crt");
        std::fs::write(&file, text).unwrap();
        KeySource {
            origin: KeyOrigin::Callback(signer.clone()),
            certificate: Some(ConfiguredPath::new(file.to_str().unwrap().to_owned())),
            ..KeySource::hmac_secret("")
        }
    }

    /// A signer with the RSA key of a fixture.
    fn rsa_signer(name: &str) -> CallbackSigner {
        rsa_signer_with(name, Algorithm::RS256, &aws::RSA_PKCS1_SHA256)
    }

    fn rsa_signer_with(
        name: &str,
        algorithm: Algorithm,
        encoding: &'static dyn aws::RsaEncoding,
    ) -> CallbackSigner {
        let key = RsaKeyPair::from_pkcs8(&pkcs8_der(name)).unwrap();
        let sign = move |message: &[u8], signature: &mut [u8]| {
            let length = key.public_modulus_len();
            key.sign(encoding, &SystemRandom::new(), message, &mut signature[..length]).unwrap();
            Ok(length)
        };
        CallbackSigner::new(algorithm, Box::new(sign))
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
        let dir = KeyDir::new();
        let signer = rsa_signer("leaf.key");
        for order in [["ca.pem", "leaf.crt"], ["leaf.crt", "ca.pem"]] {
            let key = open(&callback_source(&dir, &signer, &order)).unwrap();
            assert_eq!(key.certificate_info().unwrap().subject.as_deref(), Some("CN=leaf"));
            assert_eq!(key.certificates().len(), 2);
            assert!(key.certificate_header(CertHeader::X5c).is_ok());
            key.sign(Algorithm::RS256, b"to be signed").unwrap();
        }
    }

    #[test]
    fn certificate_of_other_key_type_is_rejected() {
        let dir = KeyDir::new();
        let never =
            |algorithm| CallbackSigner::new(algorithm, Box::new(|_, _| panic!("the signer was called")));
        for (certificate, fits, algorithm) in [
            ("ca.pem", "RS256, RS384, RS512, PS256, PS384, PS512", Algorithm::ES256),
            ("ec.crt", "ES256", Algorithm::ES384),
            ("ec.crt", "ES256", Algorithm::RS256),
            ("ed25519.crt", "EdDSA", Algorithm::PS256),
        ] {
            let error = certificate_mismatch(&callback_source(&dir, &never(algorithm), &[certificate]));
            let (supported, signer_algorithm) = (format!("signs {fits}"), format!("signs {algorithm:?}"));
            assert!(error.message().contains(&supported), "{error}");
            assert!(error.message().contains(&signer_algorithm), "{error}");
        }
    }

    #[test]
    fn signature_not_matching_certificate_is_rejected() {
        let dir = KeyDir::new();
        let key = open(&callback_source(&dir, &rsa_signer("rsa.pem"), &["leaf.crt"])).unwrap();
        let error = key.sign(Algorithm::RS256, b"to be signed").unwrap_err();
        assert_eq!((error.status(), error.option()), (Status::KeyUnsuitable, Some("JWTCertificate")));
        assert!(error.message().contains("signer.crt") && error.cause() == Cause::Caller, "{error}");
        let key = open(&callback_source(&dir, &rsa_signer("leaf.key"), &["leaf.crt"])).unwrap();
        key.sign(Algorithm::RS256, b"to be signed").unwrap();
    }

    #[test]
    fn signature_is_verified_with_algorithm_of_signer() {
        let dir = KeyDir::new();
        let algorithms: [(_, &'static dyn aws::RsaEncoding); 6] = [
            (Algorithm::RS256, &aws::RSA_PKCS1_SHA256),
            (Algorithm::RS384, &aws::RSA_PKCS1_SHA384),
            (Algorithm::RS512, &aws::RSA_PKCS1_SHA512),
            (Algorithm::PS256, &aws::RSA_PSS_SHA256),
            (Algorithm::PS384, &aws::RSA_PSS_SHA384),
            (Algorithm::PS512, &aws::RSA_PSS_SHA512),
        ];
        for (algorithm, _) in algorithms {
            for (other, encoding) in algorithms {
                let signer = rsa_signer_with("leaf.key", algorithm, encoding);
                let key = open(&callback_source(&dir, &signer, &["leaf.crt"])).unwrap();
                assert_eq!(key.type_and_size(), "RSA");
                let is_accepted = key.sign(algorithm, b"to be signed").is_ok();
                assert_eq!(is_accepted, algorithm == other, "{algorithm:?} {other:?}");
            }
        }
    }

    #[test]
    fn ed25519_signature_is_verified() {
        let dir = KeyDir::new();
        for (is_own, expected) in [(true, true), (false, false)] {
            let sign = move |message: &[u8], signature: &mut [u8]| {
                let key = aws::Ed25519KeyPair::from_pkcs8(fixture_bytes("ed25519.der")).unwrap();
                signature[..64].copy_from_slice(key.sign(if is_own { message } else { b"other" }).as_ref());
                Ok(64)
            };
            let signer = CallbackSigner::new(Algorithm::EdDSA, Box::new(sign));
            let key = open(&callback_source(&dir, &signer, &["ed25519.crt"])).unwrap();
            assert_eq!(key.type_and_size(), "Ed25519");
            assert_eq!(key.sign(Algorithm::EdDSA, b"to be signed").is_ok(), expected);
        }
    }

    #[test]
    fn ecdsa_signature_is_verified_on_each_curve() {
        for (file, algorithm, key_type) in
            [("ec.pem", Algorithm::ES256, "EC P-256"), ("ec384.pem", Algorithm::ES384, "EC P-384")]
        {
            let dir = KeyDir::new();
            dir.fixture(file, None);
            run_shell(dir.path(), &format!("openssl req -x509 -new -key {file} -subj /CN=a -out signer.crt"));
            for (is_own, expected) in [(true, true), (false, false)] {
                let own = open(&dir.source(file, None)).unwrap();
                let sign = move |message: &[u8], signature: &mut [u8]| {
                    let made = own.sign(algorithm, if is_own { message } else { b"other" }).unwrap();
                    signature[..made.len()].copy_from_slice(&made);
                    Ok(made.len())
                };
                let signer = CallbackSigner::new(algorithm, Box::new(sign));
                let source = KeySource { origin: KeyOrigin::Callback(signer), ..KeySource::hmac_secret("") };
                let key = open(&source.with_certificate(&dir.file_path("signer.crt"))).unwrap();
                assert_eq!(key.type_and_size(), key_type);
                assert_eq!(key.sign(algorithm, b"to be signed").is_ok(), expected, "{algorithm:?}");
            }
        }
    }

    #[test]
    fn other_algorithm_is_refused_without_calling_signer() {
        let never = CallbackSigner::new(Algorithm::RS256, Box::new(|_, _| panic!("the signer was called")));
        let source = KeySource { origin: KeyOrigin::Callback(never), ..KeySource::hmac_secret("") };
        let key = open(&source).unwrap();
        let error = key.select_algorithm(Some(Algorithm::PS256)).unwrap_err();
        assert_eq!(error.status(), Status::KeyUnsuitable);
        assert!(error.message().contains("it is a signer callback for RS256 (RS256)"), "{error}");
        let error = key.sign(Algorithm::PS256, b"to be signed").unwrap_err();
        assert_eq!(*error.kind(), ErrorKind::Internal);
    }

    #[test]
    fn public_key_is_that_of_certificate() {
        let dir = KeyDir::new();
        let own = open(&dir.fixture("rsa.pem", None)).unwrap();
        let signer = rsa_signer("rsa.pem");
        let certified = open(&callback_source(&dir, &signer, &["ca.pem"])).unwrap();
        assert_eq!(certified.public_key(), own.public_key());
        assert_eq!(certified.fingerprint().unwrap(), own.fingerprint().unwrap());
        let alone = KeySource { certificate: None, ..callback_source(&dir, &signer, &[]) };
        let alone = open(&alone).unwrap();
        assert!(alone.public_key().is_empty() && alone.subject_public_key_info().is_none());
        let error = alone.fingerprint().unwrap_err();
        assert_eq!((error.status(), error.option()), (Status::MissingOption, Some("JWTCertificate")));
    }

    #[test]
    fn callback_signer_is_not_retained_by_cache() {
        let dir = KeyDir::new();
        let (cache, signer) = (KeyCache::new([7; 32]), rsa_signer("rsa.pem"));
        let source = KeySource { certificate: None, ..callback_source(&dir, &signer, &[]) };
        let users = signer.clone_count();
        let key = cache.get_or_open(&source).unwrap();
        assert!(signer.clone_count() > users && !key.is_detached());
        drop(key);
        assert_eq!(signer.clone_count(), users);
    }

    #[test]
    fn signer_failure_is_caused_by_caller() {
        let dir = KeyDir::new();
        for outcome in [Err(1), Ok(0), Ok(1025), Ok(1)] {
            let signer = CallbackSigner::new(Algorithm::RS256, Box::new(move |_, _| outcome));
            let source = KeySource { certificate: None, ..callback_source(&dir, &signer, &[]) };
            let error = open(&source).unwrap().sign(Algorithm::RS256, b"to be signed").unwrap_err();
            assert_eq!(error.cause(), Cause::Caller, "{error}");
        }
    }

    #[test]
    fn callback_signer_equals_only_its_clones() {
        let (one, other) = (rsa_signer("rsa.pem"), rsa_signer("rsa.pem"));
        assert_eq!(one, one.clone());
        assert_ne!(one, other);
        let debug = |signer: &CallbackSigner| format!("{signer:?}");
        assert!(debug(&one).contains("RS256") && debug(&one) == debug(&one.clone()), "{one:?}");
        assert_ne!(debug(&one), debug(&other));
    }
}
