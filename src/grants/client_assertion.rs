//! Client credentials grant with a JWT client assertion instead of a secret (RFC 7523 section 2.2;
//! webMethods' third flow).

use crate::base::cache_key::CacheKey;
use crate::base::clock::Clock;
use crate::base::error::{Error, OAuthReason, Result};
use crate::base::sanitize;
use crate::base::secret::Secret;
use crate::grants::context::GrantContext;
use crate::grants::retry::RetryPolicy;
use crate::grants::signed_jwt::{self, describe_claims};
use crate::grants::token_client;
use crate::grants::token_request::{Credential, Parameter, TokenRequest};
use crate::jwt;
use crate::options::OptionId;
use crate::resolve::{AssertionSource, Grant, PresignedAssertion, TokenEndpointConfig};
use crate::token::{AccessToken, unverified_jwt_exp};

const CLIENT_ASSERTION_TYPE: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";

/// Options that name the source of the assertion, in order of precedence.
const ASSERTION_OPTIONS: &[OptionId] = &[
    OptionId::ClientAssertion,
    OptionId::ClientAssertionFile,
    OptionId::JWTCertStore,
    OptionId::JWTPrivateKey,
    OptionId::JWTSecret,
];

pub(super) fn fetch(
    endpoint_config: &TokenEndpointConfig,
    source: &AssertionSource,
    client_id: Option<&str>,
    context: &GrantContext<'_>,
) -> Result<AccessToken> {
    let issued = token_client::request_token(endpoint_config, context, &|skew_secs| {
        let assertion = sign_or_load(source, skew_secs, context)?;
        let sent_assertion = record_single_use(source, &assertion, context)?;
        let request = build_request(endpoint_config, source, client_id, assertion);
        Ok(TokenRequest { sent_assertion, ..request })
    })?;
    Ok(issued.access_token)
}

/// Records that ClientAssertion is sent, and returns its digest. An assertion file is exempt: platforms such as
/// Kubernetes write tokens there that servers accept until they expire, for any number of scopes.
///
/// # Errors
/// [`OAuthReason::Expired`] if this process has sent it before.
fn record_single_use(
    source: &AssertionSource,
    assertion: &Secret,
    context: &GrantContext<'_>,
) -> Result<Option<CacheKey>> {
    if !matches!(source, AssertionSource::Presigned(PresignedAssertion::Literal(_))) {
        return Ok(None);
    }
    let process = context.process;
    let digest = CacheKey::digest(&process.cache_key_secret, &("client assertion", assertion.reveal()));
    let expires_at = unverified_jwt_exp(assertion.reveal());
    if process.sent_assertions.insert(digest, expires_at, process.clock.unix_seconds()) {
        return Ok(Some(digest));
    }
    let text = "ClientAssertion was sent before, and a server accepts a client assertion once; set a new one";
    Err(Error::new(OAuthReason::Expired, "client assertion", text).with_option("ClientAssertion"))
}

/// Returns a new signed assertion, or else the configured one.
fn sign_or_load(source: &AssertionSource, skew_secs: i64, context: &GrantContext<'_>) -> Result<Secret> {
    match source {
        AssertionSource::SignedHere(signing) => {
            Ok(signed_jwt::sign_before_deadline(signing, skew_secs, context)?.into_text())
        }
        AssertionSource::Presigned(assertion) => {
            load_presigned_assertion(assertion, context.process.clock.as_ref(), context.warn)
        }
    }
}

/// Returns the parameters that authenticate the client at another endpoint of the server. A presigned assertion
/// from ClientAssertion is valid once, so it is not sent again.
pub(super) fn authentication<'a>(
    endpoint_config: &'a TokenEndpointConfig,
    context: &GrantContext<'_>,
) -> Result<Vec<Parameter<'a>>> {
    let Grant::ClientAssertion { assertion: source, client_id } = &endpoint_config.grant else {
        return Ok(Vec::new());
    };
    let client_id = client_id.as_deref().map(|id| Parameter::shown("client_id", id, &[OptionId::ClientID]));
    if matches!(source, AssertionSource::Presigned(PresignedAssertion::Literal(_))) {
        return Ok(client_id.into_iter().collect());
    }
    let skew_secs = context.process.endpoint_memory.skew_secs(&endpoint_config.endpoint);
    let assertion = sign_or_load(source, skew_secs, context)?;
    let parameters = [
        Parameter::shown("client_assertion_type", CLIENT_ASSERTION_TYPE, &[]),
        Parameter::hidden("client_assertion", assertion, ASSERTION_OPTIONS),
    ];
    Ok(parameters.into_iter().chain(client_id).collect())
}

pub(super) fn build_request<'a>(
    endpoint_config: &'a TokenEndpointConfig,
    source: &'a AssertionSource,
    client_id: Option<&str>,
    assertion: Secret,
) -> TokenRequest<'a> {
    let mut parameters = vec![
        Parameter::shown("grant_type", "client_credentials", &[]),
        Parameter::shown("client_assertion_type", CLIENT_ASSERTION_TYPE, &[]),
        Parameter::hidden("client_assertion", assertion, ASSERTION_OPTIONS),
    ];
    parameters.extend(client_id.map(|id| Parameter::shown("client_id", id, &[OptionId::ClientID])));
    let retry_policy = match source {
        AssertionSource::SignedHere(_) => RetryPolicy::WithNewAssertion,
        AssertionSource::Presigned(_) => RetryPolicy::OnlyIfUnprocessed,
    };
    TokenRequest::new(endpoint_config, parameters, Credential::ClientAssertion, retry_policy, || match source
    {
        AssertionSource::SignedHere(signing) => describe_claims(signing, endpoint_config),
        AssertionSource::Presigned(PresignedAssertion::Literal(_)) => {
            describe_source("ClientAssertion", endpoint_config)
        }
        AssertionSource::Presigned(PresignedAssertion::File { file, .. }) => {
            describe_source(&file.to_string(), endpoint_config)
        }
    })
}

/// Returns the configured assertion. `warn` receives warnings about its file.
///
/// # Errors
/// [`OAuthReason::Expired`]; `KeyError::Store` for a file that does not contain an assertion.
pub fn load_presigned_assertion(
    source: &PresignedAssertion,
    clock: &dyn Clock,
    warn: &dyn Fn(Error),
) -> Result<Secret> {
    let assertion = match source {
        PresignedAssertion::Literal(assertion) => assertion.clone(),
        PresignedAssertion::File { file, require_private_file } => {
            jwt::read_assertion_file(file, *require_private_file, warn)?
        }
    };
    check_expiry(source, &assertion, clock)?;
    Ok(assertion)
}

fn describe_source(source: &str, endpoint_config: &TokenEndpointConfig) -> String {
    format!(
        "it came from {source}, the token URL was {}",
        sanitize::excerpt(endpoint_config.endpoint.without_query())
    )
}

fn check_expiry(source: &PresignedAssertion, assertion: &Secret, clock: &dyn Clock) -> Result<()> {
    let now = clock.unix_seconds();
    let Some(expired_secs) = unverified_jwt_exp(assertion.reveal())
        .map(|expires_at| now.saturating_sub(expires_at))
        .filter(|seconds| *seconds >= 0)
    else {
        return Ok(());
    };
    let option = match source {
        PresignedAssertion::Literal(_) => "ClientAssertion",
        PresignedAssertion::File { .. } => "ClientAssertionFile",
    };
    let text =
        format!("the assertion in {option} expired {expired_secs} s ago and was not sent; provide a new one");
    Err(Error::new(OAuthReason::Expired, "client assertion", text).with_option(option))
}
