//! The files that hold a key or its certificate: their content, and errors that name them.

use std::fmt;
use std::fs::Metadata;

use zeroize::Zeroizing;

use super::KeySource;
use crate::base::error::{Error, Result, Status};
use crate::base::file::{ConfiguredPath, FileVersion, LoosePermissions};

/// A file, and the option that named it.
pub(super) struct NamedFile<'a> {
    pub(super) option: &'static str,
    pub(super) file: &'a ConfiguredPath,
}

impl fmt::Display for NamedFile<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.option, self.file)
    }
}

impl NamedFile<'_> {
    /// The file itself is at fault.
    pub(super) fn store_error(&self, text: impl AsRef<str>) -> Error {
        self.error(Status::KeyStore, text.as_ref())
    }

    fn error(&self, status: Status, text: &str) -> Error {
        Error::new(status, "key store", format!("{self} {text}")).with_option(self.option)
    }
}

/// As [`read`], of the file that holds the key itself; and whether others may read or write it, unless that is an error.
pub(super) fn read_key_file(
    source: &KeySource,
    file: &ConfiguredPath,
) -> Result<(Zeroizing<Vec<u8>>, FileVersion, Option<LoosePermissions>)> {
    let named = NamedFile { option: source.option(), file };
    let (content, metadata) = read_content(&named)?;
    let exposed = LoosePermissions::detect(&metadata);
    match exposed.filter(|_| source.require_private_file) {
        Some(exposed) => Err(named.store_error(format!("{exposed} (KeyFileCheck is 1)"))),
        None => Ok((content, FileVersion::from_metadata(&metadata), exposed)),
    }
}

/// The content of the file, and its stamp from before the reading: a change during it is seen at the next look.
pub(super) fn read_file(named: &NamedFile<'_>) -> Result<(Zeroizing<Vec<u8>>, FileVersion)> {
    read_content(named).map(|(content, metadata)| (content, FileVersion::from_metadata(&metadata)))
}

fn read_content(named: &NamedFile<'_>) -> Result<(Zeroizing<Vec<u8>>, Metadata)> {
    if named.file.as_configured().is_empty() {
        return Err(named.store_error("is empty; it should name a file"));
    }
    let (content, metadata) = named
        .file
        .read()
        .map_err(|fault| named.error(fault.status_or(Status::KeyStore), &fault.to_string()))?;
    if content.is_empty() {
        return Err(named.store_error("is empty (0 bytes)"));
    }
    Ok((content, metadata))
}
