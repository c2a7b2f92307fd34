//! What stores hold, as the list of them tells it.

use crate::base::error::Status;
use crate::base::secret::Secret;
use crate::key::fixtures::{KEY_PASSWORD, Place, STORE_PASSWORD};
use crate::key::*;

/// The format, and each key's alias and type, or the status of what keeps it from opening.
fn listed(source: &KeySource) -> (&'static str, Vec<(Option<String>, String)>) {
    let listing = list(source).unwrap().unwrap();
    let told = |key: &Listed| match &key.key {
        Ok(key) => key.kind(),
        Err(error) => error.status().name().to_owned(),
    };
    let keys = listing.keys.iter().map(|key| (key.alias.clone(), told(key))).collect();
    (listing.kind, keys)
}

#[test]
fn every_key_of_every_format_is_listed_with_what_it_is() {
    let place = Place::new();
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
        assert_eq!(listed(&place.fixture(file, password)), (kind, keys), "{file}");
    }
}

#[test]
fn a_key_with_a_password_of_its_own_is_listed_although_it_does_not_open() {
    let place = Place::new();
    let mut source = place.fixture("two.jks", Some(STORE_PASSWORD));
    source.alias = Some("no such alias".to_owned());
    let (_, mut keys) = listed(&source);
    keys.sort();
    let some = |name: &str| Some(name.to_owned());
    let closed = Status::KeyPassword.name().to_owned();
    assert_eq!(keys, [(some("second"), "EC P-256".to_owned()), (some("signer"), closed.clone())]);
    source.key_password = Some(Secret::from(KEY_PASSWORD));
    let (_, mut keys) = listed(&source);
    keys.sort();
    assert_eq!(keys, [(some("second"), closed), (some("signer"), "RSA 2048".to_owned())]);
}

#[test]
fn nothing_is_listed_before_the_password_has_proved_itself() {
    let place = Place::new();
    for file in ["two.jks", "rsa.p12"] {
        for password in [None, Some("wrong")] {
            let error = list(&place.fixture(file, password)).unwrap_err();
            assert_eq!(error.status(), Status::KeyPassword, "{file}");
            assert!(!error.message().to_lowercase().contains("signer"), "{error}");
        }
    }
}

#[test]
fn a_certificate_in_a_file_of_its_own_is_that_of_its_key_alone() {
    let place = Place::new();
    place.fixture("ec.crt", None);
    let source = place.fixture("two.pem", None);
    let source = source.certificate_is(&place.file("ec.crt"));
    let keys = list(&source).unwrap().unwrap().keys;
    let subjects: Vec<_> = keys
        .iter()
        .map(|key| key.key.as_ref().unwrap().certificate().and_then(|facts| facts.subject.clone()))
        .collect();
    assert_eq!(subjects, [None, Some("CN=ec".to_owned())]);
}

#[test]
fn a_certificate_says_whose_it_is_and_from_when_to_when() {
    let place = Place::new();
    let key = open(&place.fixture("one.jks", Some(STORE_PASSWORD)).key_password_is(KEY_PASSWORD)).unwrap();
    let facts = key.certificate().unwrap();
    assert_eq!(facts.subject.as_deref(), Some("CN=one"));
    // keytool's default.
    let (from, to) = facts.validity;
    assert_eq!(to - from, 90 * 86_400);
    assert!(facts.not_before.starts_with("20") && facts.not_after.ends_with('Z'), "{facts:?}");
    assert_eq!(facts.not_before.len(), "2026-01-31T12:00:00Z".len());
    assert_eq!(Facts::of(b"no certificate"), None);
}
