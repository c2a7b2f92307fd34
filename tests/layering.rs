//! Checks the module layers of `src/lib.rs`, and those inside `key`: a module uses only modules below it.

use std::collections::{BTreeMap, BTreeSet};
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

/// Layers inside `src/grants`, top layer first. A module uses only modules of lower layers.
const GRANT_LAYERS: &[&[&str]] = &[
    &["mod"],
    &["authorization_code"],
    &[
        "access_token",
        "client_assertion",
        "client_credentials",
        "jwt_bearer",
        "logoff",
        "password",
        "refresh_token",
    ],
    &["signed_jwt"],
    &["token_client"],
    &["rejection"],
    &["token_request"],
    &["retry"],
    &["error_class"],
    &["client_auth", "context", "local_token"],
];

/// The names that follow `prefix` in the paths of `text`: `a` and `b` in `prefix::a::X` and in
/// `prefix::{a, b::{X, Y}}`. A path that ends with the prefix has an empty name.
fn names_after<'a>(text: &'a str, prefix: &str) -> Vec<&'a str> {
    let nesting = |c: char| i32::from(c == '{') - i32::from(c == '}');
    let ends = |c: char| !(c.is_alphanumeric() || c == '_');
    let name = |path: &'a str| path.trim_start().split(ends).next().unwrap();
    let mut names = Vec::new();
    for path in text.split(prefix).skip(1) {
        let path = path.strip_prefix("::").unwrap_or_default();
        let Some(group) = path.strip_prefix('{') else {
            names.push(name(path));
            continue;
        };
        let mut depth = 0;
        let end = group.find(|c| {
            depth += nesting(c);
            depth < 0
        });
        let mut depth = 0;
        let items = group[..end.unwrap()].split(|c| {
            depth += nesting(c);
            depth == 0 && c == ','
        });
        names.extend(items.filter(|item| !item.trim().is_empty()).map(name));
    }
    names
}

#[test]
fn grants_use_only_lower_layers() {
    // Everything else in `crate::grants` is an item of mod.rs.
    let layer_of = |name: &str| GRANT_LAYERS.iter().position(|layer| layer.contains(&name)).unwrap_or(0);
    let mut modules: Vec<_> = GRANT_LAYERS.concat();
    modules.sort_unstable();
    let mut files = module_files("grants");
    files.sort();
    assert_eq!(files.iter().map(|file| file.file_stem().unwrap()).collect::<Vec<_>>(), modules);
    for file in files.iter().filter(|file| !file.ends_with("mod.rs")) {
        let text = without_tests(file);
        let module = file.file_stem().unwrap().to_str().unwrap();
        assert!(!text.contains("crate::{"), "{module} must name crate::grants in one piece");
        let text = text.replace("super::", "crate::grants::");
        for used in names_after(&text, "crate::grants") {
            let is_lower = layer_of(used) > layer_of(module);
            assert!(is_lower, "grants::{module} uses {used:?} of grants, which is not below it");
        }
    }
}

#[test]
fn interner_uses_nothing_of_process() {
    let text = fs::read_to_string(source_dir().join("process/interner.rs")).unwrap();
    assert!(!text.contains("use super") && !text.contains("crate::process"), "it is generic over its values");
}

#[test]
fn names_after_prefix_are_found_in_groups() {
    let text =
        "use p::x::a::B; use p::x::{c, d::{E, F},\n g,\n}; use p::x::{self}; p::x::H::new(); use p::x;";
    assert_eq!(names_after(text, "p::x"), ["a", "c", "d", "g", "self", "H", ""]);
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
    let is_test_file = file.file_name().is_some_and(|name| name.to_string_lossy().ends_with("tests.rs"));
    if file.components().any(|part| part.as_os_str() == "tests") || is_test_file {
        return String::new();
    }
    let text = fs::read_to_string(file).unwrap();
    text.split("mod tests {").next().unwrap().to_owned()
}

/// The layers inside `src/key`, top layer first. Modules of one layer do not use each other.
const KEY_LAYERS: [&[&str]; 11] = [
    &["cache"],
    &["list", "metadata_cache", "open", "trusted_certificates"],
    &["pkcs11"],
    &["signing"],
    &["certificate", "content", "metadata"],
    &["format"],
    &["parsed_key", "private_key", "select"],
    &["crypto"],
    &["asn1", "source"],
    &["callback_signer", "file", "lenient_base64", "pkcs11_uri"],
    &["message"],
];

/// `["format", "pem"]` is `key::format::pem`; the root of `key` is empty.
type KeyModule = Vec<String>;

/// The modules of `src/key` without tests, and their text without comments and tests.
fn key_modules() -> BTreeMap<KeyModule, String> {
    let root = source_dir().join("key");
    let read = |file: PathBuf| {
        let path = file.strip_prefix(&root).unwrap().with_extension("");
        let mut module: KeyModule = path.iter().map(|name| name.to_str().unwrap().to_owned()).collect();
        module.pop_if(|name| name == "mod");
        let source = without_tests(&file);
        let code: Vec<_> = source.lines().map(|line| line.split("//").next().unwrap()).collect();
        (module, code.join("\n"))
    };
    let is_test =
        |module: &KeyModule| module.first().is_some_and(|name| name == "tests" || name == "fixtures");
    module_files("key").into_iter().map(read).filter(|(module, _)| !is_test(module)).collect()
}

fn is_name_char(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

/// The texts that follow each path prefix `prefix` in `text`, including the prefix.
fn paths_from<'a>(text: &'a str, prefix: &str) -> impl Iterator<Item = &'a str> {
    let is_path_start = |index: &usize| !text[..*index].ends_with(|c| is_name_char(c) || c == ':');
    text.match_indices(prefix).map(|(index, _)| index).filter(is_path_start).map(|index| &text[index..])
}

/// Expands the path at the beginning of `text`, such as `crate::key::{file, format::pem}`, to the paths of its
/// items; also returns the rest of the text.
fn expand_path(text: &str) -> (Vec<Vec<String>>, &str) {
    let mut path = Vec::new();
    let mut rest = text;
    while !rest.starts_with('{') {
        let (name, after) = rest.split_at(rest.find(|c| !is_name_char(c)).unwrap_or(rest.len()));
        path.push(name.to_owned());
        match after.strip_prefix("::") {
            Some(next) => rest = next,
            None => return (vec![path], after),
        }
    }
    let mut paths = Vec::new();
    while !rest.starts_with('}') {
        let (items, after) = expand_path(rest[1..].trim_start());
        paths.extend(items.into_iter().map(|item| [path.clone(), item].concat()));
        rest = &after[after.find([',', '}']).unwrap()..];
    }
    (paths, &rest[1..])
}

/// The modules of `key` that `module` uses, apart from itself.
fn key_modules_used(module: &KeyModule, modules: &BTreeMap<KeyModule, String>) -> BTreeSet<KeyModule> {
    let text = &modules[module];
    let to_module = |path: Vec<String>| {
        let parents = path.iter().take_while(|name| *name == "super").count();
        let mut used = match path[0].as_str() {
            "super" => [&module[..module.len() - parents], &path[parents..]].concat(),
            _ => path[2..].to_vec(),
        };
        while !modules.contains_key(&used) {
            used.pop();
        }
        used
    };
    // `pub(in crate::key)` is not a use.
    let from_root = ["crate::key::", "crate::key;"].into_iter().flat_map(|prefix| paths_from(text, prefix));
    let paths = from_root.chain(paths_from(text, "super::")).flat_map(|path| expand_path(path).0);
    let is_child = |other: &&KeyModule| other.len() == module.len() + 1 && other.starts_with(module);
    let children = modules.keys().filter(is_child).filter(|child| {
        let prefix = format!("{}::", child.last().unwrap());
        paths_from(text, &prefix).next().is_some()
    });
    paths.map(to_module).chain(children.cloned()).filter(|used| used != module).collect()
}

#[test]
fn key_modules_use_only_lower_layers() {
    let modules = key_modules();
    let layer_of = |name: &str| KEY_LAYERS.iter().position(|layer| layer.contains(&name));
    for module in modules.keys().filter(|module| !module.is_empty()) {
        let layer = layer_of(&module[0]);
        assert!(layer.is_some(), "{} is in no layer", module[0]);
        for used in key_modules_used(module, &modules) {
            assert!(!used.is_empty(), "{module:?} uses an item of key/mod.rs");
            let is_allowed = used[0] == module[0] || layer_of(&used[0]) > layer;
            assert!(is_allowed, "{module:?} uses {used:?}, which is not in a lower layer");
        }
    }
    let is_module = |name: &&str| modules.contains_key(&vec![(*name).to_owned()]);
    assert!(KEY_LAYERS.concat().iter().all(is_module), "a layer has a module that does not exist");
}

#[test]
fn key_modules_have_no_cycle() {
    let modules = key_modules();
    let mut uses: BTreeMap<_, _> =
        modules.keys().map(|module| (module, key_modules_used(module, &modules))).collect();
    assert!(uses.values().map(BTreeSet::len).sum::<usize>() > 100, "{uses:?}");
    // Modules that use no remaining module are removed until only cycles and their users remain.
    loop {
        let remaining: BTreeSet<_> = uses.keys().map(|module| (*module).clone()).collect();
        uses.retain(|_, used| !used.is_disjoint(&remaining));
        if uses.len() == remaining.len() {
            break;
        }
    }
    assert!(uses.is_empty(), "cycle in {uses:#?}");
}

/// Control flow matches on `ErrorKind`. Status, SQLSTATE and message are made of it for reports only.
#[test]
fn control_flow_matches_on_error_kinds() {
    let is_report = |file: &Path| {
        let path = file.strip_prefix(source_dir()).unwrap();
        ["ffi", "report", "base/error.rs", "base/error_kind.rs", "base/stats.rs", "base/status.rs"]
            .iter()
            .any(|report| path.starts_with(report))
    };
    let uses = [".sqlstate()", ".message() ", ".message().", "Status::"];
    for file in module_layers().concat().iter().flat_map(|module| module_files(module)) {
        let text = without_tests(&file).replace("httparse::Status::", "");
        let mut code = text.lines().map(|line| line.split("//").next().unwrap());
        let found = code.find(|line| uses.iter().any(|name| line.contains(name)));
        assert!(found.is_none() || is_report(&file), "{}: {found:?}", file.display());
    }
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
