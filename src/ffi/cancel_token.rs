//! `authgrant_cancel_token`: cancels single calls, while authgrant_cancel() cancels all calls of a connection.

use std::ptr;

use crate::base::call::SharedCancelToken;
use crate::ffi::error::ErrorObject;
use crate::ffi::status::authgrant_status;

/// Creates a cancel token, which is not cancelled. A driver has one for each statement (SQLCancel), a program
/// one for each operation that can be abandoned.
///
/// On success `*token` is to be released with authgrant_cancel_token_free().
///
/// Thread-safe. Errors: AUTHGRANT_INVALID_ARGUMENT.
#[unsafe(no_mangle)]
pub extern "C" fn authgrant_cancel_token_new(
    token: *mut *mut SharedCancelToken,
    error: *mut *mut ErrorObject,
) -> authgrant_status {
    guard!(error, |args| {
        let token = args.out("token", token, ptr::null_mut());
        args.check()?;
        token.set(Box::into_raw(Box::default()));
        Ok(())
    })
}

/// Cancels the calls that this token was passed to, and later ones until authgrant_cancel_token_reset(). Each
/// returns AUTHGRANT_CANCELLED within 250 ms, plus the time that a running callback takes. NULL is ignored.
///
/// Other calls on the same connection are not affected: if one of them waits for the request of a cancelled
/// call, it makes the request itself.
///
/// Thread-safe. May be called from inside a callback.
#[unsafe(no_mangle)]
pub extern "C" fn authgrant_cancel_token_cancel(token: *mut SharedCancelToken) {
    guard!(or(), {
        // SAFETY: the header requires NULL or a token that was not released.
        let token = unsafe { token.as_ref() };
        if let Some(token) = token {
            token.cancel();
        }
    });
}

/// Ends the effect of authgrant_cancel_token_cancel() on later calls. Calls that were cancelled stay cancelled.
/// NULL is ignored.
///
/// An ODBC driver resets the token of a statement at the beginning of each statement function, so that
/// SQLCancel has no effect on a statement that is idle.
///
/// Thread-safe. May be called from inside a callback.
#[unsafe(no_mangle)]
pub extern "C" fn authgrant_cancel_token_reset(token: *mut SharedCancelToken) {
    guard!(or(), {
        // SAFETY: the header requires NULL or a token that was not released.
        let token = unsafe { token.as_ref() };
        if let Some(token) = token {
            token.reset();
        }
    });
}

/// Releases a cancel token. NULL is ignored. Calls in progress that it was passed to continue.
///
/// Thread-safe, but it must be the last use of the token: no other function may be about to read it.
#[unsafe(no_mangle)]
pub extern "C" fn authgrant_cancel_token_free(token: *mut SharedCancelToken) {
    guard!(or(), {
        if !token.is_null() {
            // SAFETY: the header requires a token of this library that was not released.
            drop(unsafe { Box::from_raw(token) });
        }
    });
}
