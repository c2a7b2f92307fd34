//! Interner: equal values share one allocation for as long as one of them is in use.

use std::collections::HashMap;
use std::sync::{Arc, Weak};

use parking_lot::Mutex;

use crate::base::cache_key::CacheKey;

/// The values in use, by a digest of their content.
pub struct Interner<T>(Mutex<HashMap<CacheKey, Weak<T>>>);

impl<T> Default for Interner<T> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}

impl<T> Interner<T> {
    pub(super) fn get(&self, key: &CacheKey) -> Option<Arc<T>> {
        self.0.lock().get(key).and_then(Weak::upgrade)
    }

    pub(super) fn insert(&self, key: CacheKey, value: &Arc<T>) {
        self.0.lock().insert(key, Arc::downgrade(value));
    }

    /// Removes the value of `key` after its last owner dropped it. A new value may already have replaced it.
    pub(super) fn remove_if_unused(&self, key: &CacheKey) {
        let mut values = self.0.lock();
        if values.get(key).is_some_and(|value| value.strong_count() == 0) {
            values.remove(key);
        }
    }

    /// The number of owners of the value of `key`; `None` if it is not in the interner.
    #[cfg(test)]
    pub(crate) fn owner_count(&self, key: &CacheKey) -> Option<usize> {
        self.0.lock().get(key).map(Weak::strong_count)
    }
}
