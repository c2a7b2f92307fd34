//! Kinds of errors with the data that control flow matches on. Status and SQLSTATE follow from the kind.

use std::num::NonZeroU16;

use crate::base::status::Status;

/// What failed.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum ErrorKind {
    /// Nothing: the call succeeded, but with a problem.
    Warning(WarningKind),
    /// An argument of the C API.
    Argument(ArgumentError),
    /// The syntax of the connection string.
    ConnectionString {
        /// The offset of the error in characters.
        offset: usize,
    },
    /// DSN or FILEDSN was not found.
    DataSourceNotFound,
    /// The value of an option.
    Option(OptionError),
    /// A key store, or a key or certificate in it.
    Key(KeyError),
    /// The network, or the server as the network sees it.
    Network(NetworkError),
    /// The grant: an error response, or a login that is necessary.
    OAuth(OAuthError),
    /// A deadline passed.
    Timeout(TimeoutKind),
    /// The caller cancelled the call.
    Cancelled,
    /// No token is cached, and the call must not use the network.
    NotCached,
    /// The feature is known but not supported.
    Unsupported,
    /// A bug in this library, or a failure of the operating system's random generator.
    Internal,
}

/// The kind of a warning, which is a SQLSTATE of class 01.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum WarningKind {
    /// A general warning.
    General,
    /// A connection string attribute that is ignored.
    IgnoredAttribute,
}

/// What is wrong with an argument of the C API.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ArgumentError {
    /// It is NULL, out of range or not UTF-8.
    Invalid,
    /// The function must not be called now.
    CallSequence,
    /// A negative or excessive length.
    Length,
    /// The caller's buffer is too small.
    BufferTooSmall,
}

/// What is wrong with an option.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum OptionError {
    /// It is required and not set.
    Missing,
    /// Its name or value is unknown, out of range, in conflict with another option, or not allowed.
    Invalid,
}

/// What is wrong with a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum KeyError {
    /// The key store is missing, unreadable or corrupt.
    Store,
    /// The password of the key store or of the key is wrong.
    Password,
    /// The alias does not exist, or there are several keys and no alias is set.
    NotFound,
    /// The key cannot be used with the algorithm, or is too short.
    Unsuitable,
}

/// What failed in the network.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum NetworkError {
    /// DNS lookup, connection or proxy.
    Connection,
    /// Certificate validation or the TLS handshake.
    Tls,
    /// The response is malformed.
    BadResponse,
}

/// Why there is no token, with the error response of the authorization server, if there is one.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct OAuthError {
    /// The reason, as this library interprets the response.
    pub reason: OAuthReason,
    /// The `error` of the response (RFC 6749 section 5.2).
    pub error: Option<String>,
    /// The `error_description` of the response.
    pub description: Option<String>,
    /// The provider-specific error code, such as `AADSTS700027`.
    pub provider_code: Option<String>,
    /// The HTTP status; `None` if no request was sent, and for the error of a redirect.
    pub http_status: Option<NonZeroU16>,
    /// The seconds of the Retry-After header, 0 if absent.
    pub retry_after: u32,
}

/// The reason of an [`OAuthError`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum OAuthReason {
    /// The server rejected the request.
    Denied,
    /// The user must consent first.
    ConsentRequired,
    /// The server is rate limiting requests.
    Throttled,
    /// The server reported a server error.
    Server,
    /// The response is not a valid OAuth response.
    BadResponse,
    /// The token, code or session has expired and cannot be renewed.
    Expired,
}

/// What timed out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum TimeoutKind {
    /// The whole call (LoginTimeout, or the timeout of the call).
    Call,
    /// One request (WSTimeout).
    Request,
}

impl ErrorKind {
    /// The status code of the C API.
    #[must_use]
    pub fn status(&self) -> Status {
        match self {
            Self::Warning(_) => Status::Ok,
            Self::Argument(ArgumentError::BufferTooSmall) => Status::BufferTooSmall,
            Self::Argument(_) => Status::InvalidArgument,
            Self::ConnectionString { .. } => Status::InvalidConnectionString,
            Self::DataSourceNotFound => Status::DataSourceNotFound,
            Self::Option(OptionError::Missing) => Status::MissingOption,
            Self::Option(OptionError::Invalid) => Status::InvalidOption,
            Self::Key(KeyError::Store) => Status::KeyStore,
            Self::Key(KeyError::Password) => Status::KeyPassword,
            Self::Key(KeyError::NotFound) => Status::KeyNotFound,
            Self::Key(KeyError::Unsuitable) => Status::KeyUnsuitable,
            Self::Network(NetworkError::Connection) => Status::Network,
            Self::Network(NetworkError::Tls) => Status::Tls,
            Self::Network(NetworkError::BadResponse) => Status::BadResponse,
            Self::OAuth(error) => match error.reason {
                OAuthReason::Denied => Status::Denied,
                OAuthReason::ConsentRequired => Status::ConsentRequired,
                OAuthReason::Throttled => Status::Throttled,
                OAuthReason::Server => Status::Server,
                OAuthReason::BadResponse => Status::BadResponse,
                OAuthReason::Expired => Status::Expired,
            },
            Self::Timeout(_) => Status::Timeout,
            Self::Cancelled => Status::Cancelled,
            Self::NotCached => Status::NotCached,
            Self::Unsupported => Status::Unsupported,
            Self::Internal => Status::Internal,
        }
    }

    /// The SQLSTATE (ODBC, appendix A).
    #[must_use]
    pub fn sqlstate(&self) -> &'static str {
        match self {
            Self::Warning(WarningKind::General) => "01000",
            Self::Warning(WarningKind::IgnoredAttribute) => "01S00",
            Self::Argument(ArgumentError::Invalid) => "HY009",
            Self::Argument(ArgumentError::CallSequence) => "HY010",
            Self::Argument(ArgumentError::Length | ArgumentError::BufferTooSmall) => "HY090",
            Self::DataSourceNotFound => "IM002",
            Self::Option(OptionError::Invalid) => "HY024",
            Self::Option(OptionError::Missing) | Self::Key(_) => "28000",
            Self::Network(NetworkError::Connection | NetworkError::Tls) => "08001",
            Self::OAuth(error) => match error.reason {
                OAuthReason::Denied | OAuthReason::ConsentRequired => "28000",
                OAuthReason::Throttled | OAuthReason::Server => "08004",
                OAuthReason::BadResponse => "HY000",
                OAuthReason::Expired => "08006",
            },
            Self::Timeout(TimeoutKind::Call) => "HYT00",
            Self::Timeout(TimeoutKind::Request) => "HYT01",
            Self::Cancelled => "HY008",
            Self::Unsupported => "HYC00",
            Self::ConnectionString { .. }
            | Self::Network(NetworkError::BadResponse)
            | Self::NotCached
            | Self::Internal => "HY000",
        }
    }
}

impl From<OAuthReason> for OAuthError {
    fn from(reason: OAuthReason) -> Self {
        Self {
            reason,
            error: None,
            description: None,
            provider_code: None,
            http_status: None,
            retry_after: 0,
        }
    }
}

impl From<OAuthReason> for ErrorKind {
    fn from(reason: OAuthReason) -> Self {
        Self::OAuth(reason.into())
    }
}

macro_rules! impl_from {
    ($($variant:ident($data:ty)),*) => {
        $(impl From<$data> for ErrorKind {
            fn from(data: $data) -> Self {
                Self::$variant(data)
            }
        })*
    };
}

impl_from!(
    Warning(WarningKind),
    Argument(ArgumentError),
    Option(OptionError),
    Key(KeyError),
    Network(NetworkError),
    OAuth(OAuthError),
    Timeout(TimeoutKind)
);
