//! authgrant: from an ODBC-style connection string to the access token that a driver sends.
//!
//! The product is the C library of `include/authgrant.h`; this crate is its inside. The modules stand in the order
//! in which data meets them, and each uses only those that come after it.

#![deny(unsafe_code, unsafe_op_in_unsafe_fn, missing_docs, clippy::undocumented_unsafe_blocks)]
#![deny(clippy::dbg_macro, clippy::print_stdout, clippy::print_stderr)]
// Data from outside must not be able to end a call by a panic.
#![cfg_attr(
    not(test),
    deny(
        clippy::arithmetic_side_effects,
        clippy::expect_used,
        clippy::indexing_slicing,
        clippy::panic,
        clippy::unwrap_used
    )
)]

pub mod ffi;

pub mod report;

pub mod connection;

pub mod flow;

pub mod process;
pub mod session;

pub mod cache;

pub mod consent;
pub mod headers;

pub mod config;

pub mod options;
pub mod provider;

pub mod assertion;
pub mod endpoint;

pub mod http;

pub mod tls;

pub mod key;

pub mod token;

pub mod bounded_map;
pub mod call;
pub mod clock;
pub mod error;
pub mod field;
pub mod file;
pub mod form;
pub mod identity;
pub mod jitter;
pub mod log;
pub mod policy;
pub mod proxy;
pub mod redact;
pub mod sanitize;
pub mod secret;
pub mod stats;
pub mod url;

pub mod sys;

pub mod sync;
