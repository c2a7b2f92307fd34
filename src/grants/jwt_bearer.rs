//! JWT bearer grant: exchanges a signed assertion for an access token (RFC 7523 section 2.1).

use crate::base::error::Result;
use crate::base::secret::Secret;
use crate::grants::context::GrantContext;
use crate::grants::retry::RetryPolicy;
use crate::grants::signed_jwt::{self, describe_claims};
use crate::grants::token_client;
use crate::grants::token_request::{Credential, Parameter, TokenRequest};
use crate::options::{OptionId, SIGNING_KEY_OPTIONS};
use crate::resolve::{AssertionConfig, TokenEndpointConfig};
use crate::token::AccessToken;

const JWT_BEARER_GRANT_TYPE: &str = "urn:ietf:params:oauth:grant-type:jwt-bearer";

pub(super) fn fetch(
    endpoint_config: &TokenEndpointConfig,
    signing: &AssertionConfig,
    grant_type: Option<&str>,
    context: &GrantContext<'_>,
) -> Result<AccessToken> {
    let issued = token_client::request_token(endpoint_config, context, &|skew_secs| {
        let assertion = signed_jwt::sign_before_deadline(signing, skew_secs, context)?;
        Ok(build_request(endpoint_config, signing, grant_type, assertion.into_text()))
    })?;
    Ok(issued.access_token)
}

pub(super) fn build_request<'a>(
    endpoint_config: &'a TokenEndpointConfig,
    signing: &'a AssertionConfig,
    grant_type: Option<&str>,
    assertion: Secret,
) -> TokenRequest<'a> {
    let grant_type = grant_type.unwrap_or(JWT_BEARER_GRANT_TYPE);
    let parameters = vec![
        Parameter::shown("grant_type", grant_type, &[OptionId::GrantType]),
        Parameter::hidden("assertion", assertion, SIGNING_KEY_OPTIONS),
    ];
    TokenRequest::new(
        endpoint_config,
        parameters,
        Credential::Assertion,
        RetryPolicy::WithNewAssertion,
        || describe_claims(signing, endpoint_config),
    )
}
