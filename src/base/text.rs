//! Encodings of text files: editors and shells write UTF-8 or UTF-16, with or without a byte order mark.

use zeroize::Zeroizing;

const UTF8_BOM: &[u8] = b"\xEF\xBB\xBF";

/// Converts the text `content` to UTF-8 without a byte order mark. Content that is not text is returned
/// unchanged.
///
/// The redirection of Windows PowerShell and Notepad's "Unicode" write UTF-16. Without a byte order mark it is
/// recognized if it has only ASCII characters.
#[must_use]
pub fn to_utf8(mut content: Zeroizing<Vec<u8>>) -> Zeroizing<Vec<u8>> {
    if content.starts_with(UTF8_BOM) {
        content.drain(..UTF8_BOM.len());
        return content;
    }
    let decoded = match content.as_slice() {
        bytes if !bytes.len().is_multiple_of(2) => None,
        [] => None,
        [0xFF, 0xFE, units @ ..] => decode_utf16(units, u16::from_le_bytes),
        [0xFE, 0xFF, units @ ..] => decode_utf16(units, u16::from_be_bytes),
        units => decode_ascii_in_utf16(units),
    };
    decoded.unwrap_or(content)
}

fn decode_utf16(bytes: &[u8], unit: fn([u8; 2]) -> u16) -> Option<Zeroizing<Vec<u8>>> {
    let units = bytes.as_chunks::<2>().0.iter().map(|pair| unit(*pair));
    // At most three bytes of UTF-8 for each unit, so that the buffer never grows: a reallocation would leave
    // an unwiped copy in memory.
    let mut text = Zeroizing::new(Vec::with_capacity(bytes.len().saturating_mul(3).div_ceil(2)));
    for character in char::decode_utf16(units) {
        text.extend_from_slice(character.ok()?.encode_utf8(&mut [0; 4]).as_bytes());
    }
    Some(text)
}

fn decode_ascii_in_utf16(bytes: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
    let pairs = bytes.as_chunks::<2>().0;
    let is_ascii = |byte: u8| matches!(byte, b'\t' | b'\n' | b'\r' | b' '..=b'~');
    let is_little_endian = pairs.iter().all(|pair| matches!(*pair, [byte, 0] if is_ascii(byte)));
    let is_big_endian = || pairs.iter().all(|pair| matches!(*pair, [0, byte] if is_ascii(byte)));
    if is_little_endian {
        decode_utf16(bytes, u16::from_le_bytes)
    } else if is_big_endian() {
        decode_utf16(bytes, u16::from_be_bytes)
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn encode_utf16(text: &str, to_bytes: fn(u16) -> [u8; 2]) -> Vec<u8> {
        text.encode_utf16().flat_map(to_bytes).collect()
    }

    fn converted(content: &[u8]) -> Vec<u8> {
        to_utf8(Zeroizing::new(content.to_vec())).to_vec()
    }

    #[test]
    fn utf16_and_byte_order_marks_become_utf8() {
        for text in ["a=ä€🔑\r\n", "", "\u{fffd}"] {
            let marked = format!("\u{feff}{text}");
            assert_eq!(converted(marked.as_bytes()), text.as_bytes());
            assert_eq!(converted(&encode_utf16(&marked, u16::to_le_bytes)), text.as_bytes());
            assert_eq!(converted(&encode_utf16(&marked, u16::to_be_bytes)), text.as_bytes());
        }
        for to_bytes in [u16::to_le_bytes, u16::to_be_bytes] {
            assert_eq!(converted(&encode_utf16("-----BEGIN\n", to_bytes)), b"-----BEGIN\n");
        }
    }

    #[test]
    fn other_content_is_unchanged() {
        let unpaired_surrogate = [0xFF, 0xFE, 0x00, 0xD8];
        for content in [
            b"".as_slice(),
            b"a",
            b"text",
            b"a\0b",
            b"a\0b\0\0\0",
            b"\xFE\xED\xFE\xED",
            &unpaired_surrogate,
            &[0x30, 0x82, 1, 2],
        ] {
            assert_eq!(converted(content), content);
        }
    }
}
