//! What key files say beside their keys, remembered: a host that acts for a thousand users names the same file for each of
//! them.
//!
//! It is told under the conditions under which an opened key is lent (`ring`): to the user who read the file, as long as
//! the file is the one that was read.

use std::collections::HashMap;
use std::path::PathBuf;

use parking_lot::Mutex;

use super::{Hints, KeySource};
use crate::base::file::{ConfiguredPath, FileVersion};
use crate::sys;

/// Beyond this, all are forgotten: some hold a client secret.
const MOST: usize = 1000;

/// What the files said, each by its path.
#[derive(Default)]
pub(super) struct Remembered(Mutex<HashMap<PathBuf, Heard>>);

struct Heard {
    stamp: FileVersion,
    terms: Terms,
    hints: Option<Hints>,
}

/// For whom it was read, and how strictly its mode was looked at.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Terms {
    user: u32,
    guarded: bool,
}

impl Terms {
    fn of(source: &KeySource) -> Self {
        Self { user: sys::effective_user_id(), guarded: source.guarded }
    }
}

impl Remembered {
    /// What `file` says beside the key of `source`, if it was read before and is as it was then, which is looked at; and its
    /// stamp.
    pub(super) fn get(
        &self,
        source: &KeySource,
        file: &ConfiguredPath,
    ) -> Option<(Option<Hints>, FileVersion)> {
        let stamp = FileVersion::read(file).ok()?;
        let hints = self.told(file, stamp, Terms::of(source))?;
        Some((hints, stamp))
    }

    fn told(&self, file: &ConfiguredPath, stamp: FileVersion, terms: Terms) -> Option<Option<Hints>> {
        let heard = self.0.lock();
        let heard = heard.get(file.path()).filter(|heard| heard.stamp == stamp && heard.terms == terms)?;
        Some(heard.hints.clone())
    }

    /// Keeps what `file` said at `stamp`.
    pub(super) fn keep(
        &self,
        source: &KeySource,
        file: &ConfiguredPath,
        stamp: FileVersion,
        hints: Option<Hints>,
    ) {
        let mut heard = self.0.lock();
        if heard.len() >= MOST {
            heard.clear();
        }
        heard.insert(file.path().to_owned(), Heard { stamp, terms: Terms::of(source), hints });
    }

    /// Forgets all.
    pub(super) fn clear(&self) {
        self.0.lock().clear();
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, SystemTime};

    use super::super::fixtures::Place;
    use super::super::{KeyOrigin, hints_by};
    use super::*;
    use crate::base::error::Status;

    const FIRST: &str = r#"{"boxAppSettings":{"clientID":"first","clientSecret":"s"}}"#;
    const OTHER: &str = r#"{"boxAppSettings":{"clientID":"other","clientSecret":"s"}}"#;

    fn client(found: Option<Hints>) -> Option<String> {
        match found {
            Some(Hints::Box(hints)) => hints.client_id,
            _ => None,
        }
    }

    /// A file that was read, with what reads it again.
    struct Scene {
        place: Place,
        source: KeySource,
        remembered: Remembered,
    }

    impl Scene {
        fn new() -> Self {
            let place = Place::new();
            let source = place.with("key.json", FIRST.as_bytes(), None);
            let scene = Self { place, source, remembered: Remembered::default() };
            assert!(scene.remembered().is_none());
            assert_eq!(scene.read().as_deref(), Some("first"));
            assert_eq!(scene.remembered().as_deref(), Some("first"));
            scene
        }

        fn file(&self) -> &ConfiguredPath {
            self.source.files().next().unwrap()
        }

        fn read(&self) -> Option<String> {
            client(hints_by(&self.remembered, &self.source).unwrap().0)
        }

        fn remembered(&self) -> Option<String> {
            client(self.remembered.get(&self.source, self.file())?.0)
        }
    }

    #[test]
    fn a_file_that_was_replaced_is_read_anew() {
        let scene = Scene::new();
        let time = std::fs::metadata(scene.place.file("key.json")).unwrap().modified().unwrap();
        scene.place.with("new", OTHER.as_bytes(), None);
        let new = std::fs::File::options().write(true).open(scene.place.file("new")).unwrap();
        new.set_modified(time).unwrap();
        std::fs::rename(scene.place.file("new"), scene.place.file("key.json")).unwrap();
        assert!(scene.remembered().is_none());
        assert_eq!(scene.read().as_deref(), Some("other"));
        assert_eq!(scene.remembered().as_deref(), Some("other"));
    }

    #[test]
    fn a_file_that_was_written_over_with_as_many_bytes_is_read_anew() {
        let scene = Scene::new();
        scene.place.with("key.json", OTHER.as_bytes(), None);
        let file = std::fs::File::options().write(true).open(scene.place.file("key.json")).unwrap();
        file.set_modified(SystemTime::now() + Duration::from_secs(1)).unwrap();
        assert_eq!(scene.read().as_deref(), Some("other"));
    }

    #[test]
    fn a_file_that_is_gone_says_nothing_any_more() {
        let scene = Scene::new();
        std::fs::remove_file(scene.place.file("key.json")).unwrap();
        let error = hints_by(&scene.remembered, &scene.source).err().unwrap();
        assert_eq!(error.status(), Status::KeyStore);
    }

    #[test]
    fn what_one_user_read_is_not_told_to_another() {
        let scene = Scene::new();
        let (stamp, terms) = (FileVersion::read(scene.file()).unwrap(), Terms::of(&scene.source));
        assert!(scene.remembered.told(scene.file(), stamp, terms).is_some());
        let other = Terms { user: terms.user.wrapping_add(1), ..terms };
        assert!(scene.remembered.told(scene.file(), stamp, other).is_none());
    }

    #[cfg(unix)]
    #[test]
    fn what_an_exposed_file_said_is_not_told_to_whom_that_is_an_error() {
        use std::os::unix::fs::PermissionsExt;
        let mut scene = Scene::new();
        let exposed = std::fs::Permissions::from_mode(0o666);
        std::fs::set_permissions(scene.place.file("key.json"), exposed).unwrap();
        assert_eq!(scene.read().as_deref(), Some("first"));
        scene.source.guarded = true;
        let error = hints_by(&scene.remembered, &scene.source).err().unwrap();
        assert!(error.message().contains("KeyFileCheck is 1"), "{error}");
    }

    #[test]
    fn what_is_remembered_stays_bounded_and_can_be_forgotten() {
        let scene = Scene::new();
        let stamp = FileVersion::read(scene.file()).unwrap();
        for number in 0..=MOST {
            let file = ConfiguredPath::new(format!("/{number}"));
            scene.remembered.keep(&scene.source, &file, stamp, None);
        }
        assert!(scene.remembered.0.lock().len() <= MOST);
        scene.read();
        scene.remembered.clear();
        assert!(scene.remembered().is_none());
    }

    #[test]
    fn a_file_with_nothing_beside_its_key_is_read_once_too() {
        let place = Place::new();
        let source = place.fixture("ec.pem", None);
        let KeyOrigin::Store(file) = &source.origin else { unreachable!("a file") };
        let remembered = Remembered::default();
        let (found, stamp) = hints_by(&remembered, &source).unwrap();
        assert!(found.is_none());
        assert!(matches!(remembered.get(&source, file), Some((None, known)) if Some(known) == stamp));
    }
}
