//! `authgrant_token`: a reference to an access token, which is overwritten when the last reference is
//! released.
//!
//! Drivers call these functions for each API request, so they use the light guard where nothing can panic.

use std::ffi::{CStr, c_char};
use std::ptr;

use crate::sys::SharedRef;
use crate::token::{AccessToken, TokenHandle};

/// Transfers a reference to the caller.
pub(crate) fn into_raw_handle(token: SharedRef<TokenHandle>) -> *mut TokenHandle {
    token.into_raw().cast_mut()
}

fn get_text(
    token: *const TokenHandle,
    read: impl for<'a> FnOnce(&'a AccessToken) -> Option<&'a CStr>,
) -> *const c_char {
    // SAFETY: the header requires NULL or a token that was not released.
    unsafe { token.as_ref() }.and_then(|handle| read(handle.token())).map_or(ptr::null(), CStr::as_ptr)
}

/// Returns the access token, to be sent in the header "Authorization: Bearer ..." (RFC 6750 section 2.1);
/// NULL for NULL. The string belongs to the token. It is a secret: do not log it.
///
/// Thread-safe.
#[unsafe(no_mangle)]
pub extern "C" fn authgrant_token_value(token: *const TokenHandle) -> *const c_char {
    guard!(light ptr::null(), get_text(token, |token| Some(token.value())))
}

/// Returns the length of the access token in bytes, without the NUL; 0 for NULL.
///
/// Thread-safe.
#[unsafe(no_mangle)]
pub extern "C" fn authgrant_token_length(token: *const TokenHandle) -> usize {
    // SAFETY: the header requires NULL or a token that was not released.
    guard!(light 0, unsafe { token.as_ref() }.map_or(0, |handle| handle.token().value().count_bytes()))
}

/// Returns the token type, "Bearer"; NULL for NULL. The string belongs to the token.
///
/// Thread-safe.
#[unsafe(no_mangle)]
pub extern "C" fn authgrant_token_type(token: *const TokenHandle) -> *const c_char {
    guard!(light ptr::null(), get_text(token, |token| Some(token.token_type())))
}

/// Returns the time at which the token expires, in seconds since 1970; 0 if it is unknown, and for NULL.
///
/// Thread-safe.
#[unsafe(no_mangle)]
pub extern "C" fn authgrant_token_expires_at(token: *const TokenHandle) -> i64 {
    // SAFETY: the header requires NULL or a token that was not released.
    guard!(light 0, unsafe { token.as_ref() }.and_then(|handle| handle.token().expires_at()).unwrap_or(0))
}

/// Returns the time at which the connection refreshes the token, in seconds since 1970: RefreshMargin before
/// it expires, and a random time earlier, so that many processes do not refresh at once. A driver that keeps
/// a session open calls authgrant_get_token() again from then on. 0 if the expiry is unknown, and for NULL.
///
/// Thread-safe.
#[unsafe(no_mangle)]
pub extern "C" fn authgrant_token_refresh_at(token: *const TokenHandle) -> i64 {
    // SAFETY: the header requires NULL or a token that was not released.
    guard!(light 0, unsafe { token.as_ref() }.and_then(TokenHandle::refresh_at).unwrap_or(0))
}

/// Returns the granted scope, separated by spaces. NULL if the response has none, which means the requested
/// scope (RFC 6749 section 5.1), and for NULL. The string belongs to the token.
///
/// Thread-safe.
#[unsafe(no_mangle)]
pub extern "C" fn authgrant_token_scope(token: *const TokenHandle) -> *const c_char {
    guard!(light ptr::null(), get_text(token, AccessToken::scope))
}

/// Returns another member of the token response by its exact name, such as "instance_url": a string verbatim,
/// any other value as JSON. NULL if there is none, and for the refresh token. The string belongs to the
/// token.
///
/// Thread-safe.
#[unsafe(no_mangle)]
pub extern "C" fn authgrant_token_field(token: *const TokenHandle, name: *const c_char) -> *const c_char {
    guard!(or ptr::null(), {
        if name.is_null() {
            return ptr::null();
        }
        // SAFETY: the header requires NUL-terminated text.
        let name = unsafe { CStr::from_ptr(name) }.to_str().unwrap_or_default();
        get_text(token, |token| token.field(name))
    })
}

/// Releases a reference to a token. The last release overwrites the token. NULL is ignored. Other references
/// stay valid.
///
/// Thread-safe, but it must be the last use of this reference.
#[unsafe(no_mangle)]
pub extern "C" fn authgrant_token_free(token: *mut TokenHandle) {
    guard!(light(), {
        if !token.is_null() {
            // SAFETY: the header requires a reference of this library that was not released.
            drop(unsafe { SharedRef::from_raw(token.cast_const()) });
        }
    });
}
