//! What stores hold, as the list of them tells it.

use crate::base::error::Status;
use crate::base::secret::Secret;
use crate::key::fixtures::{KEY_PASSWORD, KeyDir, STORE_PASSWORD};
use crate::key::*;

/// The format, and each key's alias and type, or the status of what keeps it from opening.
fn list_summary(source: &KeySource) -> (&'static str, Vec<(Option<String>, String)>) {
    let listing = list(source).unwrap().unwrap();
    let told = |key: &ListedKey| match &key.key {
        Ok(key) => key.type_and_size(),
        Err(error) => error.status().name().to_owned(),
    };
    let keys = listing.keys.iter().map(|key| (key.alias.clone(), told(key))).collect();
    (listing.format, keys)
}

#[test]
fn every_format_lists_keys_with_type() {
    let place = KeyDir::new();
    let some = |name: &str| Some(name.to_owned());
    let password = Some(STORE_PASSWORD);
    for (file, kind, keys) in [
        ("two-keys.p12", "PKCS#12", vec![(some("first"), "RSA 2048"), (some("second"), "EC P-384")]),
        ("rsa.p12", "PKCS#12", vec![(some("Signer"), "RSA 2048")]),
        ("two.pem", "PEM", vec![(None, "RSA 2048"), (None, "EC P-256")]),
        ("ed25519.der", "DER", vec![(None, "Ed25519")]),
        ("rsa1024.pem", "PEM", vec![(None, "AUTHGRANT_KEY_UNSUITABLE")]),
        ("trust.jks", "JKS", vec![]),
    ] {
        let keys: Vec<_> = keys.into_iter().map(|(alias, kind)| (alias, kind.to_owned())).collect();
        assert_eq!(list_summary(&place.fixture(file, password)), (kind, keys), "{file}");
    }
}

#[test]
fn unopened_key_is_listed_with_error() {
    let place = KeyDir::new();
    let mut source = place.fixture("two.jks", Some(STORE_PASSWORD));
    source.alias = Some("no such alias".to_owned());
    let (_, mut keys) = list_summary(&source);
    keys.sort();
    let some = |name: &str| Some(name.to_owned());
    let closed = Status::KeyPassword.name().to_owned();
    assert_eq!(keys, [(some("second"), "EC P-256".to_owned()), (some("signer"), closed.clone())]);
    source.key_password = Some(Secret::from(KEY_PASSWORD));
    let (_, mut keys) = list_summary(&source);
    keys.sort();
    assert_eq!(keys, [(some("second"), closed), (some("signer"), "RSA 2048".to_owned())]);
}

#[test]
fn wrong_password_lists_no_aliases() {
    let place = KeyDir::new();
    for file in ["two.jks", "rsa.p12"] {
        for password in [None, Some("wrong")] {
            let error = list(&place.fixture(file, password)).unwrap_err();
            assert_eq!(error.status(), Status::KeyPassword, "{file}");
            assert!(!error.message().to_lowercase().contains("signer"), "{error}");
        }
    }
}

#[test]
fn certificate_file_attaches_to_matching_key_only() {
    let place = KeyDir::new();
    place.fixture("ec.crt", None);
    let source = place.fixture("two.pem", None);
    let source = source.with_certificate(&place.file_path("ec.crt"));
    let keys = list(&source).unwrap().unwrap().keys;
    let subjects: Vec<_> = keys
        .iter()
        .map(|key| key.key.as_ref().unwrap().certificate_info().and_then(|facts| facts.subject.clone()))
        .collect();
    assert_eq!(subjects, [None, Some("CN=ec".to_owned())]);
}

#[test]
fn certificate_info_has_subject_and_validity() {
    let place = KeyDir::new();
    let key = open(&place.fixture("one.jks", Some(STORE_PASSWORD)).with_key_password(KEY_PASSWORD)).unwrap();
    let facts = key.certificate_info().unwrap();
    assert_eq!(facts.subject.as_deref(), Some("CN=one"));
    // keytool's default.
    let (from, to) = facts.validity;
    assert_eq!(to - from, 90 * 86_400);
    assert!(facts.not_before.starts_with("20") && facts.not_after.ends_with('Z'), "{facts:?}");
    assert_eq!(facts.not_before.len(), "2026-01-31T12:00:00Z".len());
    assert_eq!(CertificateInfo::from_der(b"no certificate"), None);
}
