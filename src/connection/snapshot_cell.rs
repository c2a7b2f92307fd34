//! The current snapshot of a connection.
//!
//! A snapshot is replaced as a whole, so a call uses the options that were current when it began. Reading
//! takes no lock, which a fork could leave locked in the child.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use arc_swap::ArcSwap;

use crate::base::error::Result;
use crate::base::policy::Policy;
use crate::key::CallbackSigner;
use crate::options::Options;
use crate::process::{Process, Snapshot};
use crate::resolve::{Config, Resolution};
use crate::token::TokenHandle;

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
        let snapshot = Snapshot::new(options, None, process);
        Self { process_override: process, snapshot: ArcSwap::new(snapshot), version: AtomicU64::new(0) }
    }

    pub(super) fn process(&self) -> &'static Process {
        Process::or_current(self.process_override)
    }

    /// Returns the current snapshot after a check that the files that were read are unchanged. Replaces it
    /// otherwise.
    pub(super) fn load_revalidated(&self) -> Arc<Snapshot> {
        let snapshot = self.load();
        if snapshot.is_current() {
            return snapshot;
        }
        // If another thread has already replaced the snapshot, it has seen the change too.
        self.snapshot.compare_and_swap(&snapshot, snapshot.renew());
        self.snapshot.load_full()
    }

    /// Returns the current snapshot without a file check.
    pub(super) fn load(&self) -> Arc<Snapshot> {
        let snapshot = self.snapshot.load_full();
        if snapshot.policy() == Policy::current() {
            return snapshot;
        }
        self.snapshot.rcu(|snapshot| snapshot.with_current_policy());
        self.snapshot.load_full()
    }

    /// Applies `rebind` to the last token handle of the snapshot, if any. `None` does not count as a cache
    /// hit.
    pub(super) fn map_shared_handle(
        &self,
        rebind: impl FnOnce(&TokenHandle) -> Option<TokenHandle>,
    ) -> Option<TokenHandle> {
        let snapshot = self.snapshot.load();
        let slot = snapshot.handle_slots()?.for_current_thread()?;
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
                Ok(()) => Snapshot::new(options, current.signer.clone(), self.process_override),
                Err(_) => Arc::clone(current),
            }
        });
        self.bump_version();
        outcome
    }

    /// Replaces the signer.
    pub(super) fn set_signer(&self, signer: Option<&CallbackSigner>) {
        self.snapshot.rcu(|current| {
            Snapshot::new(current.options_as_given.clone(), signer.cloned(), self.process_override)
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
