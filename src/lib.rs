//! C library that turns an ODBC-style connection string into the OAuth access token that a driver sends.
//!
//! Its API is `include/authgrant.h`; this crate is the implementation. The modules are listed from the API
//! down, and each uses only those that follow it.

#![deny(unsafe_code, unsafe_op_in_unsafe_fn, missing_docs, clippy::undocumented_unsafe_blocks)]
#![deny(clippy::dbg_macro, clippy::print_stdout, clippy::print_stderr)]
// External data must not cause a panic.
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

pub mod grants;

pub mod shared_cache;

pub mod process;

pub mod authorize;

pub mod token;

pub mod resolve;

pub mod options;
pub mod provider;

pub mod token_response;

pub mod jwt;

pub mod token_store;

pub mod net;

pub mod key;

pub mod base;

pub mod sys;
