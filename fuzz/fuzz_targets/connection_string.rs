//! A connection string, as an untrusted caller of a service writes it: all that needs no request.

#![no_main]

use authgrant::ffi::status::{AUTHGRANT_AS_GIVEN, AUTHGRANT_WITH_SECRETS};
use authgrant::report;
use authgrant_fuzz::{
    c_api, check_connection, check_error, check_json, check_result, files, has_canary, plant,
};
use libfuzzer_sys::fuzz_target;

/// Stands for the directory of files in the input.
const DIRECTORY_MARK: &str = "@DIR";

fuzz_target!(|text: &str| {
    if has_canary(text) {
        return;
    }
    files::confine();
    if text.contains('\0') {
        return;
    }
    let text = text.replace(DIRECTORY_MARK, files::directory().to_str().unwrap());
    open(&text);
    let planted = plant::in_connection_string(&text);
    open(&planted);
    match report::validate_string(&planted) {
        Ok(report) => check_json(&report),
        Err(error) => check_error(&error),
    }
});

/// Opens a connection and checks all that is said about it.
fn open(text: &str) {
    let Some(connection) = check_result(c_api::open(text)) else { return };
    check_connection(&connection);
    let completed = connection.completed_string(AUTHGRANT_WITH_SECRETS);
    let reopened = c_api::open(&completed).expect("a completed string opens");
    assert_eq!(reopened.completed_string(AUTHGRANT_WITH_SECRETS), completed);
    let given = connection.completed_string(AUTHGRANT_AS_GIVEN);
    let reopened = c_api::open(&given).expect("a string as it was given opens");
    assert_eq!(reopened.completed_string(AUTHGRANT_WITH_SECRETS), completed);
    assert_eq!(reopened.completed_string(AUTHGRANT_AS_GIVEN), given);
}
