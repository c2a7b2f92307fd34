//! Reading a key file without harm: regular files only, of a bounded size, never waiting.
//!
//! A FIFO, a device or a socket in the place of the file must not hang the host, and opening one may already have
//! effects; so the kind is looked at before and, as it may have been swapped meanwhile, after the opening.

use std::fmt;
use std::fs::{File, FileType, Metadata, OpenOptions};
use std::io::{self, Read};
use std::time::SystemTime;

use zeroize::Zeroizing;

use crate::error::{Error, Result, Status};

/// Far above any key store seen; what is larger is something else.
const MAX_BYTES: u64 = 16 * 1024 * 1024;

/// A file as the user typed it, and the option by which.
pub(super) struct Named<'a> {
    pub(super) option: &'static str,
    pub(super) path: &'a str,
}

impl fmt::Display for Named<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.option, self.path)
    }
}

impl Named<'_> {
    /// The file itself is at fault.
    pub(super) fn broken(&self, text: impl AsRef<str>) -> Error {
        let text = format!("{self} {}", text.as_ref());
        Error::new(Status::KeyStore, "key store", text).with_option(self.option)
    }
}

/// By what a changed file is told from the one that was read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Stamp {
    file: (u64, u64),
    length: u64,
    modified: Option<SystemTime>,
}

impl Stamp {
    fn of(metadata: &Metadata) -> Self {
        Self { file: identity(metadata), length: metadata.len(), modified: metadata.modified().ok() }
    }

    /// The stamp of the file as it is now; nothing if it is not there.
    pub(super) fn now(path: &str) -> Option<Self> {
        std::fs::metadata(path).ok().map(|found| Self::of(&found))
    }
}

#[cfg(unix)]
fn identity(metadata: &Metadata) -> (u64, u64) {
    use std::os::unix::fs::MetadataExt;
    (metadata.dev(), metadata.ino())
}

#[cfg(not(unix))]
fn identity(_: &Metadata) -> (u64, u64) {
    (0, 0)
}

/// The content of the file, and its stamp from before the reading: a change during it is seen at the next look.
pub(super) fn read(file: &Named<'_>) -> Result<(Zeroizing<Vec<u8>>, Stamp)> {
    if file.path.is_empty() {
        return Err(file.broken("is empty; it should name a file"));
    }
    let failed = |error: io::Error| file.broken(format!("cannot be read: {error}"));
    check(file, &std::fs::metadata(file.path).map_err(failed)?)?;
    let mut opened = open(file).map_err(failed)?;
    let metadata = opened.metadata().map_err(failed)?;
    check(file, &metadata)?;
    let content = fill(&mut opened, metadata.len()).map_err(failed)?;
    if content.is_empty() {
        return Err(file.broken("is empty (0 bytes)"));
    }
    Ok((content, Stamp::of(&metadata)))
}

#[cfg(unix)]
fn open(file: &Named<'_>) -> io::Result<File> {
    use std::os::unix::fs::OpenOptionsExt;
    OpenOptions::new().read(true).custom_flags(libc::O_NONBLOCK | libc::O_NOCTTY).open(file.path)
}

#[cfg(not(unix))]
fn open(file: &Named<'_>) -> io::Result<File> {
    OpenOptions::new().read(true).open(file.path)
}

fn check(file: &Named<'_>, metadata: &Metadata) -> Result<()> {
    if !metadata.is_file() {
        let kind = kind(metadata.file_type());
        return Err(file.broken(format!("is {kind}, not a file")));
    }
    if metadata.len() > MAX_BYTES {
        let length = metadata.len();
        return Err(file.broken(format!(
            "has {length} bytes, more than the {MAX_BYTES} (16 MiB) that are read; is it the right file?"
        )));
    }
    Ok(())
}

#[cfg(unix)]
fn kind(found: FileType) -> &'static str {
    use std::os::unix::fs::FileTypeExt;
    match found {
        found if found.is_dir() => "a directory",
        found if found.is_fifo() => "a FIFO (named pipe)",
        found if found.is_socket() => "a socket",
        _ => "a device",
    }
}

#[cfg(not(unix))]
fn kind(found: FileType) -> &'static str {
    if found.is_dir() { "a directory" } else { "a device" }
}

/// Reads at most `length` bytes into a buffer that never grows: growing would leave unwiped copies behind.
fn fill(file: &mut File, length: u64) -> io::Result<Zeroizing<Vec<u8>>> {
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

#[cfg(all(test, unix))]
mod tests {
    use std::sync::mpsc;
    use std::time::Duration;

    use super::super::fixtures::{Place, run};
    use super::*;

    #[test]
    fn opening_a_fifo_that_came_after_the_look_does_not_wait_for_a_writer() {
        let place = Place::new();
        run(place.path(), "mkfifo pipe");
        let path = place.file("pipe");
        let (done, waiting) = mpsc::channel();
        std::thread::spawn(move || {
            let named = Named { option: "JWTCertStore", path: path.to_str().unwrap() };
            done.send(open(&named).is_ok())
        });
        assert_eq!(waiting.recv_timeout(Duration::from_secs(5)), Ok(true));
    }
}
