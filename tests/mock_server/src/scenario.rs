//! What the server can be told to do instead of its duty, once or always.
//!
//! As JSON (`POST /control/play`) a play is `"reset"`, `{"delay": 500}`, `{"json": {"status": 503, "body": {}}}`: the
//! snake-case name of the variant, and its content.

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// One way to answer a token request.
///
/// The request is checked and recorded first, its `jti` or code counts as used: a client that tries again needs a new
/// one. A refresh token stays good behind `Json`, `Html` and `Redirect`, which are the answers of a gateway, and is used
/// up behind all others, the lost ones too.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Behavior {
    /// The ordinary answer; fills places in a script.
    Normal,
    /// This status, JSON body and further headers; a null is no body at all.
    Json {
        status: u16,
        #[serde(default)]
        body: Value,
        #[serde(default)]
        headers: Vec<(String, String)>,
    },
    /// An HTML page with this status.
    Html { status: u16 },
    /// 302 to this place.
    Redirect { location: String },
    /// These bytes and then the end of the connection. In JSON a string.
    #[serde(with = "raw_text")]
    Raw(Vec<u8>),
    /// 200 and a JSON body of this many bytes.
    BigBody(usize),
    /// Nothing, until the client gives up.
    NeverAnswer,
    /// The ordinary answer, one byte a second.
    OneBytePerSecond,
    /// The connection ends with a TCP reset.
    Reset,
    /// The ordinary answer as if the connection were kept, and then its end.
    CloseAfterAnswer,
    /// The ordinary answer after this many milliseconds.
    Delay(u64),
    /// 200 and this body, verbatim, as JSON.
    TokenAnswer(String),
    /// The ordinary answer once `release` was called.
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
