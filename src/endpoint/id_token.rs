//! An answer that holds an id token and no access token: Google's to an assertion with `target_audience`.

use serde_json::Value;

use super::{Issued, fields, object, sendable};
use crate::http::Answer;
use crate::secret::Secret;

/// The id token as the token that it is there. Its end is its own exp.
#[must_use]
pub fn id_token_alone(answer: &Answer) -> Option<Issued> {
    let mut members = object(&answer.body).filter(|_| (200..300).contains(&answer.status))?;
    if members.contains_key("access_token") {
        return None;
    }
    let Some(Value::String(token)) = members.remove("id_token") else { return None };
    Some(Issued {
        access_token: sendable(&Secret::new(token)).ok()?,
        refresh_token: None,
        expires_in: None,
        scope: None,
        fields: fields(members),
        type_missing: false,
    })
}
