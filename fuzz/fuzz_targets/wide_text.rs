//! Text of an ODBC driver manager, in UTF-16 or UTF-32 and at any alignment.

#![no_main]

use std::ffi::{CStr, CString, c_void};
use std::ptr;

use authgrant::ffi::connection::authgrant_open_wide;
use authgrant::ffi::text::{authgrant_from_wide, authgrant_string_free, authgrant_to_wide};
use authgrant_fuzz::c_api::{Connection, collect_failures, open};
use authgrant_fuzz::{check_connection, check_failure, files, has_canary};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    if has_canary(bytes) {
        return;
    }
    files::confine();
    for unit_size in [2, 4] {
        open_wide(bytes, unit_size);
        if let Ok(text) = str::from_utf8(bytes)
            && !text.contains('\0')
        {
            check_round_trip(text, unit_size);
        }
    }
});

/// Opens `bytes` as a text of units with `unit_size` bytes; what remains of the last unit is ignored.
fn open_wide(bytes: &[u8], unit_size: usize) -> Option<Connection> {
    let length = isize::try_from(bytes.len() / unit_size).unwrap();
    let mut connection = ptr::null_mut();
    let failures = collect_failures(|error| {
        authgrant_open_wide(bytes.as_ptr().cast(), length, unit_size, &raw mut connection, error)
    });
    failures.iter().for_each(check_failure);
    let connection = failures.is_empty().then(|| Connection::from_handle(connection))?;
    check_connection(&connection);
    Some(connection)
}

/// Converts `wide` to UTF-8, which is `narrow`.
fn check_conversion(wide: &[u8], unit_size: usize, narrow: &CStr) {
    let length = isize::try_from(wide.len() / unit_size).unwrap();
    let mut text = ptr::null_mut();
    let failures = collect_failures(|error| {
        authgrant_from_wide(wide.as_ptr().cast(), length, unit_size, &raw mut text, error)
    });
    assert!(failures.is_empty());
    // SAFETY: a call without an error returned a string.
    assert_eq!(unsafe { CStr::from_ptr(text) }, narrow);
    authgrant_string_free(text);
}

/// Converts `text` to wide text, as a whole and cut, and opens it: the options are those of `text`.
fn check_round_trip(text: &str, unit_size: usize) {
    let narrow = CString::new(text).unwrap();
    let convert = |buffer: &mut Vec<u8>, capacity: usize| {
        let mut needed = 0;
        buffer.resize(capacity * unit_size, 0xaa);
        let target: *mut c_void = if capacity == 0 { ptr::null_mut() } else { buffer.as_mut_ptr().cast() };
        collect_failures(|error| {
            authgrant_to_wide(narrow.as_ptr(), target, capacity, unit_size, &raw mut needed, error)
        });
        needed
    };
    let mut wide = Vec::new();
    let needed = convert(&mut wide, 0);
    convert(&mut wide, needed / 2);
    assert_eq!(convert(&mut wide, needed), needed);
    let wide = &wide[..(needed - 1) * unit_size];
    check_conversion(wide, unit_size, &narrow);
    let options = |connection: Connection| connection.completed_string(1);
    assert_eq!(open_wide(wide, unit_size).map(options), open(text).ok().map(options));
}
