//! A hash map of limited size with LRU eviction.

use std::borrow::Borrow;
use std::hash::Hash;

use lru::LruCache;

/// A map that evicts the least recently used key when it is full. Not thread-safe.
///
/// Bounded because untrusted users may choose the keys. All operations take constant time.
pub struct BoundedMap<K: Eq + Hash, V> {
    /// Without a capacity of its own, so that its memory grows with its content.
    entries: LruCache<K, V>,
    capacity: usize,
}

impl<K: Eq + Hash, V> BoundedMap<K, V> {
    /// An empty map for at most `capacity` entries.
    #[must_use]
    pub fn with_capacity(capacity: usize) -> Self {
        Self { entries: LruCache::unbounded(), capacity }
    }

    /// Returns the value of `key` and marks it as used.
    pub fn get<Q: Eq + Hash + ?Sized>(&mut self, key: &Q) -> Option<&V>
    where
        K: Borrow<Q>,
    {
        self.entries.get(key)
    }

    /// Returns the value of `key`, inserting the result of `make` if there is none, and marks it as used.
    pub fn get_or_insert_with(&mut self, key: K, make: impl FnOnce() -> V) -> &mut V {
        self.evict_for(&key);
        self.entries.get_or_insert_mut(key, make)
    }

    /// Sets the value of `key` and marks it as used. Returns the value that was replaced or evicted, so that
    /// it can be dropped without the caller's lock.
    pub fn insert(&mut self, key: K, value: V) -> Option<V> {
        let evicted = self.evict_for(&key);
        evicted.or(self.entries.put(key, value))
    }

    /// Removes the value of `key` and returns it.
    pub fn remove<Q: Eq + Hash + ?Sized>(&mut self, key: &Q) -> Option<V>
    where
        K: Borrow<Q>,
    {
        self.entries.pop(key)
    }

    /// Removes all entries and returns them.
    pub fn take_all(&mut self) -> impl Iterator<Item = V> + use<K, V> {
        let entries = std::mem::replace(&mut self.entries, LruCache::unbounded());
        entries.into_iter().map(|(_, value)| value)
    }

    /// All values.
    pub fn values(&self) -> impl Iterator<Item = &V> {
        self.entries.iter().map(|(_, value)| value)
    }

    /// Number of entries.
    #[cfg(test)]
    pub(crate) fn len(&self) -> usize {
        self.entries.len()
    }

    /// Makes space for `key` and returns the value that was evicted for it.
    fn evict_for(&mut self, key: &K) -> Option<V> {
        if self.entries.len() < self.capacity || self.entries.contains(key) {
            return None;
        }
        self.entries.pop_lru().map(|(_, value)| value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn full_map_evicts_least_recently_used_key() {
        let mut map = BoundedMap::with_capacity(2);
        for key in ["one", "two"] {
            map.get_or_insert_with(key, || key.len());
        }
        assert_eq!(map.get("one"), Some(&3));
        map.get_or_insert_with("three", || 5);
        assert_eq!(map.get("two"), None);
        assert_eq!(*map.get_or_insert_with("one", || 0), 3, "the key is present");
        map.get_or_insert_with("four", || 4);
        assert_eq!(["one", "three", "four"].map(|key| map.get(key).copied()), [Some(3), None, Some(4)]);
    }

    #[test]
    fn insert_returns_replaced_or_evicted_value() {
        let mut map = BoundedMap::with_capacity(2);
        assert_eq!([map.insert("a", 1), map.insert("b", 2), map.insert("a", 3)], [None, None, Some(1)]);
        assert_eq!((map.insert("c", 4), map.get("a")), (Some(2), Some(&3)));
        map.insert("d", 5);
        assert_eq!(map.get("c"), None, "reading a key marks it as used");
    }

    #[test]
    fn remove_returns_value_once() {
        let mut map = BoundedMap::with_capacity(2);
        map.insert("a", 1);
        assert_eq!([map.remove("a"), map.remove("a")], [Some(1), None]);
    }

    #[test]
    fn take_all_empties_map() {
        let mut map = BoundedMap::with_capacity(2);
        map.insert("a", 1);
        assert_eq!(map.take_all().collect::<Vec<_>>(), [1]);
        assert_eq!(map.len(), 0);
    }

    #[test]
    fn values_are_those_of_all_keys() {
        let mut map = BoundedMap::with_capacity(2);
        map.insert("a", 1);
        map.insert("b", 2);
        assert_eq!(map.values().sum::<i32>(), 3);
    }

    #[test]
    fn known_key_of_full_map_evicts_nothing() {
        let mut map = BoundedMap::with_capacity(2);
        for key in ["one", "two", "one"] {
            map.get_or_insert_with(key, || key.len());
        }
        assert!(map.get("one").is_some() && map.get("two").is_some());
    }
}
