//! Strings: conversion of wide text, quoting of values, the option table and the version.

use std::ffi::{CString, c_char, c_void};

use once_cell::race::OnceBox;
use zeroize::Zeroize;

use crate::base::error::{ArgumentError, Error, ErrorKind, Result};
use crate::ffi::error::ErrorObject;
use crate::ffi::panic::{invalid_length_error, null_error};
use crate::ffi::status::authgrant_status;
use crate::ffi::wide;
use crate::options::{connection_string, table};

/// Returns `text` as a string that the caller releases with authgrant_string_free().
pub(crate) fn into_c_string(text: &str) -> Result<*mut c_char> {
    let nul_error =
        |_| Error::new(ErrorKind::Internal, "argument", "internal error: the result has an embedded NUL");
    Ok(CString::new(text).map_err(nul_error)?.into_raw())
}

/// Quotes a value for use in a connection string, adding braces if needed. Parsing the result yields `value`
/// unchanged.
///
/// `*quoted` is to be released with authgrant_string_free().
///
/// Thread-safe. Errors: AUTHGRANT_INVALID_ARGUMENT.
#[unsafe(no_mangle)]
pub extern "C" fn authgrant_quote_value(
    value: *const c_char,
    quoted: *mut *mut c_char,
    error: *mut *mut ErrorObject,
) -> authgrant_status {
    guard!(error, |args| {
        let quoted = args.out("quoted", quoted, std::ptr::null_mut());
        let value = args.text("value", value)?;
        quoted.set(into_c_string(&connection_string::quote(value))?);
        Ok(())
    })
}

/// Converts UTF-8 text to the wide text of an ODBC driver manager.
///
/// `unit_size` is sizeof(SQLWCHAR): 2 for UTF-16, 4 for UTF-32 (iODBC). `capacity` is in units. `*needed` is
/// set to the needed size in units, including the NUL. If `capacity` is smaller, the buffer gets the
/// characters that fit, none of them partially, and a NUL, and AUTHGRANT_BUFFER_TOO_SMALL is returned. A NULL
/// buffer with capacity 0 queries the size. The buffer need not be aligned.
///
/// Thread-safe. Errors: AUTHGRANT_INVALID_ARGUMENT, AUTHGRANT_BUFFER_TOO_SMALL.
#[unsafe(no_mangle)]
pub extern "C" fn authgrant_to_wide(
    text: *const c_char,
    buffer: *mut c_void,
    capacity: usize,
    unit_size: usize,
    needed: *mut usize,
    error: *mut *mut ErrorObject,
) -> authgrant_status {
    guard!(error, |args| {
        let needed = args.out("needed", needed, 0);
        let text = args.text("text", text)?;
        if buffer.is_null() && capacity > 0 {
            return Err(null_error("buffer"));
        }
        let wide = WideBuffer::new(text, unit_size, capacity)?;
        needed.set(wide.needed);
        if buffer.is_null() {
            return Ok(());
        }
        // SAFETY: the header requires `capacity` units, and `bytes` has no more.
        unsafe { std::ptr::copy_nonoverlapping(wide.bytes.as_ptr(), buffer.cast(), wide.bytes.len()) };
        if capacity < wide.needed {
            let text = format!("the buffer has {capacity} units, but the text needs {}", wide.needed);
            return Err(Error::new(ArgumentError::BufferTooSmall, "argument", text));
        }
        Ok(())
    })
}

/// Converts the wide text of an ODBC driver manager to UTF-8.
///
/// `unit_size` is sizeof(SQLWCHAR): 2 for UTF-16, 4 for UTF-32 (iODBC). `length` is in units; -1 or SQL_NTS (-3) means
/// that the text is NUL-terminated. The text need not be aligned. `*utf8` is to be released with
/// authgrant_string_free(), which overwrites it.
///
/// Thread-safe. Errors: AUTHGRANT_INVALID_ARGUMENT (also for an unpaired surrogate and for a NUL within `length`).
#[unsafe(no_mangle)]
pub extern "C" fn authgrant_from_wide(
    text: *const c_void,
    length: isize,
    unit_size: usize,
    utf8: *mut *mut c_char,
    error: *mut *mut ErrorObject,
) -> authgrant_status {
    guard!(error, |args| {
        let utf8 = args.out("utf8", utf8, std::ptr::null_mut());
        args.check()?;
        utf8.set(into_c_string(&wide::decode("text", text, length, unit_size)?)?);
        Ok(())
    })
}

/// Wide text, truncated to the capacity of a buffer.
struct WideBuffer {
    /// Complete characters and a NUL, at most `capacity` units.
    bytes: Vec<u8>,
    /// Units that the whole text needs, including the NUL.
    needed: usize,
}

impl WideBuffer {
    fn new(text: &str, unit_size: usize, capacity: usize) -> Result<Self> {
        let encode = match unit_size {
            2 => encode_utf16,
            4 => encode_utf32,
            _ => return Err(invalid_length_error("unit_size")),
        };
        let mut wide = Self { bytes: Vec::new(), needed: 1 };
        for character in text.chars() {
            wide.needed = wide.needed.saturating_add(if unit_size == 2 { character.len_utf16() } else { 1 });
            if wide.needed <= capacity {
                wide.bytes.extend(encode(character));
            }
        }
        if capacity > 0 {
            wide.bytes.extend(std::iter::repeat_n(0, unit_size));
        }
        Ok(wide)
    }
}

fn encode_utf16(character: char) -> Vec<u8> {
    character.encode_utf16(&mut [0; 2]).iter().flat_map(|unit| unit.to_ne_bytes()).collect()
}

fn encode_utf32(character: char) -> Vec<u8> {
    u32::from(character).to_ne_bytes().to_vec()
}

/// Returns the table of options as JSON: an array of objects with name, aliases, type, values, default,
/// secret and help. The string is static.
///
/// Thread-safe.
#[unsafe(no_mangle)]
pub extern "C" fn authgrant_option_table() -> *const c_char {
    guard!(or c"[]".as_ptr(), {
        static TABLE: OnceBox<CString> = OnceBox::new();
        TABLE.get_or_init(|| Box::new(CString::new(table::to_json()).unwrap_or_default())).as_ptr()
    })
}

/// Releases a string that a function returned as `char **`, and overwrites it first. NULL is ignored.
///
/// Thread-safe, but it must be the last use of the string.
#[unsafe(no_mangle)]
pub extern "C" fn authgrant_string_free(text: *mut c_char) {
    guard!(or(), {
        if !text.is_null() {
            // SAFETY: the header requires a string of this library that was not released or shortened.
            let mut text = unsafe { CString::from_raw(text) };
            text.zeroize();
        }
    });
}

/// Returns the version of the library, such as "1.2.3"; AUTHGRANT_VERSION_NUMBER is the version of the
/// header. The string is static.
///
/// Thread-safe.
#[unsafe(no_mangle)]
pub extern "C" fn authgrant_version() -> *const c_char {
    guard!(or c"".as_ptr(), concat!(env!("CARGO_PKG_VERSION"), "\0").as_ptr().cast())
}
