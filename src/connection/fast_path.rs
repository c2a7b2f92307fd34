//! The token of late, for callers who need nothing but it: no lock, no option and no file is looked at, nothing is copied, and
//! nothing is written that another thread or another connection writes at the same time.
//!
//! What one connection was given lies in its snapshot too, for those that say the same: a connection is new once, and a
//! program may have thousands.

use std::sync::Arc;

use super::Connection;
use super::snapshot::Snapshot;
use crate::resolve::Config;
use crate::sys::{self, SharedRef};
use crate::token::cache::{self, Requirements};
use crate::token::{AccessToken, ReuseWindow, TokenHandle};

/// How many seconds it is handed out before the cache is asked again. For so long a clock that was set back can deceive, and
/// for so long the cache may take the token for one that nobody asks for.
const REVALIDATE_AFTER_SECS: i64 = 5;

impl Connection {
    /// The token of late, if it is still what this connection would hand out.
    #[inline]
    pub(crate) fn get_cached_handle(&self) -> Option<SharedRef<TokenHandle>> {
        let slot = self.handle_slots.for_current_thread()?;
        let lease = slot.acquire()?;
        if lease.is_reusable_for(self.snapshot.version()) {
            return Some(lease);
        }
        slot.uncount_acquire();
        None
    }

    /// The token that was noted of late for all who say the same.
    pub(super) fn get_shared_handle(&self) -> Option<SharedRef<TokenHandle>> {
        let version = self.snapshot.version();
        let is_anothers = self.state.get().is_some_and(|live| live.login_state.has_id_token());
        if is_anothers {
            return None;
        }
        let lease = self.snapshot.map_shared_handle(|lease| lease.rebind(version))?;
        Some(self.store_handle(lease, version))
    }

    /// Notes `token` for the calls to come, as it was got by the snapshot of `version`.
    pub(super) fn publish_token(
        &self,
        token: Arc<AccessToken>,
        want: Requirements,
        version: u64,
        snapshot: &Snapshot,
        config: &Config,
    ) -> SharedRef<TokenHandle> {
        let clock = self.process().clock.as_ref();
        // The coarse clock may still be in the second before, in which a token that has ended already would count as good.
        let from = clock.unix_seconds();
        let until = cache::fresh_until(&token, want).min(from.saturating_add(REVALIDATE_AFTER_SECS));
        let (generation, user, policy) = (sys::generation(), sys::effective_user_id(), snapshot.policy());
        let renew_at = cache::refresh_at(&token, want);
        let terms = ReuseWindow {
            fork_generation: generation,
            effective_uid: user,
            options_version: version,
            policy,
            unix_seconds: from..until,
            refresh_at: renew_at,
            clock,
        };
        // Who holds a token that is to be logged off is counted.
        let for_all =
            config.logoff.is_none() && !self.has_private_cache(config) && !super::has_callback_signer(config);
        if let Some(slot) = snapshot
            .shared_state
            .as_ref()
            .filter(|_| for_all)
            .and_then(|common| common.handle_slots.for_current_thread())
        {
            slot.store(TokenHandle::new(Arc::clone(&token), terms.clone()));
        }
        self.store_handle(TokenHandle::new(token, terms), version)
    }

    /// Keeps `lease` for this thread, and nothing that others have had before it.
    fn store_handle(&self, lease: TokenHandle, version: u64) -> SharedRef<TokenHandle> {
        self.handle_slots.retain(|lease| lease.is_reusable_for(version));
        match self.handle_slots.for_current_thread() {
            Some(slot) => slot.store(lease),
            None => SharedRef::new(lease),
        }
    }

    /// Forgets it.
    pub(super) fn clear_cached_handles(&self) {
        let snapshot = self.snapshot.load();
        for shelf in
            snapshot.shared_state.iter().map(|common| &common.handle_slots).chain([&self.handle_slots])
        {
            shelf.retain(|_| false);
        }
    }
}
