//! A password as the bytes that programs have made of it, since 1996, in more ways than one.

use zeroize::Zeroizing;

type PasswordBytes = Zeroizing<Vec<u8>>;

/// The ways to write one password, the usual one first.
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
            // OpenSSL before 1.1 made two bytes of each byte that the terminal sent.
            password.bmp.push(encode_bmp(text.bytes().map(u16::from)));
            password.bytes.extend(encode_latin1(text));
        }
        password
    }

    /// For what PKCS#12 derives in its own way: UTF-16, the big end first, with a zero at its end (RFC 7292 B.1).
    ///
    /// An empty one may stand for two zeros, or for nothing.
    pub(in crate::key) fn bmp(&self) -> &[PasswordBytes] {
        &self.bmp
    }

    /// For PBES1 and PBES2: the bytes themselves.
    pub(in crate::key) fn bytes(&self) -> &[PasswordBytes] {
        &self.bytes
    }
}

fn encode_bmp(units: impl Iterator<Item = u16>) -> PasswordBytes {
    let mut bytes = PasswordBytes::default();
    // Room for all first: a copy left behind by growing would not be wiped.
    let units: Zeroizing<Vec<u16>> = Zeroizing::new(units.chain([0]).collect());
    bytes.reserve_exact(units.len().saturating_mul(2));
    bytes.extend(units.iter().flat_map(|unit| unit.to_be_bytes()));
    bytes
}

/// As a terminal of ISO 8859-1 sends it.
fn encode_latin1(text: &str) -> Option<PasswordBytes> {
    let mut bytes = Zeroizing::new(Vec::with_capacity(text.len()));
    for letter in text.chars() {
        bytes.push(u8::try_from(letter).ok()?);
    }
    Some(bytes)
}
