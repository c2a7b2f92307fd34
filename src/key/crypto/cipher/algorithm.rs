//! Cipher algorithms and modes, and their properties.

use aws_lc_rs::cipher::{AES_128, AES_192, AES_256, Algorithm};

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
    #[cfg(feature = "legacy-ciphers")]
    pub(in crate::key) const RC4: Self = Self { algorithm: CipherAlgorithm::Rc4, mode: CipherMode::Stream };

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

/// AES with keys of `key_length` bytes.
pub(super) fn aes_algorithm(key_length: usize) -> Option<&'static Algorithm> {
    match key_length {
        16 => Some(&AES_128),
        24 => Some(&AES_192),
        32 => Some(&AES_256),
        _ => None,
    }
}
