//! `authgrant_error`: an error or a warning with all its data, and the other errors of the same call.

use std::ffi::{CString, c_char};
use std::ptr;

use crate::base::error::Error;
use crate::ffi::status::authgrant_status;

/// An error or a warning. Immutable and thread-safe; it outlives the connection. Its strings belong to it.
/// Release it with authgrant_error_free().
pub struct ErrorObject {
    status: authgrant_status,
    http_status: i32,
    retry_after: i32,
    retryable: bool,
    sqlstate: CString,
    message: CString,
    option: Option<CString>,
    oauth_error: Option<CString>,
    oauth_description: Option<CString>,
    provider_code: Option<CString>,
    consent_url: Option<CString>,
    /// Next error of the chain, an element of `additional` of the first error.
    next: *const Self,
    /// All errors of the chain after the first one, which owns them.
    additional: Box<[Self]>,
}

// SAFETY: `next` points into memory that the first error of the chain owns, and the chain is immutable.
unsafe impl Send for ErrorObject {}
// SAFETY: as above.
unsafe impl Sync for ErrorObject {}

impl ErrorObject {
    fn new(error: &Error) -> Self {
        Self {
            status: error.status() as i32,
            http_status: i32::from(error.http_status()),
            retry_after: i32::try_from(error.retry_after()).unwrap_or(i32::MAX),
            retryable: error.status().is_retryable(),
            sqlstate: to_c_string(error.sqlstate()),
            message: to_c_string(&error.message()),
            option: error.option().map(to_c_string),
            oauth_error: error.oauth_error().as_deref().map(to_c_string),
            oauth_description: error.oauth_description().as_deref().map(to_c_string),
            provider_code: error.provider_code().as_deref().map(to_c_string),
            consent_url: error.consent_url().map(to_c_string),
            next: ptr::null(),
            additional: Box::default(),
        }
    }

    /// Returns the chain of `error` as an object that the caller releases.
    pub(crate) fn new_raw(error: &Error) -> *mut Self {
        let mut first = Box::new(Self::new(error));
        let mut additional: Box<[Self]> = error.additional().iter().map(Self::new).collect();
        let mut next = ptr::null();
        for item in additional.iter_mut().rev() {
            item.next = next;
            next = ptr::from_ref(item);
        }
        first.next = next;
        first.additional = additional;
        Box::into_raw(first)
    }
}

fn to_c_string(text: &str) -> CString {
    CString::new(text.replace('\0', " ")).unwrap_or_default()
}

fn get_or<T>(error: *const ErrorObject, default: T, read: impl FnOnce(&ErrorObject) -> T) -> T {
    // SAFETY: the header requires NULL or an error that was not released.
    unsafe { error.as_ref() }.map_or(default, read)
}

fn get_text(
    error: *const ErrorObject,
    read: impl for<'a> FnOnce(&'a ErrorObject) -> &'a Option<CString>,
) -> *const c_char {
    get_or(error, ptr::null(), |error| read(error).as_ref().map_or(ptr::null(), |text| text.as_ptr()))
}

/// Returns the status, which is also ODBC's native error code. AUTHGRANT_OK for a warning and for NULL.
///
/// Thread-safe.
#[unsafe(no_mangle)]
pub extern "C" fn authgrant_error_status(error: *const ErrorObject) -> authgrant_status {
    guard!(or 0, get_or(error, 0, |error| error.status))
}

/// Returns the SQLSTATE, five characters; "00000" for NULL. The string belongs to the error.
///
/// Thread-safe.
#[unsafe(no_mangle)]
pub extern "C" fn authgrant_error_sqlstate(error: *const ErrorObject) -> *const c_char {
    guard!(or c"00000".as_ptr(), get_or(error, c"00000".as_ptr(), |error| error.sqlstate.as_ptr()))
}

/// Returns the message: `[authgrant][component] text`, in UTF-8. It never contains secrets. "" for NULL. The
/// string belongs to the error.
///
/// Thread-safe.
#[unsafe(no_mangle)]
pub extern "C" fn authgrant_error_message(error: *const ErrorObject) -> *const c_char {
    guard!(or c"".as_ptr(), get_or(error, c"".as_ptr(), |error| error.message.as_ptr()))
}

/// Returns the name of the option that the error is about, as documented; NULL if there is none. The string
/// belongs to the error.
///
/// Thread-safe.
#[unsafe(no_mangle)]
pub extern "C" fn authgrant_error_option(error: *const ErrorObject) -> *const c_char {
    guard!(or ptr::null(), get_text(error, |error| &error.option))
}

/// Returns the `error` of the server, such as "invalid_grant" (RFC 6749 section 5.2); NULL if there is none.
/// The string belongs to the error.
///
/// Thread-safe.
#[unsafe(no_mangle)]
pub extern "C" fn authgrant_error_oauth_error(error: *const ErrorObject) -> *const c_char {
    guard!(or ptr::null(), get_text(error, |error| &error.oauth_error))
}

/// Returns the `error_description` of the server without control characters; NULL if there is none. The
/// string belongs to the error.
///
/// Thread-safe.
#[unsafe(no_mangle)]
pub extern "C" fn authgrant_error_oauth_description(error: *const ErrorObject) -> *const c_char {
    guard!(or ptr::null(), get_text(error, |error| &error.oauth_description))
}

/// Returns the error code of the provider, such as "AADSTS700027"; NULL if there is none. The string belongs
/// to the error.
///
/// Thread-safe.
#[unsafe(no_mangle)]
pub extern "C" fn authgrant_error_provider_code(error: *const ErrorObject) -> *const c_char {
    guard!(or ptr::null(), get_text(error, |error| &error.provider_code))
}

/// Returns the URL to open in a browser, with AUTHGRANT_CONSENT_REQUIRED; NULL if it is unknown. The string
/// belongs to the error.
///
/// Thread-safe.
#[unsafe(no_mangle)]
pub extern "C" fn authgrant_error_consent_url(error: *const ErrorObject) -> *const c_char {
    guard!(or ptr::null(), get_text(error, |error| &error.consent_url))
}

/// Returns the HTTP status of the response; 0 if there was no response.
///
/// Thread-safe.
#[unsafe(no_mangle)]
pub extern "C" fn authgrant_error_http_status(error: *const ErrorObject) -> i32 {
    guard!(or 0, get_or(error, 0, |error| error.http_status))
}

/// Returns the seconds to wait before the next attempt, as requested by the server or by the cached error; 0
/// if unknown.
///
/// Thread-safe.
#[unsafe(no_mangle)]
pub extern "C" fn authgrant_error_retry_after(error: *const ErrorObject) -> i32 {
    guard!(or 0, get_or(error, 0, |error| error.retry_after))
}

/// Returns 1 if the same call may succeed later without any change, otherwise 0.
///
/// Thread-safe.
#[unsafe(no_mangle)]
pub extern "C" fn authgrant_error_retryable(error: *const ErrorObject) -> i32 {
    guard!(or 0, get_or(error, 0, |error| i32::from(error.retryable)))
}

/// Returns the next error of the same call, or the next warning; NULL at the end of the chain. It belongs to
/// `error` and must not be released separately.
///
/// Thread-safe.
#[unsafe(no_mangle)]
pub extern "C" fn authgrant_error_next(error: *const ErrorObject) -> *const ErrorObject {
    guard!(or ptr::null(), get_or(error, ptr::null(), |error| error.next))
}

/// Releases an error and the rest of its chain. NULL is ignored.
///
/// Thread-safe, but it must be the last use of the error.
#[unsafe(no_mangle)]
pub extern "C" fn authgrant_error_free(error: *mut ErrorObject) {
    guard!(or(), {
        if !error.is_null() {
            // SAFETY: the header requires the first error of a chain that was not released.
            drop(unsafe { Box::from_raw(error) });
        }
    });
}
