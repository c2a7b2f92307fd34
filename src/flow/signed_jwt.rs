//! Without a token endpoint the signed JWT itself is the token.

use crate::assertion::{self, Assertion, Claims};
use crate::config::Signing;
use crate::error::Result;
use crate::flow::{Context, local_token};
use crate::token::Token;

pub(super) fn fetch(signing: &Signing, context: &Context<'_>) -> Result<Token> {
    let assertion = sign(signing, context)?;
    local_token(assertion.text().reveal(), assertion.expires_at, context)
}

/// A fresh assertion, as every exchange needs one.
pub(super) fn sign(signing: &Signing, context: &Context<'_>) -> Result<Assertion> {
    let key = context.process.keys.key(&signing.key)?;
    let claims = Claims {
        issuer: &signing.issuer,
        subject: signing.subject.as_deref(),
        audience: signing.audience.as_deref(),
        scope: signing.scope.as_deref(),
        lifetime: signing.lifetime,
        now: context.process.clock.unix_seconds(),
        additional: &signing.additional,
    };
    assertion::sign(&claims, &signing.header, &key)
}
