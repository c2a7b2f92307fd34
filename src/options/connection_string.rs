//! Connection-string parser: splits a string into `name = value` pairs with offsets, and quotes values.
//!
//! Follows [MS-ODBCSTR] 2.1, with two extensions that DataDirect's own samples use: line breaks between
//! pairs, and whitespace around names and values. Independent of the known options, which are in `table`.

use crate::base::secret::Secret;

/// A pair `name=value`.
#[derive(Debug, PartialEq, Eq)]
pub struct KeyValue {
    /// The name as written, trimmed.
    pub name: String,
    /// The offset of the name in characters.
    pub offset: usize,
    /// The value: the content of the braces, or the trimmed text.
    pub value: Secret,
    /// Whether the value was enclosed in braces and is therefore verbatim.
    pub braced: bool,
}

/// A syntax error. It must not be shown with text of the connection string, which may be the second half of a
/// password, except names of known options.
#[derive(Debug, PartialEq, Eq)]
pub struct SyntaxError {
    /// What is wrong.
    pub kind: SyntaxErrorKind,
    /// Its offset in characters.
    pub offset: usize,
    /// The name before the value with the error; `None` if the error is in a name.
    pub name: Option<String>,
    /// The pairs before the error, in their order.
    pub preceding: Vec<KeyValue>,
}

/// The kinds of syntax errors.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SyntaxErrorKind {
    /// The string has this many bytes, more than the limit of 1 MiB.
    TooLong(usize),
    /// No "=" after a name.
    MissingEqualsSign,
    /// No name before "=".
    MissingName,
    /// No "}" after "{".
    UnclosedBrace(BracedContent),
    /// Text between "}" and ";".
    TextAfterBrace(BracedContent),
}

/// What a value in braces most likely is, by the characters after its "{".
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BracedContent {
    /// A JSON object, with or without the braces that quote it.
    Json,
    /// A value that begins with a brace.
    Brace,
    /// Anything else.
    Other,
}

impl BracedContent {
    /// Classifies the text after "{".
    fn classify(text: &str) -> Self {
        let text = text.trim_start_matches(is_whitespace);
        let without_brace = text.strip_prefix('{');
        if without_brace.unwrap_or(text).trim_start_matches(is_whitespace).starts_with('"') {
            Self::Json
        } else if without_brace.is_some() {
            Self::Brace
        } else {
            Self::Other
        }
    }
}

/// Whether `c` is whitespace that the parsers of ODBC driver managers skip.
fn is_whitespace(c: char) -> bool {
    matches!(c, ' ' | '\t' | '\r' | '\n' | '\x0b' | '\x0c')
}

struct Scanner<'a> {
    rest: &'a str,
    offset: usize,
}

impl<'a> Scanner<'a> {
    fn advance(&mut self, length: usize) -> &'a str {
        let (taken, rest) = self.rest.split_at_checked(length).unwrap_or((self.rest, ""));
        self.offset = self.offset.saturating_add(taken.chars().count());
        self.rest = rest;
        taken
    }

    fn skip_while(&mut self, predicate: impl Fn(char) -> bool) {
        let remaining = self.rest.trim_start_matches(predicate).len();
        self.advance(self.rest.len().saturating_sub(remaining));
    }

    /// Consumes the text before the first character of `ends`.
    fn scan_until(&mut self, ends: &[char]) -> &'a str {
        self.advance(self.rest.find(ends).unwrap_or(self.rest.len()))
    }

    fn eat_char(&mut self, c: char) -> bool {
        let found = self.rest.starts_with(c);
        if found {
            self.advance(c.len_utf8());
        }
        found
    }
}

/// The maximum length in bytes: longer than any real connection string, short enough to parse quickly.
pub(super) const MAX_STRING_LEN: usize = 1 << 20;

/// Splits a connection string into its pairs, in their order and including duplicates.
///
/// # Errors
/// The first syntax error.
pub fn parse(text: &str) -> Result<Vec<KeyValue>, SyntaxError> {
    let mut pairs = Vec::new();
    if text.len() > MAX_STRING_LEN {
        let offset = text.char_indices().take_while(|(index, _)| *index < MAX_STRING_LEN).count();
        let kind = SyntaxErrorKind::TooLong(text.len());
        return Err(SyntaxError { kind, offset, name: None, preceding: pairs });
    }
    let mut scanner = Scanner { rest: text, offset: 0 };
    // A string that was read from a file may begin with a byte order mark.
    scanner.eat_char('\u{feff}');
    loop {
        scanner.skip_while(|c| is_whitespace(c) || c == ';');
        if scanner.rest.is_empty() {
            return Ok(pairs);
        }
        match parse_pair(&mut scanner) {
            Ok(pair) => pairs.push(pair),
            Err((kind, offset, name)) => {
                return Err(SyntaxError { kind, offset, name, preceding: pairs });
            }
        }
    }
}

/// The kind of an error, its offset, and the name before the value that contains it.
type PairError = (SyntaxErrorKind, usize, Option<String>);

fn parse_pair(scanner: &mut Scanner<'_>) -> Result<KeyValue, PairError> {
    let offset = scanner.offset;
    let name = scanner.scan_until(&['=', ';']).trim_end_matches(is_whitespace).to_owned();
    if !scanner.eat_char('=') {
        return Err((SyntaxErrorKind::MissingEqualsSign, offset, None));
    }
    if name.is_empty() {
        return Err((SyntaxErrorKind::MissingName, offset, None));
    }
    scanner.skip_while(is_whitespace);
    let (value, braced) = if scanner.rest.starts_with('{') {
        match parse_braced(scanner) {
            Ok(value) => (value, true),
            Err((kind, offset)) => return Err((kind, offset, Some(name))),
        }
    } else {
        (scanner.scan_until(&[';']).trim_end_matches(is_whitespace).to_owned(), false)
    };
    Ok(KeyValue { name, offset, value: Secret::new(value), braced })
}

fn parse_braced(scanner: &mut Scanner<'_>) -> Result<String, (SyntaxErrorKind, usize)> {
    let start = scanner.offset;
    scanner.eat_char('{');
    let content = BracedContent::classify(scanner.rest);
    let mut value = String::new();
    loop {
        value.push_str(scanner.scan_until(&['}']));
        if !scanner.eat_char('}') {
            return Err((SyntaxErrorKind::UnclosedBrace(content), start));
        }
        if !scanner.eat_char('}') {
            break;
        }
        value.push('}');
    }
    scanner.skip_while(is_whitespace);
    if !scanner.rest.is_empty() && !scanner.rest.starts_with(';') {
        return Err((SyntaxErrorKind::TextAfterBrace(content), scanner.offset));
    }
    Ok(value)
}

/// Quotes `value` for use after `name=`, so that parsing returns it unchanged.
#[must_use]
pub fn quote(value: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "-._~:/+%&$|^<>#".contains(c);
    if !value.is_empty() && value.chars().all(is_plain) {
        return value.to_owned();
    }
    format!("{{{}}}", value.replace('}', "}}"))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn parse_pairs(text: &str) -> Vec<(String, String)> {
        let pairs = parse(text).unwrap();
        pairs.into_iter().map(|pair| (pair.name, pair.value.reveal().to_owned())).collect()
    }

    fn single_pair(name: &str, value: &str) -> Vec<(String, String)> {
        vec![(name.to_owned(), value.to_owned())]
    }

    #[test]
    fn whitespace_around_pairs_is_ignored() {
        let pairs = parse_pairs("\r\n A = 1 ;\n\t  B=two words ; ;;C=;");
        assert_eq!(
            pairs,
            [single_pair("A", "1"), single_pair("B", "two words"), single_pair("C", "")].concat()
        );
    }

    #[test]
    fn braced_value_is_verbatim() {
        assert_eq!(parse_pairs("A={ x;y=}}z' }"), single_pair("A", " x;y=}z' "));
        assert_eq!(parse_pairs("A={}"), single_pair("A", ""));
        assert_eq!(parse_pairs("A={{}"), single_pair("A", "{"));
        assert_eq!(parse_pairs("A={}}}}} ;"), single_pair("A", "}}"));
    }

    #[test]
    fn equals_sign_is_allowed_in_value() {
        assert_eq!(parse_pairs("A=b=c"), single_pair("A", "b=c"));
    }

    #[test]
    fn syntax_error_has_offset_and_name_before_it() {
        use BracedContent::{Brace, Json, Other};
        use SyntaxErrorKind::{MissingEqualsSign, MissingName, TextAfterBrace, UnclosedBrace};
        for (text, kind, offset, name, preceding) in [
            ("ClaimsIssuer={abc", UnclosedBrace(Other), 13, Some("ClaimsIssuer"), 0),
            ("B=1;A={{b}}", UnclosedBrace(Brace), 6, Some("A"), 1),
            ("A={\"b\":{\"c\":1}}", UnclosedBrace(Json), 2, Some("A"), 0),
            ("A={ { \"b\":1", UnclosedBrace(Json), 2, Some("A"), 0),
            ("A={\"b\":{},\"c\":{}}", TextAfterBrace(Json), 9, Some("A"), 0),
            ("A={b}c", TextAfterBrace(Other), 5, Some("A"), 0),
            ("A={b}}", UnclosedBrace(Other), 2, Some("A"), 0),
            ("Ä=1;Password=se;cret", MissingEqualsSign, 16, None, 2),
            ("A=1;=2", MissingName, 4, None, 1),
            ("A", MissingEqualsSign, 0, None, 0),
        ] {
            let error = parse(text).unwrap_err();
            let found = (error.kind, error.offset, error.name.as_deref(), error.preceding.len());
            assert_eq!(found, (kind, offset, name, preceding), "{text}");
        }
    }

    #[test]
    fn longest_string_parses_longer_is_error() {
        let value = "a".repeat(MAX_STRING_LEN - 2);
        assert_eq!(parse_pairs(&format!("A={value}")), single_pair("A", &value));
        for (character, offset) in [("a", MAX_STRING_LEN), ("ä", MAX_STRING_LEN / 2)] {
            let text = character.repeat(offset + 1);
            let error = parse(&text).unwrap_err();
            assert_eq!((error.kind, error.offset), (SyntaxErrorKind::TooLong(text.len()), offset));
        }
    }

    #[test]
    fn malformed_driver_manager_strings_never_panic() {
        // unixODBC's SQLBrowseConnect rebuild drops every second character and the closing brace.
        for text in ["A={p}q rs ", "A=pqr \u{1};B", "={;}=;={", "{};{}", ";;;=;;;", "A={}}"] {
            let _ = parse(text);
        }
    }

    proptest! {
        #[test]
        fn quoted_value_round_trips(value in any::<String>()) {
            let text = format!("First=1; A={};B=2", quote(&value));
            let pairs = parse(&text).unwrap();
            prop_assert_eq!(pairs[1].value.reveal(), value.as_str());
            prop_assert_eq!(pairs[2].value.reveal(), "2");
        }

        #[test]
        fn arbitrary_text_never_panics(text in any::<String>()) {
            let _ = parse(&text);
        }
    }
}
