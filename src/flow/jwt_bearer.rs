//! JWT bearer grant: a signed assertion for an access token (RFC 7523 section 2.1).

use crate::config::{Exchange, Signing};
use crate::error::Result;
use crate::flow::exchange::{Attempt, Repeat, shown_claims};
use crate::flow::{Context, signed_jwt};
use crate::secret::Secret;

pub(super) const GRANT_TYPE: &str = "urn:ietf:params:oauth:grant-type:jwt-bearer";

pub(super) fn attempt<'a>(
    exchange: &'a Exchange,
    signing: &'a Signing,
    grant_type: Option<&str>,
    ahead: i64,
    context: &Context<'_>,
) -> Result<Attempt<'a>> {
    let assertion = signed_jwt::sign_in_time(signing, ahead, context)?;
    Ok(Attempt {
        parameters: vec![
            ("grant_type", Secret::from(grant_type.unwrap_or(GRANT_TYPE))),
            ("assertion", assertion.into_text()),
        ],
        what: "the assertion",
        sent: Box::new(|| shown_claims(signing, exchange)),
        repeat: Repeat::Always,
        signed: true,
    })
}
