//! A folder with one file for each entry, for the processes of one user on one machine.

use std::path::PathBuf;
use std::time::Duration;

use super::{EntryName, Owner, Put, StoredValue, TokenStore};
use crate::base::call::CallContext;
use crate::base::error::{Error, ErrorKind, Result};

/// A folder with entries.
pub struct FolderStore {
    path: Option<PathBuf>,
}

impl FolderStore {
    /// A store in the folder `path`, or in the default folder of the user. Nothing is opened or created.
    #[must_use]
    pub fn new(path: Option<PathBuf>) -> Self {
        Self { path }
    }

    fn error(&self) -> Error {
        Error::new(ErrorKind::Unsupported, "token cache", format!("{:?} is not supported", self.path))
    }
}

impl TokenStore for FolderStore {
    fn get(&self, _: &EntryName, _: &CallContext) -> Result<Option<StoredValue>> {
        Err(self.error())
    }

    fn lease(&self, _: &EntryName, _: &Owner, _: Duration, _: &CallContext) -> Result<bool> {
        Err(self.error())
    }

    fn put(&self, _: &Put<'_>, _: &CallContext) -> Result<bool> {
        Err(self.error())
    }

    fn release(&self, _: &EntryName, _: &Owner, _: &CallContext) -> Result<()> {
        Err(self.error())
    }
}
