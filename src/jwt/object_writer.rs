//! A JSON object, written member by member: the header and the claims need no more, and their order is ours to choose.

use serde::Serialize;

use crate::base::secret::SecretBytes;

/// What has been written so far, from the first brace on. Members of the user's own may be nobody else's business, so it is
/// wiped.
pub(super) struct ObjectWriter(SecretBytes);

impl ObjectWriter {
    /// An empty one with room for so many bytes: one that has to grow leaves a copy behind, and all of its room is wiped.
    pub(super) fn with_capacity(bytes: usize) -> Self {
        Self(SecretBytes::with_capacity(bytes))
    }

    /// Adds a member: a text, a number, or an array of such.
    pub(super) fn field(&mut self, name: &str, value: &(impl Serialize + ?Sized)) {
        self.write_name(name);
        self.write_value(value);
    }

    /// Adds a member that is JSON already.
    pub(super) fn raw_field(&mut self, name: &str, json: &str) {
        self.write_name(name);
        self.0.extend_from_slice(json.as_bytes());
    }

    fn write_name(&mut self, name: &str) {
        let before = if self.0.is_empty() { b'{' } else { b',' };
        self.0.push(before);
        self.write_value(name);
        self.0.push(b':');
    }

    fn write_value(&mut self, value: &(impl Serialize + ?Sized)) {
        // Texts and numbers can all be written, and a Vec takes everything.
        let _ = serde_json::to_writer(&mut *self.0, value);
    }

    /// The JSON.
    pub(super) fn finish(mut self) -> SecretBytes {
        if self.0.is_empty() {
            self.0.push(b'{');
        }
        self.0.push(b'}');
        self.0
    }
}
