//! Secret numbers of keys.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use jsonwebtoken::Algorithm;

use crate::key::fixtures::{KeyDir, STORE_PASSWORD};
use crate::key::{CallbackSigner, KeyMaterial, KeyOrigin, KeySource, open};

/// The numbers of a private key.
#[track_caller]
fn numbers(source: &KeySource) -> Vec<u8> {
    match open(source).unwrap().material() {
        Some(KeyMaterial::PrivateKey(numbers)) => numbers.to_vec(),
        _ => panic!("no private key"),
    }
}

#[test]
fn numbers_do_not_depend_on_format() {
    let dir = KeyDir::new();
    let of = |name: &str| {
        let password = name.contains("encrypted") || name.ends_with(".p12");
        numbers(&dir.fixture(name, password.then_some(STORE_PASSWORD)))
    };
    let rsa = of("rsa.pem");
    for name in ["rsa-pkcs1.pem", "rsa-encrypted.pem", "rsa.p12", "rsa-legacy.p12"] {
        assert_eq!(of(name), rsa, "{name}");
    }
    assert_ne!(of("leaf.key"), rsa);
    for name in ["ec-short.pem", "ec-pkcs8.pem", "ec-pkcs8-short.pem", "ec.p12"] {
        assert_eq!(of(name), of("ec.pem"), "{name}");
    }
    for name in ["ed25519.der", "ed25519-encrypted.pem", "ed25519.p12"] {
        assert_eq!(of(name), of("ed25519.pem"), "{name}");
    }
}

#[test]
fn ec_scalar_keeps_leading_zeros() {
    let mut scalar = [0; 32];
    scalar[31] = 7;
    // ECPrivateKey (RFC 5915 section 3) without a public key.
    let oid = [0xa0, 10, 6, 8, 0x2a, 0x86, 0x48, 0xce, 0x3d, 3, 1, 7];
    let der = [&[0x30, 49, 2, 1, 1, 4, 32][..], &scalar, &oid].concat();
    let expected = [&[0, 0, 0, 5][..], b"P-256", &[0, 0, 0, 32], &scalar].concat();
    assert_eq!(numbers(&KeySource::inline(&STANDARD.encode(der))), expected);
}

#[test]
fn shared_secret_knows_whether_it_is_text() {
    let material = |text: &str| match open(&KeySource::hmac_secret(text)).unwrap().material() {
        Some(KeyMaterial::SharedSecret { bytes, is_text }) => (bytes.to_vec(), is_text),
        _ => panic!("no shared secret"),
    };
    let bytes = vec![b's'; 32];
    assert_eq!(material(&"s".repeat(32)), (bytes.clone(), true));
    let encoded = STANDARD.encode(&bytes);
    assert_eq!(material(&format!("base64:{encoded}")), (bytes.clone(), false));
    let jwk = format!(r#"{{"kty":"oct","k":"{}"}}"#, encoded.trim_end_matches('='));
    assert_eq!(material(&jwk), (bytes.clone(), false));
    // The parser of connection strings removes the braces around a value.
    assert_eq!(material(jwk.trim_matches(['{', '}'])), (bytes, false));
}

#[test]
fn signer_callback_has_no_material() {
    let signer = CallbackSigner::new(Algorithm::ES256, Box::new(|_, _| Err(1)));
    let source = KeySource { origin: KeyOrigin::Callback(signer), ..KeySource::hmac_secret("") };
    assert!(open(&source).unwrap().material().is_none());
}
