//! Where the files of data sources stand, by the rules of unixODBC and of iODBC.
//!
//! What the process says about it, variables and home directory, comes through [`Environment`], so that a test can say
//! something else without touching the process that it runs in.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use crate::base::secret::Secret;
use crate::net::proxy::ProxyEnv;
use crate::sys;

/// The variables that name a proxy for https, the first that is set counts. http_proxy is for http://, which goes to this
/// machine alone.
const PROXY_VARIABLES: [&str; 4] = ["https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"];

/// What the lookup asks of its surroundings.
pub trait Environment {
    /// An environment variable, if it is set and not empty.
    fn variable(&self, name: &str) -> Option<OsString>;
    /// The user's home directory.
    fn home(&self) -> Option<PathBuf>;
    /// The folders in which the machine's own files may stand, the likeliest first.
    fn system_folders(&self) -> Vec<PathBuf>;
}

/// The surroundings of this process. Home is `$HOME` (iODBC's rule), else what the system knows of the user
/// (unixODBC's). A set-user-ID program has neither variables nor a home.
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
        // /etc is where both managers look when nothing else was configured; openSUSE configured the other.
        let unix = cfg!(unix).then_some(["/etc", "/etc/unixODBC"]);
        apple.into_iter().chain(unix.into_iter().flatten()).map(PathBuf::from).collect()
    }
}

/// What the surroundings say of proxies. Read once, when a connection is opened: a program that changes its environment
/// later on does not move connections that it has.
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

/// The user's own file of that name, `odbc.ini` or `odbcinst.ini`, wherever it may stand.
fn home_files(environment: &dyn Environment, name: &str) -> Vec<PathBuf> {
    let Some(home) = environment.home() else { return Vec::new() };
    let apple = cfg!(target_os = "macos").then(|| home.join("Library/ODBC").join(name));
    apple.into_iter().chain([home.join(format!(".{name}"))]).collect()
}

/// The user's odbc.ini: the first of these that can be read.
pub(super) fn user_odbc_ini_paths(environment: &dyn Environment) -> Vec<PathBuf> {
    variable_path(environment, "ODBCINI").into_iter().chain(home_files(environment, "odbc.ini")).collect()
}

/// The machine's odbc.ini: the first of these that can be read. ODBCSYSINI, a folder, stands for all that was compiled
/// in, as with unixODBC; SYSODBCINI, a file, is iODBC's.
pub(super) fn system_odbc_ini_paths(environment: &dyn Environment) -> Vec<PathBuf> {
    let chosen = variable_path(environment, "ODBCSYSINI");
    let built_in = if chosen.is_some() { Vec::new() } else { environment.system_folders() };
    let mut files: Vec<_> = chosen.iter().map(|folder| folder.join("odbc.ini")).collect();
    files.extend(variable_path(environment, "SYSODBCINI"));
    files.extend(built_in.iter().map(|folder| folder.join("odbc.ini")));
    files
}

/// The machine's folders, by unixODBC's rule.
fn odbc_system_folders(environment: &dyn Environment) -> Vec<PathBuf> {
    variable_path(environment, "ODBCSYSINI")
        .map_or_else(|| environment.system_folders(), |folder| vec![folder])
}

/// The files that may say where file DSNs stand. ODBCINSTINI is a path for iODBC and a file's name for unixODBC.
pub(super) fn odbcinst_ini_paths(environment: &dyn Environment) -> Vec<PathBuf> {
    let said = variable_path(environment, "ODBCINSTINI").unwrap_or_else(|| PathBuf::from("odbcinst.ini"));
    let mut files: Vec<_> = has_folder(&said).then(|| said.clone()).into_iter().collect();
    files.extend(home_files(environment, "odbcinst.ini"));
    files.extend(variable_path(environment, "SYSODBCINSTINI"));
    let name = said.file_name().unwrap_or(said.as_os_str());
    files.extend(odbc_system_folders(environment).iter().map(|folder| folder.join(name)));
    files
}

/// Where a file DSN may stand: the first of these that is there. `said` gives the folder that an odbcinst.ini names.
pub(super) fn file_dsn_paths(
    environment: &dyn Environment,
    name: &str,
    said: impl FnOnce() -> Option<PathBuf>,
) -> Vec<PathBuf> {
    let given = Path::new(name);
    if has_folder(given) {
        return [vec![given.to_owned()], with_dsn_suffix(given)].concat();
    }
    let folders = match variable_path(environment, "FILEDSNPATH").or_else(said) {
        Some(folder) => vec![folder],
        None => {
            odbc_system_folders(environment).iter().map(|folder| folder.join("ODBCDataSources")).collect()
        }
    };
    let in_folder = |folder: PathBuf| {
        let file = folder.join(given);
        with_dsn_suffix(&file).into_iter().next().unwrap_or(file)
    };
    folders.into_iter().map(in_folder).collect()
}

/// Whether it says more than a file's name.
pub(super) fn has_folder(path: &Path) -> bool {
    path.components().nth(1).is_some() || path.has_root()
}

/// The path with `.dsn` behind it, unless it has that already.
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

    /// Surroundings that a test makes up.
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
        let last = |made: FakeEnvironment| odbcinst_ini_paths(&made).pop().unwrap();
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
        let found = |made: &FakeEnvironment, name: &str| file_dsn_paths(made, name, || None);
        assert_eq!(found(&fake_environment(), "/x/a.DSN"), paths(&["/x/a.DSN"]));
        assert_eq!(found(&fake_environment(), "./a"), paths(&["./a", "./a.dsn"]));
        assert_eq!(found(&fake_environment(), "a"), paths(&["/etc/ODBCDataSources/a.dsn"]));
        assert_eq!(found(&fake_environment(), "a.b"), paths(&["/etc/ODBCDataSources/a.b.dsn"]));
        assert_eq!(
            found(&fake_environment().with_variable("ODBCSYSINI", "/s"), "a.dsn"),
            paths(&["/s/ODBCDataSources/a.dsn"])
        );
        assert_eq!(
            file_dsn_paths(&fake_environment(), "a", || Some("/said".into())),
            paths(&["/said/a.dsn"])
        );
        let variable = fake_environment().with_variable("FILEDSNPATH", "/v");
        assert_eq!(file_dsn_paths(&variable, "a", || Some("/said".into())), paths(&["/v/a.dsn"]));
    }
}
