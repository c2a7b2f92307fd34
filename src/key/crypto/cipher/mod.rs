//! Ciphers of key files: AES in CBC mode by AWS-LC, all others with the cargo feature `legacy-ciphers`.

#[cfg(feature = "legacy-ciphers")]
mod block_ciphers;
#[cfg(feature = "legacy-ciphers")]
mod mode;
mod registry;
#[cfg(feature = "legacy-ciphers")]
mod seed;

use aws_lc_rs::cipher::{
    AES_128, AES_192, AES_256, Algorithm, DecryptionContext, PaddedBlockDecryptingKey, UnboundCipherKey,
};
use aws_lc_rs::iv::FixedLength;
use zeroize::Zeroizing;

pub(in crate::key) use registry::{NamedCipher, find_by_name, find_by_oid};

/// A cipher algorithm and its mode.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::key) struct Cipher {
    pub(in crate::key) algorithm: CipherAlgorithm,
    pub(in crate::key) mode: CipherMode,
}

/// Cipher algorithm. The length of the key distinguishes AES-128 from AES-256, and 3DES with two keys from
/// three.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::key) enum CipherAlgorithm {
    Aes,
    Aria,
    Blowfish,
    Camellia,
    Cast5,
    Des,
    Idea,
    /// With the effective bits of the key.
    Rc2(u16),
    /// A stream cipher.
    Rc4,
    Seed,
    Sm4,
    TripleDes,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::key) enum CipherMode {
    /// With PKCS#7 padding.
    Cbc,
    /// With PKCS#7 padding, too.
    Ecb,
    /// With feedback of whole blocks.
    Cfb,
    Ofb,
    Ctr,
    /// Key wrap with padding (RFC 5649), only for AES.
    Wrap,
    /// Stream cipher (RC4).
    Stream,
}

impl Cipher {
    /// In CBC mode.
    #[cfg(feature = "legacy-ciphers")]
    pub(in crate::key) const fn cbc(algorithm: CipherAlgorithm) -> Self {
        Self { algorithm, mode: CipherMode::Cbc }
    }

    /// Length of the initialization vector.
    pub(in crate::key) fn iv_len(self) -> usize {
        match self.mode {
            CipherMode::Cbc | CipherMode::Cfb | CipherMode::Ofb | CipherMode::Ctr => {
                self.algorithm.block_size()
            }
            CipherMode::Ecb | CipherMode::Wrap | CipherMode::Stream => 0,
        }
    }

    /// Whether it is available without the feature `legacy-ciphers`.
    pub(in crate::key) fn is_built_in(self) -> bool {
        (self.algorithm, self.mode) == (CipherAlgorithm::Aes, CipherMode::Cbc)
    }

    /// Whether it is too weak to protect keys: RC4, ciphers with blocks of 64 bits (all ciphers from before
    /// AES), and ECB mode, which encrypts equal blocks alike.
    pub(in crate::key) fn is_weak(self) -> bool {
        self.algorithm.block_size() < 16 || self.mode == CipherMode::Ecb
    }

    /// Returns the plaintext; `None` if the key, the IV or the padding is invalid.
    pub(in crate::key) fn decrypt(self, key: &[u8], iv: &[u8], data: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
        if !self.is_built_in() {
            return decrypt_legacy(self, key, iv, data);
        }
        let key = UnboundCipherKey::new(aes_algorithm(key.len())?, key).ok()?;
        let context = DecryptionContext::Iv128(FixedLength::try_from(iv).ok()?);
        let mut plain = Zeroizing::new(data.to_vec());
        let length = PaddedBlockDecryptingKey::cbc_pkcs7(key).ok()?.decrypt(&mut plain, context).ok()?.len();
        plain.truncate(length);
        Some(plain)
    }
}

impl CipherAlgorithm {
    /// Block size in bytes.
    fn block_size(self) -> usize {
        match self {
            Self::Aes | Self::Aria | Self::Camellia | Self::Seed | Self::Sm4 => 16,
            Self::Blowfish | Self::Cast5 | Self::Des | Self::Idea | Self::Rc2(_) | Self::TripleDes => 8,
            Self::Rc4 => 1,
        }
    }
}

fn aes_algorithm(key_length: usize) -> Option<&'static Algorithm> {
    match key_length {
        16 => Some(&AES_128),
        24 => Some(&AES_192),
        32 => Some(&AES_256),
        _ => None,
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
