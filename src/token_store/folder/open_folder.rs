//! The open folder: reading, locking and writing of entries.

use std::fs::{DirBuilder, File};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use super::super::{EntryName, StoredValue, generation};
use super::entry;
use super::message::{self, Expected};
use crate::base::error::{Error, ErrorKind, Result};
use crate::sys::{self, Directory, FileLock};

/// The beginning of the names of files that are being written. Names of entries do not begin with a dot.
pub(super) const TEMP_PREFIX: &str = ".tmp-";

/// The open folder. It is a directory of the effective user, and no other user can access it.
pub(super) struct Folder {
    pub(super) directory: Directory,
    /// Where it was opened, for messages.
    path: PathBuf,
}

/// The outcome of an attempt to lock an entry.
pub(super) enum LockOutcome {
    /// This process has the lock.
    Acquired(FileLock),
    /// Another process or another lease of this process has it.
    Held,
    /// The folder or the lock file was removed meanwhile.
    Removed,
}

impl Folder {
    /// Opens the folder at `path`. `None` if it does not exist.
    ///
    /// # Errors
    /// If it cannot be opened, is not a directory, or is accessible to other users.
    pub(super) fn open(path: PathBuf) -> Result<Option<Self>> {
        let directory = match Directory::open(&path) {
            Ok(directory) => directory,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(message::open_failure(&path, Expected::Folder, &error)),
        };
        let metadata = directory.metadata().map_err(|error| message::io_failure("open", &path, &error))?;
        message::check_access(&path, Expected::Folder, &metadata)?;
        Ok(Some(Self { directory, path }))
    }

    /// Opens the folder at `path`, and creates it if it is missing.
    ///
    /// # Errors
    /// As [`Self::open`], or if it cannot be created.
    pub(super) fn open_or_create(path: PathBuf) -> Result<Self> {
        if let Some(folder) = Self::open(path.clone())? {
            return Ok(folder);
        }
        create(&path).map_err(|error| message::io_failure("create", &path, &error))?;
        Self::open(path.clone())?.ok_or_else(|| message::removed(&path))
    }

    fn failure(&self, operation: &str, name: &str, error: &io::Error) -> Error {
        message::io_failure(operation, &self.path.join(name), error)
    }

    /// Returns the value of an entry. An expired, incomplete or malformed one is missing.
    ///
    /// # Errors
    /// If the file cannot be read, is not a regular file, or is accessible to other users.
    pub(super) fn read(&self, name: &EntryName) -> Result<Option<StoredValue>> {
        let name = name.as_str();
        let mut file = match self.directory.open_file(name) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(message::open_failure(&self.path.join(name), Expected::File, &error)),
        };
        self.check_file(name, &file)?;
        let content = read_bounded(&mut file).map_err(|error| self.failure("read", name, &error))?;
        let Some((end, value)) = entry::decode(&content) else { return Ok(None) };
        let remaining = end.saturating_sub(entry::unix_millis(SystemTime::now()));
        if remaining == 0 || generation(value).is_none() {
            return Ok(None);
        }
        Ok(Some(StoredValue { bytes: value.to_vec(), ttl: Duration::from_millis(remaining) }))
    }

    fn check_file(&self, name: &str, file: &File) -> Result<()> {
        let metadata = file.metadata().map_err(|error| self.failure("read", name, &error))?;
        message::check_access(&self.path.join(name), Expected::File, &metadata)
    }

    /// The generation of the value of an entry; 0 if there is none.
    ///
    /// # Errors
    /// As [`Self::read`].
    pub(super) fn generation(&self, name: &EntryName) -> Result<u64> {
        Ok(self.read(name)?.and_then(|value| generation(&value.bytes)).unwrap_or(0))
    }

    /// Tries to lock an entry. Does not wait.
    ///
    /// # Errors
    /// If the lock file cannot be opened, or the file system has no locks.
    pub(super) fn try_lock(&self, name: &EntryName) -> Result<LockOutcome> {
        let lock = match FileLock::try_acquire(&self.directory, lock_key(name)) {
            Ok(Some(lock)) => lock,
            Ok(None) => return Ok(LockOutcome::Held),
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(LockOutcome::Removed),
            Err(error) => return Err(message::io_failure("lock a file in", &self.path, &error)),
        };
        self.check_file(".lock", lock.file())?;
        Ok(if self.contains(&lock)? { LockOutcome::Acquired(lock) } else { LockOutcome::Removed })
    }

    /// Whether the lock file of `lock` is still in the folder.
    ///
    /// # Errors
    /// If the folder cannot be read.
    pub(super) fn contains(&self, lock: &FileLock) -> Result<bool> {
        lock.is_in(&self.directory).map_err(|error| message::io_failure("read", &self.path, &error))
    }

    /// Replaces the file of an entry. Readers see the old content or the new one, also after a crash. A durable
    /// write survives a crash.
    ///
    /// # Errors
    /// If writing fails. The old content then remains, unless the error is that of the last step of a durable write.
    pub(super) fn write(&self, name: &EntryName, content: &[u8], is_durable: bool) -> Result<()> {
        let temp = random_name()?;
        let written =
            self.write_file(&temp, content).and_then(|()| self.directory.rename(&temp, name.as_str()));
        if let Err(error) = written {
            // Fails if the file was not created. A file that remains is swept later.
            let _ = self.directory.remove(&temp);
            return Err(self.failure("write", name.as_str(), &error));
        }
        if is_durable {
            self.directory.sync().map_err(|error| message::io_failure("write", &self.path, &error))?;
        }
        Ok(())
    }

    fn write_file(&self, name: &str, content: &[u8]) -> io::Result<()> {
        let mut file = self.directory.create_new(name)?;
        file.write_all(content)?;
        // Before the rename: some file systems write the new name first, and a crash would leave an empty entry.
        file.sync_all()
    }
}

/// Creates the folder with its parents, accessible to this user only.
fn create(path: &Path) -> io::Result<()> {
    let mut builder = DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(path)?;
    if let Some(parent) = path.parent() {
        // A folder that a crash removes is created again. Windows cannot open a directory so.
        let _ = File::open(parent).and_then(|parent| parent.sync_all());
    }
    Ok(())
}

/// Reads one byte more than an entry can have, so that a longer file is malformed.
fn read_bounded(file: &mut File) -> io::Result<Vec<u8>> {
    let limit = u64::try_from(entry::MAX_LEN).unwrap_or(u64::MAX).saturating_add(1);
    let mut content = Vec::new();
    file.take(limit).read_to_end(&mut content)?;
    Ok(content)
}

/// The beginning of the digest in a name.
fn lock_key(name: &EntryName) -> u64 {
    let digest = URL_SAFE_NO_PAD.decode(name.as_str()).unwrap_or_default();
    digest.first_chunk().map_or(0, |first| u64::from_be_bytes(*first))
}

fn random_name() -> Result<String> {
    let mut random = [0; 16];
    sys::fill_random(&mut random).map_err(|_| {
        Error::new(ErrorKind::Internal, "token cache", "the random generator of the operating system failed")
    })?;
    Ok(format!("{TEMP_PREFIX}{}", URL_SAFE_NO_PAD.encode(random)))
}
