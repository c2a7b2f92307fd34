//! Reports: what is wrong with a connection, what it would send, what the API says to its token. Through the C API,
//! against the strict authority.

mod environment;
mod explain;
mod fake_api;
mod test_connection;
mod validate;

use serde_json::Value;

/// A report as JSON.
#[track_caller]
fn parse_report(report: &str) -> Value {
    serde_json::from_str(report).unwrap_or_else(|error| panic!("{error}: {report}"))
}
