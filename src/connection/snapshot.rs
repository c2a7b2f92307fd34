//! The options of a moment, what stands outside of them, and what they mean. A snapshot is replaced as a whole, so that a
//! call goes on with those that it began with, and reading them takes no lock that a fork could leave behind locked.
//!
//! What options refer to outside is read when somebody asks for the first time what they mean, never when a connection is
//! opened, and again when it has changed since.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use arc_swap::ArcSwap;
use once_cell::race::OnceBox;

use crate::base::cache_key::CacheKey;
use crate::base::error::{Error, Result};
use crate::base::policy::Policy;
use crate::connection::interner;
use crate::key::CallbackSigner;
use crate::options::{FileDependencies, Options};
use crate::process::Process;
use crate::resolve::{self, Config, Flow, Resolution};
use crate::sys::{self, StripedSlots};
use crate::token::TokenHandle;

/// The options, and what they mean once somebody has asked.
pub(super) struct Snapshot {
    /// As they were said.
    pub(super) options_as_given: Options,
    /// What signs in the place of the options' key.
    pub(super) signer: Option<CallbackSigner>,
    policy: Policy,
    resolved: OnceBox<Resolved>,
    memoized_key: OnceBox<MemoizedCacheKey>,
    /// What it is to all connections that say the same, where it may be.
    pub(super) shared_state: Option<SharedState>,
}

/// What connections that say the same have in common.
pub(super) struct SharedState {
    /// By which they find their snapshot.
    pub(super) interner_key: CacheKey,
    /// What was got by it of late.
    pub(super) handle_slots: StripedSlots<TokenHandle>,
    process: Option<&'static Process>,
}

impl SharedState {
    pub(super) fn new(name: CacheKey, process: Option<&'static Process>) -> Self {
        Self {
            interner_key: name,
            handle_slots: process_or_current(process).slot_registry.register(),
            process,
        }
    }
}

impl Drop for SharedState {
    fn drop(&mut self) {
        interner::remove_if_unused(&self.interner_key);
        process_or_current(self.process).slot_registry.unregister(&self.handle_slots);
    }
}

/// Whose tokens they ask for, as all who say the same do.
#[derive(Clone, Copy)]
struct MemoizedCacheKey {
    /// By the key of that process, counted by forks.
    generation: u64,
    /// For whom the process acted then.
    effective_user_id: u32,
    cache_key: CacheKey,
}

struct Resolved {
    /// As they hold, with what stands outside of them.
    options: Options,
    dependencies: FileDependencies,
    resolution: Resolution,
}

impl Resolved {
    fn resolve(said: &Options, signer: Option<&CallbackSigner>, policy: Policy) -> Self {
        let mut seen = FileDependencies::empty();
        let mut options = said.resolve_secret_refs(policy, signer.is_some(), &mut seen);
        // What stands beside a key that does not sign is another's.
        let own = if signer.is_some() { None } else { resolve::resolve_signing_key(&options, policy) };
        if let Some(own) = own {
            options.apply_key_file(&own.source, own.uses_token_endpoint, policy, &mut seen);
        }
        let resolution = resolve::resolve_with(&options, signer, policy);
        if resolution.config.is_ok() {
            seen.discard_files_without_metadata();
        }
        Self { options, dependencies: seen, resolution }
    }
}

impl Snapshot {
    fn new(options: Options, signer: Option<CallbackSigner>) -> Self {
        Self {
            options_as_given: options,
            signer,
            policy: Policy::current(),
            resolved: OnceBox::new(),
            memoized_key: OnceBox::new(),
            shared_state: None,
        }
    }

    /// The same options under the policy of now.
    pub(super) fn with_current_policy(self: &Arc<Self>, process: Option<&'static Process>) -> Arc<Self> {
        if self.policy == Policy::current() {
            return Arc::clone(self);
        }
        interner::intern(self.unresolved_copy(), process)
    }

    /// The same options, not yet understood.
    fn unresolved_copy(&self) -> Self {
        Self::new(self.options_as_given.clone(), self.signer.clone())
    }

    /// Whether what was read for them is as it was then.
    pub(super) fn is_current(&self) -> bool {
        self.resolved.get().is_none_or(|understood| understood.dependencies.is_unchanged())
    }

    /// Under which they were understood.
    pub(super) fn policy(&self) -> Policy {
        self.policy
    }

    fn resolved(&self) -> &Resolved {
        let understand = || Resolved::resolve(&self.options_as_given, self.signer.as_ref(), self.policy);
        self.resolved.get_or_init(|| Box::new(understand()))
    }

    /// The options as they hold, with what stands outside of them.
    pub(super) fn options(&self) -> &Options {
        &self.resolved().options
    }

    pub(super) fn config(&self) -> Result<&Config> {
        self.resolved().resolution.config.as_ref().map_err(Clone::clone)
    }

    /// The identity of what the effective `user` gets by them in this process, which `digest` finds and which is kept.
    pub(super) fn cache_key(&self, user: u32, digest: impl Fn() -> CacheKey) -> CacheKey {
        let generation = sys::generation();
        let first =
            || Box::new(MemoizedCacheKey { generation, effective_user_id: user, cache_key: digest() });
        let kept = *self.memoized_key.get_or_init(first);
        if kept.generation == generation && kept.effective_user_id == user {
            kept.cache_key
        } else {
            digest()
        }
    }

    /// Whether they are understood, and bring a token.
    pub(super) fn has_token_flow(&self) -> bool {
        self.config().is_ok_and(|config| !matches!(config.flow, Flow::Headers(_)))
    }

    /// What is allowed and not as it should be, about the text and about its meaning.
    pub(super) fn warnings(&self) -> Vec<Error> {
        let Resolved { options, resolution, .. } = self.resolved();
        [options.warnings().as_slice(), &resolution.warnings].concat()
    }
}

/// The options of a moment and what they mean.
pub struct ConnectionView {
    pub(super) snapshot: Arc<Snapshot>,
    /// What the connection shares with others.
    pub process: &'static Process,
}

impl ConnectionView {
    /// The options.
    #[must_use]
    pub fn options(&self) -> &Options {
        self.snapshot.options()
    }

    /// What signs in the place of the key that they name.
    #[must_use]
    pub fn signer(&self) -> Option<&CallbackSigner> {
        self.snapshot.signer.as_ref()
    }

    /// What they mean.
    ///
    /// # Errors
    /// Everything that is wrong with them.
    pub fn config(&self) -> Result<&Config> {
        self.snapshot.config()
    }
}

/// The snapshot in force, which a policy that was tightened makes another, and a change of what was read for it.
pub(super) struct SnapshotCell {
    process_override: Option<&'static Process>,
    snapshot: ArcSwap<Snapshot>,
    version: AtomicU64,
}

impl SnapshotCell {
    /// What `options` say, in `process` or in that of the calling thread.
    pub(super) fn new(options: Options, process: Option<&'static Process>) -> Self {
        let snapshot = interner::intern(Snapshot::new(options, None), process);
        Self { process_override: process, snapshot: ArcSwap::new(snapshot), version: AtomicU64::new(0) }
    }

    pub(super) fn process(&self) -> &'static Process {
        process_or_current(self.process_override)
    }

    /// The process that was given, where one was.
    pub(super) fn process_override(&self) -> Option<&'static Process> {
        self.process_override
    }

    /// The snapshot after a look at what was read for it.
    pub(super) fn load_revalidated(&self) -> Arc<Snapshot> {
        let snapshot = self.load();
        if snapshot.is_current() {
            return snapshot;
        }
        // Whoever else has put another in its place by now has seen the change as well.
        self.snapshot
            .compare_and_swap(&snapshot, interner::intern(snapshot.unresolved_copy(), self.process_override));
        self.snapshot.load_full()
    }

    /// The snapshot without such a look.
    pub(super) fn load(&self) -> Arc<Snapshot> {
        let snapshot = self.snapshot.load_full();
        if snapshot.policy == Policy::current() {
            return snapshot;
        }
        self.snapshot.rcu(|snapshot| snapshot.with_current_policy(self.process_override));
        self.snapshot.load_full()
    }

    /// What `pass_on` makes of what was got of late by the snapshot. The snapshot itself is not counted.
    pub(super) fn map_shared_handle(
        &self,
        pass_on: impl FnOnce(&TokenHandle) -> Option<TokenHandle>,
    ) -> Option<TokenHandle> {
        let snapshot = self.snapshot.load();
        let slot = snapshot.shared_state.as_ref()?.handle_slots.for_current_thread()?;
        let lease = pass_on(&*slot.acquire()?);
        if lease.is_none() {
            slot.uncount_acquire();
        }
        lease
    }

    /// Changes the options, or leaves them as they are on an error.
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

    /// Changes the signer.
    pub(super) fn set_signer(&self, signer: Option<&CallbackSigner>) {
        self.snapshot.rcu(|current| {
            interner::intern(
                Snapshot::new(current.options_as_given.clone(), signer.cloned()),
                self.process_override,
            )
        });
        self.bump_version();
    }

    /// Behind the change: whoever reads the new number afterwards has read the new options too.
    fn bump_version(&self) {
        self.version.fetch_add(1, Ordering::Release);
    }

    /// A number that changes with the options and the signer. What was made of a snapshot is of now if the number that was read before
    /// the snapshot is still the same.
    pub(super) fn version(&self) -> u64 {
        self.version.load(Ordering::Acquire)
    }
}

pub(super) fn process_or_current(process: Option<&'static Process>) -> &'static Process {
    process.unwrap_or_else(Process::current)
}
