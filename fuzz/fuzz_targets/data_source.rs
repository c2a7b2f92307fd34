//! The files of data sources: odbc.ini and a FILEDSN.

#![no_main]

use std::ffi::OsString;
use std::path::PathBuf;

use authgrant::options::Environment;
use authgrant_fuzz::{c_api, check_connection, check_error, check_secrets, files, has_canary, plant};
use libfuzzer_sys::fuzz_target;

/// Section names, in which the text is searched.
const NAMES: [&str; 2] = ["dsn", "other"];

fuzz_target!(|content: &[u8]| {
    if has_canary(content) {
        return;
    }
    if files::names_token(content) {
        return;
    }
    files::confine();
    open(content);
    if let Ok(text) = str::from_utf8(content) {
        open(plant::in_ini(text).as_bytes());
    }
});

fn open(content: &[u8]) {
    files::write("odbc.ini", content);
    let file_dsn = files::write("file.dsn", content);
    let strings = NAMES.map(|name| format!("DSN={name};LoginTimeout=1"));
    for string in strings.iter().chain([&format!("FILEDSN={file_dsn}")]) {
        match c_api::open_with_environment(string, &Files) {
            Ok(connection) => {
                check_connection(&connection);
                check_secrets(&connection.completed_string(0));
            }
            Err(error) => check_error(&error),
        }
    }
}

/// An environment whose odbc.ini is in the directory of this process.
struct Files;

impl Environment for Files {
    fn variable(&self, name: &str) -> Option<OsString> {
        (name == "ODBCINI").then(|| files::directory().join("odbc.ini").into_os_string())
    }

    fn home(&self) -> Option<PathBuf> {
        None
    }

    fn system_folders(&self) -> Vec<PathBuf> {
        Vec::new()
    }
}
