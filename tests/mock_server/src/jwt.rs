//! Parser of compact JWS (RFC 7515 section 3.1): three base64url parts without padding, two of them JSON
//! objects.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Map, Value};

use crate::strict_json::UniqueObject;

pub(crate) struct Jwt {
    pub(crate) header: Map<String, Value>,
    pub(crate) claims: Map<String, Value>,
    pub(crate) signing_input: String,
    pub(crate) signature: Vec<u8>,
}

impl Jwt {
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let parts: Vec<&str> = text.split('.').collect();
        let &[header, claims, signature] = parts.as_slice() else {
            return Err(format!("the assertion has {} parts, expected 3", parts.len()));
        };
        Ok(Jwt {
            header: decode_object("header", header)?,
            claims: decode_object("claims", claims)?,
            signing_input: format!("{header}.{claims}"),
            signature: decode_base64url("signature", signature)?,
        })
    }

    pub(crate) fn header_str(&self, name: &str) -> Option<&str> {
        self.header.get(name).and_then(Value::as_str)
    }
}

fn decode_object(part: &str, text: &str) -> Result<Map<String, Value>, String> {
    let json = decode_base64url(part, text)?;
    let object: UniqueObject = serde_json::from_slice(&json)
        .map_err(|e| format!("the {part} of the assertion is not valid JSON: {e}"))?;
    Ok(object.0)
}

fn decode_base64url(part: &str, text: &str) -> Result<Vec<u8>, String> {
    URL_SAFE_NO_PAD
        .decode(text)
        .map_err(|e| format!("the {part} of the assertion is not base64url without padding: {e}"))
}
