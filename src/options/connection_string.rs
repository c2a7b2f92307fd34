//! Connection-string grammar: text in, `name = value` pairs with their offsets out; and one value into its quoted form.
//!
//! Follows [MS-ODBCSTR] 2.1, with the two liberties that DataDirect's own samples take: line breaks between
//! pairs, and blanks around names and values. Knows no option by name; `table` does.

use crate::base::error::{Error, Result, Status};
use crate::base::secret::Secret;

/// One `name=value`.
#[derive(Debug, PartialEq, Eq)]
pub struct KeyValue {
    /// The name as written, without outer blanks.
    pub name: String,
    /// Where the name begins, in characters from the beginning of the text.
    pub offset: usize,
    /// The value: what stood in the braces, or the text without outer blanks.
    pub value: Secret,
    /// Whether the value stood in braces, and so is meant to the letter.
    pub braced: bool,
}

/// The blanks that may stand between the parts: those that ODBC's own parsers skip.
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

    fn skip_while(&mut self, skipped: impl Fn(char) -> bool) {
        let kept = self.rest.trim_start_matches(skipped).len();
        self.advance(self.rest.len().saturating_sub(kept));
    }

    /// The text up to the first of `ends`, which stays unread.
    fn scan_until(&mut self, ends: &[char]) -> &'a str {
        self.advance(self.rest.find(ends).unwrap_or(self.rest.len()))
    }

    fn eat_char(&mut self, c: char) -> bool {
        let there = self.rest.starts_with(c);
        if there {
            self.advance(c.len_utf8());
        }
        there
    }
}

/// Longer than any string that somebody wrote, and short enough to look at.
const MAX_STRING_LEN: usize = 1 << 20;

/// Splits a connection string into its pairs, in their order, duplicates included.
///
/// # Errors
/// [`Status::InvalidConnectionString`] for a fault in the structure, with its offset. The message repeats no text:
/// what stands at a wrong place may be the second half of a password.
pub fn parse(text: &str) -> Result<Vec<KeyValue>> {
    if text.len() > MAX_STRING_LEN {
        return Err(Error::new(
            Status::InvalidConnectionString,
            "connection string",
            format!("it has {} bytes; at most {MAX_STRING_LEN} are read", text.len()),
        ));
    }
    let mut reader = Scanner { rest: text, offset: 0 };
    let mut pairs = Vec::new();
    loop {
        reader.skip_while(|c| is_whitespace(c) || c == ';');
        if reader.rest.is_empty() {
            return Ok(pairs);
        }
        pairs.push(parse_pair(&mut reader)?);
    }
}

fn parse_pair(reader: &mut Scanner<'_>) -> Result<KeyValue> {
    let offset = reader.offset;
    let name = reader.scan_until(&['=', ';']).trim_end_matches(is_whitespace).to_owned();
    if !reader.eat_char('=') {
        return Err(syntax_error(
            offset,
            "there is no \"=\" behind the name; a value that holds \";\" must stand in braces {…}",
        ));
    }
    if name.is_empty() {
        return Err(syntax_error(offset, "there is no name in front of \"=\""));
    }
    reader.skip_while(is_whitespace);
    let (value, braced) = if reader.rest.starts_with('{') {
        (parse_braced(reader)?, true)
    } else {
        (reader.scan_until(&[';']).trim_end_matches(is_whitespace).to_owned(), false)
    };
    Ok(KeyValue { name, offset, value: Secret::new(value), braced })
}

fn parse_braced(reader: &mut Scanner<'_>) -> Result<String> {
    let opened = reader.offset;
    reader.eat_char('{');
    let mut value = String::new();
    loop {
        value.push_str(reader.scan_until(&['}']));
        if !reader.eat_char('}') {
            return Err(syntax_error(
                opened,
                "a \"{\" is not closed; a \"}\" that belongs to the value is written \"}}\"",
            ));
        }
        if !reader.eat_char('}') {
            break;
        }
        value.push('}');
    }
    reader.skip_while(is_whitespace);
    if !reader.rest.is_empty() && !reader.rest.starts_with(';') {
        return Err(syntax_error(
            reader.offset,
            "there is text behind a \"}\"; expected \";\", and \"}}\" for a \"}\" that belongs to the value",
        ));
    }
    Ok(value)
}

fn syntax_error(offset: usize, text: &str) -> Error {
    Error::new(Status::InvalidConnectionString, "connection string", format!("at offset {offset} {text}"))
}

/// `value` as it must be written behind `name=` so that it is read back to the letter.
#[must_use]
pub fn quote(value: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-._~:/+%&$|^<>#".contains(c);
    if !value.is_empty() && value.chars().all(plain) {
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
            assert!(error.message().contains(&format!("at offset {offset} ")), "{text}: {error}");
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
