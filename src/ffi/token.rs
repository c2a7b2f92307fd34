//! `authgrant_token`: an access token, shared by counting and wiped when the last holder lets go.
//!
//! Drivers ask for it with each request to their API: where nothing can panic the guard is the light one.

use std::ffi::{CStr, c_char};
use std::ptr;

use crate::sys::SharedRef;
use crate::token::{AccessToken, TokenHandle};

/// Hands a reference to C.
pub(crate) fn into_raw_handle(token: SharedRef<TokenHandle>) -> *mut TokenHandle {
    token.into_raw().cast_mut()
}

fn get_text(
    token: *const TokenHandle,
    read: impl for<'a> FnOnce(&'a AccessToken) -> Option<&'a CStr>,
) -> *const c_char {
    // SAFETY: the header promises NULL or a token that is not freed.
    unsafe { token.as_ref() }.and_then(|lease| read(lease.token())).map_or(ptr::null(), CStr::as_ptr)
}

/// The access token itself, to be sent in a header "Authorization: Bearer …" (RFC 6750 section 2.1); NULL for NULL.
///
/// The text belongs to the token. It is the secret: do not log it.
///
/// Threads: any.
#[unsafe(no_mangle)]
pub extern "C" fn authgrant_token_value(token: *const TokenHandle) -> *const c_char {
    guard!(light ptr::null(), get_text(token, |token| Some(token.value())))
}

/// The length of the access token in bytes, without the NUL; 0 for NULL.
///
/// Threads: any.
#[unsafe(no_mangle)]
pub extern "C" fn authgrant_token_length(token: *const TokenHandle) -> usize {
    // SAFETY: the header promises NULL or a token that is not freed.
    guard!(light 0, unsafe { token.as_ref() }.map_or(0, |lease| lease.token().value().count_bytes()))
}

/// The token type, "Bearer"; NULL for NULL. The text belongs to the token.
///
/// Threads: any.
#[unsafe(no_mangle)]
pub extern "C" fn authgrant_token_type(token: *const TokenHandle) -> *const c_char {
    guard!(light ptr::null(), get_text(token, |token| Some(token.token_type())))
}

/// When the token ends, in seconds since 1970; 0 where that is not known, and for NULL.
///
/// Threads: any.
#[unsafe(no_mangle)]
pub extern "C" fn authgrant_token_expires_at(token: *const TokenHandle) -> i64 {
    // SAFETY: the header promises NULL or a token that is not freed.
    guard!(light 0, unsafe { token.as_ref() }.and_then(|lease| lease.token().expires_at()).unwrap_or(0))
}

/// When the connection that the token came from renews it, in seconds since 1970: RefreshMargin before its end, and a
/// little earlier by chance, so that many processes do not renew together. A driver that keeps a session open calls
/// authgrant_get_token again from then on. 0 where nobody said when the token expires, and for NULL.
///
/// Threads: any.
#[unsafe(no_mangle)]
pub extern "C" fn authgrant_token_refresh_at(token: *const TokenHandle) -> i64 {
    // SAFETY: the header promises NULL or a token that is not freed.
    guard!(light 0, unsafe { token.as_ref() }.and_then(TokenHandle::refresh_at).unwrap_or(0))
}

/// The scope that was granted, separated by blanks; NULL where the server did not say, which means the scope that was
/// asked for (RFC 6749 section 5.1). The text belongs to the token.
///
/// Threads: any.
#[unsafe(no_mangle)]
pub extern "C" fn authgrant_token_scope(token: *const TokenHandle) -> *const c_char {
    guard!(light ptr::null(), get_text(token, AccessToken::scope))
}

/// Another member of the server's answer by its exact name, such as "instance_url": text as it is, anything else as
/// JSON. NULL where there is none, and for the refresh token. The text belongs to the token.
///
/// Threads: any.
#[unsafe(no_mangle)]
pub extern "C" fn authgrant_token_field(token: *const TokenHandle, name: *const c_char) -> *const c_char {
    guard!(or ptr::null(), {
        if name.is_null() {
            return ptr::null();
        }
        // SAFETY: the header promises NUL-terminated text.
        let name = unsafe { CStr::from_ptr(name) }.to_str().unwrap_or_default();
        get_text(token, |token| token.field(name))
    })
}

/// Lets go of a token; the last one to do so wipes it. NULL is fine. Other references to it stay good.
///
/// Threads: any; nobody may use this reference any more.
#[unsafe(no_mangle)]
pub extern "C" fn authgrant_token_free(token: *mut TokenHandle) {
    guard!(light(), {
        if !token.is_null() {
            // SAFETY: the header promises a reference of this library that was not freed before.
            drop(unsafe { SharedRef::from_raw(token.cast_const()) });
        }
    });
}
