//! Access tokens with the other members of the token response: immutable, reference-counted, wiped when
//! dropped.
//!
//! Text is stored as C strings, because the C API returns it as such.

pub mod cache;

use std::collections::BTreeMap;
use std::ffi::{CStr, CString};
use std::fmt;
use std::ops::Range;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use zeroize::Zeroizing;

use crate::base::cache_key::CacheKey;
use crate::base::clock::Clock;
use crate::base::json::has_too_many_values;
use crate::base::policy::Policy;
use crate::base::secret::Secret;
use crate::sys;
use crate::sys::sync::atomic::{AtomicBool, Ordering};

/// An access token with the other members of the token response. Immutable.
pub struct AccessToken {
    pub(crate) value: Zeroizing<CString>,
    pub(crate) scope: Option<CString>,
    pub(crate) fields: BTreeMap<String, Zeroizing<CString>>,
    pub(crate) issued_at: i64,
    pub(crate) expires_at: Option<i64>,
    pub(crate) cache_key: CacheKey,
    pub(crate) cache_state: CacheState,
}

/// The token cache's data about one token.
pub(crate) struct CacheState {
    received_at: Duration,
    invalidated: AtomicBool,
    exported: AtomicBool,
    /// Set if the token is in the store that processes share.
    shared: OnceLock<Option<SharedOrigin>>,
}

/// The writer of a token that this process read from the store that processes share.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SharedOrigin {
    /// The name of the machine.
    pub machine: String,
    /// The time of the write by the clock of that machine, in seconds since 1970.
    pub written_at: i64,
}

impl CacheState {
    /// State of a token that was received at `boot_time` (see [`Clock::boot_time`]).
    pub(crate) fn new(boot_time: Duration) -> Self {
        Self {
            received_at: boot_time,
            invalidated: AtomicBool::new(false),
            exported: AtomicBool::new(false),
            shared: OnceLock::new(),
        }
    }

    /// The [`boot_time`](Clock::boot_time) at which the token was received.
    pub(crate) fn received_at(&self) -> Duration {
        self.received_at
    }
}

/// A reference to an access token. Immutable and thread-safe; it outlives the connection. Release it with
/// authgrant_token_free().
pub struct TokenHandle {
    token: Arc<AccessToken>,
    reuse_window: ReuseWindow,
}

/// The conditions under which a handle may be returned again without a cache lookup.
#[derive(Clone)]
pub(crate) struct ReuseWindow {
    /// Number of forks that led to this process.
    pub(crate) fork_generation: u64,
    /// Effective user ID at the time of the cache lookup.
    pub(crate) effective_uid: u32,
    /// Version of the connection's options.
    pub(crate) options_version: u64,
    /// Policy at the time of the cache lookup.
    pub(crate) policy: Policy,
    /// Seconds of `clock` during which the handle may be reused.
    pub(crate) unix_seconds: Range<i64>,
    /// Time at which the connection refreshes the token, in seconds since 1970.
    pub(crate) refresh_at: Option<i64>,
    pub(crate) clock: &'static dyn Clock,
}

impl ReuseWindow {
    /// Whether all conditions hold, except for the user ID and the options version.
    fn is_open(&self, token: &AccessToken) -> bool {
        self.fork_generation == sys::generation()
            && self.policy == Policy::current()
            && !token.is_invalidated()
            && self.unix_seconds.contains(&self.clock.coarse_unix_seconds())
    }
}

impl TokenHandle {
    /// Creates a handle that may be reused within `reuse_window`.
    pub(crate) fn new(token: Arc<AccessToken>, reuse_window: ReuseWindow) -> Self {
        Self { token, reuse_window }
    }

    /// Whether the handle may be returned again by a connection whose options have `options_version`.
    pub(crate) fn is_reusable_for(&self, options_version: u64) -> bool {
        self.reuse_window.options_version == options_version && self.reuse_window.is_open(&self.token)
    }

    /// A handle to the same token for another connection with equal options, whose options have
    /// `options_version`. None if the reuse window is closed or the effective user ID has changed.
    pub(crate) fn rebind(&self, options_version: u64) -> Option<Self> {
        let window = &self.reuse_window;
        let is_allowed = window.is_open(&self.token) && window.effective_uid == sys::effective_user_id();
        is_allowed
            .then(|| Self::new(Arc::clone(&self.token), ReuseWindow { options_version, ..window.clone() }))
    }

    /// Time at which the connection refreshes the token, in seconds since 1970. None if the expiry is
    /// unknown.
    #[must_use]
    pub fn refresh_at(&self) -> Option<i64> {
        self.reuse_window.refresh_at
    }

    /// The access token.
    #[must_use]
    pub fn token(&self) -> &Arc<AccessToken> {
        &self.token
    }
}

impl AccessToken {
    /// Marks the token as not to be returned any more. Callers that already hold it may continue to use it.
    pub(crate) fn invalidate(&self) {
        self.cache_state.invalidated.store(true, Ordering::Release);
    }

    /// Whether the token must not be returned any more.
    pub(crate) fn is_invalidated(&self) -> bool {
        self.cache_state.invalidated.load(Ordering::Acquire)
    }

    /// Marks the token as part of a connection string that the caller received, so that another process may
    /// use it.
    pub(crate) fn mark_exported(&self) {
        self.cache_state.exported.store(true, Ordering::Relaxed);
    }

    /// Whether another process may use the token.
    pub(crate) fn is_exported(&self) -> bool {
        self.cache_state.exported.load(Ordering::Relaxed)
    }

    /// Marks the token as shared with other processes; `origin` is its writer, if that is another one.
    pub(crate) fn mark_shared(&self, origin: Option<SharedOrigin>) {
        // The first origin remains.
        let _ = self.cache_state.shared.set(origin);
    }

    /// Whether the token is shared with other processes.
    pub(crate) fn is_shared(&self) -> bool {
        self.cache_state.shared.get().is_some()
    }

    /// The writer of the token, if this process read it from the store that processes share.
    #[must_use]
    pub fn shared_origin(&self) -> Option<&SharedOrigin> {
        self.cache_state.shared.get()?.as_ref()
    }

    /// The value to send to the API.
    #[must_use]
    pub fn value(&self) -> &CStr {
        &self.value
    }

    /// The token type: always `Bearer` (RFC 6750).
    #[must_use]
    pub fn token_type(&self) -> &'static CStr {
        c"Bearer"
    }

    /// Expiry time in seconds since 1970, if known.
    #[must_use]
    pub fn expires_at(&self) -> Option<i64> {
        self.expires_at
    }

    /// The `scope` of the token response.
    #[must_use]
    pub fn scope(&self) -> Option<&CStr> {
        self.scope.as_deref()
    }

    /// Another member of the token response. A value that is not a string is returned as JSON text.
    #[must_use]
    pub fn field(&self, name: &str) -> Option<&CStr> {
        self.fields.get(name).map(|field| field.as_c_str())
    }
}

/// The `exp` claim of a token that is a JWT. The signature is not verified. None for any other token.
#[must_use]
pub fn unverified_jwt_exp(token: &str) -> Option<i64> {
    unverified_jwt_claim(token, "exp")?.as_i64()
}

/// The `nonce` claim of an ID token. The signature is not verified.
#[must_use]
pub fn unverified_jwt_nonce(token: &str) -> Option<Secret> {
    unverified_jwt_claim(token, "nonce")?.as_str().map(Secret::from)
}

/// The `jti` claim of a JWT. The signature is not verified.
#[must_use]
pub fn unverified_jwt_jti(token: &str) -> Option<String> {
    unverified_jwt_claim(token, "jti")?.as_str().map(str::to_owned)
}

/// A claim of a JWT. The signature is not verified.
pub(crate) fn unverified_jwt_claim(token: &str, name: &str) -> Option<serde_json::Value> {
    let mut parts = token.split('.');
    let (_, payload, _, None) = (parts.next()?, parts.next()?, parts.next()?, parts.next()) else {
        return None;
    };
    let payload = Zeroizing::new(URL_SAFE_NO_PAD.decode(payload).ok()?);
    if has_too_many_values(&payload) {
        return None;
    }
    let mut claims: serde_json::Value = serde_json::from_slice(&payload).ok()?;
    claims.get_mut(name).map(serde_json::Value::take)
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
        let groups = |count: usize| jwt(&format!(r#"{{"exp":1,"groups":[{}0]}}"#, "0,".repeat(count)));
        assert_eq!(unverified_jwt_exp(&groups(1000)), Some(1));
        assert_eq!(unverified_jwt_exp(&groups(20_000)), None, "too many values");
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
    fn unverified_jwt_jti_is_text() {
        let jwt = |claims: &str| format!("e30.{}.c2ln", URL_SAFE_NO_PAD.encode(claims));
        assert_eq!(unverified_jwt_jti(&jwt(r#"{"jti":"j1","exp":1}"#)).as_deref(), Some("j1"));
        for other in ["opaque", &jwt("{}"), &jwt(r#"{"jti":1}"#)] {
            assert_eq!(unverified_jwt_jti(other), None, "{other}");
        }
    }

    #[test]
    fn access_token_debug_hides_value() {
        assert_eq!(format!("{:?}", token()), r#"Token { value: "****", expires_at: None, .. }"#);
    }

    #[test]
    fn rebind_requires_open_window_and_same_user() {
        static CLOCK: SystemClock = SystemClock;
        let (user, generation) = (sys::effective_user_id(), sys::generation());
        let window = |user, generation, unix_seconds| ReuseWindow {
            fork_generation: generation,
            effective_uid: user,
            options_version: 1,
            policy: Policy::current(),
            unix_seconds,
            refresh_at: None,
            clock: &CLOCK,
        };
        let rebound = |window| TokenHandle::new(Arc::new(token()), window).rebind(2);
        let other = rebound(window(user, generation, 0..i64::MAX)).unwrap();
        assert!(other.is_reusable_for(2) && !other.is_reusable_for(1));
        assert!(rebound(window(user.wrapping_add(1), generation, 0..i64::MAX)).is_none());
        assert!(rebound(window(user, generation.wrapping_add(1), 0..i64::MAX)).is_none());
        assert!(rebound(window(user, generation, 0..1)).is_none());
        other.token().invalidate();
        assert!(other.rebind(2).is_none());
    }
}
