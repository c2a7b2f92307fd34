//! The key file that JWTCertStore names: its content, and by what a changed one is told.

use std::fmt;
use std::fs::Metadata;
use std::time::SystemTime;

use zeroize::Zeroizing;

use crate::error::{Error, Result, Status};
use crate::file::{self, Location};

/// A file, and the option that named it.
pub(super) struct Named<'a> {
    pub(super) option: &'static str,
    pub(super) file: &'a Location,
}

impl fmt::Display for Named<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.option, self.file)
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
    pub(super) fn now(file: &Location) -> Option<Self> {
        std::fs::metadata(file.path()).ok().map(|found| Self::of(&found))
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
pub(super) fn read(named: &Named<'_>) -> Result<(Zeroizing<Vec<u8>>, Stamp)> {
    if named.file.typed().is_empty() {
        return Err(named.broken("is empty; it should name a file"));
    }
    let (content, metadata) =
        file::read(named.file.path()).map_err(|fault| named.broken(fault.to_string()))?;
    if content.is_empty() {
        return Err(named.broken("is empty (0 bytes)"));
    }
    Ok((content, Stamp::of(&metadata)))
}
