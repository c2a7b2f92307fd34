//! Access token that did not come from a token endpoint.

use std::collections::BTreeMap;
use std::ffi::CString;

use zeroize::Zeroizing;

use crate::base::cache_key::CacheKey;
use crate::base::clock::Clock;
use crate::base::error::{Error, OptionError, Result};
use crate::token::{AccessToken, CacheState};

/// Creates a token that did not come from a token endpoint.
pub(super) fn build_local_token(
    value: &str,
    expires_at: Option<i64>,
    clock: &dyn Clock,
    cache_key: CacheKey,
) -> Result<AccessToken> {
    let value = CString::new(value).map_err(|_| {
        Error::new(OptionError::Invalid, "token", "the access token contains a NUL character")
    })?;
    Ok(AccessToken {
        value: Zeroizing::new(value),
        scope: None,
        fields: BTreeMap::new(),
        issued_at: clock.unix_seconds(),
        expires_at,
        cache_key,
        cache_state: CacheState::new(clock.boot_time()),
    })
}
