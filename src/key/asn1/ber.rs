//! BER reader (X.690) for PKCS#12: supports indefinite lengths, as written by NSS, and constructed strings.
//!
//! Elements are not copied and no lists are built, so that a hostile file needs no more memory than its own
//! size.

use std::borrow::Cow;

use ::der::asn1::ObjectIdentifier;

use crate::key::asn1::tag::{INTEGER, OCTET_STRING, OID, SEQUENCE};

const CONSTRUCTED: u8 = 0x20;
const CONSTRUCTED_OCTET_STRING: u8 = OCTET_STRING | CONSTRUCTED;
const END_OF_CONTENTS: [u8; 2] = [0, 0];

/// Maximum nesting of elements of indefinite length; valid files have about 14 levels.
const MAX_DEPTH: u8 = 32;

/// Error for bytes that are not BER or do not have the expected structure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::key) struct MalformedBer;

/// BER element.
#[derive(Clone, Copy, Debug)]
pub(in crate::key) struct BerElement<'a> {
    pub(in crate::key) tag: u8,
    pub(in crate::key) body: &'a [u8],
    /// Including tag and length.
    pub(in crate::key) raw: &'a [u8],
}

/// Sequence of adjacent elements.
#[derive(Clone, Copy, Debug)]
pub(in crate::key) struct BerElements<'a>(&'a [u8]);

impl<'a> BerElement<'a> {
    /// Parses the first element of `bytes`; returns it with the remaining bytes.
    pub(in crate::key) fn parse_first(bytes: &'a [u8]) -> Result<(Self, &'a [u8]), MalformedBer> {
        parse_element(bytes, MAX_DEPTH)
    }

    /// Parses `bytes` as one SEQUENCE without trailing bytes.
    pub(in crate::key) fn parse_sequence(bytes: &'a [u8]) -> Result<BerElements<'a>, MalformedBer> {
        match Self::parse_first(bytes)? {
            (element, []) => element.children(SEQUENCE),
            _ => Err(MalformedBer),
        }
    }

    /// Elements in the body, if the element has this tag.
    pub(in crate::key) fn children(&self, tag: u8) -> Result<BerElements<'a>, MalformedBer> {
        if self.tag == tag { Ok(BerElements(self.body)) } else { Err(MalformedBer) }
    }

    /// Content of an OCTET STRING with the (possibly implicit) tag `tag`; the segments of a constructed
    /// string are joined.
    pub(in crate::key) fn octet_string(&self, tag: u8) -> Result<Cow<'a, [u8]>, MalformedBer> {
        if self.tag == tag {
            return Ok(Cow::Borrowed(self.body));
        }
        if self.tag & !CONSTRUCTED != tag {
            return Err(MalformedBer);
        }
        let mut whole = Vec::new();
        join_segments(self.body, MAX_DEPTH, &mut whole)?;
        Ok(Cow::Owned(whole))
    }

    pub(in crate::key) fn oid(&self) -> Result<ObjectIdentifier, MalformedBer> {
        if self.tag != OID {
            return Err(MalformedBer);
        }
        ObjectIdentifier::from_bytes(self.body).map_err(|_| MalformedBer)
    }

    /// Value of a non-negative INTEGER, saturated at `u64::MAX`.
    pub(in crate::key) fn as_u64_saturating(&self) -> Result<u64, MalformedBer> {
        match self.body {
            [top, ..] if self.tag == INTEGER && *top < 0x80 => {
                let append =
                    |number: u64, byte: &u8| number.saturating_mul(256).saturating_add((*byte).into());
                Ok(self.body.iter().fold(0, append))
            }
            _ => Err(MalformedBer),
        }
    }
}

impl<'a> BerElements<'a> {
    /// Iterates over the elements in `bytes`.
    pub(in crate::key) fn new(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    /// Returns the next element, which must exist.
    pub(in crate::key) fn next_required(&mut self) -> Result<BerElement<'a>, MalformedBer> {
        self.next().unwrap_or(Err(MalformedBer))
    }

    /// Returns the next element if it has this tag.
    pub(in crate::key) fn next_if_tag(&mut self, tag: u8) -> Result<Option<BerElement<'a>>, MalformedBer> {
        match self.0.first() {
            Some(found) if *found == tag => self.next_required().map(Some),
            _ => Ok(None),
        }
    }
}

impl<'a> Iterator for BerElements<'a> {
    type Item = Result<BerElement<'a>, MalformedBer>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.0.is_empty() {
            return None;
        }
        let parsed = BerElement::parse_first(self.0);
        self.0 = parsed.map_or(&[], |(_, rest)| rest);
        Some(parsed.map(|(element, _)| element))
    }
}

fn parse_element(bytes: &[u8], depth: u8) -> Result<(BerElement<'_>, &[u8]), MalformedBer> {
    let (tag, length, rest) = match bytes {
        [tag, length, rest @ ..] if tag & 0x1F != 0x1F => (*tag, *length, rest),
        _ => return Err(MalformedBer),
    };
    let (body, rest) = match length {
        0x80 => split_indefinite_length(tag, rest, depth)?,
        0x81.. => split_long_length(length & 0x7F, rest)?,
        short => rest.split_at_checked(usize::from(short)).ok_or(MalformedBer)?,
    };
    let length = bytes.len().checked_sub(rest.len()).ok_or(MalformedBer)?;
    let whole = bytes.get(..length).ok_or(MalformedBer)?;
    Ok((BerElement { tag, body, raw: whole }, rest))
}

/// Splits the body after a length of `count` octets from the remaining bytes.
fn split_long_length(count: u8, bytes: &[u8]) -> Result<(&[u8], &[u8]), MalformedBer> {
    let (octets, rest) = bytes.split_at_checked(usize::from(count)).ok_or(MalformedBer)?;
    let length = octets
        .iter()
        .try_fold(0_usize, |length, octet| length.checked_mul(256)?.checked_add(usize::from(*octet)));
    rest.split_at_checked(length.ok_or(MalformedBer)?).ok_or(MalformedBer)
}

/// Splits the body of an element of indefinite length, which ends at two zero bytes, from the bytes after
/// them.
fn split_indefinite_length(tag: u8, bytes: &[u8], depth: u8) -> Result<(&[u8], &[u8]), MalformedBer> {
    let deeper = depth.checked_sub(1).filter(|_| tag & CONSTRUCTED != 0).ok_or(MalformedBer)?;
    let mut remaining = bytes;
    loop {
        if let Some(rest) = remaining.strip_prefix(&END_OF_CONTENTS) {
            let length = bytes.len().checked_sub(remaining.len()).ok_or(MalformedBer)?;
            return Ok((bytes.get(..length).ok_or(MalformedBer)?, rest));
        }
        (_, remaining) = parse_element(remaining, deeper)?;
    }
}

fn join_segments(segments: &[u8], depth: u8, whole: &mut Vec<u8>) -> Result<(), MalformedBer> {
    let deeper = depth.checked_sub(1).ok_or(MalformedBer)?;
    for segment in BerElements(segments) {
        let segment = segment?;
        match segment.tag {
            OCTET_STRING => whole.extend_from_slice(segment.body),
            CONSTRUCTED_OCTET_STRING => join_segments(segment.body, deeper, whole)?,
            _ => return Err(MalformedBer),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::key::asn1::tag::CONTEXT_0_PRIMITIVE;

    #[test]
    fn nested_indefinite_length_ends_at_own_marker() {
        let bytes = [0x30, 0x80, 0x30, 0x80, 2, 1, 0, 0, 0, 4, 2, 0, 0, 0, 0, 7];
        let (outer, rest) = BerElement::parse_first(&bytes).unwrap();
        assert_eq!((outer.body.len(), rest), (11, [7].as_slice()));
        let inside: Vec<_> = outer.children(SEQUENCE).unwrap().map(|element| element.unwrap().tag).collect();
        assert_eq!(inside, [SEQUENCE, OCTET_STRING]);
    }

    #[test]
    fn constructed_octet_string_is_joined() {
        let bytes = [0xA0, 0x80, 4, 1, 1, 0x24, 0x80, 4, 2, 2, 3, 0, 0, 4, 0x81, 1, 4, 0, 0];
        let (string, _) = BerElement::parse_first(&bytes).unwrap();
        assert_eq!(string.octet_string(CONTEXT_0_PRIMITIVE).unwrap().as_ref(), [1, 2, 3, 4]);
        assert_eq!(string.octet_string(OCTET_STRING), Err(MalformedBer));
    }

    #[test]
    fn octet_string_of_other_elements_is_malformed() {
        let (string, _) = BerElement::parse_first(&[0x24, 6, 4, 1, 1, 2, 1, 0]).unwrap();
        assert_eq!(string.octet_string(OCTET_STRING), Err(MalformedBer));
    }

    #[test]
    fn non_negative_integer_is_saturated() {
        for (bytes, number) in [
            (&[2, 1, 0][..], Ok(0)),
            (&[2, 1, 0x7F], Ok(0x7F)),
            (&[2, 2, 0, 0x80], Ok(0x80)),
            (&[2, 3, 1, 2, 3], Ok(0x01_0203)),
            (&[2, 8, 0x7F, 0, 0, 0, 0, 0, 0, 1], Ok(0x7F00_0000_0000_0001)),
            (&[2, 9, 0, 0xFF, 0, 0, 0, 0, 0, 0, 1], Ok(0xFF00_0000_0000_0001)),
            (&[2, 9, 1, 0, 0, 0, 0, 0, 0, 0, 0], Ok(u64::MAX)),
            (&[2, 10, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0], Ok(u64::MAX)),
            (&[2, 1, 0x80], Err(MalformedBer)),
            (&[2, 0], Err(MalformedBer)),
            (&[4, 1, 1], Err(MalformedBer)),
        ] {
            let (element, _) = BerElement::parse_first(bytes).unwrap();
            assert_eq!(element.as_u64_saturating(), number, "{bytes:x?}");
        }
    }

    #[test]
    fn truncated_or_deeply_nested_ber_is_malformed() {
        for bytes in [
            &[0x30][..],
            &[0x30, 3, 1, 1],
            &[0x30, 0x82, 1],
            &[0x30, 0x80, 2, 1, 0],
            &[4, 0x80, 0, 0],
            &[0x30, 0xFF, 1, 1, 1],
            &[0x1F, 1, 1],
            &[0x30, 0x80].repeat(100_000),
        ] {
            assert!(BerElement::parse_first(bytes).is_err());
        }
    }
}
