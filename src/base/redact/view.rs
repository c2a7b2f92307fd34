//! Views of a text: the bytes that it stands for in an encoding, each with its place in the text.

use zeroize::Zeroizing;

/// From where to where in the text.
type Span = (u32, u32);

/// Stands between two stretches of base64: no byte of UTF-8.
const BASE64_SEPARATOR: u8 = 0xff;

/// Decoded bytes. It may hold a secret, and so never grows beyond the room that it has from the start.
pub(super) struct DecodedView {
    bytes: Zeroizing<Vec<u8>>,
    spans: Vec<Span>,
}

impl DecodedView {
    /// The text as it is.
    pub(super) fn new(text: &str) -> Self {
        let mut view = Self::with_capacity(text.len());
        for (place, byte) in (0_u32..).zip(text.bytes()) {
            view.push(byte, (place, place.saturating_add(1)));
        }
        view
    }

    fn with_capacity(length: usize) -> Self {
        Self { bytes: Zeroizing::new(Vec::with_capacity(length)), spans: Vec::with_capacity(length) }
    }

    /// No encoding here is shorter than what it stands for; what would not fit is left out.
    fn push(&mut self, byte: u8, span: Span) {
        if self.bytes.len() < self.bytes.capacity() {
            self.bytes.push(byte);
            self.spans.push(span);
        }
    }

    pub(super) fn len(&self) -> usize {
        self.bytes.len()
    }

    /// The bytes from `place` on.
    pub(super) fn bytes_from(&self, place: usize) -> &[u8] {
        self.bytes.get(place..).unwrap_or_default()
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (u8, Span)> {
        self.bytes.iter().copied().zip(self.spans.iter().copied())
    }

    pub(super) fn contains(&self, byte: u8) -> bool {
        self.bytes.contains(&byte)
    }

    /// The view with those escapes undone, once, that begin with one of `escapes`; nothing where there are none.
    pub(super) fn unescape(&self, escapes: &[u8]) -> Option<Self> {
        if !self.bytes.iter().any(|byte| escapes.contains(byte)) {
            return None;
        }
        let mut view = Self::with_capacity(self.bytes.len());
        let mut place: usize = 0;
        let mut changed = false;
        while let Some(rest) = self.bytes.get(place..)
            && let Some(first) = rest.first()
        {
            let escape = if escapes.contains(first) { decode_escape(rest) } else { None };
            let (decoded, length) = escape.unwrap_or((DecodedEscape::Byte(*first), 1));
            changed |= length > 1;
            let span = self.source_span(place, length);
            decoded.with_bytes(|bytes| bytes.iter().for_each(|byte| view.push(*byte, span)));
            place = place.saturating_add(length);
        }
        changed.then_some(view)
    }

    fn source_span(&self, place: usize, length: usize) -> Span {
        let at = |place: usize| self.spans.get(place).copied().unwrap_or_default();
        (at(place).0, at(place.saturating_add(length).saturating_sub(1)).1)
    }

    /// Each stretch of characters of base64 or base64url decoded, but for the first `phase` ones: where a group of four
    /// begins is not known. White space and what cannot be seen are ignored; nothing where there is no stretch.
    pub(super) fn decode_base64(&self, phase: usize) -> Option<Self> {
        let mut view = Self::with_capacity(self.bytes.len());
        let (mut skip, mut bits, mut buffer) = (phase, 0_u32, 0_u32);
        let mut previous = (0, 0);
        for (byte, span) in self.iter() {
            let Some(six) = decode_sextet(byte) else {
                if byte.is_ascii_whitespace() || byte.is_ascii_control() || !byte.is_ascii() {
                    continue;
                }
                if byte == b'=' {
                    // Padding goes with what it pads.
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
            buffer = buffer << 6 | six;
            bits = bits.saturating_add(6);
            if let Some(rest) = bits.checked_sub(8) {
                let [.., byte] = (buffer >> rest).to_be_bytes();
                view.push(byte, (previous.0, span.1));
                bits = rest;
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
    let six = match byte {
        b'A'..=b'Z' => byte.wrapping_sub(b'A'),
        b'a'..=b'z' => byte.wrapping_sub(b'a').wrapping_add(26),
        b'0'..=b'9' => byte.wrapping_sub(b'0').wrapping_add(52),
        b'+' | b'-' => 62,
        b'/' | b'_' => 63,
        _ => return None,
    };
    Some(u32::from(six))
}

/// What one escape stands for.
enum DecodedEscape {
    Byte(u8),
    Char(char),
}

impl DecodedEscape {
    fn with_bytes(&self, take: impl FnOnce(&[u8])) {
        match self {
            Self::Byte(byte) => take(&[*byte]),
            Self::Char(c) => take(c.encode_utf8(&mut [0; 4]).as_bytes()),
        }
    }
}

/// What the escape at the beginning of `text` stands for, and its length; nothing where there is none.
fn decode_escape(text: &[u8]) -> Option<(DecodedEscape, usize)> {
    match text {
        [b'%', b'u', ..] => decode_utf16_escape(text, 2),
        [b'%', ..] => {
            let (number, end) = parse_hex(text, 1, 2)?;
            Some((DecodedEscape::Byte(u8::try_from(number).ok()?), end))
        }
        [b'&', ..] => decode_character_reference(text),
        [b'\\', ..] => decode_backslash_escape(text),
        _ => None,
    }
}

/// Exactly so many hexadecimal digits from `start` on, and where they end.
fn parse_hex(text: &[u8], start: usize, digits: usize) -> Option<(u32, usize)> {
    let end = start.checked_add(digits)?;
    let digits = text.get(start..end)?;
    Some((parse_digits(digits, 16)?, end))
}

fn parse_digits(digits: &[u8], radix: u32) -> Option<u32> {
    let valid = !digits.is_empty() && digits.iter().all(|byte| char::from(*byte).is_digit(radix));
    u32::from_str_radix(std::str::from_utf8(digits).ok().filter(|_| valid)?, radix).ok()
}

/// A unit of UTF-16 with its escape's prefix of two bytes in front of `start`, or a pair of them.
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

/// `\u0041`, `\u{41}`, `\x41`, `\n`, `\/`.
fn decode_backslash_escape(text: &[u8]) -> Option<(DecodedEscape, usize)> {
    let c = match text.get(1)? {
        b'u' if text.get(2) == Some(&b'{') => {
            let digits = text.get(3..)?.iter().take(7).position(|byte| *byte == b'}')?;
            let (number, end) = parse_hex(text, 3, digits)?;
            return Some((DecodedEscape::Char(char::from_u32(number)?), end.checked_add(1)?));
        }
        b'u' => return decode_utf16_escape(text, 2),
        b'x' => {
            let (number, end) = parse_hex(text, 2, 2)?;
            return Some((DecodedEscape::Char(char::from_u32(number)?), end));
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

/// `&amp;`, `&#38;`, `&#x26;`; numbers without a semicolon, too.
fn decode_character_reference(text: &[u8]) -> Option<(DecodedEscape, usize)> {
    const MAX_REFERENCE_LEN: usize = 10;
    let inside = text.get(1..)?;
    let inside = inside.get(..inside.len().min(MAX_REFERENCE_LEN))?;
    if let Some(digits) = inside.strip_prefix(b"#") {
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
    let end = inside.iter().position(|byte| *byte == b';')?;
    let c = find_named_character(std::str::from_utf8(inside.get(..end)?).ok()?)?;
    Some((DecodedEscape::Char(c), end.checked_add(2)?))
}

fn find_named_character(name: &str) -> Option<char> {
    if let Some((_, c)) = PUNCTUATION_NAMES.iter().find(|(known, _)| *known == name) {
        return Some(*c);
    }
    let place = LATIN_1_NAMES.iter().position(|known| *known == name)?;
    char::from_u32(u32::try_from(place).ok()?.checked_add(160)?)
}

/// The names of ASCII's punctuation (HTML, section 13.5).
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

/// The names of U+00A0 to U+00FF, in their order.
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
