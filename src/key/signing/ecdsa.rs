//! Encodings of an ECDSA signature: `r || s` of fixed length, as in a JWS (RFC 7518 section 3.4), and a DER
//! SEQUENCE of two INTEGERs (RFC 3279 section 2.2.3), as written by OpenSSL and most services.

use ::der::asn1::{AnyRef, UintRef};

use crate::key::asn1::der;

/// Converts a signature to `r || s` with integers of `size` bytes; `None` if it has neither encoding.
///
/// Strict DER is taken as DER, everything else of the right length as `r || s`. An `r || s` of 64 or 96 bytes
/// is valid DER with a probability of 2^-47, and DER of exactly that length is as rare.
pub(in crate::key) fn to_fixed(signature: &[u8], size: usize) -> Option<Vec<u8>> {
    if let Some(fixed) = der_to_fixed(signature, size) {
        return Some(fixed);
    }
    (signature.len() == size.checked_mul(2)?).then(|| signature.to_vec())
}

/// Converts `r || s` to a DER SEQUENCE.
pub(in crate::key) fn to_der(signature: &[u8]) -> Vec<u8> {
    let (r, s) = signature.split_at(signature.len() / 2);
    der::encode_sequence(&[&der::encode_integer(r), &der::encode_integer(s)]).to_vec()
}

fn der_to_fixed(signature: &[u8], size: usize) -> Option<Vec<u8>> {
    let fields = der::parse_sequence(signature)?;
    let [r, s] = <[AnyRef<'_>; 2]>::try_from(fields).ok()?;
    Some([encode_fixed_integer(&r, size)?, encode_fixed_integer(&s, size)?].concat())
}

/// A positive, minimally encoded INTEGER, left-padded to `size` bytes.
fn encode_fixed_integer(any: &AnyRef<'_>, size: usize) -> Option<Vec<u8>> {
    let number: UintRef<'_> = any.decode_as().ok()?;
    let bytes = number.as_bytes();
    if bytes.iter().all(|byte| *byte == 0) {
        return None;
    }
    let mut padded = vec![0; size.checked_sub(bytes.len())?];
    padded.extend_from_slice(bytes);
    Some(padded)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::key::asn1::der::{encode_element, encode_sequence};
    use crate::key::asn1::tag::INTEGER;

    /// DER of two INTEGERs with these contents.
    fn encode_der(r: &[u8], s: &[u8]) -> Vec<u8> {
        encode_sequence(&[&encode_element(INTEGER, &[r]), &encode_element(INTEGER, &[s])]).to_vec()
    }

    #[test]
    fn fixed_signature_is_encoded_as_der() {
        let mut fixed = [0; 64];
        (fixed[31], fixed[63]) = (0x7f, 0x80);
        assert_eq!(to_der(&fixed), [0x30, 7, 2, 1, 0x7f, 2, 2, 0, 0x80]);
        assert_eq!(to_der(&[0; 64]), [0x30, 6, 2, 1, 0, 2, 1, 0]);
        assert_eq!(to_der(&[0xff; 96])[..5], [0x30, 102, 2, 49, 0]);
    }

    #[test]
    fn der_signature_is_padded_to_curve_size() {
        let whole = [&[0_u8][..], &[0xff; 32]].concat();
        assert_eq!(to_fixed(&encode_der(&whole, &whole), 32).unwrap(), [0xff; 64]);
        let mut small = [0; 96];
        (small[47], small[95]) = (1, 0x7f);
        assert_eq!(to_fixed(&encode_der(&[1], &[0x7f]), 48).unwrap(), small);
    }

    #[test]
    fn der_signature_of_fixed_length_is_der() {
        let (r, s) = ([0x11; 30], [0x22; 28]);
        let encoded = encode_der(&r, &s);
        assert_eq!(encoded.len(), 64);
        let fixed = to_fixed(&encoded, 32).unwrap();
        assert_eq!(fixed, [&[0, 0][..], &r, &[0; 4], &s].concat());
    }

    #[test]
    fn fixed_signature_resembling_der_is_kept() {
        let whole = encode_der(&[0x11; 30], &[0x22; 28]);
        let edits: [(usize, u8); 6] = [(1, 0x3d), (2, 3), (3, 29), (4, 0x80), (34, 4), (35, 27)];
        for (index, byte) in edits {
            let mut fixed = whole.clone();
            fixed[index] = byte;
            assert_eq!(to_fixed(&fixed, 32).unwrap(), fixed, "byte {index}");
        }
        // Non-minimal INTEGERs, and integers that are too long for the curve.
        for (r, s) in [([0x00; 29], [0x22; 29]), ([0x11; 29], [0x00; 29])] {
            assert_eq!(to_fixed(&encode_der(&r, &s), 32).unwrap(), encode_der(&r, &s));
        }
        let long = encode_der(&[0x11; 34], &[0x22; 24]);
        assert_eq!(to_fixed(&long, 32).unwrap(), long);
    }

    #[test]
    fn malformed_signature_is_rejected() {
        let whole = encode_der(&[0x11; 32], &[0x22; 32]);
        let cut = &whole[..whole.len() - 1];
        let trailing = [&whole[..], &[0]].concat();
        let three = encode_sequence(&[&[2, 1, 1], &[2, 1, 1], &[2, 1, 1]]);
        let zero = encode_der(&[0], &[1]);
        for bytes in [&[][..], &[1; 63], &[1; 65], &[1; 96], cut, &trailing, &three, &zero] {
            assert_eq!(to_fixed(bytes, 32), None, "{bytes:?}");
        }
        assert_eq!(to_fixed(&encode_der(&[0x11; 33], &[1]), 32), None);
    }
}
