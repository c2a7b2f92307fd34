//! Options of an `authgrant_connection`: set, read, requested from a user and completed to a string.

use std::ffi::c_char;
use std::ptr;

use crate::base::error::{ArgumentError, Error, Result};
use crate::connection::Connection;
use crate::ffi::error::ErrorObject;
use crate::ffi::status::{
    AUTHGRANT_AS_GIVEN, AUTHGRANT_WITH_SECRETS, AUTHGRANT_WITH_TOKENS, authgrant_status,
};
use crate::ffi::text::into_c_string;

/// Sets one option by any of its names. The value is used verbatim: quotes are not removed. An empty value
/// removes the option.
///
/// The value of a secret option may be a reference. `env:NAME` is the content of an environment variable.
/// `file:PATH` is the content of a file, read on first use and again after the file has changed.
/// `literal:TEXT` is TEXT itself: use this prefix for a secret from another source, such as a user or a
/// server.
///
/// Calls in progress finish with the options they started with.
///
/// Thread-safe. Errors: AUTHGRANT_INVALID_ARGUMENT; AUTHGRANT_INVALID_OPTION for an unknown name or a value
/// of the wrong type.
#[unsafe(no_mangle)]
pub extern "C" fn authgrant_set_option(
    connection: *mut Connection,
    name: *const c_char,
    value: *const c_char,
    error: *mut *mut ErrorObject,
) -> authgrant_status {
    guard!(error, |args| {
        let connection = args.handle("connection", connection)?;
        connection.set_options(&[(args.text("name", name)?, args.text("value", value)?)])
    })
}

/// Sets several options, or none of them on an error; otherwise as authgrant_set_option().
///
/// `names` and `values` are arrays of `count` strings.
///
/// Thread-safe. Errors: AUTHGRANT_INVALID_ARGUMENT; AUTHGRANT_INVALID_OPTION, one error in the chain per
/// invalid option.
#[unsafe(no_mangle)]
pub extern "C" fn authgrant_set_options(
    connection: *mut Connection,
    names: *const *const c_char,
    values: *const *const c_char,
    count: usize,
    error: *mut *mut ErrorObject,
) -> authgrant_status {
    guard!(error, |args| {
        let connection = args.handle("connection", connection)?;
        let names = args.array("names", names, count)?;
        let values = args.array("values", values, count)?;
        let pairs = names
            .iter()
            .zip(values)
            .map(|(name, value)| Ok((args.text("names", *name)?, args.text("values", *value)?)))
            .collect::<Result<Vec<_>>>()?;
        connection.set_options(&pairs)
    })
}

/// Returns the value in force of an option or a keyword of the driver, by any of its names, whatever set it: the
/// connection string, the data source, the model file, the key file or authgrant_set_option().
///
/// `*value` is the value as it was set, without the quotes or braces of the connection string; a secret is returned, too,
/// and a reference such as `env:NAME` is not resolved. It is NULL if nothing sets the option: defaults, also those of a
/// provider, are in authgrant_option_table(). It is to be released with authgrant_string_free().
///
/// Thread-safe. Errors: AUTHGRANT_INVALID_ARGUMENT; AUTHGRANT_INVALID_OPTION for an unknown name.
#[unsafe(no_mangle)]
pub extern "C" fn authgrant_get_option(
    connection: *mut Connection,
    name: *const c_char,
    value: *mut *mut c_char,
    error: *mut *mut ErrorObject,
) -> authgrant_status {
    guard!(error, |args| {
        let value = args.out("value", value, ptr::null_mut());
        let connection = args.handle("connection", connection)?;
        if let Some(text) = connection.get_option(args.text("name", name)?)? {
            value.set(into_c_string(text.reveal())?);
        }
        Ok(())
    })
}

/// Returns what the connection still needs, as the request string that ODBC's SQLBrowseConnect returns:
/// "ClaimsIssuer:Client ID=?;*Scope:Scope=?". Each part is an option, a prompt for the user, and "?" or the possible
/// values, such as {a,b}; "*" marks an optional one.
///
/// `*request` is NULL if no option is missing. Otherwise the driver returns SQL_NEED_DATA, and opens another connection
/// with the string so far, ";" and the answer of the application, so that the values of a user stay values of a
/// connection string. If AuthenticationMethod is missing it is requested first, because the others depend on it. Values
/// that are invalid are not requested again: authgrant_get_token() and authgrant_validate() report them. Optional are
/// TokenURI, JWTCertPassword, ClaimsSubject, Scope and, for a login, ClientSecret, where the method uses them.
///
/// `*request` is to be released with authgrant_string_free(). Nothing is sent.
///
/// Thread-safe. Errors: AUTHGRANT_INVALID_ARGUMENT.
#[unsafe(no_mangle)]
pub extern "C" fn authgrant_browse(
    connection: *mut Connection,
    request: *mut *mut c_char,
    error: *mut *mut ErrorObject,
) -> authgrant_status {
    guard!(error, |args| {
        let request = args.out("request", request, ptr::null_mut());
        let connection = args.handle("connection", connection)?;
        if let Some(text) = connection.browse() {
            request.set(into_c_string(&text)?);
        }
        Ok(())
    })
}

/// Returns the options in force as one connection string, each value quoted as by authgrant_quote_value().
/// Opening it yields the same options: the contents of DSN, FILEDSN and RestConfigFile are written out, and
/// DSN and FILEDSN themselves are omitted. DRIVER comes first.
///
/// `include` is 0 or a sum of flags. AUTHGRANT_WITH_SECRETS includes passwords, keys and other secret
/// options, also those of a data source. AUTHGRANT_WITH_TOKENS includes Auth_AccessToken and Auth_Expires
/// (ODBC 4.0) if a token is cached, Auth_RefreshToken with the latest refresh token, and Auth_Scope if Scope
/// is not set. Nothing is requested. If the string is opened with AuthenticationMethod 51, 54 or 56, the
/// access token is used until it expires, and then the refresh token. A secret that was set as `env:NAME` or
/// `file:PATH` is written in that form, and authgrant_open() accepts it only if the policy allows it.
///
/// AUTHGRANT_AS_GIVEN is for ODBC's OutConnectionString: the options and keywords of the connection string in their
/// order and by their names, with what authgrant_set_option() changed, and then what it added. DRIVER, DSN and FILEDSN
/// stay as they are, and nothing of the data source, the model file or the key file is copied out. Secrets are those of
/// the connection string, which was opened with them; a secret that authgrant_set_option() set is omitted. Unknown
/// names and duplicates are omitted, too.
///
/// `*text` is to be released with authgrant_string_free(). It is as secret as what it includes.
///
/// Thread-safe. Errors: AUTHGRANT_INVALID_ARGUMENT.
#[unsafe(no_mangle)]
pub extern "C" fn authgrant_completed_string(
    connection: *mut Connection,
    include: u32,
    text: *mut *mut c_char,
    error: *mut *mut ErrorObject,
) -> authgrant_status {
    guard!(error, |args| {
        let text = args.out("text", text, ptr::null_mut());
        let connection = args.handle("connection", connection)?;
        let has = |flag| include & flag != 0;
        if has(!(AUTHGRANT_WITH_SECRETS | AUTHGRANT_WITH_TOKENS | AUTHGRANT_AS_GIVEN))
            || has(AUTHGRANT_WITH_SECRETS) && has(AUTHGRANT_AS_GIVEN)
        {
            let message = format!(
                "invalid flags in include: {include}; expected AUTHGRANT_WITH_TOKENS and one of \
                 AUTHGRANT_WITH_SECRETS and AUTHGRANT_AS_GIVEN"
            );
            return Err(Error::new(ArgumentError::Invalid, "argument", message));
        }
        let completed = if has(AUTHGRANT_AS_GIVEN) {
            connection.given_string(has(AUTHGRANT_WITH_TOKENS))
        } else {
            connection.completed_string(has(AUTHGRANT_WITH_SECRETS), has(AUTHGRANT_WITH_TOKENS))
        };
        text.set(into_c_string(completed.reveal())?);
        Ok(())
    })
}
