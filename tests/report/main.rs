//! Reports: what is wrong with a connection, what it would send, what the API says to its token. Through the C API,
//! against the strict authority.

#[path = "../support/mod.rs"]
mod support;

mod api;
mod explain;
mod sample;
mod surroundings;
mod validate;

use serde_json::Value;

/// A report as JSON.
#[track_caller]
fn read(report: &str) -> Value {
    serde_json::from_str(report).unwrap_or_else(|error| panic!("{error}: {report}"))
}
