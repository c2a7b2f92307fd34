//! The key file that JWTCertStore names: its content, and by what a changed one is told.

use std::fs::Metadata;
use std::path::Path;
use std::time::SystemTime;

use zeroize::Zeroizing;

use super::KeySource;
use crate::error::Result;
use crate::file;

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
    pub(super) fn now(source: &KeySource) -> Option<Self> {
        std::fs::metadata(&source.store).ok().map(|found| Self::of(&found))
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
pub(super) fn read(source: &KeySource) -> Result<(Zeroizing<Vec<u8>>, Stamp)> {
    if source.store.is_empty() {
        return Err(source.broken("is empty; it should name the file with the private key"));
    }
    let (content, metadata) =
        file::read(Path::new(&source.store)).map_err(|fault| source.broken(fault.to_string()))?;
    if content.is_empty() {
        return Err(source.broken("is empty (0 bytes)"));
    }
    Ok((content, Stamp::of(&metadata)))
}
