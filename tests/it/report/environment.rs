//! Temporary home directory with data sources.

use std::ffi::OsString;
use std::path::PathBuf;

use authgrant::options::Environment;
use tempfile::TempDir;

use crate::support::c_api::{Connection, open_with_environment};

pub struct TestHome(TempDir);

impl Environment for TestHome {
    fn variable(&self, _: &str) -> Option<OsString> {
        None
    }

    fn home(&self) -> Option<PathBuf> {
        Some(self.0.path().to_owned())
    }

    fn system_folders(&self) -> Vec<PathBuf> {
        Vec::new()
    }
}

impl TestHome {
    pub fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    /// A home directory whose .odbc.ini contains `text`.
    pub fn with_user_ini(text: &str) -> Self {
        let home = Self::new();
        home.write(".odbc.ini", text);
        home
    }

    pub fn write(&self, name: &str, text: &str) -> String {
        let path = self.0.path().join(name);
        std::fs::write(&path, text).unwrap();
        path.to_str().unwrap().to_owned()
    }

    pub fn open(&self, string: &str) -> Connection {
        open_with_environment(string, self).unwrap_or_else(|error| panic!("{string}: {error}"))
    }
}
