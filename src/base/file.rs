//! Reading a file that an option named, without harm: regular files only, of a bounded size, never waiting.
//!
//! A FIFO, a device or a socket in the place of the file must not hang the host, and opening one may already have
//! effects; so the kind is looked at before and, as it may have been swapped meanwhile, after the opening. What is
//! wrong is said without the path, which the caller puts in front as the user typed it.

use std::fmt;
use std::fs::{File, FileType, Metadata, OpenOptions};
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use zeroize::Zeroizing;

use crate::base::error::Status;
use crate::base::policy::{AllowedDirectories, Restriction};
use crate::base::sanitize;
use crate::sys::{self, BeneathError};

/// Far above anything that is read here; what is larger is something else.
const MAX_BYTES: u64 = 16 * 1024 * 1024;

/// A file that an option named: as typed, for messages, and where that is, whatever the process' directory becomes.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ConfiguredPath {
    configured: String,
    path: PathBuf,
    /// Whether it is opened below an allowed directory alone.
    confined: bool,
}

impl ConfiguredPath {
    /// The file at `typed`; a relative path is meant from where the process stands now.
    #[must_use]
    pub fn new(typed: String) -> Self {
        let path = PathBuf::from(&typed);
        // Most are absolute as they are, and there are several for each user that a host acts for.
        let path = if path.is_absolute() { path } else { std::path::absolute(&path).unwrap_or(path) };
        Self { configured: typed, path, confined: false }
    }

    /// As [`Self::new`], for a path in untrusted text: the file is opened only if it is below a directory that the
    /// application has allowed ([`Forbidden::FilePaths`]).
    #[must_use]
    pub fn confined(typed: String) -> Self {
        Self { confined: true, ..Self::new(typed) }
    }

    /// Whether its path, without a look at the file system, may be opened.
    #[must_use]
    pub fn is_allowed(&self) -> bool {
        !self.confined || AllowedDirectories::current().containing(&self.path).next().is_some()
    }

    /// The content of the file, wiped when dropped, and what was known of it before the reading: a change during it is
    /// seen at the next look.
    ///
    /// # Errors
    /// What keeps it from being read.
    pub fn read(&self) -> Result<(Zeroizing<Vec<u8>>, Metadata), ReadError> {
        self.read_with_limit(MAX_BYTES)
    }

    /// As [`Self::read`], of a file that has no more than so many bytes.
    ///
    /// # Errors
    /// Those of [`Self::read`].
    pub fn read_with_limit(&self, most: u64) -> Result<(Zeroizing<Vec<u8>>, Metadata), ReadError> {
        check_regular_file(&self.metadata()?, most)?;
        read_opened(self.open()?, most)
    }

    fn metadata(&self) -> Result<Metadata, ReadError> {
        if self.confined {
            return self.try_allowed_directories(sys::metadata_beneath);
        }
        Ok(std::fs::metadata(&self.path)?)
    }

    fn open(&self) -> Result<File, ReadError> {
        if self.confined {
            return self.try_allowed_directories(sys::open_beneath);
        }
        Ok(open_nonblocking(&self.path)?)
    }

    /// What `open` does with the path below the first allowed directory that it does not leave.
    fn try_allowed_directories<T>(
        &self,
        open: fn(&Path, &Path) -> Result<T, BeneathError>,
    ) -> Result<T, ReadError> {
        let mut outcome = Err(ReadError::NotAllowed);
        for (directory, rest) in AllowedDirectories::current().containing(&self.path) {
            outcome = match open(directory, rest) {
                Ok(opened) => return Ok(opened),
                Err(BeneathError::Io(error)) => return Err(ReadError::Io(error)),
                Err(BeneathError::Outside) => Err(ReadError::SymlinkEscape),
            };
        }
        outcome
    }

    /// As the user wrote it.
    #[must_use]
    pub fn as_configured(&self) -> &str {
        &self.configured
    }

    /// What is opened.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }
}

impl fmt::Display for ConfiguredPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&sanitize::path(&self.configured))
    }
}

/// By what a changed file is told from the one that was read.
///
/// The time of writing is not enough: `cp -p` and rsync set it, and only the time of the change shows that.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FileVersion {
    length: u64,
    modified: Option<SystemTime>,
    /// Device and number.
    device_and_inode: (u64, u64),
    /// Seconds and nanoseconds, which no program can set.
    ctime: (i64, i64),
}

impl FileVersion {
    /// The stamp of the file that this is known of.
    #[must_use]
    pub fn from_metadata(metadata: &Metadata) -> Self {
        let (length, modified) = (metadata.len(), metadata.modified().ok());
        Self { length, modified, ..Self::from_inode(metadata) }
    }

    #[cfg(unix)]
    fn from_inode(metadata: &Metadata) -> Self {
        use std::os::unix::fs::MetadataExt;
        Self {
            device_and_inode: (metadata.dev(), metadata.ino()),
            ctime: (metadata.ctime(), metadata.ctime_nsec()),
            ..Self::default()
        }
    }

    #[cfg(not(unix))]
    fn from_inode(_: &Metadata) -> Self {
        Self::default()
    }

    /// The stamp of the file as it is now.
    ///
    /// # Errors
    /// What keeps it from being looked at.
    pub fn read(file: &ConfiguredPath) -> Result<Self, ReadError> {
        file.metadata().map(|found| Self::from_metadata(&found))
    }
}

/// That others than its owner may read or write a file of secrets, to be put behind its path.
///
/// Others are everybody and, where it is to write or where the file is this user's own, the group. That a group may read
/// what is root's or another's is how a service is given its key (Kubernetes' fsGroup, Debian's ssl-cert), and no fault;
/// PostgreSQL draws the line in the same place. Root itself is not told of it either.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LoosePermissions {
    mode: u32,
    /// The bits of it that are the fault.
    offending_bits: u32,
    /// Whether the process would still read it if its owner alone might.
    owned_by_us: bool,
}

impl LoosePermissions {
    /// Whether the file that this is known of is; never on systems whose files have no mode.
    #[must_use]
    pub fn detect(metadata: &Metadata) -> Option<Self> {
        let (mode, owner) = mode_and_owner(metadata)?;
        Self::check(sys::effective_user_id(), mode, owner)
    }

    fn check(user: u32, mode: u32, owner: u32) -> Option<Self> {
        let group_reads = if owner == user && user != 0 { 0o040 } else { 0 };
        let by = mode & (0o026 | group_reads);
        (by != 0).then_some(Self {
            mode: mode & 0o7777,
            offending_bits: by,
            owned_by_us: owner == user || user == 0,
        })
    }
}

impl fmt::Display for LoosePermissions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let what = match (self.offending_bits & 0o044 != 0, self.offending_bits & 0o022 != 0) {
            (true, true) => "read and write",
            (true, false) => "read",
            _ => "write",
        };
        let right = if self.owned_by_us { "600" } else { "640" };
        write!(f, "has mode {:04o}, by which others may {what} it; chmod {right} keeps them out", self.mode)
    }
}

#[cfg(unix)]
fn mode_and_owner(metadata: &Metadata) -> Option<(u32, u32)> {
    use std::os::unix::fs::MetadataExt;
    Some((metadata.mode(), metadata.uid()))
}

#[cfg(not(unix))]
fn mode_and_owner(_: &Metadata) -> Option<(u32, u32)> {
    None
}

/// Why a file was not read, to be put behind its path.
#[derive(Debug)]
pub enum ReadError {
    /// The operating system refused.
    Io(io::Error),
    /// It is something other than a regular file.
    NotRegularFile(&'static str),
    /// It has so many bytes, and so many are the most.
    TooLarge(u64, u64),
    /// It is below none of the allowed directories.
    NotAllowed,
    /// Its path is below an allowed directory, and leaves it by a symbolic link.
    SymlinkEscape,
}

impl ReadError {
    /// Whether there is no such file.
    #[must_use]
    pub fn is_missing(&self) -> bool {
        matches!(self, Self::Io(error) if error.kind() == io::ErrorKind::NotFound)
    }

    /// Whether the policy of the process forbids it.
    #[must_use]
    pub fn is_forbidden(&self) -> bool {
        matches!(self, Self::NotAllowed | Self::SymlinkEscape)
    }

    /// [`Status::InvalidOption`] for what the policy forbids, else `status`.
    #[must_use]
    pub fn status_or(&self, status: Status) -> Status {
        if self.is_forbidden() { Status::InvalidOption } else { status }
    }
}

impl From<io::Error> for ReadError {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

impl fmt::Display for ReadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Io(error) => write!(f, "cannot be read: {error}"),
            Self::NotRegularFile(kind) => write!(f, "is {kind}, not a file"),
            Self::TooLarge(length, most) => {
                write!(
                    f,
                    "has {length} bytes, more than the {} KiB that are read; is it the right file?",
                    most >> 10
                )
            }
            Self::NotAllowed => {
                write!(
                    f,
                    "is below no folder of authgrant_allow_directory, {}",
                    Restriction::FilePaths.rejection_text()
                )
            }
            Self::SymlinkEscape => {
                let said = Restriction::FilePaths.rejection_text();
                write!(f, "leads out of the folder of authgrant_allow_directory by a symbolic link, {said}")
            }
        }
    }
}

/// As [`Location::read`], for a file that the system or the application names.
///
/// # Errors
/// What keeps it from being read.
pub fn read_file(path: &Path) -> Result<(Zeroizing<Vec<u8>>, Metadata), ReadError> {
    check_regular_file(&std::fs::metadata(path)?, MAX_BYTES)?;
    read_opened(open_nonblocking(path)?, MAX_BYTES)
}

fn read_opened(mut file: File, most: u64) -> Result<(Zeroizing<Vec<u8>>, Metadata), ReadError> {
    let metadata = file.metadata()?;
    check_regular_file(&metadata, most)?;
    let content = read_fixed(&mut file, metadata.len())?;
    Ok((content, metadata))
}

#[cfg(unix)]
fn open_nonblocking(path: &Path) -> io::Result<File> {
    use std::os::unix::fs::OpenOptionsExt;
    OpenOptions::new().read(true).custom_flags(libc::O_NONBLOCK | libc::O_NOCTTY).open(path)
}

#[cfg(not(unix))]
fn open_nonblocking(path: &Path) -> io::Result<File> {
    OpenOptions::new().read(true).open(path)
}

fn check_regular_file(metadata: &Metadata, most: u64) -> Result<(), ReadError> {
    if !metadata.is_file() {
        return Err(ReadError::NotRegularFile(describe_file_type(metadata.file_type())));
    }
    if metadata.len() > most {
        return Err(ReadError::TooLarge(metadata.len(), most));
    }
    Ok(())
}

#[cfg(unix)]
fn describe_file_type(found: FileType) -> &'static str {
    use std::os::unix::fs::FileTypeExt;
    match found {
        found if found.is_dir() => "a directory",
        found if found.is_fifo() => "a FIFO (named pipe)",
        found if found.is_socket() => "a socket",
        _ => "a device",
    }
}

#[cfg(not(unix))]
fn describe_file_type(found: FileType) -> &'static str {
    if found.is_dir() { "a directory" } else { "a device" }
}

/// Reads at most `length` bytes into a buffer that never grows: growing would leave unwiped copies behind.
fn read_fixed(file: &mut File, length: u64) -> io::Result<Zeroizing<Vec<u8>>> {
    let length = usize::try_from(length).map_err(|_| io::ErrorKind::OutOfMemory)?;
    let mut content = Zeroizing::new(vec![0; length]);
    let mut filled = 0_usize;
    while let Some(rest) = content.get_mut(filled..).filter(|rest| !rest.is_empty()) {
        match file.read(rest) {
            Ok(0) => break,
            Ok(count) => filled = filled.saturating_add(count),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    content.truncate(filled);
    Ok(content)
}

#[cfg(test)]
impl ConfiguredPath {
    /// What was typed in another directory than that of the process.
    pub fn with_path(typed: &str, path: PathBuf) -> Self {
        Self { configured: typed.to_owned(), path, confined: false }
    }
}

#[cfg(all(test, unix))]
mod tests {
    use std::process::Command;
    use std::sync::mpsc;
    use std::time::Duration;

    use super::*;

    #[test]
    fn relative_path_is_resolved_and_displayed_verbatim() {
        let here = std::env::current_dir().unwrap();
        let relative = ConfiguredPath::new("a/../k.jks".to_owned());
        assert_eq!(
            (relative.as_configured(), relative.path()),
            ("a/../k.jks", here.join("a/../k.jks").as_path())
        );
        assert_eq!(relative.to_string(), "a/../k.jks");
        assert_eq!(ConfiguredPath::new("/k.jks".to_owned()).path(), Path::new("/k.jks"));
    }

    #[test]
    fn loose_permissions_depend_on_mode_and_owner() {
        let said =
            |user, mode, owner| LoosePermissions::check(user, mode, owner).map(|found| found.to_string());
        for mode in [0o600, 0o400, 0o100_600, 0o700] {
            assert_eq!(said(7, mode, 7), None, "{mode:o}");
        }
        let own = |mode| said(7, mode, 7).unwrap();
        assert_eq!(own(0o100_644), "has mode 0644, by which others may read it; chmod 600 keeps them out");
        assert!(own(0o640).contains("mode 0640, by which others may read it"));
        assert!(own(0o602).contains("others may write it") && own(0o620).contains("others may write it"));
        assert!(own(0o666).contains("others may read and write it"));
        // A key that root gives to a service by its group, and one that root reads.
        for (user, mode, owner) in [(7, 0o440, 0), (7, 0o640, 0), (7, 0o640, 8), (0, 0o640, 0)] {
            assert_eq!(said(user, mode, owner), None, "{user} {mode:o} {owner}");
        }
        assert!(said(7, 0o644, 0).unwrap().contains("chmod 640 keeps"));
        assert!(said(0, 0o644, 8).unwrap().contains("chmod 600 keeps"));
        assert!(said(7, 0o660, 0).unwrap().contains("others may write it"));
    }

    #[test]
    fn opening_fifo_does_not_block() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("pipe");
        assert!(Command::new("mkfifo").arg(&path).status().unwrap().success());
        let (done, waiting) = mpsc::channel();
        std::thread::spawn(move || done.send(open_nonblocking(&path).is_ok()));
        assert_eq!(waiting.recv_timeout(Duration::from_secs(5)), Ok(true));
    }
}
