//! Errors of the folder and its files: what failed, what was found, and what to do.

use std::fs::Metadata;
use std::io;
use std::path::Path;

use crate::base::error::{Error, ErrorKind, OptionError, Result, io_error_text};
use crate::base::file::{describe_file_type, mode_and_owner};
use crate::base::sanitize;
use crate::sys;

/// An error of the store. `text` has no secrets.
pub(super) fn error(text: &str) -> Error {
    Error::new(ErrorKind::from(OptionError::Invalid), "token cache", text).with_option("TokenCache")
}

/// The error of an operation, such as "write", on the file or folder at `path`.
pub(super) fn io_failure(operation: &str, path: &Path, cause: &io::Error) -> Error {
    let (path, reason, advice) = (sanitize::path(path), io_error_text(cause), advice(cause));
    error(&format!("cannot {operation} {path}: {reason}{advice}"))
}

/// As [`io_failure`] for opening: says so if there is something else than a file or a folder at `path`.
pub(super) fn open_failure(path: &Path, expected: Expected, cause: &io::Error) -> Error {
    match std::fs::symlink_metadata(path) {
        Ok(metadata) => match check_type(path, expected, &metadata) {
            Err(error) => error,
            Ok(()) => io_failure("open", path, cause),
        },
        Err(_) => io_failure("open", path, cause),
    }
}

/// The error if the folder at `path` was removed again after it was created.
pub(super) fn removed(path: &Path) -> Error {
    error(&format!("{} is removed by another process while it is used", sanitize::path(path)))
}

#[cfg(unix)]
fn advice(cause: &io::Error) -> &'static str {
    match cause.raw_os_error() {
        Some(libc::ENOLCK | libc::EOPNOTSUPP | libc::ENOSYS) => {
            "; file: needs a file system with locks, which NFS without a lock service does not have; set TokenCache \
             to a folder on another file system"
        }
        Some(libc::ENOSPC | libc::EDQUOT) => "; free space, or set TokenCache to another folder",
        Some(libc::EROFS) => "; set TokenCache to a folder that can be written",
        Some(libc::EACCES | libc::EPERM) => "; set TokenCache to a folder of the user of this process",
        Some(libc::EMFILE | libc::ENFILE) => "; raise the limit of open files",
        _ => "",
    }
}

#[cfg(not(unix))]
fn advice(cause: &io::Error) -> &'static str {
    match cause.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
            "; free space, or set TokenCache to another folder"
        }
        io::ErrorKind::PermissionDenied => "; set TokenCache to a folder of the user of this process",
        _ => "",
    }
}

/// What must be at a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Expected {
    Folder,
    File,
}

/// Checks that no other user can read or change the file or folder that was opened at `path`.
///
/// # Errors
/// If it has another type, owner or mode.
pub(super) fn check_access(path: &Path, expected: Expected, metadata: &Metadata) -> Result<()> {
    check_type(path, expected, metadata)?;
    let Some((mode, owner)) = mode_and_owner(metadata) else { return Ok(()) };
    let user = sys::effective_user_id();
    if owner != user {
        return Err(error(&format!(
            "{} belongs to user {owner}; expected user {user}, the user of this process; set TokenCache to a folder \
             of this user",
            sanitize::path(path)
        )));
    }
    if mode & 0o077 != 0 {
        let expected = if expected == Expected::Folder { "0700" } else { "0600" };
        return Err(error(&format!(
            "{} has mode {:04o}; expected {expected}, so that other users cannot read or change it; run chmod \
             {expected}",
            sanitize::path(path),
            mode & 0o7777
        )));
    }
    Ok(())
}

fn check_type(path: &Path, expected: Expected, metadata: &Metadata) -> Result<()> {
    let (is_expected, expected) = match expected {
        Expected::Folder => (metadata.is_dir(), "a directory"),
        Expected::File => (metadata.is_file(), "a regular file"),
    };
    if is_expected {
        return Ok(());
    }
    let found = match metadata.file_type() {
        found if found.is_symlink() => "a symbolic link",
        found if found.is_file() => "a regular file",
        found => describe_file_type(found),
    };
    Err(error(&format!("{} is {found}; expected {expected}", sanitize::path(path))))
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;

    #[test]
    fn advice_depends_on_reason() {
        for (code, expected) in [
            (libc::ENOLCK, "a file system with locks"),
            (libc::EOPNOTSUPP, "a file system with locks"),
            (libc::ENOSYS, "a file system with locks"),
            (libc::ENOSPC, "free space"),
            (libc::EDQUOT, "free space"),
            (libc::EROFS, "that can be written"),
            (libc::EACCES, "of the user of this process"),
            (libc::EPERM, "of the user of this process"),
            (libc::EMFILE, "limit of open files"),
        ] {
            let message =
                io_failure("write", Path::new("/a/b"), &io::Error::from_raw_os_error(code)).message();
            assert!(
                message.contains("cannot write /a/b: ") && message.contains(expected),
                "{code}: {message}"
            );
        }
        let message =
            io_failure("write", Path::new("/a"), &io::Error::from_raw_os_error(libc::EIO)).message();
        assert!(message.ends_with(": Input/output error"), "{message}");
    }
}
