//! Cache of the opened keys of a process: a store is read and decrypted once, not for each signature.
//!
//! Keyed by a digest of the effective user and of all options that open a key, so that a wrong password never
//! finds a key that was opened with the right one. The passwords themselves are not stored, except for the
//! PINs of tokens, which need them again when they are reinserted. A key is opened again if one of its files
//! has changed, or if the effective user has: the process may have dropped the privilege to read the file.
//! Keys of signer callbacks are not cached, as the caller may free what its signer uses.

use std::sync::Arc;

use aws_lc_rs::hmac;
use parking_lot::Mutex;

use crate::base::bounded_map::BoundedMap;
use crate::base::cache_key::CacheKey;
use crate::base::clock::{Clock, SystemClock};
use crate::base::error::Result;
use crate::base::file::FileVersion;
use crate::key::metadata::KeyFileMetadata;
use crate::key::metadata_cache::MetadataCache;
use crate::key::open::{open, open_with_versions};
use crate::key::pkcs11;
use crate::key::signing::SigningKey;
use crate::key::source::{KeyOrigin, KeySource};
use crate::sys;

/// Maximum number of cached keys; beyond it, the least recently used key is evicted.
const MAX_CACHED_KEYS: usize = 1000;

struct CachedSigningKey {
    key: Arc<SigningKey>,
    versions: Vec<FileVersion>,
}

struct KeyCacheState {
    entries: BoundedMap<CacheKey, CachedSigningKey>,
    opened_count: u64,
}

/// Cache of opened keys and of the metadata of key files.
pub struct KeyCache {
    hmac_key: hmac::Key,
    clock: Arc<dyn Clock>,
    state: Mutex<KeyCacheState>,
    metadata: MetadataCache,
}

impl KeyCache {
    /// Creates an empty cache. `seed` must be random, so that the digest of a password is useless outside
    /// this process.
    #[must_use]
    pub fn new(seed: [u8; 32]) -> Self {
        Self::with_clock(seed, Arc::new(SystemClock))
    }

    /// As [`Self::new`]; the choice among several keys depends on the time of `clock`.
    #[must_use]
    pub fn with_clock(seed: [u8; 32], clock: Arc<dyn Clock>) -> Self {
        let state = KeyCacheState { entries: BoundedMap::with_capacity(MAX_CACHED_KEYS), opened_count: 0 };
        Self {
            hmac_key: hmac::Key::new(hmac::HMAC_SHA256, &seed),
            clock,
            state: Mutex::new(state),
            metadata: MetadataCache::default(),
        }
    }

    /// Returns the cached key of `source` if its files have not changed; otherwise opens it.
    ///
    /// Checks the key's files on each call. Errors are not cached.
    pub fn get_or_open(&self, source: &KeySource) -> Result<Arc<SigningKey>> {
        let Some(digest) = self.cache_key(source, sys::effective_user_id()) else {
            return open(source).map(Arc::new);
        };
        if let Ok(versions) =
            source.files().map(FileVersion::read).collect::<std::result::Result<Vec<_>, _>>()
            && let Some(key) = self.lookup(&digest, &versions)
        {
            return Ok(key);
        }
        // Without the lock: a slow key derivation must not block other connections.
        let (key, versions) = open_with_versions(source, self.clock.unix_seconds())?;
        let key = Arc::new(key);
        self.insert(digest, Arc::clone(&key), versions);
        Ok(key)
    }

    /// Returns the metadata of the key of `source`, if there is any, and the version of the key file. The key
    /// itself is not opened. A file is checked on each call, and read only if it has changed.
    ///
    /// # Errors
    /// If the file cannot be read or contains damaged JSON.
    pub fn read_metadata(
        &self,
        source: &KeySource,
    ) -> Result<(Option<KeyFileMetadata>, Option<FileVersion>)> {
        self.metadata.get_or_read(source)
    }

    /// Number of keys opened so far.
    pub fn opened_count(&self) -> u64 {
        self.state.lock().opened_count
    }

    /// Removes all keys, the cached metadata of key files, and the record of rejected PINs. Keys in use stay
    /// valid.
    pub fn clear(&self) {
        // Without the lock: the last key of a token closes its session.
        let entries = self.state.lock().entries.take_all();
        drop(entries);
        self.metadata.clear();
        pkcs11::clear_rejected_pins();
    }

    fn lookup(&self, digest: &CacheKey, versions: &[FileVersion]) -> Option<Arc<SigningKey>> {
        let mut state = self.state.lock();
        let entry = state
            .entries
            .get(digest)
            .filter(|entry| entry.versions == versions && !entry.key.is_detached())
            .filter(|entry| !entry.key.is_choice_outdated(self.clock.coarse_unix_seconds()))?;
        Some(Arc::clone(&entry.key))
    }

    fn insert(&self, digest: CacheKey, key: Arc<SigningKey>, versions: Vec<FileVersion>) {
        let mut state = self.state.lock();
        state.opened_count = state.opened_count.wrapping_add(1);
        let removed = state.entries.insert(digest, CachedSigningKey { key, versions });
        // Without the lock, as in `clear`.
        drop(state);
        drop(removed);
    }

    /// Digest of `user` and all options of `source`; `None` for keys that are not cached.
    fn cache_key(&self, source: &KeySource, user: u32) -> Option<CacheKey> {
        let is_cacheable = !matches!(source.origin, KeyOrigin::Callback(_));
        is_cacheable.then(|| CacheKey::digest(&self.hmac_key, &(user, source)))
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, SystemTime};

    use jsonwebtoken::Algorithm;

    use super::super::fixtures::{KEY_PASSWORD, KeyDir, STORE_PASSWORD, StubKey, fixture_bytes};
    use super::*;
    use crate::base::error::Status;
    use crate::base::file::ConfiguredPath;

    const CORRECT_PASSWORD: Option<&str> = Some(STORE_PASSWORD);

    #[test]
    fn full_key_cache_evicts_least_recently_used_key() {
        let dir = KeyDir::new();
        let cache = KeyCache::new([7; 32]);
        let source = dir.fixture("ec.pem", None);
        let open = |number: u32| cache.get_or_open(&source.clone().with_alias(&number.to_string())).unwrap();
        let (first, second) = (open(0), open(1));
        (2..1000).for_each(|number| drop(open(number)));
        assert!(Arc::ptr_eq(&first, &open(0)));
        open(1000);
        assert_eq!(cache.state.lock().entries.len(), 1000);
        assert!(Arc::ptr_eq(&first, &open(0)) && !Arc::ptr_eq(&second, &open(1)));
    }

    #[test]
    fn relative_store_keeps_original_directory() {
        let dir = KeyDir::new();
        let cache = KeyCache::new([7; 32]);
        let file_origin =
            |name: &str| KeyOrigin::File(ConfiguredPath::with_path("keys/store", dir.file_path(name)));
        let mut source = dir.fixture("rsa.pem", None);
        dir.fixture("ec.pem", None);
        source.origin = file_origin("rsa.pem");
        assert_eq!(cache.get_or_open(&source).unwrap().select_algorithm(None).unwrap(), Algorithm::RS256);
        source.origin = file_origin("ec.pem");
        assert_eq!(cache.get_or_open(&source).unwrap().select_algorithm(None).unwrap(), Algorithm::ES256);
        source.certificate = Some(ConfiguredPath::with_path("c.crt", dir.file_path("none")));
        assert!(cache.get_or_open(&source).unwrap_err().message().contains("JWTCertificate c.crt "));
        source.origin = file_origin("missing");
        let error = cache.get_or_open(&source).unwrap_err();
        assert!(error.message().contains("JWTCertStore keys/store "), "{error}");
    }

    #[test]
    fn cached_key_is_not_shared_between_users() {
        let dir = KeyDir::new();
        let cache = KeyCache::new([7; 32]);
        let source = dir.fixture("rsa.pem", None);
        let key = cache.get_or_open(&source).unwrap();
        let versions: Vec<_> = source.files().flat_map(FileVersion::read).collect();
        let user = sys::effective_user_id();
        let digest = |user| cache.cache_key(&source, user).unwrap();
        let cached = cache.lookup(&digest(user), &versions).unwrap();
        assert!(Arc::ptr_eq(&key, &cached));
        assert!(cache.lookup(&digest(user.wrapping_add(1)), &versions).is_none());
    }

    #[test]
    fn error_names_store_path_as_configured() {
        let cache = KeyCache::new([7; 32]);
        let dir = KeyDir::new();
        let mut source = dir.fixture("rsa.pem", None);
        let mut other = source.clone();
        source.origin = KeyOrigin::File(ConfiguredPath::with_path("a", dir.file_path("rsa.pem")));
        other.origin = KeyOrigin::File(ConfiguredPath::with_path("b", dir.file_path("rsa.pem")));
        cache.get_or_open(&source).unwrap();
        let error = cache.get_or_open(&other).unwrap().select_algorithm(Some(Algorithm::ES256)).unwrap_err();
        assert!(error.message().contains("JWTCertStore b "), "{error}");
    }

    #[test]
    fn store_is_opened_once_until_clear() {
        let dir = KeyDir::new();
        let cache = KeyCache::new([7; 32]);
        let source = dir.fixture("rsa.p12", CORRECT_PASSWORD);
        assert_eq!(cache.opened_count(), 0);
        let first = cache.get_or_open(&source).unwrap();
        assert!(Arc::ptr_eq(&first, &cache.get_or_open(&source).unwrap()));
        assert_eq!(cache.opened_count(), 1);
        cache.clear();
        assert!(!Arc::ptr_eq(&first, &cache.get_or_open(&source).unwrap()));
        assert_eq!(cache.opened_count(), 2);
    }

    #[test]
    fn detached_key_is_opened_again() {
        let dir = KeyDir::new();
        let cache = KeyCache::new([7; 32]);
        let source = dir.fixture("ec.pem", None);
        let digest = cache.cache_key(&source, sys::effective_user_id()).unwrap();
        let versions: Vec<_> = source.files().flat_map(FileVersion::read).collect();
        for (is_detached, expected) in [(false, "external"), (true, "EC P-256")] {
            let key = SigningKey::from_external(&source, StubKey { is_detached });
            cache.insert(digest, Arc::new(key), versions.clone());
            assert_eq!(cache.get_or_open(&source).unwrap().type_and_size(), expected);
        }
    }

    #[test]
    fn key_is_reopened_when_file_replaced() {
        let dir = KeyDir::new();
        let cache = KeyCache::new([7; 32]);
        let source = dir.source_with_content("key", fixture_bytes("rsa.pem"), None);
        let old = cache.get_or_open(&source).unwrap();
        std::fs::write(dir.file_path("new"), fixture_bytes("ec.pem")).unwrap();
        std::fs::rename(dir.file_path("new"), dir.file_path("key")).unwrap();
        let new = cache.get_or_open(&source).unwrap();
        assert_eq!(new.select_algorithm(None).unwrap(), Algorithm::ES256);
        assert_eq!(old.select_algorithm(None).unwrap(), Algorithm::RS256);
        std::fs::remove_file(dir.file_path("key")).unwrap();
        assert_eq!(cache.get_or_open(&source).unwrap_err().status(), Status::KeyStore);
    }

    #[test]
    fn key_is_reopened_when_mtime_changes() {
        let dir = KeyDir::new();
        let cache = KeyCache::new([7; 32]);
        let source = dir.source_with_content("key", fixture_bytes("rsa.pem"), None);
        let old = cache.get_or_open(&source).unwrap();
        let file = std::fs::File::options().write(true).open(dir.file_path("key")).unwrap();
        file.set_modified(SystemTime::now() + Duration::from_nanos(1_000_000)).unwrap();
        assert!(!Arc::ptr_eq(&old, &cache.get_or_open(&source).unwrap()));
    }

    #[cfg(unix)]
    #[test]
    fn key_is_reopened_when_inode_changes() {
        let dir = KeyDir::new();
        let cache = KeyCache::new([7; 32]);
        let source = dir.source_with_content("key", fixture_bytes("rsa.pem"), None);
        let old = cache.get_or_open(&source).unwrap();
        let time = std::fs::metadata(dir.file_path("key")).unwrap().modified().unwrap();
        std::fs::write(dir.file_path("new"), fixture_bytes("rsa.pem")).unwrap();
        let new = std::fs::File::options().write(true).open(dir.file_path("new")).unwrap();
        new.set_modified(time).unwrap();
        std::fs::rename(dir.file_path("new"), dir.file_path("key")).unwrap();
        assert!(!Arc::ptr_eq(&old, &cache.get_or_open(&source).unwrap()));
    }

    #[cfg(unix)]
    #[test]
    fn key_is_reopened_when_ctime_changes() {
        let dir = KeyDir::new();
        let cache = KeyCache::new([7; 32]);
        let source = dir.source_with_content("key", fixture_bytes("rsa.pem"), None);
        let old = cache.get_or_open(&source).unwrap();
        let time = std::fs::metadata(dir.file_path("key")).unwrap().modified().unwrap();
        // File systems update timestamps only every few milliseconds.
        std::thread::sleep(Duration::from_millis(20));
        dir.source_with_content("key", fixture_bytes("rsa.pem"), None);
        let file = std::fs::File::options().write(true).open(dir.file_path("key")).unwrap();
        file.set_modified(time).unwrap();
        assert!(!Arc::ptr_eq(&old, &cache.get_or_open(&source).unwrap()));
    }

    #[test]
    fn wrong_key_password_misses_cached_key() {
        let dir = KeyDir::new();
        let cache = KeyCache::new([7; 32]);
        let source = dir.fixture("one.jks", CORRECT_PASSWORD);
        cache.get_or_open(&source.clone().with_key_password(KEY_PASSWORD)).unwrap();
        let wrong = cache.get_or_open(&source.clone().with_key_password("wrong-one")).unwrap_err();
        assert_eq!(wrong.status(), Status::KeyPassword);
        assert_eq!(cache.get_or_open(&source).unwrap_err().status(), Status::KeyPassword);
    }

    #[test]
    fn wrong_store_password_misses_cached_key() {
        let dir = KeyDir::new();
        let cache = KeyCache::new([7; 32]);
        let right = dir.fixture("rsa.p12", CORRECT_PASSWORD);
        cache.get_or_open(&right).unwrap();
        let wrong = dir.source("rsa.p12", Some("wrong-one"));
        assert_eq!(cache.get_or_open(&wrong).unwrap_err().status(), Status::KeyPassword);
        let none = dir.source("rsa.p12", None);
        assert_eq!(cache.get_or_open(&none).unwrap_err().status(), Status::KeyPassword);
        let moved = none.with_key_password(STORE_PASSWORD);
        assert!(!Arc::ptr_eq(&cache.get_or_open(&right).unwrap(), &cache.get_or_open(&moved).unwrap()));
    }

    #[test]
    fn weak_store_misses_cache_after_policy_forbids() {
        let dir = KeyDir::new();
        let cache = KeyCache::new([7; 32]);
        let source = dir.fixture("rsa-legacy.p12", CORRECT_PASSWORD);
        cache.get_or_open(&source).unwrap();
        assert_eq!(
            cache.get_or_open(&source.forbidding_weak_encryption()).unwrap_err().status(),
            Status::KeyStore
        );
    }

    #[test]
    fn inline_keys_and_secrets_are_cached_separately() {
        let cache = KeyCache::new([7; 32]);
        let secret = "s".repeat(32);
        let first = cache.get_or_open(&KeySource::hmac_secret(&secret)).unwrap();
        assert!(Arc::ptr_eq(&first, &cache.get_or_open(&KeySource::hmac_secret(&secret)).unwrap()));
        let other = cache.get_or_open(&KeySource::hmac_secret(&"t".repeat(32))).unwrap();
        assert!(!Arc::ptr_eq(&first, &other));
        let text = std::str::from_utf8(fixture_bytes("ec.pem")).unwrap();
        assert_eq!(
            cache.get_or_open(&KeySource::hmac_secret(text)).unwrap().select_algorithm(None).unwrap(),
            Algorithm::HS256
        );
        assert_eq!(
            cache.get_or_open(&KeySource::inline(text)).unwrap().select_algorithm(None).unwrap(),
            Algorithm::ES256
        );
    }

    #[test]
    fn key_is_reopened_when_certificate_replaced() {
        let dir = KeyDir::new();
        let cache = KeyCache::new([7; 32]);
        let source = dir.fixture("rsa.pem", None);
        let bare = cache.get_or_open(&source).unwrap();
        let named = source.with_certificate(&dir.file_path("signer.crt"));
        dir.source_with_content("signer.crt", fixture_bytes("ca.pem"), None);
        let first = cache.get_or_open(&named).unwrap();
        assert!(!Arc::ptr_eq(&bare, &first) && Arc::ptr_eq(&first, &cache.get_or_open(&named).unwrap()));
        dir.source_with_content("signer.crt", fixture_bytes("ec.crt"), None);
        assert_eq!(cache.get_or_open(&named).unwrap_err().status(), Status::KeyUnsuitable);
    }
}
