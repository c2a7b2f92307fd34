//! Ciphers of key files: AES in CBC mode by AWS-LC, all others with the cargo feature `legacy-ciphers`.

mod algorithm;
#[cfg(feature = "legacy-ciphers")]
mod block_ciphers;
#[cfg(feature = "legacy-ciphers")]
mod mode;
mod registry;
#[cfg(feature = "legacy-ciphers")]
mod seed;

use aws_lc_rs::cipher::{DecryptionContext, PaddedBlockDecryptingKey, UnboundCipherKey};
use aws_lc_rs::iv::FixedLength;
use zeroize::Zeroizing;

#[cfg(feature = "legacy-ciphers")]
use algorithm::CipherMode;
pub(in crate::key) use algorithm::{Cipher, CipherAlgorithm};
pub(in crate::key) use registry::{NamedCipher, find_by_name, find_by_oid};

impl Cipher {
    /// Returns the plaintext; `None` if the key, the IV or the padding is invalid.
    pub(in crate::key) fn decrypt(self, key: &[u8], iv: &[u8], data: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
        if !self.is_built_in() {
            return decrypt_legacy(self, key, iv, data);
        }
        let key = UnboundCipherKey::new(algorithm::aes_algorithm(key.len())?, key).ok()?;
        let context = DecryptionContext::Iv128(FixedLength::try_from(iv).ok()?);
        let mut plain = Zeroizing::new(data.to_vec());
        let length = PaddedBlockDecryptingKey::cbc_pkcs7(key).ok()?.decrypt(&mut plain, context).ok()?.len();
        plain.truncate(length);
        Some(plain)
    }
}

#[cfg(feature = "legacy-ciphers")]
fn decrypt_legacy(cipher: Cipher, key: &[u8], iv: &[u8], data: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
    match cipher.mode {
        CipherMode::Stream => block_ciphers::decrypt_rc4(key, data),
        mode => mode.decrypt(&*block_ciphers::new_cipher(cipher.algorithm, key)?, iv, data),
    }
}

#[cfg(not(feature = "legacy-ciphers"))]
fn decrypt_legacy(_: Cipher, _: &[u8], _: &[u8], _: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
    None
}
