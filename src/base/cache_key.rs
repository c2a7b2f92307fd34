//! For whom and for what a token or an opened key is: one digest over everything that makes it what it is.

use std::hash::{Hash, Hasher};

use aws_lc_rs::hmac;

use crate::base::secret::SecretBytes;

/// A keyed digest over everything that makes a token, or an opened key, what it is.
///
/// The key is random for each process, so that no digest can be tried against a list of passwords elsewhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Identity([u8; 32]);

impl Identity {
    /// The identity of `subject`. What is hashed is what `Hash` is derived from: a field cannot be forgotten.
    pub fn of(key: &hmac::Key, subject: &impl Hash) -> Self {
        let mut hasher = KeyedHasher {
            context: hmac::Context::with_key(key),
            pieces: SecretBytes::with_capacity(AT_ONCE),
        };
        subject.hash(&mut hasher);
        hasher.flush();
        let mut identity = [0; 32];
        identity.iter_mut().zip(hasher.context.sign().as_ref()).for_each(|(to, from)| *to = *from);
        Self(identity)
    }

    /// Its first 16 bits, which are as random as the key of the digest.
    pub(crate) fn leading_bits(&self) -> u16 {
        let [first, second, ..] = self.0;
        u16::from_be_bytes([first, second])
    }
}

/// How many bytes are gathered before they are digested: `Hash` gives a hundred small pieces, and each has its price.
const AT_ONCE: usize = 512;

struct KeyedHasher {
    context: hmac::Context,
    /// Which are not digested yet. It never grows, as that would leave copies behind.
    pieces: SecretBytes,
}

impl KeyedHasher {
    fn flush(&mut self) {
        self.context.update(&self.pieces);
        self.pieces.clear();
    }
}

impl Hasher for KeyedHasher {
    fn write(&mut self, bytes: &[u8]) {
        if self.pieces.len().saturating_add(bytes.len()) > AT_ONCE {
            self.flush();
        }
        if bytes.len() > AT_ONCE {
            self.context.update(bytes);
        } else {
            self.pieces.extend_from_slice(bytes);
        }
    }

    /// Lengths, and the variants of enums: they are small and many, and would be half of all at eight bytes each.
    fn write_usize(&mut self, number: usize) {
        match u8::try_from(number).ok().filter(|small| *small < u8::MAX) {
            Some(small) => self.write(&[small]),
            None => {
                self.write(&[u8::MAX]);
                self.write(&number.to_ne_bytes());
            }
        }
    }

    fn write_isize(&mut self, number: isize) {
        self.write_usize(number.cast_unsigned());
    }

    fn finish(&self) -> u64 {
        0 // the whole digest is taken instead
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn identity(subject: &str) -> Identity {
        Identity::of(&hmac::Key::new(hmac::HMAC_SHA256, b"test"), &subject)
    }

    #[test]
    fn identities_are_equal_for_equal_subjects_under_one_key_only() {
        let other = hmac::Key::new(hmac::HMAC_SHA256, b"another");
        assert_eq!(identity("a"), identity("a"));
        assert_ne!(identity("a"), identity("b"));
        assert_ne!(identity("a"), Identity::of(&other, &"a"));
        let key = hmac::Key::new(hmac::HMAC_SHA256, b"test");
        assert_ne!(Identity::of(&key, &("ab", "c")), Identity::of(&key, &("a", "bc")));
    }

    #[test]
    fn numbers_of_any_size_are_told_from_each_other() {
        let key = hmac::Key::new(hmac::HMAC_SHA256, b"test");
        let numbers = [0, 1, 254, 255, 256, 0xff00, usize::MAX];
        let all: std::collections::HashSet<_> = numbers.iter().map(|one| Identity::of(&key, one)).collect();
        assert_eq!(all.len(), numbers.len());
        assert_ne!(Identity::of(&key, &[1_usize, 255]), Identity::of(&key, &[255_usize, 1]));
        assert_ne!(Identity::of(&key, &Some(0_isize)), Identity::of(&key, &None::<isize>));
        assert_ne!(Identity::of(&key, &-1_isize), Identity::of(&key, &1_isize));
        struct Before<'a>(usize, &'a [u8]);
        impl Hash for Before<'_> {
            fn hash<H: Hasher>(&self, state: &mut H) {
                self.0.hash(state);
                state.write(self.1);
            }
        }
        let (short, long) = (Before(255, &256_usize.to_ne_bytes()), Before(256, &[]));
        assert_ne!(Identity::of(&key, &short), Identity::of(&key, &long));
    }

    #[test]
    fn pieces_of_any_length_are_digested_as_they_follow_each_other() {
        struct Pieces<'a>(&'a [u8], [usize; 2]);
        impl Hash for Pieces<'_> {
            fn hash<H: Hasher>(&self, state: &mut H) {
                let mut rest = self.0;
                for size in self.1.into_iter().cycle() {
                    if rest.is_empty() {
                        break;
                    }
                    let (piece, behind) = rest.split_at(size.min(rest.len()));
                    state.write(piece);
                    rest = behind;
                }
            }
        }
        let key = hmac::Key::new(hmac::HMAC_SHA256, b"test");
        let bytes: Vec<u8> = (0..=255).cycle().take(2000).collect();
        let whole = hmac::sign(&key, &bytes);
        for sizes in [[1, 7], [AT_ONCE - 1, 1], [AT_ONCE, 3], [3, AT_ONCE], [5, AT_ONCE + 1], [2000, 1]] {
            assert_eq!(Identity::of(&key, &Pieces(&bytes, sizes)).0, whole.as_ref(), "{sizes:?}");
        }
    }
}
