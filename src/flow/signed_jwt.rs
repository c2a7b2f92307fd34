//! Without a token endpoint the signed JWT itself is the token.

use crate::assertion::{self, Assertion, Claims};
use crate::config::Signing;
use crate::error::Result;
use crate::flow::{Context, local_token};
use crate::process::Process;
use crate::token::Token;

pub(super) fn fetch(signing: &Signing, context: &Context<'_>) -> Result<Token> {
    let assertion = sign(signing, 0, context.process)?;
    local_token(assertion.text().reveal(), Some(assertion.expires_at), context)
}

/// A fresh assertion, as every exchange needs one, by a clock that is `ahead` of ours by so many seconds.
pub(super) fn sign(signing: &Signing, ahead: i64, process: &Process) -> Result<Assertion> {
    let key = process.keys.key(&signing.key)?;
    let claims = Claims {
        issuer: &signing.issuer,
        subject: signing.subject.as_deref(),
        audience: signing.audience.as_deref(),
        scope: signing.scope.as_deref(),
        lifetime: signing.lifetime,
        now: process.clock.unix_seconds().saturating_add(ahead),
        additional: &signing.additional,
    };
    assertion::sign(&claims, &signing.header, &key)
}
