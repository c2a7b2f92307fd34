//! Decoding of bodies that are not UTF-8, although JSON must be (RFC 8259 section 8.1): some servers send a
//! user's name in the encoding of their region.

use encoding_rs::{Encoding, UTF_8, UTF_16BE, UTF_16LE, WINDOWS_1252};
use zeroize::Zeroizing;

/// Decodes `body` as UTF-16 if it looks like that, else as the charset parameter of `content_type` states, else
/// as Latin-1, in which every body is valid. `None` if that is UTF-8 and so nothing to decode.
pub(super) fn decode(body: &[u8], content_type: Option<&str>) -> Option<Zeroizing<String>> {
    let declared = content_type.and_then(charset).and_then(|label| Encoding::for_label(label.as_bytes()));
    let encoding = detect_utf16(body).or(declared.filter(|encoding| *encoding != UTF_8));
    let encoding = match encoding {
        Some(encoding) => encoding,
        None if std::str::from_utf8(body).is_ok() => return None,
        // The superset of Latin-1 that the Encoding Standard uses for it.
        None => WINDOWS_1252,
    };
    let mut decoder = encoding.new_decoder_with_bom_removal();
    // The full capacity is allocated in advance: a reallocation would leave a copy of a token in freed memory.
    let mut text = Zeroizing::new(String::with_capacity(decoder.max_utf8_buffer_length(body.len())?));
    let _ = decoder.decode_to_string(body, &mut text, true);
    Some(text)
}

/// Detects UTF-16 by a byte order mark or, as in RFC 4627 section 3, by the zeros in an ASCII character.
fn detect_utf16(body: &[u8]) -> Option<&'static Encoding> {
    match body {
        [0xff, 0xfe, ..] | [1..=0x7f, 0, ..] => Some(UTF_16LE),
        [0xfe, 0xff, ..] | [0, 1..=0x7f, ..] => Some(UTF_16BE),
        _ => None,
    }
}

/// The charset parameter of a media type, without quotes.
fn charset(content_type: &str) -> Option<&str> {
    content_type.split(';').skip(1).find_map(|parameter| {
        let (name, value) = parameter.split_once('=')?;
        name.trim().eq_ignore_ascii_case("charset").then(|| value.trim().trim_matches(['"', '\'']))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn body_is_decoded_by_mark_then_charset_then_latin1() {
        let utf16 = |text: &str, to_bytes: fn(u16) -> [u8; 2]| {
            text.encode_utf16().flat_map(to_bytes).collect::<Vec<_>>()
        };
        for (body, content_type, text) in [
            (b"\xfcber".to_vec(), None, "über"),
            (b"\xfcber".to_vec(), Some("application/json"), "über"),
            (b"\xfcber".to_vec(), Some("application/json; charset=utf-8"), "über"),
            (b"\xfcber".to_vec(), Some("application/json;Charset=\"ISO-8859-1\""), "über"),
            (b"\xfcber".to_vec(), Some("application/json; charset=unknown"), "über"),
            (b"\xd0\xee\xec\xe0".to_vec(), Some("application/json; charset=windows-1251"), "Рома"),
            // The second byte of this character is a backslash in ASCII.
            (b"\x95\x5c".to_vec(), Some("text/plain; a=b; charset=Shift_JIS"), "表"),
            (utf16("\u{feff}{é", u16::to_le_bytes), None, "{é"),
            (utf16("{é", u16::to_be_bytes), Some("application/json; charset=utf-8"), "{é"),
        ] {
            let decoded = decode(&body, content_type);
            assert_eq!(decoded.as_deref().map(String::as_str), Some(text), "{content_type:?} {text}");
        }
    }

    #[test]
    fn utf8_is_not_decoded() {
        for (body, content_type) in [
            ("über", None),
            ("über", Some("application/json; charset=UTF-8")),
            ("", Some("application/json; charset=unknown")),
            ("{", Some("application/json; charset")),
        ] {
            assert!(decode(body.as_bytes(), content_type).is_none(), "{body} {content_type:?}");
        }
    }
}
