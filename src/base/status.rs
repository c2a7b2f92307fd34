//! Status codes of the C API, with their names.

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

    /// Whether the same call may succeed later with the same options.
    #[must_use]
    pub fn is_retryable(self) -> bool {
        matches!(self, Self::Network | Self::Timeout | Self::Throttled | Self::Server)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn status_numbers_are_contiguous() {
        for (number, status) in Status::ALL.into_iter().enumerate() {
            assert_eq!(status as usize, number, "{}", status.name());
        }
    }
}
