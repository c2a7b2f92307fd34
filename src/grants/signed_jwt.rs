//! Signed JWT as the access token, without a token endpoint.

use std::borrow::Cow;

use crate::base::error::{Error, OAuthReason, Result};
use crate::base::sanitize;
use crate::grants::context::GrantContext;
use crate::grants::local_token::build_local_token;
use crate::jwt::{self, Assertion, Claims, UnsignedJwt};
use crate::key::SigningKey;
use crate::process::Process;
use crate::resolve::{AssertionConfig, TokenEndpointConfig};
use crate::token::AccessToken;

pub(super) fn fetch(signing: &AssertionConfig, context: &GrantContext<'_>) -> Result<AccessToken> {
    let assertion = sign_before_deadline(signing, 0, context)?;
    build_local_token(
        assertion.text().reveal(),
        Some(assertion.expires_at),
        context.process.clock.as_ref(),
        context.cache_key,
    )
}

/// Like [`sign`], with checks of the call's deadline and cancellation before and after. Opening a key store
/// can take long and cannot be interrupted.
pub(super) fn sign_before_deadline(
    signing: &AssertionConfig,
    skew_secs: i64,
    context: &GrantContext<'_>,
) -> Result<Assertion> {
    context.call.check()?;
    let assertion = sign(signing, skew_secs, context.process, context.warn)?;
    context.call.check()?;
    Ok(assertion)
}

/// Signs a new assertion; every token request needs one. Its times are those of a clock that is `skew_secs`
/// seconds ahead of the local clock.
pub(super) fn sign(
    signing: &AssertionConfig,
    skew_secs: i64,
    process: &Process,
    warn: &dyn Fn(Error),
) -> Result<Assertion> {
    let key = process.key_cache.get_or_open(&signing.key)?;
    let now = process.clock.unix_seconds().saturating_add(skew_secs);
    check_not_expired(signing, now)?;
    key.warnings(now).into_iter().for_each(warn);
    jwt::sign(&build_claims(signing, Some(&key), now)?, &signing.header, &key)
}

/// Checks that `exp` of ClaimsAdditional, which overrides the lifetime, is in the future.
///
/// # Errors
/// [`OAuthReason::Expired`].
pub fn check_not_expired(signing: &AssertionConfig, now: i64) -> Result<()> {
    let Some(expires_at) = signing.additional_claims.get_timestamp("exp").filter(|exp| *exp <= now) else {
        return Ok(());
    };
    let text = format!(
        "ClaimsAdditional sets exp to {expires_at}, {} s ago, so that the JWT would have expired; set a later \
         time, or remove exp and set JWTLifetime",
        now.saturating_sub(expires_at)
    );
    Err(Error::new(OAuthReason::Expired, "assertion", text).with_option("ClaimsAdditional"))
}

/// Builds the claims of an assertion at the time `now`. Without `key` an issuer that should end with the key
/// fingerprint has no fingerprint.
pub(super) fn build_claims<'a>(
    signing: &'a AssertionConfig,
    key: Option<&SigningKey>,
    now: i64,
) -> Result<Claims<'a>> {
    let issuer = match key.filter(|_| signing.append_key_fingerprint) {
        Some(key) => Cow::Owned(format!("{}.{}", signing.issuer, key.fingerprint()?)),
        None => Cow::Borrowed(signing.issuer.as_str()),
    };
    Ok(Claims {
        issuer,
        subject: signing.subject.as_deref(),
        audience: signing.audience.as_deref(),
        scope: signing.scope.as_deref(),
        scope_is_array: signing.scope_is_array,
        iat_backdate_secs: signing.iat_backdate,
        lifetime: signing.lifetime,
        now,
        additional: &signing.additional_claims,
    })
}

/// Builds the unsigned JWT with `now` = 0, so that its times are relative to the time of signing.
///
/// # Errors
/// A key that cannot be used with the configuration; no errors without a key.
pub fn build_unsigned_jwt(signing: &AssertionConfig, key: Option<&SigningKey>) -> Result<UnsignedJwt> {
    jwt::build_unsigned(&build_claims(signing, key, 0)?, &signing.header, key)
}

/// Describes the claims of a rejected assertion and the token URL. A mismatch of the two, such as test and
/// production, is a common cause.
pub(super) fn describe_claims(signing: &AssertionConfig, endpoint_config: &TokenEndpointConfig) -> String {
    // An audience is often the token URL, whose query may contain secrets.
    let without_query = |text: &str| sanitize::value(text.split('?').next().unwrap_or_default());
    let quoted = |claim: &Option<String>| {
        claim.as_ref().map_or("absent".to_owned(), |text| format!("\"{}\"", without_query(text)))
    };
    format!(
        "iss was \"{}\", sub {}, aud {}, the token URL {}",
        sanitize::value(&signing.issuer),
        quoted(&signing.subject),
        quoted(&signing.audience),
        sanitize::excerpt(endpoint_config.endpoint.without_query()),
    )
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::base::cache_key::CacheKey;
    use crate::base::call::CallContext;
    use crate::base::clock::SystemClock;
    use crate::base::error::Status;
    use crate::options::Options;
    use crate::process::login_state::LoginState;
    use crate::resolve::{Flow, resolve};

    /// Error of a call whose key file does not exist.
    fn fetch_error(call: &CallContext) -> Error {
        let options =
            Options::parse("am=55;ClaimsIssuer=me;ClaimsAudience=you;JWTCertStore=/nowhere/k.jks").unwrap();
        let Flow::SignedJwt(signing) = resolve(&options).config.unwrap().flow else {
            unreachable!("the flow is not SignedJwt");
        };
        let (process, login_state) = (Process::new(Box::new(SystemClock)), LoginState::default());
        let cache_key = CacheKey::digest(&process.cache_key_secret, &0);
        let context = GrantContext {
            process: &process,
            login_state: &login_state,
            call,
            data_source: None,
            cache_key,
            may_prompt: false,
            bypass_circuit_breaker: false,
            before_refresh: &|| Ok(()),
            warn: &|_| {},
        };
        fetch(&signing, &context).err().unwrap()
    }

    #[test]
    fn key_store_not_opened_after_call_ended() {
        assert_eq!(fetch_error(&CallContext::unbounded()).status(), Status::KeyStore);
        assert_eq!(
            fetch_error(&CallContext::with_timeout(Duration::ZERO, "LoginTimeout")).status(),
            Status::Timeout
        );
        let cancelled = CallContext::unbounded();
        cancelled.cancel.cancel();
        assert_eq!(fetch_error(&cancelled).status(), Status::Cancelled);
    }
}
