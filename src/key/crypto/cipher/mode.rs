//! Modes of operation of block ciphers (NIST SP 800-38A), and AES key wrap with padding (RFC 5649).

use zeroize::Zeroizing;

use super::algorithm::CipherMode;

/// A block cipher with its key.
pub(super) trait BlockCipher {
    /// Block size in bytes.
    fn block_size(&self) -> usize;
    /// Encrypts one block in place.
    fn encrypt(&self, block: &mut [u8]);
    /// Decrypts one block in place.
    fn decrypt(&self, block: &mut [u8]);
}

type Plaintext = Zeroizing<Vec<u8>>;

/// First half of the alternative initial value (RFC 5649 section 3).
const AIV_PREFIX: [u8; 4] = [0xA6, 0x59, 0x59, 0xA6];
const WRAP_ROUNDS: u64 = 6;

impl CipherMode {
    /// Returns the plaintext; `None` if the IV, the length or the padding is invalid.
    pub(super) fn decrypt(self, cipher: &dyn BlockCipher, iv: &[u8], data: &[u8]) -> Option<Plaintext> {
        let plain = Zeroizing::new(data.to_vec());
        match self {
            Self::Wrap => unwrap_key(cipher, plain),
            Self::Cbc | Self::Ecb => remove_padding(cipher, decrypt_cbc_or_ecb(cipher, iv, plain)?),
            Self::Cfb | Self::Ofb | Self::Ctr => self.apply_keystream(cipher, iv, plain),
            Self::Stream => None,
        }
    }

    /// Decrypts by XOR with a keystream, for the modes that use only the encryption of the cipher.
    fn apply_keystream(self, cipher: &dyn BlockCipher, iv: &[u8], mut data: Plaintext) -> Option<Plaintext> {
        let mut state = Zeroizing::new(iv.to_vec());
        if state.len() != cipher.block_size() {
            return None;
        }
        for chunk in data.chunks_mut(cipher.block_size()) {
            let mut keystream = state.clone();
            cipher.encrypt(&mut keystream);
            match self {
                Self::Cfb => state.iter_mut().zip(&*chunk).for_each(|(to, from)| *to = *from),
                Self::Ofb => state.clone_from(&keystream),
                _ => increment_counter(&mut state),
            }
            xor_into(chunk, &keystream);
        }
        Some(data)
    }
}

/// Decrypts CBC, or ECB if `iv` is empty.
fn decrypt_cbc_or_ecb(cipher: &dyn BlockCipher, iv: &[u8], mut data: Plaintext) -> Option<Plaintext> {
    if !iv.is_empty() && iv.len() != cipher.block_size() {
        return None;
    }
    let mut previous = iv.to_vec();
    for block in data.chunks_mut(cipher.block_size()) {
        let ciphertext = block.to_vec();
        cipher.decrypt(block);
        xor_into(block, &previous);
        if !previous.is_empty() {
            previous = ciphertext;
        }
    }
    Some(data)
}

/// Removes PKCS#7 padding (RFC 5652 section 6.3).
fn remove_padding(cipher: &dyn BlockCipher, mut data: Plaintext) -> Option<Plaintext> {
    let padding = *data.last()?;
    let rest = data.len().checked_sub(usize::from(padding))?;
    let whole = data.len().is_multiple_of(cipher.block_size());
    let is_valid = (1..=cipher.block_size()).contains(&usize::from(padding));
    if !whole || !is_valid || !data.get(rest..)?.iter().all(|byte| *byte == padding) {
        return None;
    }
    data.truncate(rest);
    Some(data)
}

/// Unwraps a key (RFC 5649).
fn unwrap_key(cipher: &dyn BlockCipher, mut data: Plaintext) -> Option<Plaintext> {
    if data.len() < 16 || !data.len().is_multiple_of(8) || cipher.block_size() != 16 {
        return None;
    }
    if data.len() == 16 {
        cipher.decrypt(&mut data);
    } else {
        unwrap_rounds(cipher, &mut data);
    }
    let (head, rest) = data.split_at_checked(8)?;
    let length = u32::from_be_bytes(head.strip_prefix(&AIV_PREFIX)?.try_into().ok()?);
    let (key, padding) = rest.split_at_checked(usize::try_from(length).ok()?)?;
    let is_valid = padding.len() < 8 && padding.iter().all(|byte| *byte == 0);
    is_valid.then(|| Zeroizing::new(key.to_vec()))
}

/// Unwrapping rounds of RFC 3394 section 2.2.2.
fn unwrap_rounds(cipher: &dyn BlockCipher, data: &mut [u8]) {
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
            cipher.decrypt(&mut *block);
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

/// Increments a big-endian counter.
fn increment_counter(number: &mut [u8]) {
    for digit in number.iter_mut().rev() {
        *digit = digit.wrapping_add(1);
        if *digit != 0 {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::algorithm::CipherAlgorithm;
    use super::super::block_ciphers::new_cipher;
    use super::*;

    fn decrypt(
        algorithm: CipherAlgorithm,
        key: &[u8],
        mode: CipherMode,
        iv: &[u8],
        data: &[u8],
    ) -> Option<Vec<u8>> {
        mode.decrypt(&*new_cipher(algorithm, key)?, iv, data).map(|plain| plain.to_vec())
    }

    /// A hexadecimal number.
    fn bytes(text: &str) -> Vec<u8> {
        let digits = text.as_bytes().chunks(2).map(|pair| std::str::from_utf8(pair).unwrap());
        digits.map(|pair| u8::from_str_radix(pair, 16).unwrap()).collect()
    }

    /// Test vectors of NIST SP 800-38A sections F.3.13, F.4.1 and F.5.1.
    #[test]
    fn stream_modes_of_aes_match_nist_test_vectors() {
        let key = bytes("2b7e151628aed2a6abf7158809cf4f3c");
        let plain = bytes("6bc1bee22e409f96e93d7e117393172aae2d8a571e03ac9c9eb76fac45af8e51");
        let (iv, counter) = ("000102030405060708090a0b0c0d0e0f", "f0f1f2f3f4f5f6f7f8f9fafbfcfdfeff");
        for (mode, iv, encrypted) in [
            (CipherMode::Cfb, iv, "3b3fd92eb72dad20333449f8e83cfb4ac8a64537a0b3a93fcde3cdad9f1ce58b"),
            (CipherMode::Ofb, iv, "3b3fd92eb72dad20333449f8e83cfb4a7789508d16918f03f53c52dac54ed825"),
            (CipherMode::Ctr, counter, "874d6191b620e3261bef6864990db6ce9806f66b7970fdff8617187bb9fffdff"),
        ] {
            let decrypt = |length: usize| {
                decrypt(CipherAlgorithm::Aes, &key, mode, &bytes(iv), &bytes(encrypted)[..length])
            };
            assert_eq!(decrypt(32).as_ref(), Some(&plain), "{mode:?}");
            // The last block may be shorter.
            assert_eq!(decrypt(21).as_deref(), Some(&plain[..21]), "{mode:?}");
        }
    }

    const AES_KEY: [u8; 16] = [1; 16];

    /// Encrypts the whole blocks of `plain` with AES in ECB mode.
    fn encrypt_blocks(plain: &[u8]) -> Vec<u8> {
        let aes = new_cipher(CipherAlgorithm::Aes, &AES_KEY).unwrap();
        let mut data = plain.to_vec();
        data.chunks_exact_mut(16).for_each(|block| aes.encrypt(block));
        data
    }

    #[test]
    fn padding_must_be_whole_and_valid() {
        let unpad = |padded: &[u8]| {
            decrypt(CipherAlgorithm::Aes, &AES_KEY, CipherMode::Ecb, &[], &encrypt_blocks(padded))
        };
        let with_padding = |plain: usize, padding: &[u8]| [&vec![b'p'; plain][..], padding].concat();
        for (plain, padding) in [(15, 1), (14, 2), (0, 16), (16, 16), (31, 1)] {
            let padded = with_padding(plain, &vec![padding; usize::from(padding)]);
            assert_eq!(unpad(&padded), Some(vec![b'p'; plain]), "{plain} {padding}");
        }
        for (plain, padding) in [
            (14, &[1, 2][..]),
            (13, &[3, 2, 3]),
            (13, &[2, 3, 3]),
            (15, &[0]),
            (15, &[17]),
            // Consistent, but longer than a block.
            (15, &[17; 17]),
            // Valid padding, but not a whole block.
            (16, &[1]),
        ] {
            assert_eq!(unpad(&with_padding(plain, padding)), None, "{plain} {padding:?}");
        }
    }

    /// With keys of up to eight bytes, whose wrapping is a single block.
    #[test]
    fn unwrapped_key_length_and_padding_must_be_valid() {
        let unwrap = |length: [u8; 4], padded_key: &[u8; 8]| {
            let wrapped = encrypt_blocks(&[&AIV_PREFIX[..], &length, padded_key].concat());
            decrypt(CipherAlgorithm::Aes, &AES_KEY, CipherMode::Wrap, &[], &wrapped)
        };
        assert_eq!(unwrap([0, 0, 0, 8], b"12345678"), Some(b"12345678".to_vec()));
        assert_eq!(unwrap([0, 0, 0, 1], b"1\0\0\0\0\0\0\0"), Some(b"1".to_vec()));
        for (length, padded_key) in [
            // Padding that is not zero, or as long as half a block.
            ([0, 0, 0, 7], b"12345678"),
            ([0, 0, 0, 6], b"123456\x01\0"),
            ([0, 0, 0, 0], &[0; 8]),
            // Lengths beyond the key.
            ([0, 0, 0, 9], b"12345678"),
            ([0, 0, 1, 8], b"12345678"),
            ([1, 0, 0, 8], b"12345678"),
        ] {
            assert_eq!(unwrap(length, padded_key), None, "{length:?} {padded_key:?}");
        }
    }

    /// Data that would unwrap without the checks of the lengths.
    #[test]
    fn wrapped_key_must_have_whole_blocks_of_aes() {
        // The bytes 0 to 23, wrapped by OpenSSL.
        let key = bytes("5840df6e29b02af1ab493b705bf16ea1ae8338f4dcc176a8");
        let wrapped = bytes("5dc21dd131ca3b56c3712966eb9d1ccb01091f30279ef4b44f3c4147340012d8");
        let unwrap = |data: &[u8]| decrypt(CipherAlgorithm::Aes, &key, CipherMode::Wrap, &[], data);
        assert_eq!(unwrap(&wrapped), Some((0..24).collect()));
        assert_eq!(unwrap(&[&wrapped[..], &[0; 4]].concat()), None);
        let empty = [&AIV_PREFIX[..], &[0; 4]].concat();
        assert_eq!(unwrap(&empty), None);
        // DES cannot decrypt blocks of 16 bytes; the XOR of the numbers of the 12 rounds is 12.
        let unchanged = [&AIV_PREFIX[..], &[0, 0, 0, 16 ^ 12], &[7; 16]].concat();
        assert_eq!(decrypt(CipherAlgorithm::Des, &[1; 8], CipherMode::Wrap, &[], &unchanged), None);
    }

    /// Test vectors of RFC 5649 section 6: a key of several blocks, and one of a single block.
    #[test]
    fn key_wrap_matches_rfc5649_test_vectors() {
        let key = bytes("5840df6e29b02af1ab493b705bf16ea1ae8338f4dcc176a8");
        for (wrapped, plain) in [
            (
                "138bdeaa9b8fa7fc61f97742e72248ee5ae6ae5360d1ae6a5f54f373fa543b6a",
                "c37b7e6492584340bed12207808941155068f738",
            ),
            ("afbeb0f07dfbf5419200f2ccb50bb24f", "466f7250617369"),
        ] {
            let mut wrapped = bytes(wrapped);
            let unwrap = |wrapped: &[u8]| decrypt(CipherAlgorithm::Aes, &key, CipherMode::Wrap, &[], wrapped);
            assert_eq!(unwrap(&wrapped), Some(bytes(plain)));
            wrapped[0] ^= 1;
            assert_eq!(unwrap(&wrapped), None);
        }
    }

    /// The example in the description of IDEA by its authors.
    #[test]
    fn idea_matches_test_vector() {
        let key = bytes("00010002000300040005000600070008");
        let (plain, encrypted) = (bytes("0000000100020003"), bytes("11fbed2b01986de5"));
        let found = decrypt(CipherAlgorithm::Idea, &key, CipherMode::Ofb, &plain, &[0; 8]);
        assert_eq!(found, Some(encrypted));
    }

    #[test]
    fn iv_or_length_that_does_not_fit_is_rejected() {
        let (aes, des) =
            ((CipherAlgorithm::Aes, [1; 16].as_slice()), (CipherAlgorithm::Des, [1; 8].as_slice()));
        for ((algorithm, key), mode, iv, length) in [
            (aes, CipherMode::Cfb, 8, 16),
            (aes, CipherMode::Ctr, 0, 16),
            (aes, CipherMode::Cbc, 8, 16),
            (aes, CipherMode::Cbc, 16, 0),
            (aes, CipherMode::Ecb, 0, 15),
            (aes, CipherMode::Wrap, 0, 8),
            (aes, CipherMode::Wrap, 0, 20),
            (des, CipherMode::Wrap, 0, 24),
            (aes, CipherMode::Stream, 0, 16),
        ] {
            let found = decrypt(algorithm, key, mode, &vec![0; iv], &vec![0; length]);
            assert_eq!(found, None, "{algorithm:?} {mode:?} {iv} {length}");
        }
    }

    #[test]
    fn key_length_that_cipher_lacks_is_rejected() {
        for (algorithm, length) in [
            (CipherAlgorithm::Aes, 20),
            (CipherAlgorithm::Aria, 20),
            (CipherAlgorithm::Des, 7),
            (CipherAlgorithm::Rc2(40), 0),
            (CipherAlgorithm::Rc2(40), 129),
            (CipherAlgorithm::Rc2(0), 5),
            (CipherAlgorithm::Rc2(1025), 128),
            (CipherAlgorithm::Rc4, 16),
        ] {
            assert!(new_cipher(algorithm, &vec![1; length]).is_none(), "{algorithm:?} {length}");
        }
    }
}
