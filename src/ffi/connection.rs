//! `authgrant_connection`: open and close, tokens, warnings, log and cancellation.

use std::ffi::{c_char, c_void};
use std::ptr;
use std::sync::Arc;

use crate::base::error::{ArgumentError, Error, Result, Status};
use crate::base::log::{Log, LogLevel};
use crate::connection::{CallOptions, Connection};
use crate::ffi::call_options::{self, RawCallOptions};
use crate::ffi::callback::{self, LogCallback, authgrant_log_fn};
use crate::ffi::error::ErrorObject;
use crate::ffi::open_options::{self, RawOpenOptions};
use crate::ffi::panic::null_error;
use crate::ffi::status::authgrant_status;
use crate::ffi::{token, wide};
use crate::process::Process;
use crate::token::TokenHandle;

/// Opens a connection from a connection string.
///
/// Parses the string and reads the data source (DSN, FILEDSN) and the model file (RestConfigFile) that it
/// names. Opens no key file and sends nothing. Invalid values, conflicts and missing options are reported by
/// the first call that needs them; authgrant_get_warnings() returns the warnings about the string and the
/// files.
///
/// On success `*connection` is to be closed with authgrant_close().
///
/// Thread-safe. Resolving a DSN reads environment variables, so no thread may change the environment
/// meanwhile. Errors: AUTHGRANT_INVALID_ARGUMENT, AUTHGRANT_INVALID_CONNECTION_STRING,
/// AUTHGRANT_DATA_SOURCE_NOT_FOUND.
#[unsafe(no_mangle)]
pub extern "C" fn authgrant_open(
    connection_string: *const c_char,
    connection: *mut *mut Connection,
    error: *mut *mut ErrorObject,
) -> authgrant_status {
    guard!(error, |args| {
        let connection = args.out("connection", connection, ptr::null_mut());
        let text = args.text("connection_string", connection_string)?;
        connection.set(Box::into_raw(Box::new(Connection::open(text)?)));
        Ok(())
    })
}

/// Opens a connection from the wide text of an ODBC driver manager; otherwise as authgrant_open().
///
/// `unit_size` is sizeof(SQLWCHAR): 2 for UTF-16, 4 for UTF-32 (iODBC). `length` is in units; -1 or SQL_NTS
/// (-3) means that the text is NUL-terminated. The text need not be aligned.
///
/// Thread-safe, as authgrant_open(). Errors: AUTHGRANT_INVALID_ARGUMENT (also for an unpaired surrogate and
/// for a NUL within `length`), AUTHGRANT_INVALID_CONNECTION_STRING, AUTHGRANT_DATA_SOURCE_NOT_FOUND.
#[unsafe(no_mangle)]
pub extern "C" fn authgrant_open_wide(
    connection_string: *const c_void,
    length: isize,
    unit_size: usize,
    connection: *mut *mut Connection,
    error: *mut *mut ErrorObject,
) -> authgrant_status {
    guard!(error, |args| {
        let connection = args.out("connection", connection, ptr::null_mut());
        args.check()?;
        let text = wide::decode("connection_string", connection_string, length, unit_size)?;
        connection.set(Box::into_raw(Box::new(Connection::open(&text)?)));
        Ok(())
    })
}

/// Opens a connection for a driver that has keywords of its own; otherwise as authgrant_open().
///
/// A keyword of the driver in the connection string or its data source is kept, without a warning: authgrant_get_option()
/// returns its value, authgrant_set_option() changes it, and authgrant_completed_string() includes it. Its value is used
/// verbatim and is never regarded as a secret. The first occurrence in one text counts. A name that is also an option of
/// this library stays that option.
///
/// `options->size` tells which members the caller knows; the rest of a larger struct must be zero. The options and what
/// they refer to are not used after the call.
///
/// Thread-safe, as authgrant_open(). Errors: AUTHGRANT_INVALID_ARGUMENT (also for a keyword that is empty or contains
/// one of = { } [ ] or a control character), AUTHGRANT_INVALID_CONNECTION_STRING, AUTHGRANT_DATA_SOURCE_NOT_FOUND.
#[unsafe(no_mangle)]
pub extern "C" fn authgrant_open_with(
    options: *const RawOpenOptions,
    connection: *mut *mut Connection,
    error: *mut *mut ErrorObject,
) -> authgrant_status {
    guard!(error, |args| {
        let connection = args.out("connection", connection, ptr::null_mut());
        let size = *args.handle("options", options.cast::<usize>())?;
        let options = open_options::copy(options, size)?;
        let text = options.connection_string(args)?;
        let keywords = options.driver_keywords(args)?;
        connection.set(Box::into_raw(Box::new(Connection::open_with_keywords(&text, &keywords)?)));
        Ok(())
    })
}

/// Closes a connection. NULL is ignored. Tokens, headers and errors of the connection remain valid, and
/// tokens that other connections can share stay cached.
///
/// If LogoffURI is set, closing the last connection that uses a token revokes the token there, with the refresh
/// token of its login, and waits at most 5 s for the responses. Nothing is revoked that the caller or another
/// process may hold: configured tokens, and those of a login whose refresh token was exported by
/// authgrant_completed_string() or by the refresh token callback; authgrant_logoff() revokes these. A connection
/// that a forked child inherited is closed without that.
///
/// Thread-safe, but it must be the last call on the connection, with no other call in progress. From inside a
/// callback it does nothing.
#[unsafe(no_mangle)]
pub extern "C" fn authgrant_close(connection: *mut Connection) {
    guard!(or(), {
        if !connection.is_null() && !callback::is_in_callback() {
            // SAFETY: the header requires an open connection of this library.
            drop(unsafe { Box::from_raw(connection) });
        }
    });
}

/// Returns the access token to send, requesting a new one only if the cached token is missing or about to
/// expire.
///
/// Blocks for at most LoginTimeout seconds, and for up to ConsentTimeout more if EnableLoginPrompt allows
/// asking a user. Concurrent callers wait for one request. If the server rejected the grant recently, the
/// cached error is returned; its message says so, and authgrant_error_retry_after() is the time until the
/// next request.
///
/// On success `*token` is a new reference, to be released with authgrant_token_free(). It stays valid after
/// authgrant_close().
///
/// Thread-safe. Errors: AUTHGRANT_CONSENT_REQUIRED (see authgrant_error_consent_url()),
/// AUTHGRANT_MISSING_OPTION, AUTHGRANT_INVALID_OPTION, AUTHGRANT_KEY_STORE_ERROR, AUTHGRANT_KEY_PASSWORD,
/// AUTHGRANT_KEY_NOT_FOUND, AUTHGRANT_KEY_UNSUITABLE, AUTHGRANT_NETWORK, AUTHGRANT_TLS, AUTHGRANT_TIMEOUT,
/// AUTHGRANT_CANCELLED, AUTHGRANT_DENIED, AUTHGRANT_THROTTLED, AUTHGRANT_SERVER_ERROR,
/// AUTHGRANT_BAD_RESPONSE, AUTHGRANT_TOKEN_EXPIRED, AUTHGRANT_UNSUPPORTED.
#[unsafe(no_mangle)]
pub extern "C" fn authgrant_get_token(
    connection: *mut Connection,
    token: *mut *mut TokenHandle,
    error: *mut *mut ErrorObject,
) -> authgrant_status {
    if guard!(light false, get_token_fast(connection, token, error)) {
        return Status::Ok as i32;
    }
    get_token_slow(connection, token, error)
}

/// Not inlined, so that the fast path does not reserve its stack frame.
#[inline(never)]
fn get_token_slow(
    connection: *mut Connection,
    token: *mut *mut TokenHandle,
    error: *mut *mut ErrorObject,
) -> authgrant_status {
    guard!(error, |args| {
        let token = args.out("token", token, ptr::null_mut());
        let connection = args.handle("connection", connection)?;
        token.set(token::into_raw_handle(connection.get_token_handle(CallOptions::default())?));
        Ok(())
    })
}

/// Writes the last token to `token` if it may be reused. Returns false if the slow path is needed.
fn get_token_fast(
    connection: *mut Connection,
    token: *mut *mut TokenHandle,
    error: *mut *mut ErrorObject,
) -> bool {
    if token.is_null() || callback::is_any_callback_running() {
        return false;
    }
    // SAFETY: the header requires NULL or an open connection.
    let Some(handle) = unsafe { connection.as_ref() }.and_then(Connection::get_cached_handle) else {
        return false;
    };
    // SAFETY: the header requires that an out-parameter is writable during the call.
    unsafe { token.write(token::into_raw_handle(handle)) };
    if !error.is_null() {
        // SAFETY: as above.
        unsafe { error.write(ptr::null_mut()) };
    }
    true
}

/// Returns the access token as authgrant_get_token() does, with a timeout, a minimum remaining lifetime, a
/// cancel token or restrictions for this call.
///
/// `options->size` tells which members the caller knows; the rest of a larger struct must be zero.
///
/// Thread-safe. Errors: as authgrant_get_token(); AUTHGRANT_INVALID_ARGUMENT; AUTHGRANT_NOT_CACHED if
/// AUTHGRANT_NO_NETWORK is set and no token is cached.
#[unsafe(no_mangle)]
pub extern "C" fn authgrant_get_token_with(
    connection: *mut Connection,
    options: *const RawCallOptions,
    token: *mut *mut TokenHandle,
    error: *mut *mut ErrorObject,
) -> authgrant_status {
    if guard!(light false, call_options::can_use_fast_path(options) && get_token_fast(connection, token, error))
    {
        return Status::Ok as i32;
    }
    get_token_with_slow(connection, options, token, error)
}

/// Not inlined, so that the fast path does not reserve its stack frame.
#[inline(never)]
fn get_token_with_slow(
    connection: *mut Connection,
    options: *const RawCallOptions,
    token: *mut *mut TokenHandle,
    error: *mut *mut ErrorObject,
) -> authgrant_status {
    guard!(error, |args| {
        let token = args.out("token", token, ptr::null_mut());
        let connection = args.handle("connection", connection)?;
        let handle = call_options::run(args, options, |options| connection.get_token_handle(options))?;
        token.set(token::into_raw_handle(handle));
        Ok(())
    })
}

/// Reports that the API rejected this token (HTTP 401), so that the next call requests a new one.
///
/// Only the first rejection of the currently cached token triggers a new request, no matter on which
/// connection; rejecting an already replaced token has no effect. Consecutive rejections count only if they
/// are 1, 2, 4 ... 60 s apart; until then the same token is returned. The caller keeps its reference.
///
/// Thread-safe. Errors: AUTHGRANT_INVALID_ARGUMENT.
#[unsafe(no_mangle)]
pub extern "C" fn authgrant_reject_token(
    connection: *mut Connection,
    token: *const TokenHandle,
    error: *mut *mut ErrorObject,
) -> authgrant_status {
    guard!(error, |args| {
        let connection = args.handle("connection", connection)?;
        connection.reject_token(args.handle("token", token)?.token());
        Ok(())
    })
}

/// Copies the access token into a buffer of the caller, as authgrant_get_token() would return it.
///
/// `*length` is set to the needed size in bytes, including the NUL. If `capacity` is smaller, nothing
/// is copied and AUTHGRANT_BUFFER_TOO_SMALL is returned. A NULL buffer with capacity 0 queries the size. A
/// renewed token may be longer: repeat the call with a larger buffer.
///
/// Thread-safe. Errors: as authgrant_get_token(); AUTHGRANT_BUFFER_TOO_SMALL.
#[unsafe(no_mangle)]
pub extern "C" fn authgrant_copy_token(
    connection: *mut Connection,
    buffer: *mut c_char,
    capacity: usize,
    length: *mut usize,
    error: *mut *mut ErrorObject,
) -> authgrant_status {
    guard!(error, |args| {
        let length = args.out("length", length, 0);
        let connection = args.handle("connection", connection)?;
        if buffer.is_null() && capacity > 0 {
            return Err(null_error("buffer"));
        }
        let lease = connection.get_token_handle(CallOptions::default())?;
        let value = lease.token().value().to_bytes_with_nul();
        length.set(value.len());
        if buffer.is_null() {
            return Ok(());
        }
        if capacity < value.len() {
            let text = format!("the buffer has {capacity} bytes, but the token needs {}", value.len());
            return Err(Error::new(ArgumentError::BufferTooSmall, "argument", text));
        }
        // SAFETY: the header requires `capacity` bytes, and the length was checked above.
        unsafe { ptr::copy_nonoverlapping(value.as_ptr().cast(), buffer, value.len()) };
        Ok(())
    })
}

/// Returns the warnings collected so far: unknown options (SQLSTATE 01S00), disabled certificate validation,
/// token requests by GET (01000), and warnings of earlier calls.
///
/// `*warnings` is NULL or the first of a chain (see authgrant_error_next()), to be released with
/// authgrant_error_free(). It does not change when more warnings are collected.
///
/// Thread-safe. Errors: AUTHGRANT_INVALID_ARGUMENT.
#[unsafe(no_mangle)]
pub extern "C" fn authgrant_get_warnings(
    connection: *mut Connection,
    warnings: *mut *mut ErrorObject,
    error: *mut *mut ErrorObject,
) -> authgrant_status {
    guard!(error, |args| {
        let warnings = args.out("warnings", warnings, ptr::null_mut());
        let connection = args.handle("connection", connection)?;
        if let Some(first) = Error::combine(connection.warnings()) {
            warnings.set(ErrorObject::new_raw(&first));
        }
        Ok(())
    })
}

/// Returns the warnings of authgrant_get_warnings() that no call of this function on the connection returned before, as
/// a driver returns them with each of its functions. A warning that is found again, such as after an option was set, is
/// returned only if its text is new.
///
/// `*warnings` is NULL or the first of a chain (see authgrant_error_next()), to be released with
/// authgrant_error_free(). authgrant_get_warnings() returns taken warnings, too.
///
/// Thread-safe: each warning is returned by one of concurrent calls. Errors: AUTHGRANT_INVALID_ARGUMENT.
#[unsafe(no_mangle)]
pub extern "C" fn authgrant_take_warnings(
    connection: *mut Connection,
    warnings: *mut *mut ErrorObject,
    error: *mut *mut ErrorObject,
) -> authgrant_status {
    guard!(error, |args| {
        let warnings = args.out("warnings", warnings, ptr::null_mut());
        let connection = args.handle("connection", connection)?;
        if let Some(first) = Error::combine(connection.take_warnings()) {
            warnings.set(ErrorObject::new_raw(&first));
        }
        Ok(())
    })
}

/// Cancels the calls in progress on this connection. Each returns AUTHGRANT_CANCELLED within 250 ms, plus the
/// time that a running callback takes.
///
/// Later calls and other connections are not affected: another connection that waits for the same token
/// requests it itself. Without a call in progress this has no effect.
///
/// Thread-safe. Errors: AUTHGRANT_INVALID_ARGUMENT.
#[unsafe(no_mangle)]
pub extern "C" fn authgrant_cancel(
    connection: *mut Connection,
    error: *mut *mut ErrorObject,
) -> authgrant_status {
    guard!(error, |args| {
        args.handle("connection", connection)?.cancel();
        Ok(())
    })
}

/// Registers a callback for the log records of later calls on this connection, up to `level`: 1 error, 2
/// warning, 3 info, 4 debug, 5 trace. NULL unregisters it. Initially there is none.
///
/// `context` is passed to the callback. It must stay valid until the connection is closed, or until the
/// callback is replaced or unregistered and all calls that started before have returned.
///
/// Thread-safe. Errors: AUTHGRANT_INVALID_ARGUMENT.
#[unsafe(no_mangle)]
pub extern "C" fn authgrant_set_log(
    connection: *mut Connection,
    function: authgrant_log_fn,
    context: *mut c_void,
    level: i32,
    error: *mut *mut ErrorObject,
) -> authgrant_status {
    guard!(error, |args| {
        let connection = args.handle("connection", connection)?;
        let log = match function {
            None => Log::default(),
            Some(function) => {
                Log::new(Arc::new(LogCallback::new(function, context)), parse_log_level(level)?)
            }
        };
        connection.set_log(log);
        Ok(())
    })
}

fn parse_log_level(level: i32) -> Result<LogLevel> {
    [LogLevel::Error, LogLevel::Warning, LogLevel::Info, LogLevel::Debug, LogLevel::Trace]
        .into_iter()
        .find(|known| *known as i32 == level)
        .ok_or_else(|| {
            let text = format!("level is {level}; expected 1 (error) to 5 (trace)");
            Error::new(ArgumentError::Invalid, "argument", text)
        })
}

/// Clears the caches of the process: tokens, opened keys and idle connections to servers. Secrets are
/// overwritten.
///
/// Tokens that callers hold stay valid, and calls in progress are not affected. Sessions with PKCS#11 tokens
/// are closed, and PINs that such tokens rejected are forgotten, so that they may be tried again. A ClientAssertion
/// that was sent is not sent again.
///
/// Thread-safe. From inside a callback it does nothing.
#[unsafe(no_mangle)]
pub extern "C" fn authgrant_clear_caches() {
    guard!(or(), {
        if !callback::is_in_callback() && Process::check_random().is_ok() {
            Process::current().clear();
        }
    });
}
