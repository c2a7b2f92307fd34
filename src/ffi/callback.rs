//! The caller's functions: called on the caller's thread, with no lock held, and marked while they run.

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

/// How many threads are inside one of the caller's functions. A child that was forked meanwhile counts them for ever,
/// which costs it some speed.
static THREADS_IN_CALLBACKS: AtomicUsize = AtomicUsize::new(0);

/// Whether this thread is inside one of the caller's functions.
pub(crate) fn is_in_callback() -> bool {
    IN_CALLBACK.get()
}

/// Whether this thread may be inside one; cheaper.
pub(crate) fn is_any_callback_running() -> bool {
    THREADS_IN_CALLBACKS.load(Ordering::Relaxed) != 0
}

fn run_callback(callback: impl FnOnce()) {
    THREADS_IN_CALLBACKS.fetch_add(1, Ordering::Relaxed);
    let before = IN_CALLBACK.replace(true);
    callback();
    IN_CALLBACK.set(before);
    THREADS_IN_CALLBACKS.fetch_sub(1, Ordering::Relaxed);
}

/// Takes one line of the log: `level` is 1 (error), 2 (warning), 3 (info), 4 (debug) or 5 (trace); `message` is UTF-8,
/// lives only during the call and never holds a secret; `context` is what authgrant_set_log was given.
///
/// Runs on the thread of the call that it is about, perhaps on several threads at once, and must return normally.
/// Inside it only getters and _free functions may be called.
#[allow(non_camel_case_types, reason = "the name in C")]
pub type authgrant_log_fn =
    Option<unsafe extern "C" fn(level: i32, message: *const c_char, context: *mut c_void)>;

/// The caller's log function with its context.
pub(crate) struct LogCallback {
    function: unsafe extern "C" fn(i32, *const c_char, *mut c_void),
    context: *mut c_void,
}

// SAFETY: the header tells callers that the function is called from any thread, several at once.
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
        // SAFETY: the caller gave this function for this purpose, with this context.
        run_callback(|| unsafe { (self.function)(level as i32, message.as_ptr(), self.context) });
    }
}

/// Shows a URL to a person, in a browser or otherwise: NUL-terminated text that lives only during the call; `context` is
/// what authgrant_authorize was given. Returns 0 once it is shown, without waiting for the person; anything else is a
/// failure that the error repeats.
///
/// Runs on the thread of the call, and must return normally. Inside it only getters and _free functions may be called.
#[allow(non_camel_case_types, reason = "the name in C")]
pub type authgrant_open_url_fn =
    Option<unsafe extern "C" fn(url: *const c_char, context: *mut c_void) -> i32>;

/// Calls the caller's function that shows a URL.
pub(crate) fn show_url(
    function: unsafe extern "C" fn(*const c_char, *mut c_void) -> i32,
    url: &str,
    context: *mut c_void,
) -> i32 {
    let Ok(url) = CString::new(url) else { return -1 };
    let mut answer = -1;
    // SAFETY: the caller gave this function for this purpose, with this context.
    run_callback(|| answer = unsafe { function(url.as_ptr(), context) });
    answer
}

/// Takes a refresh token that takes the place of another: NUL-terminated text that lives only during the call, and is a
/// secret; `context` is what authgrant_set_refresh_token_callback was given.
///
/// Runs on the thread of the call that fetched it, and must return normally. Inside it only getters and _free functions
/// may be called.
#[allow(non_camel_case_types, reason = "the name in C")]
pub type authgrant_refresh_token_fn =
    Option<unsafe extern "C" fn(refresh_token: *const c_char, context: *mut c_void)>;

/// The caller's context, which it has told us may be used from any thread.
struct CallbackContext(*mut c_void);

// SAFETY: the header tells callers that the function is called from any thread.
unsafe impl Send for CallbackContext {}
// SAFETY: as above.
unsafe impl Sync for CallbackContext {}

/// The caller's function as the connection knows it.
pub(crate) fn wrap_refresh_token_fn(
    function: unsafe extern "C" fn(*const c_char, *mut c_void),
    context: *mut c_void,
) -> RefreshTokenCallback {
    let context = CallbackContext(context);
    Box::new(move |token| {
        let context = &context;
        let Ok(token) = CString::new(token).map(Zeroizing::new) else { return };
        // SAFETY: the caller gave this function for this purpose, with this context.
        run_callback(|| unsafe { function(token.as_ptr(), context.0) });
    })
}

/// Signs `message`, `length` bytes, which are the signing input of a JWT and not its hash: hashing is part of the algorithm.
/// Writes the signature into `signature`, which has room for `capacity` bytes (1024), its length into `*signature_length`, and
/// returns 0; any other number is a failure that the error repeats. `context` is what authgrant_set_signer was given.
///
/// A signature of ECDSA may be two numbers side by side (64 bytes for ES256, 96 for ES384) or their DER.
///
/// Runs on the thread of the call that needs the signature, with no lock held, perhaps on several threads at once, and must
/// return normally; the call's timeout and authgrant_cancel wait for it. Inside it only getters and _free functions may be
/// called.
#[allow(non_camel_case_types, reason = "the name in C")]
pub type authgrant_sign_fn = Option<
    unsafe extern "C" fn(
        context: *mut c_void,
        message: *const u8,
        length: usize,
        signature: *mut u8,
        capacity: usize,
        signature_length: *mut usize,
    ) -> i32,
>;

/// The caller's function as a signer has it.
pub(crate) fn wrap_sign_fn(
    function: unsafe extern "C" fn(*mut c_void, *const u8, usize, *mut u8, usize, *mut usize) -> i32,
    context: *mut c_void,
) -> Box<SignFn> {
    let context = CallbackContext(context);
    Box::new(move |message, signature| {
        let context = &context;
        let (buffer, capacity) = (signature.as_mut_ptr(), signature.len());
        let (mut length, mut number) = (0, 0);
        run_callback(|| {
            // SAFETY: the caller gave this function for this purpose, with this context.
            number = unsafe {
                function(context.0, message.as_ptr(), message.len(), buffer, capacity, &raw mut length)
            };
        });
        if number == 0 { Ok(length) } else { Err(number) }
    })
}
