//! The entries of the cache by key. All operations take constant time, however many entries there are.
//!
//! Two limits keep memory bounded: one for tokens, and a lower one for entries without a token, which failed
//! requests leave behind. So connection strings of an untrusted source, which obtain no token, evict no
//! token. An entry with a lease is never evicted: it is kept for as long as a connection uses it.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use lru::LruCache;

use super::entry::CacheEntry;
use crate::base::cache_key::CacheKey;
use crate::base::stats::{Counter, Stats};
use crate::sys::sync::Mutex;

/// Maximum number of entries without a token that no connection uses.
const MAX_WITHOUT_TOKEN: usize = 1000;

/// The entries by key.
pub(super) struct EntryMap {
    with_token: LruCache<CacheKey, Arc<CacheEntry>>,
    without_token: LruCache<CacheKey, Arc<CacheEntry>>,
    /// Leased entries that have reached the end of their LRU list.
    leased: HashMap<CacheKey, Arc<CacheEntry>>,
    /// Maximum number of entries with a token that no connection uses.
    max_tokens: usize,
    stats: Arc<Stats>,
}

/// The use of an entry, which keeps it in the cache.
pub struct Lease {
    pub(super) key: CacheKey,
    pub(super) entry: Arc<CacheEntry>,
    map: Arc<Mutex<EntryMap>>,
}

impl Lease {
    /// A lease for the entry of `key`, which is created if there is none.
    pub(super) fn acquire(map: &Arc<Mutex<EntryMap>>, key: CacheKey) -> Self {
        let entry = map.lock().lease(key);
        Self { key, entry, map: Arc::clone(map) }
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        if self.entry.leases.fetch_sub(1, Ordering::AcqRel) == 1 {
            self.map.lock().settle(self.key, &self.entry);
        }
    }
}

impl EntryMap {
    pub(super) fn new(max_tokens: usize, stats: Arc<Stats>) -> Self {
        Self {
            with_token: LruCache::unbounded(),
            without_token: LruCache::unbounded(),
            leased: HashMap::new(),
            max_tokens,
            stats,
        }
    }

    /// The entry of `key`, which becomes the most recently used one.
    pub(super) fn get(&mut self, key: &CacheKey) -> Option<&Arc<CacheEntry>> {
        self.with_token.get(key).or_else(|| self.without_token.get(key)).or_else(|| self.leased.get(key))
    }

    /// The entry of `key`, which is created if there is none.
    pub(super) fn get_or_insert(&mut self, key: CacheKey) -> Arc<CacheEntry> {
        if let Some(entry) = self.get(&key) {
            return Arc::clone(entry);
        }
        let entry = Arc::default();
        self.without_token.put(key, Arc::clone(&entry));
        entry
    }

    /// The entry of `key` with one more lease.
    fn lease(&mut self, key: CacheKey) -> Arc<CacheEntry> {
        let entry = self.get_or_insert(key);
        entry.leases.fetch_add(1, Ordering::Relaxed);
        self.evict();
        entry
    }

    /// Puts `entry` into the list where it belongs after its last lease has ended. No effect if it is no longer
    /// in the cache.
    pub(super) fn settle(&mut self, key: CacheKey, entry: &Arc<CacheEntry>) {
        let is_current = self.get(&key).is_some_and(|current| Arc::ptr_eq(current, entry));
        if !is_current {
            return;
        }
        let has_token = entry.lock().token.is_some();
        if has_token && !self.with_token.contains(&key) {
            self.remove(&key);
            self.with_token.put(key, Arc::clone(entry));
        } else if self.leased.remove(&key).is_some() {
            self.without_token.put(key, Arc::clone(entry));
        }
        self.evict();
    }

    /// Removes the entry of `key`.
    pub(super) fn remove(&mut self, key: &CacheKey) -> Option<Arc<CacheEntry>> {
        self.with_token.pop(key).or_else(|| self.without_token.pop(key)).or_else(|| self.leased.remove(key))
    }

    /// Removes all entries and returns them.
    pub(super) fn take_all(&mut self) -> Vec<Arc<CacheEntry>> {
        let empty = Self::new(self.max_tokens, Arc::clone(&self.stats));
        let Self { with_token, without_token, leased, .. } = std::mem::replace(self, empty);
        with_token.into_iter().chain(without_token).chain(leased).map(|(_, entry)| entry).collect()
    }

    pub(super) fn len(&self) -> usize {
        self.with_token.len().saturating_add(self.without_token.len()).saturating_add(self.leased.len())
    }

    /// Evicts the least recently used entries above the limits. Each entry is moved out of its list once for
    /// each lease at most, so that the cost per lookup is constant.
    fn evict(&mut self) {
        let lists = [(&mut self.with_token, self.max_tokens), (&mut self.without_token, MAX_WITHOUT_TOKEN)];
        for (list, limit) in lists {
            while list.len() > limit
                && let Some((key, entry)) = list.pop_lru()
            {
                if entry.leases.load(Ordering::Relaxed) > 0 {
                    self.leased.insert(key, entry);
                } else {
                    self.stats.count(Counter::CacheEvictions);
                }
            }
        }
    }
}
