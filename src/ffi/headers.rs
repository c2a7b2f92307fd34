//! `authgrant_headers`: the headers of a request to the API.

use std::ffi::{CStr, CString, c_char};
use std::ptr;

use zeroize::Zeroizing;

use crate::connection::api_headers::ApiHeaders;
use crate::sys::SharedRef;
use crate::token::TokenHandle;

type CHeader = (CString, Zeroizing<CString>);

fn header_text(
    headers: *const ApiHeaders,
    index: usize,
    read: impl for<'a> FnOnce(&'a CHeader) -> &'a CStr,
) -> *const c_char {
    // SAFETY: the header requires NULL or headers that were not released.
    let headers = unsafe { headers.as_ref() };
    headers
        .and_then(|headers| headers.as_slice().get(index))
        .map_or(ptr::null(), |header| read(header).as_ptr())
}

/// Returns the number of headers; 0 for NULL.
///
/// Thread-safe.
#[unsafe(no_mangle)]
pub extern "C" fn authgrant_headers_count(headers: *const ApiHeaders) -> usize {
    // SAFETY: the header requires NULL or headers that were not released.
    guard!(or 0, unsafe { headers.as_ref() }.map_or(0, |headers| headers.as_slice().len()))
}

/// Returns the name of a header, such as "Authorization"; NULL if `index` is out of range. The string belongs
/// to the headers.
///
/// Thread-safe.
#[unsafe(no_mangle)]
pub extern "C" fn authgrant_headers_name(headers: *const ApiHeaders, index: usize) -> *const c_char {
    guard!(or ptr::null(), header_text(headers, index, |header| &header.0))
}

/// Returns the value of a header; NULL if `index` is out of range. The string belongs to the headers. It is a
/// secret: do not log it.
///
/// Thread-safe.
#[unsafe(no_mangle)]
pub extern "C" fn authgrant_headers_value(headers: *const ApiHeaders, index: usize) -> *const c_char {
    guard!(or ptr::null(), header_text(headers, index, |header| &header.1))
}

/// Returns the token in the headers, to be passed to authgrant_reject_token(); NULL if the authentication
/// method has no token, and for NULL. It belongs to the headers and must not be released separately.
///
/// Thread-safe.
#[unsafe(no_mangle)]
pub extern "C" fn authgrant_headers_token(headers: *const ApiHeaders) -> *const TokenHandle {
    guard!(or ptr::null(), {
        // SAFETY: the header requires NULL or headers that were not released.
        unsafe { headers.as_ref() }.and_then(ApiHeaders::token).map_or(ptr::null(), SharedRef::as_ptr)
    })
}

/// Releases headers and overwrites their values. NULL is ignored.
///
/// Thread-safe, but it must be the last use of the headers.
#[unsafe(no_mangle)]
pub extern "C" fn authgrant_headers_free(headers: *mut ApiHeaders) {
    guard!(or(), {
        if !headers.is_null() {
            // SAFETY: the header requires headers of this library that were not released.
            drop(unsafe { Box::from_raw(headers) });
        }
    });
}
