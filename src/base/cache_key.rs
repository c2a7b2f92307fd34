//! Cache keys: keyed digests (HMAC-SHA-256) of everything that a cached token or signing key depends on.

use std::hash::{Hash, Hasher};

use aws_lc_rs::hmac;

use crate::base::secret::SecretBytes;

/// The key of a cached token or a cached signing key: a digest of everything that the entry depends on.
///
/// The HMAC key is random for each process, so that a digest cannot be tested offline against a list of
/// passwords.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct CacheKey([u8; 32]);

impl CacheKey {
    /// Digests `subject` through its `Hash` implementation. A derived `Hash` covers every field, so none can
    /// be missed.
    pub fn digest(key: &hmac::Key, subject: &impl Hash) -> Self {
        let mut hasher = KeyedHasher {
            context: hmac::Context::with_key(key),
            buffer: SecretBytes::with_capacity(BUFFER_LEN),
        };
        subject.hash(&mut hasher);
        hasher.flush();
        let mut digest = [0; 32];
        digest.iter_mut().zip(hasher.context.sign().as_ref()).for_each(|(to, from)| *to = *from);
        Self(digest)
    }

    /// A part of the digest that identifies the entry in this process, in hexadecimal. It says nothing about the
    /// subject.
    pub(crate) fn to_short_hex(self) -> String {
        self.0.iter().take(8).map(|byte| format!("{byte:02x}")).collect()
    }

    /// For tests: the first 32 bytes of `name`. Needs no crypto library, which Miri cannot run.
    #[cfg(test)]
    pub(crate) fn from_name(name: &str) -> Self {
        let mut digest = [0; 32];
        digest.iter_mut().zip(name.bytes()).for_each(|(to, from)| *to = from);
        Self(digest)
    }

    /// The first 16 bits of the digest. They are as random as the HMAC key.
    pub(crate) fn leading_bits(&self) -> u16 {
        let [first, second, ..] = self.0;
        u16::from_be_bytes([first, second])
    }
}

/// Buffer size in bytes. `Hash` writes about a hundred small chunks, and each HMAC update has a fixed cost.
const BUFFER_LEN: usize = 512;

struct KeyedHasher {
    context: hmac::Context,
    /// Bytes that are not digested yet. Never grows, because a reallocation would leave unwiped copies in
    /// memory.
    buffer: SecretBytes,
}

impl KeyedHasher {
    fn flush(&mut self) {
        self.context.update(&self.buffer);
        self.buffer.clear();
    }
}

impl Hasher for KeyedHasher {
    fn write(&mut self, bytes: &[u8]) {
        if self.buffer.len().saturating_add(bytes.len()) > BUFFER_LEN {
            self.flush();
        }
        if bytes.len() > BUFFER_LEN {
            self.context.update(bytes);
        } else {
            self.buffer.extend_from_slice(bytes);
        }
    }

    /// Lengths and enum discriminants. Values below 255 take one byte: at eight bytes each they would make up
    /// half of the input.
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
        0 // unused: `CacheKey::digest` takes the whole HMAC
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cache_key(subject: &str) -> CacheKey {
        CacheKey::digest(&hmac::Key::new(hmac::HMAC_SHA256, b"test"), &subject)
    }

    #[test]
    fn digest_depends_on_subject_and_key() {
        let other = hmac::Key::new(hmac::HMAC_SHA256, b"another");
        assert_eq!(cache_key("a"), cache_key("a"));
        assert_ne!(cache_key("a"), cache_key("b"));
        assert_ne!(cache_key("a"), CacheKey::digest(&other, &"a"));
        let key = hmac::Key::new(hmac::HMAC_SHA256, b"test");
        assert_ne!(CacheKey::digest(&key, &("ab", "c")), CacheKey::digest(&key, &("a", "bc")));
    }

    #[test]
    fn integers_of_any_size_hash_differently() {
        let key = hmac::Key::new(hmac::HMAC_SHA256, b"test");
        let numbers = [0, 1, 254, 255, 256, 0xff00, usize::MAX];
        let all: std::collections::HashSet<_> =
            numbers.iter().map(|number| CacheKey::digest(&key, number)).collect();
        assert_eq!(all.len(), numbers.len());
        assert_ne!(CacheKey::digest(&key, &[1_usize, 255]), CacheKey::digest(&key, &[255_usize, 1]));
        assert_ne!(CacheKey::digest(&key, &Some(0_isize)), CacheKey::digest(&key, &None::<isize>));
        assert_ne!(CacheKey::digest(&key, &-1_isize), CacheKey::digest(&key, &1_isize));
        struct LengthThenBytes<'a>(usize, &'a [u8]);
        impl Hash for LengthThenBytes<'_> {
            fn hash<H: Hasher>(&self, state: &mut H) {
                self.0.hash(state);
                state.write(self.1);
            }
        }
        let (short, long) = (LengthThenBytes(255, &256_usize.to_ne_bytes()), LengthThenBytes(256, &[]));
        assert_ne!(CacheKey::digest(&key, &short), CacheKey::digest(&key, &long));
    }

    #[test]
    fn digest_is_independent_of_chunking() {
        struct ChunkedBytes<'a>(&'a [u8], [usize; 2]);
        impl Hash for ChunkedBytes<'_> {
            fn hash<H: Hasher>(&self, state: &mut H) {
                let mut rest = self.0;
                for size in self.1.into_iter().cycle() {
                    if rest.is_empty() {
                        break;
                    }
                    let (chunk, after) = rest.split_at(size.min(rest.len()));
                    state.write(chunk);
                    rest = after;
                }
            }
        }
        let key = hmac::Key::new(hmac::HMAC_SHA256, b"test");
        let bytes: Vec<u8> = (0..=255).cycle().take(2000).collect();
        let mac = hmac::sign(&key, &bytes);
        for sizes in
            [[1, 7], [BUFFER_LEN - 1, 1], [BUFFER_LEN, 3], [3, BUFFER_LEN], [5, BUFFER_LEN + 1], [2000, 1]]
        {
            assert_eq!(CacheKey::digest(&key, &ChunkedBytes(&bytes, sizes)).0, mac.as_ref(), "{sizes:?}");
        }
    }
}
