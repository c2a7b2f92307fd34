//! docs/feature_matrix.tsv maps each feature of the vendor pages that specify this library to a test. These
//! tests check that each test exists; scripts/pages.sh checks that it has run.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

const PAGES: [&str; 5] = ["datadirect", "docusign-recipe", "docusign-consent", "webmethods", "jwt-auth"];

struct FeatureRow {
    page: String,
    feature: String,
    test: String,
}

fn project_root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn read_rows() -> Vec<FeatureRow> {
    let text = fs::read_to_string(project_root().join("docs/feature_matrix.tsv")).unwrap();
    let mut lines = text.lines();
    assert_eq!(lines.next(), Some("page\tfeature\ttest"));
    lines.map(parse_row).collect()
}

fn parse_row(line: &str) -> FeatureRow {
    let columns: Vec<&str> = line.split('\t').collect();
    let [page, feature, test] = columns[..] else { panic!("not three columns: {line:?}") };
    assert!(columns.iter().all(|column| !column.trim().is_empty()), "an empty column: {line:?}");
    FeatureRow { page: page.to_owned(), feature: feature.to_owned(), test: test.to_owned() }
}

/// Files that may contain a test of `modules`, where `root` is the crate root: `resolve::tests` of src/lib.rs
/// is in src/resolve/tests.rs, src/resolve.rs or src/resolve/mod.rs. A module may also be inline in the crate
/// root.
fn module_file_candidates(root: &Path, modules: &[&str]) -> Vec<PathBuf> {
    let dir = root.parent().unwrap_or(root);
    let mut candidates = vec![root.to_owned()];
    for module in [modules, &modules[..modules.len().saturating_sub(1)]] {
        let path = module.iter().fold(dir.to_owned(), |path, part| path.join(part));
        candidates.extend([path.with_extension("rs"), path.join("mod.rs")]);
    }
    candidates.into_iter().filter(|path| path.is_file()).collect()
}

/// Whether `source` has a test function `name` that is not ignored.
fn has_test(source: &str, name: &str) -> bool {
    let lines: Vec<&str> = source.lines().map(str::trim_start).collect();
    let signature = format!("fn {name}(");
    lines.iter().position(|line| line.starts_with(&signature)).is_some_and(|index| {
        let attributes: Vec<_> =
            lines[..index].iter().rev().take_while(|line| line.starts_with("#[")).collect();
        attributes.iter().any(|line| **line == "#[test]")
            && !attributes.iter().any(|line| line.starts_with("#[ignore"))
    })
}

/// Whether the source contains the test. The check depends on the language of the file.
fn test_exists(test: &str) -> bool {
    let Some((file, name)) = test.split_once("::") else { return false };
    let read = |path: &Path| fs::read_to_string(path).unwrap_or_default();
    let source = read(&project_root().join(file));
    match Path::new(file).extension().and_then(|extension| extension.to_str()) {
        Some("rs") => {
            let mut modules: Vec<&str> = name.split("::").collect();
            let name = modules.pop().unwrap_or_default();
            module_file_candidates(&project_root().join(file), &modules)
                .iter()
                .any(|path| has_test(&read(path), name))
        }
        Some("py") => source.lines().any(|line| line.starts_with(&format!("def {name}("))),
        Some("go") => source.lines().any(|line| line.starts_with(&format!("func {name}("))),
        // Scripts print the name of each check; the first word of the name is in their source.
        _ => name.split(' ').next().is_some_and(|word| source.contains(word)),
    }
}

#[test]
fn each_named_test_exists() {
    let missing: Vec<String> = read_rows()
        .iter()
        .filter(|row| !test_exists(&row.test))
        .map(|row| format!("{}: {}: {}", row.page, row.feature, row.test))
        .collect();
    assert!(missing.is_empty(), "missing tests:\n{}", missing.join("\n"));
}

#[test]
fn every_page_has_unique_features() {
    let rows = read_rows();
    let pages: BTreeSet<&str> = rows.iter().map(|row| row.page.as_str()).collect();
    assert_eq!(pages, BTreeSet::from(PAGES));
    let features: BTreeSet<(&str, &str)> =
        rows.iter().map(|row| (row.page.as_str(), row.feature.as_str())).collect();
    assert_eq!(features.len(), rows.len());
}

#[test]
fn missing_test_is_not_found() {
    for test in [
        "tests/it/main.rs::feature_matrix::no_such_test",
        "tests/it/main.rs::feature_matrix::test_exists",
        "tests/no_such_file.rs::each_named_test_exists",
        "src/lib.rs::resolve::tests::no_such_test",
        "src/lib.rs::no_such_module::tests::all_errors_are_reported_together",
        "tests/interop/test_interop.py::test_no_such",
        "each_named_test_exists",
    ] {
        assert!(!test_exists(test), "{test}");
    }
    assert!(test_exists("tests/it/main.rs::feature_matrix::each_named_test_exists"));
}
