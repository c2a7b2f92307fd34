//! The context of one API call: deadline, cancellation and log.
//!
//! Code that blocks (a wait for another thread's fetch, a DNS lookup, a socket) registers a [`Wake`] while it
//! blocks; [`CancelToken::cancel`] calls all of them. Registration after the cancel fails, so no wake-up is
//! lost.

use std::fmt;
use std::sync::{Arc, Weak};
use std::time::Duration;

use crate::base::clock::Deadline;
use crate::base::error::{Error, ErrorKind, Result, TimeoutKind};
use crate::base::log::Log;
use crate::sys::PerProcess;
use crate::sys::sync::atomic::{AtomicBool, Ordering};
use crate::sys::sync::{Monitor, Mutex};

/// A blocking operation that can be woken from another thread.
pub trait Wake: Send + Sync {
    /// Makes the blocked thread return soon. May be called late or twice.
    fn wake(&self);
}

#[derive(Default)]
struct CancelState {
    cancelled: bool,
    waiters: Vec<Weak<dyn Wake>>,
}

/// A handle that cancels one call. Thread-safe.
#[derive(Default)]
pub struct CancelToken(Mutex<CancelState>);

impl CancelToken {
    /// Cancels the call: wakes its blocking operations; other code notices at its next check.
    pub fn cancel(&self) {
        let waiters = {
            let mut state = self.0.lock();
            state.cancelled = true;
            std::mem::take(&mut state.waiters)
        };
        for waiter in waiters.iter().filter_map(Weak::upgrade) {
            waiter.wake();
        }
    }

    /// Whether the call was cancelled.
    pub fn is_cancelled(&self) -> bool {
        self.0.lock().cancelled
    }

    fn register(&self, waiter: Weak<dyn Wake>) -> Result<()> {
        let mut state = self.0.lock();
        if state.cancelled {
            return Err(cancelled_error());
        }
        state.waiters.retain(|known| known.strong_count() > 0);
        if !state.waiters.iter().any(|known| known.ptr_eq(&waiter)) {
            state.waiters.push(waiter);
        }
        Ok(())
    }
}

/// The calls in progress that are cancelled together, such as those of one connection.
#[derive(Default)]
pub struct CallList(Mutex<Vec<Weak<CancelToken>>>);

impl CallList {
    /// Adds a call. It leaves the list when it ends.
    pub fn add(&self, call: &Arc<CancelToken>) {
        let mut calls = self.0.lock();
        calls.retain(|known| known.strong_count() > 0);
        calls.push(Arc::downgrade(call));
    }

    /// Cancels the calls in the list.
    pub fn cancel_all(&self) {
        let calls = std::mem::take(&mut *self.0.lock());
        for call in calls.iter().filter_map(Weak::upgrade) {
            call.cancel();
        }
    }
}

/// Cancels the calls that it is passed to in authgrant_call_options: those in progress, and later ones until
/// it is reset. Free it with authgrant_cancel_token_free().
// A call holds no reference to this object: it has a `CancelToken` of its own, which stays cancelled after a
// reset.
#[derive(Default)]
pub struct SharedCancelToken {
    cancelled: AtomicBool,
    /// A forked child starts without calls: those of its parent run in threads that it does not have, and one
    /// of them may have held the lock.
    calls: PerProcess<CallList>,
}

impl SharedCancelToken {
    /// Adds a call that begins now, and returns its own token.
    pub fn begin_call(&self) -> Arc<CancelToken> {
        let call = Arc::default();
        self.calls().add(&call);
        // After the call was added: a concurrent cancel either finds it in the list or has set the flag before.
        if self.cancelled.load(Ordering::Acquire) {
            call.cancel();
        }
        call
    }

    /// Cancels the calls in progress, and later ones until the next reset.
    pub fn cancel(&self) {
        self.cancelled.store(true, Ordering::Release);
        self.calls().cancel_all();
    }

    /// Ends the effect on later calls. Calls that were cancelled stay cancelled.
    pub fn reset(&self) {
        self.cancelled.store(false, Ordering::Release);
    }

    fn calls(&self) -> &CallList {
        self.calls.get_or_init(CallList::default)
    }
}

/// A timeout and the option or argument that set it, displayed as `15 s (LoginTimeout)`. Formatted only in
/// errors.
#[derive(Clone, Copy, Default)]
pub struct Timeout(Duration, &'static str);

impl fmt::Display for Timeout {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} s ({})", self.0.as_secs_f64(), self.1)
    }
}

/// The limits of one call, its cancel token and its log.
#[derive(Clone)]
pub struct CallContext {
    /// The time by which the call must end.
    pub deadline: Deadline,
    /// The timeout of the deadline with the option or argument that set it, for messages.
    pub timeout: Timeout,
    /// The timeout of each request of the call (WSTimeout).
    pub request_timeout: Option<Duration>,
    /// Whether the deadline is that of the call or of a request.
    pub timeout_kind: TimeoutKind,
    /// Whether a failed request is not retried, neither immediately nor after a delay.
    pub single_attempt: bool,
    /// Cancels the call.
    pub cancel: Arc<CancelToken>,
    /// The caller's log.
    pub log: Log,
}

impl CallContext {
    /// A call without a deadline.
    #[must_use]
    pub fn unbounded() -> Self {
        Self {
            deadline: Deadline::none(),
            timeout: Timeout::default(),
            request_timeout: None,
            timeout_kind: TimeoutKind::Call,
            single_attempt: false,
            cancel: Arc::default(),
            log: Log::default(),
        }
    }

    /// A call with a timeout. `source` is the option or argument that set it.
    #[must_use]
    pub fn with_timeout(timeout: Duration, source: &'static str) -> Self {
        Self { deadline: Deadline::after(timeout), timeout: Timeout(timeout, source), ..Self::unbounded() }
    }

    /// The context of a request that starts now: the deadline is the earlier of the call's and the request's.
    #[must_use]
    pub fn for_request(&self) -> Self {
        match self.request_timeout {
            Some(timeout) if self.deadline.remaining().is_none_or(|remaining| timeout < remaining) => Self {
                timeout_kind: TimeoutKind::Request,
                cancel: Arc::clone(&self.cancel),
                log: self.log.clone(),
                ..Self::with_timeout(timeout, "WSTimeout")
            },
            _ => self.clone(),
        }
    }

    /// This call with `timeout` from now, if that is earlier than its deadline. `source` is what set the
    /// timeout.
    #[must_use]
    pub fn capped(&self, timeout: Duration, source: &'static str) -> Self {
        if self.deadline.remaining().is_some_and(|remaining| remaining <= timeout) {
            return self.clone();
        }
        let capped = Self::with_timeout(timeout, source);
        Self { deadline: capped.deadline, timeout: capped.timeout, ..self.clone() }
    }

    /// Fails once the call is cancelled or its deadline has passed.
    pub fn check(&self) -> Result<()> {
        if self.cancel.is_cancelled() {
            return Err(cancelled_error());
        }
        if self.deadline.is_past() {
            return Err(self.timeout_error("the call did not complete"));
        }
        Ok(())
    }

    /// Sleeps for `delay`, or until the call is cancelled.
    ///
    /// # Errors
    /// [`ErrorKind::Cancelled`].
    pub fn sleep(&self, delay: Duration) -> Result<()> {
        let sleep = Arc::new(CancellableSleep::default());
        self.on_cancel(&sleep)?;
        let cancelled = sleep.0.wait_while(sleep.0.lock(), Some(delay), |cancelled| !*cancelled);
        if *cancelled { Err(cancelled_error()) } else { Ok(()) }
    }

    /// Registers `waiter`, which is woken when the call is cancelled. Dropping it unregisters it. Fails if
    /// the call is already cancelled.
    pub fn on_cancel<T: Wake + 'static>(&self, waiter: &Arc<T>) -> Result<()> {
        let weak: Weak<T> = Arc::downgrade(waiter);
        self.cancel.register(weak)
    }

    /// A timeout error. `what` states what did not happen; the timeout and its source are appended.
    #[must_use]
    pub fn timeout_error(&self, what: &str) -> Error {
        self.timeout_error_with(&format!("{what} within {}", self.timeout))
    }

    /// As [`Self::timeout_error`], for a `text` that already contains the timeout.
    #[must_use]
    pub fn timeout_error_with(&self, text: &str) -> Error {
        Error::new(self.timeout_kind, "network", text)
    }
}

/// Whether the call was cancelled.
#[derive(Default)]
struct CancellableSleep(Monitor<bool>);

impl Wake for CancellableSleep {
    fn wake(&self) {
        *self.0.lock() = true;
        self.0.notify_all();
    }
}

/// The error of a cancelled call.
#[must_use]
pub fn cancelled_error() -> Error {
    Error::new(ErrorKind::Cancelled, "call", "the call was cancelled")
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};
    use std::time::Instant;

    use super::*;
    use crate::base::error::Status;
    use crate::base::log::{LogLevel, LogSink};

    struct NoSink;

    impl LogSink for NoSink {
        fn log(&self, _: LogLevel, _: &str) {}
    }

    #[derive(Default)]
    struct WakeCounter(AtomicU32);

    impl Wake for WakeCounter {
        fn wake(&self) {
            self.0.fetch_add(1, Ordering::SeqCst);
        }
    }

    #[test]
    fn cancel_wakes_waiter_once_and_rejects_latecomers() {
        let call = CallContext::unbounded();
        let waiter = Arc::new(WakeCounter::default());
        call.on_cancel(&waiter).unwrap();
        call.on_cancel(&waiter).unwrap();
        call.cancel.cancel();
        assert_eq!(waiter.0.load(Ordering::SeqCst), 1);
        assert_eq!(call.on_cancel(&waiter).unwrap_err().status(), Status::Cancelled);
        assert_eq!(call.check().unwrap_err().status(), Status::Cancelled);
    }

    #[test]
    fn cancel_wakes_all_waiters_and_forgets_dropped_ones() {
        let call = CallContext::unbounded();
        let waiters = [Arc::new(WakeCounter::default()), Arc::new(WakeCounter::default())];
        (0..100).for_each(|_| call.on_cancel(&Arc::new(WakeCounter::default())).unwrap());
        waiters.iter().for_each(|waiter| call.on_cancel(waiter).unwrap());
        assert_eq!(call.cancel.0.lock().waiters.len(), waiters.len());
        call.cancel.cancel();
        assert!(waiters.iter().all(|waiter| waiter.0.load(Ordering::SeqCst) == 1));
    }

    #[test]
    fn shared_token_cancels_calls_until_reset() {
        let token = SharedCancelToken::default();
        let (first, second) = (token.begin_call(), token.begin_call());
        let ended = Arc::downgrade(&token.begin_call());
        token.cancel();
        assert!(first.is_cancelled() && second.is_cancelled() && ended.upgrade().is_none());
        assert!(token.begin_call().is_cancelled(), "later calls are cancelled");
        token.reset();
        assert!(!token.begin_call().is_cancelled());
        assert!(first.is_cancelled(), "a reset does not revive a cancelled call");
    }

    #[test]
    fn call_outlives_its_shared_token() {
        let token = SharedCancelToken::default();
        let call = token.begin_call();
        drop(token);
        assert!(!call.is_cancelled());
    }

    #[test]
    fn concurrent_cancel_misses_no_call() {
        for _ in 0..1000 {
            let token = SharedCancelToken::default();
            let call = std::thread::scope(|scope| {
                let begun = scope.spawn(|| token.begin_call());
                token.cancel();
                begun.join().unwrap()
            });
            assert!(call.is_cancelled());
        }
    }

    #[test]
    fn call_list_forgets_ended_calls() {
        let list = CallList::default();
        (0..100).for_each(|_| list.add(&Arc::default()));
        assert_eq!(list.0.lock().len(), 1, "each call removes those that ended before it");
    }

    #[test]
    fn earlier_of_call_and_request_timeout_applies() {
        let request_error = |call: Duration, request_timeout| {
            let call = CallContext { request_timeout, ..CallContext::with_timeout(call, "LoginTimeout") };
            call.for_request().timeout_error("no response")
        };
        let (long, short) = (Duration::from_secs(60), Duration::from_secs(5));
        for (call, request_timeout, sqlstate, timeout) in [
            (long, None, "HYT00", "60 s (LoginTimeout)"),
            (long, Some(short), "HYT01", "5 s (WSTimeout)"),
            (short, Some(long), "HYT00", "5 s (LoginTimeout)"),
        ] {
            let error = request_error(call, request_timeout);
            assert_eq!((error.status(), error.sqlstate()), (Status::Timeout, sqlstate), "{error}");
            assert!(error.message().ends_with(timeout), "{error}");
        }
        let log = Log::new(Arc::new(NoSink), LogLevel::Trace);
        let unbounded = CallContext { request_timeout: Some(short), log, ..CallContext::unbounded() };
        let request = unbounded.for_request();
        assert_eq!(format!("{:?}", request.log), "Log(on)");
        assert!(request.deadline.remaining().is_some_and(|remaining| remaining <= short));
        unbounded.cancel.cancel();
        assert!(request.cancel.is_cancelled(), "cancelling the call cancels its request");
    }

    #[test]
    fn cap_shortens_but_never_extends_a_call() {
        let capped = |seconds, source| {
            let call = CallContext::with_timeout(Duration::from_secs(60), "LoginTimeout");
            let capped = call.capped(Duration::from_secs(seconds), source);
            (capped.deadline.remaining().unwrap(), capped.timeout_error("no response").message())
        };
        let (remaining, text) = capped(2, "the limit of a renewal");
        assert!(
            remaining <= Duration::from_secs(2) && text.ends_with("2 s (the limit of a renewal)"),
            "{text}"
        );
        let (remaining, text) = capped(600, "the limit of a renewal");
        assert!(remaining <= Duration::from_secs(60) && text.ends_with("60 s (LoginTimeout)"), "{text}");
    }

    #[test]
    fn timeout_error_names_its_option() {
        let call = CallContext::with_timeout(Duration::ZERO, "LoginTimeout");
        let error = call.check().unwrap_err();
        assert_eq!(error.status(), Status::Timeout);
        assert!(error.message().contains("0 s (LoginTimeout)"), "{error}");
    }

    #[test]
    fn sleep_lasts_for_delay() {
        let delay = Duration::from_millis(50);
        let start = Instant::now();
        CallContext::unbounded().sleep(delay).unwrap();
        assert!(start.elapsed() >= delay);
    }

    #[test]
    fn cancel_wakes_sleep() {
        let call = CallContext::unbounded();
        let sleeping = Arc::new(CancellableSleep::default());
        call.on_cancel(&sleeping).unwrap();
        call.cancel.cancel();
        assert!(*sleeping.0.lock());
        assert_eq!(call.sleep(Duration::from_secs(600)).unwrap_err().status(), Status::Cancelled);
    }
}
