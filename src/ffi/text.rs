//! Text in and out, and help for whoever writes connection strings, dialogs and drivers.

use std::ffi::{CString, c_char, c_void};

use once_cell::race::OnceBox;
use zeroize::Zeroize;

use crate::base::error::{Error, Result, Status};
use crate::ffi::error::ErrorObject;
use crate::ffi::panic::{invalid_length_error, null_error};
use crate::ffi::status::authgrant_status;
use crate::options::{connection_string, table};

/// Text for the caller to free.
pub(crate) fn into_c_string(text: &str) -> Result<*mut c_char> {
    let nul = |_| Error::new(Status::Internal, "argument", "the text to hand out holds a NUL");
    Ok(CString::new(text).map_err(nul)?.into_raw())
}

/// A value as it must stand behind `name=` in a connection string, in braces where it needs them: whatever it holds,
/// reading `name=` with it gives the value back.
///
/// `*quoted` is for the caller to free with authgrant_string_free.
///
/// Threads: any. Errors: AUTHGRANT_INVALID_ARGUMENT.
#[unsafe(no_mangle)]
pub extern "C" fn authgrant_quote_value(
    value: *const c_char,
    quoted: *mut *mut c_char,
    error: *mut *mut ErrorObject,
) -> authgrant_status {
    guard!(error, |call| {
        let quoted = call.out("quoted", quoted, std::ptr::null_mut());
        let value = call.text("value", value)?;
        quoted.set(into_c_string(&connection_string::quote(value))?);
        Ok(())
    })
}

/// UTF-8 text in the characters of an ODBC driver manager.
///
/// `unit` is sizeof(SQLWCHAR): 2 for UTF-16, 4 for UTF-32. `*needed` is always set to what the whole text needs, in
/// units, the terminating NUL included. A buffer of fewer than `capacity` units gets what fits, never half of a
/// character, with a NUL behind it, and AUTHGRANT_BUFFER_TOO_SMALL is returned. NULL with capacity 0 asks for the size
/// alone.
///
/// Threads: any. Errors: AUTHGRANT_INVALID_ARGUMENT, AUTHGRANT_BUFFER_TOO_SMALL.
#[unsafe(no_mangle)]
pub extern "C" fn authgrant_to_wide(
    text: *const c_char,
    buffer: *mut c_void,
    capacity: usize,
    unit: usize,
    needed: *mut usize,
    error: *mut *mut ErrorObject,
) -> authgrant_status {
    guard!(error, |call| {
        let needed = call.out("needed", needed, 0);
        let text = call.text("text", text)?;
        if buffer.is_null() && capacity > 0 {
            return Err(null_error("buffer"));
        }
        let wide = WideBuffer::new(text, unit, capacity)?;
        needed.set(wide.needed);
        if buffer.is_null() {
            return Ok(());
        }
        // SAFETY: the header promises `capacity` units, of which `kept` holds no more.
        unsafe { std::ptr::copy_nonoverlapping(wide.bytes.as_ptr(), buffer.cast(), wide.bytes.len()) };
        if capacity < wide.needed {
            let text = format!("the buffer holds {capacity} units, and the text needs {}", wide.needed);
            return Err(Error::new(Status::BufferTooSmall, "argument", text));
        }
        Ok(())
    })
}

/// A text in wide characters, as far as it fits.
struct WideBuffer {
    /// The bytes of whole characters and a NUL, `capacity` units at most.
    bytes: Vec<u8>,
    /// Units for all of it, NUL included.
    needed: usize,
}

impl WideBuffer {
    fn new(text: &str, unit: usize, capacity: usize) -> Result<Self> {
        let encode = match unit {
            2 => encode_utf16,
            4 => encode_utf32,
            _ => return Err(invalid_length_error("unit")),
        };
        let mut wide = Self { bytes: Vec::new(), needed: 1 };
        for character in text.chars() {
            wide.needed = wide.needed.saturating_add(if unit == 2 { character.len_utf16() } else { 1 });
            if wide.needed <= capacity {
                wide.bytes.extend(encode(character));
            }
        }
        if capacity > 0 {
            wide.bytes.extend(std::iter::repeat_n(0, unit));
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

/// The table of options as JSON: an array of objects with name, aliases, type, values, default, secret and help.
///
/// The text is static.
///
/// Threads: any.
#[unsafe(no_mangle)]
pub extern "C" fn authgrant_option_table() -> *const c_char {
    guard!(or c"[]".as_ptr(), {
        static TABLE: OnceBox<CString> = OnceBox::new();
        TABLE.get_or_init(|| Box::new(CString::new(table::to_json()).unwrap_or_default())).as_ptr()
    })
}

/// Wipes and frees text that a function handed out as `char **`. NULL is fine.
///
/// Threads: any; nobody may read it any more.
#[unsafe(no_mangle)]
pub extern "C" fn authgrant_string_free(text: *mut c_char) {
    guard!(or(), {
        if !text.is_null() {
            // SAFETY: the header promises text of this library that was not freed before, and of unchanged length.
            let mut text = unsafe { CString::from_raw(text) };
            text.zeroize();
        }
    });
}

/// The version of the library, such as "1.2.3"; AUTHGRANT_VERSION_NUMBER is that of the header. The text is static.
///
/// Threads: any.
#[unsafe(no_mangle)]
pub extern "C" fn authgrant_version() -> *const c_char {
    guard!(or c"".as_ptr(), concat!(env!("CARGO_PKG_VERSION"), "\0").as_ptr().cast())
}
