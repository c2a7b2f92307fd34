//! Formats of error responses: RFC 6749 with the extensions of Entra and Hydra, Box, Snowflake, GitHub and
//! Apple.

use serde_json::{Map, Value};

use super::{get_str, is_blank, parse_provider_code};
use crate::base::secret::Secret;

/// Fields of an error response, redacted and sanitized.
#[derive(Default)]
pub(super) struct ErrorFields {
    pub(super) error: Option<String>,
    pub(super) description: Option<String>,
    pub(super) code: Option<String>,
}

/// Fields of an error response as sent by the server; they may echo secrets.
#[derive(Default)]
struct UnredactedErrorFields {
    error: Option<Secret>,
    description: Option<Secret>,
    code: Option<Secret>,
}

/// Parses an error response; `to_display` redacts and sanitizes a text. Without an `error` member, vendor
/// formats are accepted only with an error status, because a token response may also contain a `message`.
pub(super) fn parse(
    members: &Map<String, Value>,
    is_error_status: bool,
    to_display: impl Fn(&str) -> String,
) -> Option<ErrorFields> {
    let error = members.get("error").filter(|error| !is_blank(error));
    let fields = match error {
        Some(error) => parse_oauth(members, error),
        None if is_error_status => parse_vendor(members)?,
        None => return None,
    };
    let to_display = |text: Option<Secret>| text.map(|text| to_display(text.reveal()));
    let UnredactedErrorFields { error, description, code } = fields;
    let description = to_display(description);
    let code = description.as_deref().and_then(parse_provider_code).or_else(|| to_display(code));
    Some(ErrorFields { error: to_display(error), description, code })
}

/// Parses RFC 6749 section 5.2. The description may be null (Epic); Hydra adds advice in `error_hint`.
fn parse_oauth(members: &Map<String, Value>, error: &Value) -> UnredactedErrorFields {
    let error = error.as_str().unwrap_or("an error that is not a string");
    let description = get_str(members, "error_description");
    let hint =
        get_str(members, "error_hint").filter(|hint| description.is_none_or(|text| !text.contains(hint)));
    let description = match (description, hint) {
        // `concat` allocates once, so that no copy remains in freed memory.
        (Some(description), Some(hint)) => Some(Secret::new([description, " ", hint].concat())),
        (description, hint) => description.or(hint).map(Secret::from),
    };
    UnredactedErrorFields { error: Some(Secret::from(error)), description, code: get_entra_code(members) }
}

/// Entra's error code from `error_codes`; usually the description also starts with it.
fn get_entra_code(members: &Map<String, Value>) -> Option<Secret> {
    let number = members.get("error_codes")?.as_array()?.first()?.as_u64()?;
    Some(Secret::new(format!("AADSTS{number}")))
}

fn parse_vendor(members: &Map<String, Value>) -> Option<UnredactedErrorFields> {
    let message = get_str(members, "message").map(Secret::from);
    let code = get_str(members, "code").map(Secret::from);
    if get_str(members, "type") == Some("error") {
        // Box: `code` is the OAuth error.
        let is_oauth_error =
            |code: &Secret| code.reveal().bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_');
        let (error, code) =
            if code.as_ref().is_some_and(is_oauth_error) { (code, None) } else { (None, code) };
        return Some(UnredactedErrorFields { error, description: message, code });
    }
    let is_number = |code: &&Secret| code.reveal().bytes().all(|byte| byte.is_ascii_digit());
    if message.is_some() && code.as_ref().filter(is_number).is_some() {
        // Snowflake.
        return Some(UnredactedErrorFields { error: None, description: message, code });
    }
    if message.is_some() && members.contains_key("documentation_url") {
        // GitHub.
        return Some(UnredactedErrorFields { error: None, description: message, code: None });
    }
    // Apple.
    let first = members.get("errors")?.as_array()?.first()?.as_object()?;
    let code = get_str(first, "code").map(Secret::from);
    code.is_some().then(|| UnredactedErrorFields { code, ..UnredactedErrorFields::default() })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse_fields(body: &str, is_error_status: bool) -> Option<(String, String, String)> {
        let members: Map<String, Value> = serde_json::from_str(body).unwrap();
        let fields = parse(&members, is_error_status, |text| text.replace("secret", "****"))?;
        let or_dash = |text: Option<String>| text.unwrap_or_else(|| "-".to_owned());
        Some((or_dash(fields.error), or_dash(fields.description), or_dash(fields.code)))
    }

    #[test]
    fn vendor_error_bodies_are_parsed_and_redacted() {
        for (body, error, description, code) in [
            (r#"{"error":"invalid_client","error_description":null}"#, "invalid_client", "-", "-"),
            (
                r#"{"error":"invalid_client","error_description":"AADSTS700027: secret","error_codes":[7]}"#,
                "invalid_client",
                "AADSTS700027: ****",
                "AADSTS700027",
            ),
            (r#"{"error":"invalid_grant","error_codes":[65001]}"#, "invalid_grant", "-", "AADSTS65001"),
            (
                r#"{"error":"jti_known","error_description":"The jti.","error_hint":"Use secret."}"#,
                "jti_known",
                "The jti. Use ****.",
                "-",
            ),
            (
                r#"{"error":"x","error_description":"The jti. Use it.","error_hint":"Use it."}"#,
                "x",
                "The jti. Use it.",
                "-",
            ),
            (
                r#"{"type":"error","status":400,"code":"invalid_grant","message":"the 'exp' claim"}"#,
                "invalid_grant",
                "the 'exp' claim",
                "-",
            ),
            (r#"{"code":"390144","message":"JWT is secret"}"#, "-", "JWT is ****", "390144"),
            (r#"{"message":"Bad","documentation_url":"https://x"}"#, "-", "Bad", "-"),
            (r#"{"errors":[{"status":"401","code":"NOT_AUTHORIZED"}]}"#, "-", "-", "NOT_AUTHORIZED"),
        ] {
            let expected = (error.to_owned(), description.to_owned(), code.to_owned());
            assert_eq!(parse_fields(body, true), Some(expected), "{body}");
        }
    }

    #[test]
    fn unknown_error_body_is_ignored() {
        for body in [r#"{"message":"Not Found"}"#, r#"{"errors":[]}"#, r#"{"errors":[{}]}"#, "{}"] {
            assert_eq!(parse_fields(body, true), None, "{body}");
        }
        assert_eq!(parse_fields(r#"{"code":"390144","message":"hello"}"#, false), None);
        assert!(parse_fields(r#"{"error":"invalid_grant"}"#, false).is_some());
    }
}
