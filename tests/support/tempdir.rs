//! Surroundings in which data sources stand: a home, a system folder, and no variables.

use std::ffi::OsString;
use std::path::PathBuf;

use authgrant::options::Environment;
use tempfile::TempDir;

use super::c_api::{Connection, open_with_environment};

/// A folder of the test's own, which is home; in it `etc`, the system's.
pub struct TestDir(pub TempDir);

impl Environment for TestDir {
    fn variable(&self, _: &str) -> Option<OsString> {
        None
    }

    fn home(&self) -> Option<PathBuf> {
        Some(self.0.path().to_owned())
    }

    fn system_folders(&self) -> Vec<PathBuf> {
        vec![self.0.path().join("etc")]
    }
}

impl TestDir {
    pub fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    pub fn with_file(name: &str, content: impl AsRef<[u8]>) -> Self {
        let place = Self::new();
        place.write(name, content);
        place
    }

    /// With this odbc.ini of the user.
    pub fn with_user_ini(text: &str) -> Self {
        Self::with_file(".odbc.ini", text)
    }

    pub fn write(&self, name: &str, content: impl AsRef<[u8]>) -> String {
        let path = self.0.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, content).unwrap();
        path.to_str().unwrap().to_owned()
    }

    pub fn path(&self, name: &str) -> String {
        self.0.path().join(name).to_str().unwrap().to_owned()
    }

    pub fn open(&self, string: &str) -> Connection {
        open_with_environment(string, self).unwrap_or_else(|error| panic!("{string}: {error}"))
    }
}
