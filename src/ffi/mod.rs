//! C API: one file per C type, in which each `extern "C"` function checks its arguments, catches panics and
//! transfers ownership.
//!
//! Only this module knows C. The body of each export is one `guard!` and calls safe Rust. Each unsafe block
//! relies on what the header requires of the argument.

#![allow(unsafe_code, reason = "the C boundary")]
#![allow(
    clippy::missing_safety_doc,
    clippy::not_unsafe_ptr_arg_deref,
    reason = "the header documents the requirements for C callers; every pointer is checked for NULL"
)]

#[macro_use]
mod panic;
mod callback_store;
mod panic_location;
mod sized_struct;
mod wide;

pub mod audit;
pub mod authorize;
pub mod call_options;
pub mod callback;
pub mod cancel_token;
pub mod connection;
pub mod error;
pub mod headers;
pub mod open_options;
pub mod options;
pub mod policy;
pub mod report;
pub mod signer;
pub mod status;
pub mod text;
pub mod token;
pub mod token_store;
