//! SEED block cipher (RFC 4269), used only to decrypt key files.
//!
//! This implementation is our own and verified with the test vectors of RFC 4269; crates for SEED exist
//! (`kisaseed`, `tc_seed`) but are not used. It is not constant-time: table lookups depend on secrets, so its
//! timing reveals them, but only to code that runs in the same process.

use zeroize::Zeroizing;

use super::mode::BlockCipher;

/// S-boxes (section 2.2): a power in GF(2^8) modulo x^8 + x^6 + x^5 + x + 1, then a matrix, given as the
/// images of the single bits, then a constant.
const S1: [u8; 256] = build_s_box(247, [0x2c, 0xd0, 0x69, 0xc2, 0x41, 0x44, 0x58, 0xe2], 169);
const S2: [u8; 256] = build_s_box(251, [0xd0, 0x2a, 0xe1, 0x2c, 0x21, 0x30, 0xa2, 0x6c], 56);
const GF_POLYNOMIAL: u8 = 0x63;

/// Output bits of the first S-box in each byte; the masks of the following S-boxes are rotated by one byte
/// each.
const SBOX_OUTPUT_MASK: u32 = 0x3fcf_f3fc;
const KEY_SCHEDULE_CONSTANT: u32 = 0x9e37_79b9;
const ROUNDS: u32 = 16;

/// SEED with its round keys, two words per round.
pub(super) struct SeedCipher(Zeroizing<Vec<(u32, u32)>>);

impl SeedCipher {
    pub(super) fn new(key: &[u8]) -> Option<Self> {
        let (mut left, mut right) = split_halves(key)?;
        let mut keys = Zeroizing::new(Vec::with_capacity(16));
        for round in 0..ROUNDS {
            let ((a, b), (c, d)) = (split_words(left), split_words(right));
            let constant = KEY_SCHEDULE_CONSTANT.rotate_left(round);
            let first = g_function(a.wrapping_add(c).wrapping_sub(constant));
            keys.push((first, g_function(b.wrapping_sub(d).wrapping_add(constant))));
            if round.is_multiple_of(2) {
                left = left.rotate_right(8);
            } else {
                right = right.rotate_left(8);
            }
        }
        Some(Self(keys))
    }

    fn run_rounds<'a>(block: &mut [u8], keys: impl Iterator<Item = &'a (u32, u32)>) {
        let Some((mut left, mut right)) = split_halves(block) else { return };
        for key in keys {
            (left, right) = (right, left ^ f_function(right, *key));
        }
        let out = (u128::from(right) << 64) | u128::from(left);
        block.copy_from_slice(&out.to_be_bytes());
    }
}

impl BlockCipher for SeedCipher {
    fn block_size(&self) -> usize {
        16
    }

    fn encrypt(&self, block: &mut [u8]) {
        Self::run_rounds(block, self.0.iter());
    }

    fn decrypt(&self, block: &mut [u8]) {
        Self::run_rounds(block, self.0.iter().rev());
    }
}

fn split_halves(block: &[u8]) -> Option<(u64, u64)> {
    let (left, right) = block.split_at_checked(8)?;
    Some((u64::from_be_bytes(left.try_into().ok()?), u64::from_be_bytes(right.try_into().ok()?)))
}

fn split_words(half: u64) -> (u32, u32) {
    let [a, b, c, d, e, f, g, h] = half.to_be_bytes();
    (u32::from_be_bytes([a, b, c, d]), u32::from_be_bytes([e, f, g, h]))
}

/// Function F (section 2.1).
fn f_function(half: u64, key: (u32, u32)) -> u64 {
    let (c, d) = split_words(half);
    let (c, d) = (c ^ key.0, d ^ key.1);
    let one = g_function(c ^ d);
    let two = g_function(one.wrapping_add(c));
    let three = g_function(two.wrapping_add(one));
    (u64::from(three.wrapping_add(two)) << 32) | u64::from(three)
}

/// Function G (section 2.2).
fn g_function(word: u32) -> u32 {
    let boxes = [&S1, &S2, &S1, &S2].into_iter().zip([0, 8, 16, 24]);
    boxes.zip(word.to_le_bytes()).fold(0, |sum, ((s_box, rotation), byte)| {
        let found = s_box.get(usize::from(byte)).copied().unwrap_or_default();
        sum ^ (u32::from_be_bytes([found; 4]) & SBOX_OUTPUT_MASK.rotate_right(rotation))
    })
}

// Evaluated only at compile time.
#[allow(clippy::arithmetic_side_effects, clippy::indexing_slicing, clippy::cast_possible_truncation)]
const fn build_s_box(power: usize, matrix: [u8; 8], constant: u8) -> [u8; 256] {
    let mut found = [constant; 256];
    let mut x = 0;
    while x < 256 {
        let (mut raised, mut times) = (1, 0);
        while times < power {
            raised = gf_multiply(raised, x as u8);
            times += 1;
        }
        let mut bit = 0;
        while bit < 8 {
            found[x] ^= matrix[bit] * (raised >> bit & 1);
            bit += 1;
        }
        x += 1;
    }
    found
}

const fn gf_multiply(mut a: u8, mut b: u8) -> u8 {
    let mut sum = 0;
    while b != 0 {
        if b & 1 != 0 {
            sum ^= a;
        }
        let carry = a >> 7 != 0;
        a <<= 1;
        if carry {
            a ^= GF_POLYNOMIAL;
        }
        b >>= 1;
    }
    sum
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The first values of the tables in RFC 4269.
    #[test]
    fn s_boxes_match_rfc4269_tables() {
        let s1 = build_s_box(247, [0x2c, 0xd0, 0x69, 0xc2, 0x41, 0x44, 0x58, 0xe2], 169);
        let s2 = build_s_box(251, [0xd0, 0x2a, 0xe1, 0x2c, 0x21, 0x30, 0xa2, 0x6c], 56);
        assert_eq!(s1[..8], [169, 133, 214, 211, 84, 29, 172, 37]);
        assert_eq!(s2[..8], [56, 232, 45, 166, 207, 222, 179, 184]);
        assert_eq!((s1, s2), (S1, S2));
    }

    /// Test vectors of appendix B.
    #[test]
    fn seed_matches_rfc4269_test_vectors() {
        for (key, plaintext, ciphertext) in [
            (0, 0x000102030405060708090a0b0c0d0e0f, 0x5ebac6e0054e166819aff1cc6d346cdb),
            (0x000102030405060708090a0b0c0d0e0f, 0, 0xc11f22f20140505084483597e4370f43),
            (
                0x4706480851e61be85d74bfb3fd956185,
                0x83a2f8a288641fb9a4e9a5cc2f131c7d,
                0xee54d13ebcae706d226bc3142cd40d4a,
            ),
        ] {
            let seed = SeedCipher::new(&u128::to_be_bytes(key)).unwrap();
            let mut block = u128::to_be_bytes(plaintext);
            seed.encrypt(&mut block);
            assert_eq!(u128::from_be_bytes(block), ciphertext);
            seed.decrypt(&mut block);
            assert_eq!(u128::from_be_bytes(block), plaintext);
        }
    }
}
