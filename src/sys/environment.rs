//! The environment of the process, which a set-user-ID or set-group-ID program must not trust: its caller made it.
//!
//! Everything in the library reads it here.

use std::ffi::OsString;
use std::path::PathBuf;

/// Whether the process was started with privileges that its caller does not have: as a set-user-ID or set-group-ID program, or
/// with file capabilities (`AT_SECURE` of getauxval, issetugid).
#[must_use]
pub fn is_secure_execution() -> bool {
    #[cfg(any(target_os = "linux", target_os = "android"))]
    {
        // SAFETY: getauxval takes a number and reads what the kernel left to the process.
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
        // SAFETY: issetugid takes nothing, touches no memory of ours and cannot fail.
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
        // SAFETY: none of these takes anything, touches memory of ours or can fail.
        unsafe { libc::getuid() != libc::geteuid() || libc::getgid() != libc::getegid() }
    }
    #[cfg(not(unix))]
    {
        false
    }
}

/// An environment variable; none in secure execution, and none of a name that no variable can have.
#[must_use]
pub fn env_var(name: &str) -> Option<OsString> {
    // Such a name is not something that every system bears to be asked for.
    if name.is_empty() || name.contains(['=', '\0']) || is_secure_execution() {
        return None;
    }
    std::env::var_os(name)
}

/// The user's home directory: `$HOME`, else what the system knows of the user; none in secure execution.
#[must_use]
pub fn home_dir() -> Option<PathBuf> {
    if is_secure_execution() {
        return None;
    }
    std::env::home_dir().filter(|home| !home.as_os_str().is_empty())
}

/// The name of the program's file, for configuration that differs by program: as the caller wrote it (argv\[0\]), or in secure
/// execution as the system knows it.
#[must_use]
pub fn program_name() -> Option<String> {
    let path = if is_secure_execution() {
        std::env::current_exe().ok()
    } else {
        std::env::args_os().next().map(PathBuf::from)
    };
    Some(path?.file_name()?.to_str()?.to_owned())
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
