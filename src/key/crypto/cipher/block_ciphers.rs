//! The block ciphers with their keys, and RC4.

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

use super::Block;
use super::mode::Blocks;
use super::seed::Seed;

/// That cipher with this key; nothing if it takes none of this length.
pub(super) fn keyed(block: Block, key: &[u8]) -> Option<Box<dyn Blocks>> {
    match (block, key.len()) {
        (Block::Aes, _) => Some(Box::new(Aes::new(key)?)),
        (Block::Aria, 16) => of::<Aria128>(key),
        (Block::Aria, 24) => of::<Aria192>(key),
        (Block::Aria, _) => of::<Aria256>(key),
        (Block::Blowfish, _) => of::<Blowfish>(key),
        (Block::Camellia, 16) => of::<Camellia128>(key),
        (Block::Camellia, 24) => of::<Camellia192>(key),
        (Block::Camellia, _) => of::<Camellia256>(key),
        (Block::Cast5, _) => of::<Cast5>(key),
        (Block::Des, _) => of::<Des>(key),
        (Block::Idea, _) => of::<Idea>(key),
        // The crate panics for other lengths.
        (Block::Rc2(bits @ 1..=1024), 1..=128) => {
            Some(Box::new(Of(Rc2::new_with_eff_key_len(key, usize::from(bits)))))
        }
        (Block::Rc2(_) | Block::Rc4, _) => None,
        (Block::Seed, _) => Some(Box::new(Seed::new(key)?)),
        (Block::Sm4, _) => of::<Sm4>(key),
        (Block::TripleDes, 16) => of::<TdesEde2>(key),
        (Block::TripleDes, _) => of::<TdesEde3>(key),
    }
}

pub(super) fn rc4(key: &[u8], data: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
    let mut plain = Zeroizing::new(data.to_vec());
    Rc4::new_from_slice(key).ok()?.try_apply_keystream(&mut plain).ok()?;
    Some(plain)
}

struct Of<C>(C);

fn of<C: KeyInit + BlockCipherEncrypt + BlockCipherDecrypt + 'static>(key: &[u8]) -> Option<Box<dyn Blocks>> {
    Some(Box::new(Of(C::new_from_slice(key).ok()?)))
}

impl<C: BlockCipherEncrypt + BlockCipherDecrypt> Blocks for Of<C> {
    fn size(&self) -> usize {
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

/// By the library that signs, a block at a time, for the modes that it does not have.
struct Aes {
    there: EncryptingKey,
    back: DecryptingKey,
}

impl Aes {
    fn new(key: &[u8]) -> Option<Self> {
        let key = || UnboundCipherKey::new(super::aes(key.len())?, key).ok();
        Some(Self { there: EncryptingKey::ecb(key()?).ok()?, back: DecryptingKey::ecb(key()?).ok()? })
    }
}

impl Blocks for Aes {
    fn size(&self) -> usize {
        16
    }

    // Neither fails for whole blocks.
    fn encrypt(&self, block: &mut [u8]) {
        let _ = self.there.encrypt(block);
    }

    fn decrypt(&self, block: &mut [u8]) {
        let _ = self.back.decrypt(block, DecryptionContext::None);
    }
}
