//! Cache of key file metadata: a caller that acts for a thousand users names the same file for each of them.
//!
//! An entry is valid for the effective user and the file version that it was read with, as in the key cache.

use std::path::PathBuf;

use parking_lot::Mutex;

use crate::base::bounded_map::BoundedMap;
use crate::base::error::Result;
use crate::base::file::{ConfiguredPath, FileVersion};
use crate::key::content;
use crate::key::metadata::{KeyFileMetadata, parse_metadata};
use crate::key::source::{KeyOrigin, KeySource};
use crate::sys;

/// Maximum number of cached files; beyond it, the least recently used one is evicted.
const MAX_CACHED_FILES: usize = 1000;

/// Metadata of files by path.
pub(super) struct MetadataCache(Mutex<BoundedMap<PathBuf, CachedMetadata>>);

impl Default for MetadataCache {
    fn default() -> Self {
        Self(Mutex::new(BoundedMap::with_capacity(MAX_CACHED_FILES)))
    }
}

#[derive(Clone)]
struct CachedMetadata {
    version: FileVersion,
    conditions: ReadConditions,
    /// `None` if the file contains none.
    metadata: Option<KeyFileMetadata>,
}

/// Conditions under which a file was read: the effective user, and whether loose permissions are an error.
#[derive(Clone, Copy, PartialEq, Eq)]
struct ReadConditions {
    user: u32,
    require_private_file: bool,
}

impl ReadConditions {
    fn for_source(source: &KeySource) -> Self {
        Self { user: sys::effective_user_id(), require_private_file: source.require_private_file }
    }
}

impl MetadataCache {
    pub(super) fn get_or_read(
        &self,
        source: &KeySource,
    ) -> Result<(Option<KeyFileMetadata>, Option<FileVersion>)> {
        match &source.origin {
            KeyOrigin::File(file) => {
                if let Some(cached) = self.get(source, file) {
                    return Ok((cached.metadata, Some(cached.version)));
                }
                let (content, version, _) = content::read_key_file(source, file)?;
                let metadata = parse_metadata(source, &content)?;
                self.insert(source, file, version, metadata.clone());
                Ok((metadata, Some(version)))
            }
            KeyOrigin::Inline(text) => {
                Ok((parse_metadata(source, &content::decode_inline(source, text.reveal())?)?, None))
            }
            _ => Ok((None, None)),
        }
    }

    /// Returns the cached metadata of `file`, if the file has not changed since it was read under the
    /// conditions of `source`. Checks the file on each call.
    fn get(&self, source: &KeySource, file: &ConfiguredPath) -> Option<CachedMetadata> {
        let version = FileVersion::read(file).ok()?;
        self.lookup(file, version, ReadConditions::for_source(source))
    }

    fn lookup(
        &self,
        file: &ConfiguredPath,
        version: FileVersion,
        conditions: ReadConditions,
    ) -> Option<CachedMetadata> {
        let mut entries = self.0.lock();
        let entry = entries.get(file.path())?;
        (entry.version == version && entry.conditions == conditions).then(|| entry.clone())
    }

    /// Stores the metadata that `file` had at `version`.
    fn insert(
        &self,
        source: &KeySource,
        file: &ConfiguredPath,
        version: FileVersion,
        metadata: Option<KeyFileMetadata>,
    ) {
        let entry = CachedMetadata { version, conditions: ReadConditions::for_source(source), metadata };
        self.0.lock().insert(file.path().to_owned(), entry);
    }

    /// Removes all entries.
    pub(super) fn clear(&self) {
        drop(self.0.lock().take_all());
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, SystemTime};

    use super::super::fixtures::KeyDir;
    use super::*;
    use crate::base::error::Status;

    const FIRST_JSON: &str = r#"{"boxAppSettings":{"clientID":"first","clientSecret":"s"}}"#;
    const OTHER_JSON: &str = r#"{"boxAppSettings":{"clientID":"other","clientSecret":"s"}}"#;

    fn box_client_id(found: Option<KeyFileMetadata>) -> Option<String> {
        match found {
            Some(KeyFileMetadata::Box(metadata)) => metadata.client_id,
            _ => None,
        }
    }

    /// A key file that was read once, and its cache.
    struct MetadataFixture {
        dir: KeyDir,
        source: KeySource,
        cache: MetadataCache,
    }

    impl MetadataFixture {
        fn new() -> Self {
            let dir = KeyDir::new();
            let source = dir.source_with_content("key.json", FIRST_JSON.as_bytes(), None);
            let fixture = Self { dir, source, cache: MetadataCache::default() };
            assert!(fixture.cached_client_id().is_none());
            assert_eq!(fixture.read_client_id().as_deref(), Some("first"));
            assert_eq!(fixture.cached_client_id().as_deref(), Some("first"));
            fixture
        }

        fn file(&self) -> &ConfiguredPath {
            self.source.files().next().unwrap()
        }

        fn read_client_id(&self) -> Option<String> {
            box_client_id(self.cache.get_or_read(&self.source).unwrap().0)
        }

        fn cached_client_id(&self) -> Option<String> {
            box_client_id(self.cache.get(&self.source, self.file())?.metadata)
        }
    }

    #[test]
    fn replaced_file_is_read_again() {
        let fixture = MetadataFixture::new();
        let time = std::fs::metadata(fixture.dir.file_path("key.json")).unwrap().modified().unwrap();
        fixture.dir.source_with_content("new", OTHER_JSON.as_bytes(), None);
        let new = std::fs::File::options().write(true).open(fixture.dir.file_path("new")).unwrap();
        new.set_modified(time).unwrap();
        std::fs::rename(fixture.dir.file_path("new"), fixture.dir.file_path("key.json")).unwrap();
        assert!(fixture.cached_client_id().is_none());
        assert_eq!(fixture.read_client_id().as_deref(), Some("other"));
        assert_eq!(fixture.cached_client_id().as_deref(), Some("other"));
    }

    #[test]
    fn overwritten_file_is_read_again() {
        let fixture = MetadataFixture::new();
        fixture.dir.source_with_content("key.json", OTHER_JSON.as_bytes(), None);
        let file = std::fs::File::options().write(true).open(fixture.dir.file_path("key.json")).unwrap();
        file.set_modified(SystemTime::now() + Duration::from_secs(1)).unwrap();
        assert_eq!(fixture.read_client_id().as_deref(), Some("other"));
    }

    #[test]
    fn removed_file_is_an_error() {
        let fixture = MetadataFixture::new();
        std::fs::remove_file(fixture.dir.file_path("key.json")).unwrap();
        let error = fixture.cache.get_or_read(&fixture.source).err().unwrap();
        assert_eq!(error.status(), Status::KeyStore);
    }

    #[test]
    fn cached_metadata_is_not_shared_between_users() {
        let fixture = MetadataFixture::new();
        let (version, conditions) =
            (FileVersion::read(fixture.file()).unwrap(), ReadConditions::for_source(&fixture.source));
        assert!(fixture.cache.lookup(fixture.file(), version, conditions).is_some());
        let other = ReadConditions { user: conditions.user.wrapping_add(1), ..conditions };
        assert!(fixture.cache.lookup(fixture.file(), version, other).is_none());
    }

    #[cfg(unix)]
    #[test]
    fn loose_permissions_bypass_cache_when_forbidden() {
        use std::os::unix::fs::PermissionsExt;
        let mut fixture = MetadataFixture::new();
        let loose = std::fs::Permissions::from_mode(0o666);
        std::fs::set_permissions(fixture.dir.file_path("key.json"), loose).unwrap();
        assert_eq!(fixture.read_client_id().as_deref(), Some("first"));
        fixture.source.require_private_file = true;
        let error = fixture.cache.get_or_read(&fixture.source).err().unwrap();
        assert!(error.message().contains("KeyFileCheck"), "{error}");
        assert_eq!(error.status(), Status::KeyStore);
    }

    #[test]
    fn metadata_cache_is_bounded_and_clearable() {
        let fixture = MetadataFixture::new();
        let version = FileVersion::read(fixture.file()).unwrap();
        for number in 0..=MAX_CACHED_FILES {
            let file = ConfiguredPath::new(format!("/{number}"));
            fixture.cache.insert(&fixture.source, &file, version, None);
        }
        assert_eq!(fixture.cache.0.lock().len(), MAX_CACHED_FILES);
        fixture.read_client_id();
        fixture.cache.clear();
        assert!(fixture.cached_client_id().is_none());
    }

    #[test]
    fn inline_text_has_metadata_without_version() {
        let (found, version) = MetadataCache::default().get_or_read(&KeySource::inline(FIRST_JSON)).unwrap();
        assert_eq!(box_client_id(found).as_deref(), Some("first"));
        assert!(version.is_none());
    }

    #[test]
    fn absent_metadata_is_cached_too() {
        let dir = KeyDir::new();
        let source = dir.fixture("ec.pem", None);
        let KeyOrigin::File(file) = &source.origin else { unreachable!("a file") };
        let cache = MetadataCache::default();
        let (found, version) = cache.get_or_read(&source).unwrap();
        assert!(found.is_none());
        let cached = cache.get(&source, file).unwrap();
        assert!(cached.metadata.is_none() && Some(cached.version) == version);
    }
}
