//! Wiping of memory: `zeroize` does it byte by byte, and here it is done eight bytes at a time.

use zeroize::Zeroize;

/// Wipes all of `bytes`, room that is not in use included, and frees it.
pub fn wipe(mut bytes: Vec<u8>) {
    // What is behind the end may never have been written, and must not be looked at as bytes; so it is made some.
    bytes.resize(bytes.capacity(), 0);
    wipe_in_place(&mut bytes);
}

fn wipe_in_place(bytes: &mut [u8]) {
    // SAFETY: eight bytes of any values are a u64, and a u64 is eight bytes.
    let (head, words, tail) = unsafe { bytes.align_to_mut::<u64>() };
    head.zeroize();
    words.zeroize();
    tail.zeroize();
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_bytes_are_wiped_and_none_beside_them() {
        for (from, to) in (0..20).flat_map(|from| (from..40).map(move |to| (from, to))) {
            let mut bytes = [7; 40];
            wipe_in_place(&mut bytes[from..to]);
            assert_eq!(bytes[from..to], vec![0; to - from]);
            assert!(bytes[..from].iter().chain(&bytes[to..]).all(|byte| *byte == 7), "{from}..{to}");
        }
    }
}
