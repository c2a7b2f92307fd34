//! Number of connections that use each token.

use std::collections::HashMap;

use parking_lot::Mutex;

use crate::base::cache_key::CacheKey;

/// Number of connections that use each token, for tokens that are logged off when the last connection is
/// closed.
#[derive(Default)]
pub struct TokenUsers(Mutex<HashMap<CacheKey, usize>>);

impl TokenUsers {
    /// Records that another connection uses the token of `key`.
    pub fn acquire(&self, key: CacheKey) {
        let mut users = self.0.lock();
        let count = users.entry(key).or_default();
        *count = count.saturating_add(1);
    }

    /// Records that a connection no longer uses the token of `key`. Returns whether it was the last one.
    pub fn release(&self, key: CacheKey) -> bool {
        let mut users = self.0.lock();
        let Some(count) = users.get_mut(&key) else { return false };
        *count = count.saturating_sub(1);
        let is_last = *count == 0;
        if is_last {
            users.remove(&key);
        }
        is_last
    }
}
