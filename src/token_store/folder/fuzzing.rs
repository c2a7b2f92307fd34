//! What a fuzz target uses of the files of a folder.

use super::entry;

/// The file of an entry whose value is `value`, with the end of its life in milliseconds since 1970.
#[must_use]
pub fn encode_entry_file(value: &[u8], end: u64) -> Vec<u8> {
    entry::encode(value, end)
}

/// The end of life and the value in a file.
#[must_use]
pub fn decode_entry_file(content: &[u8]) -> Option<(u64, &[u8])> {
    entry::decode(content)
}
