//! Logging in with the PIN: each PIN is presented to a token once at most, since tokens lock after a few wrong ones.
//!
//! A token is logged in for the whole process. So that nobody signs without knowing the PIN because somebody else has
//! logged in, a digest of the PIN that did it is kept, and another PIN is refused without asking the token. What is known
//! of PINs survives a fork: the child may inherit the login, and must not try a refused PIN again.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use arc_swap::ArcSwapOption;
use aws_lc_rs::hmac;
use cryptoki::error::RvError;
use cryptoki::session::{Session, SessionState, UserType};
use cryptoki::types::AuthPin;

use super::super::KeySource;
use super::token::Pkcs11Token;
use super::{error, module};
use crate::base::error::{Error, Result, Status};

/// Whoever has so many wrong PINs is guessing.
const MAX_REJECTED_PINS: usize = 1000;

type PinDigest = [u8; 32];

/// What is known of PINs. The seed is random, so that a digest tells nothing outside this process and its children.
#[derive(Clone)]
struct PinCache {
    hmac_key: hmac::Key,
    /// The PIN that a token was logged in with, by the digest of the token.
    accepted: HashMap<PinDigest, PinDigest>,
    /// Digests of PINs that a token refused; each is of the token, too.
    rejected: HashSet<PinDigest>,
}

/// A cell without a lock, which a fork could leave held in the child. Written by whoever's turn it is to log in.
static PIN_CACHE: ArcSwapOption<PinCache> = ArcSwapOption::const_empty();

/// Forgets which PINs were refused: they may be right by now.
pub(super) fn clear_rejected_pins() {
    let _turn = module::lock_login();
    if let Some(pins) = PIN_CACHE.load_full() {
        PIN_CACHE.store(Some(Arc::new(PinCache { rejected: HashSet::new(), ..PinCache::clone(&pins) })));
    }
}

impl PinCache {
    fn load_or_create() -> Option<Self> {
        if let Some(pins) = PIN_CACHE.load_full() {
            return Some(Self::clone(&pins));
        }
        let mut seed = [0; 32];
        crate::sys::fill_random(&mut seed).ok()?;
        let seed = hmac::Key::new(hmac::HMAC_SHA256, &seed);
        Some(Self { hmac_key: seed, accepted: HashMap::new(), rejected: HashSet::new() })
    }

    /// Each field with its length in front, so that no two make the same bytes.
    fn digest(&self, token: &Pkcs11Token, pin: Option<&str>) -> PinDigest {
        let mut context = hmac::Context::with_key(&self.hmac_key);
        for field in token.identity().into_iter().chain(pin) {
            context.update(&u64::try_from(field.len()).unwrap_or(u64::MAX).to_be_bytes());
            context.update(field.as_bytes());
        }
        let mut digest = PinDigest::default();
        for (to, from) in digest.iter_mut().zip(context.sign().as_ref()) {
            *to = *from;
        }
        digest
    }

    fn store(self) {
        PIN_CACHE.store(Some(Arc::new(self)));
    }
}

/// Logs `session` in, where its token wants that.
pub(super) fn login(source: &KeySource, token: &Pkcs11Token, session: &Session) -> Result<()> {
    if !token.info.login_required() {
        return Ok(());
    }
    let (pin, option) = source.single_password();
    let refuse = |text: String| source.error(Status::KeyPassword, option, text);
    let Some(pin) = pin else {
        return Err(refuse(format!("needs a PIN (set {option} to the PIN)")));
    };
    let _turn = module::lock_login();
    let mut pins = PinCache::load_or_create().ok_or_else(|| {
        source.error(Status::Internal, option, "found no random numbers to remember PINs by")
    })?;
    let (place, digest) = (pins.digest(token, None), pins.digest(token, Some(pin)));
    if pins.rejected.contains(&digest) {
        return Err(refuse(format!(
            "has refused this PIN ({option}) before, and it was not tried again, so that the token does not lock; set \
             another, or call authgrant_clear_caches if the token's PIN has changed"
        )));
    }
    if is_logged_in(session) {
        return is_same_pin(&pins, &place, &digest)
            .then_some(())
            .ok_or_else(|| refuse(different_pin_text(option)));
    }
    if let Some(reason) = login_blocked_reason(token, &pins) {
        return Err(refuse(reason.to_owned()));
    }
    let outcome = session.login(UserType::User, Some(&AuthPin::new(pin.into())));
    match outcome.as_ref().err().map(|error| (error::return_code(error), error)) {
        None => {
            pins.accepted.insert(place, digest);
            pins.store();
            Ok(())
        }
        Some((Some(RvError::UserAlreadyLoggedIn), _)) if is_same_pin(&pins, &place, &digest) => Ok(()),
        Some((Some(RvError::UserAlreadyLoggedIn), _)) => Err(refuse(different_pin_text(option))),
        Some((code, error)) => {
            if is_pin_rejected(code) {
                pins.rejected.insert(digest);
                pins.store();
            }
            Err(login_error(source, option, code, &error::describe(error)))
        }
    }
}

/// Whether the PIN is the one that the token was logged in with. Where the host has logged in by itself, nobody can say,
/// and its login is for its whole process.
fn is_same_pin(pins: &PinCache, place: &PinDigest, digest: &PinDigest) -> bool {
    pins.accepted.get(place).is_none_or(|right| right == digest)
}

fn different_pin_text(option: &str) -> String {
    format!(
        "is in use in this process with another PIN than this {option}; if the token's PIN has changed, authgrant_clear_caches \
         ends that use"
    )
}

fn is_logged_in(session: &Session) -> bool {
    let state = session.get_session_info().map(|info| info.session_state());
    matches!(state, Ok(SessionState::RoUser | SessionState::RwUser))
}

/// Why a PIN must not be presented to the token as it is now.
fn login_blocked_reason(token: &Pkcs11Token, pins: &PinCache) -> Option<&'static str> {
    if token.info.user_pin_locked() {
        Some(LOCKED_TEXT)
    } else if !token.info.user_pin_initialized() {
        Some("has no PIN yet; its maker's tool or pkcs11-tool --init-pin sets one")
    } else if token.info.user_pin_final_try() {
        Some(
            "would be locked by one more wrong PIN, and so none was tried; log in once with its maker's tool or \
             pkcs11-tool --login",
        )
    } else if pins.rejected.len() >= MAX_REJECTED_PINS {
        Some(
            "was not asked: too many wrong PINs were tried in this process; authgrant_clear_caches forgets them",
        )
    } else {
        None
    }
}

const LOCKED_TEXT: &str = "is locked after too many wrong PINs; its maker's tool or pkcs11-tool --init-pin with the PIN of the \
                      security officer unlocks it";

fn is_pin_rejected(code: Option<RvError>) -> bool {
    matches!(code, Some(RvError::PinIncorrect | RvError::PinInvalid | RvError::PinLenRange))
}

fn login_error(source: &KeySource, option: &str, code: Option<RvError>, said: &str) -> Error {
    let text = match code {
        code if is_pin_rejected(code) => format!(
            "does not take this PIN ({option}; {said}); it is not tried again in this process, so that the token does \
             not lock"
        ),
        Some(RvError::PinLocked) => LOCKED_TEXT.to_owned(),
        Some(RvError::PinExpired) => {
            "has a PIN that has expired; set a new one with its maker's tool".to_owned()
        }
        _ => return source.store_error(format!("did not let anybody log in: {said}")),
    };
    source.error(Status::KeyPassword, option, text)
}
