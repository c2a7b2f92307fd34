//! A desktop of the test's own: the `xdg-open` that the system's browser would be opened by.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

/// A script that writes down its arguments, and how many there are, for [`written_down`].
pub const RECORDING_SCRIPT: &str =
    r#"f=${0%/*}/seen; printf '%s\n' "$#" "$@" > "$f.part" && /bin/mv "$f.part" "$f""#;

/// What [`WRITES_DOWN`] was called with, once it was.
pub fn wait_for_recorded_arguments() -> String {
    let seen = PathBuf::from(std::env::var_os("PATH").unwrap()).join("seen");
    while !seen.exists() {
        std::thread::sleep(Duration::from_millis(5));
    }
    fs::read_to_string(seen).unwrap()
}

const SUBPROCESS_ENV: &str = "AUTHGRANT_TEST_PART";

/// Runs the test `name` again in a process of its own, with `path` as its PATH: a process that has threads must not
/// change its own.
pub fn rerun_with_path(name: &str, path: &Path) {
    let output = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", name, "--nocapture", "--test-threads=1"])
        .env(SUBPROCESS_ENV, name)
        .env("PATH", path)
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

pub fn is_subprocess(name: &str) -> bool {
    std::env::var(SUBPROCESS_ENV).is_ok_and(|part| part == name)
}

/// A folder with an `xdg-open` that does `script`.
pub fn install_fake_xdg_open(script: &str) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let program = folder.path().join("xdg-open");
    fs::write(&program, format!("#!/bin/sh\n{script}\n")).unwrap();
    fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
    folder
}
