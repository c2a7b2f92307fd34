//! The idle connections of a store.

use std::time::Duration;

use parking_lot::Mutex;

use super::connection::Connection;
use crate::sys;

/// The maximum number of idle connections. A further one is closed after its use.
const MAX_IDLE: usize = 4;

/// The maximum time for which a connection is idle, including the time for which the machine is suspended.
const IDLE_TIMEOUT: Duration = Duration::from_secs(60);

/// The idle connections of a store, each with the boot time of its last use. Thread-safe. Connections are
/// closed without the lock.
#[derive(Default)]
pub(super) struct Pool(Mutex<Vec<(Connection, Duration)>>);

impl Pool {
    /// Removes the connection that was used last, if there is a usable one. Never waits for one in use.
    pub(super) fn take(&self) -> Option<Connection> {
        loop {
            let idle = self.0.lock().pop();
            let (mut connection, idle_since) = idle?;
            if sys::boot_time().saturating_sub(idle_since) < IDLE_TIMEOUT && connection.is_idle() {
                connection.mark_reused();
                return Some(connection);
            }
        }
    }

    /// Adds a connection after its use, and closes those that have been idle for too long.
    pub(super) fn put(&self, connection: Connection) {
        if connection.is_broken() {
            return;
        }
        let now = sys::boot_time();
        let mut idle = self.0.lock();
        let mut closed: Vec<_> =
            idle.extract_if(.., |(_, since)| now.saturating_sub(*since) >= IDLE_TIMEOUT).collect();
        idle.push((connection, now));
        let surplus = idle.len().saturating_sub(MAX_IDLE);
        closed.extend(idle.drain(..surplus));
        drop(idle);
        drop(closed);
    }

    /// Closes all connections.
    pub(super) fn clear(&self) {
        let idle = std::mem::take(&mut *self.0.lock());
        drop(idle);
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.0.lock().len()
    }

    /// Makes the idle connections older.
    #[cfg(test)]
    pub(super) fn age(&self, by: Duration) {
        self.0.lock().iter_mut().for_each(|(_, since)| *since = since.saturating_sub(by));
    }
}
