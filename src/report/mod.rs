//! JSON reports about a connection: [`validate()`] lists its problems, [`explain()`] shows what it would send and
//! why, [`test_connection()`] sends its token to the API.
//!
//! Reports contain no secrets. `docs/reports.md` documents the members, which are stable.

use serde::ser::SerializeMap;
use serde::{Serialize, Serializer};

use crate::base::error::{Error, ErrorKind, Result};
use crate::base::sanitize;
use crate::base::url::{EndpointUrl, without_secrets};
use crate::key::CertificateInfo;

mod explain;
mod jwt;
mod test_connection;
mod test_endpoint;
mod validate;
mod value_check;
mod value_origin;

pub use explain::explain;
pub use test_connection::test_connection;
pub use validate::{validate, validate_string};

/// Replacement for secret values.
const REDACTED: &str = "****";

fn to_json(report: &impl Serialize) -> Result<String> {
    serde_json::to_string_pretty(report)
        .map(|text| sanitize::json(&text))
        .map_err(|_| Error::new(ErrorKind::Internal, "report", "cannot serialize the report"))
}

/// An error or warning as a JSON object.
#[derive(PartialEq, Serialize)]
struct Problem {
    status: i32,
    name: &'static str,
    sqlstate: &'static str,
    option: Option<String>,
    /// The position of a syntax error in the connection string, in characters.
    #[serde(skip_serializing_if = "Option::is_none")]
    offset: Option<usize>,
    message: String,
}

impl From<&Error> for Problem {
    fn from(error: &Error) -> Self {
        Self {
            status: error.status() as i32,
            name: error.status().name(),
            sqlstate: error.sqlstate(),
            option: error.option().map(str::to_owned),
            offset: match error.kind() {
                ErrorKind::ConnectionString { offset } => Some(*offset),
                _ => None,
            },
            message: error.message(),
        }
    }
}

/// Each error of a chain as a separate problem.
fn problems_in_chain(error: &Error) -> impl Iterator<Item = Problem> {
    std::iter::once(error).chain(error.additional()).map(Problem::from)
}

/// A certificate as a JSON object.
#[derive(Serialize)]
struct CertificateReport {
    #[serde(skip_serializing_if = "Option::is_none")]
    subject: Option<String>,
    not_before: String,
    not_after: String,
}

impl From<CertificateInfo> for CertificateReport {
    fn from(info: CertificateInfo) -> Self {
        Self { subject: info.subject, not_before: info.not_before, not_after: info.not_after }
    }
}

/// A JSON object whose members keep their insertion order.
struct OrderedMap<T>(Vec<(String, T)>);

impl<T: Serialize> Serialize for OrderedMap<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.0.len()))?;
        for (name, member) in &self.0 {
            map.serialize_entry(name, member)?;
        }
        map.end()
    }
}

/// `text`, without secrets if it is a URL.
fn redact_if_url(text: &str) -> String {
    if text.contains("://") { without_secrets(text) } else { text.to_owned() }
}

/// The URL without user information and query, which may contain secrets.
fn without_query(url: &EndpointUrl) -> String {
    without_secrets(url.as_str())
}
