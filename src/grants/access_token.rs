//! A token that the user gave is passed through, until its own end or until the API refuses it; beside something that can
//! renew it, it is the first of the connection's tokens.

use crate::base::cache_key::CacheKey;
use crate::base::clock::Clock;
use crate::base::error::{Error, Result, Status};
use crate::base::secret::Secret;
use crate::grants::{Context, local_token};
use crate::resolve::Given;
use crate::token::{AccessToken, unverified_jwt_exp};

pub(super) fn fetch(token: &Secret, end: Option<i64>, context: &Context<'_>) -> Result<AccessToken> {
    let end = end.or_else(|| unverified_jwt_exp(token.reveal()));
    if end.is_some_and(|end| end <= context.process.clock.unix_seconds()) {
        return Err(expired("is past its end"));
    }
    if context.session.is_rejected(token) {
        return Err(expired("was refused by the API"));
    }
    local_token(token.reveal(), end, context.process.clock.as_ref(), context.identity)
}

/// The token that was given beside something that can renew it, if it is known when it ends.
#[must_use]
pub fn first(given: &Given, clock: &dyn Clock, identity: CacheKey) -> Option<AccessToken> {
    let token = given.token.as_ref()?;
    let end = given.end.or_else(|| unverified_jwt_exp(token.reveal()))?;
    local_token(token.reveal(), Some(end), clock, identity).ok()
}

fn expired(how: &str) -> Error {
    let text = format!("AccessToken {how}, and nothing can renew it; set another");
    Error::new(Status::Expired, "token", text).with_option("AccessToken")
}
