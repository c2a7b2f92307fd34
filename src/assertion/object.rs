//! A JSON object, written member by member: the header and the claims need no more, and their order is ours to choose.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

/// What has been written so far, from the first brace on.
#[derive(Default)]
pub(super) struct Object(String);

impl Object {
    /// Adds a member that is text.
    pub(super) fn text(&mut self, name: &str, text: &str) {
        self.json(name, &quoted(text));
    }

    /// Adds a member that is an array of texts; empty ones are none.
    pub(super) fn texts<'a>(&mut self, name: &str, texts: impl Iterator<Item = &'a str>) {
        let texts: Vec<_> = texts.filter(|text| !text.is_empty()).collect();
        self.json(name, &serde_json::Value::from(texts).to_string());
    }

    /// Adds a member that is JSON already.
    pub(super) fn json(&mut self, name: &str, json: &str) {
        self.0.push(if self.0.is_empty() { '{' } else { ',' });
        self.0.push_str(&quoted(name));
        self.0.push(':');
        self.0.push_str(json);
    }

    /// The JSON.
    pub(super) fn written(mut self) -> String {
        self.0.push_str(if self.0.is_empty() { "{}" } else { "}" });
        self.0
    }

    /// A part of a JWT.
    pub(super) fn encoded(self) -> String {
        URL_SAFE_NO_PAD.encode(self.written())
    }
}

fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}
