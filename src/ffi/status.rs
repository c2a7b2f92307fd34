//! The numbers of the C contract: statuses and flags.

use std::ffi::{CString, c_char};

use once_cell::race::OnceBox;

use crate::base::error::Status;

/// What a function returns: 0 for success, else one of the AUTHGRANT_… numbers below. Numbers never change, and new
/// ones are added at the end. It is also ODBC's native error code.
#[allow(non_camel_case_types, reason = "the name in C")]
pub type authgrant_status = i32;

/// Success.
pub const AUTHGRANT_OK: i32 = 0;
/// A NULL, text that is not UTF-8 (HY009), a bad length (HY090), a call from inside a callback (HY010).
pub const AUTHGRANT_INVALID_ARGUMENT: i32 = 1;
/// The connection string breaks the grammar; the message gives the offset (HY000).
pub const AUTHGRANT_INVALID_CONNECTION_STRING: i32 = 2;
/// A value that is unknown, out of range, in conflict with another, or not allowed (HY024).
pub const AUTHGRANT_INVALID_OPTION: i32 = 3;
/// The flow needs options that are not there; the message names all of them (28000).
pub const AUTHGRANT_MISSING_OPTION: i32 = 4;
/// A DSN or FILEDSN that is not there (IM002).
pub const AUTHGRANT_DATA_SOURCE_NOT_FOUND: i32 = 5;
/// A key store that is missing, unreadable, not a regular file, too large, broken, or of an unknown kind (28000).
pub const AUTHGRANT_KEY_STORE_ERROR: i32 = 6;
/// A key store or key that does not open with this password, or needs one (28000).
pub const AUTHGRANT_KEY_PASSWORD: i32 = 7;
/// No such alias, not a private key, or several keys and no alias; the message lists the aliases (28000).
pub const AUTHGRANT_KEY_NOT_FOUND: i32 = 8;
/// A key that does not fit the algorithm or is too short (28000).
pub const AUTHGRANT_KEY_UNSUITABLE: i32 = 9;
/// Name resolution, connection or proxy (08001). Retryable.
pub const AUTHGRANT_NETWORK: i32 = 10;
/// Certificate or handshake; the message says which check failed for which host (08001).
pub const AUTHGRANT_TLS: i32 = 11;
/// The deadline passed (HYT00), or that of one request (HYT01). Retryable.
pub const AUTHGRANT_TIMEOUT: i32 = 12;
/// Another thread called authgrant_cancel (HY008).
pub const AUTHGRANT_CANCELLED: i32 = 13;
/// The authorization server refused (28000); see authgrant_error_oauth_error.
pub const AUTHGRANT_DENIED: i32 = 14;
/// A person must consent first (28000); see authgrant_error_consent_url.
pub const AUTHGRANT_CONSENT_REQUIRED: i32 = 15;
/// The server asks to come back later (08004); see authgrant_error_retry_after. Retryable.
pub const AUTHGRANT_THROTTLED: i32 = 16;
/// The server has a problem of its own (08004). Retryable.
pub const AUTHGRANT_SERVER_ERROR: i32 = 17;
/// What came back is not an OAuth answer (HY000).
pub const AUTHGRANT_BAD_RESPONSE: i32 = 18;
/// The token is past its end and nothing can renew it (08006).
pub const AUTHGRANT_TOKEN_EXPIRED: i32 = 19;
/// A method that is known and not built in (HYC00).
pub const AUTHGRANT_UNSUPPORTED: i32 = 20;
/// A size from outside that is refused (HY001).
pub const AUTHGRANT_OUT_OF_MEMORY: i32 = 21;
/// A bug of the library: a panic, caught; the message has its source file and line (HY000).
pub const AUTHGRANT_INTERNAL: i32 = 22;
/// The caller's buffer is too small; the needed size was set (HY090).
pub const AUTHGRANT_BUFFER_TOO_SMALL: i32 = 23;
/// AUTHGRANT_NO_NETWORK was set and no token is cached (HY000).
pub const AUTHGRANT_NOT_CACHED: i32 = 24;

/// A flag of authgrant_call_options: no browser may be opened.
pub const AUTHGRANT_NO_PROMPT: u32 = 1;
/// A flag of authgrant_call_options: only a token that is cached, or that can be made without the network; otherwise
/// AUTHGRANT_NOT_CACHED.
pub const AUTHGRANT_NO_NETWORK: u32 = 2;

/// A wish of authgrant_completed_string: the secrets of the options.
pub const AUTHGRANT_WITH_SECRETS: u32 = 1;
/// A wish of authgrant_completed_string: the tokens of now.
pub const AUTHGRANT_WITH_TOKENS: u32 = 2;

/// The version as one number: 10203 for 1.2.3.
pub const AUTHGRANT_VERSION_NUMBER: i32 = 100;

/// The name of a status, such as "AUTHGRANT_KEY_PASSWORD", for logs.
///
/// The text is static. A number that is no status gives "AUTHGRANT_?".
///
/// Threads: any.
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
        for stranger in [-1, 25, i32::MAX, i32::MIN] {
            // SAFETY: static text.
            assert_eq!(unsafe { CStr::from_ptr(authgrant_status_name(stranger)) }, c"AUTHGRANT_?");
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
