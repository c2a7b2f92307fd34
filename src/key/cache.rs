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

use super::{KeyOrigin, KeySource, SigningKey, metadata, open_with_versions, pkcs11};
use crate::base::cache_key::CacheKey;
use crate::base::error::Result;
use crate::base::file::FileVersion;
use crate::sys;

/// Beyond this, the key that was opened first goes.
const MAX_CACHED_KEYS: usize = 1000;

struct CachedSigningKey {
    key: Arc<SigningKey>,
    versions: Vec<FileVersion>,
    sequence: u64,
}

#[derive(Default)]
struct KeyCacheState {
    entries: HashMap<CacheKey, CachedSigningKey>,
    opened_count: u64,
}

/// Opened keys, shared.
pub struct KeyCache {
    hmac_key: hmac::Key,
    state: Mutex<KeyCacheState>,
}

impl KeyCache {
    /// An empty ring; `seed` is random, so that a digest of a password tells nothing outside this process.
    #[must_use]
    pub fn new(seed: [u8; 32]) -> Self {
        Self { hmac_key: hmac::Key::new(hmac::HMAC_SHA256, &seed), state: Mutex::default() }
    }

    /// The key of `source`: the one opened before if nothing has changed, else opened now.
    ///
    /// Looks at the key's files each time. Only successes are kept.
    pub fn get_or_open(&self, source: &KeySource) -> Result<Arc<SigningKey>> {
        let Some(digest) = self.cache_key(source, sys::effective_user_id()) else {
            return super::open(source).map(Arc::new);
        };
        if let Ok(stamps) = source.files().map(FileVersion::read).collect::<std::result::Result<Vec<_>, _>>()
            && let Some(key) = self.lookup(&digest, &stamps)
        {
            return Ok(key);
        }
        // Without the lock: a slow key derivation must not hold up other connections.
        let (key, stamps) = open_with_versions(source)?;
        let key = Arc::new(key);
        self.insert(digest, Arc::clone(&key), stamps);
        Ok(key)
    }

    /// How many keys have been opened.
    pub fn opened_count(&self) -> u64 {
        self.state.lock().opened_count
    }

    /// Forgets all keys, what their files say beside them, and the PINs that tokens refused; keys handed out live on with
    /// their holders.
    pub fn clear(&self) {
        // Without the lock: the last key of a token closes its session.
        let kept = std::mem::take(&mut self.state.lock().entries);
        drop(kept);
        metadata::clear_metadata_cache();
        pkcs11::clear_rejected_pins();
    }

    fn lookup(&self, digest: &CacheKey, stamps: &[FileVersion]) -> Option<Arc<SigningKey>> {
        let keys = self.state.lock();
        let kept =
            keys.entries.get(digest).filter(|kept| kept.versions == stamps && !kept.key.is_detached())?;
        Some(Arc::clone(&kept.key))
    }

    fn insert(&self, digest: CacheKey, key: Arc<SigningKey>, stamps: Vec<FileVersion>) {
        let mut keys = self.state.lock();
        keys.opened_count = keys.opened_count.wrapping_add(1);
        let opened = keys.opened_count;
        if keys.entries.len() >= MAX_CACHED_KEYS && !keys.entries.contains_key(&digest) {
            let oldest = keys.entries.iter().min_by_key(|(_, kept)| kept.sequence);
            if let Some(oldest) = oldest.map(|(digest, _)| *digest) {
                keys.entries.remove(&oldest);
            }
        }
        keys.entries.insert(digest, CachedSigningKey { key, versions: stamps, sequence: opened });
    }

    /// Of all that opens `source` and is said of it, for `user`; nothing for what is not kept.
    fn cache_key(&self, source: &KeySource, user: u32) -> Option<CacheKey> {
        let is_kept = !matches!(source.origin, KeyOrigin::Callback(_));
        is_kept.then(|| CacheKey::digest(&self.hmac_key, &(user, source)))
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, SystemTime};

    use jsonwebtoken::Algorithm;

    use super::super::fixtures::{KEY_PASSWORD, KeyDir, STORE_PASSWORD, fixture_bytes};
    use super::*;
    use crate::base::error::Status;
    use crate::base::file::ConfiguredPath;

    const CORRECT_PASSWORD: Option<&str> = Some(STORE_PASSWORD);

    #[test]
    fn key_cache_evicts_oldest_when_full() {
        let place = KeyDir::new();
        let ring = KeyCache::new([7; 32]);
        let source = place.fixture("ec.pem", None);
        let first = ring.get_or_open(&source.clone().with_alias("0")).unwrap();
        for number in 1..=1000 {
            ring.get_or_open(&source.clone().with_alias(&number.to_string())).unwrap();
        }
        assert_eq!(ring.state.lock().entries.len(), 1000);
        assert!(!Arc::ptr_eq(&first, &ring.get_or_open(&source.with_alias("0")).unwrap()));
    }

    #[test]
    fn relative_store_keeps_original_directory() {
        let place = KeyDir::new();
        let ring = KeyCache::new([7; 32]);
        let at = |name: &str| KeyOrigin::File(ConfiguredPath::with_path("keys/store", place.file_path(name)));
        let mut source = place.fixture("rsa.pem", None);
        place.fixture("ec.pem", None);
        source.origin = at("rsa.pem");
        assert_eq!(ring.get_or_open(&source).unwrap().select_algorithm(None).unwrap(), Algorithm::RS256);
        source.origin = at("ec.pem");
        assert_eq!(ring.get_or_open(&source).unwrap().select_algorithm(None).unwrap(), Algorithm::ES256);
        source.certificate = Some(ConfiguredPath::with_path("c.crt", place.file_path("none")));
        assert!(
            ring.get_or_open(&source).unwrap_err().message().contains("JWTCertificate c.crt cannot be read")
        );
        source.origin = at("missing");
        let error = ring.get_or_open(&source).unwrap_err();
        assert!(error.message().contains("JWTCertStore keys/store cannot be read"), "{error}");
    }

    #[test]
    fn cached_key_is_not_shared_between_users() {
        let place = KeyDir::new();
        let ring = KeyCache::new([7; 32]);
        let source = place.fixture("rsa.pem", None);
        let key = ring.get_or_open(&source).unwrap();
        let stamps: Vec<_> = source.files().flat_map(FileVersion::read).collect();
        let user = sys::effective_user_id();
        let digest = |user| ring.cache_key(&source, user).unwrap();
        let kept = ring.lookup(&digest(user), &stamps).unwrap();
        assert!(Arc::ptr_eq(&key, &kept));
        assert!(ring.lookup(&digest(user.wrapping_add(1)), &stamps).is_none());
    }

    #[test]
    fn error_names_store_path_as_configured() {
        let ring = KeyCache::new([7; 32]);
        let place = KeyDir::new();
        let mut source = place.fixture("rsa.pem", None);
        let mut other = source.clone();
        source.origin = KeyOrigin::File(ConfiguredPath::with_path("a", place.file_path("rsa.pem")));
        other.origin = KeyOrigin::File(ConfiguredPath::with_path("b", place.file_path("rsa.pem")));
        ring.get_or_open(&source).unwrap();
        let error = ring.get_or_open(&other).unwrap().select_algorithm(Some(Algorithm::ES256)).unwrap_err();
        assert!(error.message().contains("JWTCertStore b "), "{error}");
    }

    #[test]
    fn store_is_opened_once_until_clear() {
        let place = KeyDir::new();
        let ring = KeyCache::new([7; 32]);
        let source = place.fixture("rsa.p12", CORRECT_PASSWORD);
        let first = ring.get_or_open(&source).unwrap();
        assert!(Arc::ptr_eq(&first, &ring.get_or_open(&source).unwrap()));
        ring.clear();
        assert!(!Arc::ptr_eq(&first, &ring.get_or_open(&source).unwrap()));
    }

    #[test]
    fn key_is_reopened_when_file_replaced() {
        let place = KeyDir::new();
        let ring = KeyCache::new([7; 32]);
        let source = place.source_with_content("key", fixture_bytes("rsa.pem"), None);
        let old = ring.get_or_open(&source).unwrap();
        std::fs::write(place.file_path("new"), fixture_bytes("ec.pem")).unwrap();
        std::fs::rename(place.file_path("new"), place.file_path("key")).unwrap();
        let new = ring.get_or_open(&source).unwrap();
        assert_eq!(new.select_algorithm(None).unwrap(), Algorithm::ES256);
        assert_eq!(old.select_algorithm(None).unwrap(), Algorithm::RS256);
        std::fs::remove_file(place.file_path("key")).unwrap();
        assert_eq!(ring.get_or_open(&source).unwrap_err().status(), Status::KeyStore);
    }

    #[test]
    fn key_is_reopened_when_mtime_changes() {
        let place = KeyDir::new();
        let ring = KeyCache::new([7; 32]);
        let source = place.source_with_content("key", fixture_bytes("rsa.pem"), None);
        let old = ring.get_or_open(&source).unwrap();
        let file = std::fs::File::options().write(true).open(place.file_path("key")).unwrap();
        file.set_modified(SystemTime::now() + Duration::from_nanos(1_000_000)).unwrap();
        assert!(!Arc::ptr_eq(&old, &ring.get_or_open(&source).unwrap()));
    }

    #[cfg(unix)]
    #[test]
    fn key_is_reopened_when_inode_changes() {
        let place = KeyDir::new();
        let ring = KeyCache::new([7; 32]);
        let source = place.source_with_content("key", fixture_bytes("rsa.pem"), None);
        let old = ring.get_or_open(&source).unwrap();
        let time = std::fs::metadata(place.file_path("key")).unwrap().modified().unwrap();
        std::fs::write(place.file_path("new"), fixture_bytes("rsa.pem")).unwrap();
        let new = std::fs::File::options().write(true).open(place.file_path("new")).unwrap();
        new.set_modified(time).unwrap();
        std::fs::rename(place.file_path("new"), place.file_path("key")).unwrap();
        assert!(!Arc::ptr_eq(&old, &ring.get_or_open(&source).unwrap()));
    }

    #[cfg(unix)]
    #[test]
    fn key_is_reopened_when_ctime_changes() {
        let place = KeyDir::new();
        let ring = KeyCache::new([7; 32]);
        let source = place.source_with_content("key", fixture_bytes("rsa.pem"), None);
        let old = ring.get_or_open(&source).unwrap();
        let time = std::fs::metadata(place.file_path("key")).unwrap().modified().unwrap();
        // The clock of the file system ticks every few milliseconds.
        std::thread::sleep(Duration::from_millis(20));
        place.source_with_content("key", fixture_bytes("rsa.pem"), None);
        let file = std::fs::File::options().write(true).open(place.file_path("key")).unwrap();
        file.set_modified(time).unwrap();
        assert!(!Arc::ptr_eq(&old, &ring.get_or_open(&source).unwrap()));
    }

    #[test]
    fn wrong_key_password_misses_cached_key() {
        let place = KeyDir::new();
        let ring = KeyCache::new([7; 32]);
        let source = place.fixture("one.jks", CORRECT_PASSWORD);
        ring.get_or_open(&source.clone().with_key_password(KEY_PASSWORD)).unwrap();
        let wrong = ring.get_or_open(&source.clone().with_key_password("wrong-one")).unwrap_err();
        assert_eq!(wrong.status(), Status::KeyPassword);
        assert_eq!(ring.get_or_open(&source).unwrap_err().status(), Status::KeyPassword);
    }

    #[test]
    fn wrong_store_password_misses_cached_key() {
        let place = KeyDir::new();
        let ring = KeyCache::new([7; 32]);
        let right = place.fixture("rsa.p12", CORRECT_PASSWORD);
        ring.get_or_open(&right).unwrap();
        let wrong = place.source("rsa.p12", Some("wrong-one"));
        assert_eq!(ring.get_or_open(&wrong).unwrap_err().status(), Status::KeyPassword);
        let none = place.source("rsa.p12", None);
        assert_eq!(ring.get_or_open(&none).unwrap_err().status(), Status::KeyPassword);
        let moved = none.with_key_password(STORE_PASSWORD);
        assert!(!Arc::ptr_eq(&ring.get_or_open(&right).unwrap(), &ring.get_or_open(&moved).unwrap()));
    }

    #[test]
    fn weak_store_misses_cache_after_policy_forbids() {
        let place = KeyDir::new();
        let ring = KeyCache::new([7; 32]);
        let source = place.fixture("rsa-legacy.p12", CORRECT_PASSWORD);
        ring.get_or_open(&source).unwrap();
        assert_eq!(
            ring.get_or_open(&source.forbidding_weak_encryption()).unwrap_err().status(),
            Status::KeyStore
        );
    }

    #[test]
    fn inline_keys_and_secrets_are_cached_separately() {
        let ring = KeyCache::new([7; 32]);
        let secret = "s".repeat(32);
        let first = ring.get_or_open(&KeySource::hmac_secret(&secret)).unwrap();
        assert!(Arc::ptr_eq(&first, &ring.get_or_open(&KeySource::hmac_secret(&secret)).unwrap()));
        let other = ring.get_or_open(&KeySource::hmac_secret(&"t".repeat(32))).unwrap();
        assert!(!Arc::ptr_eq(&first, &other));
        let text = std::str::from_utf8(fixture_bytes("ec.pem")).unwrap();
        assert_eq!(
            ring.get_or_open(&KeySource::hmac_secret(text)).unwrap().select_algorithm(None).unwrap(),
            Algorithm::HS256
        );
        assert_eq!(
            ring.get_or_open(&KeySource::inline(text)).unwrap().select_algorithm(None).unwrap(),
            Algorithm::ES256
        );
    }

    #[test]
    fn key_is_reopened_when_certificate_replaced() {
        let place = KeyDir::new();
        let ring = KeyCache::new([7; 32]);
        let source = place.fixture("rsa.pem", None);
        let bare = ring.get_or_open(&source).unwrap();
        let named = source.with_certificate(&place.file_path("signer.crt"));
        place.source_with_content("signer.crt", fixture_bytes("ca.pem"), None);
        let first = ring.get_or_open(&named).unwrap();
        assert!(!Arc::ptr_eq(&bare, &first) && Arc::ptr_eq(&first, &ring.get_or_open(&named).unwrap()));
        place.source_with_content("signer.crt", fixture_bytes("ec.crt"), None);
        assert_eq!(ring.get_or_open(&named).unwrap_err().status(), Status::KeyUnsuitable);
    }
}
