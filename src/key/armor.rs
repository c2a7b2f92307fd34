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
        // PEM may have only characters of base64; JSON and the binary formats never do.
        if pem::is_pem(&content) {
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::key::fixtures::fixture_bytes;
    use crate::key::format;

    fn removed(content: &[u8], is_binary: bool) -> Vec<u8> {
        remove(Zeroizing::new(content.to_vec()), |_| is_binary).to_vec()
    }

    #[test]
    fn only_pem_is_unescaped() {
        let pem = br"-----BEGIN X-----\nAAAA\n-----END X-----";
        assert_eq!(removed(pem, false), b"-----BEGIN X-----\nAAAA\n-----END X-----");
        // A store may have PEM in a name, and JSON in a string.
        assert_eq!(removed(pem, true), pem);
        let json = [b"{\"private_key\":\"", pem.as_slice(), b"\"}"].concat();
        assert_eq!(removed(&json, false), json);
    }

    #[test]
    fn two_layers_of_base64_are_decoded() {
        for (text, expected) in [
            ("VGhlIGtleSE=", "The key!"),
            ("VkdobElHdGxlU0U9", "The key!"),
            ("Vmtkb2JFbEhkR3hsVTBVOQ==", "VGhlIGtleSE="),
            ("The key, in plain text", "The key, in plain text"),
            // Without its dashes it would be base64.
            ("-----BEGIN KEY-----AAAA", "-----BEGIN KEY-----AAAA"),
        ] {
            assert_eq!(removed(text.as_bytes(), false), expected.as_bytes(), "{text}");
        }
    }

    /// An alias or a comment may contain anything.
    #[test]
    fn pem_text_in_binary_store_is_not_unescaped() {
        for name in ["one.jks", "rsa.p12"] {
            let content = [fixture_bytes(name), b"-----BEGIN \\n"].concat();
            let without_armor = remove(Zeroizing::new(content.clone()), format::is_binary);
            assert!(*without_armor == content, "{name}");
        }
    }
}
