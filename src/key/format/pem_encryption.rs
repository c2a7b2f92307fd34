//! Traditional PEM encryption of OpenSSL, from before PKCS#8: `Proc-Type: 4,ENCRYPTED` and `DEK-Info` (RFC
//! 1421 section 4.6).
//!
//! The cipher key is derived with MD5 from the password and the first eight bytes of the IV, as in OpenSSL's
//! `EVP_BytesToKey`.

use zeroize::Zeroizing;

use crate::key::asn1::ber::BerElement;
use crate::key::asn1::oid;
use crate::key::crypto::cipher::{self, NamedCipher};
use crate::key::crypto::decrypt_error::DecryptError;
use crate::key::crypto::digest::DigestAlgorithm;
use crate::key::crypto::pbe::check_oid;
use crate::key::lenient_base64;

const PROC_TYPE: &str = "Proc-Type:";
const DEK_INFO: &str = "DEK-Info:";

/// Whether the body of a PEM block has the headers of an encrypted key.
pub(in crate::key) fn is_encrypted(body: &[u8]) -> bool {
    body.windows(PROC_TYPE.len()).any(|window| window == PROC_TYPE.as_bytes())
}

/// Encrypted body of a PEM block.
pub(in crate::key) struct EncryptedPem<'a> {
    cipher_name: &'a str,
    iv: Vec<u8>,
    data: Zeroizing<Vec<u8>>,
}

impl<'a> EncryptedPem<'a> {
    pub(in crate::key) fn parse(body: &'a [u8]) -> Option<Self> {
        let body = std::str::from_utf8(body).ok()?;
        // Line ends may have been replaced by spaces when the text was copied into an option.
        let (_, info) = body.split_once(DEK_INFO)?;
        let info = info.trim_start();
        let (info, data) = info.split_at_checked(info.find(char::is_whitespace)?)?;
        let (cipher_name, iv) = info.split_once(',')?;
        Some(Self {
            cipher_name,
            iv: decode_hex(iv)?,
            data: lenient_base64::decode_bytes(data.bytes(), data.len())?,
        })
    }

    /// Name of the cipher, if it can be shown.
    pub(in crate::key) fn printable_cipher_name(&self) -> &str {
        let is_safe = self.cipher_name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
        if is_safe && self.cipher_name.len() < 32 { self.cipher_name } else { "an unknown cipher" }
    }

    /// Returns the key in DER; `None` if the cipher is unknown.
    pub(in crate::key) fn decrypt(
        &self,
        password: &str,
        forbid_weak: bool,
    ) -> Result<Option<Zeroizing<Vec<u8>>>, DecryptError> {
        // Weak with any cipher: its key is derived by a single MD5.
        let md5 = check_oid(oid::MD5, forbid_weak)?;
        let digest = DigestAlgorithm::from_oid(&md5).ok_or(DecryptError::Unsupported(md5))?;
        let Some(NamedCipher { cipher, key_len, .. }) = cipher::find_by_name(self.cipher_name) else {
            return Ok(None);
        };
        if self.iv.len() != cipher.iv_len() {
            return Err(DecryptError::Damaged);
        }
        let key =
            evp_bytes_to_key(digest, password.as_bytes(), &self.iv, key_len).ok_or(DecryptError::Damaged)?;
        let plain = cipher.decrypt(&key, &self.iv, &self.data);
        // One in 256 wrong passwords yields valid padding.
        plain
            .filter(|plain| BerElement::parse_sequence(plain).is_ok())
            .map(Some)
            .ok_or(DecryptError::WrongPasswordOrAltered)
    }
}

fn evp_bytes_to_key(
    digest: DigestAlgorithm,
    password: &[u8],
    iv: &[u8],
    length: usize,
) -> Option<Zeroizing<Vec<u8>>> {
    let tail = Zeroizing::new([password, iv.get(..8)?].concat());
    let mut key = Zeroizing::new(Vec::with_capacity(64));
    let mut block = Zeroizing::new(Vec::new());
    for _ in 0..length.div_ceil(digest.output_len()) {
        block = digest.iterate(&block, &tail, 1);
        key.extend_from_slice(&block);
    }
    key.truncate(length);
    Some(key)
}

fn decode_hex(text: &str) -> Option<Vec<u8>> {
    let digits: Vec<_> = text.chars().map(|digit| digit.to_digit(16)).collect::<Option<_>>()?;
    let pairs = digits.chunks(2).map(|pair| match *pair {
        [high, low] => u8::try_from((high << 4) | low).ok(),
        _ => None,
    });
    pairs.collect()
}
