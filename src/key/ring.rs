//! The opened keys of one process: a store is read and decrypted once, not for each signature.
//!
//! A key is kept under a digest of all that opened it, so that a wrong password never meets the right one's key; the
//! passwords themselves are not kept. A file that has changed since is opened anew.

use std::collections::HashMap;
use std::sync::Arc;

use aws_lc_rs::hmac;
use parking_lot::Mutex;

use super::file::Stamp;
use super::{KeySource, SigningKey, open_with_stamp};
use crate::error::Result;
use crate::secret::Secret;

/// Beyond this, the key that was opened first goes.
const MOST: usize = 1000;

type Digest = [u8; 32];

struct Kept {
    key: Arc<SigningKey>,
    stamp: Stamp,
    opened: u64,
}

#[derive(Default)]
struct Keys {
    kept: HashMap<Digest, Kept>,
    opened: u64,
}

/// Opened keys, shared.
pub struct KeyRing {
    seed: hmac::Key,
    keys: Mutex<Keys>,
}

impl KeyRing {
    /// An empty ring; `seed` is random, so that a digest of a password tells nothing outside this process.
    #[must_use]
    pub fn new(seed: [u8; 32]) -> Self {
        Self {
            seed: hmac::Key::new(hmac::HMAC_SHA256, &seed),
            keys: Mutex::default(),
        }
    }

    /// The key of `source`: the one opened before if nothing has changed, else opened now.
    ///
    /// Looks at the file each time. Only successes are kept.
    pub fn key(&self, source: &KeySource) -> Result<Arc<SigningKey>> {
        let digest = self.digest(source);
        if let Some(stamp) = Stamp::now(source)
            && let Some(key) = self.kept(&digest, stamp)
        {
            return Ok(key);
        }
        // Without the lock: a slow key derivation must not hold up other connections.
        let (key, stamp) = open_with_stamp(source)?;
        let key = Arc::new(key);
        self.keep(digest, Arc::clone(&key), stamp);
        Ok(key)
    }

    /// Forgets all keys; those handed out live on with their holders.
    pub fn clear(&self) {
        self.keys.lock().kept.clear();
    }

    fn kept(&self, digest: &Digest, stamp: Stamp) -> Option<Arc<SigningKey>> {
        let keys = self.keys.lock();
        let kept = keys.kept.get(digest).filter(|kept| kept.stamp == stamp)?;
        Some(Arc::clone(&kept.key))
    }

    fn keep(&self, digest: Digest, key: Arc<SigningKey>, stamp: Stamp) {
        let mut keys = self.keys.lock();
        keys.opened = keys.opened.wrapping_add(1);
        let opened = keys.opened;
        if keys.kept.len() >= MOST && !keys.kept.contains_key(&digest) {
            let oldest = keys.kept.iter().min_by_key(|(_, kept)| kept.opened);
            if let Some(oldest) = oldest.map(|(digest, _)| *digest) {
                keys.kept.remove(&oldest);
            }
        }
        keys.kept.insert(digest, Kept { key, stamp, opened });
    }

    /// Each field with its length in front, so that no two sources make the same bytes.
    fn digest(&self, source: &KeySource) -> Digest {
        let fields = [
            Some(source.store.as_str()),
            source.alias.as_deref(),
            source.password.as_ref().map(Secret::reveal),
            source.key_password.as_ref().map(Secret::reveal),
        ];
        let mut context = hmac::Context::with_key(&self.seed);
        for field in fields {
            let length = field.map(|field| u64::try_from(field.len()).unwrap_or(u64::MAX));
            context.update(&[u8::from(length.is_some())]);
            context.update(&length.unwrap_or_default().to_be_bytes());
            context.update(field.unwrap_or_default().as_bytes());
        }
        let mut digest = Digest::default();
        for (to, from) in digest.iter_mut().zip(context.sign().as_ref()) {
            *to = *from;
        }
        digest
    }
}

#[cfg(test)]
mod tests {
    use super::super::fixtures::Place;
    use super::*;

    #[test]
    fn a_ring_stays_bounded() {
        let place = Place::new();
        let ring = KeyRing::new([7; 32]);
        let source = place.fixture("ec.pem", None);
        let first = ring.key(&source.clone().alias_is("0")).unwrap();
        for number in 1..=1000 {
            ring.key(&source.clone().alias_is(&number.to_string())).unwrap();
        }
        assert_eq!(ring.keys.lock().kept.len(), 1000);
        assert!(!Arc::ptr_eq(&first, &ring.key(&source.alias_is("0")).unwrap()));
    }
}
