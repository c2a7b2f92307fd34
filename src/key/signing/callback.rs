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
use crate::key::signing::external::Elsewhere;
use crate::key::{KeySource, SigningKey, private_key};

/// How messages call it.
pub(in crate::key) const NAMED: &str = "the signer (authgrant_set_signer)";

/// The part of messages that are about it.
pub(in crate::key) const PART: &str = "signer";

/// The longest signature, that of an RSA key of 8192 bits.
const LONGEST: usize = 1024;

/// The shortest one of RSA, by a key of 2048 bits (RFC 7518 section 3.3).
const SHORTEST_OF_RSA: usize = 256;

/// Writes the signature of the message into the buffer and gives back its length, or a number that says why there is none.
pub type Sign = dyn Fn(&[u8], &mut [u8]) -> std::result::Result<usize, i32> + Send + Sync;

/// A signer of the host's, with the algorithm that it signs by.
///
/// No two are equal: the same function may sign with another key.
#[derive(Clone)]
pub struct HostSigner(Arc<Inner>);

struct Inner {
    number: u64,
    algorithm: Algorithm,
    sign: Box<Sign>,
}

impl HostSigner {
    /// One that signs by `algorithm`.
    #[must_use]
    pub fn new(algorithm: Algorithm, sign: Box<Sign>) -> Self {
        static MADE: AtomicU64 = AtomicU64::new(0);
        let number = MADE.fetch_add(1, Ordering::Relaxed);
        Self(Arc::new(Inner { number, algorithm, sign }))
    }

    /// What it signs by.
    #[must_use]
    pub fn algorithm(&self) -> Algorithm {
        self.0.algorithm
    }

    /// The signature of `message` as a JWS has it.
    fn sign(&self, message: &[u8]) -> Result<Vec<u8>> {
        let mut buffer = Zeroizing::new([0; LONGEST]);
        let length = (self.0.sign)(message, &mut *buffer)
            .map_err(|number| failed(Status::KeyStore, format!("failed with the number {number}")))?;
        let signature = buffer.get(..length).filter(|signature| !signature.is_empty()).ok_or_else(|| {
            let text =
                format!("said that its signature has {length} bytes; there is room for 1 to {LONGEST}");
            failed(Status::KeyStore, text)
        })?;
        as_in_a_jws(self.algorithm(), signature).map_err(|expected| {
            let algorithm = self.algorithm();
            let text = format!("gave {length} bytes, which are no signature by {algorithm:?}: {expected}");
            failed(Status::KeyUnsuitable, text)
        })
    }
}

impl PartialEq for HostSigner {
    fn eq(&self, other: &Self) -> bool {
        self.0.number == other.0.number
    }
}

impl Eq for HostSigner {}

impl Hash for HostSigner {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.0.number.hash(state);
    }
}

impl fmt::Debug for HostSigner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HostSigner")
            .field("number", &self.0.number)
            .field("algorithm", &self.0.algorithm)
            .finish_non_exhaustive()
    }
}

/// What went wrong inside the signer says nothing about the next call.
fn failed(status: Status, text: impl AsRef<str>) -> Error {
    Error::new(status, PART, format!("{NAMED} {}", text.as_ref())).caller_specific()
}

/// The signature in the form of a JWS, or what was expected.
fn as_in_a_jws(algorithm: Algorithm, signature: &[u8]) -> std::result::Result<Vec<u8>, &'static str> {
    let whole = |fits: bool| fits.then(|| signature.to_vec());
    match algorithm {
        Algorithm::ES256 => ecdsa::side_by_side(signature, 32)
            .ok_or("expected 64 bytes, two numbers side by side, or their DER"),
        Algorithm::ES384 => ecdsa::side_by_side(signature, 48)
            .ok_or("expected 96 bytes, two numbers side by side, or their DER"),
        Algorithm::EdDSA => whole(signature.len() == 64).ok_or("expected 64 bytes"),
        _ => whole(signature.len() >= SHORTEST_OF_RSA)
            .ok_or("expected 256 to 1024, those of an RSA key of 2048 to 8192 bits"),
    }
}

/// The signer's key, as far as it is known here. Nothing is signed.
pub(in crate::key) fn open(source: &KeySource, signer: &HostSigner) -> Result<SigningKey> {
    let chain = certificate::read_alone(source)?;
    let certified = match chain.first().zip(certificate::named(source)) {
        Some((leaf, named)) => Some(Certified::of(leaf, named.to_string(), signer)?),
        None => None,
    };
    let mut key = SigningKey::elsewhere(source, HostKey { signer: signer.clone(), certified });
    key.offer(chain);
    Ok(key)
}

struct HostKey {
    signer: HostSigner,
    certified: Option<Certified>,
}

/// The public half, where JWTCertificate holds it.
struct Certified {
    /// The option and its file.
    named: String,
    /// The SubjectPublicKeyInfo.
    info: Vec<u8>,
    key: Vec<u8>,
}

impl Certified {
    /// That of `leaf`, if the signer's algorithm is one of its key.
    fn of(leaf: &[u8], named: String, signer: &HostSigner) -> Result<Self> {
        let unsuitable =
            |text: String| Error::new(Status::KeyUnsuitable, "key store", text).with_option("JWTCertificate");
        let (info, key) =
            chain::public_key(leaf).ok_or_else(|| unsuitable(format!("{named} holds no public key")))?;
        let (fits, signs) = (private_key::signs_by(&info).unwrap_or_default(), signer.algorithm());
        if fits.contains(&signs) {
            return Ok(Self { named, info, key });
        }
        let fits: Vec<_> = fits.iter().map(|fit| format!("{fit:?}")).collect();
        let fits = if fits.is_empty() { "nothing that is built in".to_owned() } else { fits.join(", ") };
        Err(unsuitable(format!(
            "{named} is the certificate of a key that signs {fits}, and {NAMED} signs {signs:?}; name the one of the \
             signer's key"
        )))
    }

    fn verify(&self, algorithm: Algorithm, message: &[u8], signature: &[u8]) -> Result<()> {
        let verified = verification(algorithm)
            .map(|by| UnparsedPublicKey::new(by, &self.key).verify(message, signature).is_ok());
        if verified == Some(true) {
            return Ok(());
        }
        let text = format!("gave what is no signature by {algorithm:?} with the key of {}", self.named);
        Err(failed(Status::KeyUnsuitable, text).with_option("JWTCertificate"))
    }
}

fn verification(algorithm: Algorithm) -> Option<&'static dyn VerificationAlgorithm> {
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

impl Elsewhere for HostKey {
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

    fn described(&self) -> String {
        format!("a key of the host program's for {:?}", self.signer.algorithm())
    }

    fn kind(&self) -> String {
        match self.signer.algorithm() {
            Algorithm::ES256 => "EC P-256",
            Algorithm::ES384 => "EC P-384",
            Algorithm::EdDSA => "Ed25519",
            _ => "RSA",
        }
        .to_owned()
    }

    fn public_key(&self) -> &[u8] {
        self.certified.as_ref().map_or(&[], |certified| &certified.key)
    }

    fn public_key_info(&self) -> Option<Vec<u8>> {
        self.certified.as_ref().map(|certified| certified.info.clone())
    }
}

#[cfg(test)]
mod tests {
    use aws_lc_rs::rand::SystemRandom;
    use aws_lc_rs::signature::{RSA_PKCS1_SHA256, RsaKeyPair};

    use super::*;
    use crate::base::file::ConfiguredPath;
    use crate::key::fixtures::{Place, bytes};
    use crate::key::{KeyOrigin, KeyRing, Thumbprint, open};

    /// A source whose key is `signer`'s, with the certificates of these fixtures.
    fn source(place: &Place, signer: &HostSigner, certificates: &[&str]) -> KeySource {
        let text: Vec<_> = certificates.iter().flat_map(|name| bytes(name)).copied().collect();
        let file = place.file("signer.crt");
        std::fs::write(&file, text).unwrap();
        KeySource {
            origin: KeyOrigin::Signer(signer.clone()),
            certificate: Some(ConfiguredPath::new(file.to_str().unwrap().to_owned())),
            ..KeySource::shared("")
        }
    }

    /// A signer by the RSA key of a fixture.
    fn rsa(name: &str) -> HostSigner {
        let pem = pem(name);
        let key = RsaKeyPair::from_pkcs8(&pem).unwrap();
        let sign = move |message: &[u8], signature: &mut [u8]| {
            let length = key.public_modulus_len();
            key.sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), message, &mut signature[..length]).unwrap();
            Ok(length)
        };
        HostSigner::new(Algorithm::RS256, Box::new(sign))
    }

    fn pem(name: &str) -> Vec<u8> {
        use rustls::pki_types::PrivatePkcs8KeyDer;
        use rustls::pki_types::pem::PemObject as _;
        PrivatePkcs8KeyDer::from_pem_slice(bytes(name)).unwrap().secret_pkcs8_der().to_vec()
    }

    fn misfit(source: &KeySource) -> Error {
        let error = open(source).map(|_| ()).unwrap_err();
        assert_eq!((error.status(), error.option()), (Status::KeyUnsuitable, Some("JWTCertificate")));
        error
    }

    #[test]
    fn the_signers_own_certificate_comes_first_however_the_file_is_ordered() {
        let place = Place::new();
        let signer = rsa("leaf.key");
        for order in [["ca.pem", "leaf.crt"], ["leaf.crt", "ca.pem"]] {
            let key = open(&source(&place, &signer, &order)).unwrap();
            assert_eq!(key.certificate().unwrap().subject.as_deref(), Some("CN=leaf"));
            assert_eq!(key.certificates().len(), 2);
            assert!(key.thumbprint(Thumbprint::X5c).is_ok());
            key.sign(Algorithm::RS256, b"to be signed").unwrap();
        }
    }

    #[test]
    fn a_certificate_of_another_kind_of_key_is_refused_before_anything_is_signed() {
        let place = Place::new();
        let never = |algorithm| HostSigner::new(algorithm, Box::new(|_, _| panic!("it was called")));
        for (certificate, fits, algorithm) in [
            ("ca.pem", "RS256, RS384, RS512, PS256, PS384, PS512", Algorithm::ES256),
            ("ec.crt", "ES256", Algorithm::ES384),
            ("ec.crt", "ES256", Algorithm::RS256),
            ("ed25519.crt", "EdDSA", Algorithm::PS256),
        ] {
            let error = misfit(&source(&place, &never(algorithm), &[certificate]));
            let said =
                format!("a key that signs {fits}, and the signer (authgrant_set_signer) signs {algorithm:?}");
            assert!(error.message().contains(&said), "{error}");
        }
    }

    #[test]
    fn what_another_key_than_the_certificates_signed_is_refused() {
        let place = Place::new();
        let key = open(&source(&place, &rsa("rsa.pem"), &["leaf.crt"])).unwrap();
        let error = key.sign(Algorithm::RS256, b"to be signed").unwrap_err();
        assert_eq!((error.status(), error.option()), (Status::KeyUnsuitable, Some("JWTCertificate")));
        assert!(error.message().contains("signer.crt") && error.is_caller_specific(), "{error}");
        let key = open(&source(&place, &rsa("leaf.key"), &["leaf.crt"])).unwrap();
        key.sign(Algorithm::RS256, b"to be signed").unwrap();
    }

    #[test]
    fn the_fingerprint_is_that_of_the_certificates_key() {
        let place = Place::new();
        let here = place.fixture("rsa.pem", None);
        let signer = rsa("rsa.pem");
        let certified = open(&source(&place, &signer, &["ca.pem"])).unwrap();
        assert_eq!(certified.fingerprint().unwrap(), open(&here).unwrap().fingerprint().unwrap());
        let alone = KeySource { certificate: None, ..source(&place, &signer, &[]) };
        let error = open(&alone).unwrap().fingerprint().unwrap_err();
        assert_eq!((error.status(), error.option()), (Status::MissingOption, Some("JWTCertificate")));
    }

    #[test]
    fn a_ring_lets_go_of_a_signer_with_its_last_user() {
        let place = Place::new();
        let (ring, signer) = (KeyRing::new([7; 32]), rsa("rsa.pem"));
        let source = KeySource { certificate: None, ..source(&place, &signer, &[]) };
        let users = Arc::strong_count(&signer.0);
        let key = ring.key(&source).unwrap();
        assert!(Arc::strong_count(&signer.0) > users);
        drop(key);
        assert_eq!(Arc::strong_count(&signer.0), users);
    }

    #[test]
    fn a_failure_of_the_signer_is_of_the_one_call_that_met_it() {
        let place = Place::new();
        for answer in [Err(1), Ok(0), Ok(1025), Ok(1)] {
            let signer = HostSigner::new(Algorithm::RS256, Box::new(move |_, _| answer));
            let source = KeySource { certificate: None, ..source(&place, &signer, &[]) };
            let error = open(&source).unwrap().sign(Algorithm::RS256, b"to be signed").unwrap_err();
            assert!(error.is_caller_specific(), "{error}");
        }
    }

    #[test]
    fn no_two_signers_are_the_same() {
        let (one, other) = (rsa("rsa.pem"), rsa("rsa.pem"));
        assert_eq!(one, one.clone());
        assert_ne!(one, other);
    }
}
