//! Block ciphers with their keys, and RC4.

use ::cipher::{Array, BlockCipherDecrypt, BlockCipherEncrypt, BlockSizeUser, KeyInit};
use aria::{Aria128, Aria192, Aria256};
use aws_lc_rs::cipher::{DecryptingKey, DecryptionContext, EncryptingKey, UnboundCipherKey};
use blowfish::Blowfish;
use camellia::{Camellia128, Camellia192, Camellia256};
use cast5::Cast5;
use des::{Des, TdesEde2, TdesEde3};
use idea::Idea;
use rc2::Rc2;
use rc4::{Rc4, StreamCipher};
use sm4::Sm4;
use zeroize::Zeroizing;

use super::algorithm::{CipherAlgorithm, aes_algorithm};
use super::mode::BlockCipher;
use super::seed::SeedCipher;

/// Creates the cipher with `key`; `None` if the cipher does not support keys of this length.
pub(super) fn new_cipher(algorithm: CipherAlgorithm, key: &[u8]) -> Option<Box<dyn BlockCipher>> {
    match (algorithm, key.len()) {
        (CipherAlgorithm::Aes, _) => Some(Box::new(AwsLcAes::new(key)?)),
        (CipherAlgorithm::Aria, 16) => adapt_cipher::<Aria128>(key),
        (CipherAlgorithm::Aria, 24) => adapt_cipher::<Aria192>(key),
        (CipherAlgorithm::Aria, _) => adapt_cipher::<Aria256>(key),
        (CipherAlgorithm::Blowfish, _) => adapt_cipher::<Blowfish>(key),
        (CipherAlgorithm::Camellia, 16) => adapt_cipher::<Camellia128>(key),
        (CipherAlgorithm::Camellia, 24) => adapt_cipher::<Camellia192>(key),
        (CipherAlgorithm::Camellia, _) => adapt_cipher::<Camellia256>(key),
        (CipherAlgorithm::Cast5, _) => adapt_cipher::<Cast5>(key),
        (CipherAlgorithm::Des, _) => adapt_cipher::<Des>(key),
        (CipherAlgorithm::Idea, _) => adapt_cipher::<Idea>(key),
        // The crate panics on other lengths.
        (CipherAlgorithm::Rc2(bits @ 1..=1024), 1..=128) => {
            Some(Box::new(BlockCipherAdapter(Rc2::new_with_eff_key_len(key, usize::from(bits)))))
        }
        (CipherAlgorithm::Rc2(_) | CipherAlgorithm::Rc4, _) => None,
        (CipherAlgorithm::Seed, _) => Some(Box::new(SeedCipher::new(key)?)),
        (CipherAlgorithm::Sm4, _) => adapt_cipher::<Sm4>(key),
        (CipherAlgorithm::TripleDes, 16) => adapt_cipher::<TdesEde2>(key),
        (CipherAlgorithm::TripleDes, _) => adapt_cipher::<TdesEde3>(key),
    }
}

pub(super) fn decrypt_rc4(key: &[u8], data: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
    let mut plain = Zeroizing::new(data.to_vec());
    Rc4::new_from_slice(key).ok()?.try_apply_keystream(&mut plain).ok()?;
    Some(plain)
}

struct BlockCipherAdapter<C>(C);

fn adapt_cipher<C: KeyInit + BlockCipherEncrypt + BlockCipherDecrypt + 'static>(
    key: &[u8],
) -> Option<Box<dyn BlockCipher>> {
    Some(Box::new(BlockCipherAdapter(C::new_from_slice(key).ok()?)))
}

impl<C: BlockCipherEncrypt + BlockCipherDecrypt> BlockCipher for BlockCipherAdapter<C> {
    fn block_size(&self) -> usize {
        C::block_size()
    }

    fn encrypt(&self, block: &mut [u8]) {
        if let Ok(block) = <&mut Array<u8, <C as BlockSizeUser>::BlockSize>>::try_from(block) {
            self.0.encrypt_block(block);
        }
    }

    fn decrypt(&self, block: &mut [u8]) {
        if let Ok(block) = <&mut Array<u8, <C as BlockSizeUser>::BlockSize>>::try_from(block) {
            self.0.decrypt_block(block);
        }
    }
}

/// AES by AWS-LC, block by block, for modes that AWS-LC does not provide.
struct AwsLcAes {
    encrypting_key: EncryptingKey,
    decrypting_key: DecryptingKey,
}

impl AwsLcAes {
    fn new(key: &[u8]) -> Option<Self> {
        let key = || UnboundCipherKey::new(aes_algorithm(key.len())?, key).ok();
        Some(Self {
            encrypting_key: EncryptingKey::ecb(key()?).ok()?,
            decrypting_key: DecryptingKey::ecb(key()?).ok()?,
        })
    }
}

impl BlockCipher for AwsLcAes {
    fn block_size(&self) -> usize {
        16
    }

    // Neither fails for a whole block.
    fn encrypt(&self, block: &mut [u8]) {
        let _ = self.encrypting_key.encrypt(block);
    }

    fn decrypt(&self, block: &mut [u8]) {
        let _ = self.decrypting_key.decrypt(block, DecryptionContext::None);
    }
}
