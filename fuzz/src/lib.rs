//! What every fuzz target checks, apart from crashes: no error is an internal one, no text has control characters, and
//! no text that a user may see contains a secret.

#[path = "../../tests/support/c_api.rs"]
pub mod c_api;
pub mod files;
pub mod plant;

use authgrant::base::error::{Error, Status};
use authgrant::base::sanitize::is_unsafe;
use authgrant::ffi::error::ErrorObject;
use c_api::{Connection, Failure};

/// A secret that targets plant in their input, to be found in no text.
pub const CANARY: &str = "cAnArY7Qz0Kx5Wv9";

/// The text that stands for [`CANARY`] in the input of some targets.
pub const CANARY_MARK: &str = "@@";

/// Whether `input` has the canary in it, so that it is no secret there. libFuzzer takes it from comparisons.
pub fn has_canary(input: impl AsRef<[u8]>) -> bool {
    input.as_ref().windows(CANARY.len()).any(|window| window == CANARY.as_bytes())
}

/// Checks an error, and all others of its chain.
pub fn check_error(error: &Error) {
    for error in std::iter::once(error).chain(error.additional()) {
        check_status(error.status() as i32, &error.message());
        assert_eq!(error.sqlstate().len(), 5);
        check_text(&error.message());
        let texts = [error.oauth_error(), error.oauth_description(), error.provider_code()];
        texts.into_iter().flatten().for_each(|text| check_text(&text));
        [error.option(), error.consent_url()].into_iter().flatten().for_each(check_text);
    }
}

/// As [`check_error`], for an error of the C API.
pub fn check_failure(failure: &Failure) {
    check_status(failure.status, &failure.message);
    assert_eq!(failure.sqlstate.len(), 5);
    check_text(&failure.message);
    let Failure { option, oauth_error, oauth_description, consent_url, provider_code, .. } = failure;
    [option, oauth_error, oauth_description, consent_url, provider_code]
        .into_iter()
        .flatten()
        .for_each(|text| check_text(text));
}

/// Checks the result of a call, and returns its value.
pub fn check_result<T>(result: Result<T, Box<Failure>>) -> Option<T> {
    result.map_err(|failure| check_failure(&failure)).ok()
}

/// Checks the errors of a call whose error out-parameter is the parameter of `call`.
pub fn check_call(call: impl FnOnce(*mut *mut ErrorObject) -> i32) {
    c_api::collect_failures(call).iter().for_each(check_failure);
}

/// Checks the reports about a connection, the consent URL, the assertion that it would send, and its warnings.
pub fn check_connection(connection: &Connection) {
    check_json(&connection.validate());
    if let Some(report) = check_result(connection.explain()) {
        check_json(&report);
    }
    check_result(connection.consent_url()).into_iter().for_each(|url| check_text(&url));
    check_result(connection.make_assertion()).into_iter().for_each(|jwt| check_text(&jwt));
    connection.warnings().iter().for_each(check_failure);
    check_secrets(&connection.completed_string(0));
}

/// Checks that an error is none of the library itself.
pub fn check_status(status: i32, message: &str) {
    let own = [Status::Internal, Status::OutOfMemory].map(|own| own as i32);
    assert!(!own.contains(&status), "internal error: {message}");
}

/// Checks a text on one line.
pub fn check_text(text: &str) {
    if let Some(c) = text.chars().find(|c| is_unsafe(*c)) {
        panic!("{c:?} is in {text:?}");
    }
    check_secrets(text);
}

/// Checks a JSON report, which has line breaks between its members.
pub fn check_json(text: &str) {
    if let Some(c) = text.chars().find(|c| is_unsafe(*c) && *c != '\n') {
        panic!("{c:?} is in {text:?}");
    }
    check_secrets(text);
}

/// Checks that `text` does not contain the canary.
pub fn check_secrets(text: &str) {
    assert!(!text.contains(CANARY), "a secret is in {text:?}");
}
