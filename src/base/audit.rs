//! Audit: one event for each use of an authorization server, delivered to a callback of the application.
//!
//! An event contains no secret, and its JSON has a bounded length. The callback is process-wide. It is
//! kept outside of the shared process state, because a forked child keeps it.

use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use arc_swap::ArcSwapOption;
use serde::Serialize;

use crate::base::cache_key::CacheKey;
use crate::base::clock::format_rfc3339_millis;
use crate::base::error::ErrorKind;
use crate::base::sanitize;
use crate::base::status::Status;
use crate::sys;
use crate::sys::sync::Monitor;

/// Maximum length of a text in the JSON of an event, in bytes. An event has eight texts, so that its JSON has at most
/// 4096 bytes.
const MAX_TEXT_LEN: usize = 400;

/// A receiver of events. Called on any thread, possibly on several at once.
pub trait AuditSink: Send + Sync {
    /// Receives the JSON of one event, on the thread of the call that caused it.
    fn record(&self, event_json: &str);
}

/// What an event is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum EventKind {
    /// A request to a token endpoint.
    TokenRequest,
    /// A request to a revocation endpoint (RFC 7009).
    Revocation,
    /// A request to an end-session endpoint (OpenID Connect RP-Initiated Logout).
    EndSession,
    /// The use of a token that another process requested.
    SharedToken,
    /// A token that the application reported as rejected by the API.
    Rejection,
}

/// A text of an event: escaped and bounded.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub struct EventText(String);

impl From<&str> for EventText {
    fn from(text: &str) -> Self {
        let mut shown = sanitize::value(text);
        let mut json_len = 0_usize;
        let end = shown.char_indices().find_map(|(index, c)| {
            json_len = json_len.saturating_add(if matches!(c, '"' | '\\') { 2 } else { c.len_utf8() });
            (json_len > MAX_TEXT_LEN).then_some(index)
        });
        if let Some(end) = end {
            shown.truncate(end);
        }
        Self(shown)
    }
}

/// One event. Members that are unknown or do not apply are absent in the JSON.
#[derive(Debug, Serialize)]
pub struct Event {
    event: EventKind,
    time: Option<String>,
    pid: u32,
    uid: u32,
    /// ClaimsIssuer or ClientID.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub client: Option<EventText>,
    /// ClaimsSubject, or the user of the grant.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub subject: Option<EventText>,
    /// The DSN or FILEDSN of the connection.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub data_source: Option<EventText>,
    cache_key: String,
    /// The URL of the request without its query.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub endpoint: Option<EventText>,
    /// `grant_type` of a token request.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub grant: Option<EventText>,
    /// `token_type_hint` of a revocation.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub token_type: Option<&'static str>,
    /// `jti` of the assertion that was sent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub jti: Option<EventText>,
    /// The machine whose process requested a shared token.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub machine: Option<EventText>,
    /// The name of the status of the request.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub status: Option<&'static str>,
    /// Whether the server may have received the request.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sent: Option<bool>,
    /// The HTTP status of the response.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub http_status: Option<u16>,
    /// `error` of the response.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub oauth_error: Option<EventText>,
    /// The remaining lifetime of the token in seconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expires_in: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    duration_ms: Option<u64>,
    #[serde(skip)]
    started: Instant,
}

impl Event {
    /// An event that begins now, about the token of `cache_key`.
    #[must_use]
    pub fn new(event: EventKind, cache_key: CacheKey) -> Self {
        Self {
            event,
            time: format_rfc3339_millis(SystemTime::now()),
            pid: std::process::id(),
            uid: sys::effective_user_id(),
            client: None,
            subject: None,
            data_source: None,
            cache_key: cache_key.to_short_hex(),
            endpoint: None,
            grant: None,
            token_type: None,
            jti: None,
            machine: None,
            status: None,
            sent: None,
            http_status: None,
            oauth_error: None,
            expires_in: None,
            duration_ms: None,
            started: Instant::now(),
        }
    }

    /// Sets the status of a request, which is OK without a `failure`, and its duration: until now.
    pub fn finish(&mut self, failure: Option<&ErrorKind>) {
        self.status = Some(failure.map_or(Status::Ok, ErrorKind::status).name());
        self.duration_ms = Some(to_millis(self.started.elapsed()));
    }

    fn to_json(&self) -> String {
        serde_json::to_string(self).unwrap_or_default()
    }
}

fn to_millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

static AUDIT: AuditCell = AuditCell::new();

/// Registers the callback of the process. Returns false if there is one.
pub fn register(sink: Arc<dyn AuditSink>) -> bool {
    AUDIT.register(sink)
}

/// Removes the callback of the process, if there is one, and waits until its calls in progress have returned. Must not
/// be called inside it.
pub fn unregister() {
    AUDIT.unregister();
}

/// Whether a callback is registered.
#[must_use]
pub fn is_enabled() -> bool {
    AUDIT.0.load().is_some()
}

/// Delivers `event` to the callback, if one is registered. The caller holds no lock.
pub fn record(event: &Event) {
    AUDIT.record(event);
}

/// The callback of a process. Takes no lock that a fork could leave locked in the child.
struct AuditCell(ArcSwapOption<Registration>);

/// A callback in one process. Each call in progress holds a reference.
struct Registration {
    sink: Arc<dyn AuditSink>,
    /// The fork generation of the process.
    generation: u64,
    ended: Arc<Monitor<bool>>,
}

impl Registration {
    fn new(sink: Arc<dyn AuditSink>) -> Arc<Self> {
        Arc::new(Self { sink, generation: sys::generation(), ended: Arc::default() })
    }
}

impl Drop for Registration {
    fn drop(&mut self) {
        *self.ended.lock() = true;
        self.ended.notify_all();
    }
}

impl AuditCell {
    const fn new() -> Self {
        Self(ArcSwapOption::const_empty())
    }

    fn register(&self, sink: Arc<dyn AuditSink>) -> bool {
        let previous = self.0.compare_and_swap(&None::<Arc<Registration>>, Some(Registration::new(sink)));
        previous.is_none()
    }

    fn unregister(&self) {
        let Some(registration) = self.0.swap(None) else { return };
        // A registration of the parent has no calls in this process, and those of the parent never end here.
        if registration.generation != sys::generation() {
            return;
        }
        let ended = Arc::clone(&registration.ended);
        drop(registration);
        drop(ended.wait_while(ended.lock(), None, |ended| !*ended));
    }

    fn record(&self, event: &Event) {
        if let Some(registration) = self.current() {
            registration.sink.record(&event.to_json());
        }
    }

    /// The registration of this process. A forked child replaces that of its parent, which counts calls of threads
    /// that do not exist in the child.
    fn current(&self) -> Option<Arc<Registration>> {
        loop {
            let registration = self.0.load_full()?;
            if registration.generation == sys::generation() {
                return Some(registration);
            }
            let renewed = Registration::new(Arc::clone(&registration.sink));
            self.0.compare_and_swap(&Some(registration), Some(renewed));
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use aws_lc_rs::hmac;
    use parking_lot::Mutex;

    use super::*;

    #[derive(Default)]
    struct RecordingSink(Mutex<Vec<String>>);

    impl AuditSink for RecordingSink {
        fn record(&self, event_json: &str) {
            self.0.lock().push(event_json.to_owned());
        }
    }

    fn event() -> Event {
        let cache_key = CacheKey::digest(&hmac::Key::new(hmac::HMAC_SHA256, b"test"), &"me");
        Event::new(EventKind::TokenRequest, cache_key)
    }

    #[test]
    fn event_json_is_bounded_for_any_text() {
        for c in ['a', '"', '\\', '\u{1b}', '\u{10ffff}', '\u{202e}', '\0', '\u{20ac}'] {
            let text = || Some(EventText::from(c.to_string().repeat(10_000).as_str()));
            let mut event = Event {
                client: text(),
                subject: text(),
                data_source: text(),
                endpoint: text(),
                grant: text(),
                token_type: Some("refresh_token"),
                jti: text(),
                machine: text(),
                sent: Some(false),
                http_status: Some(u16::MAX),
                oauth_error: text(),
                expires_in: Some(i64::MIN),
                ..event()
            };
            event.finish(Some(&ErrorKind::ConnectionString { offset: 0 }));
            let json = event.to_json();
            assert!(json.len() <= 4096 && json.len() > 1500, "{c:?}: {}", json.len());
            assert!(!json.chars().any(sanitize::is_unsafe), "{json}");
            let parsed: serde_json::Value = serde_json::from_str(&json).unwrap();
            assert_eq!(parsed["event"], "token_request");
        }
    }

    #[test]
    fn event_text_hides_secrets_of_urls() {
        let text = EventText::from("https://user:hunter2@as.example/token?code=hunter2");
        assert!(!text.0.contains("hunter2") && text.0.contains("as.example"), "{text:?}");
    }

    #[test]
    fn second_sink_is_refused_until_first_removed() {
        let cell = AuditCell::new();
        let (first, second) = (Arc::new(RecordingSink::default()), Arc::new(RecordingSink::default()));
        assert!(cell.register(Arc::clone(&first) as _));
        assert!(!cell.register(Arc::clone(&second) as _));
        cell.record(&event());
        cell.unregister();
        cell.unregister();
        cell.record(&event());
        assert!(cell.register(Arc::clone(&second) as _));
        assert_eq!((first.0.lock().len(), second.0.lock().len()), (1, 0));
        assert_eq!(Arc::strong_count(&first), 1, "the first sink is released");
    }

    /// A sink that reports when it is called, and returns when it is permitted.
    struct BlockingSink(mpsc::SyncSender<()>, Mutex<mpsc::Receiver<()>>);

    impl AuditSink for BlockingSink {
        fn record(&self, _: &str) {
            self.0.send(()).unwrap();
            self.1.lock().recv().unwrap();
        }
    }

    #[test]
    fn removal_waits_for_call_in_progress() {
        let cell = AuditCell::new();
        let (entered_sender, entered) = mpsc::sync_channel(0);
        let (permit, permitted) = mpsc::channel();
        cell.register(Arc::new(BlockingSink(entered_sender, Mutex::new(permitted))));
        let is_removed = Mutex::new(false);
        std::thread::scope(|scope| {
            let call = scope.spawn(|| cell.record(&event()));
            entered.recv().unwrap();
            let ended = Arc::clone(&cell.0.load_full().unwrap().ended);
            let removal = scope.spawn(|| {
                cell.unregister();
                *is_removed.lock() = true;
            });
            // The removal has begun, and cannot end before the call does.
            while cell.0.load().is_some() {
                std::thread::yield_now();
            }
            assert!(!*is_removed.lock() && !*ended.lock());
            permit.send(()).unwrap();
            removal.join().unwrap();
            call.join().unwrap();
        });
        assert!(*is_removed.lock());
    }
}
