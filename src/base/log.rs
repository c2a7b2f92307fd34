//! The caller's own log: a level and somewhere to send lines to. Off until asked for, and never global.
//!
//! Lines are made only if somebody listens, and hold no secret: they are built from the same parts as error
//! messages are, and escaped and bounded as these are.

use std::fmt;
use std::sync::Arc;

use crate::base::sanitize;

/// How much a line matters; numbers as in the C contract.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(i32)]
pub enum LogLevel {
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
pub trait LogSink: Send + Sync {
    /// Takes one line, on the thread that made it.
    fn log(&self, level: LogLevel, message: &str);
}

/// A sink with the level up to which it wants to hear.
#[derive(Clone, Default)]
pub struct Log(Option<(LogLevel, Arc<dyn LogSink>)>);

impl Log {
    /// Sends lines up to `level` to `sink`.
    #[must_use]
    pub fn new(sink: Arc<dyn LogSink>, level: LogLevel) -> Self {
        Self(Some((level, sink)))
    }

    /// One line, made only if somebody wants it.
    pub fn log(&self, level: LogLevel, message: impl FnOnce() -> String) {
        if let Some((wanted, sink)) = &self.0
            && level <= *wanted
        {
            sink.log(level, &sanitize::message(&message()));
        }
    }
}

impl fmt::Debug for Log {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.0.is_some() { "Log(on)" } else { "Log(off)" })
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;

    #[derive(Default)]
    struct RecordingSink(Mutex<Vec<String>>);

    impl LogSink for RecordingSink {
        fn log(&self, _: LogLevel, message: &str) {
            self.0.lock().unwrap().push(message.to_owned());
        }
    }

    #[test]
    fn log_messages_are_escaped_and_bounded() {
        let lines = Arc::new(RecordingSink::default());
        let log = Log::new(Arc::clone(&lines) as Arc<dyn LogSink>, LogLevel::Info);
        log.log(LogLevel::Info, || "a\r\nb\u{202e}".to_owned());
        log.log(LogLevel::Error, || "\u{1b}".repeat(1 << 20));
        log.log(LogLevel::Debug, || panic!("nobody wants it"));
        let lines = lines.0.lock().unwrap();
        assert_eq!(lines[0], "a\\r\\nb\\u{202e}");
        assert!(lines.len() == 2 && lines[1].len() < 4200);
    }
}
