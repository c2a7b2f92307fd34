//! State shared by all connection threads, with a condition variable for changes and a stop flag.

use std::collections::HashMap;
use std::net::{Shutdown, TcpStream};
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use parking_lot::{Condvar, Mutex};
use rustls::ServerConfig;

use crate::state::State;

pub(crate) struct SharedState {
    pub(crate) state: Mutex<State>,
    pub(crate) state_changed: Condvar,
    pub(crate) tls: Option<Arc<ServerConfig>>,
    connections: Mutex<OpenConnections>,
}

#[derive(Default)]
struct OpenConnections {
    stopped: bool,
    sockets: HashMap<u64, TcpStream>,
}

impl SharedState {
    pub(crate) fn new(state: State, tls: Option<Arc<ServerConfig>>) -> Self {
        SharedState {
            state: Mutex::new(state),
            state_changed: Condvar::new(),
            tls,
            connections: Mutex::default(),
        }
    }

    pub(crate) fn scheme(&self) -> &'static str {
        if self.tls.is_some() { "https" } else { "http" }
    }

    /// The server's clock, with the configured skew.
    pub(crate) fn now(&self) -> i64 {
        let unskewed = i64::try_from(unix_millis() / 1000).unwrap_or(i64::MAX);
        unskewed.saturating_add(self.state.lock().config.clock_skew)
    }

    pub(crate) fn date_header_time(&self) -> i64 {
        self.now().saturating_add(self.state.lock().config.date_skew)
    }

    /// Stores a second handle of a connection, so that `stop` can close it; `false` if the server has
    /// stopped.
    pub(crate) fn register_connection(&self, number: u64, socket: TcpStream) -> bool {
        let mut open = self.connections.lock();
        if !open.stopped {
            open.sockets.insert(number, socket);
        }
        !open.stopped
    }

    pub(crate) fn unregister_connection(&self, number: u64) {
        self.connections.lock().sockets.remove(&number);
    }

    pub(crate) fn is_stopped(&self) -> bool {
        self.connections.lock().stopped
    }

    pub(crate) fn stop(&self) {
        let mut open = self.connections.lock();
        open.stopped = true;
        for socket in open.sockets.values() {
            let _ = socket.shutdown(Shutdown::Both);
        }
        drop(open);
        self.notify_waiters();
    }

    /// Wakes all waiting threads. Takes the lock, so that none of them is between its check and its wait.
    pub(crate) fn notify_waiters(&self) {
        drop(self.state.lock());
        self.state_changed.notify_all();
    }

    /// Sleeps; `false` if the server stops meanwhile.
    pub(crate) fn sleep(&self, time: Duration) -> bool {
        let deadline = Instant::now() + time;
        let mut state = self.state.lock();
        while !self.is_stopped() {
            if self.state_changed.wait_until(&mut state, deadline).timed_out() {
                return !self.is_stopped();
            }
        }
        false
    }

    /// Waits until `condition` holds; `false` after the timeout or when the server stops.
    pub(crate) fn wait_until(&self, timeout: Duration, condition: impl Fn(&State) -> bool) -> bool {
        let deadline = Instant::now() + timeout;
        let mut state = self.state.lock();
        while !condition(&state) {
            if self.is_stopped() || self.state_changed.wait_until(&mut state, deadline).timed_out() {
                return condition(&state);
            }
        }
        true
    }

    /// Blocks a request until the gate is open; `false` if the server stops first.
    pub(crate) fn wait_at_gate(&self) -> bool {
        let mut state = self.state.lock();
        state.gate.waiting += 1;
        self.state_changed.notify_all();
        while !state.gate.open && !self.is_stopped() {
            self.state_changed.wait(&mut state);
        }
        state.gate.waiting -= 1;
        !self.is_stopped()
    }
}

pub(crate) fn unix_millis() -> u64 {
    let elapsed = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(elapsed.as_millis()).unwrap_or(u64::MAX)
}
