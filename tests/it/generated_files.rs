//! Generated files are up to date: the header, docs/options.md, docs/providers.md and docs/reference.md.
//! docs/errors.md, which is not generated, agrees with the header.

use std::path::{Path, PathBuf};

/// Line length of the header. Comments and parameter lists are wrapped to it.
const MAX_LINE_LEN: usize = 100;

/// Sections of the header after the constants and types: heading, stability, functions in their order.
const SECTIONS: &[(&str, &str, &[&str])] = &[
    ("open and close", "stable", &["authgrant_open", "authgrant_open_wide", "authgrant_close"]),
    (
        "options",
        "stable",
        &[
            "authgrant_set_option",
            "authgrant_set_options",
            "authgrant_completed_string",
            "authgrant_option_table",
            "authgrant_quote_value",
        ],
    ),
    (
        "tokens",
        "stable",
        &[
            "authgrant_get_token",
            "authgrant_get_token_with",
            "authgrant_reject_token",
            "authgrant_copy_token",
            "authgrant_token_value",
            "authgrant_token_length",
            "authgrant_token_type",
            "authgrant_token_expires_at",
            "authgrant_token_scope",
            "authgrant_token_field",
            "authgrant_token_refresh_at",
            "authgrant_token_free",
        ],
    ),
    (
        "headers",
        "stable",
        &[
            "authgrant_get_headers",
            "authgrant_headers_count",
            "authgrant_headers_name",
            "authgrant_headers_value",
            "authgrant_headers_token",
            "authgrant_headers_free",
        ],
    ),
    (
        "authorization",
        "stable",
        &[
            "authgrant_consent_url",
            "authgrant_authorize",
            "authgrant_logoff",
            "authgrant_set_refresh_token_callback",
            "authgrant_create_assertion",
        ],
    ),
    (
        "diagnostics",
        "stable",
        &[
            "authgrant_validate",
            "authgrant_validate_string",
            "authgrant_explain",
            "authgrant_test_connection",
            "authgrant_get_warnings",
            "authgrant_get_stats",
            "authgrant_set_log",
        ],
    ),
    (
        "errors",
        "stable",
        &[
            "authgrant_error_status",
            "authgrant_error_sqlstate",
            "authgrant_error_message",
            "authgrant_error_option",
            "authgrant_error_oauth_error",
            "authgrant_error_oauth_description",
            "authgrant_error_provider_code",
            "authgrant_error_consent_url",
            "authgrant_error_http_status",
            "authgrant_error_retry_after",
            "authgrant_error_retryable",
            "authgrant_error_next",
            "authgrant_error_free",
        ],
    ),
    (
        "control",
        "stable",
        &[
            "authgrant_cancel",
            "authgrant_set_signer",
            "authgrant_set_policy",
            "authgrant_allow_directory",
            "authgrant_clear_caches",
        ],
    ),
    (
        "for drivers",
        "experimental",
        &[
            "authgrant_open_with",
            "authgrant_get_option",
            "authgrant_browse",
            "authgrant_get_request_headers",
            "authgrant_authorize_with",
            "authgrant_take_warnings",
            "authgrant_from_wide",
        ],
    ),
    ("audit", "experimental", &["authgrant_set_audit"]),
    (
        "cancel tokens",
        "experimental",
        &[
            "authgrant_cancel_token_new",
            "authgrant_cancel_token_cancel",
            "authgrant_cancel_token_reset",
            "authgrant_cancel_token_free",
        ],
    ),
    ("token stores", "experimental", &["authgrant_set_token_store"]),
    (
        "strings",
        "stable",
        &["authgrant_to_wide", "authgrant_string_free", "authgrant_status_name", "authgrant_version"],
    ),
];

/// Prefixes of the constants that follow the statuses, in their order in the header.
const FLAG_PREFIXES: [&str; 5] =
    ["AUTHGRANT_NO_", "AUTHGRANT_WITH_", "AUTHGRANT_AS_", "AUTHGRANT_ALLOW_", "AUTHGRANT_FORBID_"];

fn project_root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// A declaration of the header and its comment.
struct Declaration {
    comment: String,
    code: String,
}

impl Declaration {
    fn is_constant(&self) -> bool {
        self.code.starts_with("#define ")
    }

    fn is_type(&self) -> bool {
        self.code.starts_with("typedef ")
    }

    fn name(&self) -> &str {
        let code = self.code.trim_end_matches(';');
        if let Some(constant) = code.strip_prefix("#define ") {
            return constant.split(' ').next().unwrap();
        }
        if let Some((_, callback)) = code.split_once("(*") {
            return callback.split(')').next().unwrap();
        }
        let code = if self.is_type() { code } else { code.split('(').next().unwrap() };
        code.rsplit([' ', '*']).next().unwrap()
    }

    /// Position among the constants: version, statuses, flags.
    fn constant_rank(&self) -> usize {
        match FLAG_PREFIXES.iter().position(|prefix| self.name().starts_with(prefix)) {
            Some(position) => position + 2,
            None => usize::from(self.name() != "AUTHGRANT_VERSION_NUMBER"),
        }
    }

    /// The value of a constant.
    fn value(&self) -> &str {
        self.code.rsplit(' ').next().unwrap()
    }

    fn is_error_status(&self) -> bool {
        self.is_constant() && self.constant_rank() == 1 && self.value() != "0"
    }

    /// Paragraphs of the comment, each as one line.
    fn paragraphs(&self) -> Vec<String> {
        paragraphs(&self.comment)
    }

    fn layout(&self) -> String {
        wrap_comments(&format!("/**\n{}\n */\n{}\n", self.comment, self.layout_code()))
    }

    fn layout_code(&self) -> String {
        let is_callback = self.is_type() && self.code.contains("(*");
        if is_callback || !self.is_type() && !self.is_constant() {
            layout_function(&self.code)
        } else {
            self.code.clone()
        }
    }
}

/// One line if it fits, otherwise each parameter on a line of its own.
fn layout_function(code: &str) -> String {
    let code = code.replace("struct authgrant_", "authgrant_");
    if code.len() <= MAX_LINE_LEN {
        return code;
    }
    let (start, parameters) = code.rsplit_once('(').unwrap();
    format!("{start}(\n    {}", parameters.replace(", ", ",\n    "))
}

/// Wraps each paragraph of the comments at [`MAX_LINE_LEN`].
fn wrap_comments(text: &str) -> String {
    let mut lines: Vec<String> = Vec::new();
    let mut in_paragraph = false;
    for line in text.lines() {
        let trimmed = line.trim_start();
        let Some(paragraph) = trimmed.strip_prefix("* ") else {
            in_paragraph = false;
            lines.push(line.to_owned());
            continue;
        };
        let indent = line.len() - trimmed.len();
        for word in paragraph.split(' ') {
            match lines.last_mut() {
                Some(last) if in_paragraph && last.len() + 1 + word.len() <= MAX_LINE_LEN => {
                    last.push(' ');
                    last.push_str(word);
                }
                _ => lines.push(format!("{:indent$}* {word}", "")),
            }
            in_paragraph = true;
        }
    }
    lines.join("\n") + "\n"
}

/// Paragraphs of a comment, whose lines begin with ` * ` or ` *`, each as one line.
fn paragraphs(comment: &str) -> Vec<String> {
    let lines =
        comment.lines().map(|line| line.trim_start().trim_start_matches("/*").trim_start_matches('*').trim());
    let text = lines.map(|line| if line.is_empty() { "\n" } else { line }).collect::<Vec<_>>().join(" ");
    text.split('\n')
        .map(|paragraph| paragraph.trim().to_owned())
        .filter(|paragraph| !paragraph.is_empty())
        .collect()
}

/// The SQLSTATEs in a comment: five letters or digits in parentheses.
fn sqlstates(comment: &str) -> Vec<&str> {
    let mut found: Vec<&str> = Vec::new();
    for parenthesis in comment.split('(').skip(1).filter_map(|rest| rest.split(')').next()) {
        let is_state = parenthesis.len() == 5
            && parenthesis.chars().all(|char| char.is_ascii_digit() || char.is_ascii_uppercase());
        if is_state && !found.contains(&parenthesis) {
            found.push(parenthesis);
        }
    }
    found
}

/// The comments of the header as a page. Functions, types and constants have anchors of their names.
fn reference_page(header: &Header) -> String {
    let mut page =
        "# Reference of authgrant.h\n\nGenerated from the header. Statuses: [errors.md](errors.md).\n"
            .to_owned();
    for paragraph in paragraphs(header.start.split("*/").next().unwrap()) {
        if !paragraph.starts_with("Written by cbindgen") {
            page += &format!("\n{}\n", link_names(&paragraph));
        }
    }
    for (title, declarations) in &header.sections {
        page += &format!("\n## {}\n", capitalize(title));
        if declarations.iter().all(Declaration::is_constant) {
            page += "\n| constant | value | meaning |\n| --- | --- | --- |\n";
            page.extend(declarations.iter().map(constant_row));
        } else {
            page.extend(declarations.iter().map(reference_section));
        }
    }
    page
}

fn capitalize(title: &str) -> String {
    let (first, rest) = title.split_at(1);
    first.to_uppercase() + rest
}

fn constant_row(constant: &Declaration) -> String {
    let meaning = constant.paragraphs().join("<br>").replace('|', "\\|");
    let name = constant.name();
    format!("| <a id=\"{name}\"></a>`{name}` | {} | {} |\n", constant.value(), link_names(&meaning))
}

fn reference_section(declaration: &Declaration) -> String {
    let text: Vec<_> = declaration.paragraphs().iter().map(|paragraph| link_names(paragraph)).collect();
    format!(
        "\n### {}\n\n```c\n{}```\n\n{}\n",
        declaration.name(),
        wrap_comments(&declaration.layout_code()),
        text.join("\n\n")
    )
}

/// Links functions and statuses to their anchors; puts other names of C in backticks. Code stays as it is.
fn link_names(text: &str) -> String {
    let parts = text.split('`').enumerate();
    parts.map(|(index, part)| if index % 2 == 1 { format!("`{part}`") } else { link_words(part) }).collect()
}

fn link_words(text: &str) -> String {
    let is_name = |char: char| char.is_ascii_alphanumeric() || char == '_';
    let mut linked = String::new();
    let mut rest = text;
    while let Some(start) = rest.find(is_name) {
        let (before, after) = rest.split_at(start);
        let (name, after) = after.split_at(after.find(|char| !is_name(char)).unwrap_or(after.len()));
        linked += before;
        rest = after.strip_prefix("()").filter(|_| name.starts_with("authgrant_")).unwrap_or(after);
        linked += &if rest.len() < after.len() {
            format!("[`{name}()`](#{name})")
        } else if name.starts_with("AUTHGRANT_") && !name.ends_with('_') {
            format!("[`{name}`](#{name})")
        } else if name.contains('_') {
            format!("`{name}`")
        } else {
            name.to_owned()
        };
    }
    linked + rest
}

/// Splits the output of cbindgen into the start of the file, the declarations and the end of the file.
fn split_header(header: &str) -> (&str, Vec<Declaration>, &str) {
    let (start, rest) = header.split_once("\n/**\n").unwrap();
    let (body, end) = rest.split_at(rest.rfind("#ifdef __cplusplus").unwrap());
    let parse = |declaration: &str| {
        let (comment, code) = declaration.split_once("\n */\n").unwrap();
        Declaration { comment: comment.to_owned(), code: code.trim().to_owned() }
    };
    (start.trim_end(), body.split("\n/**\n").map(parse).collect(), end)
}

fn run_cbindgen() -> String {
    let mut header = Vec::new();
    cbindgen::generate(project_root()).expect("cbindgen can parse src/ffi").write(&mut header);
    String::from_utf8(header).expect("the header is UTF-8")
}

/// The header: the start of the file, headings with their declarations, the end of the file.
struct Header {
    start: String,
    sections: Vec<(String, Vec<Declaration>)>,
    end: String,
}

/// Reads the output of cbindgen; its declarations are in the order of [`SECTIONS`].
fn read_header() -> Header {
    let output = run_cbindgen();
    let (start, declarations, end) = split_header(&output);
    let (mut constants, others): (Vec<_>, Vec<_>) =
        declarations.into_iter().partition(Declaration::is_constant);
    let (types, mut functions): (Vec<_>, Vec<_>) = others.into_iter().partition(Declaration::is_type);
    constants.sort_by_key(Declaration::constant_rank);

    let mut sections = vec![("constants".to_owned(), constants), ("types".to_owned(), types)];
    for (title, stability, names) in SECTIONS {
        let take = |name: &&str| {
            let position = functions.iter().position(|function| function.name() == *name);
            functions.remove(position.unwrap_or_else(|| panic!("{name} is not exported or has two sections")))
        };
        sections.push((format!("{title} ({stability})"), names.iter().map(take).collect()));
    }
    let remaining: Vec<_> = functions.iter().map(Declaration::name).collect();
    assert!(remaining.is_empty(), "functions without a section in SECTIONS: {remaining:?}");
    Header { start: start.to_owned(), sections, end: end.to_owned() }
}

fn generate_header() -> String {
    let Header { start, sections, end } = read_header();
    let mut header = format!("{start}\n");
    for (title, declarations) in sections {
        header += &format!("\n/* ---- {title} */\n");
        for declaration in declarations {
            header += &format!("\n{}", declaration.layout());
        }
    }
    header + "\n" + &end
}

/// Asserts that the file has this content; writes it first if UPDATE_GENERATED is set.
fn assert_up_to_date(path: &Path, expected: &str) {
    if std::env::var_os("UPDATE_GENERATED").is_some() {
        std::fs::write(path, expected).expect("the file can be written");
    }
    let found = std::fs::read_to_string(path).unwrap_or_default();
    assert!(found == expected, "{} is out of date; run `make generated`", path.display());
}

#[test]
fn committed_header_is_up_to_date() {
    assert_up_to_date(&project_root().join("include/authgrant.h"), &generate_header());
}

#[test]
fn options_page_is_up_to_date() {
    assert_up_to_date(&project_root().join("docs/options.md"), &authgrant::options::table::to_markdown());
}

#[test]
fn providers_page_is_up_to_date() {
    assert_up_to_date(&project_root().join("docs/providers.md"), &authgrant::provider::as_markdown());
}

#[test]
fn reference_page_is_up_to_date() {
    assert_up_to_date(&project_root().join("docs/reference.md"), &reference_page(&read_header()));
}

#[test]
fn errors_page_has_number_and_sqlstates_of_each_status() {
    let page = std::fs::read_to_string(project_root().join("docs/errors.md")).unwrap();
    let mut sections = page.split("\n## ").skip(1);
    let (_, constants) = &read_header().sections[0];
    for status in constants.iter().filter(|constant| constant.is_error_status()) {
        let comment = status.paragraphs().join(" ");
        let is_retryable = if comment.contains("Retryable.") { "yes" } else { "no" };
        let expected = format!(
            "{}\n\n| number | SQLSTATE | retryable |\n| --- | --- | --- |\n| {} | {} | {is_retryable} |\n\n**Cause.** ",
            status.name(),
            status.value(),
            sqlstates(&comment).join(", "),
        );
        let section = sections.next().unwrap_or_default();
        assert!(section.starts_with(&expected), "docs/errors.md: expected\n{expected}\nfound\n{section}");
        assert!(section.contains("\n**Cure.** "), "{section}");
    }
    assert_eq!(sections.next(), None, "a section without a status");
}

#[test]
fn header_lines_have_at_most_100_columns() {
    let header = generate_header();
    let too_long: Vec<_> = header.lines().filter(|line| line.chars().count() > MAX_LINE_LEN).collect();
    assert!(too_long.is_empty(), "{too_long:#?}");
}

/// Compilers that read the header in another code page warn about other characters (MSVC C4819).
#[test]
fn header_is_ascii() {
    for line in generate_header().lines() {
        assert!(line.is_ascii(), "{line}");
    }
}

/// Source text of each export, from its signature on.
fn exports() -> Vec<String> {
    let mut exports = Vec::new();
    for file in std::fs::read_dir(project_root().join("src/ffi")).unwrap() {
        let source = std::fs::read_to_string(file.unwrap().path()).unwrap();
        exports.extend(source.split("#[unsafe(no_mangle)]\n").skip(1).map(str::to_owned));
    }
    exports
}

fn exported_names() -> Vec<String> {
    let name = |export: &String| {
        let (_, name) = export.split_once(" fn ").unwrap();
        name.split('(').next().unwrap().to_owned()
    };
    let mut names: Vec<_> = exports().iter().map(name).collect();
    names.sort();
    names
}

#[test]
fn every_export_is_in_one_section() {
    let exports = exported_names();
    assert!(exports.len() > 40, "{exports:?}");
    let mut listed: Vec<_> = SECTIONS.iter().flat_map(|(_, _, names)| *names).copied().collect();
    listed.sort_unstable();
    assert_eq!(listed, exports);
}

#[test]
fn every_export_is_declared_and_documented() {
    let output = run_cbindgen();
    let (_, declarations, _) = split_header(&output);
    for name in exported_names() {
        assert!(name.starts_with("authgrant_"), "{name}");
        let declaration = declarations.iter().find(|declaration| declaration.name() == name);
        let declaration = declaration.unwrap_or_else(|| panic!("{name} is not declared"));
        assert!(
            declaration.comment.contains("Thread-safe"),
            "the comment of {name} does not document threads"
        );
    }
}

#[test]
fn every_export_is_guarded() {
    for export in exports() {
        let (signature, body) = export.split_once("{\n").unwrap();
        let first = body.lines().map(str::trim).find(|line| !line.starts_with("//")).unwrap();
        assert!(first.contains("guard!("), "{signature} begins with {first}");
    }
}
