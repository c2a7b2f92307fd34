//! Verification of JWS signatures with a certificate or public key in PEM.
//!
//! Implements RFC 7518 with the RustCrypto crates. A key verifies only algorithms of its own type and size,
//! so a public key used as an HMAC secret and a P-384 key with ES256 are rejected.

use ed25519_dalek::VerifyingKey as Ed25519Key;
use hmac::{Hmac, Mac};
use p256::ecdsa::VerifyingKey as P256Key;
use p384::ecdsa::VerifyingKey as P384Key;
use rsa::pkcs1::DecodeRsaPublicKey;
use rsa::pkcs8::DecodePublicKey;
use rsa::signature::Verifier;
use rsa::traits::PublicKeyParts;
use rsa::{RsaPublicKey, pkcs1v15, pss};
use sha2::{Sha256, Sha384, Sha512};
use x509_parser::pem::Pem;

pub(crate) struct VerificationKey {
    material: KeyMaterial,
    certificate: Option<Vec<u8>>,
    spki: Option<Vec<u8>>,
}

enum KeyMaterial {
    Rsa(RsaPublicKey),
    P256(P256Key),
    P384(P384Key),
    Ed25519(Ed25519Key),
    Hmac(Vec<u8>),
}

impl VerificationKey {
    /// Reads the first certificate or public key in a PEM text. Other blocks, such as private keys, are
    /// skipped.
    pub(crate) fn from_pem(text: &str) -> Result<Self, String> {
        for block in Pem::iter_from_buffer(text.as_bytes()) {
            let block = block.map_err(|e| format!("not PEM: {e}"))?;
            match block.label.as_str() {
                "CERTIFICATE" => return Self::from_certificate(block.contents),
                "PUBLIC KEY" => {
                    return Self::without_certificate(from_spki(&block.contents)?, Some(block.contents));
                }
                "RSA PUBLIC KEY" => return Self::without_certificate(from_pkcs1(&block.contents)?, None),
                _ => {}
            }
        }
        Err("the PEM text contains neither CERTIFICATE nor PUBLIC KEY".to_owned())
    }

    pub(crate) fn from_hmac_secret(secret: &[u8]) -> Self {
        VerificationKey { material: KeyMaterial::Hmac(secret.to_vec()), certificate: None, spki: None }
    }

    fn from_certificate(der: Vec<u8>) -> Result<Self, String> {
        let (_, parsed) =
            x509_parser::parse_x509_certificate(&der).map_err(|e| format!("not a certificate: {e}"))?;
        let info = parsed.public_key().raw.to_vec();
        let material = from_spki(&info)?;
        Ok(VerificationKey { material, certificate: Some(der), spki: Some(info) })
    }

    fn without_certificate(material: KeyMaterial, spki: Option<Vec<u8>>) -> Result<Self, String> {
        Ok(VerificationKey { material, certificate: None, spki })
    }

    /// The SubjectPublicKeyInfo, if the key was read from one.
    pub(crate) fn spki(&self) -> Option<&[u8]> {
        self.spki.as_deref()
    }

    /// The certificate in DER if the key was read from one, for `x5t`, `x5t#S256` and `x5c`.
    pub(crate) fn certificate(&self) -> Option<&[u8]> {
        self.certificate.as_deref()
    }

    pub(crate) fn supports(&self, algorithm: &str) -> bool {
        match self.material {
            KeyMaterial::Rsa(_) => {
                ["RS256", "RS384", "RS512", "PS256", "PS384", "PS512"].contains(&algorithm)
            }
            KeyMaterial::P256(_) => algorithm == "ES256",
            KeyMaterial::P384(_) => algorithm == "ES384",
            KeyMaterial::Ed25519(_) => ["EdDSA", "Ed25519"].contains(&algorithm),
            KeyMaterial::Hmac(_) => ["HS256", "HS384", "HS512"].contains(&algorithm),
        }
    }

    pub(crate) fn is_valid_signature(&self, algorithm: &str, message: &[u8], signature: &[u8]) -> bool {
        match &self.material {
            _ if !self.supports(algorithm) => false,
            KeyMaterial::Rsa(key) => verify_rsa(key, algorithm, message, signature),
            KeyMaterial::P256(key) => p256::ecdsa::Signature::from_slice(signature)
                .is_ok_and(|signature| key.verify(message, &signature).is_ok()),
            KeyMaterial::P384(key) => p384::ecdsa::Signature::from_slice(signature)
                .is_ok_and(|signature| key.verify(message, &signature).is_ok()),
            KeyMaterial::Ed25519(key) => ed25519_dalek::Signature::from_slice(signature)
                .is_ok_and(|signature| key.verify_strict(message, &signature).is_ok()),
            KeyMaterial::Hmac(secret) => verify_hmac(secret, algorithm, message, signature),
        }
    }
}

fn from_spki(der: &[u8]) -> Result<KeyMaterial, String> {
    if let Ok(key) = RsaPublicKey::from_public_key_der(der) {
        return check_rsa_size(key);
    }
    if let Ok(key) = P256Key::from_public_key_der(der) {
        return Ok(KeyMaterial::P256(key));
    }
    if let Ok(key) = P384Key::from_public_key_der(der) {
        return Ok(KeyMaterial::P384(key));
    }
    Ed25519Key::from_public_key_der(der)
        .map(KeyMaterial::Ed25519)
        .map_err(|_| "unsupported public key; expected RSA, P-256, P-384 or Ed25519".to_owned())
}

fn from_pkcs1(der: &[u8]) -> Result<KeyMaterial, String> {
    check_rsa_size(RsaPublicKey::from_pkcs1_der(der).map_err(|e| format!("not an RSA key: {e}"))?)
}

// RFC 7518 section 3.3: at least 2048 bits.
fn check_rsa_size(key: RsaPublicKey) -> Result<KeyMaterial, String> {
    match key.n().bits() {
        0..2048 => Err(format!("the RSA key has {} bits, expected at least 2048", key.n().bits())),
        _ => Ok(KeyMaterial::Rsa(key)),
    }
}

fn verify_rsa(key: &RsaPublicKey, algorithm: &str, message: &[u8], signature: &[u8]) -> bool {
    // RFC 8017 section 8.2.2: a signature has the length of the modulus.
    if signature.len() != key.size() {
        return false;
    }
    if algorithm.starts_with("PS") {
        return verify_pss(key, algorithm, message, signature);
    }
    let Ok(signature) = pkcs1v15::Signature::try_from(signature) else {
        return false;
    };
    let key = key.clone();
    match algorithm {
        "RS256" => pkcs1v15::VerifyingKey::<Sha256>::new(key).verify(message, &signature).is_ok(),
        "RS384" => pkcs1v15::VerifyingKey::<Sha384>::new(key).verify(message, &signature).is_ok(),
        "RS512" => pkcs1v15::VerifyingKey::<Sha512>::new(key).verify(message, &signature).is_ok(),
        _ => false,
    }
}

// The salt must have the length of the hash (RFC 7518 section 3.5), which is the default of these verifying
// keys.
fn verify_pss(key: &RsaPublicKey, algorithm: &str, message: &[u8], signature: &[u8]) -> bool {
    let Ok(signature) = pss::Signature::try_from(signature) else {
        return false;
    };
    let key = key.clone();
    match algorithm {
        "PS256" => pss::VerifyingKey::<Sha256>::new(key).verify(message, &signature).is_ok(),
        "PS384" => pss::VerifyingKey::<Sha384>::new(key).verify(message, &signature).is_ok(),
        "PS512" => pss::VerifyingKey::<Sha512>::new(key).verify(message, &signature).is_ok(),
        _ => false,
    }
}

fn verify_hmac(secret: &[u8], algorithm: &str, message: &[u8], signature: &[u8]) -> bool {
    match algorithm {
        "HS256" => verify_mac(Hmac::<Sha256>::new_from_slice(secret), message, signature),
        "HS384" => verify_mac(Hmac::<Sha384>::new_from_slice(secret), message, signature),
        "HS512" => verify_mac(Hmac::<Sha512>::new_from_slice(secret), message, signature),
        _ => false,
    }
}

fn verify_mac<M: Mac, E>(mac: Result<M, E>, message: &[u8], signature: &[u8]) -> bool {
    mac.is_ok_and(|mac| mac.chain_update(message).verify_slice(signature).is_ok())
}
