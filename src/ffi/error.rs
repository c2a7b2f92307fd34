//! `authgrant_error`: one failure or warning, complete in itself, with others of the same call behind it.

use std::ffi::{CString, c_char};
use std::ptr;

use crate::base::error::Error;
use crate::ffi::status::authgrant_status;

/// One failure, or one warning, complete in itself; freed with authgrant_error_free.
///
/// It never changes, outlives the connection that it is about, and may be read from any thread. Texts belong to it.
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
    /// The one behind this one; it stands in the first one's `others`.
    next: *const Self,
    additional: Box<[Self]>,
}

// SAFETY: `next` points into memory that the first error of the chain owns, and nothing changes after it was made.
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
            message: to_c_string(error.message()),
            option: error.option().map(to_c_string),
            oauth_error: error.oauth_error().map(to_c_string),
            oauth_description: error.oauth_description().map(to_c_string),
            provider_code: error.provider_code().map(to_c_string),
            consent_url: error.consent_url().map(to_c_string),
            next: ptr::null(),
            additional: Box::default(),
        }
    }

    /// For the caller to free.
    pub(crate) fn new_raw(error: &Error) -> *mut Self {
        let mut first = Box::new(Self::new(error));
        let mut others: Box<[Self]> = error.additional().iter().map(Self::new).collect();
        let mut next = ptr::null();
        for other in others.iter_mut().rev() {
            other.next = next;
            next = ptr::from_ref(other);
        }
        first.next = next;
        first.additional = others;
        Box::into_raw(first)
    }
}

fn to_c_string(text: &str) -> CString {
    CString::new(text.replace('\0', " ")).unwrap_or_default()
}

fn get_or<T>(error: *const ErrorObject, nothing: T, read: impl FnOnce(&ErrorObject) -> T) -> T {
    // SAFETY: the header promises NULL or an error that is not freed.
    unsafe { error.as_ref() }.map_or(nothing, read)
}

fn get_text(
    error: *const ErrorObject,
    read: impl for<'a> FnOnce(&'a ErrorObject) -> &'a Option<CString>,
) -> *const c_char {
    get_or(error, ptr::null(), |error| read(error).as_ref().map_or(ptr::null(), |text| text.as_ptr()))
}

/// The status, AUTHGRANT_OK for a warning and for NULL. Also ODBC's native error code.
///
/// Threads: any.
#[unsafe(no_mangle)]
pub extern "C" fn authgrant_error_status(error: *const ErrorObject) -> authgrant_status {
    guard!(or 0, get_or(error, 0, |error| error.status))
}

/// The SQLSTATE: five characters and a NUL; "00000" for NULL. The text belongs to the error.
///
/// Threads: any.
#[unsafe(no_mangle)]
pub extern "C" fn authgrant_error_sqlstate(error: *const ErrorObject) -> *const c_char {
    guard!(or c"00000".as_ptr(), get_or(error, c"00000".as_ptr(), |error| error.sqlstate.as_ptr()))
}

/// "[authgrant][part] what was done with what, what was found, what to do"; "" for NULL. UTF-8, and never a secret in
/// it. The text belongs to the error.
///
/// Threads: any.
#[unsafe(no_mangle)]
pub extern "C" fn authgrant_error_message(error: *const ErrorObject) -> *const c_char {
    guard!(or c"".as_ptr(), get_or(error, c"".as_ptr(), |error| error.message.as_ptr()))
}

/// The option at fault, as documentation spells it; NULL where it is about none. The text belongs to the error.
///
/// Threads: any.
#[unsafe(no_mangle)]
pub extern "C" fn authgrant_error_option(error: *const ErrorObject) -> *const c_char {
    guard!(or ptr::null(), get_text(error, |error| &error.option))
}

/// The server's `error`, such as "invalid_grant" (RFC 6749 section 5.2); NULL where it said none. The text belongs to
/// the error.
///
/// Threads: any.
#[unsafe(no_mangle)]
pub extern "C" fn authgrant_error_oauth_error(error: *const ErrorObject) -> *const c_char {
    guard!(or ptr::null(), get_text(error, |error| &error.oauth_error))
}

/// The server's `error_description` without control characters; NULL where it said none. The text belongs to the
/// error.
///
/// Threads: any.
#[unsafe(no_mangle)]
pub extern "C" fn authgrant_error_oauth_description(error: *const ErrorObject) -> *const c_char {
    guard!(or ptr::null(), get_text(error, |error| &error.oauth_description))
}

/// The provider's own code, such as "AADSTS700027"; NULL where there is none. The text belongs to the error.
///
/// Threads: any.
#[unsafe(no_mangle)]
pub extern "C" fn authgrant_error_provider_code(error: *const ErrorObject) -> *const c_char {
    guard!(or ptr::null(), get_text(error, |error| &error.provider_code))
}

/// The URL to open in a browser, with AUTHGRANT_CONSENT_REQUIRED; NULL where it is not known. The text belongs to the
/// error.
///
/// Threads: any.
#[unsafe(no_mangle)]
pub extern "C" fn authgrant_error_consent_url(error: *const ErrorObject) -> *const c_char {
    guard!(or ptr::null(), get_text(error, |error| &error.consent_url))
}

/// The HTTP status of the server's answer; 0 where there was no answer.
///
/// Threads: any.
#[unsafe(no_mangle)]
pub extern "C" fn authgrant_error_http_status(error: *const ErrorObject) -> i32 {
    guard!(or 0, get_or(error, 0, |error| error.http_status))
}

/// Seconds to wait before the next try, as the server said; 0 where it did not.
///
/// Threads: any.
#[unsafe(no_mangle)]
pub extern "C" fn authgrant_error_retry_after(error: *const ErrorObject) -> i32 {
    guard!(or 0, get_or(error, 0, |error| error.retry_after))
}

/// 1 where the same call may succeed later with nothing changed, else 0.
///
/// Threads: any.
#[unsafe(no_mangle)]
pub extern "C" fn authgrant_error_retryable(error: *const ErrorObject) -> i32 {
    guard!(or 0, get_or(error, 0, |error| i32::from(error.retryable)))
}

/// The next error of the same call, or the next warning; NULL at the end. It belongs to `error` and is not freed on
/// its own.
///
/// Threads: any.
#[unsafe(no_mangle)]
pub extern "C" fn authgrant_error_next(error: *const ErrorObject) -> *const ErrorObject {
    guard!(or ptr::null(), get_or(error, ptr::null(), |error| error.next))
}

/// Frees an error with those behind it. NULL is fine.
///
/// Threads: any; nobody may read it any more.
#[unsafe(no_mangle)]
pub extern "C" fn authgrant_error_free(error: *mut ErrorObject) {
    guard!(or(), {
        if !error.is_null() {
            // SAFETY: the header promises an error of this library that was not freed before.
            drop(unsafe { Box::from_raw(error) });
        }
    });
}
