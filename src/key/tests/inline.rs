//! Keys without a store: inline keys, shared secrets, Ed25519, and separate certificate files.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE};
use jsonwebtoken::Algorithm;

use crate::base::error::{Error, Status};
use crate::key::fixtures::{KeyDir, STORE_PASSWORD, fixture_bytes, run_shell};
use crate::key::{CertHeader, KeySource, SigningKey, open};

fn fixture_text(name: &str) -> String {
    std::str::from_utf8(fixture_bytes(name)).unwrap().to_owned()
}

fn open_error(source: &KeySource, status: Status, option: &str) -> Error {
    let error = open(source).err().unwrap_or_else(|| panic!("{source:?} opens"));
    assert_eq!((error.status(), error.option()), (status, Some(option)), "{error}");
    error
}

fn assert_ed25519_signs(dir: &KeyDir, key: &SigningKey) {
    assert_eq!(key.select_algorithm(None).unwrap(), Algorithm::EdDSA);
    std::fs::write(dir.file_path("message"), b"to be signed").unwrap();
    let signature = key.sign(Algorithm::EdDSA, b"to be signed").unwrap();
    std::fs::write(dir.file_path("signature"), signature).unwrap();
    std::fs::write(dir.file_path("key"), fixture_bytes("ed25519.pem")).unwrap();
    run_shell(dir.path(), "openssl pkeyutl -verify -inkey key -rawin -in message -sigfile signature");
}

#[test]
fn ed25519_key_of_every_format_signs_verifiably() {
    let dir = KeyDir::new();
    for (name, password) in [
        ("ed25519.pem", None),
        ("ed25519.der", None),
        ("ed25519-encrypted.pem", Some(STORE_PASSWORD)),
        ("ed25519.p12", Some(STORE_PASSWORD)),
    ] {
        let key = open(&dir.fixture(name, password)).unwrap_or_else(|error| panic!("{name}: {error}"));
        assert_ed25519_signs(&dir, &key);
        assert_eq!(key.certificates().len(), usize::from(name == "ed25519.p12"), "{name}");
    }
}

/// PKCS#8 version 2 (RFC 5958), which contains the public key, too.
fn pkcs8_v2(public: &[u8]) -> Vec<u8> {
    let first = fixture_bytes("ed25519.der");
    let mut body = first[2..].to_vec();
    body[2] = 1;
    body.extend([0x81, 33, 0]);
    body.extend(public);
    crate::key::asn1::der::encode_sequence(&[&body]).to_vec()
}

#[test]
fn ed25519_pkcs8_v2_requires_matching_public_key() {
    use aws_lc_rs::signature::KeyPair as _;
    let dir = KeyDir::new();
    let pair = aws_lc_rs::signature::Ed25519KeyPair::from_pkcs8(fixture_bytes("ed25519.der")).unwrap();
    let right = pkcs8_v2(pair.public_key().as_ref());
    assert_ed25519_signs(&dir, &open(&dir.source_with_content("v2.der", &right, None)).unwrap());
    let wrong = dir.source_with_content("wrong.der", &pkcs8_v2(&[7; 32]), None);
    open_error(&wrong, Status::KeyStore, "JWTCertStore");
}

#[test]
fn inline_key_accepts_pem_and_base64() {
    let pem = fixture_text("rsa.pem");
    for text in [
        pem.clone(),
        pem.replace('\n', " "),
        pem.replace('\n', "\\n"),
        pem.replace('\n', "\r\n"),
        STANDARD.encode(&pem),
        URL_SAFE.encode(fixture_bytes("ed25519.der")),
        STANDARD.encode(fixture_bytes("ed25519.der")).trim_end_matches('=').to_owned(),
        fixture_text("ec.pem"),
        fixture_text("rsa-pkcs1.pem"),
    ] {
        open(&KeySource::inline(&text)).unwrap_or_else(|error| panic!("{text}: {error}"));
    }
    let bundle = open(&KeySource::inline(&fixture_text("bundle.pem"))).unwrap();
    assert_eq!(bundle.certificates().len(), 2);
}

#[test]
fn encrypted_inline_key_requires_password() {
    for text in [fixture_text("rsa-encrypted.pem"), STANDARD.encode(fixture_bytes("rsa-encrypted.der"))] {
        let source = KeySource::inline(&text);
        open(&source.clone().with_password(STORE_PASSWORD)).unwrap();
        let none = open_error(&source, Status::KeyPassword, "JWTCertPassword");
        let wrong = open_error(&source.with_password("wrong-one"), Status::KeyPassword, "JWTCertPassword");
        for error in [none, wrong] {
            assert!(error.message().starts_with("[authgrant][key store] JWTPrivateKey "), "{error}");
        }
    }
}

#[test]
fn invalid_inline_key_error_omits_text() {
    let damaged = fixture_text("rsa.pem").replace("-----END", "-----");
    for text in ["hunter2;", "aHVudGVyMg==", damaged.as_str(), "-----BEGIN PRIVATE KEY-----", " "] {
        let error = open_error(&KeySource::inline(text), Status::KeyStore, "JWTPrivateKey");
        for word in ["hunter2", "aHVudGVyMg", "MII"] {
            assert!(!error.message().contains(word), "{error}");
        }
    }
}

#[test]
fn hmac_secret_length_determines_algorithms() {
    for (length, strongest) in [(32, Algorithm::HS256), (48, Algorithm::HS384), (64, Algorithm::HS512)] {
        let key = open(&KeySource::hmac_secret(&"s".repeat(length))).unwrap();
        assert_eq!(key.select_algorithm(None).unwrap(), Algorithm::HS256);
        assert_eq!(key.select_algorithm(Some(strongest)).unwrap(), strongest);
        assert_eq!(key.sign(strongest, b"x").unwrap().len(), length);
    }
    let all = [Algorithm::HS256, Algorithm::HS384, Algorithm::HS512];
    for (length, count) in [(31, 0), (32, 1), (47, 1), (48, 2), (63, 2), (64, 3), (65, 3)] {
        let key = open(&KeySource::hmac_secret(&"s".repeat(length))).unwrap();
        assert_eq!(key.algorithms(), &all[..count], "{length}");
    }
}

#[test]
fn short_hmac_secret_error_shows_only_bits() {
    for (secret, requested, fragments) in [
        ("hunter2hunter2hunter2hunter2hun", None, ["248 bits", "HS256", "at least 256"]),
        ("base64:aHVudGVyMg", Some(Algorithm::HS256), ["56 bits", "HS256", "at least 256"]),
        (
            "hunter2hunter2hunter2hunter2hunter2",
            Some(Algorithm::HS384),
            ["280 bits", "HS384", "at least 384"],
        ),
        (
            "hunter2hunter2hunter2hunter2hunter2",
            Some(Algorithm::HS512),
            ["280 bits", "HS512", "at least 512"],
        ),
    ] {
        let key = open(&KeySource::hmac_secret(secret)).unwrap();
        let error = key.select_algorithm(requested).unwrap_err();
        assert_eq!((error.status(), error.option()), (Status::KeyUnsuitable, Some("JWTSecret")));
        assert!(fragments.iter().all(|fragment| error.message().contains(fragment)), "{error}");
        assert!(!error.message().contains("hunter2") && !format!("{key:?}").contains("hunter2"), "{error}");
        assert!(key.sign(requested.unwrap_or(Algorithm::HS256), b"x").is_err());
    }
}

#[test]
fn hmac_secret_rejects_asymmetric_algorithm() {
    let key = open(&KeySource::hmac_secret(&"s".repeat(64))).unwrap();
    let error = key.select_algorithm(Some(Algorithm::RS256)).unwrap_err();
    assert_eq!(error.status(), Status::KeyUnsuitable);
    assert!(error.message().contains("RS256") && error.message().contains("an RSA key"), "{error}");
    assert!(key.sign(Algorithm::RS256, b"x").is_err());
}

#[test]
fn hmac_secret_with_invalid_base64_is_rejected() {
    for secret in ["base64:", "base64:hunter2!"] {
        let error = open_error(&KeySource::hmac_secret(secret), Status::InvalidOption, "JWTSecret");
        assert!(!error.message().contains("hunter2"), "{error}");
    }
}

#[test]
fn certificate_file_supplies_missing_certificate() {
    let dir = KeyDir::new();
    let store = dir.fixture("rsa.p12", Some(STORE_PASSWORD));
    let expected = open(&store).unwrap();
    for name in ["ca.pem", "ca.der"] {
        dir.fixture(name, None);
        let source = dir.fixture("rsa.pem", None).with_certificate(&dir.file_path(name));
        let key = open(&source).unwrap();
        for header in CertHeader::all() {
            assert_eq!(key.certificate_header(header).unwrap(), expected.certificate_header(header).unwrap());
        }
    }
}

#[test]
fn store_certificate_takes_precedence_over_file() {
    let dir = KeyDir::new();
    dir.fixture("leaf.key", None);
    dir.fixture("leaf.crt", None);
    run_shell(dir.path(), "openssl req -x509 -new -key leaf.key -subj /CN=again -days 30 -out again.crt");
    let store = dir.fixture("chain.p12", Some(STORE_PASSWORD));
    let alone = open(&store).unwrap();
    let both = open(&store.with_certificate(&dir.file_path("again.crt"))).unwrap();
    assert_eq!(
        alone.certificate_header(CertHeader::X5t).unwrap(),
        both.certificate_header(CertHeader::X5t).unwrap()
    );
}

#[test]
fn certificate_file_of_other_key_is_rejected() {
    let dir = KeyDir::new();
    dir.fixture("ec.crt", None);
    for source in [dir.fixture("rsa.pem", None), dir.fixture("rsa.p12", Some(STORE_PASSWORD))] {
        let source = source.with_certificate(&dir.file_path("ec.crt"));
        let error = open_error(&source, Status::KeyUnsuitable, "JWTCertificate");
        assert!(error.message().contains("ec.crt"), "{error}");
    }
}

#[test]
fn invalid_certificate_file_error_names_file() {
    let dir = KeyDir::new();
    let source = dir.fixture("rsa.pem", None);
    for (name, content) in [
        ("text", b"no certificate".as_slice()),
        ("key.pem", fixture_bytes("rsa.pem")),
        ("empty", b""),
        ("cut.pem", &fixture_bytes("ca.pem")[..200]),
        ("cut.der", &fixture_bytes("ca.der")[..200]),
    ] {
        dir.source_with_content(name, content, None);
        let error = open_error(
            &source.clone().with_certificate(&dir.file_path(name)),
            Status::KeyStore,
            "JWTCertificate",
        );
        assert!(error.message().contains(name), "{error}");
    }
    open_error(&source.with_certificate(&dir.file_path("missing")), Status::KeyStore, "JWTCertificate");
}
