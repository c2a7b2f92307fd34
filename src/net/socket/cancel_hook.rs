//! Ends the wait on a socket when the call is cancelled.

use std::net::Shutdown;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use socket2::Socket;

use crate::base::call::{CallContext, Wake, cancelled_error};
use crate::base::error::Result;
use crate::sys::ForkSafe;

/// A connected or connecting socket, TCP or Unix domain. It is non-blocking, and the fork handler closes it in
/// a child.
pub type SharedSocket = Arc<ForkSafe<Socket>>;

/// Shuts down the socket that a call blocks on when the call is cancelled. The socket is attached only during
/// a wait: it outlives the call in a pool, and a late cancel must not end another call's request.
#[derive(Default)]
pub struct CancelHook(Mutex<CancelHookState>);

#[derive(Default)]
struct CancelHookState {
    cancelled: bool,
    socket: Option<SharedSocket>,
}

impl CancelHook {
    /// The hook of one operation of `call`.
    ///
    /// # Errors
    /// If the call is already cancelled.
    pub fn register(call: &CallContext) -> Result<Arc<Self>> {
        let hook = Arc::default();
        call.on_cancel(&hook)?;
        Ok(hook)
    }

    /// Runs `wait`, which blocks on `socket`. A cancel of the call ends the wait by shutting the socket down.
    pub(super) fn watch<T>(&self, socket: &SharedSocket, wait: impl FnOnce() -> T) -> Result<T> {
        self.attach(socket)?;
        let result = wait();
        self.detach()?;
        Ok(result)
    }

    fn lock(&self) -> MutexGuard<'_, CancelHookState> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn attach(&self, socket: &SharedSocket) -> Result<()> {
        let mut state = self.lock();
        if state.cancelled {
            return Err(cancelled_error());
        }
        state.socket = Some(Arc::clone(socket));
        Ok(())
    }

    fn detach(&self) -> Result<()> {
        let mut state = self.lock();
        state.socket = None;
        if state.cancelled { Err(cancelled_error()) } else { Ok(()) }
    }
}

impl Wake for CancelHook {
    fn wake(&self) {
        let mut state = self.lock();
        state.cancelled = true;
        if let Some(socket) = &state.socket {
            // An error means that the connection is already closed.
            let _ = socket.shutdown(Shutdown::Both);
        }
    }
}
