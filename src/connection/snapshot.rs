//! The options of a moment and what they mean. A snapshot is replaced as a whole, so that a call goes on with those that it
//! began with, and reading them takes no lock that a fork could leave behind locked.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use arc_swap::ArcSwap;
use once_cell::race::OnceBox;

use crate::config::{self, Config, Resolution};
use crate::error::Result;
use crate::options::Options;
use crate::policy::Policy;
use crate::process::Process;

/// The options, and what they mean once somebody has asked.
pub(super) struct Snapshot {
    pub(super) options: Options,
    policy: Policy,
    resolution: OnceBox<Resolution>,
}

impl Snapshot {
    pub(super) fn new(options: Options) -> Self {
        Self { options, policy: Policy::current(), resolution: OnceBox::new() }
    }

    /// The same options under the policy of now.
    pub(super) fn under_policy(self: &Arc<Self>) -> Arc<Self> {
        if self.policy == Policy::current() {
            return Arc::clone(self);
        }
        Arc::new(Self::new(self.options.clone()))
    }

    /// Under which they were understood.
    pub(super) fn policy(&self) -> Policy {
        self.policy
    }

    pub(super) fn resolution(&self) -> &Resolution {
        self.resolution.get_or_init(|| Box::new(config::resolve_under(&self.options, self.policy)))
    }

    pub(super) fn config(&self) -> Result<&Config> {
        self.resolution().config.as_ref().map_err(Clone::clone)
    }
}

/// The options of a moment and what they mean.
pub struct View {
    pub(super) snapshot: Arc<Snapshot>,
    /// What the connection shares with others.
    pub process: &'static Process,
}

impl View {
    /// The options.
    #[must_use]
    pub fn options(&self) -> &Options {
        &self.snapshot.options
    }

    /// What they mean.
    ///
    /// # Errors
    /// Everything that is wrong with them.
    pub fn config(&self) -> Result<&Config> {
        self.snapshot.config()
    }
}

/// The snapshot in force, which a policy that was tightened makes another.
pub(super) struct InForce {
    snapshot: ArcSwap<Snapshot>,
    version: AtomicU64,
}

impl InForce {
    pub(super) fn new(options: Options) -> Self {
        Self { snapshot: ArcSwap::from_pointee(Snapshot::new(options)), version: AtomicU64::new(0) }
    }

    pub(super) fn load_full(&self) -> Arc<Snapshot> {
        let snapshot = self.snapshot.load_full();
        if snapshot.policy == Policy::current() {
            return snapshot;
        }
        self.snapshot.rcu(Snapshot::under_policy);
        self.snapshot.load_full()
    }

    /// Changes the options, or leaves them as they are on an error.
    pub(super) fn change(&self, change: impl Fn(&mut Options) -> Result<()>) -> Result<()> {
        let mut outcome = Ok(());
        self.snapshot.rcu(|current| {
            let mut options = current.options.clone();
            outcome = change(&mut options);
            match outcome {
                Ok(()) => Arc::new(Snapshot::new(options)),
                Err(_) => Arc::clone(current),
            }
        });
        // Behind the change: whoever reads the new number afterwards has read the new options too.
        self.version.fetch_add(1, Ordering::Release);
        outcome
    }

    /// A number that changes with the options. What was made of a snapshot is of now if the number that was read before
    /// the snapshot is still the same.
    pub(super) fn version(&self) -> u64 {
        self.version.load(Ordering::Acquire)
    }
}
