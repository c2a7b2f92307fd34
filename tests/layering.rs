//! Checks the module layers of `src/lib.rs`: a module uses only modules below it.

use std::fs;
use std::path::{Path, PathBuf};

fn source_dir() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("src")
}

/// The layers of `src/lib.rs`, top layer first. Blank lines separate layers; modules of one layer may use each other.
fn module_layers() -> Vec<Vec<String>> {
    let lib = fs::read_to_string(source_dir().join("lib.rs")).unwrap();
    let declarations = &lib[lib.find("pub mod ").unwrap()..];
    let name = |line: &str| line.trim_start_matches("pub mod ").trim_end_matches(';').to_owned();
    declarations.split("\n\n").map(|layer| layer.lines().map(name).collect()).collect()
}

fn module_files(module: &str) -> Vec<PathBuf> {
    let mut files = Vec::new();
    let mut folders = vec![source_dir().join(module)];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() { folders.push(path) } else { files.push(path) }
        }
    }
    files
}

/// The top-level modules that a file names as `crate::module`.
fn modules_used(file: &Path) -> Vec<String> {
    let text = fs::read_to_string(file).unwrap();
    let ends = |c: char| !(c.is_alphanumeric() || c == '_');
    text.split("crate::").skip(1).map(|rest| rest.split(ends).next().unwrap().to_owned()).collect()
}

#[test]
fn modules_use_only_lower_layers() {
    let layers = module_layers();
    assert!(layers.len() > 10, "{layers:?}");
    let layer_of = |module: &str| layers.iter().position(|layer| layer.iter().any(|name| name == module));
    let modules =
        layers.iter().enumerate().flat_map(|(layer, modules)| modules.iter().map(move |name| (layer, name)));
    for (layer, module) in modules {
        for file in module_files(module) {
            for used in modules_used(&file) {
                let Some(used_layer) = layer_of(&used) else { continue };
                assert!(used_layer >= layer, "{} uses {used}, which is above {module}", file.display());
            }
        }
    }
}

#[test]
fn every_folder_has_mod_rs() {
    let mut folders: Vec<PathBuf> =
        module_layers().concat().iter().map(|module| source_dir().join(module)).collect();
    while let Some(folder) = folders.pop() {
        assert!(folder.join("mod.rs").is_file(), "{} has no mod.rs", folder.display());
        folders.extend(
            fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).filter(|path| path.is_dir()),
        );
    }
}

#[test]
fn unsafe_only_in_ffi_and_sys() {
    for module in module_layers().concat() {
        for file in module_files(&module) {
            let text = fs::read_to_string(&file).unwrap();
            let allowed = module == "ffi" || module == "sys";
            assert!(allowed || !text.contains("allow(unsafe_code"), "{}", file.display());
        }
    }
}

/// The text of a source file without its unit tests.
fn without_tests(file: &Path) -> String {
    if file.components().any(|part| part.as_os_str() == "tests") || file.ends_with("tests.rs") {
        return String::new();
    }
    let text = fs::read_to_string(file).unwrap();
    text.split("mod tests {").next().unwrap().to_owned()
}

#[test]
fn environment_is_read_only_in_sys() {
    let calls = [
        "env::var",
        "env::vars",
        "env::home_dir",
        "args_os",
        "env::args",
        "env::temp_dir",
        "getenv",
        "getpwuid",
        "current_exe",
    ];
    for module in module_layers().concat().into_iter().filter(|module| module != "sys") {
        for file in module_files(&module) {
            let text = without_tests(&file);
            let found = calls.iter().find(|call| text.contains(*call));
            assert_eq!(found, None, "{} must call crate::sys instead", file.display());
        }
    }
}
