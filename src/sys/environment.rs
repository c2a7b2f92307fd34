//! Environment variables, home directory and program name of the process, ignored in secure execution.
//!
//! A set-user-ID or set-group-ID program must not trust its environment, because the user who starts it
//! controls it. All code of the library reads the environment through this module.

use std::ffi::OsString;
use std::path::PathBuf;

/// Whether the process has privileges that the user who started it does not have: a set-user-ID or
/// set-group-ID program, or file capabilities (`AT_SECURE` of getauxval, issetugid).
#[must_use]
pub fn is_secure_execution() -> bool {
    #[cfg(any(target_os = "linux", target_os = "android"))]
    {
        // SAFETY: getauxval takes an integer and reads the auxiliary vector that the kernel passed to the
        // process.
        unsafe { libc::getauxval(libc::AT_SECURE) != 0 }
    }
    #[cfg(any(
        target_vendor = "apple",
        target_os = "freebsd",
        target_os = "openbsd",
        target_os = "netbsd",
        target_os = "dragonfly"
    ))]
    {
        // SAFETY: issetugid has no arguments, accesses no memory of the caller and cannot fail.
        unsafe { libc::issetugid() != 0 }
    }
    #[cfg(all(
        unix,
        not(any(
            target_os = "linux",
            target_os = "android",
            target_vendor = "apple",
            target_os = "freebsd",
            target_os = "openbsd",
            target_os = "netbsd",
            target_os = "dragonfly"
        ))
    ))]
    {
        // SAFETY: these functions have no arguments, access no memory of the caller and cannot fail.
        unsafe { libc::getuid() != libc::geteuid() || libc::getgid() != libc::getegid() }
    }
    #[cfg(not(unix))]
    {
        false
    }
}

/// The value of an environment variable. `None` in secure execution and for an invalid name.
#[must_use]
pub fn env_var(name: &str) -> Option<OsString> {
    // Some systems do not tolerate a lookup of an invalid name.
    if name.is_empty() || name.contains(['=', '\0']) || is_secure_execution() {
        return None;
    }
    std::env::var_os(name)
}

/// The home directory of the user: `$HOME`, or else from the user database. `None` in secure execution.
#[must_use]
pub fn home_dir() -> Option<PathBuf> {
    if is_secure_execution() {
        return None;
    }
    std::env::home_dir().filter(|home| !home.as_os_str().is_empty())
}

/// The file name of the program, for program-specific configuration: from argv\[0\], or in secure execution
/// from the operating system.
#[must_use]
pub fn program_name() -> Option<String> {
    let path = if is_secure_execution() {
        std::env::current_exe().ok()
    } else {
        std::env::args_os().next().map(PathBuf::from)
    };
    Some(path?.file_name()?.to_str()?.to_owned())
}

/// The name of this machine; "unknown" if the operating system does not know it.
#[must_use]
pub fn host_name() -> String {
    const UNKNOWN: &str = "unknown";
    #[cfg(unix)]
    {
        let mut buffer = [0_u8; 256];
        // SAFETY: the pointer is valid for writes of the length, and the last byte remains 0.
        let status = unsafe { libc::gethostname(buffer.as_mut_ptr().cast(), buffer.len().saturating_sub(1)) };
        let name = std::ffi::CStr::from_bytes_until_nul(&buffer).ok().filter(|_| status == 0);
        name.and_then(|name| name.to_str().ok()).filter(|name| !name.is_empty()).unwrap_or(UNKNOWN).to_owned()
    }
    #[cfg(not(unix))]
    {
        env_var("COMPUTERNAME").and_then(|name| name.into_string().ok()).unwrap_or_else(|| UNKNOWN.to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn environment_is_read_in_ordinary_execution() {
        assert!(!is_secure_execution());
        assert_eq!(env_var("PATH"), std::env::var_os("PATH"));
        for name in ["", "=", "A=B", "A\0B", "AUTHGRANT_NO_SUCH_VARIABLE"] {
            assert_eq!(env_var(name), None, "{name:?}");
        }
        assert_eq!(home_dir(), std::env::home_dir());
        assert!(program_name().is_some_and(|name| name.starts_with("authgrant")));
    }
}
