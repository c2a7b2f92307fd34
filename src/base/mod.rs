//! Foundation: errors, logging, time, secrets, redaction, policy and files. Every other module may use it.

pub mod audit;
pub(crate) mod backoff;
pub mod bounded_map;
pub mod cache_key;
pub mod call;
pub mod clock;
pub mod error;
pub mod error_kind;
pub mod file;
pub mod jitter;
pub mod json;
pub mod log;
pub mod policy;
pub mod redact;
pub mod sanitize;
pub mod secret;
pub mod stats;
pub mod status;
pub mod text;
pub mod url;
