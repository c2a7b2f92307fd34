//! PKCS#11 modules: libraries that access tokens, loaded and initialized once per process, and never
//! unloaded.
//!
//! A module is code that runs in the calling process. A forked child initializes the modules of its parent
//! again (PKCS#11 2.40 section 6.7.1). Modules are never finalized: other code in the process may use the
//! same module and cannot announce it.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use cryptoki::context::{CInitializeArgs, CInitializeFlags, Pkcs11};
use cryptoki::error::{Error as CryptokiError, RvError};
use parking_lot::{Mutex, MutexGuard};

use crate::base::sanitize;
use crate::key::message;
use crate::key::pkcs11::error;
use crate::key::pkcs11::p11_kit::{self, ModuleConfig};
use crate::key::pkcs11_uri::{ModuleSelector, Pkcs11Uri};
use crate::sys::PerProcess;

/// Modules loaded by this process, by path, and the login lock.
#[derive(Default)]
struct ModuleRegistry {
    loaded: Mutex<HashMap<PathBuf, Pkcs11>>,
    login_lock: Mutex<()>,
}

/// Static, not a part of `Process`: a module is a library with one state in each process of the operating
/// system, also if a test creates several instances of `Process`.
static MODULES: PerProcess<ModuleRegistry> = PerProcess::new();

fn module_registry() -> &'static ModuleRegistry {
    MODULES.get_or_init(ModuleRegistry::default)
}

/// Blocks all other logins of this process, so that a PIN of several threads is presented once.
pub(super) fn lock_login() -> MutexGuard<'static, ()> {
    module_registry().login_lock.lock()
}

/// Returns the files of the modules that `uri` selects, at least one. The error says why there are none.
pub(super) fn select_modules(uri: &Pkcs11Uri) -> Result<Vec<PathBuf>, String> {
    if let ModuleSelector::Path(path) = &uri.module {
        return Ok(vec![path.clone()]);
    }
    let all = p11_kit::configured_modules();
    if all.is_empty() {
        return Err(
            "requires a PKCS#11 module, but none is configured; install the package of your token, or its \
                    .module file in /etc/pkcs11/modules"
                .to_owned(),
        );
    }
    let is_selected = |module: &&ModuleConfig| match &uri.module {
        ModuleSelector::Named(name) => module.has_name(name),
        ModuleSelector::Any | ModuleSelector::Path(_) => true,
    };
    let found: Vec<_> = all.iter().filter(is_selected).map(|module| module.path.clone()).collect();
    if found.is_empty() {
        let names: Vec<_> = all.iter().map(|module| message::quote(module.name())).collect();
        return Err(format!(
            "names a module that is not configured; available: {}",
            message::join_with_and(names)
        ));
    }
    Ok(found)
}

/// Loads and initializes the module in the file `path`, which must be absolute.
pub(super) fn load_module(path: &Path) -> Result<Pkcs11, String> {
    let mut loaded = module_registry().loaded.lock();
    let module = match loaded.get(path) {
        Some(module) => module.clone(),
        None => {
            let module = Pkcs11::new(path).map_err(|error| load_error(path, &error))?;
            // Kept even if it fails below: unloading a library that has started to work can crash the
            // process.
            loaded.insert(path.to_owned(), module.clone());
            module
        }
    };
    // On each call: other code in the process may have finalized it.
    match module.initialize(CInitializeArgs::new(CInitializeFlags::OS_LOCKING_OK)) {
        Ok(()) | Err(CryptokiError::Pkcs11(RvError::CryptokiAlreadyInitialized, _)) => Ok(module),
        Err(error) => Err(format!(
            "the module {} cannot be initialized: {}",
            sanitize::path(path),
            error::describe(&error)
        )),
    }
}

fn load_error(path: &Path, error: &CryptokiError) -> String {
    let path = sanitize::path(path);
    match error {
        CryptokiError::LibraryLoading(reason) => {
            format!("the module {path} cannot be loaded: {}", sanitize::path(reason.to_string()))
        }
        CryptokiError::MissingSymbol(symbol) => {
            format!("the library {path} is not a PKCS#11 module: it has no function {symbol}")
        }
        error => format!("the module {path} provides no function list: {}", error::describe(error)),
    }
}
