//! Arguments of the C API: which values are rejected, results after a failure, buffer sizes, and calls from
//! inside a callback.
//!
//! No server is needed: without a token endpoint the signed JWT is the token.

use std::ffi::{CString, c_char, c_void};
use std::mem::offset_of;
use std::ptr::{null, null_mut};
use std::sync::Mutex;

use crate::support::c_api::{
    CancelToken, Connection, Failure, LogLines, Token, c_str_to_string, call_options, collect_failures,
    failing_signer, failing_token_store, get_token, open, poisoned_ptr, take_error_chain,
};
use crate::support::stores;
use authgrant::connection::Connection as Handle;
use authgrant::ffi::authorize::authgrant_authorize_with;
use authgrant::ffi::call_options::RawCallOptions;
use authgrant::ffi::cancel_token::*;
use authgrant::ffi::connection::*;
use authgrant::ffi::error::ErrorObject;
use authgrant::ffi::headers::*;
use authgrant::ffi::open_options::RawOpenOptions;
use authgrant::ffi::options::*;
use authgrant::ffi::policy::*;
use authgrant::ffi::report::*;
use authgrant::ffi::signer::authgrant_set_signer;
use authgrant::ffi::status::*;
use authgrant::ffi::text::*;
use authgrant::ffi::token::*;
use authgrant::ffi::token_store::{RawTokenStore, authgrant_set_token_store};
use authgrant::options::table::TABLE;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::Value;

type ErrorSlot = *mut *mut ErrorObject;

/// A valid argument of each type.
struct ValidArguments {
    connection: Connection,
    token: Token,
    call: RawCallOptions,
    buffer: [u8; 16],
    size: usize,
    text: *mut c_char,
    handle: *mut Handle,
    token_slot: *mut authgrant::token::TokenHandle,
    headers_slot: *mut authgrant::connection::api_headers::ApiHeaders,
    warnings: *mut ErrorObject,
    cancel_slot: *mut authgrant::base::call::SharedCancelToken,
    names: [*const c_char; 1],
}

/// A connection string that needs no server.
fn local_string(more: &str) -> String {
    let claims = ["ClaimsSubject", "ClaimsAudience"].into_iter().filter(|name| !more.contains(name));
    let claims: String = claims.map(|name| format!("{name}=x;")).collect();
    format!("am=55;ClaimsIssuer=me;{claims}JWTCertStore={};{more}", stores::ec_key_path())
}

impl ValidArguments {
    fn new() -> Self {
        let connection = open(&local_string("")).unwrap();
        let token = connection.get_token().unwrap();
        Self {
            connection,
            token,
            call: call_options(0, 0, 0),
            buffer: [0; 16],
            size: 99,
            text: poisoned_ptr(),
            handle: poisoned_ptr(),
            token_slot: poisoned_ptr(),
            headers_slot: poisoned_ptr(),
            warnings: poisoned_ptr(),
            cancel_slot: poisoned_ptr(),
            names: [c"Scope".as_ptr()],
        }
    }
}

/// The name of an invalid argument, and a call with it.
type RejectedCall = (&'static str, fn(&mut ValidArguments, ErrorSlot) -> i32);

const NULL_ARGUMENTS: &[RejectedCall] = &[
    ("connection_string", |good, error| authgrant_open(null(), &raw mut good.handle, error)),
    ("connection", |_, error| authgrant_open(c"".as_ptr(), null_mut(), error)),
    ("options", |good, error| authgrant_open_with(null(), &raw mut good.handle, error)),
    ("options->connection_string", |good, error| open_with(good, open_options(null(), 0), error)),
    ("options->connection_string", |good, error| open_with(good, open_options(null(), 1), error)),
    ("options->connection_string", |good, error| open_with(good, open_options(null(), 2), error)),
    ("options->driver_keywords", |good, error| {
        open_with(good, RawOpenOptions { driver_keyword_count: 1, ..open_options(c"".as_ptr(), 0) }, error)
    }),
    ("options->driver_keywords", |good, error| {
        let driver_keywords = [null()].as_ptr();
        let options = open_options(c"".as_ptr(), 0);
        open_with(good, RawOpenOptions { driver_keywords, driver_keyword_count: 1, ..options }, error)
    }),
    ("connection", |_, error| authgrant_open_with(&open_options(c"".as_ptr(), 0), null_mut(), error)),
    ("connection_string", |good, error| authgrant_open_wide(null(), 0, 2, &raw mut good.handle, error)),
    ("connection", |good, error| authgrant_open_wide(good.buffer.as_ptr().cast(), -1, 2, null_mut(), error)),
    ("connection", |_, error| authgrant_set_option(null_mut(), c"Scope".as_ptr(), c"".as_ptr(), error)),
    ("name", |good, error| authgrant_set_option(good.connection.handle(), null(), c"".as_ptr(), error)),
    ("value", |good, error| authgrant_set_option(good.connection.handle(), c"Scope".as_ptr(), null(), error)),
    ("connection", |good, error| {
        authgrant_get_option(null_mut(), c"Scope".as_ptr(), &raw mut good.text, error)
    }),
    ("name", |good, error| authgrant_get_option(good.connection.handle(), null(), &raw mut good.text, error)),
    ("value", |good, error| {
        authgrant_get_option(good.connection.handle(), c"Scope".as_ptr(), null_mut(), error)
    }),
    ("connection", |good, error| {
        authgrant_set_options(null_mut(), good.names.as_ptr(), good.names.as_ptr(), 1, error)
    }),
    ("names", |good, error| {
        authgrant_set_options(good.connection.handle(), null(), good.names.as_ptr(), 1, error)
    }),
    ("values", |good, error| {
        authgrant_set_options(good.connection.handle(), good.names.as_ptr(), null(), 1, error)
    }),
    ("names", |good, error| {
        authgrant_set_options(good.connection.handle(), [null()].as_ptr(), good.names.as_ptr(), 1, error)
    }),
    ("values", |good, error| {
        authgrant_set_options(good.connection.handle(), good.names.as_ptr(), [null()].as_ptr(), 1, error)
    }),
    ("connection", |good, error| authgrant_get_token(null_mut(), &raw mut good.token_slot, error)),
    ("token", |good, error| authgrant_get_token(good.connection.handle(), null_mut(), error)),
    ("connection", |good, error| {
        authgrant_get_token_with(null_mut(), &raw const good.call, &raw mut good.token_slot, error)
    }),
    ("options", |good, error| {
        authgrant_get_token_with(good.connection.handle(), null(), &raw mut good.token_slot, error)
    }),
    ("token", |good, error| {
        authgrant_get_token_with(good.connection.handle(), &raw const good.call, null_mut(), error)
    }),
    ("connection", |good, error| authgrant_reject_token(null_mut(), good.token.handle(), error)),
    ("token", |good, error| authgrant_reject_token(good.connection.handle(), null(), error)),
    ("connection", |good, error| {
        authgrant_copy_token(null_mut(), good.buffer.as_mut_ptr().cast(), 16, &raw mut good.size, error)
    }),
    ("buffer", |good, error| {
        authgrant_copy_token(good.connection.handle(), null_mut(), 1, &raw mut good.size, error)
    }),
    ("length", |good, error| {
        let buffer = good.buffer.as_mut_ptr().cast();
        authgrant_copy_token(good.connection.handle(), buffer, 16, null_mut(), error)
    }),
    ("connection", |good, error| authgrant_get_headers(null_mut(), &raw mut good.headers_slot, error)),
    ("headers", |good, error| authgrant_get_headers(good.connection.handle(), null_mut(), error)),
    ("connection", |good, error| authgrant_browse(null_mut(), &raw mut good.text, error)),
    ("request", |good, error| authgrant_browse(good.connection.handle(), null_mut(), error)),
    ("connection", |good, error| request_headers(good, null_mut(), null(), null(), error)),
    ("method", |good, error| {
        request_headers(good, good.connection.handle(), null(), c"https://a.example".as_ptr(), error)
    }),
    ("url", |good, error| request_headers(good, good.connection.handle(), c"GET".as_ptr(), null(), error)),
    ("headers", |good, error| {
        let connection = good.connection.handle();
        authgrant_get_request_headers(connection, null(), null(), null(), null_mut(), error)
    }),
    ("connection", |good, error| authgrant_get_warnings(null_mut(), &raw mut good.warnings, error)),
    ("warnings", |good, error| authgrant_get_warnings(good.connection.handle(), null_mut(), error)),
    ("connection", |good, error| authgrant_take_warnings(null_mut(), &raw mut good.warnings, error)),
    ("warnings", |good, error| authgrant_take_warnings(good.connection.handle(), null_mut(), error)),
    ("connection", |good, error| {
        authgrant_authorize_with(null_mut(), &raw const good.call, None, null_mut(), error)
    }),
    ("options", |good, error| {
        authgrant_authorize_with(good.connection.handle(), null(), None, null_mut(), error)
    }),
    ("connection", |_, error| authgrant_cancel(null_mut(), error)),
    ("token", |_, error| authgrant_cancel_token_new(null_mut(), error)),
    ("connection", |_, error| authgrant_set_log(null_mut(), None, null_mut(), 0, error)),
    ("connection", |_, error| authgrant_set_signer(null_mut(), c"RS256".as_ptr(), None, null_mut(), error)),
    ("algorithm", |good, error| {
        authgrant_set_signer(good.connection.handle(), null(), Some(failing_signer), null_mut(), error)
    }),
    ("store", |_, error| authgrant_set_token_store(null(), error)),
    ("store->get", |_, error| {
        authgrant_set_token_store(&RawTokenStore { get: None, ..failing_token_store() }, error)
    }),
    ("store->lease", |_, error| {
        authgrant_set_token_store(&RawTokenStore { lease: None, ..failing_token_store() }, error)
    }),
    ("store->put", |_, error| {
        authgrant_set_token_store(&RawTokenStore { put: None, ..failing_token_store() }, error)
    }),
    ("store->release", |_, error| {
        authgrant_set_token_store(&RawTokenStore { release: None, ..failing_token_store() }, error)
    }),
    ("connection", |good, error| authgrant_completed_string(null_mut(), 0, &raw mut good.text, error)),
    ("text", |good, error| authgrant_completed_string(good.connection.handle(), 0, null_mut(), error)),
    ("value", |good, error| authgrant_quote_value(null(), &raw mut good.text, error)),
    ("quoted", |_, error| authgrant_quote_value(c"a".as_ptr(), null_mut(), error)),
    ("text", |good, error| authgrant_to_wide(null(), null_mut(), 0, 2, &raw mut good.size, error)),
    ("buffer", |good, error| authgrant_to_wide(c"a".as_ptr(), null_mut(), 1, 2, &raw mut good.size, error)),
    ("text", |good, error| authgrant_from_wide(null(), -1, 2, &raw mut good.text, error)),
    ("utf8", |_, error| authgrant_from_wide(c"".as_ptr().cast(), 0, 2, null_mut(), error)),
    ("needed", |_, error| authgrant_to_wide(c"a".as_ptr(), null_mut(), 0, 2, null_mut(), error)),
    ("connection", |good, error| authgrant_validate(null_mut(), &raw mut good.text, error)),
    ("report", |good, error| authgrant_validate(good.connection.handle(), null_mut(), error)),
    ("connection_string", |good, error| authgrant_validate_string(null(), &raw mut good.text, error)),
    ("report", |_, error| authgrant_validate_string(c"".as_ptr(), null_mut(), error)),
    ("connection", |good, error| authgrant_explain(null_mut(), &raw mut good.text, error)),
    ("report", |good, error| authgrant_explain(good.connection.handle(), null_mut(), error)),
    ("connection", |good, error| authgrant_test_connection(null_mut(), &raw mut good.text, error)),
    ("report", |good, error| authgrant_test_connection(good.connection.handle(), null_mut(), error)),
    ("json", |_, error| authgrant_get_stats(null_mut(), error)),
    ("path", |_, error| authgrant_allow_directory(null(), error)),
];

/// Two valid bytes, then one that is invalid in UTF-8.
const INVALID_UTF8: *const c_char = c"ab\xff".as_ptr();

const INVALID_UTF8_ARGUMENTS: &[RejectedCall] = &[
    ("connection_string", |good, error| authgrant_open(INVALID_UTF8, &raw mut good.handle, error)),
    ("options->connection_string", |good, error| open_with(good, open_options(INVALID_UTF8, 0), error)),
    ("options->driver_keywords", |good, error| {
        let driver_keywords = [INVALID_UTF8].as_ptr();
        let options = open_options(c"".as_ptr(), 0);
        open_with(good, RawOpenOptions { driver_keywords, driver_keyword_count: 1, ..options }, error)
    }),
    ("name", |good, error| authgrant_set_option(good.connection.handle(), INVALID_UTF8, c"".as_ptr(), error)),
    ("value", |good, error| {
        authgrant_set_option(good.connection.handle(), c"Scope".as_ptr(), INVALID_UTF8, error)
    }),
    ("name", |good, error| {
        authgrant_get_option(good.connection.handle(), INVALID_UTF8, &raw mut good.text, error)
    }),
    ("names", |good, error| {
        authgrant_set_options(
            good.connection.handle(),
            [INVALID_UTF8].as_ptr(),
            good.names.as_ptr(),
            1,
            error,
        )
    }),
    ("values", |good, error| {
        authgrant_set_options(
            good.connection.handle(),
            good.names.as_ptr(),
            [INVALID_UTF8].as_ptr(),
            1,
            error,
        )
    }),
    ("value", |good, error| authgrant_quote_value(INVALID_UTF8, &raw mut good.text, error)),
    ("text", |good, error| authgrant_to_wide(INVALID_UTF8, null_mut(), 0, 2, &raw mut good.size, error)),
    ("algorithm", |good, error| {
        authgrant_set_signer(good.connection.handle(), INVALID_UTF8, Some(failing_signer), null_mut(), error)
    }),
    ("path", |_, error| authgrant_allow_directory(INVALID_UTF8, error)),
];

/// Lengths, sizes and numbers out of range.
const INVALID_LENGTHS: &[RejectedCall] = &[
    ("length", |good, error| open_wide(good, -2, 2, error)),
    ("length", |good, error| open_wide(good, isize::MIN, 2, error)),
    ("length", |good, error| open_wide(good, isize::MAX, 2, error)),
    ("length", |good, error| open_wide(good, isize::MAX / 2, 4, error)),
    ("unit_size", |good, error| open_with(good, open_options(c"".as_ptr(), 3), error)),
    ("length", |good, error| {
        open_with(good, RawOpenOptions { length: -2, ..open_options(c"".as_ptr(), 1) }, error)
    }),
    ("options->size", |good, error| {
        open_with(good, RawOpenOptions { size: 0, ..open_options(c"".as_ptr(), 0) }, error)
    }),
    ("options->size", |good, error| {
        let size = size_of::<RawOpenOptions>() - 1;
        open_with(good, RawOpenOptions { size, ..open_options(c"".as_ptr(), 0) }, error)
    }),
    ("unit_size", |good, error| open_wide(good, -1, 0, error)),
    ("unit_size", |good, error| open_wide(good, -1, 1, error)),
    ("unit_size", |good, error| open_wide(good, -1, 3, error)),
    ("unit_size", |good, error| open_wide(good, -1, 8, error)),
    ("unit_size", |good, error| authgrant_from_wide(c"".as_ptr().cast(), 0, 1, &raw mut good.text, error)),
    ("length", |good, error| authgrant_from_wide(c"".as_ptr().cast(), -2, 2, &raw mut good.text, error)),
    ("unit_size", |good, error| {
        authgrant_to_wide(c"a".as_ptr(), null_mut(), 0, 3, &raw mut good.size, error)
    }),
    ("names", |good, error| {
        let names = good.names.as_ptr();
        authgrant_set_options(good.connection.handle(), names, names, usize::MAX / 2, error)
    }),
    ("options->size", |good, error| {
        get_token_with_options(good, RawCallOptions { size: 0, ..call_options(0, 0, 0) }, error)
    }),
    ("options->size", |good, error| {
        get_token_with_options(
            good,
            RawCallOptions { size: size_of::<RawCallOptions>() - 1, ..call_options(0, 0, 0) },
            error,
        )
    }),
    ("options->size", |good, error| {
        let call = RawCallOptions { size: FIRST_CALL_OPTIONS_SIZE - 1, ..call_options(0, 0, 0) };
        get_token_with_options(good, call, error)
    }),
    ("options->size", |good, error| {
        get_token_with_options(good, RawCallOptions { size: 4097, ..call_options(0, 0, 0) }, error)
    }),
    ("store->size", |_, error| {
        authgrant_set_token_store(&RawTokenStore { size: 0, ..failing_token_store() }, error)
    }),
    ("store->size", |_, error| {
        let size = size_of::<RawTokenStore>() - 1;
        authgrant_set_token_store(&RawTokenStore { size, ..failing_token_store() }, error)
    }),
    ("store->size", |_, error| {
        authgrant_set_token_store(&RawTokenStore { size: 4097, ..failing_token_store() }, error)
    }),
    ("options->timeout_ms", |good, error| get_token_with_options(good, call_options(-1, 0, 0), error)),
    ("options->min_validity_s", |good, error| get_token_with_options(good, call_options(0, -1, 0), error)),
];

fn open_with(good: &mut ValidArguments, options: RawOpenOptions, error: ErrorSlot) -> i32 {
    authgrant_open_with(&raw const options, &raw mut good.handle, error)
}

fn open_options(text: *const c_char, unit_size: usize) -> RawOpenOptions {
    RawOpenOptions {
        size: size_of::<RawOpenOptions>(),
        connection_string: text.cast(),
        length: -1,
        unit_size,
        driver_keywords: null(),
        driver_keyword_count: 0,
    }
}

/// Size of the options before `cancel_token`.
const FIRST_CALL_OPTIONS_SIZE: usize = offset_of!(RawCallOptions, cancel_token);

fn open_wide(good: &mut ValidArguments, length: isize, unit: usize, error: ErrorSlot) -> i32 {
    authgrant_open_wide(good.buffer.as_ptr().cast(), length, unit, &raw mut good.handle, error)
}

fn get_token_with_options(good: &mut ValidArguments, call: RawCallOptions, error: ErrorSlot) -> i32 {
    authgrant_get_token_with(good.connection.handle(), &raw const call, &raw mut good.token_slot, error)
}

fn request_headers(
    good: &mut ValidArguments,
    connection: *mut Handle,
    method: *const c_char,
    url: *const c_char,
    error: ErrorSlot,
) -> i32 {
    authgrant_get_request_headers(connection, method, url, null(), &raw mut good.headers_slot, error)
}

/// Checks that each result is unchanged or NULL.
fn assert_results_cleared(good: &ValidArguments, before: &[usize]) {
    for (after, before) in result_addresses(good).iter().zip(before) {
        assert!(*after == 0 || after == before, "a failed call returns no object");
    }
}

fn result_addresses(good: &ValidArguments) -> [usize; 7] {
    [
        good.text.addr(),
        good.handle.addr(),
        good.token_slot.addr(),
        good.headers_slot.addr(),
        good.warnings.addr(),
        good.cancel_slot.addr(),
        good.size,
    ]
}

#[track_caller]
fn assert_all_rejected(table: &[RejectedCall], sqlstate: &str, fragment: impl Fn(&str) -> String) {
    for (number, (name, call)) in table.iter().enumerate() {
        let mut good = ValidArguments::new();
        let before = result_addresses(&good);
        let failures = collect_failures(|error| call(&mut good, error));
        let [failure] = &failures[..] else { panic!("{name} of row {number}: {failures:?}") };
        assert_eq!(failure.status, AUTHGRANT_INVALID_ARGUMENT, "{name} of row {number}: {failure:?}");
        assert_eq!(failure.sqlstate, sqlstate, "{name} of row {number}: {failure:?}");
        assert!(failure.message.contains(&fragment(name)), "{name} of row {number}: {failure:?}");
        assert_results_cleared(&good, &before);
    }
}

#[test]
fn null_argument_is_rejected_by_name() {
    assert_all_rejected(NULL_ARGUMENTS, "HY009", |name| format!(" {name} is NULL"));
}

#[test]
fn invalid_utf8_is_rejected_with_offset() {
    assert_all_rejected(INVALID_UTF8_ARGUMENTS, "HY009", |name| format!(" {name} is not UTF-8 at byte 2"));
}

#[test]
fn invalid_length_is_rejected_by_name() {
    assert_all_rejected(INVALID_LENGTHS, "HY090", |name| format!("size: {name}"));
}

#[test]
fn null_error_slot_returns_status_only() {
    for (name, call) in NULL_ARGUMENTS.iter().chain(INVALID_UTF8_ARGUMENTS).chain(INVALID_LENGTHS) {
        assert_eq!(call(&mut ValidArguments::new(), null_mut()), AUTHGRANT_INVALID_ARGUMENT, "{name}");
    }
}

#[test]
fn failure_clears_out_parameters() {
    let mut good = ValidArguments::new();
    let connection = null_mut();
    good.cancel_slot = null_mut();
    authgrant_open(c"A={".as_ptr(), &raw mut good.handle, null_mut());
    authgrant_get_token(connection, &raw mut good.token_slot, null_mut());
    authgrant_get_headers(connection, &raw mut good.headers_slot, null_mut());
    authgrant_get_warnings(connection, &raw mut good.warnings, null_mut());
    authgrant_quote_value(null(), &raw mut good.text, null_mut());
    authgrant_copy_token(connection, null_mut(), 0, &raw mut good.size, null_mut());
    assert_eq!(result_addresses(&good), [0; 7]);
    good = ValidArguments { handle: poisoned_ptr(), token_slot: poisoned_ptr(), size: 99, ..good };
    authgrant_open_wide(null(), 0, 2, &raw mut good.handle, null_mut());
    authgrant_get_token_with(connection, &raw const good.call, &raw mut good.token_slot, null_mut());
    authgrant_to_wide(null(), null_mut(), 0, 2, &raw mut good.size, null_mut());
    assert_eq!(result_addresses(&good), [0; 7]);
}

#[test]
fn success_sets_error_to_null() {
    let mut good = ValidArguments::new();
    let connection = good.connection.handle();
    assert_eq!(collect_failures(|error| authgrant_cancel(connection, error)), []);
    assert_eq!(
        collect_failures(|error| authgrant_get_warnings(connection, &raw mut good.warnings, error)),
        []
    );
    assert!(good.warnings.is_null(), "there are no warnings");
}

/// Opens a connection with wide text that contains an unknown option, and returns the option of the warning.
#[track_caller]
fn unknown_option_from_wide(text: *const c_void, length: isize, unit: usize) -> String {
    let mut handle = poisoned_ptr();
    assert_eq!(collect_failures(|error| authgrant_open_wide(text, length, unit, &raw mut handle, error)), []);
    let mut warnings = null_mut();
    assert_eq!(authgrant_get_warnings(handle, &raw mut warnings, null_mut()), AUTHGRANT_OK);
    authgrant_close(handle);
    take_error_chain(warnings).remove(0).option.unwrap()
}

/// A name with characters of one to four bytes in UTF-8.
const UNICODE_NAME: &str = "aé€😀";

fn utf16(text: &str) -> Vec<u16> {
    text.encode_utf16().collect()
}

fn utf32(text: &str) -> Vec<u32> {
    text.chars().map(u32::from).collect()
}

#[test]
fn wide_text_ends_at_nul() {
    let narrow = format!("{UNICODE_NAME}=1\0;b=2");
    assert_eq!(unknown_option_from_wide(utf16(&narrow).as_ptr().cast(), -1, 2), UNICODE_NAME);
    assert_eq!(unknown_option_from_wide(utf32(&narrow).as_ptr().cast(), -1, 4), UNICODE_NAME);
}

#[test]
fn wide_text_length_bounds_read() {
    // After the length is an unpaired surrogate, which would be an error.
    let name: Vec<u16> = utf16(&format!("{UNICODE_NAME}=1")).into_iter().chain([0xd83d]).collect();
    let length = isize::try_from(name.len() - 1).unwrap();
    assert_eq!(unknown_option_from_wide(name.as_ptr().cast(), length, 2), UNICODE_NAME);
    let name: Vec<u32> = utf32(&format!("{UNICODE_NAME}=1")).into_iter().chain([0xd83d]).collect();
    let length = isize::try_from(name.len() - 1).unwrap();
    assert_eq!(unknown_option_from_wide(name.as_ptr().cast(), length, 4), UNICODE_NAME);
}

#[test]
fn unaligned_wide_text_is_accepted() {
    let bytes: Vec<u8> =
        [0].into_iter().chain(utf16("Zebra=1\0").iter().flat_map(|unit| unit.to_ne_bytes())).collect();
    assert_eq!(unknown_option_from_wide(bytes[1..].as_ptr().cast(), -1, 2), "Zebra");
}

#[test]
fn invalid_wide_text_is_rejected() {
    let assert_rejected = |text: *const c_void, length, unit, fragment: &str| {
        let mut handle = poisoned_ptr();
        let failure =
            collect_failures(|error| authgrant_open_wide(text, length, unit, &raw mut handle, error))
                .remove(0);
        assert_eq!(
            (failure.status, failure.sqlstate.as_str()),
            (AUTHGRANT_INVALID_ARGUMENT, "HY009"),
            "{failure:?}"
        );
        assert!(failure.message.contains(fragment), "{failure:?}");
        assert!(handle.is_null());
    };
    for units in [[0xd83d, 0x61, 0], [0x61, 0xde00, 0], [0xde00, 0xd83d, 0], [0x61, 0xd83d, 0]] {
        let units: [u16; 3] = units;
        assert_rejected(units.as_ptr().cast(), -1, 2, "surrogate");
    }
    for unit in [0xd83d_u32, 0xde00, 0x11_0000, u32::MAX] {
        assert_rejected([unit, 0].as_ptr().cast(), -1, 4, "character");
    }
    assert_rejected(utf16("a=\0b").as_ptr().cast(), 4, 2, "NUL");
    assert_rejected(utf16("a=1\0").as_ptr().cast(), 4, 2, "NUL");
    assert_rejected(utf32("a=\0b").as_ptr().cast(), 4, 4, "NUL");
}

/// Status, required units and buffer of a conversion into `capacity` units. The buffer has one more unit,
/// which must not change.
fn convert_to_wide<T: Copy>(string: &str, capacity: usize, untouched: T) -> (i32, usize, Vec<T>) {
    let string = CString::new(string).unwrap();
    let mut buffer = vec![untouched; capacity + 1];
    let mut needed = 99;
    let pointer = buffer.as_mut_ptr().cast();
    let status =
        authgrant_to_wide(string.as_ptr(), pointer, capacity, size_of::<T>(), &raw mut needed, null_mut());
    (status, needed, buffer)
}

#[test]
fn small_wide_buffer_gets_whole_characters() {
    const X: u16 = 0xeeee;
    const SMALL: i32 = AUTHGRANT_BUFFER_TOO_SMALL;
    assert_eq!(convert_to_wide("a😀b", 0, X), (SMALL, 5, vec![X]));
    assert_eq!(convert_to_wide("a😀b", 1, X), (SMALL, 5, vec![0, X]));
    assert_eq!(convert_to_wide("a😀b", 2, X), (SMALL, 5, vec![0x61, 0, X]));
    assert_eq!(convert_to_wide("a😀b", 3, X), (SMALL, 5, vec![0x61, 0, X, X]));
    assert_eq!(convert_to_wide("a😀b", 4, X), (SMALL, 5, vec![0x61, 0xd83d, 0xde00, 0, X]));
    assert_eq!(convert_to_wide("a😀b", 5, X), (AUTHGRANT_OK, 5, vec![0x61, 0xd83d, 0xde00, 0x62, 0, X]));
    const Y: u32 = 0xeeee_eeee;
    assert_eq!(convert_to_wide("a😀b", 0, Y), (SMALL, 4, vec![Y]));
    assert_eq!(convert_to_wide("a😀b", 3, Y), (SMALL, 4, vec![0x61, 0x1_f600, 0, Y]));
    assert_eq!(convert_to_wide("a😀b", 4, Y), (AUTHGRANT_OK, 4, vec![0x61, 0x1_f600, 0x62, 0, Y]));
    assert_eq!(convert_to_wide("", 1, X), (AUTHGRANT_OK, 1, vec![0, X]));
}

#[test]
fn null_wide_buffer_returns_required_size() {
    let mut needed = 99;
    assert_eq!(
        authgrant_to_wide(c"abc".as_ptr(), null_mut(), 0, 2, &raw mut needed, null_mut()),
        AUTHGRANT_OK
    );
    assert_eq!(needed, 4);
}

fn from_wide(text: *const c_void, length: isize, unit: usize) -> Result<String, Box<Failure>> {
    let mut utf8 = poisoned_ptr();
    let failures = collect_failures(|error| authgrant_from_wide(text, length, unit, &raw mut utf8, error));
    let converted = c_str_to_string(utf8);
    authgrant_string_free(utf8);
    failures.into_iter().next().map_or_else(|| Ok(converted.unwrap()), |failure| Err(Box::new(failure)))
}

#[test]
fn wide_text_is_converted_to_utf8() {
    let (small, large) = (utf16(&format!("{UNICODE_NAME}\0x")), utf32(&format!("{UNICODE_NAME}\0x")));
    for length in [-1, -3] {
        assert_eq!(from_wide(small.as_ptr().cast(), length, 2).unwrap(), UNICODE_NAME);
        assert_eq!(from_wide(large.as_ptr().cast(), length, 4).unwrap(), UNICODE_NAME);
    }
    assert_eq!(from_wide(small.as_ptr().cast(), 3, 2).unwrap(), "aé€");
    assert_eq!(from_wide(large.as_ptr().cast(), 4, 4).unwrap(), UNICODE_NAME);
    assert_eq!(from_wide(small.as_ptr().cast(), 0, 2).unwrap(), "");
    // The length ends between the surrogates, or after the NUL.
    for length in [4, 6] {
        let failure = from_wide(small.as_ptr().cast(), length, 2).unwrap_err();
        assert_eq!((failure.status, failure.sqlstate.as_str()), (AUTHGRANT_INVALID_ARGUMENT, "HY009"));
        assert!(failure.message.contains("text is not valid UTF-16"), "{failure:?}");
    }
}

fn set_options(connection: &Connection, pairs: &[(&str, &str)]) -> Vec<Failure> {
    let texts = |text: fn(&(&str, &str)) -> String| -> Vec<CString> {
        pairs.iter().map(|pair| CString::new(text(pair)).unwrap()).collect()
    };
    let (names, values) = (texts(|pair| pair.0.to_owned()), texts(|pair| pair.1.to_owned()));
    let pointers =
        |texts: &[CString]| -> Vec<*const c_char> { texts.iter().map(|text| text.as_ptr()).collect() };
    let (names, values) = (pointers(&names), pointers(&values));
    collect_failures(|error| {
        authgrant_set_options(connection.handle(), names.as_ptr(), values.as_ptr(), pairs.len(), error)
    })
}

fn decode_claims(token: &Token) -> Value {
    let payload = token.value().split('.').nth(1).unwrap().to_owned();
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(payload).unwrap()).unwrap()
}

#[test]
fn set_options_sets_all() {
    let connection = open(&local_string("")).unwrap();
    assert_eq!(
        set_options(&connection, &[("ClaimsIssuer", "i"), ("clsub", "s"), ("ClaimsAudience", "a")]),
        []
    );
    let claims = decode_claims(&connection.get_token().unwrap());
    assert_eq!((&claims["iss"], &claims["sub"], &claims["aud"]), (&"i".into(), &"s".into(), &"a".into()));
}

#[test]
fn set_options_is_atomic_and_names_errors() {
    let connection = open(&local_string("")).unwrap();
    let pairs = [("ClaimsIssuer", "other"), ("Nonsense", "1"), ("JWTLifetime", "0"), ("Scope", "s")];
    let failures = set_options(&connection, &pairs);
    let options: Vec<_> = failures.iter().map(|failure| failure.option.as_deref().unwrap()).collect();
    assert_eq!(options, ["Nonsense", "JWTLifetime"]);
    assert!(failures.iter().all(|failure| failure.status == AUTHGRANT_INVALID_OPTION), "{failures:?}");
    let claims = decode_claims(&connection.get_token().unwrap());
    assert_eq!((&claims["iss"], claims.get("scope")), (&"me".into(), None));
}

#[test]
fn zero_options_accept_null_arrays() {
    let connection = open("").unwrap();
    assert_eq!(
        collect_failures(|error| authgrant_set_options(connection.handle(), null(), null(), 0, error)),
        []
    );
}

#[test]
fn unknown_flags_are_rejected() {
    for flags in [4, 5, 1 << 31, u32::MAX] {
        let failure = collect_failures(|error| {
            get_token_with_options(&mut ValidArguments::new(), call_options(0, 0, flags), error)
        })
        .remove(0);
        assert_eq!((failure.status, failure.sqlstate.as_str()), (AUTHGRANT_INVALID_ARGUMENT, "HY009"));
        assert!(failure.message.contains(&flags.to_string()), "{failure:?}");
    }
}

#[test]
fn contradictory_include_flags_are_rejected() {
    let connection = open("Scope=a").unwrap();
    for include in [8, 12, AUTHGRANT_AS_GIVEN | AUTHGRANT_WITH_SECRETS, 7, u32::MAX] {
        let mut text = poisoned_ptr();
        let complete = |error| authgrant_completed_string(connection.handle(), include, &raw mut text, error);
        let failure = collect_failures(complete).remove(0);
        assert_eq!((failure.status, failure.sqlstate.as_str()), (AUTHGRANT_INVALID_ARGUMENT, "HY009"));
        assert!(failure.message.contains(&format!(" {include};")) && text.is_null(), "{failure:?}");
    }
}

#[test]
fn larger_call_options_struct_is_accepted() {
    let mut newer = call_options_of_newer_version();
    let mut good = ValidArguments::new();
    let get = |good: &mut ValidArguments, newer: &NewerCallOptions| {
        let call = (&raw const *newer).cast();
        collect_failures(|error| {
            authgrant_get_token_with(good.connection.handle(), call, &raw mut good.token_slot, error)
        })
    };
    assert_eq!(get(&mut good, &newer), []);
    authgrant_token_free(good.token_slot);
    newer.added = 1;
    let failures = get(&mut good, &newer);
    let [failure] = &failures[..] else { panic!("{failures:?}") };
    assert_eq!((failure.status, failure.sqlstate.as_str()), (AUTHGRANT_INVALID_ARGUMENT, "HY009"));
    assert!(good.token_slot.is_null());
}

/// The options as a newer version may define them.
#[repr(C)]
struct NewerCallOptions {
    known: RawCallOptions,
    added: usize,
}

fn call_options_of_newer_version() -> NewerCallOptions {
    let size = size_of::<NewerCallOptions>();
    NewerCallOptions {
        known: RawCallOptions { size, ..call_options(1000, 1, AUTHGRANT_NO_PROMPT) },
        added: 0,
    }
}

#[test]
fn first_call_options_struct_is_accepted() {
    let mut good = ValidArguments::new();
    // The member is beyond the size of the struct, so it is not read.
    let first = RawCallOptions {
        size: FIRST_CALL_OPTIONS_SIZE,
        cancel_token: poisoned_ptr(),
        ..call_options(1000, 1, AUTHGRANT_NO_PROMPT)
    };
    assert_eq!(collect_failures(|error| get_token_with_options(&mut good, first, error)), []);
    authgrant_token_free(good.token_slot);
}

#[test]
fn cancel_token_may_be_cancelled_in_callback() {
    extern "C" fn cancel(_: i32, _: *const c_char, context: *mut c_void) {
        // SAFETY: the context is the token of the test, which outlives the connection.
        unsafe { &*context.cast::<CancelToken>() }.cancel();
    }
    let token = CancelToken::new();
    let connection = open(&local_string("ClaimsSubject=cancel-in-callback")).unwrap();
    let context = (&raw const token).cast_mut().cast();
    assert_eq!(authgrant_set_log(connection.handle(), Some(cancel), context, 5, null_mut()), AUTHGRANT_OK);
    connection.get_token().expect("a call without the token");
    assert_eq!(connection.get_token_cancellable(&token).unwrap_err().status, AUTHGRANT_CANCELLED);
}

#[test]
fn quoted_value_round_trips() {
    for value in ["", "plain", " a b ", "a;b=c", "{", "}", "}}{{", "{a}", "'a'", "\"a\"", "é😀\r\n\t", "a}b"]
    {
        let c_value = CString::new(value).unwrap();
        let mut quoted = poisoned_ptr();
        assert_eq!(
            collect_failures(|error| authgrant_quote_value(c_value.as_ptr(), &raw mut quoted, error)),
            []
        );
        let string = local_string(&format!(
            "JWTLifetime=60;ClaimsSubject={};ClaimsAudience=a",
            c_str_to_string(quoted).unwrap()
        ));
        authgrant_string_free(quoted);
        let claims = decode_claims(&get_token(&string).unwrap());
        assert_eq!(
            claims.get("sub").and_then(Value::as_str),
            (!value.is_empty()).then_some(value),
            "{string}"
        );
        assert_eq!(claims["aud"], "a");
    }
}

#[test]
fn option_table_describes_every_option() {
    let table: Value = serde_json::from_str(&c_str_to_string(authgrant_option_table()).unwrap()).unwrap();
    let rows = table.as_array().unwrap();
    assert_eq!(rows.len(), TABLE.len());
    let connection = open("").unwrap();
    let mut secrets = Vec::new();
    for row in rows {
        let mut members: Vec<_> = row.as_object().unwrap().keys().map(String::as_str).collect();
        members.sort_unstable();
        assert_eq!(members, ["aliases", "default", "help", "name", "secret", "type", "values"]);
        let name = row["name"].as_str().unwrap();
        assert!(
            !row["help"].as_str().unwrap().is_empty() && !row["values"].as_str().unwrap().is_empty(),
            "{row}"
        );
        for name in
            row["aliases"].as_array().unwrap().iter().map(|alias| alias.as_str().unwrap()).chain([name])
        {
            // A data source can only be set in the connection string.
            if row["name"] != "DSN" && row["name"] != "FILEDSN" {
                connection.set_option(name, "").unwrap_or_else(|failure| panic!("{failure:?}"));
            }
        }
        if row["secret"].as_bool().unwrap() {
            secrets.push(name);
        }
    }
    secrets.sort_unstable();
    assert_eq!(
        secrets,
        [
            "AccessToken",
            "ClientAssertion",
            "ClientSecret",
            "JWTCertKeyPassword",
            "JWTCertPassword",
            "JWTPrivateKey",
            "JWTSecret",
            "KeyPassword",
            "KeyStorePassword",
            "OAuthCode",
            "Password",
            "ProxyPassword",
            "RefreshToken",
            "SecurityToken",
            "TokenCachePassword",
            "TokenCacheSecret",
            "TokenParameters",
            "TrustStorePassword"
        ]
    );
    let row = |name: &str| rows.iter().find(|row| row["name"] == name).unwrap();
    assert_eq!(row("TokenURI")["aliases"], serde_json::json!(["o2tu"]));
    assert_eq!(row("LoginTimeout")["default"], "60");
    assert_eq!(row("LoginTimeout")["type"], "number");
    assert_eq!(row("JWTLifetime")["values"], "a whole number from 1 to 315360000");
}

/// The levels of the log records of a failing call, with a log up to `level`.
fn logged_levels(level: i32) -> Vec<char> {
    let connection = open(&local_string("").replace("quick.pem", "missing.pem")).unwrap();
    let lines: &'static LogLines = Box::leak(Box::default());
    connection.collect_log_at_level(level, lines);
    connection.get_token().unwrap_err();
    let lines = lines.0.lock().unwrap();
    lines.iter().map(|line| line.chars().next().unwrap()).collect()
}

#[test]
fn log_level_filters_records() {
    for (level, expected) in [(1, "1"), (2, "1"), (3, "1"), (4, "41"), (5, "41")] {
        assert_eq!(logged_levels(level).iter().collect::<String>(), expected, "level {level}");
    }
}

extern "C" fn ignore_log(_: i32, _: *const c_char, _: *mut c_void) {}

#[test]
fn unknown_log_level_is_rejected() {
    let connection = open("").unwrap();
    for level in [i32::MIN, -1, 0, 6, i32::MAX] {
        let set_log =
            |error| authgrant_set_log(connection.handle(), Some(ignore_log), null_mut(), level, error);
        let failure = collect_failures(set_log).remove(0);
        assert_eq!(failure.status, AUTHGRANT_INVALID_ARGUMENT);
        assert!(failure.message.contains(&format!(" {level};")), "{failure:?}");
    }
}

#[test]
fn null_log_function_disables_logging() {
    let connection = open(&local_string("").replace("quick.pem", "missing.pem")).unwrap();
    let lines: &'static LogLines = Box::leak(Box::default());
    connection.collect_log(lines);
    assert_eq!(authgrant_set_log(connection.handle(), None, null_mut(), 0, null_mut()), AUTHGRANT_OK);
    connection.get_token().unwrap_err();
    assert_eq!(*lines.0.lock().unwrap(), Vec::<String>::new());
}

/// The arguments of the calls of a callback, and their failures.
struct CallbackContext {
    arguments: Mutex<ValidArguments>,
    failures: Mutex<Vec<Failure>>,
}

/// Every function that returns a status, called with valid arguments.
const ALL_CALLS: [fn(&mut ValidArguments, ErrorSlot) -> i32; 31] = [
    |good, error| authgrant_browse(good.connection.handle(), &raw mut good.text, error),
    |good, error| request_headers(good, good.connection.handle(), null(), null(), error),
    |good, error| {
        authgrant_authorize_with(good.connection.handle(), &raw const good.call, None, null_mut(), error)
    },
    |good, error| authgrant_take_warnings(good.connection.handle(), &raw mut good.warnings, error),
    |good, error| authgrant_from_wide(c"".as_ptr().cast(), 0, 2, &raw mut good.text, error),
    |good, error| {
        authgrant_get_option(good.connection.handle(), c"Scope".as_ptr(), &raw mut good.text, error)
    },
    |good, error| authgrant_open(c"".as_ptr(), &raw mut good.handle, error),
    |good, error| open_with(good, open_options(c"".as_ptr(), 0), error),
    |good, error| open_wide(good, -1, 4, error),
    |good, error| authgrant_set_option(good.connection.handle(), c"Scope".as_ptr(), c"a".as_ptr(), error),
    |good, error| {
        authgrant_set_options(good.connection.handle(), good.names.as_ptr(), good.names.as_ptr(), 1, error)
    },
    |good, error| authgrant_get_token(good.connection.handle(), &raw mut good.token_slot, error),
    |good, error| get_token_with_options(good, call_options(0, 0, 0), error),
    |good, error| authgrant_reject_token(good.connection.handle(), good.token.handle(), error),
    |good, error| authgrant_copy_token(good.connection.handle(), null_mut(), 0, &raw mut good.size, error),
    |good, error| authgrant_get_headers(good.connection.handle(), &raw mut good.headers_slot, error),
    |good, error| authgrant_get_warnings(good.connection.handle(), &raw mut good.warnings, error),
    |good, error| authgrant_cancel(good.connection.handle(), error),
    |good, error| authgrant_cancel_token_new(&raw mut good.cancel_slot, error),
    |good, error| authgrant_set_log(good.connection.handle(), None, null_mut(), 0, error),
    |good, error| authgrant_set_signer(good.connection.handle(), null(), None, null_mut(), error),
    |good, error| authgrant_quote_value(c"a".as_ptr(), &raw mut good.text, error),
    |good, error| authgrant_to_wide(c"a".as_ptr(), null_mut(), 0, 2, &raw mut good.size, error),
    |good, error| authgrant_validate(good.connection.handle(), &raw mut good.text, error),
    |good, error| authgrant_validate_string(c"".as_ptr(), &raw mut good.text, error),
    |good, error| authgrant_explain(good.connection.handle(), &raw mut good.text, error),
    |good, error| authgrant_test_connection(good.connection.handle(), &raw mut good.text, error),
    |good, error| authgrant_get_stats(&raw mut good.text, error),
    |_, error| authgrant_set_policy(0, 0, error),
    |_, error| authgrant_allow_directory(c"/".as_ptr(), error),
    |_, error| authgrant_set_token_store(&failing_token_store(), error),
];

extern "C" fn call_every_function(_: i32, _: *const c_char, context: *mut c_void) {
    // SAFETY: the context is the `CallbackContext` of the test below.
    let context = unsafe { &*context.cast::<CallbackContext>() };
    let mut good = context.arguments.lock().unwrap();
    assert!(authgrant_token_length(good.token.handle()) > 0, "getters may be called");
    authgrant_close(good.connection.handle());
    let failures = ALL_CALLS.iter().flat_map(|call| collect_failures(|error| call(&mut good, error)));
    *context.failures.lock().unwrap() = failures.collect();
}

#[test]
fn callback_may_only_call_getters() {
    let context =
        CallbackContext { arguments: Mutex::new(ValidArguments::new()), failures: Mutex::default() };
    let connection = open(&local_string("").replace("quick.pem", "missing.pem")).unwrap();
    let pointer = (&raw const context).cast_mut().cast();
    assert_eq!(
        authgrant_set_log(connection.handle(), Some(call_every_function), pointer, 1, null_mut()),
        AUTHGRANT_OK
    );
    connection.get_token().unwrap_err();
    let failures = context.failures.into_inner().unwrap();
    assert_eq!(failures.len(), ALL_CALLS.len(), "{failures:#?}");
    for failure in &failures {
        assert_eq!(
            (failure.status, failure.sqlstate.as_str()),
            (AUTHGRANT_INVALID_ARGUMENT, "HY010"),
            "{failure:?}"
        );
    }
    let good = context.arguments.into_inner().unwrap();
    assert_eq!(result_addresses(&good), [0; 7]);
    good.connection.get_token().expect("the connection is still open, and the callback has returned");
}

#[test]
fn warnings_are_ordered_syntax_then_meaning() {
    let string = local_string(
        "ClaimIssuer=a;Zebra=1;ValidateServerCertificate=0;Scope=a;Scope=b;RestConfigFile=/nowhere",
    );
    let connection = open(&string).unwrap();
    let warnings = connection.warnings();
    let found: Vec<_> = warnings
        .iter()
        .map(|warning| (warning.sqlstate.as_str(), warning.option.as_deref().unwrap()))
        .collect();
    assert_eq!(
        found,
        [
            ("01S00", "ClaimIssuer"),
            ("01S00", "Zebra"),
            ("01S00", "Scope"),
            ("01000", "RestConfigFile"),
            ("01000", "ValidateServerCertificate"),
        ]
    );
    assert!(warnings.iter().all(|warning| warning.status == AUTHGRANT_OK));
}

#[test]
fn headers_token_outlives_rejection_and_close() {
    let connection = open(&local_string("ClaimsSubject=headers;AuthHeader=X;SecurityToken=1")).unwrap();
    let mut headers = poisoned_ptr();
    assert_eq!(
        collect_failures(|error| authgrant_get_headers(connection.handle(), &raw mut headers, error)),
        []
    );
    let token = authgrant_headers_token(headers);
    assert_eq!(authgrant_reject_token(connection.handle(), token, null_mut()), AUTHGRANT_OK);
    assert_ne!(
        connection.get_token().unwrap().value(),
        c_str_to_string(authgrant_token_value(token)).unwrap()
    );
    drop(connection);
    assert_eq!(
        c_str_to_string(authgrant_headers_value(headers, 0)),
        Some(format!("Bearer {}", c_str_to_string(authgrant_token_value(token)).unwrap()))
    );
    assert!(
        authgrant_headers_value(headers, 2).is_null()
            && authgrant_headers_name(headers, usize::MAX).is_null()
    );
    authgrant_headers_free(headers);
}

#[test]
fn refresh_at_is_refresh_margin_before_expiry() {
    let lifetime = "JWTLifetime=3000;RefreshMargin=600";
    let token = get_token(&local_string(lifetime)).unwrap();
    let (expires, refresh) = (token.expires_at(), authgrant_token_refresh_at(token.handle()));
    assert!(
        (expires - 660..=expires - 600).contains(&refresh),
        "{expires} {refresh}: jitter is 60 s at most"
    );
    let opaque = get_token("AuthenticationMethod=50;AccessToken=opaque").unwrap();
    assert_eq!((opaque.expires_at(), authgrant_token_refresh_at(opaque.handle())), (0, 0), "unknown");
}

#[test]
fn stats_count_per_process_without_secrets() {
    let stats = || {
        let mut json = poisoned_ptr();
        assert_eq!(collect_failures(|error| authgrant_get_stats(&raw mut json, error)), []);
        let text = c_str_to_string(json).unwrap();
        authgrant_string_free(json);
        text
    };
    let count = |name: &str| {
        let stats: serde_json::Value = serde_json::from_str(&stats()).unwrap();
        stats[name].as_u64().unwrap_or_else(|| panic!("no {name} in {stats}"))
    };
    // Other tests in this process change the counters, too.
    let (fetched, hits) = ("authgrant_tokens_fetched_total", "authgrant_token_cache_hits_total");
    let before = (count(fetched), count(hits));
    let connection = open(&local_string("ClaimsSubject=stats-subject")).unwrap();
    (0..100).for_each(|_| drop(connection.get_token().unwrap()));
    assert!(count(fetched) > before.0 && count(hits) >= before.1 + 99);
    assert!(!stats().contains("stats-subject"));
}

#[test]
fn token_length_equals_value_length() {
    let token = get_token(&local_string("")).unwrap();
    assert_eq!(authgrant_token_length(token.handle()), token.value().len());
}

#[test]
fn null_handles_return_defaults() {
    assert!(authgrant_token_value(null()).is_null() && authgrant_token_type(null()).is_null());
    assert!(
        authgrant_token_scope(null()).is_null() && authgrant_token_field(null(), c"a".as_ptr()).is_null()
    );
    assert_eq!((authgrant_token_length(null()), authgrant_token_expires_at(null())), (0, 0));
    assert_eq!(authgrant_token_refresh_at(null()), 0);
    assert!(authgrant_headers_name(null(), 0).is_null() && authgrant_headers_value(null(), 0).is_null());
    assert!(authgrant_headers_token(null()).is_null());
    assert_eq!(authgrant_headers_count(null()), 0);
    let token = get_token(&local_string("")).unwrap();
    assert!(authgrant_token_field(token.handle(), null()).is_null());
    assert!(authgrant_token_field(token.handle(), INVALID_UTF8).is_null());
    authgrant_close(null_mut());
    authgrant_token_free(null_mut());
    authgrant_headers_free(null_mut());
    authgrant_string_free(null_mut());
    authgrant_cancel_token_cancel(null_mut());
    authgrant_cancel_token_reset(null_mut());
    authgrant_cancel_token_free(null_mut());
}
