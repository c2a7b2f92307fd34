//! Bound on the memory that JSON from a server takes.

/// Maximum number of values; responses and tokens have less than a hundredth of it. A value takes up to 600 bytes
/// (an object with one member), so that 1 MiB of `{"":0},` would take 100 MiB.
const MAX_VALUES: usize = 10_000;

/// Whether the JSON `text` may have more than 10,000 values. The characters that begin or separate values are
/// counted in strings, too: that is more than enough of them, and needs no parser.
#[must_use]
pub fn has_too_many_values(text: &[u8]) -> bool {
    text.iter().filter(|byte| matches!(byte, b',' | b'[' | b'{')).count() > MAX_VALUES
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_counted_by_their_separators() {
        for piece in ["0,", "[", "{\"\":0},"] {
            let separators = piece.matches([',', '[', '{']).count();
            assert!(!has_too_many_values(piece.repeat(MAX_VALUES / separators).as_bytes()), "{piece}");
            assert!(has_too_many_values(piece.repeat(MAX_VALUES / separators + 1).as_bytes()), "{piece}");
        }
        assert!(!has_too_many_values("x".repeat(1 << 20).as_bytes()));
    }
}
