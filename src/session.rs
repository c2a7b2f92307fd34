//! What one connection remembers between its calls: the newest refresh token, the given token that it began with, and one
//! that the API refused.

use std::ffi::CStr;
use std::sync::Arc;

use arc_swap::ArcSwapOption;
use parking_lot::Mutex;

use crate::secret::Secret;

/// Told of each refresh token that takes the place of another, before the token that came with it is handed out.
pub type OnRefreshToken = Box<dyn Fn(&str) + Send + Sync>;

/// The memory of one connection.
#[derive(Default)]
pub struct Session {
    newest: Mutex<Option<Rotated>>,
    rejected: Mutex<Option<Secret>>,
    begun_with: Mutex<Option<Secret>>,
    on_refresh_token: ArcSwapOption<OnRefreshToken>,
}

/// The refresh token of the options, and the one that has taken its place.
struct Rotated {
    configured: Secret,
    newest: Secret,
}

impl Session {
    /// The refresh token to send where the options say `configured`.
    pub fn refresh_token(&self, configured: &Secret) -> Secret {
        let newest = self.newest.lock();
        newest
            .as_ref()
            .filter(|rotated| rotated.configured == *configured)
            .map_or(configured, |rotated| &rotated.newest)
            .clone()
    }

    /// The server sent `newest` in its place.
    pub fn rotate(&self, configured: &Secret, newest: Secret) {
        if self.refresh_token(configured) == newest {
            return;
        }
        *self.newest.lock() = Some(Rotated { configured: configured.clone(), newest: newest.clone() });
        if let Some(told) = self.on_refresh_token.load_full() {
            told(newest.reveal());
        }
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

    use super::*;

    #[test]
    fn the_newest_refresh_token_is_kept_and_told_once() {
        let told = Arc::new(Mutex::new(Vec::new()));
        let session = Session::default();
        let listener = Arc::clone(&told);
        session.set_on_refresh_token(Some(Box::new(move |token| {
            listener.lock().unwrap().push(token.to_owned())
        })));
        let configured = Secret::from("r1");
        assert_eq!(session.refresh_token(&configured).reveal(), "r1");
        session.rotate(&configured, Secret::from("r2"));
        session.rotate(&configured, Secret::from("r2"));
        assert_eq!(session.refresh_token(&configured).reveal(), "r2");
        assert_eq!(*told.lock().unwrap(), ["r2"]);
        let other = Secret::from("another, set since");
        assert_eq!(session.refresh_token(&other).reveal(), "another, set since");
    }
}
