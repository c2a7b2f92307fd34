//! Numbers of the C API: statuses, flags and the version.

use std::ffi::{CString, c_char};

use once_cell::race::OnceBox;

use crate::base::error::Status;

/// The result of a function: AUTHGRANT_OK (0) for success, otherwise the number of an error. It is also
/// ODBC's native error code. Numbers never change; new ones are appended.
#[allow(non_camel_case_types, reason = "the name in C")]
pub type authgrant_status = i32;

/// Success (SQLSTATE 00000).
pub const AUTHGRANT_OK: i32 = 0;
/// An argument is NULL, not valid UTF-8, UTF-16 or UTF-32, or has unknown flags (HY009); a length or size is
/// invalid (HY090); the function was called from inside a callback (HY010).
pub const AUTHGRANT_INVALID_ARGUMENT: i32 = 1;
/// The connection string violates the grammar; the message has the offset (HY000).
pub const AUTHGRANT_INVALID_CONNECTION_STRING: i32 = 2;
/// An option is unknown, has an invalid value, conflicts with another option or is not allowed by the policy;
/// a model file is not JSON (HY024).
pub const AUTHGRANT_INVALID_OPTION: i32 = 3;
/// Required options are missing (28000). The chain has one error per missing option; see
/// authgrant_error_next().
pub const AUTHGRANT_MISSING_OPTION: i32 = 4;
/// The DSN is unknown and there is no [Default], or the FILEDSN is missing or unreadable (IM002).
pub const AUTHGRANT_DATA_SOURCE_NOT_FOUND: i32 = 5;
/// The key store is missing, unreadable, not a regular file, too large, malformed, of an unknown kind or
/// encrypted with an unsupported cipher; the signer callback failed (28000).
pub const AUTHGRANT_KEY_STORE_ERROR: i32 = 6;
/// The key store or the key cannot be decrypted: the password is wrong or missing, or the file was altered
/// (28000).
pub const AUTHGRANT_KEY_PASSWORD: i32 = 7;
/// The alias is missing or is not a private key, or there are several keys and no alias is set; the message
/// lists the aliases (28000).
pub const AUTHGRANT_KEY_NOT_FOUND: i32 = 8;
/// The key cannot be used with the algorithm, or is too short (28000).
pub const AUTHGRANT_KEY_UNSUITABLE: i32 = 9;
/// Name resolution, connection or proxy failed (08001). Retryable.
pub const AUTHGRANT_NETWORK: i32 = 10;
/// The TLS handshake or the certificate check failed; the message has the check and the host (08001).
pub const AUTHGRANT_TLS: i32 = 11;
/// The deadline of the call passed (HYT00), or the timeout of one request, WSTimeout (HYT01). Retryable.
pub const AUTHGRANT_TIMEOUT: i32 = 12;
/// The call was cancelled by authgrant_cancel() or by its cancel token (HY008).
pub const AUTHGRANT_CANCELLED: i32 = 13;
/// The authorization server rejected the request with an OAuth error that has no status of its own, such as
/// invalid_grant or invalid_client (28000); see authgrant_error_oauth_error().
pub const AUTHGRANT_DENIED: i32 = 14;
/// A user must log in, for the first time or because the session ended, or a user or an administrator must
/// consent first (28000); see authgrant_error_consent_url().
pub const AUTHGRANT_CONSENT_REQUIRED: i32 = 15;
/// The server is rate limiting requests: HTTP 429, or 503 with Retry-After, beyond the deadline (08004); see
/// authgrant_error_retry_after(). Retryable.
pub const AUTHGRANT_THROTTLED: i32 = 16;
/// The server failed: HTTP 5xx, temporarily_unavailable or server_error (08004). Retryable.
pub const AUTHGRANT_SERVER_ERROR: i32 = 17;
/// The response is not an OAuth response: HTML, a redirect, HTTP 4xx without an OAuth error, too large,
/// truncated, without access_token or with an unsupported token type (HY000).
pub const AUTHGRANT_BAD_RESPONSE: i32 = 18;
/// The token has expired and cannot be renewed (08006).
pub const AUTHGRANT_TOKEN_EXPIRED: i32 = 19;
/// The authentication method is not supported, or it has headers but no token; consent has no URL, and the
/// message has the steps (HYC00).
pub const AUTHGRANT_UNSUPPORTED: i32 = 20;
/// A size taken from external input is too large (HY001).
pub const AUTHGRANT_OUT_OF_MEMORY: i32 = 21;
/// An internal error, which is a bug of the library; the message has the source file and line (HY000).
pub const AUTHGRANT_INTERNAL: i32 = 22;
/// The buffer of the caller is too small; the needed size was written (HY090).
pub const AUTHGRANT_BUFFER_TOO_SMALL: i32 = 23;
/// No token is cached, and AUTHGRANT_NO_NETWORK is set (HY000).
pub const AUTHGRANT_NOT_CACHED: i32 = 24;

/// Flag of authgrant_call_options: do not open a browser.
pub const AUTHGRANT_NO_PROMPT: u32 = 1;
/// Flag of authgrant_call_options: return only a token that is cached or can be created without network
/// access; otherwise fail with AUTHGRANT_NOT_CACHED.
pub const AUTHGRANT_NO_NETWORK: u32 = 2;

/// Flag of authgrant_completed_string(): include the secrets of the options.
pub const AUTHGRANT_WITH_SECRETS: u32 = 1;
/// Flag of authgrant_completed_string(): include the currently cached tokens.
pub const AUTHGRANT_WITH_TOKENS: u32 = 2;
/// Flag of authgrant_completed_string(): the connection string as it was given, with what was changed since. Not
/// together with AUTHGRANT_WITH_SECRETS.
pub const AUTHGRANT_AS_GIVEN: u32 = 4;

/// The version of this header as one number: 10203 for 1.2.3.
pub const AUTHGRANT_VERSION_NUMBER: i32 = 100;

/// Returns the name of a status, such as "AUTHGRANT_KEY_PASSWORD", for logs. The string is static; it is
/// "AUTHGRANT_?" for an unknown number.
///
/// Thread-safe.
#[unsafe(no_mangle)]
pub extern "C" fn authgrant_status_name(status: i32) -> *const c_char {
    guard!(or c"AUTHGRANT_?".as_ptr(), {
        static NAMES: OnceBox<Vec<CString>> = OnceBox::new();
        let names = NAMES.get_or_init(|| {
            Box::new(Status::ALL.iter().filter_map(|status| CString::new(status.name()).ok()).collect())
        });
        let name = usize::try_from(status).ok().and_then(|number| names.get(number));
        name.map_or(c"AUTHGRANT_?".as_ptr(), |name| name.as_ptr())
    })
}

#[cfg(test)]
mod tests {
    use std::ffi::CStr;

    use super::*;

    #[test]
    fn status_constants_match_error_status() {
        let source = include_str!("status.rs");
        for status in Status::ALL {
            let line = format!("pub const {}: i32 = {};", status.name(), status as i32);
            assert!(source.contains(&line), "{line}");
            // SAFETY: static text.
            let name = unsafe { CStr::from_ptr(authgrant_status_name(status as i32)) };
            assert_eq!(name.to_str().unwrap(), status.name());
        }
        for unknown in [-1, 25, i32::MAX, i32::MIN] {
            // SAFETY: static text.
            assert_eq!(unsafe { CStr::from_ptr(authgrant_status_name(unknown)) }, c"AUTHGRANT_?");
        }
    }

    #[test]
    fn version_number_matches_package_version() {
        let part = |text: &str| text.parse::<i32>().unwrap();
        let number = part(env!("CARGO_PKG_VERSION_MAJOR")) * 10_000
            + part(env!("CARGO_PKG_VERSION_MINOR")) * 100
            + part(env!("CARGO_PKG_VERSION_PATCH"));
        assert_eq!(AUTHGRANT_VERSION_NUMBER, number);
    }
}
