//! Connection-string grammar: text in, `name = value` pairs with their offsets out; and one value into its quoted form.
//!
//! Follows [MS-ODBCSTR] 2.1, with the two liberties that DataDirect's own samples take: line breaks between
//! pairs, and blanks around names and values. Knows no option by name; `table` does.

use crate::base::error::{Error, Result, Status};
use crate::base::secret::Secret;

/// One `name=value`.
#[derive(Debug, PartialEq, Eq)]
pub struct Pair {
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
fn is_blank(c: char) -> bool {
    matches!(c, ' ' | '\t' | '\r' | '\n' | '\x0b' | '\x0c')
}

struct Reader<'a> {
    rest: &'a str,
    offset: usize,
}

impl<'a> Reader<'a> {
    fn take(&mut self, length: usize) -> &'a str {
        let (taken, rest) = self.rest.split_at_checked(length).unwrap_or((self.rest, ""));
        self.offset = self.offset.saturating_add(taken.chars().count());
        self.rest = rest;
        taken
    }

    fn skip(&mut self, skipped: impl Fn(char) -> bool) {
        let kept = self.rest.trim_start_matches(skipped).len();
        self.take(self.rest.len().saturating_sub(kept));
    }

    /// The text up to the first of `ends`, which stays unread.
    fn until(&mut self, ends: &[char]) -> &'a str {
        self.take(self.rest.find(ends).unwrap_or(self.rest.len()))
    }

    fn eat(&mut self, c: char) -> bool {
        let there = self.rest.starts_with(c);
        if there {
            self.take(c.len_utf8());
        }
        there
    }
}

/// Longer than any string that somebody wrote, and short enough to look at.
const LONGEST: usize = 1 << 20;

/// Splits a connection string into its pairs, in their order, duplicates included.
///
/// # Errors
/// [`Status::InvalidConnectionString`] for a fault in the structure, with its offset. The message repeats no text:
/// what stands at a wrong place may be the second half of a password.
pub fn parse(text: &str) -> Result<Vec<Pair>> {
    if text.len() > LONGEST {
        return Err(Error::new(
            Status::InvalidConnectionString,
            "connection string",
            format!("it has {} bytes; at most {LONGEST} are read", text.len()),
        ));
    }
    let mut reader = Reader { rest: text, offset: 0 };
    let mut pairs = Vec::new();
    loop {
        reader.skip(|c| is_blank(c) || c == ';');
        if reader.rest.is_empty() {
            return Ok(pairs);
        }
        pairs.push(pair(&mut reader)?);
    }
}

fn pair(reader: &mut Reader<'_>) -> Result<Pair> {
    let offset = reader.offset;
    let name = reader.until(&['=', ';']).trim_end_matches(is_blank).to_owned();
    if !reader.eat('=') {
        return Err(fault(
            offset,
            "there is no \"=\" behind the name; a value that holds \";\" must stand in braces {…}",
        ));
    }
    if name.is_empty() {
        return Err(fault(offset, "there is no name in front of \"=\""));
    }
    reader.skip(is_blank);
    let (value, braced) = if reader.rest.starts_with('{') {
        (braced(reader)?, true)
    } else {
        (reader.until(&[';']).trim_end_matches(is_blank).to_owned(), false)
    };
    Ok(Pair { name, offset, value: Secret::new(value), braced })
}

fn braced(reader: &mut Reader<'_>) -> Result<String> {
    let opened = reader.offset;
    reader.eat('{');
    let mut value = String::new();
    loop {
        value.push_str(reader.until(&['}']));
        if !reader.eat('}') {
            return Err(fault(
                opened,
                "a \"{\" is not closed; a \"}\" that belongs to the value is written \"}}\"",
            ));
        }
        if !reader.eat('}') {
            break;
        }
        value.push('}');
    }
    reader.skip(is_blank);
    if !reader.rest.is_empty() && !reader.rest.starts_with(';') {
        return Err(fault(
            reader.offset,
            "there is text behind a \"}\"; expected \";\", and \"}}\" for a \"}\" that belongs to the value",
        ));
    }
    Ok(value)
}

fn fault(offset: usize, text: &str) -> Error {
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

    fn read(text: &str) -> Vec<(String, String)> {
        let pairs = parse(text).unwrap();
        pairs.into_iter().map(|pair| (pair.name, pair.value.reveal().to_owned())).collect()
    }

    fn one(name: &str, value: &str) -> Vec<(String, String)> {
        vec![(name.to_owned(), value.to_owned())]
    }

    #[test]
    fn blanks_and_line_breaks_may_stand_between_the_parts() {
        let pairs = read("\r\n A = 1 ;\n\t  B=two words ; ;;C=;");
        assert_eq!(pairs, [one("A", "1"), one("B", "two words"), one("C", "")].concat());
    }

    #[test]
    fn braces_keep_their_content_to_the_letter() {
        assert_eq!(read("A={ x;y=}}z' }"), one("A", " x;y=}z' "));
        assert_eq!(read("A={}"), one("A", ""));
        assert_eq!(read("A={{}"), one("A", "{"));
        assert_eq!(read("A={}}}}} ;"), one("A", "}}"));
    }

    #[test]
    fn an_equals_sign_belongs_to_the_value() {
        assert_eq!(read("A=b=c"), one("A", "b=c"));
    }

    #[test]
    fn a_fault_gives_its_offset_in_characters_and_repeats_no_text() {
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
    fn strings_that_a_driver_manager_mangled_fail_or_read_without_a_panic() {
        // unixODBC's SQLBrowseConnect rebuild drops every second character and the closing brace.
        for text in ["A={p}q rs ", "A=pqr \u{1};B", "={;}=;={", "{};{}", ";;;=;;;", "A={}}"] {
            let _ = parse(text);
        }
    }

    proptest! {
        #[test]
        fn what_quote_writes_parse_reads(value in any::<String>()) {
            let text = format!("First=1; A={};B=2", quote(&value));
            let pairs = parse(&text).unwrap();
            prop_assert_eq!(pairs[1].value.reveal(), value.as_str());
            prop_assert_eq!(pairs[2].value.reveal(), "2");
        }

        #[test]
        fn no_text_makes_parse_panic(text in any::<String>()) {
            let _ = parse(&text);
        }
    }
}
