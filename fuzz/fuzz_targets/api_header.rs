//! The header of AuthHeader and SecurityToken, and HTTP credentials: name in the first line, value in the others.

#![no_main]

use authgrant_fuzz::{c_api, check_failure, check_result, has_canary};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    if has_canary(text) {
        return;
    }
    let (name, value) = text.split_once('\n').unwrap_or((text, ""));
    if text.contains('\0') {
        return;
    }
    check_headers("AuthenticationMethod=25", &[("AuthHeader", name), ("SecurityToken", value)]);
    check_headers("AuthenticationMethod=0", &[("User", name), ("Password", value)]);
    check_headers("AuthenticationMethod=50;AccessToken=token", &[("AccessToken", value)]);
});

/// Sets options, and checks that no header has a line break.
fn check_headers(string: &str, options: &[(&str, &str)]) {
    let connection = c_api::open(string).unwrap();
    for (name, value) in options {
        check_result(connection.set_option(name, value));
    }
    for (name, value) in check_result(connection.get_headers()).unwrap_or_default() {
        let is_token_char = |byte: u8| byte.is_ascii_graphic() && !b"\"(),/:;<=>?@[\\]{}".contains(&byte);
        assert!(!name.is_empty() && name.bytes().all(is_token_char), "{name:?}");
        assert!(value.bytes().all(|byte| byte == b'\t' || (b' '..=b'~').contains(&byte)), "{value:?}");
    }
    connection.warnings().iter().for_each(check_failure);
}
