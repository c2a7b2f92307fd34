//! A token that the user gave is passed through, until its own end or until the API refuses it; beside something that can
//! renew it, it is the first of the connection's tokens.

use crate::config::Given;
use crate::error::{Error, Result, Status};
use crate::flow::{Context, local_token, unsent_token};
use crate::identity::Identity;
use crate::secret::Secret;
use crate::token::{Token, end_of_jwt};

pub(super) fn fetch(token: &Secret, end: Option<i64>, context: &Context<'_>) -> Result<Token> {
    let end = end.or_else(|| end_of_jwt(token.reveal()));
    if end.is_some_and(|end| end <= context.process.clock.unix_seconds()) {
        return Err(expired("is past its end"));
    }
    if context.session.was_rejected(token) {
        return Err(expired("was refused by the API"));
    }
    local_token(token.reveal(), end, context)
}

/// The token that was given beside something that can renew it, if it is known when it ends.
#[must_use]
pub fn first(given: &Given, now: i64, identity: Identity) -> Option<Token> {
    let token = given.token.as_ref()?;
    let end = given.end.or_else(|| end_of_jwt(token.reveal()))?;
    unsent_token(token.reveal(), Some(end), now, identity).ok()
}

fn expired(how: &str) -> Error {
    let text = format!("AccessToken {how}, and nothing can renew it; set another");
    Error::new(Status::Expired, "token", text).with_option("AccessToken")
}
