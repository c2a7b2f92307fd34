//! JWT bearer grant: a signed assertion for an access token (RFC 7523 section 2.1).

use crate::base::error::Result;
use crate::base::secret::Secret;
use crate::grants::token_request::{Attempt, Repeat, shown_claims};
use crate::grants::{Context, signed_jwt};
use crate::resolve::{Exchange, Signing};

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
