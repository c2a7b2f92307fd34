//! The header is what the source says: generated anew and compared, declaration by declaration.

use std::path::{Path, PathBuf};

fn project_root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn generate_header() -> String {
    let mut header = Vec::new();
    cbindgen::generate(project_root()).expect("cbindgen reads src/ffi").write(&mut header);
    String::from_utf8(header).expect("a header is text")
}

/// Compares `path` with what it should hold; with UPDATE_GENERATED=1 writes it instead.
fn assert_up_to_date(path: &Path, wanted: &str) {
    if std::env::var_os("UPDATE_GENERATED").is_some() {
        std::fs::write(path, wanted).expect("the file can be written");
    }
    let found = std::fs::read_to_string(path).unwrap_or_default();
    assert!(found == wanted, "{} is not what the source says; run `make generated`", path.display());
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

/// The names behind every `no_mangle` of the source.
fn exported_names() -> Vec<String> {
    let mut names = Vec::new();
    for file in std::fs::read_dir(project_root().join("src/ffi")).unwrap() {
        let source = std::fs::read_to_string(file.unwrap().path()).unwrap();
        for item in source.split("#[unsafe(no_mangle)]\n").skip(1) {
            let (_, name) = item.split_once(" fn ").unwrap();
            names.push(name.split('(').next().unwrap().to_owned());
        }
    }
    names.sort();
    names
}

#[test]
fn every_export_is_declared_documented_and_guarded() {
    let header = generate_header();
    let exports = exported_names();
    assert!(exports.len() > 40, "{exports:?}");
    for name in &exports {
        assert!(name.starts_with("authgrant_"), "{name}");
        let declaration =
            header.find(&format!("{name}(")).unwrap_or_else(|| panic!("{name} is not declared"));
        let before = header[..declaration].lines().rev().skip(1).collect::<Vec<_>>();
        let comment: Vec<_> =
            before.iter().take_while(|line| line.trim_start().starts_with(['/', '*'])).collect();
        assert!(
            comment.iter().any(|line| line.contains("Threads:")),
            "{name} does not say which threads may call"
        );
    }
    for file in std::fs::read_dir(project_root().join("src/ffi")).unwrap() {
        let source = std::fs::read_to_string(file.unwrap().path()).unwrap();
        for item in source.split("#[unsafe(no_mangle)]\n").skip(1) {
            let (signature, body) = item.split_once("{\n").unwrap();
            let first = body.lines().map(str::trim).find(|line| !line.starts_with("//")).unwrap();
            let guarded = first.contains("guard!(") || first == "let options = call;";
            assert!(guarded, "{signature} begins with {first}");
        }
    }
}
