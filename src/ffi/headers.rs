//! `authgrant_headers`: what a request to the API must carry.

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
    // SAFETY: the header promises NULL or headers that are not freed.
    let headers = unsafe { headers.as_ref() };
    headers.and_then(|headers| headers.as_slice().get(index)).map_or(ptr::null(), |line| read(line).as_ptr())
}

/// How many headers there are; 0 for NULL.
///
/// Threads: any.
#[unsafe(no_mangle)]
pub extern "C" fn authgrant_headers_count(headers: *const ApiHeaders) -> usize {
    // SAFETY: the header promises NULL or headers that are not freed.
    guard!(or 0, unsafe { headers.as_ref() }.map_or(0, |headers| headers.as_slice().len()))
}

/// The name of a header, such as "Authorization"; NULL beyond the last. The text belongs to the headers.
///
/// Threads: any.
#[unsafe(no_mangle)]
pub extern "C" fn authgrant_headers_name(headers: *const ApiHeaders, index: usize) -> *const c_char {
    guard!(or ptr::null(), header_text(headers, index, |line| &line.0))
}

/// The value of a header; NULL beyond the last. The text belongs to the headers, and is a secret.
///
/// Threads: any.
#[unsafe(no_mangle)]
pub extern "C" fn authgrant_headers_value(headers: *const ApiHeaders, index: usize) -> *const c_char {
    guard!(or ptr::null(), header_text(headers, index, |line| &line.1))
}

/// The token that is in the headers, for authgrant_reject_token; NULL where the method has none, and for NULL. It belongs to the headers and is not
/// freed on its own.
///
/// Threads: any.
#[unsafe(no_mangle)]
pub extern "C" fn authgrant_headers_token(headers: *const ApiHeaders) -> *const TokenHandle {
    // SAFETY: the header promises NULL or headers that are not freed.
    guard!(or ptr::null(), unsafe { headers.as_ref() }.and_then(ApiHeaders::token).map_or(ptr::null(), SharedRef::as_ptr))
}

/// Frees headers, and wipes them. NULL is fine.
///
/// Threads: any; nobody may read them any more.
#[unsafe(no_mangle)]
pub extern "C" fn authgrant_headers_free(headers: *mut ApiHeaders) {
    guard!(or(), {
        if !headers.is_null() {
            // SAFETY: the header promises headers of this library that were not freed before.
            drop(unsafe { Box::from_raw(headers) });
        }
    });
}
