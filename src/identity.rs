//! For whom and for what a token is: one digest over everything that makes it what it is.

use std::hash::{Hash, Hasher};

use aws_lc_rs::hmac;

/// A keyed digest over everything that makes a token what it is.
///
/// The key is random for each process, so that no digest can be tried against a list of passwords elsewhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Identity([u8; 32]);

impl Identity {
    /// The identity of `subject`. What is hashed is what `Hash` is derived from: a field cannot be forgotten.
    pub fn of(key: &hmac::Key, subject: &impl Hash) -> Self {
        let mut digest = KeyedHasher(hmac::Context::with_key(key));
        subject.hash(&mut digest);
        let mut identity = [0; 32];
        identity.iter_mut().zip(digest.0.sign().as_ref()).for_each(|(to, from)| *to = *from);
        Self(identity)
    }
}

struct KeyedHasher(hmac::Context);

impl Hasher for KeyedHasher {
    fn write(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
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
}
