//! What was read outside of the options for them, so that a change of it is noticed.

use crate::file::{Location, Stamp};
use crate::sys;

/// The files that were read, as they were.
#[derive(Debug)]
pub struct Seen {
    /// For whom the process acted then: another one may not be let in.
    user: u32,
    files: Vec<(Location, Stamp)>,
    in_vain: bool,
}

impl Seen {
    /// Nothing so far.
    #[must_use]
    pub fn nothing() -> Self {
        Self { user: sys::effective_user_id(), files: Vec::new(), in_vain: false }
    }

    /// `file` was read as it was at `stamp`.
    pub(super) fn file(&mut self, file: Location, stamp: Stamp) {
        self.files.push((file, stamp));
    }

    /// Something could not be read or was of no use. Nobody can tell what would mend it, so it is looked at each time.
    pub(super) fn in_vain(&mut self) {
        self.in_vain = true;
    }

    /// Whether looking again would find the same.
    #[must_use]
    pub fn is_of_now(&self) -> bool {
        let same = |(file, stamp): &(Location, Stamp)| Stamp::now(file).is_ok_and(|now| now == *stamp);
        let nobody_asks = self.files.is_empty();
        !self.in_vain && (nobody_asks || self.user == sys::effective_user_id()) && self.files.iter().all(same)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_one_user_read_is_read_anew_for_another() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        std::fs::write(&path, "a").unwrap();
        let file = Location::new(path.to_str().unwrap().to_owned());
        let stamp = Stamp::now(&file).unwrap();
        let mut seen = Seen::nothing();
        seen.file(file, stamp);
        assert!(seen.is_of_now());
        let others = Seen { user: seen.user.wrapping_add(1), ..seen };
        assert!(!others.is_of_now());
        assert!(Seen { files: Vec::new(), ..others }.is_of_now(), "nothing was read");
    }
}
