//! A folder with one file for each entry, for the processes of one user on one machine.
//!
//! Reads take no lock, because a write replaces the whole file with a rename. A lease is a lock of the operating
//! system, which ends with its holder. The file of an entry has the name of the entry. On a file system that does
//! not distinguish case, two names are one file only if their digests are equal in more than 220 bits; even then the
//! content, which is bound to its name, is not accepted for the other.
//!
//! The folder is opened for every operation: it may be removed, and the process may change its user. Below the open
//! folder nothing depends on its path any more.

mod entry;
#[cfg(fuzzing)]
pub(super) mod fuzzing;
mod location;
mod message;
mod open_folder;
mod sweep;

#[cfg(all(test, unix))]
mod tests;

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use parking_lot::Mutex;

use super::{EntryName, MAX_VALUE_LEN, Owner, Put, StoredValue, TokenStore};
use crate::base::call::CallContext;
use crate::base::error::Result;
use crate::sys::{FileLock, PerProcess};
use open_folder::{Folder, LockOutcome};

/// How often an operation is repeated because the folder or the lock file was removed meanwhile.
const MAX_ATTEMPTS: u32 = 2;

/// A folder with entries.
pub struct FolderStore {
    /// `None` for the default folder.
    path: Option<PathBuf>,
    /// The leases of this process. A forked child has none: its parent keeps them.
    leases: PerProcess<Mutex<HashMap<EntryName, Lease>>>,
}

struct Lease {
    owner: Owner,
    lock: Arc<FileLock>,
}

impl FolderStore {
    /// A store in the folder `path`, or in the default folder of the user. Nothing is opened or created.
    #[must_use]
    pub fn new(path: Option<PathBuf>) -> Self {
        // Without a slash at the end, after which the last component could be a symbolic link.
        Self { path: path.map(|path| path.components().collect()), leases: PerProcess::new() }
    }

    fn path(&self) -> Result<PathBuf> {
        let path = self.path.clone().or_else(location::default_folder);
        path.ok_or_else(|| {
            message::error(
                "file: without a path needs the cache directory of the user, but the environment has none, or is \
                 not used because this is a set-user-ID program; set TokenCache to file: and an absolute path",
            )
        })
    }

    fn leases(&self) -> &Mutex<HashMap<EntryName, Lease>> {
        self.leases.get_or_init(Mutex::default)
    }

    fn held_lock(&self, name: &EntryName, owner: &Owner) -> Option<Arc<FileLock>> {
        let leases = self.leases().lock();
        leases.get(name).filter(|lease| lease.owner == *owner).map(|lease| Arc::clone(&lease.lock))
    }

    fn end_lease(&self, name: &EntryName, owner: &Owner) {
        let mut leases = self.leases().lock();
        if leases.get(name).is_some_and(|lease| lease.owner == *owner)
            && let Some(lease) = leases.remove(name)
        {
            lease.lock.release();
        }
    }
}

impl TokenStore for FolderStore {
    fn get(&self, name: &EntryName, call: &CallContext) -> Result<Option<StoredValue>> {
        call.check()?;
        match Folder::open(self.path()?)? {
            Some(folder) => folder.read(name),
            None => Ok(None),
        }
    }

    /// `ttl` is ignored: the operating system ends the lease of a process that dies.
    fn lease(&self, name: &EntryName, owner: &Owner, _ttl: Duration, call: &CallContext) -> Result<bool> {
        call.check()?;
        if self.held_lock(name, owner).is_some() {
            return Ok(true);
        }
        let path = self.path()?;
        for _ in 0..MAX_ATTEMPTS {
            match Folder::open_or_create(path.clone())?.try_lock(name)? {
                LockOutcome::Acquired(lock) => {
                    let lease = Lease { owner: *owner, lock: Arc::new(lock) };
                    self.leases().lock().insert(name.clone(), lease);
                    return Ok(true);
                }
                LockOutcome::Held => return Ok(false),
                LockOutcome::Removed => {}
            }
        }
        Err(message::removed(&path))
    }

    fn put(&self, put: &Put<'_>, call: &CallContext) -> Result<bool> {
        call.check()?;
        if put.value.len() > MAX_VALUE_LEN {
            let length = put.value.len();
            return Err(message::error(&format!("a value of {length} bytes exceeds {MAX_VALUE_LEN} bytes")));
        }
        let Some(lock) = self.held_lock(put.name, put.owner) else { return Ok(false) };
        // A folder that was removed has taken the lock file with it, and another process may have the lease now.
        let Some(folder) = Folder::open(self.path()?)? else { return Ok(false) };
        if !folder.contains(&lock)? || folder.generation(put.name)? != put.expected_generation {
            return Ok(false);
        }
        let now = SystemTime::now();
        let end = entry::unix_millis(now).saturating_add(entry::millis(put.ttl));
        let written = folder.write(put.name, &entry::encode(put.value, end), put.is_durable);
        // After a failed write, too: it frees space.
        folder.sweep(&lock, now);
        written?;
        if put.releases_lease {
            self.end_lease(put.name, put.owner);
        }
        Ok(true)
    }

    /// Succeeds even if the call is cancelled or its deadline has passed, so that no lease remains.
    fn release(&self, name: &EntryName, owner: &Owner, _: &CallContext) -> Result<()> {
        self.end_lease(name, owner);
        Ok(())
    }
}
