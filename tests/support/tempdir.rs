//! Test environment for data sources: a home directory, a system directory, and no environment variables.

use std::ffi::OsString;
use std::path::PathBuf;

use authgrant::options::Environment;
use tempfile::TempDir;

use super::c_api::{Connection, open_with_environment};

/// A temporary directory that is the home directory. Its subdirectory `etc` is the system directory.
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
        let directory = Self::new();
        directory.write(name, content);
        directory
    }

    /// Creates the directory with this text as the user's odbc.ini.
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
