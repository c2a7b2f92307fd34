//! Keys that OpenSSL encrypted before PKCS#8: PEM with `Proc-Type: 4,ENCRYPTED` and `DEK-Info` (RFC 1421 section 4.6).
//!
//! The key of the cipher is MD5 of the password and the first eight bytes of the vector, as OpenSSL's
//! `EVP_BytesToKey` has it.

use zeroize::Zeroizing;

use crate::key::asn1::ber::Element;
use crate::key::asn1::oid;
use crate::key::crypto::cipher::{self, Known};
use crate::key::crypto::pbe::{Fault, admit};
use crate::key::inline;

const MARK: &str = "Proc-Type:";
const CIPHER: &str = "DEK-Info:";

/// Whether the body of a PEM block has the headers of an encrypted key.
pub(in crate::key) fn is_encrypted(body: &[u8]) -> bool {
    body.windows(MARK.len()).any(|window| window == MARK.as_bytes())
}

/// What the body of a PEM block holds.
pub(in crate::key) struct Sealed<'a> {
    cipher: &'a str,
    vector: Vec<u8>,
    data: Zeroizing<Vec<u8>>,
}

impl<'a> Sealed<'a> {
    pub(in crate::key) fn read(body: &'a [u8]) -> Option<Self> {
        let body = std::str::from_utf8(body).ok()?;
        // Line ends may have become blanks on the way into an option.
        let (_, info) = body.split_once(CIPHER)?;
        let info = info.trim_start();
        let (info, data) = info.split_at_checked(info.find(char::is_whitespace)?)?;
        let (cipher, vector) = info.split_once(',')?;
        Some(Self { cipher, vector: hexadecimal(vector)?, data: inline::unpack(data.bytes(), data.len())? })
    }

    /// The name of the cipher, if it is one that may be told.
    pub(in crate::key) fn cipher(&self) -> &str {
        let plain = self.cipher.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
        if plain && self.cipher.len() < 32 { self.cipher } else { "an unknown cipher" }
    }

    /// The key in DER; nothing if the cipher is not known.
    pub(in crate::key) fn open(
        &self,
        password: &str,
        strong: bool,
    ) -> Result<Option<Zeroizing<Vec<u8>>>, Fault> {
        // However good the cipher: one round of MD5 makes its key.
        admit(oid::MD5, strong)?;
        let Some(Known { cipher, key, .. }) = cipher::by_name(self.cipher) else {
            return Ok(None);
        };
        if self.vector.len() != cipher.vector() {
            return Err(Fault::Damaged);
        }
        let key = derive(password.as_bytes(), &self.vector, key).ok_or(Fault::Damaged)?;
        let plain = cipher.decrypt(&key, &self.vector, &self.data);
        // One wrong password in 256 leaves a padding that looks right.
        plain.filter(|plain| Element::sequence(plain).is_ok()).map(Some).ok_or(Fault::Refused)
    }
}

#[cfg(feature = "legacy-ciphers")]
fn derive(password: &[u8], vector: &[u8], length: usize) -> Option<Zeroizing<Vec<u8>>> {
    let tail = Zeroizing::new([password, vector.get(..8)?].concat());
    let mut key = Zeroizing::new(Vec::with_capacity(64));
    let mut last = Zeroizing::new(Vec::new());
    while key.len() < length {
        last = crate::key::crypto::digest::Hash::MD5.chain(&last, &tail, 1);
        key.extend_from_slice(&last);
    }
    key.truncate(length);
    Some(key)
}

#[cfg(not(feature = "legacy-ciphers"))]
fn derive(_: &[u8], _: &[u8], _: usize) -> Option<Zeroizing<Vec<u8>>> {
    None
}

fn hexadecimal(text: &str) -> Option<Vec<u8>> {
    let digits: Vec<_> = text.chars().map(|digit| digit.to_digit(16)).collect::<Option<_>>()?;
    let pairs = digits.chunks(2).map(|pair| match *pair {
        [high, low] => u8::try_from((high << 4) | low).ok(),
        _ => None,
    });
    pairs.collect()
}
