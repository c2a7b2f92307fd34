//! The token of late, for callers who need nothing but it: no lock, no option and no file is looked at, nothing is copied, and
//! no counter is touched that other connections use.

use std::sync::Arc;

use super::Connection;
use crate::cache::{self, Want};
use crate::policy::Policy;
use crate::sys::{self, Share};
use crate::token::{Lease, Terms, Token};

/// How many seconds it is handed out before the cache is asked again. For so long a clock that was set back can deceive, and
/// for so long the cache may take the token for one that nobody asks for.
const AT_MOST: i64 = 5;

impl Connection {
    /// The token of late, if it is still what this connection would hand out.
    #[inline]
    pub(crate) fn recent(&self) -> Option<Share<Lease>> {
        self.recent.take().filter(|lease| lease.holds(self.snapshot.version()))
    }

    /// Keeps `token` for the calls to come, as it was got by the options of `version`.
    pub(super) fn note(&self, token: Arc<Token>, want: Want, version: u64, policy: Policy) -> Share<Lease> {
        let clock = self.process().clock.as_ref();
        let from = clock.coarse_unix_seconds();
        let until = cache::good_until(&token, want).min(from.saturating_add(AT_MOST));
        let generation = sys::generation();
        self.recent.put(Lease::on(token, Terms { generation, version, policy, seconds: from..until, clock }))
    }
}
