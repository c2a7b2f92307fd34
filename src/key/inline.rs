//! Inline keys and secrets: an option contains PEM or JSON verbatim, or base64.

use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use base64::{Engine as _, alphabet};
use zeroize::Zeroizing;

use super::KeySource;
use crate::base::error::Result;
use crate::key::format::{json, pem};

/// Padding is optional, as in OpenSSL.
const LENIENT_BASE64: GeneralPurpose = GeneralPurpose::new(
    &alphabet::STANDARD,
    GeneralPurposeConfig::new()
        .with_decode_padding_mode(DecodePaddingMode::Indifferent)
        .with_decode_allow_trailing_bits(true),
);

/// Returns the content that a file with the key `text` would have.
pub(super) fn decode_inline(source: &KeySource, text: &str) -> Result<Zeroizing<Vec<u8>>> {
    if json::is_json(text.as_bytes()) {
        return Ok(Zeroizing::new(text.as_bytes().to_vec()));
    }
    if pem::is_pem(text.as_bytes()) {
        // PEM copied from a JSON file has `\n` escapes instead of line ends.
        return Ok(Zeroizing::new(text.replace("\\n", "\n").into_bytes()));
    }
    decode_base64(text).ok_or_else(|| source.store_error(source.unrecognized_text()))
}

/// Decodes `text` in either alphabet of RFC 4648; `None` if it is not base64 or the result is empty.
pub(super) fn decode_base64(text: &str) -> Option<Zeroizing<Vec<u8>>> {
    let standard = |byte| match byte {
        b'-' => b'+',
        b'_' => b'/',
        byte => byte,
    };
    decode_base64_lenient(text.bytes().map(standard), text.len())
}

/// Decodes base64 of at most `length` bytes, which may contain whitespace.
pub(super) fn decode_base64_lenient(
    text: impl Iterator<Item = u8>,
    length: usize,
) -> Option<Zeroizing<Vec<u8>>> {
    let mut encoded = Zeroizing::new(Vec::with_capacity(length));
    encoded.extend(text.filter(|byte| !byte.is_ascii_whitespace()));
    let mut bytes = Zeroizing::new(Vec::with_capacity(encoded.len()));
    LENIENT_BASE64.decode_vec(encoded.as_slice(), &mut bytes).ok()?;
    (!bytes.is_empty()).then_some(bytes)
}
