//! How a block cipher decrypts more than one block (NIST SP 800-38A), and AES a key in particular (RFC 5649).

use zeroize::Zeroizing;

use super::Mode;

/// A block cipher with its key.
pub(super) trait Blocks {
    /// How many bytes a block has.
    fn size(&self) -> usize;
    /// Encrypts the one block in its place.
    fn encrypt(&self, block: &mut [u8]);
    /// Decrypts the one block in its place.
    fn decrypt(&self, block: &mut [u8]);
}

type Plain = Zeroizing<Vec<u8>>;

/// The first half of what stands before a wrapped key, and how often it was stirred.
const WRAPPED: [u8; 4] = [0xA6, 0x59, 0x59, 0xA6];
const STIRRED: u64 = 6;

impl Mode {
    /// The plain text; nothing if vector, length or padding do not fit.
    pub(super) fn decrypt(self, blocks: &dyn Blocks, vector: &[u8], data: &[u8]) -> Option<Plain> {
        let plain = Zeroizing::new(data.to_vec());
        match self {
            Self::Wrap => unwrap(blocks, plain),
            Self::Cbc | Self::Ecb => unpadded(blocks, chained(blocks, vector, plain)?),
            Self::Cfb | Self::Ofb | Self::Ctr => self.masked(blocks, vector, plain),
            Self::Stream => None,
        }
    }

    /// For the modes that only ever encrypt: what is encrypted is a mask.
    fn masked(self, blocks: &dyn Blocks, vector: &[u8], mut data: Plain) -> Option<Plain> {
        let mut state = Zeroizing::new(vector.to_vec());
        if state.len() != blocks.size() {
            return None;
        }
        for part in data.chunks_mut(blocks.size()) {
            let mut mask = state.clone();
            blocks.encrypt(&mut mask);
            match self {
                Self::Cfb => state.iter_mut().zip(&*part).for_each(|(to, from)| *to = *from),
                Self::Ofb => state.clone_from(&mask),
                _ => count(&mut state),
            }
            add(part, &mask);
        }
        Some(data)
    }
}

/// Each block decrypted and masked by the encrypted one before it, the first one by the vector; without one, by nothing.
fn chained(blocks: &dyn Blocks, vector: &[u8], mut data: Plain) -> Option<Plain> {
    if !vector.is_empty() && vector.len() != blocks.size() {
        return None;
    }
    let mut before = vector.to_vec();
    for block in data.chunks_mut(blocks.size()) {
        let sealed = block.to_vec();
        blocks.decrypt(block);
        add(block, &before);
        if !before.is_empty() {
            before = sealed;
        }
    }
    Some(data)
}

/// Without the padding of PKCS#7 (RFC 5652 section 6.3).
fn unpadded(blocks: &dyn Blocks, mut data: Plain) -> Option<Plain> {
    let padding = *data.last()?;
    let rest = data.len().checked_sub(usize::from(padding))?;
    let whole = data.len().is_multiple_of(blocks.size());
    let sound = (1..=blocks.size()).contains(&usize::from(padding));
    if !whole || !sound || !data.get(rest..)?.iter().all(|byte| *byte == padding) {
        return None;
    }
    data.truncate(rest);
    Some(data)
}

/// The key in RFC 5649's wrapping.
fn unwrap(blocks: &dyn Blocks, mut data: Plain) -> Option<Plain> {
    if data.len() < 16 || !data.len().is_multiple_of(8) || blocks.size() != 16 {
        return None;
    }
    if data.len() == 16 {
        blocks.decrypt(&mut data);
    } else {
        stir_back(blocks, &mut data);
    }
    let (head, rest) = data.split_at_checked(8)?;
    let length =
        head.strip_prefix(&WRAPPED)?.iter().fold(0, |length, byte| (length << 8) | usize::from(*byte));
    let (key, padding) = rest.split_at_checked(length)?;
    let sound = padding.len() < 8 && padding.iter().all(|byte| *byte == 0);
    sound.then(|| Zeroizing::new(key.to_vec()))
}

/// RFC 3394 section 2.2.2.
fn stir_back(blocks: &dyn Blocks, data: &mut [u8]) {
    let Some((head, rest)) = data.split_at_mut_checked(8) else { return };
    let halves = u64::try_from(rest.len() / 8).unwrap_or(u64::MAX);
    let mut step = halves.saturating_mul(STIRRED);
    let mut block = Zeroizing::new([0; 16]);
    for _ in 0..STIRRED {
        for half in rest.chunks_exact_mut(8).rev() {
            add(head, &step.to_be_bytes());
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

fn add(to: &mut [u8], from: &[u8]) {
    to.iter_mut().zip(from).for_each(|(to, from)| *to ^= *from);
}

/// The next number, the big end first.
fn count(number: &mut [u8]) {
    for digit in number.iter_mut().rev() {
        *digit = digit.wrapping_add(1);
        if *digit != 0 {
            return;
        }
    }
}
