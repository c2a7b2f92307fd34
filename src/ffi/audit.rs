//! The audit callback of the application.

use std::ffi::{CString, c_char, c_void};
use std::sync::Arc;

use crate::base::audit::{self, AuditSink};
use crate::base::error::{ArgumentError, Error};
use crate::ffi::callback::run_callback;
use crate::ffi::error::ErrorObject;
use crate::ffi::status::authgrant_status;

/// Receives one audit event. `event_json` is a JSON object in UTF-8 of at most 4096 bytes, valid only during the call.
/// It never contains a secret. `context` is the one of authgrant_set_audit().
///
/// `event` is `token_request` (each request to a token endpoint: the first one of a grant, the exchange of a code, a
/// refresh, and each retry), `revocation` or `end_session` (each request to LogoffURI), `shared_token` (a token of the
/// store of TokenCache is used, which another process requested) or `rejection` (authgrant_reject_token()). Tokens that
/// this process has in its cache cause no event; neither do failures before a request, such as a signing key that
/// cannot be opened, a cached error or an open circuit breaker, nor tokens that need no server.
///
/// Each event has `event`, `time` (its beginning, RFC 3339 in UTC with milliseconds), `pid`, `uid` (the effective user;
/// 0 on Windows) and `cache_key` (16 hexadecimal digits of a keyed digest: equal for tokens of one cache entry in this
/// process, and unrelated in another process). The following members are absent if they are unknown or do not apply:
/// `client` (ClaimsIssuer or ClientID), `subject` (ClaimsSubject or the user), `data_source` (the DSN or FILEDSN with
/// its file), `endpoint` (URL without query), `grant` (grant_type), `token_type` (token_type_hint of a revocation),
/// `jti` (of the assertion that was sent), `machine` (that shared the token), `status` (name of the status, such as
/// AUTHGRANT_DENIED), `sent` (whether the server may have received the request; false if it could not be reached),
/// `http_status`, `oauth_error` (error of the response), `expires_in` (lifetime of the token in seconds) and
/// `duration_ms`. Texts are escaped as in messages and truncated. Members do not change their meaning; new ones may be
/// added.
///
/// Runs on the thread of the call that caused the event, with no lock held, possibly on several threads at once; also
/// in authgrant_close() and in a forked child. It must return normally. The call waits for it, and so do calls that
/// wait for the same token: it should hand the event over and return. The timeout of the call and a cancel do not
/// interrupt it. Only getters and _free functions may be called inside it.
#[allow(non_camel_case_types, reason = "the name in C")]
pub type authgrant_audit_fn = Option<unsafe extern "C" fn(event_json: *const c_char, context: *mut c_void)>;

/// The audit callback with its context.
struct AuditCallback {
    function: unsafe extern "C" fn(*const c_char, *mut c_void),
    context: *mut c_void,
}

// SAFETY: the header requires that the callback can run on any thread, also on several at once.
unsafe impl Send for AuditCallback {}
// SAFETY: as above.
unsafe impl Sync for AuditCallback {}

impl AuditSink for AuditCallback {
    fn record(&self, event_json: &str) {
        // JSON has no NUL: it is escaped.
        let event = CString::new(event_json).unwrap_or_default();
        // SAFETY: the application registered this function with this context.
        run_callback(|| unsafe { (self.function)(event.as_ptr(), self.context) });
    }
}

/// Sets the callback that receives the audit events of the process. NULL removes it. Initially there is none.
///
/// `context` is passed to the callback. It must stay valid until the callback is removed: the removal waits until
/// calls of the callback in progress have returned, without a limit. The caller of the removal must hold no lock that
/// the callback acquires. Removing a callback that is not set has no effect.
///
/// A callback is set until it is removed; a second one is an error, so that one part of a program cannot silently
/// replace the audit of another. A forked child keeps the callback and its context, and must be able to use them.
///
/// Process-wide. Thread-safe. Errors: AUTHGRANT_INVALID_ARGUMENT: a callback is set; the function is called inside
/// a callback (HY010).
#[unsafe(no_mangle)]
pub extern "C" fn authgrant_set_audit(
    function: authgrant_audit_fn,
    context: *mut c_void,
    error: *mut *mut ErrorObject,
) -> authgrant_status {
    guard!(error, |args| {
        args.check()?;
        let Some(function) = function else {
            audit::unregister();
            return Ok(());
        };
        if !audit::register(Arc::new(AuditCallback { function, context })) {
            let text = "an audit callback is set; it must be removed with NULL before another one is set";
            return Err(Error::new(ArgumentError::CallSequence, "audit", text));
        }
        Ok(())
    })
}
