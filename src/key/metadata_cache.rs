//! What key files say beside their keys, remembered: a host that acts for a thousand users names the same file for each of
//! them.
//!
//! It is told under the conditions under which an opened key is lent (`ring`): to the user who read the file, as long as
//! the file is the one that was read.

use std::collections::HashMap;
use std::path::PathBuf;

use parking_lot::Mutex;

use super::{KeyFileMetadata, KeySource};
use crate::base::file::{ConfiguredPath, FileVersion};
use crate::sys;

/// Beyond this, all are forgotten: some hold a client secret.
const MAX_CACHED_FILES: usize = 1000;

/// What the files said, each by its path.
#[derive(Default)]
pub(super) struct MetadataCache(Mutex<HashMap<PathBuf, CachedMetadata>>);

struct CachedMetadata {
    version: FileVersion,
    conditions: ReadConditions,
    metadata: Option<KeyFileMetadata>,
}

/// For whom it was read, and how strictly its mode was looked at.
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
    /// What `file` says beside the key of `source`, if it was read before and is as it was then, which is looked at; and its
    /// stamp.
    pub(super) fn get(
        &self,
        source: &KeySource,
        file: &ConfiguredPath,
    ) -> Option<(Option<KeyFileMetadata>, FileVersion)> {
        let stamp = FileVersion::read(file).ok()?;
        let hints = self.lookup(file, stamp, ReadConditions::for_source(source))?;
        Some((hints, stamp))
    }

    fn lookup(
        &self,
        file: &ConfiguredPath,
        stamp: FileVersion,
        terms: ReadConditions,
    ) -> Option<Option<KeyFileMetadata>> {
        let heard = self.0.lock();
        let heard =
            heard.get(file.path()).filter(|heard| heard.version == stamp && heard.conditions == terms)?;
        Some(heard.metadata.clone())
    }

    /// Keeps what `file` said at `stamp`.
    pub(super) fn insert(
        &self,
        source: &KeySource,
        file: &ConfiguredPath,
        stamp: FileVersion,
        hints: Option<KeyFileMetadata>,
    ) {
        let mut heard = self.0.lock();
        if heard.len() >= MAX_CACHED_FILES {
            heard.clear();
        }
        heard.insert(
            file.path().to_owned(),
            CachedMetadata {
                version: stamp,
                conditions: ReadConditions::for_source(source),
                metadata: hints,
            },
        );
    }

    /// Forgets all.
    pub(super) fn clear(&self) {
        self.0.lock().clear();
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, SystemTime};

    use super::super::fixtures::KeyDir;
    use super::super::{KeyOrigin, read_metadata_with};
    use super::*;
    use crate::base::error::Status;

    const FIRST_JSON: &str = r#"{"boxAppSettings":{"clientID":"first","clientSecret":"s"}}"#;
    const OTHER_JSON: &str = r#"{"boxAppSettings":{"clientID":"other","clientSecret":"s"}}"#;

    fn box_client_id(found: Option<KeyFileMetadata>) -> Option<String> {
        match found {
            Some(KeyFileMetadata::Box(hints)) => hints.client_id,
            _ => None,
        }
    }

    /// A file that was read, with what reads it again.
    struct MetadataFixture {
        dir: KeyDir,
        source: KeySource,
        cache: MetadataCache,
    }

    impl MetadataFixture {
        fn new() -> Self {
            let place = KeyDir::new();
            let source = place.source_with_content("key.json", FIRST_JSON.as_bytes(), None);
            let scene = Self { dir: place, source, cache: MetadataCache::default() };
            assert!(scene.cached_client_id().is_none());
            assert_eq!(scene.read_client_id().as_deref(), Some("first"));
            assert_eq!(scene.cached_client_id().as_deref(), Some("first"));
            scene
        }

        fn file(&self) -> &ConfiguredPath {
            self.source.files().next().unwrap()
        }

        fn read_client_id(&self) -> Option<String> {
            box_client_id(read_metadata_with(&self.cache, &self.source).unwrap().0)
        }

        fn cached_client_id(&self) -> Option<String> {
            box_client_id(self.cache.get(&self.source, self.file())?.0)
        }
    }

    #[test]
    fn replaced_file_is_read_again() {
        let scene = MetadataFixture::new();
        let time = std::fs::metadata(scene.dir.file_path("key.json")).unwrap().modified().unwrap();
        scene.dir.source_with_content("new", OTHER_JSON.as_bytes(), None);
        let new = std::fs::File::options().write(true).open(scene.dir.file_path("new")).unwrap();
        new.set_modified(time).unwrap();
        std::fs::rename(scene.dir.file_path("new"), scene.dir.file_path("key.json")).unwrap();
        assert!(scene.cached_client_id().is_none());
        assert_eq!(scene.read_client_id().as_deref(), Some("other"));
        assert_eq!(scene.cached_client_id().as_deref(), Some("other"));
    }

    #[test]
    fn overwritten_file_is_read_again() {
        let scene = MetadataFixture::new();
        scene.dir.source_with_content("key.json", OTHER_JSON.as_bytes(), None);
        let file = std::fs::File::options().write(true).open(scene.dir.file_path("key.json")).unwrap();
        file.set_modified(SystemTime::now() + Duration::from_secs(1)).unwrap();
        assert_eq!(scene.read_client_id().as_deref(), Some("other"));
    }

    #[test]
    fn removed_file_is_an_error() {
        let scene = MetadataFixture::new();
        std::fs::remove_file(scene.dir.file_path("key.json")).unwrap();
        let error = read_metadata_with(&scene.cache, &scene.source).err().unwrap();
        assert_eq!(error.status(), Status::KeyStore);
    }

    #[test]
    fn cached_metadata_is_not_shared_between_users() {
        let scene = MetadataFixture::new();
        let (stamp, terms) =
            (FileVersion::read(scene.file()).unwrap(), ReadConditions::for_source(&scene.source));
        assert!(scene.cache.lookup(scene.file(), stamp, terms).is_some());
        let other = ReadConditions { user: terms.user.wrapping_add(1), ..terms };
        assert!(scene.cache.lookup(scene.file(), stamp, other).is_none());
    }

    #[cfg(unix)]
    #[test]
    fn loose_permissions_bypass_cache_when_forbidden() {
        use std::os::unix::fs::PermissionsExt;
        let mut scene = MetadataFixture::new();
        let exposed = std::fs::Permissions::from_mode(0o666);
        std::fs::set_permissions(scene.dir.file_path("key.json"), exposed).unwrap();
        assert_eq!(scene.read_client_id().as_deref(), Some("first"));
        scene.source.require_private_file = true;
        let error = read_metadata_with(&scene.cache, &scene.source).err().unwrap();
        assert!(error.message().contains("KeyFileCheck is 1"), "{error}");
    }

    #[test]
    fn metadata_cache_is_bounded_and_clearable() {
        let scene = MetadataFixture::new();
        let stamp = FileVersion::read(scene.file()).unwrap();
        for number in 0..=MAX_CACHED_FILES {
            let file = ConfiguredPath::new(format!("/{number}"));
            scene.cache.insert(&scene.source, &file, stamp, None);
        }
        assert!(scene.cache.0.lock().len() <= MAX_CACHED_FILES);
        scene.read_client_id();
        scene.cache.clear();
        assert!(scene.cached_client_id().is_none());
    }

    #[test]
    fn absent_metadata_is_cached_too() {
        let place = KeyDir::new();
        let source = place.fixture("ec.pem", None);
        let KeyOrigin::File(file) = &source.origin else { unreachable!("a file") };
        let remembered = MetadataCache::default();
        let (found, stamp) = read_metadata_with(&remembered, &source).unwrap();
        assert!(found.is_none());
        assert!(matches!(remembered.get(&source, file), Some((None, known)) if Some(known) == stamp));
    }
}
