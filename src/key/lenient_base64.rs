//! Base64 in key files and options, decoded as leniently as OpenSSL does.

use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use base64::{Engine as _, alphabet};
use zeroize::Zeroizing;

/// Padding is optional, as in OpenSSL.
const LENIENT_BASE64: GeneralPurpose = GeneralPurpose::new(
    &alphabet::STANDARD,
    GeneralPurposeConfig::new()
        .with_decode_padding_mode(DecodePaddingMode::Indifferent)
        .with_decode_allow_trailing_bits(true),
);

/// Decodes `text` in either alphabet of RFC 4648; `None` if it is not base64 or the result is empty.
pub(super) fn decode(text: &str) -> Option<Zeroizing<Vec<u8>>> {
    let standard = |byte| match byte {
        b'-' => b'+',
        b'_' => b'/',
        byte => byte,
    };
    decode_bytes(text.bytes().map(standard), text.len())
}

/// Decodes base64 of at most `length` bytes, which may contain whitespace.
pub(super) fn decode_bytes(text: impl Iterator<Item = u8>, length: usize) -> Option<Zeroizing<Vec<u8>>> {
    let mut encoded = Zeroizing::new(Vec::with_capacity(length));
    encoded.extend(text.filter(|byte| !byte.is_ascii_whitespace()));
    let mut bytes = Zeroizing::new(Vec::with_capacity(encoded.len()));
    LENIENT_BASE64.decode_vec(encoded.as_slice(), &mut bytes).ok()?;
    (!bytes.is_empty()).then_some(bytes)
}
