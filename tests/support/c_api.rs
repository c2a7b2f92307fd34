//! Rust wrappers of the C API for tests: they call the exported functions and copy the results into Rust
//! values.

use std::ffi::{CStr, CString, c_char, c_void};
use std::ptr::{null, null_mut};

use authgrant::base::call::SharedCancelToken;
use authgrant::base::error::Error;
use authgrant::connection::Connection as Handle;
use authgrant::connection::api_headers::ApiHeaders;
use authgrant::ffi::call_options::RawCallOptions;
use authgrant::ffi::callback::authgrant_sign_fn;
use authgrant::ffi::connection as api;
use authgrant::ffi::error as errors;
use authgrant::ffi::error::ErrorObject;
use authgrant::ffi::report as reports;
use authgrant::ffi::signer::authgrant_set_signer;
use authgrant::ffi::token_store::RawTokenStore;
use authgrant::ffi::{authorize, cancel_token, headers, options, text as texts, token};
use authgrant::options::Environment;
use authgrant::token::TokenHandle as TokenObject;

/// A copy of an `authgrant_error`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    pub status: i32,
    pub sqlstate: String,
    pub message: String,
    pub option: Option<String>,
    pub oauth_error: Option<String>,
    pub oauth_description: Option<String>,
    pub consent_url: Option<String>,
    pub provider_code: Option<String>,
    pub http_status: i32,
    pub retry_after: i32,
    pub retryable: i32,
}

pub fn c_str_to_string(pointer: *const c_char) -> Option<String> {
    if pointer.is_null() {
        return None;
    }
    // SAFETY: the API returns NUL-terminated text that is valid as long as its object.
    Some(unsafe { CStr::from_ptr(pointer) }.to_str().expect("UTF-8").to_owned())
}

fn copy_error(error: *const ErrorObject) -> Failure {
    Failure {
        status: errors::authgrant_error_status(error),
        sqlstate: c_str_to_string(errors::authgrant_error_sqlstate(error)).unwrap(),
        message: c_str_to_string(errors::authgrant_error_message(error)).unwrap(),
        option: c_str_to_string(errors::authgrant_error_option(error)),
        oauth_error: c_str_to_string(errors::authgrant_error_oauth_error(error)),
        oauth_description: c_str_to_string(errors::authgrant_error_oauth_description(error)),
        consent_url: c_str_to_string(errors::authgrant_error_consent_url(error)),
        provider_code: c_str_to_string(errors::authgrant_error_provider_code(error)),
        http_status: errors::authgrant_error_http_status(error),
        retry_after: errors::authgrant_error_retry_after(error),
        retryable: errors::authgrant_error_retryable(error),
    }
}

/// Copies all errors of the chain and frees it.
pub fn take_error_chain(error: *mut ErrorObject) -> Vec<Failure> {
    let mut failures = Vec::new();
    let mut next = error.cast_const();
    while !next.is_null() {
        failures.push(copy_error(next));
        next = errors::authgrant_error_next(next);
    }
    errors::authgrant_error_free(error);
    failures
}

/// An invalid pointer as initial value of out-parameters: a call must overwrite it without reading it.
pub fn poisoned_ptr<T>() -> *mut T {
    std::ptr::without_provenance_mut(0xdead)
}

/// Returns the errors of a call. Its error out-parameter initially contains an invalid pointer.
#[track_caller]
pub fn collect_failures(call: impl FnOnce(*mut *mut ErrorObject) -> i32) -> Vec<Failure> {
    let mut error = poisoned_ptr();
    let status = call(&raw mut error);
    assert_ne!(error, poisoned_ptr(), "the error out-parameter was not overwritten");
    let failures = take_error_chain(error);
    assert_eq!(failures.first().map_or(0, |first| first.status), status, "{failures:?}");
    failures
}

fn to_result<T>(status: i32, error: *mut ErrorObject, value: impl FnOnce() -> T) -> Result<T, Box<Failure>> {
    let failures = take_error_chain(error);
    match failures.into_iter().next() {
        None => {
            assert_eq!(status, 0, "a failed call must return an error");
            Ok(value())
        }
        Some(failure) => {
            assert_eq!(status, failure.status, "the returned status must be that of the error");
            Err(Box::new(failure))
        }
    }
}

/// A connection, closed on drop.
#[derive(Debug)]
pub struct Connection(*mut Handle);

// SAFETY: the C API may be called from any thread.
unsafe impl Send for Connection {}
// SAFETY: as above.
unsafe impl Sync for Connection {}

impl Drop for Connection {
    fn drop(&mut self) {
        api::authgrant_close(self.0);
    }
}

/// Copies names and values of headers, and releases them.
pub fn take_headers(list: *mut ApiHeaders) -> Vec<(String, String)> {
    let count = headers::authgrant_headers_count(list);
    let copy_header = |index| {
        let name = c_str_to_string(headers::authgrant_headers_name(list, index)).unwrap();
        (name, c_str_to_string(headers::authgrant_headers_value(list, index)).unwrap())
    };
    let all = (0..count).map(copy_header).collect();
    assert!(headers::authgrant_headers_name(list, count).is_null());
    headers::authgrant_headers_free(list);
    all
}

/// A token reference, released on drop.
#[derive(Debug)]
pub struct Token(*mut TokenObject);

// SAFETY: as for `Connection`.
unsafe impl Send for Token {}
// SAFETY: as above.
unsafe impl Sync for Token {}

impl Drop for Token {
    fn drop(&mut self) {
        token::authgrant_token_free(self.0);
    }
}

impl Token {
    pub fn handle(&self) -> *mut TokenObject {
        self.0
    }

    pub fn value(&self) -> String {
        c_str_to_string(token::authgrant_token_value(self.0)).unwrap()
    }

    pub fn token_type(&self) -> String {
        c_str_to_string(token::authgrant_token_type(self.0)).unwrap()
    }

    pub fn scope(&self) -> Option<String> {
        c_str_to_string(token::authgrant_token_scope(self.0))
    }

    pub fn expires_at(&self) -> i64 {
        token::authgrant_token_expires_at(self.0)
    }

    pub fn field(&self, name: &str) -> Option<String> {
        let name = CString::new(name).unwrap();
        c_str_to_string(token::authgrant_token_field(self.0, name.as_ptr()))
    }
}

pub fn open(string: &str) -> Result<Connection, Box<Failure>> {
    let string = CString::new(string).unwrap();
    let (mut connection, mut error) = (null_mut(), null_mut());
    let status = api::authgrant_open(string.as_ptr(), &raw mut connection, &raw mut error);
    to_result(status, error, || Connection(connection))
}

/// Opens a connection whose data sources are located by `environment` instead of the environment variables.
pub fn open_with_environment(string: &str, environment: &dyn Environment) -> Result<Connection, Box<Error>> {
    Handle::open_with_environment(string, environment)
        .map(|handle| Connection(Box::into_raw(Box::new(handle))))
        .map_err(Box::new)
}

/// A cancel token, released on drop.
pub struct CancelToken(*mut SharedCancelToken);

// SAFETY: as for `Connection`.
unsafe impl Send for CancelToken {}
// SAFETY: as above.
unsafe impl Sync for CancelToken {}

impl Drop for CancelToken {
    fn drop(&mut self) {
        cancel_token::authgrant_cancel_token_free(self.0);
    }
}

impl CancelToken {
    pub fn new() -> Self {
        let mut token = poisoned_ptr();
        let new = |error| cancel_token::authgrant_cancel_token_new(&raw mut token, error);
        assert_eq!(collect_failures(new), []);
        Self(token)
    }

    pub fn handle(&self) -> *mut SharedCancelToken {
        self.0
    }

    pub fn cancel(&self) {
        cancel_token::authgrant_cancel_token_cancel(self.0);
    }

    pub fn reset(&self) {
        cancel_token::authgrant_cancel_token_reset(self.0);
    }
}

/// Options of a call without a cancel token.
pub fn call_options(timeout_ms: i32, min_validity_s: i32, flags: u32) -> RawCallOptions {
    let size = size_of::<RawCallOptions>();
    RawCallOptions { size, timeout_ms, min_validity_s, flags, cancel_token: null_mut() }
}

/// Opens a connection and gets a token, as a driver does.
pub fn get_token(string: &str) -> Result<Token, Box<Failure>> {
    open(string)?.get_token()
}

/// A signer callback that fails.
pub extern "C" fn failing_signer(
    _: *const u8,
    _: usize,
    _: *mut u8,
    _: usize,
    _: *mut usize,
    _: *mut c_void,
) -> i32 {
    1
}

extern "C" fn failing_get(
    _: *const c_char,
    _: *mut u8,
    _: usize,
    _: *mut usize,
    _: *mut i64,
    _: *mut c_void,
) -> i32 {
    1
}

extern "C" fn failing_lease(_: *const c_char, _: *const u8, _: i64, _: *mut i32, _: *mut c_void) -> i32 {
    1
}

extern "C" fn failing_put(
    _: *const c_char,
    _: *const u8,
    _: u64,
    _: u64,
    _: *const u8,
    _: usize,
    _: i64,
    _: *mut i32,
    _: *mut c_void,
) -> i32 {
    1
}

extern "C" fn failing_release(_: *const c_char, _: *const u8, _: *mut c_void) -> i32 {
    1
}

/// A token store whose functions fail.
pub fn failing_token_store() -> RawTokenStore {
    RawTokenStore {
        size: size_of::<RawTokenStore>(),
        context: null_mut(),
        get: Some(failing_get),
        lease: Some(failing_lease),
        put: Some(failing_put),
        release: Some(failing_release),
    }
}

impl Connection {
    /// Takes the ownership of an open handle.
    pub fn from_handle(handle: *mut Handle) -> Self {
        Self(handle)
    }

    pub fn handle(&self) -> *mut Handle {
        self.0
    }

    pub fn get_token(&self) -> Result<Token, Box<Failure>> {
        let (mut token, mut error) = (null_mut(), null_mut());
        let status = api::authgrant_get_token(self.0, &raw mut token, &raw mut error);
        assert_eq!(status == 0, !token.is_null());
        to_result(status, error, || Token(token))
    }

    pub fn get_token_with(
        &self,
        timeout_ms: i32,
        min_validity_s: i32,
        flags: u32,
    ) -> Result<Token, Box<Failure>> {
        let call = call_options(timeout_ms, min_validity_s, flags);
        self.get_token_with_options(&call)
    }

    /// Gets a token with a cancel token and without other options.
    pub fn get_token_cancellable(&self, cancel_token: &CancelToken) -> Result<Token, Box<Failure>> {
        self.get_token_with_options(&RawCallOptions { cancel_token: cancel_token.0, ..call_options(0, 0, 0) })
    }

    pub fn get_token_with_options(&self, call: &RawCallOptions) -> Result<Token, Box<Failure>> {
        let (mut token, mut error) = (null_mut(), null_mut());
        let status = api::authgrant_get_token_with(self.0, call, &raw mut token, &raw mut error);
        to_result(status, error, || Token(token))
    }

    /// Names and values of the headers for API requests.
    pub fn get_headers(&self) -> Result<Vec<(String, String)>, Box<Failure>> {
        let (mut list, mut error) = (null_mut(), null_mut());
        let status = headers::authgrant_get_headers(self.0, &raw mut list, &raw mut error);
        to_result(status, error, || take_headers(list))
    }

    pub fn set_option(&self, name: &str, value: &str) -> Result<(), Box<Failure>> {
        let (name, value) = (CString::new(name).unwrap(), CString::new(value).unwrap());
        let mut error = null_mut();
        let status = options::authgrant_set_option(self.0, name.as_ptr(), value.as_ptr(), &raw mut error);
        to_result(status, error, || ())
    }

    pub fn set_signer(
        &self,
        algorithm: &str,
        function: authgrant_sign_fn,
        context: *mut std::ffi::c_void,
    ) -> Result<(), Box<Failure>> {
        let algorithm = CString::new(algorithm).unwrap();
        let mut error = null_mut();
        let status = authgrant_set_signer(self.0, algorithm.as_ptr(), function, context, &raw mut error);
        to_result(status, error, || ())
    }

    pub fn consent_url(&self) -> Result<String, Box<Failure>> {
        let (mut url, mut error) = (poisoned_ptr(), null_mut());
        let status = authorize::authgrant_consent_url(self.0, &raw mut url, &raw mut error);
        to_result(status, error, || {
            let copy = c_str_to_string(url).unwrap();
            texts::authgrant_string_free(url);
            copy
        })
    }

    pub fn make_assertion(&self) -> Result<String, Box<Failure>> {
        let (mut assertion, mut error) = (poisoned_ptr(), null_mut());
        let status = authorize::authgrant_create_assertion(self.0, &raw mut assertion, &raw mut error);
        to_result(status, error, || {
            let copy = c_str_to_string(assertion).unwrap();
            texts::authgrant_string_free(assertion);
            copy
        })
    }

    /// The completed connection string; `include` is a combination of AUTHGRANT_WITH_… flags.
    pub fn completed_string(&self, include: u32) -> String {
        let mut string = poisoned_ptr();
        let status = options::authgrant_completed_string(self.0, include, &raw mut string, null_mut());
        assert_eq!(status, 0);
        let copy = c_str_to_string(string).unwrap();
        texts::authgrant_string_free(string);
        copy
    }

    pub fn reject(&self, token: &Token) {
        assert_eq!(api::authgrant_reject_token(self.0, token.0, null_mut()), 0);
    }

    pub fn cancel(&self) {
        assert_eq!(api::authgrant_cancel(self.0, null_mut()), 0);
    }

    pub fn warnings(&self) -> Vec<Failure> {
        let mut warnings = null_mut();
        assert_eq!(api::authgrant_get_warnings(self.0, &raw mut warnings, null_mut()), 0);
        take_error_chain(warnings)
    }

    pub fn copy_token(&self, capacity: usize) -> (i32, usize, Vec<u8>) {
        let mut buffer = vec![0xaa_u8; capacity];
        let mut length = 0;
        let pointer = if capacity == 0 { null_mut() } else { buffer.as_mut_ptr().cast() };
        let status = api::authgrant_copy_token(self.0, pointer, capacity, &raw mut length, null_mut());
        (status, length, buffer)
    }
}

/// Collects log messages.
#[derive(Default)]
pub struct LogLines(pub std::sync::Mutex<Vec<String>>);

extern "C" fn collect_line(level: i32, message: *const c_char, context: *mut std::ffi::c_void) {
    // SAFETY: the context is the `LogLines` passed to `Connection::collect_log_at_level`.
    let lines = unsafe { &*context.cast::<LogLines>() };
    lines.0.lock().unwrap().push(format!("{level} {}", c_str_to_string(message).unwrap()));
}

impl Connection {
    pub fn collect_log(&self, lines: &'static LogLines) {
        self.collect_log_at_level(5, lines);
    }

    pub fn collect_log_at_level(&self, level: i32, lines: &'static LogLines) {
        let context = std::ptr::from_ref(lines).cast_mut().cast();
        assert_eq!(api::authgrant_set_log(self.0, Some(collect_line), context, level, null_mut()), 0);
    }
}

pub const NULL_CONNECTION: *mut Handle = null_mut();
pub const NULL_TEXT: *const c_char = null();

/// A function that returns a report.
type ReportFn = extern "C" fn(*mut Handle, *mut *mut c_char, *mut *mut ErrorObject) -> i32;

impl Connection {
    fn report(&self, reporter: ReportFn) -> Result<String, Box<Failure>> {
        let (mut report, mut error) = (poisoned_ptr(), null_mut());
        let status = reporter(self.0, &raw mut report, &raw mut error);
        assert_eq!(status == 0, !report.is_null());
        to_result(status, error, || {
            let report_text = c_str_to_string(report).unwrap();
            texts::authgrant_string_free(report);
            report_text
        })
    }

    pub fn validate(&self) -> String {
        self.report(reports::authgrant_validate).expect("a report")
    }

    pub fn explain(&self) -> Result<String, Box<Failure>> {
        self.report(reports::authgrant_explain)
    }

    pub fn test(&self) -> Result<String, Box<Failure>> {
        self.report(reports::authgrant_test_connection)
    }
}
