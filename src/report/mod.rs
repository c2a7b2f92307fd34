//! Looking at a connection and saying what is seen, as JSON: [`validate`] what is wrong with it, [`explain`] what it
//! would send and why, [`sample`] what the API says to its token.
//!
//! No secret is in a report. `docs/reports.md` names the members, which do not change.

use serde::ser::SerializeMap;
use serde::{Serialize, Serializer};

use crate::base::error::{Error, Result, Status};
use crate::base::sanitize;
use crate::base::url::{EndpointUrl, without_secrets};
use crate::key::CertificateInfo;

mod explain;
mod jwt;
mod test_connection;
mod test_endpoint;
mod validate;
mod value_origin;

pub use explain::explain;
pub use test_connection::test_connection;
pub use validate::validate;

/// Instead of what must not be seen.
const REDACTED: &str = "****";

fn to_json(report: &impl Serialize) -> Result<String> {
    serde_json::to_string_pretty(report)
        .map(sanitize::json)
        .map_err(|_| Error::new(Status::Internal, "report", "the report could not be written"))
}

/// One error or warning.
#[derive(PartialEq, Serialize)]
struct Problem {
    status: i32,
    name: &'static str,
    sqlstate: &'static str,
    option: Option<String>,
    message: String,
}

impl From<&Error> for Problem {
    fn from(error: &Error) -> Self {
        Self {
            status: error.status() as i32,
            name: error.status().name(),
            sqlstate: error.sqlstate(),
            option: error.option().map(str::to_owned),
            message: error.message().to_owned(),
        }
    }
}

/// The errors of a chain, each by itself.
fn problems_in_chain(error: &Error) -> impl Iterator<Item = Problem> {
    std::iter::once(error).chain(error.additional()).map(Problem::from)
}

/// A certificate as a report shows it.
#[derive(Serialize)]
struct CertificateReport {
    #[serde(skip_serializing_if = "Option::is_none")]
    subject: Option<String>,
    not_before: String,
    not_after: String,
}

impl From<CertificateInfo> for CertificateReport {
    fn from(facts: CertificateInfo) -> Self {
        Self { subject: facts.subject, not_before: facts.not_before, not_after: facts.not_after }
    }
}

/// An object whose members stand in the order in which they were found.
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

/// A value that may be a URL, and is shown without secrets then.
fn redact_if_url(text: &str) -> String {
    if text.contains("://") { without_secrets(text) } else { text.to_owned() }
}

/// A URL without its query, which may hold what nobody else may see.
fn without_query(url: &EndpointUrl) -> String {
    without_secrets(url.as_str())
}
