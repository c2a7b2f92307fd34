//! Keys and assertions created with aws-lc, while the server verifies with RustCrypto.

use std::sync::OnceLock;
use std::time::{SystemTime, UNIX_EPOCH};

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, ECDSA_P384_SHA384_FIXED_SIGNING, EcdsaKeyPair, EcdsaSigningAlgorithm,
    Ed25519KeyPair, RSA_PKCS1_SHA256, RSA_PKCS1_SHA512, RSA_PSS_SHA256, RSA_PSS_SHA384, RsaEncoding,
    RsaKeyPair,
};
use aws_lc_rs::{hmac, rand};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use rcgen::{
    KeyPair, PKCS_ECDSA_P256_SHA256, PKCS_ECDSA_P384_SHA384, PKCS_ED25519, PKCS_RSA_SHA256, RsaKeySize,
};
use serde_json::{Value, json};

pub fn rsa_key() -> &'static KeyPair {
    static KEY: OnceLock<KeyPair> = OnceLock::new();
    KEY.get_or_init(|| KeyPair::generate_rsa_for(&PKCS_RSA_SHA256, RsaKeySize::_2048).unwrap())
}

pub fn other_rsa_key() -> &'static KeyPair {
    static KEY: OnceLock<KeyPair> = OnceLock::new();
    KEY.get_or_init(|| KeyPair::generate_rsa_for(&PKCS_RSA_SHA256, RsaKeySize::_2048).unwrap())
}

pub fn p256_key() -> KeyPair {
    KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).unwrap()
}

pub fn p384_key() -> KeyPair {
    KeyPair::generate_for(&PKCS_ECDSA_P384_SHA384).unwrap()
}

pub fn ed25519_key() -> KeyPair {
    KeyPair::generate_for(&PKCS_ED25519).unwrap()
}

pub fn unix_now() -> i64 {
    i64::try_from(SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs()).unwrap()
}

pub fn random_jti() -> String {
    let mut bytes = [0_u8; 16];
    rand::fill(&mut bytes).unwrap();
    URL_SAFE_NO_PAD.encode(bytes)
}

/// Claims that the server accepts, with this audience.
pub fn valid_claims(audience: &str) -> Value {
    json!({
        "iss": "client-1", "sub": "user-1", "aud": audience, "scope": "signature impersonation",
        "iat": unix_now(), "exp": unix_now() + 300, "jti": random_jti(),
    })
}

pub fn signing_input(header: &Value, claims: &Value) -> String {
    format!("{}.{}", base64url(header.to_string()), base64url(claims.to_string()))
}

pub fn base64url(bytes: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

/// A compact JWS, signed with the `alg` of the header.
pub fn sign_jwt(key: &KeyPair, header: &Value, claims: &Value) -> String {
    let message = signing_input(header, claims);
    let algorithm = header["alg"].as_str().unwrap_or("RS256");
    let signature = create_signature(key, algorithm, message.as_bytes());
    format!("{message}.{}", base64url(signature))
}

pub fn sign_hmac_jwt(secret: &[u8], header: &Value, claims: &Value) -> String {
    let message = signing_input(header, claims);
    let tag = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, secret), message.as_bytes());
    format!("{message}.{}", base64url(tag.as_ref()))
}

fn create_signature(key: &KeyPair, algorithm: &str, message: &[u8]) -> Vec<u8> {
    let der = key.serialize_der();
    match algorithm {
        "RS512" => sign_rsa(&der, &RSA_PKCS1_SHA512, message),
        "PS256" => sign_rsa(&der, &RSA_PSS_SHA256, message),
        "PS384" => sign_rsa(&der, &RSA_PSS_SHA384, message),
        "ES256" => sign_ecdsa(&der, &ECDSA_P256_SHA256_FIXED_SIGNING, message),
        "ES384" => sign_ecdsa(&der, &ECDSA_P384_SHA384_FIXED_SIGNING, message),
        "EdDSA" => Ed25519KeyPair::from_pkcs8(&der).unwrap().sign(message).as_ref().to_vec(),
        _ => sign_rsa(&der, &RSA_PKCS1_SHA256, message),
    }
}

fn sign_rsa(der: &[u8], encoding: &'static dyn RsaEncoding, message: &[u8]) -> Vec<u8> {
    let key = RsaKeyPair::from_pkcs8(der).unwrap();
    let mut signature = vec![0; key.public_modulus_len()];
    key.sign(encoding, &SystemRandom::new(), message, &mut signature).unwrap();
    signature
}

fn sign_ecdsa(der: &[u8], algorithm: &'static EcdsaSigningAlgorithm, message: &[u8]) -> Vec<u8> {
    let key = EcdsaKeyPair::from_pkcs8(algorithm, der).unwrap();
    key.sign(&SystemRandom::new(), message).unwrap().as_ref().to_vec()
}
