//! What one connection remembers between its calls: the newest refresh token, the code that was sent, the id token of an
//! administrator's consent, the given token that it began with, and one that the API refused.

use std::ffi::{CStr, CString};
use std::sync::Arc;

use arc_swap::ArcSwapOption;
use parking_lot::Mutex;
use zeroize::Zeroizing;

use crate::base::cache_key::Identity;
use crate::base::secret::Secret;

/// Told of each refresh token that takes the place of another, before the token that came with it is handed out.
pub type OnRefreshToken = Box<dyn Fn(&str) + Send + Sync>;

/// The memory of one connection.
#[derive(Default)]
pub struct Session {
    newest: Mutex<Option<Newest>>,
    logged_in: Mutex<Option<Identity>>,
    sent_code: Mutex<Option<Secret>>,
    id_token: Mutex<Option<Zeroizing<CString>>>,
    rejected: Mutex<Option<Secret>>,
    begun_with: Mutex<Option<Secret>>,
    on_refresh_token: ArcSwapOption<OnRefreshToken>,
}

/// The refresh token that was sent last to one client by one server, to go on with from what the options say.
struct Newest {
    family: Identity,
    token: Secret,
}

impl Session {
    /// The newest refresh token of `family`, if one came on this connection.
    pub fn refresh_token(&self, family: Identity) -> Option<Secret> {
        let newest = self.newest.lock();
        newest.as_ref().filter(|newest| newest.family == family).map(|newest| newest.token.clone())
    }

    /// The server sent `newest`, and `before` was the one in use.
    pub fn keep(&self, family: Identity, before: Option<&Secret>, newest: Secret) {
        if before == Some(&newest) {
            return;
        }
        *self.newest.lock() = Some(Newest { family, token: newest.clone() });
        if let Some(told) = self.on_refresh_token.load_full() {
            told(newest.reveal());
        }
    }

    /// A person's login of `family` has led to a token.
    pub fn log_in(&self, family: Identity) {
        *self.logged_in.lock() = Some(family);
    }

    /// Whether a person's login has led to a token of `family`.
    pub fn is_logged_in(&self, family: Identity) -> bool {
        *self.logged_in.lock() == Some(family)
    }

    /// Ends the login, and forgets what it brought.
    pub fn log_off(&self) {
        *self.newest.lock() = None;
        *self.logged_in.lock() = None;
        *self.id_token.lock() = None;
    }

    /// Whether `code` may be sent: each once.
    pub fn spend(&self, code: &Secret) -> bool {
        let mut sent = self.sent_code.lock();
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
    pub fn set_on_refresh_token(&self, told: Option<OnRefreshToken>) {
        self.on_refresh_token.store(told.map(Arc::new));
    }

    /// The API refused a token that the user gave.
    pub fn reject(&self, token: &CStr) {
        *self.rejected.lock() = token.to_str().ok().map(Secret::from);
    }

    /// Whether this token, which was given, is met for the first time: it is begun with once, and renewed from then on.
    pub fn begins_with(&self, token: &Secret) -> bool {
        let mut begun_with = self.begun_with.lock();
        let first = begun_with.as_ref() != Some(token);
        if first {
            *begun_with = Some(token.clone());
        }
        first
    }

    /// Whether the API has refused this very token.
    pub fn was_rejected(&self, token: &Secret) -> bool {
        self.rejected.lock().as_ref() == Some(token)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use aws_lc_rs::hmac;

    use super::*;

    fn family(name: &str) -> Identity {
        Identity::of(&hmac::Key::new(hmac::HMAC_SHA256, b"test"), &name)
    }

    #[test]
    fn the_newest_refresh_token_is_kept_and_told_once() {
        let told = Arc::new(Mutex::new(Vec::new()));
        let session = Session::default();
        let listener = Arc::clone(&told);
        session.set_on_refresh_token(Some(Box::new(move |token| {
            listener.lock().unwrap().push(token.to_owned())
        })));
        let configured = Secret::from("r1");
        assert_eq!(session.refresh_token(family("one")), None);
        session.keep(family("one"), Some(&configured), configured.clone());
        assert_eq!(session.refresh_token(family("one")), None, "nothing has changed");
        session.keep(family("one"), Some(&configured), Secret::from("r2"));
        session.keep(family("one"), Some(&Secret::from("r2")), Secret::from("r2"));
        assert_eq!(session.refresh_token(family("one")).unwrap().reveal(), "r2");
        assert_eq!(*told.lock().unwrap(), ["r2"]);
        assert_eq!(session.refresh_token(family("another, set since")), None);
    }

    #[test]
    fn each_code_is_spent_once() {
        let session = Session::default();
        assert!(session.spend(&Secret::from("one")));
        assert!(!session.spend(&Secret::from("one")));
        assert!(session.spend(&Secret::from("another")));
    }

    #[test]
    fn a_log_off_forgets_what_the_login_brought() {
        let session = Session::default();
        session.keep(family("one"), None, Secret::from("r1"));
        session.log_in(family("one"));
        session.set_id_token(Some(Zeroizing::new(CString::from(c"id"))));
        session.log_off();
        assert_eq!(session.refresh_token(family("one")), None);
        assert!(!session.is_logged_in(family("one")) && session.id_token().is_none());
    }

    #[test]
    fn login_counts_for_its_own_token_family() {
        let session = Session::default();
        assert!(!session.is_logged_in(family("one")));
        session.log_in(family("one"));
        assert!(session.is_logged_in(family("one")) && !session.is_logged_in(family("another")));
    }

    #[test]
    fn id_token_is_held_until_it_is_replaced() {
        let session = Session::default();
        assert!(!session.has_id_token() && session.id_token().is_none());
        session.set_id_token(Some(Zeroizing::new(CString::from(c"id"))));
        assert!(session.has_id_token());
        assert_eq!(session.id_token().unwrap().as_c_str(), c"id");
        session.set_id_token(None);
        assert!(!session.has_id_token() && session.id_token().is_none());
    }

    #[test]
    fn only_the_token_rejected_last_counts_as_rejected() {
        let session = Session::default();
        let (one, another) = (Secret::from("one"), Secret::from("another"));
        assert!(!session.was_rejected(&one));
        session.reject(c"one");
        assert!(session.was_rejected(&one) && !session.was_rejected(&another));
        session.reject(c"another");
        assert!(!session.was_rejected(&one) && session.was_rejected(&another));
        session.reject(c"\xff");
        assert!(!session.was_rejected(&another));
    }

    #[test]
    fn configured_token_is_used_first_once() {
        let session = Session::default();
        let (one, another) = (Secret::from("one"), Secret::from("another"));
        assert!(session.begins_with(&one) && !session.begins_with(&one));
        assert!(session.begins_with(&another) && !session.begins_with(&another));
    }
}
