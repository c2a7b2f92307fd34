//! Keys and secrets that stand in an option itself: PEM or JSON as it is, or base64.

use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use base64::{Engine as _, alphabet};
use zeroize::Zeroizing;

use super::KeySource;
use crate::base::error::Result;
use crate::key::format::{json, pem};

/// As lenient as OpenSSL: with padding or without.
const LENIENT_BASE64: GeneralPurpose = GeneralPurpose::new(
    &alphabet::STANDARD,
    GeneralPurposeConfig::new()
        .with_decode_padding_mode(DecodePaddingMode::Indifferent)
        .with_decode_allow_trailing_bits(true),
);

/// What the file would hold whose content `text` is.
pub(super) fn decode_inline(source: &KeySource, text: &str) -> Result<Zeroizing<Vec<u8>>> {
    if json::is_json(text.as_bytes()) {
        return Ok(Zeroizing::new(text.as_bytes().to_vec()));
    }
    if pem::is_pem(text.as_bytes()) {
        // Copied out of a JSON file, its line ends are a backslash and an n.
        return Ok(Zeroizing::new(text.replace("\\n", "\n").into_bytes()));
    }
    decode_base64(text).ok_or_else(|| source.store_error(source.unrecognized_text()))
}

/// What `text` encodes, in either alphabet of RFC 4648; nothing if that is empty or not base64.
pub(super) fn decode_base64(text: &str) -> Option<Zeroizing<Vec<u8>>> {
    let standard = |byte| match byte {
        b'-' => b'+',
        b'_' => b'/',
        byte => byte,
    };
    decode_base64_lenient(text.bytes().map(standard), text.len())
}

/// What at most `length` bytes of base64, blanks and line ends among them, encode.
pub(super) fn decode_base64_lenient(
    text: impl Iterator<Item = u8>,
    length: usize,
) -> Option<Zeroizing<Vec<u8>>> {
    let mut packed = Zeroizing::new(Vec::with_capacity(length));
    packed.extend(text.filter(|byte| !byte.is_ascii_whitespace()));
    let mut bytes = Zeroizing::new(Vec::with_capacity(packed.len()));
    LENIENT_BASE64.decode_vec(packed.as_slice(), &mut bytes).ok()?;
    (!bytes.is_empty()).then_some(bytes)
}
