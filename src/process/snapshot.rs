//! Snapshots: an immutable set of options together with the files they refer to and the resolved
//! configuration.
//!
//! Connections with equal options share one snapshot, so options are resolved once and a token obtained by
//! one connection is available to all.
//!
//! Files that options refer to are read when the options are first resolved, never when a connection is
//! opened, and again after they have changed.

use std::sync::Arc;

use once_cell::race::OnceBox;

use super::Process;
use crate::base::cache_key::CacheKey;
use crate::base::error::Result;
use crate::base::policy::Policy;
use crate::key::CallbackSigner;
use crate::options::Options;
use crate::resolve::{self, Config, Flow, Resolution};
use crate::sys::{self, StripedSlots};
use crate::token::TokenHandle;

/// Options and, after first use, the resolved configuration.
pub struct Snapshot {
    /// Options before secret references are resolved.
    pub options_as_given: Options,
    /// Signer that replaces the signing key of the options.
    pub signer: Option<CallbackSigner>,
    policy: Policy,
    process: Option<&'static Process>,
    resolution: OnceBox<Resolution>,
    memoized_key: OnceBox<MemoizedCacheKey>,
    /// `None` if the snapshot must not be shared.
    shared_state: Option<SharedState>,
}

/// State shared by all connections with equal options.
struct SharedState {
    /// Key of the snapshot in the interner.
    interner_key: CacheKey,
    /// Last token obtained with the snapshot.
    handle_slots: StripedSlots<TokenHandle>,
}

impl Drop for Snapshot {
    fn drop(&mut self) {
        let Some(shared) = &self.shared_state else { return };
        // In a forked child, this is the child's process: the locks of the parent's may be locked.
        let process = Process::or_current(self.process);
        process.snapshots.remove_if_unused(&shared.interner_key);
        process.slot_registry.unregister(&shared.handle_slots);
    }
}

/// Memoized cache key of the token that the snapshot obtains.
#[derive(Clone, Copy)]
struct MemoizedCacheKey {
    /// Fork generation of the process whose secret was used.
    generation: u64,
    /// Effective user when the key was computed.
    effective_user_id: u32,
    cache_key: CacheKey,
}

impl Snapshot {
    /// A snapshot of `options` under the current process policy; that of connections with equal options if
    /// there are any. `None` means the current process.
    #[must_use]
    pub fn new(
        options: Options,
        signer: Option<CallbackSigner>,
        process: Option<&'static Process>,
    ) -> Arc<Self> {
        let mut candidate = Self {
            options_as_given: options,
            signer,
            policy: Policy::current(),
            process,
            resolution: OnceBox::new(),
            memoized_key: OnceBox::new(),
            shared_state: None,
        };
        if candidate.signer.is_some() || !candidate.options_as_given.is_self_contained() {
            return Arc::new(candidate);
        }
        let Process { cache_key_secret, snapshots, slot_registry, .. } = Process::or_current(process);
        let subject = (sys::effective_user_id(), &candidate.options_as_given, candidate.policy);
        let interner_key = CacheKey::digest(cache_key_secret, &subject);
        if let Some(existing) = snapshots.get(&interner_key).filter(|existing| existing.is_current()) {
            return existing;
        }
        candidate.shared_state = Some(SharedState { interner_key, handle_slots: slot_registry.register() });
        let snapshot = Arc::new(candidate);
        snapshots.insert(interner_key, &snapshot);
        snapshot
    }

    /// A snapshot of the same options, with the current files and the current process policy.
    #[must_use]
    pub fn renew(&self) -> Arc<Self> {
        Self::new(self.options_as_given.clone(), self.signer.clone(), self.process)
    }

    /// A snapshot with the same options under the current process policy.
    #[must_use]
    pub fn with_current_policy(self: &Arc<Self>) -> Arc<Self> {
        if self.policy == Policy::current() { Arc::clone(self) } else { self.renew() }
    }

    /// The last token of all connections with equal options; `None` if they share none.
    #[must_use]
    pub fn handle_slots(&self) -> Option<&StripedSlots<TokenHandle>> {
        self.shared_state.as_ref().map(|shared| &shared.handle_slots)
    }

    /// Key of the snapshot in the interner.
    #[cfg(test)]
    pub(crate) fn interner_key(&self) -> CacheKey {
        self.shared_state.as_ref().unwrap().interner_key
    }

    /// Whether the files that were read are unchanged.
    #[must_use]
    pub fn is_current(&self) -> bool {
        self.resolution.get().is_none_or(Resolution::is_current)
    }

    /// Process policy under which the options are resolved.
    #[must_use]
    pub fn policy(&self) -> Policy {
        self.policy
    }

    /// The resolved options.
    pub fn resolution(&self) -> &Resolution {
        let key_cache = &Process::or_current(self.process).key_cache;
        let resolve =
            || resolve::resolve_with(&self.options_as_given, self.signer.as_ref(), self.policy, key_cache);
        self.resolution.get_or_init(|| Box::new(resolve()))
    }

    /// The resolved configuration.
    ///
    /// # Errors
    /// All errors in the options.
    pub fn config(&self) -> Result<&Config> {
        self.resolution().config.as_ref().map_err(Clone::clone)
    }

    /// Returns the cache key of the token for the effective `user` in this process. `digest` computes it; the
    /// result is memoized for one user and process.
    pub fn cache_key(&self, user: u32, digest: impl Fn() -> CacheKey) -> CacheKey {
        let generation = sys::generation();
        let compute =
            || Box::new(MemoizedCacheKey { generation, effective_user_id: user, cache_key: digest() });
        let memoized = *self.memoized_key.get_or_init(compute);
        if memoized.generation == generation && memoized.effective_user_id == user {
            memoized.cache_key
        } else {
            digest()
        }
    }

    /// Whether the options are valid and obtain a token.
    #[must_use]
    pub fn has_token_flow(&self) -> bool {
        self.config().is_ok_and(|config| !matches!(config.flow, Flow::Headers(_)))
    }
}
