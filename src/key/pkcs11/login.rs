//! PIN login: each PIN is presented to a token at most once, because tokens lock after a few wrong PINs.
//!
//! A login applies to the whole process. To prevent signing without knowledge of the PIN after another caller
//! has logged in, a digest of the accepted PIN is kept, and any other PIN is rejected without presenting it
//! to the token. The PIN cache survives a fork: the child may inherit the login and must not retry a rejected
//! PIN.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use arc_swap::ArcSwapOption;
use aws_lc_rs::hmac;
use cryptoki::error::RvError;
use cryptoki::session::{Session, SessionState, UserType};
use cryptoki::types::AuthPin;

use super::token::Pkcs11Token;
use super::{error, module};
use crate::base::error::{Error, ErrorKind, KeyError, Result};
use crate::key::source::KeySource;

/// Maximum number of rejected PINs, which is reached only by guessing. Then no PIN is presented any more: a
/// bounded map would forget a rejected PIN, and present it again.
const MAX_REJECTED_PINS: usize = 1000;

type PinDigest = [u8; 32];

/// Accepted and rejected PINs. The HMAC key is random, so that a digest is useless outside this process and
/// its children.
#[derive(Clone)]
struct PinCache {
    hmac_key: hmac::Key,
    /// Digest of the PIN that a token was logged in with, by the digest of the token.
    accepted: HashMap<PinDigest, PinDigest>,
    /// Digests of a token and a PIN that it rejected.
    rejected: HashSet<PinDigest>,
}

/// Lock-free, because a fork could leave a lock held in the child. Written only while holding the login lock.
/// Static, because a child must not present a PIN again that its parent has seen rejected: a token locks itself
/// after a few wrong PINs.
static PIN_CACHE: ArcSwapOption<PinCache> = ArcSwapOption::const_empty();

/// Clears the rejected PINs, which may be correct by now.
pub(super) fn clear_rejected_pins() {
    let _guard = module::lock_login();
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

    /// Each field is prefixed with its length, so that different fields never yield the same bytes.
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

/// Logs `session` in, if its token requires a login.
pub(super) fn login(source: &KeySource, token: &Pkcs11Token, session: &Session) -> Result<()> {
    if !token.info.login_required() {
        return Ok(());
    }
    let (pin, option) = source.single_password();
    let pin_error = |text: String| source.error(KeyError::Password, option, text);
    let Some(pin) = pin else {
        return Err(pin_error(format!("requires a PIN (set {option} to the PIN)")));
    };
    let _guard = module::lock_login();
    let mut pins = PinCache::load_or_create().ok_or_else(|| {
        source.error(ErrorKind::Internal, option, "cannot check the PIN: the random number generator failed")
    })?;
    let (token_digest, digest) = (pins.digest(token, None), pins.digest(token, Some(pin)));
    if pins.rejected.contains(&digest) {
        return Err(pin_error(format!(
            "has already rejected this PIN ({option}); it was not retried, to avoid locking the token; set \
             another PIN, or call authgrant_clear_caches if the token's PIN has changed"
        )));
    }
    if is_logged_in(session) {
        return is_same_pin(&pins, &token_digest, &digest)
            .then_some(())
            .ok_or_else(|| pin_error(different_pin_text(option)));
    }
    if let Some(reason) = login_blocked_reason(token, &pins) {
        return Err(pin_error(reason.to_owned()));
    }
    let outcome = session.login(UserType::User, Some(&AuthPin::new(pin.into())));
    match outcome.as_ref().err().map(|error| (error::return_code(error), error)) {
        None => {
            pins.accepted.insert(token_digest, digest);
            pins.store();
            Ok(())
        }
        Some((Some(RvError::UserAlreadyLoggedIn), _)) if is_same_pin(&pins, &token_digest, &digest) => Ok(()),
        Some((Some(RvError::UserAlreadyLoggedIn), _)) => Err(pin_error(different_pin_text(option))),
        Some((code, error)) => {
            if is_pin_rejected(code) {
                pins.rejected.insert(digest);
                pins.store();
            }
            Err(login_error(source, option, code, &error::describe(error)))
        }
    }
}

/// Whether the PIN is the one that the token was logged in with. If other code of this process has logged in,
/// the PIN is unknown, and the login applies to the whole process.
fn is_same_pin(pins: &PinCache, token_digest: &PinDigest, digest: &PinDigest) -> bool {
    pins.accepted.get(token_digest).is_none_or(|accepted| accepted == digest)
}

fn different_pin_text(option: &str) -> String {
    format!(
        "is logged in with a different PIN than this {option} in this process; if the token's PIN has \
         changed, call authgrant_clear_caches"
    )
}

fn is_logged_in(session: &Session) -> bool {
    let state = session.get_session_info().map(|info| info.session_state());
    matches!(state, Ok(SessionState::RoUser | SessionState::RwUser))
}

/// Why no PIN may be presented to the token in its present state.
fn login_blocked_reason(token: &Pkcs11Token, pins: &PinCache) -> Option<&'static str> {
    if token.info.user_pin_locked() {
        Some(LOCKED_TEXT)
    } else if !token.info.user_pin_initialized() {
        Some("has no PIN yet; set one with the vendor's tool or pkcs11-tool --init-pin")
    } else if token.info.user_pin_final_try() {
        Some(
            "would be locked by one more wrong PIN, so none was tried; log in once with the vendor's tool or \
             pkcs11-tool --login",
        )
    } else if pins.rejected.len() >= MAX_REJECTED_PINS {
        Some("was not logged in: too many wrong PINs were tried in this process; call authgrant_clear_caches")
    } else {
        None
    }
}

const LOCKED_TEXT: &str = "is locked after too many wrong PINs; unlock it with the vendor's tool, or with \
                           pkcs11-tool --init-pin and the security officer's PIN";

fn is_pin_rejected(code: Option<RvError>) -> bool {
    matches!(code, Some(RvError::PinIncorrect | RvError::PinInvalid | RvError::PinLenRange))
}

fn login_error(source: &KeySource, option: &'static str, code: Option<RvError>, return_value: &str) -> Error {
    let text = match code {
        code if is_pin_rejected(code) => format!(
            "rejected this PIN ({option}; {return_value}); it will not be retried in this process, to avoid \
             locking the token{}",
            source.enclosure_note(option)
        ),
        Some(RvError::PinLocked) => LOCKED_TEXT.to_owned(),
        Some(RvError::PinExpired) => "has an expired PIN; set a new one with the vendor's tool".to_owned(),
        _ => return source.store_error(format!("login failed: {return_value}")),
    };
    source.error(KeyError::Password, option, text)
}
