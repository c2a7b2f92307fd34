//! Every `extern "C"` function, one file a C type: arguments checked, panics caught, ownership handed over.
//!
//! What is C stays here: behind each export stands safe Rust. Each export's body is one [`guard!`], and each
//! unsafe step rests on what the header promises of the argument at hand.

#![allow(unsafe_code, reason = "the C boundary")]
#![allow(
    clippy::missing_safety_doc,
    clippy::not_unsafe_ptr_arg_deref,
    reason = "the header says what C callers must keep to; every pointer is checked for NULL"
)]

#[macro_use]
mod panic;
mod panic_location;

pub mod authorize;
pub mod callback;
pub mod connection;
pub mod error;
pub mod headers;
pub mod policy;
pub mod report;
pub mod signer;
pub mod status;
pub mod text;
pub mod token;
