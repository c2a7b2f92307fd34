//! The caller's own log: a level and somewhere to send lines to. Off until asked for, and never global.
//!
//! Lines are made only if somebody listens, and hold no secret: they are built from the same parts as error
//! messages are.

use std::fmt;
use std::sync::Arc;

/// How much a line matters; numbers as in the C contract.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(i32)]
pub enum Level {
    /// A call failed.
    Error = 1,
    /// It worked, and something is not as it should be.
    Warning = 2,
    /// A token was fetched.
    Info = 3,
    /// Which way a call took.
    Debug = 4,
    /// Each request.
    Trace = 5,
}

/// Where lines go.
pub trait Sink: Send + Sync {
    /// Takes one line, on the thread that made it.
    fn line(&self, level: Level, message: &str);
}

/// A sink with the level up to which it wants to hear.
#[derive(Clone, Default)]
pub struct Log(Option<(Level, Arc<dyn Sink>)>);

impl Log {
    /// Sends lines up to `level` to `sink`.
    #[must_use]
    pub fn to(sink: Arc<dyn Sink>, level: Level) -> Self {
        Self(Some((level, sink)))
    }

    /// One line, made only if somebody wants it.
    pub fn line(&self, level: Level, message: impl FnOnce() -> String) {
        if let Some((wanted, sink)) = &self.0
            && level <= *wanted
        {
            sink.line(level, &message());
        }
    }
}

impl fmt::Debug for Log {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.0.is_some() { "Log(on)" } else { "Log(off)" })
    }
}
