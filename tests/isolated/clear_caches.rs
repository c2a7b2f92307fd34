//! Clearing the caches (`authgrant_clear_caches`).
//!
//! It affects the whole process, so this is a separate program: other tests rely on cached tokens.

#[path = "../support/mod.rs"]
mod support;

use std::ffi::{c_char, c_void};
use std::ptr::null_mut;

use authgrant::ffi::connection::{authgrant_clear_caches, authgrant_set_log};
use support::c_api::open;
use support::stores;

extern "C" fn clear_in_callback(_: i32, _: *const c_char, _: *mut c_void) {
    authgrant_clear_caches();
}

#[test]
fn clear_drops_tokens_except_inside_callback() {
    let string = format!("am=55;ClaimsIssuer=me;JWTCertStore={}", stores::ec_key_path());
    let connection = open(&string).unwrap();
    let first = connection.get_token().unwrap();
    let failing = open(&string.replace("quick.pem", "missing.pem")).unwrap();
    assert_eq!(authgrant_set_log(failing.handle(), Some(clear_in_callback), null_mut(), 1, null_mut()), 0);
    failing.get_token().unwrap_err();
    assert_eq!(
        connection.get_token().unwrap().value(),
        first.value(),
        "a call from a callback has no effect"
    );
    authgrant_clear_caches();
    assert_ne!(connection.get_token().unwrap().value(), first.value());
}
