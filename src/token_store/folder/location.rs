//! The default folder: a folder of authgrant where the platform keeps caches of a user.

use std::ffi::OsString;
use std::path::PathBuf;

use crate::sys;

/// The default folder. `None` if the environment does not determine one, and in a set-user-ID program, which does
/// not use its environment.
pub(super) fn default_folder() -> Option<PathBuf> {
    cache_folder(sys::env_var, sys::home_dir)
        .filter(|path| path.is_absolute())
        .map(|path| path.join("authgrant"))
}

#[cfg(all(unix, not(target_vendor = "apple")))]
fn cache_folder(
    env_var: impl Fn(&str) -> Option<OsString>,
    home_dir: impl Fn() -> Option<PathBuf>,
) -> Option<PathBuf> {
    // The XDG Base Directory Specification requires that relative paths are ignored.
    let configured = env_var("XDG_CACHE_HOME").map(PathBuf::from).filter(|path| path.is_absolute());
    configured.or_else(|| Some(home_dir()?.join(".cache")))
}

#[cfg(target_vendor = "apple")]
fn cache_folder(
    _: impl Fn(&str) -> Option<OsString>,
    home_dir: impl Fn() -> Option<PathBuf>,
) -> Option<PathBuf> {
    Some(home_dir()?.join("Library/Caches"))
}

#[cfg(not(unix))]
fn cache_folder(
    env_var: impl Fn(&str) -> Option<OsString>,
    _: impl Fn() -> Option<PathBuf>,
) -> Option<PathBuf> {
    env_var("LOCALAPPDATA").map(PathBuf::from)
}

#[cfg(all(test, unix, not(target_vendor = "apple")))]
mod tests {
    use super::*;

    #[test]
    fn cache_folder_follows_xdg_and_home() {
        let folder = |variable: Option<&str>, home: Option<&str>| {
            let variable = variable.map(OsString::from);
            let read = |name: &str| variable.clone().filter(|_| name == "XDG_CACHE_HOME");
            cache_folder(read, || home.map(PathBuf::from)).map(|path| path.display().to_string())
        };
        assert_eq!(folder(Some("/x"), Some("/home/u")).unwrap(), "/x");
        for ignored in [Some("x"), Some(""), None] {
            assert_eq!(folder(ignored, Some("/home/u")).unwrap(), "/home/u/.cache", "{ignored:?}");
            assert_eq!(folder(ignored, None), None);
        }
    }

    #[test]
    fn default_folder_is_in_environment_of_process() {
        let expected = cache_folder(|name| std::env::var_os(name), std::env::home_dir);
        assert_eq!(default_folder(), expected.map(|path| path.join("authgrant")));
    }
}
