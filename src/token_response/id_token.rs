//! An answer that holds an id token and no access token: Google's to an assertion with `target_audience`.

use serde_json::Value;

use super::json_object::{JsonObject, zeroize_value};
use super::{TokenResponse, into_extra_fields, validate_access_token};
use crate::base::secret::Secret;
use crate::net::http::Response;

/// The id token as the token that it is there. Its end is its own exp.
#[must_use]
pub fn parse_id_token_only(answer: &Response) -> Option<TokenResponse> {
    let mut body = JsonObject::parse(&answer.body).filter(|_| (200..300).contains(&answer.status))?;
    if body.contains_key("access_token") {
        return None;
    }
    let token = match body.remove("id_token")? {
        Value::String(token) => Secret::new(token),
        mut other => {
            zeroize_value(&mut other);
            return None;
        }
    };
    Some(TokenResponse {
        access_token: validate_access_token(&token).ok()?,
        refresh_token: None,
        expires_in: None,
        scope: None,
        fields: into_extra_fields(body),
        token_type_missing: false,
    })
}
