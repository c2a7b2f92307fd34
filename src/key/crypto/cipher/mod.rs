//! The ciphers of key files: AES in CBC mode by the library that signs, all others behind the feature `legacy-ciphers`.

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

pub(in crate::key) use registry::{Known, by_name, by_number};

/// A cipher, and how it goes from one block to the next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::key) struct Cipher {
    pub(in crate::key) block: Block,
    pub(in crate::key) mode: Mode,
}

/// What is done to a block. The length of the key tells AES-128 from AES-256, and two keys of 3DES from three.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::key) enum Block {
    Aes,
    Aria,
    Blowfish,
    Camellia,
    Cast5,
    Des,
    Idea,
    /// And the effective bits of its key.
    Rc2(u16),
    /// Without blocks.
    Rc4,
    Seed,
    Sm4,
    TripleDes,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::key) enum Mode {
    /// With the padding of PKCS#7.
    Cbc,
    /// Each block by itself, with the same padding.
    Ecb,
    /// By whole blocks.
    Cfb,
    Ofb,
    Ctr,
    /// RFC 5649, for AES alone.
    Wrap,
    /// RC4's own.
    Stream,
}

impl Cipher {
    /// In CBC mode.
    #[cfg(feature = "legacy-ciphers")]
    pub(in crate::key) const fn cbc(block: Block) -> Self {
        Self { block, mode: Mode::Cbc }
    }

    /// How long its initialisation vector is.
    pub(in crate::key) fn vector(self) -> usize {
        match self.mode {
            Mode::Cbc | Mode::Cfb | Mode::Ofb | Mode::Ctr => self.block.size(),
            Mode::Ecb | Mode::Wrap | Mode::Stream => 0,
        }
    }

    /// Whether it is there without the feature `legacy-ciphers`.
    pub(in crate::key) fn is_built_in(self) -> bool {
        (self.block, self.mode) == (Block::Aes, Mode::Cbc)
    }

    /// Whether it should protect keys no longer: RC4, blocks of 64 bits, which all ciphers before AES have, and blocks
    /// that are encrypted alike where they are alike.
    pub(in crate::key) fn is_weak(self) -> bool {
        self.block.size() < 16 || self.mode == Mode::Ecb
    }

    /// The plain text; nothing if key, vector or padding do not fit.
    pub(in crate::key) fn decrypt(
        self,
        key: &[u8],
        vector: &[u8],
        data: &[u8],
    ) -> Option<Zeroizing<Vec<u8>>> {
        if !self.is_built_in() {
            return others(self, key, vector, data);
        }
        let key = UnboundCipherKey::new(aes(key.len())?, key).ok()?;
        let context = DecryptionContext::Iv128(FixedLength::try_from(vector).ok()?);
        let mut plain = Zeroizing::new(data.to_vec());
        let length = PaddedBlockDecryptingKey::cbc_pkcs7(key).ok()?.decrypt(&mut plain, context).ok()?.len();
        plain.truncate(length);
        Some(plain)
    }
}

impl Block {
    /// How many bytes it has.
    fn size(self) -> usize {
        match self {
            Self::Aes | Self::Aria | Self::Camellia | Self::Seed | Self::Sm4 => 16,
            Self::Blowfish | Self::Cast5 | Self::Des | Self::Idea | Self::Rc2(_) | Self::TripleDes => 8,
            Self::Rc4 => 1,
        }
    }
}

fn aes(key_length: usize) -> Option<&'static Algorithm> {
    match key_length {
        16 => Some(&AES_128),
        24 => Some(&AES_192),
        32 => Some(&AES_256),
        _ => None,
    }
}

#[cfg(feature = "legacy-ciphers")]
fn others(cipher: Cipher, key: &[u8], vector: &[u8], data: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
    match cipher.mode {
        Mode::Stream => block_ciphers::rc4(key, data),
        mode => mode.decrypt(&*block_ciphers::keyed(cipher.block, key)?, vector, data),
    }
}

#[cfg(not(feature = "legacy-ciphers"))]
fn others(_: Cipher, _: &[u8], _: &[u8], _: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
    None
}
