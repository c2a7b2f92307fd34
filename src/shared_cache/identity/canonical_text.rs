//! Values with labels in a text that is unambiguous for any bytes: a line `label=length:value` for each value, where
//! the length is the number of bytes.

use aws_lc_rs::digest::{SHA256, digest};
use zeroize::Zeroizing;

use crate::base::secret::SecretBytes;

/// More than most connections need.
const INITIAL_CAPACITY: usize = 2048;

/// Values with labels, wiped when dropped.
pub(super) struct LabeledValues(SecretBytes);

impl Default for LabeledValues {
    fn default() -> Self {
        Self(SecretBytes::with_capacity(INITIAL_CAPACITY))
    }
}

impl LabeledValues {
    pub(super) fn beginning_with(line: &str) -> Self {
        let mut values = Self::default();
        values.append(&[line.as_bytes(), b"\n"]);
        values
    }

    /// Adds a value. A label contains neither `=` nor a line break.
    pub(super) fn add(&mut self, label: &'static str, value: impl AsRef<[u8]>) {
        let value = value.as_ref();
        let length = value.len().to_string();
        self.append(&[label.as_bytes(), b"=", length.as_bytes(), b":", value, b"\n"]);
    }

    /// Adds a value if there is one: none is not the same as an empty one.
    pub(super) fn add_optional(&mut self, label: &'static str, value: Option<impl AsRef<[u8]>>) {
        if let Some(value) = value {
            self.add(label, value);
        }
    }

    pub(super) fn add_flag(&mut self, label: &'static str, is_set: bool) {
        self.add(label, if is_set { "1" } else { "0" });
    }

    /// Adds the SHA-256 digest of `content` in hexadecimal digits.
    pub(super) fn add_digest(&mut self, label: &'static str, content: &[u8]) {
        let digest = digest(&SHA256, content);
        let digits = digest.as_ref().iter().flat_map(|byte| [byte >> 4, byte & 15]);
        let digits = digits.filter_map(|digit| char::from_digit(u32::from(digit), 16));
        self.add(label, Zeroizing::new(digits.collect::<String>()).as_bytes());
    }

    pub(super) fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    fn append(&mut self, parts: &[&[u8]]) {
        let added = parts.iter().fold(0_usize, |length, part| length.saturating_add(part.len()));
        let length = self.0.len().saturating_add(added);
        if length > self.0.capacity() {
            // `Vec` would leave an unwiped copy.
            let mut larger = SecretBytes::with_capacity(length.saturating_mul(2));
            larger.extend_from_slice(&self.0);
            self.0 = larger;
        }
        parts.iter().for_each(|part| self.0.extend_from_slice(part));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn full_buffer_is_replaced_by_larger_one() {
        let mut values = LabeledValues::default();
        values.append(&[&[b'x'; INITIAL_CAPACITY]]);
        assert_eq!(values.0.capacity(), INITIAL_CAPACITY, "it fits");
        values.append(&[b"y"]);
        // `Vec` itself would double the capacity, and free the old buffer without wiping it.
        assert_eq!(values.0.capacity(), 2 * (INITIAL_CAPACITY + 1));
        assert_eq!(values.as_bytes(), [&[b'x'; INITIAL_CAPACITY][..], b"y"].concat());
    }
}
