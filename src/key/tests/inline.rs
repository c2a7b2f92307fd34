//! Keys without a store: inline text, shared secrets, Ed25519, and certificates that stand in a file of their own.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE};
use jsonwebtoken::Algorithm;

use crate::base::error::{Error, Status};
use crate::key::fixtures::{Place, STORE_PASSWORD, bytes, run};
use crate::key::{KeySource, SigningKey, Thumbprint, open};

fn text(name: &str) -> String {
    std::str::from_utf8(bytes(name)).unwrap().to_owned()
}

fn refused(source: &KeySource, status: Status, option: &str) -> Error {
    let error = open(source).err().unwrap_or_else(|| panic!("{source:?} opens"));
    assert_eq!((error.status(), error.option()), (status, Some(option)), "{error}");
    error
}

fn is_ed25519(place: &Place, key: &SigningKey) {
    assert_eq!(key.algorithm(None).unwrap(), Algorithm::EdDSA);
    std::fs::write(place.file("message"), b"to be signed").unwrap();
    let signature = key.sign(Algorithm::EdDSA, b"to be signed").unwrap();
    std::fs::write(place.file("signature"), signature).unwrap();
    std::fs::write(place.file("key"), bytes("ed25519.pem")).unwrap();
    run(place.path(), "openssl pkeyutl -verify -inkey key -rawin -in message -sigfile signature");
}

#[test]
fn an_ed25519_key_of_every_form_signs_what_openssl_verifies() {
    let place = Place::new();
    for (name, password) in [
        ("ed25519.pem", None),
        ("ed25519.der", None),
        ("ed25519-encrypted.pem", Some(STORE_PASSWORD)),
        ("ed25519.p12", Some(STORE_PASSWORD)),
    ] {
        let key = open(&place.fixture(name, password)).unwrap_or_else(|error| panic!("{name}: {error}"));
        is_ed25519(&place, &key);
        assert_eq!(key.certificates().len(), usize::from(name == "ed25519.p12"), "{name}");
    }
}

/// RFC 5958's version 2, which holds the public half too.
fn second_version(public: &[u8]) -> Vec<u8> {
    let first = bytes("ed25519.der");
    let mut body = first[2..].to_vec();
    body[2] = 1;
    body.extend([0x81, 33, 0]);
    body.extend(public);
    [vec![0x30, u8::try_from(body.len()).unwrap()], body].concat()
}

#[test]
fn an_ed25519_key_of_version_2_opens_unless_its_halves_differ() {
    use aws_lc_rs::signature::KeyPair as _;
    let place = Place::new();
    let pair = aws_lc_rs::signature::Ed25519KeyPair::from_pkcs8(bytes("ed25519.der")).unwrap();
    let right = second_version(pair.public_key().as_ref());
    is_ed25519(&place, &open(&place.with("v2.der", &right, None)).unwrap());
    let wrong = place.with("wrong.der", &second_version(&[7; 32]), None);
    refused(&wrong, Status::KeyStore, "JWTCertStore");
}

#[test]
fn a_key_inline_may_be_pem_or_base64_of_pem_or_der() {
    let pem = text("rsa.pem");
    for written in [
        pem.clone(),
        pem.replace('\n', " "),
        pem.replace('\n', "\\n"),
        pem.replace('\n', "\r\n"),
        STANDARD.encode(&pem),
        URL_SAFE.encode(bytes("ed25519.der")),
        STANDARD.encode(bytes("ed25519.der")).trim_end_matches('=').to_owned(),
        text("ec.pem"),
        text("rsa-pkcs1.pem"),
    ] {
        open(&KeySource::text(&written)).unwrap_or_else(|error| panic!("{written}: {error}"));
    }
    let bundle = open(&KeySource::text(&text("bundle.pem"))).unwrap();
    assert_eq!(bundle.certificates().len(), 2);
}

#[test]
fn an_encrypted_key_inline_opens_with_its_password_alone() {
    for written in [text("rsa-encrypted.pem"), STANDARD.encode(bytes("rsa-encrypted.der"))] {
        let source = KeySource::text(&written);
        open(&source.clone().password_is(STORE_PASSWORD)).unwrap();
        let none = refused(&source, Status::KeyPassword, "JWTCertPassword");
        let wrong = refused(&source.password_is("wrong-one"), Status::KeyPassword, "JWTCertPassword");
        for error in [none, wrong] {
            assert!(error.message().starts_with("[authgrant][key store] JWTPrivateKey "), "{error}");
        }
    }
}

#[test]
fn text_that_is_no_key_is_not_repeated() {
    let damaged = text("rsa.pem").replace("-----END", "-----");
    for written in ["hunter2;", "aHVudGVyMg==", damaged.as_str(), "-----BEGIN PRIVATE KEY-----", " "] {
        let error = refused(&KeySource::text(written), Status::KeyStore, "JWTPrivateKey");
        for word in ["hunter2", "aHVudGVyMg", "MII"] {
            assert!(!error.message().contains(word), "{error}");
        }
    }
}

#[test]
fn a_shared_secret_signs_with_the_hashes_that_it_is_as_long_as() {
    for (length, most) in [(32, Algorithm::HS256), (48, Algorithm::HS384), (64, Algorithm::HS512)] {
        let key = open(&KeySource::shared(&"s".repeat(length))).unwrap();
        assert_eq!(key.algorithm(None).unwrap(), Algorithm::HS256);
        assert_eq!(key.algorithm(Some(most)).unwrap(), most);
        assert_eq!(key.sign(most, b"x").unwrap().len(), length);
    }
}

#[test]
fn a_short_secret_is_told_its_bits_and_not_its_text() {
    for (secret, wanted, words) in [
        ("hunter2hunter2hunter2hunter2hun", None, ["248 bits", "HS256 wants 256"]),
        ("base64:aHVudGVyMg", Some(Algorithm::HS256), ["56 bits", "HS256 wants 256"]),
        ("hunter2hunter2hunter2hunter2hunter2", Some(Algorithm::HS384), ["280 bits", "HS384 wants 384"]),
        ("hunter2hunter2hunter2hunter2hunter2", Some(Algorithm::HS512), ["280 bits", "HS512 wants 512"]),
    ] {
        let key = open(&KeySource::shared(secret)).unwrap();
        let error = key.algorithm(wanted).unwrap_err();
        assert_eq!((error.status(), error.option()), (Status::KeyUnsuitable, Some("JWTSecret")));
        assert!(words.iter().all(|word| error.message().contains(word)), "{error}");
        assert!(!error.message().contains("hunter2") && !format!("{key:?}").contains("hunter2"), "{error}");
        assert!(key.sign(wanted.unwrap_or(Algorithm::HS256), b"x").is_err());
    }
}

#[test]
fn a_shared_secret_signs_nothing_that_a_private_key_should() {
    let key = open(&KeySource::shared(&"s".repeat(64))).unwrap();
    let error = key.algorithm(Some(Algorithm::RS256)).unwrap_err();
    assert_eq!(error.status(), Status::KeyUnsuitable);
    assert!(error.message().contains("RS256 needs an RSA key"), "{error}");
    assert!(key.sign(Algorithm::RS256, b"x").is_err());
}

#[test]
fn a_secret_whose_base64_is_broken_is_a_wrong_value() {
    for secret in ["base64:", "base64:hunter2!"] {
        let error = refused(&KeySource::shared(secret), Status::InvalidOption, "JWTSecret");
        assert!(!error.message().contains("hunter2"), "{error}");
    }
}

#[test]
fn a_certificate_file_stands_in_where_no_certificate_is_beside_the_key() {
    let place = Place::new();
    let beside = place.fixture("rsa.p12", Some(STORE_PASSWORD));
    let wanted = open(&beside).unwrap();
    for name in ["ca.pem", "ca.der"] {
        place.fixture(name, None);
        let source = place.fixture("rsa.pem", None).certificate_is(&place.file(name));
        let key = open(&source).unwrap();
        for thumbprint in Thumbprint::all() {
            assert_eq!(key.thumbprint(thumbprint).unwrap(), wanted.thumbprint(thumbprint).unwrap());
        }
    }
}

#[test]
fn a_certificate_beside_the_key_comes_before_the_one_of_the_file() {
    let place = Place::new();
    place.fixture("leaf.key", None);
    place.fixture("leaf.crt", None);
    run(place.path(), "openssl req -x509 -new -key leaf.key -subj /CN=again -days 30 -out again.crt");
    let store = place.fixture("chain.p12", Some(STORE_PASSWORD));
    let alone = open(&store).unwrap();
    let both = open(&store.certificate_is(&place.file("again.crt"))).unwrap();
    assert_eq!(alone.thumbprint(Thumbprint::X5t).unwrap(), both.thumbprint(Thumbprint::X5t).unwrap());
}

#[test]
fn a_certificate_of_another_key_is_refused_even_if_the_store_has_the_right_one() {
    let place = Place::new();
    place.fixture("ec.crt", None);
    for source in [place.fixture("rsa.pem", None), place.fixture("rsa.p12", Some(STORE_PASSWORD))] {
        let source = source.certificate_is(&place.file("ec.crt"));
        let error = refused(&source, Status::KeyUnsuitable, "JWTCertificate");
        assert!(error.message().contains("another key") && error.message().contains("ec.crt"), "{error}");
    }
}

#[test]
fn a_certificate_file_that_is_none_is_named() {
    let place = Place::new();
    let source = place.fixture("rsa.pem", None);
    for (name, content) in [
        ("text", b"no certificate".as_slice()),
        ("key.pem", bytes("rsa.pem")),
        ("empty", b""),
        ("cut.pem", &bytes("ca.pem")[..200]),
        ("cut.der", &bytes("ca.der")[..200]),
    ] {
        place.with(name, content, None);
        let error =
            refused(&source.clone().certificate_is(&place.file(name)), Status::KeyStore, "JWTCertificate");
        assert!(error.message().contains(name), "{error}");
    }
    refused(&source.certificate_is(&place.file("missing")), Status::KeyStore, "JWTCertificate");
}
