//! Authorization by a user, logoff and assertions of an `authgrant_connection`.

use std::ffi::{c_char, c_void};
use std::ptr;

use crate::base::error::{ArgumentError, Error, Result};
use crate::connection::{CallOptions, Connection};
use crate::ffi::call_options::{self, RawCallOptions};
use crate::ffi::callback::{self, authgrant_open_url_fn, authgrant_refresh_token_fn};
use crate::ffi::error::ErrorObject;
use crate::ffi::status::authgrant_status;
use crate::ffi::text::into_c_string;

/// Returns the URL that a user opens to give consent: the authorization request (RFC 6749 section 4.1.1). It
/// is the same for all users. Nothing is sent, and no key is needed.
///
/// `*url` is to be released with authgrant_string_free().
///
/// Thread-safe. Errors: AUTHGRANT_MISSING_OPTION if the URL needs an option that is not set,
/// AUTHGRANT_INVALID_OPTION.
#[unsafe(no_mangle)]
pub extern "C" fn authgrant_consent_url(
    connection: *mut Connection,
    url: *mut *mut c_char,
    error: *mut *mut ErrorObject,
) -> authgrant_status {
    guard!(error, |args| {
        let url = args.out("url", url, ptr::null_mut());
        let connection = args.handle("connection", connection)?;
        url.set(into_c_string(&connection.consent_url()?)?);
        Ok(())
    })
}

/// Lets a user log in, or consent to what the grant of the connection needs: shows the URL and listens at
/// RedirectURI (an http loopback URL with a port) until the browser is redirected there (RFC 8252).
///
/// With AuthenticationMethod 51 and 56 the authorization code is exchanged (RFC 6749 section 4.1, with PKCE)
/// for a token of this connection only. With other methods the code is discarded, and a token is requested to
/// verify the consent, as by the Fetch OAuth Token button of DataDirect. With ConsentType=ExternalAdmin the
/// code is exchanged too, and the `id_token` of the response becomes a field of the tokens of the connection.
///
/// The page that the user sees at the end shows whether the token was obtained, or the error. A login with the
/// scope `openid` sends a `nonce`, which the ID token must contain.
///
/// `function` shows the URL; NULL opens the system browser. Blocks for at most ConsentTimeout seconds, and
/// then as authgrant_get_token() does.
///
/// Thread-safe; concurrent calls need different RedirectURIs. Errors: as authgrant_get_token();
/// AUTHGRANT_UNSUPPORTED if the URL cannot be shown (see authgrant_error_consent_url()) or if the policy
/// forbids opening a browser; AUTHGRANT_NETWORK if the port of RedirectURI is in use.
#[unsafe(no_mangle)]
pub extern "C" fn authgrant_authorize(
    connection: *mut Connection,
    function: authgrant_open_url_fn,
    context: *mut c_void,
    error: *mut *mut ErrorObject,
) -> authgrant_status {
    guard!(error, |args| {
        let connection = args.handle("connection", connection)?;
        authorize(connection, CallOptions::default(), function, context)
    })
}

/// Lets a user log in or consent as authgrant_authorize() does, with a timeout or a cancel token for this call.
///
/// `options->timeout_ms` is for the whole call, instead of ConsentTimeout and LoginTimeout; 0 keeps these. A dialog
/// cancels the call by `options->cancel_token` when the user closes it. `options->flags` and
/// `options->min_validity_s` must be 0.
///
/// Thread-safe. Errors: as authgrant_authorize(); AUTHGRANT_INVALID_ARGUMENT.
#[unsafe(no_mangle)]
pub extern "C" fn authgrant_authorize_with(
    connection: *mut Connection,
    options: *const RawCallOptions,
    function: authgrant_open_url_fn,
    context: *mut c_void,
    error: *mut *mut ErrorObject,
) -> authgrant_status {
    guard!(error, |args| {
        let connection = args.handle("connection", connection)?;
        call_options::run(args, options, |options| {
            if options.no_prompt || options.no_network || options.min_remaining > 0 {
                let text =
                    "options->flags and options->min_validity_s must be 0 for an authorization by a user";
                return Err(Error::new(ArgumentError::Invalid, "argument", text));
            }
            authorize(connection, options, function, context)
        })
    })
}

fn authorize(
    connection: &Connection,
    options: CallOptions<'_>,
    function: authgrant_open_url_fn,
    context: *mut c_void,
) -> Result<()> {
    match function {
        None => connection.authorize(options, None),
        Some(function) => {
            connection.authorize(options, Some(&|url| callback::show_url(function, url, context)))
        }
    }
}

/// Returns a newly signed JWT of the grant of the connection without sending it: the assertion of the JWT
/// bearer grant, the client assertion, or the JWT that is itself the token.
///
/// `*assertion` is a secret. It is to be released with authgrant_string_free().
///
/// Thread-safe. Errors: AUTHGRANT_KEY_STORE_ERROR, AUTHGRANT_KEY_PASSWORD, AUTHGRANT_KEY_NOT_FOUND,
/// AUTHGRANT_KEY_UNSUITABLE, AUTHGRANT_MISSING_OPTION, AUTHGRANT_INVALID_OPTION, AUTHGRANT_UNSUPPORTED if the
/// grant signs nothing.
#[unsafe(no_mangle)]
pub extern "C" fn authgrant_create_assertion(
    connection: *mut Connection,
    assertion: *mut *mut c_char,
    error: *mut *mut ErrorObject,
) -> authgrant_status {
    guard!(error, |args| {
        let assertion = args.out("assertion", assertion, ptr::null_mut());
        let connection = args.handle("connection", connection)?;
        assertion.set(into_c_string(connection.make_assertion()?.reveal())?);
        Ok(())
    })
}

/// Ends the token and the login of the connection before they expire: removes the token from the cache and
/// discards the refresh token of a login. If LogoffURI is set, revokes the refresh token and then the access
/// token there (RFC 7009), also those that are configured or that another process uses; with
/// LogoffMode=EndSession, ends the session of the user instead.
///
/// Connections with equal options share the token and request another one when they need it. Without a token
/// nothing is sent. It is a success if the server supports the revocation of only one of the two.
///
/// Thread-safe. Errors: AUTHGRANT_INVALID_OPTION, AUTHGRANT_MISSING_OPTION; AUTHGRANT_NETWORK, AUTHGRANT_TLS,
/// AUTHGRANT_TIMEOUT or AUTHGRANT_DENIED if the request to LogoffURI failed; AUTHGRANT_BAD_RESPONSE if LogoffURI
/// is not a revocation endpoint; AUTHGRANT_UNSUPPORTED if LogoffMode=EndSession and there is no ID token.
#[unsafe(no_mangle)]
pub extern "C" fn authgrant_logoff(
    connection: *mut Connection,
    error: *mut *mut ErrorObject,
) -> authgrant_status {
    guard!(error, |args| { args.handle("connection", connection)?.log_off() })
}

/// Registers a callback that receives every new or rotated refresh token before the access token is returned,
/// so that the application can store it across restarts. NULL unregisters it. To restore a stored token, set
/// the option RefreshToken to it with the prefix `literal:`, because a server wrote the value.
///
/// `context` is passed to the callback. It must stay valid until the connection is closed, or until the
/// callback is replaced or unregistered and all calls that started before have returned.
///
/// Thread-safe. Errors: AUTHGRANT_INVALID_ARGUMENT.
#[unsafe(no_mangle)]
pub extern "C" fn authgrant_set_refresh_token_callback(
    connection: *mut Connection,
    function: authgrant_refresh_token_fn,
    context: *mut c_void,
    error: *mut *mut ErrorObject,
) -> authgrant_status {
    guard!(error, |args| {
        let connection = args.handle("connection", connection)?;
        connection.set_refresh_token_callback(
            function.map(|function| callback::wrap_refresh_token_fn(function, context)),
        );
        Ok(())
    })
}
