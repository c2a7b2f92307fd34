//! Content of key files and inline keys. An inline key is PEM or JSON verbatim, or base64.

use zeroize::Zeroizing;

use crate::base::error::Result;
use crate::base::file::{ConfiguredPath, FileVersion, LoosePermissions};
use crate::key::file::{self, NamedFile};
use crate::key::format::{json, pem};
use crate::key::lenient_base64;
use crate::key::source::KeySource;

/// Returns the content of the key file, its version from before it was read, and loose permissions, unless
/// KeyFileCheck makes them an error.
pub(super) fn read_key_file(
    source: &KeySource,
    file: &ConfiguredPath,
) -> Result<(Zeroizing<Vec<u8>>, FileVersion, Option<LoosePermissions>)> {
    let named = NamedFile { option: source.option(), file };
    let (content, metadata) = file::read_content(&named)?;
    let loose_permissions = LoosePermissions::detect(&metadata);
    match loose_permissions.filter(|_| source.require_private_file) {
        Some(loose_permissions) => Err(named.store_error(format!("{loose_permissions} (KeyFileCheck is 1)"))),
        None => Ok((content, FileVersion::from_metadata(&metadata), loose_permissions)),
    }
}

/// Returns the content that a file with the key `text` would have.
pub(super) fn decode_inline(source: &KeySource, text: &str) -> Result<Zeroizing<Vec<u8>>> {
    if json::is_json(text.as_bytes()) {
        return Ok(Zeroizing::new(text.as_bytes().to_vec()));
    }
    if pem::is_pem(text.as_bytes()) {
        // PEM copied from a JSON file has `\n` escapes instead of line ends.
        return Ok(Zeroizing::new(text.replace("\\n", "\n").into_bytes()));
    }
    lenient_base64::decode(text).ok_or_else(|| source.store_error(source.unrecognized_text()))
}
