//! Decoded views of a text: its bytes after decoding an encoding, each with its span in the original text.

use zeroize::Zeroizing;

/// Start and end offsets in the original text.
type Span = (u32, u32);

/// Separates the decoded bytes of two base64 runs. 0xff does not occur in UTF-8.
const BASE64_SEPARATOR: u8 = 0xff;

/// Decoded bytes with their spans. They may contain a secret, so the buffer is allocated once, with the length of
/// the encoded text: no encoding here is shorter than its decoded form.
pub(super) struct DecodedView {
    bytes: Zeroizing<Vec<u8>>,
    spans: Vec<Span>,
}

impl DecodedView {
    /// The undecoded text.
    pub(super) fn new(text: &str) -> Self {
        let mut view = Self::with_capacity(text.len());
        for (offset, byte) in (0_u32..).zip(text.bytes()) {
            view.push(byte, (offset, offset.saturating_add(1)));
        }
        view
    }

    fn with_capacity(length: usize) -> Self {
        Self { bytes: Zeroizing::new(Vec::with_capacity(length)), spans: Vec::with_capacity(length) }
    }

    fn push(&mut self, byte: u8, span: Span) {
        self.bytes.push(byte);
        self.spans.push(span);
    }

    /// The bytes from `offset` on.
    pub(super) fn bytes_from(&self, offset: usize) -> &[u8] {
        self.bytes.get(offset..).unwrap_or_default()
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (u8, Span)> {
        self.bytes.iter().copied().zip(self.spans.iter().copied())
    }

    pub(super) fn contains(&self, byte: u8) -> bool {
        self.bytes.contains(&byte)
    }

    /// Decodes the escapes that begin with one of `prefixes`, once. `None` if there are none.
    pub(super) fn unescape(&self, prefixes: &[u8]) -> Option<Self> {
        if !self.bytes.iter().any(|byte| prefixes.contains(byte)) {
            return None;
        }
        let mut view = Self::with_capacity(self.bytes.len());
        let mut offset: usize = 0;
        while let Some(rest) = self.bytes.get(offset..)
            && let Some(first) = rest.first()
        {
            let escape = if prefixes.contains(first) { decode_escape(rest) } else { None };
            let (decoded, length) = escape.unwrap_or((DecodedEscape::Byte(*first), 1));
            let span = self.source_span(offset, length);
            decoded.with_bytes(|bytes| bytes.iter().for_each(|byte| view.push(*byte, span)));
            offset = offset.saturating_add(length);
        }
        // Every escape is longer than its decoded form.
        (view.bytes.len() != self.bytes.len()).then_some(view)
    }

    fn source_span(&self, offset: usize, length: usize) -> Span {
        let span_at = |offset: usize| self.spans.get(offset).copied().unwrap_or_default();
        (span_at(offset).0, span_at(offset.saturating_add(length).saturating_sub(1)).1)
    }

    /// Decodes each run of base64 or base64url characters without its first `phase` characters, because the
    /// alignment of the groups of four is unknown. Whitespace, control characters and non-ASCII characters
    /// are ignored. `None` if nothing was decoded.
    pub(super) fn decode_base64(&self, phase: usize) -> Option<Self> {
        let mut view = Self::with_capacity(self.bytes.len());
        let (mut skip, mut bits, mut buffer) = (phase, 0_u32, 0_u32);
        let mut previous = (0, 0);
        for (byte, span) in self.iter() {
            let Some(sextet) = decode_sextet(byte) else {
                if !byte.is_ascii_graphic() {
                    continue;
                }
                if byte == b'=' {
                    // Padding belongs to the last decoded byte.
                    view.extend_last_span(span);
                } else {
                    view.push(BASE64_SEPARATOR, span);
                }
                (skip, bits, buffer) = (phase, 0, 0);
                continue;
            };
            if skip > 0 {
                skip = skip.saturating_sub(1);
                continue;
            }
            buffer = buffer << 6 | sextet;
            bits = bits.saturating_add(6);
            if let Some(unused_bits) = bits.checked_sub(8) {
                let [.., byte] = (buffer >> unused_bits).to_be_bytes();
                view.push(byte, (previous.0, span.1));
                bits = unused_bits;
            }
            previous = span;
        }
        view.bytes.iter().any(|byte| *byte != BASE64_SEPARATOR).then_some(view)
    }

    fn extend_last_span(&mut self, span: Span) {
        if let Some(last) = self.spans.last_mut() {
            last.1 = span.1;
        }
    }
}

fn decode_sextet(byte: u8) -> Option<u32> {
    let sextet = match byte {
        b'A'..=b'Z' => byte.wrapping_sub(b'A'),
        b'a'..=b'z' => byte.wrapping_sub(b'a').wrapping_add(26),
        b'0'..=b'9' => byte.wrapping_sub(b'0').wrapping_add(52),
        b'+' | b'-' => 62,
        b'/' | b'_' => 63,
        _ => return None,
    };
    Some(u32::from(sextet))
}

/// The decoded value of one escape.
enum DecodedEscape {
    Byte(u8),
    Char(char),
}

impl DecodedEscape {
    fn with_bytes(&self, visit: impl FnOnce(&[u8])) {
        match self {
            Self::Byte(byte) => visit(&[*byte]),
            Self::Char(c) => visit(c.encode_utf8(&mut [0; 4]).as_bytes()),
        }
    }
}

/// Decodes the escape at the start of `text` and returns it with its length. `None` if there is none.
fn decode_escape(text: &[u8]) -> Option<(DecodedEscape, usize)> {
    match text {
        [b'%', b'u', ..] => decode_utf16_escape(text, 2),
        [b'%', ..] => {
            let (byte, end) = parse_hex(text, 1, 2)?;
            Some((DecodedEscape::Byte(u8::try_from(byte).ok()?), end))
        }
        [b'&', ..] => decode_character_reference(text),
        [b'\\', ..] => decode_backslash_escape(text),
        _ => None,
    }
}

/// Parses exactly `digits` hexadecimal digits from `start` on. Returns the value and the end offset.
fn parse_hex(text: &[u8], start: usize, digits: usize) -> Option<(u32, usize)> {
    let end = start.checked_add(digits)?;
    let digits = text.get(start..end)?;
    Some((parse_digits(digits, 16)?, end))
}

fn parse_digits(digits: &[u8], radix: u32) -> Option<u32> {
    // from_str_radix accepts a sign. An empty text is an error.
    let has_sign = !digits.iter().all(|byte| char::from(*byte).is_digit(radix));
    u32::from_str_radix(std::str::from_utf8(digits).ok().filter(|_| !has_sign)?, radix).ok()
}

/// Decodes an escaped UTF-16 code unit whose digits begin at `start`, or a surrogate pair of two such
/// escapes.
fn decode_utf16_escape(text: &[u8], start: usize) -> Option<(DecodedEscape, usize)> {
    let (first, end) = parse_hex(text, start, 4)?;
    if let Some(c) = char::from_u32(first) {
        return Some((DecodedEscape::Char(c), end));
    }
    let prefix = text.get(..start)?;
    let rest = text.get(end..)?.strip_prefix(prefix)?;
    let (second, length) = parse_hex(rest, 0, 4)?;
    let units = [u16::try_from(first).ok()?, u16::try_from(second).ok()?];
    let c = char::decode_utf16(units).next()?.ok()?;
    Some((DecodedEscape::Char(c), end.checked_add(prefix.len())?.checked_add(length)?))
}

/// Decodes `\u0041`, `\u{41}`, `\x41`, `\n`, `\/` and the like.
fn decode_backslash_escape(text: &[u8]) -> Option<(DecodedEscape, usize)> {
    let c = match text.get(1)? {
        b'u' if text.get(2) == Some(&b'{') => {
            let digits = text.get(3..)?.iter().take(7).position(|byte| *byte == b'}')?;
            let (code_point, end) = parse_hex(text, 3, digits)?;
            return Some((DecodedEscape::Char(char::from_u32(code_point)?), end.checked_add(1)?));
        }
        b'u' => return decode_utf16_escape(text, 2),
        b'x' => {
            let (code_point, end) = parse_hex(text, 2, 2)?;
            return Some((DecodedEscape::Char(char::from_u32(code_point)?), end));
        }
        b'n' => b'\n',
        b'r' => b'\r',
        b't' => b'\t',
        b'b' => 8,
        b'f' => 12,
        other if other.is_ascii_punctuation() => *other,
        _ => return None,
    };
    Some((DecodedEscape::Byte(c), 2))
}

/// Decodes `&amp;`, `&#38;` and `&#x26;`. Numeric references may lack the semicolon.
fn decode_character_reference(text: &[u8]) -> Option<(DecodedEscape, usize)> {
    const MAX_REFERENCE_LEN: usize = 10;
    let body = text.get(1..)?;
    let body = body.get(..body.len().min(MAX_REFERENCE_LEN))?;
    if let Some(digits) = body.strip_prefix(b"#") {
        let (digits, radix, prefix) = match digits {
            [b'x' | b'X', digits @ ..] => (digits, 16, 3_usize),
            digits => (digits, 10, 2),
        };
        let count = digits.iter().take_while(|byte| char::from(**byte).is_digit(radix)).count();
        let (digits, rest) = digits.split_at_checked(count)?;
        let c = char::from_u32(parse_digits(digits, radix)?)?;
        let semicolon = usize::from(rest.first() == Some(&b';'));
        return Some((DecodedEscape::Char(c), prefix.checked_add(count)?.checked_add(semicolon)?));
    }
    let end = body.iter().position(|byte| *byte == b';')?;
    let c = find_named_character(std::str::from_utf8(body.get(..end)?).ok()?)?;
    Some((DecodedEscape::Char(c), end.checked_add(2)?))
}

fn find_named_character(name: &str) -> Option<char> {
    if let Some((_, c)) = PUNCTUATION_NAMES.iter().find(|(known, _)| *known == name) {
        return Some(*c);
    }
    let index = LATIN_1_NAMES.iter().position(|known| *known == name)?;
    char::from_u32(u32::try_from(index).ok()?.checked_add(160)?)
}

/// Named character references of ASCII punctuation (HTML, section 13.5).
const PUNCTUATION_NAMES: &[(&str, char)] = &[
    ("amp", '&'),
    ("lt", '<'),
    ("gt", '>'),
    ("quot", '"'),
    ("apos", '\''),
    ("sol", '/'),
    ("bsol", '\\'),
    ("plus", '+'),
    ("equals", '='),
    ("percnt", '%'),
    ("num", '#'),
    ("excl", '!'),
    ("dollar", '$'),
    ("commat", '@'),
    ("colon", ':'),
    ("semi", ';'),
    ("comma", ','),
    ("period", '.'),
    ("quest", '?'),
    ("lpar", '('),
    ("rpar", ')'),
    ("ast", '*'),
    ("lsqb", '['),
    ("lbrack", '['),
    ("rsqb", ']'),
    ("rbrack", ']'),
    ("lcub", '{'),
    ("lbrace", '{'),
    ("rcub", '}'),
    ("rbrace", '}'),
    ("vert", '|'),
    ("verbar", '|'),
    ("lowbar", '_'),
    ("UnderBar", '_'),
    ("grave", '`'),
    ("Hat", '^'),
    ("Tab", '\t'),
    ("NewLine", '\n'),
];

/// Named character references of U+00A0 to U+00FF, in code point order.
const LATIN_1_NAMES: &[&str] = &[
    "nbsp", "iexcl", "cent", "pound", "curren", "yen", "brvbar", "sect", "uml", "copy", "ordf", "laquo",
    "not", "shy", "reg", "macr", "deg", "plusmn", "sup2", "sup3", "acute", "micro", "para", "middot",
    "cedil", "sup1", "ordm", "raquo", "frac14", "frac12", "frac34", "iquest", "Agrave", "Aacute", "Acirc",
    "Atilde", "Auml", "Aring", "AElig", "Ccedil", "Egrave", "Eacute", "Ecirc", "Euml", "Igrave", "Iacute",
    "Icirc", "Iuml", "ETH", "Ntilde", "Ograve", "Oacute", "Ocirc", "Otilde", "Ouml", "times", "Oslash",
    "Ugrave", "Uacute", "Ucirc", "Uuml", "Yacute", "THORN", "szlig", "agrave", "aacute", "acirc", "atilde",
    "auml", "aring", "aelig", "ccedil", "egrave", "eacute", "ecirc", "euml", "igrave", "iacute", "icirc",
    "iuml", "eth", "ntilde", "ograve", "oacute", "ocirc", "otilde", "ouml", "divide", "oslash", "ugrave",
    "uacute", "ucirc", "uuml", "yacute", "thorn", "yuml",
];
