//! Safe reading of configured files: regular files only, with a size limit, without blocking.
//!
//! A FIFO, device or socket must not block the caller, and opening one may have side effects. Therefore the
//! file type is checked before opening, and again after opening because the file may have been replaced in
//! between. Error texts do not contain the path; the caller of this module puts the path as configured before
//! them.

use std::fmt;
use std::fs::{File, FileType, Metadata};
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use zeroize::Zeroizing;

use crate::base::error::{ErrorKind, OptionError, io_error_text};
use crate::base::policy::{AllowedDirectories, Restriction};
use crate::base::sanitize;
use crate::sys::{self, BeneathError};

/// Size limit in bytes, far above any file that is read here.
const MAX_BYTES: u64 = 16 * 1024 * 1024;

/// A configured file path: as configured, for messages, and as an absolute path, which does not depend on
/// later changes of the working directory.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ConfiguredPath {
    configured: String,
    path: PathBuf,
    /// Whether the file must be below an allowed directory.
    confined: bool,
}

impl ConfiguredPath {
    /// The file at `configured`; a relative path is resolved against the current working directory.
    #[must_use]
    pub fn new(configured: String) -> Self {
        let path = PathBuf::from(&configured);
        // Fast path: most paths are absolute, and a process that serves many users has several for each of
        // them.
        let path = if path.is_absolute() { path } else { std::path::absolute(&path).unwrap_or(path) };
        Self { configured, path, confined: false }
    }

    /// As [`Self::new`], for a path in untrusted text: the file is opened only if it is below an allowed
    /// directory ([`Restriction::FilePaths`]).
    #[must_use]
    pub fn confined(configured: String) -> Self {
        Self { confined: true, ..Self::new(configured) }
    }

    /// Whether the policy allows the path. Does not access the file system.
    #[must_use]
    pub fn is_allowed(&self) -> bool {
        !self.confined || AllowedDirectories::current().containing(&self.path).next().is_some()
    }

    /// Returns the content of the file, which is wiped on drop, and its metadata from before the read, so
    /// that a change during the read is detected by the next comparison.
    ///
    /// # Errors
    /// If the file cannot be read or is not allowed.
    pub fn read(&self) -> Result<(Zeroizing<Vec<u8>>, Metadata), ReadError> {
        self.read_with_limit(MAX_BYTES)
    }

    /// As [`Self::read`], for a file of at most `max_bytes`.
    ///
    /// # Errors
    /// As [`Self::read`].
    pub fn read_with_limit(&self, max_bytes: u64) -> Result<(Zeroizing<Vec<u8>>, Metadata), ReadError> {
        check_regular_file(&self.metadata()?, max_bytes)?;
        read_opened(self.open()?, max_bytes)
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
        Ok(sys::open_nonblocking(&self.path)?)
    }

    /// The result of `open` for the first allowed directory that the path does not leave.
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

    /// The path as configured.
    #[must_use]
    pub fn as_configured(&self) -> &str {
        &self.configured
    }

    /// The absolute path.
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

/// The version of a file: compares unequal after the file has changed.
///
/// The modification time alone is not enough, because `cp -p` and rsync set it. Only the change time (ctime)
/// shows that.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FileVersion {
    length: u64,
    modified: Option<SystemTime>,
    device_and_inode: (u64, u64),
    /// Seconds and nanoseconds. Programs cannot set it.
    ctime: (i64, i64),
}

impl FileVersion {
    /// The version of the file with this metadata.
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

    /// The current version of `file`.
    ///
    /// # Errors
    /// If its metadata cannot be read.
    pub fn read(file: &ConfiguredPath) -> Result<Self, ReadError> {
        file.metadata().map(|metadata| Self::from_metadata(&metadata))
    }
}

/// Permissions of a secret file that let others read or write it. Displayed as a predicate after the path.
///
/// Others are all users and, for write access or a file that this user owns, the group. Group read access to
/// a file of root or of another user is no error: services get their keys that way (fsGroup of Kubernetes,
/// ssl-cert of Debian). PostgreSQL has the same rule. A process of root gets no error for group read access
/// either.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LoosePermissions {
    mode: u32,
    /// The bits of `mode` that are too permissive.
    offending_bits: u32,
    /// Whether this process could still read the file if only its owner had access.
    owned_by_us: bool,
}

impl LoosePermissions {
    /// The loose permissions of the file with this metadata, if it has any. Always `None` on systems without
    /// file modes.
    #[must_use]
    pub fn detect(metadata: &Metadata) -> Option<Self> {
        let (mode, owner) = mode_and_owner(metadata)?;
        Self::check(sys::effective_user_id(), mode, owner)
    }

    fn check(user: u32, mode: u32, owner: u32) -> Option<Self> {
        let group_read = if owner == user && user != 0 { 0o040 } else { 0 };
        let offending_bits = mode & (0o026 | group_read);
        (offending_bits != 0).then_some(Self {
            mode: mode & 0o7777,
            offending_bits,
            owned_by_us: owner == user || user == 0,
        })
    }
}

impl fmt::Display for LoosePermissions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let access = match (self.offending_bits & 0o044 != 0, self.offending_bits & 0o022 != 0) {
            (true, true) => "readable and writable",
            (true, false) => "readable",
            _ => "writable",
        };
        let expected = if self.owned_by_us { "600" } else { "640" };
        write!(f, "is {access} by others (mode {:04o}); run chmod {expected}", self.mode)
    }
}

/// The mode of a file and its owner; `None` on systems without them, where a file has the access control list of its
/// folder.
#[cfg(unix)]
pub(crate) fn mode_and_owner(metadata: &Metadata) -> Option<(u32, u32)> {
    use std::os::unix::fs::MetadataExt;
    Some((metadata.mode(), metadata.uid()))
}

#[cfg(not(unix))]
pub(crate) fn mode_and_owner(_: &Metadata) -> Option<(u32, u32)> {
    None
}

/// The error of reading a file. Displayed as a predicate after the path.
#[derive(Debug)]
pub enum ReadError {
    /// The operating system returned an error.
    Io(io::Error),
    /// The path is not a regular file but of this type.
    NotRegularFile(&'static str),
    /// The size of the file and the limit, in bytes.
    TooLarge(u64, u64),
    /// The path is outside the allowed directories.
    NotAllowed,
    /// The path is below an allowed directory and leaves it through a symbolic link.
    SymlinkEscape,
}

impl ReadError {
    /// Whether the file does not exist.
    #[must_use]
    pub fn is_missing(&self) -> bool {
        matches!(self, Self::Io(error) if error.kind() == io::ErrorKind::NotFound)
    }

    /// Whether the operating system could not open or read the file, which may exist.
    #[must_use]
    pub fn is_io_failure(&self) -> bool {
        matches!(self, Self::Io(_)) && !self.is_missing()
    }

    /// Whether the process policy forbids the path.
    #[must_use]
    pub fn is_forbidden(&self) -> bool {
        matches!(self, Self::NotAllowed | Self::SymlinkEscape)
    }

    /// [`OptionError::Invalid`] if the policy forbids the path, otherwise `kind`.
    #[must_use]
    pub fn kind_or(&self, kind: impl Into<ErrorKind>) -> ErrorKind {
        if self.is_forbidden() { OptionError::Invalid.into() } else { kind.into() }
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
            Self::Io(error) => write!(f, "cannot be read: {}", io_error_text(error)),
            Self::NotRegularFile(kind) => write!(f, "is {kind}, not a file"),
            Self::TooLarge(length, limit) => {
                write!(f, "is too large ({length} bytes, limit {} KiB)", limit >> 10)
            }
            Self::NotAllowed => {
                write!(
                    f,
                    "is outside the directories of authgrant_allow_directory, {}",
                    Restriction::FilePaths.rejection_text()
                )
            }
            Self::SymlinkEscape => {
                write!(
                    f,
                    "leaves the directory of authgrant_allow_directory through a symbolic link, {}",
                    Restriction::FilePaths.rejection_text()
                )
            }
        }
    }
}

/// As [`ConfiguredPath::read`], for a path that the operating system or the caller of the library provides.
///
/// # Errors
/// If the file cannot be read.
pub fn read_file(path: &Path) -> Result<(Zeroizing<Vec<u8>>, Metadata), ReadError> {
    check_regular_file(&std::fs::metadata(path)?, MAX_BYTES)?;
    read_opened(sys::open_nonblocking(path)?, MAX_BYTES)
}

fn read_opened(mut file: File, max_bytes: u64) -> Result<(Zeroizing<Vec<u8>>, Metadata), ReadError> {
    let metadata = file.metadata()?;
    check_regular_file(&metadata, max_bytes)?;
    let content = read_fixed(&mut file, metadata.len())?;
    Ok((content, metadata))
}

fn check_regular_file(metadata: &Metadata, max_bytes: u64) -> Result<(), ReadError> {
    if !metadata.is_file() {
        return Err(ReadError::NotRegularFile(describe_file_type(metadata.file_type())));
    }
    if metadata.len() > max_bytes {
        return Err(ReadError::TooLarge(metadata.len(), max_bytes));
    }
    Ok(())
}

#[cfg(unix)]
pub(crate) fn describe_file_type(file_type: FileType) -> &'static str {
    use std::os::unix::fs::FileTypeExt;
    match file_type {
        file_type if file_type.is_dir() => "a directory",
        file_type if file_type.is_fifo() => "a FIFO (named pipe)",
        file_type if file_type.is_socket() => "a socket",
        _ => "a device",
    }
}

#[cfg(not(unix))]
pub(crate) fn describe_file_type(file_type: FileType) -> &'static str {
    if file_type.is_dir() { "a directory" } else { "a device" }
}

/// Reads at most `length` bytes into a buffer that never grows: a reallocation would leave unwiped copies in
/// memory.
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
    /// A path with an absolute path that does not depend on the working directory of the process.
    pub fn with_path(configured: &str, path: PathBuf) -> Self {
        Self { configured: configured.to_owned(), path, confined: false }
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
        let current_dir = std::env::current_dir().unwrap();
        let relative = ConfiguredPath::new("a/../k.jks".to_owned());
        assert_eq!(
            (relative.as_configured(), relative.path()),
            ("a/../k.jks", current_dir.join("a/../k.jks").as_path())
        );
        assert_eq!(relative.to_string(), "a/../k.jks");
        assert_eq!(ConfiguredPath::new("/k.jks".to_owned()).path(), Path::new("/k.jks"));
    }

    #[test]
    fn loose_permissions_depend_on_mode_and_owner() {
        let text = |user, mode, owner| {
            LoosePermissions::check(user, mode, owner).map(|permissions| permissions.to_string())
        };
        for mode in [0o600, 0o400, 0o100_600, 0o700] {
            assert_eq!(text(7, mode, 7), None, "{mode:o}");
        }
        let own = |mode| text(7, mode, 7).unwrap();
        assert_eq!(own(0o100_644), "is readable by others (mode 0644); run chmod 600");
        assert!(own(0o640).contains("is readable by others (mode 0640)"));
        assert!(own(0o602).contains("is writable by others") && own(0o620).contains("is writable by others"));
        assert!(own(0o666).contains("is readable and writable by others"));
        // A key of root that a service reads through its group, and a key that root itself reads.
        for (user, mode, owner) in [(7, 0o440, 0), (7, 0o640, 0), (7, 0o640, 8), (0, 0o640, 0)] {
            assert_eq!(text(user, mode, owner), None, "{user} {mode:o} {owner}");
        }
        assert!(text(7, 0o644, 0).unwrap().contains("chmod 640"));
        assert!(text(0, 0o644, 8).unwrap().contains("chmod 600"));
        assert!(text(7, 0o660, 0).unwrap().contains("is writable by others"));
    }

    #[test]
    fn opening_fifo_does_not_block() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("pipe");
        assert!(Command::new("mkfifo").arg(&path).status().unwrap().success());
        let (sender, receiver) = mpsc::channel();
        std::thread::spawn(move || sender.send(sys::open_nonblocking(&path).is_ok()));
        assert_eq!(receiver.recv_timeout(Duration::from_secs(5)), Ok(true));
    }
}
