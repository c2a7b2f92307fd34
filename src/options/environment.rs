//! Search paths for `odbc.ini`, `odbcinst.ini` and `.dsn` files, by the rules of unixODBC and of iODBC.
//!
//! Environment variables and the home directory are read through [`Environment`], so that tests can replace
//! them without changing the process environment.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use crate::base::secret::Secret;
use crate::net::proxy::ProxyEnv;
use crate::sys;

/// The environment variables for the https proxy; the first one that is set is used. http_proxy is not read,
/// because http:// is allowed for loopback addresses only.
const PROXY_VARIABLES: [&str; 4] = ["https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"];

/// The parts of the process environment on which the search depends.
pub trait Environment {
    /// An environment variable, if it is set and not empty.
    fn variable(&self, name: &str) -> Option<OsString>;
    /// The user's home directory.
    fn home(&self) -> Option<PathBuf>;
    /// The directories that may contain the system-wide files, in search order.
    fn system_folders(&self) -> Vec<PathBuf>;
}

/// The environment of this process. The home directory is `$HOME` (iODBC's rule), else that of the user
/// database (unixODBC's rule). In a set-user-ID program there are neither variables nor a home directory.
#[derive(Clone, Copy, Debug, Default)]
pub struct ProcessEnvironment;

impl Environment for ProcessEnvironment {
    fn variable(&self, name: &str) -> Option<OsString> {
        sys::env_var(name).filter(|value| !value.is_empty())
    }

    fn home(&self) -> Option<PathBuf> {
        sys::home_dir()
    }

    fn system_folders(&self) -> Vec<PathBuf> {
        let apple = cfg!(target_os = "macos").then_some("/Library/ODBC");
        // /etc is the default of both driver managers; openSUSE configures /etc/unixODBC.
        let unix = cfg!(unix).then_some(["/etc", "/etc/unixODBC"]);
        apple.into_iter().chain(unix.into_iter().flatten()).map(PathBuf::from).collect()
    }
}

/// Reads the proxy variables. Called once, when a connection is opened: later changes of the environment do
/// not affect open connections.
pub(super) fn read_proxy_env(environment: &dyn Environment) -> ProxyEnv {
    let text = |name: &str| Some(environment.variable(name)?.to_string_lossy().into_owned());
    ProxyEnv {
        proxy: PROXY_VARIABLES.into_iter().find_map(|name| Some((name, Secret::new(text(name)?)))),
        no_proxy: text("no_proxy").or_else(|| text("NO_PROXY")).unwrap_or_default(),
    }
}

fn variable_path(environment: &dyn Environment, variable: &str) -> Option<PathBuf> {
    environment.variable(variable).map(PathBuf::from)
}

/// The possible paths of a file in the home directory; `name` is `odbc.ini` or `odbcinst.ini`.
fn home_files(environment: &dyn Environment, name: &str) -> Vec<PathBuf> {
    let Some(home) = environment.home() else { return Vec::new() };
    let apple = cfg!(target_os = "macos").then(|| home.join("Library/ODBC").join(name));
    apple.into_iter().chain([home.join(format!(".{name}"))]).collect()
}

/// The possible paths of the user's odbc.ini; the first readable one is used.
pub(super) fn user_odbc_ini_paths(environment: &dyn Environment) -> Vec<PathBuf> {
    variable_path(environment, "ODBCINI").into_iter().chain(home_files(environment, "odbc.ini")).collect()
}

/// The possible paths of the system-wide odbc.ini; the first readable one is used. The directory ODBCSYSINI
/// replaces the built-in directories, as in unixODBC; the file SYSODBCINI is from iODBC.
pub(super) fn system_odbc_ini_paths(environment: &dyn Environment) -> Vec<PathBuf> {
    let configured = variable_path(environment, "ODBCSYSINI");
    let built_in = if configured.is_some() { Vec::new() } else { environment.system_folders() };
    let mut files: Vec<_> = configured.iter().map(|folder| folder.join("odbc.ini")).collect();
    files.extend(variable_path(environment, "SYSODBCINI"));
    files.extend(built_in.iter().map(|folder| folder.join("odbc.ini")));
    files
}

/// The system-wide directories, by unixODBC's rule.
fn odbc_system_folders(environment: &dyn Environment) -> Vec<PathBuf> {
    variable_path(environment, "ODBCSYSINI")
        .map_or_else(|| environment.system_folders(), |folder| vec![folder])
}

/// The files that may set the directory of file DSNs. ODBCINSTINI is a path in iODBC and a file name in
/// unixODBC.
pub(super) fn odbcinst_ini_paths(environment: &dyn Environment) -> Vec<PathBuf> {
    let configured =
        variable_path(environment, "ODBCINSTINI").unwrap_or_else(|| PathBuf::from("odbcinst.ini"));
    let mut files: Vec<_> = has_folder(&configured).then(|| configured.clone()).into_iter().collect();
    files.extend(home_files(environment, "odbcinst.ini"));
    files.extend(variable_path(environment, "SYSODBCINSTINI"));
    let name = configured.file_name().unwrap_or(configured.as_os_str());
    files.extend(odbc_system_folders(environment).iter().map(|folder| folder.join(name)));
    files
}

/// The possible paths of a file DSN; the first existing one is used. `configured_folder` returns the
/// directory from odbcinst.ini.
pub(super) fn file_dsn_paths(
    environment: &dyn Environment,
    name: &str,
    configured_folder: impl FnOnce() -> Option<PathBuf>,
) -> Vec<PathBuf> {
    let path = Path::new(name);
    if has_folder(path) {
        return [vec![path.to_owned()], with_dsn_suffix(path)].concat();
    }
    let folders = match variable_path(environment, "FILEDSNPATH").or_else(configured_folder) {
        Some(folder) => vec![folder],
        None => {
            odbc_system_folders(environment).iter().map(|folder| folder.join("ODBCDataSources")).collect()
        }
    };
    let in_folder = |folder: PathBuf| {
        let file = folder.join(path);
        with_dsn_suffix(&file).into_iter().next().unwrap_or(file)
    };
    folders.into_iter().map(in_folder).collect()
}

/// Whether the path has more components than a file name.
pub(super) fn has_folder(path: &Path) -> bool {
    path.components().nth(1).is_some() || path.has_root()
}

/// The path with the suffix `.dsn` appended; empty if it already has the suffix.
fn with_dsn_suffix(path: &Path) -> Vec<PathBuf> {
    if path.extension().is_some_and(|suffix| suffix.eq_ignore_ascii_case("dsn")) {
        return Vec::new();
    }
    let mut name = path.as_os_str().to_owned();
    name.push(".dsn");
    vec![PathBuf::from(name)]
}

#[cfg(test)]
pub(crate) mod testing {
    use std::collections::HashMap;

    use super::*;

    /// An environment with the values that a test sets.
    #[derive(Default)]
    pub struct FakeEnvironment {
        pub variables: HashMap<&'static str, OsString>,
        pub home: Option<PathBuf>,
        pub system_folders: Vec<PathBuf>,
    }

    impl FakeEnvironment {
        pub fn with_variable(mut self, name: &'static str, value: impl Into<OsString>) -> Self {
            self.variables.insert(name, value.into());
            self
        }
    }

    impl Environment for FakeEnvironment {
        fn variable(&self, name: &str) -> Option<OsString> {
            self.variables.get(name).cloned()
        }

        fn home(&self) -> Option<PathBuf> {
            self.home.clone()
        }

        fn system_folders(&self) -> Vec<PathBuf> {
            self.system_folders.clone()
        }
    }
}

#[cfg(all(test, unix))]
mod tests {
    use super::testing::FakeEnvironment;
    use super::*;

    fn fake_environment() -> FakeEnvironment {
        FakeEnvironment {
            home: Some("/home/u".into()),
            system_folders: vec!["/etc".into()],
            ..FakeEnvironment::default()
        }
    }

    fn paths(paths: &[&str]) -> Vec<PathBuf> {
        paths.iter().map(PathBuf::from).collect()
    }

    #[test]
    #[cfg(not(target_os = "macos"))]
    fn user_odbc_ini_is_odbcini_or_home() {
        assert_eq!(user_odbc_ini_paths(&fake_environment()), paths(&["/home/u/.odbc.ini"]));
        assert_eq!(
            user_odbc_ini_paths(&fake_environment().with_variable("ODBCINI", "/x/my.ini")),
            paths(&["/x/my.ini", "/home/u/.odbc.ini"])
        );
    }

    #[test]
    fn odbcsysini_replaces_etc_sysodbcini_precedes_it() {
        assert_eq!(system_odbc_ini_paths(&fake_environment()), paths(&["/etc/odbc.ini"]));
        assert_eq!(
            system_odbc_ini_paths(&fake_environment().with_variable("ODBCSYSINI", "/x")),
            paths(&["/x/odbc.ini"])
        );
        assert_eq!(
            system_odbc_ini_paths(&fake_environment().with_variable("SYSODBCINI", "/x/s")),
            paths(&["/x/s", "/etc/odbc.ini"])
        );
    }

    #[test]
    fn odbcinstini_is_path_or_system_file_name() {
        let last = |environment: FakeEnvironment| odbcinst_ini_paths(&environment).pop().unwrap();
        assert_eq!(last(fake_environment()), Path::new("/etc/odbcinst.ini"));
        assert_eq!(
            last(fake_environment().with_variable("ODBCINSTINI", "own.ini")),
            Path::new("/etc/own.ini")
        );
        assert_eq!(
            odbcinst_ini_paths(&fake_environment().with_variable("ODBCINSTINI", "/x/own.ini"))[0],
            Path::new("/x/own.ini")
        );
    }

    #[test]
    fn file_dsn_is_path_or_searched_name() {
        let candidates =
            |environment: &FakeEnvironment, name: &str| file_dsn_paths(environment, name, || None);
        assert_eq!(candidates(&fake_environment(), "/x/a.DSN"), paths(&["/x/a.DSN"]));
        assert_eq!(candidates(&fake_environment(), "./a"), paths(&["./a", "./a.dsn"]));
        assert_eq!(candidates(&fake_environment(), "a"), paths(&["/etc/ODBCDataSources/a.dsn"]));
        assert_eq!(candidates(&fake_environment(), "a.b"), paths(&["/etc/ODBCDataSources/a.b.dsn"]));
        assert_eq!(
            candidates(&fake_environment().with_variable("ODBCSYSINI", "/s"), "a.dsn"),
            paths(&["/s/ODBCDataSources/a.dsn"])
        );
        assert_eq!(
            file_dsn_paths(&fake_environment(), "a", || Some("/configured".into())),
            paths(&["/configured/a.dsn"])
        );
        let variable = fake_environment().with_variable("FILEDSNPATH", "/v");
        assert_eq!(file_dsn_paths(&variable, "a", || Some("/configured".into())), paths(&["/v/a.dsn"]));
    }
}
