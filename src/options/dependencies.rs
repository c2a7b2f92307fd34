//! File dependencies of resolved options: detects changes of files that were read.

use crate::base::file::{ConfiguredPath, FileVersion};
use crate::sys;

/// The files that were read, with their versions.
#[derive(Debug)]
pub struct FileDependencies {
    /// The effective user ID at that time: another user may not have access to the files.
    user_id: u32,
    files: Vec<(ConfiguredPath, FileVersion)>,
    /// Key files without metadata.
    without_metadata: Vec<(ConfiguredPath, FileVersion)>,
    failed: bool,
}

impl FileDependencies {
    /// No dependencies.
    #[must_use]
    pub fn empty() -> Self {
        Self {
            user_id: sys::effective_user_id(),
            files: Vec::new(),
            without_metadata: Vec::new(),
            failed: false,
        }
    }

    /// Records that `file` was read in that version.
    pub(super) fn add_file(&mut self, file: ConfiguredPath, version: FileVersion) {
        self.files.push((file, version));
    }

    /// Records that `file` had no metadata in that version.
    pub(super) fn add_file_without_metadata(&mut self, file: ConfiguredPath, version: FileVersion) {
        self.without_metadata.push((file, version));
    }

    /// Drops files without metadata. To be called if no option is missing: then new metadata is irrelevant,
    /// and the key cache detects changes of the key itself.
    pub fn discard_files_without_metadata(&mut self) {
        self.without_metadata.clear();
    }

    /// Records that something could not be read or was invalid. The cause may disappear without a detectable
    /// change, so the options are resolved again each time.
    pub(super) fn mark_failed(&mut self) {
        self.failed = true;
    }

    /// Whether reading the files again would give the same result.
    #[must_use]
    pub fn is_unchanged(&self) -> bool {
        let is_same = |(file, version): &(ConfiguredPath, FileVersion)| {
            FileVersion::read(file).is_ok_and(|current| current == *version)
        };
        let mut files = self.files.iter().chain(&self.without_metadata).peekable();
        let nothing_was_read = files.peek().is_none();
        !self.failed && (nothing_was_read || self.user_id == sys::effective_user_id()) && files.all(is_same)
    }
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;

    /// A file in a temporary directory, which is deleted when the returned `TempDir` is dropped.
    fn temp_file() -> (tempfile::TempDir, PathBuf, ConfiguredPath, FileVersion) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        std::fs::write(&path, "a").unwrap();
        let file = ConfiguredPath::new(path.to_str().unwrap().to_owned());
        let version = FileVersion::read(&file).unwrap();
        (folder, path, file, version)
    }

    #[test]
    fn dependencies_change_with_effective_user() {
        let (_folder, _, file, version) = temp_file();
        let mut dependencies = FileDependencies::empty();
        dependencies.add_file(file, version);
        assert!(dependencies.is_unchanged());
        let other_user = FileDependencies { user_id: dependencies.user_id.wrapping_add(1), ..dependencies };
        assert!(!other_user.is_unchanged());
        assert!(FileDependencies { files: Vec::new(), ..other_user }.is_unchanged(), "no files");
    }

    #[test]
    fn file_without_metadata_is_tracked_until_discarded() {
        let (_folder, path, file, version) = temp_file();
        let mut dependencies = FileDependencies::empty();
        dependencies.add_file_without_metadata(file, version);
        assert!(dependencies.is_unchanged());
        std::fs::write(&path, "another").unwrap();
        assert!(!dependencies.is_unchanged());
        dependencies.discard_files_without_metadata();
        assert!(dependencies.is_unchanged());
    }
}
