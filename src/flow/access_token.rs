//! A token that the user gave is passed through, until its own end or until the API refuses it.

use crate::error::{Error, Result, Status};
use crate::flow::{Context, local_token};
use crate::secret::Secret;
use crate::token::{Token, end_of_jwt};

pub(super) fn fetch(token: &Secret, context: &Context<'_>) -> Result<Token> {
    let end = end_of_jwt(token.reveal());
    if end.is_some_and(|end| end <= context.process.clock.unix_seconds()) {
        return Err(expired("is past its end"));
    }
    if context.session.was_rejected(token) {
        return Err(expired("was refused by the API"));
    }
    local_token(token.reveal(), end, context)
}

fn expired(how: &str) -> Error {
    let text = format!("AccessToken {how}, and nothing can renew it; set another");
    Error::new(Status::Expired, "token", text).with_option("AccessToken")
}
