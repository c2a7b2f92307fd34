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
const AT_MOST: i64 = 5;

impl Connection {
    /// The token of late, if it is still what this connection would hand out.
    #[inline]
    pub(crate) fn recent(&self) -> Option<SharedRef<TokenHandle>> {
        let slot = self.recent.for_current_thread()?;
        let lease = slot.acquire()?;
        if lease.is_reusable_for(self.snapshot.version()) {
            return Some(lease);
        }
        slot.uncount_acquire();
        None
    }

    /// The token that was noted of late for all who say the same.
    pub(super) fn passed_on(&self) -> Option<SharedRef<TokenHandle>> {
        let version = self.snapshot.version();
        let is_anothers = self.live.get().is_some_and(|live| live.session.has_id_token());
        if is_anothers {
            return None;
        }
        let lease = self.snapshot.recent(|lease| lease.rebind(version))?;
        Some(self.keep(lease, version))
    }

    /// Notes `token` for the calls to come, as it was got by the snapshot of `version`.
    pub(super) fn note(
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
        let until = cache::fresh_until(&token, want).min(from.saturating_add(AT_MOST));
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
        let for_all = config.logoff.is_none() && !self.is_alone(config) && !super::signed_by_host(config);
        if let Some(slot) =
            snapshot.common.as_ref().filter(|_| for_all).and_then(|common| common.recent.for_current_thread())
        {
            slot.store(TokenHandle::new(Arc::clone(&token), terms.clone()));
        }
        self.keep(TokenHandle::new(token, terms), version)
    }

    /// Keeps `lease` for this thread, and nothing that others have had before it.
    fn keep(&self, lease: TokenHandle, version: u64) -> SharedRef<TokenHandle> {
        self.recent.retain(|lease| lease.is_reusable_for(version));
        match self.recent.for_current_thread() {
            Some(slot) => slot.store(lease),
            None => SharedRef::new(lease),
        }
    }

    /// Forgets it.
    pub(super) fn forget_recent(&self) {
        let snapshot = self.snapshot.last_seen();
        for shelf in snapshot.common.iter().map(|common| &common.recent).chain([&self.recent]) {
            shelf.retain(|_| false);
        }
    }
}
