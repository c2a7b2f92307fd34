//! Modules: the libraries by which tokens are reached, loaded and initialised once for each process, and never unloaded.
//!
//! A module is code that runs in the host. A forked child initialises anew what its parent had (PKCS#11 2.40 section
//! 6.7.1). Nothing is finalised: the host may use the same module, and has no way to say so.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use cryptoki::context::{CInitializeArgs, CInitializeFlags, Pkcs11};
use cryptoki::error::{Error as Fault, RvError};
use parking_lot::{Mutex, MutexGuard};

use super::uri::{ModuleSelector, Pkcs11Uri};
use crate::key::pkcs11::error;
use crate::key::pkcs11::p11_kit::{self, ModuleConfig};
use crate::sys::PerProcess;

/// What this process has loaded, by its file; and whose turn it is to log in.
#[derive(Default)]
struct ModuleRegistry {
    loaded: Mutex<HashMap<PathBuf, Pkcs11>>,
    login_lock: Mutex<()>,
}

static MODULES: PerProcess<ModuleRegistry> = PerProcess::new();

fn module_registry() -> &'static ModuleRegistry {
    MODULES.get_or_init(ModuleRegistry::default)
}

/// While this is held, nobody else logs in anywhere: a PIN that two threads have is presented by one of them.
pub(super) fn lock_login() -> MutexGuard<'static, ()> {
    module_registry().login_lock.lock()
}

/// The modules that `uri` may mean, each ready or with why not; or why there are none.
pub(super) fn load_modules_for(uri: &Pkcs11Uri) -> Result<Vec<Result<Pkcs11, String>>, String> {
    if let ModuleSelector::Path(path) = &uri.module {
        return Ok(vec![load_module(path)]);
    }
    let all = p11_kit::configured_modules();
    let none = "and no module is configured here: install the package of your token, or its .module file in \
                /etc/pkcs11/modules";
    if all.is_empty() {
        return Err(format!("needs a PKCS#11 module, {none}"));
    }
    let meant = |module: &&ModuleConfig| match &uri.module {
        ModuleSelector::Named(name) => module.has_name(name),
        ModuleSelector::Any | ModuleSelector::Path(_) => true,
    };
    let found: Vec<_> = all.iter().filter(meant).map(|module| load_module(&module.path)).collect();
    if found.is_empty() {
        let names: Vec<_> = all.iter().map(|module| format!("\"{}\"", module.name())).collect();
        return Err(format!(
            "names a module that is not configured here; there are {}",
            crate::key::select::join_with_and(names)
        ));
    }
    Ok(found)
}

/// The module in that file, initialised; `path` is absolute.
fn load_module(path: &Path) -> Result<Pkcs11, String> {
    let mut loaded = module_registry().loaded.lock();
    let module = match loaded.get(path) {
        Some(module) => module.clone(),
        None => {
            let module = Pkcs11::new(path).map_err(|error| load_error(path, &error))?;
            // Kept whatever comes of it: unloading a library that has begun to work is what hosts crash by.
            loaded.insert(path.to_owned(), module.clone());
            module
        }
    };
    // Each time: somebody else may have finalised it.
    match module.initialize(CInitializeArgs::new(CInitializeFlags::OS_LOCKING_OK)) {
        Ok(()) | Err(Fault::Pkcs11(RvError::CryptokiAlreadyInitialized, _)) => Ok(module),
        Err(error) => Err(format!(
            "the module {} could not be initialised: {}",
            path.display(),
            error::describe(&error)
        )),
    }
}

fn load_error(path: &Path, error: &Fault) -> String {
    let path = path.display();
    match error {
        Fault::LibraryLoading(reason) => format!("the module {path} could not be loaded: {reason}"),
        Fault::MissingSymbol(symbol) => {
            format!("the module {path} is a library without {symbol}, and so not a PKCS#11 module")
        }
        error => format!("the module {path} gave no functions: {}", error::describe(error)),
    }
}
