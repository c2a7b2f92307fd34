//! `authgrant_headers`: the headers of a request to the API.

use std::ffi::{CStr, CString, c_char};
use std::ptr;

use zeroize::Zeroizing;

use crate::base::error::{ArgumentError, Error, Result};
use crate::base::url;
use crate::connection::Connection;
use crate::connection::api_headers::ApiHeaders;
use crate::ffi::call_options::{self, RawCallOptions};
use crate::ffi::error::ErrorObject;
use crate::ffi::status::authgrant_status;
use crate::net::header_value;
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

/// Returns the headers that a request to the API must carry: Authorization with the token, the header of
/// AuthHeader and SecurityToken, and the headers of the model file.
///
/// Blocks as authgrant_get_token() does. On success `*headers` is to be released with
/// authgrant_headers_free(). It stays valid after authgrant_close().
///
/// Thread-safe. Errors: as authgrant_get_token().
#[unsafe(no_mangle)]
pub extern "C" fn authgrant_get_headers(
    connection: *mut Connection,
    headers: *mut *mut ApiHeaders,
    error: *mut *mut ErrorObject,
) -> authgrant_status {
    guard!(error, |args| {
        let headers = args.out("headers", headers, ptr::null_mut());
        let connection = args.handle("connection", connection)?;
        headers.set(Box::into_raw(Box::new(connection.get_headers()?)));
        Ok(())
    })
}

/// Returns the headers of one request to the API as authgrant_get_headers() does, with a timeout, a minimum remaining
/// lifetime of the token, a cancel token or restrictions for this call.
///
/// `method` and `url` are those of the request, for a proof of possession in its headers (DPoP, RFC 9449); no option
/// enables that yet, so they are checked and not used. Both are NULL if they are not known. `options` may be NULL.
///
/// On success `*headers` is to be released with authgrant_headers_free().
///
/// Thread-safe. Errors: as authgrant_get_token_with(); AUTHGRANT_INVALID_ARGUMENT also if `method` is not a token of
/// HTTP or `url` is not an absolute http or https URL.
#[unsafe(no_mangle)]
pub extern "C" fn authgrant_get_request_headers(
    connection: *mut Connection,
    method: *const c_char,
    url: *const c_char,
    options: *const RawCallOptions,
    headers: *mut *mut ApiHeaders,
    error: *mut *mut ErrorObject,
) -> authgrant_status {
    guard!(error, |args| {
        let headers = args.out("headers", headers, ptr::null_mut());
        let connection = args.handle("connection", connection)?;
        if !(method.is_null() && url.is_null()) {
            check_request(args.text("method", method)?, args.text("url", url)?)?;
        }
        let found = if options.is_null() {
            connection.get_headers()?
        } else {
            call_options::run(args, options, |options| connection.get_headers_with(options))?
        };
        headers.set(Box::into_raw(Box::new(found)));
        Ok(())
    })
}

/// Checks the method (RFC 9110 section 9.1) and the URL of a request to the API.
fn check_request(method: &str, url: &str) -> Result<()> {
    let text = if !header_value::is_token(method) {
        "method is not a token of HTTP, such as GET"
    } else if !url::is_absolute_http(url) {
        "url is not an absolute URL; expected https://host/path"
    } else {
        return Ok(());
    };
    Err(Error::new(ArgumentError::Invalid, "argument", text))
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
