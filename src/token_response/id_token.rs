//! An answer that holds an id token and no access token: Google's to an assertion with `target_audience`.

use serde_json::Value;

use super::json_object::{JsonObject, wipe_value};
use super::{Issued, fields, sendable};
use crate::base::secret::Secret;
use crate::net::http::Answer;

/// The id token as the token that it is there. Its end is its own exp.
#[must_use]
pub fn id_token_alone(answer: &Answer) -> Option<Issued> {
    let mut body = JsonObject::parse(&answer.body).filter(|_| (200..300).contains(&answer.status))?;
    if body.contains_key("access_token") {
        return None;
    }
    let token = match body.remove("id_token")? {
        Value::String(token) => Secret::new(token),
        mut other => {
            wipe_value(&mut other);
            return None;
        }
    };
    Some(Issued {
        access_token: sendable(&token).ok()?,
        refresh_token: None,
        expires_in: None,
        scope: None,
        fields: fields(body),
        type_missing: false,
    })
}
