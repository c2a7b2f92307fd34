//! JWT bearer grant: exchanges a signed assertion for an access token (RFC 7523 section 2.1).

use crate::base::error::Result;
use crate::base::secret::Secret;
use crate::grants::context::GrantContext;
use crate::grants::retry::RetryPolicy;
use crate::grants::signed_jwt;
use crate::grants::token_request::{TokenRequest, describe_claims};
use crate::resolve::{AssertionConfig, TokenEndpointConfig};

pub(super) const JWT_BEARER_GRANT_TYPE: &str = "urn:ietf:params:oauth:grant-type:jwt-bearer";

pub(super) fn build_request<'a>(
    endpoint_config: &'a TokenEndpointConfig,
    signing: &'a AssertionConfig,
    grant_type: Option<&str>,
    skew_secs: i64,
    context: &GrantContext<'_>,
) -> Result<TokenRequest<'a>> {
    let assertion = signed_jwt::sign_before_deadline(signing, skew_secs, context)?;
    Ok(TokenRequest {
        parameters: vec![
            ("grant_type", Secret::from(grant_type.unwrap_or(JWT_BEARER_GRANT_TYPE))),
            ("assertion", assertion.into_text()),
        ],
        credential_label: "the assertion",
        describe: Box::new(|| describe_claims(signing, endpoint_config)),
        retry_policy: RetryPolicy::WithNewAssertion,
    })
}
