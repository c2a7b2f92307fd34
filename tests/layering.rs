//! Checks the module layers of `src/lib.rs`, and those inside `grants`, `key` and `net`: a module uses only
//! modules below it.

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

#[test]
fn interner_uses_nothing_of_process() {
    let text = fs::read_to_string(source_dir().join("process/interner.rs")).unwrap();
    assert!(!text.contains("use super") && !text.contains("crate::process"), "it is generic over its values");
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

/// A folder of `src` whose modules are in layers.
struct Area {
    /// `["net", "http"]` is `src/net/http`.
    path: &'static [&'static str],
    /// Top layer first. Modules of one layer do not use each other, and none uses an item of `mod.rs`.
    layers: &'static [&'static [&'static str]],
}

const GRANTS: Area = Area {
    path: &["grants"],
    layers: &[
        &["authorization_code", "logoff"],
        &[
            "access_token",
            "client_assertion",
            "client_credentials",
            "jwt_bearer",
            "password",
            "refresh_token",
        ],
        &["signed_jwt"],
        &["token_client"],
        &["rejection"],
        &["token_request"],
        &["retry"],
        &["error_class"],
        &["audit"],
        &["client_auth", "context", "local_token"],
    ],
};

const KEY: Area = Area {
    path: &["key"],
    layers: &[
        &["cache"],
        &["list", "metadata_cache", "open", "trusted_certificates"],
        &["pkcs11", "rotation"],
        &["signing"],
        &["certificate", "content", "metadata"],
        &["armor"],
        &["format"],
        &["parsed_key", "private_key", "select"],
        &["crypto"],
        &["asn1", "source"],
        &["shared_secret"],
        &["callback_signer", "file", "lenient_base64", "pkcs11_uri"],
        &["message"],
    ],
};

const NET: Area = Area {
    path: &["net"],
    layers: &[&["http"], &["tls"], &["header_value", "proxy", "socket", "urlencoded"]],
};

const HTTP: Area = Area {
    path: &["net", "http"],
    layers: &[
        &["message"],
        &["transport"],
        &["proxy_tunnel"],
        &["tcp"],
        &["error"],
        &["request_context"],
        &["agent_cache", "buffers", "request"],
    ],
};

/// Modules inside an area that contain tests alone.
const TEST_MODULES: [&str; 3] = ["fixtures", "testing", "tests"];

/// The path of a module below its area: `["format", "pem"]` is `key::format::pem`. That of the area itself is
/// empty.
type Module = Vec<String>;

/// The modules of an area, and their text without comments and tests.
fn read_modules(area: &Area) -> BTreeMap<Module, String> {
    let folder = area.path.join("/");
    let root = source_dir().join(&folder);
    let read = |file: PathBuf| {
        let path = file.strip_prefix(&root).unwrap().with_extension("");
        let mut module: Module = path.iter().map(|name| name.to_str().unwrap().to_owned()).collect();
        module.pop_if(|name| name == "mod");
        let source = without_tests(&file);
        let code: Vec<_> = source.lines().map(|line| line.split("//").next().unwrap()).collect();
        (module, code.join("\n"))
    };
    let is_test = |module: &Module| module.first().is_some_and(|name| TEST_MODULES.contains(&name.as_str()));
    module_files(&folder).into_iter().map(read).filter(|(module, _)| !is_test(module)).collect()
}

fn is_name_char(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

/// The paths in `text` that begin with `prefix`. `pub(in path)` is not a use.
fn paths_from(text: &str, prefix: &str) -> Vec<Vec<String>> {
    let is_path_start = |index: &usize| {
        let before = &text[..*index];
        !before.ends_with(|c| is_name_char(c) || c == ':') && !before.ends_with("pub(in ")
    };
    let starts = text.match_indices(prefix).map(|(index, _)| index).filter(is_path_start);
    starts.flat_map(|index| expand_path(&text[index..]).0).collect()
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

/// The modules of `area` that `module` uses, apart from itself.
fn modules_used_in(area: &Area, module: &Module, modules: &BTreeMap<Module, String>) -> BTreeSet<Module> {
    let text = &modules[module];
    let area_path: Vec<_> = area.path.iter().map(|name| (*name).to_owned()).collect();
    // Below the area; `None` for a path that is not in the area.
    let to_path_in_area = |path: &[String]| {
        let parents = path.iter().take_while(|name| *name == "super").count();
        match path[0].as_str() {
            "super" => {
                let own = module.len().checked_sub(parents)?;
                Some([&module[..own], &path[parents..]].concat())
            }
            "self" => Some([module, &path[1..]].concat()),
            _ => path[1..].strip_prefix(area_path.as_slice()).map(<[String]>::to_vec),
        }
    };
    let to_module = |mut used: Module| {
        while !modules.contains_key(&used) {
            used.pop();
        }
        used
    };
    let paths = ["crate::", "super::", "self::"].into_iter().flat_map(|prefix| paths_from(text, prefix));
    let is_child = |other: &&Module| other.len() == module.len() + 1 && other.starts_with(module);
    let children = modules.keys().filter(is_child).filter(|child| {
        let prefix = format!("{}::", child.last().unwrap());
        !paths_from(text, &prefix).is_empty()
    });
    let in_area = paths.filter_map(|path| to_path_in_area(&path)).map(to_module);
    in_area.chain(children.cloned()).filter(|used| used != module).collect()
}

fn assert_uses_only_lower_layers(area: &Area) {
    let modules = read_modules(area);
    let layer_of = |name: &str| area.layers.iter().position(|layer| layer.contains(&name));
    for module in modules.keys().filter(|module| !module.is_empty()) {
        let layer = layer_of(&module[0]);
        assert!(layer.is_some(), "{} is in no layer", module[0]);
        for used in modules_used_in(area, module, &modules) {
            assert!(!used.is_empty(), "{module:?} uses an item of mod.rs of {:?}", area.path);
            let is_allowed = used[0] == module[0] || layer_of(&used[0]) > layer;
            assert!(is_allowed, "{module:?} uses {used:?}, which is not in a lower layer");
        }
    }
    let is_module = |name: &&str| modules.contains_key(&vec![(*name).to_owned()]);
    assert!(area.layers.concat().iter().all(is_module), "a layer has a module that does not exist");
}

#[test]
fn grants_use_only_lower_layers() {
    assert_uses_only_lower_layers(&GRANTS);
}

#[test]
fn key_modules_use_only_lower_layers() {
    assert_uses_only_lower_layers(&KEY);
}

#[test]
fn net_modules_use_only_lower_layers() {
    assert_uses_only_lower_layers(&NET);
    assert_uses_only_lower_layers(&HTTP);
}

#[test]
fn key_and_net_modules_have_no_cycle() {
    for (area, min_uses) in [(KEY, 100), (NET, 30)] {
        let modules = read_modules(&area);
        let mut uses: BTreeMap<_, _> =
            modules.keys().map(|module| (module, modules_used_in(&area, module, &modules))).collect();
        assert!(uses.values().map(BTreeSet::len).sum::<usize>() > min_uses, "{uses:?}");
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
}

#[test]
fn paths_are_found_in_groups() {
    let text =
        "pub(in crate::p) use crate::p::{self, a::B, c::{D, E}}; use crate::{p, q}; (crate::p::F::new())";
    let found: Vec<_> = paths_from(text, "crate::").iter().map(|path| path[1..].join("::")).collect();
    assert_eq!(found, ["p::self", "p::a::B", "p::c::D", "p::c::E", "p", "q", "p::F::new"]);
}

/// Control flow matches on `ErrorKind`. Status, SQLSTATE and message are made of it for reports only.
#[test]
fn control_flow_matches_on_error_kinds() {
    let is_report = |file: &Path| {
        let path = file.strip_prefix(source_dir()).unwrap();
        [
            "ffi",
            "report",
            "base/audit.rs",
            "base/error.rs",
            "base/error_kind.rs",
            "base/stats.rs",
            "base/status.rs",
        ]
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
