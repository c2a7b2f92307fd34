//! Text armor of key files: base64 of a whole file, PEM with escaped line breaks, UTF-16.
//!
//! `az keyvault secret download` writes base64 of a PKCS#12 store, `certtool` a store in PEM. PEM that was
//! copied from JSON or an environment file has `\n` instead of line breaks.

use zeroize::Zeroizing;

use crate::base::text;
use crate::key::format::{json, pem};
use crate::key::lenient_base64;

/// Maximum number of nested base64 encodings: one of the program that wrote the file, and one of the
/// configuration that contains it, such as a Kubernetes Secret.
const MAX_BASE64_LAYERS: u8 = 2;

/// Removes the text armor of the content of a key file. `is_binary` recognizes the binary formats that the
/// caller reads. The result is binary, or text in UTF-8 without a byte order mark.
pub(super) fn remove(content: Zeroizing<Vec<u8>>, is_binary: impl Fn(&[u8]) -> bool) -> Zeroizing<Vec<u8>> {
    let mut content = text::to_utf8(content);
    for _ in 0..MAX_BASE64_LAYERS {
        if is_binary(&content) || json::is_json(&content) || pem::is_pem(&content) {
            break;
        }
        match std::str::from_utf8(&content).ok().and_then(lenient_base64::decode) {
            Some(decoded) => content = text::to_utf8(decoded),
            None => return content,
        }
    }
    if is_binary(&content) || json::is_json(&content) || !pem::is_pem(&content) {
        return content;
    }
    let text = pem::unescape(&content);
    pem::decode_pkcs12_block(&text).unwrap_or(text)
}
