//! authgrant: from an ODBC-style connection string to the access token that a driver sends.
//!
//! The product is the C library of `include/authgrant.h`; this crate is its inside. The modules stand in the order
//! in which data meets them, and each uses only those that come after it.

pub mod assertion;
pub mod call;
pub mod clock;
pub mod error;
pub mod http;
pub mod key;
pub mod log;
pub mod secret;
pub mod sys;
pub mod tls;
pub mod url;
