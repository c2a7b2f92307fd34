//! Listing of the keys in stores.

use crate::base::error::Status;
use crate::base::secret::Secret;
use crate::key::fixtures::{KEY_PASSWORD, KeyDir, STORE_PASSWORD};
use crate::key::*;

/// Returns the format, and each key's alias and type, or the status of its error.
fn list_summary(source: &KeySource) -> (&'static str, Vec<(Option<String>, String)>) {
    let contents = list(source).unwrap().unwrap();
    let type_or_status = |key: &ListedKey| match &key.key {
        Ok(key) => key.type_and_size(),
        Err(error) => error.status().name().to_owned(),
    };
    let keys = contents.keys.iter().map(|key| (key.alias.clone(), type_or_status(key))).collect();
    (contents.format, keys)
}

#[test]
fn every_format_lists_keys_with_type() {
    let dir = KeyDir::new();
    let some = |name: &str| Some(name.to_owned());
    let password = Some(STORE_PASSWORD);
    for (file, format, keys) in [
        ("two-keys.p12", "PKCS#12", vec![(some("first"), "RSA 2048"), (some("second"), "EC P-384")]),
        ("rsa.p12", "PKCS#12", vec![(some("Signer"), "RSA 2048")]),
        ("two.pem", "PEM", vec![(None, "RSA 2048"), (None, "EC P-256")]),
        ("ed25519.der", "DER", vec![(None, "Ed25519")]),
        ("rsa1024.pem", "PEM", vec![(None, "AUTHGRANT_KEY_UNSUITABLE")]),
        ("trust.jks", "JKS", vec![]),
    ] {
        let keys: Vec<_> = keys.into_iter().map(|(alias, key_type)| (alias, key_type.to_owned())).collect();
        assert_eq!(list_summary(&dir.fixture(file, password)), (format, keys), "{file}");
    }
}

#[test]
fn unopened_key_is_listed_with_error() {
    let dir = KeyDir::new();
    let mut source = dir.fixture("two.jks", Some(STORE_PASSWORD));
    source.alias = Some("no such alias".to_owned());
    let (_, mut keys) = list_summary(&source);
    keys.sort();
    let some = |name: &str| Some(name.to_owned());
    let status = Status::KeyPassword.name().to_owned();
    assert_eq!(keys, [(some("second"), "EC P-256".to_owned()), (some("signer"), status.clone())]);
    source.key_password = Some(Secret::from(KEY_PASSWORD));
    let (_, mut keys) = list_summary(&source);
    keys.sort();
    assert_eq!(keys, [(some("second"), status), (some("signer"), "RSA 2048".to_owned())]);
}

#[test]
fn wrong_password_lists_no_aliases() {
    let dir = KeyDir::new();
    for file in ["two.jks", "rsa.p12"] {
        for password in [None, Some("wrong")] {
            let error = list(&dir.fixture(file, password)).unwrap_err();
            assert_eq!(error.status(), Status::KeyPassword, "{file}");
            assert!(!error.message().to_lowercase().contains("signer"), "{error}");
        }
    }
}

#[test]
fn certificate_file_attaches_to_matching_key_only() {
    let dir = KeyDir::new();
    dir.fixture("ec.crt", None);
    let source = dir.fixture("two.pem", None);
    let source = source.with_certificate(&dir.file_path("ec.crt"));
    let keys = list(&source).unwrap().unwrap().keys;
    let subjects: Vec<_> = keys
        .iter()
        .map(|key| key.key.as_ref().unwrap().certificate_info().and_then(|info| info.subject.clone()))
        .collect();
    assert_eq!(subjects, [None, Some("CN=ec".to_owned())]);
}

#[test]
fn certificate_info_has_subject_and_validity() {
    let dir = KeyDir::new();
    let key = open(&dir.fixture("one.jks", Some(STORE_PASSWORD)).with_key_password(KEY_PASSWORD)).unwrap();
    let info = key.certificate_info().unwrap();
    assert_eq!(info.subject.as_deref(), Some("CN=one"));
    // The default of keytool.
    let (from, to) = info.validity;
    assert_eq!(to - from, 90 * 86_400);
    assert!(info.not_before.starts_with("20") && info.not_after.ends_with('Z'), "{info:?}");
    assert_eq!(info.not_before.len(), "2026-01-31T12:00:00Z".len());
    assert_eq!(CertificateInfo::from_der(b"no certificate"), None);
}
