//! DER helpers shared by the formats: elements of a sequence, length of the outermost sequence, encoding of
//! elements.

use ::der::asn1::{AnyRef, ObjectIdentifier};
use ::der::{Decode, Reader, SliceReader, Tag, Tagged};
use zeroize::Zeroizing;

use crate::key::asn1::tag;

/// Maximum number of adjacent elements, more than any valid key or certificate has; a list of the elements of
/// a hostile file would take more memory than the file.
const MAX_ELEMENTS: usize = 10_000;

/// Parses `bytes` as a series of elements without trailing bytes.
pub(in crate::key) fn parse_elements(bytes: &[u8]) -> Option<Vec<AnyRef<'_>>> {
    let mut reader = SliceReader::new(bytes).ok()?;
    let mut found = Vec::new();
    while !reader.is_finished() {
        if found.len() == MAX_ELEMENTS {
            return None;
        }
        found.push(AnyRef::decode(&mut reader).ok()?);
    }
    Some(found)
}

/// Parses `der` as one SEQUENCE and returns its elements.
pub(in crate::key) fn parse_sequence(der: &[u8]) -> Option<Vec<AnyRef<'_>>> {
    let outer = AnyRef::from_der(der).ok()?;
    sequence_children(&outer)
}

/// Returns the elements of `any`, if it is a SEQUENCE.
pub(in crate::key) fn sequence_children<'a>(any: &AnyRef<'a>) -> Option<Vec<AnyRef<'a>>> {
    if any.tag() == Tag::Sequence { parse_elements(any.value()) } else { None }
}

/// Returns the value of `any`, if it is an OBJECT IDENTIFIER.
pub(in crate::key) fn parse_oid(any: &AnyRef<'_>) -> Option<ObjectIdentifier> {
    any.decode_as().ok()
}

/// Parses `der` as one OCTET STRING and returns its content.
pub(in crate::key) fn parse_octets(der: &[u8]) -> Option<&[u8]> {
    let any = AnyRef::from_der(der).ok()?;
    (any.tag() == Tag::OctetString).then(|| any.value())
}

/// Whether `any` has a context-specific tag.
pub(in crate::key) fn is_context_specific(any: &AnyRef<'_>) -> bool {
    matches!(any.tag(), Tag::ContextSpecific { .. })
}

/// Start and end of the content of the leading SEQUENCE of `bytes`, by its length octets.
///
/// If `bytes` is truncated, the end exceeds its length.
pub(in crate::key) fn sequence_content_range(bytes: &[u8]) -> Option<(usize, usize)> {
    let (begin, length) = match *bytes {
        [tag::SEQUENCE, short @ 0..=0x7F, ..] => (2_usize, u32::from(short)),
        [tag::SEQUENCE, 0x81, a, ..] => (3, u32::from(a)),
        [tag::SEQUENCE, 0x82, a, b, ..] => (4, u32::from_be_bytes([0, 0, a, b])),
        [tag::SEQUENCE, 0x83, a, b, c, ..] => (5, u32::from_be_bytes([0, a, b, c])),
        [tag::SEQUENCE, 0x84, a, b, c, d, ..] => (6, u32::from_be_bytes([a, b, c, d])),
        _ => return None,
    };
    Some((begin, begin.checked_add(usize::try_from(length).ok()?)?))
}

/// Encodes an element with the body of these parts.
pub(in crate::key) fn encode_element(tag: u8, parts: &[&[u8]]) -> Zeroizing<Vec<u8>> {
    let length = parts.iter().fold(0_usize, |length, part| length.saturating_add(part.len()));
    let octets = length.to_be_bytes();
    let significant = octets.iter().skip_while(|octet| **octet == 0).copied();
    let mut bytes = Zeroizing::new(Vec::with_capacity(length.saturating_add(octets.len()).saturating_add(2)));
    bytes.push(tag);
    if length >= 0x80 {
        bytes.push(u8::try_from(significant.clone().count()).map_or(0, |count| 0x80 | count));
        bytes.extend(significant);
    } else {
        bytes.push(u8::try_from(length).unwrap_or_default());
    }
    parts.iter().for_each(|part| bytes.extend_from_slice(part));
    bytes
}

/// Encodes a SEQUENCE of these elements.
pub(in crate::key) fn encode_sequence(elements: &[&[u8]]) -> Zeroizing<Vec<u8>> {
    encode_element(tag::SEQUENCE, elements)
}

/// Encodes an unsigned, big-endian number as an INTEGER.
pub(in crate::key) fn encode_integer(number: &[u8]) -> Zeroizing<Vec<u8>> {
    let zeros = number.iter().take_while(|byte| **byte == 0).count();
    let significant = number.get(zeros..).unwrap_or_default();
    match significant.first() {
        Some(..0x80) => encode_element(tag::INTEGER, &[significant]),
        _ => encode_element(tag::INTEGER, &[&[0], significant]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn number_of_elements_is_bounded() {
        let null = [5, 0];
        assert_eq!(parse_elements(&null.repeat(MAX_ELEMENTS)).unwrap().len(), MAX_ELEMENTS);
        assert!(parse_elements(&null.repeat(MAX_ELEMENTS + 1)).is_none());
    }

    #[test]
    fn content_range_follows_length_octets() {
        for (bytes, range) in [
            (&[0x30, 0x7F][..], Some((2, 0x81))),
            (&[0x30, 0x81, 0x80], Some((3, 0x83))),
            (&[0x30, 0x82, 1, 2], Some((4, 0x0106))),
            (&[0x30, 0x83, 1, 2, 3], Some((5, 0x01_0208))),
            (&[0x30, 0x84, 1, 2, 3, 4], Some((6, 0x0102_030A))),
            (&[0x30, 0x85, 0, 0, 0, 0, 1], None),
            (&[0x30, 0x82, 1], None),
            (&[0x31, 0], None),
        ] {
            assert_eq!(sequence_content_range(bytes), range, "{bytes:x?}");
        }
    }

    #[test]
    fn length_has_long_form_from_128() {
        for (length, header) in [
            (0x7F, &[0x04, 0x7F][..]),
            (0x80, &[0x04, 0x81, 0x80]),
            (0xFF, &[0x04, 0x81, 0xFF]),
            (0x100, &[0x04, 0x82, 1, 0]),
        ] {
            let body = vec![7; length];
            assert_eq!(*encode_element(tag::OCTET_STRING, &[&body]), [header, &body].concat());
        }
    }

    #[test]
    fn integer_encoding_is_minimal_and_unsigned() {
        for (number, encoded) in [
            (&[0, 0, 0x80][..], &[2, 2, 0, 0x80][..]),
            (&[1, 0, 1], &[2, 3, 1, 0, 1]),
            (&[0x7F], &[2, 1, 0x7F]),
            (&[0, 0], &[2, 1, 0]),
        ] {
            assert_eq!(*encode_integer(number), encoded);
        }
    }
}
