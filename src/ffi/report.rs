//! Reports about an `authgrant_connection`, as JSON; docs/reports.md has their members.

use std::ffi::c_char;
use std::ptr;

use crate::connection::Connection;
use crate::ffi::error::ErrorObject;
use crate::ffi::status::authgrant_status;
use crate::ffi::text;
use crate::process::Process;
use crate::report;

/// Everything that is wrong with the connection, at once and offline: options that are missing, wrong or in conflict, the
/// key store and its password, the alias, a key that does not fit the algorithm, certificates that have ended, ready-made
/// tokens that have ended. With it the aliases in the key store, for a dialog to offer. Nothing is sent, nothing is signed.
///
/// Succeeds where a report could be made, however unfavourable: see its members `valid` and `problems`. `*report` is JSON,
/// for the caller to free with authgrant_string_free; docs/reports.md names its members.
///
/// Blocks for as long as the key store takes to open. Threads: any. Errors: AUTHGRANT_INVALID_ARGUMENT.
#[unsafe(no_mangle)]
pub extern "C" fn authgrant_validate(
    connection: *mut Connection,
    report: *mut *mut c_char,
    error: *mut *mut ErrorObject,
) -> authgrant_status {
    guard!(error, |call| {
        let report = call.out("report", report, ptr::null_mut());
        let connection = call.handle("connection", connection)?;
        report.set(text::into_c_string(&report::validate(connection)?)?);
        Ok(())
    })
}

/// What the connection would send and why: method, header and claims of the JWT, token URL, parameters, headers, consent
/// URL, trust and timeouts, each with the option and its place, the provider's profile or the default that said it.
/// Secrets are `****`. Nothing is sent, nothing is signed; a key store that cannot be opened is said in its place.
///
/// `*report` is JSON, for the caller to free with authgrant_string_free; docs/reports.md names its members.
///
/// Blocks for as long as the key store takes to open. Threads: any. Errors: AUTHGRANT_MISSING_OPTION,
/// AUTHGRANT_INVALID_OPTION, AUTHGRANT_UNSUPPORTED (see authgrant_validate for all of them at once).
#[unsafe(no_mangle)]
pub extern "C" fn authgrant_explain(
    connection: *mut Connection,
    report: *mut *mut c_char,
    error: *mut *mut ErrorObject,
) -> authgrant_status {
    guard!(error, |call| {
        let report = call.out("report", report, ptr::null_mut());
        let connection = call.handle("connection", connection)?;
        report.set(text::into_c_string(&report::explain(connection)?)?);
        Ok(())
    })
}

/// Gets a token as authgrant_get_token does, and asks HealthURI, or else RestSamplePath, by GET with all headers of
/// authgrant_get_headers: what was asked, what the API answered, how long it took, where the token came from. To 401, and
/// where the model file's `#http` says REAUTHENTICATE, the token is rejected and another one tried, once.
///
/// Succeeds once there is a token, whatever the API then says or does not: see the report's members `ok`, `message` and
/// `sample`. Where neither option is given, the token alone is fetched. Redirects are not followed. `*report` is JSON, for
/// the caller to free with authgrant_string_free; docs/reports.md names its members. It holds neither the token nor a secret.
///
/// Blocks for at most LoginTimeout seconds. Threads: any. Errors: as authgrant_get_token; AUTHGRANT_INVALID_OPTION and
/// AUTHGRANT_MISSING_OPTION for an endpoint to which no token may be sent, or that is relative without HostName.
#[unsafe(no_mangle)]
pub extern "C" fn authgrant_test_connection(
    connection: *mut Connection,
    report: *mut *mut c_char,
    error: *mut *mut ErrorObject,
) -> authgrant_status {
    guard!(error, |call| {
        let report = call.out("report", report, ptr::null_mut());
        let connection = call.handle("connection", connection)?;
        report.set(text::into_c_string(&report::test_connection(connection)?)?);
        Ok(())
    })
}

/// What the library has done in this process since it was loaded, as JSON for its operators: tokens from the cache and
/// fetched, failures by status, retries, how often a server asked to wait and a circuit breaker opened, keys and connections
/// opened, connections reused, identities in the cache and evicted from it, and how long fetches took as a histogram. The
/// names and their meaning, which do not change, are in docs/stats.md; they are fit for Prometheus.
///
/// A forked child counts from zero, without tokens that it reads on connections that its parent opened. Nothing that a user
/// or a server said is in it. `*json` is for the caller to free with authgrant_string_free.
///
/// Does not block. Threads: any. Errors: AUTHGRANT_INVALID_ARGUMENT.
#[unsafe(no_mangle)]
pub extern "C" fn authgrant_get_stats(
    json: *mut *mut c_char,
    error: *mut *mut ErrorObject,
) -> authgrant_status {
    guard!(error, |call| {
        let json = call.out("json", json, ptr::null_mut());
        call.check()?;
        Process::check_random()?;
        json.set(text::into_c_string(&Process::current().stats_json())?);
        Ok(())
    })
}
