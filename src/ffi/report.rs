//! Reports about an `authgrant_connection` and the statistics of the process, as JSON (docs/reports.md,
//! docs/stats.md).

use std::ffi::c_char;
use std::ptr;

use crate::connection::Connection;
use crate::ffi::error::ErrorObject;
use crate::ffi::status::authgrant_status;
use crate::ffi::text;
use crate::process::Process;
use crate::report;

/// Checks the connection offline and reports all problems at once: missing, invalid or conflicting options,
/// the key store and its password, the alias, a key that cannot be used with the algorithm, expired
/// certificates, and expired tokens and assertions in options. The report also lists the aliases in the key
/// store, for a dialog. Nothing is sent or signed.
///
/// Succeeds if the report could be created, even if it lists problems: see its members `valid` and
/// `problems`. `*report` is JSON (docs/reports.md), to be released with authgrant_string_free().
///
/// Blocks while the key store is opened. Thread-safe. Errors: AUTHGRANT_INVALID_ARGUMENT.
#[unsafe(no_mangle)]
pub extern "C" fn authgrant_validate(
    connection: *mut Connection,
    report: *mut *mut c_char,
    error: *mut *mut ErrorObject,
) -> authgrant_status {
    guard!(error, |args| {
        let report = args.out("report", report, ptr::null_mut());
        let connection = args.handle("connection", connection)?;
        report.set(text::into_c_string(&report::validate(connection)?)?);
        Ok(())
    })
}

/// Opens a connection string, reports as authgrant_validate() and closes the connection. A string that cannot
/// be opened is reported, too: `problems` has the reason, with the `offset` of a syntax error in characters and
/// in `option` the option before it.
///
/// `*report` is JSON (docs/reports.md), to be released with authgrant_string_free().
///
/// Blocks while the key store is opened. Thread-safe, as authgrant_open(). Errors: AUTHGRANT_INVALID_ARGUMENT.
#[unsafe(no_mangle)]
pub extern "C" fn authgrant_validate_string(
    connection_string: *const c_char,
    report: *mut *mut c_char,
    error: *mut *mut ErrorObject,
) -> authgrant_status {
    guard!(error, |args| {
        let report = args.out("report", report, ptr::null_mut());
        let connection_string = args.text("connection_string", connection_string)?;
        report.set(text::into_c_string(&report::validate_string(connection_string)?)?);
        Ok(())
    })
}

/// Reports what the connection would send and why: authentication method, header and claims of the JWT, token
/// URL, parameters, headers, consent URL, TLS settings and timeouts, each with its origin: an option and
/// where it was set, the provider profile or a default. Secrets are `****`. Nothing is sent or signed; a key
/// store that cannot be opened is reported at its position.
///
/// `*report` is JSON (docs/reports.md), to be released with authgrant_string_free().
///
/// Blocks while the key store is opened. Thread-safe. Errors: AUTHGRANT_MISSING_OPTION,
/// AUTHGRANT_INVALID_OPTION, AUTHGRANT_UNSUPPORTED (authgrant_validate() reports all of them at once).
#[unsafe(no_mangle)]
pub extern "C" fn authgrant_explain(
    connection: *mut Connection,
    report: *mut *mut c_char,
    error: *mut *mut ErrorObject,
) -> authgrant_status {
    guard!(error, |args| {
        let report = args.out("report", report, ptr::null_mut());
        let connection = args.handle("connection", connection)?;
        report.set(text::into_c_string(&report::explain(connection)?)?);
        Ok(())
    })
}

/// Gets a token as authgrant_get_token() does, sends a GET request with the headers of
/// authgrant_get_headers() to HealthURI, or else to RestSamplePath, and reports the request, the response,
/// the duration and the origin of the token. After a 401, and where `#http` of the model file says
/// REAUTHENTICATE, the token is rejected and the request repeated once with a new one.
///
/// Succeeds if there is a token, whatever the API responds: see the members `ok`, `message` and `sample` of
/// the report. If neither option is set, only the token is requested. Redirects are not followed. `*report`
/// is JSON (docs/reports.md), to be released with authgrant_string_free(). It contains neither the token nor
/// a secret.
///
/// Blocks for at most LoginTimeout seconds. Thread-safe. Errors: as authgrant_get_token();
/// AUTHGRANT_INVALID_OPTION if no token may be sent to the URL; AUTHGRANT_MISSING_OPTION if it is relative
/// and HostName is not set.
#[unsafe(no_mangle)]
pub extern "C" fn authgrant_test_connection(
    connection: *mut Connection,
    report: *mut *mut c_char,
    error: *mut *mut ErrorObject,
) -> authgrant_status {
    guard!(error, |args| {
        let report = args.out("report", report, ptr::null_mut());
        let connection = args.handle("connection", connection)?;
        report.set(text::into_c_string(&report::test_connection(connection)?)?);
        Ok(())
    })
}

/// Returns the counters of the process since the library was loaded, for monitoring: tokens from the cache
/// and from requests, failures by status, retries, throttling, circuit breaker openings, opened keys, network
/// connections, cache size and evictions, and a histogram of request durations. Names and meanings do not
/// change (docs/stats.md), and the names are valid in Prometheus.
///
/// A forked child counts from zero; tokens that it reads on connections of its parent are not counted. The
/// counters contain no data of users or servers. `*json` is to be released with authgrant_string_free().
///
/// Does not block. Thread-safe. Errors: AUTHGRANT_INVALID_ARGUMENT.
#[unsafe(no_mangle)]
pub extern "C" fn authgrant_get_stats(
    json: *mut *mut c_char,
    error: *mut *mut ErrorObject,
) -> authgrant_status {
    guard!(error, |args| {
        let json = args.out("json", json, ptr::null_mut());
        args.check()?;
        Process::check_random()?;
        json.set(text::into_c_string(&Process::current().stats_json())?);
        Ok(())
    })
}
