//! Callbacks of the caller: invoked on the thread of the call, without a lock held.
//!
//! Each thread records that it is inside a callback, because only getters and `_free` functions may be called
//! there.

use std::cell::Cell;
use std::ffi::{CString, c_char, c_void};
use std::sync::atomic::{AtomicUsize, Ordering};

use zeroize::Zeroizing;

use crate::base::log::{LogLevel, LogSink};
use crate::key::SignFn;
use crate::process::login_state::RefreshTokenCallback;

thread_local! {
    static IN_CALLBACK: Cell<bool> = const { Cell::new(false) };
}

/// Number of threads inside a callback. A child that is forked meanwhile keeps a positive count, which only
/// disables its fast path.
static THREADS_IN_CALLBACKS: AtomicUsize = AtomicUsize::new(0);

/// Returns whether this thread is inside a callback.
pub(crate) fn is_in_callback() -> bool {
    IN_CALLBACK.get()
}

/// Returns whether any thread is inside a callback; cheaper than [`is_in_callback`].
pub(crate) fn is_any_callback_running() -> bool {
    THREADS_IN_CALLBACKS.load(Ordering::Relaxed) != 0
}

/// Runs a callback; this thread is inside it until it returns.
pub(super) fn run_callback(callback: impl FnOnce()) {
    THREADS_IN_CALLBACKS.fetch_add(1, Ordering::Relaxed);
    let previous = IN_CALLBACK.replace(true);
    callback();
    IN_CALLBACK.set(previous);
    THREADS_IN_CALLBACKS.fetch_sub(1, Ordering::Relaxed);
}

/// Receives one log record. `level` is 1 (error), 2 (warning), 3 (info), 4 (debug) or 5 (trace). `message` is
/// UTF-8, valid only during the call, and never contains a secret. `context` is the one of
/// authgrant_set_log().
///
/// Runs on the thread of the call that the record is about, possibly on several threads at once. It must
/// return normally. Only getters and _free functions may be called inside it.
#[allow(non_camel_case_types, reason = "the name in C")]
pub type authgrant_log_fn =
    Option<unsafe extern "C" fn(level: i32, message: *const c_char, context: *mut c_void)>;

/// The log callback with its context.
pub(crate) struct LogCallback {
    function: unsafe extern "C" fn(i32, *const c_char, *mut c_void),
    context: *mut c_void,
}

// SAFETY: the header requires that the callback can run on any thread, also on several at once.
unsafe impl Send for LogCallback {}
// SAFETY: as above.
unsafe impl Sync for LogCallback {}

impl LogCallback {
    pub(crate) fn new(
        function: unsafe extern "C" fn(i32, *const c_char, *mut c_void),
        context: *mut c_void,
    ) -> Self {
        Self { function, context }
    }
}

impl LogSink for LogCallback {
    fn log(&self, level: LogLevel, message: &str) {
        let message = CString::new(message.replace('\0', " ")).unwrap_or_default();
        // SAFETY: the caller registered this function with this context.
        run_callback(|| unsafe { (self.function)(level as i32, message.as_ptr(), self.context) });
    }
}

/// Shows a URL to a user, in a browser or otherwise. `url` is valid only during the call. `context` is the
/// one of authgrant_authorize(). Returns 0 once the URL is shown, without waiting for the user; any other
/// number is a failure and appears in the error message.
///
/// Runs on the thread of the call. It must return normally. Only getters and _free functions may be called
/// inside it.
#[allow(non_camel_case_types, reason = "the name in C")]
pub type authgrant_open_url_fn =
    Option<unsafe extern "C" fn(url: *const c_char, context: *mut c_void) -> i32>;

/// Invokes the callback that shows a URL. Returns its result, or -1 if the URL has a NUL.
pub(crate) fn show_url(
    function: unsafe extern "C" fn(*const c_char, *mut c_void) -> i32,
    url: &str,
    context: *mut c_void,
) -> i32 {
    let Ok(url) = CString::new(url) else { return -1 };
    let mut result = -1;
    // SAFETY: the caller registered this function with this context.
    run_callback(|| result = unsafe { function(url.as_ptr(), context) });
    result
}

/// Receives a new or rotated refresh token. `refresh_token` is a secret and valid only during the call.
/// `context` is the one of authgrant_set_refresh_token_callback().
///
/// Runs on the thread of the call that received the token. It must return normally. Only getters and _free
/// functions may be called inside it.
#[allow(non_camel_case_types, reason = "the name in C")]
pub type authgrant_refresh_token_fn =
    Option<unsafe extern "C" fn(refresh_token: *const c_char, context: *mut c_void)>;

/// The context pointer of a callback, usable from any thread.
struct CallbackContext(*mut c_void);

// SAFETY: the header requires that the callback can run on any thread.
unsafe impl Send for CallbackContext {}
// SAFETY: as above.
unsafe impl Sync for CallbackContext {}

/// Wraps the callback and its context for the connection.
pub(crate) fn wrap_refresh_token_fn(
    function: unsafe extern "C" fn(*const c_char, *mut c_void),
    context: *mut c_void,
) -> RefreshTokenCallback {
    let context = CallbackContext(context);
    Box::new(move |token| {
        let context = &context;
        let Ok(token) = CString::new(token).map(Zeroizing::new) else { return };
        // SAFETY: the caller registered this function with this context.
        run_callback(|| unsafe { function(token.as_ptr(), context.0) });
    })
}

/// Signs `message`, which has `length` bytes and is the signing input of a JWT, not its hash: hashing is part
/// of the algorithm. Writes the signature to `signature`, which has room for `capacity` bytes (1024), and its
/// length to `*signature_length`, and returns 0. Any other number is a failure and appears in the error
/// message. `context` is the one of authgrant_set_signer().
///
/// An ECDSA signature is either r and s concatenated (64 bytes for ES256, 96 for ES384) or their DER
/// encoding.
///
/// Runs on the thread of the call that needs the signature, with no lock held, possibly on several threads at
/// once. It must return normally; the timeout of the call and a cancel do not interrupt it. Only
/// getters and _free functions may be called inside it.
#[allow(non_camel_case_types, reason = "the name in C")]
pub type authgrant_sign_fn = Option<
    unsafe extern "C" fn(
        message: *const u8,
        length: usize,
        signature: *mut u8,
        capacity: usize,
        signature_length: *mut usize,
        context: *mut c_void,
    ) -> i32,
>;

/// Wraps the callback and its context for the signer. The error is the number that the callback returned.
pub(crate) fn wrap_sign_fn(
    function: unsafe extern "C" fn(*const u8, usize, *mut u8, usize, *mut usize, *mut c_void) -> i32,
    context: *mut c_void,
) -> Box<SignFn> {
    let context = CallbackContext(context);
    Box::new(move |message, signature| {
        let context = &context;
        let (buffer, capacity) = (signature.as_mut_ptr(), signature.len());
        let (mut length, mut result) = (0, 0);
        run_callback(|| {
            // SAFETY: the caller registered this function with this context.
            result = unsafe {
                function(message.as_ptr(), message.len(), buffer, capacity, &raw mut length, context.0)
            };
        });
        if result == 0 { Ok(length) } else { Err(result) }
    })
}
