//! Generated files are up to date: the header, docs/options.md and docs/providers.md.

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
        "cancel tokens",
        "experimental",
        &[
            "authgrant_cancel_token_new",
            "authgrant_cancel_token_cancel",
            "authgrant_cancel_token_reset",
            "authgrant_cancel_token_free",
        ],
    ),
    (
        "strings",
        "stable",
        &["authgrant_to_wide", "authgrant_string_free", "authgrant_status_name", "authgrant_version"],
    ),
];

/// Prefixes of the constants that follow the statuses, in their order in the header.
const FLAG_PREFIXES: [&str; 4] =
    ["AUTHGRANT_NO_", "AUTHGRANT_WITH_", "AUTHGRANT_ALLOW_", "AUTHGRANT_FORBID_"];

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

    fn layout(&self) -> String {
        let is_callback = self.is_type() && self.code.contains("(*");
        let code = if is_callback || !self.is_type() && !self.is_constant() {
            layout_function(&self.code)
        } else {
            self.code.clone()
        };
        wrap_comments(&format!("/**\n{}\n */\n{code}\n", self.comment))
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

/// Returns the output of cbindgen with its declarations in the order of [`SECTIONS`].
fn generate_header() -> String {
    let output = run_cbindgen();
    let (start, declarations, end) = split_header(&output);
    let (mut constants, others): (Vec<_>, Vec<_>) =
        declarations.into_iter().partition(Declaration::is_constant);
    let (types, mut functions): (Vec<_>, Vec<_>) = others.into_iter().partition(Declaration::is_type);
    constants.sort_by_key(Declaration::constant_rank);

    let mut header = format!("{start}\n");
    let mut add_section = |title: &str, declarations: &[Declaration]| {
        header += &format!("\n/* ---- {title} */\n");
        for declaration in declarations {
            header += &format!("\n{}", declaration.layout());
        }
    };
    add_section("constants", &constants);
    add_section("types", &types);
    for (title, stability, names) in SECTIONS {
        let take = |name: &&str| {
            let position = functions.iter().position(|function| function.name() == *name);
            functions.remove(position.unwrap_or_else(|| panic!("{name} is not exported or has two sections")))
        };
        add_section(&format!("{title} ({stability})"), &names.iter().map(take).collect::<Vec<_>>());
    }
    let remaining: Vec<_> = functions.iter().map(Declaration::name).collect();
    assert!(remaining.is_empty(), "functions without a section in SECTIONS: {remaining:?}");
    header + "\n" + end
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
