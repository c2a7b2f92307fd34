//! PKCS#11 modules in the system configuration of p11-kit (pkcs11.conf(5)).
//!
//! Configuration in home directories is ignored: a user must not decide which code the process runs.

use std::collections::BTreeMap;
use std::path::PathBuf;

use crate::base::file;
use crate::sys;

/// Directories of the packages and of the administrator, whose individual settings override those of the
/// packages.
const CONFIG_DIRS: [&str; 2] = ["/usr/share/p11-kit/modules", "/etc/pkcs11/modules"];

/// Program name under which p11-kit's proxy module loads all modules. A module that is disabled for it has no
/// keys for programs: it provides the certificates that the system trusts.
const PROXY_PROGRAM_NAME: &str = "p11-kit-proxy";

/// Configuration of one module.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct ModuleConfig {
    /// Name of the configuration file, without `.module`.
    name: String,
    /// Path of the library.
    pub(super) path: PathBuf,
    priority: i32,
}

impl ModuleConfig {
    /// Whether `name` is the name of its configuration file or, as in RFC 7512, of its library without `lib`
    /// and `.so`.
    pub(super) fn has_name(&self, name: &str) -> bool {
        let stem = self.path.file_stem().and_then(|stem| stem.to_str()).unwrap_or_default();
        let names = [self.name.as_str(), stem, stem.strip_prefix("lib").unwrap_or(stem)];
        names.iter().any(|known| known.eq_ignore_ascii_case(name))
    }

    pub(super) fn name(&self) -> &str {
        &self.name
    }
}

/// Returns all modules that are enabled, in the order in which they are searched.
pub(super) fn configured_modules() -> Vec<ModuleConfig> {
    let program = sys::program_name().unwrap_or_default();
    read_configs(&CONFIG_DIRS.map(PathBuf::from), &library_dirs(), &program)
}

/// Directories that relative module paths refer to in the p11-kit packages of common systems.
fn library_dirs() -> Vec<PathBuf> {
    let triplet = format!("/usr/lib/{}-linux-gnu/pkcs11", std::env::consts::ARCH);
    [triplet.as_str(), "/usr/lib64/pkcs11", "/usr/lib/pkcs11", "/usr/local/lib/pkcs11"]
        .map(PathBuf::from)
        .to_vec()
}

type ModuleSettings = BTreeMap<String, String>;

fn read_configs(dirs: &[PathBuf], libraries: &[PathBuf], program: &str) -> Vec<ModuleConfig> {
    let mut files: BTreeMap<String, ModuleSettings> = BTreeMap::new();
    for path in dirs.iter().filter_map(|dir| std::fs::read_dir(dir).ok()).flatten().flatten() {
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
    // The sort is stable: modules of equal priority stay in the order of their names.
    found.sort_by_key(|module| std::cmp::Reverse(module.priority));
    found
}

/// Parses lines of `name: value`; `#` starts a comment.
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
        let mut names = list.split([',', ' ', '\t']).filter(|name| !name.is_empty());
        Some(names.any(|name| name == program || name == PROXY_PROGRAM_NAME))
    };
    match (lists("enable-in"), lists("disable-in")) {
        (Some(enabled), _) => enabled,
        (None, disabled) => disabled != Some(true),
    }
}

fn resolve_config(name: String, settings: &ModuleSettings, libraries: &[PathBuf]) -> Option<ModuleConfig> {
    let library = settings.get("module").filter(|library| !library.is_empty())?;
    // Joining an absolute path leaves it unchanged.
    let mut candidates = libraries.iter().map(|dir| dir.join(library));
    let path = candidates.clone().find(|candidate| candidate.exists()).or_else(|| candidates.next())?;
    let priority = settings.get("priority").and_then(|number| number.parse().ok()).unwrap_or_default();
    Some(ModuleConfig { name, path, priority })
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use tempfile::TempDir;

    use super::*;

    fn write_configs(files: &[(&str, &str)]) -> (TempDir, Vec<PathBuf>, Vec<PathBuf>) {
        let temp_dir = tempfile::tempdir().unwrap();
        let subdir = |name: &str| temp_dir.path().join(name);
        for name in ["packages", "administrator", "lib", "lib64"] {
            std::fs::create_dir(subdir(name)).unwrap();
        }
        for (name, text) in files {
            std::fs::write(subdir(name), text).unwrap();
        }
        let dirs = vec![subdir("packages"), subdir("administrator"), subdir("nowhere")];
        let libraries = vec![subdir("lib"), subdir("lib64")];
        (temp_dir, dirs, libraries)
    }

    fn module_names(files: &[(&str, &str)], program: &str) -> Vec<String> {
        let (_temp_dir, dirs, libraries) = write_configs(files);
        read_configs(&dirs, &libraries, program).into_iter().map(|module| module.name).collect()
    }

    #[test]
    fn modules_are_sorted_by_priority_and_resolved() {
        let (temp_dir, dirs, libraries) = write_configs(&[
            ("packages/a.module", "# module: x.so\nmodule: /abs/liba.so\n"),
            ("packages/b.module", "module:b.so\npriority: 3\n"),
            ("packages/c.module", "module: c.so\npriority: -1\nx-own: y\n"),
            ("packages/remote.module", "remote: |ssh host\n"),
            ("packages/notes.txt", "module: /abs/notes.so\n"),
            ("lib64/b.so", ""),
        ]);
        let found = read_configs(&dirs, &libraries, "driver");
        let paths: Vec<_> =
            found.iter().map(|module| (module.name.as_str(), module.path.as_path())).collect();
        let (b, c) = (temp_dir.path().join("lib64/b.so"), temp_dir.path().join("lib/c.so"));
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
