//! The modules that this machine is configured with, as p11-kit reads them (pkcs11.conf(5)).
//!
//! Those of the system alone: what stands in somebody's home directory is not the host's word on which code it runs.

use std::collections::BTreeMap;
use std::path::PathBuf;

use crate::base::file;
use crate::sys;

/// Where packages put their configuration, and where administrators change it: the latter wins, setting by setting.
const CONFIG_DIRS: [&str; 2] = ["/usr/share/p11-kit/modules", "/etc/pkcs11/modules"];

/// Under which name p11-kit itself hands out all modules together. What is kept from it has no keys for programs: the
/// certificates that the system trusts.
const PROXY_PROGRAM_NAME: &str = "p11-kit-proxy";

/// One module.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct ModuleConfig {
    /// The name of its file, without `.module`.
    name: String,
    /// The library.
    pub(super) path: PathBuf,
    priority: i32,
}

impl ModuleConfig {
    /// Whether it is called `name`: by its configuration or, as RFC 7512 has it, by its library without `lib` and `.so`.
    pub(super) fn has_name(&self, name: &str) -> bool {
        let stem = self.path.file_stem().and_then(|stem| stem.to_str()).unwrap_or_default();
        let names = [self.name.as_str(), stem, stem.strip_prefix("lib").unwrap_or(stem)];
        names.iter().any(|known| known.eq_ignore_ascii_case(name))
    }

    pub(super) fn name(&self) -> &str {
        &self.name
    }
}

/// All of them, in the order in which they are asked.
pub(super) fn configured_modules() -> Vec<ModuleConfig> {
    let program = sys::program_name().unwrap_or_default();
    read_configs(&CONFIG_DIRS.map(PathBuf::from), &library_dirs(), &program)
}

/// Where a relative path of the configuration is meant from, as p11-kit is built on the systems that have it.
fn library_dirs() -> Vec<PathBuf> {
    let triplet = format!("/usr/lib/{}-linux-gnu/pkcs11", std::env::consts::ARCH);
    [triplet.as_str(), "/usr/lib64/pkcs11", "/usr/lib/pkcs11", "/usr/local/lib/pkcs11"]
        .map(PathBuf::from)
        .to_vec()
}

type ModuleSettings = BTreeMap<String, String>;

fn read_configs(folders: &[PathBuf], libraries: &[PathBuf], program: &str) -> Vec<ModuleConfig> {
    let mut files: BTreeMap<String, ModuleSettings> = BTreeMap::new();
    for path in folders.iter().filter_map(|folder| std::fs::read_dir(folder).ok()).flatten().flatten() {
        let path = path.path();
        let name = path.file_name().and_then(|name| name.to_str()?.strip_suffix(".module"));
        if let Some(name) = name
            && let Ok((content, _)) = file::read_file(&path)
        {
            files
                .entry(name.to_owned())
                .or_default()
                .extend(parse_settings(&String::from_utf8_lossy(&content)));
        }
    }
    let mut found: Vec<_> = files
        .into_iter()
        .filter(|(_, settings)| is_enabled(settings, program))
        .filter_map(|(name, settings)| resolve_config(name, &settings, libraries))
        .collect();
    // The sort is stable: of equal ones, the first by name.
    found.sort_by_key(|module| std::cmp::Reverse(module.priority));
    found
}

/// `name: value` in lines; `#` begins a comment.
fn parse_settings(text: &str) -> impl Iterator<Item = (String, String)> {
    let lines = text.lines().map(str::trim).filter(|line| !line.starts_with('#'));
    lines.filter_map(|line| {
        let (name, value) = line.split_once(':')?;
        Some((name.trim().to_owned(), value.trim().to_owned()))
    })
}

fn is_enabled(settings: &ModuleSettings, program: &str) -> bool {
    let lists = |name: &str| {
        let list = settings.get(name)?;
        let mut words = list.split([',', ' ', '\t']).filter(|word| !word.is_empty());
        Some(words.any(|word| word == program || word == PROXY_PROGRAM_NAME))
    };
    match (lists("enable-in"), lists("disable-in")) {
        (Some(enabled), _) => enabled,
        (None, disabled) => disabled != Some(true),
    }
}

fn resolve_config(name: String, settings: &ModuleSettings, libraries: &[PathBuf]) -> Option<ModuleConfig> {
    let library = settings.get("module").filter(|library| !library.is_empty())?;
    // An absolute one stays as it is.
    let mut places = libraries.iter().map(|folder| folder.join(library));
    let path = places.clone().find(|place| place.exists()).or_else(|| places.next())?;
    let priority = settings.get("priority").and_then(|number| number.parse().ok()).unwrap_or_default();
    Some(ModuleConfig { name, path, priority })
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use tempfile::TempDir;

    use super::*;

    fn write_configs(files: &[(&str, &str)]) -> (TempDir, Vec<PathBuf>, Vec<PathBuf>) {
        let place = tempfile::tempdir().unwrap();
        let folder = |name: &str| place.path().join(name);
        for name in ["packages", "administrator", "lib", "lib64"] {
            std::fs::create_dir(folder(name)).unwrap();
        }
        for (name, text) in files {
            std::fs::write(folder(name), text).unwrap();
        }
        let folders = vec![folder("packages"), folder("administrator"), folder("nowhere")];
        let libraries = vec![folder("lib"), folder("lib64")];
        (place, folders, libraries)
    }

    fn module_names(files: &[(&str, &str)], program: &str) -> Vec<String> {
        let (_place, folders, libraries) = write_configs(files);
        read_configs(&folders, &libraries, program).into_iter().map(|module| module.name).collect()
    }

    #[test]
    fn modules_are_sorted_by_priority_and_resolved() {
        let (place, folders, libraries) = write_configs(&[
            ("packages/a.module", "# module: x.so\nmodule: /abs/liba.so\n"),
            ("packages/b.module", "module:b.so\npriority: 3\n"),
            ("packages/c.module", "module: c.so\npriority: -1\nx-own: y\n"),
            ("packages/remote.module", "remote: |ssh host\n"),
            ("packages/notes.txt", "module: /abs/notes.so\n"),
            ("lib64/b.so", ""),
        ]);
        let found = read_configs(&folders, &libraries, "driver");
        let paths: Vec<_> =
            found.iter().map(|module| (module.name.as_str(), module.path.as_path())).collect();
        let (b, c) = (place.path().join("lib64/b.so"), place.path().join("lib/c.so"));
        assert_eq!(paths, [("b", b.as_path()), ("a", Path::new("/abs/liba.so")), ("c", c.as_path())]);
        assert!(found[1].has_name("A") && found[1].has_name("liba") && !found[1].has_name("liba.so"));
    }

    #[test]
    fn administrator_settings_override_package_settings() {
        let package = ("packages/a.module", "module: /abs/a.so\npriority: 5");
        let other = ("packages/b.module", "module: /abs/b.so\n");
        let change = |text| [package, other, ("administrator/a.module", text)];
        assert_eq!(module_names(&change("priority: -5"), "driver"), ["b", "a"]);
        assert_eq!(module_names(&change("enable-in:"), "driver"), ["b"]);
        assert_eq!(module_names(&change("module:"), "driver"), ["b"]);
    }

    #[test]
    fn enable_in_and_disable_in_filter_programs() {
        let with = |line: &str| {
            module_names(&[("packages/a.module", &format!("module: /a.so\n{line}"))], "driver").len()
        };
        assert_eq!(with("enable-in: p11-kit-proxy, firefox"), 1);
        assert_eq!(with("enable-in: firefox driver"), 1);
        assert_eq!(with("enable-in: firefox"), 0);
        assert_eq!(with("disable-in: firefox"), 1);
        assert_eq!(with("disable-in: firefox, driver"), 0);
        assert_eq!(with("disable-in: p11-kit-proxy"), 0);
    }
}
