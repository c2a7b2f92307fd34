//! `authgrant_connection`: one connection string, and everything that is asked of it.

use std::ffi::{c_char, c_void};
use std::ptr;
use std::sync::Arc;
use std::time::Duration;

use zeroize::{Zeroize, Zeroizing};

use crate::base::error::{Error, Result, Status};
use crate::base::log::{Log, LogLevel};
use crate::connection::api_headers::ApiHeaders;
use crate::connection::{CallOptions, Connection};
use crate::ffi::callback::{self, LogCallback, authgrant_log_fn};
use crate::ffi::error::ErrorObject;
use crate::ffi::panic::{fits_in_memory, invalid_length_error, null_error};
use crate::ffi::status::{AUTHGRANT_NO_NETWORK, AUTHGRANT_NO_PROMPT, authgrant_status};
use crate::ffi::token;
use crate::process::Process;
use crate::token::TokenHandle;

/// Opens a connection from the connection string that a user wrote.
///
/// The text is read, with the data source (DSN, FILEDSN) and the model (RestConfigFile) that it names: no file of keys
/// is opened and nothing is sent. Values, conflicts and missing options are found by the first call that needs them;
/// what is odd about the text and the files is in authgrant_get_warnings. On success `*connection` is for the caller to
/// close with authgrant_close.
///
/// Threads: any; for a DSN, environment variables are read, so nobody may write them meanwhile. Errors:
/// AUTHGRANT_INVALID_ARGUMENT, AUTHGRANT_INVALID_CONNECTION_STRING, AUTHGRANT_DATA_SOURCE_NOT_FOUND.
#[unsafe(no_mangle)]
pub extern "C" fn authgrant_open(
    connection_string: *const c_char,
    connection: *mut *mut Connection,
    error: *mut *mut ErrorObject,
) -> authgrant_status {
    guard!(error, |call| {
        let connection = call.out("connection", connection, ptr::null_mut());
        let text = call.text("connection_string", connection_string)?;
        connection.set(Box::into_raw(Box::new(Connection::open(text)?)));
        Ok(())
    })
}

/// Opens a connection from the wide text of an ODBC driver manager.
///
/// `unit` is sizeof(SQLWCHAR): 2 for UTF-16, 4 for UTF-32 (iODBC). `length` is in units; -1 (SQL_NTS) is for text that
/// a NUL ends. Otherwise as authgrant_open.
///
/// Threads: as authgrant_open. Errors: AUTHGRANT_INVALID_ARGUMENT (also for a surrogate without its other half, and a
/// NUL inside), AUTHGRANT_INVALID_CONNECTION_STRING, AUTHGRANT_DATA_SOURCE_NOT_FOUND.
#[unsafe(no_mangle)]
pub extern "C" fn authgrant_open_wide(
    connection_string: *const c_void,
    length: isize,
    unit: usize,
    connection: *mut *mut Connection,
    error: *mut *mut ErrorObject,
) -> authgrant_status {
    guard!(error, |call| {
        let connection = call.out("connection", connection, ptr::null_mut());
        call.check()?;
        if connection_string.is_null() {
            return Err(null_error("connection_string"));
        }
        let text = match unit {
            2 => from_utf16(&copy_units::<u16>(connection_string, length)?)?,
            4 => from_utf32(&copy_units::<u32>(connection_string, length)?)?,
            _ => return Err(invalid_length_error("unit")),
        };
        connection.set(Box::into_raw(Box::new(Connection::open(&text)?)));
        Ok(())
    })
}

/// The units of a wide text, copied, since nothing says that they are aligned.
fn copy_units<T: Copy + Default + PartialEq + Zeroize>(
    text: *const c_void,
    length: isize,
) -> Result<Zeroizing<Vec<T>>> {
    let text: *const T = text.cast();
    // SAFETY: the header promises `length` units, or units up to a NUL.
    let unit = |index: usize| unsafe { text.add(index).read_unaligned() };
    let length = match usize::try_from(length) {
        Ok(length) if fits_in_memory::<T>(length) => length,
        Err(_) if length == -1 => (0..).take_while(|index| unit(*index) != T::default()).count(),
        _ => return Err(invalid_length_error("length")),
    };
    let units = Zeroizing::new((0..length).map(unit).collect::<Vec<T>>());
    if units.contains(&T::default()) {
        return Err(encoding_error("a NUL stands inside"));
    }
    Ok(units)
}

fn from_utf16(units: &[u16]) -> Result<Zeroizing<String>> {
    let text = char::decode_utf16(units.iter().copied()).collect::<std::result::Result<String, _>>();
    text.map(Zeroizing::new).map_err(|_| encoding_error("a surrogate stands without its other half"))
}

fn from_utf32(units: &[u32]) -> Result<Zeroizing<String>> {
    let text = units.iter().map(|unit| char::from_u32(*unit)).collect::<Option<String>>();
    text.map(Zeroizing::new).ok_or_else(|| encoding_error("a unit is not a character of Unicode"))
}

fn encoding_error(found: &str) -> Error {
    Error::new(Status::InvalidArgument, "argument", format!("connection_string is not text: {found}"))
}

/// Sets one option, by any of its names, to the letter (no quotes are removed); an empty value takes it away.
///
/// As the value of a secret option, `env:NAME` is the content of an environment variable, and `file:PATH` that of a file,
/// read when it is first needed and again when the file has changed. `literal:TEXT` is TEXT itself: write it in front of
/// a secret that you hand on and did not write, such as one that a user typed or a server sent.
///
/// Calls in flight finish with the options that they began with.
///
/// Threads: any. Errors: AUTHGRANT_INVALID_ARGUMENT, AUTHGRANT_INVALID_OPTION for a name that is not an option or a
/// value of the wrong type.
#[unsafe(no_mangle)]
pub extern "C" fn authgrant_set_option(
    connection: *mut Connection,
    name: *const c_char,
    value: *const c_char,
    error: *mut *mut ErrorObject,
) -> authgrant_status {
    guard!(error, |call| {
        let connection = call.handle("connection", connection)?;
        connection.set_options(&[(call.text("name", name)?, call.text("value", value)?)])
    })
}

/// Sets several options at once, all of them or, on an error, none; otherwise as authgrant_set_option.
///
/// `names` and `values` are arrays of `count` texts.
///
/// Threads: any. Errors: AUTHGRANT_INVALID_ARGUMENT, AUTHGRANT_INVALID_OPTION, one for each option at fault.
#[unsafe(no_mangle)]
pub extern "C" fn authgrant_set_options(
    connection: *mut Connection,
    names: *const *const c_char,
    values: *const *const c_char,
    count: usize,
    error: *mut *mut ErrorObject,
) -> authgrant_status {
    guard!(error, |call| {
        let connection = call.handle("connection", connection)?;
        let names = call.array("names", names, count)?;
        let values = call.array("values", values, count)?;
        let pairs = names
            .iter()
            .zip(values)
            .map(|(name, value)| Ok((call.text("names", *name)?, call.text("values", *value)?)))
            .collect::<Result<Vec<_>>>()?;
        connection.set_options(&pairs)
    })
}

/// Closes a connection. NULL is fine. Tokens, headers and errors that came from it stay good, and so do cached tokens.
/// Where LogoffURI is given, the last connection that uses a token ends it there, and waits for that at most 5 s; not
/// one that a forked child has inherited.
///
/// Threads: any, but no other call may be inside this connection. From inside a callback it does nothing.
#[unsafe(no_mangle)]
pub extern "C" fn authgrant_close(connection: *mut Connection) {
    guard!(or(), {
        if !connection.is_null() && !callback::is_in_callback() {
            // SAFETY: the header promises a connection of this library that was not closed before.
            drop(unsafe { Box::from_raw(connection) });
        }
    });
}

/// The access token to send, fetched only if the cached one is missing or about to end.
///
/// Blocks for at most LoginTimeout seconds, and ConsentTimeout seconds more where EnableLoginPrompt lets it ask a person.
/// While another thread is fetching the same token, waits for that one fetch. A grant that the server refused a moment ago
/// is answered from memory; the message says so, and authgrant_error_retry_after for how long.
///
/// On success `*token` is a new reference for the caller to release with authgrant_token_free; it stays good after
/// authgrant_close. On failure it is NULL.
///
/// Threads: any, at the same time. Errors: AUTHGRANT_CONSENT_REQUIRED (see authgrant_error_consent_url),
/// AUTHGRANT_MISSING_OPTION, AUTHGRANT_INVALID_OPTION, AUTHGRANT_KEY_…, AUTHGRANT_NETWORK, AUTHGRANT_TLS,
/// AUTHGRANT_TIMEOUT, AUTHGRANT_CANCELLED, AUTHGRANT_DENIED, AUTHGRANT_THROTTLED, AUTHGRANT_SERVER_ERROR,
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

/// Apart, so that nearly all calls need not make room for what they do not do.
#[inline(never)]
fn get_token_slow(
    connection: *mut Connection,
    token: *mut *mut TokenHandle,
    error: *mut *mut ErrorObject,
) -> authgrant_status {
    guard!(error, |call| {
        let token = call.out("token", token, ptr::null_mut());
        let connection = call.handle("connection", connection)?;
        token.set(token::into_raw_handle(connection.get_token_handle(CallOptions::default())?));
        Ok(())
    })
}

/// What nearly all calls get, with as few steps as it can be had.
fn get_token_fast(
    connection: *mut Connection,
    token: *mut *mut TokenHandle,
    error: *mut *mut ErrorObject,
) -> bool {
    if token.is_null() || callback::is_any_callback_running() {
        return false;
    }
    // SAFETY: the header promises NULL or a connection that is not closed.
    let Some(lease) = unsafe { connection.as_ref() }.and_then(Connection::get_cached_handle) else {
        return false;
    };
    // SAFETY: the header promises that a result's pointer can be written to during the call.
    unsafe { token.write(token::into_raw_handle(lease)) };
    if !error.is_null() {
        // SAFETY: as above.
        unsafe { error.write(ptr::null_mut()) };
    }
    true
}

/// How one call of authgrant_get_token_with differs from the connection's own ways. Set everything to 0, then `size`.
#[repr(C)]
pub struct RawCallOptions {
    /// sizeof(authgrant_call_options).
    pub size: usize,
    /// Milliseconds for the whole call; 0 is LoginTimeout.
    pub timeout_ms: i32,
    /// Seconds that the token must have left, as far as any token of its kind has that many; 0 leaves it to the
    /// connection.
    pub min_validity_s: i32,
    /// AUTHGRANT_NO_PROMPT, AUTHGRANT_NO_NETWORK, or both.
    pub flags: u32,
}

/// As authgrant_get_token, with a timeout, a least life or limits of its own.
///
/// Threads: any, at the same time. Errors: as authgrant_get_token; AUTHGRANT_NOT_CACHED if AUTHGRANT_NO_NETWORK
/// is set and no token is cached.
#[unsafe(no_mangle)]
pub extern "C" fn authgrant_get_token_with(
    connection: *mut Connection,
    call: *const RawCallOptions,
    token: *mut *mut TokenHandle,
    error: *mut *mut ErrorObject,
) -> authgrant_status {
    let options = call;
    guard!(error, |call| {
        let token = call.out("token", token, ptr::null_mut());
        let connection = call.handle("connection", connection)?;
        let wishes = parse_call_options(call.handle("call", options)?)?;
        token.set(token::into_raw_handle(connection.get_token_handle(wishes)?));
        Ok(())
    })
}

fn parse_call_options(options: &RawCallOptions) -> Result<CallOptions> {
    if options.size < size_of::<RawCallOptions>() {
        return Err(invalid_length_error("call->size"));
    }
    if options.flags & !(AUTHGRANT_NO_PROMPT | AUTHGRANT_NO_NETWORK) != 0 {
        let text = format!(
            "call->flags is {}; there are AUTHGRANT_NO_PROMPT and AUTHGRANT_NO_NETWORK",
            options.flags
        );
        return Err(Error::new(Status::InvalidArgument, "argument", text));
    }
    let timeout = u64::try_from(options.timeout_ms).map_err(|_| invalid_length_error("call->timeout_ms"))?;
    let min_life =
        u32::try_from(options.min_validity_s).map_err(|_| invalid_length_error("call->min_validity_s"))?;
    Ok(CallOptions {
        timeout: (timeout > 0).then(|| Duration::from_millis(timeout)),
        min_remaining: i64::from(min_life),
        no_network: options.flags & AUTHGRANT_NO_NETWORK != 0,
        no_prompt: options.flags & AUTHGRANT_NO_PROMPT != 0,
        bypass_negative_cache: false,
    })
}

/// Tells that the API answered 401 to this token, so that the next call fetches another.
///
/// The token is compared: only the first to reject the current token of its identity causes a fetch, from whichever
/// connection, and one that was replaced already changes nothing. Rejections in a row count only when 1, 2, 4 … 60 s
/// lie between them; meanwhile the same token is handed out. The reference stays the caller's.
///
/// Threads: any. Errors: AUTHGRANT_INVALID_ARGUMENT.
#[unsafe(no_mangle)]
pub extern "C" fn authgrant_reject_token(
    connection: *mut Connection,
    token: *const TokenHandle,
    error: *mut *mut ErrorObject,
) -> authgrant_status {
    guard!(error, |call| {
        let connection = call.handle("connection", connection)?;
        connection.reject_token(call.handle("token", token)?.token());
        Ok(())
    })
}

/// A copy of the access token in the caller's buffer.
///
/// `*length` is always set to what is needed, the NUL included. With a smaller `capacity` nothing is written and
/// AUTHGRANT_BUFFER_TOO_SMALL is returned. NULL with capacity 0 asks for the size alone. A renewed token may be longer:
/// ask again.
///
/// Threads: any. Errors: as authgrant_get_token, and AUTHGRANT_BUFFER_TOO_SMALL.
#[unsafe(no_mangle)]
pub extern "C" fn authgrant_copy_token(
    connection: *mut Connection,
    buffer: *mut c_char,
    capacity: usize,
    length: *mut usize,
    error: *mut *mut ErrorObject,
) -> authgrant_status {
    guard!(error, |call| {
        let length = call.out("length", length, 0);
        let connection = call.handle("connection", connection)?;
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
            let text = format!("the buffer holds {capacity} bytes, and the token needs {}", value.len());
            return Err(Error::new(Status::BufferTooSmall, "argument", text));
        }
        // SAFETY: the header promises `capacity` bytes, which were seen to suffice.
        unsafe { ptr::copy_nonoverlapping(value.as_ptr().cast(), buffer, value.len()) };
        Ok(())
    })
}

/// All headers that a request to the API must carry: Authorization with the token, and the one of AuthHeader and
/// SecurityToken.
///
/// Blocks and fails as authgrant_get_token does. On success `*headers` is for the caller to free with
/// authgrant_headers_free; it stays good after authgrant_close.
///
/// Threads: any. Errors: as authgrant_get_token.
#[unsafe(no_mangle)]
pub extern "C" fn authgrant_get_headers(
    connection: *mut Connection,
    headers: *mut *mut ApiHeaders,
    error: *mut *mut ErrorObject,
) -> authgrant_status {
    guard!(error, |call| {
        let headers = call.out("headers", headers, ptr::null_mut());
        let connection = call.handle("connection", connection)?;
        headers.set(Box::into_raw(Box::new(connection.get_headers()?)));
        Ok(())
    })
}

/// What is allowed and not as it should be: names that are not options (SQLSTATE 01S00), a certificate that is not
/// checked, a token endpoint that is asked by GET (01000), and what the calls so far have met.
///
/// A snapshot: `*warnings` is NULL or the first of a chain (see authgrant_error_next), for the caller to free with
/// authgrant_error_free.
///
/// Threads: any. Errors: AUTHGRANT_INVALID_ARGUMENT.
#[unsafe(no_mangle)]
pub extern "C" fn authgrant_get_warnings(
    connection: *mut Connection,
    warnings: *mut *mut ErrorObject,
    error: *mut *mut ErrorObject,
) -> authgrant_status {
    guard!(error, |call| {
        let warnings = call.out("warnings", warnings, ptr::null_mut());
        let connection = call.handle("connection", connection)?;
        if let Some(first) = Error::combine(connection.warnings()) {
            warnings.set(ErrorObject::new_raw(&first));
        }
        Ok(())
    })
}

/// Ends the calls that are inside this connection now: each returns AUTHGRANT_CANCELLED within 250 ms, but for the time
/// that a callback takes.
///
/// Later calls and other connections are untouched: one that waits for the same token fetches it itself. It is fine if
/// nothing is in flight.
///
/// Threads: any. Errors: AUTHGRANT_INVALID_ARGUMENT.
#[unsafe(no_mangle)]
pub extern "C" fn authgrant_cancel(
    connection: *mut Connection,
    error: *mut *mut ErrorObject,
) -> authgrant_status {
    guard!(error, |call| {
        call.handle("connection", connection)?.cancel();
        Ok(())
    })
}

/// Sends the log of this connection's later calls to `function`, up to `level`: 1 error, 2 warning, 3 info, 4 debug,
/// 5 trace. A NULL function turns it off, which it is at first.
///
/// `context` is handed to the function as it is, and must stay good until the connection is closed or its log is
/// turned off and the calls that began before have ended.
///
/// Threads: any. Errors: AUTHGRANT_INVALID_ARGUMENT.
#[unsafe(no_mangle)]
pub extern "C" fn authgrant_set_log(
    connection: *mut Connection,
    function: authgrant_log_fn,
    context: *mut c_void,
    level: i32,
    error: *mut *mut ErrorObject,
) -> authgrant_status {
    guard!(error, |call| {
        let connection = call.handle("connection", connection)?;
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
            Error::new(Status::InvalidArgument, "argument", text)
        })
}

/// Drops and wipes what the process has cached: tokens, opened keys, idle connections to servers.
///
/// Tokens that callers hold stay good; calls in flight end as they would have. Sessions with PKCS#11 tokens are closed, and
/// PINs that tokens refused are forgotten, so that they may be tried once more.
///
/// Threads: any. From inside a callback it does nothing.
#[unsafe(no_mangle)]
pub extern "C" fn authgrant_clear_caches() {
    guard!(or(), {
        if !callback::is_in_callback() && Process::check_random().is_ok() {
            Process::current().clear();
        }
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn call_options_fields_are_independent() {
        let wishes = |timeout_ms, min_validity_s, flags| {
            let size = size_of::<RawCallOptions>();
            let wishes =
                parse_call_options(&RawCallOptions { size, timeout_ms, min_validity_s, flags }).unwrap();
            (wishes.timeout, wishes.min_remaining, wishes.no_network)
        };
        assert_eq!(wishes(0, 0, 0), (None, 0, false));
        assert_eq!(wishes(1, 0, 0), (Some(Duration::from_millis(1)), 0, false));
        assert_eq!(wishes(0, i32::MAX, 0), (None, i64::from(i32::MAX), false));
        assert_eq!(wishes(0, 0, AUTHGRANT_NO_PROMPT), (None, 0, false));
        assert_eq!(wishes(0, 0, AUTHGRANT_NO_NETWORK), (None, 0, true));
    }
}
