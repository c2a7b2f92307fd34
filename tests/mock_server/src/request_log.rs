//! What the server remembers of each request, for tests to look at.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Serialize;
use serde_json::Value;

use crate::http::Request;
use crate::scenario::Behavior;
use crate::urlencoded;

/// One request as it came, and what was thought of it.
#[derive(Clone, Debug, Serialize)]
pub struct RecordedRequest {
    /// Method of the request line.
    pub method: String,
    /// Path without the query.
    pub path: String,
    /// Query without the question mark; empty if there is none.
    pub query: String,
    /// Headers in their order, names as sent.
    pub headers: Vec<(String, String)>,
    /// The body; bytes that are not UTF-8 are replaced.
    pub body: String,
    /// Number of the connection, from 1: two requests with the same number came over a kept connection.
    pub connection: u64,
    /// When it was read, in milliseconds since 1970 by the real clock.
    pub at_ms: u64,
    /// The assertion's header, if there was a readable one, whether or not it is acceptable.
    pub jwt_header: Option<Value>,
    /// The assertion's claims, likewise.
    pub claims: Option<Value>,
    /// What the checks said.
    pub verdict: Verdict,
    /// What was played instead of the ordinary answer.
    pub played: Option<Behavior>,
}

/// What the checks said of a request.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// Not a token request.
    NotChecked,
    /// Good; the ordinary answer is a token.
    Granted,
    /// Refused, with the `error` and the precise reason.
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
            played: None,
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

// Lenient on purpose: a record shows what came, also what the checks refuse.
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
