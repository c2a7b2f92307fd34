//! An access token and what the server said with it: immutable, shared by counting, wiped when last let go.
//!
//! Text is kept as C strings, since that is how it leaves the library.

pub mod cache;

use std::collections::BTreeMap;
use std::ffi::{CStr, CString};
use std::fmt;
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use zeroize::Zeroizing;

use crate::base::cache_key::CacheKey;
use crate::base::clock::Clock;
use crate::base::policy::Policy;
use crate::sys;
use crate::sys::sync::atomic::{AtomicBool, Ordering};

/// One access token with what the server said of it. It never changes.
pub struct AccessToken {
    pub(crate) value: Zeroizing<CString>,
    pub(crate) scope: Option<CString>,
    pub(crate) fields: BTreeMap<String, Zeroizing<CString>>,
    pub(crate) issued_at: i64,
    pub(crate) expires_at: Option<i64>,
    pub(crate) cache_key: CacheKey,
    pub(crate) cache_state: CacheState,
}

/// What the cache notes of a token.
pub(crate) struct CacheState {
    received_at: Duration,
    invalidated: AtomicBool,
}

impl CacheState {
    /// Of a token that has just come, at that [`boot_time`](Clock::boot_time).
    pub(crate) fn new(boot_time: Duration) -> Self {
        Self { received_at: boot_time, invalidated: AtomicBool::new(false) }
    }

    /// The [`boot_time`](Clock::boot_time) at which it came.
    pub(crate) fn received_at(&self) -> Duration {
        self.received_at
    }
}

/// A count of a token of its own, so that connections and threads do not write to the same memory for each call; in C an
/// `authgrant_token`, let go of with authgrant_token_free.
///
/// It never changes, and outlives the connection that it came from.
pub struct TokenHandle {
    token: Arc<AccessToken>,
    reuse_window: ReuseWindow,
}

/// While what a lease may be handed out again without asking the cache: as long as things are as they were.
#[derive(Clone)]
pub(crate) struct ReuseWindow {
    /// Of the process, counted by forks.
    pub(crate) fork_generation: u64,
    /// In whose name it acted.
    pub(crate) effective_uid: u32,
    /// Of the connection's options.
    pub(crate) options_version: u64,
    /// What connection strings may do.
    pub(crate) policy: Policy,
    /// The seconds in which it may be, by this clock.
    pub(crate) unix_seconds: Range<i64>,
    /// When the connection renews the token.
    pub(crate) refresh_at: Option<i64>,
    pub(crate) clock: &'static dyn Clock,
}

impl ReuseWindow {
    /// Whether all is as it was, but for the connection's options.
    fn is_open(&self, token: &AccessToken) -> bool {
        self.fork_generation == sys::generation()
            && self.policy == Policy::current()
            && !token.is_invalidated()
            && self.unix_seconds.contains(&self.clock.coarse_unix_seconds())
    }
}

impl TokenHandle {
    /// Of a token that is handed out again on these terms.
    pub(crate) fn new(token: Arc<AccessToken>, terms: ReuseWindow) -> Self {
        Self { token, reuse_window: terms }
    }

    /// Whether it may be handed out again to a connection whose options have that version.
    pub(crate) fn is_reusable_for(&self, version: u64) -> bool {
        self.reuse_window.options_version == version && self.reuse_window.is_open(&self.token)
    }

    /// The same for a connection that says the same, if that may have it now; its options have that version.
    pub(crate) fn rebind(&self, version: u64) -> Option<Self> {
        let terms = &self.reuse_window;
        let may_have_it = terms.is_open(&self.token) && terms.effective_uid == sys::effective_user_id();
        may_have_it.then(|| {
            Self::new(Arc::clone(&self.token), ReuseWindow { options_version: version, ..terms.clone() })
        })
    }

    /// When the connection renews the token, in seconds since 1970; nothing where nobody said when it expires.
    #[must_use]
    pub fn refresh_at(&self) -> Option<i64> {
        self.reuse_window.refresh_at
    }

    /// The token.
    #[must_use]
    pub fn token(&self) -> &Arc<AccessToken> {
        &self.token
    }
}

impl AccessToken {
    /// Nobody should be handed it any more; who has it may go on with it.
    pub(crate) fn invalidate(&self) {
        self.cache_state.invalidated.store(true, Ordering::Release);
    }

    /// Whether nobody should be handed it any more.
    pub(crate) fn is_invalidated(&self) -> bool {
        self.cache_state.invalidated.load(Ordering::Acquire)
    }

    /// The token to send.
    #[must_use]
    pub fn value(&self) -> &CStr {
        &self.value
    }

    /// The one type there is: `Bearer` (RFC 6750).
    #[must_use]
    pub fn token_type(&self) -> &'static CStr {
        c"Bearer"
    }

    /// Seconds since 1970 at which it ends, if that is known.
    #[must_use]
    pub fn expires_at(&self) -> Option<i64> {
        self.expires_at
    }

    /// The scope as the server said it.
    #[must_use]
    pub fn scope(&self) -> Option<&CStr> {
        self.scope.as_deref()
    }

    /// Another member of the answer, as JSON text where it is not a string.
    #[must_use]
    pub fn field(&self, name: &str) -> Option<&CStr> {
        self.fields.get(name).map(|field| field.as_c_str())
    }
}

/// When a token that is a JWT ends by its own words, which nobody has verified; nothing for any other token.
#[must_use]
pub fn unverified_jwt_exp(token: &str) -> Option<i64> {
    let mut parts = token.split('.');
    let (_, payload, _, None) = (parts.next()?, parts.next()?, parts.next()?, parts.next()) else {
        return None;
    };
    let payload = Zeroizing::new(URL_SAFE_NO_PAD.decode(payload).ok()?);
    let claims: serde_json::Value = serde_json::from_slice(&payload).ok()?;
    claims.get("exp")?.as_i64()
}

impl fmt::Debug for AccessToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Token")
            .field("value", &"****")
            .field("expires_at", &self.expires_at)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use aws_lc_rs::hmac;

    use super::*;
    use crate::base::clock::SystemClock;

    #[test]
    fn unverified_jwt_exp_reads_only_exp_claim() {
        let jwt = |claims: &str| format!("e30.{}.c2ln", URL_SAFE_NO_PAD.encode(claims));
        assert_eq!(unverified_jwt_exp(&jwt(r#"{"exp":1700000000}"#)), Some(1_700_000_000));
        for other in ["opaque", "a.b.c", "a.b", "", &jwt("{}"), &jwt(r#"{"exp":"soon"}"#), &jwt("[]")] {
            assert_eq!(unverified_jwt_exp(other), None, "{other}");
        }
        assert_eq!(unverified_jwt_exp(&format!("{}.more", jwt(r#"{"exp":1}"#))), None);
    }

    fn token() -> AccessToken {
        let secret = || Zeroizing::new(CString::from(c"hunter2"));
        AccessToken {
            value: secret(),
            scope: None,
            fields: BTreeMap::from([("id_token".to_owned(), secret())]),
            issued_at: 0,
            expires_at: None,
            cache_key: CacheKey::digest(&hmac::Key::new(hmac::HMAC_SHA256, b"test"), &"me"),
            cache_state: CacheState::new(Duration::ZERO),
        }
    }

    #[test]
    fn access_token_debug_hides_value() {
        assert!(!format!("{:?}", token()).contains("hunter2"));
    }

    #[test]
    fn rebind_requires_open_window_and_same_user() {
        static CLOCK: SystemClock = SystemClock;
        let (user, generation) = (sys::effective_user_id(), sys::generation());
        let terms = |user, generation, seconds| ReuseWindow {
            fork_generation: generation,
            effective_uid: user,
            options_version: 1,
            policy: Policy::current(),
            unix_seconds: seconds,
            refresh_at: None,
            clock: &CLOCK,
        };
        let passed_on = |terms| TokenHandle::new(Arc::new(token()), terms).rebind(2);
        let other = passed_on(terms(user, generation, 0..i64::MAX)).unwrap();
        assert!(other.is_reusable_for(2) && !other.is_reusable_for(1));
        assert!(passed_on(terms(user.wrapping_add(1), generation, 0..i64::MAX)).is_none());
        assert!(passed_on(terms(user, generation.wrapping_add(1), 0..i64::MAX)).is_none());
        assert!(passed_on(terms(user, generation, 0..1)).is_none());
        other.token().invalidate();
        assert!(other.rebind(2).is_none());
    }
}
