//! Client credentials grant with a client secret (RFC 6749 section 4.4).

use crate::base::error::Result;
use crate::base::sanitize;
use crate::grants::context::GrantContext;
use crate::grants::retry::RetryPolicy;
use crate::grants::token_client;
use crate::grants::token_request::{Credential, Parameter, TokenRequest};
use crate::resolve::TokenEndpointConfig;
use crate::token::AccessToken;

pub(super) fn fetch(
    endpoint_config: &TokenEndpointConfig,
    context: &GrantContext<'_>,
) -> Result<AccessToken> {
    let build = |_| Ok(build_request(endpoint_config));
    Ok(token_client::request_token(endpoint_config, context, &build)?.access_token)
}

pub(super) fn build_request(endpoint_config: &TokenEndpointConfig) -> TokenRequest<'_> {
    let id = endpoint_config.client.as_ref().map_or("", |client| client.id.as_str());
    let parameters = vec![Parameter::shown("grant_type", "client_credentials", &[])];
    TokenRequest::new(
        endpoint_config,
        parameters,
        Credential::Client,
        RetryPolicy::OnTransientError,
        move || {
            format!(
                "ClientID was \"{}\", the token URL {}",
                sanitize::excerpt(id),
                sanitize::excerpt(endpoint_config.endpoint.without_query())
            )
        },
    )
}
