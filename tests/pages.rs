//! docs/pages.tsv: each feature of the pages that this library is written from, and the test that proves it. Whether that
//! test ran is compared by scripts/pages.sh; here, that there is one.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

const PAGES: [&str; 5] = ["datadirect", "docusign-recipe", "docusign-consent", "webmethods", "jwt-auth"];

struct Row {
    page: String,
    feature: String,
    test: String,
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn rows() -> Vec<Row> {
    let text = fs::read_to_string(root().join("docs/pages.tsv")).unwrap();
    let mut lines = text.lines();
    assert_eq!(lines.next(), Some("page\tfeature\ttest"));
    lines.map(row).collect()
}

fn row(line: &str) -> Row {
    let columns: Vec<&str> = line.split('\t').collect();
    let [page, feature, test] = columns[..] else { panic!("not three columns: {line:?}") };
    assert!(columns.iter().all(|column| !column.trim().is_empty()), "an empty column: {line:?}");
    Row { page: page.to_owned(), feature: feature.to_owned(), test: test.to_owned() }
}

/// Where a test of `modules` may be, seen from the file that is the root of its program: `config::tests` of src/lib.rs is
/// src/config/tests.rs, or in src/config.rs or mod.rs; and a module may stand in the root itself.
fn files_of_module(program: &Path, modules: &[&str]) -> Vec<PathBuf> {
    let folder = program.parent().unwrap_or(program);
    let mut places = vec![program.to_owned()];
    for module in [modules, &modules[..modules.len().saturating_sub(1)]] {
        let path = module.iter().fold(folder.to_owned(), |path, part| path.join(part));
        places.extend([path.with_extension("rs"), path.join("mod.rs")]);
    }
    places.into_iter().filter(|place| place.is_file()).collect()
}

/// Whether `source` has a test function of that name that is not ignored.
fn has_test(source: &str, name: &str) -> bool {
    let lines: Vec<&str> = source.lines().map(str::trim_start).collect();
    let head = format!("fn {name}(");
    lines.iter().position(|line| line.starts_with(&head)).is_some_and(|place| {
        let attributes: Vec<_> =
            lines[..place].iter().rev().take_while(|line| line.starts_with("#[")).collect();
        attributes.iter().any(|line| **line == "#[test]")
            && !attributes.iter().any(|line| line.starts_with("#[ignore"))
    })
}

/// Whether the test is in the source, as far as its kind allows to tell.
fn is_there(test: &str) -> bool {
    let Some((file, name)) = test.split_once("::") else { return false };
    let read = |path: &Path| fs::read_to_string(path).unwrap_or_default();
    let source = read(&root().join(file));
    match Path::new(file).extension().and_then(|extension| extension.to_str()) {
        Some("rs") => {
            let mut modules: Vec<&str> = name.split("::").collect();
            let name = modules.pop().unwrap_or_default();
            files_of_module(&root().join(file), &modules).iter().any(|place| has_test(&read(place), name))
        }
        Some("py") => source.lines().any(|line| line.starts_with(&format!("def {name}("))),
        Some("go") => source.lines().any(|line| line.starts_with(&format!("func {name}("))),
        // These say the name of what they have done; its first word is in their text.
        _ => name.split(' ').next().is_some_and(|word| source.contains(word)),
    }
}

#[test]
fn each_named_test_exists() {
    let missing: Vec<String> = rows()
        .iter()
        .filter(|row| !is_there(&row.test))
        .map(|row| format!("{}: {}: {}", row.page, row.feature, row.test))
        .collect();
    assert!(missing.is_empty(), "there is no such test:\n{}", missing.join("\n"));
}

#[test]
fn every_page_has_its_features_and_none_stands_twice() {
    let rows = rows();
    let pages: BTreeSet<&str> = rows.iter().map(|row| row.page.as_str()).collect();
    assert_eq!(pages, BTreeSet::from(PAGES));
    let features: BTreeSet<(&str, &str)> =
        rows.iter().map(|row| (row.page.as_str(), row.feature.as_str())).collect();
    assert_eq!(features.len(), rows.len());
}

#[test]
fn what_is_not_there_is_not_found() {
    for test in [
        "tests/pages.rs::no_such_test",
        "tests/pages.rs::is_there",
        "tests/no_such_file.rs::each_named_test_exists",
        "src/lib.rs::config::tests::no_such_test",
        "src/lib.rs::no_such_module::tests::all_errors_are_reported_together",
        "tests/interop/test_interop.py::test_no_such",
        "each_named_test_exists",
    ] {
        assert!(!is_there(test), "{test}");
    }
    assert!(is_there("tests/pages.rs::each_named_test_exists"));
}
