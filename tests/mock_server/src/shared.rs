//! What all connection threads share: the state, a signal that it changed, the end of it all.

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

    /// The server's time, skewed as configured.
    pub(crate) fn now(&self) -> i64 {
        let real = i64::try_from(unix_millis() / 1000).unwrap_or(i64::MAX);
        real.saturating_add(self.state.lock().config.clock_skew)
    }

    pub(crate) fn date_header_time(&self) -> i64 {
        self.now().saturating_add(self.state.lock().config.date_skew)
    }

    /// Takes a connection's second handle in, to end it by; `false` if the server stops.
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

    /// Wakes those who wait. The lock is taken so that none of them is between looking and waiting.
    pub(crate) fn notify_waiters(&self) {
        drop(self.state.lock());
        self.state_changed.notify_all();
    }

    /// Sleeps; `false` if the server stopped meanwhile.
    pub(crate) fn sleep(&self, time: Duration) -> bool {
        let until = Instant::now() + time;
        let mut state = self.state.lock();
        while !self.is_stopped() {
            if self.state_changed.wait_until(&mut state, until).timed_out() {
                return !self.is_stopped();
            }
        }
        false
    }

    /// Waits until the state is as wished; `false` after the time or at the end of the server.
    pub(crate) fn wait_until(&self, time: Duration, wish: impl Fn(&State) -> bool) -> bool {
        let until = Instant::now() + time;
        let mut state = self.state.lock();
        while !wish(&state) {
            if self.is_stopped() || self.state_changed.wait_until(&mut state, until).timed_out() {
                return wish(&state);
            }
        }
        true
    }

    /// Holds a request back until the gate is open; `false` if the server stopped instead.
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
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}
