//! Resource owner password credentials grant (RFC 6749 section 4.3), for servers that support no other grant.

use crate::base::error::Result;
use crate::base::sanitize;
use crate::base::secret::Secret;
use crate::grants::context::GrantContext;
use crate::grants::retry::RetryPolicy;
use crate::grants::token_client;
use crate::grants::token_request::{Credential, Parameter, TokenRequest};
use crate::options::OptionId;
use crate::resolve::TokenEndpointConfig;
use crate::token::AccessToken;

pub(super) fn fetch(
    endpoint_config: &TokenEndpointConfig,
    user: &str,
    password: &Secret,
    context: &GrantContext<'_>,
) -> Result<AccessToken> {
    let build = |_| Ok(build_request(endpoint_config, user, password));
    Ok(token_client::request_token(endpoint_config, context, &build)?.access_token)
}

pub(super) fn build_request<'a>(
    endpoint_config: &'a TokenEndpointConfig,
    user: &'a str,
    password: &Secret,
) -> TokenRequest<'a> {
    let parameters = vec![
        Parameter::shown("grant_type", "password", &[]),
        Parameter::shown("username", user, &[OptionId::User]),
        Parameter::hidden("password", password.clone(), &[OptionId::Password]),
    ];
    // Repeated requests with a wrong password may lock the account.
    TokenRequest::new(endpoint_config, parameters, Credential::User, RetryPolicy::Never, move || {
        format!(
            "User was \"{}\", the token URL {}",
            sanitize::excerpt(user),
            sanitize::excerpt(endpoint_config.endpoint.without_query())
        )
    })
}
