//! The options of a moment and what they mean. A snapshot is replaced as a whole, so that a call goes on with those that it
//! began with, and reading them takes no lock that a fork could leave behind locked.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use arc_swap::ArcSwap;
use once_cell::race::OnceBox;

use crate::config::{self, Config, Resolution};
use crate::error::Result;
use crate::key::HostSigner;
use crate::options::Options;
use crate::policy::Policy;
use crate::process::Process;

/// The options, and what they mean once somebody has asked.
pub(super) struct Snapshot {
    pub(super) options: Options,
    /// What signs in the place of the options' key.
    pub(super) signer: Option<HostSigner>,
    policy: Policy,
    resolution: OnceBox<Resolution>,
}

impl Snapshot {
    fn new(options: Options, signer: Option<HostSigner>) -> Self {
        Self { options, signer, policy: Policy::current(), resolution: OnceBox::new() }
    }

    /// The same options under the policy of now.
    pub(super) fn under_policy(self: &Arc<Self>) -> Arc<Self> {
        if self.policy == Policy::current() {
            return Arc::clone(self);
        }
        Arc::new(Self::new(self.options.clone(), self.signer.clone()))
    }

    /// Under which they were understood.
    pub(super) fn policy(&self) -> Policy {
        self.policy
    }

    pub(super) fn resolution(&self) -> &Resolution {
        let resolve = || config::resolve_under(&self.options, self.signer.as_ref(), self.policy);
        self.resolution.get_or_init(|| Box::new(resolve()))
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

    /// What signs in the place of the key that they name.
    #[must_use]
    pub fn signer(&self) -> Option<&HostSigner> {
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

/// The snapshot in force, which a policy that was tightened makes another.
pub(super) struct InForce {
    snapshot: ArcSwap<Snapshot>,
    version: AtomicU64,
}

impl InForce {
    pub(super) fn new(options: Options) -> Self {
        let snapshot = Snapshot::new(options, None);
        Self { snapshot: ArcSwap::from_pointee(snapshot), version: AtomicU64::new(0) }
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
                Ok(()) => Arc::new(Snapshot::new(options, current.signer.clone())),
                Err(_) => Arc::clone(current),
            }
        });
        self.changed();
        outcome
    }

    /// Changes the signer.
    pub(super) fn set_signer(&self, signer: Option<&HostSigner>) {
        self.snapshot.rcu(|current| Arc::new(Snapshot::new(current.options.clone(), signer.cloned())));
        self.changed();
    }

    /// Behind the change: whoever reads the new number afterwards has read the new options too.
    fn changed(&self) {
        self.version.fetch_add(1, Ordering::Release);
    }

    /// A number that changes with the options and the signer. What was made of a snapshot is of now if the number that was read before
    /// the snapshot is still the same.
    pub(super) fn version(&self) -> u64 {
        self.version.load(Ordering::Acquire)
    }
}
