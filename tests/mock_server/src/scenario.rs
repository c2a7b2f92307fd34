//! Scripted behaviors that replace the normal response, once or always.
//!
//! In JSON (`POST /control/behavior`) a behavior is the name of the variant in snake case and its content,
//! such as `"reset"`, `{"delay": 500}`, `{"json": {"status": 503, "body": {}}}`.

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// Response to a token request.
///
/// The request is checked and recorded first, and its `jti` or code counts as used: a retry requires a new
/// one. A refresh token stays valid after `Json`, `Html` and `Redirect`, which emulate a gateway, and is
/// consumed by all other behaviors, including lost responses.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Behavior {
    /// The normal response; fills a position of a script.
    Normal,
    /// This status, JSON body and additional headers; null sends no body.
    Json {
        status: u16,
        #[serde(default)]
        body: Value,
        #[serde(default)]
        headers: Vec<(String, String)>,
    },
    /// An HTML page with this status.
    Html { status: u16 },
    /// 302 to this location.
    Redirect { location: String },
    /// Sends these bytes and closes the connection. A string in JSON.
    #[serde(with = "raw_text")]
    Raw(Vec<u8>),
    /// 200 with a JSON body of this many bytes.
    BigBody(usize),
    /// No response until the client closes the connection.
    NeverAnswer,
    /// The normal response, one byte per second.
    OneBytePerSecond,
    /// Closes the connection by a TCP reset.
    Reset,
    /// The normal response without `Connection: close`, then closes the connection.
    CloseAfterAnswer,
    /// The normal response after this many milliseconds.
    Delay(u64),
    /// 200 with this body, verbatim, as JSON.
    TokenAnswer(String),
    /// The normal response after `open_gate` was called.
    Gate,
}

mod raw_text {
    use serde::{Deserialize, Deserializer, Serializer};

    pub(super) fn serialize<S: Serializer>(bytes: &[u8], out: S) -> Result<S::Ok, S::Error> {
        out.serialize_str(&String::from_utf8_lossy(bytes))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(text: D) -> Result<Vec<u8>, D::Error> {
        String::deserialize(text).map(String::into_bytes)
    }
}
