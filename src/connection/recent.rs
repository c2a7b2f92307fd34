//! The token of late, for callers who need nothing but it: no lock, no option and no file is looked at, nothing is copied, and
//! no counter is touched that other connections use.

use std::ptr;
use std::sync::Arc;

use arc_swap::ArcSwapOption;

use super::Connection;
use crate::cache::{self, Want};
use crate::policy::Policy;
use crate::process::Process;
use crate::token::{Lease, Token};

/// How many seconds it is handed out before the cache is asked again. For so long a clock that was set back can deceive, and
/// for so long the cache may take the token for one that nobody asks for.
const AT_MOST: i64 = 5;

/// The slot of a connection.
#[derive(Default)]
pub(super) struct Recent(ArcSwapOption<Seen>);

struct Seen {
    lease: Arc<Lease>,
    /// As things were when it was put here.
    process: &'static Process,
    version: u64,
    policy: Policy,
    /// By the wall clock.
    from: i64,
    until: i64,
}

impl Connection {
    /// The token of late, if it is still what this connection would hand out.
    pub(super) fn recent(&self) -> Option<Arc<Lease>> {
        let slot = self.recent.0.load();
        let seen = slot.as_ref()?;
        let process = self.process();
        let now = process.clock.coarse_unix_seconds();
        let holds = (seen.from..seen.until).contains(&now)
            && ptr::eq(seen.process, process)
            && seen.version == self.snapshot.version()
            && seen.policy == Policy::current()
            && !seen.lease.token().is_retired();
        holds.then(|| Arc::clone(&seen.lease))
    }

    /// Empties the slot.
    pub(super) fn forget_recent(&self) {
        self.recent.0.store(None);
    }

    /// Puts `token` into the slot, as it was got by the options of `version`, and counts it for this connection.
    pub(super) fn note(&self, token: Arc<Token>, want: Want, version: u64, policy: Policy) -> Arc<Lease> {
        let process = self.process();
        let from = process.clock.coarse_unix_seconds();
        let until = cache::good_until(&token, want).min(from.saturating_add(AT_MOST));
        let before = self.recent.0.load();
        let lease = match before.as_ref().filter(|seen| Arc::ptr_eq(seen.lease.token(), &token)) {
            Some(seen) => Arc::clone(&seen.lease),
            None => Lease::of(token),
        };
        let seen = Seen { lease: Arc::clone(&lease), process, version, policy, from, until };
        self.recent.0.store(Some(Arc::new(seen)));
        lease
    }
}
