//! What one connection remembers between its calls: the newest refresh token, the code that was sent, the id token of an
//! administrator's consent, the given token that it began with, and one that the API refused.

use std::ffi::{CStr, CString};
use std::sync::Arc;

use arc_swap::ArcSwapOption;
use parking_lot::Mutex;
use zeroize::Zeroizing;

use crate::base::cache_key::CacheKey;
use crate::base::secret::Secret;

/// Told of each refresh token that takes the place of another, before the token that came with it is handed out.
pub type RefreshTokenCallback = Box<dyn Fn(&str) + Send + Sync>;

/// The memory of one connection.
#[derive(Default)]
pub struct LoginState {
    latest: Mutex<Option<LatestRefreshToken>>,
    logged_in_family: Mutex<Option<CacheKey>>,
    used_code: Mutex<Option<Secret>>,
    id_token: Mutex<Option<Zeroizing<CString>>>,
    rejected_token: Mutex<Option<Secret>>,
    seeded: Mutex<Option<Secret>>,
    refresh_token_callback: ArcSwapOption<RefreshTokenCallback>,
}

/// The refresh token that was sent last to one client by one server, to go on with from what the options say.
struct LatestRefreshToken {
    family: CacheKey,
    token: Secret,
}

impl LoginState {
    /// The newest refresh token of `family`, if one came on this connection.
    pub fn refresh_token(&self, family: CacheKey) -> Option<Secret> {
        let newest = self.latest.lock();
        newest.as_ref().filter(|newest| newest.family == family).map(|newest| newest.token.clone())
    }

    /// The server sent `newest`, and `before` was the one in use.
    pub fn store_refresh_token(&self, family: CacheKey, before: Option<&Secret>, newest: Secret) {
        if before == Some(&newest) {
            return;
        }
        *self.latest.lock() = Some(LatestRefreshToken { family, token: newest.clone() });
        if let Some(told) = self.refresh_token_callback.load_full() {
            told(newest.reveal());
        }
    }

    /// A person's login of `family` has led to a token.
    pub fn mark_logged_in(&self, family: CacheKey) {
        *self.logged_in_family.lock() = Some(family);
    }

    /// Whether a person's login has led to a token of `family`.
    pub fn is_logged_in(&self, family: CacheKey) -> bool {
        *self.logged_in_family.lock() == Some(family)
    }

    /// Ends the login, and forgets what it brought.
    pub fn clear_login(&self) {
        *self.latest.lock() = None;
        *self.logged_in_family.lock() = None;
        *self.id_token.lock() = None;
    }

    /// Whether `code` may be sent: each once.
    pub fn consume_code(&self, code: &Secret) -> bool {
        let mut sent = self.used_code.lock();
        let fresh = sent.as_ref() != Some(code);
        *sent = Some(code.clone());
        fresh
    }

    /// The id token that an administrator's consent brought.
    pub fn id_token(&self) -> Option<Zeroizing<CString>> {
        self.id_token.lock().clone()
    }

    /// Whether there is one.
    pub fn has_id_token(&self) -> bool {
        self.id_token.lock().is_some()
    }

    /// An administrator's consent brought this id token.
    pub fn set_id_token(&self, id_token: Option<Zeroizing<CString>>) {
        *self.id_token.lock() = id_token;
    }

    /// Who is told of new refresh tokens from now on.
    pub fn set_refresh_token_callback(&self, told: Option<RefreshTokenCallback>) {
        self.refresh_token_callback.store(told.map(Arc::new));
    }

    /// The API refused a token that the user gave.
    pub fn mark_rejected(&self, token: &CStr) {
        *self.rejected_token.lock() = token.to_str().ok().map(Secret::from);
    }

    /// Whether this token, which was given, is met for the first time: it is begun with once, and renewed from then on.
    pub fn seed_once(&self, token: &Secret) -> bool {
        let mut begun_with = self.seeded.lock();
        let first = begun_with.as_ref() != Some(token);
        if first {
            *begun_with = Some(token.clone());
        }
        first
    }

    /// Whether the API has refused this very token.
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
        let told = Arc::new(Mutex::new(Vec::new()));
        let session = LoginState::default();
        let listener = Arc::clone(&told);
        session.set_refresh_token_callback(Some(Box::new(move |token| {
            listener.lock().unwrap().push(token.to_owned())
        })));
        let configured = Secret::from("r1");
        assert_eq!(session.refresh_token(family_key("one")), None);
        session.store_refresh_token(family_key("one"), Some(&configured), configured.clone());
        assert_eq!(session.refresh_token(family_key("one")), None, "nothing has changed");
        session.store_refresh_token(family_key("one"), Some(&configured), Secret::from("r2"));
        session.store_refresh_token(family_key("one"), Some(&Secret::from("r2")), Secret::from("r2"));
        assert_eq!(session.refresh_token(family_key("one")).unwrap().reveal(), "r2");
        assert_eq!(*told.lock().unwrap(), ["r2"]);
        assert_eq!(session.refresh_token(family_key("another, set since")), None);
    }

    #[test]
    fn authorization_code_is_consumed_once() {
        let session = LoginState::default();
        assert!(session.consume_code(&Secret::from("one")));
        assert!(!session.consume_code(&Secret::from("one")));
        assert!(session.consume_code(&Secret::from("another")));
    }

    #[test]
    fn clear_login_discards_refresh_and_id_token() {
        let session = LoginState::default();
        session.store_refresh_token(family_key("one"), None, Secret::from("r1"));
        session.mark_logged_in(family_key("one"));
        session.set_id_token(Some(Zeroizing::new(CString::from(c"id"))));
        session.clear_login();
        assert_eq!(session.refresh_token(family_key("one")), None);
        assert!(!session.is_logged_in(family_key("one")) && session.id_token().is_none());
    }

    #[test]
    fn login_applies_to_its_own_token_family() {
        let session = LoginState::default();
        assert!(!session.is_logged_in(family_key("one")));
        session.mark_logged_in(family_key("one"));
        assert!(session.is_logged_in(family_key("one")) && !session.is_logged_in(family_key("another")));
    }

    #[test]
    fn id_token_is_stored_until_replaced() {
        let session = LoginState::default();
        assert!(!session.has_id_token() && session.id_token().is_none());
        session.set_id_token(Some(Zeroizing::new(CString::from(c"id"))));
        assert!(session.has_id_token());
        assert_eq!(session.id_token().unwrap().as_c_str(), c"id");
        session.set_id_token(None);
        assert!(!session.has_id_token() && session.id_token().is_none());
    }

    #[test]
    fn only_last_rejected_token_is_rejected() {
        let session = LoginState::default();
        let (one, another) = (Secret::from("one"), Secret::from("another"));
        assert!(!session.is_rejected(&one));
        session.mark_rejected(c"one");
        assert!(session.is_rejected(&one) && !session.is_rejected(&another));
        session.mark_rejected(c"another");
        assert!(!session.is_rejected(&one) && session.is_rejected(&another));
        session.mark_rejected(c"\xff");
        assert!(!session.is_rejected(&another));
    }

    #[test]
    fn configured_token_is_seeded_once() {
        let session = LoginState::default();
        let (one, another) = (Secret::from("one"), Secret::from("another"));
        assert!(session.seed_once(&one) && !session.seed_once(&one));
        assert!(session.seed_once(&another) && !session.seed_once(&another));
    }
}
