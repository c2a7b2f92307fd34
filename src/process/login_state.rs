//! Login state of one connection between calls: the latest refresh token, the refresh token that the server
//! rejected or revoked, the used authorization code, the ID token of an admin consent, the configured token that was put into the cache, and the configured token that
//! the API rejected.
//!
//! A *family* is the chain of refresh tokens that replace each other: those of one server for one client,
//! starting with the configured one.

use std::ffi::{CStr, CString};
use std::sync::Arc;

use arc_swap::ArcSwapOption;
use parking_lot::Mutex;
use zeroize::Zeroizing;

use crate::base::cache_key::CacheKey;
use crate::base::secret::Secret;
use crate::sys::sync::atomic::{AtomicBool, Ordering};

/// Receives each new or rotated refresh token before the access token is returned.
pub type RefreshTokenCallback = Box<dyn Fn(&str) + Send + Sync>;

/// Login state of one connection. Thread-safe.
#[derive(Default)]
pub struct LoginState {
    latest: Mutex<Option<LatestRefreshToken>>,
    logged_in_family: Mutex<Option<CacheKey>>,
    revoked_token: Mutex<Option<Secret>>,
    is_exported: AtomicBool,
    used_code: Mutex<Option<Secret>>,
    id_token: Mutex<Option<ConsentIdToken>>,
    rejected_token: Mutex<Option<Secret>>,
    seeded: Mutex<Option<Secret>>,
    refresh_token_callback: ArcSwapOption<RefreshTokenCallback>,
}

/// The refresh token that the server sent last, with its family.
struct LatestRefreshToken {
    family: CacheKey,
    token: Secret,
}

/// The ID token of an admin consent.
struct ConsentIdToken {
    /// Key of the server and the client to which consent was given.
    consent: CacheKey,
    token: Zeroizing<CString>,
}

impl LoginState {
    /// Returns the latest refresh token of `family`, if this connection received one.
    pub fn refresh_token(&self, family: CacheKey) -> Option<Secret> {
        let latest = self.latest.lock();
        latest.as_ref().filter(|latest| latest.family == family).map(|latest| latest.token.clone())
    }

    /// Stores the refresh token that the server sent, and calls the callback if it differs from the `current`
    /// one.
    pub fn store_refresh_token(&self, family: CacheKey, current: Option<&Secret>, received: Secret) {
        if current == Some(&received) {
            return;
        }
        *self.latest.lock() = Some(LatestRefreshToken { family, token: received.clone() });
        if let Some(callback) = self.refresh_token_callback.load_full() {
            self.mark_exported();
            callback(received.reveal());
        }
    }

    /// Records that a user's login returned a token of `family`.
    pub fn mark_logged_in(&self, family: CacheKey) {
        *self.logged_in_family.lock() = Some(family);
    }

    /// Whether a user's login returned a token of `family`.
    pub fn is_logged_in(&self, family: CacheKey) -> bool {
        *self.logged_in_family.lock() == Some(family)
    }

    /// Records that a refresh token was rejected by the server or revoked at LogoffURI.
    pub fn mark_revoked(&self, token: Secret) {
        *self.revoked_token.lock() = Some(token);
    }

    /// Whether `token` is the refresh token that was rejected or revoked last.
    pub fn is_revoked(&self, token: &Secret) -> bool {
        self.revoked_token.lock().as_ref() == Some(token)
    }

    /// Records that the caller received the refresh token of the login and may use it in another process.
    pub fn mark_exported(&self) {
        self.is_exported.store(true, Ordering::Relaxed);
    }

    /// Whether the caller received the refresh token of the login.
    pub fn is_exported(&self) -> bool {
        self.is_exported.load(Ordering::Relaxed)
    }

    /// Ends the login: discards the refresh token and the ID token.
    pub fn clear_login(&self) {
        self.is_exported.store(false, Ordering::Relaxed);
        *self.latest.lock() = None;
        *self.logged_in_family.lock() = None;
        *self.id_token.lock() = None;
    }

    /// Marks an authorization code as used. Returns false if it already was: a code must not be sent twice.
    pub fn consume_code(&self, code: &Secret) -> bool {
        let mut used = self.used_code.lock();
        let is_new = used.as_ref() != Some(code);
        *used = Some(code.clone());
        is_new
    }

    /// The ID token of the admin consent `consent`, if any.
    pub fn id_token(&self, consent: CacheKey) -> Option<Zeroizing<CString>> {
        let id_token = self.id_token.lock();
        id_token
            .as_ref()
            .filter(|id_token| id_token.consent == consent)
            .map(|id_token| id_token.token.clone())
    }

    /// Whether an ID token of an admin consent is stored.
    pub fn has_id_token(&self) -> bool {
        self.id_token.lock().is_some()
    }

    /// Sets or clears the ID token of the admin consent `consent`.
    pub fn set_id_token(&self, consent: CacheKey, id_token: Option<Zeroizing<CString>>) {
        *self.id_token.lock() = id_token.map(|token| ConsentIdToken { consent, token });
    }

    /// Sets the callback for new refresh tokens. None removes it.
    pub fn set_refresh_token_callback(&self, callback: Option<RefreshTokenCallback>) {
        self.refresh_token_callback.store(callback.map(Arc::new));
    }

    /// Records that the API rejected a configured token.
    pub fn mark_rejected(&self, token: &CStr) {
        *self.rejected_token.lock() = token.to_str().ok().map(Secret::from);
    }

    /// Marks a configured token as seeded into the cache. Returns false if it already was: afterwards it is
    /// refreshed, not seeded again.
    pub fn seed_once(&self, token: &Secret) -> bool {
        let mut seeded = self.seeded.lock();
        let is_new = seeded.as_ref() != Some(token);
        if is_new {
            *seeded = Some(token.clone());
        }
        is_new
    }

    /// Whether `token` is the configured token that the API rejected last.
    pub fn is_rejected(&self, token: &Secret) -> bool {
        self.rejected_token.lock().as_ref() == Some(token)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use aws_lc_rs::hmac;

    use super::*;

    fn family_key(name: &str) -> CacheKey {
        CacheKey::digest(&hmac::Key::new(hmac::HMAC_SHA256, b"test"), &name)
    }

    #[test]
    fn latest_refresh_token_is_stored_and_reported_once() {
        let reported = Arc::new(Mutex::new(Vec::new()));
        let state = LoginState::default();
        let received = Arc::clone(&reported);
        state.set_refresh_token_callback(Some(Box::new(move |token| {
            received.lock().unwrap().push(token.to_owned())
        })));
        let configured = Secret::from("r1");
        assert_eq!(state.refresh_token(family_key("one")), None);
        state.store_refresh_token(family_key("one"), Some(&configured), configured.clone());
        assert_eq!(state.refresh_token(family_key("one")), None, "an unchanged token is not stored");
        state.store_refresh_token(family_key("one"), Some(&configured), Secret::from("r2"));
        state.store_refresh_token(family_key("one"), Some(&Secret::from("r2")), Secret::from("r2"));
        assert_eq!(state.refresh_token(family_key("one")).unwrap().reveal(), "r2");
        assert_eq!(*reported.lock().unwrap(), ["r2"]);
        assert_eq!(state.refresh_token(family_key("another")), None);
    }

    #[test]
    fn only_last_refused_refresh_token_is_revoked() {
        let state = LoginState::default();
        let (one, another) = (Secret::from("one"), Secret::from("another"));
        assert!(!state.is_revoked(&one));
        state.mark_revoked(one.clone());
        assert!(state.is_revoked(&one) && !state.is_revoked(&another));
        state.mark_revoked(another.clone());
        assert!(!state.is_revoked(&one) && state.is_revoked(&another));
    }

    #[test]
    fn authorization_code_is_consumed_once() {
        let state = LoginState::default();
        assert!(state.consume_code(&Secret::from("one")));
        assert!(!state.consume_code(&Secret::from("one")));
        assert!(state.consume_code(&Secret::from("another")));
    }

    #[test]
    fn clear_login_discards_refresh_and_id_token() {
        let state = LoginState::default();
        state.store_refresh_token(family_key("one"), None, Secret::from("r1"));
        state.mark_logged_in(family_key("one"));
        state.set_id_token(family_key("one"), Some(Zeroizing::new(CString::from(c"id"))));
        state.clear_login();
        assert_eq!(state.refresh_token(family_key("one")), None);
        assert!(!state.is_logged_in(family_key("one")) && state.id_token(family_key("one")).is_none());
    }

    #[test]
    fn refresh_token_is_exported_by_callback_until_login_ends() {
        let state = LoginState::default();
        state.store_refresh_token(family_key("one"), None, Secret::from("r1"));
        assert!(!state.is_exported());
        state.set_refresh_token_callback(Some(Box::new(|_| {})));
        state.store_refresh_token(family_key("one"), Some(&Secret::from("r1")), Secret::from("r1"));
        assert!(!state.is_exported(), "the callback was not called");
        state.store_refresh_token(family_key("one"), Some(&Secret::from("r1")), Secret::from("r2"));
        assert!(state.is_exported());
        state.clear_login();
        assert!(!state.is_exported());
    }

    #[test]
    fn login_applies_to_its_own_token_family() {
        let state = LoginState::default();
        assert!(!state.is_logged_in(family_key("one")));
        state.mark_logged_in(family_key("one"));
        assert!(state.is_logged_in(family_key("one")) && !state.is_logged_in(family_key("another")));
    }

    #[test]
    fn id_token_is_stored_for_its_consent() {
        let state = LoginState::default();
        assert!(!state.has_id_token());
        let (consent, other) = (family_key("one"), family_key("other"));
        state.set_id_token(consent, Some(Zeroizing::new(CString::from(c"id"))));
        assert!(state.has_id_token());
        assert_eq!(state.id_token(consent).unwrap().as_c_str(), c"id");
        assert!(state.id_token(other).is_none());
        state.set_id_token(consent, None);
        assert!(!state.has_id_token() && state.id_token(consent).is_none());
    }

    #[test]
    fn only_last_rejected_token_is_rejected() {
        let state = LoginState::default();
        let (one, another) = (Secret::from("one"), Secret::from("another"));
        assert!(!state.is_rejected(&one));
        state.mark_rejected(c"one");
        assert!(state.is_rejected(&one) && !state.is_rejected(&another));
        state.mark_rejected(c"another");
        assert!(!state.is_rejected(&one) && state.is_rejected(&another));
        state.mark_rejected(c"\xff");
        assert!(!state.is_rejected(&another));
    }

    #[test]
    fn configured_token_is_seeded_once() {
        let state = LoginState::default();
        let (one, another) = (Secret::from("one"), Secret::from("another"));
        assert!(state.seed_once(&one) && !state.seed_once(&one));
        assert!(state.seed_once(&another) && !state.seed_once(&another));
    }
}
