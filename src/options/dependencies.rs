//! What was read outside of the options for them, so that a change of it is noticed.

use crate::base::file::{ConfiguredPath, FileVersion};
use crate::sys;

/// The files that were read, as they were.
#[derive(Debug)]
pub struct FileDependencies {
    /// For whom the process acted then: another one may not be let in.
    user_id: u32,
    files: Vec<(ConfiguredPath, FileVersion)>,
    /// That had nothing to say.
    without_metadata: Vec<(ConfiguredPath, FileVersion)>,
    failed: bool,
}

impl FileDependencies {
    /// Nothing so far.
    #[must_use]
    pub fn empty() -> Self {
        Self {
            user_id: sys::effective_user_id(),
            files: Vec::new(),
            without_metadata: Vec::new(),
            failed: false,
        }
    }

    /// `file` was read as it was at `stamp`.
    pub(super) fn add_file(&mut self, file: ConfiguredPath, stamp: FileVersion) {
        self.files.push((file, stamp));
    }

    /// `file` had nothing to say when it was read as it was at `stamp`.
    pub(super) fn add_file_without_metadata(&mut self, file: ConfiguredPath, stamp: FileVersion) {
        self.without_metadata.push((file, stamp));
    }

    /// Nothing is missing, so that whoever was silent need not be asked again: a key store is looked at by who opens it.
    pub fn discard_files_without_metadata(&mut self) {
        self.without_metadata.clear();
    }

    /// Something could not be read or was of no use. Nobody can tell what would mend it, so it is looked at each time.
    pub(super) fn mark_failed(&mut self) {
        self.failed = true;
    }

    /// Whether looking again would find the same.
    #[must_use]
    pub fn is_unchanged(&self) -> bool {
        let same = |(file, stamp): &(ConfiguredPath, FileVersion)| {
            FileVersion::read(file).is_ok_and(|now| now == *stamp)
        };
        let mut files = self.files.iter().chain(&self.without_metadata).peekable();
        let nothing_was_read = files.peek().is_none();
        !self.failed && (nothing_was_read || self.user_id == sys::effective_user_id()) && files.all(same)
    }
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;

    /// A file of a folder that lives as long as the test holds it.
    fn temp_file() -> (tempfile::TempDir, PathBuf, ConfiguredPath, FileVersion) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        std::fs::write(&path, "a").unwrap();
        let file = ConfiguredPath::new(path.to_str().unwrap().to_owned());
        let stamp = FileVersion::read(&file).unwrap();
        (folder, path, file, stamp)
    }

    #[test]
    fn dependencies_change_with_effective_user() {
        let (_folder, _, file, stamp) = temp_file();
        let mut seen = FileDependencies::empty();
        seen.add_file(file, stamp);
        assert!(seen.is_unchanged());
        let others = FileDependencies { user_id: seen.user_id.wrapping_add(1), ..seen };
        assert!(!others.is_unchanged());
        assert!(FileDependencies { files: Vec::new(), ..others }.is_unchanged(), "nothing was read");
    }

    #[test]
    fn file_without_metadata_is_tracked_until_discarded() {
        let (_folder, path, file, stamp) = temp_file();
        let mut seen = FileDependencies::empty();
        seen.add_file_without_metadata(file, stamp);
        assert!(seen.is_unchanged());
        std::fs::write(&path, "another").unwrap();
        assert!(!seen.is_unchanged());
        seen.discard_files_without_metadata();
        assert!(seen.is_unchanged());
    }
}
