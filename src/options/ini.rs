//! Parser for odbc.ini, odbcinst.ini and .dsn files: sections and entries with line numbers.
//!
//! Compatible with unixODBC and iODBC: names and values are trimmed, `#` and `;` begin a comment line, and of
//! several sections with the same name the first one is used. Unlike there, lines may have any length: an
//! inline key has thousands of characters. An error contains the line number but never the content, which may
//! be the rest of a secret.

use std::str;

/// A parsed file.
#[derive(Default)]
pub(super) struct IniFile<'a> {
    sections: Vec<IniSection<'a>>,
    /// Errors in section headers. Entries after such a header belong to no section.
    pub(super) errors: Vec<IniError>,
}

/// A section: `[name]` and its entries.
#[derive(Default)]
pub(super) struct IniSection<'a> {
    name: Option<&'a str>,
    pub(super) entries: Vec<IniEntry<'a>>,
    pub(super) errors: Vec<IniError>,
}

/// An entry: `name = value`.
pub(super) struct IniEntry<'a> {
    pub(super) name: &'a str,
    pub(super) value: &'a str,
    pub(super) line: usize,
}

/// An invalid line; the message is to be appended to "line 7 of …".
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct IniError {
    pub(super) line: usize,
    pub(super) message: &'static str,
}

/// The message for a line that contains a NUL character. It is an error and not a warning, because strings in
/// the C API cannot contain NUL.
pub(super) const NUL_MESSAGE: &str = "contains a NUL character";

impl<'a> IniFile<'a> {
    /// Parses a file in UTF-8 without a byte order mark; never fails.
    pub(super) fn parse(content: &'a [u8]) -> Self {
        let mut ini = Self::default();
        let mut current = IniSection::default();
        for (index, line) in content.split(|byte| *byte == b'\n').enumerate() {
            let number = index.saturating_add(1);
            match line.trim_ascii() {
                [] | [b'#' | b';', ..] => {}
                [b'[', header @ ..] => {
                    let next = ini.parse_section_header(header, number);
                    ini.sections.push(std::mem::replace(&mut current, next));
                }
                line => current.parse_line(line, number),
            }
        }
        ini.sections.push(current);
        ini
    }

    fn parse_section_header(&mut self, header: &'a [u8], line: usize) -> IniSection<'a> {
        let mut add_error = |message| self.errors.push(IniError { line, message });
        let Some(end) = header.iter().position(|byte| *byte == b']') else {
            add_error("has an unterminated section header (no \"]\")");
            return IniSection::default();
        };
        let (name, rest) = header.split_at(end);
        let trailing = rest.strip_prefix(b"]").unwrap_or(rest).trim_ascii();
        if !matches!(trailing, [] | [b'#' | b';', ..]) {
            add_error("has text after the \"]\" of a section header");
        }
        let name = str::from_utf8(name).map(str::trim).ok().filter(|name| !name.is_empty());
        if name.is_none() {
            add_error("has a section header whose name is empty or not UTF-8");
        } else if name.is_some_and(|name| name.contains('\0')) {
            add_error(NUL_MESSAGE);
            return IniSection::default();
        }
        IniSection { name, ..IniSection::default() }
    }

    /// Finds the first section of that name, case-insensitive.
    pub(super) fn find_section(&self, name: &str) -> Option<&IniSection<'a>> {
        let key = name.trim().to_lowercase();
        self.sections.iter().find(|section| section.name.is_some_and(|name| name.to_lowercase() == key))
    }

    /// Whether there is at least one section.
    pub(super) fn has_sections(&self) -> bool {
        self.sections.iter().any(|section| section.name.is_some())
    }
}

impl<'a> IniSection<'a> {
    fn parse_line(&mut self, line: &'a [u8], number: usize) {
        match parse_entry(line, number) {
            Ok(entry) => self.entries.push(entry),
            Err(message) => self.errors.push(IniError { line: number, message }),
        }
    }

    /// Finds the first value of that name, case-insensitive.
    pub(super) fn value(&self, name: &str) -> Option<&'a str> {
        self.entries.iter().find(|entry| entry.name.eq_ignore_ascii_case(name)).map(|entry| entry.value)
    }
}

fn parse_entry(line: &[u8], number: usize) -> Result<IniEntry<'_>, &'static str> {
    let text = str::from_utf8(line).map_err(|_| "is not UTF-8")?;
    if text.contains('\0') {
        return Err(NUL_MESSAGE);
    }
    let (name, value) = text.split_once('=').ok_or("has no \"=\"")?;
    match name.trim() {
        "" => Err("has no name before \"=\""),
        name => Ok(IniEntry { name, value: value.trim(), line: number }),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn section_entries<'a>(ini: &'a IniFile<'_>, section: &str) -> Vec<(&'a str, &'a str, usize)> {
        let section = ini.find_section(section).unwrap_or_else(|| panic!("no section {section}"));
        section.entries.iter().map(|entry| (entry.name, entry.value, entry.line)).collect()
    }

    #[test]
    fn names_are_trimmed_and_case_insensitive() {
        let ini = IniFile::parse(b"\r\n[ Sales Data ]\r\n  Scope =  a b = c \r\n#x=1\n ;y=2\n[Other]\nz=");
        assert_eq!(section_entries(&ini, "SALES data "), [("Scope", "a b = c", 3)]);
        assert_eq!(section_entries(&ini, "other"), [("z", "", 7)]);
        assert!(ini.find_section("").is_none() && ini.errors.is_empty());
        assert_eq!(ini.find_section("other").unwrap().value("Z"), Some(""));
    }

    #[test]
    fn first_of_duplicate_sections_wins() {
        let ini = IniFile::parse(b"[a]\nx=1\n[b]\n[A]\nx=2\ny=3");
        assert_eq!(section_entries(&ini, "a"), [("x", "1", 2)]);
    }

    #[test]
    fn entries_below_invalid_header_are_dropped() {
        for header in ["[b", "[]", "[ ]", "[\u{fffd}", "["] {
            let text = format!("[a]\nx=1\n{header}\nPassword=hunter2\n");
            let ini = IniFile::parse(text.as_bytes());
            assert_eq!(section_entries(&ini, "a"), [("x", "1", 2)], "{header}");
            assert_eq!(ini.errors.len(), 1, "{header}");
            assert_eq!(ini.errors[0].line, 3);
        }
    }

    #[test]
    fn section_header_allows_only_trailing_comment() {
        assert_eq!(IniFile::parse(b"[a]\n[b] ; why\n[c]# why\n").errors, []);
        let ini = IniFile::parse(b"[a] junk\nx=1");
        assert_eq!(ini.errors[0].line, 1);
        assert_eq!(section_entries(&ini, "a"), [("x", "1", 2)]);
    }

    #[test]
    fn invalid_line_is_error_with_line_number() {
        let ini = IniFile::parse(b"early\n[a]\n...\n=x\nk=\xff\n\nlast=1");
        let section = ini.find_section("a").unwrap();
        let lines: Vec<_> = section.errors.iter().map(|error| (error.line, error.message)).collect();
        assert_eq!(lines, [(3, "has no \"=\""), (4, "has no name before \"=\""), (5, "is not UTF-8")]);
        assert_eq!(section_entries(&ini, "a"), [("last", "1", 7)]);
    }

    #[test]
    fn nul_character_is_error_with_line_number() {
        let ini = IniFile::parse(b"[a]\nx=1\0\n\0y=2\nz=3\n[b\0]\nv=4\n");
        let section = ini.find_section("a").unwrap();
        let lines: Vec<_> = section.errors.iter().map(|error| (error.line, error.message)).collect();
        assert_eq!(lines, [(2, NUL_MESSAGE), (3, NUL_MESSAGE)]);
        assert_eq!(section_entries(&ini, "a"), [("z", "3", 4)]);
        assert_eq!(ini.errors, [IniError { line: 5, message: NUL_MESSAGE }]);
    }

    #[test]
    fn line_length_is_unlimited() {
        let long = "s".repeat(100_000);
        let text = format!("[a]\nx={long}\ny=1");
        assert_eq!(
            section_entries(&IniFile::parse(text.as_bytes()), "a"),
            [("x", long.as_str(), 2), ("y", "1", 3)]
        );
    }

    proptest! {
        #[test]
        fn arbitrary_bytes_never_panic(content in any::<Vec<u8>>()) {
            let _ = IniFile::parse(&content).find_section("a");
        }

        #[test]
        fn arbitrary_lines_never_panic(lines in proptest::collection::vec("[\\[\\]#;= a\n\r]{0,6}", 0..20)) {
            let _ = IniFile::parse(lines.join("\n").as_bytes()).find_section("a");
        }
    }
}
