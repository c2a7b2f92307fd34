//! Connection-string parser: splits a string into `name = value` pairs with offsets, and quotes values.
//!
//! Follows [MS-ODBCSTR] 2.1, with two extensions that DataDirect's own samples use: line breaks between
//! pairs, and whitespace around names and values. Independent of the known options, which are in `table`.

use crate::base::error::{Error, ErrorKind, Result};
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
const MAX_STRING_LEN: usize = 1 << 20;

/// Splits a connection string into its pairs, in their order and including duplicates.
///
/// # Errors
/// [`ErrorKind::ConnectionString`] for a syntax error, with its offset. The message contains no text of
/// the connection string: misplaced text may be the second half of a password.
pub fn parse(text: &str) -> Result<Vec<KeyValue>> {
    if text.len() > MAX_STRING_LEN {
        return Err(Error::new(
            ErrorKind::ConnectionString,
            "connection string",
            format!("connection string too long ({} bytes, limit {MAX_STRING_LEN})", text.len()),
        ));
    }
    let mut scanner = Scanner { rest: text, offset: 0 };
    let mut pairs = Vec::new();
    loop {
        scanner.skip_while(|c| is_whitespace(c) || c == ';');
        if scanner.rest.is_empty() {
            return Ok(pairs);
        }
        pairs.push(parse_pair(&mut scanner)?);
    }
}

fn parse_pair(scanner: &mut Scanner<'_>) -> Result<KeyValue> {
    let offset = scanner.offset;
    let name = scanner.scan_until(&['=', ';']).trim_end_matches(is_whitespace).to_owned();
    if !scanner.eat_char('=') {
        return Err(syntax_error(
            offset,
            "expected \"=\" after the option name; enclose values that contain \";\" in {…}",
        ));
    }
    if name.is_empty() {
        return Err(syntax_error(offset, "expected an option name before \"=\""));
    }
    scanner.skip_while(is_whitespace);
    let (value, braced) = if scanner.rest.starts_with('{') {
        (parse_braced(scanner)?, true)
    } else {
        (scanner.scan_until(&[';']).trim_end_matches(is_whitespace).to_owned(), false)
    };
    Ok(KeyValue { name, offset, value: Secret::new(value), braced })
}

fn parse_braced(scanner: &mut Scanner<'_>) -> Result<String> {
    let start = scanner.offset;
    scanner.eat_char('{');
    let mut value = String::new();
    loop {
        value.push_str(scanner.scan_until(&['}']));
        if !scanner.eat_char('}') {
            return Err(syntax_error(start, "\"{\" is not closed; write \"}\" in a value as \"}}\""));
        }
        if !scanner.eat_char('}') {
            break;
        }
        value.push('}');
    }
    scanner.skip_while(is_whitespace);
    if !scanner.rest.is_empty() && !scanner.rest.starts_with(';') {
        return Err(syntax_error(
            scanner.offset,
            "expected \";\" after \"}\"; write \"}\" in a value as \"}}\"",
        ));
    }
    Ok(value)
}

fn syntax_error(offset: usize, text: &str) -> Error {
    Error::new(ErrorKind::ConnectionString, "connection string", format!("at offset {offset}: {text}"))
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
    use crate::base::error::Status;

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
    fn syntax_error_has_offset_without_content() {
        for (text, offset) in [
            ("ClaimsIssuer={abc", 13),
            ("Ä=1;Password=se;cret", 16),
            ("A=1;=2", 4),
            ("A={b}c", 5),
            ("A={b}}", 2),
            ("A", 0),
        ] {
            let error = parse(text).unwrap_err();
            assert_eq!(error.status(), Status::InvalidConnectionString);
            assert!(error.message().contains(&format!("at offset {offset}:")), "{text}: {error}");
            assert!(!error.message().contains("cret"), "{error}");
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
