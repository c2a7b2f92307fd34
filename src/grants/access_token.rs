//! Configured access token: returned until it expires or the API rejects it. If a refresh token is configured
//! as well, it is the initial token of the connection.

use crate::base::cache_key::CacheKey;
use crate::base::clock::Clock;
use crate::base::error::{Error, OAuthReason, Result};
use crate::base::secret::Secret;
use crate::grants::context::GrantContext;
use crate::grants::local_token::build_local_token;
use crate::resolve::PresetToken;
use crate::token::{AccessToken, unverified_jwt_exp};

pub(super) fn fetch(
    token: &Secret,
    expires_at: Option<i64>,
    context: &GrantContext<'_>,
) -> Result<AccessToken> {
    let expires_at = expires_at.or_else(|| unverified_jwt_exp(token.reveal()));
    if expires_at.is_some_and(|expires_at| expires_at <= context.process.clock.unix_seconds()) {
        return Err(expired_error("has expired"));
    }
    if context.login_state.is_rejected(token) {
        return Err(expired_error("was rejected by the API or revoked"));
    }
    build_local_token(token.reveal(), expires_at, context.process.clock.as_ref(), context.cache_key)
}

/// Returns the configured access token of a connection that can also request tokens, if its expiry is known.
#[must_use]
pub fn initial_token(preset: &PresetToken, clock: &dyn Clock, cache_key: CacheKey) -> Option<AccessToken> {
    let token = preset.token.as_ref()?;
    let expires_at = preset.expires_at.or_else(|| unverified_jwt_exp(token.reveal()))?;
    build_local_token(token.reveal(), Some(expires_at), clock, cache_key).ok()
}

fn expired_error(reason: &str) -> Error {
    let text = format!("AccessToken {reason} and cannot be renewed; set a new one");
    Error::new(OAuthReason::Expired, "token", text).with_option("AccessToken")
}
