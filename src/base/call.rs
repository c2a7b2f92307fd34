//! One call of a caller: until when it may last, and how another thread ends it.
//!
//! Whatever can block (a wait for another's fetch, a name lookup, a socket) registers an [`Interrupt`] while it
//! blocks; [`Cancel::cancel`] runs them all. Registering after the cancel fails, so no wake-up is lost.

use std::fmt;
use std::sync::{Arc, Weak};
use std::time::Duration;

use crate::base::clock::Deadline;
use crate::base::error::{Error, Result, Status};
use crate::base::log::Log;
use crate::sys::sync::Mutex;

/// Something blocked that can be woken from another thread.
pub trait Wake: Send + Sync {
    /// Makes the blocked thread return soon. May come late or twice.
    fn wake(&self);
}

#[derive(Default)]
struct CancelState {
    cancelled: bool,
    waiters: Vec<Weak<dyn Wake>>,
}

/// The handle by which one call is cancelled.
#[derive(Default)]
pub struct CancelToken(Mutex<CancelState>);

impl CancelToken {
    /// Ends the call that this belongs to, now or when it next looks.
    pub fn cancel(&self) {
        let blocked = {
            let mut state = self.0.lock();
            state.cancelled = true;
            std::mem::take(&mut state.waiters)
        };
        for interrupt in blocked.iter().filter_map(Weak::upgrade) {
            interrupt.wake();
        }
    }

    /// Whether the call was cancelled.
    pub fn is_cancelled(&self) -> bool {
        self.0.lock().cancelled
    }

    fn register(&self, interrupt: Weak<dyn Wake>) -> Result<()> {
        let mut state = self.0.lock();
        if state.cancelled {
            return Err(cancelled_error());
        }
        state.waiters.retain(|known| known.strong_count() > 0);
        if !state.waiters.iter().any(|known| known.ptr_eq(&interrupt)) {
            state.waiters.push(interrupt);
        }
        Ok(())
    }
}

/// How long a call may last and who said so: `15 s (LoginTimeout)`. Put into words only where it has passed.
#[derive(Clone, Copy, Default)]
pub struct Timeout(Duration, &'static str);

impl fmt::Display for Timeout {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} s ({})", self.0.as_secs_f64(), self.1)
    }
}

/// What bounds one call.
#[derive(Clone)]
pub struct CallContext {
    /// Until when it may last.
    pub deadline: Deadline,
    /// The option or argument that set the deadline, for messages.
    pub timeout: Timeout,
    /// The limit of each request in it (WSTimeout).
    pub request_timeout: Option<Duration>,
    /// The SQLSTATE of a passed deadline: HYT00, or HYT01 for one request's.
    pub sqlstate: &'static str,
    /// Whether a request that failed is not sent again: neither at once nor after a wait.
    pub single_attempt: bool,
    /// How it is ended early.
    pub cancel: Arc<CancelToken>,
    /// Who wants to hear what it does.
    pub log: Log,
}

impl CallContext {
    /// A call that nothing bounds.
    #[must_use]
    pub fn unbounded() -> Self {
        Self {
            deadline: Deadline::none(),
            timeout: Timeout::default(),
            request_timeout: None,
            sqlstate: "HYT00",
            single_attempt: false,
            cancel: Arc::default(),
            log: Log::default(),
        }
    }

    /// A call of at most `limit`; `source` is what the caller set it by.
    #[must_use]
    pub fn with_timeout(limit: Duration, source: &'static str) -> Self {
        Self { deadline: Deadline::after(limit), timeout: Timeout(limit, source), ..Self::unbounded() }
    }

    /// This call for one request that begins now: until its own deadline, or until that of the request where it comes
    /// earlier.
    #[must_use]
    pub fn for_request(&self) -> Self {
        match self.request_timeout {
            Some(limit) if self.deadline.remaining().is_none_or(|left| limit < left) => Self {
                sqlstate: "HYT01",
                cancel: Arc::clone(&self.cancel),
                log: self.log.clone(),
                ..Self::with_timeout(limit, "WSTimeout")
            },
            _ => self.clone(),
        }
    }

    /// The same call, with `limit` from now where that ends it sooner; `source` is what set that limit.
    #[must_use]
    pub fn capped(&self, limit: Duration, source: &'static str) -> Self {
        if self.deadline.remaining().is_some_and(|left| left <= limit) {
            return self.clone();
        }
        let narrow = Self::with_timeout(limit, source);
        Self { deadline: narrow.deadline, timeout: narrow.timeout, ..self.clone() }
    }

    /// An error once the call was cancelled or its deadline has passed.
    pub fn check(&self) -> Result<()> {
        if self.cancel.is_cancelled() {
            return Err(cancelled_error());
        }
        if self.deadline.is_past() {
            return Err(self.timeout_error("gave up"));
        }
        Ok(())
    }

    /// Lets `interrupt` run when this call is cancelled, for as long as it lives; fails if it already was.
    pub fn on_cancel<T: Wake + 'static>(&self, interrupt: &Arc<T>) -> Result<()> {
        let weak: Weak<T> = Arc::downgrade(interrupt);
        self.cancel.register(weak)
    }

    /// The error of a passed deadline; `what` says what was waited for.
    #[must_use]
    pub fn timeout_error(&self, what: &str) -> Error {
        self.timeout_error_with(&format!("{what} within {}", self.timeout))
    }

    /// As [`Self::timeout`], with the limit in `text` already.
    #[must_use]
    pub fn timeout_error_with(&self, text: &str) -> Error {
        Error::new(Status::Timeout, "network", text).with_sqlstate(self.sqlstate)
    }
}

/// The error of a cancelled call.
#[must_use]
pub fn cancelled_error() -> Error {
    Error::new(Status::Cancelled, "call", "the call was cancelled by authgrant_cancel")
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

    use super::*;

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
        let blocked = Arc::new(WakeCounter::default());
        call.on_cancel(&blocked).unwrap();
        call.on_cancel(&blocked).unwrap();
        call.cancel.cancel();
        assert_eq!(blocked.0.load(Ordering::SeqCst), 1);
        assert_eq!(call.on_cancel(&blocked).unwrap_err().status(), Status::Cancelled);
        assert_eq!(call.check().unwrap_err().status(), Status::Cancelled);
    }

    #[test]
    fn earlier_of_call_and_request_timeout_applies() {
        let request = |call: Duration, limit| {
            let call =
                CallContext { request_timeout: limit, ..CallContext::with_timeout(call, "LoginTimeout") };
            call.for_request().timeout_error("nothing came")
        };
        let (long, short) = (Duration::from_secs(60), Duration::from_secs(5));
        for (call, limit, sqlstate, words) in [
            (long, None, "HYT00", "60 s (LoginTimeout)"),
            (long, Some(short), "HYT01", "5 s (WSTimeout)"),
            (short, Some(long), "HYT00", "5 s (LoginTimeout)"),
        ] {
            let error = request(call, limit);
            assert_eq!((error.status(), error.sqlstate()), (Status::Timeout, sqlstate), "{error}");
            assert!(error.message().ends_with(words), "{error}");
        }
        let unbounded = CallContext { request_timeout: Some(short), ..CallContext::unbounded() };
        let request = unbounded.for_request();
        assert!(request.deadline.remaining().is_some_and(|left| left <= short));
        unbounded.cancel.cancel();
        assert!(request.cancel.is_cancelled(), "a cancel of the call ends its request");
    }

    #[test]
    fn timeout_error_names_its_option() {
        let call = CallContext::with_timeout(Duration::ZERO, "LoginTimeout");
        let error = call.check().unwrap_err();
        assert_eq!(error.status(), Status::Timeout);
        assert!(error.message().contains("0 s (LoginTimeout)"), "{error}");
    }
}
