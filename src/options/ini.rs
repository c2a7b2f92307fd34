//! The text of an odbc.ini, odbcinst.ini or .dsn file in, its sections out, each line with its number.
//!
//! As unixODBC and iODBC read it: names and values without outer blanks, `#` and `;` begin a line of comment, the first
//! section of a name counts. Unlike them, a line may have any length: an inline key has thousands of characters. What
//! cannot be read is a fault with its line, and never its content: it may be the rest of a secret.

use std::str;

/// What a file holds.
#[derive(Default)]
pub(super) struct IniFile<'a> {
    sections: Vec<IniSection<'a>>,
    /// Headers of sections that cannot be read. What stands below them belongs to no section.
    pub(super) errors: Vec<IniError>,
}

/// One `[name]` and what stands below it.
#[derive(Default)]
pub(super) struct IniSection<'a> {
    name: Option<&'a str>,
    pub(super) entries: Vec<IniEntry<'a>>,
    pub(super) errors: Vec<IniError>,
}

/// One `name = value`.
pub(super) struct IniEntry<'a> {
    pub(super) name: &'a str,
    pub(super) value: &'a str,
    pub(super) line: usize,
}

/// A line that cannot be read, and why; the text goes behind "line 7 of …".
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct IniError {
    pub(super) line: usize,
    pub(super) message: &'static str,
}

/// What is wrong with a line that holds a NUL character: an error wherever it is in use, since the C API has no such text.
pub(super) const NUL_MESSAGE: &str = "holds a NUL character, which no name and no value may";

impl<'a> IniFile<'a> {
    /// Reads any bytes.
    pub(super) fn parse(content: &'a [u8]) -> Self {
        let content = content.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(content);
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
        let mut fault = |text| self.errors.push(IniError { line, message: text });
        let Some(end) = header.iter().position(|byte| *byte == b']') else {
            fault("begins a section with \"[\" and has no \"]\"");
            return IniSection::default();
        };
        let (name, rest) = header.split_at(end);
        let behind = rest.strip_prefix(b"]").unwrap_or(rest).trim_ascii();
        if !matches!(behind, [] | [b'#' | b';', ..]) {
            fault("has text behind the \"]\" of a section");
        }
        let name = str::from_utf8(name).map(str::trim).ok().filter(|name| !name.is_empty());
        if name.is_none() {
            fault("begins a section that has no name, or one that is not UTF-8");
        } else if name.is_some_and(|name| name.contains('\0')) {
            fault(NUL_MESSAGE);
            return IniSection::default();
        }
        IniSection { name, ..IniSection::default() }
    }

    /// The first section of that name, in any case.
    pub(super) fn find_section(&self, name: &str) -> Option<&IniSection<'a>> {
        let wanted = name.trim().to_lowercase();
        self.sections.iter().find(|section| section.name.is_some_and(|name| name.to_lowercase() == wanted))
    }

    /// Whether there is a section at all.
    pub(super) fn has_sections(&self) -> bool {
        self.sections.iter().any(|section| section.name.is_some())
    }
}

impl<'a> IniSection<'a> {
    fn parse_line(&mut self, line: &'a [u8], number: usize) {
        match parse_entry(line, number) {
            Ok(entry) => self.entries.push(entry),
            Err(text) => self.errors.push(IniError { line: number, message: text }),
        }
    }

    /// The first value of that name, in any case.
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
        "" => Err("has no name in front of \"=\""),
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
        let ini = IniFile::parse(
            b"\xEF\xBB\xBF\r\n[ Sales Data ]\r\n  Scope =  a b = c \r\n#x=1\n ;y=2\n[Other]\nz=",
        );
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
        let lines: Vec<_> = section.errors.iter().map(|fault| (fault.line, fault.message)).collect();
        assert_eq!(lines, [(3, "has no \"=\""), (4, "has no name in front of \"=\""), (5, "is not UTF-8")]);
        assert_eq!(section_entries(&ini, "a"), [("last", "1", 7)]);
    }

    #[test]
    fn nul_character_is_error_with_line_number() {
        let ini = IniFile::parse(b"[a]\nx=1\0\n\0y=2\nz=3\n[b\0]\nv=4\n");
        let section = ini.find_section("a").unwrap();
        let lines: Vec<_> = section.errors.iter().map(|fault| (fault.line, fault.message)).collect();
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
