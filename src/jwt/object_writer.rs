//! JSON object writer for the JOSE header and the claims. Members are written one by one, in the caller's
//! order.

use serde::Serialize;

use crate::base::secret::SecretBytes;

/// The JSON text written so far, starting with the opening brace. It is wiped, because user-defined members
/// may be confidential.
pub(super) struct ObjectWriter(SecretBytes);

impl ObjectWriter {
    /// Creates a writer with capacity for `bytes`. Exceeding it leaves a copy in freed memory; spare capacity
    /// is wiped, too.
    pub(super) fn with_capacity(bytes: usize) -> Self {
        Self(SecretBytes::with_capacity(bytes))
    }

    /// Adds a member whose value is a string, a number, or an array of these.
    pub(super) fn field(&mut self, name: &str, value: &(impl Serialize + ?Sized)) {
        self.write_name(name);
        self.write_value(value);
    }

    /// Adds a member whose value is JSON text.
    pub(super) fn raw_field(&mut self, name: &str, json: &str) {
        self.write_name(name);
        self.0.extend_from_slice(json.as_bytes());
    }

    fn write_name(&mut self, name: &str) {
        let separator = if self.0.is_empty() { b'{' } else { b',' };
        self.0.push(separator);
        self.write_value(name);
        self.0.push(b':');
    }

    fn write_value(&mut self, value: &(impl Serialize + ?Sized)) {
        // Cannot fail: strings and numbers always serialize, and writing to memory always succeeds.
        let _ = serde_json::to_writer(&mut *self.0, value);
    }

    /// Closes the object and returns its JSON text.
    pub(super) fn finish(mut self) -> SecretBytes {
        if self.0.is_empty() {
            self.0.push(b'{');
        }
        self.0.push(b'}');
        self.0
    }
}
