//! Error type of the crate: status, SQLSTATE, message, and the details of a server's error response.
//!
//! An [`Error`] may carry additional errors of the same call ([`Error::additional`]). Its message names the
//! option, the file and the host, and never contains a secret: code that builds an error must pass in
//! displayable text only.

use std::fmt;

use crate::base::sanitize;

/// The status codes of the C API. Their numbers never change; new codes are added at the end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(i32)]
pub enum Status {
    /// No error; also the status of a warning.
    Ok = 0,
    /// A NULL argument, text that is not UTF-8, or a call from inside a callback.
    InvalidArgument = 1,
    /// The connection string has a syntax error.
    InvalidConnectionString = 2,
    /// A value is unknown, out of range, in conflict with another option, or not allowed.
    InvalidOption = 3,
    /// A required option is not set.
    MissingOption = 4,
    /// DSN or FILEDSN not found.
    DataSourceNotFound = 5,
    /// The key store is missing, unreadable or corrupt.
    KeyStore = 6,
    /// The password of the key store or of the key is wrong.
    KeyPassword = 7,
    /// The alias does not exist, or there are several keys and no alias is set.
    KeyNotFound = 8,
    /// The key cannot be used with the algorithm, or is too short.
    KeyUnsuitable = 9,
    /// DNS lookup, connection or proxy failed.
    Network = 10,
    /// Certificate validation or the TLS handshake failed.
    Tls = 11,
    /// The deadline passed.
    Timeout = 12,
    /// The caller cancelled the call.
    Cancelled = 13,
    /// The server rejected the request.
    Denied = 14,
    /// The user must consent first.
    ConsentRequired = 15,
    /// The server is rate limiting requests.
    Throttled = 16,
    /// The server reported a server error.
    Server = 17,
    /// The response is not a valid OAuth response.
    BadResponse = 18,
    /// The token has expired and cannot be renewed.
    Expired = 19,
    /// The feature is known but not supported.
    Unsupported = 20,
    /// A size in external input was rejected.
    OutOfMemory = 21,
    /// A bug in this library, or a failure of the operating system's random generator.
    Internal = 22,
    /// The caller's buffer is too small.
    BufferTooSmall = 23,
    /// No token is cached, and the call must not use the network.
    NotCached = 24,
}

impl Status {
    /// All statuses, in the order of their numbers.
    pub const ALL: [Self; 25] = [
        Self::Ok,
        Self::InvalidArgument,
        Self::InvalidConnectionString,
        Self::InvalidOption,
        Self::MissingOption,
        Self::DataSourceNotFound,
        Self::KeyStore,
        Self::KeyPassword,
        Self::KeyNotFound,
        Self::KeyUnsuitable,
        Self::Network,
        Self::Tls,
        Self::Timeout,
        Self::Cancelled,
        Self::Denied,
        Self::ConsentRequired,
        Self::Throttled,
        Self::Server,
        Self::BadResponse,
        Self::Expired,
        Self::Unsupported,
        Self::OutOfMemory,
        Self::Internal,
        Self::BufferTooSmall,
        Self::NotCached,
    ];

    /// The name of the constant in the C header.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Ok => "AUTHGRANT_OK",
            Self::InvalidArgument => "AUTHGRANT_INVALID_ARGUMENT",
            Self::InvalidConnectionString => "AUTHGRANT_INVALID_CONNECTION_STRING",
            Self::InvalidOption => "AUTHGRANT_INVALID_OPTION",
            Self::MissingOption => "AUTHGRANT_MISSING_OPTION",
            Self::DataSourceNotFound => "AUTHGRANT_DATA_SOURCE_NOT_FOUND",
            Self::KeyStore => "AUTHGRANT_KEY_STORE_ERROR",
            Self::KeyPassword => "AUTHGRANT_KEY_PASSWORD",
            Self::KeyNotFound => "AUTHGRANT_KEY_NOT_FOUND",
            Self::KeyUnsuitable => "AUTHGRANT_KEY_UNSUITABLE",
            Self::Network => "AUTHGRANT_NETWORK",
            Self::Tls => "AUTHGRANT_TLS",
            Self::Timeout => "AUTHGRANT_TIMEOUT",
            Self::Cancelled => "AUTHGRANT_CANCELLED",
            Self::Denied => "AUTHGRANT_DENIED",
            Self::ConsentRequired => "AUTHGRANT_CONSENT_REQUIRED",
            Self::Throttled => "AUTHGRANT_THROTTLED",
            Self::Server => "AUTHGRANT_SERVER_ERROR",
            Self::BadResponse => "AUTHGRANT_BAD_RESPONSE",
            Self::Expired => "AUTHGRANT_TOKEN_EXPIRED",
            Self::Unsupported => "AUTHGRANT_UNSUPPORTED",
            Self::OutOfMemory => "AUTHGRANT_OUT_OF_MEMORY",
            Self::Internal => "AUTHGRANT_INTERNAL",
            Self::BufferTooSmall => "AUTHGRANT_BUFFER_TOO_SMALL",
            Self::NotCached => "AUTHGRANT_NOT_CACHED",
        }
    }

    /// The default SQLSTATE of the status (ODBC, appendix A).
    #[must_use]
    pub fn sqlstate(self) -> &'static str {
        match self {
            Self::Ok => "00000",
            Self::InvalidArgument => "HY009",
            Self::InvalidConnectionString | Self::BadResponse | Self::Internal | Self::NotCached => "HY000",
            Self::InvalidOption => "HY024",
            Self::DataSourceNotFound => "IM002",
            Self::MissingOption
            | Self::KeyStore
            | Self::KeyPassword
            | Self::KeyNotFound
            | Self::KeyUnsuitable
            | Self::Denied
            | Self::ConsentRequired => "28000",
            Self::Network | Self::Tls => "08001",
            Self::Timeout => "HYT00",
            Self::Cancelled => "HY008",
            Self::Throttled | Self::Server => "08004",
            Self::Expired => "08006",
            Self::Unsupported => "HYC00",
            Self::OutOfMemory => "HY001",
            Self::BufferTooSmall => "HY090",
        }
    }

    /// Whether the same call may succeed later with the same options.
    #[must_use]
    pub fn is_retryable(self) -> bool {
        matches!(self, Self::Network | Self::Timeout | Self::Throttled | Self::Server)
    }
}

/// What timed out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum TimeoutKind {
    /// The whole call (LoginTimeout, or the timeout of the call).
    Call,
    /// One request (WSTimeout).
    Request,
}

impl TimeoutKind {
    /// The SQLSTATE: HYT00 or HYT01.
    #[must_use]
    pub fn sqlstate(self) -> &'static str {
        match self {
            Self::Call => "HYT00",
            Self::Request => "HYT01",
        }
    }
}

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
    message: String,
    option: Option<String>,
    oauth_error: Option<String>,
    oauth_description: Option<String>,
    provider_code: Option<String>,
    consent_url: Option<String>,
    http_status: u16,
    retry_after: u32,
    additional: Vec<Error>,
    timeout_kind: Option<TimeoutKind>,
    caller_specific: bool,
    caused_by_server: bool,
}

impl Error {
    /// An error with `status`. The message is `[authgrant][component] text`, with the bracketed prefix of
    /// ODBC messages.
    ///
    /// `text` states what failed with which value, why, and what to do. It is escaped and truncated here;
    /// shorten long values with [`sanitize::excerpt`] first, so that the rest of the text is kept.
    #[must_use]
    pub fn new(status: Status, component: &str, text: impl AsRef<str>) -> Self {
        Self {
            details: Box::new(ErrorDetails {
                status,
                sqlstate: status.sqlstate(),
                message: sanitize::message(&format!("[authgrant][{component}] {}", text.as_ref())),
                option: None,
                oauth_error: None,
                oauth_description: None,
                provider_code: None,
                consent_url: None,
                http_status: 0,
                retry_after: 0,
                additional: Vec::new(),
                timeout_kind: None,
                caller_specific: false,
                caused_by_server: false,
            }),
        }
    }

    /// An expired timeout: [`Status::Timeout`] with the SQLSTATE of its kind.
    #[must_use]
    pub fn timeout(kind: TimeoutKind, component: &str, text: impl AsRef<str>) -> Self {
        let mut error = Self::new(Status::Timeout, component, text).with_sqlstate(kind.sqlstate());
        error.details.timeout_kind = Some(kind);
        error
    }

    /// A warning: status [`Status::Ok`] with a SQLSTATE of class 01.
    #[must_use]
    pub fn warning(sqlstate: &'static str, component: &str, text: impl AsRef<str>) -> Self {
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
    pub fn with_option(mut self, option: impl Into<String>) -> Self {
        self.details.option = Some(sanitize::excerpt(&option.into()).to_string());
        self
    }

    /// Marks the error as specific to one call: it does not predict the result of other calls with the same
    /// options, so it is not shared with them.
    #[must_use]
    pub fn caller_specific(mut self) -> Self {
        self.details.caller_specific = true;
        self
    }

    /// Marks the error as caused by an endpoint or the network path to it: an error response, or no response.
    /// The next request most likely fails in the same way.
    #[must_use]
    pub fn caused_by_server(mut self) -> Self {
        self.details.caused_by_server = true;
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

    /// Marks the error as returned from the negative cache: it occurred `age_secs` ago, and the next request
    /// is allowed in `retry_in_secs`. It no longer counts as caused by the server, because it is no new
    /// evidence.
    #[must_use]
    pub fn with_negative_cache_age(mut self, age_secs: u64, retry_in_secs: u32) -> Self {
        let text = format!(" (cached error from {age_secs} s ago; next attempt in {retry_in_secs} s)");
        self.details.message.push_str(&text);
        self.details.retry_after = retry_in_secs;
        self.details.caused_by_server = false;
        self
    }

    /// Appends caller-specific advice to the message of a shared error.
    #[must_use]
    pub fn with_guidance(mut self, text: &str) -> Self {
        self.details.message.push_str("; ");
        self.details.message.push_str(text);
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

    /// Whether the error is specific to one call ([`Self::caller_specific`]).
    #[must_use]
    pub fn is_caller_specific(&self) -> bool {
        self.details.caller_specific
    }

    /// Whether an endpoint or the network path to it caused the error ([`Self::caused_by_server`]).
    #[must_use]
    pub fn is_caused_by_server(&self) -> bool {
        self.details.caused_by_server
    }

    /// The SQLSTATE: five characters.
    #[must_use]
    pub fn sqlstate(&self) -> &'static str {
        self.details.sqlstate
    }

    /// The message: `[authgrant][component] what; why; what to do`.
    #[must_use]
    pub fn message(&self) -> &str {
        &self.details.message
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
        self.details.retry_after
    }

    /// The other errors of the same call.
    #[must_use]
    pub fn additional(&self) -> &[Self] {
        &self.details.additional
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.message())
    }
}

impl std::error::Error for Error {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn status_numbers_are_contiguous() {
        for (number, status) in Status::ALL.into_iter().enumerate() {
            assert_eq!(status as usize, number, "{}", status.name());
        }
    }

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
                .with_provider_code(raw);
            assert_eq!(error.message(), format!("[authgrant][token] a{escaped}b"));
            let getters =
                [error.option(), error.oauth_error(), error.oauth_description(), error.provider_code()];
            assert_eq!(getters, [expected.as_deref(); 4]);
        }
        let long = Some("\u{1b}".repeat(1 << 20));
        let error = Error::new(Status::Denied, "token", long.as_deref().unwrap_or_default())
            .with_option(long.clone().unwrap_or_default())
            .with_oauth(long.clone(), long.clone())
            .with_provider_code(long)
            .with_negative_cache_age(1, 2);
        let getters = [error.option(), error.oauth_error(), error.oauth_description(), error.provider_code()];
        for text in getters.into_iter().flatten().chain([error.message()]) {
            assert!(text.len() <= 4400, "{}", text.len());
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
