//! Inline keys and secrets: an option contains PEM or JSON verbatim, or base64.

use zeroize::Zeroizing;

use super::KeySource;
use crate::base::error::Result;
use crate::key::format::{json, pem};
use crate::key::lenient_base64;

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
