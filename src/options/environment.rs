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
const PROXIES: [&str; 4] = ["https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"];

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
pub(super) fn proxies(environment: &dyn Environment) -> ProxyEnv {
    let text = |name: &str| Some(environment.variable(name)?.to_string_lossy().into_owned());
    ProxyEnv {
        proxy: PROXIES.into_iter().find_map(|name| Some((name, Secret::new(text(name)?)))),
        no_proxy: text("no_proxy").or_else(|| text("NO_PROXY")).unwrap_or_default(),
    }
}

fn path(environment: &dyn Environment, variable: &str) -> Option<PathBuf> {
    environment.variable(variable).map(PathBuf::from)
}

/// The user's own file of that name, `odbc.ini` or `odbcinst.ini`, wherever it may stand.
fn in_home(environment: &dyn Environment, name: &str) -> Vec<PathBuf> {
    let Some(home) = environment.home() else { return Vec::new() };
    let apple = cfg!(target_os = "macos").then(|| home.join("Library/ODBC").join(name));
    apple.into_iter().chain([home.join(format!(".{name}"))]).collect()
}

/// The user's odbc.ini: the first of these that can be read.
pub(super) fn user_files(environment: &dyn Environment) -> Vec<PathBuf> {
    path(environment, "ODBCINI").into_iter().chain(in_home(environment, "odbc.ini")).collect()
}

/// The machine's odbc.ini: the first of these that can be read. ODBCSYSINI, a folder, stands for all that was compiled
/// in, as with unixODBC; SYSODBCINI, a file, is iODBC's.
pub(super) fn system_files(environment: &dyn Environment) -> Vec<PathBuf> {
    let chosen = path(environment, "ODBCSYSINI");
    let built_in = if chosen.is_some() { Vec::new() } else { environment.system_folders() };
    let mut files: Vec<_> = chosen.iter().map(|folder| folder.join("odbc.ini")).collect();
    files.extend(path(environment, "SYSODBCINI"));
    files.extend(built_in.iter().map(|folder| folder.join("odbc.ini")));
    files
}

/// The machine's folders, by unixODBC's rule.
fn system_folders(environment: &dyn Environment) -> Vec<PathBuf> {
    path(environment, "ODBCSYSINI").map_or_else(|| environment.system_folders(), |folder| vec![folder])
}

/// The files that may say where file DSNs stand. ODBCINSTINI is a path for iODBC and a file's name for unixODBC.
pub(super) fn driver_files(environment: &dyn Environment) -> Vec<PathBuf> {
    let said = path(environment, "ODBCINSTINI").unwrap_or_else(|| PathBuf::from("odbcinst.ini"));
    let mut files: Vec<_> = has_folder(&said).then(|| said.clone()).into_iter().collect();
    files.extend(in_home(environment, "odbcinst.ini"));
    files.extend(path(environment, "SYSODBCINSTINI"));
    let name = said.file_name().unwrap_or(said.as_os_str());
    files.extend(system_folders(environment).iter().map(|folder| folder.join(name)));
    files
}

/// Where a file DSN may stand: the first of these that is there. `said` gives the folder that an odbcinst.ini names.
pub(super) fn file_dsns(
    environment: &dyn Environment,
    name: &str,
    said: impl FnOnce() -> Option<PathBuf>,
) -> Vec<PathBuf> {
    let given = Path::new(name);
    if has_folder(given) {
        return [vec![given.to_owned()], with_suffix(given)].concat();
    }
    let folders = match path(environment, "FILEDSNPATH").or_else(said) {
        Some(folder) => vec![folder],
        None => system_folders(environment).iter().map(|folder| folder.join("ODBCDataSources")).collect(),
    };
    let in_folder = |folder: PathBuf| {
        let file = folder.join(given);
        with_suffix(&file).into_iter().next().unwrap_or(file)
    };
    folders.into_iter().map(in_folder).collect()
}

/// Whether it says more than a file's name.
pub(super) fn has_folder(path: &Path) -> bool {
    path.components().nth(1).is_some() || path.has_root()
}

/// The path with `.dsn` behind it, unless it has that already.
fn with_suffix(path: &Path) -> Vec<PathBuf> {
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
    pub struct Made {
        pub variables: HashMap<&'static str, OsString>,
        pub home: Option<PathBuf>,
        pub system: Vec<PathBuf>,
    }

    impl Made {
        pub fn with(mut self, name: &'static str, value: impl Into<OsString>) -> Self {
            self.variables.insert(name, value.into());
            self
        }
    }

    impl Environment for Made {
        fn variable(&self, name: &str) -> Option<OsString> {
            self.variables.get(name).cloned()
        }

        fn home(&self) -> Option<PathBuf> {
            self.home.clone()
        }

        fn system_folders(&self) -> Vec<PathBuf> {
            self.system.clone()
        }
    }
}

#[cfg(all(test, unix))]
mod tests {
    use super::testing::Made;
    use super::*;

    fn made() -> Made {
        Made { home: Some("/home/u".into()), system: vec!["/etc".into()], ..Made::default() }
    }

    fn paths(paths: &[&str]) -> Vec<PathBuf> {
        paths.iter().map(PathBuf::from).collect()
    }

    #[test]
    #[cfg(not(target_os = "macos"))]
    fn the_users_file_is_named_by_odbcini_or_stands_at_home() {
        assert_eq!(user_files(&made()), paths(&["/home/u/.odbc.ini"]));
        assert_eq!(
            user_files(&made().with("ODBCINI", "/x/my.ini")),
            paths(&["/x/my.ini", "/home/u/.odbc.ini"])
        );
    }

    #[test]
    fn odbcsysini_is_a_folder_in_place_of_etc_and_sysodbcini_a_file_before_it() {
        assert_eq!(system_files(&made()), paths(&["/etc/odbc.ini"]));
        assert_eq!(system_files(&made().with("ODBCSYSINI", "/x")), paths(&["/x/odbc.ini"]));
        assert_eq!(system_files(&made().with("SYSODBCINI", "/x/s")), paths(&["/x/s", "/etc/odbc.ini"]));
    }

    #[test]
    fn odbcinstini_is_a_path_or_the_name_of_a_file_of_the_system() {
        let last = |made: Made| driver_files(&made).pop().unwrap();
        assert_eq!(last(made()), Path::new("/etc/odbcinst.ini"));
        assert_eq!(last(made().with("ODBCINSTINI", "own.ini")), Path::new("/etc/own.ini"));
        assert_eq!(driver_files(&made().with("ODBCINSTINI", "/x/own.ini"))[0], Path::new("/x/own.ini"));
    }

    #[test]
    fn a_file_dsn_is_a_path_or_a_name_in_a_folder() {
        let found = |made: &Made, name: &str| file_dsns(made, name, || None);
        assert_eq!(found(&made(), "/x/a.DSN"), paths(&["/x/a.DSN"]));
        assert_eq!(found(&made(), "./a"), paths(&["./a", "./a.dsn"]));
        assert_eq!(found(&made(), "a"), paths(&["/etc/ODBCDataSources/a.dsn"]));
        assert_eq!(found(&made(), "a.b"), paths(&["/etc/ODBCDataSources/a.b.dsn"]));
        assert_eq!(found(&made().with("ODBCSYSINI", "/s"), "a.dsn"), paths(&["/s/ODBCDataSources/a.dsn"]));
        assert_eq!(file_dsns(&made(), "a", || Some("/said".into())), paths(&["/said/a.dsn"]));
        let variable = made().with("FILEDSNPATH", "/v");
        assert_eq!(file_dsns(&variable, "a", || Some("/said".into())), paths(&["/v/a.dsn"]));
    }
}
