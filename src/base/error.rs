//! Error type of the crate: status, SQLSTATE, message, and the details of a server's error response.
//!
//! An [`Error`] may carry additional errors of the same call ([`Error::additional`]). Its message names the
//! option, the file and the host, and never contains a secret: code that builds an error must pass in
//! displayable text only.

use std::borrow::Cow;
use std::fmt;

use crate::base::sanitize;

pub use crate::base::status::{Status, TimeoutKind};

/// The text of an I/O error without the errno that std appends.
#[must_use]
pub fn io_error_text(error: &std::io::Error) -> String {
    let text = error.to_string();
    text.split(" (os error ").next().unwrap_or_default().to_owned()
}

/// The result type of fallible functions in this crate.
pub type Result<T> = std::result::Result<T, Error>;

/// An error with its details and the additional errors of the same call.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Error {
    details: Box<ErrorDetails>,
}

/// Maximum number of errors of one call that are reported: untrusted input must not produce an unbounded
/// list.
const MAX_CHAIN_LEN: usize = 32;

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct ErrorDetails {
    status: Status,
    sqlstate: &'static str,
    component: &'static str,
    text: String,
    guidance: Option<String>,
    option: Option<Cow<'static, str>>,
    oauth_error: Option<String>,
    oauth_description: Option<String>,
    provider_code: Option<String>,
    consent_url: Option<String>,
    http_status: u16,
    retry_after: u32,
    additional: Vec<Error>,
    timeout_kind: Option<TimeoutKind>,
    cause: Cause,
}

/// Where the cause of an error lies, and so which other calls fail in the same way.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Cause {
    /// The options, the files or the machine. Concurrent calls with the same options share the error.
    #[default]
    Input,
    /// One call or its caller: the error does not predict the result of other calls with the same options,
    /// so it is not shared with them.
    Caller,
    /// An endpoint or the network path to it: an error response, or no response. The next request most likely
    /// fails in the same way, so the error is cached.
    Server,
    /// As [`Self::Server`], but the error is a cached one and so no new evidence.
    NegativeCache {
        /// The time since the error occurred, in seconds.
        age_secs: u64,
        /// The time until the next request is allowed, in seconds.
        retry_in_secs: u32,
    },
}

impl Error {
    /// An error with `status`. The message is `[authgrant][component] text`, with the bracketed prefix of
    /// ODBC messages.
    ///
    /// `text` states what failed with which value, why, and what to do. [`Self::message`] escapes and
    /// truncates it; shorten each part from outside with [`sanitize::excerpt`], [`sanitize::value`] or
    /// [`sanitize::path`] first, so that the rest of the text is kept.
    #[must_use]
    pub fn new(status: Status, component: &'static str, text: impl Into<String>) -> Self {
        Self {
            details: Box::new(ErrorDetails {
                status,
                sqlstate: status.sqlstate(),
                component,
                text: text.into(),
                guidance: None,
                option: None,
                oauth_error: None,
                oauth_description: None,
                provider_code: None,
                consent_url: None,
                http_status: 0,
                retry_after: 0,
                additional: Vec::new(),
                timeout_kind: None,
                cause: Cause::default(),
            }),
        }
    }

    /// An expired timeout: [`Status::Timeout`] with the SQLSTATE of its kind.
    #[must_use]
    pub fn timeout(kind: TimeoutKind, component: &'static str, text: impl Into<String>) -> Self {
        let mut error = Self::new(Status::Timeout, component, text).with_sqlstate(kind.sqlstate());
        error.details.timeout_kind = Some(kind);
        error
    }

    /// A warning: status [`Status::Ok`] with a SQLSTATE of class 01.
    #[must_use]
    pub fn warning(sqlstate: &'static str, component: &'static str, text: impl Into<String>) -> Self {
        Self::new(Status::Ok, component, text).with_sqlstate(sqlstate)
    }

    /// Replaces the default SQLSTATE of the status.
    #[must_use]
    pub fn with_sqlstate(mut self, sqlstate: &'static str) -> Self {
        self.details.sqlstate = sqlstate;
        self
    }

    /// Sets the option that caused the error, spelled as in the option table.
    #[must_use]
    pub fn with_option(mut self, option: impl Into<Cow<'static, str>>) -> Self {
        self.details.option = Some(match option.into() {
            Cow::Borrowed(name) => Cow::Borrowed(name),
            Cow::Owned(name) => Cow::Owned(sanitize::excerpt(&name).to_string()),
        });
        self
    }

    /// Replaces the default cause, [`Cause::Input`].
    #[must_use]
    pub fn with_cause(mut self, cause: Cause) -> Self {
        self.details.cause = cause;
        self
    }

    /// Sets `error` and `error_description` of the authorization server (RFC 6749 section 5.2).
    #[must_use]
    pub fn with_oauth(mut self, error: Option<String>, description: Option<String>) -> Self {
        self.details.oauth_error = error.map(|error| sanitize::excerpt(&error).to_string());
        self.details.oauth_description = description.map(|text| sanitize::message(&text));
        self
    }

    /// Sets the provider-specific error code, such as `AADSTS700027`.
    #[must_use]
    pub fn with_provider_code(mut self, code: Option<String>) -> Self {
        self.details.provider_code = code.map(|code| sanitize::excerpt(&code).to_string());
        self
    }

    /// Sets the URL that the user must open to consent.
    #[must_use]
    pub fn with_consent_url(mut self, url: Option<String>) -> Self {
        self.details.consent_url = url;
        self
    }

    /// Adds caller-specific advice to a shared error.
    #[must_use]
    pub fn with_guidance(mut self, text: String) -> Self {
        self.details.guidance = Some(text);
        self
    }

    /// Sets the HTTP status of the response and the seconds of its Retry-After header (0 if absent).
    #[must_use]
    pub fn with_http(mut self, status: u16, retry_after: u32) -> Self {
        self.details.http_status = status;
        self.details.retry_after = retry_after;
        self
    }

    /// Combines `errors` into one: the first error with the others as its additional errors, or `None` if
    /// there are none. If the list is longer than the limit, its last entry states how many were omitted.
    #[must_use]
    pub fn combine(mut errors: Vec<Self>) -> Option<Self> {
        let omitted = errors.len().saturating_sub(MAX_CHAIN_LEN);
        if omitted > 0 {
            errors.truncate(MAX_CHAIN_LEN);
            let last = errors.last()?;
            let summary = Self::new(last.status(), "options", format!("{omitted} more messages omitted"));
            errors.push(summary.with_sqlstate(last.sqlstate()));
        }
        let mut errors = errors.into_iter();
        let mut first = errors.next()?;
        first.details.additional = errors.collect();
        Some(first)
    }

    /// What timed out; `None` if the error is not a timeout.
    #[must_use]
    pub fn timeout_kind(&self) -> Option<TimeoutKind> {
        self.details.timeout_kind
    }

    /// The status.
    #[must_use]
    pub fn status(&self) -> Status {
        self.details.status
    }

    /// Where the cause lies.
    #[must_use]
    pub fn cause(&self) -> Cause {
        self.details.cause
    }

    /// The SQLSTATE: five characters.
    #[must_use]
    pub fn sqlstate(&self) -> &'static str {
        self.details.sqlstate
    }

    /// The message, escaped and bounded: `[authgrant][component] what; why; what to do`.
    #[must_use]
    pub fn message(&self) -> String {
        let ErrorDetails { component, text, cause, guidance, .. } = &*self.details;
        let mut message = sanitize::message(&format!("[authgrant][{component}] {text}"));
        if let Cause::NegativeCache { age_secs, retry_in_secs } = cause {
            let age = format!(" (cached error from {age_secs} s ago; next attempt in {retry_in_secs} s)");
            message.push_str(&age);
        }
        if let Some(guidance) = guidance {
            message.push_str("; ");
            message.push_str(&sanitize::message(guidance));
        }
        message
    }

    /// The option that caused the error.
    #[must_use]
    pub fn option(&self) -> Option<&str> {
        self.details.option.as_deref()
    }

    /// The `error` of the authorization server.
    #[must_use]
    pub fn oauth_error(&self) -> Option<&str> {
        self.details.oauth_error.as_deref()
    }

    /// The `error_description` of the authorization server, with unsafe characters escaped.
    #[must_use]
    pub fn oauth_description(&self) -> Option<&str> {
        self.details.oauth_description.as_deref()
    }

    /// The provider-specific error code.
    #[must_use]
    pub fn provider_code(&self) -> Option<&str> {
        self.details.provider_code.as_deref()
    }

    /// The URL that the user must open to consent.
    #[must_use]
    pub fn consent_url(&self) -> Option<&str> {
        self.details.consent_url.as_deref()
    }

    /// The HTTP status of the response, 0 if there was none.
    #[must_use]
    pub fn http_status(&self) -> u16 {
        self.details.http_status
    }

    /// The seconds until the next attempt is allowed, from Retry-After or the negative cache; 0 if unknown.
    #[must_use]
    pub fn retry_after(&self) -> u32 {
        match self.details.cause {
            Cause::NegativeCache { retry_in_secs, .. } => retry_in_secs,
            _ => self.details.retry_after,
        }
    }

    /// The other errors of the same call.
    #[must_use]
    pub fn additional(&self) -> &[Self] {
        &self.details.additional
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message())
    }
}

impl std::error::Error for Error {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn io_error_text_omits_errno() {
        let error = std::io::Error::from_raw_os_error(2);
        assert!(error.to_string().contains("os error 2"));
        assert_eq!(io_error_text(&error), error.to_string().replace(" (os error 2)", ""));
        assert_eq!(io_error_text(&std::io::Error::other("no errno")), "no errno");
    }

    #[test]
    fn combined_errors_keep_their_order() {
        let errors = ["a", "b", "c"].map(|text| Error::new(Status::InvalidOption, "options", text));
        let combined = Error::combine(errors.to_vec()).unwrap();
        assert_eq!(combined.message(), "[authgrant][options] a");
        assert_eq!(combined.additional().last().unwrap().message(), "[authgrant][options] c");
        assert_eq!(Error::combine(Vec::new()), None);
    }

    #[test]
    fn error_texts_are_escaped_and_bounded() {
        for (c, escaped) in [
            ('\n', "\\n"),
            ('\u{1b}', "\\x1b"),
            ('\0', "\\x00"),
            ('\u{202e}', "\\u{202e}"),
            ('\u{2028}', "\\u{2028}"),
        ] {
            let text = |c: &str| Some(format!("a{c}b"));
            let (raw, expected) = (text(&c.to_string()), text(escaped));
            let error = Error::new(Status::Denied, "token", raw.as_deref().unwrap_or_default())
                .with_option(raw.clone().unwrap_or_default())
                .with_oauth(raw.clone(), raw.clone())
                .with_provider_code(raw.clone())
                .with_guidance(raw.unwrap_or_default());
            assert_eq!(error.message(), format!("[authgrant][token] a{escaped}b; a{escaped}b"));
            let getters =
                [error.option(), error.oauth_error(), error.oauth_description(), error.provider_code()];
            assert_eq!(getters, [expected.as_deref(); 4]);
        }
        let long = Some("\u{1b}".repeat(1 << 20));
        let error = Error::new(Status::Denied, "token", long.as_deref().unwrap_or_default())
            .with_option(long.clone().unwrap_or_default())
            .with_oauth(long.clone(), long.clone())
            .with_provider_code(long.clone())
            .with_guidance(long.unwrap_or_default())
            .with_cause(Cause::NegativeCache { age_secs: 1, retry_in_secs: 2 });
        let getters = [error.option(), error.oauth_error(), error.oauth_description(), error.provider_code()];
        for text in getters.into_iter().flatten().chain([&*error.message()]) {
            assert!(text.len() <= 8400, "{}", text.len());
        }
    }

    #[test]
    fn combined_error_list_is_bounded() {
        let errors = vec![Error::warning("01S00", "options", "x"); 100_000];
        let combined = Error::combine(errors).unwrap();
        assert_eq!(combined.additional().len(), 32);
        let last = combined.additional().last().unwrap();
        assert_eq!((last.status(), last.sqlstate()), (Status::Ok, "01S00"));
        assert!(last.message().starts_with("[authgrant][options] 99968 "), "{last}");
    }
}
