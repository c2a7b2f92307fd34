//! Log of received requests, for assertions in tests.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Serialize;
use serde_json::Value;

use crate::http::Request;
use crate::scenario::Behavior;
use crate::urlencoded;

/// One request as received, with the result of the checks.
#[derive(Clone, Debug, Serialize)]
pub struct RecordedRequest {
    /// Method of the request line.
    pub method: String,
    /// Path without the query.
    pub path: String,
    /// Query without the question mark; may be empty.
    pub query: String,
    /// Headers in the order received, with names as sent.
    pub headers: Vec<(String, String)>,
    /// The body; invalid UTF-8 is replaced.
    pub body: String,
    /// Number of the connection, from 1. Requests with the same number used the same keep-alive connection.
    pub connection: u64,
    /// Time of receipt in milliseconds since 1970, by the real clock.
    pub at_ms: u64,
    /// The header of the assertion if it could be decoded, whether or not it is valid.
    pub jwt_header: Option<Value>,
    /// The claims of the assertion if they could be decoded.
    pub claims: Option<Value>,
    /// Result of the checks.
    pub verdict: Verdict,
    /// The scripted behavior that replaced the normal response.
    pub behavior: Option<Behavior>,
}

/// Result of the checks of a request.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// Not a token request.
    NotChecked,
    /// Valid; the normal response is a token.
    Granted,
    /// Rejected, with the `error` and the precise reason.
    Refused { error: String, description: String },
}

impl RecordedRequest {
    pub(crate) fn new(request: &Request, connection: u64, at_ms: u64) -> Self {
        let body = String::from_utf8_lossy(&request.body).into_owned();
        let assertion = find_assertion(&body).or_else(|| find_assertion(request.query()));
        RecordedRequest {
            method: request.method.clone(),
            path: request.path().to_owned(),
            query: request.query().to_owned(),
            headers: request.headers.clone(),
            jwt_header: assertion.as_deref().and_then(|jwt| decode_jwt_part(jwt, 0)),
            claims: assertion.as_deref().and_then(|jwt| decode_jwt_part(jwt, 1)),
            body,
            connection,
            at_ms,
            verdict: Verdict::NotChecked,
            behavior: None,
        }
    }

    /// The value of the first header of this name.
    pub fn header(&self, name: &str) -> Option<&str> {
        let mut headers = self.headers.iter();
        headers.find(|(one, _)| one.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
    }

    /// The decoded parameter of the body, or of the query if the body has none of this name.
    pub fn parameter(&self, name: &str) -> Option<String> {
        find_parameter(&self.body, name).or_else(|| find_parameter(&self.query, name))
    }
}

// Lenient on purpose: the log also shows requests that the checks reject.
fn find_parameter(form: &str, name: &str) -> Option<String> {
    let pair = form.split('&').find_map(|pair| pair.split_once('=').filter(|(one, _)| *one == name));
    pair.and_then(|(_, value)| urlencoded::decode(value).ok())
}

fn find_assertion(form: &str) -> Option<String> {
    find_parameter(form, "assertion").or_else(|| find_parameter(form, "client_assertion"))
}

fn decode_jwt_part(jwt: &str, index: usize) -> Option<Value> {
    let text = jwt.split('.').nth(index)?;
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(text).ok()?).ok()
}
