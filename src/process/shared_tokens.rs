//! What a process remembers of shared tokens.

use parking_lot::Mutex;

use crate::base::bounded_map::BoundedMap;
use crate::sys;
use crate::token_store::EntryName;

/// The maximum number of entries that are remembered; untrusted connection strings may name any number.
const MAX_ENTRIES: usize = 10_000;

/// The maximum number of rejected tokens that are remembered, and of replaced refresh tokens.
const MAX_REJECTED: usize = 1_000;

/// The generations that this process has seen, the tokens that it rejected, and the refresh tokens that it has
/// replaced. Thread-safe.
pub struct SharedTokens {
    generations: Mutex<BoundedMap<EntryName, u64>>,
    rejected: Mutex<BoundedMap<[u8; 32], ()>>,
    replaced: Mutex<BoundedMap<[u8; 32], ()>>,
    machine: String,
}

impl Default for SharedTokens {
    fn default() -> Self {
        Self {
            generations: Mutex::new(BoundedMap::with_capacity(MAX_ENTRIES)),
            rejected: Mutex::new(BoundedMap::with_capacity(MAX_REJECTED)),
            replaced: Mutex::new(BoundedMap::with_capacity(MAX_REJECTED)),
            machine: sys::host_name(),
        }
    }
}

impl SharedTokens {
    /// The greatest generation of the entry `name` that this process has read or written; 0 for none.
    pub fn seen_generation(&self, name: &EntryName) -> u64 {
        self.generations.lock().get(name).copied().unwrap_or_default()
    }

    /// Records that this process has read or written a generation.
    pub fn record_generation(&self, name: &EntryName, generation: u64) {
        let mut generations = self.generations.lock();
        let seen = generations.get_or_insert_with(name.clone(), || generation);
        *seen = generation.max(*seen);
    }

    /// Records that the API rejected the token with this digest.
    pub fn mark_rejected(&self, digest: [u8; 32]) {
        self.rejected.lock().insert(digest, ());
    }

    /// Whether the API rejected the token with this digest in this process.
    pub fn is_rejected(&self, digest: &[u8; 32]) -> bool {
        self.rejected.lock().get(digest).is_some()
    }

    /// Records that the refresh token with this digest was replaced by one that this process received.
    pub fn mark_replaced(&self, digest: [u8; 32]) {
        self.replaced.lock().insert(digest, ());
    }

    /// Whether the refresh token with this digest was replaced by one that this process received.
    pub fn is_replaced(&self, digest: &[u8; 32]) -> bool {
        self.replaced.lock().get(digest).is_some()
    }

    /// The name of this machine.
    pub fn machine(&self) -> &str {
        &self.machine
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn greatest_generation_is_remembered() {
        let tokens = SharedTokens::default();
        let (name, other) = (EntryName::from_digest([1; 32]), EntryName::from_digest([2; 32]));
        assert_eq!(tokens.seen_generation(&name), 0);
        for (generation, seen) in [(5, 5), (3, 5), (6, 6)] {
            tokens.record_generation(&name, generation);
            assert_eq!(tokens.seen_generation(&name), seen);
        }
        assert_eq!(tokens.seen_generation(&other), 0);
    }

    #[test]
    fn rejected_and_replaced_tokens_are_remembered() {
        let tokens = SharedTokens::default();
        tokens.mark_rejected([1; 32]);
        assert!(tokens.is_rejected(&[1; 32]) && !tokens.is_rejected(&[2; 32]));
        assert!(!tokens.is_replaced(&[1; 32]));
        tokens.mark_replaced([2; 32]);
        assert!(tokens.is_replaced(&[2; 32]) && !tokens.is_rejected(&[2; 32]));
    }
}
