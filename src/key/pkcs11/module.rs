//! Modules: the libraries by which tokens are reached, loaded and initialised once for each process, and never unloaded.
//!
//! A module is code that runs in the host. A forked child initialises anew what its parent had (PKCS#11 2.40 section
//! 6.7.1). Nothing is finalised: the host may use the same module, and has no way to say so.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use cryptoki::context::{CInitializeArgs, CInitializeFlags, Pkcs11};
use cryptoki::error::{Error as Fault, RvError};
use parking_lot::{Mutex, MutexGuard};

use super::uri::{Uri, Wanted};
use crate::key::pkcs11::error;
use crate::key::pkcs11::p11_kit::{self, Configured};
use crate::sys::PerProcess;

/// What this process has loaded, by its file; and whose turn it is to log in.
#[derive(Default)]
struct Modules {
    loaded: Mutex<HashMap<PathBuf, Pkcs11>>,
    login: Mutex<()>,
}

static MODULES: PerProcess<Modules> = PerProcess::new();

fn modules() -> &'static Modules {
    MODULES.get_or_init(Modules::default)
}

/// While this is held, nobody else logs in anywhere: a PIN that two threads have is presented by one of them.
pub(super) fn turn_to_log_in() -> MutexGuard<'static, ()> {
    modules().login.lock()
}

/// The modules that `uri` may mean, each ready or with why not; or why there are none.
pub(super) fn wanted(uri: &Uri) -> Result<Vec<Result<Pkcs11, String>>, String> {
    if let Wanted::At(path) = &uri.module {
        return Ok(vec![load(path)]);
    }
    let all = p11_kit::modules();
    let none = "and no module is configured here: install the package of your token, or its .module file in \
                /etc/pkcs11/modules";
    if all.is_empty() {
        return Err(format!("needs a PKCS#11 module, {none}"));
    }
    let meant = |module: &&Configured| match &uri.module {
        Wanted::Called(name) => module.is_called(name),
        Wanted::Any | Wanted::At(_) => true,
    };
    let found: Vec<_> = all.iter().filter(meant).map(|module| load(&module.path)).collect();
    if found.is_empty() {
        let names: Vec<_> = all.iter().map(|module| format!("\"{}\"", module.name())).collect();
        return Err(format!(
            "names a module that is not configured here; there are {}",
            crate::key::select::joined(names)
        ));
    }
    Ok(found)
}

/// The module in that file, initialised; `path` is absolute.
fn load(path: &Path) -> Result<Pkcs11, String> {
    let mut loaded = modules().loaded.lock();
    let module = match loaded.get(path) {
        Some(module) => module.clone(),
        None => {
            let module = Pkcs11::new(path).map_err(|error| unloadable(path, &error))?;
            // Kept whatever comes of it: unloading a library that has begun to work is what hosts crash by.
            loaded.insert(path.to_owned(), module.clone());
            module
        }
    };
    // Each time: somebody else may have finalised it.
    match module.initialize(CInitializeArgs::new(CInitializeFlags::OS_LOCKING_OK)) {
        Ok(()) | Err(Fault::Pkcs11(RvError::CryptokiAlreadyInitialized, _)) => Ok(module),
        Err(error) => {
            Err(format!("the module {} could not be initialised: {}", path.display(), error::said(&error)))
        }
    }
}

fn unloadable(path: &Path, error: &Fault) -> String {
    let path = path.display();
    match error {
        Fault::LibraryLoading(reason) => format!("the module {path} could not be loaded: {reason}"),
        Fault::MissingSymbol(symbol) => {
            format!("the module {path} is a library without {symbol}, and so not a PKCS#11 module")
        }
        error => format!("the module {path} gave no functions: {}", error::said(error)),
    }
}
