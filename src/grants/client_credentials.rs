//! Client credentials grant with a client secret (RFC 6749 section 4.4).

use crate::base::error::Result;
use crate::base::sanitize;
use crate::base::secret::Secret;
use crate::grants::context::GrantContext;
use crate::grants::retry::RetryPolicy;
use crate::grants::token_client::{self, TokenRequest};
use crate::resolve::TokenEndpointConfig;
use crate::token::AccessToken;

pub(super) fn fetch(
    endpoint_config: &TokenEndpointConfig,
    context: &GrantContext<'_>,
) -> Result<AccessToken> {
    let build = |_| Ok(build_request(endpoint_config));
    Ok(token_client::request_token(endpoint_config, context, &build)?.access_token)
}

fn build_request(endpoint_config: &TokenEndpointConfig) -> TokenRequest<'_> {
    let id = endpoint_config.client.as_ref().map_or("", |client| client.id.as_str());
    TokenRequest {
        parameters: vec![("grant_type", Secret::from("client_credentials"))],
        credential_label: "the client",
        describe: Box::new(move || {
            format!(
                "ClientID was \"{}\", the token URL {}",
                sanitize::excerpt(id),
                endpoint_config.endpoint.without_query()
            )
        }),
        retry_policy: RetryPolicy::OnTransientError,
    }
}
