//! Error bodies: RFC 6749 section 5.2, and the envelopes of other servers and of API gateways, as data.

use serde_json::{Map, Value};

use super::parse_provider_code;
use super::server_text::is_registered_error;
use crate::base::secret::Secret;

/// Where servers put a code: paths of member names, the more specific first. A number in a path is an index.
const CODE_PATHS: &[&str] = &[
    "error.code",
    "error.status",
    "error.type",
    "errorCode",
    "error_code",
    "code",
    "fault.detail.errorcode",
    "fault.code",
    "errors.0.code",
    "errors.0.errorCode",
];

/// Where servers put a text for humans, the more specific first. `error_description` is RFC 6749; `error` as an
/// object is Google, Facebook and Microsoft Graph; `errorSummary` Okta; `fault` Apigee and WSO2; `message`,
/// `errorMessage` and `moreInformation` API gateways; `detail` and `title` RFC 9457.
const DESCRIPTION_PATHS: &[&str] = &[
    "error_description",
    "error.error_description",
    "error.message",
    "error.description",
    "error.detail",
    "errorSummary",
    "message",
    "errorMessage",
    "error_message",
    "detail",
    "detail.0.msg",
    "description",
    "moreInformation",
    "fault.faultstring",
    "fault.description",
    "fault.message",
    "errors.0.message",
    "errors.0.detail",
    "errors.0.title",
    "title",
];

/// The parts of an error body as sent by the server; they may echo secrets.
#[derive(Default)]
pub(super) struct ErrorFields {
    /// The OAuth error code.
    pub(super) error: Option<Secret>,
    pub(super) description: Option<Secret>,
    /// The provider's own error code.
    pub(super) code: Option<Secret>,
}

/// Parses an error body. Without an `error` member, other envelopes are recognized only with an error status,
/// because a token response may also contain a `message`.
pub(super) fn parse(members: &Map<String, Value>, status: u16) -> Option<ErrorFields> {
    let has_error = members.get("error").is_some_and(|error| !is_blank(error));
    if !has_error && status < 400 {
        return None;
    }
    let find = |paths: &[&str]| paths.iter().find_map(|path| find_text(members, path));
    let codes: Vec<Secret> = CODE_PATHS
        .iter()
        .filter_map(|path| find_text(members, path))
        // Google repeats the HTTP status as a code.
        .filter(|code| code.reveal() != status.to_string())
        .collect();
    let registered = || codes.iter().find(|code| is_registered_error(code.reveal())).cloned();
    let mut description = find(DESCRIPTION_PATHS);
    let error = match find(&["error", "error.error"]) {
        // Apigee: `Error` is a text, and `ErrorCode` is the OAuth error.
        Some(text) if !is_registered_error(text.reveal()) => match registered() {
            Some(code) => {
                description = description.or(Some(text));
                Some(code)
            }
            None => Some(text),
        },
        Some(error) => Some(error),
        None => registered(),
    };
    let description = append_hint(description, find(&["error_hint"]));
    let code = description
        .as_ref()
        .and_then(|text| parse_provider_code(text.reveal()))
        .map(Secret::new)
        .or_else(|| entra_code(members))
        .or_else(|| codes.into_iter().find(|code| Some(code) != error.as_ref()));
    let has_words = error.is_some() || description.is_some() || code.is_some();
    (has_error || has_words).then_some(ErrorFields { error, description, code })
}

/// Whether an `error` says that there is none: `null`, `false`, 0, or empty. Some successful responses contain
/// such a member in addition to the token.
fn is_blank(error: &Value) -> bool {
    match error {
        Value::Null => true,
        Value::Bool(error) => !error,
        Value::Number(number) => number.as_f64() == Some(0.0),
        Value::String(text) => text.trim().is_empty(),
        Value::Array(values) => values.is_empty(),
        Value::Object(members) => members.is_empty(),
    }
}

/// The string or number at `path`, unless it is empty. Names are compared without ASCII case: Amazon sends
/// `Message`.
fn find_text(members: &Map<String, Value>, path: &str) -> Option<Secret> {
    let mut names = path.split('.');
    let mut value = get_ignoring_case(members, names.next()?)?;
    for name in names {
        value = match value {
            Value::Object(members) => get_ignoring_case(members, name)?,
            Value::Array(values) => values.get(name.parse::<usize>().ok()?)?,
            _ => return None,
        };
    }
    let text = match value {
        Value::String(text) => Secret::from(text.trim()),
        Value::Number(number) if number.as_f64() != Some(0.0) => Secret::new(number.to_string()),
        _ => return None,
    };
    Some(text).filter(|text| !text.reveal().is_empty())
}

fn get_ignoring_case<'a>(members: &'a Map<String, Value>, name: &str) -> Option<&'a Value> {
    let ignoring_case = || members.iter().find(|(other, _)| other.eq_ignore_ascii_case(name));
    members.get(name).or_else(|| ignoring_case().map(|(_, value)| value))
}

/// Hydra adds advice in `error_hint`.
fn append_hint(description: Option<Secret>, hint: Option<Secret>) -> Option<Secret> {
    match (description, hint) {
        (Some(description), Some(hint)) if !description.reveal().contains(hint.reveal()) => {
            // `concat` allocates once, so that no copy remains in freed memory.
            Some(Secret::new([description.reveal(), " ", hint.reveal()].concat()))
        }
        (description, hint) => description.or(hint),
    }
}

/// Entra's error code from `error_codes`; usually the description also starts with it.
fn entra_code(members: &Map<String, Value>) -> Option<Secret> {
    let number = members.get("error_codes")?.as_array()?.first()?.as_u64()?;
    Some(Secret::new(format!("AADSTS{number}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse_fields(body: &str, status: u16) -> Option<(String, String, String)> {
        let members: Map<String, Value> = serde_json::from_str(body).unwrap();
        let fields = parse(&members, status)?;
        let or_dash = |text: Option<Secret>| text.map_or("-".to_owned(), |text| text.reveal().to_owned());
        Some((or_dash(fields.error), or_dash(fields.description), or_dash(fields.code)))
    }

    #[test]
    fn error_envelopes_are_parsed() {
        for (body, error, description, code) in [
            (r#"{"error":"invalid_client","error_description":null}"#, "invalid_client", "-", "-"),
            (
                r#"{"error":"invalid_client","error_description":"AADSTS700027: No.","error_codes":[7]}"#,
                "invalid_client",
                "AADSTS700027: No.",
                "AADSTS700027",
            ),
            (r#"{"error":"invalid_grant","error_codes":[65001]}"#, "invalid_grant", "-", "AADSTS65001"),
            (
                r#"{"error":"jti_known","error_description":"The jti.","error_hint":"Use it."}"#,
                "jti_known",
                "The jti. Use it.",
                "-",
            ),
            (
                r#"{"error":"x","error_description":"The jti. Use it.","error_hint":"Use it."}"#,
                "x",
                "The jti. Use it.",
                "-",
            ),
            // Box, Snowflake, GitHub, Apple.
            (
                r#"{"type":"error","status":400,"code":"invalid_grant","message":"the 'exp' claim"}"#,
                "invalid_grant",
                "the 'exp' claim",
                "-",
            ),
            (r#"{"code":"390144","message":"JWT is bad"}"#, "-", "JWT is bad", "390144"),
            (r#"{"message":"Bad","documentation_url":"https://x"}"#, "-", "Bad", "-"),
            (r#"{"errors":[{"status":"401","code":"NOT_AUTHORIZED"}]}"#, "-", "-", "NOT_AUTHORIZED"),
            // Okta.
            (
                r#"{"errorCode":"invalid_client","errorSummary":"Bad client_id","errorLink":"invalid_client",
                    "errorId":"oae1","errorCauses":[]}"#,
                "invalid_client",
                "Bad client_id",
                "-",
            ),
            (
                r#"{"errorCode":"E0000011","errorSummary":"Invalid token provided","errorId":"oae1"}"#,
                "-",
                "Invalid token provided",
                "E0000011",
            ),
            // Google, Facebook, Microsoft Graph.
            (
                r#"{"error":{"code":403,"message":"No access","status":"PERMISSION_DENIED"}}"#,
                "-",
                "No access",
                "PERMISSION_DENIED",
            ),
            (
                r#"{"error":{"message":"Bad token","type":"OAuthException","code":190}}"#,
                "-",
                "Bad token",
                "190",
            ),
            (r#"{"error":{"code":"invalid_grant","message":"No"}}"#, "invalid_grant", "No", "-"),
            // Gateways: Amazon, Kong, Spring, FastAPI, RFC 9457, Apigee, WSO2, IBM.
            (r#"{"Message":"explicit deny"}"#, "-", "explicit deny", "-"),
            (r#"{"message":"Forbidden"}"#, "-", "Forbidden", "-"),
            (r#"{"status":403,"error":"Forbidden","message":"no","path":"/t"}"#, "Forbidden", "no", "-"),
            (r#"{"detail":"Not authenticated"}"#, "-", "Not authenticated", "-"),
            (r#"{"detail":[{"loc":["body"],"msg":"field required"}]}"#, "-", "field required", "-"),
            (r#"{"title":"Forbidden","status":403,"detail":"key is missing"}"#, "-", "key is missing", "-"),
            (r#"{"title":"Forbidden","status":403}"#, "-", "Forbidden", "-"),
            (
                r#"{"fault":{"faultstring":"Invalid ApiKey","detail":{"errorcode":"oauth.v2.InvalidApiKey"}}}"#,
                "-",
                "Invalid ApiKey",
                "oauth.v2.InvalidApiKey",
            ),
            (
                r#"{"ErrorCode":"invalid_client","Error":"ClientId is Invalid"}"#,
                "invalid_client",
                "ClientId is Invalid",
                "-",
            ),
            (
                r#"{"fault":{"code":900902,"message":"Missing Credentials"}}"#,
                "-",
                "Missing Credentials",
                "900902",
            ),
            (r#"{"errorMessage":"not permitted"}"#, "-", "not permitted", "-"),
            (r#"{"httpCode":"401","moreInformation":"no client id"}"#, "-", "no client id", "-"),
            (r#"{"error":false,"message":"no"}"#, "-", "no", "-"),
            (r#"{"error":{}, "message":"no"}"#, "-", "no", "-"),
            (r#"{"error":true}"#, "-", "-", "-"),
        ] {
            let expected = (error.to_owned(), description.to_owned(), code.to_owned());
            assert_eq!(parse_fields(body, 403), Some(expected), "{body}");
        }
    }

    #[test]
    fn body_without_words_is_no_error_body() {
        for body in [
            r#"{"errors":[]}"#,
            r#"{"errors":[{}]}"#,
            "{}",
            r#"{"message":""}"#,
            r#"{"message":{"a":1}}"#,
            r#"{"error":0}"#,
            r#"{"status":"failure"}"#,
        ] {
            assert_eq!(parse_fields(body, 400), None, "{body}");
        }
        for body in [
            r#"{"code":"390144","message":"hello"}"#,
            r#"{"errorCode":"invalid_client","errorSummary":"x"}"#,
            r#"{"error":[],"message":"hello"}"#,
        ] {
            assert_eq!(parse_fields(body, 200), None, "{body}");
        }
        assert!(parse_fields(r#"{"error":"invalid_grant"}"#, 200).is_some());
    }
}
