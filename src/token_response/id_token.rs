//! Token responses with an ID token and no access token: Google's response to an assertion with
//! `target_audience`.

use serde_json::Value;

use super::json_object::{JsonObject, zeroize_value};
use super::{TokenResponse, into_extra_fields, validate_access_token};
use crate::base::secret::Secret;
use crate::net::http::Response;

/// Parses a response that contains only an ID token, and returns that as the access token. Its expiry is its
/// `exp` claim. None for any other response.
#[must_use]
pub fn parse_id_token_only(response: &Response) -> Option<TokenResponse> {
    let mut body = JsonObject::parse(response).filter(|_| (200..300).contains(&response.status))?;
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
