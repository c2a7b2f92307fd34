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
pub trait Interrupt: Send + Sync {
    /// Makes the blocked thread return soon. May come late or twice.
    fn interrupt(&self);
}

#[derive(Default)]
struct CancelState {
    cancelled: bool,
    blocked: Vec<Weak<dyn Interrupt>>,
}

/// The handle by which one call is cancelled.
#[derive(Default)]
pub struct Cancel(Mutex<CancelState>);

impl Cancel {
    /// Ends the call that this belongs to, now or when it next looks.
    pub fn cancel(&self) {
        let blocked = {
            let mut state = self.0.lock();
            state.cancelled = true;
            std::mem::take(&mut state.blocked)
        };
        for interrupt in blocked.iter().filter_map(Weak::upgrade) {
            interrupt.interrupt();
        }
    }

    /// Whether the call was cancelled.
    pub fn is_cancelled(&self) -> bool {
        self.0.lock().cancelled
    }

    fn register(&self, interrupt: Weak<dyn Interrupt>) -> Result<()> {
        let mut state = self.0.lock();
        if state.cancelled {
            return Err(cancelled());
        }
        state.blocked.retain(|known| known.strong_count() > 0);
        if !state.blocked.iter().any(|known| known.ptr_eq(&interrupt)) {
            state.blocked.push(interrupt);
        }
        Ok(())
    }
}

/// How long a call may last and who said so: `15 s (LoginTimeout)`. Put into words only where it has passed.
#[derive(Clone, Copy, Default)]
pub struct Limit(Duration, &'static str);

impl fmt::Display for Limit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} s ({})", self.0.as_secs_f64(), self.1)
    }
}

/// What bounds one call.
#[derive(Clone)]
pub struct Call {
    /// Until when it may last.
    pub deadline: Deadline,
    /// The option or argument that set the deadline, for messages.
    pub limit: Limit,
    /// The limit of each request in it (WSTimeout).
    pub request_limit: Option<Duration>,
    /// The SQLSTATE of a passed deadline: HYT00, or HYT01 for one request's.
    pub sqlstate: &'static str,
    /// Whether a request that failed is not sent again: neither at once nor after a wait.
    pub single_attempt: bool,
    /// How it is ended early.
    pub cancel: Arc<Cancel>,
    /// Who wants to hear what it does.
    pub log: Log,
}

impl Call {
    /// A call that nothing bounds.
    #[must_use]
    pub fn unbounded() -> Self {
        Self {
            deadline: Deadline::never(),
            limit: Limit::default(),
            request_limit: None,
            sqlstate: "HYT00",
            single_attempt: false,
            cancel: Arc::default(),
            log: Log::default(),
        }
    }

    /// A call of at most `limit`; `source` is what the caller set it by.
    #[must_use]
    pub fn within(limit: Duration, source: &'static str) -> Self {
        Self { deadline: Deadline::after(limit), limit: Limit(limit, source), ..Self::unbounded() }
    }

    /// This call for one request that begins now: until its own deadline, or until that of the request where it comes
    /// earlier.
    #[must_use]
    pub fn for_one_request(&self) -> Self {
        match self.request_limit {
            Some(limit) if self.deadline.left().is_none_or(|left| limit < left) => Self {
                sqlstate: "HYT01",
                cancel: Arc::clone(&self.cancel),
                log: self.log.clone(),
                ..Self::within(limit, "WSTimeout")
            },
            _ => self.clone(),
        }
    }

    /// The same call, with `limit` from now where that ends it sooner; `source` is what set that limit.
    #[must_use]
    pub fn at_most(&self, limit: Duration, source: &'static str) -> Self {
        if self.deadline.left().is_some_and(|left| left <= limit) {
            return self.clone();
        }
        let narrow = Self::within(limit, source);
        Self { deadline: narrow.deadline, limit: narrow.limit, ..self.clone() }
    }

    /// An error once the call was cancelled or its deadline has passed.
    pub fn check(&self) -> Result<()> {
        if self.cancel.is_cancelled() {
            return Err(cancelled());
        }
        if self.deadline.passed() {
            return Err(self.timeout("gave up"));
        }
        Ok(())
    }

    /// Lets `interrupt` run when this call is cancelled, for as long as it lives; fails if it already was.
    pub fn on_cancel<T: Interrupt + 'static>(&self, interrupt: &Arc<T>) -> Result<()> {
        let weak: Weak<T> = Arc::downgrade(interrupt);
        self.cancel.register(weak)
    }

    /// The error of a passed deadline; `what` says what was waited for.
    #[must_use]
    pub fn timeout(&self, what: &str) -> Error {
        self.timed_out(&format!("{what} within {}", self.limit))
    }

    /// As [`Self::timeout`], with the limit in `text` already.
    #[must_use]
    pub fn timed_out(&self, text: &str) -> Error {
        Error::new(Status::Timeout, "network", text).with_sqlstate(self.sqlstate)
    }
}

/// The error of a cancelled call.
#[must_use]
pub fn cancelled() -> Error {
    Error::new(Status::Cancelled, "call", "the call was cancelled by authgrant_cancel")
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

    use super::*;

    #[derive(Default)]
    struct Count(AtomicU32);

    impl Interrupt for Count {
        fn interrupt(&self) {
            self.0.fetch_add(1, Ordering::SeqCst);
        }
    }

    #[test]
    fn cancel_wakes_what_is_blocked_once_and_refuses_latecomers() {
        let call = Call::unbounded();
        let blocked = Arc::new(Count::default());
        call.on_cancel(&blocked).unwrap();
        call.on_cancel(&blocked).unwrap();
        call.cancel.cancel();
        assert_eq!(blocked.0.load(Ordering::SeqCst), 1);
        assert_eq!(call.on_cancel(&blocked).unwrap_err().status(), Status::Cancelled);
        assert_eq!(call.check().unwrap_err().status(), Status::Cancelled);
    }

    #[test]
    fn one_request_ends_with_the_call_or_by_a_limit_of_its_own_and_says_which() {
        let request = |call: Duration, limit| {
            let call = Call { request_limit: limit, ..Call::within(call, "LoginTimeout") };
            call.for_one_request().timeout("nothing came")
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
        let unbounded = Call { request_limit: Some(short), ..Call::unbounded() };
        let request = unbounded.for_one_request();
        assert!(request.deadline.left().is_some_and(|left| left <= short));
        unbounded.cancel.cancel();
        assert!(request.cancel.is_cancelled(), "a cancel of the call ends its request");
    }

    #[test]
    fn a_passed_deadline_names_who_set_it() {
        let call = Call::within(Duration::ZERO, "LoginTimeout");
        let error = call.check().unwrap_err();
        assert_eq!(error.status(), Status::Timeout);
        assert!(error.message().contains("0 s (LoginTimeout)"), "{error}");
    }
}
