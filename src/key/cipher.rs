//! The ciphers of key files: AES by the library that signs, those before it behind the feature `legacy-ciphers`.

use aws_lc_rs::cipher::{
    AES_128, AES_192, AES_256, DecryptionContext, PaddedBlockDecryptingKey, UnboundCipherKey,
};
use aws_lc_rs::iv::FixedLength;
use zeroize::Zeroizing;

/// A cipher; all but RC4 in CBC with the padding of PKCS#7.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(not(feature = "legacy-ciphers"), allow(dead_code))]
pub(super) enum Cipher {
    Aes128,
    Aes192,
    Aes256,
    Des,
    /// With two keys or three, as the length of the key has it.
    TripleDes,
    /// And the effective bits of its key.
    Rc2(u16),
    Rc4,
}

impl Cipher {
    /// How long its initialisation vector is.
    pub(super) fn vector(self) -> usize {
        match self {
            Self::Aes128 | Self::Aes192 | Self::Aes256 => 16,
            Self::Des | Self::TripleDes | Self::Rc2(_) => 8,
            Self::Rc4 => 0,
        }
    }

    /// The plain text; nothing if key, vector or padding do not fit.
    pub(super) fn decrypt(self, key: &[u8], vector: &[u8], data: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
        let algorithm = match self {
            Self::Aes128 => &AES_128,
            Self::Aes192 => &AES_192,
            Self::Aes256 => &AES_256,
            _ => return legacy::decrypt(self, key, vector, data),
        };
        let key = UnboundCipherKey::new(algorithm, key).ok()?;
        let context = DecryptionContext::Iv128(FixedLength::try_from(vector).ok()?);
        let mut plain = Zeroizing::new(data.to_vec());
        let length = PaddedBlockDecryptingKey::cbc_pkcs7(key).ok()?.decrypt(&mut plain, context).ok()?.len();
        plain.truncate(length);
        Some(plain)
    }
}

#[cfg(feature = "legacy-ciphers")]
mod legacy {
    use cbc::Decryptor;
    use cbc::cipher::block_padding::Pkcs7;
    use cbc::cipher::{BlockCipherDecrypt, BlockModeDecrypt, InnerIvInit, KeyInit};
    use des::{Des, TdesEde2, TdesEde3};
    use rc2::Rc2;
    use rc4::{Rc4, StreamCipher};
    use zeroize::Zeroizing;

    use super::Cipher;

    pub(super) fn decrypt(
        cipher: Cipher,
        key: &[u8],
        vector: &[u8],
        data: &[u8],
    ) -> Option<Zeroizing<Vec<u8>>> {
        match (cipher, key.len()) {
            (Cipher::Des, _) => cbc(Des::new_from_slice(key).ok()?, vector, data),
            (Cipher::TripleDes, 16) => cbc(TdesEde2::new_from_slice(key).ok()?, vector, data),
            (Cipher::TripleDes, _) => cbc(TdesEde3::new_from_slice(key).ok()?, vector, data),
            // The crate panics for other lengths.
            (Cipher::Rc2(bits @ 1..=1024), 1..=128) => {
                cbc(Rc2::new_with_eff_key_len(key, usize::from(bits)), vector, data)
            }
            (Cipher::Rc4, _) => {
                let mut plain = Zeroizing::new(data.to_vec());
                Rc4::new_from_slice(key).ok()?.try_apply_keystream(&mut plain).ok()?;
                Some(plain)
            }
            _ => None,
        }
    }

    fn cbc<C: BlockCipherDecrypt>(cipher: C, vector: &[u8], data: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
        let mode = Decryptor::inner_iv_slice_init(cipher, vector).ok()?;
        mode.decrypt_padded_vec::<Pkcs7>(data).ok().map(Zeroizing::new)
    }
}

#[cfg(not(feature = "legacy-ciphers"))]
mod legacy {
    use zeroize::Zeroizing;

    use super::Cipher;

    pub(super) fn decrypt(_: Cipher, _: &[u8], _: &[u8], _: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
        None
    }
}
