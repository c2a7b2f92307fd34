//! Sanitizing of untrusted text for messages, logs and terminals: invisible, control and bidirectional
//! formatting characters are escaped, and long text is truncated.

use std::fmt::{self, Write as _};
use std::path::Path;

use crate::base::url::without_secrets;

/// Maximum length of a message, in characters.
const MAX_MESSAGE: usize = 4096;

/// Characters that are kept at the end of a truncated message.
const MESSAGE_TAIL: usize = 1024;

/// Maximum length of a value or name in a message, in characters.
const MAX_EXCERPT: usize = 200;

/// Characters that are kept at the end of a truncated value.
const EXCERPT_TAIL: usize = 60;

/// Maximum length of a file path in a message, in characters.
const MAX_PATH: usize = 1024;

/// Characters that are kept at the end of a truncated path.
const PATH_TAIL: usize = 256;

/// Whether `c` is a control character, a line separator, a bidirectional formatting character or invisible
/// (Unicode's Default_Ignorable_Code_Point, and the characters that UTS 39 and UAX 9 warn about).
#[must_use]
pub fn is_unsafe(c: char) -> bool {
    c.is_control()
        || !c.is_ascii()
            && matches!(c,
                '\u{ad}'
                | '\u{34f}'
                | '\u{61c}'
                | '\u{115f}'..='\u{1160}'
                | '\u{17b4}'..='\u{17b5}'
                | '\u{180b}'..='\u{180f}'
                | '\u{200b}'..='\u{200f}'
                | '\u{2028}'..='\u{202e}'
                | '\u{2060}'..='\u{206f}'
                | '\u{3164}'
                | '\u{fe00}'..='\u{fe0f}'
                | '\u{feff}'
                | '\u{ffa0}'
                | '\u{fff0}'..='\u{fffb}'
                | '\u{1bca0}'..='\u{1bca3}'
                | '\u{1d173}'..='\u{1d17a}'
                | '\u{e0000}'..='\u{e0fff}')
}

/// The code point of a character that may be invisible or easily confused, with its name if it is common.
#[must_use]
pub fn code_point(c: char) -> String {
    let name = match c {
        '\t' => "tab",
        '\n' | '\r' => "line break",
        ' ' => "space",
        '\u{a0}' => "no-break space",
        '\u{ad}' => "soft hyphen",
        '\u{200b}' => "zero width space",
        '\u{200c}' | '\u{200d}' => "zero width joiner",
        '\u{2010}'..='\u{2015}' | '\u{2212}' => "dash",
        '\u{2018}'..='\u{201f}' | '\u{ab}' | '\u{bb}' => "typographic quotation mark",
        '\u{2026}' => "ellipsis",
        '\u{feff}' => "byte order mark",
        _ => "",
    };
    let code = format!("U+{:04X}", u32::from(c));
    if name.is_empty() { code } else { format!("{code} ({name})") }
}

/// Escapes a whole message. A long message is truncated in the middle, because its end states what to do.
#[must_use]
pub fn message(text: &str) -> String {
    TruncatedText { text, head: MAX_MESSAGE.saturating_sub(MESSAGE_TAIL), tail: MESSAGE_TAIL }.to_string()
}

/// Escapes a value or name in a message. A long one is truncated in the middle.
#[must_use]
pub fn excerpt(text: &str) -> impl fmt::Display + '_ {
    TruncatedText { text, head: MAX_EXCERPT.saturating_sub(EXCERPT_TAIL), tail: EXCERPT_TAIL }
}

/// Escapes an option value in a message, as [`excerpt`], and redacts the secrets of URLs in it.
#[must_use]
pub fn value(text: &str) -> String {
    if text.contains("//") { excerpt(&without_secrets(text)).to_string() } else { excerpt(text).to_string() }
}

/// Escapes a file path in a message. Its length limit is higher than that of [`excerpt`].
#[must_use]
pub fn path(path: impl AsRef<Path>) -> String {
    let mut text = path.as_ref().to_string_lossy();
    if text.contains("://") {
        text = without_secrets(&text).into();
    }
    TruncatedText { text: &text, head: MAX_PATH.saturating_sub(PATH_TAIL), tail: PATH_TAIL }.to_string()
}

struct TruncatedText<'a> {
    text: &'a str,
    head: usize,
    tail: usize,
}

impl fmt::Display for TruncatedText<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { text, head, tail } = *self;
        let length = if text.bytes().all(|byte| matches!(byte, b' '..=b'~')) {
            text.len()
        } else {
            text.chars().fold(0_usize, |sum, c| sum.saturating_add(escaped_len(c)))
        };
        if length <= head.saturating_add(tail) {
            return write_escaped(f, text);
        }
        let head = fitting_byte_len(text.chars(), head);
        let tail = text.len().saturating_sub(fitting_byte_len(text.chars().rev(), tail));
        write_escaped(f, text.get(..head).unwrap_or_default())?;
        f.write_char('…')?;
        write_escaped(f, text.get(tail..).unwrap_or_default())
    }
}

/// The length in bytes of the leading `chars` whose escaped form fits into `limit` characters.
fn fitting_byte_len(chars: impl Iterator<Item = char>, limit: usize) -> usize {
    let (mut bytes, mut used) = (0_usize, 0_usize);
    for c in chars {
        used = used.saturating_add(escaped_len(c));
        if used > limit {
            break;
        }
        bytes = bytes.saturating_add(c.len_utf8());
    }
    bytes
}

fn escaped_len(c: char) -> usize {
    match c {
        _ if !is_unsafe(c) => 1,
        '\n' | '\r' | '\t' => 2,
        c if c.is_ascii() => 4,
        c => c.escape_unicode().len(),
    }
}

fn write_escaped(f: &mut fmt::Formatter<'_>, text: &str) -> fmt::Result {
    let mut rest = text;
    while let Some((offset, c)) = rest.char_indices().find(|(_, c)| is_unsafe(*c)) {
        f.write_str(rest.get(..offset).unwrap_or_default())?;
        match c {
            '\n' => f.write_str("\\n")?,
            '\r' => f.write_str("\\r")?,
            '\t' => f.write_str("\\t")?,
            c if c.is_ascii() => write!(f, "\\x{:02x}", u32::from(c))?,
            c => write!(f, "{}", c.escape_unicode())?,
        }
        rest = rest.get(offset.saturating_add(c.len_utf8())..).unwrap_or_default();
    }
    f.write_str(rest)
}

/// Escapes unsafe characters in JSON text as `\uXXXX`, which preserves its meaning. Unsafe ASCII characters
/// in strings are already escaped in JSON.
#[must_use]
pub fn json(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        if c != '\n' && is_unsafe(c) {
            for unit in c.encode_utf16(&mut [0; 2]) {
                let _ = write!(escaped, "\\u{unit:04x}");
            }
        } else {
            escaped.push(c);
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Unsafe characters and their escaped form.
    const UNSAFE_CHARS: &[(char, &str)] = &[
        ('\n', "\\n"),
        ('\r', "\\r"),
        ('\t', "\\t"),
        ('\0', "\\x00"),
        ('\u{1b}', "\\x1b"),
        ('\u{7f}', "\\x7f"),
        ('\u{85}', "\\u{85}"),
        ('\u{9b}', "\\u{9b}"),
        ('\u{ad}', "\\u{ad}"),
        ('\u{61c}', "\\u{61c}"),
        ('\u{200b}', "\\u{200b}"),
        ('\u{200d}', "\\u{200d}"),
        ('\u{200e}', "\\u{200e}"),
        ('\u{2028}', "\\u{2028}"),
        ('\u{2029}', "\\u{2029}"),
        ('\u{202e}', "\\u{202e}"),
        ('\u{2060}', "\\u{2060}"),
        ('\u{2066}', "\\u{2066}"),
        ('\u{2069}', "\\u{2069}"),
        ('\u{feff}', "\\u{feff}"),
        ('\u{e0041}', "\\u{e0041}"),
    ];

    #[test]
    fn unsafe_characters_are_escaped() {
        for (c, escaped) in UNSAFE_CHARS {
            assert_eq!(message(&format!("a{c}b")), format!("a{escaped}b"));
            assert_eq!(excerpt(&format!("{c}{c}")).to_string(), escaped.repeat(2));
            assert_eq!(escaped_len(*c), escaped.len());
        }
        for text in ["", "plain \\n \"text\"", "pässwörd 漢字 \u{1f600} …"] {
            assert_eq!(message(text), text);
        }
    }

    #[test]
    fn quoted_value_omits_url_secrets() {
        assert_eq!(value("https://jo:hunter2@h/?key=x\n"), "https://****@h/?****");
        assert_eq!(value("what?\n"), "what?\\n");
    }

    #[test]
    fn path_limit_exceeds_value_limit() {
        let long = format!("/{}/k.jks\n", "x".repeat(900));
        assert_eq!(path(&long), format!("/{}/k.jks\\n", "x".repeat(900)));
        assert_eq!(path("x".repeat(5000)).chars().count(), MAX_PATH + 1);
        assert_eq!(path("https://jo:hunter2@h/k?x"), "https://****@h/k?****");
    }

    #[test]
    fn code_point_has_name_of_common_character() {
        for (c, expected) in [
            ('\t', "U+0009 (tab)"),
            ('\r', "U+000D (line break)"),
            (' ', "U+0020 (space)"),
            ('\u{a0}', "U+00A0 (no-break space)"),
            ('\u{ad}', "U+00AD (soft hyphen)"),
            ('\u{200b}', "U+200B (zero width space)"),
            ('\u{200d}', "U+200D (zero width joiner)"),
            ('\u{2014}', "U+2014 (dash)"),
            ('\u{201c}', "U+201C (typographic quotation mark)"),
            ('\u{2026}', "U+2026 (ellipsis)"),
            ('\u{feff}', "U+FEFF (byte order mark)"),
            ('\u{1f600}', "U+1F600"),
        ] {
            assert_eq!(code_point(c), expected);
        }
    }

    #[test]
    fn message_escaping_is_idempotent() {
        let all: String = UNSAFE_CHARS.iter().map(|(c, _)| *c).collect();
        assert_eq!(message(&message(&all)), message(&all));
    }

    #[test]
    fn long_text_is_truncated_in_middle() {
        for filler in ["x", "\n", "é", "\u{202e}", "\u{1f600}"] {
            let text = format!("first{}last", filler.repeat(100_000));
            for (result, limit) in [(message(&text), MAX_MESSAGE), (excerpt(&text).to_string(), MAX_EXCERPT)]
            {
                let length = result.chars().count();
                assert!(length <= limit + 1 && length > limit - 20, "{length}");
                assert!(
                    result.starts_with("first") && result.contains('…') && result.ends_with("last"),
                    "{result}"
                );
                assert!(!result.contains(is_unsafe));
            }
        }
        let longest = "x".repeat(MAX_EXCERPT);
        assert_eq!(excerpt(&longest).to_string(), longest);
    }

    #[test]
    fn escaped_json_parses_to_same_value() {
        let all: String = UNSAFE_CHARS.iter().map(|(c, _)| *c).chain("é漢\u{1f600}".chars()).collect();
        let value = serde_json::json!({ &all: [&all] });
        let text = json(&serde_json::to_string_pretty(&value).unwrap());
        assert!(!text.replace('\n', "").contains(is_unsafe), "{text}");
        assert_eq!(serde_json::from_str::<serde_json::Value>(&text).unwrap(), value);
    }
}
