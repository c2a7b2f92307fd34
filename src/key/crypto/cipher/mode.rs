//! How a block cipher decrypts more than one block (NIST SP 800-38A), and AES a key in particular (RFC 5649).

use zeroize::Zeroizing;

use super::CipherMode;

/// A block cipher with its key.
pub(super) trait BlockCipher {
    /// How many bytes a block has.
    fn block_size(&self) -> usize;
    /// Encrypts the one block in its place.
    fn encrypt(&self, block: &mut [u8]);
    /// Decrypts the one block in its place.
    fn decrypt(&self, block: &mut [u8]);
}

type Plaintext = Zeroizing<Vec<u8>>;

/// The first half of what stands before a wrapped key, and how often it was stirred.
const AIV_PREFIX: [u8; 4] = [0xA6, 0x59, 0x59, 0xA6];
const WRAP_ROUNDS: u64 = 6;

impl CipherMode {
    /// The plain text; nothing if vector, length or padding do not fit.
    pub(super) fn decrypt(self, blocks: &dyn BlockCipher, vector: &[u8], data: &[u8]) -> Option<Plaintext> {
        let plain = Zeroizing::new(data.to_vec());
        match self {
            Self::Wrap => unwrap_key(blocks, plain),
            Self::Cbc | Self::Ecb => remove_padding(blocks, decrypt_cbc_or_ecb(blocks, vector, plain)?),
            Self::Cfb | Self::Ofb | Self::Ctr => self.apply_keystream(blocks, vector, plain),
            Self::Stream => None,
        }
    }

    /// For the modes that only ever encrypt: what is encrypted is a mask.
    fn apply_keystream(
        self,
        blocks: &dyn BlockCipher,
        vector: &[u8],
        mut data: Plaintext,
    ) -> Option<Plaintext> {
        let mut state = Zeroizing::new(vector.to_vec());
        if state.len() != blocks.block_size() {
            return None;
        }
        for part in data.chunks_mut(blocks.block_size()) {
            let mut mask = state.clone();
            blocks.encrypt(&mut mask);
            match self {
                Self::Cfb => state.iter_mut().zip(&*part).for_each(|(to, from)| *to = *from),
                Self::Ofb => state.clone_from(&mask),
                _ => increment_counter(&mut state),
            }
            xor_into(part, &mask);
        }
        Some(data)
    }
}

/// Each block decrypted and masked by the encrypted one before it, the first one by the vector; without one, by nothing.
fn decrypt_cbc_or_ecb(blocks: &dyn BlockCipher, vector: &[u8], mut data: Plaintext) -> Option<Plaintext> {
    if !vector.is_empty() && vector.len() != blocks.block_size() {
        return None;
    }
    let mut before = vector.to_vec();
    for block in data.chunks_mut(blocks.block_size()) {
        let sealed = block.to_vec();
        blocks.decrypt(block);
        xor_into(block, &before);
        if !before.is_empty() {
            before = sealed;
        }
    }
    Some(data)
}

/// Without the padding of PKCS#7 (RFC 5652 section 6.3).
fn remove_padding(blocks: &dyn BlockCipher, mut data: Plaintext) -> Option<Plaintext> {
    let padding = *data.last()?;
    let rest = data.len().checked_sub(usize::from(padding))?;
    let whole = data.len().is_multiple_of(blocks.block_size());
    let sound = (1..=blocks.block_size()).contains(&usize::from(padding));
    if !whole || !sound || !data.get(rest..)?.iter().all(|byte| *byte == padding) {
        return None;
    }
    data.truncate(rest);
    Some(data)
}

/// The key in RFC 5649's wrapping.
fn unwrap_key(blocks: &dyn BlockCipher, mut data: Plaintext) -> Option<Plaintext> {
    if data.len() < 16 || !data.len().is_multiple_of(8) || blocks.block_size() != 16 {
        return None;
    }
    if data.len() == 16 {
        blocks.decrypt(&mut data);
    } else {
        unwrap_rounds(blocks, &mut data);
    }
    let (head, rest) = data.split_at_checked(8)?;
    let length =
        head.strip_prefix(&AIV_PREFIX)?.iter().fold(0, |length, byte| (length << 8) | usize::from(*byte));
    let (key, padding) = rest.split_at_checked(length)?;
    let sound = padding.len() < 8 && padding.iter().all(|byte| *byte == 0);
    sound.then(|| Zeroizing::new(key.to_vec()))
}

/// RFC 3394 section 2.2.2.
fn unwrap_rounds(blocks: &dyn BlockCipher, data: &mut [u8]) {
    let Some((head, rest)) = data.split_at_mut_checked(8) else { return };
    let halves = u64::try_from(rest.len() / 8).unwrap_or(u64::MAX);
    let mut step = halves.saturating_mul(WRAP_ROUNDS);
    let mut block = Zeroizing::new([0; 16]);
    for _ in 0..WRAP_ROUNDS {
        for half in rest.chunks_exact_mut(8).rev() {
            xor_into(head, &step.to_be_bytes());
            let (first, second) = block.split_at_mut(8);
            first.copy_from_slice(head);
            second.copy_from_slice(half);
            blocks.decrypt(&mut *block);
            let (first, second) = block.split_at(8);
            head.copy_from_slice(first);
            half.copy_from_slice(second);
            step = step.saturating_sub(1);
        }
    }
}

fn xor_into(to: &mut [u8], from: &[u8]) {
    to.iter_mut().zip(from).for_each(|(to, from)| *to ^= *from);
}

/// The next number, the big end first.
fn increment_counter(number: &mut [u8]) {
    for digit in number.iter_mut().rev() {
        *digit = digit.wrapping_add(1);
        if *digit != 0 {
            return;
        }
    }
}
