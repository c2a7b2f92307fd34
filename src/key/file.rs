//! Files named by options: their content, and errors that name them.

use std::fmt;
use std::fs::Metadata;

use zeroize::Zeroizing;

use crate::base::error::{Error, ErrorKind, KeyError, Result};
use crate::base::file::{ConfiguredPath, FileVersion};

/// A file and the option that names it.
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
    /// Error about the file itself.
    pub(super) fn store_error(&self, text: impl AsRef<str>) -> Error {
        self.error(KeyError::Store, text.as_ref())
    }

    fn error(&self, kind: impl Into<ErrorKind>, text: &str) -> Error {
        Error::new(kind, "key store", format!("{self} {text}")).with_option(self.option)
    }
}

/// Returns the content of the file and its version from before it was read, so that a change while reading is
/// detected by the next check.
pub(super) fn read_file(named: &NamedFile<'_>) -> Result<(Zeroizing<Vec<u8>>, FileVersion)> {
    read_content(named).map(|(content, metadata)| (content, FileVersion::from_metadata(&metadata)))
}

/// Returns the content of the file and its metadata from before it was read.
pub(super) fn read_content(named: &NamedFile<'_>) -> Result<(Zeroizing<Vec<u8>>, Metadata)> {
    if named.file.as_configured().is_empty() {
        return Err(named.store_error("is empty; it must name a file"));
    }
    let (content, metadata) =
        named.file.read().map_err(|error| named.error(error.kind_or(KeyError::Store), &error.to_string()))?;
    if content.is_empty() {
        return Err(named.store_error("is empty (0 bytes)"));
    }
    Ok((content, metadata))
}
