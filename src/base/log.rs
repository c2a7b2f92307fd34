//! Logging to a sink of the caller. Off by default; there is no global logger.
//!
//! A message is formatted only if its level is enabled. Messages contain no secrets: they are built from the
//! same parts as error messages, and are escaped and truncated like them.

use std::fmt;
use std::sync::Arc;

use crate::base::sanitize;

/// The severity of a log message. The values are those of the C header.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(i32)]
pub enum LogLevel {
    /// A call failed.
    Error = 1,
    /// A call succeeded, but with a problem.
    Warning = 2,
    /// A token was obtained.
    Info = 3,
    /// The steps of a call.
    Debug = 4,
    /// Every request.
    Trace = 5,
}

/// A receiver of log messages. Called on any thread.
pub trait LogSink: Send + Sync {
    /// Receives one message, on the thread that logs it.
    fn log(&self, level: LogLevel, message: &str);
}

/// A log sink with its maximum level, or no sink.
#[derive(Clone, Default)]
pub struct Log(Option<(LogLevel, Arc<dyn LogSink>)>);

impl Log {
    /// Sends messages up to `level` to `sink`.
    #[must_use]
    pub fn new(sink: Arc<dyn LogSink>, level: LogLevel) -> Self {
        Self(Some((level, sink)))
    }

    /// Logs a message. `message` is called only if `level` is enabled.
    pub fn log(&self, level: LogLevel, message: impl FnOnce() -> String) {
        if let Some((max_level, sink)) = &self.0
            && level <= *max_level
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
        let sink = Arc::new(RecordingSink::default());
        let log = Log::new(Arc::clone(&sink) as Arc<dyn LogSink>, LogLevel::Info);
        log.log(LogLevel::Info, || "a\r\nb\u{202e}".to_owned());
        log.log(LogLevel::Error, || "\u{1b}".repeat(1 << 20));
        log.log(LogLevel::Debug, || panic!("this level is disabled"));
        let messages = sink.0.lock().unwrap();
        assert_eq!(messages[0], "a\\r\\nb\\u{202e}");
        assert!(messages.len() == 2 && messages[1].len() < 4200);
    }
}
