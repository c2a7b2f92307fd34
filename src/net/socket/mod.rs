//! Sockets whose waits end at the deadline of a call or when the call is cancelled: DNS lookup, connect, send
//! and receive.
//!
//! Sockets are non-blocking. Every wait is a poll for at most the remaining time of the call, and is
//! registered with the call's cancel hook. The fork handler closes the sockets in a child.

mod cancel_hook;
mod connect;
mod context;
mod dns;
mod timed_io;

pub use self::cancel_hook::{CancelHook, SharedSocket};
pub use self::connect::connect_tcp;
#[cfg(unix)]
pub use self::connect::connect_unix;
pub use self::context::{ConnectionPhase, SocketContext};
pub use self::dns::{DnsResolver, ResolveFn};
pub use self::timed_io::{SocketError, is_idle, receive, send};
