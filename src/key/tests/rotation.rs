//! Choice among several keys without JWTCertAlias.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use jsonwebtoken::Algorithm;
use rcgen::{CertificateParams, KeyPair};

use crate::base::clock::Clock;
use crate::base::error::{Error, Status};
use crate::key::fixtures::{KEY_PASSWORD, KeyDir, STORE_PASSWORD, fixture_bytes};
use crate::key::open::open_with_versions;
use crate::key::{CertHeader, KeyCache, KeySource, SigningKey};

/// Times relative to the certificates of rotated.p12: "old" is valid in 2025 and 2026, "new" from June 2026 to
/// May 2028.
const MARCH_2026: i64 = 1_772_323_200;
const JUNE_2026: i64 = 1_780_272_000;
const JULY_2026: i64 = 1_782_864_000;
const JULY_2027: i64 = 1_814_400_000;
const JULY_2028: i64 = 1_846_022_400;
const DAY_SECS: i64 = 86_400;

fn open_at(source: &KeySource, now: i64) -> Result<SigningKey, Error> {
    open_with_versions(source, now).map(|(key, _)| key)
}

fn rotated_store(dir: &KeyDir) -> KeySource {
    dir.fixture("rotated.p12", Some(STORE_PASSWORD))
}

/// The warning that `key` was chosen, if there is one.
fn choice_warning(key: &SigningKey, now: i64) -> Option<Error> {
    key.warnings(now).into_iter().find(|warning| warning.option() == Some("JWTCertAlias"))
}

#[test]
fn newest_valid_certificate_determines_key() {
    let dir = KeyDir::new();
    let source = rotated_store(&dir);
    for (now, alias) in [
        (MARCH_2026, "old"),
        (JUNE_2026 - 1, "old"),
        (JUNE_2026, "new"),
        (JULY_2026, "new"),
        (JULY_2027, "new"),
    ] {
        let key = open_at(&source, now).unwrap();
        assert_eq!(key.alias(), Some(alias), "{now}");
        let warning = choice_warning(&key, now).unwrap();
        for fragment in [&format!("\"{alias}\" is used"), "JWTCertAlias", "several keys"] {
            assert!(warning.message().contains(fragment), "{warning}");
        }
    }
    for now in [0, JULY_2028] {
        let error = open_at(&source, now).unwrap_err();
        assert_eq!((error.status(), error.option()), (Status::KeyNotFound, Some("JWTCertAlias")));
        assert!(error.message().contains("\"old\" and \"new\""), "{error}");
    }
    let chosen = open_at(&source.with_alias("old"), JULY_2026).unwrap();
    assert!(chosen.alias() == Some("old") && choice_warning(&chosen, JULY_2026).is_none());
}

#[test]
fn key_id_selects_key_by_alias_or_thumbprint() {
    let dir = KeyDir::new();
    let source = rotated_store(&dir);
    let old = open_at(&source.clone().with_alias("old"), JULY_2026).unwrap();
    let thumbprint = |header| old.certificate_header(header).unwrap().trim_matches('"').to_owned();
    for key_id in ["OLD".to_owned(), thumbprint(CertHeader::X5t), thumbprint(CertHeader::X5tS256)] {
        let key = open_at(&source.clone().with_key_id(&key_id), JULY_2026).unwrap();
        assert_eq!(key.alias(), Some("old"), "{key_id}");
        assert!(choice_warning(&key, JULY_2026).is_none(), "{key_id}");
    }
    let unknown = open_at(&source.with_key_id("name-at-the-server"), JULY_2026).unwrap();
    assert!(unknown.alias() == Some("new") && choice_warning(&unknown, JULY_2026).is_some());
}

#[test]
fn algorithm_selects_only_key_that_supports_it() {
    let dir = KeyDir::new();
    let source = dir.fixture("two-keys.p12", Some(STORE_PASSWORD));
    for (algorithm, alias) in [(Algorithm::RS256, "first"), (Algorithm::ES384, "second")] {
        let key = open_at(&source.clone().with_algorithm(algorithm), 0).unwrap();
        assert!(key.alias() == Some(alias) && choice_warning(&key, 0).is_none(), "{algorithm:?}");
    }
    let error = open_at(&source.with_algorithm(Algorithm::ES256), 0).unwrap_err();
    assert_eq!(error.status(), Status::KeyNotFound, "{error}");
    let pem = dir.fixture("two.pem", None);
    let key = open_at(&pem.with_algorithm(Algorithm::ES256), 0).unwrap();
    assert_eq!(key.type_and_size(), "EC P-256");
    let both_match = rotated_store(&dir).with_algorithm(Algorithm::ES256);
    assert_eq!(open_at(&both_match, JULY_2026).unwrap().alias(), Some("new"));
}

/// A key in PEM with a certificate from `year` on, for ten years.
fn pem_with_certificate(year: i32) -> String {
    pem_with_validity(year, year + 10)
}

/// A key in PEM with a certificate from the beginning of one year to that of another.
fn pem_with_validity(from: i32, to: i32) -> String {
    let key = KeyPair::generate().unwrap();
    let mut parameters = CertificateParams::new(Vec::new()).unwrap();
    parameters.not_before = rcgen::date_time_ymd(from, 1, 1);
    parameters.not_after = rcgen::date_time_ymd(to, 1, 1);
    format!("{}{}", key.serialize_pem(), parameters.self_signed(&key).unwrap().pem())
}

#[test]
fn keys_without_certificate_or_with_equal_dates_stay_ambiguous() {
    let dir = KeyDir::new();
    let write = |name: &str, parts: &[&str]| dir.source_with_content(name, parts.concat().as_bytes(), None);
    let (first, second, newer) =
        (pem_with_certificate(2020), pem_with_certificate(2020), pem_with_certificate(2024));
    let bare = std::str::from_utf8(fixture_bytes("ec.pem")).unwrap();
    for source in [dir.fixture("two.pem", None), write("tie.pem", &[&first, &second])] {
        let error = open_at(&source, MARCH_2026).unwrap_err();
        assert_eq!(error.status(), Status::KeyNotFound, "{error}");
    }
    let key = open_at(&write("mixed.pem", &[bare, &first]), MARCH_2026).unwrap();
    assert!(key.certificate_info().is_some());
    let warning = choice_warning(&key, MARCH_2026).unwrap();
    assert!(warning.message().contains("key 2 is used"), "{warning}");
    let key = open_at(&write("three.pem", &[&first, &newer, &second]), MARCH_2026).unwrap();
    assert!(key.certificate_info().unwrap().not_before.starts_with("2024"), "{key:?}");
}

#[test]
fn expired_certificate_does_not_compete_with_equally_old_one() {
    let dir = KeyDir::new();
    let (short, long) = (pem_with_validity(2020, 2026), pem_with_validity(2020, 2040));
    let source = dir.source_with_content("two.pem", [short.as_str(), &long].concat().as_bytes(), None);
    let alone = open_at(&KeySource::inline(&short), MARCH_2026).unwrap();
    let (_, end) = alone.certificate_info().unwrap().validity;
    assert_eq!(open_at(&source, end - 1).unwrap_err().status(), Status::KeyNotFound);
    let key = open_at(&source, end).unwrap();
    assert!(key.certificate_info().unwrap().not_after.starts_with("2040"), "{key:?}");
}

#[test]
fn key_that_does_not_open_is_not_chosen() {
    let dir = KeyDir::new();
    let now = i64::from(u32::MAX);
    let source = dir.fixture("two.jks", Some(STORE_PASSWORD));
    for (source, alias, algorithm) in [
        (source.clone(), "second", Algorithm::ES256),
        (source.with_key_password(KEY_PASSWORD), "signer", Algorithm::RS256),
    ] {
        for source in [source.clone(), source.with_algorithm(algorithm)] {
            let key = open_at(&source, now).unwrap();
            assert_eq!(key.alias(), Some(alias));
            assert!(choice_warning(&key, now).is_some(), "{source:?}");
        }
    }
}

/// A JSON Web Key Set of shared secrets with these names. A short one supports no algorithm.
fn secret_set(keys: &[(&str, bool)]) -> KeySource {
    let key = |(kid, is_long): &(&str, bool)| {
        let k = if *is_long { "c3Nzc3Nzc3Nzc3Nzc3Nzc3Nzc3Nzc3Nzc3Nzc3Nzc3M" } else { "c3Nz" };
        format!(r#"{{"kty":"oct","kid":"{kid}","k":"{k}"}}"#)
    };
    KeySource::inline(&format!(r#"{{"keys":[{}]}}"#, keys.iter().map(key).collect::<Vec<_>>().join(",")))
}

#[test]
fn only_usable_key_is_chosen_with_warning() {
    let key = open_at(&secret_set(&[("short", false), ("long", true)]), 0).unwrap();
    assert_eq!(key.key_id(), Some("long"));
    let warning = choice_warning(&key, 0).unwrap();
    assert!(warning.message().contains("\"long\" is used, because no other key can be used"), "{warning}");
}

#[test]
fn jwk_is_chosen_by_exact_kid_alone() {
    let set = secret_set(&[("same", false), ("same", true), ("other", true)]);
    let key = open_at(&set.clone().with_key_id("same"), 0).unwrap();
    assert_eq!((key.key_id(), choice_warning(&key, 0).is_none()), (Some("same"), true));
    for key_id in ["SAME", "unknown"] {
        let error = open_at(&set.clone().with_key_id(key_id), 0).unwrap_err();
        assert_eq!((error.status(), error.option()), (Status::KeyNotFound, Some("JWTKeyID")), "{error}");
    }
    // If the kid did not decide, the only long secret would be chosen.
    let set = secret_set(&[("short", false), ("long", true)]);
    assert_eq!(open_at(&set.with_key_id("unknown"), 0).unwrap_err().option(), Some("JWTKeyID"));
}

#[test]
fn certificate_file_selects_its_key() {
    let dir = KeyDir::new();
    dir.fixture("ec.crt", None);
    let source = dir.fixture("two.pem", None).with_certificate(&dir.file_path("ec.crt"));
    assert_eq!(open_at(&source, MARCH_2026).unwrap().type_and_size(), "EC P-256");
}

#[test]
fn tls_key_store_with_several_keys_requires_alias() {
    let dir = KeyDir::new();
    let mut source = rotated_store(&dir);
    source.purpose = crate::key::StorePurpose::ClientCertificate;
    let error = open_at(&source, JULY_2026).unwrap_err();
    assert_eq!((error.status(), error.option()), (Status::KeyNotFound, Some("KeyStoreAlias")));
}

#[derive(Default)]
struct SettableClock(AtomicI64);

impl Clock for SettableClock {
    fn unix_seconds(&self) -> i64 {
        self.0.load(Ordering::SeqCst)
    }

    fn boot_time(&self) -> Duration {
        Duration::ZERO
    }
}

#[test]
fn cached_choice_is_renewed_when_newer_certificate_begins() {
    let dir = KeyDir::new();
    let source = rotated_store(&dir);
    let clock = Arc::new(SettableClock::default());
    let cache = KeyCache::with_clock([7; 32], Arc::clone(&clock) as Arc<dyn Clock>);
    let at = |now| {
        clock.0.store(now, Ordering::SeqCst);
        cache.get_or_open(&source).unwrap()
    };
    let old = at(MARCH_2026);
    assert!(old.alias() == Some("old") && Arc::ptr_eq(&old, &at(JUNE_2026 - 1)));
    let new = at(JUNE_2026);
    assert!(new.alias() == Some("new") && Arc::ptr_eq(&new, &at(JULY_2026)));
}

#[test]
fn certificate_outside_validity_or_ending_soon_is_warning() {
    let dir = KeyDir::new();
    let key = open_at(&rotated_store(&dir).with_alias("new"), JULY_2026).unwrap();
    let (start, end) = key.certificate_info().unwrap().validity;
    for (now, fragment) in [
        (start - 1, Some("not valid before 2026-06-01")),
        (start, None),
        (end - 30 * DAY_SECS - 1, None),
        (end - 30 * DAY_SECS, Some("expires on 2028-05-31")),
        (end - 1, Some("expires on 2028-05-31")),
        (end, Some("expired on 2028-05-31")),
    ] {
        let warnings: Vec<_> = key.warnings(now).iter().map(Error::message).collect();
        assert_eq!(warnings.len(), usize::from(fragment.is_some()), "{now}: {warnings:?}");
        assert!(fragment.is_none_or(|fragment| warnings[0].contains(fragment)), "{warnings:?}");
    }
}
