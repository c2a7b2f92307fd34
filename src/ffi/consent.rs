//! Consent, assertions and refresh tokens of an `authgrant_connection`.

use std::ffi::{c_char, c_void};
use std::ptr;

use crate::connection::Connection;
use crate::ffi::callback::{self, authgrant_open_url_fn, authgrant_refresh_token_fn};
use crate::ffi::error::ErrorObject;
use crate::ffi::status::authgrant_status;
use crate::ffi::text;

/// The URL that a person opens to let the application act for them: the first half of an authorization request, the same
/// for all users. Nothing is sent, and no key is needed.
///
/// `*url` is for the caller to free with authgrant_text_free.
///
/// Threads: any. Errors: AUTHGRANT_MISSING_OPTION naming what the URL lacks, AUTHGRANT_INVALID_OPTION.
#[unsafe(no_mangle)]
pub extern "C" fn authgrant_consent_url(
    connection: *mut Connection,
    url: *mut *mut c_char,
    error: *mut *mut ErrorObject,
) -> authgrant_status {
    guard!(error, |call| {
        let url = call.out("url", url, ptr::null_mut());
        let connection = call.object("connection", connection)?;
        url.set(text::into_handle(&connection.consent_url()?)?);
        Ok(())
    })
}

/// Lets a person log in, or consent to what the connection's grant needs: shows them the URL, and listens at RedirectURI
/// (http, a loopback address, with a port) until their browser comes back (RFC 8252).
///
/// With AuthenticationMethod 51 and 56 the code that it brings is exchanged (RFC 6749 section 4.1, with PKCE) for a token of
/// this connection alone. With other methods it is thrown away, and a token fetched to see that consent has arrived: this
/// is what DataDirect's Fetch OAuth Token button does. With ConsentType=ExternalAdmin the code is exchanged too, and the
/// connection's tokens have its answer's `id_token` among their fields.
///
/// `function` shows the URL; NULL opens the system's browser. Blocks for at most ConsentTimeout seconds, and then as
/// authgrant_get_token does.
///
/// Threads: any; two at once need different RedirectURIs. Errors: AUTHGRANT_MISSING_OPTION, AUTHGRANT_INVALID_OPTION,
/// AUTHGRANT_UNSUPPORTED where nothing shows the URL (see authgrant_error_consent_url), AUTHGRANT_DENIED,
/// AUTHGRANT_TIMEOUT, AUTHGRANT_CANCELLED, AUTHGRANT_NETWORK where the port of RedirectURI is taken, and as
/// authgrant_get_token.
#[unsafe(no_mangle)]
pub extern "C" fn authgrant_authorize(
    connection: *mut Connection,
    function: authgrant_open_url_fn,
    context: *mut c_void,
    error: *mut *mut ErrorObject,
) -> authgrant_status {
    guard!(error, |call| {
        let connection = call.object("connection", connection)?;
        match function {
            None => connection.authorize(None),
            Some(function) => connection.authorize(Some(&|url| callback::show_url(function, url, context))),
        }
    })
}

/// The signed JWT of the connection's flow by itself, made anew by each call and sent nowhere: the assertion of the
/// JWT bearer grant or of a client assertion, or the JWT that is the token.
///
/// `*assertion` is a secret, for the caller to free with authgrant_text_free.
///
/// Threads: any. Errors: AUTHGRANT_KEY_…, AUTHGRANT_MISSING_OPTION, AUTHGRANT_INVALID_OPTION, AUTHGRANT_UNSUPPORTED where
/// the flow signs nothing.
#[unsafe(no_mangle)]
pub extern "C" fn authgrant_make_assertion(
    connection: *mut Connection,
    assertion: *mut *mut c_char,
    error: *mut *mut ErrorObject,
) -> authgrant_status {
    guard!(error, |call| {
        let assertion = call.out("assertion", assertion, ptr::null_mut());
        let connection = call.object("connection", connection)?;
        assertion.set(text::into_handle(connection.make_assertion()?.reveal())?);
        Ok(())
    })
}

/// Ends the connection's token and login before their time: the token leaves the cache, and LogoffURI, where it is given, is
/// asked by POST to end it too (RFC 7009). A refresh token that a login brought is forgotten.
///
/// Equal connections share the token, and fetch another when they need one. Without a token nothing is sent.
///
/// Threads: any. Errors: AUTHGRANT_INVALID_OPTION, AUTHGRANT_MISSING_OPTION; AUTHGRANT_NETWORK, AUTHGRANT_TLS,
/// AUTHGRANT_TIMEOUT, AUTHGRANT_BAD_RESPONSE where LogoffURI could not be told.
#[unsafe(no_mangle)]
pub extern "C" fn authgrant_logoff(
    connection: *mut Connection,
    error: *mut *mut ErrorObject,
) -> authgrant_status {
    guard!(error, |call| { call.object("connection", connection)?.log_off() })
}

/// Tells `function` of each refresh token that takes the place of another, before the token that came with it is handed
/// out, so that it can be kept beyond a restart. A NULL function ends that.
///
/// `context` is handed to the function as it is, and must stay good until the connection is closed or another function
/// is set and the calls that began before have ended.
///
/// Threads: any. Errors: AUTHGRANT_INVALID_ARGUMENT.
#[unsafe(no_mangle)]
pub extern "C" fn authgrant_set_on_refresh_token(
    connection: *mut Connection,
    function: authgrant_refresh_token_fn,
    context: *mut c_void,
    error: *mut *mut ErrorObject,
) -> authgrant_status {
    guard!(error, |call| {
        let connection = call.object("connection", connection)?;
        connection
            .set_on_refresh_token(function.map(|function| callback::on_refresh_token(function, context)));
        Ok(())
    })
}
