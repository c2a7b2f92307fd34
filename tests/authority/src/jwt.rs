//! A compact JWS taken apart (RFC 7515 3.1): three base64url parts without padding, two of them JSON objects.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Map, Value};

use crate::strict_json::Object;

pub(crate) struct Jwt {
    pub(crate) header: Map<String, Value>,
    pub(crate) claims: Map<String, Value>,
    pub(crate) signed: String,
    pub(crate) signature: Vec<u8>,
}

impl Jwt {
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let parts: Vec<&str> = text.split('.').collect();
        let &[header, claims, signature] = parts.as_slice() else {
            return Err(format!("the assertion has {} parts, expected 3", parts.len()));
        };
        Ok(Jwt {
            header: object("header", header)?,
            claims: object("claims", claims)?,
            signed: format!("{header}.{claims}"),
            signature: bytes("signature", signature)?,
        })
    }

    pub(crate) fn header_text(&self, name: &str) -> Option<&str> {
        self.header.get(name).and_then(Value::as_str)
    }
}

fn object(part: &str, text: &str) -> Result<Map<String, Value>, String> {
    let json = bytes(part, text)?;
    let object: Object =
        serde_json::from_slice(&json).map_err(|e| format!("the assertion's {part} is not good JSON: {e}"))?;
    Ok(object.0)
}

fn bytes(part: &str, text: &str) -> Result<Vec<u8>, String> {
    URL_SAFE_NO_PAD
        .decode(text)
        .map_err(|e| format!("the assertion's {part} is not base64url without padding: {e}"))
}
