//! The text of an odbc.ini, odbcinst.ini or .dsn file in, its sections out, each line with its number.
//!
//! As unixODBC and iODBC read it: names and values without outer blanks, `#` and `;` begin a line of comment, the first
//! section of a name counts. Unlike them, a line may have any length: an inline key has thousands of characters. What
//! cannot be read is a fault with its line, and never its content: it may be the rest of a secret.

use std::str;

/// What a file holds.
#[derive(Default)]
pub(super) struct Ini<'a> {
    sections: Vec<Section<'a>>,
    /// Headers of sections that cannot be read. What stands below them belongs to no section.
    pub(super) faults: Vec<Fault>,
}

/// One `[name]` and what stands below it.
#[derive(Default)]
pub(super) struct Section<'a> {
    name: Option<&'a str>,
    pub(super) entries: Vec<Entry<'a>>,
    pub(super) faults: Vec<Fault>,
}

/// One `name = value`.
pub(super) struct Entry<'a> {
    pub(super) name: &'a str,
    pub(super) value: &'a str,
    pub(super) line: usize,
}

/// A line that cannot be read, and why; the text goes behind "line 7 of …".
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Fault {
    pub(super) line: usize,
    pub(super) text: &'static str,
}

/// What is wrong with a line that holds a NUL character: an error wherever it is in use, since the C API has no such text.
pub(super) const NUL: &str = "holds a NUL character, which no name and no value may";

impl<'a> Ini<'a> {
    /// Reads any bytes.
    pub(super) fn parse(content: &'a [u8]) -> Self {
        let content = content.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(content);
        let mut ini = Self::default();
        let mut current = Section::default();
        for (index, line) in content.split(|byte| *byte == b'\n').enumerate() {
            let number = index.saturating_add(1);
            match line.trim_ascii() {
                [] | [b'#' | b';', ..] => {}
                [b'[', header @ ..] => {
                    let next = ini.section(header, number);
                    ini.sections.push(std::mem::replace(&mut current, next));
                }
                line => current.line(line, number),
            }
        }
        ini.sections.push(current);
        ini
    }

    fn section(&mut self, header: &'a [u8], line: usize) -> Section<'a> {
        let mut fault = |text| self.faults.push(Fault { line, text });
        let Some(end) = header.iter().position(|byte| *byte == b']') else {
            fault("begins a section with \"[\" and has no \"]\"");
            return Section::default();
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
            fault(NUL);
            return Section::default();
        }
        Section { name, ..Section::default() }
    }

    /// The first section of that name, in any case.
    pub(super) fn find(&self, name: &str) -> Option<&Section<'a>> {
        let wanted = name.trim().to_lowercase();
        self.sections.iter().find(|section| section.name.is_some_and(|name| name.to_lowercase() == wanted))
    }

    /// Whether there is a section at all.
    pub(super) fn has_sections(&self) -> bool {
        self.sections.iter().any(|section| section.name.is_some())
    }
}

impl<'a> Section<'a> {
    fn line(&mut self, line: &'a [u8], number: usize) {
        match entry(line, number) {
            Ok(entry) => self.entries.push(entry),
            Err(text) => self.faults.push(Fault { line: number, text }),
        }
    }

    /// The first value of that name, in any case.
    pub(super) fn value(&self, name: &str) -> Option<&'a str> {
        self.entries.iter().find(|entry| entry.name.eq_ignore_ascii_case(name)).map(|entry| entry.value)
    }
}

fn entry(line: &[u8], number: usize) -> Result<Entry<'_>, &'static str> {
    let text = str::from_utf8(line).map_err(|_| "is not UTF-8")?;
    if text.contains('\0') {
        return Err(NUL);
    }
    let (name, value) = text.split_once('=').ok_or("has no \"=\"")?;
    match name.trim() {
        "" => Err("has no name in front of \"=\""),
        name => Ok(Entry { name, value: value.trim(), line: number }),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn pairs<'a>(ini: &'a Ini<'_>, section: &str) -> Vec<(&'a str, &'a str, usize)> {
        let section = ini.find(section).unwrap_or_else(|| panic!("no section {section}"));
        section.entries.iter().map(|entry| (entry.name, entry.value, entry.line)).collect()
    }

    #[test]
    fn names_are_in_any_case_and_without_outer_blanks() {
        let ini =
            Ini::parse(b"\xEF\xBB\xBF\r\n[ Sales Data ]\r\n  Scope =  a b = c \r\n#x=1\n ;y=2\n[Other]\nz=");
        assert_eq!(pairs(&ini, "SALES data "), [("Scope", "a b = c", 3)]);
        assert_eq!(pairs(&ini, "other"), [("z", "", 7)]);
        assert!(ini.find("").is_none() && ini.faults.is_empty());
        assert_eq!(ini.find("other").unwrap().value("Z"), Some(""));
    }

    #[test]
    fn the_first_section_of_a_name_counts_as_a_whole() {
        let ini = Ini::parse(b"[a]\nx=1\n[b]\n[A]\nx=2\ny=3");
        assert_eq!(pairs(&ini, "a"), [("x", "1", 2)]);
    }

    #[test]
    fn what_stands_below_a_bad_header_belongs_to_no_section() {
        for header in ["[b", "[]", "[ ]", "[\u{fffd}", "["] {
            let text = format!("[a]\nx=1\n{header}\nPassword=hunter2\n");
            let ini = Ini::parse(text.as_bytes());
            assert_eq!(pairs(&ini, "a"), [("x", "1", 2)], "{header}");
            assert_eq!(ini.faults.len(), 1, "{header}");
            assert_eq!(ini.faults[0].line, 3);
        }
    }

    #[test]
    fn a_header_may_have_a_comment_behind_it_and_nothing_else() {
        assert_eq!(Ini::parse(b"[a]\n[b] ; why\n[c]# why\n").faults, []);
        let ini = Ini::parse(b"[a] junk\nx=1");
        assert_eq!(ini.faults[0].line, 1);
        assert_eq!(pairs(&ini, "a"), [("x", "1", 2)]);
    }

    #[test]
    fn a_line_that_is_no_pair_is_a_fault_of_its_section_with_its_number() {
        let ini = Ini::parse(b"early\n[a]\n...\n=x\nk=\xff\n\nlast=1");
        let section = ini.find("a").unwrap();
        let lines: Vec<_> = section.faults.iter().map(|fault| (fault.line, fault.text)).collect();
        assert_eq!(lines, [(3, "has no \"=\""), (4, "has no name in front of \"=\""), (5, "is not UTF-8")]);
        assert_eq!(pairs(&ini, "a"), [("last", "1", 7)]);
    }

    #[test]
    fn nul_in_name_value_or_header_is_a_fault_with_its_line() {
        let ini = Ini::parse(b"[a]\nx=1\0\n\0y=2\nz=3\n[b\0]\nv=4\n");
        let section = ini.find("a").unwrap();
        let lines: Vec<_> = section.faults.iter().map(|fault| (fault.line, fault.text)).collect();
        assert_eq!(lines, [(2, NUL), (3, NUL)]);
        assert_eq!(pairs(&ini, "a"), [("z", "3", 4)]);
        assert_eq!(ini.faults, [Fault { line: 5, text: NUL }]);
    }

    #[test]
    fn lines_have_any_length() {
        let long = "s".repeat(100_000);
        let text = format!("[a]\nx={long}\ny=1");
        assert_eq!(pairs(&Ini::parse(text.as_bytes()), "a"), [("x", long.as_str(), 2), ("y", "1", 3)]);
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(content in any::<Vec<u8>>()) {
            let _ = Ini::parse(&content).find("a");
        }

        #[test]
        fn no_lines_make_it_panic(lines in proptest::collection::vec("[\\[\\]#;= a\n\r]{0,6}", 0..20)) {
            let _ = Ini::parse(lines.join("\n").as_bytes()).find("a");
        }
    }
}
