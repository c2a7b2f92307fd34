//! Error type of the crate: its kind, where its cause lies, and the parts of its message.
//!
//! An [`Error`] may carry additional errors of the same call ([`Error::additional`]). Its message names the
//! option, the file and the host, and never contains a secret: code that builds an error must pass in
//! displayable text only.

use std::borrow::Cow;
use std::fmt;
use std::num::NonZeroU16;

use crate::base::sanitize;

pub use crate::base::error_kind::{
    ArgumentError, ErrorKind, KeyError, NetworkError, OAuthError, OAuthReason, OptionError, TimeoutKind,
    WarningKind,
};
pub use crate::base::status::Status;

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
    kind: ErrorKind,
    cause: Cause,
    component: &'static str,
    text: String,
    guidance: Option<String>,
    option: Option<Cow<'static, str>>,
    consent_url: Option<String>,
    additional: Vec<Error>,
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
    /// This process or this machine: descriptors, threads or memory are used up. Concurrent calls with the same
    /// options share the error, but it says nothing about the endpoint and is not cached.
    Resources,
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
    /// An error of `kind`. The message is `[authgrant][component] text`, with the bracketed prefix of
    /// ODBC messages.
    ///
    /// `text` states what failed with which value, why, and what to do. [`Self::message`] escapes and
    /// truncates it; shorten each part from outside with [`sanitize::excerpt`], [`sanitize::value`] or
    /// [`sanitize::path`] first, so that the rest of the text is kept.
    #[must_use]
    pub fn new(kind: impl Into<ErrorKind>, component: &'static str, text: impl Into<String>) -> Self {
        Self {
            details: Box::new(ErrorDetails {
                kind: kind.into(),
                cause: Cause::default(),
                component,
                text: text.into(),
                guidance: None,
                option: None,
                consent_url: None,
                additional: Vec::new(),
            }),
        }
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

    /// Combines `errors` into one: the first error with the others as its additional errors, or `None` if
    /// there are none. If the list is longer than the limit, its last entry states how many were omitted.
    #[must_use]
    pub fn combine(mut errors: Vec<Self>) -> Option<Self> {
        let omitted = errors.len().saturating_sub(MAX_CHAIN_LEN);
        if omitted > 0 {
            errors.truncate(MAX_CHAIN_LEN);
            let last = errors.last()?;
            let text = format!("{omitted} more messages omitted");
            errors.push(Self::new(last.kind().clone(), "options", text));
        }
        let mut errors = errors.into_iter();
        let mut first = errors.next()?;
        first.details.additional = errors.collect();
        Some(first)
    }

    /// What failed.
    #[must_use]
    pub fn kind(&self) -> &ErrorKind {
        &self.details.kind
    }

    /// The reason of an [`ErrorKind::OAuth`].
    #[must_use]
    pub fn oauth_reason(&self) -> Option<OAuthReason> {
        self.oauth().map(|oauth| oauth.reason)
    }

    fn oauth(&self) -> Option<&OAuthError> {
        match self.kind() {
            ErrorKind::OAuth(error) => Some(error),
            _ => None,
        }
    }

    /// The status code of the C API, for reports. Control flow matches on [`Self::kind`].
    #[must_use]
    pub fn status(&self) -> Status {
        self.details.kind.status()
    }

    /// Where the cause lies.
    #[must_use]
    pub fn cause(&self) -> Cause {
        self.details.cause
    }

    /// The SQLSTATE: five characters.
    #[must_use]
    pub fn sqlstate(&self) -> &'static str {
        self.details.kind.sqlstate()
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

    /// The text without prefix and advice, neither escaped nor bounded: for use in another error.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.details.text
    }

    /// The option that caused the error.
    #[must_use]
    pub fn option(&self) -> Option<&str> {
        self.details.option.as_deref()
    }

    /// Whether `option`, spelled as in the option table, caused the error.
    #[must_use]
    pub fn concerns(&self, option: &str) -> bool {
        self.option() == Some(option)
    }

    /// The `error` of the authorization server, escaped and bounded.
    #[must_use]
    pub fn oauth_error(&self) -> Option<String> {
        let error = self.oauth()?.error.as_deref()?;
        Some(sanitize::excerpt(error).to_string())
    }

    /// The `error_description` of the authorization server, escaped and bounded.
    #[must_use]
    pub fn oauth_description(&self) -> Option<String> {
        self.oauth()?.description.as_deref().map(sanitize::message)
    }

    /// The provider-specific error code, escaped and bounded.
    #[must_use]
    pub fn provider_code(&self) -> Option<String> {
        let code = self.oauth()?.provider_code.as_deref()?;
        Some(sanitize::excerpt(code).to_string())
    }

    /// The URL that the user must open to consent.
    #[must_use]
    pub fn consent_url(&self) -> Option<&str> {
        self.details.consent_url.as_deref()
    }

    /// The HTTP status of the response, 0 if there was none.
    #[must_use]
    pub fn http_status(&self) -> u16 {
        self.oauth().and_then(|oauth| oauth.http_status).map_or(0, NonZeroU16::get)
    }

    /// The seconds until the next attempt is allowed, from Retry-After or the negative cache; 0 if unknown.
    #[must_use]
    pub fn retry_after(&self) -> u32 {
        match self.details.cause {
            Cause::NegativeCache { retry_in_secs, .. } => retry_in_secs,
            _ => self.oauth().map_or(0, |oauth| oauth.retry_after),
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
        let errors = ["a", "b", "c"].map(|text| Error::new(OptionError::Invalid, "options", text));
        let combined = Error::combine(errors.to_vec()).unwrap();
        assert_eq!(combined.message(), "[authgrant][options] a");
        assert_eq!(combined.additional().last().unwrap().message(), "[authgrant][options] c");
        assert_eq!(Error::combine(Vec::new()), None);
    }

    /// An error with `text` in each part.
    fn error_with_text(text: &str) -> Error {
        let part = || Some(text.to_owned());
        let (error, description, provider_code) = (part(), part(), part());
        let kind = OAuthError { error, description, provider_code, ..OAuthReason::Denied.into() };
        Error::new(kind, "token", text).with_option(text.to_owned()).with_guidance(text.to_owned())
    }

    fn getters(error: &Error) -> [Option<String>; 4] {
        let option = error.option().map(str::to_owned);
        [option, error.oauth_error(), error.oauth_description(), error.provider_code()]
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
            let (raw, expected) = (format!("a{c}b"), format!("a{escaped}b"));
            let error = error_with_text(&raw);
            assert_eq!(error.message(), format!("[authgrant][token] {expected}; {expected}"));
            assert_eq!(getters(&error), [(); 4].map(|()| Some(expected.clone())));
        }
        let error = error_with_text(&"\u{1b}".repeat(1 << 20))
            .with_cause(Cause::NegativeCache { age_secs: 1, retry_in_secs: 2 });
        for text in getters(&error).into_iter().flatten().chain([error.message()]) {
            assert!(text.len() <= 8400, "{}", text.len());
        }
    }

    #[test]
    fn combined_error_list_is_bounded() {
        let errors = vec![Error::new(WarningKind::IgnoredAttribute, "options", "x"); 100_000];
        let combined = Error::combine(errors).unwrap();
        assert_eq!(combined.additional().len(), 32);
        let last = combined.additional().last().unwrap();
        assert_eq!((last.status(), last.sqlstate()), (Status::Ok, "01S00"));
        assert!(last.message().starts_with("[authgrant][options] 99968 "), "{last}");
    }
}
