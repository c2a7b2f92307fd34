//! Consent, assertions and refresh tokens of an `authgrant_connection`.

use std::ffi::{c_char, c_void};
use std::ptr;

use crate::base::error::{Error, Status};
use crate::connection::Connection;
use crate::ffi::callback::{self, authgrant_open_url_fn, authgrant_refresh_token_fn};
use crate::ffi::error::ErrorObject;
use crate::ffi::status::{AUTHGRANT_WITH_SECRETS, AUTHGRANT_WITH_TOKENS, authgrant_status};
use crate::ffi::text;

/// The URL that a person opens to let the application act for them: the first half of an authorization request, the same
/// for all users. Nothing is sent, and no key is needed.
///
/// `*url` is for the caller to free with authgrant_string_free.
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
        let connection = call.handle("connection", connection)?;
        url.set(text::into_c_string(&connection.consent_url()?)?);
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
/// AUTHGRANT_UNSUPPORTED where nothing shows the URL (see authgrant_error_consent_url) or the policy forbids opening a
/// browser, AUTHGRANT_DENIED, AUTHGRANT_TIMEOUT, AUTHGRANT_CANCELLED, AUTHGRANT_NETWORK where the port of RedirectURI is
/// taken, and as authgrant_get_token.
#[unsafe(no_mangle)]
pub extern "C" fn authgrant_authorize(
    connection: *mut Connection,
    function: authgrant_open_url_fn,
    context: *mut c_void,
    error: *mut *mut ErrorObject,
) -> authgrant_status {
    guard!(error, |call| {
        let connection = call.handle("connection", connection)?;
        match function {
            None => connection.authorize(None),
            Some(function) => connection.authorize(Some(&|url| callback::show_url(function, url, context))),
        }
    })
}

/// The signed JWT of the connection's flow by itself, made anew by each call and sent nowhere: the assertion of the
/// JWT bearer grant or of a client assertion, or the JWT that is the token.
///
/// `*assertion` is a secret, for the caller to free with authgrant_string_free.
///
/// Threads: any. Errors: AUTHGRANT_KEY_…, AUTHGRANT_MISSING_OPTION, AUTHGRANT_INVALID_OPTION, AUTHGRANT_UNSUPPORTED where
/// the flow signs nothing.
#[unsafe(no_mangle)]
pub extern "C" fn authgrant_create_assertion(
    connection: *mut Connection,
    assertion: *mut *mut c_char,
    error: *mut *mut ErrorObject,
) -> authgrant_status {
    guard!(error, |call| {
        let assertion = call.out("assertion", assertion, ptr::null_mut());
        let connection = call.handle("connection", connection)?;
        assertion.set(text::into_c_string(connection.make_assertion()?.reveal())?);
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
    guard!(error, |call| { call.handle("connection", connection)?.log_off() })
}

/// The options now in force as one connection string, each value quoted as authgrant_quote_value does. Opening it gives
/// the same options: what DSN, FILEDSN and RestConfigFile said is written out, and DSN and FILEDSN themselves are left
/// out. DRIVER stands in front.
///
/// `include` is 0 or numbers added up. AUTHGRANT_WITH_SECRETS: passwords, keys and other secrets of the options, also those
/// of a data source. AUTHGRANT_WITH_TOKENS: ODBC 4.0's Auth_AccessToken and Auth_Expires of the token that is cached now,
/// if one is, and Auth_RefreshToken, the newest one, with Auth_Scope where no Scope was set. Nothing is fetched. Opened
/// again with method 51, 54 or 56, the access token is used until it ends, and then the refresh token. A secret that was
/// given as `env:NAME` or `file:PATH` is written so, and is taken by authgrant_open only if the policy allows it.
///
/// `*text` is for the caller to free with authgrant_string_free; it is as secret as what it includes.
///
/// Threads: any. Errors: AUTHGRANT_INVALID_ARGUMENT.
#[unsafe(no_mangle)]
pub extern "C" fn authgrant_completed_string(
    connection: *mut Connection,
    include: u32,
    text: *mut *mut c_char,
    error: *mut *mut ErrorObject,
) -> authgrant_status {
    guard!(error, |call| {
        let slot = call.out("text", text, ptr::null_mut());
        let connection = call.handle("connection", connection)?;
        if include & !(AUTHGRANT_WITH_SECRETS | AUTHGRANT_WITH_TOKENS) != 0 {
            let said =
                format!("include is {include}; there are AUTHGRANT_WITH_SECRETS and AUTHGRANT_WITH_TOKENS");
            return Err(Error::new(Status::InvalidArgument, "argument", said));
        }
        let (secrets, tokens) = (include & AUTHGRANT_WITH_SECRETS != 0, include & AUTHGRANT_WITH_TOKENS != 0);
        slot.set(text::into_c_string(connection.completed_string(secrets, tokens).reveal())?);
        Ok(())
    })
}

/// Tells `function` of each refresh token that a login brings or that takes the place of another, before the token that came with it is handed
/// out, so that it can be kept beyond a restart. A NULL function ends that. Give it back by authgrant_set_option as
/// RefreshToken with `literal:` in front, since it is the server that has written it.
///
/// `context` is handed to the function as it is, and must stay good until the connection is closed or another function
/// is set and the calls that began before have ended.
///
/// Threads: any. Errors: AUTHGRANT_INVALID_ARGUMENT.
#[unsafe(no_mangle)]
pub extern "C" fn authgrant_set_refresh_token_callback(
    connection: *mut Connection,
    function: authgrant_refresh_token_fn,
    context: *mut c_void,
    error: *mut *mut ErrorObject,
) -> authgrant_status {
    guard!(error, |call| {
        let connection = call.handle("connection", connection)?;
        connection.set_on_refresh_token(
            function.map(|function| callback::wrap_refresh_token_fn(function, context)),
        );
        Ok(())
    })
}
