//! Opening of files confined to a directory, safe against symbolic links that leave it.
//!
//! On Linux the kernel resolves the path with `openat2(RESOLVE_BENEATH)`. On other systems, and if the kernel
//! or a seccomp filter does not support openat2, the file is opened first and its canonical path is then
//! compared with that of the directory. The check applies to the open file, never to a path that was resolved
//! earlier.

use std::fs::{self, File, Metadata, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};

use super::avoid_standard_streams;

/// The error of opening a file beneath a directory.
#[derive(Debug)]
pub enum BeneathError {
    /// The operating system returned an error.
    Io(io::Error),
    /// The path leaves the directory through `..`, an absolute path or a symbolic link.
    Outside,
}

impl From<io::Error> for BeneathError {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

/// Opens the file at `relative` below `directory` for reading. Does not wait for the writer of a FIFO.
///
/// # Errors
/// [`BeneathError::Outside`] if the path leaves the directory.
pub fn open_beneath(directory: &Path, relative: &Path) -> Result<File, BeneathError> {
    #[cfg(target_os = "linux")]
    {
        let flags = libc::O_RDONLY | libc::O_NONBLOCK | libc::O_NOCTTY;
        match linux::openat2(directory, relative, flags) {
            Ok(file) => return Ok(avoid_standard_streams(file)?),
            Err(error) if !linux::is_openat2_unavailable(&error) => return Err(linux::classify_error(error)),
            Err(_) => {}
        }
    }
    open_and_compare(directory, relative)
}

/// The metadata of the file at `relative` below `directory`. The file is not opened for reading, because
/// opening a device may have side effects.
///
/// # Errors
/// As [`open_beneath`].
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
    // `join` with an absolute path returns that path, which is then outside.
    let path = fs::canonicalize(directory.join(relative))?;
    if path.starts_with(&directory) { Ok(path) } else { Err(BeneathError::Outside) }
}

fn open_and_compare(directory: &Path, relative: &Path) -> Result<File, BeneathError> {
    let path = canonical_beneath(directory, relative)?;
    let file = open_nonblocking(&path)?;
    // A directory of the path may have been replaced since the path was resolved.
    if is_beneath(&file, directory, relative)? { Ok(file) } else { Err(BeneathError::Outside) }
}

/// Opens the file at `path` for reading. Does not wait for the writer of a FIFO.
#[cfg(unix)]
pub fn open_nonblocking(path: &Path) -> io::Result<File> {
    use std::os::unix::fs::OpenOptionsExt;
    let mut options = OpenOptions::new();
    options.read(true).custom_flags(libc::O_NONBLOCK | libc::O_NOCTTY);
    avoid_standard_streams(options.open(path)?)
}

/// Opens the file at `path` for reading.
#[cfg(not(unix))]
pub fn open_nonblocking(path: &Path) -> io::Result<File> {
    OpenOptions::new().read(true).open(path)
}

/// Whether the open `file` is inside `directory`, by the path of its descriptor.
#[cfg(target_os = "linux")]
fn is_beneath(file: &File, directory: &Path, relative: &Path) -> Result<bool, BeneathError> {
    use std::os::fd::AsRawFd;
    match fs::read_link(format!("/proc/self/fd/{}", file.as_raw_fd())) {
        Ok(path) => Ok(path.starts_with(fs::canonicalize(directory)?)),
        // /proc is not mounted.
        Err(_) => is_same_file(file, directory, relative),
    }
}

#[cfg(not(target_os = "linux"))]
fn is_beneath(file: &File, directory: &Path, relative: &Path) -> Result<bool, BeneathError> {
    is_same_file(file, directory, relative)
}

/// Whether the open `file` is the file at the canonical path of `relative` inside `directory`.
#[cfg(unix)]
fn is_same_file(file: &File, directory: &Path, relative: &Path) -> Result<bool, BeneathError> {
    use std::os::unix::fs::MetadataExt;
    let expected = fs::symlink_metadata(canonical_beneath(directory, relative)?)?;
    let opened = file.metadata()?;
    Ok((expected.dev(), expected.ino()) == (opened.dev(), opened.ino()))
}

/// std has no stable file index for Windows, so the path must be inside the directory before and after
/// opening.
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

    /// `struct open_how` of linux/openat2.h; the type of the libc crate cannot be constructed.
    #[repr(C)]
    struct OpenHow {
        flags: u64,
        mode: u64,
        resolve: u64,
    }

    /// Maximum number of attempts. The kernel returns EAGAIN if a directory was renamed while it resolved a
    /// `..`.
    const MAX_ATTEMPTS: u32 = 16;

    pub(super) fn openat2(directory: &Path, relative: &Path, flags: libc::c_int) -> io::Result<File> {
        let mut options = OpenOptions::new();
        let directory = options.read(true).custom_flags(libc::O_PATH | libc::O_DIRECTORY).open(directory)?;
        // An empty path is the directory itself. The caller rejects it because it is no regular file.
        let relative = if relative.as_os_str().is_empty() { Path::new(".") } else { relative };
        let path = CString::new(relative.as_os_str().as_bytes())?;
        let how = OpenHow {
            flags: u64::from((flags | libc::O_CLOEXEC).unsigned_abs()),
            mode: 0,
            resolve: libc::RESOLVE_BENEATH | libc::RESOLVE_NO_MAGICLINKS,
        };
        let mut outcome = Err(io::ErrorKind::Interrupted.into());
        for _ in 0..MAX_ATTEMPTS {
            // SAFETY: the path is NUL-terminated; the path and `how` outlive the call, which writes to
            // neither.
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
                // SAFETY: the kernel has just created this descriptor, and it has no other owner.
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

    /// Whether openat2 is unavailable: kernels before 5.6 do not have it, and old seccomp filters reject
    /// unknown system calls.
    pub(super) fn is_openat2_unavailable(error: &io::Error) -> bool {
        matches!(error.raw_os_error(), Some(libc::ENOSYS | libc::EPERM))
    }

    pub(super) fn classify_error(error: io::Error) -> BeneathError {
        match error.raw_os_error() {
            // ELOOP: a magic link of /proc, or a cycle of symbolic links.
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

    /// With openat2 if available, and by comparing paths.
    const IMPLEMENTATIONS: [OpenFn; 2] = [open_beneath, open_and_compare];

    type OpenFn = fn(&Path, &Path) -> Result<File, BeneathError>;

    fn create_symlink_tree() -> tempfile::TempDir {
        let root = tempfile::tempdir().unwrap();
        let path = |name: &str| root.path().join(name);
        fs::create_dir_all(path("allowed/inner")).unwrap();
        fs::create_dir(path("other")).unwrap();
        for name in ["allowed/file", "allowed/inner/file", "other/file"] {
            fs::write(path(name), name).unwrap();
        }
        symlink("inner/file", path("allowed/link")).unwrap();
        symlink("../allowed/file", path("allowed/inner/up")).unwrap();
        symlink("../file", path("allowed/inner/sibling")).unwrap();
        symlink("../other/file", path("allowed/out")).unwrap();
        symlink("../other", path("allowed/folder")).unwrap();
        symlink(path("other/file"), path("allowed/absolute")).unwrap();
        symlink("/proc/self/root", path("allowed/root")).unwrap();
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
        let outside = File::open(root.path().join("other/file")).unwrap();
        assert!(!is_beneath(&outside, &directory, relative).unwrap());
        assert!(!is_same_file(&outside, &directory, relative).unwrap());
        let inside = File::open(directory.join(relative)).unwrap();
        assert!(
            is_beneath(&inside, &directory, relative).unwrap()
                && is_same_file(&inside, &directory, relative).unwrap()
        );
    }
}
