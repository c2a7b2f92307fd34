//! A token that the user gave is passed through, until its own end or until the API refuses it; beside something that can
//! renew it, it is the first of the connection's tokens.

use crate::base::cache_key::CacheKey;
use crate::base::clock::Clock;
use crate::base::error::{Error, Result, Status};
use crate::base::secret::Secret;
use crate::grants::{GrantContext, build_local_token};
use crate::resolve::PresetToken;
use crate::token::{AccessToken, unverified_jwt_exp};

pub(super) fn fetch(token: &Secret, end: Option<i64>, context: &GrantContext<'_>) -> Result<AccessToken> {
    let end = end.or_else(|| unverified_jwt_exp(token.reveal()));
    if end.is_some_and(|end| end <= context.process.clock.unix_seconds()) {
        return Err(expired_error("is past its end"));
    }
    if context.login_state.is_rejected(token) {
        return Err(expired_error("was refused by the API"));
    }
    build_local_token(token.reveal(), end, context.process.clock.as_ref(), context.cache_key)
}

/// The token that was given beside something that can renew it, if it is known when it ends.
#[must_use]
pub fn initial_token(given: &PresetToken, clock: &dyn Clock, identity: CacheKey) -> Option<AccessToken> {
    let token = given.token.as_ref()?;
    let end = given.expires_at.or_else(|| unverified_jwt_exp(token.reveal()))?;
    build_local_token(token.reveal(), Some(end), clock, identity).ok()
}

fn expired_error(how: &str) -> Error {
    let text = format!("AccessToken {how}, and nothing can renew it; set another");
    Error::new(Status::Expired, "token", text).with_option("AccessToken")
}
