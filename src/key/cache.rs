//! The opened keys of one process: a store is read and decrypted once, not for each signature.
//!
//! A key is kept under a digest of all that opened it, so that a wrong password never meets the right one's key; the
//! passwords themselves are not kept, but for the PINs of tokens, which want them again when they come back. A file that
//! has changed since is opened anew, and so is one that another user opened: the process may have given up the right to
//! read it. A signer's is not kept at all, as the host may free what its signer works with.

use std::collections::HashMap;
use std::sync::Arc;

use aws_lc_rs::hmac;
use parking_lot::Mutex;

use super::{KeyOrigin, KeySource, SigningKey, metadata, open_with_stamps, pkcs11};
use crate::base::cache_key::CacheKey;
use crate::base::error::Result;
use crate::base::file::FileVersion;
use crate::sys;

/// Beyond this, the key that was opened first goes.
const MOST: usize = 1000;

struct Kept {
    key: Arc<SigningKey>,
    stamps: Vec<FileVersion>,
    opened: u64,
}

#[derive(Default)]
struct Keys {
    kept: HashMap<CacheKey, Kept>,
    opened: u64,
}

/// Opened keys, shared.
pub struct KeyRing {
    seed: hmac::Key,
    keys: Mutex<Keys>,
}

impl KeyRing {
    /// An empty ring; `seed` is random, so that a digest of a password tells nothing outside this process.
    #[must_use]
    pub fn new(seed: [u8; 32]) -> Self {
        Self { seed: hmac::Key::new(hmac::HMAC_SHA256, &seed), keys: Mutex::default() }
    }

    /// The key of `source`: the one opened before if nothing has changed, else opened now.
    ///
    /// Looks at the key's files each time. Only successes are kept.
    pub fn key(&self, source: &KeySource) -> Result<Arc<SigningKey>> {
        let Some(digest) = self.digest(source, sys::effective_user_id()) else {
            return super::open(source).map(Arc::new);
        };
        if let Ok(stamps) = source.files().map(FileVersion::read).collect::<std::result::Result<Vec<_>, _>>()
            && let Some(key) = self.kept(&digest, &stamps)
        {
            return Ok(key);
        }
        // Without the lock: a slow key derivation must not hold up other connections.
        let (key, stamps) = open_with_stamps(source)?;
        let key = Arc::new(key);
        self.keep(digest, Arc::clone(&key), stamps);
        Ok(key)
    }

    /// How many keys have been opened.
    pub fn opened(&self) -> u64 {
        self.keys.lock().opened
    }

    /// Forgets all keys, what their files say beside them, and the PINs that tokens refused; keys handed out live on with
    /// their holders.
    pub fn clear(&self) {
        // Without the lock: the last key of a token closes its session.
        let kept = std::mem::take(&mut self.keys.lock().kept);
        drop(kept);
        metadata::forget();
        pkcs11::forget();
    }

    fn kept(&self, digest: &CacheKey, stamps: &[FileVersion]) -> Option<Arc<SigningKey>> {
        let keys = self.keys.lock();
        let kept = keys.kept.get(digest).filter(|kept| kept.stamps == stamps && !kept.key.is_gone())?;
        Some(Arc::clone(&kept.key))
    }

    fn keep(&self, digest: CacheKey, key: Arc<SigningKey>, stamps: Vec<FileVersion>) {
        let mut keys = self.keys.lock();
        keys.opened = keys.opened.wrapping_add(1);
        let opened = keys.opened;
        if keys.kept.len() >= MOST && !keys.kept.contains_key(&digest) {
            let oldest = keys.kept.iter().min_by_key(|(_, kept)| kept.opened);
            if let Some(oldest) = oldest.map(|(digest, _)| *digest) {
                keys.kept.remove(&oldest);
            }
        }
        keys.kept.insert(digest, Kept { key, stamps, opened });
    }

    /// Of all that opens `source` and is said of it, for `user`; nothing for what is not kept.
    fn digest(&self, source: &KeySource, user: u32) -> Option<CacheKey> {
        let is_kept = !matches!(source.origin, KeyOrigin::Signer(_));
        is_kept.then(|| CacheKey::digest(&self.seed, &(user, source)))
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, SystemTime};

    use jsonwebtoken::Algorithm;

    use super::super::fixtures::{KEY_PASSWORD, Place, STORE_PASSWORD, bytes};
    use super::*;
    use crate::base::error::Status;
    use crate::base::file::ConfiguredPath;

    const RIGHT: Option<&str> = Some(STORE_PASSWORD);

    #[test]
    fn a_ring_stays_bounded() {
        let place = Place::new();
        let ring = KeyRing::new([7; 32]);
        let source = place.fixture("ec.pem", None);
        let first = ring.key(&source.clone().alias_is("0")).unwrap();
        for number in 1..=1000 {
            ring.key(&source.clone().alias_is(&number.to_string())).unwrap();
        }
        assert_eq!(ring.keys.lock().kept.len(), 1000);
        assert!(!Arc::ptr_eq(&first, &ring.key(&source.alias_is("0")).unwrap()));
    }

    #[test]
    fn relative_store_keeps_original_directory() {
        let place = Place::new();
        let ring = KeyRing::new([7; 32]);
        let at = |name: &str| KeyOrigin::Store(ConfiguredPath::with_path("keys/store", place.file(name)));
        let mut source = place.fixture("rsa.pem", None);
        place.fixture("ec.pem", None);
        source.origin = at("rsa.pem");
        assert_eq!(ring.key(&source).unwrap().algorithm(None).unwrap(), Algorithm::RS256);
        source.origin = at("ec.pem");
        assert_eq!(ring.key(&source).unwrap().algorithm(None).unwrap(), Algorithm::ES256);
        source.certificate = Some(ConfiguredPath::with_path("c.crt", place.file("none")));
        assert!(ring.key(&source).unwrap_err().message().contains("JWTCertificate c.crt cannot be read"));
        source.origin = at("missing");
        let error = ring.key(&source).unwrap_err();
        assert!(error.message().contains("JWTCertStore keys/store cannot be read"), "{error}");
    }

    #[test]
    fn a_key_that_one_user_opened_is_not_there_for_another() {
        let place = Place::new();
        let ring = KeyRing::new([7; 32]);
        let source = place.fixture("rsa.pem", None);
        let key = ring.key(&source).unwrap();
        let stamps: Vec<_> = source.files().flat_map(FileVersion::read).collect();
        let user = sys::effective_user_id();
        let digest = |user| ring.digest(&source, user).unwrap();
        let kept = ring.kept(&digest(user), &stamps).unwrap();
        assert!(Arc::ptr_eq(&key, &kept));
        assert!(ring.kept(&digest(user.wrapping_add(1)), &stamps).is_none());
    }

    #[test]
    fn a_key_speaks_of_its_store_as_its_own_source_does() {
        let ring = KeyRing::new([7; 32]);
        let place = Place::new();
        let mut source = place.fixture("rsa.pem", None);
        let mut other = source.clone();
        source.origin = KeyOrigin::Store(ConfiguredPath::with_path("a", place.file("rsa.pem")));
        other.origin = KeyOrigin::Store(ConfiguredPath::with_path("b", place.file("rsa.pem")));
        ring.key(&source).unwrap();
        let error = ring.key(&other).unwrap().algorithm(Some(Algorithm::ES256)).unwrap_err();
        assert!(error.message().contains("JWTCertStore b "), "{error}");
    }

    #[test]
    fn a_ring_opens_a_store_once() {
        let place = Place::new();
        let ring = KeyRing::new([7; 32]);
        let source = place.fixture("rsa.p12", RIGHT);
        let first = ring.key(&source).unwrap();
        assert!(Arc::ptr_eq(&first, &ring.key(&source).unwrap()));
        ring.clear();
        assert!(!Arc::ptr_eq(&first, &ring.key(&source).unwrap()));
    }

    #[test]
    fn a_ring_sees_that_the_file_was_exchanged() {
        let place = Place::new();
        let ring = KeyRing::new([7; 32]);
        let source = place.with("key", bytes("rsa.pem"), None);
        let old = ring.key(&source).unwrap();
        std::fs::write(place.file("new"), bytes("ec.pem")).unwrap();
        std::fs::rename(place.file("new"), place.file("key")).unwrap();
        let new = ring.key(&source).unwrap();
        assert_eq!(new.algorithm(None).unwrap(), Algorithm::ES256);
        assert_eq!(old.algorithm(None).unwrap(), Algorithm::RS256);
        std::fs::remove_file(place.file("key")).unwrap();
        assert_eq!(ring.key(&source).unwrap_err().status(), Status::KeyStore);
    }

    #[test]
    fn a_ring_sees_that_the_file_was_written_over_in_place() {
        let place = Place::new();
        let ring = KeyRing::new([7; 32]);
        let source = place.with("key", bytes("rsa.pem"), None);
        let old = ring.key(&source).unwrap();
        let file = std::fs::File::options().write(true).open(place.file("key")).unwrap();
        file.set_modified(SystemTime::now() + Duration::from_nanos(1_000_000)).unwrap();
        assert!(!Arc::ptr_eq(&old, &ring.key(&source).unwrap()));
    }

    #[cfg(unix)]
    #[test]
    fn a_ring_sees_another_file_of_the_same_length_and_time() {
        let place = Place::new();
        let ring = KeyRing::new([7; 32]);
        let source = place.with("key", bytes("rsa.pem"), None);
        let old = ring.key(&source).unwrap();
        let time = std::fs::metadata(place.file("key")).unwrap().modified().unwrap();
        std::fs::write(place.file("new"), bytes("rsa.pem")).unwrap();
        let new = std::fs::File::options().write(true).open(place.file("new")).unwrap();
        new.set_modified(time).unwrap();
        std::fs::rename(place.file("new"), place.file("key")).unwrap();
        assert!(!Arc::ptr_eq(&old, &ring.key(&source).unwrap()));
    }

    #[cfg(unix)]
    #[test]
    fn a_ring_sees_a_file_written_over_in_place_with_the_length_and_time_of_before() {
        let place = Place::new();
        let ring = KeyRing::new([7; 32]);
        let source = place.with("key", bytes("rsa.pem"), None);
        let old = ring.key(&source).unwrap();
        let time = std::fs::metadata(place.file("key")).unwrap().modified().unwrap();
        // The clock of the file system ticks every few milliseconds.
        std::thread::sleep(Duration::from_millis(20));
        place.with("key", bytes("rsa.pem"), None);
        let file = std::fs::File::options().write(true).open(place.file("key")).unwrap();
        file.set_modified(time).unwrap();
        assert!(!Arc::ptr_eq(&old, &ring.key(&source).unwrap()));
    }

    #[test]
    fn a_wrong_key_password_never_meets_the_key_of_the_right_one() {
        let place = Place::new();
        let ring = KeyRing::new([7; 32]);
        let source = place.fixture("one.jks", RIGHT);
        ring.key(&source.clone().key_password_is(KEY_PASSWORD)).unwrap();
        let wrong = ring.key(&source.clone().key_password_is("wrong-one")).unwrap_err();
        assert_eq!(wrong.status(), Status::KeyPassword);
        assert_eq!(ring.key(&source).unwrap_err().status(), Status::KeyPassword);
    }

    #[test]
    fn a_wrong_password_never_meets_the_key_of_the_right_one() {
        let place = Place::new();
        let ring = KeyRing::new([7; 32]);
        let right = place.fixture("rsa.p12", RIGHT);
        ring.key(&right).unwrap();
        let wrong = place.source("rsa.p12", Some("wrong-one"));
        assert_eq!(ring.key(&wrong).unwrap_err().status(), Status::KeyPassword);
        let none = place.source("rsa.p12", None);
        assert_eq!(ring.key(&none).unwrap_err().status(), Status::KeyPassword);
        let moved = none.key_password_is(STORE_PASSWORD);
        assert!(!Arc::ptr_eq(&ring.key(&right).unwrap(), &ring.key(&moved).unwrap()));
    }

    #[test]
    fn a_weak_store_that_was_opened_is_not_there_once_the_policy_forbids_it() {
        let place = Place::new();
        let ring = KeyRing::new([7; 32]);
        let source = place.fixture("rsa-legacy.p12", RIGHT);
        ring.key(&source).unwrap();
        assert_eq!(ring.key(&source.strong()).unwrap_err().status(), Status::KeyStore);
    }

    #[test]
    fn a_ring_keeps_keys_without_a_file_and_tells_each_secret_from_the_others() {
        let ring = KeyRing::new([7; 32]);
        let secret = "s".repeat(32);
        let first = ring.key(&KeySource::shared(&secret)).unwrap();
        assert!(Arc::ptr_eq(&first, &ring.key(&KeySource::shared(&secret)).unwrap()));
        let other = ring.key(&KeySource::shared(&"t".repeat(32))).unwrap();
        assert!(!Arc::ptr_eq(&first, &other));
        let text = std::str::from_utf8(bytes("ec.pem")).unwrap();
        assert_eq!(ring.key(&KeySource::shared(text)).unwrap().algorithm(None).unwrap(), Algorithm::HS256);
        assert_eq!(ring.key(&KeySource::text(text)).unwrap().algorithm(None).unwrap(), Algorithm::ES256);
    }

    #[test]
    fn a_ring_sees_that_the_certificate_was_exchanged() {
        let place = Place::new();
        let ring = KeyRing::new([7; 32]);
        let source = place.fixture("rsa.pem", None);
        let bare = ring.key(&source).unwrap();
        let named = source.certificate_is(&place.file("signer.crt"));
        place.with("signer.crt", bytes("ca.pem"), None);
        let first = ring.key(&named).unwrap();
        assert!(!Arc::ptr_eq(&bare, &first) && Arc::ptr_eq(&first, &ring.key(&named).unwrap()));
        place.with("signer.crt", bytes("ec.crt"), None);
        assert_eq!(ring.key(&named).unwrap_err().status(), Status::KeyUnsuitable);
    }
}
