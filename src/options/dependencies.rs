//! What was read outside of the options for them, so that a change of it is noticed.

use crate::base::file::{ConfiguredPath, FileVersion};
use crate::sys;

/// The files that were read, as they were.
#[derive(Debug)]
pub struct Seen {
    /// For whom the process acted then: another one may not be let in.
    user: u32,
    files: Vec<(ConfiguredPath, FileVersion)>,
    /// That had nothing to say.
    silent: Vec<(ConfiguredPath, FileVersion)>,
    in_vain: bool,
}

impl Seen {
    /// Nothing so far.
    #[must_use]
    pub fn nothing() -> Self {
        Self { user: sys::effective_user_id(), files: Vec::new(), silent: Vec::new(), in_vain: false }
    }

    /// `file` was read as it was at `stamp`.
    pub(super) fn file(&mut self, file: ConfiguredPath, stamp: FileVersion) {
        self.files.push((file, stamp));
    }

    /// `file` had nothing to say when it was read as it was at `stamp`.
    pub(super) fn silent_file(&mut self, file: ConfiguredPath, stamp: FileVersion) {
        self.silent.push((file, stamp));
    }

    /// Nothing is missing, so that whoever was silent need not be asked again: a key store is looked at by who opens it.
    pub fn nothing_is_missing(&mut self) {
        self.silent.clear();
    }

    /// Something could not be read or was of no use. Nobody can tell what would mend it, so it is looked at each time.
    pub(super) fn in_vain(&mut self) {
        self.in_vain = true;
    }

    /// Whether looking again would find the same.
    #[must_use]
    pub fn is_of_now(&self) -> bool {
        let same = |(file, stamp): &(ConfiguredPath, FileVersion)| {
            FileVersion::read(file).is_ok_and(|now| now == *stamp)
        };
        let mut files = self.files.iter().chain(&self.silent).peekable();
        let nothing_was_read = files.peek().is_none();
        !self.in_vain && (nothing_was_read || self.user == sys::effective_user_id()) && files.all(same)
    }
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;

    /// A file of a folder that lives as long as the test holds it.
    fn file() -> (tempfile::TempDir, PathBuf, ConfiguredPath, FileVersion) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        std::fs::write(&path, "a").unwrap();
        let file = ConfiguredPath::new(path.to_str().unwrap().to_owned());
        let stamp = FileVersion::read(&file).unwrap();
        (folder, path, file, stamp)
    }

    #[test]
    fn what_one_user_read_is_read_anew_for_another() {
        let (_folder, _, file, stamp) = file();
        let mut seen = Seen::nothing();
        seen.file(file, stamp);
        assert!(seen.is_of_now());
        let others = Seen { user: seen.user.wrapping_add(1), ..seen };
        assert!(!others.is_of_now());
        assert!(Seen { files: Vec::new(), ..others }.is_of_now(), "nothing was read");
    }

    #[test]
    fn who_was_silent_is_asked_again_while_something_is_missing() {
        let (_folder, path, file, stamp) = file();
        let mut seen = Seen::nothing();
        seen.silent_file(file, stamp);
        assert!(seen.is_of_now());
        std::fs::write(&path, "another").unwrap();
        assert!(!seen.is_of_now());
        seen.nothing_is_missing();
        assert!(seen.is_of_now());
    }
}
