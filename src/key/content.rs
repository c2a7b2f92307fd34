//! Content of key files and inline keys, without text armor.

use zeroize::Zeroizing;

use crate::base::error::Result;
use crate::base::file::{ConfiguredPath, FileVersion, LoosePermissions};
use crate::key::armor;
use crate::key::file::{self, NamedFile};
use crate::key::format;
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
        None => Ok((remove_armor(content), FileVersion::from_metadata(&metadata), loose_permissions)),
    }
}

/// Returns the content that a file with the key `text` would have.
pub(super) fn decode_inline(source: &KeySource, text: &str) -> Result<Zeroizing<Vec<u8>>> {
    let content = remove_armor(Zeroizing::new(text.as_bytes().to_vec()));
    format::detect_or_error(source, &content)?;
    Ok(content)
}

fn remove_armor(content: Zeroizing<Vec<u8>>) -> Zeroizing<Vec<u8>> {
    armor::remove(content, format::is_binary)
}
