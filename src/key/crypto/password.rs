//! A password as the bytes that programs have made of it, since 1996, in more ways than one.

use zeroize::Zeroizing;

type Bytes = Zeroizing<Vec<u8>>;

/// The ways to write one password, the usual one first.
pub(in crate::key) struct Password {
    wide: Vec<Bytes>,
    plain: Vec<Bytes>,
}

impl Password {
    pub(in crate::key) fn new(text: &str) -> Self {
        if text.is_empty() {
            return Self {
                wide: vec![wide("".encode_utf16()), Bytes::default()],
                plain: vec![Bytes::default()],
            };
        }
        let mut password = Self {
            wide: vec![wide(text.encode_utf16())],
            plain: vec![Zeroizing::new(text.as_bytes().to_vec())],
        };
        if !text.is_ascii() {
            // OpenSSL before 1.1 made two bytes of each byte that the terminal sent.
            password.wide.push(wide(text.bytes().map(u16::from)));
            password.plain.extend(latin(text));
        }
        password
    }

    /// For what PKCS#12 derives in its own way: UTF-16, the big end first, with a zero at its end (RFC 7292 B.1).
    ///
    /// An empty one may stand for two zeros, or for nothing.
    pub(in crate::key) fn wide(&self) -> &[Bytes] {
        &self.wide
    }

    /// For PBES1 and PBES2: the bytes themselves.
    pub(in crate::key) fn plain(&self) -> &[Bytes] {
        &self.plain
    }
}

fn wide(units: impl Iterator<Item = u16>) -> Bytes {
    let mut bytes = Bytes::default();
    // Room for all first: a copy left behind by growing would not be wiped.
    let units: Zeroizing<Vec<u16>> = Zeroizing::new(units.chain([0]).collect());
    bytes.reserve_exact(units.len().saturating_mul(2));
    bytes.extend(units.iter().flat_map(|unit| unit.to_be_bytes()));
    bytes
}

/// As a terminal of ISO 8859-1 sends it.
fn latin(text: &str) -> Option<Bytes> {
    let mut bytes = Zeroizing::new(Vec::with_capacity(text.len()));
    for letter in text.chars() {
        bytes.push(u8::try_from(letter).ok()?);
    }
    Some(bytes)
}
