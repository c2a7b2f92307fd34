//! The files of entries: a header with the end of the entry's life, and the value.
//!
//! The header has no secrets and is not authenticated: who can change the file can only make an entry be missing or
//! be kept for longer than the token, whose own expiry is part of the encrypted value. In later formats, too, the
//! magic number and the end of life are at the same place, so that each release removes expired entries of others.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use super::super::{MAX_VALUE_LEN, VALUE_HEADER_LEN};

const MAGIC: [u8; 4] = *b"AGTC";

const FORMAT: u8 = 1;

/// Magic number, format, end of life (8 bytes) and length of the value (4 bytes), all big-endian.
pub(super) const HEADER_LEN: usize = 17;

/// The maximum length of a file.
pub(super) const MAX_LEN: usize = HEADER_LEN + MAX_VALUE_LEN;

/// The content of a file. The length in it shows a file of which a crash has left only a part.
pub(super) fn encode(value: &[u8], end: u64) -> Vec<u8> {
    let length = u32::try_from(value.len()).unwrap_or(u32::MAX);
    [&MAGIC, &[FORMAT][..], &end.to_be_bytes(), &length.to_be_bytes(), value].concat()
}

/// The end of life and the value. `None` if the content is incomplete or of another format.
pub(super) fn decode(content: &[u8]) -> Option<(u64, &[u8])> {
    let end = end_of_life(content)?;
    let (header, value) = content.split_at_checked(HEADER_LEN)?;
    let length = u32::from_be_bytes(*header.last_chunk()?);
    let is_complete = header.get(4) == Some(&FORMAT)
        && u32::try_from(value.len()) == Ok(length)
        && (VALUE_HEADER_LEN..=MAX_VALUE_LEN).contains(&value.len());
    is_complete.then_some((end, value))
}

/// The end of life of an entry of any format.
pub(super) fn end_of_life(content: &[u8]) -> Option<u64> {
    let (_format, rest) = content.strip_prefix(&MAGIC)?.split_first()?;
    rest.first_chunk().map(|end| u64::from_be_bytes(*end))
}

/// The Unix time in milliseconds by the clock of this machine, which is that of the store.
pub(super) fn unix_millis(time: SystemTime) -> u64 {
    millis(time.duration_since(UNIX_EPOCH).unwrap_or_default())
}

/// A duration in milliseconds.
pub(super) fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::super::super::header;
    use super::*;

    #[test]
    fn content_begins_with_magic_format_end_and_length() {
        let value = [&header(7)[..], b"ciphertext"].concat();
        let content = encode(&value, 0x0102_0304_0506_0708);
        assert_eq!(content[..HEADER_LEN], *b"AGTC\x01\x01\x02\x03\x04\x05\x06\x07\x08\0\0\0\x13");
        assert_eq!(decode(&content), Some((0x0102_0304_0506_0708, &value[..])));
        assert_eq!(unix_millis(UNIX_EPOCH + Duration::from_millis(1234)), 1234);
        assert_eq!(millis(Duration::MAX), u64::MAX);
    }

    #[test]
    fn malformed_content_is_rejected() {
        let content = encode(&[7; 20], 1);
        for length in 0..content.len() {
            assert_eq!(decode(&content[..length]), None, "{length}");
        }
        assert_eq!(decode(&[&content[..], b"x"].concat()), None, "too long");
        for changed in [0, 3, 4, 16] {
            let mut content = content.clone();
            content[changed] ^= 2;
            assert_eq!(decode(&content), None, "{changed}");
        }
        assert_eq!(decode(&encode(&[1; VALUE_HEADER_LEN - 1], 1)), None, "without its own header");
        assert!(decode(&encode(&vec![1; MAX_VALUE_LEN], 1)).is_some());
        assert_eq!(decode(&encode(&vec![1; MAX_VALUE_LEN + 1], 1)), None);
    }

    #[test]
    fn end_of_life_is_read_in_any_format() {
        let mut content = encode(&[], 5);
        content[4] = 9;
        assert_eq!(end_of_life(&content), Some(5));
        assert_eq!(end_of_life(&content[..12]), None);
        assert_eq!(end_of_life(b"XXXX\x01\0\0\0\0\0\0\0\x05"), None);
    }
}
