//! Encodings of passwords as bytes; programs since 1996 differ in them.

use zeroize::Zeroizing;

type PasswordBytes = Zeroizing<Vec<u8>>;

/// All encodings of one password, the usual one first.
pub(in crate::key) struct PasswordEncodings {
    bmp: Vec<PasswordBytes>,
    bytes: Vec<PasswordBytes>,
}

impl PasswordEncodings {
    pub(in crate::key) fn new(text: &str) -> Self {
        if text.is_empty() {
            return Self {
                bmp: vec![encode_bmp("".encode_utf16()), PasswordBytes::default()],
                bytes: vec![PasswordBytes::default()],
            };
        }
        let mut password = Self {
            bmp: vec![encode_bmp(text.encode_utf16())],
            bytes: vec![Zeroizing::new(text.as_bytes().to_vec())],
        };
        if !text.is_ascii() {
            // OpenSSL before 1.1 expands each byte of the input to two bytes.
            password.bmp.push(encode_bmp(text.bytes().map(u16::from)));
            password.bytes.extend(encode_latin1(text));
        }
        password
    }

    /// Encodings for the key derivation of PKCS#12: BMPString, i.e. UTF-16 in big-endian order with a final
    /// NUL (RFC 7292 B.1).
    ///
    /// An empty password may be encoded as two zero bytes or as nothing.
    pub(in crate::key) fn bmp(&self) -> &[PasswordBytes] {
        &self.bmp
    }

    /// Encodings for PBES1 and PBES2: UTF-8, then ISO 8859-1.
    pub(in crate::key) fn bytes(&self) -> &[PasswordBytes] {
        &self.bytes
    }
}

fn encode_bmp(units: impl Iterator<Item = u16>) -> PasswordBytes {
    let mut bytes = PasswordBytes::default();
    // Reserved in advance: a copy left by a reallocation would not be zeroized.
    let units: Zeroizing<Vec<u16>> = Zeroizing::new(units.chain([0]).collect());
    bytes.reserve_exact(units.len().saturating_mul(2));
    bytes.extend(units.iter().flat_map(|unit| unit.to_be_bytes()));
    bytes
}

/// As entered in a terminal with ISO 8859-1.
fn encode_latin1(text: &str) -> Option<PasswordBytes> {
    let mut bytes = Zeroizing::new(Vec::with_capacity(text.len()));
    for letter in text.chars() {
        bytes.push(u8::try_from(letter).ok()?);
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn password_has_encodings_of_old_programs() {
        let encode = |text: &str| {
            let password = PasswordEncodings::new(text);
            let to_vec = |encodings: &[PasswordBytes]| encodings.iter().map(|bytes| bytes.to_vec()).collect();
            (to_vec(password.bmp()), to_vec(password.bytes()))
        };
        let expect = |bmp: &[&[u8]], bytes: &[&[u8]]| -> (Vec<Vec<u8>>, Vec<Vec<u8>>) {
            let to_vec = |encodings: &[&[u8]]| encodings.iter().map(|bytes| bytes.to_vec()).collect();
            (to_vec(bmp), to_vec(bytes))
        };
        assert_eq!(encode(""), expect(&[&[0, 0], &[]], &[&[]]));
        assert_eq!(encode("ab"), expect(&[&[0, b'a', 0, b'b', 0, 0]], &[b"ab"]));
        let e_acute = expect(&[&[0, 0xE9, 0, 0], &[0, 0xC3, 0, 0xA9, 0, 0]], &[&[0xC3, 0xA9], &[0xE9]]);
        assert_eq!(encode("é"), e_acute);
        // Not in ISO 8859-1.
        let euro = expect(&[&[0x20, 0xAC, 0, 0], &[0, 0xE2, 0, 0x82, 0, 0xAC, 0, 0]], &[&[0xE2, 0x82, 0xAC]]);
        assert_eq!(encode("€"), euro);
        // A surrogate pair.
        assert_eq!(PasswordEncodings::new("😀").bmp()[0][..], [0xD8, 0x3D, 0xDE, 0x00, 0, 0]);
    }
}
