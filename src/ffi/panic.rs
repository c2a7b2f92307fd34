//! Panic guard and argument checks of all exports.

use std::any::Any;
use std::cell::Cell;
use std::ffi::{CStr, c_char};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, Ordering};

use crate::base::error::{ArgumentError, Error, ErrorKind, Result, Status};
use crate::ffi::callback;
use crate::ffi::error::ErrorObject;
use crate::ffi::panic_location::PanicLocation;

/// Guards the body of an export against panics. `guard!(error, |args| …)` is for exports that return a
/// status; `args` checks the arguments. `guard!(or value, …)` returns `value` after a panic. `guard!(light
/// value, …)` has no overhead and is for bodies that cannot panic: it does not suppress the message of the
/// panic.
macro_rules! guard {
    (light $value:expr, $body:expr) => {
        $crate::ffi::panic::catch_unsilenced(|| $body).unwrap_or($value)
    };
    (or $value:expr, $body:expr) => {
        $crate::ffi::panic::catch_silently(|| $body).unwrap_or($value)
    };
    ($error:expr, |$args:ident| $body:block) => {{
        let body = |$args: &mut $crate::ffi::panic::ArgumentChecker| $body;
        // SAFETY: the header requires that `error` is NULL or writable.
        unsafe { $crate::ffi::panic::run_returning_status($error, body) }
    }};
}

thread_local! {
    static IS_GUARDED: Cell<bool> = const { Cell::new(false) };
    /// Location of the panic in the guarded call of this thread; set by the panic hook.
    static PANIC_LOCATION: Cell<Option<PanicLocation>> = const { Cell::new(None) };
}

/// Runs `body` and catches a panic without printing it, because stderr belongs to the application. The error
/// is the location of the panic, if it is known.
pub(crate) fn catch_silently<T>(body: impl FnOnce() -> T) -> std::result::Result<T, Option<PanicLocation>> {
    install_panic_hook();
    let nested = IS_GUARDED.replace(true);
    // A call from inside a callback may run while the outer call unwinds; it must not clear the location of
    // the outer panic.
    if !nested {
        let _ = PANIC_LOCATION.try_with(|location| location.set(None));
    }
    let outcome = catch_unwind(AssertUnwindSafe(body)).map_err(|payload| {
        // Before the payload is dropped, which may panic elsewhere.
        let location = PANIC_LOCATION.try_with(Cell::take).unwrap_or_default();
        drop_payload(payload);
        location
    });
    IS_GUARDED.set(nested);
    outcome
}

/// Runs `body` and catches a panic as [`catch_silently`] does, but lets it print its message.
#[inline]
pub(crate) fn catch_unsilenced<T>(body: impl FnOnce() -> T) -> Option<T> {
    catch_unwind(AssertUnwindSafe(body)).map_err(drop_payload).ok()
}

/// Drops the payload of a panic, which may panic again.
#[cold]
fn drop_payload(payload: Box<dyn Any + Send>) {
    let _ = catch_unwind(AssertUnwindSafe(|| drop(payload)));
}

/// Installs the panic hook of this copy of the standard library. Panics outside of guarded calls go to the
/// previous hook.
fn install_panic_hook() {
    // No Once: a child forked while another thread is inside it would wait for that thread forever.
    static INSTALLED: AtomicBool = AtomicBool::new(false);
    if INSTALLED.load(Ordering::Relaxed) || INSTALLED.swap(true, Ordering::AcqRel) {
        return;
    }
    let previous = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |info| {
        if !IS_GUARDED.try_with(Cell::get).unwrap_or(false) {
            return previous(info);
        }
        // Not the payload, which may contain external data.
        let location = info.location().map(PanicLocation::new);
        let _ = PANIC_LOCATION.try_with(|slot| slot.set(location));
    }));
}

/// Runs the body of an export that returns a status, and writes its error to `error`.
///
/// # Safety `error` is NULL or writable.
pub(crate) unsafe fn run_returning_status(
    error: *mut *mut ErrorObject,
    body: impl FnOnce(&mut ArgumentChecker) -> Result<()>,
) -> i32 {
    if !error.is_null() {
        // SAFETY: guaranteed by the caller. The previous content is not read.
        unsafe { error.write(std::ptr::null_mut()) };
    }
    let outcome = catch_silently(|| body(&mut ArgumentChecker::default()))
        .unwrap_or_else(|location| Err(internal_error(location)));
    let Err(failure) = outcome else {
        return Status::Ok as i32;
    };
    let status = failure.status() as i32;
    if !error.is_null() {
        let object = catch_silently(|| ErrorObject::new_raw(&failure)).unwrap_or(std::ptr::null_mut());
        // SAFETY: as above.
        unsafe { error.write(object) };
    }
    status
}

#[cold]
fn internal_error(location: Option<PanicLocation>) -> Error {
    let position = location.map(|location| format!(" at {location}")).unwrap_or_default();
    let text = format!(
        "internal error{position} (a bug in authgrant); no other connection is affected; \
         report it with this message"
    );
    Error::new(ErrorKind::Internal, "internal", text)
}

/// Checks the arguments of one call. Results are registered first, with [`Self::out`], so that each is NULL
/// or 0 if the call fails.
#[derive(Default)]
pub(crate) struct ArgumentChecker {
    pending_error: Option<Error>,
}

/// An out-parameter.
pub(crate) struct OutParam<T>(*mut T);

impl<T> OutParam<T> {
    /// Writes the result.
    pub(crate) fn set(&self, value: T) {
        if !self.0.is_null() {
            // SAFETY: the header requires that an out-parameter is writable during the call.
            unsafe { self.0.write(value) };
        }
    }
}

impl ArgumentChecker {
    /// Registers an out-parameter and sets it to `default`.
    pub(crate) fn out<T>(&mut self, name: &str, pointer: *mut T, default: T) -> OutParam<T> {
        let out = OutParam(pointer);
        if pointer.is_null() {
            self.pending_error.get_or_insert_with(|| null_error(name));
        }
        out.set(default);
        out
    }

    /// Fails if an out-parameter is NULL, and inside a callback.
    pub(crate) fn check(&mut self) -> Result<()> {
        if callback::is_in_callback() {
            let text = "only getters and _free functions may be called from inside a callback";
            return Err(Error::new(ArgumentError::CallSequence, "argument", text));
        }
        self.pending_error.take().map_or(Ok(()), Err)
    }

    /// Returns an object of the caller.
    pub(crate) fn handle<'a, T>(&mut self, name: &str, object: *const T) -> Result<&'a T> {
        self.check()?;
        // SAFETY: the header requires NULL or an object of this library that was not released.
        unsafe { object.as_ref() }.ok_or_else(|| null_error(name))
    }

    /// Returns NUL-terminated text of the caller.
    pub(crate) fn text<'a>(&mut self, name: &str, text: *const c_char) -> Result<&'a str> {
        self.check()?;
        if text.is_null() {
            return Err(null_error(name));
        }
        // SAFETY: the header requires NUL-terminated text that does not change during the call.
        unsafe { CStr::from_ptr(text) }.to_str().map_err(|error| {
            let text = format!("the argument {name} is not UTF-8 at byte {}", error.valid_up_to());
            Error::new(ArgumentError::Invalid, "argument", text)
        })
    }

    /// Returns an array of the caller.
    pub(crate) fn array<'a, T>(&mut self, name: &str, first: *const T, count: usize) -> Result<&'a [T]> {
        self.check()?;
        if count == 0 {
            return Ok(&[]);
        }
        if first.is_null() {
            return Err(null_error(name));
        }
        if !fits_in_memory::<T>(count) {
            return Err(invalid_length_error(name));
        }
        // SAFETY: the header requires `count` elements, and the size was checked above.
        Ok(unsafe { std::slice::from_raw_parts(first, count) })
    }
}

/// Returns whether `count` values of this type can fit into memory.
pub(crate) fn fits_in_memory<T>(count: usize) -> bool {
    count.checked_mul(size_of::<T>()).is_some_and(|bytes| bytes <= isize::MAX.unsigned_abs())
}

/// The error for a required argument that is NULL.
pub(crate) fn null_error(name: &str) -> Error {
    Error::new(ArgumentError::Invalid, "argument", format!("the argument {name} is NULL"))
}

/// The error for a length or size that is out of range.
pub(crate) fn invalid_length_error(name: &str) -> Error {
    let text = format!("invalid length or size: {name}");
    Error::new(ArgumentError::Length, "argument", text)
}

#[cfg(test)]
mod tests {
    use std::panic::resume_unwind;
    use std::ptr::null_mut;
    use std::sync::Barrier;
    use std::sync::mpsc::{Sender, channel};

    use super::*;
    use crate::ffi::error::{authgrant_error_free, authgrant_error_message, authgrant_error_status};

    /// Returns the message of a call whose body panics.
    fn panic_message(body: impl FnOnce()) -> String {
        let mut error = null_mut();
        let status = guard!(&raw mut error, |_args| {
            body();
            Ok(())
        });
        assert_eq!(status, Status::Internal as i32);
        // SAFETY: the message belongs to the error, which is released below.
        let message = unsafe { CStr::from_ptr(authgrant_error_message(error)) }.to_str().unwrap().to_owned();
        authgrant_error_free(error);
        message
    }

    fn expected_message(line: u32) -> String {
        format!(
            "[authgrant][internal] internal error at src/ffi/panic.rs:{line} (a bug in authgrant); \
             no other connection is affected; report it with this message"
        )
    }

    #[test]
    fn panic_returns_internal_error() {
        let mut error = null_mut();
        let status = guard!(&raw mut error, |_args| { panic!("hunter2") });
        assert_eq!(status, Status::Internal as i32);
        assert_eq!(authgrant_error_status(error), Status::Internal as i32);
        // SAFETY: the message belongs to the error, which is released below.
        let message = unsafe { CStr::from_ptr(authgrant_error_message(error)) }.to_str().unwrap();
        assert!(!message.contains("hunter2"), "{message}");
        authgrant_error_free(error);
        assert_eq!(guard!(null_mut(), |args| { args.check() }), 0);
    }

    #[test]
    fn getter_panic_returns_default_value() {
        assert_eq!(guard!(or 7, panic!("x")), 7);
    }

    #[test]
    fn panic_location_is_in_the_message() {
        let line = line!() + 1;
        assert_eq!(panic_message(|| panic!("hunter2")), expected_message(line));
        let zero = std::hint::black_box(0);
        let line = line!() + 1;
        assert_eq!(panic_message(|| assert_eq!(1 / zero, 0)), expected_message(line));
        let line = line!() + 1;
        assert_eq!(panic_message(|| assert_eq!([1][zero + 1], 0)), expected_message(line));
    }

    #[test]
    fn panic_without_hook_has_no_location() {
        const PREFIX: &str = "[authgrant][internal] internal error (a bug in authgrant);";
        panic_message(|| panic!("hunter2"));
        let message = panic_message(|| resume_unwind(Box::new("hunter2")));
        assert!(message.starts_with(PREFIX), "{message}");
        assert_eq!(guard!(or 7, panic!("x")), 7);
        assert_eq!(guard!(null_mut(), |args| { args.check() }), 0);
        let message = panic_message(|| resume_unwind(Box::new("hunter2")));
        assert!(message.starts_with(PREFIX), "{message}");
    }

    #[test]
    fn nested_panic_keeps_outer_location() {
        let inner = line!() + 3;
        let outer = line!() + 3;
        let message = panic_message(|| {
            assert_eq!(panic_message(|| panic!("inner")), expected_message(inner));
            panic!("outer");
        });
        assert_eq!(message, expected_message(outer));
    }

    /// Makes a guarded call when dropped.
    struct CallsOnDrop;

    impl Drop for CallsOnDrop {
        fn drop(&mut self) {
            assert_eq!(guard!(null_mut(), |args| { args.check() }), 0);
        }
    }

    #[test]
    fn nested_call_during_unwinding_keeps_location() {
        let line = line!() + 3;
        let found = panic_message(|| {
            let _calls = CallsOnDrop;
            panic!("x");
        });
        assert_eq!(found, expected_message(line));
    }

    /// A payload that panics when dropped.
    struct PanicsOnDrop;

    impl Drop for PanicsOnDrop {
        fn drop(&mut self) {
            panic!("dropped");
        }
    }

    #[test]
    fn payload_drop_panic_keeps_location() {
        let line = line!() + 1;
        assert_eq!(panic_message(|| std::panic::panic_any(PanicsOnDrop)), expected_message(line));
    }

    /// Blocks when dropped until the other thread unwinds as well.
    struct WaitsOnDrop<'a>(&'a Barrier);

    impl Drop for WaitsOnDrop<'_> {
        fn drop(&mut self) {
            self.0.wait();
        }
    }

    #[test]
    fn concurrent_panics_keep_own_locations() {
        let barrier = Barrier::new(2);
        let line = line!() + 4;
        let panics = |first: bool| {
            let _both = WaitsOnDrop(&barrier);
            if first {
                panic!("first");
            }
            panic!("second");
        };
        let (first, second) = std::thread::scope(|scope| {
            let second = scope.spawn(|| panic_message(|| panics(false)));
            (panic_message(|| panics(true)), second.join().unwrap())
        });
        assert_eq!((first, second), (expected_message(line), expected_message(line + 2)));
    }

    /// Panics in a guarded call when dropped, during the exit of its thread.
    struct PanicsAtExit(Cell<Option<Sender<String>>>);

    impl Drop for PanicsAtExit {
        fn drop(&mut self) {
            let sender = self.0.take().unwrap();
            sender.send(panic_message(|| panic!("exit"))).unwrap();
        }
    }

    thread_local! {
        static AT_EXIT: PanicsAtExit = const { PanicsAtExit(Cell::new(None)) };
    }

    #[test]
    fn panic_at_thread_exit_has_location() {
        let (sender, messages) = channel();
        std::thread::spawn(move || {
            AT_EXIT.with(|exit| exit.0.set(Some(sender)));
            panic_message(|| panic!("first"));
        });
        let found = messages.recv().unwrap();
        assert!(found.starts_with("[authgrant][internal] internal error at src/ffi/panic.rs:"), "{found}");
    }

    /// Runs this test in a child process to capture its stderr.
    #[test]
    fn caught_panic_prints_nothing() {
        const CHILD: &str = "AUTHGRANT_TEST_PANIC";
        if std::env::var_os(CHILD).is_some() {
            guard!(or(), panic!("hunter2"));
            return;
        }
        let name = "ffi::panic::tests::caught_panic_prints_nothing";
        let output = std::process::Command::new(std::env::current_exe().unwrap())
            .args(["--exact", name, "--nocapture", "--test-threads=1"])
            .env(CHILD, "1")
            .output()
            .unwrap();
        assert!(output.status.success());
        assert_eq!(String::from_utf8_lossy(&output.stderr), "");
    }
}
