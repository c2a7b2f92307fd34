//! What went wrong, as a driver's support engineer needs it: status, SQLSTATE, message, and what the server said.
//!
//! An [`Error`] is complete in itself and may carry more of its kind behind it ([`Error::also`]). Its message
//! names the option, the file and the host, and never holds a secret: whoever builds one passes in only what
//! may be shown.

use std::fmt;

use crate::base::sanitize;

/// The statuses of the C contract. Numbers never change; new ones are added at the end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(i32)]
pub enum Status {
    /// No error; also the status of a warning.
    Ok = 0,
    /// A NULL, text that is not UTF-8, a call from inside a callback.
    InvalidArgument = 1,
    /// The connection string breaks the grammar.
    InvalidConnectionString = 2,
    /// A value that is unknown, out of range, in conflict with another, or not allowed.
    InvalidOption = 3,
    /// The flow needs an option that is not there.
    MissingOption = 4,
    /// DSN or FILEDSN not found.
    DataSourceNotFound = 5,
    /// The key store is missing, unreadable or broken.
    KeyStore = 6,
    /// The key store or the key does not open with this password.
    KeyPassword = 7,
    /// No such alias, or several keys and no alias.
    KeyNotFound = 8,
    /// The key does not fit the algorithm, or is too short.
    KeyUnsuitable = 9,
    /// Name resolution, connection or proxy.
    Network = 10,
    /// Certificate or handshake.
    Tls = 11,
    /// The deadline passed.
    Timeout = 12,
    /// The caller cancelled.
    Cancelled = 13,
    /// The server refused.
    Denied = 14,
    /// A person must consent first.
    ConsentRequired = 15,
    /// The server asks to come back later.
    Throttled = 16,
    /// The server has a problem of its own.
    Server = 17,
    /// What came back is not an OAuth answer.
    BadResponse = 18,
    /// The token is past its end and nothing can renew it.
    Expired = 19,
    /// Known, and not built in.
    Unsupported = 20,
    /// A size from outside that is refused.
    OutOfMemory = 21,
    /// A bug of ours.
    Internal = 22,
    /// The caller's buffer is too small.
    BufferTooSmall = 23,
    /// No token is cached, and the call may not use the network.
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

    /// The name as the C header spells it.
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

    /// The SQLSTATE that goes with the status unless the error says another (ODBC's appendix A).
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

    /// Whether the same call may succeed later with nothing changed.
    #[must_use]
    pub fn is_retryable(self) -> bool {
        matches!(self, Self::Network | Self::Timeout | Self::Throttled | Self::Server)
    }
}

/// The result of everything in this crate that can fail.
pub type Result<T> = std::result::Result<T, Error>;

/// One error, with what it is about, and others of the same call behind it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Error {
    details: Box<ErrorDetails>,
}

/// More errors of one call than anybody reads; a stranger's text must not make an endless chain.
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
    caller_specific: bool,
    caused_by_server: bool,
}

impl Error {
    /// An error of `status` about `part` (shown in brackets, as ODBC wants a message to begin).
    ///
    /// `text` says what was done with what, what was found, and what to do. What of it comes from outside is escaped here,
    /// and all of it has a limit; what is long by itself had better been cut before ([`sanitize::excerpt`]).
    #[must_use]
    pub fn new(status: Status, part: &str, text: impl AsRef<str>) -> Self {
        Self {
            details: Box::new(ErrorDetails {
                status,
                sqlstate: status.sqlstate(),
                message: sanitize::message(&format!("[authgrant][{part}] {}", text.as_ref())),
                option: None,
                oauth_error: None,
                oauth_description: None,
                provider_code: None,
                consent_url: None,
                http_status: 0,
                retry_after: 0,
                additional: Vec::new(),
                caller_specific: false,
                caused_by_server: false,
            }),
        }
    }

    /// A warning: status [`Status::Ok`] with a SQLSTATE of class 01.
    #[must_use]
    pub fn warning(sqlstate: &'static str, part: &str, text: impl AsRef<str>) -> Self {
        Self::new(Status::Ok, part, text).with_sqlstate(sqlstate)
    }

    /// Another SQLSTATE than the status's own.
    #[must_use]
    pub fn with_sqlstate(mut self, sqlstate: &'static str) -> Self {
        self.details.sqlstate = sqlstate;
        self
    }

    /// The option at fault, as the option table spells it.
    #[must_use]
    pub fn with_option(mut self, option: impl Into<String>) -> Self {
        self.details.option = Some(sanitize::excerpt(&option.into()).to_string());
        self
    }

    /// The same for the one call that met it: it says nothing about another that wants the same.
    #[must_use]
    pub fn caller_specific(mut self) -> Self {
        self.details.caller_specific = true;
        self
    }

    /// The same of an endpoint, or of the way to it: what it answered, or that it did not. The next request most likely
    /// meets the same.
    #[must_use]
    pub fn caused_by_server(mut self) -> Self {
        self.details.caused_by_server = true;
        self
    }

    /// What the authorization server said (RFC 6749 section 5.2).
    #[must_use]
    pub fn with_oauth(mut self, error: Option<String>, description: Option<String>) -> Self {
        self.details.oauth_error = error.map(|error| sanitize::excerpt(&error).to_string());
        self.details.oauth_description = description.map(|text| sanitize::message(&text));
        self
    }

    /// The provider's own code, such as `AADSTS700027`.
    #[must_use]
    pub fn with_provider_code(mut self, code: Option<String>) -> Self {
        self.details.provider_code = code.map(|code| sanitize::excerpt(&code).to_string());
        self
    }

    /// The URL that a person must open.
    #[must_use]
    pub fn with_consent_url(mut self, url: Option<String>) -> Self {
        self.details.consent_url = url;
        self
    }

    /// The same error as it is told from memory: the server said it so many seconds ago, and is asked again in so many. It
    /// says nothing new about the server.
    #[must_use]
    pub fn with_negative_cache_age(mut self, ago: u64, left: u32) -> Self {
        let text = format!("; that was {ago} s ago, and the server is not asked again for {left} s");
        self.details.message.push_str(&text);
        self.details.retry_after = left;
        self.details.caused_by_server = false;
        self
    }

    /// What to do, as one caller sees it, behind what all are told.
    #[must_use]
    pub fn with_guidance(mut self, text: &str) -> Self {
        self.details.message.push_str("; ");
        self.details.message.push_str(text);
        self
    }

    /// The HTTP status of the answer and the seconds of its Retry-After (0 where there were none).
    #[must_use]
    pub fn with_http(mut self, status: u16, retry_after: u32) -> Self {
        self.details.http_status = status;
        self.details.retry_after = retry_after;
        self
    }

    /// All of `errors` as one chain, the first one in front; nothing where there are none. Beyond a number that
    /// anybody reads, the last one says how many more there were.
    #[must_use]
    pub fn combine(mut errors: Vec<Self>) -> Option<Self> {
        let left_out = errors.len().saturating_sub(MAX_CHAIN_LEN);
        if left_out > 0 {
            errors.truncate(MAX_CHAIN_LEN);
            let last = errors.last()?;
            let more = Self::new(last.status(), "options", format!("and {left_out} more like these"));
            errors.push(more.with_sqlstate(last.sqlstate()));
        }
        let mut errors = errors.into_iter();
        let mut first = errors.next()?;
        first.details.additional = errors.collect();
        Some(first)
    }

    /// The status.
    #[must_use]
    pub fn status(&self) -> Status {
        self.details.status
    }

    /// Whether it says nothing about another call that wants the same.
    #[must_use]
    pub fn is_caller_specific(&self) -> bool {
        self.details.caller_specific
    }

    /// Whether an endpoint, or the way to it, is the reason.
    #[must_use]
    pub fn is_caused_by_server(&self) -> bool {
        self.details.caused_by_server
    }

    /// Five characters.
    #[must_use]
    pub fn sqlstate(&self) -> &'static str {
        self.details.sqlstate
    }

    /// `[authgrant][part] what, why, what to do`.
    #[must_use]
    pub fn message(&self) -> &str {
        &self.details.message
    }

    /// The option at fault.
    #[must_use]
    pub fn option(&self) -> Option<&str> {
        self.details.option.as_deref()
    }

    /// The server's `error`.
    #[must_use]
    pub fn oauth_error(&self) -> Option<&str> {
        self.details.oauth_error.as_deref()
    }

    /// The server's `error_description`, control characters removed.
    #[must_use]
    pub fn oauth_description(&self) -> Option<&str> {
        self.details.oauth_description.as_deref()
    }

    /// The provider's own code.
    #[must_use]
    pub fn provider_code(&self) -> Option<&str> {
        self.details.provider_code.as_deref()
    }

    /// The URL that a person must open.
    #[must_use]
    pub fn consent_url(&self) -> Option<&str> {
        self.details.consent_url.as_deref()
    }

    /// The HTTP status of the answer, 0 where there was none.
    #[must_use]
    pub fn http_status(&self) -> u16 {
        self.details.http_status
    }

    /// Seconds to wait as the server said, 0 where it did not.
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
    fn combined_errors_keep_their_order() {
        let errors = ["a", "b", "c"].map(|text| Error::new(Status::InvalidOption, "options", text));
        let chain = Error::combine(errors.to_vec()).unwrap();
        assert_eq!(chain.message(), "[authgrant][options] a");
        assert_eq!(chain.additional().last().unwrap().message(), "[authgrant][options] c");
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
            let (raw, shown) = (text(&c.to_string()), text(escaped));
            let error = Error::new(Status::Denied, "token", raw.as_deref().unwrap_or_default())
                .with_option(raw.clone().unwrap_or_default())
                .with_oauth(raw.clone(), raw.clone())
                .with_provider_code(raw);
            assert_eq!(error.message(), format!("[authgrant][token] a{escaped}b"));
            let getters =
                [error.option(), error.oauth_error(), error.oauth_description(), error.provider_code()];
            assert_eq!(getters, [shown.as_deref(); 4]);
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
        let chain = Error::combine(errors).unwrap();
        assert_eq!(chain.additional().len(), 32);
        let last = chain.additional().last().unwrap();
        assert_eq!(
            (last.message(), last.sqlstate()),
            ("[authgrant][options] and 99968 more like these", "01S00")
        );
    }
}
