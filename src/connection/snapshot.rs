//! Snapshots: an immutable set of options together with the files they refer to and the resolved
//! configuration.
//!
//! A snapshot is replaced as a whole, so a call uses the options that were current when it began. Reading
//! takes no lock, which a fork could leave locked in the child.
//!
//! Files that options refer to are read when the options are first resolved, never when a connection is
//! opened, and again after they have changed.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use arc_swap::ArcSwap;
use once_cell::race::OnceBox;

use crate::base::cache_key::CacheKey;
use crate::base::error::Result;
use crate::base::policy::Policy;
use crate::connection::interner;
use crate::key::CallbackSigner;
use crate::options::Options;
use crate::process::Process;
use crate::resolve::{self, Config, Flow, Resolution};
use crate::sys::{self, StripedSlots};
use crate::token::TokenHandle;

/// Options and, after first use, the resolved configuration.
pub(super) struct Snapshot {
    /// Options before secret references are resolved.
    pub(super) options_as_given: Options,
    /// Signer that replaces the signing key of the options.
    pub(super) signer: Option<CallbackSigner>,
    policy: Policy,
    resolution: OnceBox<Resolution>,
    memoized_key: OnceBox<MemoizedCacheKey>,
    /// State shared by all connections with equal options; `None` if the snapshot must not be shared.
    pub(super) shared_state: Option<SharedState>,
}

/// State shared by all connections with equal options.
pub(super) struct SharedState {
    /// Key of the snapshot in the interner.
    pub(super) interner_key: CacheKey,
    /// Last token obtained with the snapshot.
    pub(super) handle_slots: StripedSlots<TokenHandle>,
    process: Option<&'static Process>,
}

impl SharedState {
    pub(super) fn new(interner_key: CacheKey, process: Option<&'static Process>) -> Self {
        Self { interner_key, handle_slots: process_or_current(process).slot_registry.register(), process }
    }
}

impl Drop for SharedState {
    fn drop(&mut self) {
        interner::remove_if_unused(&self.interner_key);
        process_or_current(self.process).slot_registry.unregister(&self.handle_slots);
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
    fn new(options: Options, signer: Option<CallbackSigner>) -> Self {
        Self {
            options_as_given: options,
            signer,
            policy: Policy::current(),
            resolution: OnceBox::new(),
            memoized_key: OnceBox::new(),
            shared_state: None,
        }
    }

    /// Returns a snapshot with the same options under the current process policy.
    pub(super) fn with_current_policy(self: &Arc<Self>, process: Option<&'static Process>) -> Arc<Self> {
        if self.policy == Policy::current() {
            return Arc::clone(self);
        }
        interner::intern(self.unresolved_copy(), process)
    }

    /// Returns a snapshot with the same options, not yet resolved.
    fn unresolved_copy(&self) -> Self {
        Self::new(self.options_as_given.clone(), self.signer.clone())
    }

    /// Whether the files that were read are unchanged.
    pub(super) fn is_current(&self) -> bool {
        self.resolution.get().is_none_or(Resolution::is_current)
    }

    /// Process policy under which the options are resolved.
    pub(super) fn policy(&self) -> Policy {
        self.policy
    }

    pub(super) fn resolution(&self) -> &Resolution {
        let resolve = || resolve::resolve_with(&self.options_as_given, self.signer.as_ref(), self.policy);
        self.resolution.get_or_init(|| Box::new(resolve()))
    }

    pub(super) fn config(&self) -> Result<&Config> {
        self.resolution().config.as_ref().map_err(Clone::clone)
    }

    /// Returns the cache key of the token for the effective `user` in this process. `digest` computes it; the
    /// result is memoized for one user and process.
    pub(super) fn cache_key(&self, user: u32, digest: impl Fn() -> CacheKey) -> CacheKey {
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
    pub(super) fn has_token_flow(&self) -> bool {
        self.config().is_ok_and(|config| !matches!(config.flow, Flow::Headers(_)))
    }
}

/// Read-only view of the current options and the resolved configuration.
pub struct ConnectionView {
    pub(super) snapshot: Arc<Snapshot>,
    /// State that all connections of the process share.
    pub process: &'static Process,
}

impl ConnectionView {
    /// Resolved options.
    #[must_use]
    pub fn resolution(&self) -> &Resolution {
        self.snapshot.resolution()
    }

    /// Options with secret references and defaults of the key file resolved.
    #[must_use]
    pub fn options(&self) -> &Options {
        &self.resolution().options
    }

    /// Signer that replaces the signing key of the options.
    #[must_use]
    pub fn signer(&self) -> Option<&CallbackSigner> {
        self.snapshot.signer.as_ref()
    }

    /// Resolved configuration.
    ///
    /// # Errors
    /// All errors in the options.
    pub fn config(&self) -> Result<&Config> {
        self.snapshot.config()
    }
}

/// Current snapshot of a connection. It is replaced after a change of the options, the process policy or a
/// file that was read.
pub(super) struct SnapshotCell {
    process_override: Option<&'static Process>,
    snapshot: ArcSwap<Snapshot>,
    version: AtomicU64,
}

impl SnapshotCell {
    /// Creates a cell for `options` in `process`; `None` means the current process.
    pub(super) fn new(options: Options, process: Option<&'static Process>) -> Self {
        let snapshot = interner::intern(Snapshot::new(options, None), process);
        Self { process_override: process, snapshot: ArcSwap::new(snapshot), version: AtomicU64::new(0) }
    }

    pub(super) fn process(&self) -> &'static Process {
        process_or_current(self.process_override)
    }

    /// Process given to [`Self::new`], if any.
    pub(super) fn process_override(&self) -> Option<&'static Process> {
        self.process_override
    }

    /// Returns the current snapshot after a check that the files that were read are unchanged. Replaces it
    /// otherwise.
    pub(super) fn load_revalidated(&self) -> Arc<Snapshot> {
        let snapshot = self.load();
        if snapshot.is_current() {
            return snapshot;
        }
        // If another thread has already replaced the snapshot, it has seen the change too.
        self.snapshot
            .compare_and_swap(&snapshot, interner::intern(snapshot.unresolved_copy(), self.process_override));
        self.snapshot.load_full()
    }

    /// Returns the current snapshot without a file check.
    pub(super) fn load(&self) -> Arc<Snapshot> {
        let snapshot = self.snapshot.load_full();
        if snapshot.policy == Policy::current() {
            return snapshot;
        }
        self.snapshot.rcu(|snapshot| snapshot.with_current_policy(self.process_override));
        self.snapshot.load_full()
    }

    /// Applies `rebind` to the last token handle of the snapshot, if any. `None` does not count as a cache
    /// hit.
    pub(super) fn map_shared_handle(
        &self,
        rebind: impl FnOnce(&TokenHandle) -> Option<TokenHandle>,
    ) -> Option<TokenHandle> {
        let snapshot = self.snapshot.load();
        let slot = snapshot.shared_state.as_ref()?.handle_slots.for_current_thread()?;
        let handle = rebind(&*slot.acquire()?);
        if handle.is_none() {
            slot.uncount_acquire();
        }
        handle
    }

    /// Changes the options; leaves them unchanged on an error.
    pub(super) fn update_options(&self, change: impl Fn(&mut Options) -> Result<()>) -> Result<()> {
        let mut outcome = Ok(());
        self.snapshot.rcu(|current| {
            let mut options = current.options_as_given.clone();
            outcome = change(&mut options);
            match outcome {
                Ok(()) => {
                    interner::intern(Snapshot::new(options, current.signer.clone()), self.process_override)
                }
                Err(_) => Arc::clone(current),
            }
        });
        self.bump_version();
        outcome
    }

    /// Replaces the signer.
    pub(super) fn set_signer(&self, signer: Option<&CallbackSigner>) {
        self.snapshot.rcu(|current| {
            interner::intern(
                Snapshot::new(current.options_as_given.clone(), signer.cloned()),
                self.process_override,
            )
        });
        self.bump_version();
    }

    /// Must be called after the change, so that a thread that reads the new version also reads the new
    /// options.
    fn bump_version(&self) {
        self.version.fetch_add(1, Ordering::Release);
    }

    /// Version of the options and the signer. A value derived from a snapshot is current if the version read
    /// before the snapshot is unchanged.
    pub(super) fn version(&self) -> u64 {
        self.version.load(Ordering::Acquire)
    }
}

pub(super) fn process_or_current(process: Option<&'static Process>) -> &'static Process {
    process.unwrap_or_else(Process::current)
}
