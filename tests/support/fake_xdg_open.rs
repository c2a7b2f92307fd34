//! Fake `xdg-open`, which the library runs to open the browser.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

/// A script that records the number of its arguments and the arguments for [`wait_for_recorded_arguments`].
pub const RECORDING_SCRIPT: &str =
    r#"f=${0%/*}/recorded; printf '%s\n' "$#" "$@" > "$f.part" && /bin/mv "$f.part" "$f""#;

/// Waits until [`RECORDING_SCRIPT`] has run; returns what it recorded.
pub fn wait_for_recorded_arguments() -> String {
    let file = PathBuf::from(std::env::var_os("PATH").unwrap()).join("recorded");
    while !file.exists() {
        std::thread::sleep(Duration::from_millis(5));
    }
    fs::read_to_string(file).unwrap()
}

const SUBPROCESS_ENV: &str = "AUTHGRANT_TEST_SUBPROCESS";

/// Reruns the test `name` in a separate process with `path` as its PATH. A process with threads must not
/// change its environment.
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
    std::env::var(SUBPROCESS_ENV).is_ok_and(|value| value == name)
}

/// Creates a directory with an `xdg-open` that runs `script`.
pub fn install_fake_xdg_open(script: &str) -> tempfile::TempDir {
    let directory = tempfile::tempdir().unwrap();
    let program = directory.path().join("xdg-open");
    fs::write(&program, format!("#!/bin/sh\n{script}\n")).unwrap();
    fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
    directory
}
