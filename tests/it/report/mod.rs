//! Reports: validation of the options, explanation of the requests, and connection test.
//!
//! Through the C API, against the mock server.

mod environment;
mod explain;
mod fake_api;
mod test_connection;
mod validate;

use serde_json::Value;

/// Parses a report, which is JSON.
#[track_caller]
fn parse_report(report: &str) -> Value {
    serde_json::from_str(report).unwrap_or_else(|error| panic!("{error}: {report}"))
}
