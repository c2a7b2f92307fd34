//! Fast path of `get_token`: returns the last token without locks, option or file checks, copies or shared
//! writes.
//!
//! The snapshot caches the last token as well, for all connections with equal options: a program may open
//! thousands of connections, and each of them has an empty cache of its own at first.

use std::sync::Arc;

use super::Connection;
use crate::process::Snapshot;
use crate::resolve::Config;
use crate::sys::{self, SharedRef, StripedSlots};
use crate::token::cache::{self, Requirements};
use crate::token::{AccessToken, ReuseWindow, TokenHandle};

/// Seconds for which the fast path returns a token before it checks the cache again. This bounds the effect
/// of a clock that was set back, and the time for which the cache may consider a token in use to be idle.
const REVALIDATE_AFTER_SECS: i64 = 5;

impl Connection {
    /// Returns the last token of this connection if it is still reusable.
    #[inline]
    pub(crate) fn get_cached_handle(&self) -> Option<SharedRef<TokenHandle>> {
        let slot = self.handle_slots.for_current_thread()?;
        let handle = slot.acquire()?;
        if handle.is_reusable_for(self.snapshot.version()) {
            return Some(handle);
        }
        slot.uncount_acquire();
        None
    }

    /// Returns the last token of all connections with equal options if it is still reusable.
    pub(super) fn get_shared_handle(&self) -> Option<SharedRef<TokenHandle>> {
        let version = self.snapshot.version();
        let has_id_token = self.state.get().is_some_and(|state| state.login_state.has_id_token());
        if has_id_token {
            return None;
        }
        let handle = self.snapshot.map_shared_handle(|handle| handle.rebind(version))?;
        Some(self.store_handle(handle, version))
    }

    /// Stores `token`, which was obtained with the snapshot of `version`, for subsequent calls.
    pub(super) fn publish_token(
        &self,
        token: Arc<AccessToken>,
        requirements: Requirements,
        version: u64,
        snapshot: &Snapshot,
        config: &Config,
    ) -> SharedRef<TokenHandle> {
        let clock = self.process().clock.as_ref();
        // Not the coarse clock, which may still be in the previous second: a token that has just expired would be
        // accepted.
        let valid_from = clock.unix_seconds();
        let valid_until =
            cache::fresh_until(&token, requirements).min(valid_from.saturating_add(REVALIDATE_AFTER_SECS));
        let reuse_window = ReuseWindow {
            fork_generation: sys::generation(),
            effective_uid: sys::effective_user_id(),
            options_version: version,
            policy: snapshot.policy(),
            unix_seconds: valid_from..valid_until,
            refresh_at: cache::refresh_at(&token, requirements),
            clock,
        };
        // Tokens with a LogoffURI count their users, which the shared slot would bypass.
        let is_shareable = config.logoff.is_none() && !self.has_private_tokens(config);
        if let Some(slot) =
            snapshot.handle_slots().filter(|_| is_shareable).and_then(StripedSlots::for_current_thread)
        {
            slot.store(TokenHandle::new(Arc::clone(&token), reuse_window.clone()));
        }
        self.store_handle(TokenHandle::new(token, reuse_window), version)
    }

    /// Stores `handle` for this thread, and drops the outdated handles of all threads.
    fn store_handle(&self, handle: TokenHandle, version: u64) -> SharedRef<TokenHandle> {
        self.handle_slots.retain(|handle| handle.is_reusable_for(version));
        match self.handle_slots.for_current_thread() {
            Some(slot) => slot.store(handle),
            None => SharedRef::new(handle),
        }
    }

    /// Drops all handles of this connection and of its snapshot.
    pub(super) fn clear_cached_handles(&self) {
        let snapshot = self.snapshot.load();
        let shared_slots = snapshot.handle_slots();
        for slots in shared_slots.into_iter().chain([&self.handle_slots]) {
            slots.retain(|_| false);
        }
    }
}
