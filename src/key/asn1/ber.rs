//! BER (X.690), the little that PKCS#12 needs: indefinite lengths, which NSS writes, and strings in pieces.
//!
//! Nothing is copied and no list is built: a hostile file costs no more memory than it has bytes.

use std::borrow::Cow;

use ::der::asn1::ObjectIdentifier;

pub(in crate::key) const INTEGER: u8 = 0x02;
pub(in crate::key) const OCTETS: u8 = 0x04;
pub(in crate::key) const OID: u8 = 0x06;
pub(in crate::key) const SEQUENCE: u8 = 0x30;
pub(in crate::key) const SET: u8 = 0x31;
/// `[0]`, around other elements.
pub(in crate::key) const TAGGED: u8 = 0xA0;
/// `[0]` in the place of an OCTET STRING's own tag.
pub(in crate::key) const TAGGED_OCTETS: u8 = 0x80;

const CONSTRUCTED: u8 = 0x20;
const END: [u8; 2] = [0, 0];

/// How deep elements of indefinite length may stand in each other; honest files have about 14.
const DEEPEST: u8 = 32;

/// Bytes that are not BER, or not of the form that they should have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::key) struct Malformed;

/// One element.
#[derive(Clone, Copy, Debug)]
pub(in crate::key) struct Element<'a> {
    pub(in crate::key) tag: u8,
    pub(in crate::key) body: &'a [u8],
    /// Tag and length too.
    pub(in crate::key) whole: &'a [u8],
}

/// Elements that stand one after the other.
#[derive(Clone, Copy, Debug)]
pub(in crate::key) struct Elements<'a>(&'a [u8]);

impl<'a> Element<'a> {
    /// The element that `bytes` begin with, and what comes behind it.
    pub(in crate::key) fn first(bytes: &'a [u8]) -> Result<(Self, &'a [u8]), Malformed> {
        first(bytes, DEEPEST)
    }

    /// The SEQUENCE that `bytes` are, with nothing behind it.
    pub(in crate::key) fn sequence(bytes: &'a [u8]) -> Result<Elements<'a>, Malformed> {
        match Self::first(bytes)? {
            (element, []) => element.inside(SEQUENCE),
            _ => Err(Malformed),
        }
    }

    /// What stands in an element that has this tag.
    pub(in crate::key) fn inside(&self, tag: u8) -> Result<Elements<'a>, Malformed> {
        if self.tag == tag { Ok(Elements(self.body)) } else { Err(Malformed) }
    }

    /// The content of an OCTET STRING, of whose tag `tag` is in the place, its pieces put together.
    pub(in crate::key) fn octets(&self, tag: u8) -> Result<Cow<'a, [u8]>, Malformed> {
        if self.tag == tag {
            return Ok(Cow::Borrowed(self.body));
        }
        if self.tag != tag | CONSTRUCTED {
            return Err(Malformed);
        }
        let mut whole = Vec::new();
        join(self.body, DEEPEST, &mut whole)?;
        Ok(Cow::Owned(whole))
    }

    pub(in crate::key) fn oid(&self) -> Result<ObjectIdentifier, Malformed> {
        if self.tag != OID {
            return Err(Malformed);
        }
        ObjectIdentifier::from_bytes(self.body).map_err(|_| Malformed)
    }

    /// An INTEGER that is not negative; what is too large for a number is the largest one.
    pub(in crate::key) fn number(&self) -> Result<u64, Malformed> {
        match self.body {
            [top, ..] if self.tag == INTEGER && *top < 0x80 => {
                Ok(self.body.iter().fold(0, |number, byte| {
                    if number >> 56 == 0 { (number << 8) | u64::from(*byte) } else { u64::MAX }
                }))
            }
            _ => Err(Malformed),
        }
    }
}

impl<'a> Elements<'a> {
    /// The elements that `bytes` are.
    pub(in crate::key) fn of(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    /// The next one, which must be there.
    pub(in crate::key) fn need(&mut self) -> Result<Element<'a>, Malformed> {
        self.next().unwrap_or(Err(Malformed))
    }

    /// The next one if it has this tag.
    pub(in crate::key) fn optional(&mut self, tag: u8) -> Result<Option<Element<'a>>, Malformed> {
        match self.0.first() {
            Some(found) if *found == tag => self.need().map(Some),
            _ => Ok(None),
        }
    }
}

impl<'a> Iterator for Elements<'a> {
    type Item = Result<Element<'a>, Malformed>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.0.is_empty() {
            return None;
        }
        let read = Element::first(self.0);
        self.0 = read.map_or(&[], |(_, rest)| rest);
        Some(read.map(|(element, _)| element))
    }
}

fn first(bytes: &[u8], depth: u8) -> Result<(Element<'_>, &[u8]), Malformed> {
    let (tag, length, rest) = match bytes {
        [tag, length, rest @ ..] if tag & 0x1F != 0x1F => (*tag, *length, rest),
        _ => return Err(Malformed),
    };
    let (body, rest) = match length {
        0x80 => indefinite(tag, rest, depth)?,
        0x81.. => long(length & 0x7F, rest)?,
        short => rest.split_at_checked(usize::from(short)).ok_or(Malformed)?,
    };
    let length = bytes.len().checked_sub(rest.len()).ok_or(Malformed)?;
    let whole = bytes.get(..length).ok_or(Malformed)?;
    Ok((Element { tag, body, whole }, rest))
}

/// A body behind a length of `count` octets, and what comes behind it.
fn long(count: u8, bytes: &[u8]) -> Result<(&[u8], &[u8]), Malformed> {
    let (octets, rest) = bytes.split_at_checked(usize::from(count)).ok_or(Malformed)?;
    let length = octets
        .iter()
        .try_fold(0_usize, |length, octet| length.checked_mul(256)?.checked_add(usize::from(*octet)));
    rest.split_at_checked(length.ok_or(Malformed)?).ok_or(Malformed)
}

/// A body that ends where two zeros stand in the place of its next element, and what comes behind them.
fn indefinite(tag: u8, bytes: &[u8], depth: u8) -> Result<(&[u8], &[u8]), Malformed> {
    let deeper = depth.checked_sub(1).filter(|_| tag & CONSTRUCTED != 0).ok_or(Malformed)?;
    let mut left = bytes;
    loop {
        if let Some(rest) = left.strip_prefix(&END) {
            let length = bytes.len().checked_sub(left.len()).ok_or(Malformed)?;
            return Ok((bytes.get(..length).ok_or(Malformed)?, rest));
        }
        (_, left) = first(left, deeper)?;
    }
}

fn join(pieces: &[u8], depth: u8, whole: &mut Vec<u8>) -> Result<(), Malformed> {
    let deeper = depth.checked_sub(1).ok_or(Malformed)?;
    for piece in Elements(pieces) {
        let piece = piece?;
        match piece.tag {
            OCTETS => whole.extend_from_slice(piece.body),
            tag if tag == OCTETS | CONSTRUCTED => join(piece.body, deeper, whole)?,
            _ => return Err(Malformed),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_indefinite_length_ends_at_its_own_end_and_not_at_one_inside() {
        let bytes = [0x30, 0x80, 0x30, 0x80, 2, 1, 0, 0, 0, 4, 2, 0, 0, 0, 0, 7];
        let (outer, rest) = Element::first(&bytes).unwrap();
        assert_eq!((outer.body.len(), rest), (11, [7].as_slice()));
        let inside: Vec<_> = outer.inside(SEQUENCE).unwrap().map(|element| element.unwrap().tag).collect();
        assert_eq!(inside, [SEQUENCE, OCTETS]);
    }

    #[test]
    fn a_string_in_pieces_of_pieces_is_put_together() {
        let bytes = [0xA0, 0x80, 4, 1, 1, 0x24, 0x80, 4, 2, 2, 3, 0, 0, 4, 0x81, 1, 4, 0, 0];
        let (string, _) = Element::first(&bytes).unwrap();
        assert_eq!(string.octets(TAGGED_OCTETS).unwrap().as_ref(), [1, 2, 3, 4]);
        assert_eq!(string.octets(OCTETS), Err(Malformed));
    }

    #[test]
    fn what_is_cut_or_nested_without_end_is_malformed() {
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
            assert!(Element::first(bytes).is_err());
        }
    }
}
