//! Opens a file only if it is inside a given directory, whatever symbolic links are on the way.
//!
//! On Linux the kernel resolves the path with `openat2(RESOLVE_BENEATH)`. Elsewhere, and where the kernel or a seccomp
//! filter has no openat2, the file is opened first and its canonical path is compared with the directory's: what is checked
//! is the file that is open, never a path that was resolved before.

use std::fs::{self, File, Metadata, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};

/// Why a file inside a directory was not opened.
#[derive(Debug)]
pub enum BeneathError {
    /// The operating system refused.
    Io(io::Error),
    /// The path leaves the directory: by `..`, by an absolute path or by a symbolic link.
    Outside,
}

impl From<io::Error> for BeneathError {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

/// Opens the file at `relative` below `directory` for reading, without waiting for a FIFO's writer.
///
/// # Errors
/// [`BeneathError::Outside`] if the path leaves the directory.
pub fn open_beneath(directory: &Path, relative: &Path) -> Result<File, BeneathError> {
    #[cfg(target_os = "linux")]
    {
        let flags = libc::O_RDONLY | libc::O_NONBLOCK | libc::O_NOCTTY;
        match linux::openat2(directory, relative, flags) {
            Ok(file) => return Ok(file),
            Err(error) if !linux::is_openat2_unavailable(&error) => return Err(linux::classify_error(error)),
            Err(_) => {}
        }
    }
    open_and_compare(directory, relative)
}

/// The metadata of the file at `relative` below `directory`, which is not opened for reading: opening a device has effects.
///
/// # Errors
/// Those of [`open_beneath`].
pub fn metadata_beneath(directory: &Path, relative: &Path) -> Result<Metadata, BeneathError> {
    #[cfg(target_os = "linux")]
    {
        match linux::openat2(directory, relative, libc::O_PATH) {
            Ok(file) => return Ok(file.metadata()?),
            Err(error) if !linux::is_openat2_unavailable(&error) => return Err(linux::classify_error(error)),
            Err(_) => {}
        }
    }
    Ok(fs::symlink_metadata(canonical_beneath(directory, relative)?)?)
}

/// The canonical path of the file if it is inside the canonical `directory`.
fn canonical_beneath(directory: &Path, relative: &Path) -> Result<PathBuf, BeneathError> {
    let directory = fs::canonicalize(directory)?;
    // An absolute `relative` takes the place of the directory in the joined path, and is found to be outside.
    let path = fs::canonicalize(directory.join(relative))?;
    if path.starts_with(&directory) { Ok(path) } else { Err(BeneathError::Outside) }
}

fn open_and_compare(directory: &Path, relative: &Path) -> Result<File, BeneathError> {
    let path = canonical_beneath(directory, relative)?;
    let file = open_nonblocking(&path)?;
    // The directories on the way may have been replaced since.
    if is_beneath(&file, directory, relative)? { Ok(file) } else { Err(BeneathError::Outside) }
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

/// Whether the open `file` is inside `directory`, by the path of its descriptor.
#[cfg(target_os = "linux")]
fn is_beneath(file: &File, directory: &Path, relative: &Path) -> Result<bool, BeneathError> {
    use std::os::fd::AsRawFd;
    match fs::read_link(format!("/proc/self/fd/{}", file.as_raw_fd())) {
        Ok(path) => Ok(path.starts_with(fs::canonicalize(directory)?)),
        // There is no /proc.
        Err(_) => is_same_file(file, directory, relative),
    }
}

#[cfg(not(target_os = "linux"))]
fn is_beneath(file: &File, directory: &Path, relative: &Path) -> Result<bool, BeneathError> {
    is_same_file(file, directory, relative)
}

/// Whether the open `file` is the one that a canonical path inside `directory` leads to.
#[cfg(unix)]
fn is_same_file(file: &File, directory: &Path, relative: &Path) -> Result<bool, BeneathError> {
    use std::os::unix::fs::MetadataExt;
    let found = fs::symlink_metadata(canonical_beneath(directory, relative)?)?;
    let opened = file.metadata()?;
    Ok((found.dev(), found.ino()) == (opened.dev(), opened.ino()))
}

/// Windows has no stable file number in std: the path must lead to the same place before and after the opening.
#[cfg(not(unix))]
fn is_same_file(_: &File, directory: &Path, relative: &Path) -> Result<bool, BeneathError> {
    canonical_beneath(directory, relative).map(|_| true)
}

#[cfg(target_os = "linux")]
mod linux {
    use std::ffi::CString;
    use std::fs::{File, OpenOptions};
    use std::io;
    use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};
    use std::os::unix::ffi::OsStrExt;
    use std::os::unix::fs::OpenOptionsExt;
    use std::path::Path;

    use super::BeneathError;

    /// `struct open_how` of linux/openat2.h; libc's cannot be constructed.
    #[repr(C)]
    struct OpenHow {
        flags: u64,
        mode: u64,
        resolve: u64,
    }

    /// The kernel asks for another attempt if a directory was renamed while it resolved a `..`.
    const MAX_ATTEMPTS: u32 = 16;

    pub(super) fn openat2(directory: &Path, relative: &Path, flags: libc::c_int) -> io::Result<File> {
        let mut options = OpenOptions::new();
        let directory = options.read(true).custom_flags(libc::O_PATH | libc::O_DIRECTORY).open(directory)?;
        // The directory itself, which is no file: the caller sees that.
        let relative = if relative.as_os_str().is_empty() { Path::new(".") } else { relative };
        let path = CString::new(relative.as_os_str().as_bytes())?;
        let how = OpenHow {
            flags: u64::from((flags | libc::O_CLOEXEC).unsigned_abs()),
            mode: 0,
            resolve: libc::RESOLVE_BENEATH | libc::RESOLVE_NO_MAGICLINKS,
        };
        let mut outcome = Err(io::ErrorKind::Interrupted.into());
        for _ in 0..MAX_ATTEMPTS {
            // SAFETY: the path is NUL-terminated, and it and `how` live beyond the call, which writes to neither.
            let opened = unsafe {
                libc::syscall(
                    libc::SYS_openat2,
                    directory.as_raw_fd(),
                    path.as_ptr(),
                    &raw const how,
                    size_of::<OpenHow>(),
                )
            };
            outcome = match RawFd::try_from(opened) {
                // SAFETY: the kernel has just made this descriptor for us, and nobody else owns it.
                Ok(descriptor @ 0..) => Ok(File::from(unsafe { OwnedFd::from_raw_fd(descriptor) })),
                _ => Err(io::Error::last_os_error()),
            };
            match &outcome {
                Err(error) if matches!(error.raw_os_error(), Some(libc::EAGAIN | libc::EINTR)) => {}
                _ => break,
            }
        }
        outcome
    }

    /// Whether there is no openat2: kernels before 5.6 have none, and old seccomp filters forbid what they do not know.
    pub(super) fn is_openat2_unavailable(error: &io::Error) -> bool {
        matches!(error.raw_os_error(), Some(libc::ENOSYS | libc::EPERM))
    }

    pub(super) fn classify_error(error: io::Error) -> BeneathError {
        match error.raw_os_error() {
            // ELOOP: a link of /proc, or links that lead to each other.
            Some(libc::EXDEV | libc::ELOOP) => BeneathError::Outside,
            _ => BeneathError::Io(error),
        }
    }
}

#[cfg(all(test, unix))]
mod tests {
    use std::io::Read;
    use std::os::unix::fs::symlink;

    use super::*;

    /// By the kernel where it can, and by comparing paths.
    const IMPLEMENTATIONS: [OpenFn; 2] = [open_beneath, open_and_compare];

    type OpenFn = fn(&Path, &Path) -> Result<File, BeneathError>;

    fn create_symlink_tree() -> tempfile::TempDir {
        let root = tempfile::tempdir().unwrap();
        let at = |name: &str| root.path().join(name);
        fs::create_dir_all(at("allowed/inner")).unwrap();
        fs::create_dir(at("other")).unwrap();
        for name in ["allowed/file", "allowed/inner/file", "other/file"] {
            fs::write(at(name), name).unwrap();
        }
        symlink("inner/file", at("allowed/link")).unwrap();
        symlink("../allowed/file", at("allowed/inner/up")).unwrap();
        symlink("../file", at("allowed/inner/sibling")).unwrap();
        symlink("../other/file", at("allowed/out")).unwrap();
        symlink("../other", at("allowed/folder")).unwrap();
        symlink(at("other/file"), at("allowed/absolute")).unwrap();
        symlink("/proc/self/root", at("allowed/root")).unwrap();
        root
    }

    #[test]
    fn open_beneath_rejects_links_leaving_directory() {
        let root = create_symlink_tree();
        let directory = root.path().join("allowed");
        for open in IMPLEMENTATIONS {
            for (path, content) in [
                ("file", "file"),
                ("inner/file", "inner/file"),
                ("link", "inner/file"),
                ("inner/sibling", "file"),
            ] {
                let mut text = String::new();
                open(&directory, Path::new(path)).unwrap().read_to_string(&mut text).unwrap();
                assert_eq!(text, format!("allowed/{content}"), "{path}");
            }
            let absolute = root.path().join("other/file");
            let absolute = absolute.to_str().unwrap();
            for path in
                ["out", "folder/file", "absolute", "../other/file", "inner/../../other/file", absolute]
            {
                let error = open(&directory, Path::new(path)).unwrap_err();
                assert!(matches!(error, BeneathError::Outside), "{path}: {error:?}");
            }
            assert!(open(&directory, Path::new(&format!("root{absolute}"))).is_err());
            let missing = open(&directory, Path::new("missing")).unwrap_err();
            assert!(
                matches!(&missing, BeneathError::Io(error) if error.kind() == io::ErrorKind::NotFound),
                "{missing:?}"
            );
        }
        assert!(matches!(metadata_beneath(&directory, Path::new("out")), Err(BeneathError::Outside)));
        assert_eq!(metadata_beneath(&directory, Path::new("link")).unwrap().len(), 18);
        assert!(metadata_beneath(&directory, Path::new("")).unwrap().is_dir());
    }

    #[test]
    fn replaced_directory_is_detected_after_open() {
        let root = create_symlink_tree();
        let (directory, relative) = (root.path().join("allowed"), Path::new("inner/file"));
        let stolen = File::open(root.path().join("other/file")).unwrap();
        assert!(!is_beneath(&stolen, &directory, relative).unwrap());
        assert!(!is_same_file(&stolen, &directory, relative).unwrap());
        let own = File::open(directory.join(relative)).unwrap();
        assert!(
            is_beneath(&own, &directory, relative).unwrap()
                && is_same_file(&own, &directory, relative).unwrap()
        );
    }
}
